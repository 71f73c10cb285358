/* What is decided when a model is loaded, with the real engine: how it keeps a chat, chosen in the
 * settings of a chat with its price; a context that does not fit; and what is sent while it loads.
 */
#include "app-steps.h"

#include <glib/gstdio.h>
#include <string.h>

#include "app/chat/composer.h"
#include "app/chat/kv-list.h"
#include "app/chat/load-params.h"
#include "app/chat/param-row.h"
#include "app/session/session-private.h"

#define N_KV 3

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

/* --- How a chat is kept --- */

static gboolean
is_titled (GtkWidget *widget, gconstpointer title)
{
  return g_strcmp0 (adw_preferences_row_get_title (ADW_PREFERENCES_ROW (widget)), title) == 0;
}

static GtkWidget *
kv_row (AppFixture *f, guint i)
{
  static const char *const titles[N_KV] = { "Exact", "Half", "A quarter" };
  GtkWidget *list = app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_KV_LIST, NULL, NULL);

  return app_fixture_find (list, ADW_TYPE_ACTION_ROW, is_titled, titles[i]);
}

static gboolean
has_prices (gpointer data)
{
  for (guint i = 0; i < N_KV; i++)
    if (g_str_has_suffix (adw_action_row_get_subtitle (ADW_ACTION_ROW (kv_row (data, i))), "…"))
      return FALSE;
  return is_ready (data);
}

static void
test_kv_types (void)
{
  AppFixture f;
  g_autofree char *model = NULL, *other = NULL, *kept = NULL, *forgotten = NULL;
  GtkWidget *list, *expander;
  guint64 exact;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  other = app_unpack_golden (f.dir, "llm-mixtral");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  load (&f, model);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  g_assert_false (atl_model_get_info (atl_session_get_model (f.session))->has_experts);
  g_assert_cmpuint (atl_model_get_info (atl_session_get_model (f.session))->n_layers, ==, 2);
  exact = atl_model_get_info (atl_session_get_model (f.session))->kv_bytes;
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_KV_LIST, NULL, NULL);
  expander = app_fixture_find (list, ADW_TYPE_EXPANDER_ROW, NULL, NULL);
  adw_expander_row_set_expanded (ADW_EXPANDER_ROW (expander), TRUE);
  g_assert_true (app_fixture_wait (has_prices, &f, 60));
  for (guint i = 0; i < N_KV; i++)
    g_assert_true (gtk_widget_get_sensitive (kv_row (&f, i)));
  app_fixture_shot (GTK_WIDGET (f.window), "kv-types");

  gtk_widget_activate (kv_row (&f, 2));
  g_assert_true (atl_session_get_is_loading (f.session));
  g_assert_true (app_fixture_wait (has_prices, &f, 60));
  g_assert_cmpuint (atl_model_get_info (atl_session_get_model (f.session))->kv_bytes, <, exact / 3);
  kept = atl_session_dup_kv_type (f.session, model);
  g_assert_cmpstr (kept, ==, "q4_0");

  /* Rows of 16 numbers are no whole blocks. What was asked for all the same is no reason to be
   * without the model. */
  atl_session_set_kv_type (f.session, other, "q8_0");
  load (&f, other);
  g_assert_true (app_fixture_wait (has_prices, &f, 60));
  g_assert_cmpstr (atl_model_get_key (atl_session_get_model (f.session)), ==, other);
  g_assert_true (atl_model_get_info (atl_session_get_model (f.session))->has_experts);
  g_assert_true (gtk_widget_get_sensitive (kv_row (&f, 0)));
  g_assert_false (gtk_widget_get_sensitive (kv_row (&f, 1)));
  g_assert_cmpstr (adw_action_row_get_subtitle (ADW_ACTION_ROW (kv_row (&f, 1))), ==,
                   "Not possible with this model");
  forgotten = atl_session_dup_kv_type (f.session, other);
  g_assert_null (forgotten);
  app_fixture_stop (&f);
}

/* --- A context that is refused --- */

/* More than the engine takes for any model, on every computer. */
#define HUGE_N_CTX (1u << 30)

static void
notice_cb (AtlSession *session, const char *words, char **told)
{
  g_free (*told);
  *told = g_strdup (words);
}

