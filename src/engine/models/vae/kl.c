/* The autoencoder of Stable Diffusion 1/2/XL/3, Flux and Flux.2 (Rombach et al. 2022; diffusers
 * 0.42.1 AutoencoderKL).
 *
 * Encoder: conv_in 3x3; levels of residual blocks (no time), between levels a 3x3 convolution of
 * stride 2 after padding one row below and one column to the right; middle: residual, attention
 * (one head, over pixels), residual; group norm, SiLU, conv_out -> mean and logvar, through
 * quant_conv (1x1) where there is one. Decoder: post_quant_conv (1x1, if there), conv_in, middle,
 * levels (nearest upsampling x2 and 3x3 convolution between them), group norm, SiLU, conv_out.
 * Group norm: 32 groups ("norm_num_groups"), eps 1e-6.
 *
 * vae_encode: image [B, 3, H, W] in -1…1 -> mean, logvar [B, C, H/f, W/f]; before any scaling
 * factor. vae_decode: latent [B, C, h, w] after unscaling -> image [B, 3, h*f, w*f], not clamped.
 * Names: diffusers' (old files: query/key/value/proj_attn), or LDM's, in files with all of a model
 * below "first_stage_model." or "vae.".
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <math.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/vae/halves.h"
#include "engine/models/image/sd-names.h"

#define MAX_LEVELS 8
#define MAX_BLOCKS 6
#define EPS 1e-6f

typedef struct
{
  AtlAffine norm, q, k, v, out;
} Attention;

typedef struct
{
  AtlResnet resnets[MAX_BLOCKS];
  guint n_resnets;
  AtlAffine resample; /* w nullable: the last level has none */
} Level;

/* Encoder or decoder: levels in the order of their execution. */
typedef struct
{
  AtlAffine conv_in, conv_out, norm_out;
  AtlResnet mid[2];
  Attention attention;
  Level levels[MAX_LEVELS];
  guint n_levels;
  gint64 groups; /* of group norms */
} Half;

typedef struct
{
  AtlNetwork net;
  Half encoder, decoder;
  AtlAffine quant, post_quant; /* w nullable */
} Vae;

static gboolean
has (const AtlCheckpoint *cp, const char *prefix, const char *name)
{
  g_autofree char *full = g_strconcat (prefix, name, NULL);

  return atl_checkpoint_find (cp, full) != NULL;
}

/* What stands before its names; NULL where there are none. */
static const char *
find_prefix (const AtlCheckpoint *cp)
{
  static const char *const prefixes[] = { "first_stage_model.", "", "vae." };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (has (cp, prefixes[i], "decoder.conv_in.weight") &&
        (has (cp, prefixes[i], "decoder.mid_block.resnets.0.conv1.weight") ||
         has (cp, prefixes[i], "decoder.mid.block_1.conv1.weight")))
      return prefixes[i];
  return NULL;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return find_prefix (cp) != NULL;
}

static AtlAffine
old_or_new (AtlSource *s, gint64 c, const char *p, const char *name, const char *old)
{
  if (atl_source_has (s, "%s.%s", p, name))
    return atl_source_linear (s, c, c, "%s.%s", p, name);
  return atl_source_linear (s, c, c, "%s.%s", p, old);
}

static void
read_middle (Half *h, AtlSource *s, gint64 c, const char *half)
{
  g_autofree char *p = g_strconcat (half, ".mid_block.attentions.0", NULL);
  g_autofree char *first = g_strconcat (half, ".mid_block.resnets.0", NULL);
  g_autofree char *second = g_strconcat (half, ".mid_block.resnets.1", NULL);

  atl_resnet_init (&h->mid[0], s, c, c, 0, first);
  h->attention.norm = atl_source_norm (s, c, FALSE, "%s.group_norm", p);
  h->attention.q = old_or_new (s, c, p, "to_q", "query");
  h->attention.k = old_or_new (s, c, p, "to_k", "key");
  h->attention.v = old_or_new (s, c, p, "to_v", "value");
  h->attention.out = old_or_new (s, c, p, "to_out.0", "proj_attn");
  atl_resnet_init (&h->mid[1], s, c, c, 0, second);
}

