/* Steps that several test programs share. */
#include "app-steps.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "app/chat/composer.h"
#include "app/chat/message-row.h"
#include "protocol/protocol.h"
#include "store/library.h"

AtlConversation *
app_conversation (AppFixture *f)
{
  return atl_chat_page_get_conversation (ATL_CHAT_PAGE (f->window->chat_page));
}

GtkWidget *
app_composer (AppFixture *f)
{
  return app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_COMPOSER, NULL, NULL);
}

AtlMessageItem *
app_message (AtlConversation *conversation, int index)
{
  GListModel *messages = atl_conversation_get_messages (conversation);
  guint n = g_list_model_get_n_items (messages);
  AtlMessageItem *item = g_list_model_get_item (messages, index < 0 ? n + index : (guint) index);

  g_assert_nonnull (item);
  g_object_unref (item); /* the list holds it */
  return item;
}

static gboolean
row_shows (GtkWidget *widget, gconstpointer item)
{
  return atl_message_row_get_item (ATL_MESSAGE_ROW (widget)) == item;
}

GtkWidget *
app_message_row (AppFixture *f, AtlMessageItem *item)
{
  GtkWidget *row = app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_MESSAGE_ROW, row_shows, item);
  g_assert_nonnull (row);
  return row;
}

void
app_begin_turn (AtlConversation *conversation, const char *text)
{
  guint n = atl_conversation_get_n_messages (conversation);
  gint64 parent = n ? app_message (conversation, -1)->id : 0;
  g_autoptr (GError) error = NULL;

  atl_conversation_begin_turn (conversation, parent, text, NULL, "Model", &error);
  g_assert_no_error (error);
}

void
app_exchange (AtlConversation *conversation, const char *question, const char *answer)
{
  AtlChatStats stats = { .n_generated = 5,
                         .tokens_per_s = 20,
                         .n_ctx_used = 100,
                         .n_ctx = 1000,
                         .stop_reason = (char *) ATL_STOP_EOS,
                         .ran_on = (char *) "CPU" };
  app_begin_turn (conversation, question);
  atl_conversation_answer_text (conversation, answer, FALSE);
  atl_conversation_answer_finish (conversation, &stats);
}

AdwMessageDialog *
app_dialog (void)
{
  GListModel *toplevels = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (toplevels); i++)
    {
      g_autoptr (GtkWidget) w = g_list_model_get_item (toplevels, i);
      if (ADW_IS_MESSAGE_DIALOG (w) && gtk_widget_get_visible (w))
        return ADW_MESSAGE_DIALOG (w);
    }
  return NULL;
}

void
app_act (AppFixture *f, const char *action, const char *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (f->window), action, parameter ? "s" : NULL, parameter);
  app_fixture_spin (200);
}

void
app_check_window (AppCheck check, GtkWidget *window, const char *what, guint least)
{
  gtk_window_present (GTK_WINDOW (window));
  check (window, what, least);
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_spin (50);
}

char *
app_widget_place (GtkWidget *widget)
{
  GString *path = g_string_new (NULL);

  for (; widget != NULL; widget = gtk_widget_get_parent (widget))
    {
      const char *id = gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget));
      g_string_append_printf (path, "%s%s%s < ", G_OBJECT_TYPE_NAME (widget), id ? "#" : "",
                              id ? id : "");
    }
  return g_string_free (path, FALSE);
}

AtlModelEntry *
app_wait_for_model (AppFixture *f, const char *name)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), name, NULL);
  AtlModelList *list = atl_session_get_models (f->session);

  app_assert_soon (atl_model_list_find (list, path) != NULL);
  return atl_model_list_find (list, path);
}

gboolean
app_is_loaded (gpointer f)
{
  return atl_session_get_model (((AppFixture *) f)->session) != NULL;
}

/* --- With a real engine --- */

char *
app_unpack_golden (const char *folder, const char *family)
{
  g_autofree char *script =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", "unpack", NULL);
  const char *argv[] = { script, folder, family, NULL };
  g_autoptr (GError) error = NULL;
  int status = -1;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  return g_build_filename (folder, family, "model.gguf", NULL);
}

void
app_remember_model (AppFixture *f, const char *path, const char *name)
{
  GStatBuf st;
  AtlModelRow row = { .path = (char *) path,
                      .name = (char *) name,
                      .kind = (char *) "llm",
                      .architecture = (char *) "" };
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_stat (path, &st), ==, 0);
  row.size_bytes = (guint64) st.st_size;
  g_assert_true (atl_store_model_save (atl_session_get_store (f->session), &row, &error) != 0);
  g_assert_no_error (error);
  g_assert_true (atl_store_model_used (atl_session_get_store (f->session), path, &error));
  g_assert_no_error (error);
}

AtlMessageItem *
app_last_message (AppFixture *f)
{
  return app_message (app_conversation (f), -1);
}

gboolean
app_is_idle (gpointer f)
{
  return !atl_conversation_get_is_running (app_conversation (f));
}

gboolean
app_has_words (gpointer f)
{
  return app_last_message (f)->content->len > 20;
}

