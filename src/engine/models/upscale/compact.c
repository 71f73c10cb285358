/* Real-ESRGAN's compact enlarger (xinntao 2021, SRVGGNetCompact): fast, for clips and drawings.
 *
 *   body.0 convolution, body.1 a slope for each channel (PReLU), body.2, body.3 … in turn; the last
 *   convolution has colours * s * s channels (colour, row, column), which become squares of pixels;
 *   to them the picture enlarged to its nearest pixels is added.                  3x3 with bias
 *
 * upscale: image [1, colours, H, W] in 0…1 -> image [1, colours, s H, s W]. Names: names.c.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>

#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/upscale/names.h"
#include "engine/models/upscale/pixels.h"

#define MAX_LAYERS 256
#define MAX_SCALE 8

typedef struct
{
  AtlNetwork net;
  guint n_convs;
  AtlAffine conv[MAX_LAYERS];
  AtlWeight *slope[MAX_LAYERS]; /* behind all convolutions but the last */
  gint64 colors, scale;
} Compact;

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  AtlNameMap map;

  return atl_compact_prefix (cp, &map) != NULL;
}

static void
read_weights (Compact *m, AtlSource *s)
{
  const char *file = atl_checkpoint_name (atl_weights_checkpoint (m->net.weights));
  gint64 n = -1;

  while (m->n_convs < MAX_LAYERS && atl_source_has (s, "body.%u", 2 * m->n_convs))
    {
      guint i = m->n_convs++;

      m->conv[i] = atl_source_conv (s, -1, n, 0, 3, "body.%u", 2 * i);
      n = m->conv[i].w != NULL ? m->conv[i].w->dim[0] : -1;
      if (atl_source_has (s, "body.%u", 2 * i + 1))
        m->slope[i] =
            atl_source_tensor (s, ATL_USE_VECTOR, 1, &n, FALSE, "body.%u.weight", 2 * i + 1);
    }
  if (m->n_convs < 2 || m->conv[0].w == NULL || n < 1)
    {
      atl_weights_fail (m->net.weights, _ ("%s holds no compact enlarger"), file);
      return;
    }
  m->colors = m->conv[0].w->dim[1];
  m->scale = 1;
  while (m->colors * m->scale * m->scale < n && m->scale < MAX_SCALE)
    m->scale++;
  if (m->colors * m->scale * m->scale != n || m->slope[m->n_convs - 1] != NULL)
    atl_weights_fail (m->net.weights, _ ("%s: %d channels are no squares of %d colours"), file,
                      (int) n, (int) m->colors);
  for (guint i = 0; i + 1 < m->n_convs; i++)
    if (m->slope[i] == NULL)
      atl_weights_fail (m->net.weights, _ ("%s: the slopes behind layer %u are missing"), file, i);
}

static gboolean
compact_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Compact *m = model;

  s->prefix = atl_compact_prefix (cp, &s->map);
  read_weights (m, s);
  return TRUE;
}

/* x where it is positive, else slope * x. */
static AtlTensor *
prelu (AtlGraph *g, AtlTensor *x, AtlWeight *slope)
{
  AtlTensor *positive = atl_act (g, ATL_ACT_RELU, x);

  return atl_add (g, positive, atl_mul (g, atl_sub (g, x, positive), atl_weight (g, slope)));
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Compact *m = model;
  AtlOpParams same = { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } };
  AtlTensor *in = atl_permute_to (g, atl_runner_input (g, inputs, "pixels"), 0, 2, 3, 1), *x = in;
  gint64 H = in->dim[1], W = in->dim[2], s = m->scale;

  in = atl_contiguous (g, in);
  for (guint i = 0; i < m->n_convs; i++)
    {
      x = atl_conv (g, x, atl_weight (g, m->conv[i].w), atl_weight (g, m->conv[i].b), NULL, &same);
      if (m->slope[i] != NULL)
        x = prelu (g, x, m->slope[i]);
    }
  x = atl_permute_to (g, atl_reshape_to (g, x, H, W, m->colors, s, s), 2, 0, 3, 1, 4);
  x = atl_reshape_to (g, x, 1, m->colors, H * s, W * s);
  in = atl_permute_to (g, atl_upsample (g, in, 1, H * s, W * s), 0, 3, 1, 2);
  atl_graph_output (g, atl_add (g, x, in), "image");
}

static gboolean
compact_run (gpointer model,
             const AtlRequest *request,
             GPtrArray *outputs,
             GCancellable *cancellable,
             GError **error)
{
  Compact *m = model;
  gint64 height, width;
  AtlArray *pixels = atl_upscale_pixels (request, m->colors, 1, &height, &width, error);
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();

  if (pixels == NULL)
    return FALSE;
  g_ptr_array_add (inputs, pixels);
  return atl_runner_run (m->net.runner, "upscale", describe, m, inputs, outputs, cancellable,
                         error);
}

const AtlComponentClass atl_compact_class = {
  .name = "compact",
  .origins = (const char *const[]){ "SRVGGNetCompact", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "upscale", NULL },
  .size = sizeof (Compact),
  .read = compact_read,
  .run = compact_run,
};
