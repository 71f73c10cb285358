/* What a person does in the window, on the real store, without a model: the answer is fed to the
 * conversation as the engine's job would feed it. */
#include "app-fixture.h"

#include <string.h>
#include <time.h>

#include "app/chat/chat-entries.h"
#include "app/chat/chat-view.h"
#include "app/chat/composer.h"
#include "app/chat/conversation.h"
#include "app/chat/markdown-view.h"
#include "app/chat/message-row.h"
#include "app/preferences/preferences-window.h"
#include "protocol/protocol.h"
#include "store/chats.h"
#include "store/search.h"
#include "store/transfer.h"

static AtlConversation *
get_conversation (AppFixture *f)
{
  return atl_chat_page_get_conversation (ATL_CHAT_PAGE (f->window->chat_page));
}

static GtkWidget *
get_composer (AppFixture *f)
{
  return app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_COMPOSER, NULL, NULL);
}

static AtlMessageItem *
get_message (AtlConversation *conversation, int index)
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

static GtkWidget *
find_row (AppFixture *f, AtlMessageItem *item)
{
  GtkWidget *row = app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_MESSAGE_ROW, row_shows, item);
  g_assert_nonnull (row);
  return row;
}

static void
begin (AtlConversation *conversation, const char *text)
{
  guint n = atl_conversation_get_n_messages (conversation);
  gint64 parent = n ? get_message (conversation, -1)->id : 0;
  g_autoptr (GError) error = NULL;

  atl_conversation_begin_turn (conversation, parent, text, NULL, "Model", &error);
  g_assert_no_error (error);
}

static void
exchange (AtlConversation *conversation, const char *question, const char *answer)
{
  AtlChatStats stats = { .n_generated = 5,
                         .tokens_per_s = 20,
                         .n_ctx_used = 100,
                         .n_ctx = 1000,
                         .stop_reason = (char *) ATL_STOP_EOS,
                         .ran_on = (char *) "CPU" };
  begin (conversation, question);
  atl_conversation_answer_text (conversation, answer, FALSE);
  atl_conversation_answer_finish (conversation, &stats);
}

/* --- Streaming --- */

static void
test_stream (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlMessageItem *answer;
  GtkWidget *markdown;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  begin (conversation, "Tell me");
  g_assert_true (atl_conversation_get_is_running (conversation));
  answer = get_message (conversation, -1);
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_STREAMING);
  for (guint i = 0; i < 60; i++)
    {
      atl_conversation_answer_text (conversation, i % 6 == 5 ? "word.\n\n" : "word ", FALSE);
      app_fixture_spin (5);
    }
  app_fixture_spin (150);
  markdown = app_fixture_find (find_row (&f, answer), ATL_TYPE_MARKDOWN_VIEW, NULL, NULL);
  /* Growing changes the last blocks only. */
  atl_conversation_answer_text (conversation, "more", FALSE);
  app_fixture_spin (150);
  g_assert_cmpuint (atl_markdown_view_get_n_rebuilt (ATL_MARKDOWN_VIEW (markdown)), <=, 1);
  atl_conversation_answer_finish (conversation, NULL);
  g_assert_false (atl_conversation_get_is_running (conversation));
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_INTERRUPTED);
  app_fixture_stop (&f);
}

