/* The evaluator: statements, scopes, macros, and rendering as a whole. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

typedef enum
{
  FLOW_NEXT,
  FLOW_BREAK,
  FLOW_CONTINUE,
} Flow;

static Flow run_body (JRun *run, const JNodes *body);

void
j_enter (JRun *run)
{
  if (++run->depth > run->max_depth)
    j_throw_limit (&run->heap, _ ("evaluation is nested more than %u levels deep"), run->max_depth);
  j_work (&run->heap, 1);
}

void
j_leave (JRun *run)
{
  run->depth--;
}

void
j_output (JRun *run, const char *bytes, gsize n)
{
  if (n > run->max_output || run->out->n > run->max_output - n)
    j_throw_limit (&run->heap, _ ("the template prints more than %zu bytes"), run->max_output);
  j_work (&run->heap, n / 256);
  j_buf_append (&run->heap, run->out, bytes, n);
}

/* --- Variables --- */

static JScope *
push_scope (JRun *run, JScope *parent)
{
  JScope *scope = j_new (&run->heap, JScope, 1);

  scope->parent = parent;
  run->scope = scope;
  return scope;
}

static void
bind (JRun *run, JScope *scope, guint name, JValue value)
{
  for (guint i = 0; i < scope->n; i++)
    if (scope->bindings[i].name == name)
      {
        scope->bindings[i].value = value;
        return;
      }
  if (scope->n == scope->cap)
    {
      guint cap = MAX (4, scope->cap * 2);

      scope->bindings = j_grow (&run->heap, scope->bindings, scope->cap, cap, sizeof (JBinding));
      scope->cap = cap;
    }
  scope->bindings[scope->n++] = (JBinding){ name, value };
}

void
j_assign (JRun *run, guint name, JValue value)
{
  if (run->scope != NULL)
    bind (run, run->scope, name, value);
  else
    run->root[name] = value;
}

JValue
j_lookup (JRun *run, guint name, const JStr *text)
{
  for (const JScope *scope = run->scope; scope != NULL; scope = scope->parent)
    {
      j_work (&run->heap, scope->n / 16);
      for (guint i = 0; i < scope->n; i++)
        if (scope->bindings[i].name == name)
          return scope->bindings[i].value;
    }
  if (run->root[name].kind != J_UNSET)
    return run->root[name];
  return j_undefined (run, NULL, text);
}

static void
assign_target (JRun *run, const JNode *target, JValue value)
{
  JValue owner;
  JValue *items;
  gsize n;

  switch (target->kind)
    {
    case J_NAME:
      j_assign (run, target->name, value);
      return;
    case J_NSREF:
      owner = j_lookup (run, target->name, target->text);
      if (!j_is (owner, J_NAMESPACE))
        j_throw (&run->heap, _ ("cannot assign an attribute on an object that is not a namespace"));
      j_dict_set (&run->heap, owner.dict, j_str (target->text), value);
      return;
    default:
      items = j_elements (run, value, &n);
      if (n != target->list.n)
        j_throw (&run->heap, _ ("cannot unpack %zu values into %u names"), n, target->list.n);
      for (guint i = 0; i < target->list.n; i++)
        assign_target (run, target->list.nodes[i], items[i]);
    }
}

/* --- Loops --- */

/* The items for which the loop's own condition holds; they are tested before the first round. */
static JValue *
filter_items (JRun *run, const JNode *node, JScope *outer, JValue *items, gsize *n)
{
  JList *kept = j_list_new (&run->heap, 0);

  for (gsize i = 0; i < *n; i++)
    {
      JScope *scope = push_scope (run, outer);

      bind (run, scope, run->jinja->id_loop,
            j_undefined_hint (run, _ ("'loop' is not defined in the condition of a for loop")));
      assign_target (run, node->a, items[i]);
      if (j_truthy (j_eval (run, node->c)))
        j_list_append (&run->heap, kept, items[i]);
    }
  run->scope = outer;
  *n = kept->n;
  return kept->items;
}

