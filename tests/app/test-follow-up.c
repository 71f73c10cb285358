/* Chats that are too long for their model, and the ones that go on where they end; without a model:
 * answers are fed to the conversation as the engine's job would feed them. And several at a time.
 */
#include "app-steps.h"

#include "app/chat/attached-files.h"
#include "app/chat/follow-up.h"
#include "app/chat/message-details.h"
#include "store/chats.h"

/* A full chat offers two ways on; the new chat keeps what belongs to it. */
static void
test_follow_up (void)
{
  AppFixture f;
  AtlConversation *old;
  AtlChatStats full = { .n_ctx_used = 8000, .n_ctx = 8192, .stop_reason = (char *) "eos" };
  g_auto (GStrv) pieces = NULL;
  g_autofree char *whole = NULL;
  gint64 id;

  app_fixture_start (&f);
  old = app_conversation (&f);
  app_exchange (old, "first question", "first answer");
  app_begin_turn (old, "last question");
  atl_conversation_answer_text (old, "last answer", FALSE);
  atl_conversation_answer_finish (old, &full);
  atl_conversation_set_system_prompt (old, "Be kind.");
  app_fixture_spin (400);
  app_assert_soon (app_fixture_find_id (GTK_WIDGET (f.window), "summarize_button") != NULL);
  g_assert_nonnull (app_fixture_find_id (GTK_WIDGET (f.window), "start_button"));
  /* Without a model there is none that could see more. */
  g_assert_null (app_fixture_find_id (GTK_WIDGET (f.window), "context_button"));
  /* Where the oldest is forgotten, nothing needs to be done. */
  json_object_set_int_member (atl_conversation_get_settings (old), "shift-context", 1);
  atl_conversation_save_settings (old);
  app_fixture_spin (400);
  g_assert_null (app_fixture_find_id (GTK_WIDGET (f.window), "summarize_button"));
  json_object_set_int_member (atl_conversation_get_settings (old), "shift-context", 0);
  atl_conversation_save_settings (old);
  app_fixture_spin (400);
  app_assert_soon (app_fixture_find_id (GTK_WIDGET (f.window), "summarize_button") != NULL);
  /* Pieces lose nothing and keep to their length. */
  pieces = atl_follow_up_pieces (old, 30);
  g_assert_cmpuint (g_strv_length (pieces), >, 2);
  for (guint i = 0; pieces[i] != NULL; i++)
    g_assert_cmpint (g_utf8_strlen (pieces[i], -1), <=, 30);
  whole = g_strjoinv ("", pieces);
  g_assert_nonnull (strstr (whole, "first question"));
  g_assert_nonnull (strstr (whole, "last answer"));
  id = atl_follow_up_start (old, "All that was said.", NULL);
  g_assert_cmpint (id, !=, 0);
  atl_window_open_chat (f.window, id, 0);
  g_assert_cmpuint (atl_conversation_get_n_messages (app_conversation (&f)), ==, 4);
  g_assert_cmpstr (app_message (app_conversation (&f), 1)->content->str, ==, "All that was said.");
  g_assert_cmpstr (app_message (app_conversation (&f), 3)->content->str, ==, "last answer");
  g_assert_cmpstr (atl_conversation_get_system_prompt (app_conversation (&f)), ==, "Be kind.");
  app_fixture_spin (300);
  g_assert_null (app_fixture_find_id (GTK_WIDGET (f.window), "summarize_button"));
  app_fixture_stop (&f);
}

/* An exchange that fills the context by itself comes along as far as the next answers leave room,
 * and a question that found none waits in the new chat. */
