/* Finding built-ins by name, binding arguments to parameters, and the global functions. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

/* The sandbox of the reference allows no longer ranges. */
#define MAX_RANGE 100000

/* --- Lookup --- */

static const JBuiltin *
find (const JBuiltin *table, const JStr *name)
{
  for (; table->name != NULL; table++)
    if (name->n_bytes > 0 && table->name[0] == name->bytes[0] && j_str_is (name, table->name))
      return table;
  return NULL;
}

const JBuiltin *
j_filter_find (const JStr *name)
{
  const JBuiltin *found = find (j_filters_text, name);

  if (found == NULL)
    found = find (j_filters_list, name);
  if (found == NULL)
    found = find (j_filters_sort, name);
  return found != NULL ? found : find (j_filters_number, name);
}

const JBuiltin *
j_test_find (const JStr *name)
{
  return find (j_tests, name);
}

const JBuiltin *
j_method_find (JValue self, const JStr *name)
{
  const JBuiltin *found;

  switch (self.kind)
    {
    case J_STR:
      found = find (j_methods_str, name);
      return found != NULL ? found : find (j_methods_split, name);
    case J_LIST:
      return find (j_methods_list, name);
    case J_TUPLE:
      return find (j_methods_tuple, name);
    case J_DICT:
      return find (j_methods_dict, name);
    case J_LOOP:
      return find (j_methods_loop, name);
    case J_CYCLER:
      return find (j_methods_cycler, name);
    case J_FLOAT:
      return find (j_methods_float, name);
    default:
      return NULL;
    }
}

const JBuiltin *
j_global_find (const JStr *name)
{
  return find (j_globals, name);
}

/* --- Calls --- */

JValue
j_builtin_call (JRun *run, const JBuiltin *builtin, JValue self, const JArgs *args)
{
  JHeap *heap = &run->heap;
  JValue arg[J_MAX_PARAMS] = { { 0 } };
  const char *word = builtin->params;
  gsize n_params = 0;
  gsize n_bound = 0;
  gboolean optional = FALSE;
  JValue result;

  j_enter (run);
  if (strcmp (builtin->params, "*") == 0)
    {
      result = builtin->func (run, self, NULL, args);
      j_leave (run);
      return result;
    }
  while (*word != '\0')
    {
      gsize n = strcspn (word, " ");

      if (n == 1 && *word == '?')
        optional = TRUE;
      else
        {
          g_assert (n_params < J_MAX_PARAMS);
          if (n_params < args->n_pos)
            arg[n_params] = args->pos[n_params];
          for (gsize i = 0; i < args->n_kw; i++)
            if (args->names[i]->n_bytes == n && memcmp (args->names[i]->bytes, word, n) == 0)
              {
                if (arg[n_params].kind != J_UNSET)
                  j_throw (heap, _ ("%s got two values for '%.*s'"), builtin->name, (int) n, word);
                arg[n_params] = args->kw[i];
                n_bound++;
              }
          if (arg[n_params].kind == J_UNSET && !optional)
            j_throw (heap, _ ("%s needs the argument '%.*s'"), builtin->name, (int) n, word);
          n_params++;
        }
      word += n;
      word += strspn (word, " ");
    }
  if (args->n_pos > n_params)
    j_throw (heap, _ ("%s takes at most %zu arguments, not %zu"), builtin->name, n_params,
             args->n_pos);
  if (n_bound < args->n_kw)
    j_throw (heap, _ ("%s got a keyword argument it does not know"), builtin->name);
  result = builtin->func (run, self, arg, args);
  j_leave (run);
  return result;
}

gint64
j_arg_int (JRun *run, JValue arg, const char *what, gint64 fallback)
{
  if (j_is (arg, J_UNSET))
    return fallback;
  if (j_is (arg, J_BOOL))
    return arg.b;
  if (j_is (arg, J_UNDEFINED))
    j_throw_undefined (run, arg);
  if (!j_is (arg, J_INT))
    j_throw (&run->heap, _ ("%s must be an integer, not %s"), _ (what), j_type_name (arg));
  return arg.i;
}

gboolean
j_arg_bool (JValue arg, gboolean fallback)
{
  return j_is (arg, J_UNSET) ? fallback : j_truthy (arg);
}

const JStr *
j_arg_str (JRun *run, JValue arg, const char *what)
{
  if (j_is (arg, J_UNSET) || j_is (arg, J_NONE))
    return NULL;
  if (j_is (arg, J_UNDEFINED))
    j_throw_undefined (run, arg);
  if (!j_is (arg, J_STR))
    j_throw (&run->heap, _ ("%s must be a string, not %s"), _ (what), j_type_name (arg));
  return arg.str;
}

const JStr *
j_need_str (JRun *run, JValue arg, const char *what)
{
  const JStr *str = j_arg_str (run, arg, what);

  if (str == NULL)
    j_throw (&run->heap, _ ("%s must be a string, not %s"), _ (what), j_type_name (arg));
  return str;
}

