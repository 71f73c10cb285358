/* The filters that work on sequences and mappings. Those that are generators in Python give an
 * iterator that can be walked once; it is computed at once, which a template can only tell by side
 * effects. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

#define FILTER(name)                                                                               \
  static JValue filter_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

/* --- Picking --- */

FILTER (first)
{
  gsize n;
  JValue *items;

  if (j_is (self, J_ITER) && self.iter->next < self.iter->n)
    return self.iter->items[self.iter->next++];
  items = j_elements (run, self, &n);
  return n > 0 ? items[0] : j_undefined_hint (run, _ ("no first item: the sequence was empty"));
}

FILTER (last)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);

  return n > 0 ? items[n - 1] : j_undefined_hint (run, _ ("no last item: the sequence was empty"));
}

FILTER (length)
{
  gsize n;

  if (!j_length (self, &n))
    j_throw (&run->heap, _ ("'%s' object has no length"), j_type_name (self));
  return j_int ((gint64) n);
}

FILTER (list)
{
  JList *list = j_list_new (&run->heap, 0);

  list->items = j_elements (run, self, &list->n);
  list->cap = list->n;
  return j_list (list);
}

FILTER (reverse)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);

  if (j_is (self, J_STR))
    {
      JBuf buf = { 0 };

      for (gsize i = n; i > 0; i--)
        j_buf_append_str (&run->heap, &buf, items[i - 1].str);
      return j_str (j_buf_str (&run->heap, &buf));
    }
  for (gsize i = 0; i < n / 2; i++)
    {
      JValue other = items[i];

      items[i] = items[n - 1 - i];
      items[n - 1 - i] = other;
    }
  return j_iter (&run->heap, items, n);
}

FILTER (items)
{
  gsize n;
  JView *view;

  if (j_is (self, J_UNDEFINED))
    return j_iter (&run->heap, NULL, 0);
  if (!j_is (self, J_DICT))
    j_throw (&run->heap, _ ("items needs a mapping, not %s"), j_type_name (self));
  view = j_new (&run->heap, JView, 1);
  view->dict = self.dict;
  view->what = J_VIEW_ITEMS;
  {
    JValue *items = j_elements (run, (JValue){ .kind = J_VIEW, .view = view }, &n);

    return j_iter (&run->heap, items, n);
  }
}

FILTER (attr)
{
  const JStr *name = j_to_str (run, arg[0]);

  if (j_is (self, J_UNDEFINED))
    j_throw_undefined (run, self);
  /* Attributes only, never members. */
  if (j_is (self, J_DICT) && j_method_find (self, name) == NULL)
    return j_undefined (run, j_type_name (self), name);
  return j_getattr (run, self, name);
}

FILTER (default)
{
  if (j_is (self, J_UNDEFINED) || (j_arg_bool (arg[1], FALSE) && !j_truthy (self)))
    return j_is (arg[0], J_UNSET) ? j_str (j_str_literal (&run->heap, "")) : arg[0];
  return self;
}

/* --- Cutting --- */

/* Up to `n` of the items, filled up to `n_filled` with `fill`. */
static JValue
part (JRun *run, const JValue *items, gsize n, gsize n_filled, JValue fill)
{
  JList *list = j_list_new (&run->heap, MAX (n, n_filled));

  for (gsize i = 0; i < n; i++)
    list->items[list->n++] = items[i];
  while (list->n < n_filled)
    list->items[list->n++] = fill;
  return j_list (list);
}

FILTER (batch)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  gint64 size = j_arg_int (run, arg[0], N_ ("the size of a batch"), 0);
  gboolean fill = !j_is (arg[1], J_UNSET) && !j_is (arg[1], J_NONE);
  JList *parts = j_list_new (&run->heap, 0);

  if (size <= 0)
    j_throw (&run->heap, _ ("batch needs a positive size"));
  for (gsize at = 0; at < n; at += (gsize) size)
    {
      gsize here = MIN (n - at, (gsize) size);

      j_list_append (&run->heap, parts,
                     part (run, items + at, here, fill ? (gsize) size : here, arg[1]));
      if ((gsize) size >= n - at)
        break;
    }
  return j_iter (&run->heap, parts->items, parts->n);
}

FILTER (slice)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  gint64 count = j_arg_int (run, arg[0], N_ ("the number of slices"), 0);
  gboolean fill = !j_is (arg[1], J_UNSET) && !j_is (arg[1], J_NONE);
  JList *parts = j_list_new (&run->heap, 0);
  gsize at = 0;

  if (count <= 0)
    j_throw (&run->heap, _ ("slice needs a positive number of slices"));
  for (gsize i = 0; i < (gsize) count; i++)
    {
      gsize base = n / (gsize) count;
      gboolean longer = i < n % (gsize) count;
      gsize here = base + longer;

      j_work (&run->heap, 1);
      j_list_append (&run->heap, parts,
                     part (run, items + at, here, fill && !longer ? base + 1 : here, arg[1]));
      at += here;
    }
  return j_iter (&run->heap, parts->items, parts->n);
}

/* --- Joining and adding --- */

