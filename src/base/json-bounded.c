/* Depth-checked JSON parsing and typed member access. */
#define G_LOG_DOMAIN "atl-base"

#include "base/json-bounded.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-private.h"

/* So little takes no time, whatever its names are. */
#define FREE_BYTES (32u << 10)

/* What json-glib takes for a value, and more for one that holds others (measured: 80, 110 and 300).
 */
#define VALUE_BYTES 100
#define ARRAY_BYTES 50
#define OBJECT_BYTES 250

/* json-glib's own words are English, and about its grammar. */
static void
set_damaged (GError **error, const char *name, guint line, guint character)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("%s: JSON is damaged near line %u, character %u"), name, line, character);
}

int
atl_json_escaped_unit (const char *at, const char *end)
{
  int unit = 0;

  if (end - at < ATL_JSON_ESCAPE_BYTES || at[0] != '\\' || at[1] != 'u')
    return -1;
  for (guint i = 2; i < ATL_JSON_ESCAPE_BYTES; i++)
    {
      if (!g_ascii_isxdigit (at[i]))
        return -1;
      unit = unit << 4 | g_ascii_xdigit_value (at[i]);
    }
  return unit;
}

/* Of what stands after the end of the value, of which the parser would say nothing. */
static void
set_more (GError **error, const char *name, char c, guint line, guint character)
{
  if (c == '{' || c == '[' || c == '"')
    g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                 _ ("%s: a second value begins in line %u; several belong into one list: [ …, … ]"),
                 name, line);
  else
    set_damaged (error, name, line, character);
}

/* The parser also reads comments and words in single quotes, in which brackets would count wrongly,
 * escapes of bytes by number, escapes of letters without, and further values after the first: none
 * of them is JSON. */
static gboolean
check_shape (const char *data, gsize size, guint64 max_tree_bytes, const char *name, GError **error)
{
  guint64 tree_bytes = VALUE_BYTES;
  guint depth = 0, line = 1;
  gsize line_start = 0;
  gboolean in_string = FALSE, in_word = FALSE, is_whole = FALSE;

  for (gsize i = 0; i < size; i++)
    {
      char c = data[i];

      if (depth == 0 && !in_string)
        {
          if (is_whole && !g_ascii_isspace (c))
            {
              set_more (error, name, c, line, (guint) MIN (i - line_start + 1, G_MAXUINT));
              return FALSE;
            }
          /* A number, true, false or null. */
          is_whole = is_whole || (in_word && g_ascii_isspace (c));
          in_word = !g_ascii_isspace (c);
        }
      if (in_string)
        {
          if (c == '\\' && i + 1 < size &&
              (g_ascii_isdigit (data[i + 1]) ||
               (data[i + 1] == 'u' && atl_json_escaped_unit (data + i, data + size) < 0)))
            {
              set_damaged (error, name, line, (guint) MIN (i - line_start + 1, G_MAXUINT));
              return FALSE;
            }
          if (c == '\\')
            i++;
          else if (c == '"')
            {
              in_string = FALSE;
              is_whole = depth == 0;
            }
        }
      else if (c == '"')
        in_string = TRUE;
      else if (c == '\n')
        {
          line++;
          line_start = i + 1;
        }
      else if (c == '/' || c == '\'')
        {
          set_damaged (error, name, line, (guint) MIN (i - line_start + 1, G_MAXUINT));
          return FALSE;
        }
      else if (c == '{' || c == '[')
        {
          tree_bytes += VALUE_BYTES + (c == '{' ? OBJECT_BYTES : ARRAY_BYTES);
          if (++depth > ATL_JSON_MAX_DEPTH)
            {
              g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                           _ ("%s: JSON is nested more than %d levels deep"), name,
                           ATL_JSON_MAX_DEPTH);
              return FALSE;
            }
        }
      else if ((c == '}' || c == ']') && depth > 0)
        is_whole = --depth == 0;
      else if (c == ',' || c == ':')
        tree_bytes += VALUE_BYTES;
    }
  if (tree_bytes <= max_tree_bytes)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("%s: JSON has so many values that reading them would take %u MiB of memory"),
               name, (guint) (tree_bytes >> 20));
  return FALSE;
}