static void
test_stream_survives_switch (void)
{
  AppFixture f;
  g_autoptr (AtlConversation) conversation = NULL;
  gint64 id;

  app_fixture_start (&f);
  conversation = g_object_ref (get_conversation (&f));
  begin (conversation, "Tell me");
  id = atl_conversation_get_chat_id (conversation);
  atl_conversation_answer_text (conversation, "one ", FALSE);
  atl_window_new_chat (f.window, 0);
  g_assert_true (get_conversation (&f) != conversation);
  atl_conversation_answer_text (conversation, "two", FALSE);
  atl_window_open_chat (f.window, id, 0);
  g_assert_true (get_conversation (&f) == conversation);
  g_assert_cmpstr (get_message (conversation, -1)->content->str, ==, "one two");
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

static void
test_checkpoint (void)
{
  AppFixture f;
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (AtlStore) other = NULL;
  AtlConversation *conversation;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  begin (conversation, "Tell me");
  atl_conversation_answer_text (conversation, "thinking", TRUE);
  atl_conversation_answer_text (conversation, "half an answer", FALSE);
  app_fixture_spin (1300);
  /* What a process that starts now would find, were this one killed. */
  other = atl_store_open (f.dir, NULL);
  rows = atl_store_message_list (other, atl_conversation_get_chat_id (conversation), NULL);
  g_assert_cmpuint (rows->len, ==, 2);
  g_assert_cmpstr (((AtlMessage *) rows->pdata[1])->content, ==, "half an answer");
  g_assert_cmpstr (((AtlMessage *) rows->pdata[1])->thinking, ==, "thinking");
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

static void
test_engine_lost (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlMessageItem *answer;
  g_autoptr (GError) error =
      g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "The engine stopped.");

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  begin (conversation, "Tell me");
  atl_conversation_answer_text (conversation, "half", FALSE);
  atl_conversation_answer_fail (conversation, error);
  answer = get_message (conversation, -1);
  app_fixture_spin (100);
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_ERROR);
  g_assert_cmpstr (answer->content->str, ==, "half");
  g_assert_cmpstr (answer->error_text, ==, "The engine stopped.");
  g_assert_true (
      gtk_widget_get_mapped (app_fixture_find_id (find_row (&f, answer), "retry_button")));
  app_fixture_stop (&f);
}

static gboolean
tick_cb (GtkWidget *widget, GdkFrameClock *clock, gpointer data)
{
  gint64 *frames = data; /* last, longest, count */
  gint64 now = g_get_monotonic_time ();

  if (frames[0] != 0)
    frames[1] = MAX (frames[1], now - frames[0]);
  frames[0] = now;
  frames[2]++;
  return G_SOURCE_CONTINUE;
}

/* Prints what 100 tokens a second cost; fails only when nothing is drawn. */
static void
test_streaming_cost (void)
{
  static const char *const words[] = { "The ",       "answer ", "has **bold** ", "and `code` ",
                                       "and $x^2$ ", "words.",  "\n\n",          "- a list\n" };
  AppFixture f;
  AtlConversation *conversation;
  gint64 frames[3] = { 0 };
  gint64 start, cpu;
  guint tick;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  for (guint i = 0; i < 10; i++)
    exchange (conversation, "question", "a\n\nb **c**\n\n```c\nint a;\n```\n\n- d\n- e");
  begin (conversation, "more");
  app_fixture_spin (300);
  tick = gtk_widget_add_tick_callback (GTK_WIDGET (f.window), tick_cb, frames, NULL);
  start = g_get_monotonic_time ();
  cpu = clock ();
  for (guint i = 0; g_get_monotonic_time () - start < 4 * G_USEC_PER_SEC; i++)
    {
      atl_conversation_answer_text (conversation, words[i % G_N_ELEMENTS (words)], FALSE);
      app_fixture_spin (10);
    }
  g_test_message ("100 tokens/s: %.0f %% of a core, %" G_GINT64_FORMAT
                  " frames, the longest gap %.0f ms",
                  100.0 * (double) (clock () - cpu) / CLOCKS_PER_SEC /
                      ((double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC),
                  frames[2], (double) frames[1] / 1000);
  g_assert_cmpint (frames[2], >, 10);
  gtk_widget_remove_tick_callback (GTK_WIDGET (f.window), tick);
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

/* --- Messages --- */

static void
test_markup_is_text (void)
{
  AppFixture f;
  GtkWidget *bubble;
  const char *evil = "<b>bold</b> & <span size=\"9999999\">x";

  app_fixture_start (&f);
  exchange (get_conversation (&f), evil, evil);
  app_fixture_spin (200);
  bubble = app_fixture_find_id (find_row (&f, get_message (get_conversation (&f), 0)), "bubble");
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (bubble)), ==, evil);
  app_fixture_stop (&f);
}

