/* ESRGAN (Wang et al. 2018; BasicSR and Real-ESRGAN's RRDBNet), an enlarger.
 *
 *   y = conv_first(x); y = y + conv_body(body(y))          all convolutions 3x3 with bias
 *   unit(x): out_k = lrelu(conv_k [x, out_1 … out_(k-1)]), k = 1 … 4; x + 0.2 conv_5 [x, out_1 … 4]
 *   block(x) = x + 0.2 unit_3(unit_2(unit_1(x)))           as many blocks as the file has
 *   per doubling: y = lrelu(conv_up (nearest x2 of y));    two, in older files one to three
 *   conv_last(lrelu(conv_hr(y)))                           lrelu: slope 0.2
 *
 * Networks for x1 and x2 fold squares of 4 or 2 pixels into channels (colour outermost, then row,
 * then column) and enlarge by 4 from there: told by the channels of the first layer. Sizes that are
 * no multiple are mirrored at the right and at the bottom, and the result is cut.
 *
 * upscale: image [1, colours, H, W] in 0…1 -> image. Names: names.c.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/upscale/names.h"
#include "engine/models/upscale/pixels.h"

#define N_UNITS 3
#define N_CONVS 5
#define MAX_UPS 4
#define RESIDUAL 0.2f

typedef struct
{
  AtlAffine conv[N_CONVS];
} Unit;

typedef struct
{
  AtlNetwork net;
  AtlEsrganLayout layout;
  gint64 colors, fold;
  AtlAffine first, body, up[MAX_UPS], hr, last;
  Unit (*blocks)[N_UNITS]; /* (owned) [n_blocks] */
} Esrgan;

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  AtlEsrganLayout layout;

  return atl_esrgan_layout (cp, &layout);
}

static void
esrgan_clear (gpointer model)
{
  Esrgan *m = model;

  g_free (m->blocks);
}

static void
read_weights (Esrgan *m, AtlSource *s)
{
  gint64 nf, gc, channels;

  m->first = atl_source_conv (s, -1, -1, 0, 3, "conv_first");
  nf = m->first.w != NULL ? m->first.w->dim[0] : -1;
  gc = atl_source_rows (s, "body.0.rdb1.conv1");
  for (guint i = 0; i < m->layout.n_blocks; i++)
    for (guint u = 0; u < N_UNITS; u++)
      for (guint c = 0; c < N_CONVS; c++)
        m->blocks[i][u].conv[c] = atl_source_conv (s, c + 1 < N_CONVS ? gc : nf, nf + c * gc, 0, 3,
                                                   "body.%u.rdb%u.conv%u", i, u + 1, c + 1);
  m->body = atl_source_conv (s, nf, nf, 0, 3, "conv_body");
  for (guint i = 0; i < m->layout.n_ups; i++)
    m->up[i] = atl_source_conv (s, nf, nf, 0, 3, "conv_up%u", i + 1);
  m->hr = atl_source_conv (s, nf, nf, 0, 3, "conv_hr");
  m->last = atl_source_conv (s, -1, nf, 0, 3, "conv_last");
  if (m->first.w == NULL || m->last.w == NULL)
    return;
  channels = m->first.w->dim[1];
  m->colors = m->last.w->dim[0];
  m->fold = 1;
  while (m->colors * m->fold * m->fold < channels && m->fold < 8)
    m->fold++;
  if (m->colors * m->fold * m->fold != channels)
    atl_weights_fail (m->net.weights, _ ("%s: %d channels are no squares of %d colours"),
                      atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)), (int) channels,
                      (int) m->colors);
}

static gboolean
esrgan_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Esrgan *m = model;

  if (atl_esrgan_layout (cp, &m->layout) && m->layout.n_ups <= MAX_UPS)
    {
      atl_esrgan_layout_apply (&m->layout, s);
      m->blocks = g_malloc0 (m->layout.n_blocks * sizeof *m->blocks);
      read_weights (m, s);
    }
  else
    atl_weights_fail (m->net.weights, _ ("%s holds no ESRGAN network"), atl_checkpoint_name (cp));
  return TRUE;
}

