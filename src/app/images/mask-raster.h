/* The painted part of a picture: one byte a pixel, 255 where it may change; with undo.
 *
 *   AtlMask *mask = atl_mask_new (640, 480);
 *   atl_mask_begin (mask);                                   one step of undo
 *   atl_mask_line (mask, 10, 10, 200, 90, 24, FALSE);        a stroke of the brush
 *   GBytes *png = atl_mask_to_png (mask);
 *
 * Threading: plain data, one owner.
 */
#pragma once

#include <glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlMask AtlMask;

/* Empty. Sides are 1 to 4096 px. */
AtlMask *atl_mask_new (guint width, guint height);
void atl_mask_free (AtlMask *self);

guint atl_mask_get_width (const AtlMask *self);
guint atl_mask_get_height (const AtlMask *self);
/* [height, width]; borrowed. */
const guint8 *atl_mask_get_bytes (const AtlMask *self);
gboolean atl_mask_is_empty (const AtlMask *self);

/* What follows is one step of undo, until the next call. What was undone before is forgotten. */
void atl_mask_begin (AtlMask *self);
/* A round brush drawn from one point to the other, px; its rim is smooth. May be the same point. */
void atl_mask_line (
    AtlMask *self, double x0, double y0, double x1, double y1, double radius, gboolean erase);
void atl_mask_fill (AtlMask *self, guint8 value);
void atl_mask_invert (AtlMask *self);

/* Whether there is a step to go back, or forward again; without one the calls do nothing. */
gboolean atl_mask_can_undo (const AtlMask *self);
gboolean atl_mask_can_redo (const AtlMask *self);
void atl_mask_undo (AtlMask *self);
void atl_mask_redo (AtlMask *self);

/* As a grey picture. NULL with ATL_ERROR_NO_MEMORY. */
GBytes *atl_mask_to_png (const AtlMask *self, GError **error);
/* Takes over pixels [height, width, 3] of any size, brought to that of the mask; forgets undo. */
void atl_mask_load (AtlMask *self, const guint8 *rgb, guint width, guint height);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlMask, atl_mask_free)

G_END_DECLS
