/* Rows, tiles and thumbnails of the gallery: ten thousand pictures are no more work than those that
 * are seen, a thumbnail is of the file as it is now, and files are read until the window closes. */
#include "gallery-steps.h"

#include <glib/gstdio.h>
#include <signal.h>

#include "app/gallery/gallery-private.h"
#include "app/gallery/gallery-rows.h"
#include "app/gallery/gallery-strip.h"
#include "app/gallery/gallery-tile.h"
#include "app/gallery/gallery-view-private.h"
#include "app/images/pictures-session.h"
#include "media/picture.h"

#define WAIT_S 30

/* A thumbnail that was not made of the file as it is now is made anew, also when it is the newer
 * one: an earlier version left some that lie on their side. */
static void
test_old_thumbnail (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (0, folder);
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_MD5, path, -1);
  g_autofree char *name = g_strconcat (hash, ".webp", NULL);
  g_autofree char *cache =
      g_build_filename (g_get_user_cache_dir (), "atelier", "thumbnails", NULL);
  g_autofree char *cached = g_build_filename (cache, name, NULL);
  g_autoptr (AtlPicture) sideways = atl_picture_new (64, 96);
  g_autoptr (GBytes) bytes = atl_picture_encode (sideways, ATL_PICTURE_WEBP, 80, NULL);
  GStatBuf before, after;
  AppFixture f;

  app_make_old (path, 0);
  g_mkdir_with_parents (cache, 0700);
  g_assert_true (g_file_set_contents (cached, g_bytes_get_data (bytes, NULL),
                                      (gssize) g_bytes_get_size (bytes), NULL));
  app_fixture_start (&f);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 1);
  g_assert_true (app_fixture_wait (app_is_ready, app_picture_at (&f, 0), WAIT_S));
  g_assert_cmpint (gdk_texture_get_width (atl_gallery_item_get_texture (app_picture_at (&f, 0))),
                   ==, 96);
  app_fixture_stop (&f);
  /* Taken as it is from now on. */
  g_assert_cmpint (g_stat (cached, &before), ==, 0);
  app_fixture_start (&f);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 1);
  g_assert_true (app_fixture_wait (app_is_ready, app_picture_at (&f, 0), WAIT_S));
  g_assert_cmpint (gdk_texture_get_width (atl_gallery_item_get_texture (app_picture_at (&f, 0))),
                   ==, 96);
  app_fixture_stop (&f);
  g_assert_cmpint (g_stat (cached, &after), ==, 0);
  g_assert_cmpint (after.st_ino, ==, before.st_ino);
  app_clear_pictures ();
}

/* Each picture is in one row, in order, and no row is wider than it may be. */
static void
test_rows (void)
{
  static const int widths[] = { 1, 40, 336, 801, 2500 };
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);
  gint64 now = g_get_real_time (), start;

  for (guint i = 0; i < 10000; i++)
    {
      AtlPictureBrief brief = { .id = i + 1,
                                .created_us = now - (gint64) i * 40 * 60 * G_USEC_PER_SEC,
                                .width = i % 97 == 0 ? 0 : 100 + i % 700,
                                .height = 100 + (i * 7) % 900 };

      g_ptr_array_add (items, atl_gallery_item_new (&brief));
    }
  for (gsize w = 0; w < G_N_ELEMENTS (widths); w++)
    {
      g_autoptr (GPtrArray) rows = NULL;
      guint next = 0, n_days = 0;

      start = g_get_monotonic_time ();
      rows = atl_gallery_rows (items, widths[w], 168, 6);
      g_test_message ("%d px: %u rows in %.1f ms", widths[w], rows->len,
                      (g_get_monotonic_time () - start) / 1000.0);
      for (guint i = 0; i < rows->len; i++)
        {
          const AtlGalleryRow *row = rows->pdata[i];
          int sum = 6 * (int) row->n - 6;

          n_days += row->title != NULL;
          g_assert_true ((row->title != NULL) == (row->n == 0));
          if (row->n == 0)
            continue;
          g_assert_cmpuint (row->first, ==, next);
          next += row->n;
          for (guint j = 0; j < row->n; j++)
            sum += row->widths[j];
          g_assert_cmpint (sum, <=, MAX (widths[w], (int) row->n * 7));
          g_assert_cmpint (row->height, <=, 168 * 3 / 2);
        }
      g_assert_cmpuint (next, ==, 10000);
      g_assert_cmpuint (n_days, >=, 277);
    }
}

