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
 *   history and is not history itself; the first frame passes by; then nearest x2 and Conv2d 3x3.
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

#define MAX_STAGES 40
#define MAX_LEVELS 8
#define MAX_GROUP 64
#define COLOURS 3
#define EPS 1e-12f

typedef struct
{
  AtlWeight *norm1, *norm2;
  AtlAffine conv1, conv2, shortcut; /* shortcut w nullable */
} Residual;

typedef struct
{
  gboolean is_resample;
  Residual residual;
  AtlAffine resample, time_conv; /* time_conv w nullable */
} Stage;

/* Stages with one shortcut beside them. */
typedef struct
{
  guint n_stages;
  gboolean has_shortcut;
  gint64 channels, time, space; /* of the output; factors of the shortcut */
} Level;

typedef struct
{
  AtlAffine conv_in, conv_out;
  AtlWeight *norm_out, *attention_norm;
  Residual mid[2];
  AtlAffine qkv[3], proj;
  Stage stages[MAX_STAGES];
  Level levels[MAX_LEVELS];
  guint n_stages, n_levels;
  gint64 patch; /* side of the pixels' patches */
} Half;

typedef struct
{
  AtlNetwork net;
  Half encoder, decoder;
  AtlAffine quant, post_quant;
} WanVae;

/* --- Files --- */

/* Stages in levels with shortcuts: Wan 2.2. */
static gboolean
has_levels (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "decoder.up_blocks.0.upsampler.resample.1.weight") != NULL ||
         atl_checkpoint_find (cp, "decoder.upsamples.0.upsamples.0.residual.0.gamma") != NULL;
}

static gboolean
is_diffusers (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "decoder.up_blocks.0.resnets.0.norm1.gamma") != NULL;
}

static gboolean
recognises (const AtlCheckpoint *cp)
{
  return (is_diffusers (cp) && atl_checkpoint_find (cp, "decoder.conv_in.weight") != NULL) ||
         atl_checkpoint_find (cp, "decoder.upsamples.0.residual.0.gamma") != NULL ||
         atl_checkpoint_find (cp, "decoder.upsamples.0.upsamples.0.residual.0.gamma") != NULL;
}

/* --- Weights --- */

static AtlWeight *
gamma_weight (AtlSource *s, gint64 c, const char *p, const char *name)
{
  return atl_source_tensor (s, ATL_USE_VECTOR, 1, &c, FALSE, "%s.%s.gamma", p, name);
}

static gint64
read_residual (Residual *r, AtlSource *s, gint64 in, const char *p)
{
  g_autofree char *conv = g_strconcat (p, ".residual.2", NULL);
  gint64 out = atl_source_rows (s, conv);

  r->norm1 = gamma_weight (s, in, p, "residual.0");
  r->conv1 = atl_source_conv (s, out, in, 3, 3, "%s.residual.2", p);
  r->norm2 = gamma_weight (s, out, p, "residual.3");
  r->conv2 = atl_source_conv (s, out, out, 3, 3, "%s.residual.6", p);
  if (atl_source_has (s, "%s.shortcut", p))
    r->shortcut = atl_source_linear (s, out, in, "%s.shortcut", p);
  else if (in != out)
    atl_weights_fail (s->weights, _ ("%s.shortcut is missing"), p);
  return out;
}

static void
read_middle (Half *h, AtlSource *s, gint64 c, const char *half)
{
  g_autofree char *first = g_strconcat (half, ".middle.0", NULL);
  g_autofree char *second = g_strconcat (half, ".middle.2", NULL);
  AtlAffine fused;

  read_residual (&h->mid[0], s, c, first);
  h->attention_norm =
      atl_source_tensor (s, ATL_USE_VECTOR, 1, &c, FALSE, "%s.middle.1.norm.gamma", half);
  fused = atl_source_linear (s, 3 * c, c, "%s.middle.1.to_qkv", half);
  for (guint i = 0; i < 3; i++)
    {
      h->qkv[i].w = atl_weights_add_rows (s->weights, fused.w, ATL_USE_LINEAR, i * c, c);
      h->qkv[i].b = atl_weights_add_rows (s->weights, fused.b, ATL_USE_VECTOR, i * c, c);
    }
  if (fused.w != NULL)
    fused.w->use = 0;
  if (fused.b != NULL)
    fused.b->use = 0;
  h->proj = atl_source_linear (s, c, c, "%s.middle.1.proj", half);
  read_residual (&h->mid[1], s, c, second);
}

