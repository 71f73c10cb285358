/* Streaming and messages in the window, on the real store, without a model: the answer is fed to
 * the conversation as the engine's job would feed it. */
#include "app-steps.h"

#include <time.h>

#include "app/chat/chat-view.h"
#include "app/chat/markdown-view.h"
#include "app/window/engine-strip.h"
#include "app/words.h"
#include "store/chats.h"
#include "store/search.h"

/* --- Streaming --- */

static void
test_stream (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlMessageItem *answer;
  GtkWidget *markdown;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  app_begin_turn (conversation, "Tell me");
  g_assert_true (atl_conversation_get_is_running (conversation));
  answer = app_message (conversation, -1);
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_STREAMING);
  for (guint i = 0; i < 60; i++)
    {
      atl_conversation_answer_text (conversation, i % 6 == 5 ? "word.\n\n" : "word ", FALSE);
      app_fixture_run (5);
    }
  app_fixture_spin (150);
  markdown = app_fixture_find (app_message_row (&f, answer), ATL_TYPE_MARKDOWN_VIEW, NULL, NULL);
  /* Growing changes the last blocks only. */
  atl_conversation_answer_text (conversation, "more", FALSE);
  app_fixture_spin (150);
  g_assert_cmpuint (atl_markdown_view_get_n_rebuilt (ATL_MARKDOWN_VIEW (markdown)), <=, 1);
  atl_conversation_answer_finish (conversation, NULL);
  g_assert_false (atl_conversation_get_is_running (conversation));
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_INTERRUPTED);
  app_fixture_stop (&f);
}

/* GTK once kept the height that such an answer has at its least width. */
static void
test_answer_in_one_piece (void)
{
  AppFixture f;
  AtlConversation *conversation;
  GtkWidget *markdown;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  app_begin_turn (conversation, "Where?");
  app_fixture_spin (100);
  atl_conversation_answer_text (conversation, "The capital of France is Paris.", FALSE);
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_spin (300);
  markdown = app_fixture_find (app_message_row (&f, app_message (conversation, -1)),
                               ATL_TYPE_MARKDOWN_VIEW, NULL, NULL);
  g_assert_cmpint (gtk_widget_get_request_mode (markdown), ==, GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH);
  g_assert_cmpint (gtk_widget_get_height (markdown), <, 60);
  app_fixture_stop (&f);
}

