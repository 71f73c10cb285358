/* Flux.1's blocks. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/image/flux-blocks.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/timestep.h"

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
  self->theta = 10000;
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
      atl_weights_fail (s->weights, _ ("%s: heads of %d do not fit into this transformer"), file,
                        (int) self->head_dim);
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

  atl_rope_axes (self->axis, self->n_axes, self->theta, atl_array_f32 (context_ids), T,
                 atl_array_f32 (rope));
  atl_rope_axes (self->axis, self->n_axes, self->theta, atl_array_f32 (image_ids), n,
                 atl_array_f32 (rope) + T * self->head_dim);
  return rope;
}

AtlArray *
atl_flux_blocks_guidance (const AtlRequest *request, gint64 B, GPtrArray *inputs, GError **error)
{
  AtlArray *strength = atl_request_require (request, "guidance", ATL_DTYPE_F32, 1, error);
  AtlArray *guidance = strength != NULL ? atl_timestep_array ("guidance_features", strength, B,
                                                              1000.0f, ATL_DENOISER_FREQS)
                                        : NULL;

  if (guidance != NULL)
    g_ptr_array_add (inputs, guidance);
  return guidance;
}

/* --- Forward --- */

static AtlTensor *
feed_forward (AtlFluxPass *p, const AtlFluxStream *t, AtlTensor *x)
{
  x = p->blocks->is_gated ? atl_apply_gated (p->g, x, &t->mlp_gate, &t->mlp1, ATL_ACT_SILU)
                          : atl_apply_act (p->g, x, &t->mlp1, ATL_ACT_GELU_TANH);
  return atl_apply (p->g, x, &t->mlp2);
}

/* What attention adds to text and picture, before its gate. */
static void
attend (AtlFluxPass *p, guint i, AtlTensor *const *const *mod, AtlTensor **x, AtlTensor **out)
{
  static const char *const kinds[2] = { "text", "image" };
  const AtlFluxStream *stream[2] = { &p->blocks->text[i], &p->blocks->image[i] };
  AtlTensor *qkv[2][3], *joint[3], *y;
  gint64 first[2] = { 0, p->T };

  for (guint s = 0; s < 2; s++)
    out[s] = atl_stage_reuse (p->stage, p->g, p->inputs, kinds[s], i);
  if (out[0] != NULL && out[1] != NULL)
    return;
  for (guint s = 0; s < 2; s++)
    atl_qkv (p->g, &stream[s]->qkv, atl_modulated (p->g, x[s], mod[s]), p->blocks->n_heads, qkv[s]);
  atl_qkv_join (p->g, qkv[0], qkv[1], joint);
  y = atl_qkv_attend (p->g, joint, p->rope);
  for (guint s = 0; s < 2; s++)
    {
      AtlTensor *own = atl_contiguous (p->g, atl_slice (p->g, y, 1, first[s], x[s]->dim[1]));

      out[s] = atl_stage_keep (p->stage, p->g, atl_apply (p->g, own, &stream[s]->out), kinds[s], i);
    }
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
  AtlTensor *x[2] = { *text, *image }, *out[2], *y;

  attend (p, i, mod, x, out);
  for (guint s = 0; s < 2; s++)
    {
      x[s] = atl_gated (g, x[s], out[s], mod[s][2]);
      y = feed_forward (p, stream[s], atl_modulated (g, x[s], mod[s] + 3));
      x[s] = atl_gated (g, x[s], y, mod[s][5]);
    }
  *text = x[0];
  *image = x[1];
}

/* x [B, T, 2 F] -> SiLU(its first half) * its second. */
static AtlTensor *
gate_halves (AtlGraph *g, AtlTensor *x)
{
  gint64 F = x->dim[2] / 2;
  AtlTensor *gate = atl_act (g, ATL_ACT_SILU, atl_contiguous (g, atl_slice (g, x, 2, 0, F)));

  return atl_mul (g, gate, atl_contiguous (g, atl_slice (g, x, 2, F, F)));
}

/* Of the joined streams. */
static AtlTensor *
run_single (AtlFluxPass *p, guint i, AtlTensor *const *mod, AtlTensor *x)
{
  AtlGraph *g = p->g;
  const AtlFluxStream *t = &p->blocks->single[i];
  AtlTensor *n = atl_modulated (g, x, mod), *qkv[3], *mlp;
  AtlTensor *y = atl_stage_reuse (p->stage, g, p->inputs, "single", i);

  if (y == NULL)
    {
      atl_qkv (g, &t->qkv, n, p->blocks->n_heads, qkv);
      y = atl_stage_keep (p->stage, g, atl_qkv_attend (g, qkv, p->rope), "single", i);
    }
  mlp = p->blocks->is_gated ? gate_halves (g, atl_apply (g, n, &t->mlp1))
                            : atl_apply_act (g, n, &t->mlp1, ATL_ACT_GELU_TANH);
  n = atl_concat (g, 2, 2, (AtlTensor *[]){ y, mlp });
  return atl_gated (g, x, atl_apply (g, n, &t->out), mod[2]);
}

AtlTensor *
atl_flux_run (AtlFluxPass *p, AtlFluxModulateFunc modulate, gpointer user_data)
{
  const AtlFluxBlocks *b = p->blocks;
  AtlGraph *g = p->g;
  AtlTensor *image = NULL, *text = NULL, *x, *mod[6], *mod_text[6];

  if (!atl_stage_resume (p->stage, g, p->inputs, &image, &text))
    {
      image = atl_apply (g, atl_runner_input (g, p->inputs, "latent"), &b->x_embedder);
      if (atl_stage_begin (p->stage, g, image))
        {
          modulate (p, ATL_FLUX_IMAGE, 0, mod, user_data);
          atl_graph_output (g, atl_modulated (g, image, mod), "probe");
          return NULL;
        }
      text = atl_apply (g, atl_runner_input (g, p->inputs, "context"), &b->context_embedder);
    }
  if (p->stage == ATL_STAGE_END)
    return image;
  p->T = text->dim[1];
  p->rope = atl_runner_input (g, p->inputs, "rope");
  for (guint i = atl_stage_first_block (p->stage); i < b->n_double; i++)
    {
      modulate (p, ATL_FLUX_IMAGE, i, mod, user_data);
      modulate (p, ATL_FLUX_TEXT, i, mod_text, user_data);
      atl_flux_double (p, i, mod, mod_text, &image, &text);
      if (atl_stage_pause (p->stage, g, image, text))
        return NULL;
    }
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ text, image });
  for (guint i = 0; i < b->n_single; i++)
    {
      modulate (p, ATL_FLUX_SINGLE, i, mod, user_data);
      x = run_single (p, i, mod, x);
    }
  x = atl_contiguous (g, atl_slice (g, x, 1, p->T, image->dim[1]));
  atl_stage_finish (p->stage, g, x);
  return x;
}

void
atl_flux_end (AtlFluxPass *p, AtlTensor *x, AtlTensor *const *mod)
{
  x = atl_apply (p->g, atl_modulated (p->g, x, mod), &p->blocks->proj_out);
  atl_graph_output (p->g, x, "output");
}
