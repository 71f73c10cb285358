/* Convolutions of 3 x 3 taps and a stride of one by Winograd's F(4 x 4, 3 x 3): a quarter of the
 * products (kern-winograd.c has the mathematics), for levels whose tiles are float32 vectors.
 *
 * The result is cut into patches of 4 x 4 positions. A chunk is some patches and some panels of 16
 * output channels. Some channels of one frame's taps at a time, weights and patches of the picture
 * become their 36 forms; form by form they are multiplied into sums, from which at the end come the
 * pixels. Forms, sums and all belong to the worker and stay in its caches, so that nothing of the
 * transform passes through memory: a line of forms, at most a megabyte, in the second level, sums
 * in the last. (Chunks whose sums fit the second level make more forms than that saves.)
 */
#include <string.h>

#include "engine/tensor/cpu/cpu-private.h"

#define PATCH 4 /* positions a side */
#define WINDOW 6
#define N_FORMS (WINDOW * WINDOW)
#define CHANNELS ATL_WINOGRAD_CHANNELS
#define MAX_PATCHES 64
#define MAX_PANELS 16
#define MAX_SUMS (16 * 1024) /* of a form */
/* Forms of the same number lie in different sets of a cache. */
#define SKEW 16

typedef struct
{
  const AtlCpuKernels *kernels;
  const AtlNode *node;
  gint64 in[3], out[3], n_frame_taps;
  gint64 n_in, n_out, n_panels;
  gint64 grid[2];   /* patches of a frame: rows, columns */
  gint64 n_patches; /* of all frames and batch entries */
  gint64 patches_per_chunk, panels_per_chunk, n_panel_blocks;
  AtlDType dtype; /* of the panels */
  gsize element, panel_bytes;
  const guint8 *panels;
  const float *x, *bias, *residual;
  float *dst;
  float *own;
  gint64 own_floats; /* of a worker */
} Conv;

/* What a worker has for itself. */
typedef struct
{
  float *weights;                           /* [form of a line][panel][CHANNELS][16] */
  float *patches;                           /* [form of a line][patch][CHANNELS] */
  float *sums;                              /* [form][patch][pairs of panels of 16] */
  float *window;                            /* [WINDOW][WINDOW][CHANNELS] */
  float *nothing;                           /* [CHANNELS] zeros */
  float *pixels;                            /* [PATCH][PATCH][panels of 16] */
  gint64 weight_form, patch_form, sum_form; /* floats from a form to the next */
} Own;

static gint64
round_up (gint64 n, gint64 to)
{
  return (n + to - 1) / to * to;
}

/* Floats of it, for chunks of this size. */
static gint64
own_layout (gint64 n_patches, gint64 n_panels, float *memory, Own *own)
{
  const gint64 sizes[] = {
    WINDOW * (own->weight_form = n_panels * CHANNELS * 16 + SKEW),
    WINDOW * (own->patch_form = n_patches * CHANNELS + SKEW),
    N_FORMS * (own->sum_form = n_patches * round_up (n_panels, 2) * 16 + SKEW),
    N_FORMS * CHANNELS,
    CHANNELS,
    PATCH * PATCH * n_panels * 16,
  };
  float **fields[] = { &own->weights, &own->patches, &own->sums,
                       &own->window,  &own->nothing, &own->pixels };
  gint64 total = 0;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      if (memory != NULL)
        *fields[i] = memory + total;
      total += sizes[i];
    }
  return total;
}

static void
init (Conv *c, const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *w = node->src[1];

  c->kernels = cpu->kernels;
  c->node = node;
  c->n_frame_taps = w->n_dims == 5 ? w->dim[2] : 1;
  c->n_in = w->dim[1];
  c->n_out = w->dim[0];
  c->n_panels = (c->n_out + 15) / 16;
  for (guint d = 0; d < 3; d++)
    {
      c->in[d] = x->dim[d + 1];
      c->out[d] = node->dst->dim[d + 1];
    }
  for (guint d = 0; d < 2; d++)
    c->grid[d] = (c->out[d + 1] + PATCH - 1) / PATCH;
  c->n_patches = node->dst->dim[0] * c->out[0] * c->grid[0] * c->grid[1];
}

/* What the making of a form costs of a channel of a patch, of a weight, and of a sum, in products;
 * and what a channel of a position costs conv.c. */
#define PATCH_COST 160.0
#define WEIGHT_COST 160.0
#define PIXELS_COST 300.0
#define LAY_OUT_COST 16.0

/* What all threads are busy for, in products. */
static double
cost_of_chunks (const Conv *c, gint64 n_patches, gint64 n_panels, guint n_threads)
{
  const gint64 patch_blocks = (c->n_patches + n_patches - 1) / n_patches;
  const gint64 panel_blocks = (c->n_panels + n_panels - 1) / n_panels;
  const gint64 rounds = (patch_blocks * panel_blocks + n_threads - 1) / n_threads;
  const double depth = (double) (c->n_frame_taps * c->n_in);
  const double width = (double) n_panels * 16;
  const double n = (double) n_patches;

  /* A thread that loses its core is waited for: a part of a chunk, so chunks are rather small. */
  return ((double) rounds + 0.1) *
         (depth * (N_FORMS * n * width + PATCH_COST * n + WEIGHT_COST * width) +
          PIXELS_COST * n * width);
}

