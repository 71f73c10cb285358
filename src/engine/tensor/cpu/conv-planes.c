/* The convolution for levels whose tiles are matrix units that take split numbers (AMX).
 *
 * Beforehand every pixel of the picture is split, into planes of channel_unit channels with the
 * padding written out, so that a plane's pixels lie one after the other, rows of them too. With a
 * stride of one the taps of consecutive positions are then consecutive pixels: a tile reads them
 * where they are, whatever the tap, and nothing is laid out. Positions run over the padded width;
 * the few that stand for no output are left out at the end. Other strides, and pictures so small
 * that those few are many, copy the pixels of a tile together first.
 *
 * A chunk is some positions and some output channels; the inner dimension is (unit of channels,
 * tap, channel). A slab of it at a time panels (weight.c) become what the tile takes, once for all
 * positions; the sums and the panels stay in a second-level cache, the pixels of a tile, which its
 * taps share, in the first.
 */
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

#define UNIT 32 /* channels of a plane, as many rows of a tile */
#define PIXEL_BYTES (UNIT * 4)
#define PANEL_BYTES (UNIT * 16 * 4) /* a unit's, as the tile takes it */
#define MAX_SLAB 9                  /* units, a tap each */
#define MAX_PANELS 32
#define MAX_SUMS (256 * 1024)
#define MAX_ROWS 1024

typedef struct
{
  const AtlCpuKernels *kernels;
  const AtlNode *node;
  gint64 in[3], padded[3], out[3], kernel[3]; /* frames, rows, columns */
  gint64 n_in, n_out, n_planes, n_taps;
  gint64 slab;        /* units that are taken at a time */
  AtlDType dtype;     /* of the panels */
  gsize unit_bytes;   /* of a unit of a panel at upload */
  gsize panel_bytes;  /* of all of them */
  gboolean is_direct; /* tiles read the planes */
  gint64 n_volumes;   /* what positions are counted in: direct one output frame, else everything */
  gint64 n_rows;      /* positions of a volume */
  gint64 rows_per_chunk, n_row_blocks; /* of a volume */
  gint64 panels_per_chunk, n_panel_blocks;
  guint8 *planes;
  gsize plane_bytes;
  const guint8 *panels;
  const float *x, *bias, *residual;
  float *dst;
  guint8 *own;
  gsize own_bytes;
} Conv;

static gint64
round_up (gint64 n, gint64 to)
{
  return (n + to - 1) / to * to;
}

static void
init (Conv *c, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *w = node->src[1];
  gint64 pixels = x->dim[0];

  c->node = node;
  c->kernel[0] = w->n_dims == 5 ? w->dim[2] : 1;
  c->kernel[1] = w->dim[w->n_dims - 2];
  c->kernel[2] = w->dim[w->n_dims - 1];
  c->n_taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  c->n_in = w->dim[1];
  c->n_out = w->dim[0];
  c->n_planes = (c->n_in + UNIT - 1) / UNIT;
  for (guint d = 0; d < 3; d++)
    {
      c->in[d] = x->dim[d + 1];
      c->out[d] = node->dst->dim[d + 1];
      c->padded[d] = c->in[d] + node->p.pad_before[d] + node->p.pad_after[d];
      pixels *= c->padded[d];
    }
  /* The last tile of positions reaches past the last pixel. */
  c->plane_bytes = (gsize) (pixels + UNIT + c->kernel[2]) * PIXEL_BYTES;
}

/* Of a worker: pixels, panels, sums, positions. */
static gsize
own_bytes (void)
{
  return MAX_SLAB * UNIT * PIXEL_BYTES + MAX_PANELS * MAX_SLAB * PANEL_BYTES +
         MAX_SUMS * sizeof (float) + MAX_ROWS * sizeof (gint64);
}

gsize
atl_conv_planes_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  Conv c = { 0 };

  init (&c, node);
  return (gsize) c.n_planes * c.plane_bytes + cpu->n_threads * own_bytes () + 64;
}

/* One row of the padded picture in all planes. */
static void
split_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *c = args;
  const AtlOpParams *p = &c->node->p;
  const gint64 row = chunk % c->padded[1] - p->pad_before[1];
  const gint64 frame = chunk / c->padded[1] % c->padded[0] - p->pad_before[0];
  const gint64 batch = chunk / c->padded[1] / c->padded[0];
  guint8 *out = c->planes + (gsize) (chunk * c->padded[2]) * PIXEL_BYTES;
  const gsize before = (gsize) p->pad_before[2] * PIXEL_BYTES;
  const gsize inside = (gsize) c->in[2] * PIXEL_BYTES;
  const float *x;

  if (row < 0 || row >= c->in[1] || frame < 0 || frame >= c->in[0])
    {
      for (gint64 i = 0; i < c->n_planes; i++)
        memset (out + (gsize) i * c->plane_bytes, 0, (gsize) c->padded[2] * PIXEL_BYTES);
      return;
    }
  for (gint64 i = 0; i < c->n_planes; i++)
    {
      guint8 *plane = out + (gsize) i * c->plane_bytes;

      memset (plane, 0, before);
      memset (plane + before + inside, 0, (gsize) p->pad_after[2] * PIXEL_BYTES);
    }
  x = c->x + ((batch * c->in[0] + frame) * c->in[1] + row) * c->in[2] * c->n_in;
  for (gint64 i = 0; i < c->in[2]; i++)
    c->kernels->split_pixel (x + i * c->n_in, c->n_in, c->plane_bytes,
                             out + before + (gsize) i * PIXEL_BYTES);
}

