/* The syntax tree of a template, and the parser that builds it.
 *
 * The tree lives in the heap of its AtlJinja and never changes once parsed. No node is deeper than
 * J_MAX_SYNTAX_DEPTH, so that walking it by recursion is safe.
 *
 * Threading: immutable once parsed.
 */
#pragma once

#include "engine/tokenizers/jinja-lexer.h"

G_BEGIN_DECLS

#define J_MAX_SYNTAX_DEPTH 200

typedef struct _JNode JNode;
typedef struct _JBuiltin JBuiltin;

typedef struct
{
  JNode **nodes;
  guint n;
} JNodes;

typedef struct
{
  JNodes pos;
  const JStr **names; /* [kw.n] */
  JNodes kw;
  JNode *rest;    /* (nullable) *rest */
  JNode *kw_rest; /* (nullable) **kw_rest */
} JCallArgs;

typedef enum
{
  /* expressions */
  J_CONST,    /* value */
  J_NAME,     /* name */
  J_TUPLE_OF, /* list */
  J_LIST_OF,  /* list */
  J_DICT_OF,  /* list: key, value, key, value, ... */
  J_GETATTR,  /* a.text */
  J_GETITEM,  /* a[b] */
  J_SLICE,    /* a[list[0]:list[1]:list[2]], each may be NULL */
  J_CALL,     /* a (args) */
  J_FILTER,   /* a | builtin (args); a is NULL for the text of a block */
  J_TEST,     /* a is builtin (args) */
  J_NEG,
  J_POS,
  J_NOT,
  J_AND,
  J_OR,
  J_BINARY,  /* a op b */
  J_CONCAT,  /* list[0] ~ list[1] ~ ... */
  J_COMPARE, /* a ops[0] list[0] ops[1] list[1] ... */
  J_COND,    /* a if b else c; c may be NULL */
  J_NSREF,   /* name.text, only as a target */
  /* statements */
  J_DATA,         /* value: text as it is */
  J_OUTPUT,       /* {{ a }} */
  J_FOR,          /* for a in b if c: list, else: list2; recursive */
  J_IF,           /* branches[]: condition and body; list2: else */
  J_SET,          /* a = b */
  J_SET_BLOCK,    /* a = list, through the filters b (nullable) */
  J_MACRO_DEF,    /* macro */
  J_CALL_BLOCK,   /* a: the call; macro: the caller */
  J_FILTER_BLOCK, /* a: the filters; list */
  J_WITH,         /* list2: targets and values in turn; list: body */
  J_SCOPE,        /* list, in a scope of its own: block and generation */
  J_BREAK,
  J_CONTINUE,
} JNodeKind;

typedef struct
{
  JNode *condition;
  JNodes body;
} JBranch;

/* A macro, or the body of a call block. */
typedef struct
{
  const JStr *name;
  guint id; /* of the name it is bound to; 0 for a caller */
  guint n_params;
  guint *params;      /* name ids */
  const JStr **words; /* their texts */
  JNode **defaults;   /* [n_params], NULL where there is none */
  JNodes body;
  gboolean uses_varargs; /* the body mentions the special name */
  gboolean uses_kwargs;
  gboolean uses_caller;
} JMacroDef;

struct _JNode
{
  guint8 kind; /* JNodeKind */
  guint8 op;   /* JTokenType of an operator; J_TEST: 1 if negated is in a J_NOT around it */
  guint16 depth;
  int line;
  JNode *a;
  JNode *b;
  JNode *c;
  JNodes list;
  union
  {
    JValue value;
    guint name;
    JNodes list2;
    struct
    {
      JBranch *branches;
      guint n_branches;
      JNodes otherwise;
    };
    const guint8 *ops; /* of J_COMPARE: JTokenType, or J_OP_IN and J_OP_NOT_IN */
    JMacroDef *macro;
    struct
    {
      JCallArgs *args;
      const JBuiltin *builtin; /* (nullable) unknown: an error when reached */
    };
  };
  const JStr *text; /* attribute, filter or test name */
  gboolean recursive;
};

#define J_OP_IN 100
#define J_OP_NOT_IN 101

struct _AtlJinja
{
  JHeap heap;
  JNodes body;
  JDict *names;      /* every variable's name; its place in the dict is its id */
  GHashTable *words; /* (owned) every name, attribute and string of the source */
  guint id_loop;
  guint id_caller;
  guint id_varargs;
  guint id_kwargs;
};

/* Fills self->body from `source` of `n` bytes of UTF-8. Throws through self->heap. */
void j_parse (AtlJinja *self, const AtlJinjaOptions *options, const char *source, gsize n);

G_END_DECLS