static void
test_follow_up_cut (void)
{
  AppFixture f;
  AtlConversation *old, *next;
  AtlChatStats full = { .n_ctx_used = 512, .n_ctx = 512, .stop_reason = (char *) "context-full" };
  g_autoptr (GError) refusal = g_error_new (ATL_ERROR, ATL_ERROR_TOO_LONG, "It takes 600 tokens.");
  g_autoptr (GString) story = g_string_new (NULL);
  g_autofree char *draft = NULL;
  gint64 id;

  app_fixture_start (&f);
  old = app_conversation (&f);
  for (guint i = 1; i <= 100; i++)
    g_string_append_printf (story, "Chapter %u begins.\n", i);
  app_begin_turn (old, "A long story");
  g_assert_true (atl_conversation_rename (old, "A long story", NULL));
  atl_conversation_answer_text (old, story->str, FALSE);
  atl_conversation_answer_finish (old, &full);
  app_begin_turn (old, "And then?");
  atl_conversation_answer_fail (old, refusal);
  for (guint again = 0; again < 2; again++)
    {
      id = atl_follow_up_start (app_conversation (&f), NULL, NULL);
      g_assert_cmpint (id, !=, 0);
      atl_window_open_chat (f.window, id, 0);
      next = app_conversation (&f);
      g_assert_cmpstr (atl_conversation_get_title (next), ==, "Continued: A long story");
      g_assert_cmpuint (atl_conversation_get_n_messages (next), ==, 2);
      g_assert_cmpstr (app_message (next, 0)->content->str, ==, "A long story");
      g_assert_true (g_str_has_prefix (app_message (next, 1)->content->str, "… Chapter "));
      g_assert_true (g_str_has_suffix (app_message (next, 1)->content->str, "100 begins.\n"));
      g_assert_cmpuint (app_message (next, 1)->content->len, <, story->len * 6 / 10);
      g_assert_cmpuint (app_message (next, 1)->content->len, >, story->len / 4);
      if (again == 0)
        {
          draft = atl_conversation_get_draft (next);
          g_assert_cmpstr (draft, ==, "And then?");
        }
    }
  app_fixture_stop (&f);
}

/* With the question wait its files, in each chat that is begun so. */
static void
test_follow_up_files (void)
{
  static const char files_json[] =
      "[{\"name\": \"a.txt\", \"mime\": \"text/plain\", \"text\": \"first\"},"
      " {\"name\": \"b.txt\", \"mime\": \"text/plain\", \"text\": \"second\"}]";
  AppFixture f;
  AtlConversation *old;
  g_autoptr (GError) refusal = g_error_new (ATL_ERROR, ATL_ERROR_TOO_LONG, "It takes 600 tokens.");
  gint64 ids[2];

  app_fixture_start (&f);
  old = app_conversation (&f);
  app_exchange (old, "first question", "first answer");
  g_assert_true (atl_conversation_begin_turn (old, app_message (old, -1)->id, "What is in them?",
                                              files_json, "Model", NULL));
  atl_conversation_answer_fail (old, refusal);
  for (guint i = 0; i < 2; i++)
    {
      ids[i] = atl_follow_up_start (old, NULL, NULL);
      g_assert_cmpint (ids[i], !=, 0);
    }
  for (guint i = 0; i < 2; i++)
    {
      GPtrArray *files;
      const AtlAttachment *file;

      atl_window_open_chat (f.window, ids[i], 0);
      files = atl_attached_files_get (atl_session_get_attached_files (f.session, ids[i]));
      g_assert_cmpuint (files->len, ==, 2);
      file = files->pdata[1];
      g_assert_cmpstr (file->name, ==, "b.txt");
      g_assert_cmpstr (file->text, ==, "second");
    }
  app_fixture_stop (&f);
}

