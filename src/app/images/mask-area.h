/* A picture to paint on: the brush follows pointer, pen or keyboard, and what is painted shines
 * through in colour.
 *
 * Keys: arrows move the brush, with Shift they draw; Space paints a dot; [ and ] make the brush
 * smaller and larger; Ctrl+Z and Ctrl+Shift+Z. A pen's pressure makes the brush wider. The second
 * mouse button erases.
 *
 * Signal "changed": the mask, what can be undone, or the size of the brush changed.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/images/mask-raster.h"

G_BEGIN_DECLS

#define ATL_TYPE_MASK_AREA (atl_mask_area_get_type ())
G_DECLARE_FINAL_TYPE (AtlMaskArea, atl_mask_area, ATL, MASK_AREA, GtkWidget)

GtkWidget *atl_mask_area_new (void);
/* `mask` is taken over; NULL for both: nothing. */
void atl_mask_area_set_picture (AtlMaskArea *self, GdkTexture *picture, AtlMask *mask);
AtlMask *atl_mask_area_get_mask (AtlMaskArea *self); /* (nullable) borrowed */
/* After the mask was changed by others. */
void atl_mask_area_changed (AtlMaskArea *self);
void atl_mask_area_set_erases (AtlMaskArea *self, gboolean erases);
/* Part of the picture's shorter side, 0.005 to 0.5. */
double atl_mask_area_get_brush (AtlMaskArea *self);
void atl_mask_area_set_brush (AtlMaskArea *self, double size);

G_END_DECLS
