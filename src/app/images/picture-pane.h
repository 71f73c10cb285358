/* The left side of the Images page: what the picture shows, its shape and quality, Create.
 *
 * Shows and changes the draft of the AtlPicturesSession. Signal "settings-changed": a person
 * changed something, which is in the draft already.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_PANE (atl_picture_pane_get_type ())
G_DECLARE_FINAL_TYPE (AtlPicturePane, atl_picture_pane, ATL, PICTURE_PANE, GtkWidget)

/* Borrowed, and outlives the pane. Once, before it is shown. */
void atl_picture_pane_set_session (AtlPicturePane *self, AtlPicturesSession *pictures);
/* Scrolls to the prompt and what it begins with, at once. */
void atl_picture_pane_scroll_up (AtlPicturePane *self);
/* The focus goes to the prompt. */
void atl_picture_pane_focus (AtlPicturePane *self);
/* The key that `keys` tells of goes to the prompt, which has the focus then; a digit, where the row
 * of a number has the focus, to that number. TRUE: it was taken. */
gboolean atl_picture_pane_take_letter (AtlPicturePane *self, GtkEventControllerKey *keys);
/* Whether `widget` is the prompt or in it. */
gboolean atl_picture_pane_is_prompt (AtlPicturePane *self, GtkWidget *widget);
/* `info` is of the file, which is a LoRA. */
void atl_picture_pane_take_lora (AtlPicturePane *self, const char *path, const AtlModelInfo *info);
/* Under the button: what a picture costs, or why none can be made; and what would cost less, on
 * buttons for the actions images.quicker and images.smaller-size (both nullable). */
void atl_picture_pane_set_price (AtlPicturePane *self,
                                 const char *words,
                                 const char *quicker,
                                 const char *smaller);
/* Why Create cannot be pressed, on the button itself; NULL: it can be, or everybody sees why. */
void atl_picture_pane_set_refusal (AtlPicturePane *self, const char *words);
/* Only the words change. */
void atl_picture_pane_set_price_words (AtlPicturePane *self, const char *words);
/* Narrow: prompt and Create alone, the rest behind a button; property "shows-settings" notifies. */
void atl_picture_pane_set_is_narrow (AtlPicturePane *self, gboolean is_narrow);
gboolean atl_picture_pane_get_shows_settings (AtlPicturePane *self);
void atl_picture_pane_hide_settings (AtlPicturePane *self);

G_END_DECLS
