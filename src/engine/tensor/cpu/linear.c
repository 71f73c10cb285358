/* The fast forms of linear and expert-linear. */
#include <string.h>

#include "engine/tensor/cpu/product.h"

/* Up to so many rows the results of a chunk fit a worker's scratch, and a chunk is short. */
#define RESTARTABLE_ROWS 8
/* Rows that are dotted with a group while it is in the nearest cache. */
#define ROWS_AT_A_TIME 32
/* What a restartable chunk reads at most: some ten microseconds. */
#define CHUNK_BYTES (128 * 1024)
/* What each lane of a product to come is asked for: some ten microseconds of reading. */
#define AHEAD_BYTES ((gsize) 256 * 1024)

static gint64
last_dim (const AtlTensor *t)
{
  return t->dim[t->n_dims - 1];
}

/* --- Few rows --- */

/* To the results of a group, [rows][16]. */
static void
add_residual (const AtlProduct *p, gint64 group, float *out)
{
  gint64 column;
  const guint n_columns = atl_product_group_columns (p, group, &column);

  for (gint64 t = 0; t < p->n; t++)
    for (guint c = 0; c < n_columns; c++)
      out[t * ATL_PACK_ROWS + c] += p->residual[t * p->residual_stride + column + c];
}

/* Results of the chunk's groups, [rows][groups][16]. */
static void
few_compute (gconstpointer args, guint chunk, gpointer scratch)
{
  const AtlProduct *p = args;
  const gint64 n_groups = p->first_group[p->gated ? 1 : p->n_sources];
  gint64 first = chunk * p->groups_per_chunk;
  gint64 end = MIN (first + p->groups_per_chunk, n_groups);
  float *out = scratch;

  for (gint64 g = first, n_done; g < end; g += n_done, out += n_done * p->n * ATL_PACK_ROWS)
    {
      float second[RESTARTABLE_ROWS * ATL_PACK_ROWS];

      n_done = p->n == 1 && g + 1 < end && atl_product_two (p, g, 0, out) ? 2 : 1;
      if (n_done == 1)
        atl_product_few (p, g, 0, p->n, out, second);
      if (p->residual != NULL)
        for (gint64 i = 0; i < n_done; i++)
          add_residual (p, g + i, out + i * p->n * ATL_PACK_ROWS);
    }
}

static void
few_commit (gconstpointer args, guint chunk, gconstpointer scratch)
{
  const AtlProduct *p = args;
  const gint64 n_groups = p->first_group[p->gated ? 1 : p->n_sources];
  gint64 first = chunk * p->groups_per_chunk;
  gint64 end = MIN (first + p->groups_per_chunk, n_groups);
  const float *from = scratch;

  for (gint64 g = first; g < end; g++)
    {
      gint64 column;
      guint n_columns = atl_product_group_columns (p, g, &column);

      for (gint64 t = 0; t < p->n; t++, from += ATL_PACK_ROWS)
        memcpy (p->dst + t * p->dst_stride + column, from, n_columns * sizeof (float));
    }
}

/* The same for more rows, straight to their place. */
static void
some_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlProduct *p = args;
  const gint64 n_groups = p->first_group[p->gated ? 1 : p->n_sources];
  gint64 first = chunk * p->groups_per_chunk;
  gint64 end = MIN (first + p->groups_per_chunk, n_groups);

  for (gint64 g = first; g < end; g++)
    for (gint64 t = 0; t < p->n; t += ROWS_AT_A_TIME)
      {
        gint64 n = MIN (ROWS_AT_A_TIME, p->n - t);
        float out[ROWS_AT_A_TIME * ATL_PACK_ROWS];
        float second[ROWS_AT_A_TIME * ATL_PACK_ROWS];
        gint64 column;
        guint n_columns = atl_product_group_columns (p, g, &column);

        atl_product_few (p, g, t, n, out, second);
        for (gint64 i = 0; i < n; i++)
          {
            float *to = p->dst + (t + i) * p->dst_stride + column;

            memcpy (to, out + i * ATL_PACK_ROWS, n_columns * sizeof (float));
            if (p->residual != NULL)
              for (guint c = 0; c < n_columns; c++)
                to[c] += p->residual[(t + i) * p->residual_stride + column + c];
          }
      }
}

/* At most `most` groups a chunk, so that the threads' shares of all are as alike as they can be: in
 * small products a chunk more would be a tenth of the time. */
