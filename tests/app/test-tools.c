/* Compare and the notebook, with the real engine and a tiny real model. Needs stories260K.gguf of
 * the conformance data. */
#include "app-steps.h"
#include "conformance.h"

#include "app/chat/markdown-view.h"
#include "app/compare/compare-column.h"
#include "app/compare/compare-window.h"
#include "app/models/model-list.h"
#include "app/notebook/notebook-window.h"
#include "app/notebook/token-tags.h"
#include "app/session/session-private.h"
#include "app/window/engine-strip.h"
#include "store/chats.h"

static gboolean
load (AppFixture *f)
{
  g_autofree char *path = atl_test_conformance_find ("models/stories260K.gguf");
  const char *paths[] = { path, NULL };

  if (path == NULL)
    {
      g_test_skip ("models/stories260K.gguf not found: comparing and the notebook did not run");
      return FALSE;
    }
  app_fixture_start (f);
  atl_session_load_model (f->session, paths, TRUE);
  g_assert_true (app_fixture_wait (app_is_loaded, f, 60));
  app_fixture_spin (300);
  return TRUE;
}

static AtlCompareColumn *
column (GtkWidget *window, guint index)
{
  GtkWidget *box = app_fixture_find_id (window, "column_box");
  GtkWidget *child = gtk_widget_get_first_child (box);

  while (index-- > 0)
    child = gtk_widget_get_next_sibling (child);
  return ATL_COMPARE_COLUMN (child);
}

static gboolean
has_compared (gpointer window)
{
  return !atl_compare_window_get_is_running (window);
}

static void
test_compare (void)
{
  AppFixture f;
  GtkWidget *window;
  g_autofree char *answer = NULL;
  g_autoptr (GPtrArray) chats = NULL, messages = NULL;

  if (!load (&f))
    return;
  window = atl_compare_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (400);
  app_assert_soon (atl_compare_window_get_n_columns (ATL_COMPARE_WINDOW (window)) == 2);
  g_signal_emit_by_name (app_fixture_find_id (window, "add_button"), "clicked");
  g_assert_cmpuint (atl_compare_window_get_n_columns (ATL_COMPARE_WINDOW (window)), ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      atl_compare_column_set_path (column (window, i),
                                   atl_model_get_key (atl_session_get_model (f.session)));
      atl_compare_column_set_param (column (window, i), "max-tokens", 20);
      atl_compare_column_set_param (column (window, i), "temperature", i == 2 ? 2 : 0);
      atl_compare_column_set_param (column (window, i), "seed", 7);
    }
  g_assert_nonnull (app_fixture_find_id (window, "empty_label"));
  g_assert_true (atl_compare_window_ask (ATL_COMPARE_WINDOW (window), "Once upon a time", NULL));
  g_assert_false (atl_compare_window_ask (ATL_COMPARE_WINDOW (window), "Twice", NULL));
  g_assert_true (app_fixture_wait (has_compared, window, 60));
  app_fixture_spin (300);
  app_fixture_shot (window, "compare");
  g_assert_null (app_fixture_find_id (window, "empty_label"));
  /* The same settings give the same text, others another. */
  g_assert_cmpuint (strlen (atl_compare_column_get_answer (column (window, 0))), >, 10);
  g_assert_cmpstr (atl_compare_column_get_answer (column (window, 0)), ==,
                   atl_compare_column_get_answer (column (window, 1)));
  g_assert_cmpstr (atl_compare_column_get_answer (column (window, 0)), !=,
                   atl_compare_column_get_answer (column (window, 2)));
  /* A column goes, never the last two. */
  g_signal_emit_by_name (column (window, 2), "remove");
  g_assert_cmpuint (atl_compare_window_get_n_columns (ATL_COMPARE_WINDOW (window)), ==, 2);
  g_assert_null (app_fixture_find_id (window, "remove_button"));
  /* A column without a word says why it has none. */
  atl_compare_column_set_param (column (window, 0), "max-tokens", 0);
  g_assert_true (atl_compare_window_ask (ATL_COMPARE_WINDOW (window), "Once upon a time", NULL));
  g_assert_true (app_fixture_wait (has_compared, window, 60));
  g_assert_cmpstr (atl_compare_column_get_answer (column (window, 0)), ==, "");
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (app_fixture_find_id (window, "empty_label"))), ==,
                   "The model wrote nothing");
  /* One is gone on with: a chat with the question and that answer. */
  answer = g_strdup (atl_compare_column_get_answer (column (window, 1)));
  g_signal_emit_by_name (column (window, 1), "keep");
  chats = atl_store_chat_list (atl_session_get_store (f.session), NULL);
  g_assert_cmpuint (chats->len, ==, 1);
  messages = atl_store_message_list (atl_session_get_store (f.session),
                                     ((AtlChat *) chats->pdata[0])->id, NULL);
  g_assert_cmpuint (messages->len, ==, 2);
  g_assert_cmpstr (((AtlMessage *) messages->pdata[0])->content, ==, "Once upon a time");
  g_assert_cmpstr (((AtlMessage *) messages->pdata[1])->content, ==, answer);
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

