/* Names of the inner loops of one level; see kernels.h for what they do. */
#pragma once

#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/simd.h"

/* The tile of this level: TILE_ROWS x 32 sums, and how many activation rows are better dotted. */
#if defined(ATL_SIMD_AVX512)
#define TILE_ROWS 12
#define FAST_ROWS 32
#else
#define TILE_ROWS 6
#define FAST_ROWS 16
#endif

/* How far ahead of the products weights are asked for. */
#define PREFETCH_NEAR 2048
#define PREFETCH_FAR 4096

/* Asks for part `i` of `n` of the `bytes` at `from`, the rows that come after a tile's. They come
 * from the second-level cache or beyond it, and loads of this tile would wait for them if all were
 * asked for at once. `bytes` and `n` are constants. */
INLINE void
ask_for_part (gconstpointer from, gsize bytes, gsize i, gsize n)
{
  const gsize part = (bytes + 64 * n - 1) / (64 * n) * 64;

#pragma GCC unroll 16
  for (gsize at = 0; at < part; at += 64)
    __builtin_prefetch ((const guint8 *) from + i * part + at);
}

/* kern-quant.c has another form for the VNNI of 256 bits. */
#if defined(__AVXVNNI__)
#define ATL_DOT_NAME(x) x##_avx2_vnni
#else
#define ATL_DOT_NAME(x) ATL_SIMD_NAME (x)
#endif

void ATL_DOT_NAME (atl_quantize_row) (const float *x, gint64 n_in, gint64 row, AtlQuantRows *out);
void ATL_DOT_NAME (atl_packed_dot) (AtlDType dtype,
                                    const guint8 *group,
                                    const AtlQuantRows *x,
                                    gint64 first,
                                    gint64 n_rows,
                                    float *out);
void ATL_DOT_NAME (atl_packed_dot_two) (
    AtlDType dtype, const guint8 *const group[2], const AtlQuantRows *x, gint64 row, float *out);
void ATL_SIMD_NAME (atl_unpack_panel) (
    AtlDType dtype, const guint8 *group, gint64 n_in, gint64 k, gint64 n, float *out);
void ATL_SIMD_NAME (atl_plain_dot) (AtlDType dtype,
                                    const guint8 *rows,
                                    gsize row_bytes,
                                    guint n_weight_rows,
                                    gint64 n_in,
                                    const float *x,
                                    gint64 x_stride,
                                    gint64 n_rows,
                                    float *out);
void ATL_SIMD_NAME (atl_plain_panel) (AtlDType dtype,
                                      const guint8 *rows,
                                      gsize row_bytes,
                                      guint n_weight_rows,
                                      gint64 k,
                                      gint64 n,
                                      float *out);
void ATL_SIMD_NAME (atl_load_panel) (AtlDType dtype, const guint8 *panel, gint64 n, guint8 *out);
void ATL_SIMD_NAME (atl_prepare_rows) (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
void ATL_SIMD_NAME (atl_tile) (gint64 n_k,
                               const guint8 *a,
                               const guint8 *b0,
                               const guint8 *b1,
                               float *c,
                               gint64 ldc,
                               gboolean add);
void ATL_SIMD_NAME (atl_tile_ahead) (gint64 n_k,
                                     const guint8 *a,
                                     const guint8 *b0,
                                     const guint8 *b1,
                                     float *c,
                                     gint64 ldc,
                                     gboolean add,
                                     const guint8 *next);
gboolean ATL_SIMD_NAME (atl_write_sums) (const AtlSumsTo *f,
                                         const float *sums,
                                         gint64 ld,
                                         gint64 n_rows);
gboolean ATL_SIMD_NAME (atl_act_row) (AtlAct act, float *x, gint64 n);
void ATL_SIMD_NAME (atl_cache_row) (AtlDType dtype, const guint8 *row, gint64 n, float *out);
void ATL_SIMD_NAME (atl_scores) (
    AtlDType dtype, const AtlCacheRows *keys, const float *q, gint64 n_q, float *out);
void ATL_SIMD_NAME (atl_weigh_values) (
    AtlDType dtype, const AtlCacheRows *values, const float *p, gint64 n_q, float *sums);
float ATL_SIMD_NAME (atl_softmax_step) (
    float *s, gint64 n, float scale, float softcap, const float *bias, float *largest, float *sum);
void ATL_SIMD_NAME (atl_softmax_rows) (float *s,
                                       const gint64 *n,
                                       gint64 n_rows,
                                       float scale,
                                       float *states,
                                       float *sums,
                                       float *corrections);
void ATL_SIMD_NAME (atl_softmax_tile) (const float *scores,
                                       gint64 ld,
                                       gint64 n,
                                       gint64 n_rows,
                                       float scale,
                                       float *state,
                                       float *correction,
                                       guint8 *out);
gboolean ATL_SIMD_NAME (atl_unary_row) (
    AtlAct act, const float *x, float a, float b, gint64 n, float *out);
gboolean ATL_SIMD_NAME (atl_glu_row) (
    AtlAct act, const float *gate, const float *up, gint64 n, float *out);
void ATL_SIMD_NAME (atl_binary_row) (
    AtlBinary op, const float *a, gint64 sa, const float *b, gint64 sb, gint64 n, float *out);
void ATL_SIMD_NAME (atl_norm_row) (const AtlNormRow *m, const float *x, float *out);
void ATL_SIMD_NAME (atl_rope_row) (
    AtlRopePairing pairing, const float *x, const float *table, gint64 n_rot, gint64 n, float *out);
gboolean
    ATL_SIMD_NAME (atl_store_cache_row) (AtlDType dtype, const float *x, gint64 n, guint8 *out);
void ATL_SIMD_NAME (atl_conv_row) (const float *const *rows,
                                   gint64 n_taps,
                                   const float *taps,
                                   gint64 ld,
                                   const float *bias,
                                   gint64 n,
                                   float *out);
void ATL_SIMD_NAME (atl_recur) (const AtlRecurStep *step);
void ATL_SIMD_NAME (atl_column_sums) (const float *x, gint64 n_rows, gint64 n, float *sums);
void ATL_SIMD_NAME (atl_column_squares) (
    const float *x, gint64 n_rows, gint64 n, const float *mean, float *sums);
gboolean ATL_SIMD_NAME (atl_normalize_columns) (AtlAct act,
                                                const float *x,
                                                gint64 n_rows,
                                                gint64 n,
                                                const float *mean,
                                                const float *factor,
                                                const float *shift,
                                                float *out);
extern const AtlCpuKernels ATL_SIMD_NAME (atl_cpu_kernels);
