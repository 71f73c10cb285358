/* The gallery with a real engine: pictures that lie in the folder are found and shown, searched,
 * starred, deleted and brought back, found again when they were moved. */
#include "gallery-steps.h"
#include "seen-writes.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "app/gallery/gallery-private.h"
#include "app/gallery/gallery-strip.h"
#include "app/gallery/gallery-tile.h"
#include "app/gallery/gallery-view-private.h"
#include "app/gallery/picture-copy.h"
#include "app/gallery/viewer-window.h"
#include "app/images/pictures-session.h"
#include "media/recipe.h"

#define WAIT_S 30

static gboolean
is_gone (gpointer item)
{
  return atl_gallery_item_get_state (item) == ATL_GALLERY_GONE;
}

static void
star (AtlGallery *gallery, AtlGalleryItem *item)
{
  g_autoptr (GPtrArray) one = g_ptr_array_new ();

  g_ptr_array_add (one, item);
  atl_gallery_star (gallery, one, TRUE);
}

/* Files without rows are taken in, with their recipes, in the order of their times. */
static void
test_found (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *junk = g_build_filename (folder, "junk.png", NULL);
  AppFixture f;
  AtlGallery *gallery;

  g_mkdir_with_parents (folder, 0700);
  for (guint i = 0; i < 12; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, (int) i / 4);
    }
  g_assert_true (g_file_set_contents (junk, "no picture at all", -1, NULL));
  app_make_old (junk, 0);
  app_fixture_start (&f);
  gallery = atl_gallery_get (f.session);
  g_assert_cmpuint (app_n_pictures (&f), ==, 0);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 12);
  {
    AtlGalleryItem *item = app_picture_at (&f, 11);
    g_autoptr (AtlPictureRow) row = atl_gallery_get_row (gallery, item, NULL);
    g_autoptr (GVariant) recipe = atl_recipe_from_json (row->recipe);
    const char *prompt = NULL;

    /* The oldest by their times are 8 to 11. */
    g_assert_cmpint (row->seed, >=, 108);
    g_assert_cmpint (row->origin, ==, ATL_ORIGIN_MADE);
    g_assert_cmpstr (row->model, ==, "Doodle");
    g_assert_true (g_variant_lookup (recipe, "prompt", "&s", &prompt));
    g_assert_cmpstr (prompt, ==, row->prompt);
    g_assert_true (app_fixture_wait (app_is_ready, item, WAIT_S));
    g_assert_nonnull (atl_gallery_item_get_texture (item));
  }
  /* Once more: nothing comes twice, and what is no picture is passed over again. */
  app_fixture_spin (200);
  g_assert_cmpuint (app_n_pictures (&f), ==, 12);
  app_fixture_shot (GTK_WIDGET (f.window), "gallery");
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
shows_page (GtkWidget *stack, const char *name)
{
  return g_strcmp0 (gtk_stack_get_visible_child_name (GTK_STACK (stack)), name) == 0;
}

static void
test_search_and_stars (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  AppFixture f;
  AtlGallery *gallery;
  AtlGalleryView *view;
  GtkWidget *entry, *stack, *stars;

  g_mkdir_with_parents (folder, 0700);
  for (guint i = 0; i < 5; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, 0);
    }
  app_fixture_start (&f);
  gallery = atl_gallery_get (f.session);
  view = app_add_gallery (&f);
  app_wait_for_pictures (&f, 5);
  entry = app_fixture_find_id (GTK_WIDGET (view), "entry");
  stack = app_fixture_find_id (GTK_WIDGET (view), "stack");
  stars = app_fixture_find_id (GTK_WIDGET (view), "stars");
  atl_gallery_view_search (view, "fuchs");
  app_fixture_spin (400);
  app_assert_soon (shows_page (stack, "list"));
  app_fixture_shot (GTK_WIDGET (f.window), "gallery-search");
  atl_gallery_view_search (view, "no such words");
  app_assert_soon (shows_page (stack, "nothing"));
  gtk_editable_set_text (GTK_EDITABLE (entry), "");
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (stars), TRUE);
  app_assert_soon (shows_page (stack, "no-stars"));
  star (gallery, app_picture_at (&f, 2));
  app_assert_soon (shows_page (stack, "list"));
  g_assert_true (atl_gallery_item_get_starred (app_picture_at (&f, 2)));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

typedef struct
{
  GFile *file;
  GError *error;
} Copied;