/* --- Forward; x is [1, H, W, C] --- */

static AtlTensor *
conv (AtlGraph *g, AtlTensor *x, const AtlAffine *a, AtlAct act, AtlTensor *residual)
{
  AtlOpParams p = { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 }, .act = act };

  return atl_conv (g, x, atl_weight (g, a->w), atl_weight (g, a->b), residual, &p);
}

static AtlTensor *
unit (AtlGraph *g, const Unit *u, AtlTensor *x)
{
  AtlTensor *parts[N_CONVS] = { x }, *all = x;

  for (guint i = 0; i + 1 < N_CONVS; i++)
    {
      parts[i + 1] = conv (g, all, &u->conv[i], ATL_ACT_LEAKY_RELU, NULL);
      all = atl_concat (g, 3, i + 2, parts);
    }
  all = conv (g, all, &u->conv[N_CONVS - 1], ATL_ACT_NONE, NULL);
  return atl_add (g, x, atl_affine (g, all, RESIDUAL, 0.0f));
}

static AtlTensor *
block (AtlGraph *g, const Unit *units, AtlTensor *x)
{
  AtlTensor *y = x;

  for (guint i = 0; i < N_UNITS; i++)
    y = unit (g, &units[i], y);
  return atl_add (g, x, atl_affine (g, y, RESIDUAL, 0.0f));
}

/* [1, C, h * f, w * f] -> [1, h, w, C * f * f] */
static AtlTensor *
fold (AtlGraph *g, AtlTensor *x, gint64 f)
{
  gint64 C = x->dim[1], h = x->dim[2] / f, w = x->dim[3] / f;

  x = atl_permute_to (g, atl_reshape_to (g, x, C, h, f, w, f), 1, 3, 0, 2, 4);
  return atl_reshape_to (g, x, 1, h, w, C * f * f);
}

typedef struct
{
  const Esrgan *m;
  gint64 height, width; /* of the picture as it came */
} Call;

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Esrgan *m = call->m;
  AtlTensor *x = fold (g, atl_runner_input (g, inputs, "pixels"), m->fold), *y;
  gint64 scale;

  x = y = conv (g, x, &m->first, ATL_ACT_NONE, NULL);
  for (guint i = 0; i < m->layout.n_blocks; i++)
    y = block (g, m->blocks[i], y);
  x = conv (g, y, &m->body, ATL_ACT_NONE, x);
  for (guint i = 0; i < m->layout.n_ups; i++)
    x = conv (g, atl_upsample (g, x, 1, 2 * x->dim[1], 2 * x->dim[2]), &m->up[i],
              ATL_ACT_LEAKY_RELU, NULL);
  x = conv (g, conv (g, x, &m->hr, ATL_ACT_LEAKY_RELU, NULL), &m->last, ATL_ACT_NONE, NULL);
  scale = ((gint64) 1 << m->layout.n_ups) / m->fold;
  x = atl_slice (g, x, 1, 0, scale * call->height);
  x = atl_slice (g, x, 2, 0, scale * call->width);
  atl_graph_output (g, atl_permute_to (g, x, 0, 3, 1, 2), "image");
}

static gboolean
esrgan_run (gpointer model,
            const AtlRequest *request,
            GPtrArray *outputs,
            GCancellable *cancellable,
            GError **error)
{
  Esrgan *m = model;
  Call call = { .m = m };
  AtlArray *pixels =
      atl_upscale_pixels (request, m->colors, m->fold, &call.height, &call.width, error);
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_autofree char *key = NULL;

  if (pixels == NULL)
    return FALSE;
  key = g_strdup_printf ("%d x %d", (int) call.width, (int) call.height);
  g_ptr_array_add (inputs, pixels);
  return atl_runner_run (m->net.runner, key, describe, &call, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_esrgan_class = {
  .name = "esrgan",
  .origins = (const char *const[]){ "RRDBNet", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "upscale", NULL },
  .size = sizeof (Esrgan),
  .read = esrgan_read,
  .run = esrgan_run,
  .clear = esrgan_clear,
};
