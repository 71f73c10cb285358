/* A picture as CLIP's vision tower wants it: what transformers' CLIPImageProcessor does with PIL.
 *
 *   g_autoptr (AtlArray) pixels = atl_clip_pixels (picture, processor);
 *
 * Threading: pure function.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "engine/tensor/array.h"

G_BEGIN_DECLS

/* picture [1, 3, H, W] in 0…1, any size. Resized on 8 bits so that the shortest edge fits (PIL's
 * bicubic, as Pillow's Resample.c rounds it), cut out of the middle, normalised. `processor`
 * (nullable): preprocessor_config.json, for size, crop, mean and deviation; default 224 px and
 * OpenAI's numbers. Gives "image" [1, 3, S, S], the caller's. */
AtlArray *atl_clip_pixels (const AtlArray *picture, JsonObject *processor);

typedef enum
{
  ATL_FILTER_BICUBIC,
  ATL_FILTER_BILINEAR
} AtlFilter;

/* picture [1, C, H, W] in 0…1 in another size, by one of PIL's filters on 8 bits, in 0…1. The
 * caller's. */
AtlArray *atl_resize_picture (
    const AtlArray *picture, const char *name, gint64 height, gint64 width, AtlFilter filter);
/* picture [1, 3, H, W]: minus OpenAI's mean, over its deviation, colour by colour. */
void atl_clip_normalize (AtlArray *picture);

G_END_DECLS
