/* Rows of the tensors that are made of Nunchaku's matrices, when they are read: AtlRowsFunc whose
 * data is the layer.
 *
 * Threading: pure functions. Private to convert/.
 */
#pragma once

#include "engine/convert/svdq-packing.h"

G_BEGIN_DECLS

#define ATL_SVDQ_MAX_TOGETHER 2

/* A layer in the making: matrices side by side, of each the rows from `first` on. */
typedef struct
{
  const AtlSvdqMatrix *of[ATL_SVDQ_MAX_TOGETHER];
  float shift[ATL_SVDQ_MAX_TOGETHER];
  guint n_of;
  gint64 first, n_rows, n_in, rank;
  guint alternate; /* rows of the file of this many kinds alternate; 1: they do not */
} AtlSvdqLayer;

/* In order: Q4_0 or Q4_1 blocks; an affine matrix in floats; a matrix with its branch in halves;
 * what inputs are divided by; the branch's two products; the bias. */
void atl_svdq_block_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);
void atl_svdq_plain_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);
void atl_svdq_whole_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);
void atl_svdq_smooth_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);
void atl_svdq_down_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);
void atl_svdq_up_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);
void atl_svdq_bias_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);

G_END_DECLS
