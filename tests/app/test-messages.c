/* What the engine is told of a chat; without a model: answers are fed to the conversation as the
 * engine's job would feed them. */
#include "app-steps.h"

#include <string.h>

#include "app/chat/chat-view.h"
#include "app/chat/json-lines.h"
#include "app/chat/message-row.h"
#include "app/chat/tool-card.h"

#define WEATHER "{\"city\": \"Bern\"}"

/* "role:content" of each message that the next answer would see, with its thoughts, its calls and
 * the id of the call that it answers, one a line; the caller's. */
static char *
told (AtlConversation *conversation, AtlMessageItem *last)
{
  g_autofree char *json = atl_conversation_to_messages (conversation, last);
  g_autoptr (JsonNode) node = json_from_string (json, NULL);
  g_autoptr (GString) lines = g_string_new (NULL);
  JsonArray *messages = json_node_get_array (node);

  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonObject *message = json_array_get_object_element (messages, i);

      g_string_append_printf (lines, "%s%s:%s", i > 0 ? "\n" : "",
                              json_object_get_string_member (message, "role"),
                              json_object_get_string_member (message, "content"));
      if (json_object_has_member (message, "thinking"))
        g_string_append_printf (lines, " (%s)",
                                json_object_get_string_member (message, "thinking"));
      if (json_object_has_member (message, "tool_calls"))
        {
          JsonNode *calls = json_object_get_member (message, "tool_calls");
          g_autofree char *text = json_to_string (calls, FALSE);

          g_string_append_printf (lines, " %s", text);
        }
      if (json_object_has_member (message, "tool_call_id"))
        g_string_append_printf (lines, " <%s %s>",
                                json_object_get_string_member (message, "tool_call_id"),
                                json_object_get_string_member (message, "name"));
    }
  return g_strdup (lines->str);
}

static void
assert_told (AtlConversation *conversation, AtlMessageItem *last, const char *expected)
{
  g_autofree char *lines = told (conversation, last);

  g_assert_cmpstr (lines, ==, expected);
}

/* Many templates refuse two questions in a row. */
static void
test_unanswered (void)
{
  AppFixture f;
  AtlConversation *chat;
  g_autoptr (GError) failure = g_error_new (ATL_ERROR, ATL_ERROR_NO_MEMORY, "No memory.");

  app_fixture_start (&f);
  chat = app_conversation (&f);
  atl_conversation_set_system_prompt (chat, "Be kind.");
  app_begin_turn (chat, "one");
  atl_conversation_answer_text (chat, "only a thought", TRUE);
  atl_conversation_answer_finish (chat, NULL);
  app_begin_turn (chat, "two");
  atl_conversation_answer_fail (chat, failure);
  app_begin_turn (chat, "three");
  assert_told (chat, app_message (chat, -2), "system:Be kind.\nuser:one\n\ntwo\n\nthree");
  atl_conversation_answer_text (chat, "an answer", FALSE);
  atl_conversation_answer_finish (chat, NULL);
  app_begin_turn (chat, "four");
  assert_told (chat, app_message (chat, -2),
               "system:Be kind.\nuser:one\n\ntwo\n\nthree\nassistant:an answer\nuser:four");
  atl_conversation_answer_finish (chat, NULL);
  app_fixture_stop (&f);
}

static gboolean
can_continue (AppFixture *f)
{
  GtkWidget *row = app_message_row (f, app_message (app_conversation (f), -1));

  return app_fixture_find_id (row, "continue_button") != NULL;
}

static gboolean
is_copy_button (GtkWidget *widget, gconstpointer data)
{
  return g_strcmp0 (gtk_actionable_get_action_name (GTK_ACTIONABLE (widget)), "message.copy") == 0;
}

static gboolean
can_copy (AppFixture *f)
{
  GtkWidget *row = app_message_row (f, app_message (app_conversation (f), -1));

  return gtk_widget_is_sensitive (app_fixture_find (row, GTK_TYPE_BUTTON, is_copy_button, NULL));
}

