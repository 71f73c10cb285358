/* Adapters in the settings of a chat, with the real engine: added, moved, refused, removed, gone.
 * Needs stories260K.gguf of the conformance data. */
#include "app-steps.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "app/chat/adapter-list.h"
#include "conformance.h"

static gboolean
is_ready (gpointer data)
{
  AppFixture *f = data;

  return !atl_session_get_is_loading (f->session) && atl_session_get_model (f->session) != NULL;
}

static gboolean
says (GtkWidget *widget, gconstpointer data)
{
  return g_str_equal (gtk_label_get_text (GTK_LABEL (widget)), data);
}

static gboolean
is_sensitive (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_is_sensitive (widget);
}

static guint
n_adapters (AppFixture *f)
{
  AtlModel *model = atl_session_get_model (f->session);
  g_auto (GStrv) adapters = atl_session_dup_adapters (f->session, atl_model_get_paths (model)[0]);

  return g_strv_length (adapters);
}

static gboolean
is_kept (AppFixture *f, const char *model, const char *ending)
{
  g_auto (GStrv) adapters = atl_session_dup_adapters (f->session, model);

  return g_strv_length (adapters) == 1 && g_str_has_suffix (adapters[0], ending);
}

static void
add (AppFixture *f, GtkWidget *list, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);

  atl_adapter_list_add (ATL_ADAPTER_LIST (list), &file, 1);
  g_assert_true (atl_session_get_is_loading (f->session));
  g_assert_true (app_fixture_wait (is_ready, f, 60));
}

static void
test_list (void)
{
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  const char *paths[] = { model, NULL };
  g_autofree char *adapter = NULL;
  GtkWidget *settings, *list, *slider, *remove;
  AppFixture f;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  adapter = app_write_adapter (f.dir, "pirate.safetensors", 0);
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_ADAPTER_LIST, NULL, NULL);
  g_assert_nonnull (list);

  add (&f, list, adapter);
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  slider = app_fixture_find (list, GTK_TYPE_SCALE, NULL, NULL);
  g_assert_nonnull (slider);
  g_assert_cmpfloat (gtk_range_get_value (GTK_RANGE (slider)), ==, 1);
  app_fixture_shot (GTK_WIDGET (f.window), "adapters");
  gtk_range_set_value (GTK_RANGE (slider), 0.35);
  app_assert_soon (is_kept (&f, model, "pirate.safetensors:0.35"));
  /* The same file again is no second adapter; one that does not fit is not kept. */
  add (&f, list, adapter);
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  add (&f, list, model);
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  g_assert_nonnull (
      app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_LABEL, says, "The model stays as it was"));

  settings = app_fixture_find (list, GTK_TYPE_SCALE, NULL, NULL);
  g_assert_nonnull (settings);
  remove = gtk_widget_get_next_sibling (settings);
  g_signal_emit_by_name (remove, "clicked");
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  g_assert_cmpuint (n_adapters (&f), ==, 0);
  g_assert_null (app_fixture_find (list, GTK_TYPE_SCALE, NULL, NULL));
  app_fixture_stop (&f);
}

/* Of the one adapter in use. */
static gboolean
is_strength (AppFixture *f, double wanted)
{
  double strength;
  g_autofree char *path =
      atl_adapter_parse (atl_model_get_adapters (atl_session_get_model (f->session))[0], &strength);

  return fabs (strength - wanted) < 1e-6;
}

static void
notice_cb (AtlSession *session, const char *words, char **told)
{
  g_free (*told);
  *told = g_strdup (words);
}

static void
load (AppFixture *f, const char *path)
{
  const char *paths[] = { path, NULL };

  atl_session_load_model (f->session, paths, TRUE);
  app_assert_soon (!atl_session_get_is_loading (f->session));
}