static gint64
even_groups (gint64 n_groups, gint64 n_threads, gint64 most, gint64 step)
{
  const gint64 share = (n_groups + n_threads - 1) / n_threads;
  gint64 best = most, best_share = G_MAXINT64;

  for (gint64 groups = most / step * step; groups >= step && best_share > share + share / 64;
       groups -= step)
    {
      const gint64 n_chunks = (n_groups + groups - 1) / groups;
      const gint64 largest = (n_chunks + n_threads - 1) / n_threads * groups;

      if (largest < best_share)
        {
          best = groups;
          best_share = largest;
        }
    }
  return best;
}

/* Groups of a restartable chunk; 0 when they are too many for one. */
static gint64
groups_of_chunk (const AtlCpuRun *run, gint64 n, gint64 n_groups, gsize group_bytes)
{
  const gint64 n_threads = run->cpu->n_threads;
  /* One row is faster with two groups at a time. */
  const gint64 step = n == 1 ? 2 : 1;
  gint64 room = ATL_POOL_SCRATCH_BYTES / (n * ATL_PACK_ROWS * (gint64) sizeof (float));
  gint64 pieces = 4 * n_threads;
  gint64 least = (n_groups + ATL_POOL_MAX_RESTARTABLE - 1) / ATL_POOL_MAX_RESTARTABLE;
  gint64 most = MIN ((n_groups + pieces - 1) / pieces, (gint64) (CHUNK_BYTES / group_bytes));
  gint64 groups = even_groups (n_groups, n_threads, MAX (step, most), step);

  groups = MIN (MAX (groups, least), room);
  return n <= RESTARTABLE_ROWS && groups >= least ? groups : 0;
}

static void
run_few (AtlCpuRun *run, AtlProduct *p)
{
  const gint64 n_groups = atl_product_count_groups (p);
  const gint64 threads = run->cpu->n_threads;
  gsize group_bytes = 0;

  atl_product_quantise (run, p);
  for (guint i = 0; i < p->n_sources; i++)
    {
      const AtlSource *s = &p->source[i];
      gsize bytes = s->kind == ATL_SOURCE_PACKED ? s->stride : ATL_PACK_ROWS * s->stride;
      group_bytes = MAX (group_bytes, p->gated ? 2 * bytes : bytes);
    }

  p->groups_per_chunk = groups_of_chunk (run, p->n, n_groups, group_bytes);
  if (p->groups_per_chunk > 0)
    {
      atl_pool_run_restartable (run->pool,
                                (n_groups + p->groups_per_chunk - 1) / p->groups_per_chunk,
                                few_compute, few_commit, p, sizeof *p);
      return;
    }
  p->groups_per_chunk = MAX (1, n_groups / (8 * threads));
  atl_pool_run (run->pool, (n_groups + p->groups_per_chunk - 1) / p->groups_per_chunk, some_chunk,
                p);
}

/* --- linear --- */

gsize
atl_fast_linear_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const gint64 n_in = last_dim (x);
  const gint64 n = atl_tensor_n_elems (x) / n_in;

  return MAX (atl_product_quant_bytes (n, n_in), atl_product_tiles_scratch (cpu, n, n_in));
}

gboolean
atl_fast_linear (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_LINEAR_X];
  const AtlTensor *residual = node->src[ATL_LINEAR_RESIDUAL];
  AtlProduct p = {
    .kernels = run->cpu->kernels,
    .x = atl_cpu_f32 (run, x),
    .n_in = last_dim (x),
    .n_sources = node->p.n_weights,
    .act = node->p.act,
    .a = node->p.gated ? 1.0f : node->p.a,
    .gated = node->p.gated,
    .dst = atl_tensor_host (node->dst),
    .dst_stride = last_dim (node->dst),
    .residual = atl_cpu_f32 (run, residual),
  };
  gint64 first_out = 0;
  gint64 n_rows;

  G_STATIC_ASSERT (sizeof p <= ATL_POOL_ARGS_MAX);
  atl_cpu_f32_rows (x, &p.n, &p.x_stride);
  if (residual != NULL)
    atl_cpu_f32_rows (residual, &n_rows, &p.residual_stride);
  for (guint i = 0; i < p.n_sources; i++)
    {
      const AtlTensor *w = node->src[ATL_LINEAR_W0 + i];

      p.source[i] = atl_product_source (run, w, 0, first_out,
                                        atl_cpu_f32 (run, node->src[ATL_LINEAR_B0 + i]));
      if (!p.gated)
        first_out += w->dim[0];
    }
  if (atl_product_is_few (&p, run->cpu->exact, p.n))
    {
      p.quantised = atl_product_quant_rows (p.n, p.n_in, run->scratch);
      run_few (run, &p);
    }
  else
    {
      atl_product_tiles (run, &p);
    }
  return TRUE;
}