static void
test_stream_survives_switch (void)
{
  AppFixture f;
  g_autoptr (AtlConversation) conversation = NULL;
  gint64 id;

  app_fixture_start (&f);
  conversation = g_object_ref (app_conversation (&f));
  app_begin_turn (conversation, "Tell me");
  id = atl_conversation_get_chat_id (conversation);
  atl_conversation_answer_text (conversation, "one ", FALSE);
  atl_window_new_chat (f.window, 0);
  g_assert_true (app_conversation (&f) != conversation);
  atl_conversation_answer_text (conversation, "two", FALSE);
  atl_window_open_chat (f.window, id, 0);
  g_assert_true (app_conversation (&f) == conversation);
  g_assert_cmpstr (app_message (conversation, -1)->content->str, ==, "one two");
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

static gboolean
answer_in_store (AtlStore *store, AtlConversation *conversation, GPtrArray **rows)
{
  const AtlMessage *last;

  g_clear_pointer (rows, g_ptr_array_unref);
  *rows = atl_store_message_list (store, atl_conversation_get_chat_id (conversation), NULL);
  last = (*rows)->pdata[(*rows)->len - 1];
  return g_strcmp0 (last->content, "half an answer") == 0;
}

static void
test_checkpoint (void)
{
  AppFixture f;
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (AtlStore) other = NULL;
  AtlConversation *conversation;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  app_begin_turn (conversation, "Tell me");
  atl_conversation_answer_text (conversation, "thinking", TRUE);
  atl_conversation_answer_text (conversation, "half an answer", FALSE);
  /* What a process that starts now would find, were this one killed. */
  other = atl_store_open (f.dir, NULL);
  app_assert_soon (answer_in_store (other, conversation, &rows));
  g_assert_cmpuint (rows->len, ==, 2);
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
  double thought_ms;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  app_begin_turn (conversation, "Tell me");
  atl_conversation_answer_text (conversation, "Let me see.", TRUE);
  app_fixture_run (20);
  atl_conversation_answer_text (conversation, "half", FALSE);
  thought_ms = app_message (conversation, -1)->stats.thinking_ms;
  g_assert_cmpfloat (thought_ms, >, 0);
  atl_conversation_answer_fail (conversation, error);
  answer = app_message (conversation, -1);
  app_fixture_spin (100);
  app_assert_soon (answer->state == ATL_MESSAGE_ERROR);
  g_assert_cmpstr (answer->content->str, ==, "half");
  g_assert_cmpstr (answer->error_text, ==, "The engine stopped.");
  g_assert_true (
      gtk_widget_get_mapped (app_fixture_find_id (app_message_row (&f, answer), "retry_button")));
  /* How long it thought is known though the engine cannot say it any more. */
  g_assert_cmpfloat_with_epsilon (answer->stats.thinking_ms, thought_ms, 1e-3);
  /* The same where it was stopped before the engine knew of it. */
  app_begin_turn (conversation, "And now?");
  atl_conversation_answer_text (conversation, "Let me see.", TRUE);
  app_fixture_run (20);
  atl_conversation_answer_finish (conversation, NULL);
  g_assert_cmpfloat (app_message (conversation, -1)->stats.thinking_ms, >, 0);
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

/* Prints what 100 tokens a second cost; fails only when nothing is drawn any more. `so_far` is what
 * the answer has already. */
static void
stream_and_measure (const char *so_far, guint times)
{
  static const char *const words[] = { "The ",       "answer ", "has **bold** ", "and `code` ",
                                       "and $x^2$ ", "words.",  "\n\n",          "- a list\n" };
  AppFixture f;
  AtlConversation *conversation;
  gint64 frames[3] = { 0 };
  gint64 start, cpu;
  guint tick;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  for (guint i = 0; i < 10; i++)
    app_exchange (conversation, "question", "a\n\nb **c**\n\n```c\nint a;\n```\n\n- d\n- e");
  app_begin_turn (conversation, "more");
  for (guint i = 0; i < times; i++)
    atl_conversation_answer_text (conversation, so_far, FALSE);
  app_fixture_spin (500);
  tick = gtk_widget_add_tick_callback (GTK_WIDGET (f.window), tick_cb, frames, NULL);
  start = g_get_monotonic_time ();
  cpu = clock ();
  for (guint i = 0; g_get_monotonic_time () - start < 4 * G_USEC_PER_SEC || frames[2] < 10; i++)
    {
      atl_conversation_answer_text (conversation, words[i % G_N_ELEMENTS (words)], FALSE);
      app_fixture_run (10);
    }
  g_test_message ("100 tokens/s: %.0f %% of a core, %" G_GINT64_FORMAT
                  " frames, the longest gap %.0f ms",
                  100.0 * (double) (clock () - cpu) / CLOCKS_PER_SEC /
                      ((double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC),
                  frames[2], (double) frames[1] / 1000);
  gtk_widget_remove_tick_callback (GTK_WIDGET (f.window), tick);
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

static void
test_streaming_cost (void)
{
  stream_and_measure ("", 0);
}

/* The twentieth page of one answer costs what the first does. */
static void
test_streaming_cost_long (void)
{
  stream_and_measure ("## A heading\n\nWords with **bold** and `code`, and $x^2$ among them, a "
                      "line or two long, as answers are.\n\n- a\n- list\n\n| a | table |\n|--|--|"
                      "\n| c | d |\n\n```c\nint a;\nint b;\n```\n\n",
                      50);
}

/* --- Messages --- */

static void
test_markup_is_text (void)
{
  AppFixture f;
  GtkWidget *bubble;
  const char *evil = "<b>bold</b> & <span size=\"9999999\">x";

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), evil, evil);
  app_fixture_spin (200);
  bubble =
      app_fixture_find_id (app_message_row (&f, app_message (app_conversation (&f), 0)), "bubble");
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
  conversation = app_conversation (&f);
  app_exchange (conversation, "one", "answer one");
  g_assert_true (atl_conversation_begin_turn (conversation, 0, "two", NULL, "Model", NULL));
  atl_conversation_answer_text (conversation, "answer two", FALSE);
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_spin (100);
  first = app_message (conversation, 0);
  g_assert_cmpstr (first->content->str, ==, "two");
  g_assert_cmpuint (first->n_branches, ==, 2);
  row = app_message_row (&f, first);
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (app_fixture_find_id (row, "branch_label"))), ==,
                   "2/2");
  gtk_widget_grab_focus (app_fixture_find_id (row, "previous_button"));
  gtk_widget_activate_action (row, "message.previous-branch", NULL);
  app_fixture_spin (100);
  g_assert_cmpstr (app_message (conversation, 0)->content->str, ==, "one");
  g_assert_cmpstr (app_message (conversation, 1)->content->str, ==, "answer one");
  /* Walking on needs no way back to the buttons. */
  row = app_message_row (&f, app_message (conversation, 0));
  g_assert_true (gtk_window_get_focus (GTK_WINDOW (f.window)) ==
                 app_fixture_find_id (row, "next_button"));
  gtk_widget_activate_action (row, "message.next-branch", NULL);
  app_fixture_spin (100);
  row = app_message_row (&f, app_message (conversation, 0));
  g_assert_true (gtk_window_get_focus (GTK_WINDOW (f.window)) ==
                 app_fixture_find_id (row, "previous_button"));
  app_fixture_stop (&f);
}

