/* The shortest text that completes what stands: for an answer that must end now and be whole.
 *
 * A rule costs what its cheapest alternative costs, found by going over all rules until nothing
 * gets cheaper. The alternative is noted when it makes the rule cheaper, so that following the
 * noted ones always comes to an end. */
#define G_LOG_DOMAIN "atl-grammar"

#include <string.h>

#include "engine/samplers/grammar-states.h"

#define NEVER G_MAXUINT32
#define MAX_BYTES (64u << 10)

typedef struct
{
  const AtlGrammar *grammar;
  guint32 *cost; /* [rules] bytes of the shortest text; NEVER */
  guint32 *best; /* [rules] its first symbol */
  AtlGrammarPieceFunc name;
  gpointer data;
} Costs;

static guint32
add (guint32 a, guint32 b)
{
  return a >= NEVER - b ? NEVER : a + b;
}

static guint32
times (guint32 n, guint32 cost)
{
  guint64 all = (guint64) n * cost;

  return n == 0 ? 0 : cost == NEVER || all >= NEVER ? NEVER : (guint32) all;
}

/* Of one symbol; a repetition that was done `count` times. */
static guint32
symbol_cost (const Costs *c, const AtlGbnfSymbol *symbol, guint32 count)
{
  const AtlGbnfRepeat *repeat;

  switch (symbol->kind)
    {
    case ATL_GBNF_CHARS:
      /* A text would end at U+0000. */
      return atl_gbnf_set_meets (c->grammar, symbol->value, 1, 0x10ffff) ? 1 : NEVER;
    case ATL_GBNF_TOKEN:
      return c->name != NULL ? 1 : NEVER;
    case ATL_GBNF_RULE:
      return c->cost[symbol->value];
    case ATL_GBNF_REPEAT:
      repeat = atl_gbnf_repeat (c->grammar, symbol->value);
      return times (repeat->min > count ? repeat->min - count : 0, c->cost[repeat->rule]);
    default:
      return NEVER;
    }
}

/* Of the symbols from `at` to the rule's end. */
static guint32
rest_cost (const Costs *c, guint32 at, guint32 count)
{
  guint32 cost = 0;

  for (const AtlGbnfSymbol *s = atl_gbnf_symbol (c->grammar, at); s->kind != ATL_GBNF_END; s++)
    {
      cost = add (cost, symbol_cost (c, s, count));
      count = 0;
    }
  return cost;
}

static void
find_costs (Costs *c)
{
  guint n = c->grammar->rules->len;
  gboolean changed = TRUE;

  c->cost = g_new (guint32, n + 1);
  c->best = g_new0 (guint32, n + 1);
  memset (c->cost, 0xff, (n + 1) * sizeof (guint32));
  /* Rules stand before or behind those they need: every second pass goes backwards. */
  for (guint pass = 0; changed && pass <= n; pass++)
    {
      changed = FALSE;
      for (guint i = 0; i < n; i++)
        {
          guint rule = pass % 2 == 0 ? n - 1 - i : i;
          const AtlGbnfRule *r = atl_gbnf_rule (c->grammar, rule);

          for (guint32 a = 0; a < r->n_alts; a++)
            {
              guint32 start = atl_gbnf_alt (c->grammar, r->first_alt + a);
              guint32 cost = rest_cost (c, start, 0);

              if (cost < c->cost[rule])
                {
                  c->cost[rule] = cost;
                  c->best[rule] = start;
                  changed = TRUE;
                }
            }
        }
    }
}

/* A character of the set that people can read, if there is one; never U+0000. */
static gunichar
pick (const AtlGrammar *grammar, guint32 set)
{
  static const char nice[] = "0a -";
  const AtlGbnfSet *ranges = atl_gbnf_set (grammar, set);
  gunichar fallback = 0;

  for (const char *c = nice; *c != '\0'; c++)
    if (atl_gbnf_set_meets (grammar, set, (guint8) *c, (guint8) *c))
      return (guint8) *c;
  for (guint32 i = 0; i < ranges->n_ranges; i++)
    {
      const AtlGbnfRange *range = atl_gbnf_range (grammar, ranges->first_range + i);

      if (range->high > 0x20)
        return MAX (range->low, 0x21);
      if (fallback == 0)
        fallback = MIN (MAX (range->low, 1), range->high);
    }
  return fallback;
}

