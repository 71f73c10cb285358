/* The Images page with a real engine and the tiny model of the golden cases: a picture is drawn,
 * shown, saved; failures are said in words and the queue goes on. */
#include "images-steps.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>
#include <signal.h>

#include "app/images/extend-editor.h"
#include "app/images/images-page-private.h"
#include "app/images/mask-area.h"
#include "app/images/mask-editor.h"
#include "app/images/pictures-session.h"
#include "app/images/split-box.h"
#include "app/models/model-list.h"

#define WAIT_S 60

/* The strip of what the engine does; it writes when a chat is answered, and never here. */
static void
detail_cb (GtkLabel *label, GParamSpec *pspec, gpointer data)
{
  g_assert_false (g_str_has_prefix (gtk_label_get_text (label), "Writing"));
}

static void
test_create (void)
{
  AppFixture f;
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = g_build_filename (folder, "a red fox.png", NULL);
  g_autofree char *second = g_build_filename (folder, "a red fox-2.png", NULL);
  g_autoptr (GdkPixbuf) pixbuf = NULL;
  GtkWidget *picture;

  app_start_drawing (&f);
  app_set_up_picture (&f, "a red fox", 3, 1);
  g_signal_connect (app_fixture_find_id (GTK_WIDGET (f.window), "detail_label"), "notify::label",
                    G_CALLBACK (detail_cb), NULL);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  pixbuf = gdk_pixbuf_new_from_file (path, NULL);
  g_assert_nonnull (pixbuf);
  g_assert_cmpint (gdk_pixbuf_get_width (pixbuf), ==, 72);
  g_assert_cmpint (gdk_pixbuf_get_height (pixbuf), ==, 64);
  picture = app_fixture_find_id (GTK_WIDGET (f.window), "picture");
  g_assert_nonnull (picture);
  g_assert_cmpint (
      gdk_paintable_get_intrinsic_width (gtk_picture_get_paintable (GTK_PICTURE (picture))), ==,
      72);
  app_fixture_shot (GTK_WIDGET (f.window), "images");
  /* The same prompt once more: nothing is overwritten. */
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_true (g_file_test (second, G_FILE_TEST_EXISTS));
  app_check_start (&f, picture, path);
  app_fixture_stop (&f);
}

static gboolean
has_no_dialog (gpointer data)
{
  return app_dialog () == NULL;
}

static void
test_stop (void)
{
  AppFixture f;
  g_autoptr (AtlPictureTask) task = NULL;
  guint n = app_n_picture_files ();

  app_start_drawing (&f);
  app_set_up_long_picture (&f, "one that is stopped", 2);
  app_create (&f);
  g_assert_cmpuint (
      atl_picture_queue_n_waiting (atl_pictures_session_get_queue (app_pictures (&f))), ==, 1);
  g_assert_true (app_fixture_wait (app_is_drawing, &f, WAIT_S));
  /* It must not be finished before it is stopped. */
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  app_fixture_shot (GTK_WIDGET (f.window), "images-drawing");
  app_clear_queue (&f);
  gtk_widget_activate_action (f.window->images_page, "images.stop", NULL);
  app_assert_soon (app_dialog () != NULL);
  task = g_object_ref (atl_pictures_session_get_current (app_pictures (&f)));
  adw_message_dialog_response (app_dialog (), "stop");
  /* At once, however long what was begun takes; there is nothing more to be asked. */
  g_assert_cmpstr (atl_picture_task_get_phase (task), ==, "Stopping…");
  atl_picture_task_set_progress (task, "Finishing", 0, 0, -1);
  g_assert_cmpstr (atl_picture_task_get_phase (task), ==, "Stopping…");
  atl_images_page_ask_to_stop (ATL_IMAGES_PAGE (f.window->images_page));
  g_assert_true (app_fixture_wait (has_no_dialog, NULL, WAIT_S));
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_cmpuint (app_n_picture_files (), ==, n);
  app_fixture_stop (&f);
}

/* The picture ends before the question is answered: the answer must not meet the next one. */
static void
test_stop_late (void)
{
  AppFixture f;

  app_start_drawing (&f);
  app_set_up_long_picture (&f, "one that ends by itself", 2);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_is_drawing, &f, WAIT_S));
  gtk_widget_activate_action (f.window->images_page, "images.stop", NULL);
  app_assert_soon (app_dialog () != NULL);
  atl_pictures_session_stop (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (has_no_dialog, NULL, WAIT_S));
  app_clear_queue (&f);
  atl_pictures_session_stop (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_fixture_stop (&f);
}

