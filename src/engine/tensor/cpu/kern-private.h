/* Names of the inner loops of one level; see kernels.h for what they do. */
#pragma once

#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/simd.h"

void ATL_SIMD_NAME (atl_quantise_row) (const float *x, gint64 n_in, gint64 row, AtlQuantRows *out);
void ATL_SIMD_NAME (atl_packed_dot) (AtlDType dtype,
                                     const guint8 *group,
                                     const AtlQuantRows *x,
                                     gint64 first,
                                     gint64 n_rows,
                                     float *out);
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
void ATL_SIMD_NAME (atl_prepare_rows) (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
void ATL_SIMD_NAME (atl_tile) (gint64 n_k,
                               const guint8 *a,
                               const guint8 *b0,
                               const guint8 *b1,
                               float *c,
                               gint64 ldc,
                               gboolean add);
gboolean ATL_SIMD_NAME (atl_act_row) (AtlAct act, float *x, gint64 n);
void ATL_SIMD_NAME (atl_cache_row) (AtlDType dtype, const guint8 *row, gint64 n, float *out);
void ATL_SIMD_NAME (atl_scores) (AtlDType dtype,
                                 const guint8 *keys,
                                 gsize key_bytes,
                                 gint64 n_keys,
                                 gint64 n,
                                 const float *q,
                                 gint64 n_q,
                                 float *row,
                                 float *out,
                                 gint64 ld);
void ATL_SIMD_NAME (atl_weigh_values) (AtlDType dtype,
                                       const guint8 *values,
                                       gsize value_bytes,
                                       gint64 n_keys,
                                       gint64 n,
                                       const float *p,
                                       gint64 n_q,
                                       gint64 ld,
                                       float *row,
                                       float *sums);
float ATL_SIMD_NAME (atl_softmax_step) (
    float *s, gint64 n, float scale, float softcap, const float *bias, float *largest, float *sum);
extern const AtlCpuKernels ATL_SIMD_NAME (atl_cpu_kernels);
