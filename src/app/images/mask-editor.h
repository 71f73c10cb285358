/* Painting what may change of the start picture: the area and its tools.
 *
 * Signals: "done" (GBytes *png, nullable: nothing is painted), "cancelled".
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_MASK_EDITOR (atl_mask_editor_get_type ())
G_DECLARE_FINAL_TYPE (AtlMaskEditor, atl_mask_editor, ATL, MASK_EDITOR, GtkWidget)

/* Begins with the mask [mask_height, mask_width, 3] (nullable). */
void atl_mask_editor_begin (
    AtlMaskEditor *self, GdkTexture *picture, GBytes *mask, guint mask_width, guint mask_height);
/* As by its button: emits "done" with what is painted. */
void atl_mask_editor_finish (AtlMaskEditor *self);

G_END_DECLS
