/* Products of many rows: blocks of activations and of weights are laid out for the level's tile
 * and multiplied there.
 *
 * Activations are taken some 500 rows at a time and laid out once, for all threads. A chunk is
 * some groups of outputs: its thread turns their weights into panels, tile_k inner elements at a
 * time, and adds all rows' tiles to sums of its own, which are finished with the last of them. So
 * every weight is unpacked once for them.
 */
#include "engine/tensor/cpu/product.h"

#include <string.h>

#define MAX_ROWS 528
/* Plain weights of fewer inner elements stay in floats: such products take little of a real model's
 * time, and deep tiny ones with experts or recurrences multiply what is rounded. */
#define MIN_WORDS 320
/* Panels of 16 columns in a chunk; with tile_k they stay inside a second-level cache. */
#define MAX_PANELS 16

typedef struct
{
  AtlProduct *p;
  AtlCpuTiles kernels;
  gint64 first_row, n_rows; /* of this block */
  gint64 n_groups;
  gsize tile_bytes; /* of the rows of one tile, all inner elements */
  guint8 *rows;     /* shared: [tiles][tile_bytes] */
  guint8 *own;      /* per worker, own_bytes each */
  gsize own_bytes;
} Tiles;

static gint64
round_up (gint64 n, gint64 to)
{
  return (n + to - 1) / to * to;
}

static gint64
max_rows (gint64 tile_rows)
{
  return MAX_ROWS / tile_rows * tile_rows;
}

/* Room for n rows in tiles of any arithmetic. */
static gint64
most_rows (const AtlCpuKernels *k, gint64 n)
{
  const AtlCpuTiles *const tiles[] = { k->quant_tiles, k->byte_tiles, k->plain_tiles };
  gint64 most = MIN (round_up (n, k->tile_rows), max_rows (k->tile_rows));

  for (guint i = 0; i < G_N_ELEMENTS (tiles); i++)
    if (tiles[i] != NULL && tiles[i]->n_rows > 0)
      most = MAX (most, MIN (round_up (n, tiles[i]->n_rows), max_rows (tiles[i]->n_rows)));
  return most;
}

static gsize
panel_bytes (const AtlCpuKernels *k)
{
  return (gsize) k->tile_k * 16 * sizeof (float);
}

/* Per worker: MAX_PANELS panels, one panel of floats, 16 rows of floats, the sums. */
static gsize
own_bytes (const AtlCpuKernels *k, gint64 n_rows)
{
  return (MAX_PANELS + 2) * panel_bytes (k) + (gsize) n_rows * MAX_PANELS * 16 * sizeof (float) +
         2 * ATL_TILE_MAX_ROWS * ATL_PACK_ROWS * sizeof (float);
}

gsize
atl_product_tiles_scratch (const AtlCpu *cpu, gint64 n, gint64 n_in)
{
  const AtlCpuKernels *k = cpu->kernels;
  gint64 n_rows = most_rows (k, n);

  return (gsize) n_rows * (gsize) round_up (n_in, k->tile_k) * sizeof (float) +
         cpu->n_threads * own_bytes (k, n_rows);
}

static void
prepare_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Tiles *t = args;
  const AtlProduct *p = t->p;
  const guint tile_rows = t->kernels.n_rows;
  gint64 first = chunk * tile_rows;
  gint64 n = MIN (tile_rows, t->n_rows - first);
  const float *rows[ATL_TILE_MAX_ROWS];

  for (gint64 i = 0; i < n; i++)
    rows[i] = p->x + (t->first_row + first + i) * p->x_stride;
  t->kernels.prepare_rows (rows, n, p->n_in, t->rows + chunk * t->tile_bytes);
}

