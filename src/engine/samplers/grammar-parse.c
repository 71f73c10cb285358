/* The GBNF parser. Recursive descent over groups with a limit on their nesting; everything lands in
 * the grammar's flat arrays, groups and repeated items as rules without a name. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/samplers/grammar-private.h"

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
  const char *at, *end;
  guint line, nesting;
  GHashTable *ids;  /* (owned) name -> rule + 1 */
  GPtrArray *names; /* (owned) by rule; NULL for one without a name */
  GError *error;    /* (nullable) the first one; parsing stops */
} Parser;

/* A sequence of symbols under construction and what it weighs written out. */
typedef struct
{
  GArray *symbols;
  double weight;
} Sequence;

static gboolean
fail (Parser *p, const char *message)
{
  if (p->error == NULL)
    p->error =
        g_error_new (ATL_ERROR, ATL_ERROR_INVALID, _ ("grammar, line %u: %s"), p->line, message);
  return FALSE;
}

static gboolean
fail_limit (Parser *p, const char *message)
{
  if (p->error == NULL)
    p->error = g_error_new (ATL_ERROR, ATL_ERROR_TOO_COMPLEX, _ ("grammar, line %u: %s"), p->line,
                            message);
  return FALSE;
}

/* --- Reading --- */

static int
peek (const Parser *p)
{
  return p->at < p->end ? (guint8) *p->at : -1;
}

static void
skip_space (Parser *p, gboolean newlines)
{
  for (;;)
    {
      int c = peek (p);

      if (c == '#')
        while (p->at < p->end && *p->at != '\n' && *p->at != '\r')
          p->at++;
      else if (c == ' ' || c == '\t')
        p->at++;
      else if (newlines && (c == '\n' || c == '\r'))
        {
          p->line += c == '\n';
          p->at++;
        }
      else
        return;
    }
}

static gboolean
is_name_char (int c)
{
  return c >= 0 && (g_ascii_isalnum ((char) c) || c == '-' || c == '_');
}

/* A rule's name; NULL if there is none. */
static char *
read_name (Parser *p)
{
  const char *start = p->at;

  while (is_name_char (peek (p)))
    p->at++;
  return p->at > start ? g_strndup (start, (gsize) (p->at - start)) : NULL;
}

static gboolean
read_hex (Parser *p, guint n_digits, gunichar *out)
{
  gunichar c = 0;

  for (guint i = 0; i < n_digits; i++)
    {
      int digit = p->at < p->end ? g_ascii_xdigit_value (*p->at) : -1;

      if (digit < 0)
        return fail (p, _ ("an escape needs more hexadecimal digits"));
      c = c << 4 | (gunichar) digit;
      p->at++;
    }
  if (c > 0x10ffff)
    return fail (p, _ ("an escape is no Unicode character"));
  *out = c;
  return TRUE;
}

/* One character of a literal or class, escapes resolved. */
static gboolean
read_char (Parser *p, gunichar *out)
{
  int c = peek (p);

  if (c < 0)
    return fail (p, _ ("the grammar ends inside of a literal or class"));
  if (c != '\\')
    {
      *out = g_utf8_get_char (p->at);
      p->line += *out == '\n';
      p->at = g_utf8_next_char (p->at);
      return TRUE;
    }
  p->at++;
  c = peek (p);
  if (c < 0)
    return fail (p, _ ("the grammar ends inside of an escape"));
  p->at++;
  switch (c)
    {
    case 'x':
      return read_hex (p, 2, out);
    case 'u':
      return read_hex (p, 4, out);
    case 'U':
      return read_hex (p, 8, out);
    case 't':
      *out = '\t';
      return TRUE;
    case 'r':
      *out = '\r';
      return TRUE;
    case 'n':
      *out = '\n';
      return TRUE;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
      *out = (gunichar) c;
      return TRUE;
    default:
      return fail (p, _ ("unknown escape"));
    }
}