/* --- Going on with one of the answers --- */

static gboolean
says (GtkWidget *label, gconstpointer words)
{
  return g_str_equal (gtk_label_get_text (GTK_LABEL (label)), words);
}

static gboolean
is_used (gpointer data)
{
  AtlSession *session = data;

  return !atl_session_get_is_loading (session) && atl_session_get_model (session) != NULL;
}

/* The chat carries on with the model and the settings of the answer that was chosen, and knows who
 * made it; the other column can still be asked, and what it needs goes with the window. */
static void
test_go_on (void)
{
  AppFixture f;
  GtkWidget *window, *strip;
  const char *name;
  g_autofree char *first = NULL, *second = NULL, *gone = NULL;
  g_autoptr (AtlModel) before = NULL;
  AtlMessageItem *answer;
  JsonObject *settings;

  if (!load (&f))
    return;
  first = g_strdup (atl_model_get_key (atl_session_get_model (f.session)));
  second = app_unpack_golden (f.dir, "llm-llama3-tied");
  before = g_object_ref (atl_session_get_model (f.session));
  app_remember_model (&f, second, "Second");
  /* An adapter whose file is gone is left out. */
  gone = g_build_filename (f.dir, "gone.safetensors", NULL);
  atl_session_set_adapters (f.session, second, (const char *const[]){ gone, NULL });
  atl_model_list_refresh (atl_session_get_models (f.session));
  app_assert_soon (atl_model_list_find (atl_session_get_models (f.session), second) != NULL);
  window = atl_compare_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  atl_compare_column_set_path (column (window, 0), first);
  atl_compare_column_set_path (column (window, 1), second);
  g_assert_cmpstr (atl_compare_column_get_path (column (window, 1)), ==, second);
  for (guint i = 0; i < 2; i++)
    {
      atl_compare_column_set_param (column (window, i), "max-tokens", 8);
      atl_compare_column_set_param (column (window, i), "seed", 7 + i);
    }
  g_assert_true (atl_compare_window_ask (ATL_COMPARE_WINDOW (window), "Once upon a time", NULL));
  g_assert_true (app_fixture_wait (has_compared, window, 60));
  g_assert_cmpuint (strlen (atl_compare_column_get_answer (column (window, 1))), >, 0);
  /* What is set afterwards is for the next answer. */
  atl_compare_column_set_param (column (window, 1), "max-tokens", 9);
  g_signal_emit_by_name (column (window, 1), "keep");
  app_assert_soon (is_used (f.session) && app_last_message (&f) != NULL);
  g_assert_cmpstr (atl_model_get_key (atl_session_get_model (f.session)), ==, second);
  g_assert_true (atl_model_get_is_loaded (atl_session_get_model (f.session)));
  settings = atl_conversation_get_settings (app_conversation (&f));
  g_assert_cmpint (json_object_get_int_member (settings, "seed"), ==, 8);
  g_assert_cmpint (json_object_get_int_member (settings, "max-tokens"), ==, 8);
  answer = app_last_message (&f);
  g_assert_cmpstr (answer->model_name, ==, "Second");
  g_assert_cmpstr (answer->content->str, ==, atl_compare_column_get_answer (column (window, 1)));
  g_assert_cmpint (answer->stats.n_tokens, ==, 8);
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_COMPLETE);

  strip = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_ENGINE_STRIP, NULL, NULL);
  name = atl_session_get_model_name (f.session);
  app_assert_soon (app_fixture_find (strip, GTK_TYPE_LABEL, says, name) != NULL);

  g_assert_true (atl_compare_window_ask (ATL_COMPARE_WINDOW (window), "Twice", NULL));
  g_assert_true (app_fixture_wait (has_compared, window, 60));
  g_assert_cmpuint (strlen (atl_compare_column_get_answer (column (window, 0))), >, 0);
  g_assert_true (atl_model_get_is_loaded (before));
  gtk_window_destroy (GTK_WINDOW (window));
  app_assert_soon (!atl_model_get_is_loaded (before));
  g_assert_true (atl_model_get_is_loaded (atl_session_get_model (f.session)));
  app_fixture_stop (&f);
}

