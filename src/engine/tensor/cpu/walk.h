/* Walking the result of an elementwise op row by row, with any strides and broadcasting in its
 * sources.
 *
 * Threading: set up by the thread that runs the node, then only read: every thread of the pool
 * walks chunks of its own.
 */
#pragma once

#include "engine/tensor/cpu/cpu-private.h"

G_BEGIN_DECLS

/* The result as [outer…, width], and for each source its strides aligned to it. */
typedef struct
{
  const AtlNode *node;
  const AtlCpuKernels *kernels; /* (nullable) */
  gint64 dim[ATL_MAX_DIMS];
  gint64 stride[2][ATL_MAX_DIMS];
  gint64 n_rows, width;
  const guint8 *src[2];
  AtlDType src_dtype[2];
  guint8 *dst;
  gint64 per_chunk;
} AtlWalk;

/* The walk over the result of `node`, whose first `n_src` sources are read along; both must outlive
 * it. */
void atl_walk_init (AtlWalk *self, AtlCpuRun *run, const AtlNode *node, guint n_src);

static inline guint
atl_walk_n_chunks (const AtlWalk *self)
{
  return (guint) ((self->n_rows + self->per_chunk - 1) / self->per_chunk);
}

/* Element offset of the start of row `row` in source `i`. */
static inline gint64
atl_walk_offset (const AtlWalk *self, guint i, gint64 row)
{
  gint64 offset = 0;

  for (gint d = ATL_MAX_DIMS - 2; d >= 0; d--)
    {
      offset += row % self->dim[d] * self->stride[i][d];
      row /= self->dim[d];
    }
  return offset;
}

G_END_DECLS
