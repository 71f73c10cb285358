/* The tiles of AMX (kern-amx.c): fields of AtlCpuKernels; see kernels.h. */
#pragma once

#include "engine/tensor/cpu/kernels.h"

void atl_amx_begin (void);
void atl_amx_end (void);
void atl_amx_prepare_panel (const float *panel, gint64 n, guint8 *out);
void atl_amx_prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
void atl_amx_tile (gint64 n_k,
                   const guint8 *a,
                   const guint8 *b0,
                   const guint8 *b1,
                   float *c,
                   gint64 ldc,
                   gboolean add);
void atl_amx_split_pixel (const float *x, gint64 n, guint8 *out);
void atl_amx_gather_rows (const guint8 *const *rows, gint64 n, guint8 *out);