static gboolean
has_written (gpointer window)
{
  return !atl_notebook_window_get_is_running (window);
}

static gboolean
is_kept (AppFixture *f, const char *text)
{
  g_autofree char *kept =
      atl_store_setting_get (atl_session_get_store (f->session), "notebook", NULL);

  return g_strcmp0 (kept, text) == 0;
}

static void
test_notebook (void)
{
  static const char beginning[] = "Once upon a time";
  AppFixture f;
  GtkWidget *window;
  GtkTextBuffer *buffer;
  GtkTextIter iter;
  GtkLabel *label;
  g_autofree char *text = NULL;
  g_autofree char *undone = NULL;
  g_autofree char *choices = NULL;
  g_autoptr (AtlTokenTags) tags = NULL;

  if (!load (&f))
    return;
  window = atl_notebook_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (300);
  buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (app_fixture_find_id (window, "text_view")));
  atl_notebook_window_set_text (ATL_NOTEBOOK_WINDOW (window), "Once upon a time THE END");
  /* What stands behind the cursor stays there and is not read. */
  gtk_text_buffer_get_iter_at_offset (buffer, &iter, strlen (beginning));
  gtk_text_buffer_place_cursor (buffer, &iter);
  g_signal_emit_by_name (app_fixture_find_id (window, "continue_button"), "clicked");
  g_assert_true (atl_notebook_window_get_is_running (ATL_NOTEBOOK_WINDOW (window)));
  g_assert_true (app_fixture_wait (has_written, window, 60));
  app_fixture_spin (200);
  app_fixture_shot (window, "notebook");
  text = atl_notebook_window_get_text (ATL_NOTEBOOK_WINDOW (window));
  g_assert_true (g_str_has_prefix (text, beginning));
  g_assert_true (g_str_has_suffix (text, " THE END"));
  g_assert_cmpuint (strlen (text), >, 60);
  /* What the model wrote knows its alternatives, what a person wrote does not. */
  tags = atl_token_tags_new (buffer);
  gtk_text_buffer_get_iter_at_offset (buffer, &iter, 3);
  g_assert_null (atl_token_tags_describe (tags, &iter, TRUE));
  gtk_text_buffer_get_iter_at_offset (buffer, &iter, strlen (beginning) + 1);
  choices = atl_token_tags_describe (tags, &iter, TRUE);
  g_assert_nonnull (choices);
  g_assert_nonnull (strstr (choices, "<b>"));
  g_assert_nonnull (strchr (choices, '%'));
  /* By keyboard they are told below the text, and not any longer than the cursor is there. */
  gtk_text_buffer_place_cursor (buffer, &iter);
  label = GTK_LABEL (app_fixture_find_id (window, "status_label"));
  g_assert_nonnull (strchr (gtk_label_get_text (label), '%'));
  gtk_text_buffer_get_iter_at_offset (buffer, &iter, 3);
  gtk_text_buffer_place_cursor (buffer, &iter);
  g_assert_cmpstr (gtk_label_get_text (label), ==, "");
  /* One step takes the continuation back. */
  g_assert_true (gtk_text_buffer_get_can_undo (buffer));
  gtk_text_buffer_undo (buffer);
  undone = atl_notebook_window_get_text (ATL_NOTEBOOK_WINDOW (window));
  g_assert_cmpstr (undone, ==, "Once upon a time THE END");
  app_assert_soon (is_kept (&f, "Once upon a time THE END"));
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

/* The character that is pointed at, so far to the right of the place of another one; -1: none. */
static int
pointed_at (GtkTextView *view, int offset, int right)
{
  GtkTextIter iter;
  GdkRectangle place;
  int x, y;

  gtk_text_buffer_get_iter_at_offset (gtk_text_view_get_buffer (view), &iter, offset);
  gtk_text_view_get_iter_location (view, &iter, &place);
  gtk_text_view_buffer_to_window_coords (view, GTK_TEXT_WINDOW_WIDGET, place.x + right,
                                         place.y + place.height / 2, &x, &y);
  return atl_token_tags_point (view, x, y, &iter) ? gtk_text_iter_get_offset (&iter) : -1;
}

