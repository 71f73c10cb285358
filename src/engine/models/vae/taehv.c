/* TAEHV, tiny autoencoders of clips for previews (madebyollin/taehv: taew2_1, taew2_2, taehv1_5 …).
 *
 *   encoder: conv; ReLU; three times pool, conv with stride 2, three memory blocks; conv
 *   decoder: 3 tanh(x / 3); conv; ReLU; three times three memory blocks, nearest x2, grow, conv;
 *   ReLU; conv
 *   memory block: ReLU(conv(ReLU(conv(ReLU(conv([x, x of the frame before]))))) + x); zeros before
 *   the first frame
 *   pool: s successive frames as one, side by side in channels, 1x1 convolution to C; grow: 1x1
 *   convolution C -> C * s, whose groups of channels are s successive frames
 *
 * Convolutions 3x3; those that change the size, pool and grow have no bias. Pixels are 0…1 inside;
 * where there are more than 3 channels, they are squares of pixels (colour, row, column). Before
 * encoding the last frame is repeated until whole groups are there; of what is decoded the first
 * frames, one less than a group, are left out. Module numbers are those of the authors'
 * nn.Sequential; the numbers of frames come from shapes.
 *
 * vae_decode: latent [1, C, F, h, w], normalised -> image [1, 3, sF - s + 1, fh, fw] in about -1…1,
 * with the number "unit_range" in 0…1; f is 8 times the side of the squares, s mostly 4.
 * vae_encode: image [1, 3, F, H, W] in -1…1 -> mean [1, C, F / s, H / f, W / f].
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/vae/halves.h"

#define N_STAGES 3
#define N_MEM 3
#define COLORS 3
#define MAX_FRAMES 16 /* of one stage */
#define FACTOR 8      /* of the sides, beside squares of pixels */

/* A number of requests. */
static const char unit_range[] = "unit_range";

typedef struct
{
  AtlAffine conv[3];
} MemBlock;

typedef struct
{
  MemBlock mem[N_MEM];
  AtlAffine time, conv; /* time: pool or grow */
  gint64 frames;        /* that are pooled or grown */
} Stage;

typedef struct
{
  gboolean is_there;
  AtlAffine conv_in, conv_out;
  Stage stages[N_STAGES];
  gint64 frames; /* all stages together */
  gint64 patch;  /* side of the pixels' squares */
} Half;

typedef struct
{
  AtlNetwork net;
  Half encoder, decoder;
} Taehv;

static gboolean
has (const AtlCheckpoint *cp, const char *a, const char *b)
{
  return atl_checkpoint_find (cp, a) != NULL && atl_checkpoint_find (cp, b) != NULL;
}

static gboolean
has_encoder (const AtlCheckpoint *cp)
{
  return has (cp, "encoder.2.conv.weight", "encoder.4.conv.0.weight");
}

static gboolean
has_decoder (const AtlCheckpoint *cp)
{
  return has (cp, "decoder.7.conv.weight", "decoder.3.conv.0.weight");
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return has_encoder (cp) || has_decoder (cp);
}

/* The side of the squares that `c` channels are. */
static gint64
patch_of (Taehv *m, gint64 c)
{
  gint64 patch = 1;

  while (COLORS * patch * patch < c && patch < 16)
    patch++;
  if (COLORS * patch * patch != c)
    atl_weights_fail (m->net.weights, _ ("%d channels are no patches of colours"), (int) c);
  return patch;
}

static void
read_mem (MemBlock *b, AtlSource *s, gint64 c, const char *half, guint layer)
{
  for (guint n = 0; n < 3; n++)
    b->conv[n] = atl_source_conv (s, c, n == 0 && c > 0 ? 2 * c : c, 0, 3, "%s.%u.conv.%u", half,
                                  layer, 2 * n);
}

