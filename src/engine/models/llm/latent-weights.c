/* The weights of latent attention, in the two layouts that files have.
 *
 * Now: attn_k_b [H, L, nope] and attn_v_b [H, dv, L], ready for the absorbed form. Before: one
 * attn_kv_b [H * (nope + dv), L], per head the rows of K_h and then of V_h; K_h is turned around
 * before use.
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-weights.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/quantize.h"

#include <string.h>

void
decoder_add_latent_attention (const AtlLlmHparams *h, AtlWeights *ws, guint il, AtlDecoderLayer *l)
{
  const AtlLlmMla *m = &h->mla;
  gint64 D = h->n_embd, H = h->layers[il].n_head, L = m->n_kv_lora;
  gint64 n_q = H * (m->n_nope + m->n_rope);

  if (m->n_q_lora > 0)
    {
      l->wq_a = decoder_matrix (ws, il, m->n_q_lora, D, "attn_q_a");
      l->q_a_norm = decoder_vector (h, ws, il, m->n_q_lora, TRUE, "attn_q_a_norm.weight");
      l->wq = decoder_matrix (ws, il, n_q, m->n_q_lora, "attn_q_b");
    }
  else
    {
      l->wq = decoder_matrix (ws, il, n_q, D, "attn_q");
    }
  l->wkv_a = decoder_matrix (ws, il, L + m->n_rope, D, "attn_kv_a_mqa");
  l->kv_a_norm = decoder_vector (h, ws, il, L, TRUE, "attn_kv_a_norm.weight");
  l->kv_b = decoder_optional (h, ws, 0, il, DIM (H * (m->n_nope + m->n_v), L), "attn_kv_b.weight");
  if (l->kv_b == NULL)
    {
      l->k_b = atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (H, L, m->n_nope),
                                "blk.%u.attn_k_b.weight", il);
      l->v_b = atl_weights_add (ws, ATL_USE_LINEAR, il, DIM (H, m->n_v, L),
                                "blk.%u.attn_v_b.weight", il);
    }
  l->wo = decoder_matrix (ws, il, D, H * m->n_v, "attn_output");
}

/* Types with blocks along a row cannot be turned; half precision holds what they stand for. */
static AtlDType
turned_dtype (AtlDType dtype)
{
  return dtype == ATL_DTYPE_F32 || dtype == ATL_DTYPE_BF16 ? dtype : ATL_DTYPE_F16;
}

guint64
atl_decoder_latent_dtypes (const AtlDecoder *self)
{
  guint64 dtypes = 0;

  for (guint il = 0; il < self->h.n_layer; il++)
    {
      const AtlWeight *kv_b = self->layers[il].kv_b;

      if (kv_b != NULL)
        dtypes |= 1ull << kv_b->dtype | 1ull << turned_dtype (kv_b->dtype);
    }
  return dtypes;
}

/* Rows of a weight as they lie in the file, or as they are made from one. */
static void
read_rows (const AtlWeight *w, gint64 first, gint64 n, guint8 *out)
{
  const gsize row_bytes = w->size_bytes / (gsize) w->dim[0];

  if (w->made != NULL)
    w->made->rows (w->made, first, n, out);
  else
    memcpy (out, w->data + (gsize) first * row_bytes, (gsize) n * row_bytes);
}

static GBytes *
turn_keys (const AtlLlmMla *m, const AtlWeight *kv_b, gint64 n_heads, AtlDType dtype)
{
  const gint64 L = m->n_kv_lora, rows = m->n_nope + m->n_v;
  const gsize row_bytes = kv_b->size_bytes / (gsize) kv_b->dim[0];
  const gsize element = atl_dtype_info (dtype)->block_bytes;
  const gsize head_elems = (gsize) L * m->n_nope;
  g_autofree float *row = g_new (float, L);
  g_autofree float *head = g_new (float, head_elems);
  g_autofree guint8 *stored = g_malloc (row_bytes);
  guint8 *out = g_malloc ((gsize) n_heads * head_elems * element);

  for (gint64 i = 0; i < n_heads; i++)
    {
      for (gint64 k = 0; k < m->n_nope; k++)
        {
          read_rows (kv_b, i * rows + k, 1, stored);
          atl_dequantize (kv_b->dtype, stored, row, L);
          for (gint64 j = 0; j < L; j++)
            head[j * m->n_nope + k] = row[j];
        }
      atl_quantize (dtype, head, out + (gsize) i * head_elems * element, head_elems);
    }
  return g_bytes_new_take (out, (gsize) n_heads * head_elems * element);
}

static GBytes *
gather_values (const AtlLlmMla *m, const AtlWeight *kv_b, gint64 n_heads)
{
  const gsize row_bytes = kv_b->size_bytes / (gsize) kv_b->dim[0];
  const gsize head_bytes = row_bytes * m->n_v;
  guint8 *out = g_malloc ((gsize) n_heads * head_bytes);

  for (gint64 i = 0; i < n_heads; i++)
    read_rows (kv_b, i * (m->n_nope + m->n_v) + m->n_nope, m->n_v, out + (gsize) i * head_bytes);
  return g_bytes_new_take (out, (gsize) n_heads * head_bytes);
}

void
atl_decoder_unfold (AtlDecoder *self)
{
  const AtlLlmMla *m = &self->h.mla;

  for (guint il = 0; il < self->h.n_layer; il++)
    {
      AtlDecoderLayer *l = &self->layers[il];
      const AtlWeight *kv_b = l->kv_b;
      gint64 H = self->h.layers[il].n_head;
      g_autofree char *k_name = g_strdup_printf ("blk.%u.attn_kv_b.weight, keys", il);
      g_autofree char *v_name = g_strdup_printf ("blk.%u.attn_kv_b.weight, values", il);
      AtlDType dtype;

      if (kv_b == NULL || l->k_b != NULL)
        continue;
      dtype = turned_dtype (kv_b->dtype);
      l->k_b = atl_weights_add_bytes (self->weights, ATL_USE_LINEAR, (gint) il, dtype,
                                      DIM (H, m->n_kv_lora, m->n_nope),
                                      turn_keys (m, kv_b, H, dtype), k_name);
      l->v_b =
          atl_weights_add_bytes (self->weights, ATL_USE_LINEAR, (gint) il, kv_b->dtype,
                                 DIM (H, m->n_v, m->n_kv_lora), gather_values (m, kv_b, H), v_name);
      l->k_b->scale = l->v_b->scale = kv_b->scale;
    }
}
