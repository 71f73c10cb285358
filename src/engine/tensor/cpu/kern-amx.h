/* The tiles of AMX (kern-amx.c, in integers kern-amx-int.c): fields of AtlCpuKernels; see
 * kernels.h.
 *
 * Threading: as kernels.h says; the tiles belong to the thread that calls, between atl_amx_begin()
 * and atl_amx_end().
 */
#pragma once

#include "engine/tensor/cpu/kernels.h"

#ifdef ATL_AMX_EMULATED
#include "engine/tensor/cpu/kern-amx-emulated.h"
#endif

/* What ldtilecfg reads. */
typedef struct
{
  guint8 palette, start_row, unused[14];
  guint16 row_bytes[16];
  guint8 rows[16];
} AtlTileConfig;

/* Puts what AMX has of its own over a level's inner loops; `has_int8`: products of bytes, too. */
void atl_amx_fill (AtlCpuKernels *kernels, gboolean has_int8);

void atl_amx_begin (void);
void atl_amx_end (void);
void atl_amx_prepare_panel (const float *panel, gint64 n, guint8 *out);
void atl_amx_load_panel (AtlDType dtype, const guint8 *panel, gint64 n, guint8 *out);
void atl_amx_prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
void atl_amx_tile_bf16 (gint64 n_k,
                        const guint8 *a,
                        const guint8 *b0,
                        const guint8 *b1,
                        float *c,
                        gint64 ldc,
                        gboolean add);
void atl_amx_tile (gint64 n_k,
                   const guint8 *a,
                   const guint8 *b0,
                   const guint8 *b1,
                   float *c,
                   gint64 ldc,
                   gboolean add);
void atl_amx_split_pixel (const float *x, gint64 n, gsize stride, guint8 *out);
void atl_amx_tile_pixels (guint n_units,
                          const guint8 *const *a,
                          const guint8 *b0,
                          const guint8 *b1,
                          float *c,
                          gboolean add);
void atl_amx_tile_pixels_bf16 (guint n_units,
                               const guint8 *const *a,
                               const guint8 *b0,
                               const guint8 *b1,
                               float *c,
                               gboolean add);
void atl_amx_softmax_tile (const float *scores,
                           gint64 ld,
                           gint64 n,
                           gint64 n_rows,
                           float scale,
                           float *state,
                           float *correction,
                           guint8 *out);
/* AtlCpuKernels.packed_dot, the same numbers as those of the level below. */
void atl_amx_packed_dot (AtlDType dtype,
                         const guint8 *group,
                         const AtlQuantRows *x,
                         gint64 first,
                         gint64 n_rows,
                         float *out);

/* AtlCpuCacheTiles. */
gsize atl_amx_queries_bytes (gint64 n_q, gint64 width);
void atl_amx_prepare_queries (const float *const *q, gint64 n_q, gint64 width, guint8 *out);
void atl_amx_scores (const AtlCacheRows *keys, const guint8 *q, gint64 n_q, float *out);
void atl_amx_weigh_values (const AtlCacheRows *values, const float *p, gint64 n_q, float *sums);

/* Elements that share a scale, and what they take of 32 rows. */
#define ATL_AMX_INT_SLAB 256
#define ATL_AMX_INT_SLAB_BYTES (32 * 4 + 32 * ATL_AMX_INT_SLAB * 2)

void atl_amx_int_prepare_panel (const float *panel, gint64 n, guint8 *out);
void atl_amx_int_prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
void atl_amx_int_tile (gint64 n_k,
                       const guint8 *a,
                       const guint8 *b0,
                       const guint8 *b1,
                       float *c,
                       gint64 ldc,
                       gboolean add);
