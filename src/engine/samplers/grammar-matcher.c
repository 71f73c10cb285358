/* The matcher: places in a text, moved by characters and tokens, and the mask of what may come
 * next. */
#define G_LOG_DOMAIN "atl-grammar"

#include <math.h>
#include <string.h>

#include "engine/samplers/grammar-states.h"
#include "engine/samplers/grammar-vocab.h"

/* A place in the text: a state, and the bytes of a character that is not whole yet. */
typedef struct
{
  guint32 state;
  guint32 partial; /* the bits so far */
  guint8 missing;  /* bytes */
  guint8 length;   /* of the whole character in bytes */
} Place;

struct _AtlGrammarMatcher
{
  AtlGrammar *grammar;    /* (owned) */
  AtlGrammarVocab *vocab; /* (owned) (nullable) */
  AtlGbnfStates s;
  Place places[2]; /* read as text and by its id a token may have led to two */
  guint n_places;
  gboolean ended;  /* an end token was accepted */
  guint8 *allowed; /* (owned) (nullable) [n_tokens] scratch of mask */
};

/* --- Places --- */

/* Goes on by one byte; FALSE if the place is then dead. Bytes that are no UTF-8 never match. */
static gboolean
step_byte (AtlGrammarMatcher *m, Place *place, guint8 byte)
{
  if (place->missing == 0)
    {
      if (byte < 0x80)
        {
          place->state = atl_gbnf_states_step (&m->s, place->state, byte);
          return place->state != ATL_GBNF_DEAD;
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
  place->state = atl_gbnf_states_step (&m->s, place->state, place->partial);
  return place->state != ATL_GBNF_DEAD;
}

/* TRUE if a character that begins as the place's may be read next. */
static gboolean
partial_fits (AtlGrammarMatcher *m, const Place *place)
{
  static const gunichar least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  AtlGbnfState state = *atl_gbnf_state (&m->s, place->state);
  guint shift = 6u * place->missing;
  gunichar low = place->partial << shift;
  gunichar high = low | ((1u << shift) - 1);

  if (place->missing == 0)
    return TRUE;
  low = MAX (low, least[place->length]);
  high = MIN (high, 0x10ffff);
  for (guint32 i = 0; low <= high && i < state.n; i++)
    {
      const AtlGbnfNode *node = atl_gbnf_top (&m->s, &state, i);
      const AtlGbnfSymbol *symbol = atl_gbnf_symbol (m->grammar, node->symbol);

      if (symbol->kind == ATL_GBNF_CHARS &&
          atl_gbnf_set_meets (m->grammar, symbol->value, low, high))
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
matches_token (const AtlGbnfSymbol *symbol, gint32 id)
{
  return (symbol->kind == ATL_GBNF_TOKEN && symbol->value == (guint32) id) ||
         (symbol->kind == ATL_GBNF_TOKEN_NOT && symbol->value != (guint32) id);
}

/* TRUE if a whole token may be read by its id at `place`. */
static gboolean
token_fits (const AtlGrammarMatcher *m, const Place *place, gint32 id)
{
  AtlGbnfState state = *atl_gbnf_state (&m->s, place->state);

  for (guint32 i = 0; place->missing == 0 && i < state.n; i++)
    {
      const AtlGbnfNode *node = atl_gbnf_top (&m->s, &state, i);

      if (matches_token (atl_gbnf_symbol (m->grammar, node->symbol), id))
        return TRUE;
    }
  return FALSE;
}

static gboolean
has_token_symbols (const AtlGrammarMatcher *m, const Place *place)
{
  AtlGbnfState state = *atl_gbnf_state (&m->s, place->state);

  for (guint32 i = 0; i < state.n; i++)
    {
      const AtlGbnfNode *node = atl_gbnf_top (&m->s, &state, i);

      if (atl_gbnf_symbol (m->grammar, node->symbol)->kind != ATL_GBNF_CHARS)
        return TRUE;
    }
  return FALSE;
}

/* --- Memory --- */

static void
compact (AtlGrammarMatcher *m)
{
  guint32 *kept[] = { &m->places[0].state, &m->places[1].state };

  atl_gbnf_states_compact (&m->s, kept, m->n_places);
}

static void
tidy (AtlGrammarMatcher *m)
{
  if (!m->s.failed &&
      (m->s.nodes->len > ATL_GBNF_MAX_NODES / 2 || m->s.states->len > ATL_GBNF_MAX_STATES))
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
  if (m->s.failed)
    return 0;
  if (!by_token && n_whole == 1)
    out[n_out++] = whole[0];
  else if (by_token || n_whole > 0)
    {
      Place joined = { 0 };

      atl_gbnf_states_begin (&m->s);
      for (guint p = 0; p < n_whole; p++)
        {
          AtlGbnfState state = *atl_gbnf_state (&m->s, whole[p].state);

          if (state.complete)
            atl_gbnf_states_push (&m->s, ATL_GBNF_DONE);
          for (guint32 i = 0; i < state.n; i++)
            atl_gbnf_states_push (&m->s, g_array_index (m->s.tops, guint32, state.first + i));
        }
      for (guint p = 0; p < m->n_places && id >= 0; p++)
        {
          AtlGbnfState state = *atl_gbnf_state (&m->s, m->places[p].state);

          for (guint32 i = 0; m->places[p].missing == 0 && i < state.n; i++)
            {
              AtlGbnfNode node = *atl_gbnf_top (&m->s, &state, i);

              if (matches_token (atl_gbnf_symbol (m->grammar, node.symbol), id))
                atl_gbnf_states_push (&m->s,
                                      atl_gbnf_states_after (&m->s, node.symbol, node.parent));
            }
        }
      joined.state = atl_gbnf_states_close (&m->s);
      if (joined.state != ATL_GBNF_DEAD)
        out[n_out++] = joined;
    }
  return m->s.failed ? 0 : n_out;
}

static gboolean
go_on (AtlGrammarMatcher *m, gint32 id, const char *bytes, gsize n)
{
  Place places[2];
  guint n_places;

  if (m->s.failed || m->ended)
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
      if (atl_gbnf_vocab_is_end (self->vocab, id))
        {
          if (self->s.failed || self->ended || !atl_grammar_matcher_is_complete (self))
            return FALSE;
          self->ended = TRUE;
          return TRUE;
        }
      bytes = atl_gbnf_vocab_piece (self->vocab, id, &n);
      if (n == 0)
        bytes = NULL;
    }
  return go_on (self, id, bytes, n);
}

gboolean
atl_grammar_matcher_is_complete (const AtlGrammarMatcher *self)
{
  g_return_val_if_fail (self != NULL, FALSE);
  if (self->s.failed)
    return FALSE;
  for (guint p = 0; p < self->n_places; p++)
    if (self->places[p].missing == 0 && atl_gbnf_state (&self->s, self->places[p].state)->complete)
      return TRUE;
  return FALSE;
}

gboolean
atl_grammar_matcher_failed (const AtlGrammarMatcher *self)
{
  g_return_val_if_fail (self != NULL, TRUE);
  return self->s.failed;
}

char *
atl_grammar_matcher_shortest (const AtlGrammarMatcher *self,
                              AtlGrammarPieceFunc name,
                              gpointer data)
{
  char *best = NULL;

  g_return_val_if_fail (self != NULL, NULL);
  for (guint p = 0; p < self->n_places; p++)
    {
      char *text = atl_gbnf_states_shortest (&self->s, self->places[p].state, name, data);

      if (text != NULL && (best == NULL || strlen (text) < strlen (best)))
        {
          g_free (best);
          best = g_steal_pointer (&text);
        }
      g_free (text);
    }
  return best;
}

/* --- Asking --- */

gboolean
atl_grammar_matcher_allows (AtlGrammarMatcher *self, gint32 id)
{
  const char *bytes;
  gsize n;
  gboolean fits = FALSE;

  g_return_val_if_fail (self != NULL && self->vocab != NULL, FALSE);
  if (self->s.failed || self->ended || id < 0)
    return FALSE;
  if (atl_gbnf_vocab_is_end (self->vocab, id))
    return atl_grammar_matcher_is_complete (self);
  bytes = atl_gbnf_vocab_piece (self->vocab, id, &n);
  for (guint p = 0; p < self->n_places && !fits; p++)
    {
      Place place = self->places[p];

      fits = token_fits (self, &place, id) || (n > 0 && step_bytes (self, &place, bytes, n));
    }
  tidy (self);
  return fits && !self->s.failed;
}

/* Walks the sorted pieces with the places after each byte of the present one kept on a stack: what
 * two neighbours share is matched once, and all pieces that begin with what did not match are
 * skipped. */
static void
mark_pieces (AtlGrammarMatcher *m, guint p)
{
  const AtlGrammarVocab *vocab = m->vocab;
  Place stack[ATL_GBNF_VOCAB_MAX_PIECE + 1];
  gsize depth = 0; /* bytes of the present piece that matched */

  stack[0] = m->places[p];
  for (gsize i = 0; i < vocab->n_sorted && !m->s.failed;)
    {
      const AtlGbnfPiece *piece = &vocab->sorted[i];
      const char *bytes = vocab->bytes + piece->offset;

      depth = MIN (depth, piece->shared);
      if (m->s.nodes->len > ATL_GBNF_MAX_NODES / 4 * 3 ||
          m->s.states->len > ATL_GBNF_MAX_STATES * 10)
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
  for (guint p = 0; p < self->n_places && !self->ended && !self->s.failed; p++)
    {
      mark_pieces (self, p);
      if (!self->s.failed && has_token_symbols (self, &self->places[p]))
        for (gsize id = 0; id < n_tokens; id++)
          self->allowed[id] |= token_fits (self, &self->places[p], (gint32) id);
    }
  if (self->s.failed)
    memset (self->allowed, 0, n_tokens);
  for (gsize i = 0; i < self->vocab->n_ends; i++)
    self->allowed[self->vocab->ends[i]] = complete && !self->s.failed;
  for (gsize id = 0; id < n_vocab; id++)
    if (id >= n_tokens || !self->allowed[id])
      logits[id] = -INFINITY;
  tidy (self);
}

/* --- Life --- */

AtlGrammarMatcher *
atl_grammar_matcher_new (AtlGrammar *grammar, AtlGrammarVocab *vocab)
{
  AtlGrammarMatcher *self;
  guint32 state;

  g_return_val_if_fail (grammar != NULL, NULL);
  self = g_new0 (AtlGrammarMatcher, 1);
  self->grammar = atl_grammar_ref (grammar);
  self->vocab = vocab != NULL ? atl_grammar_vocab_ref (vocab) : NULL;
  atl_gbnf_states_init (&self->s, grammar);
  state = atl_gbnf_states_start (&self->s);
  self->places[0].state = state;
  self->n_places = state != ATL_GBNF_DEAD;
  return self;
}

void
atl_grammar_matcher_free (AtlGrammarMatcher *self)
{
  if (self == NULL)
    return;
  atl_gbnf_states_clear (&self->s);
  g_free (self->allowed);
  atl_grammar_unref (self->grammar);
  atl_grammar_vocab_unref (self->vocab);
  g_free (self);
}
