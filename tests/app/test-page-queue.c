/* What the Images page tells of its queue and leaves as it was: pauses, prices, variations, seeds,
 * files that are none of its business, pictures that came while the program was closed. */
#include "gallery-steps.h"
#include "images-steps.h"

#include "app/gallery/gallery.h"
#include "app/images/images-page-private.h"
#include "app/window/undo.h"

#define WAIT_S 60

static void
count_cb (AtlSession *session, const char *sentence, guint *n)
{
  if (strstr (sentence, "paused") != NULL)
    (*n)++;
}

static gboolean
price_ends (AppFixture *f, const char *words)
{
  GtkWidget *label = app_fixture_find_id (GTK_WIDGET (f->window), "price_label");

  return label != NULL && g_str_has_suffix (gtk_label_get_text (GTK_LABEL (label)), words);
}

/* What is created in a pause that was asked for only waits, which is said; the price tells how many
 * come before. */
static void
test_paused (void)
{
  guint n_notices = 0;
  AppFixture f;

  app_start_drawing (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (count_cb), &n_notices);
  /* From then on the time is foretold. */
  app_set_up_picture (&f, "a first one", 2, 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_set_up_long_picture (&f, "one that rests", 2);
  app_assert_soon (price_ends (&f, "processor"));
  app_create (&f);
  g_assert_true (app_fixture_wait (app_is_drawing, &f, WAIT_S));
  app_assert_soon (price_ends (&f, "after 2 others"));
  g_assert_cmpuint (n_notices, ==, 0);
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  app_create (&f);
  g_assert_cmpuint (n_notices, ==, 1);
  g_assert_true (atl_pictures_session_get_is_paused (app_pictures (&f)));
  app_assert_soon (price_ends (&f, "after 4 others"));
  app_clear_queue (&f);
  app_assert_soon (price_ends (&f, "after 1 other"));
  atl_pictures_session_stop (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_assert_soon (price_ends (&f, "processor"));
  app_fixture_stop (&f);
}

/* Four more of one picture, with seeds of their own; the next ones are as many as before. */
static void
test_variations (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = g_build_filename (folder, "one of a kind.png", NULL);
  g_autoptr (GHashTable) seeds = g_hash_table_new (NULL, NULL);
  GListModel *queue;
  AppFixture f;

  app_start_drawing (&f);
  app_set_up_picture (&f, "one of a kind", 2, 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  queue = G_LIST_MODEL (atl_pictures_session_get_queue (app_pictures (&f)));
  gtk_widget_activate_action (f.window->images_page, "images.variations", "s", path);
  app_assert_soon (g_list_model_get_n_items (queue) == 4);
  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue, i);

      g_assert_cmpstr (atl_picture_task_get_settings (task)->prompt, ==, "one of a kind");
      g_assert_cmpuint (atl_picture_task_get_settings (task)->steps, ==, 2);
      g_hash_table_add (seeds, GUINT_TO_POINTER (atl_picture_task_get_seed (task)));
    }
  g_assert_cmpuint (g_hash_table_size (seeds), ==, 4);
  g_assert_cmpuint (app_draft (&f)->count, ==, 1);
  g_assert_false (app_draft (&f)->seed_is_locked);
  atl_pictures_session_set_is_paused (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
is_toast (GtkWidget *widget, gconstpointer data)
{
  return g_str_equal (gtk_widget_get_css_name (widget), "toast") &&
         gtk_widget_get_mapped (widget) && gtk_widget_get_height (widget) > 0;
}

/* A notice does not cover the button that creates, and keys of chats do not lead away from it. */
static void
test_notice_is_above (void)
{
  GtkWidget *button, *toast;
  graphene_rect_t a, b;
  AppFixture f;

  app_start_drawing (&f);
  button = app_fixture_find_id (GTK_WIDGET (f.window), "create_button");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  g_assert_true (atl_window_shows_page (f.window, "images"));
  atl_window_toast (f.window, "Long enough to reach across the middle of the window, where it is");
  app_assert_soon (
      (toast = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_WIDGET, is_toast, NULL)) != NULL);
  g_assert_true (gtk_widget_compute_bounds (button, GTK_WIDGET (f.window), &a));
  g_assert_true (gtk_widget_compute_bounds (toast, GTK_WIDGET (f.window), &b));
  g_assert_cmpfloat (b.origin.y + b.size.height, <=, a.origin.y);
  app_fixture_stop (&f);
}

static gboolean
is_of_words (GtkWidget *label, gconstpointer words)
{
  return gtk_widget_get_mapped (label) &&
         g_str_equal (gtk_label_get_text (GTK_LABEL (label)), words);
}

/* What is said last is read first, even where one before it stays until it is closed. */
static void
test_newest_notice (void)
{
  AppFixture f;
  AdwToast *stays = adw_toast_new ("Stays");

  app_fixture_start (&f);
  adw_toast_set_timeout (stays, 0);
  adw_toast_overlay_add_toast (ADW_TOAST_OVERLAY (f.window->toasts), stays);
  atl_window_toast (f.window, "Newest");
  app_assert_soon (
      app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_LABEL, is_of_words, "Newest") != NULL);
  app_fixture_stop (&f);
}

static gboolean
undone (gpointer data, GError **error)
{
  return TRUE;
}

/* An offer to undo is gone once it was taken. */
static void
test_undo_is_freed (void)
{
  AppFixture f;
  GtkWidget *shown;
  GObject *toast;

  app_fixture_start (&f);
  atl_undo_offer (f.window->images_page, "Something happened", undone, NULL, NULL);
  app_assert_soon (
      (shown = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_WIDGET, is_toast, NULL)) != NULL);
  g_object_get (shown, "toast", &toast, NULL);
  g_object_add_weak_pointer (toast, (gpointer *) &toast);
  g_object_unref (toast);
  g_assert_nonnull (toast);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  app_assert_soon (toast == NULL);
  app_fixture_stop (&f);
}

