/* Guesses of a small model: its caches, how far to guess, and when not to. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/draft-model.h"

#include <math.h>

#include "engine/pipelines/token-probs.h"

/* What the small model has missed of a text is computed so many tokens at a time, between two
 * steps of the answer. */
#define CHUNK 256u
/* More than a step can leave behind. */
#define FEW (2 * ATL_PACE_ROWS)
/* An answer of unknown length is taken to have so many tokens more at most. */
#define EXPECTED_LEFT 256u
/* The part of that time that guessing may save, before anything is known. */
#define EXPECTED_GAIN 0.25
/* Steps after which the gain is looked at: of one that is on trial, and of one that has paid. */
#define TRIAL_STEPS 4u
#define STEPS 16u
/* The first steps of all make plans, which later ones find ready: they prove nothing. */
#define WARM_UP_STEPS 4u
/* Tokens of the first pause; each further one is twice as long, up to so many times. */
#define PAUSE 64u
#define MAX_FAILURES 4u
#define FIRST_PAUSE_MAX 16u

/* Classes of how sure the small model is, by the probability of its guess. */
#define N_CLASSES 6u
static const double class_end[N_CLASSES] = { 0.3, 0.5, 0.7, 0.85, 0.95, 2.0 };
static const double class_middle[N_CLASSES] = { 0.2, 0.4, 0.6, 0.78, 0.9, 0.97 };
/* What is supposed counts as so many guesses. */
#define SUPPOSED 4.0
#define RECENT 256u

struct _AtlDraftModel
{
  AtlLlm *llm; /* borrowed; NULL when it is retired */
  AtlConversations *conversations;
  gboolean is_guessing;
  guint n_ctx, n_vocab;
  double token_s;   /* a guess; 0: not known */
  double prefill_s; /* a token that was missed; 0: not known */
  guint n_tried[N_CLASSES], n_right[N_CLASSES];
  guint n_all_tried, n_all_right;
  /* Whether it pays. */
  guint n_warm_up, n_pause, n_failures, n_steps;
  gboolean is_proven;
  double balance_s;
};

AtlDraftModel *
atl_draft_model_new (AtlLlm *llm, guint n_ctx, guint n_vocab, const AtlChatRoom *room)
{
  AtlDraftModel *self = g_new0 (AtlDraftModel, 1);

  self->llm = llm;
  self->n_ctx = n_ctx;
  self->n_vocab = MIN (n_vocab, atl_llm_info (llm)->n_vocab);
  self->conversations = atl_conversations_new (llm, n_ctx, ATL_DTYPE_F16, room);
  return self;
}

void
atl_draft_model_free (AtlDraftModel *self)
{
  if (self == NULL)
    return;
  atl_conversations_free (self->conversations);
  g_free (self);
}

guint64
atl_draft_model_bytes (const AtlDraftModel *self)
{
  return atl_conversations_bytes (self->conversations);
}

gint64
atl_draft_model_oldest (const AtlDraftModel *self)
{
  return atl_conversations_oldest (self->conversations);
}

guint64
atl_draft_model_drop_oldest (AtlDraftModel *self)
{
  return atl_conversations_drop_oldest (self->conversations);
}

gboolean
atl_draft_model_retire (AtlDraftModel *self)
{
  if (self->is_guessing)
    return FALSE;
  while (atl_conversations_drop_oldest (self->conversations) > 0)
    ;
  self->llm = NULL;
  return TRUE;
}

/* --- What is known of its guesses --- */

static void
mix (double *mean, double value)
{
  *mean = *mean == 0 ? value : *mean + (value - *mean) / 8;
}

static guint
find_class (double probability)
{
  guint i = 0;

  while (i + 1 < N_CLASSES && probability >= class_end[i])
    i++;
  return i;
}

/* How often a guess of this class is right. */
static double
rightness (const AtlDraftModel *self, guint i)
{
  return (self->n_right[i] + SUPPOSED * class_middle[i]) / (self->n_tried[i] + SUPPOSED);
}

/* The same of whatever comes next. */
static double
rightness_of_all (const AtlDraftModel *self)
{
  return (self->n_all_right + SUPPOSED * 0.7) / (self->n_all_tried + SUPPOSED);
}

static void
learn (AtlDraftModel *self, guint i, gboolean is_right)
{
  self->n_tried[i]++;
  self->n_right[i] += is_right;
  self->n_all_tried++;
  self->n_all_right += is_right;
  if (self->n_tried[i] >= RECENT)
    {
      self->n_tried[i] /= 2;
      self->n_right[i] /= 2;
    }
  if (self->n_all_tried >= RECENT / 4)
    {
      self->n_all_tried /= 2;
      self->n_all_right /= 2;
    }
}

/* --- Guessing --- */

/* Whether to compute `n` tokens that were missed, for what may be saved of the rest. */
static gboolean
is_worth (const AtlDraftModel *self, const AtlPace *pace, const AtlDraftContext *context, guint n)
{
  double left = MIN (context->n_left, EXPECTED_LEFT);
  double gain = ldexp (EXPECTED_GAIN, -(int) self->n_failures) * left *
                atl_pace_worth (pace, context->place.n_turns);

  return self->prefill_s == 0 || gain == 0 || n * self->prefill_s <= gain;
}

/* The next tokens of the text into the cache. */
static gboolean
feed (AtlDraftModel *self,
      AtlConversation *c,
      const gint32 *tokens,
      guint n,
      GCancellable *cancellable)
{
  AtlLlmBatch batch = { c->cache, tokens, n, FALSE };

  if (!atl_conversations_grow (self->conversations, c, n, NULL) ||
      !atl_llm_decode (self->llm, &batch, 1, cancellable, NULL))
    {
      g_array_set_size (c->ids, atl_llm_cache_length (c->cache));
      return FALSE;
    }
  g_array_append_vals (c->ids, tokens, n);
  return TRUE;
}