static gboolean
has_failed (gpointer failed)
{
  return *(gboolean *) failed;
}

static void
failed_cb (AtlPicturesSession *pictures, AtlPictureTask *task, gboolean *failed)
{
  g_assert_error (atl_picture_task_get_error (task), ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  *failed = TRUE;
}

/* The picture that was being drawn is reported; the next one comes from another engine. */
static void
test_crash (void)
{
  AppFixture f;
  AtlPictureQueue *queue;
  g_autoptr (AtlPictureTask) first = NULL;
  guint n = app_n_picture_files ();
  gboolean failed = FALSE;

  app_start_drawing (&f);
  queue = atl_pictures_session_get_queue (app_pictures (&f));
  g_signal_connect (app_pictures (&f), "failed", G_CALLBACK (failed_cb), &failed);
  app_set_up_long_picture (&f, "one that is lost", 1);
  app_create (&f);
  app_set_up_picture (&f, "one after it", 2, 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_is_drawing, &f, WAIT_S));
  g_assert_cmpint (kill (atl_client_get_pid (atl_session_get_client (f.session)), SIGKILL), ==, 0);
  g_assert_true (app_fixture_wait (has_failed, &failed, WAIT_S));
  first = g_list_model_get_item (G_LIST_MODEL (queue), 0);
  g_assert_cmpint (atl_picture_task_get_state (first), ==, ATL_TASK_FAILED);
  app_assert_soon (app_n_picture_files () == n + 1);
  app_assert_soon (g_list_model_get_n_items (G_LIST_MODEL (queue)) == 1);
  app_fixture_shot (GTK_WIDGET (f.window), "images-failed");
  atl_picture_queue_remove (queue, first);
  app_fixture_stop (&f);
}

/* A folder that cannot be written to: the picture waits in memory until it can be saved. */
static void
test_unsaved (void)
{
  AppFixture f;
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *aside = g_strconcat (folder, "-aside", NULL);
  AtlPictureQueue *queue;
  g_autoptr (AtlPictureTask) task = NULL;
  GtkWidget *prompt;
  guint n;

  app_start_drawing (&f);
  queue = atl_pictures_session_get_queue (app_pictures (&f));
  app_set_up_picture (&f, "one that waits", 2, 1);
  prompt = app_fixture_find_id (f.window->images_page, "prompt_view");
  gtk_widget_grab_focus (prompt);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  /* Who is elsewhere on the page hears of it. */
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (prompt), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Finished picture: one that waits.png");
  n = app_n_picture_files ();
  g_assert_cmpint (g_rename (folder, aside), ==, 0);
  g_assert_true (g_file_set_contents (folder, "in the way", -1, NULL));
  app_create (&f);
  task = g_list_model_get_item (G_LIST_MODEL (queue), 0);
  app_assert_soon (atl_picture_task_get_state (task) == ATL_TASK_FAILED);
  app_assert_soon (gtk_test_accessible_check_property (
                       GTK_ACCESSIBLE (prompt), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                       atl_picture_task_get_error (task)->message, NULL) == NULL);
  app_assert_soon (g_str_equal (
      gtk_label_get_text (GTK_LABEL (app_fixture_find_id (GTK_WIDGET (f.window), "queue_label"))),
      "1 failed"));
  g_assert_cmpint (g_unlink (folder), ==, 0);
  g_assert_cmpint (g_rename (aside, folder), ==, 0);
  g_assert_cmpuint (app_n_picture_files (), ==, n);
  gtk_widget_activate_action (f.window->images_page, "images.retry", NULL);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_cmpuint (app_n_picture_files (), ==, n + 1);
  app_fixture_stop (&f);
}

static gboolean
is_draft_kept (gpointer f)
{
  g_autofree char *draft = atl_store_setting_get (
      atl_session_get_store (((AppFixture *) f)->session), "images-draft", NULL);

  return draft != NULL && strstr (draft, "half a sent") != NULL;
}

/* Text typed into the prompt is on the disk soon, and there again in the next window. */
static void
test_draft (void)
{
  AppFixture f;
  AtlSession *again;
  GtkWidget *view;

  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  app_fixture_spin (100);
  view = app_fixture_find_id (GTK_WIDGET (f.window), "prompt_view");
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "half a sent", -1);
  g_assert_true (app_fixture_wait (is_draft_kept, &f, WAIT_S));
  again = atl_session_new (f.dir, NULL);
  g_assert_cmpstr (atl_pictures_session_get_settings (atl_pictures_session_get (again))->prompt, ==,
                   "half a sent");
  g_object_run_dispose (G_OBJECT (again));
  g_object_unref (again);
  app_fixture_stop (&f);
}

