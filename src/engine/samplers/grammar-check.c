/* Left recursion: a rule that can come back to itself without having read anything would never end.
 * Iterative, because rules may be nested as deeply as a file is long. */
#define G_LOG_DOMAIN "atl-grammar"

#include "engine/samplers/grammar-private.h"

#include <glib/gi18n.h>

static guint32 goes_into (const AtlGrammar *grammar, const AtlGbnfSymbol *symbol);

/* TRUE for a repetition that may happen zero times. */
static gboolean
is_optional (const AtlGrammar *grammar, const AtlGbnfSymbol *symbol)
{
  return symbol->kind == ATL_GBNF_REPEAT && atl_gbnf_repeat (grammar, symbol->value)->min == 0;
}

static gboolean
can_be_empty (const AtlGrammar *grammar, const AtlGbnfSymbol *symbol, const guint8 *empty)
{
  guint32 into = goes_into (grammar, symbol);

  return is_optional (grammar, symbol) || (into != G_MAXUINT32 && empty[into]);
}

/* Which rules can be empty: an alternative waits for its symbols that may yet turn out to be; each
 * symbol is looked at once, so that hostile grammars take linear time. */
static void
find_empty (const AtlGrammar *grammar, guint8 *empty)
{
  gsize n_rules = grammar->rules->len;
  gsize n_alts = grammar->alts->len;
  g_autofree guint32 *waits = g_new0 (guint32, n_alts + 1); /* by alternative */
  g_autofree guint32 *owner = g_new0 (guint32, n_alts + 1);
  g_autofree guint32 *first = g_new0 (guint32, n_rules + 2); /* of users[], by rule */
  g_autofree guint32 *users = g_new0 (guint32, grammar->symbols->len + 1);
  g_autofree guint32 *fill = NULL;
  g_autoptr (GArray) queue = g_array_new (FALSE, FALSE, sizeof (guint32));

  for (guint pass = 0; pass < 2; pass++)
    {
      for (guint32 rule = 0; rule < n_rules; rule++)
        for (guint32 i = 0; i < atl_gbnf_rule (grammar, rule)->n_alts; i++)
          {
            guint32 alt = atl_gbnf_rule (grammar, rule)->first_alt + i;

            owner[alt] = rule;
            for (const AtlGbnfSymbol *symbol =
                     atl_gbnf_symbol (grammar, atl_gbnf_alt (grammar, alt));
                 symbol->kind != ATL_GBNF_END; symbol++)
              {
                guint32 into = goes_into (grammar, symbol);

                if (is_optional (grammar, symbol))
                  continue;
                if (pass == 0)
                  waits[alt]++;
                if (into != G_MAXUINT32 && pass == 0)
                  first[into + 1]++;
                else if (into != G_MAXUINT32)
                  users[fill[into]++] = alt;
              }
          }
      if (pass == 0)
        {
          for (gsize rule = 0; rule < n_rules; rule++)
            first[rule + 1] += first[rule];
          fill = g_memdup2 (first, (n_rules + 1) * sizeof (guint32));
        }
    }
  for (guint32 alt = 0; alt < n_alts; alt++)
    if (waits[alt] == 0 && !empty[owner[alt]])
      {
        empty[owner[alt]] = 1;
        g_array_append_val (queue, owner[alt]);
      }
  for (guint at = 0; at < queue->len; at++)
    {
      guint32 rule = g_array_index (queue, guint32, at);

      for (guint32 i = first[rule]; i < first[rule + 1]; i++)
        if (--waits[users[i]] == 0 && !empty[owner[users[i]]])
          {
            empty[owner[users[i]]] = 1;
            g_array_append_val (queue, owner[users[i]]);
          }
    }
}

/* The rule that a symbol goes into, or G_MAXUINT32. */
static guint32
goes_into (const AtlGrammar *grammar, const AtlGbnfSymbol *symbol)
{
  if (symbol->kind == ATL_GBNF_RULE)
    return symbol->value;
  if (symbol->kind == ATL_GBNF_REPEAT)
    return atl_gbnf_repeat (grammar, symbol->value)->rule;
  return G_MAXUINT32;
}

typedef struct
{
  guint32 rule;
  guint32 alt;
  guint32 symbol; /* the next one to look at */
} Frame;

gboolean
atl_gbnf_check_left_recursion (const AtlGrammar *grammar, GPtrArray *names, GError **error)
{
  gsize n = grammar->rules->len;
  g_autofree guint8 *empty = g_new0 (guint8, n + 1);
  g_autofree guint8 *state = g_new0 (guint8, n + 1); /* 1: on the way, 2: done */
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (Frame));

  find_empty (grammar, empty);
  for (guint32 start = 0; start < n; start++)
    {
      Frame first = { start, 0, 0 };

      if (state[start] != 0)
        continue;
      first.symbol = atl_gbnf_alt (grammar, atl_gbnf_rule (grammar, start)->first_alt);
      g_array_append_val (stack, first);
      state[start] = 1;
      while (stack->len > 0)
        {
          Frame *frame = &g_array_index (stack, Frame, stack->len - 1);
          const AtlGbnfRule *rule = atl_gbnf_rule (grammar, frame->rule);
          const AtlGbnfSymbol *symbol;
          guint32 next;

          if (frame->symbol == G_MAXUINT32)
            {
              state[frame->rule] = 2;
              g_array_set_size (stack, stack->len - 1);
              continue;
            }
          symbol = atl_gbnf_symbol (grammar, frame->symbol);
          next = goes_into (grammar, symbol);
          /* Go on behind this symbol only if it can be empty. */
          if (symbol->kind != ATL_GBNF_END && can_be_empty (grammar, symbol, empty))
            frame->symbol++;
          else if (++frame->alt < rule->n_alts)
            frame->symbol = atl_gbnf_alt (grammar, rule->first_alt + frame->alt);
          else
            frame->symbol = G_MAXUINT32;

          if (next == G_MAXUINT32 || state[next] == 2)
            continue;
          if (state[next] == 1)
            {
              const char *name = names->pdata[next];

              g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                           _ ("grammar: the rule “%s” begins with itself (left recursion)"),
                           name != NULL ? name : "(group)");
              return FALSE;
            }
          else
            {
              Frame deeper = { next, 0,
                               atl_gbnf_alt (grammar, atl_gbnf_rule (grammar, next)->first_alt) };

              g_array_append_val (stack, deeper);
              state[next] = 1;
            }
        }
    }
  return TRUE;
}
