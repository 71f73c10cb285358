/* Shortcuts and patches of the Wan 2.2 autoencoder, as reshapes and permutations of at most five
 * axes: one of width, height and time after the other. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/vae/wan-shortcuts.h"

AtlTensor *
atl_wan_average_down (AtlGraph *g, AtlTensor *x, gint64 channels, gint64 time, gint64 space)
{
  gint64 C = x->dim[4], h = x->dim[2] / space, w = x->dim[3] / space;
  gint64 n_group = C * time * space * space / channels, missing, F;
  AtlTensor *sum;

  missing = (time - x->dim[1] % time) % time;
  for (gint64 i = 0; i < missing; i++)
    {
      AtlTensor *zeros = atl_affine (g, atl_slice (g, x, 1, 0, 1), 0.0f, 0.0f);

      x = atl_concat (g, 1, 2, (AtlTensor *[]){ zeros, x });
    }
  F = x->dim[1];
  x = atl_permute_to (g, atl_reshape_to (g, x, F * h * space, w, space, C), 0, 1, 3, 2);
  x = atl_permute_to (g, atl_reshape_to (g, x, F * h, space, w, C, space), 0, 2, 3, 1, 4);
  x = atl_reshape_to (g, x, F / time, time, h * w, C, space * space);
  x = atl_permute_to (g, x, 0, 2, 3, 1, 4);
  x = atl_reshape_to (g, x, F / time * h * w, channels, n_group);
  sum = atl_slice (g, x, 2, 0, 1);
  for (gint64 i = 1; i < n_group; i++)
    sum = atl_add (g, sum, atl_slice (g, x, 2, i, 1));
  if (n_group > 1)
    sum = atl_affine (g, sum, 1.0f / (float) n_group, 0.0f);
  return atl_reshape_to (g, sum, 1, F / time, h, w, channels);
}

AtlTensor *
atl_wan_repeat_up (AtlGraph *g, AtlTensor *x, gint64 channels, gint64 time, gint64 space)
{
  gint64 F = x->dim[1], H = x->dim[2], W = x->dim[3], C = x->dim[4];
  gint64 n_repeats = channels * time * space * space / C;

  /* As pixels of one channel: nearest. */
  if (n_repeats > 1)
    x = atl_upsample (g, atl_reshape_to (g, x, F * H * W, C, 1, 1), 0, C, n_repeats);
  x = atl_reshape_to (g, x, F, H * W, channels, time, space * space);
  x = atl_permute_to (g, x, 0, 3, 1, 2, 4);
  F *= time;
  x = atl_permute_to (g, atl_reshape_to (g, x, F * H, W, channels, space, space), 0, 3, 1, 2, 4);
  x = atl_permute_to (g, atl_reshape_to (g, x, F * H * space, W, channels, space), 0, 1, 3, 2);
  x = atl_reshape_to (g, x, 1, F, H * space, W * space, channels);
  return time > 1 ? atl_slice (g, x, 1, time - 1, F - time + 1) : x;
}

AtlTensor *
atl_wan_patch_pixels (AtlGraph *g, AtlTensor *pixels, gint64 patch)
{
  gint64 C = pixels->dim[1], F = pixels->dim[2];
  gint64 h = pixels->dim[3] / patch, w = pixels->dim[4] / patch;
  AtlTensor *x = atl_reshape_to (g, pixels, C, F * h, patch, w, patch);

  return atl_reshape_to (g, atl_permute_to (g, x, 1, 3, 0, 4, 2), 1, F, h, w, C * patch * patch);
}

AtlTensor *
atl_wan_unpatch_pixels (AtlGraph *g, AtlTensor *x, gint64 patch)
{
  gint64 F = x->dim[1], h = x->dim[2], w = x->dim[3], C = x->dim[4] / (patch * patch);

  x = atl_permute_to (g, atl_reshape_to (g, x, F * h, w, C, patch, patch), 2, 0, 4, 1, 3);
  return atl_reshape_to (g, x, 1, C, F, h * patch, w * patch);
}
