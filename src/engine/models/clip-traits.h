/* What a CLIP text encoder's file says of it without being loaded.
 *
 * Threading: pure functions.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Numbers of the pooled vector: of the projection, else of the states; 0: not known. `role` tells
 * which of two encoders in one file is meant, as in AtlLoadOptions. */
gint64 atl_clip_pooled_width (const AtlCheckpoint *cp, const char *role);

G_END_DECLS
