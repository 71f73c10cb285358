/* Lists that scroll: nothing is asked of rows that were never laid out, and what did not change
 * stays. GTK warns about the first, and a warning fails a test. */
#include "app-steps.h"

#include "app/chat/chat-list-row.h"
#include "app/chat/chat-list.h"
#include "app/chat/chat-view.h"
#include "store/chats.h"

#define LONG_ANSWER                                                                                \
  "One paragraph that is long enough to be wrapped into several lines, whatever the width of the " \
  "window may be.\n\n- a\n- list\n- of\n- lines\n\n"

static gint64
add_chat (AppFixture *f, const char *title, guint n, const char *text)
{
  AtlStore *store = atl_session_get_store (f->session);
  gint64 chat = atl_store_chat_add (store, 0, NULL);
  gint64 parent = 0, asked, answer;

  for (guint i = 0; i < n; i++)
    {
      g_assert_true (atl_store_turn_begin (store, chat, parent, "A question", NULL, "Model", &asked,
                                           &answer, NULL));
      g_assert_true (atl_store_answer_finish (store, answer, ATL_MESSAGE_COMPLETE, text, NULL, NULL,
                                              NULL, NULL));
      parent = answer;
    }
  g_assert_true (atl_store_chat_suggest_title (store, chat, title, NULL));
  atl_session_emit_chats_changed (f->session);
  return chat;
}

static gint64
add_long_chat (AppFixture *f, const char *title, guint n)
{
  return add_chat (f, title, n, LONG_ANSWER LONG_ANSWER LONG_ANSWER);
}

static GtkAdjustment *
get_adjustment (GtkWidget *list)
{
  GtkWidget *scroller = app_fixture_find_id (list, "scroller");

  g_assert_nonnull (scroller);
  return gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller));
}

/* What the wheel does, at a moment when the frame that lays out new rows has not come yet. */
static void
turn_wheel (GtkAdjustment *adjustment, double px)
{
  gtk_adjustment_set_value (adjustment, gtk_adjustment_get_value (adjustment) + px);
}

static GtkWidget *
chat_view (AppFixture *f)
{
  return app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_CHAT_VIEW, NULL, NULL);
}

static gboolean
is_at_end (gpointer view)
{
  return atl_chat_view_get_is_at_end (view);
}

static void
test_other_chat (void)
{
  AppFixture f;
  gint64 first, second;
  GtkWidget *view;

  app_fixture_start (&f);
  first = add_long_chat (&f, "First", 12);
  second = add_long_chat (&f, "Second", 12);
  atl_window_open_chat (f.window, first, 0);
  view = chat_view (&f);
  g_assert_true (app_fixture_wait (is_at_end, view, 5));
  app_fixture_spin (200);
  for (guint i = 0; i < 6; i++)
    {
      turn_wheel (get_adjustment (view), -400);
      atl_window_open_chat (f.window, i % 2 == 0 ? second : first, 0);
      turn_wheel (get_adjustment (view), i < 3 ? -200 : 200);
      g_assert_true (app_fixture_wait (is_at_end, view, 5));
      app_fixture_spin (200);
      g_assert_cmpfloat (gtk_adjustment_get_upper (get_adjustment (view)), >, 1000);
      g_assert_cmpfloat (gtk_adjustment_get_value (get_adjustment (view)), >, 100);
    }
  app_fixture_stop (&f);
}

static gboolean
is_filled (gpointer adjustment)
{
  return gtk_adjustment_get_upper (adjustment) >= 2 * gtk_adjustment_get_page_size (adjustment);
}

/* What is shown first of a chat is little, but never less than the view has room for. */
static void
test_short_messages (void)
{
  AppFixture f;

  app_fixture_start (&f);
  atl_window_open_chat (f.window, add_chat (&f, "Short", 60, "Yes."), 0);
  gtk_window_set_default_size (GTK_WINDOW (f.window), 1280, 860);
  g_assert_true (app_fixture_wait (is_filled, get_adjustment (chat_view (&f)), 5));
  app_fixture_spin (200);
  app_assert_soon (is_at_end (chat_view (&f)));
  g_assert_cmpuint (
      g_list_model_get_n_items (atl_conversation_get_messages (app_conversation (&f))), <, 120);
  app_fixture_stop (&f);
}

/* Another first question: no message of the old path is left. */
static void
test_other_path (void)
{
  AppFixture f;
  AtlConversation *conversation;
  GtkWidget *view;
  g_autoptr (GError) error = NULL;

  app_fixture_start (&f);
  atl_window_open_chat (f.window, add_long_chat (&f, "Chat", 6), 0);
  view = chat_view (&f);
  conversation = app_conversation (&f);
  g_assert_true (app_fixture_wait (is_at_end, view, 5));
  app_fixture_spin (200);
  g_assert_true (atl_conversation_begin_turn (conversation, 0, "Another one", NULL, "M", &error));
  g_assert_no_error (error);
  turn_wheel (get_adjustment (view), -200);
  atl_conversation_answer_text (conversation, LONG_ANSWER, FALSE);
  atl_conversation_stop (conversation);
  app_fixture_spin (200);
  g_assert_true (
      atl_conversation_step_branch (conversation, app_message (conversation, 0), -1, &error));
  g_assert_no_error (error);
  turn_wheel (get_adjustment (view), 200);
  app_fixture_spin (200);
  app_assert_soon (atl_conversation_get_n_messages (conversation) == 12);
  app_fixture_stop (&f);
}

static gboolean
row_is (GtkWidget *widget, gconstpointer title)
{
  GtkWidget *label = app_fixture_find (widget, GTK_TYPE_LABEL, NULL, NULL);

  return label != NULL && g_strcmp0 (gtk_label_get_text (GTK_LABEL (label)), title) == 0;
}