static void
copied_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Copied *copied = data;

  copied->file = atl_picture_copy_finish (result, &copied->error);
}

static gboolean
is_copied (gpointer data)
{
  Copied *copied = data;

  return copied->file != NULL || copied->error != NULL;
}

/* The path of what was written, NULL when that was refused; the caller's. */
static char *
copy_to (AtlGallery *gallery, AtlGalleryItem *item, const char *name)
{
  g_autoptr (GFile) to = NULL;
  g_autofree char *path = g_build_filename (g_get_home_dir (), name, NULL);
  Copied copied = { NULL, NULL };
  char *written;

  to = g_file_new_for_path (path);
  atl_picture_copy_async (gallery, item, to, copied_cb, &copied);
  g_assert_true (app_fixture_wait (is_copied, &copied, WAIT_S));
  written = copied.file != NULL ? g_file_get_path (copied.file) : NULL;
  g_clear_object (&copied.file);
  g_clear_error (&copied.error);
  return written;
}

/* Under another name it is the same file, under another format's a picture of that with its recipe;
 * neither the picture itself nor what the person was not asked about is replaced. A copy has its
 * name when it is whole. */
static void
test_copy (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = NULL, *same = NULL, *jpeg = NULL, *bare = NULL, *link = NULL;
  g_autofree char *link_path = g_build_filename (g_get_home_dir (), "link.png", NULL);
  g_autofree char *before = NULL, *after = NULL;
  gsize n_before, n_after;
  g_autoptr (AtlPicture) picture = NULL;
  g_autoptr (GVariant) recipe = NULL;
  const char *prompt = NULL;
  AppFixture f;
  AtlGallery *gallery;
  AtlGalleryItem *item;
  int watch;

  g_mkdir_with_parents (folder, 0700);
  path = app_write_picture (0, folder);
  app_make_old (path, 0);
  g_assert_true (g_file_get_contents (path, &before, &n_before, NULL));
  app_fixture_start (&f);
  gallery = atl_gallery_get (f.session);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 1);
  item = app_picture_at (&f, 0);

  watch = writes_watch (g_get_home_dir ());
  same = copy_to (gallery, item, "same.png");
  g_assert_nonnull (same);
  g_assert_false (writes_seen (watch, "same.png"));
  g_assert_true (g_file_get_contents (same, &after, &n_after, NULL));
  g_assert_cmpmem (before, n_before, after, n_after);
  g_clear_pointer (&after, g_free);

  watch = writes_watch (g_get_home_dir ());
  jpeg = copy_to (gallery, item, "other.JPG");
  g_assert_nonnull (jpeg);
  g_assert_false (writes_seen (watch, "other.JPG"));
  g_assert_true (g_file_get_contents (jpeg, &after, &n_after, NULL));
  g_assert_cmpmem (after, 2, "\xff\xd8", 2);
  picture = atl_picture_decode ((const guint8 *) after, n_after, 1 << 20, NULL);
  g_assert_nonnull (picture);
  g_assert_cmpuint (picture->width, ==, 96);
  recipe = atl_recipe_read (picture);
  g_assert_nonnull (recipe);
  g_assert_true (g_variant_lookup (recipe, "prompt", "&s", &prompt));
  g_assert_cmpstr (prompt, ==, APP_FIRST_PROMPT);
  g_clear_pointer (&after, g_free);

  /* The first takes the ending; of the second the chooser has not asked whether to replace. */
  bare = copy_to (gallery, item, "bare");
  g_assert_nonnull (bare);
  g_assert_true (g_str_has_suffix (bare, "bare.png"));
  g_assert_null (copy_to (gallery, item, "bare"));

  g_assert_cmpint (symlink (path, link_path), ==, 0);
  link = copy_to (gallery, item, "link.png");
  g_assert_nonnull (link);
  g_assert_true (g_file_get_contents (path, &after, &n_after, NULL));
  g_assert_cmpmem (before, n_before, after, n_after);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

/* To the desktop's trash and back by the window's undo; a picture of another folder keeps its
 * file. */
