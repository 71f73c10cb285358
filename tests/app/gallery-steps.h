/* Pictures for tests of the gallery and of what is done with them. */
#pragma once

#include "app-steps.h"

#include "app/gallery/gallery-item.h"
#include "app/gallery/gallery-view.h"

/* The prompt of the picture that app_write_picture (0) makes. */
#define APP_FIRST_PROMPT "a red fox in the snow"

/* A picture with its recipe, as another computer's Atelier would have left it. The caller's. */
char *app_write_picture (guint i, const char *folder);
/* As if it were written a while ago: `days` before today. */
void app_make_old (const char *path, int days);
guint app_n_pictures (AppFixture *f);
void app_wait_for_pictures (AppFixture *f, guint n);
/* Borrowed. */
AtlGalleryItem *app_picture_at (AppFixture *f, guint i);
/* A page of the window, which has a title for each, in front. */
void app_add_page (AppFixture *f, GtkWidget *page, const char *name);
/* The whole gallery as such a page. */
AtlGalleryView *app_add_gallery (AppFixture *f);
/* The AtlGalleryItem has its thumbnail; to wait for. */
gboolean app_is_ready (gpointer item);
/* Takes the folder of pictures away. */
void app_clear_pictures (void);
/* The window that looks closer, NULL; borrowed. */
GtkWidget *app_viewer (void);