/* Line ends are tokens like others; behind their lines they are found and seen. */
static void
test_line_ends (void)
{
  AtlTokenChoice top[] = { { 1, (char *) "\n", -0.1 }, { 2, (char *) " \t\r", -3 } };
  AtlChatToken token = { .chosen = top[0], .top = top, .n_top = G_N_ELEMENTS (top) };
  AppFixture f;
  GtkWidget *window, *view;
  GtkTextBuffer *buffer;
  GtkTextIter iter;
  g_autoptr (AtlTokenTags) tags = NULL;
  g_autoptr (GPtrArray) tokens = g_ptr_array_new ();
  g_autofree char *words = NULL;

  app_fixture_start (&f);
  window = atl_notebook_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  atl_notebook_window_set_text (ATL_NOTEBOOK_WINDOW (window), "one\n\ntwo");
  app_fixture_spin (300);
  view = app_fixture_find_id (window, "text_view");
  g_assert_cmpint (pointed_at (GTK_TEXT_VIEW (view), 0, 2), ==, 0);
  g_assert_cmpint (pointed_at (GTK_TEXT_VIEW (view), 3, 40), ==, 3);
  g_assert_cmpint (pointed_at (GTK_TEXT_VIEW (view), 4, 40), ==, 4);
  g_assert_cmpint (pointed_at (GTK_TEXT_VIEW (view), 8, 40), ==, -1);

  buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (view));
  tags = atl_token_tags_new (buffer);
  atl_token_tags_begin (tags, 3);
  g_ptr_array_add (tokens, &token);
  atl_token_tags_add (tags, tokens);
  atl_token_tags_inserted (tags, 1);
  gtk_text_buffer_get_iter_at_offset (buffer, &iter, 3);
  words = atl_token_tags_describe (tags, &iter, FALSE);
  g_assert_cmpstr (words, ==, "[↵  90.5 %] · ␣⇥␍  5.0 %");
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

static void
go_on (GtkWidget *window)
{
  g_signal_emit_by_name (app_fixture_find_id (window, "continue_button"), "clicked");
}

/* The notebook's model is not idle while it writes. When it has left the memory, it is loaded as
 * the settings say then: without an adapter whose file was deleted. */
static void
test_notebook_idle (void)
{
  static const char beginning[] = "Once upon a time";
  const char *gone[] = { "/nowhere/gone.safetensors:0.50", NULL };
  AppFixture f;
  GtkWidget *window;
  AtlModel *model;
  gint64 left_us;
  g_autofree char *text = NULL, *stopped = NULL;

  if (!load (&f))
    return;
  window = atl_notebook_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (300);
  atl_notebook_window_set_text (ATL_NOTEBOOK_WINDOW (window), beginning);
  go_on (window);
  app_assert_soon (atl_model_get_unused_us (atl_session_get_model (f.session)) == 0);
  g_assert_cmpint (atl_session_unload_unused (f.session, 1), ==, 1);
  g_assert_true (app_fixture_wait (has_written, window, 60));
  text = atl_notebook_window_get_text (ATL_NOTEBOOK_WINDOW (window));
  g_assert_cmpuint (strlen (text), >, 60);
  left_us = atl_session_unload_unused (f.session, G_MAXINT64 / 2);
  g_assert_cmpint (left_us, >, 0);
  g_assert_cmpint (left_us, <, G_MAXINT64 / 2);

  model = atl_session_get_model (f.session);
  g_assert_cmpint (atl_session_unload_unused (f.session, 1), ==, 0);
  app_assert_soon (!atl_model_get_is_loaded (model));
  atl_session_set_adapters (f.session, atl_model_get_key (model), gone);
  atl_notebook_window_set_text (ATL_NOTEBOOK_WINDOW (window), beginning);
  go_on (window);
  g_assert_true (atl_notebook_window_get_is_running (ATL_NOTEBOOK_WINDOW (window)));
  g_assert_true (app_fixture_wait (has_written, window, 60));
  g_clear_pointer (&text, g_free);
  text = atl_notebook_window_get_text (ATL_NOTEBOOK_WINDOW (window));
  g_assert_cmpuint (strlen (text), >, 60);

  /* Whoever waits for it no longer gets no more text. */
  atl_session_unload_unused (f.session, 0);
  app_assert_soon (!atl_model_get_is_loaded (atl_session_get_model (f.session)));
  go_on (window);
  g_assert_true (atl_session_get_is_loading (f.session));
  g_signal_emit_by_name (app_fixture_find_id (window, "stop_button"), "clicked");
  g_assert_false (atl_notebook_window_get_is_running (ATL_NOTEBOOK_WINDOW (window)));
  app_assert_soon (!atl_session_get_is_loading (f.session));
  app_fixture_spin (100);
  stopped = atl_notebook_window_get_text (ATL_NOTEBOOK_WINDOW (window));
  g_assert_cmpstr (stopped, ==, text);
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

static gboolean
is_named (GtkWidget *widget, gconstpointer id)
{
  return g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)), id) == 0;
}