/* Computes a piece of what was missed. */
static void
catch_up (AtlDraftModel *self, AtlConversation *c, const AtlDraftContext *context)
{
  const GArray *ids = context->place.ids;
  guint n = MIN (ids->len - 1 - c->ids->len, CHUNK);
  gint64 start = g_get_monotonic_time ();

  if (feed (self, c, &g_array_index (ids, gint32, c->ids->len), n, context->cancellable))
    mix (&self->prefill_s,
         (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC / MAX (n, 1));
}

/* The likeliest token of the last logits, and how likely it is. */
static gint32
choose (const AtlDraftModel *self, double *probability)
{
  const float *logits = atl_llm_logits (self->llm, 0);
  AtlTokenProb best;
  double norm = atl_token_probs_norm (logits, self->n_vocab);

  if (atl_token_probs_top (logits, self->n_vocab, norm, &best, 1) == 0)
    return -1;
  *probability = exp (best.logprob);
  return best.id;
}

/* Whether a guess that is right with this probability repays a token more in the step. */
static gboolean
repays (const AtlPace *pace, const AtlDraftPlace *place, double reached, double own_s, guint max)
{
  double worth = atl_pace_worth (pace, place->n_turns);
  double row = atl_pace_extra (pace, place->n_rows, max) / max;

  /* What is right before the first wrong one has to be computed once more. */
  if (place->recomputes)
    row += (1 - reached) * row;
  return worth == 0 || reached * worth > row + own_s;
}

static void
guess_on (AtlDraftModel *self,
          AtlConversation *c,
          const AtlPace *pace,
          const AtlDraftContext *context,
          guint max,
          AtlDraftGuess *guess)
{
  const GArray *ids = context->place.ids;
  double reached = 1, probability = 0;
  gint64 start;

  if (!feed (self, c, &g_array_index (ids, gint32, c->ids->len), ids->len - c->ids->len,
             context->cancellable))
    return;
  /* From here on all is guesswork that may have to be taken back. */
  atl_llm_cache_checkpoint (c->cache);
  while (guess->n < max)
    {
      gint32 token = choose (self, &probability);
      guint i = find_class (probability);

      reached *= rightness (self, i);
      if (token < 0 || !repays (pace, &context->place, reached, 0, max))
        break;
      guess->sureness[guess->n] = (guint8) i;
      guess->tokens[guess->n++] = token;
      if (guess->n == max ||
          !repays (pace, &context->place, reached * rightness_of_all (self), self->token_s, max))
        break;
      start = g_get_monotonic_time ();
      if (!feed (self, c, &token, 1, context->cancellable))
        break;
      mix (&self->token_s, (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC);
    }
}

static void
guess_in_conversation (AtlDraftModel *self,
                       const AtlPace *pace,
                       const AtlDraftContext *context,
                       guint max,
                       AtlDraftGuess *guess)
{
  const GArray *ids = context->place.ids;
  AtlConversation *c = atl_conversations_take (self->conversations, context->key, ids, NULL);
  gint64 start;

  if (c == NULL)
    return;
  if (ids->len - c->ids->len > FEW && is_worth (self, pace, context, ids->len - c->ids->len))
    catch_up (self, c, context);
  if (ids->len - c->ids->len <= FEW)
    {
      start = g_get_monotonic_time ();
      guess_on (self, c, pace, context, max, guess);
      guess->seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
    }
  atl_conversations_give_back (self->conversations, c);
}

void
atl_draft_model_guess (AtlDraftModel *self,
                       const AtlPace *pace,
                       const AtlDraftContext *context,
                       guint max,
                       AtlDraftGuess *guess)
{
  *guess = (AtlDraftGuess){ 0 };
  max = MIN (max, ATL_DRAFT_MAX);
  /* Another answer may be of another kind. */
  if (context->is_first)
    {
      self->n_pause = MIN (self->n_pause, FIRST_PAUSE_MAX);
      self->n_failures -= self->n_failures > 0;
    }
  if (self->n_pause > 0)
    {
      self->n_pause--;
      return;
    }
  if (self->llm == NULL || max == 0 || context->place.ids->len + max > self->n_ctx)
    return;
  self->is_guessing = TRUE;
  guess_in_conversation (self, pace, context, max, guess);
  self->is_guessing = FALSE;
}

void
atl_draft_model_note (AtlDraftModel *self,
                      const AtlPace *pace,
                      const AtlDraftPlace *place,
                      const AtlDraftGuess *guess,
                      guint n_accepted)
{
  double worth = atl_pace_worth (pace, place->n_turns);

  if (guess->seconds == 0)
    return;
  for (guint i = 0; i < MIN (n_accepted + 1, guess->n); i++)
    learn (self, guess->sureness[i], i < n_accepted);
  if (worth == 0 || self->n_warm_up < WARM_UP_STEPS)
    {
      self->n_warm_up++;
      return;
    }
  self->balance_s +=
      n_accepted * worth - guess->seconds - atl_pace_extra (pace, place->n_rows, guess->n);
  if (place->recomputes && n_accepted < guess->n)
    self->balance_s -= atl_pace_extra (pace, place->n_rows, n_accepted + 1);
  if (++self->n_steps < (self->is_proven ? STEPS : TRIAL_STEPS))
    return;
  self->is_proven = self->balance_s > 0;
  if (self->is_proven)
    self->n_failures = 0;
  else
    {
      self->n_pause = PAUSE << self->n_failures;
      self->n_failures = MIN (self->n_failures + 1, MAX_FAILURES);
    }
  self->n_steps = 0;
  self->balance_s = 0;
}