static gboolean
is_between (int unit, int first, int last)
{
  return unit >= first && unit <= last;
}

/* Halves of surrogate pairs without their others would make strings that are no UTF-8: a copy with
 * U+FFFD in their place, the caller's; NULL when there are none. */
static char *
replace_halves (const char *data, gsize size)
{
  const char *end = data + size;
  char *copy = NULL;

  for (const char *p = data; (p = memchr (p, '\\', (gsize) (end - p))) != NULL; p++)
    {
      int unit = atl_json_escaped_unit (p, end);

      if (is_between (unit, 0xd800, 0xdbff) &&
          is_between (atl_json_escaped_unit (p + ATL_JSON_ESCAPE_BYTES, end), 0xdc00, 0xdfff))
        p += 2 * ATL_JSON_ESCAPE_BYTES - 1;
      else if (is_between (unit, 0xd800, 0xdfff))
        {
          if (copy == NULL)
            copy = g_memdup2 (data, size);
          memcpy (copy + (p - data), "\\ufffd", ATL_JSON_ESCAPE_BYTES);
          p += ATL_JSON_ESCAPE_BYTES - 1;
        }
      else
        p = MIN (p + 1, end - 1);
    }
  return copy;
}

/* Python writes this number, which JSON does not have: as one that is too large for a double and so
 * becomes the same. `copy` is what replace_halves() gave for `data`, or NULL; gives the copy, the
 * caller's, or NULL when nothing changes. */
static char *
replace_infinity (const char *data, gsize size, char *copy)
{
  static const char word[] = "Infinity", number[] = "1e999   ";
  const char *text = copy != NULL ? copy : data;
  gboolean in_string = FALSE;

  G_STATIC_ASSERT (sizeof word == sizeof number);
  if (g_strstr_len (data, (gssize) size, word) == NULL)
    return copy;
  for (gsize i = 0; i + sizeof word - 1 <= size; i++)
    {
      if (in_string && text[i] == '\\')
        i++;
      else if (text[i] == '"')
        in_string = !in_string;
      else if (!in_string && memcmp (text + i, word, sizeof word - 1) == 0)
        {
          if (copy == NULL)
            text = copy = g_memdup2 (data, size);
          memcpy (copy + i, number, sizeof number - 1);
        }
    }
  return copy;
}

typedef struct
{
  guint line, character;
} Place;

/* The parser knows where it is only while it says that something is wrong. */
static void
fault_cb (JsonParser *parser, const GError *why, gpointer data)
{
  Place *place = data;

  if (place->line == 0)
    *place = (Place){ json_parser_get_current_line (parser), json_parser_get_current_pos (parser) };
}

JsonNode *
atl_json_parse (const char *data, gsize size, const char *name, GError **error)
{
  return atl_json_parse_large (data, size, ATL_JSON_MAX_TREE_BYTES, name, error);
}

JsonNode *
atl_json_parse_large (
    const char *data, gsize size, guint64 max_tree_bytes, const char *name, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autofree char *whole = NULL;
  Place place = { 0 };
  JsonNode *root;

  if (size == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: JSON is empty"), name);
      return NULL;
    }
  if (size > G_MAXSSIZE || !g_utf8_validate_len (data, size, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: JSON is not valid UTF-8 text"),
                   name);
      return NULL;
    }
  if (!check_shape (data, size, max_tree_bytes, name, error))
    return NULL;

  if (size > FREE_BYTES && atl_json_names_collide (data, size))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: JSON has names that were chosen to take long"), name);
      return NULL;
    }

  whole = replace_infinity (data, size, replace_halves (data, size));
  parser = json_parser_new_immutable ();
  g_signal_connect (parser, "error", G_CALLBACK (fault_cb), &place);
  if (!json_parser_load_from_data (parser, whole != NULL ? whole : data, (gssize) size, NULL))
    {
      set_damaged (error, name, place.line, place.character);
      return NULL;
    }
  root = json_parser_steal_root (parser);
  if (root == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: JSON is empty"), name);
  return root;
}

static JsonNode *
member_value (JsonObject *object, const char *member)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? node : NULL;
}

