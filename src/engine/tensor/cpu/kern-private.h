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
extern const AtlCpuKernels ATL_SIMD_NAME (atl_cpu_kernels);
