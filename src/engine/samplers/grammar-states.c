/* Stacks, closures and transitions; see the header for what they are. */
#define G_LOG_DOMAIN "atl-grammar"

#include "engine/samplers/grammar-states.h"

#include <string.h>

#define UNKNOWN (G_MAXUINT32 - 1)
/* The budget for ambiguity: nodes looked at for one transition. */
#define MAX_CLOSURE 60000
#define CACHE_SIZE 4096 /* a power of two */

/* --- Nodes --- */

static guint32
hash3 (guint32 a, guint32 b, guint32 c)
{
  guint32 h = a * 0x9e3779b1u ^ b * 0x85ebca77u ^ c * 0xc2b2ae3du;

  h ^= h >> 15;
  h *= 0x2c1b3c6du;
  return h ^ h >> 12;
}

static void
grow_heads (AtlGbnfStates *m)
{
  guint32 size = (m->node_mask + 1) * 2;

  m->node_heads = g_renew (guint32, m->node_heads, size);
  m->node_mask = size - 1;
  memset (m->node_heads, 0xff, size * sizeof (guint32));
  for (guint32 i = 1; i < m->nodes->len; i++)
    {
      AtlGbnfNode *node = &g_array_index (m->nodes, AtlGbnfNode, i);
      guint32 *head =
          &m->node_heads[hash3 (node->symbol, node->parent, node->count) & m->node_mask];

      node->chain = *head;
      *head = i;
    }
}

static guint32
intern (AtlGbnfStates *m, guint32 symbol, guint32 parent, guint32 count)
{
  guint32 hash = hash3 (symbol, parent, count);
  guint32 found = m->node_heads[hash & m->node_mask];
  AtlGbnfNode node = { symbol, parent, count, ATL_GBNF_NO_NODE };
  guint32 zero = 0;

  for (; found != ATL_GBNF_NO_NODE; found = g_array_index (m->nodes, AtlGbnfNode, found).chain)
    {
      const AtlGbnfNode *other = &g_array_index (m->nodes, AtlGbnfNode, found);

      if (other->symbol == symbol && other->parent == parent && other->count == count)
        return found;
    }
  if (m->nodes->len >= ATL_GBNF_MAX_NODES)
    {
      m->failed = TRUE;
      return ATL_GBNF_DONE;
    }
  if (m->nodes->len > m->node_mask)
    grow_heads (m);
  node.chain = m->node_heads[hash & m->node_mask];
  m->node_heads[hash & m->node_mask] = m->nodes->len;
  g_array_append_val (m->nodes, node);
  g_array_append_val (m->marks, zero);
  g_array_append_val (m->least, zero);
  return m->nodes->len - 1;
}

/* What comes atl_gbnf_states_after the symbol of a node: the next one of its rule, or what follows
 * the rule. A rule's last symbol leaves no frame behind, so that "list ::= item list" does not grow
 * the stack.
 */
guint32
atl_gbnf_states_after (AtlGbnfStates *m, guint32 symbol, guint32 parent)
{
  return atl_gbnf_symbol (m->grammar, symbol + 1)->kind == ATL_GBNF_END
             ? parent
             : intern (m, symbol + 1, parent, 0);
}

/* --- Closures --- */

void
atl_gbnf_states_push (AtlGbnfStates *m, guint32 node)
{
  guint32 *mark = &g_array_index (m->marks, guint32, node);

  if (*mark == m->closure)
    return;
  *mark = m->closure;
  g_array_append_val (m->work, node);
}

static void
push_rule (AtlGbnfStates *m, guint32 rule, guint32 parent)
{
  const AtlGbnfRule *r = atl_gbnf_rule (m->grammar, rule);

  for (guint32 i = 0; i < r->n_alts; i++)
    {
      guint32 start = atl_gbnf_alt (m->grammar, r->first_alt + i);

      atl_gbnf_states_push (m, atl_gbnf_symbol (m->grammar, start)->kind == ATL_GBNF_END
                                   ? parent
                                   : intern (m, start, parent, 0));
    }
}

/* A repetition that was done `count` times: it may be over, or happen once more. */
static void
push_repeat (AtlGbnfStates *m, AtlGbnfNode node)
{
  const AtlGbnfRepeat *repeat =
      atl_gbnf_repeat (m->grammar, atl_gbnf_symbol (m->grammar, node.symbol)->value);
  guint32 next;

  if (node.count >= repeat->min)
    {
      /* Having repeated nothing gains nothing over having repeated less often: without this a
       * bounded repetition of what can be empty would be walked once for each count. */
      guint32 base = intern (m, node.symbol, node.parent, G_MAXUINT32);
      guint32 *mark = &g_array_index (m->marks, guint32, base);
      guint32 *least = &g_array_index (m->least, guint32, base);

      if (m->failed || (*mark == m->closure && *least <= node.count))
        return;
      *mark = m->closure;
      *least = node.count;
      atl_gbnf_states_push (m, atl_gbnf_states_after (m, node.symbol, node.parent));
    }
  if (repeat->max != ATL_GBNF_UNBOUNDED && node.count >= repeat->max)
    return;
  /* Beyond the minimum an unbounded repetition need not be counted. */
  next = repeat->max == ATL_GBNF_UNBOUNDED ? MIN (node.count + 1, repeat->min) : node.count + 1;
  push_rule (m, repeat->rule, intern (m, node.symbol, node.parent, next));
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  guint32 x = *(const guint32 *) a;
  guint32 y = *(const guint32 *) b;

  return x < y ? -1 : x > y;
}