/* The pixel of a plane, by number, that lies under the first tap of position `index`. */
static gint64
first_pixel (const Conv *c, gint64 volume, gint64 index)
{
  gint64 at[3];
  gint64 pixel;

  if (c->is_direct)
    {
      pixel = volume / c->out[0] * c->padded[0] + volume % c->out[0];
      return pixel * c->padded[1] * c->padded[2] + index;
    }
  for (gint d = 2; d >= 0; d--)
    {
      at[d] = index % c->out[d] * c->node->p.stride[d];
      index /= c->out[d];
    }
  pixel = index;
  for (guint d = 0; d < 3; d++)
    pixel = pixel * c->padded[d] + at[d];
  return pixel;
}

/* The output, by number, of position `index`; -1: none. */
static gint64
output_of (const Conv *c, gint64 volume, gint64 index)
{
  if (!c->is_direct)
    return index;
  if (index % c->padded[2] >= c->out[2])
    return -1;
  return (volume * c->out[1] + index / c->padded[2]) * c->out[2] + index % c->padded[2];
}

/* Where unit `unit` of the inner dimension of pixel `pixel` lies. */
static const guint8 *
unit_at (const Conv *c, gint64 unit, gint64 pixel)
{
  const gint64 tap = unit % c->n_taps;
  const gint64 column = tap % c->kernel[2];
  const gint64 row = tap / c->kernel[2] % c->kernel[1];
  const gint64 frame = tap / c->kernel[2] / c->kernel[1];

  pixel += (frame * c->padded[1] + row) * c->padded[2] + column;
  return c->planes + (gsize) (unit / c->n_taps) * c->plane_bytes + (gsize) pixel * PIXEL_BYTES;
}

/* Units [unit, unit + n) of the pixels of up to UNIT positions, put together. */
static void
gather (const Conv *c, const gint64 *pixel, gint64 n_rows, gint64 unit, gint64 n, guint8 *out)
{
  for (gint64 u = 0; u < n; u++)
    {
      const guint8 *from = unit_at (c, unit + u, 0);

      for (gint64 r = 0; r < UNIT; r++, out += PIXEL_BYTES)
        memcpy (out, from + (gsize) pixel[MIN (r, n_rows - 1)] * PIXEL_BYTES, PIXEL_BYTES);
    }
}

static void
finish (const Conv *c,
        gint64 volume,
        gint64 first,
        gint64 n_rows,
        gint64 panel,
        gint64 n_pairs,
        const float *sums)
{
  for (gint64 r = 0; r < n_rows; r++)
    {
      const gint64 output = output_of (c, volume, first + r);
      const float *s = sums + (r / UNIT * n_pairs * UNIT + r % UNIT) * 32;

      if (output < 0)
        continue;
      for (gint64 i = 0; i < n_pairs; i++, s += UNIT * 32)
        {
          const gint64 column = panel * 16 + i * 32;
          const gint64 at = output * c->n_out + column;

          atl_conv_finish (c->kernels, c->node->p.act, s, c->bias != NULL ? c->bias + column : NULL,
                           c->residual != NULL ? c->residual + at : NULL,
                           MIN (32, c->n_out - column), c->dst + at);
        }
    }
}

