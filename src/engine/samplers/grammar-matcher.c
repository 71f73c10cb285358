/* The matcher: all ways in which the text so far can stand in the grammar, kept as a set of stacks.
 *
 * A stack is a chain of nodes, each the place of the next symbol in one rule and what comes after
 * that rule; equal nodes are one node, so that stacks share their tails and equal stacks have equal
 * numbers. A state is the set of nodes whose next symbol reads a character or token. Transitions
 * between states are remembered, so that a grammar becomes an automaton where it is used, and
 * asking about a token costs a table look-up a byte. What is remembered is thrown away when it
 * grows too large. */
#define G_LOG_DOMAIN "atl-grammar"

#include <math.h>
#include <string.h>

#include "engine/samplers/grammar-vocab.h"

/* Node 0 is the bottom: nothing is left to read. */
#define DONE 0
#define NO_NODE G_MAXUINT32
#define DEAD G_MAXUINT32 /* a transition that leads nowhere */
#define UNKNOWN (G_MAXUINT32 - 1)
/* The budget for ambiguity: nodes looked at for one transition, nodes and states remembered. */
#define MAX_CLOSURE 60000
#define MAX_NODES 400000
#define MAX_STATES 6000
#define CACHE_SIZE 4096 /* a power of two */

typedef struct
{
  guint32 symbol; /* of the grammar: what is read next */
  guint32 parent; /* the node to go on with after this rule */
  guint32 count;  /* how often a repetition at `symbol` was done */
  guint32 chain;  /* the next node of the same hash */
} Node;

typedef struct
{
  guint32 first; /* of tops[] */
  guint32 n;
  gboolean complete;
  guint32 *ascii; /* (owned) (nullable) [128] transitions */
} State;

/* A place in the text: a state, and the bytes of a character that is not whole yet. */
typedef struct
{
  guint32 state;
  guint32 partial; /* the bits so far */
  guint8 missing;  /* bytes */
  guint8 length;   /* of the whole character in bytes */
} Place;

typedef struct
{
  guint32 state;
  gunichar c;
  guint32 to;
} CacheEntry;

struct _AtlGrammarMatcher
{
  AtlGrammar *grammar;    /* (owned) */
  AtlGrammarVocab *vocab; /* (owned) (nullable) */
  GArray *nodes;          /* (owned) Node */
  guint32 *node_heads;    /* (owned) [node_mask + 1] */
  guint32 node_mask;
  GArray *marks;  /* (owned) guint32 by node: the closure that saw it last */
  GArray *least;  /* (owned) guint32 by node of count 0: the least count seen in that closure */
  GArray *states; /* (owned) State */
  GArray *tops;   /* (owned) guint32: nodes */
  GHashTable *by_tops; /* (owned) hash of the tops -> state + 1, first of a chain by `same` */
  CacheEntry *cache;   /* (owned) [CACHE_SIZE] transitions by other than ASCII characters */
  GArray *work;        /* (owned) guint32: nodes to look at */
  GArray *found;       /* (owned) guint32: tops of the closure */
  guint32 closure;     /* its number, for marks */
  Place places[2];     /* text and token may have gone different ways */
  guint n_places;
  gboolean ended; /* an end token was accepted */
  gboolean failed;
  guint8 *allowed; /* (owned) (nullable) [n_tokens] scratch of mask */
};

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
grow_heads (AtlGrammarMatcher *m)
{
  guint32 size = (m->node_mask + 1) * 2;

  m->node_heads = g_renew (guint32, m->node_heads, size);
  m->node_mask = size - 1;
  memset (m->node_heads, 0xff, size * sizeof (guint32));
  for (guint32 i = 1; i < m->nodes->len; i++)
    {
      Node *node = &g_array_index (m->nodes, Node, i);
      guint32 *head =
          &m->node_heads[hash3 (node->symbol, node->parent, node->count) & m->node_mask];

      node->chain = *head;
      *head = i;
    }
}

