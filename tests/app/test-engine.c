/* The window with the real engine and a tiny real model: load, ask, stop, lose the engine, ask
 * again. Needs stories260K.gguf of the conformance data. */
#include "app-steps.h"
#include "conformance.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <unistd.h>

#include "app/chat/conversation-private.h"
#include "app/chat/follow-up.h"
#include "app/models/model-list.h"
#include "app/session/session-private.h"
#include "hub/library.h"
#include "protocol/protocol.h"

static void
failed_cb (AtlSession *session, GError *error, const char *name, char **words)
{
  *words = g_strdup (error->message);
}

static gboolean
has_failed (gpointer data)
{
  return *(char **) data != NULL;
}

static gboolean
load (AppFixture *f)
{
  g_autofree char *path = atl_test_conformance_find ("models/stories260K.gguf");
  const char *paths[] = { path, NULL };

  if (path == NULL)
    {
      g_test_skip (
          "models/stories260K.gguf not found: the engine's suite of the window did not run");
      return FALSE;
    }
  app_fixture_start (f);
  atl_session_load_model (f->session, paths, TRUE);
  g_assert_true (app_fixture_wait (app_is_loaded, f, 60));
  return TRUE;
}

static gboolean
is_shown (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_get_mapped (widget);
}

static void
shot_popover (AppFixture *f, const char *id, const char *name)
{
  GtkWidget *owner = app_fixture_find_id (GTK_WIDGET (f->window), id);
  GtkWidget *button = app_fixture_find (owner, GTK_TYPE_MENU_BUTTON, NULL, NULL);
  GtkWidget *popover;

  gtk_menu_button_popup (GTK_MENU_BUTTON (button));
  app_fixture_spin (300);
  popover = app_fixture_find (owner, GTK_TYPE_POPOVER, is_shown, NULL);
  g_assert_nonnull (popover);
  app_fixture_shot (popover, name);
  gtk_menu_button_popdown (GTK_MENU_BUTTON (button));
  app_fixture_spin (100);
}

static void
test_answer (void)
{
  AppFixture f;
  AtlMessageItem *answer;
  g_autofree char *first = NULL;
  double first_ms;
  guint n_first;

  if (!load (&f))
    return;
  app_fixture_shot (GTK_WIDGET (f.window), "ready");
  shot_popover (&f, "strip", "popover-memory");
  shot_popover (&f, "model_switcher", "popover-models");
  app_ask (&f, 40);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  answer = app_last_message (&f);
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_cmpuint (answer->content->len, >, 20);
  g_assert_cmpstr (answer->stats.stop_reason, ==, ATL_STOP_LENGTH);
  g_assert_cmpfloat (answer->stats.tokens_per_s, >, 0);
  g_assert_cmpuint (answer->stats.context_used, >, 0);
  g_assert_nonnull (answer->stats.ran_on);
  first = g_strdup (answer->content->str);
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "answered");
  shot_popover (&f, "details_button", "popover-details");
  /* Continue adds to it, also in its numbers; regenerate makes a second branch. */
  n_first = answer->stats.n_tokens;
  first_ms = answer->stats.first_token_ms;
  g_assert_true (atl_conversation_continue (app_conversation (&f), answer, NULL));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_true (g_str_has_prefix (answer->content->str, first));
  g_assert_cmpuint (answer->content->len, >, strlen (first));
  g_assert_cmpuint (answer->stats.n_tokens, >, n_first);
  g_assert_cmpfloat (answer->stats.first_token_ms, ==, first_ms);
  g_assert_true (atl_conversation_regenerate (app_conversation (&f), answer, NULL));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpuint (app_last_message (&f)->n_branches, ==, 2);
  g_assert_cmpstr (app_last_message (&f)->content->str, ==, first);
  app_fixture_stop (&f);
}

static void
summarized_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;

  *(char **) data = atl_follow_up_summarize_finish (result, &error);
  g_assert_no_error (error);
}

static void
part_cb (guint part, guint n_parts, gpointer data)
{
  g_assert_cmpuint (part, <=, n_parts);
  *(guint *) data = part;
}

/* The tiny model tells a story instead, but all pieces are asked for and something comes back. */
static void
test_summarize (void)
{
  AppFixture f;
  g_autofree char *summary = NULL;
  g_autoptr (GString) long_text = g_string_new (NULL);
  guint part = 0;

  if (!load (&f))
    return;
  for (guint i = 0; i < 300; i++)
    g_string_append (long_text, "Once upon a time. ");
  app_exchange (app_conversation (&f), "Tell me", long_text->str);
  atl_follow_up_summarize_async (app_conversation (&f), part_cb, &part, NULL, summarized_cb,
                                 &summary);
  g_assert_true (app_fixture_wait (has_failed, &summary, 60));
  g_assert_cmpuint (strlen (summary), >, 0);
  g_assert_cmpuint (part, >, 1);
  app_fixture_stop (&f);
}

static void
test_stop (void)
{
  AppFixture f;

  if (!load (&f))
    return;
  app_ask_endlessly (&f);
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 20));
  g_assert_cmpuint (app_last_message (&f)->content->len, >, 20);
  app_fixture_stop (&f);
}

/* However long the answer, what is shown of it goes to the store within a second. */
static void
test_saved_soon (void)
{
  AppFixture f;
  GSource *timer;

  if (!load (&f))
    return;
  app_ask_endlessly (&f);
  timer = g_main_context_find_source_by_id (NULL, app_conversation (&f)->checkpoint_source);
  g_assert_nonnull (timer);
  g_assert_cmpint (g_source_get_ready_time (timer) - g_get_monotonic_time (), <, G_USEC_PER_SEC);
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 20));
  app_fixture_stop (&f);
}