static void
test_branches (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlMessageItem *first;
  GtkWidget *row;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  exchange (conversation, "one", "answer one");
  g_assert_true (atl_conversation_begin_turn (conversation, 0, "two", NULL, "Model", NULL));
  atl_conversation_answer_text (conversation, "answer two", FALSE);
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_spin (100);
  first = get_message (conversation, 0);
  g_assert_cmpstr (first->content->str, ==, "two");
  g_assert_cmpuint (first->n_branches, ==, 2);
  row = find_row (&f, first);
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (app_fixture_find_id (row, "branch_label"))), ==,
                   "2/2");
  gtk_widget_activate_action (row, "message.previous-branch", NULL);
  app_fixture_spin (100);
  g_assert_cmpstr (get_message (conversation, 0)->content->str, ==, "one");
  g_assert_cmpstr (get_message (conversation, 1)->content->str, ==, "answer one");
  app_fixture_stop (&f);
}

static void
test_delete_message (void)
{
  AppFixture f;
  AtlConversation *conversation;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  exchange (conversation, "one", "first");
  exchange (conversation, "two", "second");
  app_fixture_spin (150);
  gtk_widget_activate_action (find_row (&f, get_message (conversation, 2)), "message.delete", NULL);
  app_fixture_spin (100);
  g_assert_cmpuint (atl_conversation_get_n_messages (conversation), ==, 2);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  app_fixture_spin (100);
  g_assert_cmpuint (atl_conversation_get_n_messages (conversation), ==, 4);
  g_assert_cmpstr (get_message (conversation, 3)->content->str, ==, "second");
  app_fixture_stop (&f);
}

static void
test_edit_answer (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlMessageItem *answer;
  GtkWidget *row, *view;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  exchange (conversation, "one", "wrong");
  app_fixture_spin (150);
  answer = get_message (conversation, 1);
  row = find_row (&f, answer);
  gtk_widget_activate_action (row, "message.edit", NULL);
  app_fixture_spin (100);
  view = app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_assert_nonnull (view);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "right", -1);
  for (GtkWidget *b = gtk_widget_get_first_child (gtk_widget_get_next_sibling (view)); b != NULL;
       b = gtk_widget_get_next_sibling (b))
    if (gtk_widget_has_css_class (b, "suggested-action"))
      {
        g_signal_emit_by_name (b, "clicked");
        break;
      }
  app_fixture_spin (100);
  g_assert_cmpstr (answer->content->str, ==, "right");
  g_assert_null (app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL));
  app_fixture_stop (&f);
}

static void
test_long_chat (void)
{
  AppFixture f;
  AtlStore *store;
  gint64 chat, parent = 0, start;
  AtlConversation *conversation;

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  chat = atl_store_chat_add (store, 0, NULL);
  for (guint i = 0; i < 2000; i++)
    {
      g_autofree char *text = g_strdup_printf (
          "Message %u with **bold** and a list:\n\n- one\n- two\n\n```c\nint a = %u;\n```", i, i);
      parent = atl_store_message_add (store, chat, parent,
                                      i % 2 ? ATL_ROLE_ASSISTANT : ATL_ROLE_USER, text, NULL, NULL);
      g_assert_cmpint (parent, !=, 0);
    }
  start = g_get_monotonic_time ();
  atl_window_open_chat (f.window, chat, 0);
  g_test_message ("2000 messages opened in %.1f ms",
                  (double) (g_get_monotonic_time () - start) / 1000);
  app_fixture_spin (300);
  conversation = get_conversation (&f);
  g_assert_cmpuint (atl_conversation_get_n_messages (conversation), ==, 2000);
  g_assert_cmpuint (g_list_model_get_n_items (atl_conversation_get_messages (conversation)), <,
                    100);
  g_assert_true (atl_chat_view_get_is_at_end (
      ATL_CHAT_VIEW (app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_CHAT_VIEW, NULL, NULL))));
  /* A place far up is reached by a search. */
  g_autoptr (GPtrArray) hits = atl_store_search (store, "\"Message 3\"", 10, NULL);
  g_assert_cmpint (atl_conversation_show_message (conversation, parent - 1500), >=, 0);
  app_fixture_spin (200);
  app_fixture_stop (&f);
}

