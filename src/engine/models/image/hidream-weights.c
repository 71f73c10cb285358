/* The configuration and the weights of HiDream's transformer. */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/stack.h"
#include "engine/models/image/hidream-private.h"

#define MAX_EXPERTS 64
#define MAX_SIDE 8192 /* of a latent */

static void
read_attention (HiDream *m, AtlSource *s, HiDreamAttention *a, const char *p, const char *suffix)
{
  gint64 D = m->dim;

  a->q = atl_source_linear (s, D, D, "%s.attn1.to_q%s", p, suffix);
  a->k = atl_source_linear (s, D, D, "%s.attn1.to_k%s", p, suffix);
  a->v = atl_source_linear (s, D, D, "%s.attn1.to_v%s", p, suffix);
  a->out = atl_source_linear (s, D, D, "%s.attn1.to_out%s", p, suffix);
  a->norm_q = atl_source_norm (s, D, FALSE, "%s.attn1.q_rms_norm%s", p, suffix);
  a->norm_k = atl_source_norm (s, D, FALSE, "%s.attn1.k_rms_norm%s", p, suffix);
}

static void
read_gated (HiDream *m, AtlSource *s, HiDreamGated *f, const char *p, const char *name)
{
  gint64 width;

  f->w1 = atl_source_linear (s, -1, m->dim, "%s.%s.w1", p, name);
  width = f->w1.w != NULL ? f->w1.w->dim[0] : -1;
  f->w3 = atl_source_linear (s, width, m->dim, "%s.%s.w3", p, name);
  f->w2 = atl_source_linear (s, m->dim, width, "%s.%s.w2", p, name);
}

static void
read_experts (HiDream *m, AtlSource *s, HiDreamExperts *e, const char *p)
{
  g_autofree char *gate = g_strconcat (p, ".ff_i.gate", NULL);
  g_autofree char *experts = g_strconcat (p, ".ff_i.experts", NULL);
  gint64 n = atl_source_rows (s, gate), width;

  if (n < 0)
    {
      read_gated (m, s, &e->shared, p, "ff_i");
      return;
    }
  if (n < m->n_used || n > MAX_EXPERTS)
    {
      atl_weights_fail (m->net.weights, _ ("%s: “%s” chooses among %d experts; %d are used"),
                        atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)), gate,
                        (int) n, (int) m->n_used);
      return;
    }
  e->gate = atl_source_linear (s, n, m->dim, "%s", gate);
  e->w1 = atl_source_stack (s, m->stacks, (guint) n, -1, m->dim, experts, "w1");
  width = e->w1 != NULL ? e->w1->dim[1] : -1;
  e->w3 = atl_source_stack (s, m->stacks, (guint) n, width, m->dim, experts, "w3");
  e->w2 = atl_source_stack (s, m->stacks, (guint) n, m->dim, width, experts, "w2");
  read_gated (m, s, &e->shared, p, "ff_i.shared_experts");
}

static void
read_block (HiDream *m, AtlSource *s, guint i)
{
  gboolean is_double = i < m->n_double;
  HiDreamBlock *b = &m->blocks[i];
  g_autofree char *p = is_double
                           ? g_strdup_printf ("double_stream_blocks.%u.block", i)
                           : g_strdup_printf ("single_stream_blocks.%u.block", i - m->n_double);

  b->mod = atl_source_linear (s, (is_double ? 12 : 6) * m->dim, m->dim, "%s.adaLN_modulation.1", p);
  b->caption = atl_source_linear (s, m->dim, -1, "caption_projection.%u.linear", i);
  read_attention (m, s, &b->image, p, "");
  read_experts (m, s, &b->ff, p);
  if (!is_double)
    return;
  read_attention (m, s, &b->text, p, "_t");
  read_gated (m, s, &b->ff_text, p, "ff_t");
}

static gboolean
read_numbers (const AtlCheckpoint *cp, const char *name, gint64 *out, gsize n)
{
  const AtlMetaValue *list = atl_checkpoint_meta (cp, name);

  if (list == NULL || list->type != ATL_META_ARRAY || list->v_array.elem_type != ATL_META_INT ||
      list->v_array.n < n)
    return FALSE;
  memcpy (out, list->v_array.elems, n * sizeof *out);
  return TRUE;
}