/* The state of m->found, which is sorted here. */
static guint32
intern_state (AtlGbnfStates *m, gboolean complete)
{
  const guint32 *tops;
  guint32 hash = complete;
  AtlGbnfState state = { m->tops->len, m->found->len, complete, NULL };
  guint32 id;

  g_array_sort (m->found, compare_ids);
  tops = (const guint32 *) (gpointer) m->found->data;
  for (guint i = 0; i < m->found->len; i++)
    hash = hash3 (hash, tops[i], i);
  /* Probing: the next hash is the next number. */
  for (;; hash++)
    {
      const AtlGbnfState *other;

      id = GPOINTER_TO_UINT (g_hash_table_lookup (m->by_tops, GUINT_TO_POINTER (hash)));
      if (id == 0)
        break;
      other = &g_array_index (m->states, AtlGbnfState, id - 1);
      if (other->n == m->found->len && other->complete == complete &&
          (other->n == 0 || memcmp (&g_array_index (m->tops, guint32, other->first), tops,
                                    other->n * sizeof (guint32)) == 0))
        return id - 1;
    }
  g_array_append_vals (m->tops, tops, m->found->len);
  g_array_append_val (m->states, state);
  g_hash_table_insert (m->by_tops, GUINT_TO_POINTER (hash), GUINT_TO_POINTER (m->states->len));
  return m->states->len - 1;
}

/* Everything that can be reached from the nodes in m->work without reading. */
guint32
atl_gbnf_states_close (AtlGbnfStates *m)
{
  gboolean complete = FALSE;

  g_array_set_size (m->found, 0);
  for (guint at = 0; at < m->work->len; at++)
    {
      guint32 id = g_array_index (m->work, guint32, at);
      AtlGbnfNode node = g_array_index (m->nodes, AtlGbnfNode, id);

      if (m->failed || at >= MAX_CLOSURE)
        {
          m->failed = TRUE;
          return ATL_GBNF_DEAD;
        }
      if (id == ATL_GBNF_DONE)
        {
          complete = TRUE;
          continue;
        }
      switch (atl_gbnf_symbol (m->grammar, node.symbol)->kind)
        {
        case ATL_GBNF_RULE:
          push_rule (m, atl_gbnf_symbol (m->grammar, node.symbol)->value,
                     atl_gbnf_states_after (m, node.symbol, node.parent));
          break;
        case ATL_GBNF_REPEAT:
          push_repeat (m, node);
          break;
        default:
          g_array_append_val (m->found, id);
        }
    }
  if (m->failed || (m->found->len == 0 && !complete))
    return ATL_GBNF_DEAD;
  return intern_state (m, complete);
}

void
atl_gbnf_states_begin (AtlGbnfStates *m)
{
  m->closure++;
  g_array_set_size (m->work, 0);
}

/* --- Transitions --- */

static guint32
step_uncached (AtlGbnfStates *m, guint32 from, gunichar c)
{
  AtlGbnfState state = g_array_index (m->states, AtlGbnfState, from);

  atl_gbnf_states_begin (m);
  for (guint32 i = 0; i < state.n; i++)
    {
      AtlGbnfNode node =
          g_array_index (m->nodes, AtlGbnfNode, g_array_index (m->tops, guint32, state.first + i));
      const AtlGbnfSymbol *symbol = atl_gbnf_symbol (m->grammar, node.symbol);

      if (symbol->kind == ATL_GBNF_CHARS && atl_gbnf_set_meets (m->grammar, symbol->value, c, c))
        atl_gbnf_states_push (m, atl_gbnf_states_after (m, node.symbol, node.parent));
    }
  return m->work->len > 0 ? atl_gbnf_states_close (m) : ATL_GBNF_DEAD;
}

guint32
atl_gbnf_states_step (AtlGbnfStates *m, guint32 from, gunichar c)
{
  guint32 to;

  if (from == ATL_GBNF_DEAD || m->failed)
    return ATL_GBNF_DEAD;
  if (c < 128)
    {
      AtlGbnfState *state = &g_array_index (m->states, AtlGbnfState, from);

      if (state->ascii == NULL)
        {
          state->ascii = g_new (guint32, 128);
          for (guint i = 0; i < 128; i++)
            state->ascii[i] = UNKNOWN;
        }
      if (state->ascii[c] != UNKNOWN)
        return state->ascii[c];
      to = step_uncached (m, from, c);
      /* The array of states may have moved. */
      g_array_index (m->states, AtlGbnfState, from).ascii[c] = to;
    }
  else
    {
      AtlGbnfStep *entry = &m->cache[hash3 (from, c, 0) & (CACHE_SIZE - 1)];

      if (entry->state == from && entry->c == c)
        return entry->to;
      to = step_uncached (m, from, c);
      *entry = (AtlGbnfStep){ from, c, to };
    }
  return to;
}