/* Sets the size of chunks, the last of which are hardly smaller; returns their cost. */
static double
choose_chunks (Conv *c, guint n_threads)
{
  double best = G_MAXDOUBLE;

  for (gint64 most = 1; most <= MIN (MAX_PANELS, c->n_panels); most++)
    {
      const gint64 panel_blocks = (c->n_panels + most - 1) / most;
      const gint64 panels =
          MIN (c->n_panels, round_up ((c->n_panels + panel_blocks - 1) / panel_blocks, 2));
      const gint64 most_patches = MIN (MAX_PATCHES, MAX_SUMS / (round_up (panels, 2) * 16));
      const gint64 fewest = (c->n_patches + most_patches - 1) / most_patches;

      for (gint64 blocks = fewest; blocks < fewest + 4 * (gint64) n_threads; blocks++)
        {
          const gint64 patches = (c->n_patches + blocks - 1) / blocks;
          const double cost = cost_of_chunks (c, patches, panels, n_threads);

          if (cost < best)
            {
              best = cost;
              c->patches_per_chunk = patches;
              c->panels_per_chunk = panels;
            }
        }
    }
  c->n_panel_blocks = (c->n_panels + c->panels_per_chunk - 1) / c->panels_per_chunk;
  return best;
}

gboolean
atl_conv_winograd_pays (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *w = node->src[1];
  const AtlOpParams *p = &node->p;
  const double n_positions = (double) (atl_tensor_n_elems (node->dst) / w->dim[0]);
  Conv c = { 0 };
  double direct;

  if (cpu->kernels->winograd == NULL || w->dim[w->n_dims - 2] != 3 || w->dim[w->n_dims - 1] != 3 ||
      p->stride[1] != 1 || p->stride[2] != 1)
    return FALSE;
  init (&c, cpu, node);
  direct = 9.0 * (double) (c.n_frame_taps * c.n_in) * n_positions *
           ((double) c.n_panels * 16 + LAY_OUT_COST) / cpu->n_threads;
  return choose_chunks (&c, cpu->n_threads) < direct;
}

gsize
atl_conv_winograd_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  Conv c = { 0 };

  init (&c, cpu, node);
  choose_chunks (&c, cpu->n_threads);
  return cpu->n_threads *
         (gsize) own_layout (c.patches_per_chunk, c.panels_per_chunk, NULL, &(Own){ 0 }) *
         sizeof (float);
}

/* Where a patch lies. */
typedef struct
{
  gint64 batch, frame, row, column; /* of the result */
} Place;

static Place
place_of (const Conv *c, gint64 patch)
{
  Place p;

  p.column = patch % c->grid[1] * PATCH;
  patch /= c->grid[1];
  p.row = patch % c->grid[0] * PATCH;
  patch /= c->grid[0];
  p.frame = patch % c->out[0];
  p.batch = patch / c->out[0];
  return p;
}

/* Where the pixels under a patch are; `nothing` stands for those outside the picture. */
static void
find_pixels (const Conv *c,
             const float *frame,
             gint64 row,
             gint64 column,
             const float *nothing,
             const float **pixels)
{
  for (gint64 r = 0; r < WINDOW; r++)
    {
      const gboolean is_inside = row + r >= 0 && row + r < c->in[1];
      const float *line = frame + (row + r) * c->in[2] * c->n_in;

      for (gint64 i = 0; i < WINDOW; i++)
        pixels[r * WINDOW + i] = is_inside && column + i >= 0 && column + i < c->in[2]
                                     ? line + (column + i) * c->n_in
                                     : nothing;
    }
}

/* A line of the forms of channels [at, at + n) of a patch under taps of frame `tap`. */
static void
make_patch (const Conv *c,
            gint64 patch,
            guint line,
            gint64 tap,
            gint64 at,
            gint64 n,
            const Own *own,
            float *out)
{
  const AtlOpParams *p = &c->node->p;
  const Place place = place_of (c, patch);
  const gint64 frame = place.frame * p->stride[0] + tap - p->pad_before[0];
  const float *x = c->x + (place.batch * c->in[0] + frame) * c->in[1] * c->in[2] * c->n_in + at;
  const float *pixels[N_FORMS];

  if (frame < 0 || frame >= c->in[0])
    {
      for (gint64 i = 0; i < WINDOW; i++)
        memset (out + i * own->patch_form, 0, (gsize) n * sizeof (float));
      return;
    }
  find_pixels (c, x, place.row - p->pad_before[1], place.column - p->pad_before[2], own->nothing,
               pixels);
  if (n % 16 != 0) /* vectors would read past the last pixel */
    for (gint64 i = 0; i < N_FORMS; i++)
      {
        memcpy (own->window + i * CHANNELS, pixels[i], (gsize) n * sizeof (float));
        pixels[i] = own->window + i * CHANNELS;
      }
  c->kernels->winograd->patch (line, pixels, n, out, own->patch_form);
}

