/* The fast form of the convolution: a product of rows of taps with panels of weights, without ever
 * writing the rows of taps out as a whole.
 *
 * A chunk is some output positions and some output channels. The inner dimension is (tap, channel);
 * tile_k of it at a time the positions' taps are laid out for the level's tile, straight from the
 * picture, and multiplied with panels that were made at upload (weight.c). Where tiles take split
 * numbers (AMX), every pixel of the picture is split once beforehand, so that laying out a tap is
 * copying.
 */
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

#define CHUNK_ROWS 256
#define CHUNK_PANELS 16

typedef struct
{
  const AtlCpuKernels *kernels;
  const AtlNode *node;
  gint64 in[3], out[3], kernel[3]; /* frames, rows, columns */
  gint64 n_in, n_out;
  gint64 channels;       /* n_in rounded up to what the level splits */
  gint64 n_k;            /* taps * channels */
  gsize panel_bytes;     /* of 16 output channels */
  gint64 n_positions;    /* of the result, all batch entries */
  gint64 rows_per_chunk; /* a multiple of tile_rows */
  gint64 panels_per_chunk, n_panel_blocks;
  const guint8 *pixels; /* the picture, as it is or split */
  gsize pixel_bytes;
  guint8 *nothing; /* a pixel of zeros: padding */
  const guint8 *panels;
  const float *x, *bias, *residual;
  float *dst;
  guint8 *own;
  gsize own_bytes;
} Conv;

/* Where the first tap of an output position lies in the picture. */
typedef struct
{
  gint64 batch;
  gint64 at[3];
} Position;

static gint64
round_up (gint64 n, gint64 to)
{
  return (n + to - 1) / to * to;
}

static gint64
max_rows (const AtlCpuKernels *k)
{
  return CHUNK_ROWS / k->tile_rows * k->tile_rows;
}

static gsize
own_bytes (const AtlCpuKernels *k)
{
  return (gsize) max_rows (k) * ((gsize) k->tile_k + CHUNK_PANELS * 16) * sizeof (float) +
         (gsize) max_rows (k) * sizeof (Position);
}

static void
split_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *c = args;
  const gint64 n = c->in[2];

  /* One row of pixels. */
  for (gint64 i = chunk * n; i < (chunk + 1) * n; i++)
    c->kernels->split_pixel (c->x + i * c->n_in, c->n_in,
                             (guint8 *) c->pixels + (gsize) i * c->pixel_bytes);
}

static Position
position_of (const Conv *c, gint64 index)
{
  const AtlOpParams *p = &c->node->p;
  Position pos;

  for (gint d = 2; d >= 0; d--)
    {
      pos.at[d] = index % c->out[d] * p->stride[d] - p->pad_before[d];
      index /= c->out[d];
    }
  pos.batch = index;
  return pos;
}

/* The pixel under tap `tap` at a position, or the pixel of zeros outside the picture. */
static const guint8 *
tap_pixel (const Conv *c, const Position *pos, gint64 tap)
{
  gint64 index = pos->batch;
  gint64 offset[3];

  offset[2] = tap % c->kernel[2];
  offset[1] = tap / c->kernel[2] % c->kernel[1];
  offset[0] = tap / c->kernel[2] / c->kernel[1];
  for (guint d = 0; d < 3; d++)
    {
      gint64 at = pos->at[d] + offset[d];

      if (at < 0 || at >= c->in[d])
        return c->nothing;
      index = index * c->in[d] + at;
    }
  return c->pixels + (gsize) index * c->pixel_bytes;
}

/* Inner elements [k, k + n) of up to tile_rows positions, laid out for the tile. */
static void
lay_out (const Conv *c, const Position *pos, gint64 n_rows, gint64 k, gint64 n, guint8 *out)
{
  const AtlCpuKernels *kernels = c->kernels;
  const gint64 end = k + n;

  while (k < end)
    {
      const guint8 *rows[ATL_TILE_MAX_ROWS];
      gint64 channel = k % c->channels;
      gint64 some = MIN (c->channels - channel, end - k);

      for (gint64 r = 0; r < n_rows; r++)
        rows[r] = tap_pixel (c, &pos[r], k / c->channels) + (gsize) channel * sizeof (float);
      if (kernels->split_pixel != NULL)
        {
          for (gint64 r = n_rows; r < kernels->tile_rows; r++)
            rows[r] = c->nothing;
          kernels->gather_rows (rows, some, out);
        }
      else
        {
          kernels->prepare_rows ((const float *const *) rows, n_rows, some, out);
        }
      out += (gsize) some * kernels->tile_rows * sizeof (float);
      k += some;
    }
}

static void
finish_rows (const Conv *c,
             gint64 first,
             gint64 n_rows,
             gint64 column,
             gint64 n,
             const float *sums,
             gint64 ld)
{
  const AtlAct act = c->node->p.act;

  for (gint64 r = 0; r < n_rows; r++)
    {
      const gint64 at = (first + r) * c->n_out + column;
      const float *s = sums + r * ld;
      float *out = c->dst + at;

      for (gint64 i = 0; i < n; i++)
        out[i] = s[i] + (c->bias != NULL ? c->bias[column + i] : 0.0f);
      if (act != ATL_ACT_NONE && !c->kernels->act_row (act, out, n))
        for (gint64 i = 0; i < n; i++)
          out[i] = atl_act_apply (act, out[i]);
      if (c->residual != NULL)
        for (gint64 i = 0; i < n; i++)
          out[i] += c->residual[at + i];
    }
}

