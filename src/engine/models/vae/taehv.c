/* TAEHV, the tiny video decoder for previews (madebyollin/taehv: taew2_1, taew2_2).
 *
 *   x = 3 tanh(x / 3); conv; ReLU;
 *   three times: three MemBlocks, nearest x2, TGrow, conv without bias;   then ReLU, conv
 *   MemBlock: ReLU(conv(ReLU(conv(ReLU(conv([x, x of the previous frame]))))) + x)     3x3, zeros
 * before the first frame TGrow: 1x1 convolution C -> C * s; channel groups are s successive frames
 * (s = 1, 2, 2) The first 3 frames of all are dropped. Where the last convolution gives more than 3
 * channels, they are patches of pixels (colour, row, column). Module numbers in "decoder.N" are
 * those of the authors' nn.Sequential.
 *
 * vae_decode: latent [1, C, F, h, w], normalised -> image [1, 3, 4F - 3, fh, fw] in 0…1 before any
 * clamp; f is 8 times the side of the patches.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"

#define N_STAGES 3
#define N_MEM 3
#define COLOURS 3
#define DROPPED_FRAMES 3

typedef struct
{
  AtlAffine conv[3];
} MemBlock;

typedef struct
{
  MemBlock mem[N_MEM];
  AtlAffine grow, conv;
} Stage;

typedef struct
{
  AtlWeights *weights; /* (owned) */
  AtlRunner *runner;   /* (owned) */
  AtlAffine conv_in, conv_out;
  Stage stages[N_STAGES];
  gint64 patch; /* side of the pixels' patches */
} Taehv;

static gboolean
recognises (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "decoder.7.conv.weight") != NULL &&
         atl_checkpoint_find (cp, "decoder.3.conv.0.weight") != NULL;
}

static void
taehv_free (gpointer model)
{
  Taehv *m = model;

  atl_runner_free (m->runner);
  atl_weights_free (m->weights);
  g_free (m);
}

static void
read_weights (Taehv *m, AtlSource *s)
{
  gint64 c;

  m->conv_in = atl_source_conv (s, -1, -1, 0, 3, "decoder.1");
  c = m->conv_in.w != NULL ? m->conv_in.w->dim[0] : -1;
  for (guint i = 0; i < N_STAGES; i++)
    {
      Stage *stage = &m->stages[i];
      guint base = 3 + 6 * i;

      for (guint k = 0; k < N_MEM; k++)
        for (guint n = 0; n < 3; n++)
          stage->mem[k].conv[n] = atl_source_conv (s, c, n == 0 && c > 0 ? 2 * c : c, 0, 3,
                                                   "decoder.%u.conv.%u", base + k, 2 * n);
      stage->grow = atl_source_linear (s, -1, c, "decoder.%u.conv", base + 4);
      if (stage->grow.w != NULL && c > 0 && stage->grow.w->dim[0] % c != 0)
        atl_weights_fail (m->weights, _ ("decoder.%u.conv does not grow whole frames"), base + 4);
      stage->conv = atl_source_conv (s, -1, c, 0, 3, "decoder.%u", base + 5);
      c = stage->conv.w != NULL ? stage->conv.w->dim[0] : -1;
    }
  m->conv_out = atl_source_conv (s, -1, c, 0, 3, "decoder.22");
  m->patch = 1;
  c = m->conv_out.w != NULL ? m->conv_out.w->dim[0] : COLOURS;
  while (COLOURS * m->patch * m->patch < c && m->patch < 16)
    m->patch++;
  if (COLOURS * m->patch * m->patch != c)
    atl_weights_fail (m->weights, _ ("%d channels are no patches of colours"), (int) c);
}

static gpointer
taehv_load (AtlCheckpoint *cp,
            AtlBackend *const *backends,
            guint n_backends,
            const AtlLoadOptions *options,
            GError **error)
{
  Taehv *m = g_new0 (Taehv, 1);
  AtlSource s = { 0 };

  m->weights = s.weights = atl_weights_new (cp);
  m->runner = atl_runner_new (backends, n_backends);
  read_weights (m, &s);
  if (!atl_source_finish (&s, backends[0], options, error))
    {
      taehv_free (m);
      return NULL;
    }
  return m;
}

/* --- Forward; x is [1, F, H, W, C] --- */