/* The pixels of a patch from its sums. */
static void
write_patch (const Conv *c,
             gint64 patch,
             gint64 first_panel,
             gint64 n_panels,
             const float *sums,
             gint64 form,
             float *pixels)
{
  const Place place = place_of (c, patch);
  const gint64 first = first_panel * 16;
  const gint64 n = MIN (n_panels * 16, c->n_out - first);
  const gint64 rows = MIN (PATCH, c->out[1] - place.row);
  const gint64 columns = MIN (PATCH, c->out[2] - place.column);
  const gint64 ld = c->panels_per_chunk * 16;

  c->kernels->winograd->pixels (sums, form, n_panels * 16, pixels, ld);
  for (gint64 r = 0; r < rows; r++)
    for (gint64 i = 0; i < columns; i++)
      {
        const gint64 position =
            ((place.batch * c->out[0] + place.frame) * c->out[1] + place.row + r) * c->out[2] +
            place.column + i;
        const gint64 at = position * c->n_out + first;

        atl_conv_finish (c->kernels, c->node->p.act, pixels + (r * PATCH + i) * ld,
                         c->bias != NULL ? c->bias + first : NULL,
                         c->residual != NULL ? c->residual + at : NULL, n, c->dst + at);
      }
}

static void
conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *c = args;
  const AtlCpuWinograd *kernels = c->kernels->winograd;
  const gint64 first = chunk / c->n_panel_blocks * c->patches_per_chunk;
  const gint64 n_patches = MIN (c->patches_per_chunk, c->n_patches - first);
  const gint64 panel = chunk % c->n_panel_blocks * c->panels_per_chunk;
  const gint64 n_panels = MIN (c->panels_per_chunk, c->n_panels - panel);
  const gint64 ld = round_up (n_panels, 2) * 16;
  const gint64 tap_elems = c->n_in * 16;
  const gint64 n_blocks = (c->n_in + CHANNELS - 1) / CHANNELS;
  Own own;

  own_layout (c->patches_per_chunk, c->panels_per_chunk, c->own + worker * c->own_floats, &own);
  memset (own.nothing, 0, CHANNELS * sizeof (float));
  for (gint64 k = 0; k < c->n_frame_taps * n_blocks; k++)
    for (guint line = 0; line < WINDOW; line++)
      {
        const gint64 tap = k / n_blocks, at = k % n_blocks * CHANNELS;
        const gint64 n = MIN (CHANNELS, c->n_in - at);
        const gsize offset = (gsize) (tap * 9 * tap_elems + at * 16) * c->element;

        for (gint64 i = 0; i < n_panels; i++)
          kernels->weights (line, c->dtype,
                            c->panels + (gsize) (panel + i) * c->panel_bytes + offset, tap_elems, n,
                            own.weights + i * CHANNELS * 16, own.weight_form);
        for (gint64 i = 0; i < n_patches; i++)
          make_patch (c, first + i, line, tap, at, n, &own, own.patches + i * CHANNELS);
        for (gint64 f = 0; f < WINDOW; f++)
          kernels->multiply (n_patches, n, own.patches + f * own.patch_form,
                             own.weights + f * own.weight_form, n_panels,
                             own.sums + (line * WINDOW + f) * own.sum_form, ld, k > 0);
      }
  for (gint64 i = 0; i < n_patches; i++)
    write_patch (c, first + i, panel, n_panels, own.sums + i * ld, own.sum_form, own.pixels);
}

gboolean
atl_conv_winograd (AtlCpuRun *run, const AtlNode *node)
{
  const AtlCpuWeight *store = atl_cpu_weight (run, node->src[1]);
  Conv c = {
    .x = atl_cpu_f32 (run, node->src[0]),
    .bias = atl_cpu_f32 (run, node->src[2]),
    .residual = atl_cpu_f32 (run, node->src[3]),
    .dst = atl_tensor_host (node->dst),
    .own = (float *) run->scratch,
  };

  g_assert (store != NULL && store->conv != NULL);
  init (&c, run->cpu, node);
  c.panels = store->conv;
  c.dtype = store->conv_dtype;
  c.element = atl_dtype_info (c.dtype)->block_bytes;
  c.panel_bytes = (gsize) (c.n_frame_taps * 9 * c.n_in * 16) * c.element;
  choose_chunks (&c, run->cpu->n_threads);
  c.own_floats = own_layout (c.patches_per_chunk, c.panels_per_chunk, NULL, &(Own){ 0 });
  atl_pool_run (run->pool,
                (c.n_patches + c.patches_per_chunk - 1) / c.patches_per_chunk * c.n_panel_blocks,
                conv_chunk, &c);
  return TRUE;
}
