/* The shortcuts beside the levels of the Wan 2.2 autoencoder, and its patches of pixels
 * (diffusers 0.42.1 autoencoder_kl_wan.py: AvgDown3D, DupUp3D, patchify).
 *
 *   skip = atl_wan_average_down (g, x, width, 2, 2);
 *   x = atl_add (g, level (g, x), skip);
 *
 * x is [1, F, H, W, C] throughout. Threading: as the graph's.
 */
#pragma once

#include "engine/tensor/graph.h"

G_BEGIN_DECLS

/* Blocks of `time` frames and `space` x `space` pixels become channels (channel, frame, row,
 * column); of these, the mean over groups of successive ones gives `channels`. Zero frames stand in
 * front of an F that is no multiple of `time`; H and W are multiples of `space`, and C * time *
 * space^2 of `channels`. */
AtlTensor *
atl_wan_average_down (AtlGraph *g, AtlTensor *x, gint64 channels, gint64 time, gint64 space);
/* The way back: every channel repeated until there are channels * time * space^2, which become
 * blocks of frames and pixels. The first time - 1 frames are left out. */
AtlTensor *
atl_wan_repeat_up (AtlGraph *g, AtlTensor *x, gint64 channels, gint64 time, gint64 space);

/* Pixels [1, 3, F, H, W] as x with 3 * patch^2 channels (colour, column, row), and back. */
AtlTensor *atl_wan_patch_pixels (AtlGraph *g, AtlTensor *pixels, gint64 patch);
AtlTensor *atl_wan_unpatch_pixels (AtlGraph *g, AtlTensor *x, gint64 patch);

G_END_DECLS