static void
test_delete_message (void)
{
  AppFixture f;
  AtlConversation *conversation;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  app_exchange (conversation, "one", "first");
  app_exchange (conversation, "two", "second");
  app_fixture_spin (150);
  gtk_widget_activate_action (app_message_row (&f, app_message (conversation, 2)), "message.delete",
                              NULL);
  app_fixture_spin (100);
  app_assert_soon (atl_conversation_get_n_messages (conversation) == 2);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  app_fixture_spin (100);
  app_assert_soon (atl_conversation_get_n_messages (conversation) == 4);
  g_assert_cmpstr (app_message (conversation, 3)->content->str, ==, "second");
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
  conversation = app_conversation (&f);
  app_exchange (conversation, "one", "wrong");
  app_fixture_spin (150);
  answer = app_message (conversation, 1);
  row = app_message_row (&f, answer);
  gtk_widget_activate_action (row, "message.edit", NULL);
  app_fixture_spin (300);
  view = app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_assert_nonnull (view);
  app_assert_soon (gtk_widget_get_height (view) > 10);
  g_assert_cmpint (gtk_widget_get_height (view), <, 60);
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

static gboolean
is_text (GtkWidget *label, gconstpointer text)
{
  return g_str_equal (gtk_label_get_text (GTK_LABEL (label)), text);
}

/* What a person marked and copied. */
static char *
copy_all (GtkWidget *label)
{
  g_auto (GValue) value = G_VALUE_INIT;
  GdkContentProvider *content;

  gtk_label_select_region (GTK_LABEL (label), 0, -1);
  g_signal_emit_by_name (label, "copy-clipboard");
  content = gdk_clipboard_get_content (gtk_widget_get_clipboard (label));
  g_assert_nonnull (content);
  g_value_init (&value, G_TYPE_STRING);
  g_assert_true (gdk_content_provider_get_value (content, &value, NULL));
  return g_value_dup_string (&value);
}

static gboolean
begins_with (GtkWidget *label, gconstpointer text)
{
  return g_str_has_prefix (gtk_label_get_text (GTK_LABEL (label)), text);
}

/* Code among Hebrew words is set apart on the screen only. */
static void
test_code_directions (void)
{
  AppFixture f;
  GtkWidget *row, *hebrew, *english;
  g_autofree char *copied = NULL, *plain = NULL;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "question", "שלום `--help` סוף\n\nhello `--help`");
  app_fixture_spin (200);
  row = app_message_row (&f, app_message (app_conversation (&f), -1));
  hebrew = app_fixture_find (row, GTK_TYPE_LABEL, begins_with, "שלום");
  english = app_fixture_find (row, GTK_TYPE_LABEL, begins_with, "hello");
  g_assert_nonnull (
      strstr (gtk_label_get_text (GTK_LABEL (hebrew)), "\xE2\x81\xA6--help\xE2\x81\xA9"));
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (english)), ==, "hello --help");
  copied = copy_all (hebrew);
  g_assert_cmpstr (copied, ==, "שלום --help סוף");
  plain = copy_all (english);
  g_assert_cmpstr (plain, ==, "hello --help");
  app_fixture_shot (GTK_WIDGET (f.window), "words-code");
  app_fixture_stop (&f);
}

