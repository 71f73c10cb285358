/* A draft model chosen in the settings of a chat, with the real engine: what fits is offered, what
 * does not says why, and the choice is kept. */
#include "app-steps.h"

#include <glib/gstdio.h>

#include "app/chat/draft-list.h"
#include "app/chat/kv-list.h"
#include "app/models/model-list.h"

static gboolean
is_titled (GtkWidget *widget, gconstpointer title)
{
  return g_strcmp0 (adw_preferences_row_get_title (ADW_PREFERENCES_ROW (widget)), title) == 0;
}

static GtkWidget *
find_row (AppFixture *f, const char *title)
{
  GtkWidget *list = app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_DRAFT_LIST, NULL, NULL);

  return app_fixture_find (list, ADW_TYPE_ACTION_ROW, is_titled, title);
}

static gboolean
has_answers (gpointer data)
{
  GtkWidget *good = find_row (data, "Good one"), *other = find_row (data, "Other one");

  return good != NULL && other != NULL && gtk_widget_get_sensitive (good) &&
         !g_str_has_suffix (adw_action_row_get_subtitle (ADW_ACTION_ROW (other)), "…");
}

static gboolean
is_ready (gpointer data)
{
  AppFixture *f = data;

  return !atl_session_get_is_loading (f->session) && app_is_loaded (f);
}

static void
test_choose (void)
{
  AppFixture f;
  g_autofree char *model = NULL, *good = NULL, *other = NULL, *chosen = NULL;
  g_autofree char *alone = NULL;
  const char *paths[2] = { NULL };
  GtkWidget *list, *expander, *kept;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-mixtral");
  good = app_unpack_golden (f.dir, "llm-llama2");
  other = app_unpack_golden (f.dir, "llm-lfm2");
  app_remember_model (&f, model, "The model");
  app_remember_model (&f, good, "Good one");
  app_remember_model (&f, other, "Other one");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  paths[0] = model;
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  atl_model_list_refresh (atl_session_get_models (f.session));
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_KV_LIST, NULL, NULL);
  kept = app_fixture_find (list, ADW_TYPE_EXPANDER_ROW, NULL, NULL);
  alone = g_strdup (adw_expander_row_get_subtitle (ADW_EXPANDER_ROW (kept)));
  g_assert_true (g_str_has_prefix (alone, "Exact, "));
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_DRAFT_LIST, NULL, NULL);
  expander = app_fixture_find (list, ADW_TYPE_EXPANDER_ROW, NULL, NULL);
  adw_expander_row_set_expanded (ADW_EXPANDER_ROW (expander), TRUE);
  g_assert_true (app_fixture_wait (has_answers, &f, 60));
  g_assert_false (gtk_widget_get_sensitive (find_row (&f, "Other one")));
  app_fixture_shot (GTK_WIDGET (f.window), "drafts");

  gtk_widget_activate (find_row (&f, "Good one"));
  g_assert_true (atl_session_get_is_loading (f.session));
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  g_assert_cmpstr (atl_model_get_info (atl_session_get_model (f.session))->draft, !=, "");
  chosen = atl_session_dup_draft (f.session, model);
  g_assert_cmpstr (chosen, ==, good);
  g_assert_cmpstr (adw_expander_row_get_subtitle (ADW_EXPANDER_ROW (expander)), ==, "Good one");
  /* What the model itself keeps of a chat is told as before, though the rows are folded. */
  app_assert_soon (g_strcmp0 (adw_expander_row_get_subtitle (ADW_EXPANDER_ROW (kept)), alone) == 0);
  /* With its draft model it is larger than its file, and yet no draft of its own. */
  g_assert_true (app_fixture_wait (has_answers, &f, 60));
  g_assert_null (find_row (&f, "The model"));

  /* One that is gone is no reason to be without the model. */
  g_assert_cmpint (g_unlink (good), ==, 0);
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  g_assert_cmpstr (atl_model_get_info (atl_session_get_model (f.session))->draft, ==, "");
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/drafts/choose", test_choose);
  return g_test_run ();
}
