/* Texts as an XMP packet: RDF with one property a text. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/picture-private.h"

#define NAMESPACE "https://atelier.example/ns/1.0/"

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

char *
atl_xmp_write (const AtlPicture *self)
{
  GString *xmp;
  GHashTableIter iter;
  gpointer key, text;

  if (g_hash_table_size (self->texts) == 0)
    return NULL;
  xmp = g_string_new ("<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>"
                      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
                      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
                      "<rdf:Description rdf:about=\"\" xmlns:atl=\"" NAMESPACE "\">");
  g_hash_table_iter_init (&iter, self->texts);
  while (g_hash_table_iter_next (&iter, &key, &text))
    {
      g_autofree char *name = escape (key);
      g_autofree char *value = escape (text);

      g_string_append_printf (xmp, "<atl:text atl:key=\"%s\">%s</atl:text>", name, value);
    }
  g_string_append (xmp, "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>");
  return g_string_free (xmp, FALSE);
}

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

  if (!g_str_equal (name, "atl:text"))
    return;
  for (guint i = 0; attributes[i] != NULL; i++)
    if (g_str_equal (attributes[i], "atl:key"))
      {
        g_free (reader->key);
        reader->key = g_strdup (values[i]);
        g_string_truncate (reader->text, 0);
      }
}

static void
end_cb (GMarkupParseContext *context, const char *name, gpointer user_data, GError **error)
{
  Reader *reader = user_data;

  if (reader->key == NULL || !g_str_equal (name, "atl:text"))
    return;
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
