/* The application under test: its folders, its windows, waiting for it, pictures of it. */
#include "app-fixture.h"

#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>

#include "store/chats.h"

static char *root, *fixed_store;

static void
remove_root (void)
{
  remove_tree (root);
}

/* GTK 4.8 asks what lies below the pointer half a second after a tooltip changed, though the window
 * has gone meanwhile: it is no fault of ours. */
static gboolean
is_complaint (const char *message)
{
  return strstr (message, "gdk_surface_get_device_position") != NULL ||
         strstr (message, "_gtk_widget_find_at_coords") != NULL;
}

static gboolean
is_fatal (const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
  return !is_complaint (message);
}

static void
log_cb (const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
  if (is_complaint (message))
    g_test_message ("%s", message);
  else
    g_log_default_handler (domain, level, message, data);
}

void
app_fixture_init (int *argc, char ***argv)
{
  static const char *const variables[] = { "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
                                           "HOME" };
  static const char *const domains[] = { "Gdk", "Gtk" };
  g_autofree char *config = NULL;
  g_autofree char *settings = NULL;

  root = g_dir_make_tmp ("atelier-app-XXXXXX", NULL);
  g_assert_nonnull (root);
  for (guint i = 0; i < G_N_ELEMENTS (variables); i++)
    {
      g_autofree char *path = g_build_filename (root, variables[i], NULL);
      g_mkdir_with_parents (path, 0700);
      g_setenv (variables[i], path, TRUE);
    }
  config = g_build_filename (g_getenv ("XDG_CONFIG_HOME"), "gtk-4.0", NULL);
  settings = g_build_filename (config, "settings.ini", NULL);
  g_mkdir_with_parents (config, 0700);
  g_file_set_contents (
      settings, "[Settings]\ngtk-font-name=Cantarell 11\ngtk-enable-animations=0\n", -1, NULL);
  g_setenv ("ADW_DISABLE_PORTAL", "1", TRUE);
  setlocale (LC_ALL, "C.UTF-8");
  gtk_test_init (argc, argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (domains); i++)
    g_log_set_handler (domains[i], G_LOG_LEVEL_MASK | G_LOG_FLAG_FATAL | G_LOG_FLAG_RECURSION,
                       log_cb, NULL);
  atexit (remove_root);
}

/* One application a process, because it can leave the bus only through g_application_run(); each
 * test gets a session and a window of its own. */
static AtlApplication *
shared_application (void)
{
  static AtlApplication *app;
  g_autoptr (GError) error = NULL;

  if (app == NULL)
    {
      g_autofree char *dir = g_build_filename (root, "unused-store", NULL);
      app = atl_application_new (dir, G_APPLICATION_NON_UNIQUE);
      g_assert_true (g_application_register (G_APPLICATION (app), NULL, &error));
      g_assert_no_error (error);
    }
  return app;
}

static gboolean keeps_store;

void
app_fixture_use_store (const char *dir)
{
  g_free (fixed_store);
  fixed_store = g_strdup (dir);
  keeps_store = FALSE;
}

void
app_fixture_keep_store (const char *dir)
{
  app_fixture_use_store (dir);
  keeps_store = TRUE;
}

void
app_fixture_start (AppFixture *f)
{
  g_autoptr (GError) error = NULL;

  /* Each test case begins without one. */
  g_test_log_set_fatal_handler (is_fatal, NULL);
  if (fixed_store != NULL)
    {
      f->dir = g_strdup (fixed_store);
      g_mkdir_with_parents (f->dir, 0700);
    }
  else
    {
      f->dir = g_build_filename (root, "store-XXXXXX", NULL);
      g_assert_nonnull (g_mkdtemp (f->dir));
    }
  f->app = shared_application ();
  f->session = atl_session_new (f->dir, &error);
  g_assert_no_error (error);
  f->window = atl_window_new (GTK_APPLICATION (f->app), f->session);
  atl_window_new_chat (f->window, 0);
  atl_session_emit_models_changed (f->session);
  gtk_window_set_default_size (GTK_WINDOW (f->window), 1280, 800);
  gtk_window_present (GTK_WINDOW (f->window));
  app_fixture_spin (250);
}

void
app_fixture_stop (AppFixture *f)
{
  /* What waits for the window, such as a tooltip that just changed, finds none any more after it:
   * GTK 4.8 complains. */
  app_fixture_spin (50);
  gtk_window_destroy (GTK_WINDOW (f->window));
  app_fixture_spin (50);
  g_object_run_dispose (G_OBJECT (f->session));
  g_clear_object (&f->session);
  if (!keeps_store)
    remove_tree (f->dir);
  g_clear_pointer (&f->dir, g_free);
}

