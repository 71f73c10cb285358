/* What the Images page tells of its queue and leaves as it was: pauses, prices, variations, files
 * that are none of its business, pictures that came while the program was closed. */
#include "gallery-steps.h"
#include "images-steps.h"

#include "app/gallery/gallery.h"

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
  atl_picture_queue_clear (atl_pictures_session_get_queue (app_pictures (&f)));
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
  app_remove_tree (dir);
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

int
main (int argc, char **argv)
{
  int status;

  app_fixture_init (&argc, &argv);
  app_unpack_models ();
  g_test_add_func ("/page-queue/found-at-start", test_found_at_start);
  g_test_add_func ("/page-queue/foreign-file", test_foreign_file);
  g_test_add_func ("/page-queue/paused", test_paused);
  g_test_add_func ("/page-queue/variations", test_variations);
  status = g_test_run ();
  app_remove_models ();
  return status;
}