/* --- Memory --- */

static void
forget_states (AtlGbnfStates *m)
{
  for (guint i = 0; i < m->states->len; i++)
    g_free (g_array_index (m->states, AtlGbnfState, i).ascii);
  g_array_set_size (m->states, 0);
  g_array_set_size (m->tops, 0);
  g_hash_table_remove_all (m->by_tops);
  memset (m->cache, 0xff, CACHE_SIZE * sizeof (AtlGbnfStep));
}

static void
forget_nodes (AtlGbnfStates *m)
{
  static const AtlGbnfNode bottom = { 0, 0, 0, ATL_GBNF_NO_NODE };
  static const guint32 zero = 0;

  g_array_set_size (m->nodes, 0);
  g_array_set_size (m->marks, 0);
  g_array_set_size (m->least, 0);
  g_array_append_val (m->nodes, bottom);
  g_array_append_val (m->marks, zero);
  g_array_append_val (m->least, zero);
  memset (m->node_heads, 0xff, ((gsize) m->node_mask + 1) * sizeof (guint32));
  m->closure = 0;
}

void
atl_gbnf_states_compact (AtlGbnfStates *m, guint32 *const *kept, guint n_kept)
{
  g_autoptr (GArray) old = g_array_copy (m->nodes);
  g_autofree guint32 *moved = g_new (guint32, old->len);
  g_autoptr (GArray) chain = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GPtrArray) tops = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  g_autofree gboolean *complete = g_new (gboolean, n_kept + 1);

  for (guint p = 0; p < n_kept; p++)
    {
      const AtlGbnfState *state = atl_gbnf_state (m, *kept[p]);
      GArray *copy = g_array_new (FALSE, FALSE, sizeof (guint32));

      g_array_append_vals (copy, &g_array_index (m->tops, guint32, state->first), state->n);
      g_ptr_array_add (tops, copy);
      complete[p] = state->complete;
    }
  memset (moved, 0xff, old->len * sizeof (guint32));
  moved[ATL_GBNF_DONE] = ATL_GBNF_DONE;
  forget_states (m);
  forget_nodes (m);
  for (guint p = 0; p < n_kept; p++)
    {
      const GArray *of = tops->pdata[p];

      g_array_set_size (m->found, 0);
      for (guint i = 0; i < of->len; i++)
        {
          guint32 top = g_array_index (of, guint32, i);

          /* Parents before children. */
          g_array_set_size (chain, 0);
          for (guint32 at = top; moved[at] == ATL_GBNF_NO_NODE;
               at = g_array_index (old, AtlGbnfNode, at).parent)
            g_array_append_val (chain, at);
          for (guint k = chain->len; k > 0; k--)
            {
              guint32 at = g_array_index (chain, guint32, k - 1);
              const AtlGbnfNode *node = &g_array_index (old, AtlGbnfNode, at);

              moved[at] = intern (m, node->symbol, moved[node->parent], node->count);
            }
          g_array_append_val (m->found, moved[top]);
        }
      *kept[p] = intern_state (m, complete[p]);
    }
}

/* --- Life --- */

void
atl_gbnf_states_init (AtlGbnfStates *m, const AtlGrammar *grammar)
{
  memset (m, 0, sizeof *m);
  m->grammar = grammar;
  m->nodes = g_array_new (FALSE, FALSE, sizeof (AtlGbnfNode));
  m->marks = g_array_new (FALSE, FALSE, sizeof (guint32));
  m->least = g_array_new (FALSE, FALSE, sizeof (guint32));
  m->states = g_array_new (FALSE, FALSE, sizeof (AtlGbnfState));
  m->tops = g_array_new (FALSE, FALSE, sizeof (guint32));
  m->work = g_array_new (FALSE, FALSE, sizeof (guint32));
  m->found = g_array_new (FALSE, FALSE, sizeof (guint32));
  m->by_tops = g_hash_table_new (NULL, NULL);
  m->cache = g_new (AtlGbnfStep, CACHE_SIZE);
  m->node_mask = 1023;
  m->node_heads = g_new (guint32, m->node_mask + 1);
}

void
atl_gbnf_states_clear (AtlGbnfStates *m)
{
  forget_states (m);
  g_array_unref (m->nodes);
  g_array_unref (m->marks);
  g_array_unref (m->least);
  g_array_unref (m->states);
  g_array_unref (m->tops);
  g_array_unref (m->work);
  g_array_unref (m->found);
  g_hash_table_unref (m->by_tops);
  g_free (m->cache);
  g_free (m->node_heads);
}

guint32
atl_gbnf_states_start (AtlGbnfStates *m)
{
  forget_states (m);
  forget_nodes (m);
  m->failed = FALSE;
  atl_gbnf_states_begin (m);
  push_rule (m, m->grammar->root, ATL_GBNF_DONE);
  return atl_gbnf_states_close (m);
}