/* Reads all levels; returns the channels after the last. */
static gint64
read_levels (
    Half *h, AtlSource *s, gint64 c, const char *half, const char *kind, const char *resample)
{
  while (h->n_levels < MAX_LEVELS &&
         atl_source_has (s, "%s.%s.%u.resnets.0.conv1", half, kind, h->n_levels))
    {
      Level *level = &h->levels[h->n_levels];

      while (level->n_resnets < MAX_BLOCKS && atl_source_has (s, "%s.%s.%u.resnets.%u.conv1", half,
                                                              kind, h->n_levels, level->n_resnets))
        {
          g_autofree char *p =
              g_strdup_printf ("%s.%s.%u.resnets.%u", half, kind, h->n_levels, level->n_resnets);
          g_autofree char *conv = g_strconcat (p, ".conv1", NULL);
          gint64 out = atl_source_rows (s, conv);

          atl_resnet_init (&level->resnets[level->n_resnets++], s, c, out, 0, p);
          c = out;
        }
      if (atl_source_has (s, "%s.%s.%u.%s.0.conv", half, kind, h->n_levels, resample))
        level->resample = atl_source_conv (s, c, c, 0, 3, "%s.%s.%u.%s.0.conv", half, kind,
                                           h->n_levels, resample);
      h->n_levels++;
    }
  return c;
}

/* Flux.2's authors have the 1x1 convolutions inside the halves. */
static const char *
find_quant (const AtlSource *s, const char *name, const char *inside)
{
  return atl_source_has (s, "%s", name) ? name : atl_source_has (s, "%s", inside) ? inside : NULL;
}

static void
read_weights (Vae *m, AtlSource *s)
{
  gint64 c = atl_source_rows (s, "encoder.conv_in");
  gint64 latent2, latent;
  const char *quant;

  if (c > 0)
    {
      m->encoder.conv_in = atl_source_conv (s, c, -1, 0, 3, "encoder.conv_in");
      c = read_levels (&m->encoder, s, c, "encoder", "down_blocks", "downsamplers");
      read_middle (&m->encoder, s, c, "encoder");
      m->encoder.norm_out = atl_source_norm (s, c, FALSE, "encoder.conv_norm_out");
      m->encoder.conv_out = atl_source_conv (s, -1, c, 0, 3, "encoder.conv_out");
      latent2 = m->encoder.conv_out.w != NULL ? m->encoder.conv_out.w->dim[0] : 0;
      quant = find_quant (s, "quant_conv", "encoder.quant_conv");
      if (quant != NULL)
        m->quant = atl_source_linear (s, latent2, latent2, "%s", quant);
    }
  c = atl_source_rows (s, "decoder.conv_in");
  if (c > 0)
    {
      m->decoder.conv_in = atl_source_conv (s, c, -1, 0, 3, "decoder.conv_in");
      latent = m->decoder.conv_in.w != NULL ? m->decoder.conv_in.w->dim[1] : 0;
      quant = find_quant (s, "post_quant_conv", "decoder.post_quant_conv");
      if (quant != NULL)
        m->post_quant = atl_source_linear (s, latent, latent, "%s", quant);
      read_middle (&m->decoder, s, c, "decoder");
      c = read_levels (&m->decoder, s, c, "decoder", "up_blocks", "upsamplers");
      m->decoder.norm_out = atl_source_norm (s, c, FALSE, "decoder.conv_norm_out");
      m->decoder.conv_out = atl_source_conv (s, -1, c, 0, 3, "decoder.conv_out");
    }
  if (m->encoder.n_levels == 0 && m->decoder.n_levels == 0)
    atl_weights_fail (m->net.weights, _ ("%s holds no autoencoder"),
                      atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)));
}

static guint
ldm_levels (const AtlCheckpoint *cp, const char *prefix)
{
  guint n = 0;

  for (; n < MAX_LEVELS; n++)
    {
      g_autofree char *name = g_strdup_printf ("%sdecoder.up.%u.block.0.conv1.weight", prefix, n);
      if (atl_checkpoint_find (cp, name) == NULL)
        break;
    }
  return n;
}

/* 32 where no configuration says another number. */
static gboolean
get_groups (const AtlCheckpoint *cp, guint64 *groups, GError **error)
{
  GError *local = NULL;

  atl_checkpoint_get_uint (cp, "norm_num_groups", 1, 4096, groups, &local);
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, local);
  return FALSE;
}

static gboolean
vae_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Vae *m = model;
  guint64 groups = 32;

  s->prefix = find_prefix (cp);
  s->map_number = ldm_levels (cp, s->prefix != NULL ? s->prefix : "");
  if (s->map_number > 0)
    s->map = atl_ldm_vae_name;
  if (!get_groups (cp, &groups, error))
    return FALSE;
  m->encoder.groups = m->decoder.groups = (gint64) groups;
  read_weights (m, s);
  return TRUE;
}

static AtlTensor *
conv3 (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_conv2d (g, x, atl_weight (g, a->w), atl_weight (g, a->b), 1, 1);
}

