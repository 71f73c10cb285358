/* Setting up a walk; see walk.h. */
#include "engine/tensor/cpu/walk.h"

#include <string.h>

/* Merges the innermost dimension with the next one out while all operands lie so that the two are
 * one: long rows are cheaper to walk than many short ones. */
static void
merge_inner (AtlWalk *self, guint n_src)
{
  const guint last = ATL_MAX_DIMS - 1;

  for (gint d = (gint) last - 1; d >= 0; d--)
    {
      if (self->dim[d] == 1)
        continue;
      for (guint i = 0; i < n_src; i++)
        if (self->stride[i][d] != self->stride[i][last] * self->dim[last])
          return;
      self->dim[last] *= self->dim[d];
      self->dim[d] = 1;
    }
}

/* A whole tensor in one row leaves nothing to share out: cut it up again. */
static void
split_long_row (AtlWalk *self, guint n_src)
{
  const guint last = ATL_MAX_DIMS - 1;
  gint64 n = self->dim[last];
  gint64 pieces = n / 8192;

  while (pieces > 1 && n % pieces != 0)
    pieces--;
  if (pieces <= 1 || self->dim[last - 1] != 1)
    return;
  self->dim[last - 1] = pieces;
  self->dim[last] = n / pieces;
  for (guint i = 0; i < n_src; i++)
    self->stride[i][last - 1] = self->stride[i][last] * self->dim[last];
}

void
atl_walk_init (AtlWalk *self, AtlCpuRun *run, const AtlNode *node, guint n_src)
{
  gint64 unused[ATL_MAX_DIMS];

  memset (self, 0, sizeof *self);
  self->node = node;
  self->kernels = run->cpu->kernels;
  atl_cpu_align_dims (node->dst, ATL_MAX_DIMS, self->dim, unused);
  self->dst = atl_tensor_host (node->dst);
  for (guint i = 0; i < n_src; i++)
    {
      const AtlTensor *t = node->src[i];
      gboolean is_weight = atl_cpu_weight (run, t) != NULL;

      atl_cpu_align_dims (t, ATL_MAX_DIMS, unused, self->stride[i]);
      self->src_dtype[i] = is_weight ? ATL_DTYPE_F32 : t->dtype;
      self->src[i] = is_weight ? (const guint8 *) atl_cpu_f32 (run, t) : atl_tensor_host (t);
    }
  merge_inner (self, n_src);
  split_long_row (self, n_src);
  self->width = self->dim[ATL_MAX_DIMS - 1];
  self->n_rows = atl_tensor_n_elems (node->dst) / MAX (self->width, 1);
  self->per_chunk = atl_cpu_chunk_items (run, self->n_rows, 16384 / MAX (self->width, 1) + 1);
}