/* Hebrew begins at the right and English at the left, whatever way the window runs; the signs of
 * lists stand where their words begin. */
static void
test_directions (void)
{
  static const char answer[] = "- שלום\n\n- hello\n\n| א | b |\n|--|--|\n| c | d |";
  AppFixture f;

  app_fixture_start (&f);
  for (GtkTextDirection way = GTK_TEXT_DIR_LTR; way <= GTK_TEXT_DIR_RTL; way++)
    {
      GtkWidget *row, *hebrew, *english, *cell;

      gtk_widget_set_default_direction (way);
      app_exchange (app_conversation (&f), "question", answer);
      app_fixture_spin (200);
      row = app_message_row (&f, app_message (app_conversation (&f), -1));
      hebrew = app_fixture_find (row, GTK_TYPE_LABEL, is_text, "שלום");
      english = app_fixture_find (row, GTK_TYPE_LABEL, is_text, "hello");
      cell = app_fixture_find (row, GTK_TYPE_LABEL, is_text, "d");
      g_assert_cmpint (gtk_widget_get_direction (hebrew), ==, GTK_TEXT_DIR_RTL);
      g_assert_cmpint (gtk_widget_get_direction (english), ==, GTK_TEXT_DIR_LTR);
      g_assert_cmpint (gtk_widget_get_direction (cell), ==, GTK_TEXT_DIR_RTL);
      for (guint i = 0; i < 2; i++)
        {
          GtkWidget *words = i == 0 ? hebrew : english;
          GtkWidget *grid = gtk_widget_get_parent (words);
          GtkWidget *sign = app_fixture_find (grid, GTK_TYPE_LABEL, is_text, "•");
          graphene_rect_t at, of;

          g_assert_true (gtk_widget_compute_bounds (sign, grid, &at));
          g_assert_true (gtk_widget_compute_bounds (words, grid, &of));
          g_assert_cmpint (at.origin.x > of.origin.x, ==, i == 0);
        }
      app_fixture_shot (GTK_WIDGET (f.window), way == GTK_TEXT_DIR_LTR ? "words-ltr" : "words-rtl");
    }
  gtk_widget_set_default_direction (GTK_TEXT_DIR_LTR);
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
  conversation = app_conversation (&f);
  g_assert_cmpuint (atl_conversation_get_n_messages (conversation), ==, 2000);
  g_assert_cmpuint (g_list_model_get_n_items (atl_conversation_get_messages (conversation)), <,
                    100);
  app_assert_soon (atl_chat_view_get_is_at_end (
      ATL_CHAT_VIEW (app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_CHAT_VIEW, NULL, NULL))));
  /* A place far up is reached by a search. */
  g_autoptr (GPtrArray) hits = atl_store_search (store, "\"Message 3\"", 10, NULL);
  g_assert_cmpint (atl_conversation_show_message (conversation, parent - 1500), >=, 0);
  app_fixture_spin (200);
  app_fixture_stop (&f);
}

static void
disposed_cb (gpointer data, GObject *where)
{
  *(GThread **) data = g_thread_self ();
}

static gpointer
drop_thread (gpointer icon)
{
  g_object_unref (icon);
  return NULL;
}

