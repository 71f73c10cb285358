/* The Wan 2.1 and 2.2 video autoencoders (Wan-Video/Wan2.1 wan/modules/vae.py, Wan2.2
 * vae2_2.py; diffusers 0.42.1 AutoencoderKLWan).
 *
 * All 3-D convolutions are causal: two zero frames before, spatial zeros 1. Norm: x / max(|x|_2
 * over channels, 1e-12) * sqrt(C) * gamma. Residual: norm, SiLU, conv, norm, SiLU, conv, + (1x1x1
 * shortcut where widths differ). Middle: residual, attention (one head, each frame alone),
 * residual. Encoder: conv, stages of residual blocks and resampling, middle, norm, SiLU, conv,
 * quant_conv -> mean, logvar. Resampling down: Conv2d 3x3 stride 2 after padding right and bottom
 * by one; with time_conv (kernel 3, stride 2, no padding) on all frames, the first frame passing
 * by. Decoder: post_quant_conv, conv, middle, stages, norm, SiLU, conv. Resampling up: with
 * time_conv (causal, C -> 2C: even, odd new frames) on the frames after the first, which sees no
 * history and is not history itself; the first frame passes by; then nearest x2 and Conv2d 3x3.
 * The authors process chunks with caches; in one pass over all frames the same numbers come out.
 * 2.2: patches of pixels as channels; stages lie in levels (residual blocks, resampling), and each
 * level's input comes to its output by a shortcut (wan-shortcuts.h), in the decoder only where the
 * level resamples.
 *
 * vae_encode: image [1, 3, F, H, W] in -1…1, F = 1 + 4n -> mean, logvar [1, C, 1 + n, H/f, W/f].
 * vae_decode: latent [1, C, F, h, w] -> image [1, 3, 1 + 4 (F - 1), fh, fw], not clamped.
 * f: 8, in 2.2 16. Names: the authors' (lists of stages), or diffusers'.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/vae/halves.h"
#include "engine/models/vae/wan-shortcuts.h"
#include "engine/models/vae/wan-vae-names.h"
#include "engine/models/vae/wan-vae.h"

#define EPS 1e-12f
/* Before the names in files with all of a model. */
#define WHOLE "vae."

/* --- Files --- */

static gboolean
is_diffusers (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "decoder.up_blocks.0.resnets.0.norm1.gamma") != NULL;
}

/* The authors' names. */
static gboolean
is_below (const AtlCheckpoint *cp, const char *prefix)
{
  g_autofree char *name = g_strconcat (prefix, "decoder.upsamples.0.residual.0.gamma", NULL);
  g_autofree char *in_level =
      g_strconcat (prefix, "decoder.upsamples.0.upsamples.0.residual.0.gamma", NULL);

  return atl_checkpoint_find (cp, name) != NULL || atl_checkpoint_find (cp, in_level) != NULL;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return (is_diffusers (cp) && atl_checkpoint_find (cp, "decoder.conv_in.weight") != NULL) ||
         is_below (cp, "") || is_below (cp, WHOLE);
}

static gboolean
vae_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  WanVae *m = model;

  if (is_diffusers (cp))
    {
      s->map = atl_wan_vae_diffusers_name;
      /* Residual blocks of the first level, and its resampler. */
      for (s->map_number = 1; s->map_number < 16; s->map_number++)
        {
          g_autofree char *name =
              g_strdup_printf ("decoder.up_blocks.0.resnets.%u.norm1.gamma", s->map_number - 1);
          if (atl_checkpoint_find (cp, name) == NULL)
            break;
        }
    }
  else if (is_below (cp, WHOLE))
    s->prefix = WHOLE;
  atl_wan_vae_read_weights (m, s);
  return TRUE;
}

/* Pixels to a cell of the latent. */
static gint64
space_factor (const Half *h)
{
  gint64 factor = h->patch;

  for (guint i = 0; i < h->n_stages; i++)
    factor *= h->stages[i].is_resample ? 2 : 1;
  return factor;
}

/* --- Forward; x is [1, F, H, W, C] --- */