static void
test_stays_at_end (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlChatView *view;
  GtkWidget *scroller;
  GtkAdjustment *adjustment;
  double value;

  app_fixture_start (&f);
  conversation = get_conversation (&f);
  for (guint i = 0; i < 12; i++)
    exchange (conversation, "question", "a\n\nb\n\nc\n\nd\n\ne\n\nf");
  app_fixture_spin (300);
  view = ATL_CHAT_VIEW (app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_CHAT_VIEW, NULL, NULL));
  scroller = app_fixture_find_id (GTK_WIDGET (view), "scroller");
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller));
  g_assert_true (atl_chat_view_get_is_at_end (view));
  begin (conversation, "more");
  for (guint i = 0; i < 20; i++)
    {
      atl_conversation_answer_text (conversation, "A paragraph.\n\n", FALSE);
      app_fixture_spin (30);
    }
  app_fixture_spin (300);
  g_assert_true (atl_chat_view_get_is_at_end (view));
  /* A person who scrolled up stays there. */
  gtk_adjustment_set_value (adjustment, gtk_adjustment_get_value (adjustment) - 400);
  app_fixture_spin (50);
  value = gtk_adjustment_get_value (adjustment);
  for (guint i = 0; i < 10; i++)
    {
      atl_conversation_answer_text (conversation, "A paragraph.\n\n", FALSE);
      app_fixture_spin (30);
    }
  app_fixture_spin (200);
  g_assert_cmpfloat_with_epsilon (gtk_adjustment_get_value (adjustment), value, 60);
  g_assert_false (atl_chat_view_get_is_at_end (view));
  atl_chat_view_jump_to_end (view);
  app_fixture_spin (300);
  g_assert_true (atl_chat_view_get_is_at_end (view));
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

/* --- Composer --- */

static gboolean
take_cb (AtlComposer *composer, const char *text, const char *attachments, gpointer data)
{
  g_string_append_printf (data, "[%s|%s]", text, attachments ? "files" : "");
  g_signal_stop_emission_by_name (composer, "send");
  return TRUE;
}

static gboolean
press (GtkWidget *widget, guint key, GdkModifierType state)
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

static void
test_composer_keys (void)
{
  AppFixture f;
  GtkWidget *composer, *view;
  g_autoptr (GString) taken = g_string_new (NULL);
  g_autofree char *text = NULL;

  app_fixture_start (&f);
  composer = get_composer (&f);
  view = app_fixture_find (composer, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_signal_connect (composer, "send", G_CALLBACK (take_cb), taken);
  g_signal_handlers_block_matched (composer, G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL,
                                   f.window->chat_page);
  atl_composer_set_text (ATL_COMPOSER (composer), "  hello  ");
  g_assert_false (press (view, GDK_KEY_Return, GDK_SHIFT_MASK));
  g_assert_true (press (view, GDK_KEY_Return, 0));
  g_assert_cmpstr (taken->str, ==, "[hello|]");
  text = atl_composer_get_text (ATL_COMPOSER (composer));
  g_assert_cmpstr (text, ==, "");
  g_assert_true (press (view, GDK_KEY_Return, 0));
  g_assert_cmpstr (taken->str, ==, "[hello|]");
  app_fixture_stop (&f);
}

static void
test_composer_without_model (void)
{
  AppFixture f;
  GtkWidget *composer;
  g_autofree char *text = NULL;

  app_fixture_start (&f);
  composer = get_composer (&f);
  atl_composer_set_text (ATL_COMPOSER (composer), "do not lose me");
  atl_composer_send (ATL_COMPOSER (composer));
  app_fixture_spin (100);
  text = atl_composer_get_text (ATL_COMPOSER (composer));
  g_assert_cmpstr (text, ==, "do not lose me");
  app_fixture_stop (&f);
}

static void
test_escape_stops (void)
{
  AppFixture f;
  GtkWidget *view;

  app_fixture_start (&f);
  begin (get_conversation (&f), "Tell me");
  app_fixture_spin (50);
  view = app_fixture_find (get_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_assert_true (press (view, GDK_KEY_Escape, 0));
  g_assert_false (atl_conversation_get_is_running (get_conversation (&f)));
  app_fixture_stop (&f);
}

static void
test_up_edits_last (void)
{
  AppFixture f;
  GtkWidget *row;

  app_fixture_start (&f);
  exchange (get_conversation (&f), "typo", "answer");
  app_fixture_spin (200);
  g_assert_true (
      press (app_fixture_find (get_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL), GDK_KEY_Up, 0));
  app_fixture_spin (100);
  row = find_row (&f, get_message (get_conversation (&f), 0));
  g_assert_nonnull (app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL));
  app_fixture_stop (&f);
}

static void
test_draft (void)
{
  AppFixture f;
  gint64 id;
  GtkWidget *view;
  g_autoptr (AtlChat) chat = NULL;
  g_autofree char *text = NULL;

  app_fixture_start (&f);
  exchange (get_conversation (&f), "one", "answer");
  id = atl_conversation_get_chat_id (get_conversation (&f));
  view = app_fixture_find (get_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "half", -1);
  app_fixture_spin (700);
  /* On disk without anything having been closed: a crash keeps it. */
  chat = atl_store_chat_get (atl_session_get_store (f.session), id, NULL);
  g_assert_cmpstr (chat->draft, ==, "half");
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "half a word", -1);
  atl_window_new_chat (f.window, 0);
  text = atl_composer_get_text (ATL_COMPOSER (get_composer (&f)));
  g_assert_cmpstr (text, ==, "");
  g_clear_pointer (&text, g_free);
  atl_window_open_chat (f.window, id, 0);
  text = atl_composer_get_text (ATL_COMPOSER (get_composer (&f)));
  g_assert_cmpstr (text, ==, "half a word");
  app_fixture_stop (&f);
}

