/* Autoencoders in tiles, so that their memory does not grow with the picture.
 *
 * Tiles of "tile_sample_min_height" x "tile_sample_min_width" pixels begin every
 * "tile_sample_stride_height", "…_width" pixels; each keeps as much as a stride, blended linearly
 * over the rest with the tile above, then with the one to the left; those at the end are smaller.
 * Source: diffusers 0.42.1, AutoencoderKLWan and AutoencoderKLQwenImage, tiled_decode.
 *
 * With "tile_even" all tiles are of one size, so that one plan and its memory serve for all, begin
 * in even steps of at most a stride, and go over into one another along an S, which shows less of a
 * tile's border. "tile_scale" is the number of pixels to a cell, where the caller knows it.
 *
 * Group norms and attention see one tile at a time, so the result is not that of the whole; a wide
 * overlap hides it.
 *
 * Threading: as the component's.
 */
#pragma once

#include "engine/models/component.h"

G_BEGIN_DECLS

/* Whether the request has the number "tiled" and is of an autoencoder. */
gboolean atl_tiles_wanted (const AtlRequest *request);
/* How many even tiles there are along an axis of `whole` cells. */
gint64 atl_tiles_count (gint64 whole, gint64 size, gint64 stride);
/* Like klass->run, tile by tile: "latent" [1, C, (F,) h, w] or "image" [1, 3, (F,) H, W]. */
gboolean atl_tiles_run (const AtlComponentClass *klass,
                        gpointer model,
                        const AtlRequest *request,
                        GPtrArray *outputs,
                        GCancellable *cancellable,
                        GError **error);

G_END_DECLS
