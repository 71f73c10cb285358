/* The evaluator: expressions to values. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>

/* --- Undefined --- */

JValue
j_undefined (JRun *run, const char *owner, const JStr *name)
{
  JUndefined *undefined = j_new (&run->heap, JUndefined, 1);

  undefined->owner = owner;
  undefined->name = name;
  return (JValue){ .kind = J_UNDEFINED, .undefined = undefined };
}

JValue
j_undefined_hint (JRun *run, const char *hint)
{
  JUndefined *undefined = j_new (&run->heap, JUndefined, 1);

  undefined->hint = hint;
  return (JValue){ .kind = J_UNDEFINED, .undefined = undefined };
}

void
j_throw_undefined (JRun *run, JValue value)
{
  const JUndefined *undefined = value.undefined;
  const char *name = undefined->name != NULL ? undefined->name->bytes : "";
  int n = undefined->name != NULL ? (int) MIN (undefined->name->n_bytes, 200) : 0;

  if (undefined->hint != NULL)
    j_throw (&run->heap, "%s", undefined->hint);
  if (undefined->owner != NULL && n > 0)
    j_throw (&run->heap, _ ("'%s object' has no attribute '%.*s'"), undefined->owner, n, name);
  if (undefined->owner != NULL)
    j_throw (&run->heap, _ ("'%s object' has no such element"), undefined->owner);
  j_throw (&run->heap, _ ("'%.*s' is undefined"), n, name);
}

/* --- Attributes and elements --- */

static JValue
loop_attribute (JRun *run, const JLoop *loop, const JStr *name)
{
  gsize n = loop->live != NULL ? loop->live->n : loop->n;
  const JValue *items = loop->live != NULL ? loop->live->items : loop->items;
  gsize i = loop->index0;

  if (j_str_is (name, "index"))
    return j_int ((gint64) i + 1);
  if (j_str_is (name, "index0"))
    return j_int ((gint64) i);
  if (j_str_is (name, "first"))
    return j_bool (i == 0);
  if (j_str_is (name, "last"))
    return j_bool (i + 1 >= n);
  if (j_str_is (name, "length"))
    return j_int ((gint64) n);
  if (j_str_is (name, "revindex"))
    return j_int ((gint64) n - (gint64) i);
  if (j_str_is (name, "revindex0"))
    return j_int ((gint64) n - (gint64) i - 1);
  if (j_str_is (name, "depth"))
    return j_int ((gint64) loop->depth0 + 1);
  if (j_str_is (name, "depth0"))
    return j_int ((gint64) loop->depth0);
  if (j_str_is (name, "previtem"))
    return i > 0 ? items[i - 1] : j_undefined_hint (run, _ ("there is no previous item"));
  if (j_str_is (name, "nextitem"))
    return i + 1 < n ? items[i + 1] : j_undefined_hint (run, _ ("there is no next item"));
  return j_undefined (run, "LoopContext", name);
}

/* What Python's getattr finds; J_UNSET if nothing. */
static JValue
own_attribute (JRun *run, JValue value, const JStr *name)
{
  const JBuiltin *method = j_method_find (value, name);
  JValue *member;

  if (method != NULL)
    {
      JFunction *function = j_new (&run->heap, JFunction, 1);

      function->builtin = method;
      function->self = value;
      return (JValue){ .kind = J_FUNCTION, .function = function };
    }
  switch (value.kind)
    {
    case J_NAMESPACE:
      member = j_dict_get_str (value.dict, name);
      return member != NULL ? *member : (JValue){ 0 };
    case J_LOOP:
      return loop_attribute (run, value.loop, name);
    case J_TUPLE:
      if (value.list->group && j_str_is (name, "grouper"))
        return value.list->items[0];
      if (value.list->group && j_str_is (name, "list"))
        return value.list->items[1];
      return (JValue){ 0 };
    case J_CYCLER:
      if (j_str_is (name, "current"))
        return value.cycler->items[value.cycler->at];
      return (JValue){ 0 };
    case J_MACRO:
      if (j_str_is (name, "name"))
        return j_str (value.macro->def->name);
      return (JValue){ 0 };
    default:
      return (JValue){ 0 };
    }
}

JValue
j_getattr (JRun *run, JValue value, const JStr *name)
{
  JValue found;

  if (j_is (value, J_UNDEFINED))
    j_throw_undefined (run, value);
  found = own_attribute (run, value, name);
  if (found.kind != J_UNSET)
    return found;
  if (j_is (value, J_DICT))
    {
      JValue *member = j_dict_get_str (value.dict, name);

      if (member != NULL)
        return *member;
    }
  return j_undefined (run, j_type_name (value), name);
}