static gboolean
read_number (Parser *p, guint32 *out)
{
  guint64 value = 0;

  if (p->at >= p->end || !g_ascii_isdigit (*p->at))
    return fail (p, _ ("expected a number"));
  while (p->at < p->end && g_ascii_isdigit (*p->at))
    {
      value = value * 10 + (guint64) (*p->at - '0');
      if (value > G_MAXINT32)
        return fail (p, _ ("a number is too large"));
      p->at++;
    }
  *out = (guint32) value;
  return TRUE;
}

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
  p->at++;
  while (peek (p) != '"')
    {
      gunichar c;

      if (!read_char (p, &c))
        return FALSE;
      add_symbol (sequence, ATL_GBNF_CHARS, add_char (p, c));
    }
  p->at++;
  return TRUE;
}

static gboolean
parse_class (Parser *p, Sequence *sequence)
{
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRange));
  gboolean negated = FALSE;

  p->at++;
  if (peek (p) == '^')
    {
      negated = TRUE;
      p->at++;
    }
  while (peek (p) != ']')
    {
      AtlGbnfRange range;

      if (!read_char (p, &range.low))
        return FALSE;
      range.high = range.low;
      if (peek (p) == '-' && p->at + 1 < p->end && p->at[1] != ']')
        {
          p->at++;
          if (!read_char (p, &range.high))
            return FALSE;
          if (range.high < range.low)
            return fail (p, _ ("a range of a class is the wrong way round"));
        }
      g_array_append_val (ranges, range);
    }
  p->at++;
  add_symbol (sequence, ATL_GBNF_CHARS, atl_gbnf_add_set (p->grammar, ranges, negated));
  return TRUE;
}

static gboolean
parse_token (Parser *p, Sequence *sequence)
{
  gboolean negated = peek (p) == '!';
  guint32 id;

  p->at += negated;
  if (p->end - p->at < 2 || p->at[0] != '<' || p->at[1] != '[')
    return fail (p, _ ("expected a token as <[number]>"));
  p->at += 2;
  if (!read_number (p, &id))
    return FALSE;
  if (p->end - p->at < 2 || p->at[0] != ']' || p->at[1] != '>')
    return fail (p, _ ("a token reference is not closed by ]>"));
  p->at += 2;
  add_symbol (sequence, negated ? ATL_GBNF_TOKEN_NOT : ATL_GBNF_TOKEN, id);
  return TRUE;
}

static gboolean
parse_group (Parser *p, Sequence *sequence, double *weight)
{
  guint32 rule = new_rule (p);

  if (++p->nesting > MAX_NESTING)
    return fail_limit (p, _ ("groups are nested too deeply"));
  p->at++;
  skip_space (p, TRUE);
  if (!parse_alternatives (p, rule, weight))
    return FALSE;
  if (peek (p) != ')')
    return fail (p, _ ("expected ')'"));
  p->at++;
  p->nesting--;
  add_symbol (sequence, ATL_GBNF_RULE, rule);
  return TRUE;
}

/* The bounds of a quantifier; FALSE if there is none or it is wrong. */
static gboolean
parse_quantifier (Parser *p, guint32 *min, guint32 *max)
{
  int c = peek (p);

  *min = 0;
  *max = ATL_GBNF_UNBOUNDED;
  if (c == '*' || c == '+' || c == '?')
    {
      p->at++;
      *min = c == '+';
      if (c == '?')
        *max = 1;
      return TRUE;
    }
  if (c != '{')
    return FALSE;
  p->at++;
  skip_space (p, FALSE);
  if (!read_number (p, min))
    return FALSE;
  skip_space (p, FALSE);
  *max = *min;
  if (peek (p) == ',')
    {
      p->at++;
      skip_space (p, FALSE);
      *max = ATL_GBNF_UNBOUNDED;
      if (peek (p) != '}' && !read_number (p, max))
        return FALSE;
      skip_space (p, FALSE);
    }
  if (peek (p) != '}')
    return fail (p, _ ("expected '}' after a number of repetitions"));
  p->at++;
  if (*min > *max)
    return fail (p, _ ("the least number of repetitions is above the most"));
  if (*min > MAX_MIN_REPEAT || (*max != ATL_GBNF_UNBOUNDED && *max > MAX_MAX_REPEAT))
    return fail_limit (p, _ ("something is repeated too often"));
  return TRUE;
}