static void
read_half (Taehv *m, Half *h, AtlSource *s, const char *half)
{
  gboolean is_decoder = *half == 'd';
  gint64 c;

  h->is_there = TRUE;
  h->frames = 1;
  h->conv_in = atl_source_conv (s, -1, -1, 0, 3, "%s.%u", half, is_decoder ? 1 : 0);
  c = h->conv_in.w != NULL ? h->conv_in.w->dim[0] : -1;
  for (guint i = 0; i < N_STAGES; i++)
    {
      Stage *stage = &h->stages[i];
      guint base = is_decoder ? 3 + 6 * i : 2 + 5 * i, time = is_decoder ? base + 4 : base;
      gint64 wide;

      for (guint k = 0; k < N_MEM; k++)
        read_mem (&stage->mem[k], s, c, half, is_decoder ? base + k : base + 2 + k);
      stage->time =
          atl_source_linear (s, is_decoder ? -1 : c, is_decoder ? c : -1, "%s.%u.conv", half, time);
      wide = stage->time.w != NULL ? stage->time.w->dim[is_decoder ? 0 : 1] : c;
      stage->frames = c > 0 ? wide / c : 1;
      if (c > 0 && (wide % c != 0 || stage->frames < 1 || stage->frames > MAX_FRAMES))
        atl_weights_fail (m->net.weights, _ ("%s.%u.conv does not pool or grow whole frames"), half,
                          time);
      h->frames *= CLAMP (stage->frames, 1, MAX_FRAMES);
      stage->conv = atl_source_conv (s, is_decoder ? -1 : c, c, 0, 3, "%s.%u", half, time + 1);
      c = stage->conv.w != NULL ? stage->conv.w->dim[0] : -1;
    }
  h->conv_out = atl_source_conv (s, -1, c, 0, 3, "%s.%u", half, is_decoder ? 22 : 17);
  if (h->conv_in.w != NULL && h->conv_out.w != NULL)
    h->patch = patch_of (m, is_decoder ? h->conv_out.w->dim[0] : h->conv_in.w->dim[1]);
}

static gboolean
taehv_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Taehv *m = model;

  if (has_encoder (cp))
    read_half (m, &m->encoder, s, "encoder");
  if (has_decoder (cp))
    read_half (m, &m->decoder, s, "decoder");
  if (!recognizes (cp))
    atl_weights_fail (m->net.weights, _ ("%s holds no tiny autoencoder"), atl_checkpoint_name (cp));
  return TRUE;
}

/* --- Forward; x is [1, F, H, W, C] --- */

static AtlTensor *
mem_block (AtlGraph *g, const MemBlock *b, AtlTensor *x)
{
  gint64 F = x->dim[1];
  AtlTensor *previous = atl_affine (g, atl_slice (g, x, 1, 0, 1), 0.0f, 0.0f);
  AtlTensor *h;

  if (F > 1)
    previous = atl_concat (g, 1, 2, (AtlTensor *[]){ previous, atl_slice (g, x, 1, 0, F - 1) });
  h = atl_concat (g, 4, 2, (AtlTensor *[]){ x, previous });
  h = atl_conv3 (g, h, &b->conv[0], 1, NULL, ATL_ACT_RELU);
  h = atl_conv3 (g, h, &b->conv[1], 1, NULL, ATL_ACT_RELU);
  h = atl_conv3 (g, h, &b->conv[2], 1, x, ATL_ACT_NONE);
  return atl_act (g, ATL_ACT_RELU, h);
}

static AtlTensor *
grow (AtlGraph *g, const Stage *stage, AtlTensor *x)
{
  gint64 F = x->dim[1], H = x->dim[2], W = x->dim[3], C = x->dim[4], s = stage->frames;

  x = atl_apply (g, x, &stage->time);
  x = atl_permute_to (g, atl_reshape_to (g, x, F, H * W, s, C), 0, 2, 1, 3);
  return atl_reshape_to (g, x, 1, F * s, H, W, C);
}

static AtlTensor *
pool (AtlGraph *g, const Stage *stage, AtlTensor *x)
{
  gint64 H = x->dim[2], W = x->dim[3], C = x->dim[4], s = stage->frames, F = x->dim[1] / s;

  x = atl_permute_to (g, atl_reshape_to (g, x, F, s, H * W, C), 0, 2, 1, 3);
  return atl_apply (g, atl_reshape_to (g, x, 1, F, H, W, s * C), &stage->time);
}

/* Channels (colour, row, column) as pixels: [1, 3, F, H, W]. */
static AtlTensor *
shuffle_pixels (AtlGraph *g, AtlTensor *x, gint64 p)
{
  gint64 F = x->dim[1], H = x->dim[2], W = x->dim[3];

  x = atl_permute_to (g, atl_reshape_to (g, x, F * H, W, COLORS, p, p), 2, 0, 3, 1, 4);
  return atl_reshape_to (g, x, 1, COLORS, F, H * p, W * p);
}