/* Widgets and thumbnails for those that are seen. */
static void
count_tiles (GtkWidget *widget, guint *n, guint *n_held)
{
  if (ATL_IS_GALLERY_TILE (widget))
    {
      AtlGalleryItem *item = atl_gallery_tile_get_item (ATL_GALLERY_TILE (widget));

      (*n)++;
      *n_held += item != NULL && atl_gallery_item_is_held (item);
    }
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    count_tiles (child, n, n_held);
}

static gboolean
has_thumbnails (gpointer view)
{
  guint n = 0, n_held = 0;

  count_tiles (view, &n, &n_held);
  return n_held > 5;
}

static void
test_many (void)
{
  AppFixture f;
  AtlGalleryView *view;
  GtkAdjustment *adjustment;
  GtkWidget *scroller;
  guint n = 0, n_held = 0;
  gint64 start;
  int least;

  app_fixture_start (&f);
  for (guint i = 0; i < 4000; i++)
    {
      g_autofree char *path = g_strdup_printf ("/nowhere/%u.png", i);
      AtlPictureRow row = { .path = path,
                            .width = 100 + i % 300,
                            .height = 150,
                            .seed = -1,
                            .created_us = g_get_real_time () - i * 600 * G_USEC_PER_SEC };

      g_assert_cmpint (atl_store_picture_add (atl_session_get_store (f.session), &row, NULL), >, 0);
    }
  start = g_get_monotonic_time ();
  view = app_add_gallery (&f);
  g_assert_true (app_fixture_wait (has_thumbnails, view, WAIT_S));
  g_test_message ("shown after %.0f ms, 300 of them waited",
                  (g_get_monotonic_time () - start) / 1000.0);
  /* The window can be made as narrow as before, whatever rows it shows. */
  gtk_widget_measure (GTK_WIDGET (view), GTK_ORIENTATION_HORIZONTAL, -1, &least, NULL, NULL, NULL);
  g_assert_cmpint (gtk_widget_get_width (GTK_WIDGET (view)), >, 400);
  g_assert_cmpint (least, <, 360);
  count_tiles (GTK_WIDGET (view), &n, &n_held);
  g_test_message ("%u tiles for 4000 pictures, %u with thumbnails", n, n_held);
  g_assert_cmpuint (n_held, <, 150);
  g_assert_cmpuint (n, <, 400);
  scroller = app_fixture_find_id (GTK_WIDGET (view), "scroller");
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller));
  for (guint i = 1; i <= 20; i++)
    {
      gtk_adjustment_set_value (adjustment, gtk_adjustment_get_upper (adjustment) * i / 20);
      app_fixture_spin (30);
    }
  g_assert_true (app_fixture_wait (has_thumbnails, view, WAIT_S));
  n = n_held = 0;
  count_tiles (GTK_WIDGET (view), &n, &n_held);
  g_assert_cmpuint (n_held, <, 150);
  g_assert_cmpuint (n, <, 400);
  app_fixture_stop (&f);
}

static gboolean
is_importing (gpointer gallery)
{
  return ATL_GALLERY (gallery)->is_importing;
}

static gboolean
is_not_importing (gpointer gallery)
{
  return !ATL_GALLERY (gallery)->is_importing;
}

static void
read_cb (GObject *source, GAsyncResult *result, gpointer is_read)
{
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, NULL);

  *(gboolean *) is_read = file != NULL;
}

static gboolean
is_true (gpointer value)
{
  return *(gboolean *) value;
}

/* The window closes while a file is read and another waits: nothing is asked of an engine that is
 * gone, and the next start finds both. */
static void
test_close_while_read (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *first = NULL;
  g_autoptr (AtlGallery) gallery = NULL;
  gboolean is_read = FALSE;
  AppFixture f;

  g_mkdir_with_parents (folder, 0700);
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, 1);
      if (first == NULL)
        first = g_steal_pointer (&path);
    }
  app_fixture_start (&f);
  gallery = g_object_ref (atl_gallery_get (f.session));
  atl_client_read_picture_async (atl_session_get_client (f.session), first, NULL, 16, NULL, read_cb,
                                 &is_read);
  g_assert_true (app_fixture_wait (is_true, &is_read, WAIT_S));
  app_kill_engine (&f, SIGSTOP);
  app_add_gallery (&f);
  g_assert_true (app_fixture_wait (is_importing, gallery, WAIT_S));
  g_assert_cmpuint (gallery->imports->len, ==, 2);
  app_fixture_stop (&f);
  g_assert_true (app_fixture_wait (is_not_importing, gallery, WAIT_S));
  g_clear_object (&gallery);

  app_fixture_start (&f);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 2);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

/* A picture is deleted, another is made that gets its name, and the first one is brought back: both
 * are there. */
