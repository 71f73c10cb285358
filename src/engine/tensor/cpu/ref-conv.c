/* Reference of the convolution: for each output position, 16 output channels at a time, all taps
 * inside the picture are added up in the order of the panels (see weight.c). */
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

typedef struct
{
  const AtlNode *node;
  gint64 in[3], out[3], kernel[3]; /* frames, rows, columns */
  gint64 n_in, n_out;
  const float *x;
  const float *w;        /* panels */
  const float *bias;     /* (nullable) */
  const float *residual; /* (nullable) */
  float *dst;
} Conv;

static void
conv_panel (const Conv *c, const float *x, const gint64 *at, const float *w, double *sum)
{
  const AtlOpParams *p = &c->node->p;

  for (gint64 kf = 0; kf < c->kernel[0]; kf++)
    for (gint64 ky = 0; ky < c->kernel[1]; ky++)
      for (gint64 kx = 0; kx < c->kernel[2]; kx++)
        {
          gint64 f = at[0] * p->stride[0] + kf - p->pad_before[0];
          gint64 y = at[1] * p->stride[1] + ky - p->pad_before[1];
          gint64 col = at[2] * p->stride[2] + kx - p->pad_before[2];
          gint64 tap = (kf * c->kernel[1] + ky) * c->kernel[2] + kx;
          const float *pixel;
          const float *wt = w + tap * c->n_in * ATL_CPU_CONV_PANEL;

          if (f < 0 || f >= c->in[0] || y < 0 || y >= c->in[1] || col < 0 || col >= c->in[2])
            continue;
          pixel = x + ((f * c->in[1] + y) * c->in[2] + col) * c->n_in;
          /* In double, but for a few channels at a time. */
          for (gint64 first = 0; first < c->n_in; first += 16)
            {
              float part[ATL_CPU_CONV_PANEL] = { 0 };

              for (gint64 i = first; i < MIN (c->n_in, first + 16); i++)
                for (guint o = 0; o < ATL_CPU_CONV_PANEL; o++)
                  part[o] += pixel[i] * wt[i * ATL_CPU_CONV_PANEL + o];
              for (guint o = 0; o < ATL_CPU_CONV_PANEL; o++)
                sum[o] += part[o];
            }
        }
}

/* One chunk is one row of output pixels. */
static void
conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *c = args;
  gint64 batch = chunk / (c->out[0] * c->out[1]);
  gint64 at[3] = { chunk / c->out[1] % c->out[0], chunk % c->out[1], 0 };
  const float *x = c->x + batch * c->in[0] * c->in[1] * c->in[2] * c->n_in;
  gint64 panel_floats = c->kernel[0] * c->kernel[1] * c->kernel[2] * c->n_in * ATL_CPU_CONV_PANEL;

  for (gint64 first = 0; first < c->n_out; first += ATL_CPU_CONV_PANEL)
    for (at[2] = 0; at[2] < c->out[2]; at[2]++)
      {
        double sum[ATL_CPU_CONV_PANEL] = { 0 };
        gint64 pos = ((gint64) chunk * c->out[2] + at[2]) * c->n_out + first;

        conv_panel (c, x, at, c->w + first / ATL_CPU_CONV_PANEL * panel_floats, sum);
        for (gint64 o = 0; o < MIN (ATL_CPU_CONV_PANEL, c->n_out - first); o++)
          {
            float v = (float) (sum[o] + (c->bias != NULL ? c->bias[first + o] : 0.0f));

            v = atl_act_apply (c->node->p.act, v);
            if (c->residual != NULL)
              v += c->residual[pos + o];
            c->dst[pos + o] = v;
          }
      }
}

void
atl_ref_conv (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *w = node->src[1];
  const AtlCpuWeight *store = atl_cpu_weight (run, w);
  Conv c = {
    .node = node,
    .kernel = { w->n_dims == 5 ? w->dim[2] : 1, w->dim[w->n_dims - 2], w->dim[w->n_dims - 1] },
    .n_in = w->dim[1],
    .n_out = w->dim[0],
    .x = atl_cpu_f32 (run, x),
    .bias = atl_cpu_f32 (run, node->src[2]),
    .residual = atl_cpu_f32 (run, node->src[3]),
    .dst = atl_tensor_host (node->dst),
  };

  g_assert (store != NULL && store->conv != NULL);
  c.w = (const float *) store->conv; /* without kernels they are f32 */
  for (guint i = 0; i < 3; i++)
    {
      c.in[i] = x->dim[i + 1];
      c.out[i] = node->dst->dim[i + 1];
    }
  atl_pool_run (run->pool, x->dim[0] * c.out[0] * c.out[1], conv_chunk, &c);
}