static gboolean
read_config (HiDream *m, const AtlCheckpoint *cp, GError **error)
{
  /* What files without a configuration leave unsaid: all published ones have these. */
  guint64 head_dim = 128, n_used = 2, patch = 2;
  gint64 resolution[2] = { 128, 128 };
  guint n_axes = HIDREAM_N_AXES;
  GError *local = NULL;

  atl_checkpoint_get_uint (cp, "attention_head_dim", 2, 4096, &head_dim, &local);
  if (local == NULL)
    atl_checkpoint_get_uint (cp, "num_activated_experts", 1, MAX_EXPERTS, &n_used, &local);
  if (local == NULL)
    atl_checkpoint_get_uint (cp, "patch_size", 1, 64, &patch, &local);
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  m->head_dim = (gint64) head_dim;
  m->n_used = (gint64) n_used;
  m->patch = (gint64) patch;
  memcpy (m->axis, (gint64[]){ m->head_dim / 2, m->head_dim / 4, m->head_dim / 4 }, sizeof m->axis);
  if (!atl_denoiser_axes (cp, "axes_dims_rope", HIDREAM_N_AXES, HIDREAM_N_AXES, m->head_dim,
                          m->axis, &n_axes, error))
    return FALSE;
  read_numbers (cp, "max_resolution", resolution, 2);
  m->max_seq = CLAMP (resolution[0], 1, MAX_SIDE) * CLAMP (resolution[1], 1, MAX_SIDE) /
               (m->patch * m->patch);
  return TRUE;
}

static void
read_weights (HiDream *m, AtlSource *s, const AtlCheckpoint *cp)
{
  gint64 D = m->dim = atl_source_rows (s, "x_embedder.proj");

  if (D < 1 || D % m->head_dim != 0)
    {
      atl_weights_fail (m->net.weights, _ ("%s: heads of %d do not fit into %d"),
                        atl_checkpoint_name (cp), (int) m->head_dim, (int) D);
      return;
    }
  m->n_heads = D / m->head_dim;
  while (m->n_double < HIDREAM_MAX_BLOCKS &&
         atl_source_has (s, "double_stream_blocks.%u.block.attn1.to_q", m->n_double))
    m->n_double++;
  m->n_blocks = m->n_double;
  while (m->n_blocks < HIDREAM_MAX_BLOCKS &&
         atl_source_has (s, "single_stream_blocks.%u.block.attn1.to_q", m->n_blocks - m->n_double))
    m->n_blocks++;
  for (guint i = 0; i < m->n_blocks; i++)
    read_block (m, s, i);
  m->n_entries = m->n_blocks + 1;
  if (!read_numbers (cp, "llama_layers", m->llama_layer, m->n_entries) &&
      !read_numbers (cp, "llama_layers", m->llama_layer, --m->n_entries))
    for (guint i = 0; i < m->n_entries; i++)
      m->llama_layer[i] = -1;
  if (m->n_blocks == 0)
    atl_weights_fail (m->net.weights, _ ("%s holds no transformer blocks"),
                      atl_checkpoint_name (cp));
  m->caption_t5 = atl_source_linear (s, D, -1, "caption_projection.%u.linear", m->n_blocks);
  m->x_embedder = atl_source_linear (s, D, -1, "x_embedder.proj");
  atl_embedder_read (&m->time, s, D, ATL_DENOISER_FREQS, "t_embedder.timestep_embedder");
  atl_embedder_read (&m->pooled, s, D, -1, "p_embedder.pooled_embedder");
  m->out_mod = atl_source_linear (s, 2 * D, D, "final_layer.adaLN_modulation.1");
  m->out = atl_source_linear (s, -1, D, "final_layer.linear");
  if (m->out.w != NULL && m->out.w->dim[0] % (m->patch * m->patch) != 0)
    atl_weights_fail (m->net.weights, _ ("%s: the output does not divide into patches"),
                      atl_checkpoint_name (cp));
}

gboolean
hidream_read_weights (HiDream *self, AtlSource *source, const AtlCheckpoint *cp, GError **error)
{
  if (!read_config (self, cp, error))
    return FALSE;
  read_weights (self, source, cp);
  return TRUE;
}
