/* Asking several models once more: the same question again, with other settings, after failures;
 * with and without adapters; files that are dropped. Needs stories260K.gguf of the conformance
 * data. */
#include "app-steps.h"
#include "conformance.h"

#include <glib/gstdio.h>
#include <string.h>

#include "app/chat/composer.h"
#include "app/compare/compare-column.h"
#include "app/compare/compare-window.h"

#define QUESTION "Once upon a time"

/* With the tiny model in use, adapters of that one as `adapter` says (nullable). */
static GtkWidget *
start (AppFixture *f, const char *model, const char *adapter)
{
  const char *paths[] = { model, NULL };
  const char *adapters[] = { adapter, NULL };
  GtkWidget *window;

  atl_session_set_adapters (f->session, model, adapters);
  atl_session_load_model (f->session, paths, TRUE);
  g_assert_true (app_fixture_wait (app_is_loaded, f, 60));
  app_assert_soon (g_list_model_get_n_items (G_LIST_MODEL (atl_session_get_models (f->session))) >
                   0);
  window = atl_compare_window_new (GTK_APPLICATION (f->app), f->session);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (300);
  return window;
}

static AtlCompareColumn *
column (GtkWidget *window, guint index)
{
  GtkWidget *child = gtk_widget_get_first_child (app_fixture_find_id (window, "column_box"));

  while (index-- > 0)
    child = gtk_widget_get_next_sibling (child);
  return ATL_COMPARE_COLUMN (child);
}

static void
set_up (GtkWidget *window, const char *model)
{
  for (guint i = 0; i < 2; i++)
    {
      atl_compare_column_set_path (column (window, i), model);
      atl_compare_column_set_param (column (window, i), "max-tokens", 12);
      atl_compare_column_set_param (column (window, i), "temperature", 0);
    }
}

static void
wait_for_answers (GtkWidget *window)
{
  app_assert_soon (!atl_compare_window_get_is_running (ATL_COMPARE_WINDOW (window)));
}

/* The same model answers otherwise with its adapter than without, in one comparison. */
static void
test_plain (void)
{
  AppFixture f;
  GtkWidget *window;
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  g_autofree char *adapter = NULL, *with = NULL;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  adapter = app_write_adapter (f.dir, "loud.safetensors", 0.5f);
  window = start (&f, model, adapter);
  set_up (window, model);
  atl_compare_column_set_plain (column (window, 1), TRUE);
  g_assert_true (atl_compare_column_get_is_plain (column (window, 1)));
  g_assert_true (atl_compare_window_ask (ATL_COMPARE_WINDOW (window), QUESTION, NULL));
  wait_for_answers (window);
  with = g_strdup (atl_compare_column_get_answer (column (window, 0)));
  g_assert_cmpstr (with, !=, "");
  g_assert_cmpstr (atl_compare_column_get_answer (column (window, 1)), !=, "");
  g_assert_cmpstr (atl_compare_column_get_answer (column (window, 1)), !=, with);
  app_fixture_shot (window, "compare-plain");
  /* Switched on again it answers as the other does. */
  atl_compare_column_set_plain (column (window, 1), FALSE);
  g_signal_emit_by_name (app_fixture_find_id (window, "again_button"), "clicked");
  wait_for_answers (window);
  g_assert_cmpstr (atl_compare_column_get_answer (column (window, 1)), ==, with);
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

static gboolean
is_error (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_has_css_class (widget, "error-box") && gtk_widget_get_mapped (widget);
}

/* The question is asked again by a button, and comes back by Up; what went wrong is in sight
 * however long the text above it is. */
static void
test_again (void)
{
  AppFixture f;
  GtkWidget *window, *again, *composer, *view, *label;
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  g_autofree char *text = NULL, *file = NULL;
  g_autoptr (GError) error = g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "The engine went.");
  graphene_rect_t place;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  window = start (&f, model, NULL);
  set_up (window, model);
  again = app_fixture_find_id (window, "again_button");
  composer = app_fixture_find_id (window, "composer");
  view = app_fixture_find (composer, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_assert_false (gtk_widget_get_sensitive (again));
  g_assert_true (app_press (view, GDK_KEY_Up, 0));
  /* A dropped file goes with the question. */
  file = g_build_filename (f.dir, "notes.txt", NULL);
  g_assert_true (g_file_set_contents (file, "a note", -1, NULL));
  g_assert_true (app_drop (window, 5, 5, (const char *const *) &file, 1));
  app_assert_soon (atl_attached_files_get (atl_composer_get_files (ATL_COMPOSER (composer)))->len ==
                   1);
  atl_composer_set_text (ATL_COMPOSER (composer), QUESTION);
  atl_composer_send (ATL_COMPOSER (composer));
  wait_for_answers (window);
  g_assert_true (gtk_widget_get_sensitive (again));
  g_signal_emit_by_name (again, "clicked");
  g_assert_true (atl_compare_window_get_is_running (ATL_COMPARE_WINDOW (window)));
  g_assert_false (gtk_widget_get_sensitive (again));
  wait_for_answers (window);
  g_assert_true (app_press (view, GDK_KEY_Up, 0));
  text = atl_composer_get_text (ATL_COMPOSER (composer));
  g_assert_cmpstr (text, ==, QUESTION);
  g_assert_cmpuint (atl_attached_files_get (atl_composer_get_files (ATL_COMPOSER (composer)))->len,
                    ==, 1);
  /* A text longer than the column, then an error. */
  atl_compare_column_set_param (column (window, 0), "max-tokens", 400);
  gtk_window_set_default_size (GTK_WINDOW (window), 700, 320);
  g_signal_emit_by_name (again, "clicked");
  wait_for_answers (window);
  atl_compare_column_fail (column (window, 0), error);
  app_fixture_spin (200);
  label = app_fixture_find (GTK_WIDGET (column (window, 0)), GTK_TYPE_LABEL, is_error, NULL);
  g_assert_nonnull (label);
  g_assert_true (gtk_widget_compute_bounds (label, GTK_WIDGET (column (window, 0)), &place));
  g_assert_cmpfloat (place.origin.y + place.size.height, <=,
                     gtk_widget_get_height (GTK_WIDGET (column (window, 0))));
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

/* Letters typed while a list of models is open look for one. */
static void
test_letters (void)
{
  AppFixture f;
  GtkWidget *window, *drop, *popover, *entry;
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");

  if (model == NULL)
    return;
  app_fixture_start (&f);
  window = start (&f, model, NULL);
  drop = app_fixture_find (window, GTK_TYPE_DROP_DOWN, NULL, NULL);
  popover = app_fixture_find (drop, GTK_TYPE_POPOVER, NULL, NULL);
  entry = app_fixture_find (popover, GTK_TYPE_SEARCH_ENTRY, NULL, NULL);
  g_assert_nonnull (entry);
  g_assert_true (gtk_search_entry_get_key_capture_widget (GTK_SEARCH_ENTRY (entry)) == popover);
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/compare/plain", test_plain);
  g_test_add_func ("/app/compare/again", test_again);
  g_test_add_func ("/app/compare/letters", test_letters);
  return g_test_run ();
}
