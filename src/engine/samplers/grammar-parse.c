/* The GBNF parser. Recursive descent over groups with a limit on their nesting; everything lands in
 * the grammar's flat arrays, groups and repeated items as rules without a name. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/samplers/grammar-private.h"
#include "engine/samplers/grammar-scan.h"

#define MAX_SOURCE_BYTES (1 << 20)
#define MAX_NESTING 100
#define MAX_SYMBOLS 500000
/* llama.cpp's limit on how often something must be repeated. */
#define MAX_MIN_REPEAT 2000
#define MAX_MAX_REPEAT 100000
/* What a grammar may grow to if repetitions were written out; more is taken for an attack. */
#define MAX_WEIGHT 1e7
#define NOT_DEFINED G_MAXUINT32

typedef struct
{
  AtlGrammar *grammar;
  GbnfScan scan;
  guint nesting;
  GHashTable *ids;  /* (owned) name -> rule + 1 */
  GPtrArray *names; /* (owned) by rule; NULL for one without a name */
} Parser;

/* A sequence of symbols under construction and what it weighs written out. */
typedef struct
{
  GArray *symbols;
  double weight;
} Sequence;

/* --- Building --- */

static guint32
new_rule (Parser *p)
{
  AtlGbnfRule rule = { NOT_DEFINED, 0 };

  g_array_append_val (p->grammar->rules, rule);
  g_ptr_array_add (p->names, NULL);
  return p->grammar->rules->len - 1;
}

static guint32
rule_by_name (Parser *p, char *name)
{
  guint32 known = GPOINTER_TO_UINT (g_hash_table_lookup (p->ids, name));

  if (known == 0)
    {
      known = new_rule (p) + 1;
      p->names->pdata[known - 1] = g_strdup (name);
      g_hash_table_insert (p->ids, name, GUINT_TO_POINTER (known));
    }
  else
    g_free (name);
  return known - 1;
}

static void
add_symbol (Sequence *sequence, AtlGbnfSymbolKind kind, guint32 value)
{
  AtlGbnfSymbol symbol = { kind, value };

  g_array_append_val (sequence->symbols, symbol);
}

static guint32
add_char (Parser *p, gunichar c)
{
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRange));
  AtlGbnfRange range = { c, c };

  g_array_append_val (ranges, range);
  return atl_gbnf_add_set (p->grammar, ranges, FALSE);
}

/* Gives `rule` the alternatives, which are symbols each ended by ATL_GBNF_END; their starts are in
 * `starts`. */
static void
define_rule (Parser *p, guint32 rule, GArray *symbols, GArray *starts)
{
  AtlGrammar *grammar = p->grammar;
  guint32 offset = grammar->symbols->len;

  atl_gbnf_rule (grammar, rule)->first_alt = grammar->alts->len;
  atl_gbnf_rule (grammar, rule)->n_alts = starts->len;
  for (guint i = 0; i < starts->len; i++)
    {
      guint32 start = offset + g_array_index (starts, guint32, i);

      g_array_append_val (grammar->alts, start);
    }
  g_array_append_vals (grammar->symbols, symbols->data, symbols->len);
}

/* Moves the symbols from `from` on to a rule of their own. */
static guint32
split_off (Parser *p, Sequence *sequence, guint from)
{
  g_autoptr (GArray) symbols = g_array_new (FALSE, FALSE, sizeof (AtlGbnfSymbol));
  g_autoptr (GArray) starts = g_array_new (FALSE, FALSE, sizeof (guint32));
  AtlGbnfSymbol end = { ATL_GBNF_END, 0 };
  guint32 zero = 0;
  guint32 rule = new_rule (p);

  g_array_append_vals (symbols, &g_array_index (sequence->symbols, AtlGbnfSymbol, from),
                       sequence->symbols->len - from);
  g_array_append_val (symbols, end);
  g_array_append_val (starts, zero);
  define_rule (p, rule, symbols, starts);
  g_array_set_size (sequence->symbols, from);
  return rule;
}