static AtlTensor *
attention (AtlGraph *g, const Half *h, AtlTensor *x)
{
  const Attention *a = &h->attention;
  gint64 B = x->dim[0], H = x->dim[1], W = x->dim[2], C = x->dim[3];
  AtlTensor *n = atl_group_norm (g, x, atl_weight (g, a->norm.w), atl_weight (g, a->norm.b),
                                 h->groups, EPS, ATL_ACT_NONE);
  AtlTensor *w[3] = { atl_weight (g, a->q.w), atl_weight (g, a->k.w), atl_weight (g, a->v.w) };
  AtlTensor *b[3] = { atl_weight (g, a->q.b), atl_weight (g, a->k.b), atl_weight (g, a->v.b) };
  AtlTensor *qkv[3];

  atl_linear_multi (g, atl_reshape_to (g, n, B, H * W, C), 3, w, b, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], B, H * W, 1, C);
  n = atl_attention (g, qkv[0], qkv[1], qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);
  n = atl_linear_add (g, atl_reshape_to (g, n, B, H * W, C), atl_weight (g, a->out.w),
                      atl_weight (g, a->out.b), atl_reshape_to (g, x, B, H * W, C));
  return atl_reshape_to (g, n, B, H, W, C);
}

static AtlTensor *
middle (AtlGraph *g, const Half *h, AtlTensor *x)
{
  x = atl_resnet (g, &h->mid[0], x, NULL, h->groups, EPS);
  x = attention (g, h, x);
  return atl_resnet (g, &h->mid[1], x, NULL, h->groups, EPS);
}

static AtlTensor *
head (AtlGraph *g, const Half *h, AtlTensor *x)
{
  x = atl_group_norm (g, x, atl_weight (g, h->norm_out.w), atl_weight (g, h->norm_out.b), h->groups,
                      EPS, ATL_ACT_SILU);
  return conv3 (g, x, &h->conv_out);
}

static void
describe_encode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Vae *m = model;
  const Half *h = &m->encoder;
  AtlOpParams down = { .stride = { 1, 2, 2 }, .pad_after = { 0, 1, 1 } };
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "image"), 0, 2, 3, 1);
  gint64 C;

  x = conv3 (g, x, &h->conv_in);
  for (guint i = 0; i < h->n_levels; i++)
    {
      const Level *level = &h->levels[i];

      for (guint k = 0; k < level->n_resnets; k++)
        x = atl_resnet (g, &level->resnets[k], x, NULL, h->groups, EPS);
      if (level->resample.w != NULL)
        x = atl_conv (g, x, atl_weight (g, level->resample.w), atl_weight (g, level->resample.b),
                      NULL, &down);
    }
  x = head (g, h, middle (g, h, x));
  if (m->quant.w != NULL)
    x = atl_apply (g, x, &m->quant);
  x = atl_permute_to (g, x, 0, 3, 1, 2);
  C = x->dim[1] / 2;
  atl_graph_output (g, atl_slice (g, x, 1, 0, C), "mean");
  atl_graph_output (g, atl_slice (g, x, 1, C, C), "logvar");
}

static void
describe_decode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Vae *m = model;
  const Half *h = &m->decoder;
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "latent"), 0, 2, 3, 1);

  if (m->post_quant.w != NULL)
    x = atl_apply (g, x, &m->post_quant);
  x = middle (g, h, conv3 (g, x, &h->conv_in));
  for (guint i = 0; i < h->n_levels; i++)
    {
      const Level *level = &h->levels[i];

      for (guint k = 0; k < level->n_resnets; k++)
        x = atl_resnet (g, &level->resnets[k], x, NULL, h->groups, EPS);
      if (level->resample.w != NULL)
        x = conv3 (g, atl_upsample (g, x, 1, x->dim[1] * 2, x->dim[2] * 2), &level->resample);
    }
  atl_graph_output (g, atl_permute_to (g, head (g, h, x), 0, 3, 1, 2), "image");
}

static gboolean
vae_run (gpointer model,
         const AtlRequest *request,
         GPtrArray *outputs,
         GCancellable *cancellable,
         GError **error)
{
  Vae *m = model;
  gboolean encode = atl_vae_encodes (request);
  const Half *h = encode ? &m->encoder : &m->decoder;
  AtlArray *x = atl_vae_input (request, 4, h->n_levels > 0, error);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();

  if (x == NULL)
    return FALSE;
  g_ptr_array_add (inputs, x);
  return atl_runner_run (m->net.runner, encode ? "encode" : "decode",
                         encode ? describe_encode : describe_decode, m, inputs, outputs,
                         cancellable, error);
}

const AtlComponentClass atl_vae_kl_class = {
  .name = "vae-kl",
  .origins = (const char *const[]){ "AutoencoderKL", "AutoencoderKLFlux2", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "vae_encode", "vae_decode", NULL },
  .size = sizeof (Vae),
  .read = vae_read,
  .run = vae_run,
};