JValue
j_getitem (JRun *run, JValue value, JValue key)
{
  JHeap *heap = &run->heap;
  gsize n;

  if (j_is (value, J_UNDEFINED))
    j_throw_undefined (run, value);
  if ((j_is (value, J_DICT) || j_is (value, J_NAMESPACE)) && j_hashable (key))
    {
      JValue *member = j_dict_get (heap, value.dict, key);

      if (member != NULL)
        return *member;
    }
  if (j_is (key, J_INT) || j_is (key, J_BOOL))
    {
      gint64 index = j_is (key, J_INT) ? key.i : key.b;

      if ((j_is (value, J_STR) || j_is (value, J_LIST) || j_is (value, J_TUPLE) ||
           j_is (value, J_RANGE)) &&
          j_length (value, &n))
        {
          if (index < 0)
            index += (gint64) n;
          if (index >= 0 && (guint64) index < n)
            {
              if (j_is (value, J_STR))
                {
                  j_work (heap,
                          value.str->n_chars == value.str->n_bytes ? 0 : (guint64) index / 16);
                  return j_str (j_str_sub (heap, value.str, (gsize) index, 1));
                }
              if (j_is (value, J_RANGE))
                return j_int (value.range->start + index * value.range->step);
              return value.list->items[index];
            }
        }
      return j_undefined (run, j_type_name (value), NULL);
    }
  if (j_is (key, J_STR))
    {
      JValue found = own_attribute (run, value, key.str);

      return found.kind != J_UNSET ? found : j_undefined (run, j_type_name (value), key.str);
    }
  return j_undefined (run, j_type_name (value), NULL);
}

/* --- Calls --- */

static void
add_rest (JRun *run, JArgs *args, gsize cap, JValue rest)
{
  gsize n;
  JValue *items = j_elements (run, rest, &n);

  args->pos = j_grow (&run->heap, args->pos, cap, cap + n + 1, sizeof (JValue));
  for (gsize i = 0; i < n; i++)
    args->pos[args->n_pos++] = items[i];
}

static void
add_keywords (JRun *run, JArgs *args, JValue rest)
{
  gsize n;

  if (!j_is (rest, J_DICT))
    j_throw (&run->heap, _ ("argument after ** must be a mapping, not %s"), j_type_name (rest));
  n = args->n_kw + rest.dict->n;
  args->names = j_grow (&run->heap, args->names, args->n_kw, n + 1, sizeof (JStr *));
  args->kw = j_grow (&run->heap, args->kw, args->n_kw, n + 1, sizeof (JValue));
  for (gsize i = 0; i < rest.dict->n; i++)
    {
      if (!j_is (rest.dict->entries[i].key, J_STR))
        j_throw (&run->heap, _ ("keywords must be strings"));
      args->names[args->n_kw] = rest.dict->entries[i].key.str;
      args->kw[args->n_kw++] = rest.dict->entries[i].value;
    }
}

JArgs
j_eval_args (JRun *run, const JCallArgs *source)
{
  JArgs args = { 0 };

  if (source->pos.n > 0)
    args.pos = j_new (&run->heap, JValue, source->pos.n);
  for (guint i = 0; i < source->pos.n; i++)
    args.pos[args.n_pos++] = j_eval (run, source->pos.nodes[i]);
  if (source->rest != NULL)
    add_rest (run, &args, source->pos.n, j_eval (run, source->rest));
  if (source->kw.n > 0)
    {
      args.names = j_new (&run->heap, const JStr *, source->kw.n);
      args.kw = j_new (&run->heap, JValue, source->kw.n);
    }
  for (guint i = 0; i < source->kw.n; i++)
    {
      args.names[args.n_kw] = source->names[i];
      args.kw[args.n_kw++] = j_eval (run, source->kw.nodes[i]);
    }
  if (source->kw_rest != NULL)
    add_keywords (run, &args, j_eval (run, source->kw_rest));
  return args;
}

static JValue
eval_builtin (JRun *run, const JNode *node)
{
  JValue self = node->a != NULL ? j_eval (run, node->a) : run->block_text;
  JArgs args;

  run->heap.line = node->line;
  if (node->builtin == NULL)
    j_throw (&run->heap,
             node->kind == J_FILTER ? _ ("no filter named '%.*s'") : _ ("no test named '%.*s'"),
             (int) MIN (node->text->n_bytes, 60), node->text->bytes);
  args = j_eval_args (run, node->args);
  run->heap.line = node->line;
  return j_builtin_call (run, node->builtin, self, &args);
}