/* Elements [k, k + n) of group `group` of a source as a panel at `out`. */
static void
make_panel (const Tiles *t,
            const AtlSource *s,
            gint64 group,
            gint64 k,
            gint64 n,
            float *floats,
            float *plain,
            guint8 *out)
{
  const AtlProduct *p = t->p;
  const AtlCpuKernels *kernels = p->kernels;
  float *panel = t->kernels.prepare_panel != NULL ? floats : (float *) out;
  const guint8 *rows = s->data + (gsize) (group * ATL_PACK_ROWS) * s->stride;
  const guint n_rows = (guint) MIN (ATL_PACK_ROWS, s->n_out - group * ATL_PACK_ROWS);

  if (t->kernels.pack_panel != NULL)
    {
      const guint8 *packed = s->data + (gsize) group * s->stride;
      gint64 n_in = p->n_in, first = k;

      if (s->kind == ATL_SOURCE_FILE)
        {
          const AtlDTypeInfo *info = atl_dtype_info (s->dtype);

          atl_pack_group (s->dtype, rows + (gsize) k / info->block_elems * info->block_bytes,
                          s->stride, n_rows, n, (guint8 *) plain);
          packed = (const guint8 *) plain;
          n_in = n;
          first = 0;
        }
      t->kernels.pack_panel (s->dtype, packed, n_in, first, n, out);
      return;
    }
  if (t->kernels.rows_panel != NULL)
    {
      t->kernels.rows_panel (s->dtype, rows, s->stride, n_rows, k, n, out);
      return;
    }
  if (s->kind == ATL_SOURCE_PACKED)
    {
      kernels->unpack_panel (s->dtype, s->data + (gsize) group * s->stride, p->n_in, k, n, panel);
    }
  else if (s->kind == ATL_SOURCE_PLAIN)
    {
      kernels->plain_panel (s->dtype, rows, s->stride, n_rows, k, n, panel);
    }
  else
    {
      const AtlDTypeInfo *info = atl_dtype_info (s->dtype);

      for (guint r = 0; r < n_rows; r++)
        atl_dequantize (s->dtype,
                        rows + r * s->stride + (gsize) k / info->block_elems * info->block_bytes,
                        plain + r * n, n);
      kernels->plain_panel (ATL_DTYPE_F32, (const guint8 *) plain, (gsize) n * sizeof (float),
                            n_rows, 0, n, panel);
    }
  if (t->kernels.prepare_panel != NULL)
    t->kernels.prepare_panel (panel, n, out);
}

/* Sums of panel `panel` for rows from `row` on: blocks of [n_rows of a tile][32] for each tile of
 * rows and pair of panels. */
static const float *
panel_sums (const Tiles *t, const float *sums, gint64 n_pairs, gint64 panel, gint64 row)
{
  const gint64 tile_rows = t->kernels.n_rows;

  return sums + ((row / tile_rows * n_pairs + panel / 2) * tile_rows + row % tile_rows) * 32 +
         panel % 2 * 16;
}

/* Finishes the sums of a group (in `panel`, its partner in `partner`) for a tile of rows and writes
 * them out. */
static void
write_group (const Tiles *t,
             gint64 group,
             const float *sums,
             gint64 n_pairs,
             gint64 panel,
             gint64 partner,
             gint64 first,
             float *room)
{
  const AtlProduct *p = t->p;
  const gint64 n = MIN (t->kernels.n_rows, t->n_rows - first);
  const gint64 row = t->first_row + first;
  const float *from = panel_sums (t, sums, n_pairs, panel, first);
  float *second = NULL;
  gint64 column, own;
  const AtlSource *s = atl_product_source_of (p, group, &own);
  AtlSumsTo to = {
    .n = atl_product_group_columns (p, group, &column),
    .act = p->act,
    .scale = s->scale,
    .factor = p->a,
    .bias = s->bias != NULL ? s->bias + own : NULL,
    .residual_stride = p->residual_stride,
    .out_stride = p->dst_stride,
  };

  to.out = p->dst + row * p->dst_stride + column;
  if (p->residual != NULL)
    to.residual = p->residual + row * p->residual_stride + column;
  if (p->gated)
    {
      to.second = panel_sums (t, sums, n_pairs, partner, first);
      to.second_scale = p->source[1].scale;
      to.second_bias = p->source[1].bias != NULL ? p->source[1].bias + own : NULL;
    }
  if (p->kernels->write_sums (&to, from, 32, n))
    return;

  if (p->gated)
    second = room + ATL_TILE_MAX_ROWS * ATL_PACK_ROWS;
  for (gint64 i = 0; i < n; i++)
    {
      memcpy (room + i * 16, from + i * 32, 16 * sizeof (float));
      if (p->gated)
        memcpy (second + i * 16, to.second + i * 32, 16 * sizeof (float));
    }
  atl_product_finish (p, group, n, room, second);
  to.act = ATL_ACT_NONE;
  to.scale = to.factor = 1.0f;
  to.bias = to.second = NULL;
  p->kernels->write_sums (&to, room, 16, n);
}

