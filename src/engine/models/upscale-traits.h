/* Networks that enlarge pictures: what their names and shapes tell before they are loaded.
 *
 *   AtlUpscaleTraits traits;
 *   if (atl_upscale_traits (checkpoint, &traits, &error))
 *     … traits.scale …
 *
 * The networks themselves answer "upscale" (component.h): image [1, colours, H, W] in 0…1, any
 * size -> image [1, colours, scale H, scale W], not limited to 0…1.
 *
 * Threading: pure function.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef struct
{
  const char *kind;  /* "ESRGAN", "Compact"; static */
  guint scale;       /* 1, 2, 3, 4, 8 … */
  guint fold;        /* side of the squares of pixels that become one before the first layer */
  guint colors;      /* 3, or 1 */
  gint64 wide_bytes; /* of activations while a picture is computed, for each pixel of it */
} AtlUpscaleTraits;

/* ATL_ERROR_UNSUPPORTED when it is no such network. */
gboolean atl_upscale_traits (const AtlCheckpoint *cp, AtlUpscaleTraits *traits, GError **error);

G_END_DECLS
