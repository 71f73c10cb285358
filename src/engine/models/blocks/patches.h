/* Pictures as rows of square patches, each (y, x, channel), and back. Threading: as the graph's. */
#pragma once

#include "engine/tensor/graph.h"

G_BEGIN_DECLS

/* x [B, C, h * patch, w * patch] -> [B, h * w, patch * patch * C] */
AtlTensor *atl_patches_cut (AtlGraph *g, AtlTensor *x, gint64 patch);
/* x [B, h * w, patch * patch * C] -> [B, C, h * patch, w * patch] */
AtlTensor *atl_patches_join (AtlGraph *g, AtlTensor *x, gint64 h, gint64 w, gint64 patch);

G_END_DECLS