static GtkWidget *
find_line (AppFixture *f, const char *title)
{
  return app_fixture_find (f->window->chat_list, ATL_TYPE_CHAT_LIST_ROW, row_is, title);
}

/* A chat that gets a title leaves the lines of the others alone, with the place and the focus. */
static void
test_sidebar (void)
{
  AppFixture f;
  GtkWidget *line, *focus;
  gint64 last = 0;

  app_fixture_start (&f);
  for (guint i = 0; i < 60; i++)
    {
      g_autofree char *title = g_strdup_printf ("Chat %u", i);
      last = app_fixture_add_chat (&f, title, "needle?", "Here.", NULL, NULL);
    }
  app_fixture_spin (200);
  line = find_line (&f, "Chat 50");
  g_assert_nonnull (line);
  focus = gtk_widget_get_parent (line);
  g_assert_true (gtk_widget_grab_focus (focus));
  turn_wheel (get_adjustment (f.window->chat_list), 100);
  app_fixture_spin (200);
  {
    g_autoptr (AtlConversation) chat = atl_session_open_conversation (f.session, last);
    g_assert_true (atl_conversation_rename (chat, "Renamed", NULL));
  }
  app_fixture_spin (200);
  app_assert_soon (find_line (&f, "Renamed") != NULL);
  g_assert_true (find_line (&f, "Chat 50") == line);
  g_assert_true (gtk_window_get_focus (GTK_WINDOW (f.window)) == focus);
  g_assert_cmpfloat (gtk_adjustment_get_value (get_adjustment (f.window->chat_list)), ==, 100);
  /* Enter means what is typed, also where the list has not followed yet. */
  atl_chat_list_search (ATL_CHAT_LIST (f.window->chat_list), "\"Chat 7\"");
  g_signal_emit_by_name (app_fixture_find (f.window->chat_list, GTK_TYPE_SEARCH_ENTRY, NULL, NULL),
                         "activate");
  app_assert_soon (g_str_equal (atl_conversation_get_title (app_conversation (&f)), "Chat 7"));
  /* A search has other lines altogether. */
  atl_chat_list_search (ATL_CHAT_LIST (f.window->chat_list), "needle");
  app_fixture_spin (300);
  turn_wheel (get_adjustment (f.window->chat_list), 500);
  app_fixture_spin (200);
  gtk_search_bar_set_search_mode (
      GTK_SEARCH_BAR (app_fixture_find_id (f.window->chat_list, "search_bar")), FALSE);
  turn_wheel (get_adjustment (f.window->chat_list), -100);
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
  conversation = app_conversation (&f);
  for (guint i = 0; i < 12; i++)
    app_exchange (conversation, "question", "a\n\nb\n\nc\n\nd\n\ne\n\nf");
  app_fixture_spin (300);
  view = ATL_CHAT_VIEW (app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_CHAT_VIEW, NULL, NULL));
  scroller = app_fixture_find_id (GTK_WIDGET (view), "scroller");
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller));
  g_assert_true (atl_chat_view_get_is_at_end (view));
  app_begin_turn (conversation, "more");
  for (guint i = 0; i < 20; i++)
    {
      atl_conversation_answer_text (conversation, "A paragraph.\n\n", FALSE);
      app_fixture_spin (30);
    }
  app_assert_soon (atl_chat_view_get_is_at_end (view));
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
  app_assert_soon (atl_chat_view_get_is_at_end (view));
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

static gboolean
scroll_up (gpointer adjustment)
{
  gtk_adjustment_set_value (adjustment, gtk_adjustment_get_value (adjustment) - 400);
  return G_SOURCE_REMOVE;
}

/* Between the layout and the next frame. */
static void
grown_cb (GtkAdjustment *adjustment, guint *n)
{
  if ((*n)++ == 0)
    g_idle_add_full (G_PRIORITY_HIGH, scroll_up, adjustment, NULL);
}

/* A person who scrolls up just after the answer has grown stays there, too. */
static void
test_scrolls_while_growing (void)
{
  AppFixture f;
  AtlConversation *conversation;
  AtlChatView *view;
  GtkAdjustment *adjustment;
  guint n = 0;

  app_fixture_start (&f);
  conversation = app_conversation (&f);
  for (guint i = 0; i < 12; i++)
    app_exchange (conversation, "question", "a\n\nb\n\nc\n\nd\n\ne\n\nf");
  app_fixture_spin (300);
  view = ATL_CHAT_VIEW (app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_CHAT_VIEW, NULL, NULL));
  adjustment = gtk_scrolled_window_get_vadjustment (
      GTK_SCROLLED_WINDOW (app_fixture_find_id (GTK_WIDGET (view), "scroller")));
  app_begin_turn (conversation, "more");
  app_assert_soon (atl_chat_view_get_is_at_end (view));
  app_fixture_spin (300);
  g_signal_connect (adjustment, "changed", G_CALLBACK (grown_cb), &n);
  atl_conversation_answer_text (conversation, "A paragraph.\n\nAnd another.\n\n", FALSE);
  app_assert_soon (n > 0);
  app_fixture_spin (300);
  g_assert_false (atl_chat_view_get_is_at_end (view));
  g_signal_handlers_disconnect_by_func (adjustment, grown_cb, &n);
  atl_conversation_answer_finish (conversation, NULL);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/scroll/stays-at-end", test_stays_at_end);
  g_test_add_func ("/app/scroll/while-growing", test_scrolls_while_growing);
  g_test_add_func ("/app/scroll/other-chat", test_other_chat);
  g_test_add_func ("/app/scroll/short-messages", test_short_messages);
  g_test_add_func ("/app/scroll/other-path", test_other_path);
  g_test_add_func ("/app/scroll/sidebar", test_sidebar);
  return g_test_run ();
}
