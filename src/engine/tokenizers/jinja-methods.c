/* The methods of lists, tuples, dicts, numbers, and of the helpers `loop` and cycler. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define METHOD(name)                                                                               \
  static JValue name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

#define HEAP (&run->heap)

/* --- Lists and tuples --- */

METHOD (list_append)
{
  j_list_append (HEAP, self.list, arg[0]);
  return j_none ();
}

METHOD (list_extend)
{
  gsize n;
  JValue *items = j_elements (run, arg[0], &n);

  for (gsize i = 0; i < n; i++)
    j_list_append (HEAP, self.list, items[i]);
  return j_none ();
}

METHOD (list_insert)
{
  gint64 n = (gint64) self.list->n;
  gint64 at = j_arg_int (run, arg[0], N_ ("the index of insert"), 0);

  if (at < 0)
    at = at < -n ? 0 : at + n;
  j_list_insert (HEAP, self.list, (gsize) MIN (at, n), arg[1]);
  return j_none ();
}

METHOD (list_pop)
{
  gint64 n = (gint64) self.list->n;
  gint64 at = j_arg_int (run, arg[0], N_ ("the index of pop"), -1);

  if (n == 0)
    j_throw (HEAP, _ ("pop from an empty list"));
  at = at < 0 ? at + n : at;
  if (at < 0 || at >= n)
    j_throw (HEAP, _ ("pop index out of range"));
  j_work (HEAP, (guint64) (n - at) / 16);
  return j_list_remove (self.list, (gsize) at);
}

/* The first place of `value`, or -1. */
static gint64
position (JRun *run, const JList *list, JValue value)
{
  for (gsize i = 0; i < list->n; i++)
    if (j_equal (HEAP, list->items[i], value))
      return (gint64) i;
  return -1;
}

METHOD (list_remove)
{
  gint64 at = position (run, self.list, arg[0]);

  if (at < 0)
    j_throw (HEAP, _ ("the value to remove is not in the list"));
  j_list_remove (self.list, (gsize) at);
  return j_none ();
}

METHOD (list_index)
{
  gint64 at = position (run, self.list, arg[0]);

  if (at < 0)
    j_throw (HEAP, _ ("the value is not in the list"));
  return j_int (at);
}

METHOD (list_count)
{
  gint64 n = 0;

  for (gsize i = 0; i < self.list->n; i++)
    n += j_equal (HEAP, self.list->items[i], arg[0]);
  return j_int (n);
}

METHOD (list_reverse)
{
  JList *list = self.list;

  j_work (HEAP, list->n / 8);
  for (gsize i = 0; i < list->n / 2; i++)
    {
      JValue other = list->items[i];

      list->items[i] = list->items[list->n - 1 - i];
      list->items[list->n - 1 - i] = other;
    }
  return j_none ();
}

METHOD (list_sort)
{
  /* The filter sorts a copy; strings are compared with their case. */
  JValue sort_args[] = { j_bool (j_arg_bool (arg[0], FALSE)), j_bool (TRUE) };
  JArgs call = { .pos = sort_args, .n_pos = 2 };
  const JBuiltin *sort = j_filter_find (j_str_literal (HEAP, "sort"));
  JValue sorted = j_builtin_call (run, sort, self, &call);

  if (self.list->n == sorted.list->n && self.list->n > 0)
    memcpy (self.list->items, sorted.list->items, sorted.list->n * sizeof (JValue));
  return j_none ();
}

METHOD (list_copy)
{
  JList *list = j_list_new (HEAP, 0);

  list->items = j_elements (run, self, &list->n);
  list->cap = list->n;
  return j_list (list);
}

METHOD (list_clear)
{
  self.list->n = 0;
  return j_none ();
}

const JBuiltin j_methods_list[] = {
  { "append", "object", list_append },
  { "clear", "", list_clear },
  { "copy", "", list_copy },
  { "count", "value", list_count },
  { "extend", "iterable", list_extend },
  { "index", "value", list_index },
  { "insert", "index object", list_insert },
  { "pop", "? index", list_pop },
  { "remove", "value", list_remove },
  { "reverse", "", list_reverse },
  { "sort", "? reverse", list_sort },
  { NULL },
};

const JBuiltin j_methods_tuple[] = {
  { "count", "value", list_count },
  { "index", "value", list_index },
  { NULL },
};

/* --- Dicts --- */