/* Where a weight's groups begin and how long each is; NULL: not known before it is used. */
static const guint8 *
groups_of_weight (const AtlCpuRun *run, const AtlTensor *t, gsize *group_bytes)
{
  const AtlCpuWeight *w = atl_cpu_weight (run, t);
  const AtlDTypeInfo *info = atl_dtype_info (t->dtype);

  if (w == NULL || t->base != NULL || (w->packed == NULL && w->rows == NULL))
    return NULL;
  *group_bytes = w->packed != NULL
                     ? atl_pack_group_bytes (t->dtype, last_dim (t))
                     : ATL_PACK_ROWS * (gsize) last_dim (t) / info->block_elems * info->block_bytes;
  return w->packed != NULL ? w->packed : w->rows;
}

/* What a lane that begins at group `first` reads first. */
static void
ahead_of_lane (const AtlCpuRun *run, const AtlNode *node, gint64 first, AtlPoolAhead *out)
{
  const guint n = node->p.n_weights;
  gint64 before = 0;
  gsize left = AHEAD_BYTES;

  G_STATIC_ASSERT (ATL_POOL_AHEADS >= G_N_ELEMENTS (((AtlProduct *) NULL)->source));
  for (guint i = 0; i < n; i++)
    {
      const AtlTensor *t = node->src[ATL_LINEAR_W0 + i];
      const gint64 n_groups = (t->dim[0] + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS;
      const gint64 group = MAX (first - before, 0);
      gsize group_bytes;
      const guint8 *data = groups_of_weight (run, t, &group_bytes);

      if (!node->p.gated)
        before += n_groups;
      if (data == NULL || group >= n_groups || left == 0)
        continue;
      out[i].data = data + (gsize) group * group_bytes;
      out[i].bytes =
          MIN ((gsize) (n_groups - group) * group_bytes, node->p.gated ? AHEAD_BYTES / n : left);
      left -= node->p.gated ? 0 : out[i].bytes;
    }
}

void
atl_linear_ask_ahead (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_LINEAR_X];
  const gint64 n = atl_tensor_n_elems (x) / last_dim (x);
  gint64 n_groups = 0, per_chunk;
  gsize largest = 0;

  for (guint i = 0; i < node->p.n_weights; i++)
    {
      const AtlTensor *t = node->src[ATL_LINEAR_W0 + i];
      gsize group_bytes = 0;

      if (groups_of_weight (run, t, &group_bytes) == NULL)
        return;
      largest = MAX (largest, group_bytes * (node->p.gated ? 2 : 1));
      if (i == 0 || !node->p.gated)
        n_groups += (t->dim[0] + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS;
    }
  per_chunk = n <= RESTARTABLE_ROWS ? groups_of_chunk (run, n, n_groups, largest) : 0;
  if (per_chunk == 0)
    return;
  for (guint lane = 0; lane < atl_pool_n_lanes (run->pool); lane++)
    {
      AtlPoolAhead ahead[ATL_POOL_AHEADS] = { 0 };
      guint chunk =
          atl_pool_lane_start (run->pool, lane, (guint) ((n_groups + per_chunk - 1) / per_chunk));

      ahead_of_lane (run, node, chunk * per_chunk, ahead);
      atl_pool_ask_ahead (run->pool, lane, ahead);
    }
}

/* --- expert-linear --- */

/* Activations are rounded in the order of the experts, so that the rows of an expert are neighbours
 * and meet its weights together. */
typedef struct
{
  AtlProduct p; /* sources are those of expert 0; its rows are the sorted slots */
  gsize expert_bytes[2];
  gint64 n_out, n_experts, n_groups;
  gint64 slots_per_row; /* 1 when every slot has its own x, else k */
  const gint32 *first;  /* [n_experts + 1] in slots */
  const gint32 *slots;  /* [n * k], sorted by expert */
} Experts;

static void
quantise_slot (gconstpointer args, guint chunk, guint worker)
{
  const Experts *e = args;
  AtlQuantRows rows = e->p.quantised;

  e->p.kernels->quantise_row (e->p.x + e->slots[chunk] / e->slots_per_row * e->p.x_stride,
                              e->p.n_in, chunk, &rows);
}

/* A group of one expert for its sorted slots [s, s + n). Plain weights have their activations where
 * they are, one at a time; the weights stay in the nearest cache. */
static void
expert_group (const Experts *e,
              const AtlProduct *p,
              gint64 group,
              gint64 s,
              gint64 n,
              float *out,
              float *second)
{
  if (atl_source_is_quantised (&p->source[0]))
    {
      atl_product_few (p, group, s, n, out, second);
      return;
    }
  for (gint64 i = 0; i < n; i++)
    atl_product_few (p, group, e->slots[s + i] / e->slots_per_row, 1, out + i * ATL_PACK_ROWS,
                     second);
}

/* The products of one expert. */
static AtlProduct
product_of (const Experts *e, gint64 expert)
{
  AtlProduct p = e->p;

  for (guint i = 0; i < p.n_sources; i++)
    {
      p.source[i].data += (gsize) expert * e->expert_bytes[i];
      if (p.source[i].bias != NULL)
        p.source[i].bias += expert * e->n_out;
    }
  return p;
}

/* One chunk is some groups of one expert. */
static void
experts_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Experts *e = args;
  const gint64 per_expert = (e->n_groups + e->p.groups_per_chunk - 1) / e->p.groups_per_chunk;
  const gint64 expert = chunk / per_expert;
  const gint64 first = chunk % per_expert * e->p.groups_per_chunk;
  const gint64 end_slot = e->first[expert + 1];
  AtlProduct p;

  if (e->first[expert] == end_slot)
    return;
  p = product_of (e, expert);
  for (gint64 g = first; g < MIN (first + p.groups_per_chunk, e->n_groups); g++)
    for (gint64 s = e->first[expert]; s < end_slot; s += ROWS_AT_A_TIME)
      {
        gint64 n = MIN (ROWS_AT_A_TIME, end_slot - s);
        float out[ROWS_AT_A_TIME * ATL_PACK_ROWS];
        float second[ROWS_AT_A_TIME * ATL_PACK_ROWS];
        gint64 column;
        guint n_columns = atl_product_group_columns (&p, g, &column);

        expert_group (e, &p, g, s, n, out, second);
        for (gint64 i = 0; i < n; i++)
          memcpy (p.dst + e->slots[s + i] * p.dst_stride + column, out + i * ATL_PACK_ROWS,
                  n_columns * sizeof (float));
      }
}