static void
conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *c = args;
  const AtlCpuKernels *k = c->kernels;
  const gint64 first = chunk / c->n_panel_blocks * c->rows_per_chunk;
  const gint64 n_rows = MIN (c->rows_per_chunk, c->n_positions - first);
  const gint64 panel = chunk % c->n_panel_blocks * c->panels_per_chunk;
  const gint64 n_panels = MIN (c->panels_per_chunk, (c->n_out + 15) / 16 - panel);
  const gint64 ld = round_up (n_panels, 2) * 16;
  guint8 *rows = c->own + worker * c->own_bytes;
  float *sums = (float *) (rows + (gsize) max_rows (k) * k->tile_k * sizeof (float));
  Position *pos = (Position *) (sums + max_rows (k) * CHUNK_PANELS * 16);

  for (gint64 r = 0; r < n_rows; r++)
    pos[r] = position_of (c, first + r);
  if (k->begin != NULL)
    k->begin ();
  for (gint64 at = 0; at < c->n_k; at += k->tile_k)
    {
      gint64 n = MIN (k->tile_k, c->n_k - at);

      for (gint64 r = 0; r < n_rows; r += k->tile_rows)
        {
          lay_out (c, pos + r, MIN (k->tile_rows, n_rows - r), at, n, rows);
          for (gint64 i = 0; i < n_panels; i += 2)
            {
              const guint8 *b = c->panels + (gsize) (panel + i) * c->panel_bytes + (gsize) at * 64;

              k->tile (n, rows, b, i + 1 < n_panels ? b + c->panel_bytes : b,
                       sums + r * ld + i * 16, ld, at > 0);
            }
        }
    }
  if (k->end != NULL)
    k->end ();
  finish_rows (c, first, n_rows, panel * 16, MIN (n_panels * 16, c->n_out - panel * 16), sums, ld);
}

/* Bytes of the split picture and the pixel of zeros. */
static gsize
shared_bytes (const AtlCpuKernels *k, const AtlTensor *x)
{
  gint64 channels = round_up (x->dim[4], k->channel_unit);
  gsize pixel = (gsize) channels * sizeof (float);
  gsize picture = 0;

  if (k->split_pixel != NULL)
    picture = (gsize) (atl_tensor_n_elems (x) / x->dim[4]) * pixel;
  return ((picture + pixel) + 63) & ~(gsize) 63;
}

gsize
atl_fast_conv_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  return shared_bytes (cpu->kernels, node->src[0]) + cpu->n_threads * own_bytes (cpu->kernels);
}

gboolean
atl_fast_conv (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *w = node->src[1];
  const AtlCpuWeight *store = atl_cpu_weight (run, w);
  const AtlCpuKernels *k = run->cpu->kernels;
  gint64 n_panels;
  gint64 n_row_blocks;
  Conv c = {
    .kernels = k,
    .node = node,
    .kernel = { w->n_dims == 5 ? w->dim[2] : 1, w->dim[w->n_dims - 2], w->dim[w->n_dims - 1] },
    .n_in = w->dim[1],
    .n_out = w->dim[0],
    .channels = round_up (w->dim[1], k->channel_unit),
    .n_positions = atl_tensor_n_elems (node->dst) / w->dim[0],
    .x = atl_cpu_f32 (run, x),
    .bias = atl_cpu_f32 (run, node->src[2]),
    .residual = atl_cpu_f32 (run, node->src[3]),
    .dst = atl_tensor_host (node->dst),
    .own = run->scratch + shared_bytes (k, x),
    .own_bytes = own_bytes (k),
  };

  g_assert (store != NULL && store->conv != NULL);
  c.panels = (const guint8 *) store->conv;
  for (guint i = 0; i < 3; i++)
    {
      c.in[i] = x->dim[i + 1];
      c.out[i] = node->dst->dim[i + 1];
    }
  c.n_k = c.kernel[0] * c.kernel[1] * c.kernel[2] * c.channels;
  c.panel_bytes = (gsize) c.n_k * 16 * sizeof (float);
  c.pixel_bytes = (gsize) c.channels * sizeof (float);
  c.nothing = run->scratch + shared_bytes (k, x) - ((c.pixel_bytes + 63) & ~(gsize) 63);
  memset (c.nothing, 0, c.pixel_bytes);
  if (k->split_pixel != NULL)
    {
      c.pixels = run->scratch;
      atl_pool_run (run->pool, x->dim[0] * c.in[0] * c.in[1], split_chunk, &c);
    }
  else
    {
      c.pixels = (const guint8 *) c.x;
    }

  /* Chunks enough for all threads: fewer positions first, then fewer channels. */
  n_panels = (c.n_out + 15) / 16;
  c.rows_per_chunk =
      CLAMP (round_up (c.n_positions / (3 * (gint64) run->cpu->n_threads), k->tile_rows),
             2 * (gint64) k->tile_rows, max_rows (k));
  n_row_blocks = (c.n_positions + c.rows_per_chunk - 1) / c.rows_per_chunk;
  c.panels_per_chunk = CHUNK_PANELS;
  while (c.panels_per_chunk > 2 &&
         n_row_blocks * ((n_panels + c.panels_per_chunk - 1) / c.panels_per_chunk) <
             3 * (gint64) run->cpu->n_threads)
    c.panels_per_chunk -= 2;
  c.n_panel_blocks = (n_panels + c.panels_per_chunk - 1) / c.panels_per_chunk;
  atl_pool_run (run->pool, n_row_blocks * c.n_panel_blocks, conv_chunk, &c);
  return TRUE;
}