static void
test_context (void)
{
  AppFixture f;
  g_autofree char *model = NULL, *told = NULL;
  g_autoptr (GError) full =
      g_error_new (ATL_ERROR, ATL_ERROR_NO_MEMORY, "Not enough memory. Needs 9 GB");
  g_autoptr (GError) bad = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, "torn");
  const AtlModelInfo *info;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &told);
  atl_session_set_n_ctx (f.session, HUGE_N_CTX);
  load (&f, model);
  app_assert_soon (!atl_session_get_is_loading (f.session));
  g_assert_true (app_is_loaded (&f));
  info = atl_model_get_info (atl_session_get_model (f.session));
  g_assert_cmpuint (info->n_ctx, <, HUGE_N_CTX);
  g_assert_nonnull (told);
  g_assert_nonnull (strstr (told, "instead of 1073741824 tokens"));

  /* Asked for while the model is in use: it is there afterwards, too. */
  g_clear_pointer (&told, g_free);
  atl_session_set_n_ctx (f.session, HUGE_N_CTX);
  load (&f, model);
  app_assert_soon (!atl_session_get_is_loading (f.session));
  g_assert_true (app_is_loaded (&f));
  g_assert_true (atl_model_get_is_loaded (atl_session_get_model (f.session)));
  g_assert_nonnull (told);

  /* And no load after it knows of the number. */
  g_clear_pointer (&told, g_free);
  load (&f, model);
  app_assert_soon (!atl_session_get_is_loading (f.session));
  g_assert_true (atl_model_get_is_loaded (atl_session_get_model (f.session)));
  g_assert_null (told);

  /* Too little memory is such a reason as well, once; a damaged file is none. */
  g_assert_false (atl_session_ease_context (f.session, full));
  atl_session_set_n_ctx (f.session, 4096);
  load (&f, model);
  g_assert_false (atl_session_ease_context (f.session, bad));
  g_assert_true (atl_session_ease_context (f.session, full));
  g_assert_false (atl_session_ease_context (f.session, full));

  atl_session_cancel_load (f.session);

  /* The engine's words say that memory is short; the title does not say it once more. */
  g_signal_emit_by_name (f.session, "load-failed", full, "Another model");
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (f.window->notice_title)), ==,
                   "The model could not be loaded");
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (f.window->notice_label)), ==, full->message);
  g_signal_handlers_disconnect_by_data (f.session, &told);
  app_fixture_stop (&f);
}

static gboolean
is_context_row (GtkWidget *row, gconstpointer data)
{
  return atl_param_row_get_spec (ATL_PARAM_ROW (row)) == &atl_load_n_ctx;
}

/* Chosen before there is a model, it counts for the first. */
static void
test_context_first (void)
{
  AppFixture f;
  g_autofree char *model = NULL;
  GtkWidget *row;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  row = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_PARAM_ROW, is_context_row, NULL);
  g_assert_nonnull (row);
  g_assert_null (atl_session_get_model (f.session));
  g_signal_emit_by_name (row, "edited", 64.0);
  load (&f, model);
  app_assert_soon (!atl_session_get_is_loading (f.session));
  g_assert_true (app_is_loaded (&f));
  g_assert_cmpuint (atl_model_get_info (atl_session_get_model (f.session))->n_ctx, ==, 64);
  app_fixture_stop (&f);
}

static double
shown_context (AppFixture *f)
{
  GtkWidget *row =
      app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_PARAM_ROW, is_context_row, NULL);

  return gtk_spin_button_get_value (
      GTK_SPIN_BUTTON (app_fixture_find (row, GTK_TYPE_SPIN_BUTTON, NULL, NULL)));
}

/* A length belongs to the chat that it was chosen for: the next one has the usual length, for which
 * the model is loaded anew when it is asked; in a longer one than it wants, a chat is answered at
 * once. */
