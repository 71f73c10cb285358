/* The filters that work on sequences and mappings. Those that are generators in Python give an
 * iterator that can be walked once; it is computed at once, which a template can only tell by side
 * effects. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <string.h>

#define FILTER(name)                                                                               \
  static JValue filter_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

/* --- What an attribute="a.b.0" argument picks --- */

typedef struct
{
  JValue *parts;
  gsize n;
} Path;

static Path
parse_path (JRun *run, JValue attribute)
{
  JHeap *heap = &run->heap;
  Path path = { 0 };
  gsize start = 0;

  if (j_is (attribute, J_UNSET) || j_is (attribute, J_NONE))
    return path;
  if (!j_is (attribute, J_STR))
    {
      path.parts = j_new (heap, JValue, 1);
      path.parts[path.n++] = attribute;
      return path;
    }
  path.parts = j_new (heap, JValue, attribute.str->n_bytes + 1);
  for (gsize at = 0; at <= attribute.str->n_bytes; at++)
    if (at == attribute.str->n_bytes || attribute.str->bytes[at] == '.')
      {
        const JStr *word = j_str_wrap (heap, attribute.str->bytes + start, at - start);
        gint64 index = 0;
        gsize digits = 0;

        while (digits < word->n_bytes && digits < 18 && g_ascii_isdigit (word->bytes[digits]))
          index = index * 10 + (word->bytes[digits++] - '0');
        path.parts[path.n++] = digits > 0 && digits == word->n_bytes ? j_int (index) : j_str (word);
        start = at + 1;
      }
  return path;
}

static JValue
follow (JRun *run, const Path *path, JValue item, JValue fallback)
{
  for (gsize i = 0; i < path->n; i++)
    {
      j_work (&run->heap, 1);
      item = j_getitem (run, item, path->parts[i]);
      if (j_is (item, J_UNDEFINED) && !j_is (fallback, J_UNSET) && !j_is (fallback, J_NONE))
        item = fallback;
    }
  return item;
}

static JValue
fold_case (JRun *run, JValue value, gboolean case_sensitive)
{
  if (case_sensitive || !j_is (value, J_STR))
    return value;
  return j_str (j_text_lower (&run->heap, value.str));
}

/* --- Sorting --- */

typedef struct
{
  JValue key;
  JValue item;
} Keyed;

/* Stable merge sort; with `reverse` equal items keep their order too. */
static void
sort_keyed (JHeap *heap, Keyed *items, Keyed *scratch, gsize n, gboolean reverse)
{
  gsize half = n / 2;
  gsize a = 0;
  gsize b = half;

  if (n < 2)
    return;
  sort_keyed (heap, items, scratch, half, reverse);
  sort_keyed (heap, items + half, scratch, n - half, reverse);
  for (gsize i = 0; i < n; i++)
    {
      gboolean take_b = a >= half;

      if (!take_b && b < n)
        take_b = reverse ? j_less (heap, items[a].key, items[b].key)
                         : j_less (heap, items[b].key, items[a].key);
      scratch[i] = take_b ? items[b++] : items[a++];
    }
  memcpy (items, scratch, n * sizeof (Keyed));
}

static JValue
sorted (JRun *run, Keyed *items, gsize n, gboolean reverse)
{
  JList *list = j_list_new (&run->heap, n);

  sort_keyed (&run->heap, items, j_new (&run->heap, Keyed, n + 1), n, reverse);
  for (gsize i = 0; i < n; i++)
    list->items[list->n++] = items[i].item;
  return j_list (list);
}

FILTER (sort)
{
  JHeap *heap = &run->heap;
  gsize n;
  JValue *items = j_elements (run, self, &n);
  Keyed *keyed = j_new (heap, Keyed, n + 1);
  gboolean case_sensitive = j_arg_bool (arg[1], FALSE);
  JList *paths = j_list_new (heap, 0);

  /* attribute="a,b" sorts by a, then by b. */
  if (j_is (arg[2], J_STR))
    {
      gsize start = 0;

      for (gsize at = 0; at <= arg[2].str->n_bytes; at++)
        if (at == arg[2].str->n_bytes || arg[2].str->bytes[at] == ',')
          {
            j_list_append (heap, paths,
                           j_str (j_str_wrap (heap, arg[2].str->bytes + start, at - start)));
            start = at + 1;
          }
    }
  else
    j_list_append (heap, paths, arg[2]);

  for (gsize i = 0; i < n; i++)
    {
      JList *key = j_list_new (heap, paths->n);

      for (gsize k = 0; k < paths->n; k++)
        {
          Path path = parse_path (run, paths->items[k]);
          JValue value = follow (run, &path, items[i], (JValue){ 0 });

          key->items[key->n++] = fold_case (run, value, case_sensitive);
        }
      keyed[i] = (Keyed){ j_list (key), items[i] };
    }
  return sorted (run, keyed, n, j_arg_bool (arg[0], FALSE));
}