/* What goes on is told with its thoughts, and may have nothing else yet; elsewhere they are not
 * told. */
static void
test_thoughts (void)
{
  AppFixture f;
  AtlConversation *chat;

  app_fixture_start (&f);
  chat = app_conversation (&f);
  app_begin_turn (chat, "one");
  atl_conversation_answer_finish (chat, NULL);
  g_assert_false (can_continue (&f));
  app_begin_turn (chat, "two");
  atl_conversation_answer_text (chat, "Hm, is", TRUE);
  atl_conversation_answer_finish (chat, NULL);
  g_assert_true (can_continue (&f));
  g_assert_false (can_copy (&f));
  assert_told (chat, app_message (chat, -1), "user:one\n\ntwo\nassistant: (Hm, is)");
  app_begin_turn (chat, "three");
  atl_conversation_answer_text (chat, "Hm.", TRUE);
  atl_conversation_answer_text (chat, "It", FALSE);
  atl_conversation_answer_finish (chat, NULL);
  g_assert_true (can_continue (&f));
  g_assert_true (can_copy (&f));
  assert_told (chat, app_message (chat, -1), "user:one\n\ntwo\n\nthree\nassistant:It (Hm.)");
  app_begin_turn (chat, "four");
  assert_told (chat, app_message (chat, -2), "user:one\n\ntwo\n\nthree\nassistant:It\nuser:four");
  atl_conversation_answer_finish (chat, NULL);
  app_fixture_stop (&f);
}

static void
test_calls (void)
{
  AppFixture f;
  AtlConversation *chat;
  g_autofree char *bern = atl_tool_card_to_text ("weather", WEATHER);
  g_autofree char *basel = atl_tool_card_to_text ("time", "{}");
  g_autofree char *one = g_strconcat ("I look.\n\n", bern, NULL);
  g_autofree char *two = g_strconcat (bern, "\n\n", basel, NULL);
  g_autofree char *raw = NULL;
  g_autofree char *each = NULL;

  app_fixture_start (&f);
  chat = app_conversation (&f);
  app_exchange (chat, "Weather?", one);
  /* Without a reply, as for a title, and where it is gone on with, it stays what it says. */
  raw = g_strconcat ("user:Weather?\nassistant:", one, NULL);
  assert_told (chat, NULL, raw);
  app_begin_turn (chat, "12 degrees");
  assert_told (chat, app_message (chat, -2),
               "user:Weather?\nassistant:I look. [{\"id\":\"call00000\",\"type\":\"function\","
               "\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Bern\"}}}]\n"
               "tool:12 degrees <call00000 weather>");
  /* What is said to no answer belongs to the result. */
  atl_conversation_answer_finish (chat, NULL);
  app_begin_turn (chat, "and sunny");
  assert_told (chat, app_message (chat, -2),
               "user:Weather?\nassistant:I look. [{\"id\":\"call00000\",\"type\":\"function\","
               "\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Bern\"}}}]\n"
               "tool:12 degrees\n\nand sunny <call00000 weather>");
  atl_conversation_answer_finish (chat, NULL);
  atl_window_new_chat (f.window, 0);

  chat = app_conversation (&f);
  app_exchange (chat, "Both?", two);
  app_exchange (chat, "12 degrees, noon", "Nice.");
  assert_told (chat, NULL,
               "user:Both?\nassistant: [{\"id\":\"call00000\",\"type\":\"function\","
               "\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Bern\"}}},"
               "{\"id\":\"call00001\",\"type\":\"function\",\"function\":{\"name\":\"time\","
               "\"arguments\":{}}}]\n"
               "tool:12 degrees, noon <call00000 weather>\n"
               "tool:12 degrees, noon <call00001 time>\nassistant:Nice.");
  atl_window_new_chat (f.window, 0);

  /* A list of as many results has one for each. */
  chat = app_conversation (&f);
  app_exchange (chat, "Both?", two);
  app_begin_turn (chat, "[\"12 degrees\", {\"hour\": 12}]");
  each = told (chat, app_message (chat, -2));
  g_assert_nonnull (strstr (each, "\ntool:12 degrees <call00000 weather>\n"
                                  "tool:{\"hour\":12} <call00001 time>"));
  atl_conversation_answer_finish (chat, NULL);
  app_fixture_stop (&f);
}

