/* Choosing the shape of a picture: a small drawn rectangle for each, and one for any size.
 *
 * Property "shape" (char *, notifies when a person chose): "3:2", "" a size in px.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "client/model-info.h"

G_BEGIN_DECLS

#define ATL_TYPE_SHAPE_PICKER (atl_shape_picker_get_type ())
G_DECLARE_FINAL_TYPE (AtlShapePicker, atl_shape_picker, ATL, SHAPE_PICKER, GtkWidget)

const char *atl_shape_picker_get_shape (AtlShapePicker *self); /* borrowed */
/* Emits nothing. */
void atl_shape_picker_set_shape (AtlShapePicker *self, const char *shape);
/* The sizes that the model draws (nullable: of no model); `width` and `height` are those of the
 * size in px. Keeps what is chosen, if it is there. */
void atl_shape_picker_set_model (AtlShapePicker *self,
                                 const AtlModelInfo *info,
                                 guint width,
                                 guint height);

G_END_DECLS