FILTER (join)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  const JStr *separator = j_is (arg[0], J_UNSET) ? NULL : j_to_str (run, arg[0]);
  JPath path = j_path_parse (run, arg[1]);
  JBuf buf = { 0 };

  for (gsize i = 0; i < n; i++)
    {
      if (i > 0 && separator != NULL)
        j_buf_append_str (&run->heap, &buf, separator);
      j_print (run, &buf, j_path_follow (run, &path, items[i], (JValue){ 0 }));
    }
  return j_str (j_buf_str (&run->heap, &buf));
}

FILTER (sum)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  JPath path = j_path_parse (run, arg[0]);
  JValue total = j_is (arg[1], J_UNSET) ? j_int (0) : arg[1];

  if (j_is (total, J_STR))
    j_throw (&run->heap, _ ("sum cannot add strings: use join"));
  for (gsize i = 0; i < n; i++)
    total = j_binary (run, J_TOKEN_ADD, total, j_path_follow (run, &path, items[i], (JValue){ 0 }));
  return total;
}

/* --- map, select, reject --- */

static JArgs
rest_of (const JArgs *args, gsize from)
{
  JArgs rest = *args;

  rest.pos += from;
  rest.n_pos -= from;
  return rest;
}

FILTER (map)
{
  JHeap *heap = &run->heap;
  gsize n = 0;
  JValue *items;
  JValue attribute = { 0 };
  JValue fallback = { 0 };

  if (!j_truthy (self))
    return j_iter (heap, NULL, 0);
  for (gsize i = 0; i < args->n_kw; i++)
    if (j_str_is (args->names[i], "attribute"))
      attribute = args->kw[i];
    else if (j_str_is (args->names[i], "default"))
      fallback = args->kw[i];
  if (args->n_pos == 0 && attribute.kind != J_UNSET)
    {
      JPath path = j_path_parse (run, attribute);

      items = j_elements (run, self, &n);
      for (gsize i = 0; i < n; i++)
        items[i] = j_path_follow (run, &path, items[i], fallback);
    }
  else
    {
      const JBuiltin *filter;
      JArgs rest;

      if (args->n_pos == 0 || !j_is (args->pos[0], J_STR))
        j_throw (heap, _ ("map needs the name of a filter"));
      filter = j_filter_find (args->pos[0].str);
      if (filter == NULL)
        j_throw (heap, _ ("no filter named '%.*s'"), (int) MIN (args->pos[0].str->n_bytes, 60),
                 args->pos[0].str->bytes);
      rest = rest_of (args, 1);
      items = j_elements (run, self, &n);
      for (gsize i = 0; i < n; i++)
        items[i] = j_builtin_call (run, filter, items[i], &rest);
    }
  return j_iter (heap, items, n);
}

static JValue
select_items (JRun *run, JValue self, const JArgs *args, gboolean by_attribute, gboolean wanted)
{
  JHeap *heap = &run->heap;
  gsize n;
  gsize kept = 0;
  JValue *items;
  JPath path = { 0 };
  gsize at = by_attribute ? 1 : 0;
  const JBuiltin *test = NULL;
  JArgs rest = { 0 };

  if (!j_truthy (self))
    return j_iter (heap, NULL, 0);
  if (by_attribute)
    {
      if (args->n_pos == 0)
        j_throw (heap, _ ("the name of the attribute to select by is missing"));
      path = j_path_parse (run, args->pos[0]);
    }
  if (args->n_pos > at)
    {
      JValue name = args->pos[at];

      test = j_is (name, J_STR) ? j_test_find (name.str) : NULL;
      if (test == NULL)
        j_throw (heap, _ ("no test named '%.*s'"),
                 j_is (name, J_STR) ? (int) MIN (name.str->n_bytes, 60) : 0,
                 j_is (name, J_STR) ? name.str->bytes : "");
      rest = rest_of (args, at + 1);
    }
  items = j_elements (run, self, &n);
  for (gsize i = 0; i < n; i++)
    {
      JValue value = j_path_follow (run, &path, items[i], (JValue){ 0 });

      if (test != NULL)
        value = j_builtin_call (run, test, value, &rest);
      if (j_truthy (value) == wanted)
        items[kept++] = items[i];
    }
  return j_iter (heap, items, kept);
}

FILTER (select)
{
  return select_items (run, self, args, FALSE, TRUE);
}

FILTER (reject)
{
  return select_items (run, self, args, FALSE, FALSE);
}

FILTER (selectattr)
{
  return select_items (run, self, args, TRUE, TRUE);
}

FILTER (rejectattr)
{
  return select_items (run, self, args, TRUE, FALSE);
}

const JBuiltin j_filters_list[] = {
  { "attr", "name", filter_attr },
  { "batch", "linecount ? fill_with", filter_batch },
  { "count", "", filter_length },
  { "d", "? default_value boolean", filter_default },
  { "default", "? default_value boolean", filter_default },
  { "first", "", filter_first },
  { "items", "", filter_items },
  { "join", "? d attribute", filter_join },
  { "last", "", filter_last },
  { "length", "", filter_length },
  { "list", "", filter_list },
  { "map", "*", filter_map },
  { "reject", "*", filter_reject },
  { "rejectattr", "*", filter_rejectattr },
  { "reverse", "", filter_reverse },
  { "select", "*", filter_select },
  { "selectattr", "*", filter_selectattr },
  { "slice", "slices ? fill_with", filter_slice },
  { "sum", "? attribute start", filter_sum },
  { NULL },
};