/* GTK's threads that load icons may be the last that know one: it still goes on the main thread. */
static void
test_icon_threads (void)
{
  g_autoptr (GFile) file = g_file_new_for_path ("/nonexistent/icon.svg");
  GtkIconPaintable *icon;
  GThread *thread = NULL;
  AppFixture f;

  app_fixture_start (&f);
  icon = gtk_icon_paintable_new_for_file (file, 16, 1);
  g_object_weak_ref (G_OBJECT (icon), disposed_cb, &thread);
  g_thread_join (g_thread_new ("icons", drop_thread, icon));
  app_assert_soon (thread != NULL);
  g_assert_true (thread == g_thread_self ());
  app_fixture_stop (&f);
}

/* The next start is on the page that was in sight last. */
static void
test_last_page (void)
{
  AtlWindow *next;
  AppFixture f;

  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  next = atl_window_new (GTK_APPLICATION (f.app), f.session);
  atl_window_open_last (next);
  g_assert_true (atl_window_shows_page (next, "images"));
  /* What is typed then is the prompt. */
  g_assert_true (GTK_IS_TEXT_VIEW (gtk_window_get_focus (GTK_WINDOW (next))));
  gtk_window_present (GTK_WINDOW (next));
  app_assert_soon (gtk_widget_get_mapped (GTK_WIDGET (next)));
  /* GTK moves it with the first events. */
  app_fixture_spin (200);
  g_assert_true (GTK_IS_TEXT_VIEW (gtk_window_get_focus (GTK_WINDOW (next))));
  gtk_window_destroy (GTK_WINDOW (next));
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "chats");
  next = atl_window_new (GTK_APPLICATION (f.app), f.session);
  atl_window_open_last (next);
  g_assert_true (atl_window_shows_page (next, "chats"));
  gtk_window_destroy (GTK_WINDOW (next));
  app_fixture_stop (&f);
}

/* A model that is read from the disk since it is larger than the memory takes no "20 GB of 8 GB".
 */
static void
test_memory_words (void)
{
  g_autofree char *none = atl_engine_strip_memory_words (0, 8000000000);
  g_autofree char *some = atl_engine_strip_memory_words (2000000000, 8000000000);
  g_autofree char *more = atl_engine_strip_memory_words (20000000000, 8000000000);

  g_assert_cmpstr (none, ==, "Memory is free");
  g_assert_nonnull (strstr (some, " of "));
  g_assert_null (strstr (more, " of "));
  g_assert_nonnull (strstr (more, "disk"));
}

/* What a chat is called when it is saved. */
static void
test_file_names (void)
{
  static const char *const cases[][2] = {
    { "Name three animals.", "Name three animals.md" },
    { "Why? And so on ... ", "Why? And so on.md" },
    { "..", "Chat.md" },
    { "a/b", "a b.md" },
    { "../etc/passwd", "etc passwd.md" },
    { "\342\200\256abc\342\200\254", "abc.md" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name = atl_file_name_from_title (cases[i][0], ".md");

      g_assert_cmpstr (name, ==, cases[i][1]);
    }
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/window/memory-words", test_memory_words);
  g_test_add_func ("/app/window/file-names", test_file_names);
  g_test_add_func ("/app/window/stream", test_stream);
  g_test_add_func ("/app/window/answer-in-one-piece", test_answer_in_one_piece);
  g_test_add_func ("/app/window/stream-survives-switch", test_stream_survives_switch);
  g_test_add_func ("/app/window/streaming-cost", test_streaming_cost);
  g_test_add_func ("/app/window/streaming-cost-long", test_streaming_cost_long);
  g_test_add_func ("/app/window/checkpoint", test_checkpoint);
  g_test_add_func ("/app/window/engine-lost", test_engine_lost);
  g_test_add_func ("/app/window/markup-is-text", test_markup_is_text);
  g_test_add_func ("/app/window/branches", test_branches);
  g_test_add_func ("/app/window/delete-message", test_delete_message);
  g_test_add_func ("/app/window/edit-answer", test_edit_answer);
  g_test_add_func ("/app/window/directions", test_directions);
  g_test_add_func ("/app/window/code-directions", test_code_directions);
  g_test_add_func ("/app/window/long-chat", test_long_chat);
  g_test_add_func ("/app/window/icon-threads", test_icon_threads);
  g_test_add_func ("/app/window/last-page", test_last_page);
  return g_test_run ();
}
