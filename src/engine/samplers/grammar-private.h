/* A parsed grammar: rules of alternatives of symbols, in flat arrays.
 *
 * Rule r has the alternatives alts[rules[r].first_alt ...], each the index of its first symbol;
 * symbols run up to a G_END. A repetition refers to a rule for what is repeated and keeps its
 * bounds, so that "a"{0,5000} is one symbol.
 *
 * Threading: immutable once parsed.
 */
#pragma once

#include "engine/samplers/grammar.h"

G_BEGIN_DECLS

typedef enum
{
  G_END,
  G_CHARS,     /* value: index of sets */
  G_RULE,      /* value: index of rules */
  G_REPEAT,    /* value: index of repeats */
  G_TOKEN,     /* value: token id */
  G_TOKEN_NOT, /* value: token id */
} GSymbolKind;

typedef struct
{
  guint32 kind;
  guint32 value;
} GSymbol;

#define G_UNBOUNDED G_MAXUINT32

typedef struct
{
  guint32 rule;
  guint32 min;
  guint32 max; /* or G_UNBOUNDED */
} GRepeat;

typedef struct
{
  gunichar low;
  gunichar high;
} GRange;

/* Ranges first_range ... + n_ranges - 1, sorted, not touching each other. */
typedef struct
{
  guint32 first_range;
  guint32 n_ranges;
} GSet;

typedef struct
{
  guint32 first_alt;
  guint32 n_alts;
} GRule;

struct _AtlGrammar
{
  gint ref_count;  /* (atomic) */
  GArray *symbols; /* (owned) GSymbol */
  GArray *alts;    /* (owned) guint32 */
  GArray *rules;   /* (owned) GRule */
  GArray *repeats; /* (owned) GRepeat */
  GArray *sets;    /* (owned) GSet */
  GArray *ranges;  /* (owned) GRange */
  guint32 root;
};

#define g_symbol(grammar, i) (&g_array_index ((grammar)->symbols, GSymbol, (i)))
#define g_rule(grammar, i) (&g_array_index ((grammar)->rules, GRule, (i)))
#define g_alt(grammar, i) (g_array_index ((grammar)->alts, guint32, (i)))
#define g_repeat(grammar, i) (&g_array_index ((grammar)->repeats, GRepeat, (i)))
#define g_set(grammar, i) (&g_array_index ((grammar)->sets, GSet, (i)))
#define g_range(grammar, i) (&g_array_index ((grammar)->ranges, GRange, (i)))

/* TRUE if the set has a character in [low, high]. */
gboolean g_set_meets (const AtlGrammar *grammar, guint32 set, gunichar low, gunichar high);

/* FALSE with ATL_ERROR_INVALID if a rule can come back to itself without having read anything.
 * `names` are the rules' names, for the message. */
gboolean g_check_left_recursion (const AtlGrammar *grammar, GPtrArray *names, GError **error);

/* --- JSON schema --- */

/* A regular expression as GBNF for the inside of a JSON string; "char" must be a rule for any of
 * its characters. NULL without an error if it uses what cannot be expressed, NULL with
 * ATL_ERROR_INVALID if it is no regular expression. */
char *g_regex_to_gbnf (const char *pattern, GError **error);
/* The decimal integers from min to max, each at most 16 digits, as GBNF alternatives in
 * parentheses. */
char *g_integers_to_gbnf (gint64 min, gint64 max);
/* `text` as a GBNF literal. */
void g_append_literal (GString *out, const char *text);

G_END_DECLS