static void
test_context_of_chat (void)
{
  AppFixture f;
  g_autofree char *model = NULL;
  GtkWidget *row;
  AtlModel *now;
  guint usual;
  gint64 first;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  row = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_PARAM_ROW, is_context_row, NULL);
  g_signal_emit_by_name (row, "edited", 64.0);
  load (&f, model);
  app_ask (&f, 4);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpuint (app_last_message (&f)->stats.context_size, ==, 64);
  first = atl_conversation_get_chat_id (app_conversation (&f));
  /* What was refused for want of memory is not asked for at every question. */
  g_assert_true (atl_session_has_too_short_context (f.session, 300));
  f.session->refused_n_ctx = 300;
  g_assert_false (atl_session_has_too_short_context (f.session, 300));
  g_assert_true (atl_session_has_too_short_context (f.session, 200));

  atl_window_new_chat (f.window, 0);
  g_assert_cmpuint (f.session->n_ctx, ==, 0);
  usual =
      MIN (ATL_DEFAULT_N_CTX, atl_model_get_info (atl_session_get_model (f.session))->n_ctx_train);
  g_assert_cmpuint (usual, >, 64);
  g_assert_cmpfloat (shown_context (&f), ==, usual);
  app_ask (&f, 4);
  g_assert_true (atl_session_get_is_loading (f.session));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_cmpuint (app_last_message (&f)->stats.context_size, ==, usual);

  atl_window_open_chat (f.window, first, 0);
  g_assert_cmpfloat (shown_context (&f), ==, 64);
  now = atl_session_get_model (f.session);
  app_ask (&f, 4);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_true (atl_session_get_model (f.session) == now);

  app_fixture_stop (&f);
}

/* What left the memory meanwhile is loaded as the settings say now. */
static void
test_idle (void)
{
  AppFixture f;
  g_autofree char *model = NULL, *adapter = NULL, *told = NULL;
  const char *adapters[2] = { NULL };
  AtlModel *before;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  adapter = g_build_filename (f.dir, "gone.safetensors", NULL);
  load (&f, model);
  app_ask (&f, 4);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  before = atl_session_get_model (f.session);
  atl_client_unload_async (atl_session_get_client (f.session), before, NULL, NULL, NULL);
  app_assert_soon (!atl_model_get_is_loaded (before));
  adapters[0] = adapter;
  atl_session_set_adapters (f.session, model, adapters);
  atl_session_set_kv_type (f.session, model, "q4_0");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &told);
  app_ask (&f, 4);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_cmpstr (atl_model_get_options (atl_session_get_model (f.session))->kv_type, ==, "q4_0");
  g_assert_nonnull (told);
  g_assert_nonnull (strstr (told, "gone.safetensors"));

  /* The model's own file is gone: the answer says so, and the next model answers. */
  before = atl_session_get_model (f.session);
  atl_client_unload_async (atl_session_get_client (f.session), before, NULL, NULL, NULL);
  app_assert_soon (!atl_model_get_is_loaded (before));
  g_assert_cmpint (g_unlink (model), ==, 0);
  app_ask (&f, 4);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_ERROR);
  g_assert_nonnull (strstr (app_last_message (&f)->error_text, "model.gguf"));
  g_signal_handlers_disconnect_by_data (f.session, &told);
  app_fixture_stop (&f);
}

static gboolean
is_named (GtkWidget *widget, gconstpointer action)
{
  return g_strcmp0 (gtk_actionable_get_action_name (GTK_ACTIONABLE (widget)), action) == 0;
}

static gboolean
is_retry (GtkWidget *widget, gconstpointer data)
{
  return g_strcmp0 (gtk_button_get_label (GTK_BUTTON (widget)), "Try again") == 0;
}

/* Whether the last answer offers a longer context, instead of the same again. */
static gboolean
offers_longer (AppFixture *f)
{
  GtkWidget *row = app_message_row (f, app_last_message (f));
  gboolean longer = gtk_widget_get_visible (
      app_fixture_find (row, GTK_TYPE_BUTTON, is_named, "message.longer-context"));
  gboolean retry = gtk_widget_get_visible (app_fixture_find (row, GTK_TYPE_BUTTON, is_retry, NULL));

  g_assert_true (longer != retry);
  return longer;
}

