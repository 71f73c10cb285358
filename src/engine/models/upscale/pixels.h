/* The picture of a request to enlarge it, as the networks take it. Threading: pure function. */
#pragma once

#include "engine/models/component.h"

G_BEGIN_DECLS

/* The request's "image" [1, colours, H, W] as "pixels", its right and bottom mirrored so that both
 * sides are multiples of `fold`; the caller's. height and width (out): as it came. NULL with
 * ATL_ERROR_INVALID for another number of colours. */
AtlArray *atl_upscale_pixels (const AtlRequest *request,
                              gint64 colors,
                              gint64 fold,
                              gint64 *height,
                              gint64 *width,
                              GError **error);

G_END_DECLS
