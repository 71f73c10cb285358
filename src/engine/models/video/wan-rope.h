/* The rotation of a grid of tokens: frames, rows and columns have a share of a head each (diffusers
 * 0.42.1 WanRotaryPosEmbed). Threading: pure function. */
#pragma once

#include "engine/tensor/array.h"

G_BEGIN_DECLS

/* "rope" [F * h * w, d] of heads of d numbers: cosines, then sines. The caller's. */
AtlArray *atl_wan_rope (gint64 d, gint64 F, gint64 h, gint64 w);

G_END_DECLS