/* --- Parsing --- */

static gboolean parse_alternatives (Parser *p, guint32 rule, double *weight);

static gboolean
parse_literal (Parser *p, Sequence *sequence)
{
  p->scan.at++;
  while (gbnf_peek (&p->scan) != '"')
    {
      gunichar c;

      if (!gbnf_read_char (&p->scan, &c))
        return FALSE;
      add_symbol (sequence, ATL_GBNF_CHARS, add_char (p, c));
    }
  p->scan.at++;
  return TRUE;
}

static gboolean
parse_class (Parser *p, Sequence *sequence)
{
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRange));
  gboolean negated = FALSE;

  p->scan.at++;
  if (gbnf_peek (&p->scan) == '^')
    {
      negated = TRUE;
      p->scan.at++;
    }
  while (gbnf_peek (&p->scan) != ']')
    {
      AtlGbnfRange range;

      if (!gbnf_read_char (&p->scan, &range.low))
        return FALSE;
      range.high = range.low;
      if (gbnf_peek (&p->scan) == '-' && p->scan.at + 1 < p->scan.end && p->scan.at[1] != ']')
        {
          p->scan.at++;
          if (!gbnf_read_char (&p->scan, &range.high))
            return FALSE;
          if (range.high < range.low)
            return gbnf_fail (&p->scan, _ ("a range of a class is the wrong way round"));
        }
      g_array_append_val (ranges, range);
    }
  p->scan.at++;
  add_symbol (sequence, ATL_GBNF_CHARS, atl_gbnf_add_set (p->grammar, ranges, negated));
  return TRUE;
}

static gboolean
parse_token (Parser *p, Sequence *sequence)
{
  gboolean negated = gbnf_peek (&p->scan) == '!';
  guint32 id;

  p->scan.at += negated;
  if (p->scan.end - p->scan.at < 2 || p->scan.at[0] != '<' || p->scan.at[1] != '[')
    return gbnf_fail (&p->scan, _ ("expected a token as <[number]>"));
  p->scan.at += 2;
  if (!gbnf_read_number (&p->scan, &id))
    return FALSE;
  if (p->scan.end - p->scan.at < 2 || p->scan.at[0] != ']' || p->scan.at[1] != '>')
    return gbnf_fail (&p->scan, _ ("a token reference is not closed by ]>"));
  p->scan.at += 2;
  add_symbol (sequence, negated ? ATL_GBNF_TOKEN_NOT : ATL_GBNF_TOKEN, id);
  return TRUE;
}

static gboolean
parse_group (Parser *p, Sequence *sequence, double *weight)
{
  guint32 rule = new_rule (p);

  if (++p->nesting > MAX_NESTING)
    return gbnf_fail_limit (&p->scan, _ ("groups are nested too deeply"));
  p->scan.at++;
  gbnf_skip_space (&p->scan, TRUE);
  if (!parse_alternatives (p, rule, weight))
    return FALSE;
  if (gbnf_peek (&p->scan) != ')')
    return gbnf_fail (&p->scan, _ ("expected ')'"));
  p->scan.at++;
  p->nesting--;
  add_symbol (sequence, ATL_GBNF_RULE, rule);
  return TRUE;
}

