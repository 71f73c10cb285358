/* Which model draws: none that nobody chose, and what does not fit it is said and left out at one
 * click. */
#include "images-steps.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "app/images/images-page-private.h"
#include "app/images/shape-picker.h"
#include "app/models/model-list.h"
#include "app/words.h"
#include "hub/library.h"

#define WAIT_S 60

/* A folder of diffusers is one model, for pictures, and opens on this page. */
static void
test_library (void)
{
  AppFixture f;
  g_autofree char *path = app_draw_model ();
  g_autofree char *link = g_build_filename (atl_library_dir (), "tiny", NULL);
  AtlModelEntry *entry;

  g_mkdir_with_parents (atl_library_dir (), 0755);
  g_assert_cmpint (symlink (path, link), ==, 0);
  app_fixture_start (&f);
  /* Nothing was used before. */
  g_settings_reset (atl_session_get_settings (f.session), "last-picture-model");
  entry = app_wait_for_model (&f, "tiny");
  g_assert_cmpstr (entry->name, ==, "tiny");
  g_assert_cmpint (entry->kind, ==, ATL_MODEL_PICTURES);
  g_assert_true (entry->reference);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  /* Nobody has chosen it: it is offered, and not loaded by itself. */
  app_fixture_spin (300);
  g_assert_false (app_has_draw_model (&f));
  g_assert_false (atl_pictures_session_get_is_loading (app_pictures (&f)));
  g_assert_nonnull (app_fixture_find_id (f.window->images_page, "choose_button"));
  app_fixture_shot (GTK_WIDGET (f.window), "images-not-chosen");
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ link, NULL }, TRUE);
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  g_assert_cmpstr (atl_pictures_session_get_model_name (app_pictures (&f)), ==, "tiny");
  g_assert_null (atl_session_get_model (f.session));
  /* Nor again when it was sent away, whatever the list tells. */
  atl_pictures_session_unload_model (app_pictures (&f));
  atl_session_emit_models_changed (f.session);
  g_signal_emit_by_name (atl_session_get_models (f.session), "refreshed");
  app_fixture_spin (100);
  g_assert_false (atl_pictures_session_get_is_loading (app_pictures (&f)));
  app_fixture_stop (&f);
  /* The next time it is there: it was used. */
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  app_fixture_stop (&f);
  g_assert_cmpint (g_unlink (link), ==, 0);
}

static gboolean
has_lora (gpointer f)
{
  return app_draft (f)->loras->len > 0;
}

/* A copy of the LoRA, as if it were made for a network with other layers; the caller's. */
static char *
unfit_lora (void)
{
  g_autofree char *source =
      g_build_filename (app_models_dir, "sd15", "loras", "kohya.safetensors", NULL);
  g_autofree char *folder = g_build_filename (app_models_dir, "unfit", NULL);
  char *path = g_build_filename (folder, "style.safetensors", NULL);
  g_autofree char *bytes = NULL;
  gsize size;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_get_contents (source, &bytes, &size, NULL));
  for (char *at = bytes; (at = memmem (at, size - (gsize) (at - bytes), "_blocks_", 8)) != NULL;
       at += 8)
    memcpy (at, "_blanks_", 8);
  for (char *at = bytes; (at = memmem (at, size - (gsize) (at - bytes), "_mid_block", 10)) != NULL;
       at += 10)
    memcpy (at, "_mid_blank", 10);
  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
  return path;
}

static gboolean
offers_without (gpointer f)
{
  GtkWidget *button =
      app_fixture_find_id (((AppFixture *) f)->window->images_page, "better_button");

  return button != NULL &&
         g_str_equal (gtk_button_get_label (GTK_BUTTON (button)), "Draw without it");
}

static gboolean
has_two_loras (gpointer f)
{
  return app_draft (f)->loras->len == 2;
}

/* Whether a LoRA fits is only known for sure when the weights are there: a picture is drawn without
 * it at one click. */