/* What is no call (any more) stays text. */
static void
test_no_calls (void)
{
  static const char *const texts[] = {
    "no call at all",
    "```tool-call\nweather\n{\"city\": \n```\n",
    "```tool-call\nweather\n{}",
    "```tool-call\n\n{}\n```",
    "```tool-call\nweather\n[1]\n```",
    "```tool-call\nweather\n```",
    "say ```tool-call\nweather\n{}\n```",
    "```tool-call\nweather\n{}\n```\n```tool-call\nbroken\n```\n",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *rest = NULL;
      g_autoptr (JsonArray) calls = atl_tool_card_calls (texts[i], &rest);

      g_test_message ("%s", texts[i]);
      g_assert_null (calls);
      g_assert_null (rest);
    }
}

static void
test_json_lines (void)
{
  static const struct
  {
    const char *json, *lines;
  } texts[] = {
    { "", "" },
    { "{}", "{}" },
    { " [ ] ", "[]" },
    { "{\"a\":1.50,\"b\" : [ true,null ]}",
      "{\n  \"a\": 1.50,\n  \"b\": [\n    true,\n    null\n  ]\n}" },
    { "{\n\n\"a\": {}}", "{\n  \"a\": {}\n}" },
    { "[\"a, b: {c}\",\"\\\"\\\\\"]", "[\n  \"a, b: {c}\",\n  \"\\\"\\\\\"\n]" },
    { "{\"a\": \"cut o", "{\n  \"a\": \"cut o" },
    { "[\"cut\\", "[\n  \"cut\\" },
    { "]}", "\n]\n}" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *lines = atl_json_lines (texts[i].json);

      g_assert_cmpstr (lines, ==, texts[i].lines);
      /* Lines that are there stay when more comes. */
      for (gsize n = 0; i < 8 && n < strlen (texts[i].json); n++)
        {
          g_autofree char *head = g_strndup (texts[i].json, n);
          g_autofree char *first = atl_json_lines (head);

          g_assert_true (g_str_has_prefix (lines, first));
        }
    }
}

static void
assert_drawn (AtlMessageItem *item, const char *expected)
{
  g_autofree char *drawn = atl_message_item_to_markdown (item);

  g_assert_cmpstr (drawn, ==, expected);
}

/* JSON is drawn as a listing, in lines, also while it comes and where it was stopped. */
static void
test_json_answers (void)
{
  AppFixture f;
  AtlConversation *chat;
  AtlMessageItem *item;
  const AtlAnswerStats asked = { .is_json = TRUE };
  const AtlChatStats ended = { .stop_reason = (char *) "eos" };
  g_autofree char *stats = atl_answer_stats_to_json (&ended, &asked);

  app_fixture_start (&f);
  chat = app_conversation (&f);
  app_exchange (chat, "a", "{\"a\":1}");
  item = app_message (chat, -1);
  assert_drawn (item, "```json\n{\n  \"a\": 1\n}\n```");
  g_assert_true (atl_conversation_edit (chat, item, "{a} is a set.", NULL));
  assert_drawn (item, "{a} is a set.");
  app_exchange (chat, "b", "[1] says so.");
  assert_drawn (app_message (chat, -1), "[1] says so.");
  app_exchange (chat, "c", "42");
  assert_drawn (app_message (chat, -1), "42");
  assert_drawn (app_message (chat, -2), "c");

  app_begin_turn (chat, "d");
  item = app_message (chat, -1);
  atl_conversation_answer_text (chat, "{\"a\":[", FALSE);
  assert_drawn (item, "{\"a\":[");
  item->stats.is_json = TRUE;
  assert_drawn (item, "```json\n{\n  \"a\": [\n```");
  atl_message_item_end (item, ATL_MESSAGE_INTERRUPTED, NULL, stats);
  assert_drawn (item, "```json\n{\n  \"a\": [\n```");
  g_string_assign (item->content, "\"text\"");
  atl_message_item_end (item, ATL_MESSAGE_COMPLETE, NULL, stats);
  assert_drawn (item, "```json\n\"text\"\n```");
  g_string_assign (item->content, "No more: of it");
  assert_drawn (item, "No more: of it");
  atl_conversation_answer_finish (chat, NULL);
  app_fixture_stop (&f);
}

/* The time above thoughts is the one that was seen while the answer came. */
static void
test_thinking_time (void)
{
  AppFixture f;
  AtlConversation *chat;
  const AtlChatStats ended = { .stop_reason = (char *) "eos", .thinking_ms = 3600e3 };
  double seen_ms;

  app_fixture_start (&f);
  chat = app_conversation (&f);
  app_begin_turn (chat, "one");
  atl_conversation_answer_text (chat, "hm", TRUE);
  app_fixture_run (20);
  atl_conversation_answer_text (chat, "yes", FALSE);
  seen_ms = app_message (chat, -1)->stats.thinking_ms;
  g_assert_cmpfloat (seen_ms, >, 0);
  atl_conversation_answer_finish (chat, &ended);
  g_assert_cmpfloat_with_epsilon (app_message (chat, -1)->stats.thinking_ms, seen_ms, 1e-3);
  app_fixture_stop (&f);
}

/* An answer without a word says why. */
static void
test_empty (void)
{
  AppFixture f;
  AtlConversation *chat;
  const AtlChatStats ended = { .stop_reason = (char *) "eos" };
  GtkWidget *label;

  app_fixture_start (&f);
  chat = app_conversation (&f);
  app_begin_turn (chat, "one");
  atl_conversation_answer_finish (chat, &ended);
  label = app_fixture_find_id (app_message_row (&f, app_message (chat, -1)), "empty_label");
  g_assert_nonnull (label);
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (label)), ==, "The model wrote nothing");
  app_begin_turn (chat, "two");
  atl_conversation_answer_text (chat, "hm", TRUE);
  atl_conversation_answer_finish (chat, &ended);
  label = app_fixture_find_id (app_message_row (&f, app_message (chat, -1)), "empty_label");
  g_assert_nonnull (label);
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (label)), ==,
                   "The model ended after its thoughts");
  app_exchange (chat, "three", "four");
  g_assert_null (app_fixture_find_id (app_message_row (&f, app_message (chat, -1)), "empty_label"));
  app_fixture_stop (&f);
}