/* --- Expressions --- */

static JValue
eval_dict (JRun *run, const JNode *node)
{
  JDict *dict = j_dict_new (&run->heap);

  for (guint i = 0; i + 1 < node->list.n; i += 2)
    {
      JValue key = j_eval (run, node->list.nodes[i]);
      JValue value = j_eval (run, node->list.nodes[i + 1]);

      j_dict_set (&run->heap, dict, key, value);
    }
  return (JValue){ .kind = J_DICT, .dict = dict };
}

static JValue
eval_list (JRun *run, const JNode *node)
{
  JList *list = j_list_new (&run->heap, node->list.n);

  for (guint i = 0; i < node->list.n; i++)
    list->items[list->n++] = j_eval (run, node->list.nodes[i]);
  return (JValue){ .kind = node->kind == J_LIST_OF ? J_LIST : J_TUPLE, .list = list };
}

static JValue
eval_concat (JRun *run, const JNode *node)
{
  JBuf buf = { 0 };

  for (guint i = 0; i < node->list.n; i++)
    j_print (run, &buf, j_eval (run, node->list.nodes[i]));
  return j_str (j_buf_str (&run->heap, &buf));
}

static JValue
eval_compare (JRun *run, const JNode *node)
{
  JValue left = j_eval (run, node->a);

  for (guint i = 0; i < node->list.n; i++)
    {
      JValue right = j_eval (run, node->list.nodes[i]);

      run->heap.line = node->line;
      if (!j_compare (run, node->ops[i], left, right))
        return j_bool (FALSE);
      left = right;
    }
  return j_bool (TRUE);
}

static JValue
eval_slice (JRun *run, const JNode *node)
{
  JValue value = j_eval (run, node->a);
  JValue part[3];

  for (guint i = 0; i < 3; i++)
    part[i] = node->list.nodes[i] != NULL ? j_eval (run, node->list.nodes[i]) : j_none ();
  run->heap.line = node->line;
  return j_slice (run, value, part[0], part[1], part[2]);
}

static JValue
eval_call (JRun *run, const JNode *node)
{
  JValue callee = j_eval (run, node->a);
  JArgs args = j_eval_args (run, node->args);
  JValue result;

  run->heap.line = node->line;
  result = j_call (run, callee, &args);
  run->heap.line = node->line;
  return result;
}

static JValue
eval_node (JRun *run, const JNode *node)
{
  JValue a, b;

  switch ((JNodeKind) node->kind)
    {
    case J_CONST:
      return node->value;
    case J_NAME:
      return j_lookup (run, node->name, node->text);
    case J_TUPLE_OF:
    case J_LIST_OF:
      return eval_list (run, node);
    case J_DICT_OF:
      return eval_dict (run, node);
    case J_GETATTR:
      a = j_eval (run, node->a);
      run->heap.line = node->line;
      return j_getattr (run, a, node->text);
    case J_GETITEM:
      a = j_eval (run, node->a);
      b = j_eval (run, node->b);
      run->heap.line = node->line;
      return j_getitem (run, a, b);
    case J_SLICE:
      return eval_slice (run, node);
    case J_CALL:
      return eval_call (run, node);
    case J_FILTER:
    case J_TEST:
      return eval_builtin (run, node);
    case J_NEG:
      return j_negate (run, j_eval (run, node->a));
    case J_POS:
      return j_plus (run, j_eval (run, node->a));
    case J_NOT:
      return j_bool (!j_truthy (j_eval (run, node->a)));
    case J_AND:
      a = j_eval (run, node->a);
      return j_truthy (a) ? j_eval (run, node->b) : a;
    case J_OR:
      a = j_eval (run, node->a);
      return j_truthy (a) ? a : j_eval (run, node->b);
    case J_BINARY:
      a = j_eval (run, node->a);
      b = j_eval (run, node->b);
      run->heap.line = node->line;
      return j_binary (run, node->op, a, b);
    case J_CONCAT:
      return eval_concat (run, node);
    case J_COMPARE:
      return eval_compare (run, node);
    case J_COND:
      if (j_truthy (j_eval (run, node->b)))
        return j_eval (run, node->a);
      if (node->c != NULL)
        return j_eval (run, node->c);
      return j_undefined_hint (run, _ ("an inline 'if' was false and has no 'else'"));
    default:
      g_assert_not_reached ();
    }
}

JValue
j_eval (JRun *run, const JNode *node)
{
  JValue value;

  j_enter (run);
  run->heap.line = node->line;
  value = eval_node (run, node);
  j_leave (run);
  return value;
}