static gint64
read_stages (Half *h, AtlSource *s, gint64 c, const char *kind, gboolean up)
{
  guint before = h->n_stages;

  for (guint i = 0; h->n_stages < MAX_STAGES; i++)
    {
      g_autofree char *p = g_strdup_printf ("%s.%u", kind, i);
      Stage *stage = &h->stages[h->n_stages];

      if (atl_source_has (s, "%s.residual.2", p))
        c = read_residual (&stage->residual, s, c, p);
      else if (atl_source_has (s, "%s.resample.1", p))
        {
          g_autofree char *conv = g_strconcat (p, ".resample.1", NULL);
          gint64 out = atl_source_rows (s, conv);

          stage->is_resample = TRUE;
          stage->resample = atl_source_conv (s, out, c, 0, 3, "%s", conv);
          if (atl_source_has (s, "%s.time_conv", p))
            {
              gint64 dim[5] = { up ? 2 * c : out, up ? c : out, 3, 1, 1 };

              stage->time_conv.w =
                  atl_source_tensor (s, ATL_USE_CONV, 5, dim, FALSE, "%s.time_conv.weight", p);
              stage->time_conv.b =
                  atl_source_tensor (s, ATL_USE_VECTOR, 1, dim, FALSE, "%s.time_conv.bias", p);
            }
          c = out;
        }
      else
        break;
      h->n_stages++;
    }
  h->levels[h->n_levels++].n_stages = h->n_stages - before;
  return c;
}

/* The shortcut beside the level that was read last. */
static void
add_shortcut (Half *h, AtlSource *s, gint64 in, gint64 out, gboolean up)
{
  Level *level = &h->levels[h->n_levels - 1];
  const Stage *last = &h->stages[h->n_stages - 1];
  gint64 more, less;

  level->channels = out;
  level->space = last->is_resample ? 2 : 1;
  level->time = last->is_resample && last->time_conv.w != NULL ? 2 : 1;
  level->has_shortcut = !up || last->is_resample;
  more = (up ? out : in) * level->time * level->space * level->space;
  less = up ? in : out;
  if (level->has_shortcut && (less < 1 || more % less != 0 || more / less > MAX_GROUP))
    atl_weights_fail (s->weights,
                      _ ("a level of the autoencoder leads from %d to %d channels, which has no "
                         "shortcut"),
                      (int) in, (int) out);
}

static gint64
read_levels (Half *h, AtlSource *s, gint64 c, const char *kind, gboolean up)
{
  if (!has_levels (atl_weights_checkpoint (s->weights)))
    return read_stages (h, s, c, kind, up);
  while (h->n_levels < MAX_LEVELS)
    {
      g_autofree char *inner =
          g_strdup_printf ("%s.%u.%s", kind, h->n_levels, strchr (kind, '.') + 1);
      guint before = h->n_stages;
      gint64 in = c;

      c = read_stages (h, s, c, inner, up);
      if (h->n_stages == before)
        {
          h->n_levels--;
          break;
        }
      add_shortcut (h, s, in, c, up);
    }
  return c;
}

/* The side of patches that give that many channels. */
static gint64
patch_side (AtlSource *s, gint64 channels)
{
  gint64 side = 1;

  while (COLOURS * side * side < channels && side < 16)
    side++;
  if (channels > 0 && COLOURS * side * side != channels)
    atl_weights_fail (s->weights, _ ("%d channels are no patches of colours"), (int) channels);
  return side;
}

static void
read_weights (WanVae *m, AtlSource *s)
{
  gint64 c = atl_source_rows (s, "encoder.conv1"), z;

  if (c > 0)
    {
      m->encoder.conv_in = atl_source_conv (s, c, -1, 3, 3, "encoder.conv1");
      m->encoder.patch =
          patch_side (s, m->encoder.conv_in.w != NULL ? m->encoder.conv_in.w->dim[1] : -1);
      c = read_levels (&m->encoder, s, c, "encoder.downsamples", FALSE);
      read_middle (&m->encoder, s, c, "encoder");
      m->encoder.norm_out = gamma_weight (s, c, "encoder", "head.0");
      z = atl_source_rows (s, "encoder.head.2");
      m->encoder.conv_out = atl_source_conv (s, z, c, 3, 3, "encoder.head.2");
      m->quant = atl_source_linear (s, z, z, "conv1");
    }
  c = atl_source_rows (s, "decoder.conv1");
  if (c > 0)
    {
      m->decoder.conv_in = atl_source_conv (s, c, -1, 3, 3, "decoder.conv1");
      z = m->decoder.conv_in.w != NULL ? m->decoder.conv_in.w->dim[1] : -1;
      m->post_quant = atl_source_linear (s, z, z, "conv2");
      read_middle (&m->decoder, s, c, "decoder");
      c = read_levels (&m->decoder, s, c, "decoder.upsamples", TRUE);
      m->decoder.norm_out = gamma_weight (s, c, "decoder", "head.0");
      m->decoder.conv_out = atl_source_conv (s, -1, c, 3, 3, "decoder.head.2");
      m->decoder.patch = patch_side (s, atl_source_rows (s, "decoder.head.2"));
    }
  if (m->encoder.n_stages == 0 && m->decoder.n_stages == 0)
    atl_weights_fail (m->net.weights, _ ("%s holds no Wan autoencoder"),
                      atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)));
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
  read_weights (m, s);
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
  if (encode && (x->dim[1] != COLOURS || x->dim[3] % space_factor (&m->encoder) != 0 ||
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
  .recognises = recognises,
  .functions = (const char *const[]){ "vae_encode", "vae_decode", NULL },
  .size = sizeof (WanVae),
  .read = vae_read,
  .run = vae_run,
};
