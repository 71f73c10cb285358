/* Sizes and weights of Z-Image's transformer (zimage.c says what is computed). */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/image/zimage-private.h"

static gboolean
read_block (
    const ZImage *m, AtlSource *s, ZImageBlock *b, gint64 mod_dim, const char *list, guint i)
{
  g_autofree char *p = g_strdup_printf ("%s.%u", list, i);
  g_autofree char *attention = g_strconcat (p, ".attention", NULL);
  g_autofree char *fused = g_strconcat (attention, ".qkv", NULL);
  gint64 D = m->dim, kv = m->n_kv_heads * m->head_dim;
  AtlAffine qkv[3] = { 0 };

  if (!atl_source_has (s, "%s.feed_forward.w1", p))
    return FALSE;
  if (mod_dim > 0)
    b->mod = atl_source_linear (s, 4 * D, mod_dim, "%s.adaLN_modulation.0", p);
  atl_source_split (s, D, 3, attention, (const char *const[]){ "to_q", "to_k", "to_v" },
                    (gint64[]){ D, kv, kv }, fused, qkv);
  b->q = qkv[0];
  b->k = qkv[1];
  b->v = qkv[2];
  b->out = atl_source_linear (s, D, D, "%s.attention.to_out.0", p);
  b->norm_q = atl_source_norm (s, m->head_dim, FALSE, "%s.attention.norm_q", p);
  b->norm_k = atl_source_norm (s, m->head_dim, FALSE, "%s.attention.norm_k", p);
  b->norm1 = atl_source_norm (s, D, FALSE, "%s.attention_norm1", p);
  b->norm2 = atl_source_norm (s, D, FALSE, "%s.attention_norm2", p);
  b->ffn_norm1 = atl_source_norm (s, D, FALSE, "%s.ffn_norm1", p);
  b->ffn_norm2 = atl_source_norm (s, D, FALSE, "%s.ffn_norm2", p);
  b->w1 = atl_source_linear (s, -1, D, "%s.feed_forward.w1", p);
  b->w3 = atl_source_linear (s, -1, D, "%s.feed_forward.w3", p);
  b->w2 = atl_source_linear (s, D, -1, "%s.feed_forward.w2", p);
  return TRUE;
}

static void
read_weights (ZImage *m, AtlSource *s)
{
  gint64 D = m->dim, M = atl_source_rows (s, "t_embedder.mlp.2"), T;

  m->time.first = atl_source_linear (s, -1, ATL_DENOISER_FREQS, "t_embedder.mlp.0");
  m->time.second = atl_source_linear (s, M, -1, "t_embedder.mlp.2");
  m->x_embedder =
      atl_source_linear (s, D, m->channels * ZIMAGE_PATCH * ZIMAGE_PATCH, "all_x_embedder.2-1");
  m->text_norm =
      atl_source_norm (s, atl_source_rows (s, "cap_embedder.0"), FALSE, "cap_embedder.0");
  T = m->text_norm.w != NULL ? m->text_norm.w->dim[0] : -1;
  m->text_linear = atl_source_linear (s, D, T, "cap_embedder.1");
  m->x_pad = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ 1, D }, FALSE, "x_pad_token");
  m->text_pad = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ 1, D }, FALSE, "cap_pad_token");
  while (m->n_refiners < ZIMAGE_MAX_REFINERS &&
         read_block (m, s, &m->refiners[m->n_refiners], M, "noise_refiner", m->n_refiners))
    m->n_refiners++;
  while (m->n_text_refiners < ZIMAGE_MAX_REFINERS &&
         read_block (m, s, &m->text_refiners[m->n_text_refiners], 0, "context_refiner",
                     m->n_text_refiners))
    m->n_text_refiners++;
  if (atl_source_has (s, "siglip_embedder.1"))
    {
      m->siglip_norm = atl_source_norm (s, -1, FALSE, "siglip_embedder.0");
      m->siglip_linear = atl_source_linear (s, D, -1, "siglip_embedder.1");
      m->siglip_pad =
          atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ 1, D }, FALSE, "siglip_pad_token");
      while (m->n_siglip_refiners < ZIMAGE_MAX_REFINERS &&
             read_block (m, s, &m->siglip_refiners[m->n_siglip_refiners], 0, "siglip_refiner",
                         m->n_siglip_refiners))
        m->n_siglip_refiners++;
    }
  while (m->n_layers < ZIMAGE_MAX_LAYERS &&
         read_block (m, s, &m->layers[m->n_layers], M, "layers", m->n_layers))
    m->n_layers++;
  m->out_mod = atl_source_linear (s, D, M, "all_final_layer.2-1.adaLN_modulation.1");
  m->out = atl_source_linear (s, m->channels * ZIMAGE_PATCH * ZIMAGE_PATCH, D,
                              "all_final_layer.2-1.linear");
}

/* Sizes that shapes tell, and the rest from the configuration or as published. */
static gboolean
read_config (ZImage *m, const AtlSource *s, const AtlCheckpoint *cp, GError **error)
{
  static const gint64 published[ZIMAGE_N_AXES] = { 32, 48, 48 };
  guint64 n_kv = 0;
  double eps = 1e-5;
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims, n_axes = ZIMAGE_N_AXES;
  GError *local = NULL;

  m->theta = 256;
  m->time_scale = 1000;
  memcpy (m->axis, published, sizeof published);
  m->dim = atl_source_rows (s, "all_x_embedder.2-1");
  m->head_dim = atl_source_rows (s, "layers.0.attention.norm_q");
  if (atl_source_shape (s, "all_x_embedder.2-1", &n_dims, dim) && n_dims >= 2)
    m->channels = dim[1] / (ZIMAGE_PATCH * ZIMAGE_PATCH);
  if (m->head_dim < 2 || m->dim < 1 || m->dim % m->head_dim != 0 || m->channels < 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: the heads and the patches of this Z-Image transformer do not fit "
                      "together"),
                   atl_checkpoint_name (cp));
      return FALSE;
    }
  if (!atl_denoiser_axes (cp, "axes_dims", ZIMAGE_N_AXES, ZIMAGE_N_AXES, m->head_dim, m->axis,
                          &n_axes, error))
    return FALSE;
  m->n_heads = m->dim / m->head_dim;
  atl_checkpoint_get_float (cp, "rope_theta", 1, 1e12, &m->theta, &local);
  if (local == NULL)
    atl_checkpoint_get_float (cp, "t_scale", 1e-3, 1e6, &m->time_scale, &local);
  if (local == NULL)
    atl_checkpoint_get_float (cp, "norm_eps", 0, 1, &eps, &local);
  if (local == NULL)
    atl_checkpoint_get_uint (cp, "n_kv_heads", 1, (guint64) m->n_heads, &n_kv, &local);
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  m->eps = (float) eps;
  m->n_kv_heads = n_kv > 0 ? (gint64) n_kv : m->n_heads;
  return TRUE;
}

gboolean
zimage_read_weights (ZImage *m, AtlSource *s, const AtlCheckpoint *cp, GError **error)
{
  if (!read_config (m, s, cp, error))
    return FALSE;
  read_weights (m, s);
  return TRUE;
}