METHOD (dict_get)
{
  JValue *member = j_dict_get (HEAP, self.dict, arg[0]);

  if (member != NULL)
    return *member;
  return j_is (arg[1], J_UNSET) ? j_none () : arg[1];
}

static JValue
view_of (JRun *run, JValue self, int what)
{
  JView *view = j_new (HEAP, JView, 1);

  view->dict = self.dict;
  view->what = what;
  return (JValue){ .kind = J_VIEW, .view = view };
}

METHOD (dict_keys)
{
  return view_of (run, self, J_VIEW_KEYS);
}

METHOD (dict_values)
{
  return view_of (run, self, J_VIEW_VALUES);
}

METHOD (dict_items)
{
  return view_of (run, self, J_VIEW_ITEMS);
}

METHOD (dict_pop)
{
  JValue old;

  if (j_dict_remove (HEAP, self.dict, arg[0], &old))
    return old;
  if (j_is (arg[1], J_UNSET))
    j_throw (HEAP, _ ("pop: the key is not in the dict"));
  return arg[1];
}

METHOD (dict_popitem)
{
  JEntry last;

  if (self.dict->n == 0)
    j_throw (HEAP, _ ("popitem: the dict is empty"));
  last = self.dict->entries[self.dict->n - 1];
  j_dict_remove (HEAP, self.dict, last.key, NULL);
  return j_tuple2 (HEAP, last.key, last.value);
}

METHOD (dict_setdefault)
{
  JValue *member = j_dict_get (HEAP, self.dict, arg[0]);
  JValue value = j_is (arg[1], J_UNSET) ? j_none () : arg[1];

  if (member != NULL)
    return *member;
  j_dict_set (HEAP, self.dict, arg[0], value);
  return value;
}

METHOD (dict_update)
{
  JValue source =
      j_builtin_call (run, j_global_find (j_str_literal (HEAP, "dict")), j_none (), args);

  for (gsize i = 0; i < source.dict->n; i++)
    j_dict_set (HEAP, self.dict, source.dict->entries[i].key, source.dict->entries[i].value);
  return j_none ();
}

METHOD (dict_copy)
{
  JArgs call = { .pos = &self, .n_pos = 1 };

  return j_builtin_call (run, j_global_find (j_str_literal (HEAP, "dict")), j_none (), &call);
}

METHOD (dict_clear)
{
  j_dict_clear (self.dict);
  return j_none ();
}

const JBuiltin j_methods_dict[] = {
  { "clear", "", dict_clear },
  { "copy", "", dict_copy },
  { "get", "key ? default", dict_get },
  { "items", "", dict_items },
  { "keys", "", dict_keys },
  { "pop", "key ? default", dict_pop },
  { "popitem", "", dict_popitem },
  { "setdefault", "key ? default", dict_setdefault },
  { "update", "*", dict_update },
  { "values", "", dict_values },
  { NULL },
};

/* --- loop, cycler, float --- */

METHOD (loop_cycle)
{
  if (args->n_pos == 0)
    j_throw (HEAP, _ ("cycle needs at least one value"));
  return args->pos[self.loop->index0 % args->n_pos];
}

METHOD (loop_changed)
{
  JList *list = j_list_new (HEAP, 0);
  JValue now = { .kind = J_TUPLE, .list = list };
  gboolean changed;

  list->items = args->pos;
  list->n = list->cap = args->n_pos;
  changed =
      j_is (self.loop->last_changed, J_UNSET) || !j_equal (HEAP, self.loop->last_changed, now);
  self.loop->last_changed = now;
  return j_bool (changed);
}

const JBuiltin j_methods_loop[] = {
  { "changed", "*", loop_changed },
  { "cycle", "*", loop_cycle },
  { NULL },
};

METHOD (cycler_next)
{
  JCycler *cycler = self.cycler;
  JValue value = cycler->items[cycler->at];

  cycler->at = (cycler->at + 1) % cycler->n;
  return value;
}

METHOD (cycler_reset)
{
  self.cycler->at = 0;
  return j_none ();
}

const JBuiltin j_methods_cycler[] = {
  { "next", "", cycler_next },
  { "reset", "", cycler_reset },
  { NULL },
};

METHOD (float_is_integer)
{
  return j_bool (isfinite (self.f) && self.f == trunc (self.f));
}

const JBuiltin j_methods_float[] = {
  { "is_integer", "", float_is_integer },
  { NULL },
};
