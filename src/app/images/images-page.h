/* The Images page: prompt and settings beside the canvas.
 *
 * Actions ("images."): create, stop, retry, smaller, show (s: the path of a picture).
 * Property: "shown" (char *, nullable, notify): the path of the picture on the canvas.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_IMAGES_PAGE (atl_images_page_get_type ())
G_DECLARE_FINAL_TYPE (AtlImagesPage, atl_images_page, ATL, IMAGES_PAGE, GtkWidget)

void atl_images_page_set_session (AtlImagesPage *self, AtlSession *session);
/* To an empty prompt. */
void atl_images_page_new (AtlImagesPage *self);
/* To the prompt as it is. */
void atl_images_page_focus (AtlImagesPage *self);
/* A letter that nobody in the window wanted goes on with the prompt, while what the page shows
 * beside it is no work for the keyboard. TRUE: it was taken. */
gboolean atl_images_page_take_letter (AtlImagesPage *self, GtkEventControllerKey *keys);
/* Asks whether to stop what is being drawn; when nothing is, from all pictures back to the canvas.
 * FALSE: neither. */
gboolean atl_images_page_escape (AtlImagesPage *self);
/* A picture file was dropped on `at` (nullable), a widget of the page: on the prompt its recipe
 * comes back, elsewhere it is what the next picture begins with. */
void atl_images_page_drop (AtlImagesPage *self, GtkWidget *at, GFile *file);
/* A LoRA was dropped: it is used at once. FALSE: there are no pictures yet. */
gboolean
atl_images_page_take_lora (AtlImagesPage *self, const char *path, const AtlModelInfo *info);
/* Whether a file of that name is a picture that can go in. */
gboolean atl_images_page_is_picture_name (const char *name);
/* Searches the pictures that are there. */
void atl_images_page_find (AtlImagesPage *self);
/* Writes the draft. */
void atl_images_page_flush (AtlImagesPage *self);

/* Whether `widget` is the prompt or in it. */
gboolean atl_images_page_is_prompt (AtlImagesPage *self, GtkWidget *widget);

G_END_DECLS
