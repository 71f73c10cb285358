/* Pictures as rows of square patches. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/patches.h"

AtlTensor *
atl_patches_cut (AtlGraph *g, AtlTensor *x, gint64 patch)
{
  gint64 B = x->dim[0], C = x->dim[1], h = x->dim[2] / patch, w = x->dim[3] / patch;

  x = atl_contiguous (g, atl_permute_to (g, x, 0, 2, 3, 1));
  x = atl_reshape_to (g, x, B * h, patch, w, patch * C);
  x = atl_contiguous (g, atl_permute_to (g, x, 0, 2, 1, 3));
  return atl_reshape_to (g, x, B, h * w, patch * patch * C);
}

AtlTensor *
atl_patches_join (AtlGraph *g, AtlTensor *x, gint64 h, gint64 w, gint64 patch)
{
  gint64 B = x->dim[0], C = x->dim[2] / (patch * patch);

  x = atl_reshape_to (g, x, B * h, w, patch, patch * C);
  x = atl_permute_to (g, x, 0, 2, 1, 3);
  x = atl_reshape_to (g, x, B, h * patch, w * patch, C);
  return atl_permute_to (g, x, 0, 3, 1, 2);
}
