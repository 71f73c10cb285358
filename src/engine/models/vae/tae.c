/* Tiny autoencoders of pictures, for previews (madebyollin/taesd: TAESD, TAESDXL, TAESD3, TAEF1,
 * TAEF2; diffusers 0.42.1 AutoencoderTiny).
 *
 *   encoder: conv; block; three times conv with stride 2, three blocks; conv
 *   decoder: 3 tanh(x / 3); conv; ReLU; three times three blocks, nearest x2, conv; block; conv
 *   block: ReLU(x + conv(ReLU(conv(ReLU(conv(x))))));  where it has a pool, first x = x + pool(x),
 *   pool = conv 1x1, GroupNorm of 4 groups (eps 1e-5), ReLU, conv 1x1 (TAEF2, at the latent's size)
 *
 * Convolutions 3x3; those that change the size have no bias. Inside, pixels are 0…1.
 *
 * vae_decode: latent [B, C, h, w] as the denoiser has it (scaled) -> image [B, 3, 8h, 8w] in about
 * -1…1. vae_encode: image [B, 3, H, W] in -1…1 -> mean [B, C, H/8, W/8]. Names: diffusers', or the
 * authors' in a file for each half, where the decoder's tanh counts as layer 0.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/vae/halves.h"

#define N_LEVELS 3
#define N_BLOCKS 3 /* of a level */
#define FACTOR 8

typedef struct
{
  AtlAffine conv[3];
  AtlAffine pool_in, pool_norm, pool_out; /* w nullable */
} Block;

typedef struct
{
  gboolean is_there;
  AtlAffine first, last, resize[N_LEVELS];
  Block levels[N_LEVELS][N_BLOCKS];
  Block single; /* behind the encoder's first layer, before the decoder's last one */
} Half;

typedef struct
{
  AtlNetwork net;
  Half encoder, decoder;
} Tae;

/* Canonical names are the authors' with the half before them: "encoder.N", "decoder.N". */
static char *
diffusers_name (const AtlSource *source, const char *canonical)
{
  gboolean is_decoder = g_str_has_prefix (canonical, "decoder.");
  guint layer;
  int n = 0;

  if (sscanf (canonical + strlen ("decoder."), "%u%n", &layer, &n) != 1 || n == 0)
    return NULL;
  return g_strdup_printf ("%scoder.layers.%u%s", is_decoder ? "de" : "en",
                          is_decoder ? layer - 1 : layer, canonical + strlen ("decoder.") + n);
}

static char *
half_name (const AtlSource *source, const char *canonical)
{
  return g_strdup (canonical + strlen ("decoder."));
}

static gboolean
is_conv (const AtlCheckpoint *cp, const char *name)
{
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);

  return info != NULL && info->n_dims == 4;
}

/* Which halves a file has, and by what names. */
static gboolean
find_halves (const AtlCheckpoint *cp, gboolean *encoder, gboolean *decoder, AtlNameMap *map)
{
  *map = diffusers_name;
  *encoder = is_conv (cp, "encoder.layers.0.weight") && is_conv (cp, "encoder.layers.14.weight");
  *decoder = is_conv (cp, "decoder.layers.0.weight") && is_conv (cp, "decoder.layers.18.weight");
  if (*encoder || *decoder)
    return TRUE;
  *map = half_name;
  *encoder =
      is_conv (cp, "0.weight") && is_conv (cp, "1.conv.0.weight") && is_conv (cp, "14.weight");
  *decoder =
      is_conv (cp, "1.weight") && is_conv (cp, "3.conv.0.weight") && is_conv (cp, "19.weight");
  return *encoder || *decoder;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  gboolean encoder, decoder;
  AtlNameMap map;

  return find_halves (cp, &encoder, &decoder, &map);
}

static void
read_block (Block *b, AtlSource *s, gint64 n, const char *half, guint layer)
{
  for (guint i = 0; i < G_N_ELEMENTS (b->conv); i++)
    b->conv[i] = atl_source_conv (s, n, n, 0, 3, "%s.%u.conv.%u", half, layer, 2 * i);
  if (!atl_source_has (s, "%s.%u.pool.0", half, layer))
    return;
  b->pool_in = atl_source_linear (s, -1, n, "%s.%u.pool.0", half, layer);
  b->pool_norm = atl_source_norm (s, b->pool_in.w != NULL ? b->pool_in.w->dim[0] : -1, FALSE,
                                  "%s.%u.pool.1", half, layer);
  b->pool_out = atl_source_linear (s, n, -1, "%s.%u.pool.3", half, layer);
}

static void
read_half (Half *h, AtlSource *s, const char *half)
{
  gboolean is_decoder = *half == 'd';
  guint first = is_decoder ? 1 : 0;
  gint64 n;

  h->is_there = TRUE;
  h->first = atl_source_conv (s, -1, is_decoder ? -1 : 3, 0, 3, "%s.%u", half, first);
  n = h->first.w != NULL ? h->first.w->dim[0] : -1;
  for (guint i = 0; i < N_LEVELS; i++)
    {
      /* Of a level the decoder's convolution comes last, behind a layer that enlarges. */
      guint layer = is_decoder ? 3 + 5 * i : 2 + 4 * i;

      h->resize[i] = atl_source_conv (s, n, n, 0, 3, "%s.%u", half, is_decoder ? layer + 4 : layer);
      for (guint k = 0; k < N_BLOCKS; k++)
        read_block (&h->levels[i][k], s, n, half, is_decoder ? layer + k : layer + 1 + k);
    }
  read_block (&h->single, s, n, half, is_decoder ? 18 : 1);
  h->last = atl_source_conv (s, is_decoder ? 3 : -1, n, 0, 3, "%s.%u", half, is_decoder ? 19 : 14);
}

