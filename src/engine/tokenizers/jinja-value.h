/* The values of the template language: Python's, as far as templates can tell.
 *
 * A JValue is small and passed by value; what it points to belongs to a JHeap (or, for literals, to
 * the parsed template, whose values are never changed). Strings are UTF-8, may hold NUL, and count,
 * index and slice by code point.
 *
 * Threading: as the heap.
 */
#pragma once

#include "engine/tokenizers/jinja-heap.h"

G_BEGIN_DECLS

typedef enum
{
  J_UNSET, /* not a value: an argument not given, a slot not filled */
  J_UNDEFINED,
  J_NONE,
  J_BOOL,
  J_INT,
  J_FLOAT,
  J_STR,
  J_LIST,
  J_TUPLE,
  J_DICT,
  J_VIEW,  /* keys(), values(), items() of a dict */
  J_RANGE, /* range(...) */
  J_ITER,  /* the result of a filter that is a generator in Python: can be walked once */
  J_NAMESPACE,
  J_MACRO,
  J_FUNCTION, /* a global function or the method of a value */
  J_LOOP,     /* the variable `loop` */
  J_CYCLER,
  J_JOINER,
} JKind;

typedef struct _JStr JStr;
typedef struct _JList JList;
typedef struct _JDict JDict;
typedef struct _JUndefined JUndefined;
typedef struct _JView JView;
typedef struct _JRange JRange;
typedef struct _JIter JIter;
typedef struct _JMacro JMacro;
typedef struct _JFunction JFunction;
typedef struct _JLoop JLoop;
typedef struct _JCycler JCycler;
typedef struct _JJoiner JJoiner;

typedef struct
{
  JKind kind;
  union
  {
    gboolean b;
    gint64 i;
    double f;
    const JStr *str;
    JList *list; /* J_LIST, J_TUPLE */
    JDict *dict; /* J_DICT, J_NAMESPACE */
    const JUndefined *undefined;
    const JView *view;
    const JRange *range;
    JIter *iter;
    const JMacro *macro;
    const JFunction *function;
    JLoop *loop;
    JCycler *cycler;
    JJoiner *joiner;
    gpointer pointer;
  };
} JValue;

struct _JStr
{
  const char *bytes; /* need not be terminated */
  gsize n_bytes;
  gsize n_chars; /* equal to n_bytes: all ASCII */
  gboolean safe; /* Markup: not to be escaped again */
};

struct _JList
{
  JValue *items;
  gsize n;
  gsize cap;
  gboolean group; /* a tuple of groupby: has .grouper and .list */
};

typedef struct
{
  JValue key; /* hashable */
  JValue value;
  guint hash;
} JEntry;

/* Keeps the order of insertion; found by hash once it is not tiny. */
struct _JDict
{
  JEntry *entries;
  gsize n;
  gsize cap;
  guint32 *index; /* (nullable) open addressing, entry + 1 or 0 */
  gsize index_size;
};

struct _JUndefined
{
  const char *owner; /* (nullable) the kind of value that lacks it */
  const JStr *name;  /* (nullable) */
  const char *hint;  /* (nullable) a whole message */
};

struct _JView
{
  JDict *dict;
  enum
  {
    J_VIEW_KEYS,
    J_VIEW_VALUES,
    J_VIEW_ITEMS
  } what;
};

struct _JRange
{
  gint64 start;
  gint64 stop;
  gint64 step;
  gint64 n;
};

struct _JIter
{
  JValue *items;
  gsize n;
  gsize next;
};

static inline JValue
j_none (void)
{
  return (JValue){ .kind = J_NONE };
}

static inline JValue
j_bool (gboolean b)
{
  return (JValue){ .kind = J_BOOL, .b = b != FALSE };
}

static inline JValue
j_int (gint64 i)
{
  return (JValue){ .kind = J_INT, .i = i };
}

static inline JValue
j_float (double f)
{
  return (JValue){ .kind = J_FLOAT, .f = f };
}

static inline JValue
j_str (const JStr *str)
{
  return (JValue){ .kind = J_STR, .str = str };
}

