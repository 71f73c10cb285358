/* Models that cannot be used: known in one place, explained and switched off wherever models are
 * chosen, and not asked about twice. */
#include "app-steps.h"

#include <glib/gstdio.h>

#include "app/compare/compare-window.h"
#include "app/models/model-drop-down.h"
#include "app/models/model-list-row.h"
#include "app/models/model-verifier.h"
#include "app/window/model-switcher.h"
#include "conformance.h"
#include "hub/library.h"

static void
add_file (const char *name, const char *bytes, gsize size)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), name, NULL);

  g_mkdir_with_parents (atl_library_dir (), 0700);
  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
}

static void
add_damaged (const char *name)
{
  add_file (name, "GGUF\3\0\0\0\377\377\377\377\377\377\377\177", 16);
}

static AtlModelEntry *
find (AtlSession *session, const char *name)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), name, NULL);

  return atl_model_list_find (atl_session_get_models (session), path);
}

static gboolean
is_listed (gpointer f)
{
  return find (((AppFixture *) f)->session, "broken.gguf") != NULL;
}

static gboolean
is_judged (gpointer f)
{
  AtlModelEntry *entry = find (((AppFixture *) f)->session, "broken.gguf");

  return entry != NULL && entry->why_not != NULL;
}

static void
start (AppFixture *f)
{
  add_damaged ("broken.gguf");
  add_file ("half-00001-of-00002.gguf", "GGUF", 4);
  app_fixture_start (f);
  g_assert_true (app_fixture_wait (is_listed, f, 20));
}

static gboolean
shows (GtkWidget *row, gconstpointer name)
{
  return app_fixture_find (row, GTK_TYPE_LABEL, NULL, NULL) != NULL &&
         g_strcmp0 (
             gtk_label_get_text (GTK_LABEL (app_fixture_find (row, GTK_TYPE_LABEL, NULL, NULL))),
             name) == 0;
}

static gboolean
is_switched_off (AppFixture *f, const char *name)
{
  GtkWidget *row = app_fixture_find (f->window->model_switcher, GTK_TYPE_LIST_BOX_ROW, shows, name);

  return row != NULL && !gtk_list_box_row_get_activatable (GTK_LIST_BOX_ROW (row));
}

/* Where there is no model it does not speak of another one. */
static void
test_no_models (void)
{
  AppFixture f;
  GtkWidget *button;

  app_fixture_start (&f);
  atl_model_switcher_popup (ATL_MODEL_SWITCHER (f.window->model_switcher));
  button = app_fixture_find_id (f.window->model_switcher, "open_button");
  g_assert_cmpstr (gtk_button_get_label (GTK_BUTTON (button)), ==, "Open a model file…");
  app_fixture_stop (&f);
}

/* The popover of the header asks, and its row says why it cannot be chosen. */
static void
test_switcher (void)
{
  AppFixture f;
  GtkWidget *row, *entry, *popover;

  start (&f);
  atl_model_switcher_popup (ATL_MODEL_SWITCHER (f.window->model_switcher));
  g_assert_true (app_fixture_wait (is_judged, &f, 60));
  app_assert_soon (is_switched_off (&f, "broken"));
  row = app_fixture_find (f.window->model_switcher, GTK_TYPE_LIST_BOX_ROW, shows, "broken");
  g_assert_nonnull (
      strstr (gtk_widget_get_tooltip_text (row), find (f.session, "broken.gguf")->why_not));
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       find (f.session, "broken.gguf")->why_not);
  /* Its shards were counted, nobody had to ask. */
  row = app_fixture_find (f.window->model_switcher, GTK_TYPE_LIST_BOX_ROW, shows, "half");
  g_assert_nonnull (row);
  g_assert_false (gtk_list_box_row_get_activatable (GTK_LIST_BOX_ROW (row)));
  app_fixture_shot (GTK_WIDGET (gtk_widget_get_ancestor (row, GTK_TYPE_POPOVER)),
                    "popover-unusable");
  /* Enter means what is typed, also where the list has not followed yet. */
  entry = app_fixture_find (f.window->model_switcher, GTK_TYPE_SEARCH_ENTRY, NULL, NULL);
  gtk_editable_set_text (GTK_EDITABLE (entry), "no model is called so");
  g_signal_emit_by_name (entry, "activate");
  g_assert_null (app_fixture_find (f.window->model_switcher, GTK_TYPE_LIST_BOX_ROW, shows, "half"));
  gtk_editable_set_text (GTK_EDITABLE (entry), "");
  app_assert_soon (is_switched_off (&f, "broken"));
  row = app_fixture_find (f.window->model_switcher, GTK_TYPE_LIST_BOX_ROW, shows, "half");
  /* From the words that are looked for the arrow goes to what was found. */
  g_assert_true (
      app_press (app_fixture_find (f.window->model_switcher, GTK_TYPE_SEARCH_ENTRY, NULL, NULL),
                 GDK_KEY_Down, 0));
  g_assert_nonnull (
      gtk_widget_get_ancestor (gtk_root_get_focus (GTK_ROOT (f.window)), GTK_TYPE_LIST_BOX_ROW));
  popover = gtk_widget_get_ancestor (row, GTK_TYPE_POPOVER);
  /* Keys of the window work above it, and those of its entry are the entry's. */
  g_assert_false (app_press (popover, GDK_KEY_a, GDK_CONTROL_MASK));
  g_assert_true (app_press (popover, GDK_KEY_2, GDK_CONTROL_MASK));
  g_assert_true (atl_window_shows_page (f.window, "images"));
  app_assert_soon (!gtk_widget_get_visible (popover));
  app_act (&f, "win.show-page", "chats");
  atl_model_switcher_popup (ATL_MODEL_SWITCHER (f.window->model_switcher));
  app_assert_soon (gtk_widget_get_visible (popover));
  /* Escape in the words that are looked for closes it. */
  g_assert_true (gtk_widget_get_visible (popover));
  g_signal_emit_by_name (entry, "stop-search");
  app_assert_soon (!gtk_widget_get_visible (popover));
  /* GTK asks for the pointer's place half a second later, for a tooltip, whatever became of us. */
  app_fixture_spin (600);
  app_fixture_stop (&f);
}