/* --- Plain weights of experts, many rows --- */

static gsize
aligned_floats (gint64 n)
{
  return ((gsize) n * sizeof (float) + 63) & ~(gsize) 63;
}

/* The rows of one expert, their results, and the tiles; an expert has at most all slots. */
static gsize
gather_scratch (const AtlCpu *cpu, gint64 n_slots, gint64 n_in, gint64 n_out)
{
  return aligned_floats (n_slots * n_in) + aligned_floats (n_slots * n_out) +
         atl_product_tiles_scratch (cpu, n_slots, n_in);
}

/* Whether plain weights are turned into tiles. All experts of a pass alike: a row's numbers may
 * depend on how long the pass is, but not on what other rows chose. */
static gboolean
wants_tiles (const AtlCpu *cpu, const AtlProduct *p, gint64 n_tokens)
{
  return p->source[0].kind == ATL_SOURCE_PLAIN &&
         n_tokens >= atl_product_tile_rows (p->kernels, cpu->exact);
}

/* Gathers the rows of each expert, multiplies them as those of any other weight, and puts the
 * results back. */
static void
run_tiles (AtlCpuRun *run, const Experts *e, guint8 *room)
{
  const gint64 n_slots = e->first[e->n_experts];
  float *x = (float *) room;
  float *out = (float *) (room + aligned_floats (n_slots * e->p.n_in));
  AtlCpuRun tiles = *run;

  tiles.scratch = (guint8 *) out + aligned_floats (n_slots * e->n_out);
  for (gint64 expert = 0; expert < e->n_experts; expert++)
    {
      const gint32 *slots = e->slots + e->first[expert];
      const gint64 n = e->first[expert + 1] - e->first[expert];
      AtlProduct p;

      if (n == 0)
        continue;
      for (gint64 i = 0; i < n; i++)
        memcpy (x + i * e->p.n_in, e->p.x + slots[i] / e->slots_per_row * e->p.x_stride,
                (gsize) e->p.n_in * sizeof *x);
      p = product_of (e, expert);
      p.x = x;
      p.x_stride = p.n_in;
      p.n = n;
      p.dst = out;
      p.dst_stride = e->n_out;
      atl_product_tiles (&tiles, &p);
      for (gint64 i = 0; i < n; i++)
        memcpy (e->p.dst + slots[i] * e->p.dst_stride, out + i * e->n_out,
                (gsize) e->n_out * sizeof *out);
    }
}