/* The question alone is longer than the context: what helps is offered, and answers. */
static void
test_context_longer (void)
{
  AppFixture f;
  g_autofree char *model = NULL;
  g_autoptr (GError) queue = g_error_new (ATL_ERROR, ATL_ERROR_FULL, "16 requests are waiting.");
  GtkWidget *row;
  guint used, total;
  gint64 chat;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  row = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_PARAM_ROW, is_context_row, NULL);
  g_signal_emit_by_name (row, "edited", 8.0);
  load (&f, model);
  app_ask (&f, 4);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_ERROR);
  g_assert_true (g_str_has_suffix (app_last_message (&f)->error_text, "."));
  g_assert_true (app_last_message (&f)->is_too_long);
  app_assert_soon (offers_longer (&f));
  app_fixture_shot (GTK_WIDGET (f.window), "longer-context");

  /* A chat that is opened again knows why it failed, also before its model is there. A queue that
   * is full is another matter. */
  chat = atl_conversation_get_chat_id (app_conversation (&f));
  atl_window_new_chat (f.window, 0);
  app_begin_turn (app_conversation (&f), APP_QUESTION);
  atl_conversation_answer_fail (app_conversation (&f), queue);
  app_assert_soon (!offers_longer (&f));
  atl_session_unload_model (f.session);
  atl_window_open_chat (f.window, chat, 0);
  app_assert_soon (app_last_message (&f)->is_too_long && !offers_longer (&f));
  atl_conversation_get_context (app_conversation (&f), &used, &total);
  g_assert_cmpuint (total, ==, 8);
  load (&f, model);
  app_assert_soon (offers_longer (&f));

  for (guint n = 0; app_last_message (&f)->state == ATL_MESSAGE_ERROR; n++)
    {
      g_assert_cmpuint (n, <, 8);
      gtk_widget_activate_action (app_message_row (&f, app_last_message (&f)),
                                  "message.longer-context", NULL);
      g_assert_false (app_is_idle (&f));
      g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
    }
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_cmpuint (atl_model_get_info (atl_session_get_model (f.session))->n_ctx, >, 8);
  app_fixture_stop (&f);
}

static gboolean
is_shift_row (GtkWidget *row, gconstpointer data)
{
  return g_str_equal (atl_param_row_get_spec (ATL_PARAM_ROW (row))->key, "shift-context");
}

/* An answer that the context cut off goes on in a longer one, and with the switch as long as it
 * likes: the oldest is left out. */
static void
test_context_full (void)
{
  AppFixture f;
  g_autofree char *model = NULL, *told = NULL;
  JsonObject *settings;
  GtkWidget *row, *more;
  gsize before;

  app_fixture_start (&f);
  model = app_unpack_golden (f.dir, "llm-llama3-tied");
  row = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_PARAM_ROW, is_context_row, NULL);
  g_signal_emit_by_name (row, "edited", 64.0);
  load (&f, model);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  settings = atl_conversation_get_settings (app_conversation (&f));
  json_object_set_string_member (settings, "grammar", "root ::= [a-z ] root");
  atl_composer_set_text (ATL_COMPOSER (app_composer (&f)), APP_QUESTION);
  atl_composer_send (ATL_COMPOSER (app_composer (&f)));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpstr (app_last_message (&f)->stats.stop_reason, ==, ATL_STOP_CONTEXT_FULL);
  more = app_fixture_find (app_message_row (&f, app_last_message (&f)), GTK_TYPE_BUTTON, is_named,
                           "message.continue");
  app_fixture_spin (100);
  g_assert_false (gtk_widget_get_visible (more));
  row = app_fixture_find_id (GTK_WIDGET (f.window), "context_button");
  g_assert_nonnull (row);
  g_signal_emit_by_name (row, "clicked");
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  app_assert_soon (gtk_widget_get_visible (more));

  row = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_PARAM_ROW, is_shift_row, NULL);
  g_assert_nonnull (row);
  gtk_switch_set_active (GTK_SWITCH (app_fixture_find (row, GTK_TYPE_SWITCH, NULL, NULL)), TRUE);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &told);
  before = app_last_message (&f)->content->len;
  gtk_widget_activate_action (app_message_row (&f, app_last_message (&f)), "message.continue",
                              NULL);
  /* No token of this model has more than eight letters. */
  app_assert_soon (app_is_idle (&f) || app_last_message (&f)->content->len > before + 8 * 512);
  g_assert_false (app_is_idle (&f));
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_nonnull (told);
  g_assert_nonnull (strstr (told, "its oldest part was left out"));
  g_signal_handlers_disconnect_by_data (f.session, &told);
  app_fixture_stop (&f);
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
  g_test_add_func ("/app/load-settings/kv-types", test_kv_types);
  g_test_add_func ("/app/load-settings/context", test_context);
  g_test_add_func ("/app/load-settings/context-first", test_context_first);
  g_test_add_func ("/app/load-settings/context-longer", test_context_longer);
  g_test_add_func ("/app/load-settings/context-of-chat", test_context_of_chat);
  g_test_add_func ("/app/load-settings/idle", test_idle);
  g_test_add_func ("/app/load-settings/context-full", test_context_full);
  g_test_add_func ("/app/load-settings/send", test_send);
  g_test_add_func ("/app/load-settings/send-fails", test_send_fails);
  return g_test_run ();
}
