/* JSON in, as the variables of a template, and out, as the filter tojson: Python's json.dumps. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define MAX_NESTING 200

/* --- In --- */

static JValue from_json (JHeap *heap, JsonNode *node, guint depth);

static JValue
from_object (JHeap *heap, JsonObject *object, guint depth)
{
  JDict *dict = j_dict_new (heap);
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &member))
    j_dict_set (heap, dict, j_str (j_str_literal (heap, name)),
                from_json (heap, member, depth + 1));
  return (JValue){ .kind = J_DICT, .dict = dict };
}

static JValue
from_json (JHeap *heap, JsonNode *node, guint depth)
{
  const char *text;
  GType type;

  if (depth > MAX_NESTING)
    j_throw_limit (heap, _ ("the data for the template is nested more than %d levels deep"),
                   MAX_NESTING);
  if (JSON_NODE_HOLDS_OBJECT (node))
    return from_object (heap, json_node_get_object (node), depth);
  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);
      guint n = json_array_get_length (array);
      JList *list = j_list_new (heap, n);

      for (guint i = 0; i < n; i++)
        list->items[list->n++] = from_json (heap, json_array_get_element (array, i), depth + 1);
      return j_list (list);
    }
  if (JSON_NODE_HOLDS_NULL (node))
    return j_none ();
  type = json_node_get_value_type (node);
  if (type == G_TYPE_BOOLEAN)
    return j_bool (json_node_get_boolean (node));
  if (type == G_TYPE_INT64)
    return j_int (json_node_get_int (node));
  if (type == G_TYPE_DOUBLE)
    return j_float (json_node_get_double (node));
  text = json_node_get_string (node);
  if (text == NULL)
    return j_none ();
  if (!g_utf8_validate (text, -1, NULL))
    j_throw (heap, _ ("a string in the data for the template is not UTF-8"));
  return j_str (j_str_literal (heap, text));
}

JValue
j_from_json (JHeap *heap, JsonNode *node)
{
  return from_json (heap, node, 0);
}

/* --- Out --- */

typedef struct
{
  JRun *run;
  JBuf buf;
  gboolean ascii;
  gboolean sort_keys;
  const JStr *indent; /* (nullable) */
  const JStr *item_separator;
  const JStr *key_separator;
} Writer;

static void
write_string (Writer *w, const JStr *text)
{
  JHeap *heap = &w->run->heap;

  j_work (heap, text->n_bytes / 16);
  j_buf_append (heap, &w->buf, "\"", 1);
  for (gsize at = 0; at < text->n_bytes;)
    {
      gunichar c = g_utf8_get_char (text->bytes + at);
      gsize n = g_utf8_skip[(guint8) text->bytes[at]];
      static const char escapes[] = "\"\"\\\\\nn\rr\tt\bb\ff";
      const char *escape = NULL;

      for (gsize i = 0; c < 0x80 && i + 1 < sizeof escapes; i += 2)
        if ((gunichar) escapes[i] == c)
          escape = &escapes[i + 1];
      if (escape != NULL)
        {
          j_buf_append (heap, &w->buf, "\\", 1);
          j_buf_append (heap, &w->buf, escape, 1);
        }
      else if (c < 0x20 || (c >= 0x7f && c < 0x10000 && w->ascii && c != 0x7f))
        j_buf_printf (heap, &w->buf, "\\u%04x", c);
      else if (c >= 0x10000 && w->ascii)
        j_buf_printf (heap, &w->buf, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                      0xdc00 + ((c - 0x10000) & 0x3ff));
      else
        j_buf_append (heap, &w->buf, text->bytes + at, n);
      at += n;
    }
  j_buf_append (heap, &w->buf, "\"", 1);
}

static void
write_float (Writer *w, double value)
{
  if (isnan (value))
    j_buf_append_literal (&w->run->heap, &w->buf, "NaN");
  else if (isinf (value))
    j_buf_append_literal (&w->run->heap, &w->buf, value < 0 ? "-Infinity" : "Infinity");
  else
    j_print_float (&w->run->heap, &w->buf, value);
}

static void
write_newline (Writer *w, guint depth)
{
  if (w->indent == NULL)
    return;
  j_buf_append (&w->run->heap, &w->buf, "\n", 1);
  for (guint i = 0; i < depth; i++)
    j_buf_append_str (&w->run->heap, &w->buf, w->indent);
}

static void
write_key (Writer *w, JValue key)
{
  JHeap *heap = &w->run->heap;
  JBuf buf = { 0 };

  switch (key.kind)
    {
    case J_STR:
      write_string (w, key.str);
      return;
    case J_NONE:
      j_buf_append_literal (heap, &buf, "null");
      break;
    case J_BOOL:
      j_buf_append_literal (heap, &buf, key.b ? "true" : "false");
      break;
    case J_INT:
    case J_FLOAT:
      j_print_repr (w->run, &buf, key);
      break;
    default:
      j_throw (heap, _ ("tojson: keys must be strings, numbers, booleans or None, not %s"),
               j_type_name (key));
    }
  write_string (w, j_buf_str (heap, &buf));
}