/* --- Global functions --- */

static JValue
global_range (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  JRange *range = j_new (&run->heap, JRange, 1);
  gint64 part[3] = { 0, 0, 1 };
  guint64 distance, step;

  if (args->n_kw > 0 || args->n_pos < 1 || args->n_pos > 3)
    j_throw (&run->heap, _ ("range takes 1 to 3 arguments"));
  if (args->n_pos == 1)
    part[1] = j_arg_int (run, args->pos[0], N_ ("the end of a range"), 0);
  else
    for (gsize i = 0; i < args->n_pos; i++)
      part[i] = j_arg_int (run, args->pos[i], N_ ("an argument of range"), 0);
  if (part[2] == 0)
    j_throw (&run->heap, _ ("the step of a range must not be zero"));
  range->start = part[0];
  range->stop = part[1];
  range->step = part[2];
  if (part[2] > 0 ? part[1] > part[0] : part[1] < part[0])
    {
      distance = part[2] > 0 ? (guint64) part[1] - (guint64) part[0]
                             : (guint64) part[0] - (guint64) part[1];
      step = part[2] > 0 ? (guint64) part[2] : 0 - (guint64) part[2];
      distance = (distance - 1) / step + 1;
      if (distance > MAX_RANGE)
        j_throw_limit (&run->heap, _ ("a range has more than %d elements"), MAX_RANGE);
      range->n = (gint64) distance;
    }
  return (JValue){ .kind = J_RANGE, .range = range };
}

static void
fill_dict (JRun *run, JDict *dict, const JArgs *args, const char *what)
{
  JHeap *heap = &run->heap;

  if (args->n_pos > 1)
    j_throw (heap, _ ("%s takes at most one argument without a name"), what);
  if (args->n_pos == 1 && (j_is (args->pos[0], J_DICT) || j_is (args->pos[0], J_NAMESPACE)))
    for (gsize i = 0; i < args->pos[0].dict->n; i++)
      j_dict_set (heap, dict, args->pos[0].dict->entries[i].key,
                  args->pos[0].dict->entries[i].value);
  else if (args->n_pos == 1)
    {
      gsize n;
      JValue *items = j_elements (run, args->pos[0], &n);

      for (gsize i = 0; i < n; i++)
        {
          gsize n_parts;
          JValue *parts = j_elements (run, items[i], &n_parts);

          if (n_parts != 2)
            j_throw (heap, _ ("%s needs pairs"), what);
          j_dict_set (heap, dict, parts[0], parts[1]);
        }
    }
  for (gsize i = 0; i < args->n_kw; i++)
    j_dict_set (heap, dict, j_str (args->names[i]), args->kw[i]);
}

static JValue
global_dict (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  JDict *dict = j_dict_new (&run->heap);

  fill_dict (run, dict, args, "dict");
  return (JValue){ .kind = J_DICT, .dict = dict };
}

static JValue
global_namespace (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  JDict *dict = j_dict_new (&run->heap);

  fill_dict (run, dict, args, "namespace");
  return (JValue){ .kind = J_NAMESPACE, .dict = dict };
}

static JValue
global_cycler (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  JCycler *cycler = j_new (&run->heap, JCycler, 1);

  if (args->n_pos == 0 || args->n_kw > 0)
    j_throw (&run->heap, _ ("cycler needs at least one value"));
  cycler->items = args->pos;
  cycler->n = args->n_pos;
  return (JValue){ .kind = J_CYCLER, .cycler = cycler };
}

static JValue
global_joiner (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  JJoiner *joiner = j_new (&run->heap, JJoiner, 1);

  joiner->separator =
      j_is (arg[0], J_UNSET) ? j_str_literal (&run->heap, ", ") : j_to_str (run, arg[0]);
  return (JValue){ .kind = J_JOINER, .joiner = joiner };
}

static JValue
global_raise_exception (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  const JStr *text = j_to_str (run, arg[0]);

  j_throw_text (&run->heap, text->bytes, text->n_bytes);
}

static JValue
global_strftime_now (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  const JStr *format = j_arg_str (run, arg[0], N_ ("the format of strftime_now"));

  if (format == NULL)
    j_throw (&run->heap, _ ("strftime_now needs a format"));
  if (run->now == NULL)
    j_throw (&run->heap, _ ("strftime_now: there is no clock here"));
  return j_str (j_format_time (run, format, run->now));
}

const JBuiltin j_globals[] = {
  { "range", "*", global_range },
  { "dict", "*", global_dict },
  { "namespace", "*", global_namespace },
  { "cycler", "*", global_cycler },
  { "joiner", "? sep", global_joiner },
  { "raise_exception", "message", global_raise_exception },
  { "strftime_now", "format", global_strftime_now },
  { NULL },
};
