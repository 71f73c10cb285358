/* The large picture of the Images page: what is being drawn, what was drawn, or why there is none.
 *
 *   atl_picture_canvas_show_texture (canvas, texture, "A red fox");
 *
 * Actions that it asks its page for: images.retry, images.smaller, images.try (s),
 * win.choose-model, win.open-model.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_CANVAS (atl_picture_canvas_get_type ())
G_DECLARE_FINAL_TYPE (AtlPictureCanvas, atl_picture_canvas, ATL, PICTURE_CANVAS, GtkWidget)

/* No model: what to do about it. `has_some`: one of those that are there can be chosen. */
void atl_picture_canvas_show_no_model (AtlPictureCanvas *self, gboolean has_some);
void atl_picture_canvas_set_session (AtlPictureCanvas *self, AtlPicturesSession *pictures);
/* The model that was chosen lacks parts. */
void atl_picture_canvas_show_missing (AtlPictureCanvas *self);
/* The model is on its way, and nothing drawn yet. */
void atl_picture_canvas_show_loading (AtlPictureCanvas *self);
/* A model, and nothing drawn yet: examples to click. `is_toy`: those that a toy can draw. */
void atl_picture_canvas_show_empty (AtlPictureCanvas *self, gboolean is_toy);
/* `words` are what a screen reader tells about it. */
void
atl_picture_canvas_show_texture (AtlPictureCanvas *self, GdkTexture *texture, const char *words);
/* `is_drawn`: with other settings it might become a picture. `has_lora`: the error is about a LoRA,
 * without which it might. */
void atl_picture_canvas_show_error (AtlPictureCanvas *self,
                                    const GError *error,
                                    gboolean is_drawn,
                                    gboolean has_lora);
/* What can be done with the picture that is shown; NULL: nothing. */
void atl_picture_canvas_set_menu (AtlPictureCanvas *self, GMenuModel *menu);

G_END_DECLS
