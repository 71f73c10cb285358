/* What a template may call: filters, tests, methods of values and global functions, all tables of
 * the same kind of entry.
 *
 * Threading: the tables are constant; functions run under one rendering's state.
 */
#pragma once

#include "engine/tokenizers/jinja-value.h"

G_BEGIN_DECLS

typedef struct _JRun JRun;

/* The arguments of a call, evaluated. */
typedef struct
{
  JValue *pos;
  gsize n_pos;
  const JStr **names; /* [n_kw] */
  JValue *kw;
  gsize n_kw;
} JArgs;

#define J_MAX_PARAMS 8

/* `self` is what a filter, test or method works on. `arg` holds the arguments in the order of
 * `params`, J_UNSET where an optional one was not given; with "*" as params it is NULL and the
 * function reads `args` itself. */
typedef JValue (*JFunc) (JRun *run, JValue self, const JValue *arg, const JArgs *args);

typedef struct _JBuiltin JBuiltin;
struct _JBuiltin
{
  const char *name;
  /* The names of the parameters, separated by spaces; those after "?" are optional. "*": any. */
  const char *params;
  JFunc func;
};

struct _JFunction
{
  const JBuiltin *builtin;
  JValue self;
};

/* NULL if there is none. The method tables depend on the kind of value. */
const JBuiltin *j_filter_find (const JStr *name);
const JBuiltin *j_test_find (const JStr *name);
const JBuiltin *j_method_find (JValue self, const JStr *name);
const JBuiltin *j_global_find (const JStr *name);

/* Binds the arguments to the parameters and calls. */
JValue j_builtin_call (JRun *run, const JBuiltin *builtin, JValue self, const JArgs *args);

/* The tables, each in its file and ended by an entry without a name. */
extern const JBuiltin j_filters_text[];
extern const JBuiltin j_filters_list[];
extern const JBuiltin j_filters_number[];
extern const JBuiltin j_filters_sort[];
extern const JBuiltin j_tests[];
extern const JBuiltin j_methods_str[];
extern const JBuiltin j_methods_split[];
extern const JBuiltin j_methods_list[];
extern const JBuiltin j_methods_tuple[];
extern const JBuiltin j_methods_dict[];
extern const JBuiltin j_methods_loop[];
extern const JBuiltin j_methods_cycler[];
extern const JBuiltin j_methods_float[];
extern const JBuiltin j_globals[];

/* Arguments with defaults and types; each throws, naming `what`, on a value of another type. */
gint64 j_arg_int (JRun *run, JValue arg, const char *what, gint64 fallback);
gboolean j_arg_bool (JValue arg, gboolean fallback);
/* A string argument; NULL if J_UNSET or None. */
const JStr *j_arg_str (JRun *run, JValue arg, const char *what);
/* A string argument that must be there. */
const JStr *j_need_str (JRun *run, JValue arg, const char *what);

G_END_DECLS
