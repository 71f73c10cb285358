/* What the two fast forms of attention share: attention-few.c (decode) and attention-many.c. Used
 * by attention*.c only. */
#pragma once

#include "engine/tensor/cpu/cpu-private.h"

G_BEGIN_DECLS

typedef struct
{
  AtlDType dtype;
  const guint8 *data;
  gint64 stride[4]; /* bytes */
  gint64 row_bytes; /* of one head's elements */
} Operand;

typedef struct
{
  const AtlCpuKernels *kernels;
  gint64 n_batch, n_q, n_heads, n_kv, n_k, dim, v_dim, per_kv;
  Operand q, k, v;
  const gint32 *ranges;
  gint64 ranges_batch;
  const float *bias;
  gint64 bias_stride[4];
  const float *sinks;
  float scale, softcap;
  gboolean is_simple; /* no bias, no cap */
  gboolean is_plain;  /* simple, and every query sees every key */
  float *dst;
  gint64 first_key, end_key; /* union of all ranges */
  /* few */
  gint64 first_split, n_splits, heads_per_chunk;
  float *partial; /* [batch, kv, split]: results of a chunk's head */
  /* many */
  gint64 tile_rows_max, n_row_blocks;
  guint8 *own;
  gsize own_bytes;
} Attention;

static inline gint64
attention_round_up (gint64 n, gint64 to)
{
  return (n + to - 1) / to * to;
}

/* Gives each of `n` fields its number of floats of `memory` (NULL: none does), from lines of the
 * cache on; returns how many they take. */
static inline gint64
attention_divide (float *memory, const gint64 *sizes, float **const *fields, guint n)
{
  gint64 total = 0;

  for (guint i = 0; i < n; i++)
    {
      if (memory != NULL)
        *fields[i] = memory + total;
      total += attention_round_up (sizes[i], 16);
    }
  return total;
}

static inline const guint8 *
attention_at (const Operand *o, gint64 batch, gint64 token, gint64 head)
{
  return o->data + batch * o->stride[0] + token * o->stride[1] + head * o->stride[2];
}

/* Keys of query `i`: read once and clamped, see AtlPoolCompute. */
void attention_range (const Attention *a, gint64 batch, gint64 i, gint64 *first, gint64 *end);
/* Turns the scores of keys [at, at + n) of one query into weights, zero outside its range; returns
 * what its sums must be multiplied with. `state`: largest score and sum of weights so far. */
float attention_step_row (const Attention *a,
                          gint64 batch,
                          gint64 query,
                          gint64 head,
                          gint64 at,
                          gint64 n,
                          float *s,
                          float *state);

/* Whether the node's queries count as few. */
gboolean attention_is_few (const AtlCpu *cpu, const AtlNode *node);
gsize attention_few_scratch (const AtlCpu *cpu, const AtlNode *node);
void attention_run_few (AtlCpuRun *run, Attention *a);
/* Whether its many queries are taken in words (kern-attend.c, kern-attend-range.c). */
gboolean attention_is_in_lanes (const AtlCpu *cpu, const AtlNode *node);
gsize attention_lanes_scratch (const AtlCpu *cpu, const AtlNode *node);
void attention_run_lanes (AtlCpuRun *run, Attention *a);
gsize attention_many_scratch (const AtlCpu *cpu, const AtlNode *node);
void attention_run_many (AtlCpuRun *run, Attention *a);

G_END_DECLS