static void
describe_decode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Half *h = &((const Taehv *) model)->decoder;
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "latent"), 0, 2, 3, 4, 1);
  gboolean is_unit = atl_arrays_find (inputs, unit_range) != NULL;

  x = atl_affine (g, atl_act (g, ATL_ACT_TANH, atl_affine (g, x, 1.0f / 3.0f, 0.0f)), 3.0f, 0.0f);
  x = atl_conv3 (g, x, &h->conv_in, 1, NULL, ATL_ACT_RELU);
  for (guint i = 0; i < N_STAGES; i++)
    {
      const Stage *stage = &h->stages[i];

      for (guint k = 0; k < N_MEM; k++)
        x = mem_block (g, &stage->mem[k], x);
      x = atl_upsample (g, x, x->dim[1], 2 * x->dim[2], 2 * x->dim[3]);
      x = atl_conv3 (g, grow (g, stage, x), &stage->conv, 1, NULL, ATL_ACT_NONE);
    }
  x = atl_conv3 (g, atl_act (g, ATL_ACT_RELU, x), &h->conv_out, 1, NULL, ATL_ACT_NONE);
  x = atl_slice (g, x, 1, h->frames - 1, x->dim[1] - h->frames + 1);
  x = shuffle_pixels (g, x, h->patch);
  atl_graph_output (g, is_unit ? x : atl_affine (g, x, 2.0f, -1.0f), "image");
}

static void
describe_encode (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Half *h = &((const Taehv *) model)->encoder;
  AtlTensor *x = atl_runner_input (g, inputs, "pixels");

  x = atl_conv3 (g, x, &h->conv_in, 1, NULL, ATL_ACT_RELU);
  for (guint i = 0; i < N_STAGES; i++)
    {
      const Stage *stage = &h->stages[i];

      x = atl_conv3 (g, pool (g, stage, x), &stage->conv, 2, NULL, ATL_ACT_NONE);
      for (guint k = 0; k < N_MEM; k++)
        x = mem_block (g, &stage->mem[k], x);
    }
  x = atl_conv3 (g, x, &h->conv_out, 1, NULL, ATL_ACT_NONE);
  atl_graph_output (g, atl_permute_to (g, x, 0, 4, 1, 2, 3), "mean");
}

/* The clip [1, 3, F, H, W] in 0…1 as "pixels" [1, whole groups of frames, H / p, W / p, 3 p p];
 * NULL where memory is out. */
static AtlArray *
fold_pixels (const Half *h, const AtlArray *x, GError **error)
{
  gint64 F = x->dim[2], H = x->dim[3], W = x->dim[4], p = h->patch;
  gint64 n = (F + h->frames - 1) / h->frames * h->frames;
  AtlArray *out = atl_array_try_new ("pixels", ATL_DTYPE_F32, 5,
                                     (gint64[]){ 1, n, H / p, W / p, COLORS * p * p }, error);
  float *to;

  if (out == NULL)
    return NULL;
  to = atl_array_f32 (out);
  for (gint64 f = 0; f < n; f++)
    for (gint64 y = 0; y < H / p; y++)
      for (gint64 k = 0; k < W / p; k++)
        for (gint64 c = 0; c < COLORS * p * p; c++)
          {
            gint64 row = y * p + c % (p * p) / p, column = k * p + c % p;
            gint64 frame = c / (p * p) * F + MIN (f, F - 1);

            *to++ = 0.5f * atl_array_f32 (x)[(frame * H + row) * W + column] + 0.5f;
          }
  return out;
}

static gboolean
taehv_run (gpointer model,
           const AtlRequest *request,
           GPtrArray *outputs,
           GCancellable *cancellable,
           GError **error)
{
  Taehv *m = model;
  gboolean encode = atl_vae_encodes (request);
  const Half *h = encode ? &m->encoder : &m->decoder;
  AtlArray *x = atl_vae_input (request, 5, h->is_there, error);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) made = NULL;
  gint64 step;

  if (x == NULL)
    return FALSE;
  step = FACTOR * h->patch;
  if (x->dim[0] != 1 || x->dim[1] != (encode ? COLORS : h->conv_in.w->dim[1]) ||
      (encode && (x->dim[3] % step != 0 || x->dim[4] % step != 0)))
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_INVALID,
          _ ("The picture or latent does not fit this tiny autoencoder: %d channels, sides "
             "of pictures a multiple of %d"),
          (int) (encode ? COLORS : h->conv_in.w->dim[1]), (int) step);
      return FALSE;
    }
  if (encode)
    made = fold_pixels (h, x, error);
  else if (atl_request_number (request, unit_range, 0) != 0)
    made = atl_array_new (unit_range, ATL_DTYPE_F32, 1, (gint64[]){ 1 });
  if (encode && made == NULL)
    return FALSE;
  if (!encode)
    g_ptr_array_add (inputs, x);
  if (made != NULL)
    g_ptr_array_add (inputs, made);
  return atl_runner_run (m->net.runner, encode ? "encode" : "decode",
                         encode ? describe_encode : describe_decode, m, inputs, outputs,
                         cancellable, error);
}

const AtlComponentClass atl_taehv_class = {
  .name = "taehv",
  .origins = (const char *const[]){ "TAEHV", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "vae_decode", "vae_encode", NULL },
  .size = sizeof (Taehv),
  .read = taehv_read,
  .run = taehv_run,
};
