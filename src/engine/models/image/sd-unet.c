/* The UNet of Stable Diffusion 1.x, 2.x and XL (Rombach et al. 2022, Podell et al. 2023; diffusers
 * 0.42.1 UNet2DConditionModel).
 *
 *   temb = linear_2(silu(linear_1(sinusoids(timestep))))     as wide as conv_in, cosines first
 *     XL:  + linear_2(silu(linear_1([pooled, 256 sinusoids of each of time_ids])))
 *   down levels: (residual, transformer?) x layers, then a 3x3 of stride 2, padding 1
 *   middle:      residual, transformer, residual
 *   up levels:   (residual of [x, skip], transformer?) x (layers + 1), then nearest resizing to
 *                the skip's size and a 3x3
 *   out = conv_out(silu(group_norm(x)))
 *
 *   residual:    group norm eps 1e-5
 *   transformer: group norm eps 1e-6, proj_in, blocks, proj_out, + input
 *   block:       x += attn1(norm1 x)
 *                x += attn2(norm2 x, context)
 *                x += ff.net.2(geglu(ff.net.0.proj(norm3 x)))
 *
 * Skips: conv_in, every residual(+transformer) output, every downsampler output; popped and
 * concatenated after x. Traps: `attention_head_dim` in configurations is the number of heads;
 * LayerNorm eps 1e-5; q, k, v without bias; GEGLU's gate is the second half; without a
 * configuration 1x1-convolution projections mean 8 heads, linear ones heads of 64.
 *
 * forward: latent [B, 4, H, W] (inpainting also mask [B, 1, H, W], image_latent [B, 4, H, W]),
 * timestep [B] or [1], context [B, T, dim], XL: pooled [B, n], time_ids [B, 6 or 5]
 * -> output [B, 4, H, W]. Structure is read from the names; names: diffusers', or LDM's below
 * "model.diffusion_model.", or bare.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/sd-names.h"
#include "engine/models/image/sd-unet-private.h"

#define RES_EPS 1e-5f
#define TRANSFORMER_EPS 1e-6f
#define TIME_IDS_WIDTH 256

/* What stands before the authors' names, which are of a whole model or of this network alone; NULL:
 * the names are diffusers'. */
static const char *
ldm_prefix (const AtlCheckpoint *cp)
{
  static const char *const prefixes[] = { "model.diffusion_model.", "" };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      g_autofree char *first = g_strconcat (prefixes[i], "input_blocks.0.0.weight", NULL);

      if (atl_checkpoint_find (cp, first) != NULL)
        return prefixes[i];
    }
  return NULL;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return ldm_prefix (cp) != NULL ||
         (atl_checkpoint_find (cp, "down_blocks.0.resnets.0.time_emb_proj.weight") != NULL &&
          atl_checkpoint_find (cp, "conv_in.weight") != NULL);
}

static void
level_clear (UnetLevel *level)
{
  for (guint i = 0; i < UNET_MAX_BLOCKS; i++)
    g_free (level->transformers[i].blocks);
}

static void
unet_clear (gpointer model)
{
  Unet *m = model;

  for (guint i = 0; i < UNET_MAX_LEVELS; i++)
    {
      level_clear (&m->down[i]);
      level_clear (&m->up[i]);
    }
  level_clear (&m->mid);
}

/* Residual blocks per level of an LDM file: input_blocks.0 is conv_in; the level ends at the first
 * "op". */
static guint
ldm_layers (const AtlCheckpoint *cp, const char *prefix)
{
  for (guint i = 1; i < 8; i++)
    {
      g_autofree char *name = g_strdup_printf ("%sinput_blocks.%u.0.op.weight", prefix, i);

      if (atl_checkpoint_find (cp, name) != NULL)
        return i - 1;
    }
  return 2;
}

static gboolean
unet_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Unet *m = model;
  const char *prefix = ldm_prefix (cp);

  if (prefix != NULL)
    {
      s->prefix = prefix;
      s->map = atl_ldm_unet_name;
      s->map_number = ldm_layers (cp, prefix);
    }
  else
    while (s->map_number < UNET_MAX_LEVELS &&
           atl_source_has (s, "down_blocks.0.resnets.%u.conv1", s->map_number))
      s->map_number++;
  s->lora_maps[0] = atl_ldm_unet_name;
  return unet_read_weights (m, s, cp, error);
}

/* --- Forward --- */

static AtlTensor *
attend (AtlGraph *g,
        const UnetAttention *a,
        guint n_heads,
        AtlTensor *n,
        AtlTensor *context,
        AtlTensor *x)
{
  gint64 B = x->dim[0], T = x->dim[1], C = x->dim[2], d = C / n_heads;
  AtlTensor *qkv[3];
  AtlTensor *w[3] = { atl_weight (g, a->q.w), atl_weight (g, a->k.w), atl_weight (g, a->v.w) };
  AtlTensor *b[3] = { atl_weight (g, a->q.b), atl_weight (g, a->k.b), atl_weight (g, a->v.b) };

  if (context == NULL)
    atl_linear_multi (g, n, 3, w, b, qkv);
  else
    {
      qkv[0] = atl_linear (g, n, w[0], b[0]);
      atl_linear_multi (g, context, 2, w + 1, b + 1, qkv + 1);
    }
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], B, qkv[i]->dim[1], n_heads, d);
  n = atl_attention (g, qkv[0], qkv[1], qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);
  return atl_linear_add (g, atl_reshape_to (g, n, B, T, C), atl_weight (g, a->out.w),
                         atl_weight (g, a->out.b), x);
}