static void
run_for (JRun *run, const JNode *node, JValue iterable, gsize depth0)
{
  JScope *outer = run->scope;
  JScope *scope = NULL;
  JLoop *loop = j_new (&run->heap, JLoop, 1);
  gboolean completed = FALSE;

  loop->node = node;
  loop->outer = outer;
  loop->depth0 = depth0;
  if (j_is (iterable, J_LIST) && node->c == NULL)
    loop->live = iterable.list;
  else
    loop->items = j_elements (run, iterable, &loop->n);
  if (node->c != NULL)
    loop->items = filter_items (run, node, outer, loop->items, &loop->n);

  for (;; loop->index0++)
    {
      Flow flow;

      if (loop->index0 >= (loop->live != NULL ? loop->live->n : loop->n))
        break;
      j_work (&run->heap, 1);
      if (scope == NULL || scope->captured)
        scope = push_scope (run, outer);
      scope->n = 0;
      run->scope = scope;
      bind (run, scope, run->jinja->id_loop, (JValue){ .kind = J_LOOP, .loop = loop });
      assign_target (run, node->a,
                     loop->live != NULL ? loop->live->items[loop->index0]
                                        : loop->items[loop->index0]);
      flow = run_body (run, &node->list);
      if (flow == FLOW_BREAK)
        break;
      /* As in Jinja2, a round left by break or continue does not count for else. */
      completed |= flow == FLOW_NEXT;
    }
  run->scope = outer;
  if (!completed && node->list2.n > 0)
    {
      push_scope (run, outer);
      run_body (run, &node->list2);
      run->scope = outer;
    }
}

JValue
j_loop_again (JRun *run, const JLoop *loop, JValue items)
{
  JBuf text = { 0 };
  JBuf *out = run->out;
  JScope *scope = run->scope;

  if (!loop->node->recursive)
    j_throw (&run->heap, _ ("only a loop marked 'recursive' can be called"));
  j_enter (run);
  run->out = &text;
  run->scope = loop->outer;
  run_for (run, loop->node, items, loop->depth0 + 1);
  run->out = out;
  run->scope = scope;
  j_leave (run);
  return j_str (j_buf_str (&run->heap, &text));
}

/* --- Macros --- */

static JValue
new_macro (JRun *run, const JMacroDef *def)
{
  JMacro *macro = j_new (&run->heap, JMacro, 1);

  macro->def = def;
  macro->scope = run->scope;
  for (JScope *scope = run->scope; scope != NULL && !scope->captured; scope = scope->parent)
    scope->captured = TRUE;
  return (JValue){ .kind = J_MACRO, .macro = macro };
}

static int
find_param (const JMacroDef *def, const JStr *name)
{
  for (guint i = 0; i < def->n_params; i++)
    if (j_str_equal (def->words[i], name))
      return (int) i;
  return -1;
}

