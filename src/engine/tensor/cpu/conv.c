/* The fast form of the convolution for levels whose tiles are vectors: a product of rows of taps
 * with panels of weights, without ever writing the rows of taps out as a whole. (For matrix units:
 * conv-planes.c; of 3 x 3 taps with a stride of one: conv-winograd.c.)
 *
 * A chunk is some output positions and some output channels. The inner dimension is (tap, channel);
 * tile_k of it at a time the panels that were made at upload (weight.c) become what the level's
 * tile takes, once for all positions of the chunk; the positions' taps are laid out straight from
 * the picture, a tile of them at a time, and meet all panels. The sums and the panels together stay
 * in a second-level cache.
 */
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

/* Of a chunk. */
#define MAX_SUMS (64 * 1024)
#define MAX_PANELS 16
#define MAX_ROWS 1024

typedef struct
{
  const AtlCpuKernels *kernels;
  const AtlNode *node;
  gint64 in[3], out[3], kernel[3]; /* frames, rows, columns */
  gint64 n_in, n_out;
  gint64 n_k;            /* taps * n_in */
  AtlDType dtype;        /* of the panels */
  gsize panel_bytes;     /* of 16 output channels */
  gint64 n_positions;    /* of the result, all batch entries */
  gint64 rows_per_chunk; /* a multiple of tile_rows */
  gint64 panels_per_chunk, n_panel_blocks;
  float *nothing; /* a pixel of zeros: padding */
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

/* Rows of a chunk with so many panels. */
static gint64
max_rows (const AtlCpuKernels *k, gint64 n_panels)
{
  gint64 rows = MIN (MAX_SUMS / (round_up (n_panels, 2) * 16), MAX_ROWS);

  return rows / k->tile_rows * k->tile_rows;
}

/* Bytes of tile_k elements of a panel as the tile takes them. */
static gsize
slab_bytes (const AtlCpuKernels *k)
{
  return (gsize) k->tile_k * 16 * sizeof (float);
}

static gsize
rows_bytes (const AtlCpuKernels *k)
{
  return (gsize) (k->tile_rows * k->tile_k) * sizeof (float);
}

/* Of a worker: rows, panels, sums, positions. */
static gsize
own_bytes (const AtlCpuKernels *k)
{
  gsize bytes = rows_bytes (k) + MAX_PANELS * slab_bytes (k) + MAX_SUMS * sizeof (float) +
                MAX_ROWS * sizeof (Position);

  return (bytes + 63) & ~(gsize) 63;
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
static const float *
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
  return c->x + index * c->n_in;
}

/* Inner elements [k, k + n) of up to tile_rows positions, laid out for the tile. */
static void
lay_out (const Conv *c, const Position *pos, gint64 n_rows, gint64 k, gint64 n, guint8 *out)
{
  const AtlCpuKernels *kernels = c->kernels;
  const gint64 end = k + n;

  while (k < end)
    {
      const float *rows[ATL_TILE_MAX_ROWS];
      gint64 channel = k % c->n_in;
      gint64 some = MIN (c->n_in - channel, end - k);

      for (gint64 r = 0; r < n_rows; r++)
        rows[r] = tap_pixel (c, &pos[r], k / c->n_in) + channel;
      kernels->prepare_rows (rows, n_rows, some, out);
      out += (gsize) some * kernels->tile_rows * sizeof (float);
      k += some;
    }
}

void
atl_conv_finish (const AtlCpuKernels *kernels,
                 AtlAct act,
                 const float *sums,
                 const float *bias,
                 const float *residual,
                 gint64 n,
                 float *out)
{
  if (bias != NULL)
    for (gint64 i = 0; i < n; i++)
      out[i] = sums[i] + bias[i];
  else
    memcpy (out, sums, (gsize) n * sizeof *out);
  if (act != ATL_ACT_NONE && !kernels->act_row (act, out, n))
    for (gint64 i = 0; i < n; i++)
      out[i] = atl_act_apply (act, out[i]);
  if (residual != NULL)
    for (gint64 i = 0; i < n; i++)
      out[i] += residual[i];
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
  for (gint64 r = 0; r < n_rows; r++)
    {
      const gint64 at = (first + r) * c->n_out + column;

      atl_conv_finish (c->kernels, c->node->p.act, sums + r * ld,
                       c->bias != NULL ? c->bias + column : NULL,
                       c->residual != NULL ? c->residual + at : NULL, n, c->dst + at);
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
  const gsize size = slab_bytes (k);
  guint8 *rows = c->own + worker * c->own_bytes;
  guint8 *panels = rows + rows_bytes (k);
  float *sums = (float *) (panels + MAX_PANELS * size);
  Position *pos = (Position *) (sums + MAX_SUMS);

  for (gint64 r = 0; r < n_rows; r++)
    pos[r] = position_of (c, first + r);
  if (k->begin != NULL)
    k->begin ();
  for (gint64 at = 0; at < c->n_k; at += k->tile_k)
    {
      gint64 n = MIN (k->tile_k, c->n_k - at);

      for (gint64 i = 0; i < n_panels; i++)
        k->load_panel (c->dtype,
                       c->panels + (gsize) (panel + i) * c->panel_bytes +
                           (gsize) at * (c->panel_bytes / (gsize) c->n_k),
                       n, panels + (gsize) i * size);
      for (gint64 r = 0; r < n_rows; r += k->tile_rows)
        {
          lay_out (c, pos + r, MIN (k->tile_rows, n_rows - r), at, n, rows);
          for (gint64 i = 0; i < n_panels; i += 2)
            {
              const guint8 *b = panels + (gsize) i * size;

              k->tile (n, rows, b, i + 1 < n_panels ? b + size : NULL, sums + r * ld + i * 16, ld,
                       at > 0);
            }
        }
    }
  if (k->end != NULL)
    k->end ();
  finish_rows (c, first, n_rows, panel * 16, MIN (n_panels * 16, c->n_out - panel * 16), sums, ld);
}

/* What a panel's element costs to load and a tap of a position to lay out, in products: a chunk of
 * few positions converts weights for little, one of few channels lays out taps for little. */
#define LOAD_COST 12.0
#define LAY_OUT_COST 16.0

/* What all threads are busy for with chunks of so many positions and panels, in products. */
static double
cost_of_chunks (const Conv *c, gint64 n_rows, gint64 n_panels, guint n_threads)
{
  const gint64 all_panels = (c->n_out + 15) / 16;
  const gint64 row_blocks = (c->n_positions + n_rows - 1) / n_rows;
  const gint64 panel_blocks = (all_panels + n_panels - 1) / n_panels;
  const gint64 rounds = (row_blocks * panel_blocks + n_threads - 1) / n_threads;
  const double width = (double) n_panels * 16;

  /* A thread that loses its core is waited for: a part of a chunk, so chunks are rather small. */
  return ((double) rounds + 0.1) *
         ((double) n_rows * width + LAY_OUT_COST * (double) n_rows + LOAD_COST * width);
}

/* Sets how many positions and panels a chunk has. */
static void
choose_chunks (Conv *c, guint n_threads)
{
  const AtlCpuKernels *k = c->kernels;
  const gint64 all_rows = round_up (c->n_positions, k->tile_rows);
  const gint64 all_panels = round_up ((c->n_out + 15) / 16, 2);
  double best = G_MAXDOUBLE;

  for (gint64 panels = 2; panels <= MIN (MAX_PANELS, all_panels); panels += 2)
    for (gint64 parts = 1; parts <= 4 * (gint64) n_threads; parts++)
      {
        gint64 rows =
            MIN (round_up ((all_rows + parts - 1) / parts, k->tile_rows), max_rows (k, panels));
        double cost = cost_of_chunks (c, rows, panels, n_threads);

        if (cost < best)
          {
            best = cost;
            c->rows_per_chunk = rows;
            c->panels_per_chunk = panels;
          }
      }
  c->n_panel_blocks = ((c->n_out + 15) / 16 + c->panels_per_chunk - 1) / c->panels_per_chunk;
}

/* Bytes of the pixel of zeros. */
static gsize
nothing_bytes (const AtlNode *node)
{
  return ((gsize) node->src[0]->dim[4] * sizeof (float) + 63) & ~(gsize) 63;
}

gsize
atl_fast_conv_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  if (cpu->kernels->tile_pixels != NULL)
    return atl_conv_planes_scratch (cpu, node);
  if (atl_conv_winograd_pays (cpu, node))
    return atl_conv_winograd_scratch (cpu, node);
  return nothing_bytes (node) + cpu->n_threads * own_bytes (cpu->kernels);
}

gboolean
atl_fast_conv (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *w = node->src[1];
  const AtlCpuWeight *store = atl_cpu_weight (run, w);
  const AtlCpuKernels *k = run->cpu->kernels;
  gint64 n_row_blocks;
  Conv c = {
    .kernels = k,
    .node = node,
    .kernel = { w->n_dims == 5 ? w->dim[2] : 1, w->dim[w->n_dims - 2], w->dim[w->n_dims - 1] },
    .n_in = w->dim[1],
    .n_out = w->dim[0],
    .n_positions = atl_tensor_n_elems (node->dst) / w->dim[0],
    .x = atl_cpu_f32 (run, x),
    .bias = atl_cpu_f32 (run, node->src[2]),
    .residual = atl_cpu_f32 (run, node->src[3]),
    .dst = atl_tensor_host (node->dst),
    .own = run->scratch + nothing_bytes (node),
    .own_bytes = own_bytes (k),
  };

  if (k->tile_pixels != NULL)
    return atl_conv_planes (run, node);
  if (atl_conv_winograd_pays (run->cpu, node))
    return atl_conv_winograd (run, node);
  g_assert (store != NULL && store->conv != NULL);
  c.panels = store->conv;
  c.dtype = store->conv_dtype;
  for (guint i = 0; i < 3; i++)
    {
      c.in[i] = x->dim[i + 1];
      c.out[i] = node->dst->dim[i + 1];
    }
  c.n_k = c.kernel[0] * c.kernel[1] * c.kernel[2] * c.n_in;
  c.panel_bytes = (gsize) c.n_k * 16 * atl_dtype_info (c.dtype)->block_bytes;
  c.nothing = (float *) run->scratch;
  memset (c.nothing, 0, (gsize) c.n_in * sizeof (float));

  choose_chunks (&c, run->cpu->n_threads);
  n_row_blocks = (c.n_positions + c.rows_per_chunk - 1) / c.rows_per_chunk;
  atl_pool_run (run->pool, n_row_blocks * c.n_panel_blocks, conv_chunk, &c);
  return TRUE;
}