static gboolean
has_attachment (gpointer composer)
{
  return atl_composer_get_n_attachments (composer) == 1;
}

static void
drop (AppFixture *f, const char *path)
{
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (GTK_WIDGET (f->window));
  g_autoptr (GFile) file = g_file_new_for_path (path);
  GSList list = { file, NULL };
  GValue value = G_VALUE_INIT;
  gboolean taken = FALSE;

  g_value_init (&value, GDK_TYPE_FILE_LIST);
  g_value_set_boxed (&value, &list);
  for (guint i = 0; i < g_list_model_get_n_items (controllers); i++)
    {
      g_autoptr (GtkEventController) c = g_list_model_get_item (controllers, i);
      if (GTK_IS_DROP_TARGET (c) &&
          gdk_content_formats_contain_gtype (gtk_drop_target_get_formats (GTK_DROP_TARGET (c)),
                                             GDK_TYPE_FILE_LIST))
        g_signal_emit_by_name (c, "drop", &value, 5.0, 5.0, &taken);
    }
  g_assert_true (taken);
  g_value_unset (&value);
}

static void
notice_cb (AtlSession *session, const char *sentence, char **last)
{
  g_free (*last);
  *last = g_strdup (sentence);
}

static gboolean
has_notice (gpointer data)
{
  return *(char **) data != NULL;
}

static void
test_drop_text (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autofree char *binary = NULL;
  g_autofree char *notice = NULL;
  g_autofree char *composer_notice = NULL;

  app_fixture_start (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  path = g_build_filename (f.dir, "notes.md", NULL);
  binary = g_build_filename (f.dir, "image.dat", NULL);
  g_file_set_contents (path, "# Notes", -1, NULL);
  g_file_set_contents (binary, "a\0b\1", 4, NULL);
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_attachment, get_composer (&f), 5));
  drop (&f, binary);
  g_assert_true (app_fixture_wait (has_notice, &notice, 5));
  g_assert_nonnull (strstr (notice, "image.dat"));
  g_assert_cmpuint (atl_composer_get_n_attachments (ATL_COMPOSER (get_composer (&f))), ==, 1);
  app_fixture_stop (&f);
}

static gboolean
has_dialog (gpointer app)
{
  for (GList *l = gtk_application_get_windows (app); l != NULL; l = l->next)
    if (ADW_IS_MESSAGE_DIALOG (l->data))
      return TRUE;
  for (GListModel *m = gtk_window_get_toplevels (); m != NULL; m = NULL)
    for (guint i = 0; i < g_list_model_get_n_items (m); i++)
      {
        g_autoptr (GtkWidget) w = g_list_model_get_item (m, i);
        if (ADW_IS_MESSAGE_DIALOG (w) && gtk_widget_get_visible (w))
          return TRUE;
      }
  return FALSE;
}

