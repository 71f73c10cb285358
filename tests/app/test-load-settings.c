/* What is sent while a model is loaded, with the real engine. */
#include "app-steps.h"

static gboolean
is_ready (gpointer data)
{
  AppFixture *f = data;

  return !atl_session_get_is_loading (f->session) && app_is_loaded (f);
}

static void
load (AppFixture *f, const char *path)
{
  const char *paths[] = { path, NULL };

  atl_session_load_model (f->session, paths, TRUE);
  g_assert_true (atl_session_get_is_loading (f->session));
}

/* --- Sent while a model is loaded --- */

static void
test_send (void)
{
  AppFixture f;
  g_autofree char *model = NULL;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-mixtral");
  load (&f, model);
  app_ask (&f, 8);
  g_assert_true (atl_session_get_is_loading (f.session));
  g_assert_false (app_is_idle (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_cmpuint (app_last_message (&f)->content->len, >, 0);

  /* Stopped before the model is there: the model comes all the same. */
  load (&f, model);
  app_ask (&f, 8);
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_is_idle (&f));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_INTERRUPTED);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  g_assert_true (app_is_idle (&f));

  /* Loading is given up: who answered before answers this, too. */
  load (&f, model);
  app_ask (&f, 8);
  atl_session_cancel_load (f.session);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  app_fixture_stop (&f);
}

/* A model that cannot be loaded answers with the reason; none at all, with nothing. */
static void
test_send_fails (void)
{
  AppFixture f;
  g_autofree char *path = NULL;

  app_fixture_start (&f);
  path = g_build_filename (f.dir, "broken.gguf", NULL);
  g_assert_true (g_file_set_contents (path, "GGUF, but not for long", -1, NULL));
  load (&f, path);
  app_ask (&f, 8);
  g_assert_false (app_is_idle (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_ERROR);
  g_assert_nonnull (app_last_message (&f)->error_text);

  load (&f, path);
  app_ask (&f, 8);
  atl_session_cancel_load (f.session);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_INTERRUPTED);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/load-settings/send", test_send);
  g_test_add_func ("/app/load-settings/send-fails", test_send_fails);
  return g_test_run ();
}