static void
shot_at (AppFixture *f, int width, int height, const char *name)
{
  gtk_window_set_default_size (GTK_WINDOW (f->window), width, height);
  app_fixture_spin (300);
  app_fixture_shot (GTK_WIDGET (f->window), name);
  g_assert_cmpint (gtk_widget_get_width (GTK_WIDGET (f->window)), <=, width);
}

static void
test_narrow (void)
{
  AppFixture f;
  GtkWidget *split;

  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  split = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_SPLIT_BOX, NULL, NULL);
  shot_at (&f, 1280, 800, "images-empty");
  g_assert_false (atl_split_box_get_is_folded (ATL_SPLIT_BOX (split)));
  shot_at (&f, 720, 700, "images-720");
  shot_at (&f, 360, 640, "images-360");
  g_assert_true (atl_split_box_get_is_folded (ATL_SPLIT_BOX (split)));
  gtk_toggle_button_set_active (
      GTK_TOGGLE_BUTTON (app_fixture_find_id (GTK_WIDGET (f.window), "settings_toggle")), TRUE);
  shot_at (&f, 360, 640, "images-settings-360");
  app_fixture_stop (&f);
}

static void
show_less_cb (GtkWidget *split, GParamSpec *spec, GtkWidget *settings)
{
  gtk_widget_set_visible (settings, !atl_split_box_get_is_folded (ATL_SPLIT_BOX (split)));
}

static void
count_cb (guint *n)
{
  ++*n;
}

/* What folded shows less, and is content with less, does not unfold for that and fold again. */
static void
test_fold (void)
{
  GtkWidget *window = gtk_window_new (), *split = g_object_new (ATL_TYPE_SPLIT_BOX, NULL);
  GtkWidget *first = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0), *settings = gtk_label_new ("");
  guint n_times = 0;

  gtk_widget_set_size_request (first, 200, -1);
  gtk_widget_set_size_request (settings, 500, -1);
  gtk_widget_set_visible (settings, FALSE);
  gtk_box_append (GTK_BOX (first), settings);
  atl_split_box_set_children (ATL_SPLIT_BOX (split), first, gtk_label_new ("canvas"));
  g_signal_connect (split, "notify::is-folded", G_CALLBACK (show_less_cb), settings);
  g_signal_connect_swapped (split, "notify::is-folded", G_CALLBACK (count_cb), &n_times);
  gtk_window_set_child (GTK_WINDOW (window), split);
  gtk_window_set_default_size (GTK_WINDOW (window), 700, 300);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (500);
  app_assert_soon (atl_split_box_get_is_folded (ATL_SPLIT_BOX (split)));
  g_assert_cmpuint (n_times, <=, 2);
  gtk_window_set_default_size (GTK_WINDOW (window), 900, 300);
  app_assert_soon (!atl_split_box_get_is_folded (ATL_SPLIT_BOX (split)));
  gtk_window_destroy (GTK_WINDOW (window));
}

/* --- Pictures that go in --- */

/* A file that is drawn now. */
static char *
draw_some_picture (AppFixture *f)
{
  g_autofree char *folder = atl_pictures_dir ();

  app_set_up_picture (f, "a red fox", 3, 1);
  app_create (f);
  g_assert_true (app_fixture_wait (app_draws_nothing, f, WAIT_S));
  return g_build_filename (folder, "a red fox.png", NULL);
}

static gboolean
has_start (gpointer f)
{
  return atl_pictures_session_get_start (app_pictures (f)) != NULL;
}

/* Draws a picture, and sets up `prompt` to begin with it. */
static void
begin_with_picture (AppFixture *f, const char *prompt)
{
  g_autofree char *path = draw_some_picture (f);

  app_set_up_picture (f, prompt, 2, 1);
  g_assert_true (
      gtk_widget_activate_action (f->window->images_page, "images.use-as-start", "s", path));
  g_assert_true (app_fixture_wait (has_start, f, WAIT_S));
  g_assert_cmpstr (app_draft (f)->start, ==, path);
}