static gboolean
timeout_cb (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

void
app_fixture_run (guint ms)
{
  gboolean over = FALSE;

  g_timeout_add (ms, timeout_cb, &over);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
}

gboolean
app_fixture_wait (gboolean (*done) (gpointer), gpointer data, guint seconds)
{
  gint64 end = g_get_monotonic_time () + MAX (seconds, APP_PATIENCE_S) * G_USEC_PER_SEC;

  while (!done (data))
    {
      if (g_get_monotonic_time () > end)
        return FALSE;
      app_fixture_run (10);
    }
  return TRUE;
}

static void
after_paint_cb (GdkFrameClock *clock, gboolean *is_drawn)
{
  *is_drawn = TRUE;
}

/* Lets every window that is in sight draw a frame; one whose clock stands still holds nobody up for
 * long. */
static void
draw_frame (void)
{
  g_autoptr (GPtrArray) clocks = g_ptr_array_new_with_free_func (g_object_unref);
  GListModel *toplevels = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (toplevels); i++)
    {
      g_autoptr (GtkWidget) window = g_list_model_get_item (toplevels, i);
      GdkFrameClock *clock =
          gtk_widget_get_mapped (window) ? gtk_widget_get_frame_clock (window) : NULL;

      if (clock != NULL)
        g_ptr_array_add (clocks, g_object_ref (clock));
    }
  for (guint i = 0; i < clocks->len; i++)
    {
      gboolean is_drawn = FALSE, is_late = FALSE;
      gulong handler = g_signal_connect (clocks->pdata[i], "after-paint",
                                         G_CALLBACK (after_paint_cb), &is_drawn);
      guint timer = g_timeout_add_seconds (5, timeout_cb, &is_late);

      gdk_frame_clock_request_phase (clocks->pdata[i], GDK_FRAME_CLOCK_PHASE_AFTER_PAINT);
      while (!is_drawn && !is_late)
        g_main_context_iteration (NULL, TRUE);
      g_signal_handler_disconnect (clocks->pdata[i], handler);
      if (!is_late)
        g_source_remove (timer);
    }
}

void
app_fixture_spin (guint ms)
{
  GdkDisplay *display = gdk_display_get_default ();

  app_fixture_run (ms);
  /* However slow the machine: what was asked of the X server has come back, what it says has been
   * taken in, and what that made necessary is laid out. */
  for (guint i = 0; i < 2; i++)
    {
      gdk_display_sync (display);
      app_fixture_run (0);
      draw_frame ();
    }
}

gint64
app_fixture_add_chat (AppFixture *f,
                      const char *title,
                      const char *question,
                      const char *answer,
                      const char *thinking,
                      const char *stats_json)
{
  AtlStore *store = atl_session_get_store (f->session);
  gint64 chat = atl_store_chat_add (store, 0, NULL);
  gint64 asked, answered;

  g_assert_cmpint (chat, !=, 0);
  g_assert_true (atl_store_turn_begin (store, chat, 0, question, NULL, "Qwen2.5 1.5B Instruct",
                                       &asked, &answered, NULL));
  g_assert_true (atl_store_answer_finish (store, answered, ATL_MESSAGE_COMPLETE, answer, thinking,
                                          NULL, stats_json, NULL));
  g_assert_true (atl_store_chat_suggest_title (store, chat, title, NULL));
  atl_session_emit_chats_changed (f->session);
  return chat;
}

GtkWidget *
app_fixture_find (GtkWidget *widget, GType type, AppMatchFunc match, gconstpointer data)
{
  if (G_TYPE_CHECK_INSTANCE_TYPE (widget, type) && (match == NULL || match (widget, data)))
    return widget;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *found = app_fixture_find (child, type, match, data);
      if (found != NULL)
        return found;
    }
  return NULL;
}

static gboolean
has_id (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_get_mapped (widget) &&
         g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)), data) == 0;
}

GtkWidget *
app_fixture_find_id (GtkWidget *widget, const char *id)
{
  return app_fixture_find (widget, GTK_TYPE_WIDGET, has_id, id);
}

void
app_fixture_shot (GtkWidget *widget, const char *name)
{
  const char *dir = g_getenv ("ATELIER_SHOTS");
  g_autofree char *folder =
      dir ? g_strdup (dir) : g_test_build_filename (G_TEST_BUILT, "shots", NULL);
  g_autofree char *file = g_strconcat (name, ".png", NULL);
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (GdkPaintable) paintable = NULL;
  g_autoptr (GdkTexture) texture = NULL;
  g_autoptr (GskRenderNode) node = NULL;
  int width, height;

  paintable = gtk_widget_paintable_new (widget);
  /* Nothing to draw until a frame was laid out. */
  for (guint i = 0; i < 20 && node == NULL; i++)
    {
      GtkSnapshot *snapshot = gtk_snapshot_new ();
      gtk_widget_queue_draw (widget);
      app_fixture_spin (150);
      width = gtk_widget_get_width (widget);
      height = gtk_widget_get_height (widget);
      gdk_paintable_snapshot (paintable, snapshot, width, height);
      node = gtk_snapshot_free_to_node (snapshot);
    }
  g_assert_nonnull (node);
  texture = gsk_renderer_render_texture (gtk_native_get_renderer (gtk_widget_get_native (widget)),
                                         node, NULL);
  g_mkdir_with_parents (folder, 0755);
  g_assert_true (gdk_texture_save_to_png (texture, path));
  g_test_message ("%s: %d × %d", path, width, height);
}