const char *
atl_json_string (JsonObject *object, const char *member, const char *fallback)
{
  JsonNode *node = member_value (object, member);

  return node != NULL && json_node_get_value_type (node) == G_TYPE_STRING
             ? json_node_get_string (node)
             : fallback;
}

gint64
atl_json_int (JsonObject *object, const char *member, gint64 fallback)
{
  JsonNode *node = member_value (object, member);

  return node != NULL && json_node_get_value_type (node) == G_TYPE_INT64 ? json_node_get_int (node)
                                                                         : fallback;
}

double
atl_json_double (JsonObject *object, const char *member, double fallback)
{
  JsonNode *node = member_value (object, member);

  if (node == NULL)
    return fallback;
  if (json_node_get_value_type (node) == G_TYPE_DOUBLE)
    return json_node_get_double (node);
  if (json_node_get_value_type (node) == G_TYPE_INT64)
    return (double) json_node_get_int (node);
  return fallback;
}

gboolean
atl_json_bool (JsonObject *object, const char *member, gboolean fallback)
{
  JsonNode *node = member_value (object, member);

  return node != NULL && json_node_get_value_type (node) == G_TYPE_BOOLEAN
             ? json_node_get_boolean (node)
             : fallback;
}

JsonObject *
atl_json_object (JsonObject *object, const char *member)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;

  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

JsonArray *
atl_json_array (JsonObject *object, const char *member)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;

  return node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

char *
atl_json_quote (const char *text)
{
  GString *out = g_string_new ("\"");

  for (; *text != '\0'; text++)
    switch (*text)
      {
      case '"':
      case '\\':
        g_string_append_c (out, '\\');
        g_string_append_c (out, *text);
        break;
      case '\n':
        g_string_append (out, "\\n");
        break;
      case '\r':
        g_string_append (out, "\\r");
        break;
      case '\t':
        g_string_append (out, "\\t");
        break;
      case '\b':
        g_string_append (out, "\\b");
        break;
      case '\f':
        g_string_append (out, "\\f");
        break;
      default:
        if ((guint8) *text < 0x20)
          g_string_append_printf (out, "\\u%04x", (guint8) *text);
        else
          g_string_append_c (out, *text);
      }
  g_string_append_c (out, '"');
  return g_string_free (out, FALSE);
}

/* The shortest digits that mean the same number. */
static gboolean
write_double (GString *out, double value)
{
  static const char *const formats[] = { "%.15g", "%.16g", "%.17g" };
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (!isfinite (value))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_ascii_formatd (text, sizeof text, formats[i], value);
      if (g_ascii_strtod (text, NULL) == value)
        break;
    }
  g_string_append (out, text);
  if (strpbrk (text, ".e") == NULL)
    g_string_append (out, ".0");
  return TRUE;
}

static gboolean
write_node (GString *out, JsonNode *node)
{
  gboolean ok = TRUE;

  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      g_string_append_c (out, '[');
      for (guint i = 0; i < json_array_get_length (array) && ok; i++)
        {
          g_string_append (out, i > 0 ? ", " : "");
          ok = write_node (out, json_array_get_element (array, i));
        }
      g_string_append_c (out, ']');
    }
  else if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObjectIter iter;
      const char *name;
      JsonNode *member;
      gboolean is_first = TRUE;

      g_string_append_c (out, '{');
      json_object_iter_init_ordered (&iter, json_node_get_object (node));
      while (ok && json_object_iter_next_ordered (&iter, &name, &member))
        {
          g_autofree char *quoted = atl_json_quote (name);

          g_string_append_printf (out, "%s%s: ", is_first ? "" : ", ", quoted);
          is_first = FALSE;
          ok = write_node (out, member);
        }
      g_string_append_c (out, '}');
    }
  else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_DOUBLE)
    ok = write_double (out, json_node_get_double (node));
  else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    {
      g_autofree char *quoted = atl_json_quote (json_node_get_string (node));

      g_string_append (out, quoted);
    }
  else
    {
      g_autofree char *text = json_to_string (node, FALSE);

      g_string_append (out, text);
    }
  return ok;
}

char *
atl_json_write (JsonNode *node)
{
  GString *out = g_string_new (NULL);
  gboolean ok = write_node (out, node);

  return g_string_free (out, !ok);
}