static inline JValue
j_list (JList *list)
{
  return (JValue){ .kind = J_LIST, .list = list };
}

static inline gboolean
j_is (JValue value, JKind kind)
{
  return value.kind == kind;
}

/* --- Strings (jinja-str.c) --- */

/* A string over `bytes`, which must outlive the heap (no copy). */
const JStr *j_str_wrap (JHeap *heap, const char *bytes, gsize n_bytes);
const JStr *j_str_literal (JHeap *heap, const char *literal);
/* The same bytes, marked as Markup or not. */
const JStr *j_str_marked (JHeap *heap, const JStr *str, gboolean safe);
/* Characters [start, start + n), clamped. */
const JStr *j_str_sub (JHeap *heap, const JStr *str, gsize start, gsize n);
/* The byte offset of character `index` (at most n_chars). */
gsize j_str_offset (const JStr *str, gsize index);
/* The string that the literal [at, end) of a template means. Throws on what is no escape. */
const JStr *j_str_unescape (JHeap *heap, const char *at, const char *end);
gboolean j_str_equal (const JStr *a, const JStr *b);
gboolean j_str_is (const JStr *a, const char *literal);
int j_str_compare (const JStr *a, const JStr *b);
/* Byte offset of `needle` at or after byte `from`, or -1. */
gssize j_str_find (const JStr *haystack, const JStr *needle, gsize from);
gssize j_str_rfind (const JStr *haystack, const JStr *needle);
/* Python's str.isspace() for one character. */
gboolean j_char_is_space (gunichar c);

/* Text under construction; embedded and zeroed. */
typedef struct
{
  char *bytes;
  gsize n;
  gsize cap;
} JBuf;

/* All throw where the heap's limit is reached. The string of j_buf_str() shares the bytes: neither
 * is freed before the heap. */
void j_buf_append (JHeap *heap, JBuf *buf, const char *bytes, gsize n);
void j_buf_append_literal (JHeap *heap, JBuf *buf, const char *literal);
void j_buf_append_char (JHeap *heap, JBuf *buf, gunichar c);
void j_buf_append_str (JHeap *heap, JBuf *buf, const JStr *str);
void j_buf_append_n (JHeap *heap, JBuf *buf, char c, gsize n);
void j_buf_printf (JHeap *heap, JBuf *buf, const char *format, ...) G_GNUC_PRINTF (3, 4);
const JStr *j_buf_str (JHeap *heap, const JBuf *buf);

/* --- Containers (jinja-value.c) --- */

JList *j_list_new (JHeap *heap, gsize cap);
void j_list_append (JHeap *heap, JList *list, JValue value);
void j_list_insert (JHeap *heap, JList *list, gsize at, JValue value);
JValue j_list_remove (JList *list, gsize at);
JValue j_tuple2 (JHeap *heap, JValue a, JValue b);
/* Wraps items[n], which the heap holds, as a walk-once iterator. */
JValue j_iter (JHeap *heap, JValue *items, gsize n);

JDict *j_dict_new (JHeap *heap);
/* NULL if absent. Throws on an unhashable key. */
JValue *j_dict_get (JHeap *heap, const JDict *dict, JValue key);
JValue *j_dict_get_str (const JDict *dict, const JStr *key);
void j_dict_set (JHeap *heap, JDict *dict, JValue key, JValue value);
gboolean j_dict_remove (JHeap *heap, JDict *dict, JValue key, JValue *old);
void j_dict_clear (JDict *dict);

/* FALSE for lists, dicts and what holds them. */
gboolean j_hashable (JValue value);
/* Python's == ; throws where structures are nested too deeply. */
gboolean j_equal (JHeap *heap, JValue a, JValue b);
/* Python's < ; throws where the types have no order. */
gboolean j_less (JHeap *heap, JValue a, JValue b);
/* The value of a bool, int or float. */
gboolean j_number (JValue value, double *out);
gboolean j_truthy (JValue value);
/* The number of elements or characters; FALSE if the kind has no length. */
gboolean j_length (JValue value, gsize *n);
/* The name Python gives the type, such as "dict". */
const char *j_type_name (JValue value);

G_END_DECLS
