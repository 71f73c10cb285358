/* Texts as XMP: RDF with one property of our namespace a text. Editors that write a file anew may
 * make attributes of the properties: both are read. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/picture-private.h"

#define NAMESPACE "https://atelier.example/ns/1.0/"
#define USER_COMMENT "exif:UserComment"
#define PREFIX "atl:"

/* --- Writing --- */

/* XML allows no other control characters, not even escaped. */
static char *
escape (const char *text)
{
  GString *clean = g_string_new (NULL);
  char *escaped;

  for (const char *p = text; *p != '\0'; p++)
    if ((guchar) *p >= 0x20 || *p == '\n' || *p == '\t' || *p == '\r')
      g_string_append_c (clean, *p);
  escaped = g_markup_escape_text (clean->str, (gssize) clean->len);
  g_string_free (clean, TRUE);
  return escaped;
}

/* A key as the name of an element: what no name may have becomes its number, "_x20_". */
static void
append_name (GString *out, const char *key)
{
  g_string_append (out, PREFIX);
  for (const char *p = key; *p != '\0'; p++)
    if (g_ascii_isalpha (*p) || (p > key && (g_ascii_isdigit (*p) || *p == '-' || *p == '.')) ||
        (*p == '_' && p[1] != 'x'))
      g_string_append_c (out, *p);
    else
      g_string_append_printf (out, "_x%02x_", (guint) (guchar) *p);
}

/* NULL when it is no name of ours, and not the one where Draw Things puts its JSON. */
static char *
key_of (const char *name)
{
  GString *key;

  if (g_str_equal (name, USER_COMMENT))
    return g_strdup ("UserComment");
  if (!g_str_has_prefix (name, PREFIX))
    return NULL;
  key = g_string_new (NULL);
  for (const char *p = name + strlen (PREFIX); *p != '\0'; p++)
    if (p[0] == '_' && p[1] == 'x' && g_ascii_isxdigit (p[2]) && g_ascii_isxdigit (p[3]) &&
        p[4] == '_')
      {
        g_string_append_c (key,
                           (char) (g_ascii_xdigit_value (p[2]) * 16 + g_ascii_xdigit_value (p[3])));
        p += 4;
      }
    else
      g_string_append_c (key, *p);
  return g_string_free (key, FALSE);
}

char *
atl_xmp_write (const AtlPicture *self)
{
  g_autoptr (GList) keys = atl_picture_text_keys (self);
  GString *xmp;

  if (keys == NULL)
    return NULL;
  xmp = g_string_new ("<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
                      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
                      "<rdf:Description rdf:about=\"\" xmlns:atl=\"" NAMESPACE "\">");
  for (GList *l = keys; l != NULL; l = l->next)
    {
      g_autofree char *value = escape (atl_picture_text (self, l->data));

      g_string_append_c (xmp, '<');
      append_name (xmp, l->data);
      g_string_append_printf (xmp, ">%s</", value);
      append_name (xmp, l->data);
      g_string_append_c (xmp, '>');
    }
  g_string_append (xmp, "</rdf:Description></rdf:RDF></x:xmpmeta>");
  return g_string_free (xmp, FALSE);
}

char *
atl_xmp_packet (const char *xmp)
{
  return g_strconcat ("<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>", xmp,
                      "<?xpacket end=\"r\"?>", NULL);
}

/* --- Reading --- */

typedef struct
{
  AtlPicture *picture;
  char *key;     /* (owned) of the text that is open */
  GString *text; /* (owned) */
} Reader;

static void
start_cb (GMarkupParseContext *context,
          const char *name,
          const char **attributes,
          const char **values,
          gpointer user_data,
          GError **error)
{
  Reader *reader = user_data;

  g_string_truncate (reader->text, 0);
  /* A text in several languages: the first counts. */
  if (reader->key != NULL && (g_str_equal (name, "rdf:Alt") || g_str_equal (name, "rdf:li")))
    return;
  g_free (reader->key);
  reader->key = key_of (name);
  for (guint i = 0; attributes[i] != NULL; i++)
    {
      g_autofree char *key = key_of (attributes[i]);

      if (key != NULL)
        atl_picture_set_text (reader->picture, key, values[i]);
    }
}

static void
end_cb (GMarkupParseContext *context, const char *name, gpointer user_data, GError **error)
{
  Reader *reader = user_data;

  if (reader->key != NULL)
    atl_picture_set_text (reader->picture, reader->key, reader->text->str);
  g_clear_pointer (&reader->key, g_free);
}

static void
text_cb (
    GMarkupParseContext *context, const char *text, gsize n, gpointer user_data, GError **error)
{
  Reader *reader = user_data;

  if (reader->key != NULL && reader->text->len + n <= ATL_PICTURE_MAX_TEXT)
    g_string_append_len (reader->text, text, (gssize) n);
}

void
atl_xmp_read (AtlPicture *self, const char *data, gsize size)
{
  static const GMarkupParser parser = { .start_element = start_cb,
                                        .end_element = end_cb,
                                        .text = text_cb };
  Reader reader = { .picture = self, .text = g_string_new (NULL) };
  GMarkupParseContext *context;

  if (size <= ATL_PICTURE_MAX_TEXT && g_utf8_validate_len (data, size, NULL))
    {
      context = g_markup_parse_context_new (&parser, G_MARKUP_DEFAULT_FLAGS, &reader, NULL);
      g_markup_parse_context_parse (context, data, (gssize) size, NULL);
      g_markup_parse_context_free (context);
    }
  g_free (reader.key);
  g_string_free (reader.text, TRUE);
}