/* The bounds of a quantifier; FALSE if there is none or it is wrong. */
static gboolean
parse_quantifier (Parser *p, guint32 *min, guint32 *max)
{
  int c = gbnf_peek (&p->scan);

  *min = 0;
  *max = ATL_GBNF_UNBOUNDED;
  if (c == '*' || c == '+' || c == '?')
    {
      p->scan.at++;
      *min = c == '+';
      if (c == '?')
        *max = 1;
      return TRUE;
    }
  if (c != '{')
    return FALSE;
  p->scan.at++;
  gbnf_skip_space (&p->scan, FALSE);
  if (!gbnf_read_number (&p->scan, min))
    return FALSE;
  gbnf_skip_space (&p->scan, FALSE);
  *max = *min;
  if (gbnf_peek (&p->scan) == ',')
    {
      p->scan.at++;
      gbnf_skip_space (&p->scan, FALSE);
      *max = ATL_GBNF_UNBOUNDED;
      if (gbnf_peek (&p->scan) != '}' && !gbnf_read_number (&p->scan, max))
        return FALSE;
      gbnf_skip_space (&p->scan, FALSE);
    }
  if (gbnf_peek (&p->scan) != '}')
    return gbnf_fail (&p->scan, _ ("expected '}' after a number of repetitions"));
  p->scan.at++;
  if (*min > *max)
    return gbnf_fail (&p->scan, _ ("the least number of repetitions is above the most"));
  if (*min > MAX_MIN_REPEAT || (*max != ATL_GBNF_UNBOUNDED && *max > MAX_MAX_REPEAT))
    return gbnf_fail_limit (&p->scan, _ ("something is repeated too often"));
  return TRUE;
}

static gboolean
repeat (Parser *p, Sequence *sequence, guint from, guint32 min, guint32 max, double *weight)
{
  AtlGbnfRepeat bounds = { 0, min, max };

  if (from == sequence->symbols->len)
    return gbnf_fail (&p->scan, _ ("there is nothing to repeat"));
  /* A group is a rule already. */
  if (from + 1 == sequence->symbols->len &&
      g_array_index (sequence->symbols, AtlGbnfSymbol, from).kind == ATL_GBNF_RULE)
    {
      bounds.rule = g_array_index (sequence->symbols, AtlGbnfSymbol, from).value;
      g_array_set_size (sequence->symbols, from);
    }
  else
    bounds.rule = split_off (p, sequence, from);
  g_array_append_val (p->grammar->repeats, bounds);
  add_symbol (sequence, ATL_GBNF_REPEAT, p->grammar->repeats->len - 1);
  *weight *= MAX (1.0, max == ATL_GBNF_UNBOUNDED ? min + 1.0 : max);
  return TRUE;
}

static gboolean
parse_item (Parser *p, Sequence *sequence)
{
  guint from = sequence->symbols->len;
  double weight = 0;
  guint32 min, max;
  int c = gbnf_peek (&p->scan);

  if (c == '"')
    {
      if (!parse_literal (p, sequence))
        return FALSE;
    }
  else if (c == '[')
    {
      if (!parse_class (p, sequence))
        return FALSE;
    }
  else if (c == '(')
    {
      if (!parse_group (p, sequence, &weight))
        return FALSE;
    }
  else if (c == '<' || c == '!')
    {
      if (!parse_token (p, sequence))
        return FALSE;
    }
  else if (c == '.')
    {
      g_autoptr (GArray) none = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRange));

      p->scan.at++;
      add_symbol (sequence, ATL_GBNF_CHARS, atl_gbnf_add_set (p->grammar, none, TRUE));
    }
  else
    add_symbol (sequence, ATL_GBNF_RULE, rule_by_name (p, gbnf_read_name (&p->scan)));
  weight += sequence->symbols->len - from;
  gbnf_skip_space (&p->scan, p->nesting > 0);
  while (parse_quantifier (p, &min, &max))
    {
      if (!repeat (p, sequence, from, min, max, &weight))
        return FALSE;
      gbnf_skip_space (&p->scan, p->nesting > 0);
    }
  sequence->weight += weight;
  if (sequence->weight > MAX_WEIGHT)
    return gbnf_fail_limit (&p->scan, _ ("nested repetitions multiply to too much"));
  if (p->grammar->symbols->len + sequence->symbols->len > MAX_SYMBOLS)
    return gbnf_fail_limit (&p->scan, _ ("the grammar has too many symbols"));
  return p->scan.error == NULL;
}