static void
bind_arguments (JRun *run, const JMacroDef *def, JScope *scope, const JArgs *args)
{
  JHeap *heap = &run->heap;
  JValue *given = j_new (heap, JValue, def->n_params + 1);
  JValue caller = { 0 };
  JDict *kwargs = j_dict_new (heap);
  gsize n_pos = MIN (args->n_pos, def->n_params);
  int name_length = (int) MIN (def->name->n_bytes, 60);

  for (gsize i = 0; i < n_pos; i++)
    given[i] = args->pos[i];
  if (args->n_pos > def->n_params && !def->uses_varargs)
    j_throw (heap, _ ("macro '%.*s' takes not more than %u arguments"), name_length,
             def->name->bytes, def->n_params);
  for (gsize i = 0; i < args->n_kw; i++)
    {
      int at = find_param (def, args->names[i]);

      if (at >= 0 && given[at].kind != J_UNSET)
        j_throw (heap, _ ("macro '%.*s' got two values for '%.*s'"), name_length, def->name->bytes,
                 (int) args->names[i]->n_bytes, args->names[i]->bytes);
      else if (at >= 0)
        given[at] = args->kw[i];
      else if (def->uses_caller && j_str_is (args->names[i], "caller"))
        caller = args->kw[i];
      else if (def->uses_kwargs)
        j_dict_set (heap, kwargs, j_str (args->names[i]), args->kw[i]);
      else
        j_throw (heap, _ ("macro '%.*s' takes no keyword argument '%.*s'"), name_length,
                 def->name->bytes, (int) MIN (args->names[i]->n_bytes, 60), args->names[i]->bytes);
    }

  if (def->uses_caller && find_param (def, j_str_literal (heap, "caller")) < 0)
    bind (run, scope, run->jinja->id_caller,
          caller.kind != J_UNSET ? caller : j_undefined_hint (run, _ ("no caller is defined")));
  if (def->uses_kwargs)
    bind (run, scope, run->jinja->id_kwargs, (JValue){ .kind = J_DICT, .dict = kwargs });
  if (def->uses_varargs)
    {
      JList *rest = j_list_new (heap, args->n_pos - n_pos);

      for (gsize i = n_pos; i < args->n_pos; i++)
        rest->items[rest->n++] = args->pos[i];
      bind (run, scope, run->jinja->id_varargs, (JValue){ .kind = J_TUPLE, .list = rest });
    }
  /* A default may use the parameters before it. */
  for (guint i = 0; i < def->n_params; i++)
    {
      JValue value = given[i];

      if (value.kind == J_UNSET && def->defaults[i] != NULL)
        value = j_eval (run, def->defaults[i]);
      else if (value.kind == J_UNSET)
        value = j_undefined (run, NULL, def->words[i]);
      bind (run, scope, def->params[i], value);
    }
}

static JValue
call_macro (JRun *run, const JMacro *macro, const JArgs *args)
{
  JBuf text = { 0 };
  JBuf *out = run->out;
  JScope *outer = run->scope;
  JScope *scope;

  j_enter (run);
  scope = push_scope (run, macro->scope);
  bind_arguments (run, macro->def, scope, args);
  run->out = &text;
  run_body (run, &macro->def->body);
  run->out = out;
  run->scope = outer;
  j_leave (run);
  return j_str (j_buf_str (&run->heap, &text));
}

JValue
j_call (JRun *run, JValue callee, const JArgs *args)
{
  JHeap *heap = &run->heap;

  switch (callee.kind)
    {
    case J_UNDEFINED:
      j_throw_undefined (run, callee);
    case J_MACRO:
      return call_macro (run, callee.macro, args);
    case J_FUNCTION:
      return j_builtin_call (run, callee.function->builtin, callee.function->self, args);
    case J_LOOP:
      if (args->n_pos != 1 || args->n_kw > 0)
        j_throw (heap, _ ("loop () takes one iterable"));
      return j_loop_again (run, callee.loop, args->pos[0]);
    case J_JOINER:
      if (callee.joiner->used)
        return j_str (callee.joiner->separator);
      callee.joiner->used = TRUE;
      return j_str (j_str_literal (heap, ""));
    default:
      j_throw (heap, _ ("'%s' object is not callable"), j_type_name (callee));
    }
}

/* --- Statements --- */

/* Runs `body` in a scope of its own and returns what it prints. */
static const JStr *
capture (JRun *run, const JNodes *body, Flow *flow)
{
  JBuf text = { 0 };
  JBuf *out = run->out;
  JScope *outer = run->scope;

  run->out = &text;
  push_scope (run, outer);
  *flow = run_body (run, body);
  run->scope = outer;
  run->out = out;
  return j_buf_str (&run->heap, &text);
}