static void
test_trash (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *elsewhere = g_build_filename (g_get_home_dir (), "elsewhere", NULL);
  g_autofree char *path = NULL, *other = NULL;
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);
  AppFixture f;
  AtlGallery *gallery;
  AtlGalleryView *view;

  g_mkdir_with_parents (elsewhere, 0700);
  path = app_write_picture (0, folder);
  other = app_write_picture (1, elsewhere);
  app_make_old (path, 0);
  app_make_old (other, 1);
  app_fixture_start (&f);
  gallery = atl_gallery_get (f.session);
  view = app_add_gallery (&f);
  app_wait_for_pictures (&f, 1);
  {
    g_autoptr (GPtrArray) copies = g_ptr_array_new_with_free_func (g_object_unref);

    g_ptr_array_add (copies, g_file_new_for_path (other));
    atl_gallery_import (gallery, copies);
  }
  app_wait_for_pictures (&f, 2);
  for (guint i = 0; i < 2; i++)
    g_ptr_array_add (items, g_object_ref (app_picture_at (&f, i)));
  atl_gallery_trash (gallery, GTK_WIDGET (view), items);
  g_assert_cmpuint (app_n_pictures (&f), ==, 0);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  /* The tests' home is in the folder for temporary files, so what was dropped was copied. */
  g_assert_true (g_file_test (other, G_FILE_TEST_EXISTS));
  app_fixture_shot (GTK_WIDGET (f.window), "gallery-deleted");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_cmpuint (app_n_pictures (&f), ==, 2);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
lies_at (AtlGallery *gallery, AtlGalleryItem *item, const char *path)
{
  g_autofree char *now = atl_gallery_dup_path (gallery, item);

  return g_strcmp0 (now, path) == 0;
}