static AdwMessageDialog *
get_dialog (void)
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

static void
test_drop_model (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autofree char *empty = NULL;
  g_autofree char *notice = NULL;

  app_fixture_start (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  path = g_build_filename (f.dir, "model.gguf", NULL);
  g_file_set_contents (path, "GGUF", -1, NULL);
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_dialog, f.app, 5));
  app_fixture_shot (GTK_WIDGET (get_dialog ()), "dialog-add-model");
  adw_message_dialog_response (get_dialog (), "cancel");
  gtk_window_destroy (GTK_WINDOW (get_dialog ()));
  app_fixture_spin (100);
  g_assert_false (atl_session_get_is_loading (f.session));
  /* A folder without models is answered in words. */
  empty = g_build_filename (f.dir, "empty", NULL);
  g_mkdir_with_parents (empty, 0700);
  drop (&f, empty);
  g_assert_true (app_fixture_wait (has_notice, &notice, 5));
  g_assert_nonnull (strstr (notice, "empty"));
  app_fixture_stop (&f);
}

/* --- Chats --- */

static guint
count_chats (AppFixture *f)
{
  g_autoptr (GPtrArray) chats = atl_store_chat_list (atl_session_get_store (f->session), NULL);
  return chats->len;
}

static void
test_delete_chat (void)
{
  AppFixture f;
  gint64 a, b;

  app_fixture_start (&f);
  a = app_fixture_add_chat (&f, "First", "q", "a", NULL, NULL);
  b = app_fixture_add_chat (&f, "Second", "q", "a", NULL, NULL);
  atl_window_open_chat (f.window, b, 0);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.delete-chat", "x", (gint64) 0);
  g_assert_cmpuint (count_chats (&f), ==, 1);
  g_assert_cmpint (atl_conversation_get_chat_id (get_conversation (&f)), ==, a);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_cmpuint (count_chats (&f), ==, 2);
  app_fixture_stop (&f);
}

static void
test_pin_and_search (void)
{
  AppFixture f;
  gint64 id;
  g_autoptr (GPtrArray) lines = NULL;
  g_autoptr (GPtrArray) found = NULL;
  AtlChatEntry *hit = NULL;

  app_fixture_start (&f);
  id = app_fixture_add_chat (&f, "Rainbow", "Why?", "Light & <drops> of water", NULL, NULL);
  app_fixture_add_chat (&f, "Other", "q", "a", NULL, NULL);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.pin-chat", "x", id);
  lines = atl_chat_entries_list (atl_session_get_store (f.session), NULL);
  g_assert_cmpint (((AtlChatEntry *) lines->pdata[0])->kind, ==, ATL_CHAT_ENTRY_HEADING);
  g_assert_cmpint (((AtlChatEntry *) lines->pdata[1])->id, ==, id);
  found = atl_chat_entries_search (atl_session_get_store (f.session), "drops", NULL);
  for (guint i = 0; i < found->len; i++)
    if (((AtlChatEntry *) found->pdata[i])->kind == ATL_CHAT_ENTRY_HIT)
      hit = found->pdata[i];
  g_assert_nonnull (hit);
  g_assert_nonnull (strstr (hit->markup, "<b>drops</b>"));
  g_assert_nonnull (strstr (hit->markup, "&lt;"));
  atl_window_open_chat (f.window, hit->id, hit->message_id);
  app_fixture_spin (200);
  g_assert_true (get_message (get_conversation (&f), 1)->is_found);
  app_fixture_stop (&f);
}

static gboolean
two_chats (gpointer f)
{
  return count_chats (f) == 2;
}