static void
test_killed_engine (void)
{
  AppFixture f;
  AtlMessageItem *answer;
  JsonObject *settings;

  if (!load (&f))
    return;
  app_ask_endlessly (&f);
  app_kill_engine (&f, SIGKILL);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 20));
  answer = app_last_message (&f);
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_ERROR);
  g_assert_cmpuint (answer->content->len, >, 20);
  g_assert_nonnull (answer->error_text);
  g_assert_true (answer->engine_lost);
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "engine-killed");
  /* Try again: the engine starts, loads the model and answers. */
  settings = atl_conversation_get_settings (app_conversation (&f));
  json_object_set_int_member (settings, "max-tokens", 20);
  g_assert_true (atl_conversation_regenerate (app_conversation (&f), answer, NULL));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  app_fixture_stop (&f);
}

static void
test_bad_file (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autofree char *words = NULL;
  const char *paths[] = { NULL, NULL };

  if (!load (&f))
    return;
  path = g_build_filename (f.dir, "broken.gguf", NULL);
  g_file_set_contents (path, "GGUF\3\0\0\0\377\377\377\377\377\377\377\177", 16, NULL);
  paths[0] = path;
  g_signal_connect (f.session, "load-failed", G_CALLBACK (failed_cb), &words);
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (has_failed, &words, 20));
  g_test_message ("%s", words);
  /* The model in use stays, and answers. */
  g_assert_nonnull (atl_session_get_model (f.session));
  app_ask (&f, 10);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  app_fixture_stop (&f);
}

static gboolean
lists_huge (gpointer f)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), "huge.gguf", NULL);
  return atl_model_list_find (atl_session_get_models (((AppFixture *) f)->session), path) != NULL;
}

/* A model that would not fit into an empty computer is no reason to be without the other. */
static void
test_room (void)
{
  AppFixture f;
  g_autofree char *huge = g_build_filename (atl_library_dir (), "huge.gguf", NULL);
  g_autofree char *path = atl_test_conformance_find ("models/stories260K.gguf");

  if (!load (&f))
    return;
  g_mkdir_with_parents (atl_library_dir (), 0700);
  g_assert_true (g_file_set_contents (huge, "GGUF", 4, NULL));
  g_assert_cmpint (truncate (huge, (off_t) 1 << 40), ==, 0);
  atl_session_emit_models_changed (f.session);
  g_assert_true (app_fixture_wait (lists_huge, &f, 20));
  g_assert_false (atl_session_room_would_do (f.session, huge));
  g_assert_true (atl_session_room_would_do (f.session, path));
  g_unlink (huge);
  app_fixture_stop (&f);
}

static gboolean
is_replaced (gpointer f)
{
  AtlModel *old = g_object_get_data (G_OBJECT (((AppFixture *) f)->session), "old");
  return atl_session_get_model (((AppFixture *) f)->session) != old;
}

static gboolean
is_unloaded (gpointer model)
{
  return !atl_model_get_is_loaded (model);
}

/* A model that is replaced while it answers finishes its answer, and leaves the memory then. */
static void
test_retired (void)
{
  AppFixture f;
  g_autoptr (AtlModel) old = NULL;
  g_autofree char *path = atl_test_conformance_find ("models/stories260K.gguf");
  const char *paths[] = { path, NULL };

  if (!load (&f))
    return;
  g_set_object (&old, atl_session_get_model (f.session));
  g_object_set_data (G_OBJECT (f.session), "old", old);
  app_ask_endlessly (&f);
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (is_replaced, &f, 60));
  g_assert_false (app_is_idle (&f));
  g_assert_true (atl_model_get_is_loaded (old));
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_fixture_wait (is_unloaded, old, 20));
  g_assert_true (atl_model_get_is_loaded (atl_session_get_model (f.session)));
  app_fixture_stop (&f);
}

static void
test_unload (void)
{
  AppFixture f;
  AtlModel *model;

  if (!load (&f))
    return;
  model = atl_session_get_model (f.session);
  g_assert_true (atl_model_get_is_loaded (model));
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.unload-model", NULL);
  g_assert_null (atl_session_get_model (f.session));
  app_fixture_spin (300);
  app_fixture_stop (&f);
}

/* The model names a chat after the first answer; one without a word could only be named at random.
 */
static void
test_title (void)
{
  AtlChatStats stats = { .n_generated = 1, .stop_reason = (char *) ATL_STOP_EOS };
  AtlModelInfo *info;
  AppFixture f;

  if (!load (&f))
    return;
  /* One this small is a toy, which is never asked. */
  info = (gpointer) atl_model_get_info (atl_session_get_model (f.session));
  info->is_toy = FALSE;
  app_begin_turn (app_conversation (&f), "What is your name?");
  atl_conversation_answer_text (app_conversation (&f), " \n", FALSE);
  atl_conversation_answer_finish (app_conversation (&f), &stats);
  g_assert_null (app_conversation (&f)->titling);
  app_act (&f, "win.new", NULL);
  app_exchange (app_conversation (&f), "What is your name?", "Lily");
  g_assert_nonnull (app_conversation (&f)->titling);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/engine/answer", test_answer);
  g_test_add_func ("/app/engine/summarise", test_summarize);
  g_test_add_func ("/app/engine/title", test_title);
  g_test_add_func ("/app/engine/stop", test_stop);
  g_test_add_func ("/app/engine/saved-soon", test_saved_soon);
  g_test_add_func ("/app/engine/killed", test_killed_engine);
  g_test_add_func ("/app/engine/bad-file", test_bad_file);
  g_test_add_func ("/app/engine/room", test_room);
  g_test_add_func ("/app/engine/retired", test_retired);
  g_test_add_func ("/app/engine/unload", test_unload);
  return g_test_run ();
}