/* What is known of a file outlives the session, until the file changes. */
static void
test_remembered (void)
{
  AppFixture f;

  start (&f);
  atl_model_list_inspect (atl_session_get_models (f.session), FALSE);
  g_assert_true (app_fixture_wait (is_judged, &f, 60));
  app_fixture_stop (&f);
  app_fixture_start (&f);
  g_assert_true (app_fixture_wait (is_judged, &f, 20));
  g_assert_cmpint (atl_client_get_pid (atl_session_get_client (f.session)), ==, 0);
  atl_model_list_inspect (atl_session_get_models (f.session), TRUE);
  app_fixture_spin (300);
  g_assert_cmpint (atl_client_get_pid (atl_session_get_client (f.session)), ==, 0);
  add_file ("broken.gguf", "GGUF, but not as long", 21);
  atl_session_emit_models_changed (f.session);
  app_assert_soon (is_listed (&f) && !is_judged (&f));
  app_fixture_stop (&f);
}

static gboolean
is_sound (gpointer f)
{
  AtlModelEntry *entry = find (((AppFixture *) f)->session, "tiny.gguf");

  return entry != NULL && entry->fit_words != NULL;
}

static gboolean
is_another (GtkWidget *widget, gconstpointer first)
{
  return widget != first;
}

static gboolean
shows_model (GtkWidget *drop, const char *name)
{
  AtlModelEntry *entry = atl_model_drop_down_get_entry (GTK_DROP_DOWN (drop));

  return entry != NULL && g_str_equal (entry->name, name);
}

static gboolean
is_third (GtkWidget *drop, gconstpointer data)
{
  return shows_model (drop, "tiny-3");
}

/* Compare chooses only what can answer, another in each column, and lists the rest with its reason.
 */
static void
test_compare (void)
{
  AppFixture f;
  GtkWidget *window, *drop, *second;
  g_autofree char *source = atl_test_conformance_find ("models/stories260K.gguf");
  g_autofree char *bytes = NULL;
  gsize size;

  if (source == NULL)
    {
      g_test_skip ("models/stories260K.gguf not found: Compare was not tried beside a sound model");
      return;
    }
  g_assert_true (g_file_get_contents (source, &bytes, &size, NULL));
  add_file ("tiny.gguf", bytes, size);
  add_file ("tiny-2.gguf", bytes, size);
  start (&f);
  /* Before anything is known the damaged one, first by name, is chosen. */
  add_damaged ("a-broken.gguf");
  atl_session_emit_models_changed (f.session);
  app_assert_soon (find (f.session, "a-broken.gguf") != NULL);
  window = atl_compare_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  drop = app_fixture_find (window, GTK_TYPE_DROP_DOWN, NULL, NULL);
  g_assert_true (app_fixture_wait (is_judged, &f, 60));
  atl_model_list_inspect (atl_session_get_models (f.session), TRUE);
  g_assert_true (app_fixture_wait (is_sound, &f, 60));
  second = app_fixture_find (window, GTK_TYPE_DROP_DOWN, is_another, drop);
  app_assert_soon ((shows_model (drop, "tiny") && shows_model (second, "tiny-2")) ||
                   (shows_model (drop, "tiny-2") && shows_model (second, "tiny")));
  /* A column that is added is for a model that is not there yet. */
  add_file ("tiny-3.gguf", bytes, size);
  atl_session_emit_models_changed (f.session);
  app_assert_soon (find (f.session, "tiny-3.gguf") != NULL);
  g_signal_emit_by_name (app_fixture_find_id (window, "add_button"), "clicked");
  g_assert_cmpuint (atl_compare_window_get_n_columns (ATL_COMPARE_WINDOW (window)), ==, 3);
  g_assert_nonnull (app_fixture_find (window, GTK_TYPE_DROP_DOWN, is_third, NULL));
  gtk_widget_activate (drop);
  app_fixture_spin (300);
  app_fixture_shot (app_fixture_find (drop, GTK_TYPE_POPOVER, NULL, NULL), "compare-models");
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

/* The library's row: a file that cannot be used cannot be asked for either. */
static void
test_row (void)
{
  AppFixture f;
  g_autoptr (AtlModelEntry) entry = atl_model_entry_new ("/nowhere/cut.gguf", "cut");
  g_autoptr (GtkWidget) row = NULL;
  GtkWidget *button;

  app_fixture_start (&f);
  row = g_object_ref_sink (atl_model_list_row_new (f.session, entry));
  button = app_fixture_find (row, GTK_TYPE_BUTTON, NULL, NULL);
  g_assert_true (gtk_widget_get_sensitive (button));
  entry->why_not = g_strdup ("It ends early.");
  atl_model_list_row_refresh (ATL_MODEL_LIST_ROW (row));
  g_assert_false (gtk_widget_get_sensitive (button));
  g_assert_cmpstr (gtk_widget_get_tooltip_text (button), ==, "It ends early.");
  g_assert_true (gtk_test_accessible_has_property (GTK_ACCESSIBLE (button),
                                                   GTK_ACCESSIBLE_PROPERTY_DESCRIPTION));
  g_assert_cmpstr (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), ==, "It ends early.");
  app_fixture_stop (&f);
}