/* Writes the symbols from `at` to the rule's end. */
static gboolean
expand (const Costs *c, guint32 at, guint32 count, GString *out)
{
  g_autoptr (GArray) work = g_array_new (FALSE, FALSE, sizeof (guint32));

  g_array_append_val (work, at);
  while (work->len > 0)
    {
      guint32 now = g_array_index (work, guint32, work->len - 1), next = now + 1, n_times = 1;
      const AtlGbnfSymbol *symbol = atl_gbnf_symbol (c->grammar, now);
      const char *bytes;
      gsize n;

      g_array_set_size (work, work->len - 1);
      if (symbol->kind == ATL_GBNF_END)
        continue;
      if (out->len > MAX_BYTES || work->len > MAX_BYTES)
        return FALSE;
      g_array_append_val (work, next);
      switch (symbol->kind)
        {
        case ATL_GBNF_CHARS:
          g_string_append_unichar (out, pick (c->grammar, symbol->value));
          break;
        case ATL_GBNF_TOKEN:
          bytes = c->name (c->data, (gint32) symbol->value, &n);
          g_string_append_len (out, bytes, (gssize) n);
          break;
        case ATL_GBNF_REPEAT:
          {
            const AtlGbnfRepeat *repeat = atl_gbnf_repeat (c->grammar, symbol->value);

            n_times = repeat->min > count ? repeat->min - count : 0;
            if (n_times > MAX_BYTES)
              return FALSE;
            for (guint32 i = 0; i < n_times; i++)
              g_array_append_val (work, c->best[repeat->rule]);
            break;
          }
        default:
          g_array_append_val (work, c->best[symbol->value]);
        }
      count = 0;
    }
  return TRUE;
}

/* Of a node and all that comes after its rule. */
static guint32
node_cost (const Costs *c, const AtlGbnfStates *m, guint32 id)
{
  guint32 cost = 0;

  while (id != ATL_GBNF_DONE && cost < NEVER)
    {
      const AtlGbnfNode *node = &g_array_index (m->nodes, AtlGbnfNode, id);

      cost = add (cost, rest_cost (c, node->symbol, node->count));
      id = node->parent;
    }
  return cost;
}

char *
atl_gbnf_states_shortest (const AtlGbnfStates *m,
                          guint32 state_id,
                          AtlGrammarPieceFunc name,
                          gpointer data)
{
  Costs c = { .grammar = m->grammar, .name = name, .data = data };
  AtlGbnfState state;
  GString *out = g_string_new (NULL);
  guint32 best = ATL_GBNF_DONE, best_cost = NEVER;

  if (state_id == ATL_GBNF_DEAD || m->failed)
    return g_string_free (out, TRUE);
  state = *atl_gbnf_state (m, state_id);
  if (state.complete)
    return g_string_free (out, FALSE);
  find_costs (&c);
  for (guint32 i = 0; i < state.n; i++)
    {
      guint32 id = g_array_index (m->tops, guint32, state.first + i);
      guint32 cost = node_cost (&c, m, id);

      if (cost < best_cost)
        {
          best_cost = cost;
          best = id;
        }
    }
  while (best != ATL_GBNF_DONE && best_cost < NEVER)
    {
      const AtlGbnfNode *node = &g_array_index (m->nodes, AtlGbnfNode, best);

      if (!expand (&c, node->symbol, node->count, out))
        best_cost = NEVER;
      best = node->parent;
    }
  g_free (c.cost);
  g_free (c.best);
  return g_string_free (out, best_cost == NEVER);
}