static void
conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *c = args;
  const AtlCpuKernels *k = c->kernels;
  const gint64 block = chunk / c->n_panel_blocks;
  const gint64 volume = block / c->n_row_blocks;
  const gint64 first = block % c->n_row_blocks * c->rows_per_chunk;
  const gint64 n_rows = MIN (c->rows_per_chunk, c->n_rows - first);
  const gint64 panel = chunk % c->n_panel_blocks * c->panels_per_chunk;
  const gint64 n_panels = MIN (c->panels_per_chunk, (c->n_out + 15) / 16 - panel);
  const gint64 n_pairs = (n_panels + 1) / 2;
  const gint64 n_units = c->n_planes * c->n_taps;
  const gsize panel_bytes = MAX_SLAB * PANEL_BYTES;
  const gboolean is_bf16 = c->dtype == ATL_DTYPE_BF16;
  guint8 *pixels = c->own + worker * c->own_bytes;
  guint8 *panels = pixels + MAX_SLAB * UNIT * PIXEL_BYTES;
  float *sums = (float *) (panels + MAX_PANELS * panel_bytes);
  gint64 *pixel = (gint64 *) (sums + MAX_SUMS);

  for (gint64 r = 0; r < n_rows; r++)
    pixel[r] = first_pixel (c, volume, first + r);
  k->begin ();
  for (gint64 unit = 0; unit < n_units; unit += c->slab)
    {
      const gint64 n = MIN (c->slab, n_units - unit);

      for (gint64 i = 0; i < n_panels; i++)
        k->load_panel (c->dtype,
                       c->panels + (gsize) (panel + i) * c->panel_bytes +
                           (gsize) unit * c->unit_bytes,
                       n * UNIT, panels + (gsize) i * panel_bytes);
      for (gint64 r = 0; r < n_rows; r += UNIT)
        {
          const guint8 *a[MAX_SLAB];

          if (!c->is_direct)
            gather (c, pixel + r, n_rows - r, unit, n, pixels);
          for (gint64 u = 0; u < n; u++)
            a[u] = c->is_direct ? unit_at (c, unit + u, pixel[r])
                                : pixels + (gsize) u * UNIT * PIXEL_BYTES;
          for (gint64 i = 0; i < n_panels; i += 2)
            {
              const guint8 *b = panels + (gsize) i * panel_bytes;

              (is_bf16 ? k->tile_pixels_bf16 : k->tile_pixels) (
                  (guint) n, a, b, i + 1 < n_panels ? b + panel_bytes : b,
                  sums + (r / UNIT * n_pairs + i / 2) * UNIT * 32, unit > 0);
            }
        }
    }
  k->end ();
  finish (c, volume, first, n_rows, panel, n_pairs, sums);
}

/* Chunks enough for all threads: fewer positions first, then fewer channels. */
static void
share_out (Conv *c, gint64 n_threads)
{
  const gint64 n_panels = (c->n_out + 15) / 16;
  const gint64 wanted = 3 * n_threads;

  c->n_panel_blocks = (n_panels + MAX_PANELS - 1) / MAX_PANELS;
  c->panels_per_chunk = round_up ((n_panels + c->n_panel_blocks - 1) / c->n_panel_blocks, 2);
  c->rows_per_chunk = CLAMP (round_up (c->n_volumes * c->n_rows / wanted, UNIT), 2 * UNIT,
                             MIN (MAX_SUMS / (c->panels_per_chunk * 16) / UNIT * UNIT, MAX_ROWS));
  c->n_row_blocks = (c->n_rows + c->rows_per_chunk - 1) / c->rows_per_chunk;
  while (c->panels_per_chunk > 2 &&
         c->n_volumes * c->n_row_blocks *
                 ((n_panels + c->panels_per_chunk - 1) / c->panels_per_chunk) <
             wanted)
    c->panels_per_chunk -= 2;
  c->n_panel_blocks = (n_panels + c->panels_per_chunk - 1) / c->panels_per_chunk;
}

/* Direct tiles take some positions that stand for nothing. */
static gboolean
direct_pays (const Conv *c)
{
  const AtlOpParams *p = &c->node->p;
  const gint64 positions = round_up (c->out[1] * c->padded[2], UNIT);

  return p->stride[0] == 1 && p->stride[1] == 1 && p->stride[2] == 1 &&
         (c->node->dst->dim[0] * c->out[0] == 1 || positions >= MAX_ROWS / 2) &&
         positions * 7 <= c->out[1] * c->out[2] * 8;
}

gboolean
atl_conv_planes (AtlCpuRun *run, const AtlNode *node)
{
  const AtlCpuWeight *store = atl_cpu_weight (run, node->src[1]);
  const gint64 batch = node->dst->dim[0];
  Conv c = {
    .kernels = run->cpu->kernels,
    .x = atl_cpu_f32 (run, node->src[0]),
    .bias = atl_cpu_f32 (run, node->src[2]),
    .residual = atl_cpu_f32 (run, node->src[3]),
    .dst = atl_tensor_host (node->dst),
    .planes = run->scratch,
    .own_bytes = own_bytes (),
  };

  g_assert (store != NULL && store->conv != NULL);
  g_assert (c.kernels->tile_rows == UNIT && c.kernels->channel_unit == UNIT);
  init (&c, node);
  c.own = c.planes + (((gsize) c.n_planes * c.plane_bytes + 63) & ~(gsize) 63);
  c.panels = store->conv;
  c.dtype = store->conv_dtype;
  c.unit_bytes = UNIT * 16 * atl_dtype_info (c.dtype)->block_bytes;
  c.panel_bytes = (gsize) (c.n_planes * c.n_taps) * c.unit_bytes;
  c.slab = c.n_taps % MAX_SLAB == 0 ? MAX_SLAB : MAX_SLAB - 1;
  c.is_direct = direct_pays (&c);
  c.n_volumes = c.is_direct ? batch * c.out[0] : 1;
  c.n_rows = c.is_direct ? c.out[1] * c.padded[2] : batch * c.out[0] * c.out[1] * c.out[2];
  share_out (&c, run->cpu->n_threads);
  atl_pool_run (run->pool, batch * c.padded[0] * c.padded[1], split_chunk, &c);
  atl_pool_run (run->pool, c.n_volumes * c.n_row_blocks * c.n_panel_blocks, conv_chunk, &c);
  return TRUE;
}