static void
test_export_import (void)
{
  AppFixture f;
  AtlStore *store;
  gint64 id;
  g_autofree char *markdown = NULL;
  g_autofree char *json = NULL;
  g_autoptr (GArray) ids = NULL;

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  exchange (get_conversation (&f), "Question?", "The **answer**");
  id = atl_conversation_get_chat_id (get_conversation (&f));
  markdown = atl_store_export_markdown (store, id, NULL);
  g_assert_nonnull (strstr (markdown, "The **answer**"));
  json = atl_store_export_json (store, id, NULL);
  ids = atl_store_import (store, json, strlen (json), "chat.json", NULL);
  g_assert_cmpuint (ids->len, ==, 1);
  g_assert_true (two_chats (&f));
  atl_window_open_chat (f.window, g_array_index (ids, gint64, 0), 0);
  g_assert_cmpstr (get_message (get_conversation (&f), 1)->content->str, ==, "The **answer**");
  app_fixture_stop (&f);
}

static void
test_days (void)
{
  static const struct
  {
    int days;
    const char *heading;
  } cases[] = { { 0, "Today" }, { 1, "Yesterday" }, { 3, "Last 7 days" }, { 20, "Last 30 days" } };
  g_autoptr (GDateTime) noon = g_date_time_new_local (2026, 7, 15, 12, 0, 0);
  gint64 now = g_date_time_to_unix (noon) * G_USEC_PER_SEC;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *heading =
          atl_chat_entries_day (now - (gint64) cases[i].days * 24 * 3600 * G_USEC_PER_SEC, now);
      g_assert_cmpstr (heading, ==, cases[i].heading);
    }
}

/* --- The whole window --- */

static void
check_names (GtkWidget *widget, guint *n)
{
  if ((GTK_IS_BUTTON (widget) || GTK_IS_MENU_BUTTON (widget)) &&
      !GTK_IS_MENU_BUTTON (gtk_widget_get_parent (widget)))
    {
      const char *label =
          GTK_IS_BUTTON (widget) ? gtk_button_get_label (GTK_BUTTON (widget)) : NULL;
      gboolean icon_only =
          label == NULL && app_fixture_find (widget, GTK_TYPE_LABEL, NULL, NULL) == NULL;
      /* The buttons that GTK makes itself have names of its own. */
      gboolean ours = gtk_widget_get_ancestor (widget, GTK_TYPE_WINDOW_CONTROLS) == NULL &&
                      gtk_widget_get_ancestor (widget, GTK_TYPE_SPIN_BUTTON) == NULL &&
                      gtk_widget_get_ancestor (widget, GTK_TYPE_SEARCH_BAR) == NULL &&
                      gtk_widget_get_ancestor (widget, ADW_TYPE_COMBO_ROW) == NULL &&
                      gtk_widget_get_ancestor (widget, ADW_TYPE_TOAST_OVERLAY) != NULL &&
                      !gtk_widget_has_css_class (widget, "close");
      if (icon_only && ours)
        {
          if (!gtk_test_accessible_has_property (GTK_ACCESSIBLE (widget),
                                                 GTK_ACCESSIBLE_PROPERTY_LABEL))
            g_test_message ("no name: %s (%s)", G_OBJECT_TYPE_NAME (widget),
                            gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)));
          g_assert_true (gtk_test_accessible_has_property (GTK_ACCESSIBLE (widget),
                                                           GTK_ACCESSIBLE_PROPERTY_LABEL));
          (*n)++;
        }
    }
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    check_names (child, n);
}

static void
test_names (void)
{
  AppFixture f;
  guint n = 0;

  app_fixture_start (&f);
  app_fixture_add_chat (&f, "First", "q", "a", NULL, NULL);
  exchange (get_conversation (&f), "one", "```c\nint a;\n```");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  app_fixture_spin (300);
  check_names (GTK_WIDGET (f.window), &n);
  g_test_message ("%u icon-only buttons have names", n);
  g_assert_cmpuint (n, >, 15);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  app_fixture_stop (&f);
}

