/* One rendering: the state of the evaluator and what built-in functions may ask of it.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/tokenizers/jinja-ast.h"
#include "engine/tokenizers/jinja-builtins.h"

G_BEGIN_DECLS

typedef struct
{
  guint name;
  JValue value;
} JBinding;

/* Variables of one block; looked up from the innermost scope outwards. */
typedef struct _JScope JScope;
struct _JScope
{
  JScope *parent; /* (nullable) */
  JBinding *bindings;
  guint n;
  guint cap;
  gboolean captured; /* a macro may outlive the block: the scope is not reused */
};

struct _JMacro
{
  const JMacroDef *def;
  JScope *scope; /* where it was defined */
};

struct _JLoop
{
  const JNode *node;
  JScope *outer;
  JList *live; /* (nullable) the list walked, which may grow meanwhile; else items */
  JValue *items;
  gsize n;
  gsize index0;
  gsize depth0;
  JValue last_changed;
};

struct _JCycler
{
  JValue *items;
  gsize n;
  gsize at;
};

struct _JJoiner
{
  const JStr *separator;
  gboolean used;
};

struct _JRun
{
  JHeap heap;
  const AtlJinja *jinja;
  JValue *root; /* [names] context, globals, and what is set at the top level; J_UNSET if nothing */
  JScope *scope; /* (nullable) NULL is the top level */
  JBuf *out;
  JValue block_text; /* what the filters of a block are applied to */
  gsize max_output;
  guint depth;
  guint max_depth;
  GDateTime *now; /* (nullable) borrowed */
};

/* --- jinja-exec.c --- */

void j_run_body (JRun *run, const JNodes *body);
/* Calls anything that can be called. */
JValue j_call (JRun *run, JValue callee, const JArgs *args);
void j_enter (JRun *run);
void j_leave (JRun *run);
/* Binds `name` in the innermost scope. */
void j_assign (JRun *run, guint name, JValue value);
JValue j_lookup (JRun *run, guint name, const JStr *text);
/* Renders the body of a loop once more over `items`; used by loop (...). */
JValue j_loop_again (JRun *run, const JLoop *loop, JValue items);
void j_output (JRun *run, const char *bytes, gsize n);

/* --- jinja-eval.c --- */

JValue j_eval (JRun *run, const JNode *node);
JArgs j_eval_args (JRun *run, const JCallArgs *args);
/* value.name and value[key] as templates mean them: methods, members, or undefined. */
JValue j_getattr (JRun *run, JValue value, const JStr *name);
JValue j_getitem (JRun *run, JValue value, JValue key);
JValue j_undefined (JRun *run, const char *owner, const JStr *name);
JValue j_undefined_hint (JRun *run, const char *hint);
/* Throws, saying that `value`, which is undefined, was used. */
void j_throw_undefined (JRun *run, JValue value) G_GNUC_NORETURN;

/* --- jinja-ops.c --- */

JValue j_binary (JRun *run, int op, JValue a, JValue b); /* op: J_TOKEN_ADD ... J_TOKEN_POW */
JValue j_negate (JRun *run, JValue value);
JValue j_plus (JRun *run, JValue value);
gboolean j_compare (JRun *run, int op, JValue a, JValue b); /* J_TOKEN_EQ ..., J_OP_IN */
gboolean j_contains (JRun *run, JValue container, JValue item);
JValue j_slice (JRun *run, JValue value, JValue start, JValue stop, JValue step);
/* The elements of an iterable; an iterator is used up. Throws if it is none. */
JValue *j_elements (JRun *run, JValue value, gsize *n);
gboolean j_iterable (JValue value);

/* --- jinja-print.c --- */

/* str(value) and repr(value). */
void j_print (JRun *run, JBuf *buf, JValue value);
void j_print_repr (JRun *run, JBuf *buf, JValue value);
/* As j_print_repr with the keys of dicts sorted: pprint. */
void j_print_sorted (JRun *run, JBuf *buf, JValue value);
const JStr *j_to_str (JRun *run, JValue value);
void j_print_float (JHeap *heap, JBuf *buf, double value);
/* value with `precision` digits after the point, as C's %.*f, in every locale. */
void j_print_fixed (JHeap *heap, JBuf *buf, double value, int precision);

/* --- jinja-format.c --- */

/* format % args; format.format (args); strftime. */
const JStr *j_format_percent (JRun *run, const JStr *format, JValue args);
const JStr *j_format_braces (JRun *run, const JStr *format, const JArgs *args);
const JStr *j_format_time (JRun *run, const JStr *format, GDateTime *time);

/* --- jinja-json.c --- */

/* A copy of `node` on the heap; throws where it is nested too deeply. */
JValue j_from_json (JHeap *heap, JsonNode *node);
/* The filter tojson (ensure_ascii, indent, separators, sort_keys), written as Python's json.dumps.
 */
JValue j_filter_tojson (JRun *run, JValue self, const JValue *arg, const JArgs *args);

/* --- jinja-filters-sort.c: what an argument such as attribute="a.b.0" picks --- */

typedef struct
{
  JValue *parts;
  gsize n;
} JPath;

JPath j_path_parse (JRun *run, JValue attribute);
/* `fallback` (may be J_UNSET) takes the place of what is undefined. */
JValue j_path_follow (JRun *run, const JPath *path, JValue item, JValue fallback);

/* --- jinja-text.c: characters --- */

const JStr *j_text_upper (JHeap *heap, const JStr *str);
const JStr *j_text_lower (JHeap *heap, const JStr *str);
const JStr *j_text_capitalize (JHeap *heap, const JStr *str);
/* HTML escaping of & < > ' "; the result is marked safe. */
const JStr *j_text_escape (JHeap *heap, const JStr *str);
/* Strips white space (chars NULL) or the characters of `chars`. */
const JStr *
j_text_strip (JHeap *heap, const JStr *str, const JStr *chars, gboolean left, gboolean right);
const JStr *
j_text_replace (JHeap *heap, const JStr *str, const JStr *old, const JStr *by, gint64 count);
/* Lines without their ends, as str.splitlines(). */
JList *j_text_lines (JHeap *heap, const JStr *str, gboolean keep_ends);

G_END_DECLS
