/* Windowed layers keep their window: the cells of such a layer hold the tokens from `local_base`
 * on.
 *
 * When the cells are full, what the next token still sees moves to their beginning. That happens
 * once in many tokens, and keys of a window stay neighbours: attention reads one range, as ever. */
#define G_LOG_DOMAIN "atl-models"

#include <string.h>

#include "engine/models/llm/llm-private.h"

static gboolean
move_rows (const AtlState *state, guint from, guint n, GError **error)
{
  AtlBackend *backend = state->buffer->backend;
  gsize row = state->size_bytes / (gsize) state->dim[0];
  g_autofree guint8 *staging = NULL;

  if (state->buffer->host != NULL)
    {
      memmove (state->buffer->host, (guint8 *) state->buffer->host + from * row, n * row);
      return TRUE;
    }
  staging = g_malloc (MAX (n * row, 1));
  return backend->klass->read (backend, state->buffer, from * row, staging, n * row, error) &&
         backend->klass->write (backend, state->buffer, 0, staging, n * row, error);
}

gboolean
llm_window_slide (AtlLlmCache *cache, guint start, guint n_tokens, GError **error)
{
  const AtlLlmHparams *h = &cache->llm->decoder.h;
  guint cells = atl_llm_hparams_local_cells (h, cache->n_ctx);
  guint base;

  if (h->window == 0 || start + n_tokens - cache->local_base <= cells)
    return TRUE;
  base = start - MIN (start, h->window - 1);
  g_assert (start + n_tokens - base <= cells);
  for (guint il = 0; il < h->n_layer; il++)
    for (guint role = ATL_LLM_STATE_K; role <= ATL_LLM_STATE_V; role++)
      {
        const AtlState *state = cache->states[atl_decoder_state_index (il, role)];

        if (h->layers[il].windowed && state != NULL &&
            !move_rows (state, base - cache->local_base, start - base, error))
          return FALSE;
      }
  cache->local_base = base;
  return TRUE;
}

gboolean
llm_window_holds (const AtlLlmCache *cache, guint length)
{
  return cache->local_base == 0 ||
         (guint64) length + 1 >= (guint64) cache->local_base + cache->llm->decoder.h.window;
}
