/* The methods of strings that take them apart and join them. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

#define METHOD(name)                                                                               \
  static JValue str_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

#define HEAP (&run->heap)

static void
add_piece (JRun *run, JList *list, const char *start, const char *end)
{
  j_list_append (HEAP, list, j_str (j_str_wrap (HEAP, start, (gsize) (end - start))));
}

static void
split_blanks (JRun *run, JList *list, const JStr *str, gint64 limit)
{
  const char *at = str->bytes;
  const char *end = at + str->n_bytes;

  for (;;)
    {
      const char *start;

      while (at < end && j_char_is_space (g_utf8_get_char (at)))
        at = g_utf8_next_char (at);
      if (at == end)
        return;
      start = at;
      if (limit-- == 0)
        {
          add_piece (run, list, start, end);
          return;
        }
      while (at < end && !j_char_is_space (g_utf8_get_char (at)))
        at = g_utf8_next_char (at);
      add_piece (run, list, start, at);
    }
}

static void
rsplit_blanks (JRun *run, JList *list, const JStr *str, gint64 limit)
{
  const char *start = str->bytes;
  const char *at = start + str->n_bytes;

  for (;;)
    {
      const char *end;

      while (at > start && j_char_is_space (g_utf8_get_char (g_utf8_prev_char (at))))
        at = g_utf8_prev_char (at);
      if (at == start)
        return;
      end = at;
      if (limit-- == 0)
        {
          add_piece (run, list, start, end);
          return;
        }
      while (at > start && !j_char_is_space (g_utf8_get_char (g_utf8_prev_char (at))))
        at = g_utf8_prev_char (at);
      add_piece (run, list, at, end);
    }
}

static void
reverse_list (JList *list)
{
  for (gsize i = 0; i < list->n / 2; i++)
    {
      JValue other = list->items[i];

      list->items[i] = list->items[list->n - 1 - i];
      list->items[list->n - 1 - i] = other;
    }
}

static JValue
split (JRun *run, JValue self, const JValue *arg, gboolean from_right)
{
  const JStr *separator = j_arg_str (run, arg[0], N_ ("the separator"));
  gint64 limit = j_arg_int (run, arg[1], N_ ("maxsplit"), -1);
  JList *list = j_list_new (HEAP, 0);
  const JStr *rest = self.str;

  j_work (HEAP, self.str->n_bytes / 8);
  if (separator != NULL && separator->n_bytes == 0)
    j_throw (HEAP, _ ("empty separator"));
  if (separator == NULL && from_right)
    rsplit_blanks (run, list, self.str, limit);
  else if (separator == NULL)
    split_blanks (run, list, self.str, limit);
  else
    {
      gsize from = 0;
      gsize to = rest->n_bytes;

      for (; limit != 0; limit--)
        {
          const JStr left = { .bytes = rest->bytes, .n_bytes = to };
          gssize at =
              from_right ? j_str_rfind (&left, separator) : j_str_find (rest, separator, from);

          if (at < 0)
            break;
          if (from_right)
            {
              add_piece (run, list, rest->bytes + at + separator->n_bytes, rest->bytes + to);
              to = (gsize) at;
            }
          else
            {
              add_piece (run, list, rest->bytes + from, rest->bytes + at);
              from = (gsize) at + separator->n_bytes;
            }
        }
      add_piece (run, list, rest->bytes + from, rest->bytes + to);
    }
  if (from_right)
    reverse_list (list);
  return j_list (list);
}

METHOD (split)
{
  return split (run, self, arg, FALSE);
}

METHOD (rsplit)
{
  return split (run, self, arg, TRUE);
}

METHOD (splitlines)
{
  return j_list (j_text_lines (HEAP, self.str, j_arg_bool (arg[0], FALSE)));
}

static JValue
partition (JRun *run, JValue self, JValue arg, gboolean last)
{
  const JStr *separator = j_need_str (run, arg, N_ ("the separator"));
  const JStr *str = self.str;
  JList *list = j_list_new (HEAP, 3);
  gssize at;

  if (separator->n_bytes == 0)
    j_throw (HEAP, _ ("empty separator"));
  j_work (HEAP, str->n_bytes / 4);
  at = last ? j_str_rfind (str, separator) : j_str_find (str, separator, 0);
  if (at < 0)
    {
      JValue empty = j_str (j_str_literal (HEAP, ""));

      j_list_append (HEAP, list, last ? empty : self);
      j_list_append (HEAP, list, empty);
      j_list_append (HEAP, list, last ? self : empty);
    }
  else
    {
      add_piece (run, list, str->bytes, str->bytes + at);
      j_list_append (HEAP, list, j_str (separator));
      add_piece (run, list, str->bytes + at + separator->n_bytes, str->bytes + str->n_bytes);
    }
  return (JValue){ .kind = J_TUPLE, .list = list };
}

METHOD (partition)
{
  return partition (run, self, arg[0], FALSE);
}

METHOD (rpartition)
{
  return partition (run, self, arg[0], TRUE);
}

METHOD (join)
{
  gsize n;
  JValue *items = j_elements (run, arg[0], &n);
  JBuf buf = { 0 };

  for (gsize i = 0; i < n; i++)
    {
      if (i > 0)
        j_buf_append_str (HEAP, &buf, self.str);
      j_buf_append_str (HEAP, &buf, j_need_str (run, items[i], N_ ("an item joined")));
    }
  return j_str (j_buf_str (HEAP, &buf));
}

const JBuiltin j_methods_split[] = {
  { "join", "iterable", str_join },
  { "partition", "sep", str_partition },
  { "rpartition", "sep", str_rpartition },
  { "rsplit", "? sep maxsplit", str_rsplit },
  { "split", "? sep maxsplit", str_split },
  { "splitlines", "? keepends", str_splitlines },
  { NULL },
};