static void
test_paint (void)
{
  AppFixture f;
  GtkWidget *area, *editor;
  AtlMask *mask;

  app_start_drawing (&f);
  begin_with_picture (&f, "a painted one");
  g_assert_cmpstr (app_draft (&f)->shape, ==, "");
  app_draft (&f)->width = 72;
  app_draft (&f)->height = 64;
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "images-start");
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  app_fixture_spin (200);
  area = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_MASK_AREA, NULL, NULL);
  editor = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_MASK_EDITOR, NULL, NULL);
  mask = atl_mask_area_get_mask (ATL_MASK_AREA (area));
  g_assert_cmpuint (atl_mask_get_width (mask), ==, 72);
  atl_mask_begin (mask);
  atl_mask_line (mask, 10, 10, 40, 30, 8, FALSE);
  atl_mask_area_changed (ATL_MASK_AREA (area));
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "images-mask");
  shot_at (&f, 360, 640, "images-mask-360");
  gtk_window_set_default_size (GTK_WINDOW (f.window), 1280, 800);
  g_signal_emit_by_name (app_fixture_find_id (editor, "done_button"), "clicked");
  g_assert_nonnull (app_draft (&f)->mask);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  /* Painted again: what was painted is there, in its place. */
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  app_assert_soon (!atl_mask_is_empty (atl_mask_area_get_mask (ATL_MASK_AREA (area))));
  mask = atl_mask_area_get_mask (ATL_MASK_AREA (area));
  g_assert_cmpuint (atl_mask_get_bytes (mask)[10 * 72 + 12], ==, 255);
  g_assert_cmpuint (atl_mask_get_bytes (mask)[60 * 72 + 60], ==, 0);
  /* Nothing is painted on a picture that is gone. */
  atl_images_page_new (ATL_IMAGES_PAGE (f.window->images_page));
  g_assert_false (gtk_widget_get_mapped (area));
  app_fixture_stop (&f);
}

static void
test_extend (void)
{
  AppFixture f;
  GtkWidget *editor;
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = g_build_filename (folder, "an extended one.png", NULL);
  g_autoptr (GdkPixbuf) pixbuf = NULL;

  app_start_drawing (&f);
  begin_with_picture (&f, "an extended one");
  gtk_widget_activate_action (f.window->images_page, "images.extend-canvas", NULL);
  app_fixture_spin (200);
  editor = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_EXTEND_EDITOR, NULL, NULL);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (app_fixture_find_id (editor, "left_spin")), 50);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (app_fixture_find_id (editor, "right_spin")), 50);
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "images-extend");
  shot_at (&f, 360, 640, "images-extend-360");
  gtk_window_set_default_size (GTK_WINDOW (f.window), 1280, 800);
  g_signal_emit_by_name (app_fixture_find_id (editor, "done_button"), "clicked");
  g_assert_cmpuint (app_draft (&f)->extend[0], ==, 50);
  /* Twice as wide, in the model's area. */
  g_assert_cmpuint (app_draft (&f)->width, >, 2 * app_draft (&f)->height);
  app_draft (&f)->width = 144;
  app_draft (&f)->height = 64;
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  pixbuf = gdk_pixbuf_new_from_file (path, NULL);
  g_assert_nonnull (pixbuf);
  g_assert_cmpint (gdk_pixbuf_get_width (pixbuf), ==, 144);
  app_fixture_stop (&f);
}

static gboolean
has_lora (gpointer f)
{
  return app_draft (f)->loras->len > 0;
}

/* A LoRA that is dropped is looked into, used and named in the recipe. */
static void
test_lora (void)
{
  AppFixture f;
  g_autofree char *path =
      g_build_filename (app_models_dir, "sd15", "loras", "kohya.safetensors", NULL);
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *drawn = g_build_filename (folder, "a styled one.png", NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autofree char *bytes = NULL;
  gsize size;

  app_start_drawing (&f);
  app_set_up_picture (&f, "a styled one", 2, 1);
  atl_window_open_files (f.window, NULL, &file, 1);
  g_assert_true (app_fixture_wait (has_lora, &f, WAIT_S));
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "images-lora");
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_true (g_file_get_contents (drawn, &bytes, &size, NULL));
  g_assert_nonnull (memmem (bytes, size, "kohya", strlen ("kohya")));
  app_fixture_stop (&f);
}

static gboolean
has_seed (gpointer f)
{
  return app_draft (f)->seed_is_locked;
}