/* The laid out rows of tile `m` from inner element `k` on, a multiple of tile_k. */
static const guint8 *
tile_rows_at (const Tiles *t, gint64 m, gint64 k)
{
  return t->rows + (gsize) m * t->tile_bytes +
         (gsize) (k / t->p->kernels->tile_k) * t->kernels.slab_bytes;
}

/* Adds the products of elements [at, at + n_k) of a tile of rows and panels i and i + 1. */
static void
multiply_tile (const Tiles *t,
               gint64 m,
               gint64 at,
               gint64 n_k,
               const guint8 *panels,
               gint64 i,
               gint64 n_panels,
               float *sums)
{
  const AtlCpuKernels *k = t->p->kernels;
  const gsize size = panel_bytes (k);
  const gint64 tile_rows = t->kernels.n_rows;
  const gint64 last_tile = (t->n_rows + tile_rows - 1) / tile_rows - 1;
  const guint8 *first = panels + (gsize) i * size;
  const guint8 *second = panels + (gsize) MIN (i + 1, n_panels - 1) * size;
  float *c = sums + (m * ((n_panels + 1) / 2) + i / 2) * tile_rows * 32;

  if (t->kernels.tile_ahead != NULL)
    t->kernels.tile_ahead (n_k, tile_rows_at (t, m, at), first, second, c, 32, at > 0,
                           tile_rows_at (t, MIN (m + 1, last_tile), at));
  else
    t->kernels.tile (n_k, tile_rows_at (t, m, at), first, second, c, 32, at > 0);
}

/* All columns of a tile of rows, so that what is written lies together. */
static void
write_tile (const Tiles *t,
            gint64 m,
            gint64 first,
            gint64 n_groups,
            gint64 n_pairs,
            const float *sums,
            float *room)
{
  for (gint64 i = 0; i < n_groups; i++)
    write_group (t, first + i, sums, n_pairs, i, n_groups + i, m * t->kernels.n_rows, room);
}

/* The source of panel i of a chunk, and the panel's group there. */
static const AtlSource *
source_of_panel (const AtlProduct *p, gint64 first, gint64 n_groups, gint64 i, gint64 *group)
{
  guint which = i < n_groups ? 0 : 1;

  *group = first + i % n_groups;
  if (!p->gated)
    {
      while (*group >= p->first_group[which + 1])
        which++;
      *group -= p->first_group[which];
    }
  return &p->source[which];
}

/* Meanwhile plain weights are asked for, a row or a few with each tile: elements [k, k + n) of a
 * chunk's panels. They are short pieces far from each other, which the processor does not foresee.
 */
typedef struct
{
  gint64 first, n_groups, n_panels, k, n;
  gint64 panel, row, per_tile;
  const guint8 *data; /* (nullable) of the panel's row, or no panel is left */
  gsize stride;
  gint64 n_rows;
} Ahead;

static void
ahead_of_panel (const Tiles *t, Ahead *a)
{
  const AtlSource *s;
  gint64 group;

  a->data = NULL;
  a->row = 0;
  if (a->panel >= a->n_panels)
    return;
  s = source_of_panel (t->p, a->first, a->n_groups, a->panel, &group);
  a->stride = s->stride;
  a->n_rows = MIN (ATL_PACK_ROWS, s->n_out - group * ATL_PACK_ROWS);
  a->data = s->data + (gsize) (group * ATL_PACK_ROWS) * s->stride +
            (gsize) a->k * atl_dtype_info (s->dtype)->block_bytes;
}