static guint32
intern (AtlGrammarMatcher *m, guint32 symbol, guint32 parent, guint32 count)
{
  guint32 hash = hash3 (symbol, parent, count);
  guint32 found = m->node_heads[hash & m->node_mask];
  Node node = { symbol, parent, count, NO_NODE };
  guint32 zero = 0;

  for (; found != NO_NODE; found = g_array_index (m->nodes, Node, found).chain)
    {
      const Node *other = &g_array_index (m->nodes, Node, found);

      if (other->symbol == symbol && other->parent == parent && other->count == count)
        return found;
    }
  if (m->nodes->len >= MAX_NODES)
    {
      m->failed = TRUE;
      return DONE;
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

/* What comes after the symbol of a node: the next one of its rule, or what follows the rule. A
 * rule's last symbol leaves no frame behind, so that "list ::= item list" does not grow the stack.
 */
static guint32
after (AtlGrammarMatcher *m, guint32 symbol, guint32 parent)
{
  return g_symbol (m->grammar, symbol + 1)->kind == G_END ? parent
                                                          : intern (m, symbol + 1, parent, 0);
}

/* --- Closures --- */

static void
push (AtlGrammarMatcher *m, guint32 node)
{
  guint32 *mark = &g_array_index (m->marks, guint32, node);

  if (*mark == m->closure)
    return;
  *mark = m->closure;
  g_array_append_val (m->work, node);
}

static void
push_rule (AtlGrammarMatcher *m, guint32 rule, guint32 parent)
{
  const GRule *r = g_rule (m->grammar, rule);

  for (guint32 i = 0; i < r->n_alts; i++)
    {
      guint32 start = g_alt (m->grammar, r->first_alt + i);

      push (m, g_symbol (m->grammar, start)->kind == G_END ? parent : intern (m, start, parent, 0));
    }
}

/* A repetition that was done `count` times: it may be over, or happen once more. */
static void
push_repeat (AtlGrammarMatcher *m, Node node)
{
  const GRepeat *repeat = g_repeat (m->grammar, g_symbol (m->grammar, node.symbol)->value);
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
      push (m, after (m, node.symbol, node.parent));
    }
  if (repeat->max != G_UNBOUNDED && node.count >= repeat->max)
    return;
  /* Beyond the minimum an unbounded repetition need not be counted. */
  next = repeat->max == G_UNBOUNDED ? MIN (node.count + 1, repeat->min) : node.count + 1;
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
intern_state (AtlGrammarMatcher *m, gboolean complete)
{
  const guint32 *tops;
  guint32 hash = complete;
  State state = { m->tops->len, m->found->len, complete, NULL };
  guint32 id;

  g_array_sort (m->found, compare_ids);
  tops = (const guint32 *) (gpointer) m->found->data;
  for (guint i = 0; i < m->found->len; i++)
    hash = hash3 (hash, tops[i], i);
  /* Probing: the next hash is the next number. */
  for (;; hash++)
    {
      const State *other;

      id = GPOINTER_TO_UINT (g_hash_table_lookup (m->by_tops, GUINT_TO_POINTER (hash)));
      if (id == 0)
        break;
      other = &g_array_index (m->states, State, id - 1);
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
static guint32
close_over (AtlGrammarMatcher *m)
{
  gboolean complete = FALSE;

  g_array_set_size (m->found, 0);
  for (guint at = 0; at < m->work->len; at++)
    {
      guint32 id = g_array_index (m->work, guint32, at);
      Node node = g_array_index (m->nodes, Node, id);

      if (m->failed || at >= MAX_CLOSURE)
        {
          m->failed = TRUE;
          return DEAD;
        }
      if (id == DONE)
        {
          complete = TRUE;
          continue;
        }
      switch (g_symbol (m->grammar, node.symbol)->kind)
        {
        case G_RULE:
          push_rule (m, g_symbol (m->grammar, node.symbol)->value,
                     after (m, node.symbol, node.parent));
          break;
        case G_REPEAT:
          push_repeat (m, node);
          break;
        default:
          g_array_append_val (m->found, id);
        }
    }
  if (m->failed || (m->found->len == 0 && !complete))
    return DEAD;
  return intern_state (m, complete);
}

static void
begin_closure (AtlGrammarMatcher *m)
{
  m->closure++;
  g_array_set_size (m->work, 0);
}

/* --- Transitions --- */

static guint32
step_uncached (AtlGrammarMatcher *m, guint32 from, gunichar c)
{
  State state = g_array_index (m->states, State, from);

  begin_closure (m);
  for (guint32 i = 0; i < state.n; i++)
    {
      Node node = g_array_index (m->nodes, Node, g_array_index (m->tops, guint32, state.first + i));
      const GSymbol *symbol = g_symbol (m->grammar, node.symbol);

      if (symbol->kind == G_CHARS && g_set_meets (m->grammar, symbol->value, c, c))
        push (m, after (m, node.symbol, node.parent));
    }
  return m->work->len > 0 ? close_over (m) : DEAD;
}

static guint32
step (AtlGrammarMatcher *m, guint32 from, gunichar c)
{
  guint32 to;

  if (from == DEAD || m->failed)
    return DEAD;
  if (c < 128)
    {
      State *state = &g_array_index (m->states, State, from);

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
      g_array_index (m->states, State, from).ascii[c] = to;
    }
  else
    {
      CacheEntry *entry = &m->cache[hash3 (from, c, 0) & (CACHE_SIZE - 1)];

      if (entry->state == from && entry->c == c)
        return entry->to;
      to = step_uncached (m, from, c);
      *entry = (CacheEntry){ from, c, to };
    }
  return to;
}

/* Goes on by one byte; FALSE if the place is then dead. Bytes that are no UTF-8 never match. */
static gboolean
step_byte (AtlGrammarMatcher *m, Place *place, guint8 byte)
{
  if (place->missing == 0)
    {
      if (byte < 0x80)
        {
          place->state = step (m, place->state, byte);
          return place->state != DEAD;
        }
      if (byte < 0xc2 || byte > 0xf4)
        return FALSE;
      place->length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      place->missing = place->length - 1;
      place->partial = byte & (0x7fu >> place->length);
      return TRUE;
    }
  if ((byte & 0xc0) != 0x80)
    return FALSE;
  place->partial = place->partial << 6 | (byte & 0x3f);
  if (--place->missing > 0)
    return TRUE;
  if (place->partial < (place->length == 2   ? 0x80u
                        : place->length == 3 ? 0x800u
                                             : 0x10000u) ||
      place->partial > 0x10ffff || (place->partial >= 0xd800 && place->partial < 0xe000))
    return FALSE;
  place->state = step (m, place->state, place->partial);
  return place->state != DEAD;
}

/* TRUE if a character that begins as the place's may be read next. */
static gboolean
partial_fits (AtlGrammarMatcher *m, const Place *place)
{
  static const gunichar least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  State state = g_array_index (m->states, State, place->state);
  guint shift = 6u * place->missing;
  gunichar low = place->partial << shift;
  gunichar high = low | ((1u << shift) - 1);

  if (place->missing == 0)
    return TRUE;
  low = MAX (low, least[place->length]);
  high = MIN (high, 0x10ffff);
  for (guint32 i = 0; low <= high && i < state.n; i++)
    {
      const Node *node =
          &g_array_index (m->nodes, Node, g_array_index (m->tops, guint32, state.first + i));
      const GSymbol *symbol = g_symbol (m->grammar, node->symbol);

      if (symbol->kind == G_CHARS && g_set_meets (m->grammar, symbol->value, low, high))
        return TRUE;
    }
  return FALSE;
}

static gboolean
step_bytes (AtlGrammarMatcher *m, Place *place, const char *bytes, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!step_byte (m, place, (guint8) bytes[i]))
      return FALSE;
  return partial_fits (m, place);
}

static gboolean
matches_token (const GSymbol *symbol, gint32 id)
{
  return (symbol->kind == G_TOKEN && symbol->value == (guint32) id) ||
         (symbol->kind == G_TOKEN_NOT && symbol->value != (guint32) id);
}

/* TRUE if a whole token may be read by its id at `place`. */
static gboolean
token_fits (const AtlGrammarMatcher *m, const Place *place, gint32 id)
{
  State state = g_array_index (m->states, State, place->state);

  for (guint32 i = 0; place->missing == 0 && i < state.n; i++)
    {
      const Node *node =
          &g_array_index (m->nodes, Node, g_array_index (m->tops, guint32, state.first + i));

      if (matches_token (g_symbol (m->grammar, node->symbol), id))
        return TRUE;
    }
  return FALSE;
}

static gboolean
has_token_symbols (const AtlGrammarMatcher *m, const Place *place)
{
  State state = g_array_index (m->states, State, place->state);

  for (guint32 i = 0; i < state.n; i++)
    {
      const Node *node =
          &g_array_index (m->nodes, Node, g_array_index (m->tops, guint32, state.first + i));

      if (g_symbol (m->grammar, node->symbol)->kind != G_CHARS)
        return TRUE;
    }
  return FALSE;
}

/* --- Memory --- */

static void
forget_states (AtlGrammarMatcher *m)
{
  for (guint i = 0; i < m->states->len; i++)
    g_free (g_array_index (m->states, State, i).ascii);
  g_array_set_size (m->states, 0);
  g_array_set_size (m->tops, 0);
  g_hash_table_remove_all (m->by_tops);
  memset (m->cache, 0xff, CACHE_SIZE * sizeof (CacheEntry));
}

static void
forget_nodes (AtlGrammarMatcher *m)
{
  static const Node bottom = { 0, 0, 0, NO_NODE };
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

/* Keeps of all that is remembered only what the present places need. */
static void
compact (AtlGrammarMatcher *m)
{
  g_autoptr (GArray) old = g_array_copy (m->nodes);
  g_autofree guint32 *moved = g_new (guint32, old->len);
  g_autoptr (GArray) chain = g_array_new (FALSE, FALSE, sizeof (guint32));
  GArray *tops[2];
  gboolean complete[2];

  for (guint p = 0; p < m->n_places; p++)
    {
      State state = g_array_index (m->states, State, m->places[p].state);

      tops[p] = g_array_new (FALSE, FALSE, sizeof (guint32));
      g_array_append_vals (tops[p], &g_array_index (m->tops, guint32, state.first), state.n);
      complete[p] = state.complete;
    }
  memset (moved, 0xff, old->len * sizeof (guint32));
  moved[DONE] = DONE;
  forget_states (m);
  forget_nodes (m);
  for (guint p = 0; p < m->n_places; p++)
    {
      g_array_set_size (m->found, 0);
      for (guint i = 0; i < tops[p]->len; i++)
        {
          guint32 top = g_array_index (tops[p], guint32, i);

          /* Parents before children. */
          g_array_set_size (chain, 0);
          for (guint32 at = top; moved[at] == NO_NODE; at = g_array_index (old, Node, at).parent)
            g_array_append_val (chain, at);
          for (guint k = chain->len; k > 0; k--)
            {
              guint32 at = g_array_index (chain, guint32, k - 1);
              const Node *node = &g_array_index (old, Node, at);

              moved[at] = intern (m, node->symbol, moved[node->parent], node->count);
            }
          g_array_append_val (m->found, moved[top]);
        }
      m->places[p].state = intern_state (m, complete[p]);
      g_array_unref (tops[p]);
    }
}

static void
tidy (AtlGrammarMatcher *m)
{
  if (m->nodes->len > MAX_NODES / 2 || m->states->len > MAX_STATES)
    compact (m);
}

/* --- Going on --- */

/* The places after `bytes`, or after the token `id` (if not negative); their number. */
static guint
advance (AtlGrammarMatcher *m, gint32 id, const char *bytes, gsize n, Place *out)
{
  guint n_out = 0;
  guint n_whole = 0;
  Place whole[2];
  gboolean by_token = FALSE;

  for (guint p = 0; p < m->n_places && bytes != NULL; p++)
    {
      Place place = m->places[p];

      if (!step_bytes (m, &place, bytes, n))
        continue;
      if (place.missing > 0 && n_out == 0)
        out[n_out++] = place;
      else if (place.missing == 0)
        whole[n_whole++] = place;
    }
  for (guint p = 0; p < m->n_places && id >= 0; p++)
    by_token |= token_fits (m, &m->places[p], id);
  if (m->failed)
    return 0;
  if (!by_token && n_whole == 1)
    out[n_out++] = whole[0];
  else if (by_token || n_whole > 0)
    {
      Place joined = { 0 };

      begin_closure (m);
      for (guint p = 0; p < n_whole; p++)
        {
          State state = g_array_index (m->states, State, whole[p].state);

          if (state.complete)
            push (m, DONE);
          for (guint32 i = 0; i < state.n; i++)
            push (m, g_array_index (m->tops, guint32, state.first + i));
        }
      for (guint p = 0; p < m->n_places && id >= 0; p++)
        {
          State state = g_array_index (m->states, State, m->places[p].state);

          for (guint32 i = 0; m->places[p].missing == 0 && i < state.n; i++)
            {
              Node node =
                  g_array_index (m->nodes, Node, g_array_index (m->tops, guint32, state.first + i));

              if (matches_token (g_symbol (m->grammar, node.symbol), id))
                push (m, after (m, node.symbol, node.parent));
            }
        }
      joined.state = close_over (m);
      if (joined.state != DEAD)
        out[n_out++] = joined;
    }
  return m->failed ? 0 : n_out;
}

static gboolean
go_on (AtlGrammarMatcher *m, gint32 id, const char *bytes, gsize n)
{
  Place places[2];
  guint n_places;

  if (m->failed || m->ended)
    return FALSE;
  n_places = advance (m, id, bytes, n, places);
  if (n_places == 0)
    return FALSE;
  memcpy (m->places, places, sizeof places);
  m->n_places = n_places;
  tidy (m);
  return TRUE;
}

gboolean
atl_grammar_matcher_accept_text (AtlGrammarMatcher *self, const char *bytes, gsize n)
{
  g_return_val_if_fail (self != NULL && (bytes != NULL || n == 0), FALSE);
  return go_on (self, -1, bytes != NULL ? bytes : "", n);
}

gboolean
atl_grammar_matcher_accept (AtlGrammarMatcher *self, gint32 id)
{
  const char *bytes = NULL;
  gsize n = 0;

  g_return_val_if_fail (self != NULL, FALSE);
  if (id < 0)
    return FALSE;
  if (self->vocab != NULL)
    {
      if (g_vocab_is_end (self->vocab, id))
        {
          if (self->failed || self->ended || !atl_grammar_matcher_is_complete (self))
            return FALSE;
          self->ended = TRUE;
          return TRUE;
        }
      bytes = g_vocab_piece (self->vocab, id, &n);
      if (n == 0)
        bytes = NULL;
    }
  return go_on (self, id, bytes, n);
}

gboolean
atl_grammar_matcher_is_complete (const AtlGrammarMatcher *self)
{
  g_return_val_if_fail (self != NULL, FALSE);
  if (self->failed)
    return FALSE;
  for (guint p = 0; p < self->n_places; p++)
    if (self->places[p].missing == 0 &&
        g_array_index (self->states, State, self->places[p].state).complete)
      return TRUE;
  return FALSE;
}

gboolean
atl_grammar_matcher_failed (const AtlGrammarMatcher *self)
{
  g_return_val_if_fail (self != NULL, TRUE);
  return self->failed;
}

/* --- Asking --- */

gboolean
atl_grammar_matcher_allows (AtlGrammarMatcher *self, gint32 id)
{
  const char *bytes;
  gsize n;
  gboolean fits = FALSE;

  g_return_val_if_fail (self != NULL && self->vocab != NULL, FALSE);
  if (self->failed || self->ended || id < 0)
    return FALSE;
  if (g_vocab_is_end (self->vocab, id))
    return atl_grammar_matcher_is_complete (self);
  bytes = g_vocab_piece (self->vocab, id, &n);
  for (guint p = 0; p < self->n_places && !fits; p++)
    {
      Place place = self->places[p];

      fits = token_fits (self, &place, id) || (n > 0 && step_bytes (self, &place, bytes, n));
    }
  tidy (self);
  return fits && !self->failed;
}

/* Walks the sorted pieces with the places after each byte of the present one kept on a stack: what
 * two neighbours share is matched once, and all pieces that begin with what did not match are
 * skipped. */
static void
mark_pieces (AtlGrammarMatcher *m, guint p)
{
  const AtlGrammarVocab *vocab = m->vocab;
  Place stack[G_VOCAB_MAX_PIECE + 1];
  gsize depth = 0; /* bytes of the present piece that matched */

  stack[0] = m->places[p];
  for (gsize i = 0; i < vocab->n_sorted && !m->failed;)
    {
      const GPiece *piece = &vocab->sorted[i];
      const char *bytes = vocab->bytes + piece->offset;

      depth = MIN (depth, piece->shared);
      if (m->nodes->len > MAX_NODES / 4 * 3)
        {
          compact (m);
          stack[0] = m->places[p];
          depth = 0;
        }
      while (depth < piece->n)
        {
          stack[depth + 1] = stack[depth];
          if (!step_byte (m, &stack[depth + 1], (guint8) bytes[depth]))
            break;
          depth++;
        }
      if (depth == piece->n)
        {
          if (partial_fits (m, &stack[depth]))
            m->allowed[piece->id] = 1;
          i++;
        }
      else
        for (i++; i < vocab->n_sorted && vocab->sorted[i].shared > depth; i++)
          ;
    }
}

void
atl_grammar_matcher_mask (AtlGrammarMatcher *self, float *logits, gsize n_vocab)
{
  gsize n_tokens;
  gboolean complete;

  g_return_if_fail (self != NULL && self->vocab != NULL && logits != NULL);
  n_tokens = self->vocab->n_tokens;
  if (self->allowed == NULL)
    self->allowed = g_new (guint8, n_tokens);
  memset (self->allowed, 0, n_tokens);
  complete = !self->ended && atl_grammar_matcher_is_complete (self);
  for (guint p = 0; p < self->n_places && !self->ended && !self->failed; p++)
    {
      mark_pieces (self, p);
      if (!self->failed && has_token_symbols (self, &self->places[p]))
        for (gsize id = 0; id < n_tokens; id++)
          self->allowed[id] |= token_fits (self, &self->places[p], (gint32) id);
    }
  if (self->failed)
    memset (self->allowed, 0, n_tokens);
  for (gsize i = 0; i < self->vocab->n_ends; i++)
    self->allowed[self->vocab->ends[i]] = complete && !self->failed;
  for (gsize id = 0; id < n_vocab; id++)
    if (id >= n_tokens || !self->allowed[id])
      logits[id] = -INFINITY;
  if (!self->failed)
    tidy (self);
}

static gboolean
allows_cb (gpointer data, gint32 id)
{
  return atl_grammar_matcher_allows (data, id);
}

static void
mask_cb (gpointer data, float *logits, gsize n_vocab)
{
  atl_grammar_matcher_mask (data, logits, n_vocab);
}

AtlSamplerConstraint
atl_grammar_matcher_constraint (AtlGrammarMatcher *self)
{
  return (AtlSamplerConstraint){ self, allows_cb, mask_cb };
}

/* --- Life --- */

static AtlGrammarMatcher *
create (AtlGrammar *grammar, AtlGrammarVocab *vocab)
{
  AtlGrammarMatcher *self = g_new0 (AtlGrammarMatcher, 1);

  self->grammar = atl_grammar_ref (grammar);
  self->vocab = vocab != NULL ? atl_grammar_vocab_ref (vocab) : NULL;
  self->nodes = g_array_new (FALSE, FALSE, sizeof (Node));
  self->marks = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->least = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->states = g_array_new (FALSE, FALSE, sizeof (State));
  self->tops = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->work = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->found = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->by_tops = g_hash_table_new (NULL, NULL);
  self->cache = g_new (CacheEntry, CACHE_SIZE);
  self->node_mask = 1023;
  self->node_heads = g_new (guint32, self->node_mask + 1);
  return self;
}

void
atl_grammar_matcher_reset (AtlGrammarMatcher *self)
{
  guint32 state;

  g_return_if_fail (self != NULL);
  forget_states (self);
  forget_nodes (self);
  self->failed = FALSE;
  self->ended = FALSE;
  begin_closure (self);
  push_rule (self, self->grammar->root, DONE);
  state = close_over (self);
  memset (self->places, 0, sizeof self->places);
  self->n_places = state != DEAD;
  self->places[0].state = state;
}

AtlGrammarMatcher *
atl_grammar_matcher_new (AtlGrammar *grammar, AtlGrammarVocab *vocab)
{
  AtlGrammarMatcher *self;

  g_return_val_if_fail (grammar != NULL, NULL);
  self = create (grammar, vocab);
  atl_grammar_matcher_reset (self);
  return self;
}

static void
copy_array (GArray *to, const GArray *from)
{
  g_array_set_size (to, 0);
  g_array_append_vals (to, from->data, from->len);
}

AtlGrammarMatcher *
atl_grammar_matcher_clone (const AtlGrammarMatcher *self)
{
  AtlGrammarMatcher *copy;

  g_return_val_if_fail (self != NULL, NULL);
  copy = create (self->grammar, self->vocab);
  copy_array (copy->nodes, self->nodes);
  copy_array (copy->marks, self->marks);
  copy_array (copy->least, self->least);
  copy_array (copy->states, self->states);
  copy_array (copy->tops, self->tops);
  for (guint i = 0; i < copy->states->len; i++)
    g_array_index (copy->states, State, i).ascii = NULL;
  memset (copy->cache, 0xff, CACHE_SIZE * sizeof (CacheEntry));
  copy->node_mask = self->node_mask;
  g_free (copy->node_heads);
  copy->node_heads = g_memdup2 (self->node_heads, ((gsize) self->node_mask + 1) * sizeof (guint32));
  copy->closure = self->closure;
  memcpy (copy->places, self->places, sizeof self->places);
  copy->n_places = self->n_places;
  copy->ended = self->ended;
  copy->failed = self->failed;
  /* Its states have no hashes: it keeps what it needs and finds the rest again. */
  if (!copy->failed)
    compact (copy);
  return copy;
}

void
atl_grammar_matcher_free (AtlGrammarMatcher *self)
{
  if (self == NULL)
    return;
  forget_states (self);
  g_array_unref (self->nodes);
  g_array_unref (self->marks);
  g_array_unref (self->least);
  g_array_unref (self->states);
  g_array_unref (self->tops);
  g_array_unref (self->work);
  g_array_unref (self->found);
  g_hash_table_unref (self->by_tops);
  g_free (self->cache);
  g_free (self->node_heads);
  g_free (self->allowed);
  atl_grammar_unref (self->grammar);
  atl_grammar_vocab_unref (self->vocab);
  g_free (self);
}