static gboolean
is_copy_code (GtkWidget *button, gconstpointer data)
{
  return g_strcmp0 (gtk_widget_get_tooltip_text (button), "Copy code") == 0;
}

/* What lies in this program's own clipboard; a last line end may have been cut off by Markdown. */
static void
assert_copied (GdkClipboard *clipboard, const char *expected)
{
  GdkContentProvider *content = gdk_clipboard_get_content (clipboard);
  g_auto (GValue) value = G_VALUE_INIT;
  g_autofree char *with_end = NULL;

  g_assert_nonnull (content);
  g_value_init (&value, G_TYPE_STRING);
  g_assert_true (gdk_content_provider_get_value (content, &value, NULL));
  with_end = g_strconcat (g_value_get_string (&value),
                          g_str_has_suffix (g_value_get_string (&value), "\n") ? "" : "\n", NULL);
  g_assert_cmpstr (with_end, ==, expected);
}

/* Lines of code begin at the left, whatever their comments are written in; what is copied is what
 * the model wrote. */
static void
test_code_direction (void)
{
  static const char code[] =
      "x = 1\n    # \331\205\330\252\331\210\330\263\330\267\n\"\327\220\" + y\n";
  AppFixture f;
  AtlConversation *chat;
  GtkWidget *view, *button;
  GtkTextBuffer *buffer;
  GtkTextIter start, end;
  GdkRectangle place;
  GdkClipboard *clipboard;
  g_autofree char *answer = g_strdup_printf ("```python\n%s```\n", code);

  app_fixture_start (&f);
  chat = app_conversation (&f);
  app_exchange (chat, "one", answer);
  app_fixture_spin (300);
  view = app_fixture_find (app_message_row (&f, app_message (chat, -1)), GTK_TYPE_TEXT_VIEW, NULL,
                           NULL);
  g_assert_nonnull (view);
  buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (view));
  for (int line = 0; line < 3; line++)
    {
      gtk_text_buffer_get_iter_at_line (buffer, &start, line);
      gtk_text_view_get_iter_location (GTK_TEXT_VIEW (view), &start, &place);
      g_assert_cmpint (place.x, <, 20);
    }
  clipboard = gtk_widget_get_clipboard (view);
  gtk_text_buffer_get_bounds (buffer, &start, &end);
  gtk_text_buffer_select_range (buffer, &start, &end);
  g_signal_emit_by_name (view, "copy-clipboard");
  assert_copied (clipboard, code);
  gdk_clipboard_set_text (clipboard, "");
  button = app_fixture_find (app_message_row (&f, app_message (chat, -1)), GTK_TYPE_BUTTON,
                             is_copy_code, NULL);
  g_signal_emit_by_name (button, "clicked");
  assert_copied (clipboard, code);
  app_fixture_stop (&f);
}