static Ahead
ahead_of_slab (const Tiles *t, gint64 chunk, gint64 k, gint64 n_tiles)
{
  const AtlProduct *p = t->p;
  Ahead a = {
    .first = chunk * p->groups_per_chunk,
    .k = k,
    .n = MIN (p->kernels->tile_k, p->n_in - k),
  };

  a.n_groups = MIN (p->groups_per_chunk, t->n_groups - a.first);
  if (t->kernels.rows_panel == NULL || a.n_groups <= 0)
    return a;
  a.n_panels = p->gated ? 2 * a.n_groups : a.n_groups;
  a.per_tile = 2 * ATL_PACK_ROWS / n_tiles + 1;
  ahead_of_panel (t, &a);
  return a;
}

static void
ask_ahead (const Tiles *t, Ahead *a)
{
  for (gint64 i = 0; i < a->per_tile && a->data != NULL; i++)
    {
      for (gint64 at = 0; at < 2 * a->n; at += 64)
        __builtin_prefetch (a->data + at, 0, 2);
      a->data += a->stride;
      if (++a->row < a->n_rows)
        continue;
      a->panel++;
      ahead_of_panel (t, a);
    }
}

static void
multiply_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Tiles *t = args;
  const AtlProduct *p = t->p;
  const AtlCpuKernels *k = p->kernels;
  const gint64 first = chunk * p->groups_per_chunk;
  const gint64 n_groups = MIN (p->groups_per_chunk, t->n_groups - first);
  const gint64 n_panels = p->gated ? 2 * n_groups : n_groups;
  const gint64 n_pairs = (n_panels + 1) / 2;
  const gint64 n_tiles = (t->n_rows + t->kernels.n_rows - 1) / t->kernels.n_rows;
  const gsize size = panel_bytes (k);
  /* The last sums of some rows are written while they are in the nearest cache, but not between
   * `begin` and `end`, where the processor is set up for tiles. */
  const gboolean at_once = k->begin == NULL;
  guint8 *panels = t->own + worker * t->own_bytes;
  float *floats = (float *) (panels + MAX_PANELS * size);
  float *plain = (float *) (panels + (MAX_PANELS + 1) * size);
  float *room = (float *) (panels + (MAX_PANELS + 2) * size);
  float *sums = room + 2 * ATL_TILE_MAX_ROWS * ATL_PACK_ROWS;

  if (k->begin != NULL)
    k->begin ();
  for (gint64 at = 0; at < p->n_in; at += k->tile_k)
    {
      const gint64 n_k = MIN (k->tile_k, p->n_in - at);
      Ahead ahead;

      for (gint64 i = 0; i < n_panels; i++)
        {
          gint64 group;
          const AtlSource *s = source_of_panel (p, first, n_groups, i, &group);

          make_panel (t, s, group, at, n_k, floats, plain, panels + (gsize) i * size);
        }
      /* A thread's next chunk is the one beside it. */
      ahead = at + n_k < p->n_in ? ahead_of_slab (t, chunk, at + n_k, n_tiles)
                                 : ahead_of_slab (t, chunk + 1, 0, n_tiles);
      if (at_once && at + n_k >= p->n_in)
        for (gint64 m = 0; m < n_tiles; m++)
          {
            for (gint64 i = 0; i < n_panels; i += 2)
              {
                ask_ahead (t, &ahead);
                multiply_tile (t, m, at, n_k, panels, i, n_panels, sums);
              }
            write_tile (t, m, first, n_groups, n_pairs, sums, room);
          }
      else
        for (gint64 i = 0; i < n_panels; i += 2)
          for (gint64 m = 0; m < n_tiles; m++)
            {
              ask_ahead (t, &ahead);
              multiply_tile (t, m, at, n_k, panels, i, n_panels, sums);
            }
    }
  if (k->end != NULL)
    k->end ();

  for (gint64 m = 0; m < n_tiles && !at_once; m++)
    write_tile (t, m, first, n_groups, n_pairs, sums, room);
}