static gboolean
is_entry_of_seed (GtkWidget *widget, gconstpointer data)
{
  return gtk_entry_get_input_purpose (GTK_ENTRY (widget)) == GTK_INPUT_PURPOSE_DIGITS;
}

/* What is no seed is said in words, and what is none at all is random. */
static void
test_seed (void)
{
  static const char *const wrong[] = { "-5", "4294967296", "100000000000000000000", "7.5", "text" };
  AppFixture f;
  GtkWidget *entry, *row;

  app_start_drawing (&f);
  entry = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_ENTRY, is_entry_of_seed, NULL);
  g_assert_nonnull (entry);
  row = gtk_widget_get_ancestor (entry, ADW_TYPE_ACTION_ROW);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      gtk_editable_set_text (GTK_EDITABLE (entry), "77");
      gtk_editable_set_text (GTK_EDITABLE (entry), wrong[i]);
      g_assert_cmpstr (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), ==,
                       "A whole number from 0 to 4294967295");
    }
  gtk_editable_set_text (GTK_EDITABLE (entry), "4294967295");
  g_assert_cmpstr (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), ==, "");
  g_assert_true (app_draft (&f)->seed_is_locked);
  g_assert_cmpuint (app_draft (&f)->seed, ==, G_MAXUINT32);
  gtk_editable_set_text (GTK_EDITABLE (entry), "");
  g_assert_false (app_draft (&f)->seed_is_locked);
  app_fixture_stop (&f);
}

/* The lock keeps the seeds of what was made last, all of them, and looks open until it is shut. */
static void
test_seed_lock (void)
{
  AtlPictureQueue *queue;
  GtkWidget *entry, *lock;
  guint32 seeds[2];
  AppFixture f;

  app_start_drawing (&f);
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  app_set_up_picture (&f, "one to keep", 2, 2);
  queue = atl_pictures_session_get_queue (app_pictures (&f));
  entry = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_ENTRY, is_entry_of_seed, NULL);
  lock = gtk_widget_get_next_sibling (entry);
  g_assert_cmpstr (gtk_button_get_icon_name (GTK_BUTTON (lock)), ==, "changes-allow-symbolic");
  app_create (&f);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (lock), TRUE);
  g_assert_cmpstr (gtk_button_get_icon_name (GTK_BUTTON (lock)), ==, "changes-prevent-symbolic");
  app_create (&f);
  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (G_LIST_MODEL (queue), i);

      if (i < 2)
        seeds[i] = atl_picture_task_get_seed (task);
      else
        g_assert_cmpuint (atl_picture_task_get_seed (task), ==, seeds[i - 2]);
    }
  g_assert_cmpuint (seeds[0], !=, seeds[1]);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (lock), FALSE);
  g_assert_cmpstr (gtk_button_get_icon_name (GTK_BUTTON (lock)), ==, "changes-allow-symbolic");
  app_create (&f);
  g_assert_cmpuint (app_draft (&f)->seed, !=, seeds[0]);
  app_clear_queue (&f);
  app_fixture_stop (&f);
}