/* Of an answer that failed it is known later how long the context was. */
static void
test_failed_context (void)
{
  static const char stats[] = "{\"context_size\": 256, \"context_used\": 0}";
  AppFixture f;
  AtlConversation *conversation;
  AtlStore *store;
  g_autoptr (GError) refusal = g_error_new (ATL_ERROR, ATL_ERROR_TOO_LONG, "It takes 600 tokens.");
  g_autofree char *line = NULL;
  guint used, total;
  gint64 chat, id;

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  chat = atl_store_chat_add (store, 0, NULL);
  id = atl_store_message_add (store, chat, 0, ATL_ROLE_USER, "A long question", NULL, NULL);
  id = atl_store_answer_begin (store, chat, id, "Model", NULL);
  g_assert_true (
      atl_store_answer_finish (store, id, ATL_MESSAGE_ERROR, "", NULL, refusal, stats, NULL));
  atl_window_open_chat (f.window, chat, 0);
  conversation = app_conversation (&f);
  atl_conversation_get_context (conversation, &used, &total);
  g_assert_cmpuint (used, ==, 0);
  g_assert_cmpuint (total, ==, 256);
  /* It says nothing about how much of it was used. */
  line = atl_message_details_line (app_message (conversation, -1));
  g_assert_null (line);
  app_fixture_stop (&f);
}

/* Where a further question was refused there are ways on, until the context is longer. */
static void
test_refused_question (void)
{
  static const char *const stats[] = { "{\"context_size\": 256}",
                                       "{\"context_size\": 256, \"context_used\": 100}" };
  AppFixture f;
  AtlStore *store;
  g_autoptr (GError) refusal = g_error_new (ATL_ERROR, ATL_ERROR_TOO_LONG, "It takes 600 tokens.");

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  for (guint fails = 0; fails < 2; fails++)
    {
      gint64 chat = atl_store_chat_add (store, 0, NULL), id = 0;

      for (guint turn = 0; turn < 2; turn++)
        {
          const gboolean failed = turn == 1 && fails;

          id = atl_store_message_add (store, chat, id, ATL_ROLE_USER, "A question", NULL, NULL);
          id = atl_store_answer_begin (store, chat, id, "Model", NULL);
          g_assert_true (atl_store_answer_finish (
              store, id, failed ? ATL_MESSAGE_ERROR : ATL_MESSAGE_COMPLETE, failed ? "" : "Yes.",
              NULL, failed ? refusal : NULL, stats[failed ? 0 : 1], NULL));
        }
      atl_window_open_chat (f.window, chat, 0);
      app_assert_soon ((app_fixture_find_id (GTK_WIDGET (f.window), "start_button") != NULL) ==
                       (fails == 1));
    }
  app_fixture_stop (&f);
}

static guint
count_spinners (GtkWidget *widget)
{
  guint n = GTK_IS_SPINNER (widget) && gtk_widget_get_mapped (widget) ? 1 : 0;

  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    n += count_spinners (child);
  return n;
}

/* Each chat that is being answered shows so in the list. */
static void
test_several_answers (void)
{
  AppFixture f;
  AtlConversation *chats[2];

  app_fixture_start (&f);
  for (guint i = 0; i < 2; i++)
    {
      gint64 id = app_fixture_add_chat (&f, i == 0 ? "First" : "Second", "Why?", "So.", NULL, NULL);

      chats[i] = atl_session_open_conversation (f.session, id);
      app_begin_turn (chats[i], "And then?");
    }
  atl_session_emit_chats_changed (f.session);
  app_assert_soon (count_spinners (f.window->chat_list) == 2);
  atl_conversation_answer_finish (chats[0], &(AtlChatStats){ .stop_reason = (char *) "eos" });
  app_assert_soon (count_spinners (f.window->chat_list) == 1);
  atl_conversation_answer_finish (chats[1], &(AtlChatStats){ .stop_reason = (char *) "eos" });
  app_assert_soon (count_spinners (f.window->chat_list) == 0);
  g_object_unref (chats[0]);
  g_object_unref (chats[1]);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/follow-up/summary", test_follow_up);
  g_test_add_func ("/app/follow-up/cut", test_follow_up_cut);
  g_test_add_func ("/app/follow-up/files", test_follow_up_files);
  g_test_add_func ("/app/follow-up/failed-context", test_failed_context);
  g_test_add_func ("/app/follow-up/refused-question", test_refused_question);
  g_test_add_func ("/app/follow-up/several-answers", test_several_answers);
  return g_test_run ();
}