FILTER (dictsort)
{
  JHeap *heap = &run->heap;
  const JStr *by = j_arg_str (run, arg[1], "the by of dictsort");
  gboolean by_value = by != NULL && j_str_is (by, "value");
  gboolean case_sensitive = j_arg_bool (arg[0], FALSE);
  Keyed *keyed;

  if (j_is (self, J_UNDEFINED))
    j_throw_undefined (run, self);
  if (!j_is (self, J_DICT))
    j_throw (heap, "dictsort needs a mapping, not %s", j_type_name (self));
  if (by != NULL && !by_value && !j_str_is (by, "key"))
    j_throw (heap, "dictsort sorts by \"key\" or \"value\"");
  keyed = j_new (heap, Keyed, self.dict->n + 1);
  for (gsize i = 0; i < self.dict->n; i++)
    {
      const JEntry *entry = &self.dict->entries[i];

      keyed[i].key = fold_case (run, by_value ? entry->value : entry->key, case_sensitive);
      keyed[i].item = j_tuple2 (heap, entry->key, entry->value);
    }
  return sorted (run, keyed, self.dict->n, j_arg_bool (arg[2], FALSE));
}

FILTER (groupby)
{
  JHeap *heap = &run->heap;
  gsize n;
  JValue *items = j_elements (run, self, &n);
  Path path = parse_path (run, arg[0]);
  gboolean case_sensitive = j_arg_bool (arg[2], FALSE);
  Keyed *keyed = j_new (heap, Keyed, n + 1);
  JList *groups = j_list_new (heap, 0);
  JList *group = NULL;

  for (gsize i = 0; i < n; i++)
    {
      keyed[i].key = fold_case (run, follow (run, &path, items[i], arg[1]), case_sensitive);
      keyed[i].item = items[i];
    }
  sort_keyed (heap, keyed, j_new (heap, Keyed, n + 1), n, FALSE);
  for (gsize i = 0; i < n; i++)
    {
      if (i == 0 || !j_equal (heap, keyed[i - 1].key, keyed[i].key))
        {
          JValue pair;

          group = j_list_new (heap, 0);
          pair = j_tuple2 (heap, follow (run, &path, keyed[i].item, arg[1]), j_list (group));
          pair.list->group = TRUE;
          j_list_append (heap, groups, pair);
        }
      j_list_append (heap, group, keyed[i].item);
    }
  return j_list (groups);
}

static JValue
extreme (JRun *run, JValue self, const JValue *arg, gboolean largest)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  Path path = parse_path (run, arg[1]);
  gboolean case_sensitive = j_arg_bool (arg[0], FALSE);
  JValue best = { 0 };
  JValue best_key = { 0 };

  if (n == 0)
    return j_undefined_hint (run, "no item to choose from: the sequence was empty");
  for (gsize i = 0; i < n; i++)
    {
      JValue key = fold_case (run, follow (run, &path, items[i], (JValue){ 0 }), case_sensitive);

      if (i == 0 ||
          (largest ? j_less (&run->heap, best_key, key) : j_less (&run->heap, key, best_key)))
        {
          best = items[i];
          best_key = key;
        }
    }
  return best;
}

FILTER (min)
{
  return extreme (run, self, arg, FALSE);
}

FILTER (max)
{
  return extreme (run, self, arg, TRUE);
}

/* --- Picking --- */

FILTER (first)
{
  gsize n;
  JValue *items;

  if (j_is (self, J_ITER) && self.iter->next < self.iter->n)
    return self.iter->items[self.iter->next++];
  items = j_elements (run, self, &n);
  return n > 0 ? items[0] : j_undefined_hint (run, "no first item: the sequence was empty");
}

FILTER (last)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);

  return n > 0 ? items[n - 1] : j_undefined_hint (run, "no last item: the sequence was empty");
}

FILTER (length)
{
  gsize n;

  if (!j_length (self, &n))
    j_throw (&run->heap, "'%s' object has no length", j_type_name (self));
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

FILTER (unique)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  Path path = parse_path (run, arg[1]);
  JDict *seen = j_dict_new (&run->heap);
  gsize kept = 0;

  for (gsize i = 0; i < n; i++)
    {
      JValue item = follow (run, &path, items[i], (JValue){ 0 });
      JValue key = fold_case (run, item, j_arg_bool (arg[0], FALSE));

      if (j_dict_get (&run->heap, seen, key) == NULL)
        {
          j_dict_set (&run->heap, seen, key, j_none ());
          items[kept++] = items[i];
        }
    }
  return j_iter (&run->heap, items, kept);
}