static void
test_minimum_width (void)
{
  AppFixture f;
  int minimum;

  app_fixture_start (&f);
  exchange (get_conversation (&f),
            "averyveryveryveryveryveryveryveryveryverylongwordwithoutanyspaceinitatall",
            "|a|b|c|d|e|\n|-|-|-|-|-|\n|one|two|three|four|five|\n\n```c\nint "
            "a_very_long_line_of_code = 1234567890 + 1234567890 + 1234567890;\n```");
  gtk_window_set_default_size (GTK_WINDOW (f.window), 360, 640);
  app_fixture_spin (400);
  gtk_widget_measure (GTK_WIDGET (f.window), GTK_ORIENTATION_HORIZONTAL, -1, &minimum, NULL, NULL,
                      NULL);
  g_assert_cmpint (minimum, <=, 360);
  g_assert_true (adw_leaflet_get_folded (ADW_LEAFLET (f.window->leaflet)));
  app_fixture_shot (GTK_WIDGET (f.window), "wide-content-360");
  app_fixture_stop (&f);
}

static void
test_actions (void)
{
  AppFixture f;
  static const char *const actions[] = {
    "win.new-chat",       "win.search",  "win.find",        "win.toggle-sidebar",
    "win.toggle-sidebar", "win.zoom-in", "win.zoom-out",    "win.zoom-reset",
    "win.unload-model",   "win.undo",    "win.choose-model"
  };
  g_autoptr (GtkWidget) preferences = NULL;

  app_fixture_start (&f);
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    {
      g_assert_true (gtk_widget_activate_action (GTK_WIDGET (f.window), actions[i], NULL));
      app_fixture_spin (60);
    }
  g_assert_true (
      gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "models"));
  app_fixture_spin (100);
  g_assert_nonnull (gtk_application_window_get_help_overlay (GTK_APPLICATION_WINDOW (f.window)));
  preferences = g_object_ref_sink (atl_preferences_window_new (f.session));
  gtk_window_present (GTK_WINDOW (preferences));
  app_fixture_spin (100);
  gtk_window_destroy (GTK_WINDOW (preferences));
  app_fixture_stop (&f);
}

static void
test_rtl (void)
{
  AppFixture f;

  gtk_widget_set_default_direction (GTK_TEXT_DIR_RTL);
  app_fixture_start (&f);
  exchange (get_conversation (&f), "שלום", "> ציטוט\n\n- אחד\n- שתיים");
  app_fixture_spin (300);
  app_fixture_shot (GTK_WIDGET (f.window), "rtl");
  app_fixture_stop (&f);
  gtk_widget_set_default_direction (GTK_TEXT_DIR_LTR);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/window/stream", test_stream);
  g_test_add_func ("/app/window/stream-survives-switch", test_stream_survives_switch);
  g_test_add_func ("/app/window/streaming-cost", test_streaming_cost);
  g_test_add_func ("/app/window/checkpoint", test_checkpoint);
  g_test_add_func ("/app/window/engine-lost", test_engine_lost);
  g_test_add_func ("/app/window/markup-is-text", test_markup_is_text);
  g_test_add_func ("/app/window/branches", test_branches);
  g_test_add_func ("/app/window/delete-message", test_delete_message);
  g_test_add_func ("/app/window/edit-answer", test_edit_answer);
  g_test_add_func ("/app/window/long-chat", test_long_chat);
  g_test_add_func ("/app/window/stays-at-end", test_stays_at_end);
  g_test_add_func ("/app/window/composer/keys", test_composer_keys);
  g_test_add_func ("/app/window/composer/without-model", test_composer_without_model);
  g_test_add_func ("/app/window/composer/escape-stops", test_escape_stops);
  g_test_add_func ("/app/window/composer/up-edits-last", test_up_edits_last);
  g_test_add_func ("/app/window/composer/draft", test_draft);
  g_test_add_func ("/app/window/drop/text", test_drop_text);
  g_test_add_func ("/app/window/drop/model", test_drop_model);
  g_test_add_func ("/app/window/chats/delete", test_delete_chat);
  g_test_add_func ("/app/window/chats/pin-and-search", test_pin_and_search);
  g_test_add_func ("/app/window/chats/export-import", test_export_import);
  g_test_add_func ("/app/window/chats/days", test_days);
  g_test_add_func ("/app/window/names", test_names);
  g_test_add_func ("/app/window/minimum-width", test_minimum_width);
  g_test_add_func ("/app/window/actions", test_actions);
  g_test_add_func ("/app/window/rtl", test_rtl);
  return g_test_run ();
}