static void
notice_cb (AtlSession *session, const char *sentence, GString *all)
{
  g_string_append_printf (all, "%s|", sentence);
}

static AtlModelVerdict
verify (AppFixture *f, GtkWidget *row)
{
  AtlModelVerifier *verifier = atl_model_verifier_get (f->session);
  const char *path = atl_model_list_row_get_entry (ATL_MODEL_LIST_ROW (row))->path;

  gtk_widget_activate_action (row, "model.verify", NULL);
  app_assert_soon (atl_model_verifier_words (verifier, path) == NULL);
  return atl_model_verifier_result (verifier, path, NULL);
}

/* From the row: noted, intact, then changed, and taken as it is. */
static void
test_verify (void)
{
  AppFixture f;
  g_autoptr (GtkWidget) row = NULL;
  g_autoptr (GString) notices = g_string_new (NULL);

  start (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), notices);
  row = g_object_ref_sink (atl_model_list_row_new (f.session, find (f.session, "broken.gguf")));
  g_assert_cmpint (verify (&f, row), ==, ATL_MODEL_NOT_VERIFIED);
  g_assert_nonnull (strstr (notices->str, "is noted now"));
  g_assert_cmpint (verify (&f, row), ==, ATL_MODEL_INTACT);
  g_assert_nonnull (strstr (notices->str, "is intact"));
  add_file ("broken.gguf", "GGUF, but another one", 21);
  g_assert_cmpint (verify (&f, row), ==, ATL_MODEL_DAMAGED);
  app_assert_soon (app_dialog () != NULL);
  g_assert_nonnull (strstr (adw_message_dialog_get_body (app_dialog ()), "broken.gguf"));
  g_assert_true (adw_message_dialog_has_response (app_dialog (), "keep"));
  g_assert_false (adw_message_dialog_has_response (app_dialog (), "again"));
  adw_message_dialog_response (app_dialog (), "keep");
  g_assert_cmpint (verify (&f, row), ==, ATL_MODEL_INTACT);
  app_fixture_stop (&f);
}

static void
refreshed_cb (guint *n)
{
  ++*n;
}

/* What is looked for while the session ends is told to nobody: the store is gone. */
static void
test_end_of_session (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-models-XXXXXX", NULL);
  AtlSession *session = atl_session_new (dir, NULL);
  AtlModelList *list = atl_session_get_models (session);
  guint n = 0;

  atl_model_list_refresh (list);
  g_signal_connect_swapped (list, "refreshed", G_CALLBACK (refreshed_cb), &n);
  g_object_add_weak_pointer (G_OBJECT (list), (gpointer *) &list);
  g_object_run_dispose (G_OBJECT (session));
  g_object_unref (session);
  app_assert_soon (list == NULL);
  g_assert_cmpuint (n, ==, 0);
  remove_tree (dir);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/models/none", test_no_models);
  g_test_add_func ("/app/models/end-of-session", test_end_of_session);
  g_test_add_func ("/app/models/row", test_row);
  g_test_add_func ("/app/models/verify", test_verify);
  g_test_add_func ("/app/models/switcher", test_switcher);
  g_test_add_func ("/app/models/remembered", test_remembered);
  g_test_add_func ("/app/models/compare", test_compare);
  return g_test_run ();
}