static gboolean
names_file (GtkWidget *label, gconstpointer name)
{
  return strstr (gtk_label_get_text (GTK_LABEL (label)), name) != NULL;
}

/* A file that no picture is made with stays out of the chats, too, and the person is told. */
static void
test_foreign_file (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-page-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "tokenizer.json", NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);
  AtlAttachedFiles *files;
  AppFixture f;

  g_assert_true (g_file_set_contents (path, "{}", -1, NULL));
  app_start_drawing (&f);
  files = atl_session_get_attached_files (f.session, 0);
  atl_window_open_files (f.window, NULL, &file, 1);
  app_assert_soon (app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_LABEL, names_file,
                                     "tokenizer.json") != NULL);
  g_assert_true (atl_window_shows_page (f.window, "images"));
  g_assert_cmpuint (atl_attached_files_get (files)->len, ==, 0);
  app_fixture_stop (&f);
  remove_tree (dir);
}

/* Pictures that came into the folder while the program was closed are there at once. */
static void
test_found_at_start (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (0, folder);
  AppFixture f;

  app_make_old (path, 1);
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  app_wait_for_pictures (&f, 1);
  g_assert_nonnull (atl_gallery_find_path (atl_gallery_get (f.session), path));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
is_create_on (AppFixture *f)
{
  return gtk_widget_get_sensitive (app_fixture_find_id (GTK_WIDGET (f->window), "create_button"));
}

/* Create is off where nothing that stands beside it helps, and says why; what another size mends,
 * or who asks again, leaves it on. */
static void
test_refused (void)
{
  static const struct
  {
    AtlError code;
    gboolean is_on;
  } errors[] = { { ATL_ERROR_INVALID, FALSE },
                 { ATL_ERROR_ENGINE_GONE, TRUE },
                 { ATL_ERROR_NO_MEMORY, FALSE },
                 { ATL_ERROR_NOT_FOUND, TRUE },
                 { ATL_ERROR_UNSUPPORTED, FALSE } };
  AtlPicturePrice price = { .width = 512, .height = 512, .steps = 20, .seconds = -1 };
  AtlImagesPage *page;
  GtkWidget *button;
  AppFixture f;

  app_start_drawing (&f);
  app_assert_soon (price_ends (&f, "after the first picture"));
  page = ATL_IMAGES_PAGE (f.window->images_page);
  button = app_fixture_find_id (GTK_WIDGET (f.window), "create_button");
  g_assert_true (is_create_on (&f));
  price.words = "Needs 9 GB, 2 GB are free.";
  atl_images_page_tell_price (page, &price, NULL);
  g_assert_false (is_create_on (&f));
  g_assert_cmpstr (gtk_widget_get_tooltip_text (button), ==, price.words);
  price.fit_width = price.fit_height = 256;
  atl_images_page_tell_price (page, &price, NULL);
  g_assert_true (is_create_on (&f));
  g_assert_nonnull (strstr (gtk_widget_get_tooltip_text (button), "Ctrl+Enter"));
  for (gsize i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (ATL_ERROR, errors[i].code, "No such thing");

      atl_images_page_tell_price (page, NULL, error);
      g_assert_cmpint (is_create_on (&f), ==, errors[i].is_on);
    }
  /* The settings are others: it is asked anew. */
  app_set_up_picture (&f, "a fox", 2, 1);
  app_assert_soon (is_create_on (&f));
  app_fixture_stop (&f);
}

static gboolean
is_size_button (GtkWidget *widget, gconstpointer data)
{
  const char *tooltip = gtk_widget_get_tooltip_text (widget);

  return tooltip != NULL && g_str_has_prefix (tooltip, "Any size");
}

static gboolean
is_in_width_row (GtkWidget *focus)
{
  GtkWidget *row = focus != NULL ? gtk_widget_get_ancestor (focus, ADW_TYPE_PREFERENCES_ROW) : NULL;

  return row != NULL &&
         g_str_equal (adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row)), "Width");
}

