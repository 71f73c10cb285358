/* Flux.1's blocks. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/image/flux-blocks.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"

/* --- Weights --- */

static void
read_double (AtlFluxBlocks *self, AtlSource *s, guint i, gboolean has_modulation)
{
  static const char *const image[] = { "norm1.linear", "to_q",     "to_k",
                                       "to_v",         "to_out.0", "norm_q",
                                       "norm_k",       "ff.net",   "img_attn.qkv" };
  static const char *const text[] = { "norm1_context.linear", "add_q_proj",     "add_k_proj",
                                      "add_v_proj",           "to_add_out",     "norm_added_q",
                                      "norm_added_k",         "ff_context.net", "txt_attn.qkv" };
  gint64 D = self->dim;

  for (guint part = 0; part < 2; part++)
    {
      const char *const *names = part == 0 ? image : text;
      AtlFluxStream *t = part == 0 ? &self->image[i] : &self->text[i];
      g_autofree char *p = g_strdup_printf ("transformer_blocks.%u", i);
      g_autofree char *attn = g_strconcat (p, ".attn", NULL);
      g_autofree char *fused = g_strdup_printf ("double_blocks.%u.%s", i, names[8]);

      if (has_modulation)
        t->mod = atl_source_linear (s, 6 * D, D, "%s.%s", p, names[0]);
      atl_source_split (s, D, 3, attn, names + 1, (gint64[]){ D, D, D }, fused, t->qkv.proj);
      t->out = atl_source_linear (s, D, D, "%s.%s", attn, names[4]);
      t->qkv.norm_q = atl_source_norm (s, self->head_dim, FALSE, "%s.%s", attn, names[5]);
      t->qkv.norm_k = atl_source_norm (s, self->head_dim, FALSE, "%s.%s", attn, names[6]);
      t->mlp1 = atl_source_linear (s, -1, D, "%s.%s.0.proj", p, names[7]);
      t->mlp2 = atl_source_linear (s, D, -1, "%s.%s.2", p, names[7]);
    }
}

static void
read_single (AtlFluxBlocks *self, AtlSource *s, guint i, gboolean has_modulation)
{
  static const char *const names[] = { "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp" };
  AtlFluxStream *t = &self->single[i];
  gint64 D = self->dim;
  g_autofree char *p = g_strdup_printf ("single_transformer_blocks.%u", i);
  g_autofree char *fused = g_strdup_printf ("single_blocks.%u.linear1", i);
  AtlAffine parts[4] = { 0 };

  if (has_modulation)
    t->mod = atl_source_linear (s, 3 * D, D, "%s.norm.linear", p);
  atl_source_split (s, D, 4, p, names, (gint64[]){ D, D, D, -1 }, fused, parts);
  memcpy (t->qkv.proj, parts, sizeof t->qkv.proj);
  t->mlp1 = parts[3];
  t->qkv.norm_q = atl_source_norm (s, self->head_dim, FALSE, "%s.attn.norm_q", p);
  t->qkv.norm_k = atl_source_norm (s, self->head_dim, FALSE, "%s.attn.norm_k", p);
  t->out =
      atl_source_linear (s, D, t->mlp1.w != NULL ? D + t->mlp1.w->dim[0] : -1, "%s.proj_out", p);
}

gboolean
atl_flux_blocks_config (AtlFluxBlocks *self, const AtlCheckpoint *cp, GError **error)
{
  static const gint64 published[] = { 16, 56, 56 };
  guint64 head_dim = 128;
  GError *local = NULL;

  atl_checkpoint_get_uint (cp, "attention_head_dim", 2, 4096, &head_dim, &local);
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  self->head_dim = (gint64) head_dim;
  self->n_axes = G_N_ELEMENTS (published);
  memcpy (self->axis, published, sizeof published);
  return atl_denoiser_axes (cp, "axes_dims_rope", 1, ATL_FLUX_MAX_AXES, self->head_dim, self->axis,
                            &self->n_axes, error);
}