FILTER (items)
{
  gsize n;
  JView *view;

  if (j_is (self, J_UNDEFINED))
    return j_iter (&run->heap, NULL, 0);
  if (!j_is (self, J_DICT))
    j_throw (&run->heap, "items needs a mapping, not %s", j_type_name (self));
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
  gint64 size = j_arg_int (run, arg[0], "the size of a batch", 0);
  gboolean fill = !j_is (arg[1], J_UNSET) && !j_is (arg[1], J_NONE);
  JList *parts = j_list_new (&run->heap, 0);

  if (size <= 0)
    j_throw (&run->heap, "batch needs a positive size");
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
  gint64 count = j_arg_int (run, arg[0], "the number of slices", 0);
  gboolean fill = !j_is (arg[1], J_UNSET) && !j_is (arg[1], J_NONE);
  JList *parts = j_list_new (&run->heap, 0);
  gsize at = 0;

  if (count <= 0)
    j_throw (&run->heap, "slice needs a positive number of slices");
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
  Path path = parse_path (run, arg[1]);
  JBuf buf = { 0 };

  for (gsize i = 0; i < n; i++)
    {
      if (i > 0 && separator != NULL)
        j_buf_append_str (&run->heap, &buf, separator);
      j_print (run, &buf, follow (run, &path, items[i], (JValue){ 0 }));
    }
  return j_str (j_buf_str (&run->heap, &buf));
}

FILTER (sum)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  Path path = parse_path (run, arg[0]);
  JValue total = j_is (arg[1], J_UNSET) ? j_int (0) : arg[1];

  if (j_is (total, J_STR))
    j_throw (&run->heap, "sum cannot add strings: use join");
  for (gsize i = 0; i < n; i++)
    total = j_binary (run, J_TOKEN_ADD, total, follow (run, &path, items[i], (JValue){ 0 }));
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
      Path path = parse_path (run, attribute);

      items = j_elements (run, self, &n);
      for (gsize i = 0; i < n; i++)
        items[i] = follow (run, &path, items[i], fallback);
    }
  else
    {
      const JBuiltin *filter;
      JArgs rest;

      if (args->n_pos == 0 || !j_is (args->pos[0], J_STR))
        j_throw (heap, "map needs the name of a filter");
      filter = j_filter_find (args->pos[0].str);
      if (filter == NULL)
        j_throw (heap, "no filter named '%.*s'", (int) MIN (args->pos[0].str->n_bytes, 60),
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
  Path path = { 0 };
  gsize at = by_attribute ? 1 : 0;
  const JBuiltin *test = NULL;
  JArgs rest = { 0 };

  if (!j_truthy (self))
    return j_iter (heap, NULL, 0);
  if (by_attribute)
    {
      if (args->n_pos == 0)
        j_throw (heap, "the name of the attribute to select by is missing");
      path = parse_path (run, args->pos[0]);
    }
  if (args->n_pos > at)
    {
      JValue name = args->pos[at];

      test = j_is (name, J_STR) ? j_test_find (name.str) : NULL;
      if (test == NULL)
        j_throw (heap, "no test named '%.*s'",
                 j_is (name, J_STR) ? (int) MIN (name.str->n_bytes, 60) : 0,
                 j_is (name, J_STR) ? name.str->bytes : "");
      rest = rest_of (args, at + 1);
    }
  items = j_elements (run, self, &n);
  for (gsize i = 0; i < n; i++)
    {
      JValue value = follow (run, &path, items[i], (JValue){ 0 });

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
  { "dictsort", "? case_sensitive by reverse", filter_dictsort },
  { "first", "", filter_first },
  { "groupby", "attribute ? default case_sensitive", filter_groupby },
  { "items", "", filter_items },
  { "join", "? d attribute", filter_join },
  { "last", "", filter_last },
  { "length", "", filter_length },
  { "list", "", filter_list },
  { "map", "*", filter_map },
  { "max", "? case_sensitive attribute", filter_max },
  { "min", "? case_sensitive attribute", filter_min },
  { "reject", "*", filter_reject },
  { "rejectattr", "*", filter_rejectattr },
  { "reverse", "", filter_reverse },
  { "select", "*", filter_select },
  { "selectattr", "*", filter_selectattr },
  { "slice", "slices ? fill_with", filter_slice },
  { "sort", "? reverse case_sensitive attribute", filter_sort },
  { "sum", "? attribute start", filter_sum },
  { "unique", "? case_sensitive attribute", filter_unique },
  { NULL },
};