/* Who asks for a size of their own comes to its numbers, which are out of sight. */
static void
test_own_size (void)
{
  GtkWidget *button;
  AppFixture f;

  app_start_drawing (&f);
  button = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_TOGGLE_BUTTON, is_size_button, NULL);
  g_assert_nonnull (button);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (button), TRUE);
  app_assert_soon (is_in_width_row (gtk_window_get_focus (GTK_WINDOW (f.window))));
  app_fixture_stop (&f);
}

/* What is being finished has no step left to rest before: the pause is for what comes next, and
 * only a rest is called one. */
static void
test_pause_after (void)
{
  static const struct
  {
    const char *phase;
    guint step, n_steps;
    const char *shown;
  } cases[] = {
    { "Drawing", 1, 2, "Paused · step 1 of 2" },
    { "Finishing", 0, 0, "Finishing · paused after that" },
    { "Paused", 0, 0, "Paused" },
  };
  AtlPictureTask *task;
  AppFixture f;

  app_start_drawing (&f);
  app_set_up_picture (&f, "a paused one", 2, 1);
  app_create (&f);
  app_assert_soon (atl_pictures_session_get_current (app_pictures (&f)) != NULL);
  task = atl_pictures_session_get_current (app_pictures (&f));
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      atl_picture_task_set_progress (task, cases[i].phase, cases[i].step, cases[i].n_steps, -1);
      g_assert_nonnull (
          app_fixture_find (f.window->images_page, GTK_TYPE_LABEL, is_of_words, cases[i].shown));
    }
  atl_pictures_session_set_is_paused (app_pictures (&f), FALSE);
  app_assert_soon (app_draws_nothing (&f));
  app_fixture_stop (&f);
}

/* A quicker quality is offered where it is one: the price's steps are not those that are chosen. */
static void
test_quicker (void)
{
  static const struct
  {
    AtlQuality quality;
    guint priced; /* of 100 that are chosen */
    const char *offered;
  } cases[] = {
    { ATL_QUALITY_FAST, 110, NULL },
    { ATL_QUALITY_BALANCED, 50, "Fast: ≈ 1 min 0 s" },
    { ATL_QUALITY_BALANCED, 200, "Fast: ≈ 1 min 0 s" },
  };
  GtkWidget *button;
  AppFixture f;

  app_start_drawing (&f);
  app_assert_soon (price_ends (&f, "after the first picture"));
  ((AtlModelInfo *) atl_pictures_session_get_info (app_pictures (&f)))->steps = 20;
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AtlPictureSettings *settings = atl_picture_settings_copy (app_draft (&f));
      guint chosen = atl_quality_steps (cases[i].quality, 20);
      AtlPicturePrice price = { .seconds = 100,
                                .steps = chosen * cases[i].priced / 100,
                                .bytes = 1000,
                                .fits = TRUE,
                                .words = (char *) "" };

      settings->quality = cases[i].quality;
      settings->steps = 0;
      atl_pictures_session_take_settings (app_pictures (&f), settings);
      atl_images_page_tell_price (ATL_IMAGES_PAGE (f.window->images_page), &price, NULL);
      button = app_fixture_find_id (f.window->images_page, "quicker_button");
      g_assert_cmpint (button != NULL && gtk_widget_get_visible (button), ==,
                       cases[i].offered != NULL);
      if (cases[i].offered != NULL)
        g_assert_cmpstr (gtk_button_get_label (GTK_BUTTON (button)), ==, cases[i].offered);
    }
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  g_test_add_func ("/page-queue/found-at-start", test_found_at_start);
  g_test_add_func ("/page-queue/foreign-file", test_foreign_file);
  g_test_add_func ("/page-queue/paused", test_paused);
  g_test_add_func ("/page-queue/variations", test_variations);
  app_add_case ("/page-queue/seed", test_seed);
  app_add_case ("/page-queue/notice", test_notice_is_above);
  app_add_case ("/page-queue/newest-notice", test_newest_notice);
  app_add_case ("/page-queue/undo-is-freed", test_undo_is_freed);
  app_add_case ("/page-queue/seed-lock", test_seed_lock);
  app_add_case ("/app/page-queue/refused", test_refused);
  app_add_case ("/app/page-queue/quicker", test_quicker);
  app_add_case ("/app/page-queue/pause-after", test_pause_after);
  app_add_case ("/app/page-queue/own-size", test_own_size);
  return app_run_pictures ();
}
