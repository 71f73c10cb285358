/* Plans by shape: one serves every cache of the same kind.
 *
 * A graph names states, and a plan is replayed; so a plan's graph names states of its own, and
 * before each run these are pointed at the memory of the caches whose turn it is. Sequences come
 * and go, and caches grow, without a new plan. */
#define G_LOG_DOMAIN "atl-models"

#include <string.h>

#include "engine/models/llm/llm-private.h"

/* Plans of more tokens are prompts': large, and of many lengths. */
#define SMALL_TOKENS 32u
#define MAX_LARGE_PLANS 3u

void
llm_plan_clear (AtlLlmPlan *self)
{
  g_clear_pointer (&self->plan, atl_plan_free);
  g_clear_pointer (&self->key, g_free);
  g_clear_pointer (&self->states, g_free);
  g_clear_pointer (&self->pointers, g_free);
  self->n_key = 0;
  self->last_used = 0;
}

static gsize
n_states (const AtlLlm *self)
{
  return (gsize) self->decoder.h.n_layer * ATL_LLM_N_STATES;
}

/* The plan's own states take the memory of the pieces' caches. */
static void
bind (const AtlLlm *self, AtlLlmPlan *p, const LlmPiece *pieces, guint n_pieces)
{
  for (guint i = 0; i < n_pieces; i++)
    for (gsize k = 0; k < n_states (self); k++)
      if (pieces[i].cache->states[k] != NULL)
        p->states[i * n_states (self) + k].buffer = pieces[i].cache->states[k]->buffer;
}

/* Shapes as if the caches were full: ranges keep every run inside what there is. */
static void
make_states (const AtlLlm *self, AtlLlmPlan *p, const LlmPiece *pieces, guint n_pieces)
{
  p->states = g_new0 (AtlState, n_pieces * n_states (self));
  p->pointers = g_new0 (AtlState *, n_pieces * n_states (self));
  for (guint i = 0; i < n_pieces; i++)
    for (guint il = 0; il < self->decoder.h.n_layer; il++)
      for (guint role = 0; role < ATL_LLM_N_STATES; role++)
        {
          gsize at = i * n_states (self) + atl_decoder_state_index (il, role);
          const AtlLlmCache *cache = pieces[i].cache;
          AtlState *state = &p->states[at];
          AtlLlmStateShape shape;

          if (!atl_llm_hparams_state (&self->decoder.h, il, role, cache->n_ctx, cache->kv_dtype,
                                      &shape))
            continue;
          state->name = (char *) shape.name;
          state->dtype = shape.dtype;
          state->n_dims = shape.n_dims;
          memcpy (state->dim, shape.dim, sizeof shape.dim);
          p->pointers[at] = state;
        }
}

static guint
count_tokens (const LlmPiece *pieces, guint n_pieces)
{
  guint n = 0;

  for (guint i = 0; i < n_pieces; i++)
    n += pieces[i].n_tokens;
  return n;
}

/* A free place, or that of the plan of this size that was not used for longest. */
static AtlLlmPlan *
find_place (AtlLlm *self, gboolean is_large)
{
  AtlLlmPlan *oldest = NULL;
  guint first = is_large ? 0 : MAX_LARGE_PLANS;
  guint end = is_large ? MAX_LARGE_PLANS : ATL_LLM_MAX_PLANS;

  for (guint i = first; i < end; i++)
    if (oldest == NULL || self->plans[i].last_used < oldest->last_used)
      oldest = &self->plans[i];
  return oldest;
}

AtlPlan *
llm_plan_for (AtlLlm *self, const LlmPiece *pieces, guint n_pieces, guint n_rows, GError **error)
{
  guint n_key = 3 * n_pieces + 1;
  g_autofree guint64 *key = g_new (guint64, n_key);
  g_autofree AtlDecoderSegment *segments = g_new (AtlDecoderSegment, n_pieces);
  g_autoptr (AtlPlan) plan = NULL;
  AtlLlmPlan *p;

  for (guint i = 0; i < n_pieces; i++)
    {
      key[3 * i] = pieces[i].cache->n_ctx;
      key[3 * i + 1] = pieces[i].cache->kv_dtype;
      key[3 * i + 2] = pieces[i].n_tokens;
    }
  key[n_key - 1] = n_rows;

  for (guint i = 0; i < ATL_LLM_MAX_PLANS; i++)
    {
      p = &self->plans[i];
      if (p->n_key == n_key && memcmp (p->key, key, n_key * sizeof *key) == 0)
        {
          p->last_used = ++self->clock;
          bind (self, p, pieces, n_pieces);
          return p->plan;
        }
    }

  p = find_place (self, count_tokens (pieces, n_pieces) > SMALL_TOKENS);
  llm_plan_clear (p);
  make_states (self, p, pieces, n_pieces);
  bind (self, p, pieces, n_pieces);
  for (guint i = 0; i < n_pieces; i++)
    segments[i] = (AtlDecoderSegment){ pieces[i].n_tokens, p->pointers + i * n_states (self) };
  plan = atl_plan_new (atl_decoder_graph (&self->decoder, segments, n_pieces, n_rows),
                       self->backends, self->n_backends, error);
  if (plan == NULL || !atl_plan_allocate (plan, error))
    {
      g_clear_pointer (&plan, atl_plan_free);
      llm_plan_clear (p);
      return NULL;
    }
  p->plan = g_steal_pointer (&plan);
  p->key = g_steal_pointer (&key);
  p->n_key = n_key;
  p->last_used = ++self->clock;
  return p->plan;
}