static gsize
table_bytes (gint64 n_slots, gint64 n_experts)
{
  return ((gsize) (n_slots + n_experts + 1) * sizeof (gint32) + 63) & ~(gsize) 63;
}

gsize
atl_fast_expert_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_EXPERT_X];
  const AtlTensor *w = node->src[ATL_EXPERT_W0];
  const gint64 n_in = last_dim (x);
  const gint64 n_slots = atl_tensor_n_elems (node->src[ATL_EXPERT_IDS]);
  gsize bytes = atl_product_quant_bytes (n_slots, n_in);

  if (!atl_dtype_info (w->dtype)->quantised)
    bytes = gather_scratch (cpu, n_slots, n_in, w->dim[1]);
  return table_bytes (n_slots, w->dim[0]) + bytes;
}

/* Counting sort of the slots by expert. */
static void
sort_slots (const gint32 *ids, gint64 n_slots, gint64 n_experts, gint32 *first, gint32 *slots)
{
  memset (first, 0, (gsize) (n_experts + 1) * sizeof *first);
  for (gint64 s = 0; s < n_slots; s++)
    first[ids[s] + 1]++;
  for (gint64 e = 0; e < n_experts; e++)
    first[e + 1] += first[e];
  for (gint64 s = 0; s < n_slots; s++)
    slots[first[ids[s]]++] = (gint32) s;
  /* Every start has moved to its expert's end, the next one's start. */
  memmove (first + 1, first, (gsize) n_experts * sizeof *first);
  first[0] = 0;
}

gboolean
atl_fast_expert_linear (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_EXPERT_X];
  const AtlTensor *ids = node->src[ATL_EXPERT_IDS];
  const gint32 *id = atl_tensor_host (ids);
  const gint64 n_slots = atl_tensor_n_elems (ids);
  gint32 *table;
  guint8 *room;
  Experts e = {
    .p = {
      .kernels = run->cpu->kernels,
      .x = atl_cpu_f32 (run, x),
      .n_in = last_dim (x),
      .n_sources = node->p.n_weights,
      .act = node->p.act,
      .a = 1.0f,
      .gated = node->p.gated,
      .dst = atl_tensor_host (node->dst),
      .dst_stride = last_dim (node->dst),
    },
    .n_experts = node->src[ATL_EXPERT_W0]->dim[0],
    .n_out = node->src[ATL_EXPERT_W0]->dim[1],
    .slots_per_row = x->n_dims == 3 ? 1 : ids->dim[1],
  };
  AtlProduct *p = &e.p;

  p->n = atl_tensor_n_elems (x) / p->n_in;
  p->x_stride = p->n_in;
  for (guint i = 0; i < p->n_sources; i++)
    {
      const AtlTensor *w = node->src[ATL_EXPERT_W0 + i];
      AtlSource *s = &p->source[i];

      *s = atl_product_source (run, w, 0, 0, atl_cpu_f32 (run, node->src[ATL_EXPERT_B0 + i]));
      e.expert_bytes[i] = s->stride * (gsize) (s->kind == ATL_SOURCE_PACKED
                                                   ? (e.n_out + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS
                                                   : e.n_out);
    }
  /* Gate and up of one kind: rows are either rounded and sorted or not. */
  if (!atl_product_is_few (p, run->cpu->exact, 1) ||
      (p->gated && p->source[1].kind != p->source[0].kind))
    return FALSE;
  if (!atl_cpu_check_experts (run, id, n_slots, e.n_experts))
    return TRUE;

  table = (gint32 *) run->scratch;
  room = run->scratch + table_bytes (n_slots, e.n_experts);
  sort_slots (id, n_slots, e.n_experts, table, table + e.n_experts + 1);
  e.first = table;
  e.slots = table + e.n_experts + 1;
  if (wants_tiles (run->cpu, p, ids->dim[0]))
    {
      run_tiles (run, &e, room);
      return TRUE;
    }
  p->quantised = atl_product_quant_rows (n_slots, p->n_in, room);
  if (atl_source_is_quantised (&p->source[0]))
    atl_pool_run (run->pool, n_slots, quantise_slot, &e);
  e.n_groups = atl_product_count_groups (p);
  p->groups_per_chunk = MAX (1, e.n_groups / (4 * (gint64) run->cpu->n_threads));
  atl_pool_run (run->pool,
                e.n_experts * ((e.n_groups + p->groups_per_chunk - 1) / p->groups_per_chunk),
                experts_chunk, &e);
  return TRUE;
}