static AtlTensor *
conv (AtlGraph *g, AtlTensor *x, const AtlAffine *a, AtlTensor *residual, AtlAct act)
{
  AtlOpParams p = { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 }, .act = act };

  return atl_conv (g, x, atl_weight (g, a->w), atl_weight (g, a->b), residual, &p);
}

static AtlTensor *
mem_block (AtlGraph *g, const MemBlock *b, AtlTensor *x)
{
  gint64 F = x->dim[1];
  AtlTensor *previous = atl_affine (g, atl_slice (g, x, 1, 0, 1), 0.0f, 0.0f);
  AtlTensor *h;

  if (F > 1)
    previous = atl_concat (g, 1, 2, (AtlTensor *[]){ previous, atl_slice (g, x, 1, 0, F - 1) });
  h = atl_concat (g, 4, 2, (AtlTensor *[]){ x, previous });
  h = conv (g, h, &b->conv[0], NULL, ATL_ACT_RELU);
  h = conv (g, h, &b->conv[1], NULL, ATL_ACT_RELU);
  h = conv (g, h, &b->conv[2], x, ATL_ACT_NONE);
  return atl_act (g, ATL_ACT_RELU, h);
}

static AtlTensor *
grow (AtlGraph *g, const Stage *stage, AtlTensor *x)
{
  gint64 F = x->dim[1], H = x->dim[2], W = x->dim[3], C = x->dim[4];
  gint64 s = stage->grow.w->dim[0] / C;

  x = atl_apply (g, x, &stage->grow);
  x = atl_permute_to (g, atl_reshape_to (g, x, F, H * W, s, C), 0, 2, 1, 3);
  return atl_reshape_to (g, x, 1, F * s, H, W, C);
}

/* Channels (colour, row, column) as pixels: [1, 3, F, H, W]. */
static AtlTensor *
shuffle_pixels (AtlGraph *g, AtlTensor *x, gint64 p)
{
  gint64 F = x->dim[1], H = x->dim[2], W = x->dim[3];

  x = atl_permute_to (g, atl_reshape_to (g, x, F * H, W, COLOURS, p, p), 2, 0, 3, 1, 4);
  return atl_reshape_to (g, x, 1, COLOURS, F, H * p, W * p);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Taehv *m = model;
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "latent"), 0, 2, 3, 4, 1);

  x = atl_affine (g, atl_act (g, ATL_ACT_TANH, atl_affine (g, x, 1.0f / 3.0f, 0.0f)), 3.0f, 0.0f);
  x = conv (g, x, &m->conv_in, NULL, ATL_ACT_RELU);
  for (guint i = 0; i < N_STAGES; i++)
    {
      const Stage *stage = &m->stages[i];

      for (guint k = 0; k < N_MEM; k++)
        x = mem_block (g, &stage->mem[k], x);
      x = atl_upsample (g, x, x->dim[1], 2 * x->dim[2], 2 * x->dim[3]);
      x = conv (g, grow (g, stage, x), &stage->conv, NULL, ATL_ACT_NONE);
    }
  x = conv (g, atl_act (g, ATL_ACT_RELU, x), &m->conv_out, NULL, ATL_ACT_NONE);
  x = atl_slice (g, x, 1, DROPPED_FRAMES, x->dim[1] - DROPPED_FRAMES);
  atl_graph_output (g, shuffle_pixels (g, x, m->patch), "image");
}

static gboolean
taehv_run (gpointer model,
           const AtlRequest *request,
           GPtrArray *outputs,
           GCancellable *cancellable,
           GError **error)
{
  Taehv *m = model;
  AtlArray *x = atl_request_require (request, "latent", ATL_DTYPE_F32, 5, error);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();

  if (x == NULL)
    return FALSE;
  if (x->dim[0] != 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("One clip is decoded at a time"));
      return FALSE;
    }
  g_ptr_array_add (inputs, x);
  return atl_runner_run (m->runner, "decode", describe, m, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_taehv_class = {
  .name = "taehv",
  .origins = (const char *const[]){ "TAEHV", NULL },
  .recognises = recognises,
  .functions = (const char *const[]){ "vae_decode", NULL },
  .load = taehv_load,
  .run = taehv_run,
  .free = taehv_free,
};