static void
test_unfit_lora (void)
{
  AppFixture f;
  g_autofree char *path = unfit_lora ();
  /* It is called as the other is, in another folder. */
  g_autofree char *fitting = g_build_filename (app_models_dir, "style.safetensors", NULL);
  g_autofree char *kohya =
      g_build_filename (app_models_dir, "sd15", "loras", "kohya.safetensors", NULL);
  g_autoptr (GFile) source = g_file_new_for_path (kohya);
  g_autoptr (GFile) first = g_file_new_for_path (fitting);
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *drawn = g_build_filename (folder, "without one.png", NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);

  app_start_drawing (&f);
  app_set_up_picture (&f, "without one", 2, 1);
  g_assert_true (g_file_copy (source, first, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL, NULL));
  atl_window_open_files (f.window, NULL, &first, 1);
  g_assert_true (app_fixture_wait (has_lora, &f, WAIT_S));
  atl_window_open_files (f.window, NULL, &file, 1);
  g_assert_true (app_fixture_wait (has_two_loras, &f, WAIT_S));
  app_create (&f);
  g_assert_true (app_fixture_wait (offers_without, &f, WAIT_S));
  app_fixture_shot (GTK_WIDGET (f.window), "images-unfit-lora");
  g_signal_emit_by_name (app_fixture_find_id (f.window->images_page, "better_button"), "clicked");
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_true (g_file_test (drawn, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (app_draft (&f)->loras->len, ==, 1);
  g_assert_cmpstr (((AtlPictureLora *) app_draft (&f)->loras->pdata[0])->path, ==, fitting);
  app_fixture_stop (&f);
}

static char *last_notice;

static void
notice_cb (AtlSession *session, const char *words)
{
  g_free (last_notice);
  last_notice = g_strdup (words);
}

/* What the engine unloads is called what the list of models calls it: the toy's folder has another
 * name. */
static void
test_unloaded_name (void)
{
  AppFixture f;
  g_autofree char *toy =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "data", "starter", "doodle", NULL);
  AtlModel *model;

  g_setenv ("ATELIER_PICTURE_STARTER", toy, TRUE);
  app_fixture_start (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), NULL);
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ toy, NULL }, TRUE);
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  model = atl_pictures_session_get_model (app_pictures (&f));
  app_assert_soon (
      atl_model_list_find (atl_session_get_models (f.session), atl_model_get_key (model)) != NULL);
  g_signal_emit_by_name (atl_session_get_client (f.session), "model-unloaded", model,
                         "doodle was unloaded");
  g_assert_cmpstr (last_notice, ==, "Doodle was unloaded");
  g_settings_reset (atl_session_get_settings (f.session), "last-picture-model");
  app_fixture_stop (&f);
  g_setenv ("ATELIER_PICTURE_STARTER", "/nonexistent", TRUE);
  g_clear_pointer (&last_notice, g_free);
}

static const char *
strip_title (AppFixture *f)
{
  return gtk_label_get_text (GTK_LABEL (app_fixture_find_id (f->window->strip, "title_label")));
}

/* Of a model that chats and one that draws the strip names that of the page in sight, whichever was
 * loaded first. */
static void
test_strip (void)
{
  AppFixture f;
  g_autofree char *stories = NULL;

  app_start_drawing (&f);
  stories = app_unpack_golden (f.dir, "llm-llama3-tied");
  app_assert_soon (
      g_str_equal (strip_title (&f), atl_pictures_session_get_model_name (app_pictures (&f))));
  atl_session_load_model (f.session, (const char *[]){ stories, NULL }, TRUE);
  g_assert_true (app_fixture_wait (app_is_loaded, &f, WAIT_S));
  app_act (&f, "win.show-page", "chats");
  app_assert_soon (g_str_equal (strip_title (&f), atl_session_get_model_name (f.session)));
  app_act (&f, "win.show-page", "images");
  g_assert_cmpstr (strip_title (&f), ==, atl_pictures_session_get_model_name (app_pictures (&f)));
  app_fixture_stop (&f);
}

static gboolean
is_last_shape (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_get_next_sibling (widget) == NULL;
}

static gboolean
is_at_width (gpointer f)
{
  GtkWidget *focus = gtk_root_get_focus (GTK_ROOT (((AppFixture *) f)->window));
  GtkWidget *row = focus != NULL ? gtk_widget_get_ancestor (focus, ADW_TYPE_ACTION_ROW) : NULL;

  return row != NULL &&
         g_strcmp0 (adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row)), "Width") == 0;
}

/* A size that the model does not make: one of its shape that it does is one tap away; and its
 * numbers are found as often as they are asked for. */
