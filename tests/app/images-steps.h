/* What tests of the Images page do again and again: unpack the tiny models of the golden cases,
 * load the one that draws, ask for pictures. */
#pragma once

#include "app-steps.h"

#include "app/images/pictures-session.h"

extern char *app_models_dir; /* where they are: sd15/, upscale/ */

/* For main(): app_fixture_init() and the models; and what it returns. */
void app_begin_pictures (int *argc, char ***argv);
int app_run_pictures (void);
/* Another family of tests/golden beside them. */
void app_unpack_more (const char *family);
/* One that does not come with the source (ATELIER_GOLDEN_PATH, or ../shared/golden beside it).
 * FALSE where it is not there. */
gboolean app_unpack_other (const char *family);
/* The one that draws; the caller's. */
char *app_draw_model (void);

/* app_fixture_start(), the Images page and the model in use. */
void app_start_drawing (AppFixture *f);
AtlPicturesSession *app_pictures (AppFixture *f); /* borrowed */
AtlPictureSettings *app_draft (AppFixture *f);    /* borrowed */
/* The draft becomes a small picture, so that the test is quick. */
void app_set_up_picture (AppFixture *f, const char *prompt, guint steps, guint count);
/* One that is to be stopped before it is finished. */
void app_set_up_long_picture (AppFixture *f, const char *prompt, guint count);
/* Presses the button. */
void app_create (AppFixture *f);
/* Whatever lies in the folder of pictures. */
guint app_n_picture_files (void);
/* Takes out all that wait; what is drawn goes on. */
void app_clear_queue (AppFixture *f);
/* For app_fixture_wait(); `f` is the AppFixture. */
gboolean app_has_draw_model (gpointer f);
gboolean app_draws_nothing (gpointer f);
gboolean app_is_drawing (gpointer f);
/* What is given to begin with (a file of 72 pixels' width) is in front on the canvas `picture`
 * until the next is drawn; without it the result is. */
void app_check_start (AppFixture *f, GtkWidget *picture, const char *path);

/* A case that begins without pictures and with the settings' defaults, whatever those before it
 * drew, saved and chose. */
typedef void (*AppCase) (void);
void app_add_case (const char *name, AppCase test);