static gboolean
parse_alternatives (Parser *p, guint32 rule, double *weight)
{
  g_autoptr (GArray) symbols = g_array_new (FALSE, FALSE, sizeof (AtlGbnfSymbol));
  g_autoptr (GArray) starts = g_array_new (FALSE, FALSE, sizeof (guint32));
  Sequence sequence = { symbols, 0 };

  for (;;)
    {
      guint32 start = symbols->len;

      g_array_append_val (starts, start);
      for (;;)
        {
          int c = gbnf_peek (&p->scan);

          if (c != '"' && c != '[' && c != '(' && c != '<' && c != '!' && c != '.' &&
              !gbnf_is_name_char (c))
            break;
          if (!parse_item (p, &sequence))
            return FALSE;
        }
      add_symbol (&sequence, ATL_GBNF_END, 0);
      if (gbnf_peek (&p->scan) != '|')
        break;
      p->scan.at++;
      gbnf_skip_space (&p->scan, TRUE);
    }
  define_rule (p, rule, symbols, starts);
  *weight += sequence.weight;
  return TRUE;
}

static gboolean
parse_rule (Parser *p)
{
  char *name = gbnf_read_name (&p->scan);
  double weight = 0;
  guint32 rule;

  if (name == NULL)
    return gbnf_fail (&p->scan, _ ("expected the name of a rule"));
  rule = rule_by_name (p, name);
  gbnf_skip_space (&p->scan, FALSE);
  if (p->scan.end - p->scan.at < 3 || memcmp (p->scan.at, "::=", 3) != 0)
    return gbnf_fail (&p->scan, _ ("expected ::= after the name of a rule"));
  p->scan.at += 3;
  gbnf_skip_space (&p->scan, TRUE);
  if (!parse_alternatives (p, rule, &weight))
    return FALSE;
  if (p->scan.at < p->scan.end && *p->scan.at != '\n' && *p->scan.at != '\r')
    return gbnf_fail (&p->scan, _ ("expected the end of the line after a rule"));
  gbnf_skip_space (&p->scan, TRUE);
  return p->scan.error == NULL;
}

static gboolean
finish (Parser *p, const char *root)
{
  guint32 known = GPOINTER_TO_UINT (g_hash_table_lookup (p->ids, root));

  for (guint i = 0; i < p->names->len; i++)
    if (atl_gbnf_rule (p->grammar, i)->first_alt == NOT_DEFINED)
      {
        p->scan.error = g_error_new (ATL_ERROR, ATL_ERROR_INVALID,
                                     _ ("grammar: the rule “%s” is used and not defined"),
                                     (const char *) p->names->pdata[i]);
        return FALSE;
      }
  if (known == 0)
    {
      p->scan.error =
          g_error_new (ATL_ERROR, ATL_ERROR_INVALID, _ ("grammar: there is no rule “%s”"), root);
      return FALSE;
    }
  p->grammar->root = known - 1;
  return atl_gbnf_check_left_recursion (p->grammar, p->names, &p->scan.error);
}

AtlGrammar *
atl_grammar_new_gbnf (const char *source, const char *root, GError **error)
{
  Parser parser = { 0 };
  gsize n;

  g_return_val_if_fail (source != NULL && root != NULL, NULL);
  n = strlen (source);
  if (n > MAX_SOURCE_BYTES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                   _ ("the grammar has %zu bytes, at most %d are accepted"), n, MAX_SOURCE_BYTES);
      return NULL;
    }
  if (!g_utf8_validate_len (source, n, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the grammar is not UTF-8 text"));
      return NULL;
    }
  parser.grammar = atl_gbnf_create ();
  parser.scan = (GbnfScan){ source, source + n, 1, NULL };
  parser.ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  parser.names = g_ptr_array_new_with_free_func (g_free);
  gbnf_skip_space (&parser.scan, TRUE);
  while (parser.scan.at < parser.scan.end && parse_rule (&parser))
    ;
  if (parser.scan.error == NULL)
    finish (&parser, root);
  g_hash_table_unref (parser.ids);
  g_ptr_array_unref (parser.names);
  if (parser.scan.error != NULL)
    {
      g_propagate_error (error, parser.scan.error);
      g_clear_pointer (&parser.grammar, atl_grammar_unref);
    }
  return parser.grammar;
}
