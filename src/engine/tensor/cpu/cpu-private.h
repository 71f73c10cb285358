/* What the files of the CPU backend share: the backend object, its form of a weight, and access to
 * the memory of tensors.
 *
 * Ops are functions on an AtlCpuRun and a node. ref-*.c hold the plain C that defines each op; an
 * op's fast form, where it has one, is asked first and says whether it took the node.
 */
#pragma once

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/pool.h"
#include "engine/tensor/cpu/slabs.h"
#include "engine/tensor/quants/dequant.h"

G_BEGIN_DECLS

typedef struct
{
  AtlCpuLevel best;
  gboolean avx_vnni; /* of 256 bits */
  gboolean vnni;     /* AVX512_VNNI */
  /* More additions of 512 bits a cycle than multiplications: AMD's. */
  gboolean adds_faster;
  gboolean amx_int8; /* with ATL_CPU_AMX */
} AtlCpuFeatures;

const AtlCpuFeatures *atl_cpu_features (void);

typedef struct
{
  AtlBackend base;
  AtlCpuLevel level;
  gboolean exact;
  const AtlCpuKernels *kernels; /* NULL: plain C only */
  AtlPool *pool;                /* (owned) */
  AtlCpuSlabs *slabs;           /* (owned) weights */
  guint n_threads;
  AtlCpuCost *costs; /* (nullable) borrowed; see atl_cpu_backend_count */
} AtlCpu;

typedef struct
{
  AtlCpu *cpu;
  AtlPool *pool;
  guint8 *
      scratch; /* 64-byte aligned; as many bytes as the backend's scratch_bytes said for the node */
  gsize scratch_bytes;
  GError *error; /* set by an op that met bad values, such as an id outside its table */
} AtlCpuRun;

/* What AtlWeight.store points to. */
typedef struct
{
  float *f32;     /* (owned) (nullable) VECTOR use: the values, row-major */
  guint8 *packed; /* (owned) (nullable) LINEAR use: groups of 16 rows, pack.h; experts one after the
                     other */
  guint8
      *rows; /* (owned) (nullable) LINEAR use of f32, f16, bf16: the file's rows in large pages */
  guint8 *conv; /* (owned) (nullable) CONV use: [Cout / 16][taps][Cin][16] of conv_dtype, zero
                   padded; where the kernels' channel_unit is more than one, [Cout / 16][Cin /
                   unit][taps][unit][16] */
  AtlDType conv_dtype; /* f32, f16 or bf16 */
} AtlCpuWeight;

#define ATL_CPU_CONV_PANEL 16

/* The plain C that defines each op: ref-*.c. */
typedef void (*AtlCpuOpFunc) (AtlCpuRun *run, const AtlNode *node);

void atl_ref_embed (AtlCpuRun *run, const AtlNode *node);
void atl_ref_linear (AtlCpuRun *run, const AtlNode *node);
void atl_ref_expert_linear (AtlCpuRun *run, const AtlNode *node);
void atl_ref_reorder (AtlCpuRun *run, const AtlNode *node);
void atl_ref_route (AtlCpuRun *run, const AtlNode *node);
void atl_ref_expert_sum (AtlCpuRun *run, const AtlNode *node);
void atl_ref_norm (AtlCpuRun *run, const AtlNode *node);
void atl_ref_group_norm (AtlCpuRun *run, const AtlNode *node);
void atl_ref_rope (AtlCpuRun *run, const AtlNode *node);
void atl_ref_store_rows (AtlCpuRun *run, const AtlNode *node);
void atl_ref_attention (AtlCpuRun *run, const AtlNode *node);
void atl_ref_binary (AtlCpuRun *run, const AtlNode *node);
void atl_ref_unary (AtlCpuRun *run, const AtlNode *node);
void atl_ref_glu (AtlCpuRun *run, const AtlNode *node);
void atl_ref_copy (AtlCpuRun *run, const AtlNode *node);
void atl_ref_concat (AtlCpuRun *run, const AtlNode *node);
void atl_ref_upsample (AtlCpuRun *run, const AtlNode *node);
void atl_ref_conv (AtlCpuRun *run, const AtlNode *node);
void atl_ref_causal_conv (AtlCpuRun *run, const AtlNode *node);
void atl_ref_ssm_scan (AtlCpuRun *run, const AtlNode *node);
void atl_ref_delta_rule (AtlCpuRun *run, const AtlNode *node);

/* Bytes of shared scratch that these want. */
gsize atl_ref_linear_scratch (const AtlCpu *cpu, const AtlNode *node);
gsize atl_ref_attention_scratch (const AtlCpu *cpu, const AtlNode *node);
gsize atl_ref_recurrent_scratch (const AtlCpu *cpu, const AtlNode *node);

/* The fast forms; FALSE: not for this node, the reference must run it. They are only asked when
 * there are kernels. */
typedef gboolean (*AtlCpuFastFunc) (AtlCpuRun *run, const AtlNode *node);

