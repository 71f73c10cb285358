/* Choosing the shape of a picture: a small drawn rectangle for each, and one for any size.
 *
 * Property "shape" (int, notifies when a person chose): of atl_picture_shapes(), -1 a size in px.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_SHAPE_PICKER (atl_shape_picker_get_type ())
G_DECLARE_FINAL_TYPE (AtlShapePicker, atl_shape_picker, ATL, SHAPE_PICKER, GtkWidget)

gint atl_shape_picker_get_shape (AtlShapePicker *self);
/* Emits nothing. */
void atl_shape_picker_set_shape (AtlShapePicker *self, gint shape);
/* The model whose sizes the tooltips tell; `width` and `height` are those of the size in px. */
void atl_shape_picker_set_model (
    AtlShapePicker *self, guint side, guint multiple, guint width, guint height);

G_END_DECLS