static gboolean
repeat (Parser *p, Sequence *sequence, guint from, guint32 min, guint32 max, double *weight)
{
  AtlGbnfRepeat bounds = { 0, min, max };

  if (from == sequence->symbols->len)
    return fail (p, _ ("there is nothing to repeat"));
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
  int c = peek (p);

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

      p->at++;
      add_symbol (sequence, ATL_GBNF_CHARS, atl_gbnf_add_set (p->grammar, none, TRUE));
    }
  else
    add_symbol (sequence, ATL_GBNF_RULE, rule_by_name (p, read_name (p)));
  weight += sequence->symbols->len - from;
  skip_space (p, p->nesting > 0);
  while (parse_quantifier (p, &min, &max))
    {
      if (!repeat (p, sequence, from, min, max, &weight))
        return FALSE;
      skip_space (p, p->nesting > 0);
    }
  sequence->weight += weight;
  if (sequence->weight > MAX_WEIGHT)
    return fail_limit (p, _ ("nested repetitions multiply to too much"));
  if (p->grammar->symbols->len + sequence->symbols->len > MAX_SYMBOLS)
    return fail_limit (p, _ ("the grammar has too many symbols"));
  return p->error == NULL;
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
          int c = peek (p);

          if (c != '"' && c != '[' && c != '(' && c != '<' && c != '!' && c != '.' &&
              !is_name_char (c))
            break;
          if (!parse_item (p, &sequence))
            return FALSE;
        }
      add_symbol (&sequence, ATL_GBNF_END, 0);
      if (peek (p) != '|')
        break;
      p->at++;
      skip_space (p, TRUE);
    }
  define_rule (p, rule, symbols, starts);
  *weight += sequence.weight;
  return TRUE;
}

static gboolean
parse_rule (Parser *p)
{
  char *name = read_name (p);
  double weight = 0;
  guint32 rule;

  if (name == NULL)
    return fail (p, _ ("expected the name of a rule"));
  rule = rule_by_name (p, name);
  skip_space (p, FALSE);
  if (p->end - p->at < 3 || memcmp (p->at, "::=", 3) != 0)
    return fail (p, _ ("expected ::= after the name of a rule"));
  p->at += 3;
  skip_space (p, TRUE);
  if (!parse_alternatives (p, rule, &weight))
    return FALSE;
  if (p->at < p->end && *p->at != '\n' && *p->at != '\r')
    return fail (p, _ ("expected the end of the line after a rule"));
  skip_space (p, TRUE);
  return p->error == NULL;
}

static gboolean
finish (Parser *p, const char *root)
{
  guint32 known = GPOINTER_TO_UINT (g_hash_table_lookup (p->ids, root));

  for (guint i = 0; i < p->names->len; i++)
    if (atl_gbnf_rule (p->grammar, i)->first_alt == NOT_DEFINED)
      {
        p->error = g_error_new (ATL_ERROR, ATL_ERROR_INVALID,
                                _ ("grammar: the rule “%s” is used and not defined"),
                                (const char *) p->names->pdata[i]);
        return FALSE;
      }
  if (known == 0)
    {
      p->error =
          g_error_new (ATL_ERROR, ATL_ERROR_INVALID, _ ("grammar: there is no rule “%s”"), root);
      return FALSE;
    }
  p->grammar->root = known - 1;
  return atl_gbnf_check_left_recursion (p->grammar, p->names, &p->error);
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
  parser.at = source;
  parser.end = source + n;
  parser.line = 1;
  parser.ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  parser.names = g_ptr_array_new_with_free_func (g_free);
  skip_space (&parser, TRUE);
  while (parser.at < parser.end && parse_rule (&parser))
    ;
  if (parser.error == NULL)
    finish (&parser, root);
  g_hash_table_unref (parser.ids);
  g_ptr_array_unref (parser.names);
  if (parser.error != NULL)
    {
      g_propagate_error (error, parser.error);
      g_clear_pointer (&parser.grammar, atl_grammar_unref);
    }
  return parser.grammar;
}
