/* A parsed grammar: rules of alternatives of symbols, in flat arrays.
 *
 * Rule r has the alternatives alts[rules[r].first_alt ...], each the index of its first symbol;
 * symbols run up to a ATL_GBNF_END. A repetition refers to a rule for what is repeated and keeps
 * its bounds, so that "a"{0,5000} is one symbol.
 *
 * Threading: immutable once parsed.
 */
#pragma once

#include "engine/samplers/grammar.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_GBNF_END,
  ATL_GBNF_CHARS,     /* value: index of sets */
  ATL_GBNF_RULE,      /* value: index of rules */
  ATL_GBNF_REPEAT,    /* value: index of repeats */
  ATL_GBNF_TOKEN,     /* value: token id */
  ATL_GBNF_TOKEN_NOT, /* value: token id */
} AtlGbnfSymbolKind;

typedef struct
{
  guint32 kind;
  guint32 value;
} AtlGbnfSymbol;

#define ATL_GBNF_UNBOUNDED G_MAXUINT32

typedef struct
{
  guint32 rule;
  guint32 min;
  guint32 max; /* or ATL_GBNF_UNBOUNDED */
} AtlGbnfRepeat;

typedef struct
{
  gunichar low;
  gunichar high;
} AtlGbnfRange;

/* Ranges first_range ... + n_ranges - 1, sorted, not touching each other. */
typedef struct
{
  guint32 first_range;
  guint32 n_ranges;
} AtlGbnfSet;

typedef struct
{
  guint32 first_alt;
  guint32 n_alts;
} AtlGbnfRule;

struct _AtlGrammar
{
  gint ref_count;  /* (atomic) */
  GArray *symbols; /* (owned) AtlGbnfSymbol */
  GArray *alts;    /* (owned) guint32 */
  GArray *rules;   /* (owned) AtlGbnfRule */
  GArray *repeats; /* (owned) AtlGbnfRepeat */
  GArray *sets;    /* (owned) AtlGbnfSet */
  GArray *ranges;  /* (owned) AtlGbnfRange */
  guint32 root;
};

#define atl_gbnf_symbol(grammar, i) (&g_array_index ((grammar)->symbols, AtlGbnfSymbol, (i)))
#define atl_gbnf_rule(grammar, i) (&g_array_index ((grammar)->rules, AtlGbnfRule, (i)))
#define atl_gbnf_alt(grammar, i) (g_array_index ((grammar)->alts, guint32, (i)))
#define atl_gbnf_repeat(grammar, i) (&g_array_index ((grammar)->repeats, AtlGbnfRepeat, (i)))
#define atl_gbnf_set(grammar, i) (&g_array_index ((grammar)->sets, AtlGbnfSet, (i)))
#define atl_gbnf_range(grammar, i) (&g_array_index ((grammar)->ranges, AtlGbnfRange, (i)))

/* A grammar without rules. */
AtlGrammar *atl_gbnf_create (void);
/* Adds the set of the AtlGbnfRange in `ranges`, which are sorted and joined there; inverted if
 * `negated`.
 */
guint32 atl_gbnf_add_set (AtlGrammar *grammar, GArray *ranges, gboolean negated);
/* TRUE if the set has a character in [low, high]. */
gboolean atl_gbnf_set_meets (const AtlGrammar *grammar, guint32 set, gunichar low, gunichar high);

/* FALSE with ATL_ERROR_INVALID if a rule can come back to itself without having read anything.
 * `names` are the rules' names, for the message. */
gboolean
atl_gbnf_check_left_recursion (const AtlGrammar *grammar, GPtrArray *names, GError **error);

/* --- JSON schema --- */

/* A regular expression as GBNF for the inside of a JSON string; "char" must be a rule for any of
 * its characters, "dot" for those that end no line. With `without`, an ASCII character: for bare
 * text that has neither this nor line ends. NULL without an error if it uses what cannot be
 * expressed, NULL with ATL_ERROR_INVALID if it is no regular expression. */
char *atl_gbnf_from_regex (const char *pattern, char without, GError **error);
/* The decimal integers from min to max, each at most 16 digits, as GBNF alternatives in
 * parentheses. */
char *atl_gbnf_from_integers (gint64 min, gint64 max);
/* Numbers from min to max without exponents, of at most 16 digits before and behind the point; a
 * bound that is `excluded` may not be reached. Infinite: no bound. */
char *atl_gbnf_from_numbers (double min, double max, gboolean min_excluded, gboolean max_excluded);

G_END_DECLS