static gboolean
shows (GtkWidget *row, gconstpointer item)
{
  return atl_message_row_get_item (ATL_MESSAGE_ROW (row)) == item;
}

static gboolean
is_in_sight (AppFixture *f, GtkWidget *widget)
{
  GtkWidget *view = app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_CHAT_VIEW, NULL, NULL);
  graphene_rect_t place;

  return widget != NULL && gtk_widget_get_mapped (widget) &&
         gtk_widget_compute_bounds (widget, view, &place) && place.size.height > 0 &&
         place.origin.y >= 0 &&
         place.origin.y + place.size.height <= (float) gtk_widget_get_height (view);
}

static GtkWidget *
find_editor (AppFixture *f, AtlMessageItem *item)
{
  GtkWidget *row = app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_MESSAGE_ROW, shows, item);

  return row != NULL ? app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL) : NULL;
}

/* Also where the answer is so long that the question is out of sight: that one, not one above. */
static void
test_up_finds_last (void)
{
  AppFixture f;
  AtlMessageItem *last;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "first", "answer");
  app_begin_turn (app_conversation (&f), "typo");
  last = app_message (app_conversation (&f), -2);
  for (guint i = 0; i < 20; i++)
    {
      for (guint k = 0; k < 20; k++)
        atl_conversation_answer_text (app_conversation (&f), "A paragraph.\n\n", FALSE);
      app_fixture_spin (50);
    }
  atl_conversation_answer_finish (app_conversation (&f), NULL);
  app_fixture_spin (200);
  g_assert_true (app_press (app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL),
                            GDK_KEY_Up, 0));
  app_assert_soon (is_in_sight (&f, find_editor (&f, last)));
  g_assert_true (gtk_widget_has_focus (find_editor (&f, last)));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/messages/unanswered", test_unanswered);
  g_test_add_func ("/app/messages/thoughts", test_thoughts);
  g_test_add_func ("/app/messages/calls", test_calls);
  g_test_add_func ("/app/messages/no-calls", test_no_calls);
  g_test_add_func ("/app/messages/json-lines", test_json_lines);
  g_test_add_func ("/app/messages/json-answers", test_json_answers);
  g_test_add_func ("/app/messages/thinking-time", test_thinking_time);
  g_test_add_func ("/app/messages/empty", test_empty);
  g_test_add_func ("/app/messages/code-direction", test_code_direction);
  g_test_add_func ("/app/messages/up-finds-last", test_up_finds_last);
  return g_test_run ();
}