/* The model is loaded without what is gone or refused; its row stays and says so. */
static void
test_gone (void)
{
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  g_autofree char *adapter = NULL, *kept = NULL, *gone = NULL, *told = NULL;
  const char *adapters[3] = { NULL };
  const char *const *used;
  GtkWidget *list, *slider;
  AppFixture f;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  adapter = app_write_adapter (f.dir, "pirate.safetensors", 0);
  gone = g_build_filename (f.dir, "gone.safetensors:0.50", NULL);
  kept = g_strconcat (adapter, ":0.75", NULL);
  adapters[0] = gone;
  adapters[1] = kept;
  atl_session_set_adapters (f.session, model, adapters);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &told);
  load (&f, model);
  g_assert_true (app_is_loaded (&f));
  used = atl_model_get_adapters (atl_session_get_model (f.session));
  g_assert_cmpuint (g_strv_length ((char **) used), ==, 1);
  g_assert_cmpstr (used[0], ==, kept);
  g_assert_cmpuint (n_adapters (&f), ==, 2);
  g_assert_nonnull (told);
  g_assert_nonnull (strstr (told, "gone.safetensors"));
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_ADAPTER_LIST, NULL, NULL);
  g_assert_nonnull (
      app_fixture_find (list, GTK_TYPE_LABEL, says, "Its file is not there any more."));
  app_fixture_shot (GTK_WIDGET (f.window), "adapter-gone");
  slider = app_fixture_find (list, GTK_TYPE_SCALE, is_sensitive, NULL);
  g_assert_cmpfloat (gtk_range_get_value (GTK_RANGE (slider)), ==, 0.75);
  gtk_range_set_value (GTK_RANGE (slider), 0.35);
  app_assert_soon (is_strength (&f, 0.35));

  /* A model is no adapter. */
  g_clear_pointer (&told, g_free);
  adapters[0] = model;
  adapters[1] = NULL;
  atl_session_unload_model (f.session);
  atl_session_set_adapters (f.session, model, adapters);
  load (&f, model);
  g_assert_true (app_is_loaded (&f));
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  g_assert_nonnull (told);
  g_assert_nonnull (
      app_fixture_find (list, GTK_TYPE_LABEL, says, "Not used: the model was refused with it."));
  g_signal_handlers_disconnect_by_data (f.session, &told);
  app_fixture_stop (&f);
}

static void
chosen_words (AppFixture *f, const char *words)
{
  AdwStatusPage *page =
      ADW_STATUS_PAGE (gtk_revealer_get_child (GTK_REVEALER (f->window->drop_revealer)));

  g_assert_nonnull (strstr (adw_status_page_get_description (page), words));
}

/* Several that are dropped on the list are all used, and what is held over it is told so; elsewhere
 * the sentence names the folder, as the file's own name says nothing. */
static void
test_dropped (void)
{
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  g_autofree char *one = NULL, *two = NULL, *folder = NULL, *file = NULL, *told = NULL;
  const char *paths[2] = { NULL, NULL };
  GtkWidget *list, *window;
  graphene_point_t at;
  AppFixture f;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  window = GTK_WIDGET (f.window);
  gtk_window_set_default_size (GTK_WINDOW (window), 1100, 2000);
  gtk_widget_activate_action (window, "win.toggle-settings", NULL);
  atl_session_set_adapters (f.session, model, paths);
  load (&f, model);
  list = app_fixture_find (window, ATL_TYPE_ADAPTER_LIST, NULL, NULL);
  g_settings_set_boolean (atl_session_get_settings (f.session), "advanced-expanded", TRUE);
  folder = g_build_filename (f.dir, "pirate", NULL);
  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  one = app_write_adapter (f.dir, "one.safetensors", 0);
  two = app_write_adapter (f.dir, "two.safetensors", 0);
  file = app_write_adapter (folder, "adapter_model.safetensors", 0);
  paths[0] = one;
  paths[1] = two;
  app_assert_soon (gtk_widget_get_mapped (list) && gtk_widget_get_height (list) > 0);
  app_assert_soon (gtk_widget_compute_point (list, window, &GRAPHENE_POINT_INIT (30, 15), &at) &&
                   at.y < gtk_widget_get_height (window));
  app_drag_over (window, at.x, at.y);
  chosen_words (&f, "adapter");
  g_assert_true (app_drop (window, at.x, at.y, paths, 2));
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  app_assert_soon (n_adapters (&f) == 2);
  app_drag_over (window, 5, 5);
  chosen_words (&f, "A model is loaded");
  /* On the sidebar it is no model to be added. */
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &told);
  paths[0] = folder;
  g_assert_true (app_drop (window, 5, 5, paths, 1));
  app_assert_soon (told != NULL);
  g_assert_nonnull (strstr (told, "“pirate” is an adapter"));
  g_signal_handlers_disconnect_by_data (f.session, &told);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/adapters/list", test_list);
  g_test_add_func ("/app/adapters/gone", test_gone);
  g_test_add_func ("/app/adapters/dropped", test_dropped);
  return g_test_run ();
}