static void
test_moved (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *below = g_build_filename (folder, "best ones", NULL);
  g_autofree char *moved = g_build_filename (below, "picture 0.png", NULL);
  g_autofree char *path = NULL, *lost = NULL;
  AppFixture f;
  AtlGallery *gallery;
  AtlGalleryItem *item;
  gint64 id;

  path = app_write_picture (0, folder);
  lost = app_write_picture (1, folder);
  app_make_old (path, 0);
  app_make_old (lost, 1);
  app_fixture_start (&f);
  app_add_gallery (&f);
  app_wait_for_pictures (&f, 2);
  id = atl_gallery_item_get_id (app_picture_at (&f, 0));
  star (atl_gallery_get (f.session), app_picture_at (&f, 0));

  g_mkdir_with_parents (below, 0700);
  g_assert_cmpint (g_rename (path, moved), ==, 0);
  g_unlink (lost);
  gallery = atl_gallery_get (f.session);
  /* One that is at it would not be asked twice. */
  app_assert_soon (!gallery->is_looking);
  gallery->looked_us = 0;
  atl_gallery_look (gallery);
  item = app_picture_at (&f, 1);
  g_assert_true (app_fixture_wait (is_gone, item, WAIT_S));
  app_assert_soon (lies_at (gallery, app_picture_at (&f, 0), moved));
  g_assert_cmpuint (app_n_pictures (&f), ==, 2);
  {
    g_assert_cmpint (atl_gallery_item_get_id (app_picture_at (&f, 0)), ==, id);
    g_assert_true (atl_gallery_item_get_starred (app_picture_at (&f, 0)));
  }
  app_fixture_shot (GTK_WIDGET (f.window), "gallery-gone");
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
has_selected (gpointer strip)
{
  return atl_gallery_strip_get_selected (strip) != NULL;
}

/* The strip tells which picture is chosen, and a new one is there at once. */
static void
test_strip (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (3, folder);
  AtlPictureRow row = { .path = path, .width = 160, .height = 64, .seed = 1 };
  g_autofree guint8 *pixels = g_malloc0 (160 * 64 * 3);
  g_autoptr (GBytes) rgb = g_bytes_new (pixels, 160 * 64 * 3);
  g_autoptr (GError) error = NULL;
  GtkWidget *strips[2];
  AppFixture f;

  app_fixture_start (&f);
  for (guint i = 0; i < 2; i++)
    {
      strips[i] =
          atl_gallery_strip_new (i == 0 ? GTK_ORIENTATION_HORIZONTAL : GTK_ORIENTATION_VERTICAL);
      atl_gallery_strip_set_session (ATL_GALLERY_STRIP (strips[i]), f.session);
      app_add_page (&f, strips[i], i == 0 ? "row" : "grid");
      app_fixture_spin (100);
    }
  g_assert_cmpint (atl_gallery_add (f.session, &row, rgb, &error), >, 0);
  g_assert_no_error (error);
  for (guint i = 0; i < 2; i++)
    {
      adw_view_stack_set_visible_child (ADW_VIEW_STACK (f.window->pages), strips[i]);
      g_assert_null (atl_gallery_strip_get_selected (ATL_GALLERY_STRIP (strips[i])));
      atl_gallery_strip_set_selected (ATL_GALLERY_STRIP (strips[i]), path);
      g_assert_true (app_fixture_wait (has_selected, strips[i], WAIT_S));
      g_assert_cmpstr (atl_gallery_strip_get_selected (ATL_GALLERY_STRIP (strips[i])), ==, path);
      g_assert_true (app_fixture_wait (app_is_ready, app_picture_at (&f, 0), WAIT_S));
      app_fixture_spin (100);
      app_fixture_shot (strips[i], i == 0 ? "strip" : "strip-grid");
    }
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
is_titled (GtkWidget *window, const char *title)
{
  return g_strcmp0 (gtk_window_get_title (GTK_WINDOW (window)), title) == 0;
}

static guint
n_open_menus (GtkWidget *widget)
{
  guint n =
      GTK_IS_MENU_BUTTON (widget) &&
      gtk_menu_button_get_popover (GTK_MENU_BUTTON (widget)) != NULL &&
      gtk_widget_get_visible (GTK_WIDGET (gtk_menu_button_get_popover (GTK_MENU_BUTTON (widget))));

  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    n += n_open_menus (child);
  return n;
}

static void
test_viewer (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  AppFixture f;
  AtlGalleryView *view;
  AtlGallery *gallery;
  GtkWidget *viewer;

  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, (int) i);
    }
  app_fixture_start (&f);
  view = app_add_gallery (&f);
  gallery = atl_gallery_get (f.session);
  app_wait_for_pictures (&f, 3);
  atl_viewer_window_show (GTK_WIDGET (view), gallery, atl_gallery_get_pictures (gallery), 1, FALSE);
  app_assert_soon ((viewer = app_viewer ()) != NULL);
  app_assert_soon (is_titled (viewer, "picture 1.png"));
  app_fixture_shot (viewer, "viewer");
  /* What is deleted gives way to its neighbour. */
  {
    g_autoptr (GPtrArray) items = g_ptr_array_new ();

    g_ptr_array_add (items, app_picture_at (&f, 1));
    atl_gallery_trash (gallery, GTK_WIDGET (view), items);
  }
  app_assert_soon (is_titled (viewer, "picture 2.png"));
  g_assert_true (app_press (viewer, GDK_KEY_Menu, 0));
  app_assert_soon (n_open_menus (viewer) == 1);
  gtk_window_destroy (GTK_WINDOW (viewer));
  atl_viewer_compare (GTK_WIDGET (view), gallery, app_picture_at (&f, 0), app_picture_at (&f, 1));
  app_assert_soon ((viewer = app_viewer ()) != NULL);
  app_fixture_shot (viewer, "compare");
  g_assert_true (app_press (viewer, GDK_KEY_F10, GDK_SHIFT_MASK));
  app_assert_soon (n_open_menus (viewer) == 1);
  gtk_window_destroy (GTK_WINDOW (viewer));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static GtkWidget *
focus_of (AppFixture *f)
{
  return gtk_root_get_focus (GTK_ROOT (f->window));
}

static AtlGalleryItem *
focused_item (AppFixture *f)
{
  GtkWidget *focus = focus_of (f);

  return ATL_IS_GALLERY_TILE (focus) ? atl_gallery_tile_get_item (ATL_GALLERY_TILE (focus)) : NULL;
}

/* Deleting one after the other never loses the keyboard, nor does what comes in meanwhile. */
static void
test_delete_by_keys (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  AppFixture f;
  AtlGalleryView *view;
  AtlGalleryItem *third;
  GtkWidget *list, *entry;

  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, (int) i);
    }
  app_fixture_start (&f);
  view = app_add_gallery (&f);
  app_wait_for_pictures (&f, 4);
  list = app_fixture_find_id (GTK_WIDGET (view), "list");
  entry = app_fixture_find_id (GTK_WIDGET (view), "entry");
  app_assert_soon (view->items->len == 4);
  gtk_widget_grab_focus (GTK_WIDGET (view));
  app_assert_soon (focused_item (&f) == app_picture_at (&f, 0));
  app_press (list, GDK_KEY_Right, 0);
  app_press (list, GDK_KEY_Right, 0);
  third = app_picture_at (&f, 2);
  app_assert_soon (focused_item (&f) == third);
  {
    g_autoptr (GPtrArray) others = g_ptr_array_new ();

    g_ptr_array_add (others, app_picture_at (&f, 0));
    atl_gallery_trash (atl_gallery_get (f.session), GTK_WIDGET (view), others);
  }
  app_assert_soon (focused_item (&f) == third && app_n_pictures (&f) == 3);
  for (guint n = 2; n > 0; n--)
    {
      app_press (list, GDK_KEY_Delete, 0);
      g_assert_cmpuint (app_n_pictures (&f), ==, n);
      app_assert_soon (focused_item (&f) == app_picture_at (&f, n - 1));
    }
  app_press (list, GDK_KEY_Delete, 0);
  g_assert_cmpuint (app_n_pictures (&f), ==, 0);
  app_assert_soon (focus_of (&f) != NULL && gtk_widget_is_ancestor (focus_of (&f), entry));
  app_press (entry, GDK_KEY_z, GDK_CONTROL_MASK);
  g_assert_cmpuint (app_n_pictures (&f), ==, 1);
  app_assert_soon (focused_item (&f) == app_picture_at (&f, 0));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