static AtlTensor *
causal (AtlGraph *g, AtlTensor *x, const AtlAffine *a, AtlTensor *residual)
{
  AtlOpParams p = { .pad_before = { 2, 1, 1 }, .pad_after = { 0, 1, 1 } };

  return atl_conv (g, x, atl_weight (g, a->w), atl_weight (g, a->b), residual, &p);
}

static AtlTensor *
norm (AtlGraph *g, AtlTensor *x, AtlWeight *w)
{
  return atl_norm_l2 (g, x, atl_weight (g, w), EPS, sqrtf ((float) x->dim[x->n_dims - 1]));
}

static AtlTensor *
norm_silu (AtlGraph *g, AtlTensor *x, AtlWeight *w)
{
  return atl_act (g, ATL_ACT_SILU, norm (g, x, w));
}

static AtlTensor *
residual (AtlGraph *g, const Residual *r, AtlTensor *x)
{
  AtlTensor *skip = r->shortcut.w != NULL ? atl_apply (g, x, &r->shortcut) : x;
  AtlTensor *h = causal (g, norm_silu (g, x, r->norm1), &r->conv1, NULL);

  return causal (g, norm_silu (g, h, r->norm2), &r->conv2, skip);
}

static AtlTensor *
middle (AtlGraph *g, const Half *h, AtlTensor *x)
{
  gint64 F, H, W, C;
  AtlTensor *w[3], *b[3], *qkv[3], *y;

  x = residual (g, &h->mid[0], x);
  F = x->dim[1];
  H = x->dim[2];
  W = x->dim[3];
  C = x->dim[4];
  for (guint i = 0; i < 3; i++)
    {
      w[i] = atl_weight (g, h->qkv[i].w);
      b[i] = atl_weight (g, h->qkv[i].b);
    }
  y = atl_reshape_to (g, norm (g, x, h->attention_norm), F, H * W, C);
  atl_linear_multi (g, y, 3, w, b, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], F, H * W, 1, C);
  y = atl_attention (g, qkv[0], qkv[1], qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);
  y = atl_linear_add (g, atl_reshape_to (g, y, 1, F, H, W, C), atl_weight (g, h->proj.w),
                      atl_weight (g, h->proj.b), x);
  return residual (g, &h->mid[1], y);
}

static AtlTensor *
resample_down (AtlGraph *g, const Stage *s, AtlTensor *x)
{
  AtlOpParams space = { .stride = { 1, 2, 2 }, .pad_after = { 0, 1, 1 } };
  AtlOpParams time = { .stride = { 2, 1, 1 } };

  x = atl_conv (g, x, atl_weight (g, s->resample.w), atl_weight (g, s->resample.b), NULL, &space);
  if (s->time_conv.w == NULL || x->dim[1] == 1)
    return x;
  return atl_concat (g, 1, 2,
                     (AtlTensor *[]){ atl_slice (g, x, 1, 0, 1),
                                      atl_conv (g, x, atl_weight (g, s->time_conv.w),
                                                atl_weight (g, s->time_conv.b), NULL, &time) });
}

static AtlTensor *
resample_up (AtlGraph *g, const Stage *s, AtlTensor *x)
{
  AtlOpParams time = { .pad_before = { 2, 0, 0 } };
  AtlOpParams same = { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } };
  gint64 F = x->dim[1], H = x->dim[2], W = x->dim[3], C = x->dim[4];

  if (s->time_conv.w != NULL && F > 1)
    {
      AtlTensor *later = atl_slice (g, x, 1, 1, F - 1);

      later = atl_conv (g, later, atl_weight (g, s->time_conv.w), atl_weight (g, s->time_conv.b),
                        NULL, &time);
      /* Channels [2, C] of a frame are two successive frames. */
      later = atl_permute_to (g, atl_reshape_to (g, later, F - 1, H * W, 2, C), 0, 2, 1, 3);
      later = atl_reshape_to (g, later, 1, 2 * (F - 1), H, W, C);
      x = atl_concat (g, 1, 2, (AtlTensor *[]){ atl_slice (g, x, 1, 0, 1), later });
    }
  x = atl_upsample (g, x, x->dim[1], 2 * H, 2 * W);
  return atl_conv (g, x, atl_weight (g, s->resample.w), atl_weight (g, s->resample.b), NULL, &same);
}