void
app_ask (AppFixture *f, int n_tokens)
{
  JsonObject *settings = atl_conversation_get_settings (app_conversation (f));
  GtkWidget *composer = app_composer (f);

  json_object_set_int_member (settings, "max-tokens", n_tokens > 0 ? n_tokens : 1 << 20);
  json_object_set_boolean_member (settings, "shift-context", n_tokens == 0);
  json_object_set_int_member (settings, "temperature", 0);
  /* Words that have no end. */
  if (n_tokens == 0)
    json_object_set_string_member (settings, "grammar", "root ::= [a-z ] root");
  else
    json_object_remove_member (settings, "grammar");
  atl_composer_set_text (ATL_COMPOSER (composer), APP_QUESTION);
  atl_composer_send (ATL_COMPOSER (composer));
  g_assert_true (atl_conversation_get_is_running (app_conversation (f)));
}

void
app_ask_endlessly (AppFixture *f)
{
  app_ask (f, 0);
  app_assert_soon (app_has_words (f));
}

GPid
app_kill_engine (AppFixture *f, int number)
{
  GPid pid = atl_client_get_pid (atl_session_get_client (f->session));

  /* It may have ended by itself, which the main loop has not heard of yet. */
  if (pid > 0)
    g_assert_true (kill (pid, number) == 0 || errno == ESRCH);
  return pid;
}

void
app_wait_for_other_engine (AppFixture *f, GPid before)
{
  AtlClient *client = atl_session_get_client (f->session);

  app_assert_soon (atl_client_get_state (client) == ATL_ENGINE_READY &&
                   atl_client_get_pid (client) != before);
}

gboolean
app_press (GtkWidget *widget, guint key, GdkModifierType state)
{
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (widget);
  gboolean handled = FALSE;

  for (guint i = 0; i < g_list_model_get_n_items (controllers) && !handled; i++)
    {
      g_autoptr (GtkEventController) c = g_list_model_get_item (controllers, i);
      if (GTK_IS_EVENT_CONTROLLER_KEY (c) &&
          gtk_event_controller_get_propagation_phase (c) == GTK_PHASE_CAPTURE)
        g_signal_emit_by_name (c, "key-pressed", key, 0, state, &handled);
    }
  return handled;
}

static GtkDropTarget *
file_target (GtkWidget *window)
{
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (window);

  for (guint i = 0; i < g_list_model_get_n_items (controllers); i++)
    {
      g_autoptr (GtkEventController) c = g_list_model_get_item (controllers, i);

      if (GTK_IS_DROP_TARGET (c) &&
          gdk_content_formats_contain_gtype (gtk_drop_target_get_formats (GTK_DROP_TARGET (c)),
                                             GDK_TYPE_FILE_LIST))
        return GTK_DROP_TARGET (c);
    }
  return NULL;
}

gboolean
app_drop (GtkWidget *window, double x, double y, const char *const *paths, guint n)
{
  GtkDropTarget *target = file_target (window);
  GSList *list = NULL;
  GValue value = G_VALUE_INIT;
  gboolean taken = FALSE;

  if (target == NULL)
    return FALSE;
  for (guint i = 0; i < n; i++)
    list = g_slist_append (list, g_file_new_for_path (paths[i]));
  g_value_init (&value, GDK_TYPE_FILE_LIST);
  g_value_set_boxed (&value, list);
  g_signal_emit_by_name (target, "drop", &value, x, y, &taken);
  g_value_unset (&value);
  g_slist_free_full (list, g_object_unref);
  return taken;
}

void
app_drag_over (GtkWidget *window, double x, double y)
{
  GdkDragAction action;

  g_assert_nonnull (file_target (window));
  g_signal_emit_by_name (file_target (window), "motion", x, y, &action);
}

#define ADAPTER_CONFIG "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"bias\": \"none\"}"

char *
app_write_adapter (const char *folder, const char *name, float value)
{
  static const char header[] =
      "{\"base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight\":"
      "{\"dtype\":\"F32\",\"shape\":[2,64],\"data_offsets\":[0,512]},"
      "\"base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight\":"
      "{\"dtype\":\"F32\",\"shape\":[64,2],\"data_offsets\":[512,1024]}}";
  g_autofree char *config = g_build_filename (folder, "adapter_config.json", NULL);
  char *path = g_build_filename (folder, name, NULL);
  g_autofree char *bytes = g_malloc0 (8 + sizeof header - 1 + 1024);
  guint64 length = GUINT64_TO_LE (sizeof header - 1);

  memcpy (bytes, &length, sizeof length);
  memcpy (bytes + 8, header, sizeof header - 1);
  for (guint i = 0; i < 256; i++)
    {
      float signed_value = i % 3 == 0 ? -value : value;

      memcpy (bytes + 8 + sizeof header - 1 + 4 * i, &signed_value, sizeof signed_value);
    }
  g_assert_true (g_file_set_contents (config, ADAPTER_CONFIG, -1, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) (8 + sizeof header - 1 + 1024), NULL));
  return path;
}