static void
test_own_size (void)
{
  AppFixture f;
  g_autoptr (GError) error = g_error_new (ATL_ERROR, ATL_ERROR_INVALID, "Up to 384 × 384.");
  AtlPictureSettings *settings;
  GtkWidget *button, *shapes;

  app_start_drawing (&f);
  settings = atl_picture_settings_copy (app_draft (&f));
  atl_set_string (&settings->shape, "");
  settings->width = 1024;
  settings->height = 512;
  atl_pictures_session_take_settings (app_pictures (&f), settings);
  ((AtlModelInfo *) atl_pictures_session_get_info (app_pictures (&f)))->max_side = 384;
  atl_images_page_tell_price (ATL_IMAGES_PAGE (f.window->images_page), NULL, error);
  button = app_fixture_find_id (f.window->images_page, "smaller_button");
  g_assert_cmpstr (gtk_button_get_label (GTK_BUTTON (button)), ==, "Make it 384 × 192 pixels");
  g_signal_emit_by_name (button, "clicked");
  g_assert_cmpuint (app_draft (&f)->width, ==, 384);
  g_assert_cmpuint (app_draft (&f)->height, ==, 192);
  /* One that it makes brings no offer. */
  atl_images_page_tell_price (ATL_IMAGES_PAGE (f.window->images_page), NULL, error);
  g_assert_false (gtk_widget_get_visible (button));
  shapes = app_fixture_find (f.window->images_page, ATL_TYPE_SHAPE_PICKER, NULL, NULL);
  shapes = app_fixture_find (shapes, GTK_TYPE_TOGGLE_BUTTON, is_last_shape, NULL);
  g_assert_true (gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (shapes)));
  g_assert_false (is_at_width (&f));
  g_signal_emit_by_name (shapes, "clicked");
  g_assert_true (app_fixture_wait (is_at_width, &f, WAIT_S));
  app_fixture_stop (&f);
}

static gboolean
shows_failure (gpointer f)
{
  return app_fixture_find_id (((AppFixture *) f)->window->images_page, "failed_page") != NULL;
}

/* What went wrong with one model is not to be seen with another, nor what was made before once a
 * new picture is begun. */
static void
test_other_model (void)
{
  AppFixture f;
  AtlImagesPage *page;
  g_autoptr (AtlPictureTask) own = NULL, others = NULL;
  g_autoptr (GError) error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, "It is broken.");

  app_start_drawing (&f);
  page = ATL_IMAGES_PAGE (f.window->images_page);
  own =
      atl_picture_task_new (atl_pictures_session_get_model (app_pictures (&f)), app_draft (&f), 1);
  others = atl_picture_task_new_kept ("/nowhere/other", app_draft (&f), 1);
  atl_picture_task_fail (own, error);
  atl_picture_task_fail (others, error);
  g_signal_emit_by_name (app_pictures (&f), "failed", own);
  g_assert_true (shows_failure (&f));
  g_object_notify (G_OBJECT (app_pictures (&f)), "model");
  g_assert_true (shows_failure (&f));
  g_signal_emit_by_name (app_pictures (&f), "failed", others);
  g_object_notify (G_OBJECT (app_pictures (&f)), "model");
  g_assert_false (shows_failure (&f));
  g_signal_emit_by_name (app_pictures (&f), "failed", own);
  g_ptr_array_add (app_draft (&f)->references, g_strdup ("/nowhere/reference.png"));
  app_draft (&f)->steps = 3;
  atl_images_page_new (page);
  g_assert_false (shows_failure (&f));
  g_assert_cmpuint (app_draft (&f)->references->len, ==, 0);
  g_assert_cmpuint (app_draft (&f)->steps, ==, 3);
  app_fixture_stop (&f);
}

/* What ended the engine again and again is not loaded by itself, but at Try again. */
static void
test_crashed_often (void)
{
  AppFixture f;
  AtlClient *client;
  const char *key;
  g_autoptr (AtlPictureTask) task = NULL;
  g_autoptr (GError) busy = g_error_new (ATL_ERROR, ATL_ERROR_BUSY, "It ended the engine.");
  g_autoptr (GError) other = g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "It is gone.");

  app_start_drawing (&f);
  app_set_up_picture (&f, "once more", 1, 1);
  client = atl_session_get_client (f.session);
  key = atl_model_get_key (atl_pictures_session_get_model (app_pictures (&f)));
  task =
      atl_picture_task_new (atl_pictures_session_get_model (app_pictures (&f)), app_draft (&f), 1);
  atl_client_set_crash_count (client, key, 3);
  atl_picture_task_fail (task, other);
  atl_pictures_session_retry (app_pictures (&f), task);
  g_assert_cmpuint (atl_client_get_crash_count (client, key), ==, 3);
  atl_picture_task_fail (task, busy);
  atl_pictures_session_retry (app_pictures (&f), task);
  g_assert_cmpuint (atl_client_get_crash_count (client, key), ==, 0);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  g_test_add_func ("/picture-model/library", test_library);
  g_test_add_func ("/picture-model/unfit-lora", test_unfit_lora);
  g_test_add_func ("/picture-model/unloaded-name", test_unloaded_name);
  g_test_add_func ("/picture-model/strip", test_strip);
  app_add_case ("/picture-model/own-size", test_own_size);
  app_add_case ("/picture-model/other-model", test_other_model);
  app_add_case ("/picture-model/crashed-often", test_crashed_often);
  return app_run_pictures ();
}