static Flow
run_captured (JRun *run, const JNode *node)
{
  Flow flow;
  JValue value = j_str (capture (run, &node->list, &flow));
  const JNode *filters = node->kind == J_SET_BLOCK ? node->b : node->a;

  if (flow != FLOW_NEXT)
    return flow;
  if (filters != NULL)
    {
      run->block_text = value;
      value = j_eval (run, filters);
    }
  if (node->kind == J_SET_BLOCK)
    assign_target (run, node->a, value);
  else
    j_print (run, run->out, value);
  return FLOW_NEXT;
}

static void
run_call_block (JRun *run, const JNode *node)
{
  JValue callee = j_eval (run, node->a->a);
  JArgs args = j_eval_args (run, node->a->args);

  args.names = j_grow (&run->heap, args.names, args.n_kw, args.n_kw + 1, sizeof (JStr *));
  args.kw = j_grow (&run->heap, args.kw, args.n_kw, args.n_kw + 1, sizeof (JValue));
  args.names[args.n_kw] = node->macro->name;
  args.kw[args.n_kw++] = new_macro (run, node->macro);
  run->heap.line = node->line;
  j_print (run, run->out, j_call (run, callee, &args));
}

static Flow
run_with (JRun *run, const JNode *node)
{
  JScope *outer = run->scope;
  JValue *values = j_new (&run->heap, JValue, node->list2.n + 1);
  Flow flow;

  for (guint i = 0; i + 1 < node->list2.n; i += 2)
    values[i] = j_eval (run, node->list2.nodes[i + 1]);
  push_scope (run, outer);
  for (guint i = 0; i + 1 < node->list2.n; i += 2)
    assign_target (run, node->list2.nodes[i], values[i]);
  flow = run_body (run, &node->list);
  run->scope = outer;
  return flow;
}

static Flow
run_if (JRun *run, const JNode *node)
{
  for (guint i = 0; i < node->n_branches; i++)
    if (j_truthy (j_eval (run, node->branches[i].condition)))
      return run_body (run, &node->branches[i].body);
  return run_body (run, &node->otherwise);
}

static Flow
run_statement (JRun *run, const JNode *node)
{
  JScope *outer = run->scope;
  Flow flow;

  run->heap.line = node->line;
  switch ((JNodeKind) node->kind)
    {
    case J_DATA:
      j_output (run, node->value.str->bytes, node->value.str->n_bytes);
      return FLOW_NEXT;
    case J_OUTPUT:
      j_print (run, run->out, j_eval (run, node->a));
      return FLOW_NEXT;
    case J_FOR:
      run_for (run, node, j_eval (run, node->b), 0);
      return FLOW_NEXT;
    case J_IF:
      return run_if (run, node);
    case J_SET:
      assign_target (run, node->a, j_eval (run, node->b));
      return FLOW_NEXT;
    case J_SET_BLOCK:
    case J_FILTER_BLOCK:
      return run_captured (run, node);
    case J_MACRO_DEF:
      j_assign (run, node->macro->id, new_macro (run, node->macro));
      return FLOW_NEXT;
    case J_CALL_BLOCK:
      run_call_block (run, node);
      return FLOW_NEXT;
    case J_WITH:
      return run_with (run, node);
    case J_SCOPE:
      push_scope (run, outer);
      flow = run_body (run, &node->list);
      run->scope = outer;
      return flow;
    case J_BREAK:
      return FLOW_BREAK;
    case J_CONTINUE:
      return FLOW_CONTINUE;
    default:
      g_assert_not_reached ();
    }
}

static Flow
run_body (JRun *run, const JNodes *body)
{
  Flow flow = FLOW_NEXT;

  j_enter (run);
  for (guint i = 0; i < body->n && flow == FLOW_NEXT; i++)
    {
      flow = run_statement (run, body->nodes[i]);
      if (run->out->n > run->max_output)
        j_throw_limit (&run->heap, _ ("the template prints more than %zu bytes"), run->max_output);
    }
  j_leave (run);
  return flow;
}

void
j_run_body (JRun *run, const JNodes *body)
{
  run_body (run, body);
}