static AtlTensor *
layer_norm (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, a->w), atl_weight (g, a->b), 1e-5f);
}

static AtlTensor *
transformer (AtlGraph *g, const Unet *m, const UnetTransformer *t, AtlTensor *x, AtlTensor *context)
{
  gint64 B = x->dim[0], H = x->dim[1], W = x->dim[2], C = x->dim[3];
  AtlTensor *skip = atl_reshape_to (g, x, B, H * W, C);
  AtlTensor *h = atl_group_norm (g, x, atl_weight (g, t->norm.w), atl_weight (g, t->norm.b),
                                 m->groups, TRANSFORMER_EPS, ATL_ACT_NONE);

  h = atl_apply (g, atl_reshape_to (g, h, B, H * W, C), &t->proj_in);
  for (guint i = 0; i < t->n_blocks; i++)
    {
      const UnetBlock *b = &t->blocks[i];

      h = attend (g, &b->self, t->n_heads, layer_norm (g, h, &b->norm1), NULL, h);
      h = attend (g, &b->cross, t->n_heads, layer_norm (g, h, &b->norm2), context, h);
      AtlTensor *f = atl_apply (g, layer_norm (g, h, &b->norm3), &b->ff_in);
      f = atl_glu (g, f, ATL_ACT_GELU_ERF, TRUE);
      h = atl_linear_add (g, f, atl_weight (g, b->ff_out.w), atl_weight (g, b->ff_out.b), h);
    }
  h = atl_linear_add (g, h, atl_weight (g, t->proj_out.w), atl_weight (g, t->proj_out.b), skip);
  return atl_reshape_to (g, h, B, H, W, C);
}

static AtlTensor *
block (AtlGraph *g,
       const Unet *m,
       const UnetLevel *level,
       guint i,
       AtlTensor *x,
       AtlTensor *temb,
       AtlTensor *context)
{
  x = atl_resnet (g, &level->resnets[i], x, temb, m->groups, RES_EPS);
  if (level->transformers[i].n_blocks > 0)
    x = transformer (g, m, &level->transformers[i], x, context);
  return x;
}

static AtlTensor *
time_embedding (AtlGraph *g, const Unet *m, GPtrArray *inputs)
{
  AtlTensor *t = atl_runner_input (g, inputs, "time_features");

  t = atl_linear_act (g, t, atl_weight (g, m->time1.w), atl_weight (g, m->time1.b), ATL_ACT_SILU);
  t = atl_apply (g, t, &m->time2);
  if (m->add1.w != NULL)
    {
      AtlTensor *a = atl_runner_input (g, inputs, "added_features");

      a = atl_linear_act (g, a, atl_weight (g, m->add1.w), atl_weight (g, m->add1.b), ATL_ACT_SILU);
      t = atl_linear_add (g, a, atl_weight (g, m->add2.w), atl_weight (g, m->add2.b), t);
    }
  /* Every residual block applies SiLU to it first: once is enough. */
  return atl_act (g, ATL_ACT_SILU, t);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Unet *m = model;
  AtlTensor *skips[UNET_MAX_SKIPS];
  guint n_skips = 0;
  AtlTensor *context = atl_runner_input (g, inputs, "context");
  AtlTensor *x = atl_runner_input (g, inputs, "latent");
  AtlTensor *temb = time_embedding (g, m, inputs);

  /* Inpainting: the mask and the masked picture's latent follow the latent's own channels. */
  if (atl_arrays_find (inputs, "mask") != NULL)
    x = atl_concat (g, 1, 3,
                    (AtlTensor *[]){ x, atl_runner_input (g, inputs, "mask"),
                                     atl_runner_input (g, inputs, "image_latent") });
  x = atl_conv2d (g, atl_permute_to (g, x, 0, 2, 3, 1), atl_weight (g, m->conv_in.w),
                  atl_weight (g, m->conv_in.b), 1, 1);
  skips[n_skips++] = x;
  for (guint i = 0; i < m->n_down; i++)
    {
      const UnetLevel *level = &m->down[i];

      for (guint k = 0; k < level->n; k++)
        skips[n_skips++] = x = block (g, m, level, k, x, temb, context);
      if (level->resample.w != NULL)
        skips[n_skips++] = x = atl_conv2d (g, x, atl_weight (g, level->resample.w),
                                           atl_weight (g, level->resample.b), 2, 1);
    }
  x = block (g, m, &m->mid, 0, x, temb, context);
  if (m->mid.transformers[0].n_blocks == 0)
    atl_graph_fail (g, _ ("This UNet's middle has no attention"));
  x = atl_resnet (g, &m->mid.resnets[1], x, temb, m->groups, RES_EPS);
  for (guint i = 0; i < m->n_up; i++)
    {
      const UnetLevel *level = &m->up[i];

      for (guint k = 0; k < level->n; k++)
        {
          x = atl_concat (g, 3, 2, (AtlTensor *[]){ x, skips[--n_skips] });
          x = block (g, m, level, k, x, temb, context);
        }
      if (level->resample.w != NULL)
        {
          const AtlTensor *next = skips[n_skips - 1];

          x = atl_upsample (g, x, 1, next->dim[1], next->dim[2]);
          x = atl_conv2d (g, x, atl_weight (g, level->resample.w),
                          atl_weight (g, level->resample.b), 1, 1);
        }
    }
  x = atl_group_norm (g, x, atl_weight (g, m->norm_out.w), atl_weight (g, m->norm_out.b), m->groups,
                      RES_EPS, ATL_ACT_SILU);
  x = atl_conv2d (g, x, atl_weight (g, m->conv_out.w), atl_weight (g, m->conv_out.b), 1, 1);
  atl_graph_output (g, atl_permute_to (g, x, 0, 3, 1, 2), "output");
}