void
atl_flux_blocks_read (AtlFluxBlocks *self, AtlSource *s, gboolean has_modulation)
{
  const char *file = atl_checkpoint_name (atl_weights_checkpoint (s->weights));
  gint64 D = self->dim = atl_source_rows (s, "x_embedder");

  if (D < 1 || D % self->head_dim != 0)
    {
      atl_weights_fail (s->weights, _ ("%s: heads of %d do not fit into this Flux transformer"),
                        file, (int) self->head_dim);
      return;
    }
  self->n_heads = D / self->head_dim;
  while (self->n_double < ATL_FLUX_MAX_BLOCKS &&
         atl_source_has (s, "transformer_blocks.%u.ff.net.2", self->n_double))
    read_double (self, s, self->n_double++, has_modulation);
  while (self->n_single < ATL_FLUX_MAX_BLOCKS &&
         atl_source_has (s, "single_transformer_blocks.%u.proj_out", self->n_single))
    read_single (self, s, self->n_single++, has_modulation);
  if (self->n_double == 0)
    atl_weights_fail (s->weights, _ ("%s holds no transformer blocks"), file);
  self->x_embedder = atl_source_linear (s, D, -1, "x_embedder");
  self->context_embedder = atl_source_linear (s, D, -1, "context_embedder");
  self->proj_out = atl_source_linear (s, -1, D, "proj_out");
}

AtlArray *
atl_flux_blocks_rope (const AtlFluxBlocks *self,
                      const AtlArray *context_ids,
                      const AtlArray *image_ids)
{
  gint64 T = context_ids->dim[0], n = image_ids->dim[0];
  AtlArray *rope = atl_array_new ("rope", ATL_DTYPE_F32, 2, (gint64[]){ T + n, self->head_dim });

  atl_rope_axes (self->axis, self->n_axes, 10000.0, atl_array_f32 (context_ids), T,
                 atl_array_f32 (rope));
  atl_rope_axes (self->axis, self->n_axes, 10000.0, atl_array_f32 (image_ids), n,
                 atl_array_f32 (rope) + T * self->head_dim);
  return rope;
}

/* --- Forward --- */

static AtlTensor *
feed_forward (AtlFluxPass *p, const AtlFluxStream *t, AtlTensor *x)
{
  x = atl_apply_act (p->g, x, &t->mlp1, ATL_ACT_GELU_TANH);
  return atl_apply (p->g, x, &t->mlp2);
}

void
atl_flux_double (AtlFluxPass *p,
                 guint i,
                 AtlTensor *const *mod_image,
                 AtlTensor *const *mod_text,
                 AtlTensor **image,
                 AtlTensor **text)
{
  AtlGraph *g = p->g;
  const AtlFluxStream *stream[2] = { &p->blocks->text[i], &p->blocks->image[i] };
  AtlTensor *const *mod[2] = { mod_text, mod_image };
  AtlTensor *x[2] = { *text, *image }, *qkv[2][3], *joint[3], *y;
  gint64 first[2] = { 0, p->T };

  for (guint s = 0; s < 2; s++)
    atl_qkv (g, &stream[s]->qkv, atl_modulated (g, x[s], mod[s]), p->blocks->n_heads, qkv[s]);
  atl_qkv_join (g, qkv[0], qkv[1], joint);
  y = atl_qkv_attend (g, joint, p->rope);
  for (guint s = 0; s < 2; s++)
    {
      AtlTensor *own = atl_contiguous (g, atl_slice (g, y, 1, first[s], x[s]->dim[1])), *y_of_mlp;

      x[s] = atl_gated (g, x[s], atl_apply (g, own, &stream[s]->out), mod[s][2]);
      y_of_mlp = feed_forward (p, stream[s], atl_modulated (g, x[s], mod[s] + 3));
      x[s] = atl_gated (g, x[s], y_of_mlp, mod[s][5]);
    }
  *text = x[0];
  *image = x[1];
}

AtlTensor *
atl_flux_single (AtlFluxPass *p, guint i, AtlTensor *const *mod, AtlTensor *x)
{
  AtlGraph *g = p->g;
  const AtlFluxStream *t = &p->blocks->single[i];
  AtlTensor *n = atl_modulated (g, x, mod), *qkv[3], *mlp;

  atl_qkv (g, &t->qkv, n, p->blocks->n_heads, qkv);
  mlp = atl_apply_act (g, n, &t->mlp1, ATL_ACT_GELU_TANH);
  n = atl_concat (g, 2, 2, (AtlTensor *[]){ atl_qkv_attend (g, qkv, p->rope), mlp });
  return atl_gated (g, x, atl_apply (g, n, &t->out), mod[2]);
}

AtlTensor *
atl_flux_end (AtlFluxPass *p, AtlTensor *x, AtlTensor *const *mod, gint64 n)
{
  AtlGraph *g = p->g;

  x = atl_contiguous (g, atl_slice (g, x, 1, p->T, n));
  return atl_apply (g, atl_modulated (g, x, mod), &p->blocks->proj_out);
}