/* A picture dropped on the prompt brings its settings back. */
static void
test_restore (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autoptr (GFile) file = NULL;

  app_start_drawing (&f);
  path = draw_some_picture (&f);
  file = g_file_new_for_path (path);
  app_set_up_picture (&f, "something else", 9, 1);
  atl_images_page_drop (ATL_IMAGES_PAGE (f.window->images_page),
                        app_fixture_find_id (GTK_WIDGET (f.window), "prompt_view"), file);
  g_assert_true (app_fixture_wait (has_seed, &f, WAIT_S));
  g_assert_cmpstr (app_draft (&f)->prompt, ==, "a red fox");
  g_assert_cmpuint (app_draft (&f)->steps, ==, 3);
  g_assert_cmpuint (app_draft (&f)->width, ==, 72);
  g_assert_null (app_draft (&f)->start);
  app_fixture_stop (&f);
}

static void
notice_cb (AtlSession *session, const char *sentence, gboolean *is_told)
{
  *is_told |= *sentence != '\0';
}

/* A file that is no picture is refused in words, and nothing begins with it. */
static void
test_no_picture (void)
{
  AppFixture f;
  g_autofree char *path = g_build_filename (app_models_dir, "no.png", NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);
  gboolean is_told = FALSE;

  g_assert_true (g_file_set_contents (path, "\x89PNG\r\n\x1a\nnothing", -1, NULL));
  app_start_drawing (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &is_told);
  atl_images_page_drop (ATL_IMAGES_PAGE (f.window->images_page), NULL, file);
  app_assert_soon (is_told);
  g_assert_null (app_draft (&f)->start);
  app_fixture_stop (&f);
}

/* Draws pictures of a toy that are worth a place in a screenshot. */
static void
draw_toys (AppFixture *f)
{
  static const struct
  {
    const char *prompt;
    guint32 seed;
  } toys[] = { { "A heart", 5 },   { "A sunflower", 6 },         { "A strawberry", 8 },
               { "A penguin", 7 }, { "A panda in the snow", 4 }, { "A frog on the grass", 6 } };

  app_draft (f)->seed_is_locked = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (toys); i++)
    {
      app_draft (f)->seed = toys[i].seed;
      gtk_widget_activate_action (f->window->images_page, "images.try", "s", toys[i].prompt);
      g_assert_true (app_fixture_wait (app_draws_nothing, f, WAIT_S));
    }
}

/* The toy that comes with the program is ready at the first click; for a chat, which it cannot
 * hold, a first model is still offered. */
static void
test_starter (void)
{
  AppFixture f;
  g_autofree char *toy =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "data", "starter", "doodle", NULL);
  GtkWidget *example;

  g_setenv ("ATELIER_PICTURE_STARTER", toy, TRUE);
  app_fixture_start (&f);
  app_assert_soon (atl_model_list_find (atl_session_get_models (f.session), toy) != NULL);
  app_assert_soon (app_fixture_find_id (GTK_WIDGET (f.window), "starter") != NULL);
  g_assert_null (app_fixture_find_id (GTK_WIDGET (f.window), "choose_button"));
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  g_assert_true (atl_pictures_session_get_info (app_pictures (&f))->is_toy);
  app_fixture_spin (500);
  app_fixture_shot (GTK_WIDGET (f.window), "images-first-start");
  example = gtk_widget_get_first_child (app_fixture_find_id (GTK_WIDGET (f.window), "examples"));
  g_signal_emit_by_name (example, "clicked");
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  draw_toys (&f);
  app_fixture_spin (700);
  app_fixture_shot (GTK_WIDGET (f.window), "images-starter");
  app_fixture_stop (&f);
  g_setenv ("ATELIER_PICTURE_STARTER", "/nonexistent", TRUE);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  app_add_case ("/images/starter", test_starter);
  app_add_case ("/images/narrow", test_narrow);
  app_add_case ("/images/fold", test_fold);
  app_add_case ("/images/draft", test_draft);
  app_add_case ("/images/create", test_create);
  app_add_case ("/images/stop", test_stop);
  app_add_case ("/images/stop-late", test_stop_late);
  app_add_case ("/images/crash", test_crash);
  app_add_case ("/images/unsaved", test_unsaved);
  app_add_case ("/images/paint", test_paint);
  app_add_case ("/images/extend", test_extend);
  app_add_case ("/images/restore", test_restore);
  app_add_case ("/images/lora", test_lora);
  app_add_case ("/images/no-picture", test_no_picture);
  return app_run_pictures ();
}