/* [pooled, sinusoids of each number] per picture. */
static AtlArray *
added_features (const AtlArray *pooled, const AtlArray *time_ids)
{
  gint64 B = pooled->dim[0], P = pooled->dim[1], n = time_ids->dim[1];
  gint64 width = P + n * TIME_IDS_WIDTH;
  AtlArray *a = atl_array_new ("added_features", ATL_DTYPE_F32, 2, (gint64[]){ B, width });

  for (gint64 b = 0; b < B; b++)
    {
      float *row = atl_array_f32 (a) + b * width;

      memcpy (row, atl_array_f32 (pooled) + b * P, (gsize) P * sizeof (float));
      atl_timestep_features (atl_array_f32 (time_ids) + b * n, (guint) n, TIME_IDS_WIDTH, row + P);
    }
  return a;
}

static gboolean
unet_run (gpointer model,
          const AtlRequest *request,
          GPtrArray *outputs,
          GCancellable *cancellable,
          GError **error)
{
  Unet *m = model;
  AtlArray *latent = atl_request_require (request, "latent", ATL_DTYPE_F32, 4, error);
  AtlArray *context =
      latent == NULL ? NULL : atl_request_require (request, "context", ATL_DTYPE_F32, 3, error);
  AtlArray *timestep =
      context == NULL ? NULL : atl_request_require (request, "timestep", ATL_DTYPE_F32, 1, error);
  guint width = (guint) m->conv_in.w->dim[0];
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) features = NULL;
  g_autoptr (AtlArray) added = NULL;
  gint64 B;

  if (timestep == NULL)
    return FALSE;
  B = latent->dim[0];
  if (context->dim[0] != B || (timestep->dim[0] != B && timestep->dim[0] != 1))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The latent, the context and the timestep have different batch sizes"));
      return FALSE;
    }
  features = atl_array_new ("time_features", ATL_DTYPE_F32, 2, (gint64[]){ B, width });
  for (gint64 b = 0; b < B; b++)
    atl_timestep_features (atl_array_f32 (timestep) + (timestep->dim[0] == B ? b : 0), 1, width,
                           atl_array_f32 (features) + b * width);
  if (m->add1.w != NULL)
    {
      AtlArray *pooled = atl_request_require (request, "pooled", ATL_DTYPE_F32, 2, error);
      AtlArray *ids = pooled == NULL
                          ? NULL
                          : atl_request_require (request, "time_ids", ATL_DTYPE_F32, 2, error);

      if (ids == NULL)
        return FALSE;
      if (pooled->dim[0] != B || ids->dim[0] != B)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The pooled text and the size numbers have another batch size"));
          return FALSE;
        }
      added = added_features (pooled, ids);
      g_ptr_array_add (inputs, added);
    }
  if (m->conv_in.w->dim[1] > latent->dim[1])
    {
      AtlArray *mask = atl_request_require (request, "mask", ATL_DTYPE_F32, 4, error);
      AtlArray *masked =
          mask == NULL ? NULL
                       : atl_request_require (request, "image_latent", ATL_DTYPE_F32, 4, error);

      if (masked == NULL)
        return FALSE;
      g_ptr_array_add (inputs, mask);
      g_ptr_array_add (inputs, masked);
    }
  g_ptr_array_add (inputs, latent);
  g_ptr_array_add (inputs, context);
  g_ptr_array_add (inputs, features);
  return atl_runner_run (m->net.runner, "forward", describe, m, inputs, outputs, cancellable,
                         error);
}

const AtlComponentClass atl_sd_unet_class = {
  .name = "sd-unet",
  .origins = (const char *const[]){ "UNet2DConditionModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "forward", NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Unet),
  .read = unet_read,
  .run = unet_run,
  .clear = unet_clear,
};