static gboolean
tae_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Tae *m = model;
  gboolean encoder, decoder;

  if (!find_halves (cp, &encoder, &decoder, &s->map))
    atl_weights_fail (m->net.weights, _ ("%s holds no tiny autoencoder"), atl_checkpoint_name (cp));
  if (encoder)
    read_half (&m->encoder, s, "encoder");
  if (decoder)
    read_half (&m->decoder, s, "decoder");
  return TRUE;
}

/* --- Forward; x is [B, H, W, C] --- */

static AtlTensor *
block (AtlGraph *g, const Block *b, AtlTensor *x)
{
  AtlTensor *y;

  if (b->pool_in.w != NULL)
    {
      y = atl_group_norm (g, atl_apply (g, x, &b->pool_in), atl_weight (g, b->pool_norm.w),
                          atl_weight (g, b->pool_norm.b), 4, 1e-5f, ATL_ACT_RELU);
      x = atl_add (g, x, atl_apply (g, y, &b->pool_out));
    }
  y = atl_conv3 (g, x, &b->conv[0], 1, NULL, ATL_ACT_RELU);
  y = atl_conv3 (g, y, &b->conv[1], 1, NULL, ATL_ACT_RELU);
  return atl_act (g, ATL_ACT_RELU, atl_conv3 (g, y, &b->conv[2], 1, x, ATL_ACT_NONE));
}

static void
describe_encode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Half *h = &((const Tae *) model)->encoder;
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "image"), 0, 2, 3, 1);

  x = atl_conv3 (g, atl_affine (g, x, 0.5f, 0.5f), &h->first, 1, NULL, ATL_ACT_NONE);
  x = block (g, &h->single, x);
  for (guint i = 0; i < N_LEVELS; i++)
    {
      x = atl_conv3 (g, x, &h->resize[i], 2, NULL, ATL_ACT_NONE);
      for (guint k = 0; k < N_BLOCKS; k++)
        x = block (g, &h->levels[i][k], x);
    }
  x = atl_conv3 (g, x, &h->last, 1, NULL, ATL_ACT_NONE);
  atl_graph_output (g, atl_permute_to (g, x, 0, 3, 1, 2), "mean");
}

static void
describe_decode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Half *h = &((const Tae *) model)->decoder;
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "latent"), 0, 2, 3, 1);

  x = atl_affine (g, atl_act (g, ATL_ACT_TANH, atl_affine (g, x, 1.0f / 3.0f, 0.0f)), 3.0f, 0.0f);
  x = atl_conv3 (g, x, &h->first, 1, NULL, ATL_ACT_RELU);
  for (guint i = 0; i < N_LEVELS; i++)
    {
      for (guint k = 0; k < N_BLOCKS; k++)
        x = block (g, &h->levels[i][k], x);
      x = atl_upsample (g, x, 1, 2 * x->dim[1], 2 * x->dim[2]);
      x = atl_conv3 (g, x, &h->resize[i], 1, NULL, ATL_ACT_NONE);
    }
  x = atl_conv3 (g, block (g, &h->single, x), &h->last, 1, NULL, ATL_ACT_NONE);
  atl_graph_output (g, atl_permute_to (g, atl_affine (g, x, 2.0f, -1.0f), 0, 3, 1, 2), "image");
}

static gboolean
tae_run (gpointer model,
         const AtlRequest *request,
         GPtrArray *outputs,
         GCancellable *cancellable,
         GError **error)
{
  Tae *m = model;
  gboolean encode = atl_vae_encodes (request);
  const Half *h = encode ? &m->encoder : &m->decoder;
  AtlArray *x = atl_vae_input (request, 4, h->is_there, error);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();

  if (x == NULL)
    return FALSE;
  if (x->dim[1] != h->first.w->dim[1] ||
      (encode && (x->dim[2] % FACTOR != 0 || x->dim[3] % FACTOR != 0)))
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_INVALID,
          _ ("The picture or latent does not fit this tiny autoencoder: %d channels, sides "
             "of pictures a multiple of %d"),
          (int) h->first.w->dim[1], FACTOR);
      return FALSE;
    }
  g_ptr_array_add (inputs, x);
  return atl_runner_run (m->net.runner, encode ? "encode" : "decode",
                         encode ? describe_encode : describe_decode, m, inputs, outputs,
                         cancellable, error);
}

const AtlComponentClass atl_tae_class = {
  .name = "tae",
  .origins = (const char *const[]){ "AutoencoderTiny", "TAEF2", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "vae_decode", "vae_encode", NULL },
  .size = sizeof (Tae),
  .read = tae_read,
  .run = tae_run,
};
