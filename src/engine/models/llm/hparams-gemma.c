/* Hyperparameters that only Gemma 3n and 4 have. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/hparams-private.h"

#include <glib/gi18n.h>
#include <math.h>

/* Where the file does not say: ten layers in which one gate of twenty passes. */
#define SPARSE_LAYERS 10
#define SPARSITY 1.6448533535003662

static void
read_sparsity (AtlLlmHparams *h, AtlLlmKeys *k)
{
  const AtlMetaValue *scale = atl_llm_key_meta (k, "activation_sparsity_scale");

  for (guint il = 0; il < h->n_layer; il++)
    h->layers[il].sparsity = h->traits->streams && il < SPARSE_LAYERS ? SPARSITY : -INFINITY;
  if (scale == NULL || !h->traits->streams)
    return;
  if (scale->type != ATL_META_ARRAY || scale->v_array.elem_type != ATL_META_FLOAT ||
      scale->v_array.n < h->n_layer)
    {
      atl_llm_key_fail (
          k, _ ("“%s.activation_sparsity_scale” should hold a number for each of %u layers"),
          k->prefix, h->n_layer);
      return;
    }
  for (guint il = 0; il < h->n_layer; il++)
    {
      double value = ((const double *) scale->v_array.elems)[il];

      /* Minus infinity lets every gate pass. */
      if (!(fabs (value) <= 100.0) && !(value < 0.0))
        atl_llm_key_fail (k, _ ("number %u of “%s.activation_sparsity_scale” is %g"), il, k->prefix,
                          value);
      h->layers[il].sparsity = value >= -100.0 ? value : -INFINITY;
    }
}

/* Full layers of the models without per-layer embeddings may lack values: all of them or none. */
static gboolean
lacks_values (const AtlLlmHparams *h, AtlLlmKeys *k)
{
  if (!h->traits->keys_as_values || h->n_embd_per_layer > 0)
    return FALSE;
  for (guint il = 0; il < h->n_layer; il++)
    {
      const AtlLlmLayer *l = &h->layers[il];
      g_autofree char *name = g_strdup_printf ("blk.%u.attn_v.weight", il);

      if (!l->windowed &&
          (l->head_dim != l->head_dim_v || atl_checkpoint_find (k->cp, name) != NULL))
        return FALSE;
    }
  return TRUE;
}

void
hparams_read_gemma (AtlLlmHparams *h, AtlLlmKeys *k)
{
  h->n_streams = 1;
  read_sparsity (h, k);
  if (h->traits->per_layer_embedding)
    atl_llm_key_uint (k, "embedding_length_per_layer_input", 0, 1 << 16, FALSE,
                      &h->n_embd_per_layer);
  h->keys_as_values = lacks_values (h, k);
  if (!h->traits->streams)
    return;
  h->n_streams = 4;
  atl_llm_key_uint (k, "altup.num_inputs", 2, ATL_LLM_MAX_STREAMS, FALSE, &h->n_streams);
  atl_llm_key_uint (k, "altup.active_idx", 0, h->n_streams - 1, FALSE, &h->active_stream);
  if (h->n_embd_per_layer == 0)
    atl_llm_key_fail (k, _ ("the key “%s.embedding_length_per_layer_input” is missing or 0"),
                      k->prefix);
}