static AtlCpuTiles
choose_tiles (const AtlProduct *p)
{
  const AtlCpuKernels *k = p->kernels;
  gboolean quantized = k->quant_tiles != NULL;
  gboolean in_bytes =
      k->byte_tiles != NULL && p->n >= ATL_PROMPT_MIN_ROWS && p->n_in >= ATL_PROMPT_MIN_WIDTH;
  gboolean is_bf16 = k->tile_bf16 != NULL;
  gboolean in_words = k->plain_tiles != NULL && p->n_in % 32 == 0 && p->n_in >= MIN_WORDS;

  for (guint i = 0; i < p->n_sources; i++)
    {
      const AtlDType dtype = p->source[i].dtype;

      quantized = quantized && atl_source_is_quantized (&p->source[i]);
      in_bytes = in_bytes && (k->byte_tiles->takes == NULL || k->byte_tiles->takes (dtype));
      in_words = in_words && p->source[i].kind == ATL_SOURCE_PLAIN && dtype != ATL_DTYPE_F32;
      is_bf16 =
          is_bf16 && p->source[i].kind == ATL_SOURCE_PLAIN &&
          (dtype == ATL_DTYPE_BF16 || dtype == ATL_DTYPE_F8_E4M3 || dtype == ATL_DTYPE_F8_E5M2);
    }
  if (quantized)
    return in_bytes ? *k->byte_tiles : *k->quant_tiles;
  if (in_words)
    return *k->plain_tiles;
  return (AtlCpuTiles){
    .prepare_panel = k->prepare_panel,
    .prepare_rows = k->prepare_rows,
    .tile = is_bf16 ? k->tile_bf16 : k->tile,
    .tile_ahead = k->tile_ahead,
    .slab_bytes = (gsize) (k->tile_k * k->tile_rows) * sizeof (float),
  };
}

static AtlCpuTiles
tile_kernels (const AtlProduct *p)
{
  AtlCpuTiles tiles = choose_tiles (p);

  if (tiles.n_rows == 0)
    tiles.n_rows = p->kernels->tile_rows;
  return tiles;
}

/* Groups of a chunk, a multiple of `step`: what is best for the busiest thread, with a part of a
 * chunk for one that loses its core and is waited for, and a little for each chunk. */
static gint64
choose_groups (gint64 n_groups, gint64 step, gint64 most, guint n_threads)
{
  double best = G_MAXDOUBLE;
  gint64 chosen = step;

  for (gint64 groups = step; groups <= most; groups += step)
    {
      const gint64 n_chunks = (n_groups + groups - 1) / groups;
      const gint64 rounds = (n_chunks + n_threads - 1) / n_threads;
      const double cost = ((double) rounds + 0.25) * ((double) groups + 0.25);

      if (cost < best)
        {
          best = cost;
          chosen = groups;
        }
    }
  return chosen;
}

void
atl_product_tiles (AtlCpuRun *run, AtlProduct *p)
{
  const AtlCpuKernels *k = p->kernels;
  gint64 n_blocks, per_block, most, tile_rows;
  Tiles t = {
    .p = p,
    .kernels = tile_kernels (p),
    .n_groups = atl_product_count_groups (p),
    .rows = run->scratch,
  };

  tile_rows = t.kernels.n_rows;
  most = max_rows (tile_rows);
  t.tile_bytes = (gsize) (round_up (p->n_in, k->tile_k) / k->tile_k) * t.kernels.slab_bytes;
  p->groups_per_chunk = p->gated
                            ? choose_groups (t.n_groups, 1, MAX_PANELS / 2, run->cpu->n_threads)
                            : choose_groups (t.n_groups, 2, MAX_PANELS, run->cpu->n_threads);
  /* Blocks of nearly the same size: a small one would unpack all weights for few rows. */
  n_blocks = (p->n + most - 1) / most;
  per_block = round_up ((p->n + n_blocks - 1) / n_blocks, tile_rows);
  for (t.first_row = 0; t.first_row < p->n; t.first_row += per_block)
    {
      gint64 n_tiles;

      t.n_rows = MIN (per_block, p->n - t.first_row);
      n_tiles = (t.n_rows + tile_rows - 1) / tile_rows;
      t.own = run->scratch + (gsize) n_tiles * t.tile_bytes;
      t.own_bytes = own_bytes (k, n_tiles * tile_rows);
      atl_pool_run (run->pool, n_tiles, prepare_chunk, &t);
      atl_pool_run (run->pool, (t.n_groups + p->groups_per_chunk - 1) / p->groups_per_chunk,
                    multiply_chunk, &t);
    }
}