/* What is to have the focus is the same picture when others go before its tile has come. */
static void
test_focus_on_its_way (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autoptr (GPtrArray) others = g_ptr_array_new ();
  AppFixture f;
  AtlGalleryView *view;
  AtlGalleryItem *third;

  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, (int) i);
    }
  app_fixture_start (&f);
  view = app_add_gallery (&f);
  app_wait_for_pictures (&f, 4);
  atl_gallery_view_refresh (view);
  g_assert_cmpuint (view->items->len, ==, 4);
  third = app_picture_at (&f, 2);
  /* No tile can have it meanwhile. */
  gtk_widget_set_visible (view->list, FALSE);
  atl_gallery_view_focus (view, 2);
  g_assert_null (focused_item (&f));
  g_ptr_array_add (others, app_picture_at (&f, 0));
  atl_gallery_trash (atl_gallery_get (f.session), GTK_WIDGET (view), others);
  atl_gallery_view_refresh (view);
  gtk_widget_set_visible (view->list, TRUE);
  app_assert_soon (focused_item (&f) == third && app_n_pictures (&f) == 3);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static gboolean
shows_item (GtkWidget *widget, gconstpointer item)
{
  return atl_gallery_tile_get_item (ATL_GALLERY_TILE (widget)) == item;
}

/* All that are chosen go along with one of them; one that is not goes alone. */
static void
test_drag (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  AppFixture f;
  GtkWidget *view, *tile;

  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, (int) i);
    }
  app_fixture_start (&f);
  view = GTK_WIDGET (app_add_gallery (&f));
  app_wait_for_pictures (&f, 3);
  for (guint i = 0; i < 2; i++)
    app_assert_soon (
        app_fixture_find (view, ATL_TYPE_GALLERY_TILE, shows_item, app_picture_at (&f, i)) != NULL);
  tile = app_fixture_find (view, ATL_TYPE_GALLERY_TILE, shows_item, app_picture_at (&f, 0));
  for (guint n = 1; n <= 2; n++)
    {
      g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);

      /* As the drag begins: its own file is there already. */
      g_ptr_array_add (paths, g_strdup ("own"));
      g_signal_emit_by_name (tile, "dragged", paths);
      g_assert_cmpuint (paths->len, ==, n == 1 ? 1 : 2);
      g_signal_emit_by_name (tile, "chosen", GDK_CONTROL_MASK);
      g_signal_emit_by_name (
          app_fixture_find (view, ATL_TYPE_GALLERY_TILE, shows_item, app_picture_at (&f, 1)),
          "chosen", GDK_CONTROL_MASK);
    }
  app_fixture_stop (&f);
  app_clear_pictures ();
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/gallery/found", test_found);
  g_test_add_func ("/app/gallery/search-and-stars", test_search_and_stars);
  g_test_add_func ("/app/gallery/copy", test_copy);
  g_test_add_func ("/app/gallery/trash", test_trash);
  g_test_add_func ("/app/gallery/moved", test_moved);
  g_test_add_func ("/app/gallery/strip", test_strip);
  g_test_add_func ("/app/gallery/viewer", test_viewer);
  g_test_add_func ("/app/gallery/drag", test_drag);
  g_test_add_func ("/app/gallery/delete-by-keys", test_delete_by_keys);
  g_test_add_func ("/app/gallery/focus-on-its-way", test_focus_on_its_way);
  return g_test_run ();
}