gboolean atl_fast_linear (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_expert_linear (AtlCpuRun *run, const AtlNode *node);

/* Before the node ahead of it runs: has the pool ask for the weights of a product of few rows. */
void atl_linear_ask_ahead (AtlCpuRun *run, const AtlNode *node);

gsize atl_fast_linear_scratch (const AtlCpu *cpu, const AtlNode *node);
gsize atl_fast_expert_scratch (const AtlCpu *cpu, const AtlNode *node);

gboolean atl_fast_attention (AtlCpuRun *run, const AtlNode *node);
gsize atl_fast_attention_scratch (const AtlCpu *cpu, const AtlNode *node);

gboolean atl_fast_norm (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_group_norm (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_rope (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_store_rows (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_binary (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_unary (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_glu (AtlCpuRun *run, const AtlNode *node);
gsize atl_fast_group_norm_scratch (const AtlCpu *cpu, const AtlNode *node);

gboolean atl_fast_conv (AtlCpuRun *run, const AtlNode *node);
gsize atl_fast_conv_scratch (const AtlCpu *cpu, const AtlNode *node);

/* The same where tiles take split numbers (conv-planes.c). */
gboolean atl_conv_planes (AtlCpuRun *run, const AtlNode *node);
gsize atl_conv_planes_scratch (const AtlCpu *cpu, const AtlNode *node);
/* The same by Winograd's transform (conv-winograd.c), where that is sooner. */
gboolean atl_conv_winograd_pays (const AtlCpu *cpu, const AtlNode *node);
gboolean atl_conv_winograd (AtlCpuRun *run, const AtlNode *node);
gsize atl_conv_winograd_scratch (const AtlCpu *cpu, const AtlNode *node);
/* out[n] = act (sums + bias) + residual; bias and residual nullable. */
void atl_conv_finish (const AtlCpuKernels *kernels,
                      AtlAct act,
                      const float *sums,
                      const float *bias,
                      const float *residual,
                      gint64 n,
                      float *out);

gboolean atl_fast_causal_conv (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_ssm_scan (AtlCpuRun *run, const AtlNode *node);
gboolean atl_fast_delta_rule (AtlCpuRun *run, const AtlNode *node);
gsize atl_fast_causal_conv_scratch (const AtlCpu *cpu, const AtlNode *node);
gsize atl_fast_recurrent_scratch (const AtlCpu *cpu, const AtlNode *node);

/* The slots of a recurrent op's state, of `n` floats each: where it is read (NULL: zeros) and
 * written. */
void atl_cpu_slots (
    const AtlTensor *state, const AtlTensor *slots, const float **from, float **to, gint64 *n);

/* The dot product of n floats, as the references take it. */
float atl_ref_dot (const float *a, const float *b, gint64 n);
/* TRUE if all experts exist; otherwise sets run->error. */
gboolean atl_cpu_check_experts (AtlCpuRun *run, const gint32 *ids, gint64 n, gint64 n_experts);

/* Memory of at least this size is in large pages where the system has them. */
#define ATL_CPU_HUGE_BYTES (2u * 1024 * 1024)

/* 64-byte aligned memory, to be freed with free; NULL when there is none. */
gpointer atl_cpu_alloc (gsize size_bytes);

gboolean atl_cpu_weight_upload (AtlCpu *cpu, AtlWeight *weight, GError **error);
void atl_cpu_weight_drop (AtlCpu *cpu, AtlWeight *weight);
gsize atl_cpu_weight_cost (AtlCpu *cpu, const AtlWeight *weight);

/* Asks memory for what the `n_nodes` nodes that run from now on refer to. */
void atl_cpu_ask_nodes (const AtlCpuRun *run, AtlNode *const *nodes, guint n_nodes);

static inline AtlCpuWeight *
atl_cpu_weight (const AtlCpuRun *run, const AtlTensor *t)
{
  const AtlTensor *b = t->base != NULL ? t->base : t;
  return b->weight != NULL ? b->weight->store[run->cpu->base.index] : NULL;
}

/* Element 0 of a float32 tensor; of a weight, of its float32 form. NULL for NULL. */
static inline float *
atl_cpu_f32 (const AtlCpuRun *run, const AtlTensor *t)
{
  const AtlCpuWeight *w;

  if (t == NULL)
    return NULL;
  w = atl_cpu_weight (run, t);
  if (w != NULL)
    {
      g_assert (w->f32 != NULL);
      return w->f32 + t->offset;
    }
  g_assert (t->dtype == ATL_DTYPE_F32);
  return atl_tensor_host (t);
}

/* Rows of any dtype: of a weight in the file's own form, or of a value or state. */
typedef struct
{
  AtlDType dtype;
  const guint8 *data;
  gsize row_bytes;
  float scale;
} AtlCpuRows;

/* The last dimension of `t` as rows; all outer dimensions must collapse to one stride. */
AtlCpuRows atl_cpu_rows (const AtlTensor *t);

/* Row `i` as float32, `n` elements, scale applied. */
void atl_cpu_row_f32 (const AtlCpuRows *rows, gint64 i, gint64 n, float *out);

/* Dimensions aligned at the end to `n` of them: leading ones are 1 with stride 0. A stride of a
 * dimension of size 1 becomes 0, so that broadcasting is plain indexing. */
static inline void
atl_cpu_align_dims (const AtlTensor *t, guint n, gint64 *dim, gint64 *stride)
{
  for (guint i = 0; i < n; i++)
    {
      gint at = (gint) i - (gint) (n - t->n_dims);

      dim[i] = at < 0 ? 1 : t->dim[at];
      stride[i] = at < 0 || t->dim[at] == 1 ? 0 : t->stride[at];
    }
}

/* [n rows, row stride in elements] of an f32 row tensor. */
static inline void
atl_cpu_f32_rows (const AtlTensor *t, gint64 *n_rows, gint64 *row_stride)
{
  gboolean ok = atl_tensor_rows (t, n_rows, row_stride);
  g_assert (ok);
}

/* Splits `n_items` into chunks of at least `min_items` so that each thread gets about four. */
static inline gint64
atl_cpu_chunk_items (const AtlCpuRun *run, gint64 n_items, gint64 min_items)
{
  gint64 per = n_items / (4 * (gint64) run->cpu->n_threads);
  return MAX (MAX (per, min_items), 1);
}

G_END_DECLS