static AtlTensor *
run_levels (AtlGraph *g, const Half *h, AtlTensor *x, gboolean up)
{
  const Stage *s = h->stages;

  for (guint i = 0; i < h->n_levels; i++)
    {
      const Level *level = &h->levels[i];
      AtlTensor *skip = x;

      for (const Stage *end = s + level->n_stages; s < end; s++)
        x = !s->is_resample ? residual (g, &s->residual, x)
            : up            ? resample_up (g, s, x)
                            : resample_down (g, s, x);
      if (level->has_shortcut)
        {
          skip = up ? atl_wan_repeat_up (g, skip, level->channels, level->time, level->space)
                    : atl_wan_average_down (g, skip, level->channels, level->time, level->space);
          x = atl_add (g, x, skip);
        }
    }
  return x;
}

static void
describe_encode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const WanVae *m = model;
  const Half *h = &m->encoder;
  AtlTensor *x = atl_wan_patch_pixels (g, atl_runner_input (g, inputs, "image"), h->patch);
  gint64 C;

  x = run_levels (g, h, causal (g, x, &h->conv_in, NULL), FALSE);
  x = causal (g, norm_silu (g, middle (g, h, x), h->norm_out), &h->conv_out, NULL);
  x = atl_permute_to (g, atl_apply (g, x, &m->quant), 0, 4, 1, 2, 3);
  C = x->dim[1] / 2;
  atl_graph_output (g, atl_slice (g, x, 1, 0, C), "mean");
  atl_graph_output (g, atl_slice (g, x, 1, C, C), "logvar");
}

static void
describe_decode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const WanVae *m = model;
  const Half *h = &m->decoder;
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "latent"), 0, 2, 3, 4, 1);

  x = causal (g, atl_apply (g, x, &m->post_quant), &h->conv_in, NULL);
  x = run_levels (g, h, middle (g, h, x), TRUE);
  x = causal (g, norm_silu (g, x, h->norm_out), &h->conv_out, NULL);
  atl_graph_output (g, atl_wan_unpatch_pixels (g, x, h->patch), "image");
}

static gboolean
vae_run (gpointer model,
         const AtlRequest *request,
         GPtrArray *outputs,
         GCancellable *cancellable,
         GError **error)
{
  WanVae *m = model;
  gboolean encode = atl_vae_encodes (request);
  const Half *h = encode ? &m->encoder : &m->decoder;
  AtlArray *x = atl_vae_input (request, 5, h->n_stages > 0, error);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();

  if (x == NULL)
    return FALSE;
  if (x->dim[0] != 1 || (encode && (x->dim[2] - 1) % 4 != 0))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("One clip of 1, 5, 9, 13… frames is taken at a time; this one has %" PRId64),
                   x->dim[2]);
      return FALSE;
    }
  if (encode && (x->dim[1] != COLORS || x->dim[3] % space_factor (&m->encoder) != 0 ||
                 x->dim[4] % space_factor (&m->encoder) != 0))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("Width and height of a clip must be multiples of %d here; this one has "
                      "%" PRId64 " × %" PRId64),
                   (int) space_factor (&m->encoder), x->dim[4], x->dim[3]);
      return FALSE;
    }
  g_ptr_array_add (inputs, x);
  return atl_runner_run (m->net.runner, encode ? "encode" : "decode",
                         encode ? describe_encode : describe_decode, m, inputs, outputs,
                         cancellable, error);
}

const AtlComponentClass atl_vae_wan_class = {
  .name = "vae-wan",
  .origins = (const char *const[]){ "AutoencoderKLWan", "AutoencoderKLQwenImage", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "vae_encode", "vae_decode", NULL },
  .size = sizeof (WanVae),
  .read = vae_read,
  .run = vae_run,
};
