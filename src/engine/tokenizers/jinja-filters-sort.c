/* The filters that order or compare items by a key, and the paths (attribute="a.b.0") by which
 * filters find the key in an item. */
#define G_LOG_DOMAIN "atl-jinja"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/jinja-run.h"

#define FILTER(name)                                                                               \
  static JValue filter_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

/* --- Paths --- */

JPath
j_path_parse (JRun *run, JValue attribute)
{
  JHeap *heap = &run->heap;
  JPath path = { 0 };
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

JValue
j_path_follow (JRun *run, const JPath *path, JValue item, JValue fallback)
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
          JPath path = j_path_parse (run, paths->items[k]);
          JValue value = j_path_follow (run, &path, items[i], (JValue){ 0 });

          key->items[key->n++] = fold_case (run, value, case_sensitive);
        }
      keyed[i] = (Keyed){ j_list (key), items[i] };
    }
  return sorted (run, keyed, n, j_arg_bool (arg[0], FALSE));
}

FILTER (dictsort)
{
  JHeap *heap = &run->heap;
  const JStr *by = j_arg_str (run, arg[1], N_ ("the by of dictsort"));
  gboolean by_value = by != NULL && j_str_is (by, "value");
  gboolean case_sensitive = j_arg_bool (arg[0], FALSE);
  Keyed *keyed;

  if (j_is (self, J_UNDEFINED))
    j_throw_undefined (run, self);
  if (!j_is (self, J_DICT))
    j_throw (heap, _ ("dictsort needs a mapping, not %s"), j_type_name (self));
  if (by != NULL && !by_value && !j_str_is (by, "key"))
    j_throw (heap, _ ("dictsort sorts by \"key\" or \"value\""));
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
  JPath path = j_path_parse (run, arg[0]);
  gboolean case_sensitive = j_arg_bool (arg[2], FALSE);
  Keyed *keyed = j_new (heap, Keyed, n + 1);
  JList *groups = j_list_new (heap, 0);
  JList *group = NULL;

  for (gsize i = 0; i < n; i++)
    {
      keyed[i].key = fold_case (run, j_path_follow (run, &path, items[i], arg[1]), case_sensitive);
      keyed[i].item = items[i];
    }
  sort_keyed (heap, keyed, j_new (heap, Keyed, n + 1), n, FALSE);
  for (gsize i = 0; i < n; i++)
    {
      if (i == 0 || !j_equal (heap, keyed[i - 1].key, keyed[i].key))
        {
          JValue pair;

          group = j_list_new (heap, 0);
          pair = j_tuple2 (heap, j_path_follow (run, &path, keyed[i].item, arg[1]), j_list (group));
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
  JPath path = j_path_parse (run, arg[1]);
  gboolean case_sensitive = j_arg_bool (arg[0], FALSE);
  JValue best = { 0 };
  JValue best_key = { 0 };

  if (n == 0)
    return j_undefined_hint (run, _ ("no item to choose from: the sequence was empty"));
  for (gsize i = 0; i < n; i++)
    {
      JValue key =
          fold_case (run, j_path_follow (run, &path, items[i], (JValue){ 0 }), case_sensitive);

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

FILTER (unique)
{
  gsize n;
  JValue *items = j_elements (run, self, &n);
  JPath path = j_path_parse (run, arg[1]);
  JDict *seen = j_dict_new (&run->heap);
  gsize kept = 0;

  for (gsize i = 0; i < n; i++)
    {
      JValue item = j_path_follow (run, &path, items[i], (JValue){ 0 });
      JValue key = fold_case (run, item, j_arg_bool (arg[0], FALSE));

      if (j_dict_get (&run->heap, seen, key) == NULL)
        {
          j_dict_set (&run->heap, seen, key, j_none ());
          items[kept++] = items[i];
        }
    }
  return j_iter (&run->heap, items, kept);
}

const JBuiltin j_filters_sort[] = {
  { "dictsort", "? case_sensitive by reverse", filter_dictsort },
  { "groupby", "attribute ? default case_sensitive", filter_groupby },
  { "max", "? case_sensitive attribute", filter_max },
  { "min", "? case_sensitive attribute", filter_min },
  { "sort", "? reverse case_sensitive attribute", filter_sort },
  { "unique", "? case_sensitive attribute", filter_unique },
  { NULL },
};
