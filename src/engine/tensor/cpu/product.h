/* Products of activation rows with weights: what linear and expert-linear share.
 *
 * Threading: a product is set up and quantised by the thread that runs the node; then every thread
 * of the pool computes groups of its own from it.
 */
#pragma once

#include "engine/tensor/cpu/cpu-private.h"
#include "engine/tensor/cpu/kernels.h"

G_BEGIN_DECLS

/* Rows that are dotted with a group while it is in the nearest cache. */
#define ATL_PRODUCT_ROWS 32

typedef enum
{
  ATL_SOURCE_PACKED, /* groups of 16 rows, pack.h */
  ATL_SOURCE_FILE,   /* rows of a packable dtype as the file has them; packed when they are read */
  ATL_SOURCE_PLAIN,  /* rows of f32, f16, bf16, f8 */
  ATL_SOURCE_OTHER,  /* rows of any other dtype */
} AtlSourceKind;

/* A weight as the products see it: groups of 16 outputs. */
typedef struct
{
  AtlSourceKind kind;
  AtlDType dtype;
  const guint8 *data;
  gsize stride; /* bytes of a group (packed) or of a row */
  gint64 n_out;
  gint64 first_out; /* column of the result */
  float scale;
  const float *bias; /* (nullable) */
} AtlSource;

typedef struct
{
  const AtlCpuKernels *kernels;
  AtlQuantRows quantized; /* of x; when there are packed sources, or such from a file */
  const float *x;
  gint64 x_stride, n, n_in;
  AtlSource source[3];
  gint64 first_group[4]; /* of each source; [n_sources] is the end. Gated: of the pair */
  guint n_sources;
  AtlAct act;
  float a;
  gboolean gated;
  float *dst;
  gint64 dst_stride;
  const float *residual; /* (nullable) */
  gint64 residual_stride;
  gint64 groups_per_chunk;
} AtlProduct;

/* The source of weight `t` for outputs [first_out, …); `expert` of a 3-D weight, else 0. */
AtlSource atl_product_source (
    const AtlCpuRun *run, const AtlTensor *t, gint64 expert, gint64 first_out, const float *bias);

/* Whether products with it take rounded activations. */
static inline gboolean
atl_source_is_quantized (const AtlSource *self)
{
  return self->kind == ATL_SOURCE_PACKED || self->kind == ATL_SOURCE_FILE;
}

/* Sets first_group from the sources; returns the number of groups. */
gint64 atl_product_count_groups (AtlProduct *p);

/* Whether few-row products serve `n_rows` rows of these sources. */
gboolean atl_product_is_few (const AtlProduct *p, gboolean exact, gint64 n_rows);

/* What backend.h promises of few and many rows; `kernels` is NULL where there is only the
 * reference.
 */
void atl_product_row_classes (const AtlCpuKernels *kernels,
                              gboolean exact,
                              guint *few_rows,
                              guint *many_rows);

/* From so many rows of a pass on no product of plain weights is dotted. */
guint atl_product_tile_rows (const AtlCpuKernels *kernels, gboolean exact);

/* Bytes that quantised activations of n rows take; places them at `memory`. */
gsize atl_product_quant_bytes (gint64 n, gint64 n_in);
AtlQuantRows atl_product_quant_rows (gint64 n, gint64 n_in, guint8 *memory);

/* Rounds all rows of p->x into p->quantized, in parallel when there are many. */
void atl_product_quantize (AtlCpuRun *run, const AtlProduct *p);

/* out[t][16] = the finished outputs of a group for rows [first, first + n), n <=
 * ATL_PRODUCT_ROWS: bias,
 * activation, gate and factor applied, residual not. `second` [n][16] is room for the gate's
 * partner. */
void atl_product_few (
    const AtlProduct *p, gint64 group, gint64 first, gint64 n, float *out, float *second);

/* The same of two groups that follow each other, for one row: out[2][16]. FALSE, nothing done,
 * where that is no faster. */
gboolean atl_product_two (const AtlProduct *p, gint64 group, gint64 row, float *out);

/* Number of outputs of a group (at most 16) and the column of the first. */
guint atl_product_group_columns (const AtlProduct *p, gint64 group, gint64 *column);

/* The source of a group, the first's where there is a gate, and the group's first column there. */
const AtlSource *atl_product_source_of (const AtlProduct *p, gint64 group, gint64 *column);

/* bias, activation, gate and factor on [n][16] sums of a group. */
void atl_product_finish (const AtlProduct *p, gint64 group, gint64 n, float *sums, float *second);

/* Tiles: bytes of shared scratch for products of n rows, and the products themselves. */
gsize atl_product_tiles_scratch (const AtlCpu *cpu, gint64 n, gint64 n_in);
void atl_product_tiles (AtlCpuRun *run, AtlProduct *p);

G_END_DECLS