static void
test_undo_beside (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (0, folder);
  g_autofree char *beside = g_build_filename (folder, "picture 0-2.png", NULL);
  g_autofree char *before = NULL, *after = NULL, *other = NULL;
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GError) error = NULL;
  AtlPictureRow row = { .path = path, .width = 8, .height = 8, .seed = -1 };
  AppFixture f;
  AtlGalleryView *view;
  gsize n, n_after;

  app_make_old (path, 0);
  app_fixture_start (&f);
  view = app_add_gallery (&f);
  app_wait_for_pictures (&f, 1);
  g_assert_true (g_file_get_contents (path, &before, &n, NULL));
  g_ptr_array_add (items, g_object_ref (app_picture_at (&f, 0)));
  atl_gallery_trash (atl_gallery_get (f.session), GTK_WIDGET (view), items);
  g_assert_true (g_file_set_contents (path, "another", -1, NULL));
  g_assert_cmpint (atl_gallery_add (f.session, &row, NULL, &error), >, 0);
  g_assert_no_error (error);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_cmpuint (app_n_pictures (&f), ==, 2);
  g_assert_true (g_file_get_contents (beside, &after, &n_after, NULL));
  g_assert_cmpmem (after, n_after, before, n);
  g_assert_true (g_file_get_contents (path, &other, NULL, NULL));
  g_assert_cmpstr (other, ==, "another");
  app_fixture_stop (&f);
  app_clear_pictures ();
}

/* A picture of another program says nothing of a seed: its row has none. */
static void
test_no_seed (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = NULL;
  g_autoptr (AtlPicture) plain = atl_picture_new (32, 32);
  g_autoptr (GBytes) bytes = atl_picture_encode (plain, ATL_PICTURE_PNG, 0, NULL);
  g_autoptr (AtlPictureRow) row = NULL;
  AppFixture f;

  g_mkdir_with_parents (folder, 0700);
  path = atl_picture_save (bytes, folder, "plain", "png", NULL);
  app_make_old (path, 0);
  app_fixture_start (&f);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 1);
  row = atl_gallery_get_row (atl_gallery_get (f.session), app_picture_at (&f, 0), NULL);
  g_assert_cmpint (row->origin, ==, ATL_ORIGIN_IMPORTED);
  g_assert_cmpint (row->seed, ==, -1);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
is_marked (gpointer strip)
{
  const char *path = g_object_get_data (G_OBJECT (strip), "wanted");

  return g_strcmp0 (atl_gallery_strip_get_selected (strip), path) == 0;
}

/* Both lists of pictures mark the one on the canvas, whoever asked for it. */
static void
test_marked (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  char *paths[] = { app_write_picture (0, folder), app_write_picture (1, folder), NULL };
  GtkWidget *strips[2];
  AppFixture f;

  for (guint i = 0; i < 2; i++)
    app_make_old (paths[i], 1);
  app_fixture_start (&f);
  atl_gallery_look (atl_gallery_get (f.session));
  app_wait_for_pictures (&f, 2);
  atl_window_show_page (f.window, "images");
  strips[0] = f.window->picture_list;
  app_fixture_spin (300);
  strips[1] = app_fixture_find (f.window->images_page, ATL_TYPE_GALLERY_STRIP, NULL, NULL);
  for (guint i = 0; i < 4; i++)
    {
      const char *path = paths[i % 2];

      for (guint k = 0; k < 2; k++)
        g_object_set_data (G_OBJECT (strips[k]), "wanted", (gpointer) path);
      /* As the page, or as a person who chooses in the strip. */
      if (i < 2)
        gtk_widget_activate_action (f.window->images_page, "images.show", "s", path);
      else
        atl_gallery_strip_set_selected (ATL_GALLERY_STRIP (strips[1]), path);
      for (guint k = 0; k < 2; k++)
        g_assert_true (app_fixture_wait (is_marked, strips[k], WAIT_S));
    }
  app_fixture_stop (&f);
  for (guint i = 0; i < 2; i++)
    g_free (paths[i]);
  app_clear_pictures ();
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/gallery-rows/old-thumbnail", test_old_thumbnail);
  g_test_add_func ("/app/gallery-rows/rows", test_rows);
  g_test_add_func ("/app/gallery-rows/marked", test_marked);
  g_test_add_func ("/app/gallery-rows/many", test_many);
  g_test_add_func ("/app/gallery-rows/no-seed", test_no_seed);
  g_test_add_func ("/app/gallery-rows/undo-beside", test_undo_beside);
  g_test_add_func ("/app/gallery-rows/close-while-read", test_close_while_read);
  return g_test_run ();
}
