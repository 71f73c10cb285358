/* The fast form of linear; that of experts is in experts.c. */
#include <string.h>

#include "engine/tensor/cpu/product.h"

/* Up to so many rows the results of a chunk fit a worker's scratch, and a chunk is short. */
#define RESTARTABLE_ROWS 8
/* What a restartable chunk reads at most: some ten microseconds. */
#define CHUNK_BYTES (128 * 1024)
/* What each lane of a product to come is asked for: some ten microseconds of reading. */
#define AHEAD_BYTES ((gsize) 256 * 1024)

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
    for (gint64 t = 0; t < p->n; t += ATL_PRODUCT_ROWS)
      {
        gint64 n = MIN (ATL_PRODUCT_ROWS, p->n - t);
        float out[ATL_PRODUCT_ROWS * ATL_PACK_ROWS];
        float second[ATL_PRODUCT_ROWS * ATL_PACK_ROWS];
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

  atl_product_quantize (run, p);
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

/* --- All rows --- */

gsize
atl_fast_linear_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const gint64 n_in = atl_tensor_last_dim (x);
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
    .n_in = atl_tensor_last_dim (x),
    .n_sources = node->p.n_weights,
    .act = node->p.act,
    .a = node->p.gated ? 1.0f : node->p.a,
    .gated = node->p.gated,
    .dst = atl_tensor_host (node->dst),
    .dst_stride = atl_tensor_last_dim (node->dst),
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
      p.quantized = atl_product_quant_rows (p.n, p.n_in, run->scratch);
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
  *group_bytes = w->packed != NULL ? atl_pack_group_bytes (t->dtype, atl_tensor_last_dim (t))
                                   : ATL_PACK_ROWS * (gsize) atl_tensor_last_dim (t) /
                                         info->block_elems * info->block_bytes;
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
  const gint64 n = atl_tensor_n_elems (x) / atl_tensor_last_dim (x);
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