static void write_value (Writer *w, JValue value, guint depth);

static void
write_dict (Writer *w, const JDict *dict, guint depth)
{
  JHeap *heap = &w->run->heap;
  JEntry *entries = dict->entries;

  if (dict->n == 0)
    {
      j_buf_append (heap, &w->buf, "{}", 2);
      return;
    }
  if (w->sort_keys)
    {
      entries = j_new (heap, JEntry, dict->n);
      for (gsize i = 0; i < dict->n; i++)
        {
          gsize at = i;

          for (; at > 0 && j_less (heap, dict->entries[i].key, entries[at - 1].key); at--)
            entries[at] = entries[at - 1];
          entries[at] = dict->entries[i];
        }
    }
  j_buf_append (heap, &w->buf, "{", 1);
  for (gsize i = 0; i < dict->n; i++)
    {
      if (i > 0)
        j_buf_append_str (heap, &w->buf, w->item_separator);
      write_newline (w, depth + 1);
      write_key (w, entries[i].key);
      j_buf_append_str (heap, &w->buf, w->key_separator);
      write_value (w, entries[i].value, depth + 1);
    }
  write_newline (w, depth);
  j_buf_append (heap, &w->buf, "}", 1);
}

static void
write_list (Writer *w, const JList *list, guint depth)
{
  JHeap *heap = &w->run->heap;

  if (list->n == 0)
    {
      j_buf_append (heap, &w->buf, "[]", 2);
      return;
    }
  j_buf_append (heap, &w->buf, "[", 1);
  for (gsize i = 0; i < list->n; i++)
    {
      if (i > 0)
        j_buf_append_str (heap, &w->buf, w->item_separator);
      write_newline (w, depth + 1);
      write_value (w, list->items[i], depth + 1);
    }
  write_newline (w, depth);
  j_buf_append (heap, &w->buf, "]", 1);
}

static void
write_value (Writer *w, JValue value, guint depth)
{
  JHeap *heap = &w->run->heap;

  j_work (heap, 1);
  if (depth > MAX_NESTING)
    j_throw_limit (heap, _ ("tojson: the value is nested more than %d levels deep"), MAX_NESTING);
  switch (value.kind)
    {
    case J_NONE:
      j_buf_append_literal (heap, &w->buf, "null");
      return;
    case J_BOOL:
      j_buf_append_literal (heap, &w->buf, value.b ? "true" : "false");
      return;
    case J_INT:
      j_print_repr (w->run, &w->buf, value);
      return;
    case J_FLOAT:
      write_float (w, value.f);
      return;
    case J_STR:
      write_string (w, value.str);
      return;
    case J_LIST:
    case J_TUPLE:
      write_list (w, value.list, depth);
      return;
    case J_DICT:
      write_dict (w, value.dict, depth);
      return;
    case J_VIEW:
    case J_ITER:
    case J_RANGE:
      {
        /* Python refuses; templates written for other engines count on a list. */
        JList list = { 0 };

        list.items = j_elements (w->run, value, &list.n);
        write_list (w, &list, depth);
        return;
      }
    case J_UNDEFINED:
      j_throw_undefined (w->run, value);
    default:
      j_throw (heap, _ ("tojson: a value of type %s is not JSON"), j_type_name (value));
    }
}

JValue
j_filter_tojson (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  JHeap *heap = &run->heap;
  Writer w = { .run = run };

  w.ascii = j_arg_bool (arg[0], FALSE);
  w.sort_keys = j_arg_bool (arg[3], FALSE);
  if (j_is (arg[1], J_STR))
    w.indent = arg[1].str;
  else if (!j_is (arg[1], J_UNSET) && !j_is (arg[1], J_NONE))
    {
      JBuf spaces = { 0 };
      gint64 width = j_arg_int (run, arg[1], N_ ("the indent of tojson"), 0);

      j_buf_append_n (heap, &spaces, ' ', (gsize) MAX (width, 0));
      w.indent = j_buf_str (heap, &spaces);
    }
  w.item_separator = j_str_literal (heap, w.indent != NULL ? "," : ", ");
  w.key_separator = j_str_literal (heap, ": ");
  if (!j_is (arg[2], J_UNSET) && !j_is (arg[2], J_NONE))
    {
      gsize n;
      JValue *parts = j_elements (run, arg[2], &n);

      if (n != 2 || !j_is (parts[0], J_STR) || !j_is (parts[1], J_STR))
        j_throw (heap, _ ("the separators of tojson must be two strings"));
      w.item_separator = parts[0].str;
      w.key_separator = parts[1].str;
    }
  write_value (&w, self, 0);
  return j_str (j_buf_str (heap, &w.buf));
}