static gboolean
has_link (GtkWidget *widget, gconstpointer data)
{
  return strstr (gtk_label_get_label (GTK_LABEL (widget)), "<a href") != NULL;
}

/* Tab alone reaches the links of an answer, else the answer as a whole, and what comes after. */
static gboolean
says_part (GtkWidget *label, gconstpointer words)
{
  return strstr (gtk_label_get_text (GTK_LABEL (label)), words) != NULL;
}

static gboolean
is_text (GtkWidget *window, const char *wanted)
{
  g_autofree char *text = atl_notebook_window_get_text (ATL_NOTEBOOK_WINDOW (window));

  return g_str_equal (text, wanted);
}

/* The text of a file that is dropped on the notebook comes to the cursor; of what is none a
 * sentence tells. */
static void
test_notebook_drop (void)
{
  AppFixture f;
  GtkWidget *window;
  g_autofree char *file = NULL, *picture = NULL;

  app_fixture_start (&f);
  window = atl_notebook_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  atl_notebook_window_set_text (ATL_NOTEBOOK_WINDOW (window), "");
  file = g_build_filename (f.dir, "beginning.txt", NULL);
  picture = g_build_filename (f.dir, "picture.png", NULL);
  g_assert_true (g_file_set_contents (file, "It was a dark night.", -1, NULL));
  g_assert_true (g_file_set_contents (picture, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, NULL));
  g_assert_true (app_drop (window, 50, 100, (const char *const *) &file, 1));
  app_assert_soon (is_text (window, "It was a dark night."));
  g_assert_true (app_drop (window, 50, 100, (const char *const *) &picture, 1));
  app_assert_soon (app_fixture_find (window, GTK_TYPE_LABEL, says_part, "picture.png") != NULL);
  g_assert_true (is_text (window, "It was a dark night."));
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

static void
test_compare_keyboard (void)
{
  AppFixture f;
  GtkWidget *window, *wanted[8];
  guint n_wanted = 0, n_seen[8] = { 0 };

  app_fixture_start (&f);
  window = atl_compare_window_new (GTK_APPLICATION (f.app), f.session);
  gtk_window_present (GTK_WINDOW (window));
  for (guint i = 0; i < 2; i++)
    {
      GtkWidget *column_i = GTK_WIDGET (column (window, i));
      GtkWidget *markdown = app_fixture_find (column_i, ATL_TYPE_MARKDOWN_VIEW, NULL, NULL);

      /* The second answer has nothing to stop at but itself. */
      atl_markdown_view_set_text (ATL_MARKDOWN_VIEW (markdown),
                                  i == 0 ? "See [one](https://a.example), [two](https://b.example)."
                                         : "Nothing to follow here.");
      gtk_widget_set_visible (markdown, TRUE);
      gtk_widget_set_visible (app_fixture_find (column_i, GTK_TYPE_BOX, is_named, "actions"), TRUE);
      wanted[n_wanted++] =
          i == 0 ? app_fixture_find (markdown, GTK_TYPE_LABEL, has_link, NULL)
                 : app_fixture_find (column_i, GTK_TYPE_SCROLLED_WINDOW, is_named, "scroller");
      wanted[n_wanted++] = app_fixture_find (column_i, GTK_TYPE_BUTTON, is_named, "keep_button");
    }
  app_fixture_spin (300);
  app_fixture_shot (window, "compare-links");
  gtk_widget_grab_focus (app_fixture_find (window, ATL_TYPE_COMPARE_COLUMN, NULL, NULL));
  gtk_widget_child_focus (window, GTK_DIR_TAB_FORWARD);
  for (guint i = 0; i < 60; i++)
    {
      GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (window));

      for (guint k = 0; k < n_wanted; k++)
        if (focus == wanted[k])
          n_seen[k]++;
      if (!gtk_widget_child_focus (window, GTK_DIR_TAB_FORWARD))
        break;
    }
  for (guint k = 0; k < n_wanted; k++)
    {
      g_assert_nonnull (wanted[k]);
      g_assert_cmpuint (n_seen[k], >, 0);
      /* The label is one stop a link. */
      g_assert_cmpuint (n_seen[k], <, 12);
    }
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/tools/compare", test_compare);
  g_test_add_func ("/app/tools/compare-go-on", test_go_on);
  g_test_add_func ("/app/tools/notebook", test_notebook);
  g_test_add_func ("/app/tools/notebook-idle", test_notebook_idle);
  g_test_add_func ("/app/tools/notebook-line-ends", test_line_ends);
  g_test_add_func ("/app/tools/notebook-drop", test_notebook_drop);
  g_test_add_func ("/app/tools/compare-keyboard", test_compare_keyboard);
  return g_test_run ();
}
