/* Pictures of the window in every state a person meets, for people to look at. What fails here is a
 * state that cannot be reached, or a window that does not fit its width. */
#include "app-steps.h"

#include <glib/gstdio.h>

#include "app/chat/conversation.h"
#include "app/chat/markdown-view.h"
#include "app/compare/compare-window.h"
#include "app/notebook/notebook-window.h"
#include "app/preferences/preferences-window.h"
#include "app/window/shortcuts-window.h"
#include "hub/library.h"
#include "store/chats.h"

#define STATS                                                                                      \
  "{\"tokens_per_s\":21.4,\"first_token_ms\":412,\"n_tokens\":312,\"n_prompt\":88,"                \
  "\"context_used\":1480,\"context_size\":8192,\"thinking_ms\":12300,\"device\":"                  \
  "\"CPU, 2 threads, because no graphics card was found\",\"stop_reason\":\"eos\"}"

static const char rich[] =
    "Here is a short tour of **sorting**, with the parts that matter.\n\n"
    "## Two ideas\n\n"
    "1. *Bubble sort* swaps neighbours until nothing is left to swap.\n"
    "2. *Merge sort* sorts both halves and merges them:\n"
    "   - split the list in the middle,\n"
    "   - sort each half,\n"
    "   - merge with `merge(a, b)`.\n\n"
    "| Method | Time | Memory |\n|:--|:-:|--:|\n"
    "| Bubble sort | $O(n^2)$ | 1 |\n| Merge sort | $O(n \\log n)$ | n |\n\n"
    "```python\ndef merge(a, b):\n    out = []\n    while a and b:\n"
    "        out.append(a.pop(0) if a[0] <= b[0] else b.pop(0))\n    return out + a + b\n```\n\n"
    "The number of comparisons is at most\n\n"
    "\\[ T(n) = 2\\,T\\left(\\frac{n}{2}\\right) + n \\leq n \\log_2 n \\]\n\n"
    "> Premature optimisation is the root of all evil.\n\n"
    "- [x] read the [article](https://example.org/sorting)\n- [ ] try it out\n";

static void
set_size (AppFixture *f, int width, int height)
{
  gtk_window_set_default_size (GTK_WINDOW (f->window), width, height);
  app_fixture_spin (300);
}

static void
open_chat (AppFixture *f, gint64 id)
{
  atl_window_open_chat (f->window, id, 0);
  app_fixture_spin (400);
}

static void
shot (AppFixture *f, const char *name)
{
  app_fixture_shot (GTK_WIDGET (f->window), name);
}

static gint64
fill (AppFixture *f)
{
  AtlStore *store = atl_session_get_store (f->session);
  gint64 work = atl_store_folder_add (store, "Work", NULL);
  g_autoptr (AtlChat) chat = NULL;
  gint64 id;

  id = app_fixture_add_chat (f, "Minutes of the meeting", "Sum up", "Done.", NULL, STATS);
  chat = atl_store_chat_get (store, id, NULL);
  chat->folder_id = work;
  g_assert_true (atl_store_chat_update (store, chat, ATL_CHAT_FOLDER, NULL));
  g_clear_pointer (&chat, atl_chat_free);
  id = app_fixture_add_chat (f, "Holiday in Norway", "Where to?", "Lofoten.", NULL, STATS);
  chat = atl_store_chat_get (store, id, NULL);
  chat->pinned = TRUE;
  g_assert_true (atl_store_chat_update (store, chat, ATL_CHAT_PINNED, NULL));
  app_fixture_add_chat (f, "Bread with rye flour", "How?", "Slowly.", NULL, STATS);
  app_fixture_add_chat (
      f, "A title so long that no sidebar in the world could ever show the whole of it",
      "Why is the sky blue?",
      "Because **air scatters** short waves more.\n\nBlue light is scattered about *ten times* "
      "more than red.",
      "The person asks about Rayleigh scattering.\nKeep it short.", STATS);
  id = app_fixture_add_chat (f, "How sorting works",
                             "Explain sorting to me, with code and the mathematics behind it.",
                             rich, "A tour: two ideas, a table, code.\nThen the formula.", STATS);
  atl_session_emit_chats_changed (f->session);
  return id;
}

static void
test_first_start (void)
{
  AppFixture f;

  app_fixture_start (&f);
  app_fixture_spin (600);
  shot (&f, "first-start-light");
  adw_style_manager_set_color_scheme (adw_style_manager_get_default (),
                                      ADW_COLOR_SCHEME_FORCE_DARK);
  shot (&f, "first-start-dark");
  adw_style_manager_set_color_scheme (adw_style_manager_get_default (),
                                      ADW_COLOR_SCHEME_FORCE_LIGHT);
  set_size (&f, 360, 640);
  shot (&f, "first-start-360");
  g_assert_cmpint (gtk_widget_get_width (GTK_WIDGET (f.window)), <=, 360);
  app_fixture_stop (&f);
}

static void
test_chat (void)
{
  AppFixture f;
  gint64 id;

  app_fixture_start (&f);
  id = fill (&f);
  open_chat (&f, id);
  shot (&f, "chat-light");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  app_fixture_spin (300);
  shot (&f, "chat-settings");
  g_settings_set_boolean (atl_session_get_settings (f.session), "advanced-expanded", TRUE);
  set_size (&f, 1280, 1200);
  shot (&f, "chat-settings-advanced");
  g_settings_set_boolean (atl_session_get_settings (f.session), "advanced-expanded", FALSE);
  set_size (&f, 1280, 800);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  adw_style_manager_set_color_scheme (adw_style_manager_get_default (),
                                      ADW_COLOR_SCHEME_FORCE_DARK);
  app_fixture_spin (200);
  shot (&f, "chat-dark");
  adw_style_manager_set_color_scheme (adw_style_manager_get_default (),
                                      ADW_COLOR_SCHEME_FORCE_LIGHT);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.search", NULL);
  atl_chat_list_search (ATL_CHAT_LIST (f.window->chat_list), "scatter");
  app_fixture_spin (500);
  shot (&f, "search");
  atl_chat_list_search (ATL_CHAT_LIST (f.window->chat_list), "zzzz");
  app_fixture_spin (500);
  shot (&f, "search-nothing");
  app_fixture_stop (&f);
}

static void
test_narrow (void)
{
  AppFixture f;
  gint64 id;

  app_fixture_start (&f);
  id = fill (&f);
  open_chat (&f, id);
  set_size (&f, 360, 720);
  shot (&f, "chat-360");
  g_assert_cmpint (gtk_widget_get_width (GTK_WIDGET (f.window)), <=, 360);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-sidebar", NULL);
  app_fixture_spin (400);
  shot (&f, "sidebar-360");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-sidebar", NULL);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  app_fixture_spin (400);
  shot (&f, "settings-360");
  g_assert_cmpint (gtk_widget_get_width (GTK_WIDGET (f.window)), <=, 360);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  set_size (&f, 1280, 800);
  app_fixture_stop (&f);
}

static void
set_text_scale (double scale)
{
  g_object_set (gtk_settings_get_default (), "gtk-xft-dpi", (int) (96 * 1024 * scale), NULL);
  app_fixture_spin (200);
}

static void
check_width (GtkWidget *window, const char *name, int width)
{
  if (gtk_widget_get_width (window) <= width)
    return;
  g_test_message ("%s is %d px wide", name, gtk_widget_get_width (window));
  g_test_fail ();
}

static void
shot_scaled (AppFixture *f, const char *name, int width, int percent)
{
  g_autofree char *file = g_strdup_printf ("scale-%d-%s-%d", percent, name, width);

  app_fixture_shot (GTK_WIDGET (f->window), file);
  check_width (GTK_WIDGET (f->window), file, width);
}

static void
shot_window_scaled (GtkWidget *window, const char *name, int width, int percent)
{
  g_autofree char *file = g_strdup_printf ("scale-%d-%s-%d", percent, name, width);

  gtk_window_set_default_size (GTK_WINDOW (window), width, 700);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (400);
  app_fixture_shot (window, file);
  check_width (window, file, width);
  gtk_window_destroy (GTK_WINDOW (window));
}

static void
show_scaled (int width, int percent)
{
  AppFixture f;
  gint64 id;

  app_fixture_start (&f);
  id = fill (&f);
  set_size (&f, width, 720);
  shot_scaled (&f, "welcome", width, percent);
  open_chat (&f, id);
  shot_scaled (&f, "chat", width, percent);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  app_fixture_spin (300);
  shot_scaled (&f, "settings", width, percent);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "models");
  app_fixture_spin (300);
  shot_scaled (&f, "models", width, percent);
  if (width == 360)
    {
      gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-sidebar", NULL);
      app_fixture_spin (300);
      shot_scaled (&f, "sidebar", width, percent);
    }
  shot_window_scaled (atl_preferences_window_new (f.session), "preferences", width, percent);
  shot_window_scaled (atl_shortcuts_window_new (), "shortcuts", width, percent);
  shot_window_scaled (atl_compare_window_new (GTK_APPLICATION (f.app), f.session), "compare", width,
                      percent);
  shot_window_scaled (atl_notebook_window_new (GTK_APPLICATION (f.app), f.session), "notebook",
                      width, percent);
  app_fixture_stop (&f);
}

/* Larger letters, as the desktop's settings give them, in a narrow and in a wide window. */
static void
test_text_scale (void)
{
  static const int percents[] = { 125, 150, 175 };
  static const int widths[] = { 360, 1000 };

  for (guint i = 0; i < G_N_ELEMENTS (percents); i++)
    for (guint k = 0; k < G_N_ELEMENTS (widths); k++)
      {
        set_text_scale (percents[i] / 100.0);
        show_scaled (widths[k], percents[i]);
      }
  set_text_scale (1);
}

static void
test_states (void)
{
  AppFixture f;
  AtlStore *store;
  gint64 chat, asked, answer;
  g_autoptr (AtlConversation) conversation = NULL;
  AtlChatStats full = { .n_ctx_used = 7700,
                        .n_ctx = 8192,
                        .n_generated = 3,
                        .tokens_per_s = 20,
                        .stop_reason = (char *) "eos",
                        .ran_on = (char *) "CPU, 2 threads" };
  g_autoptr (GError) gone =
      g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE,
                           "The engine stopped unexpectedly. What was written so far is kept; it "
                           "starts again by itself.");
  g_autoptr (GError) bad = g_error_new_literal (
      ATL_ERROR, ATL_ERROR_BAD_FILE,
      "qwen.gguf: the tensor “blk.3.attn_q.weight” lies behind the end of the file (1.1 GB). The "
      "download was probably cut short: get the file again.");

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  fill (&f);
  chat = atl_store_chat_add (store, 0, NULL);
  g_assert_true (atl_store_turn_begin (store, chat, 0, "Sum up the file.",
                                       "[{\"name\":\"notes of the meeting.md\",\"mime\":"
                                       "\"text/markdown\",\"text\":\"x\"}]",
                                       "Qwen2.5 1.5B Instruct", &asked, &answer, NULL));
  g_assert_true (atl_store_answer_finish (store, answer, ATL_MESSAGE_INTERRUPTED,
                                          "The meeting was about three things: the", NULL, NULL,
                                          NULL, NULL));
  open_chat (&f, chat);
  conversation =
      g_object_ref (atl_chat_page_get_conversation (ATL_CHAT_PAGE (f.window->chat_page)));
  g_assert_true (atl_conversation_begin_turn (conversation, answer, "And how does it end?", NULL,
                                              "Qwen2.5 1.5B Instruct", NULL));
  atl_conversation_answer_phase (conversation, "Reading…", 0.4);
  app_fixture_spin (300);
  shot (&f, "state-reading");
  atl_conversation_answer_text (
      conversation, "They ask for the end.\nLook at the last part of the notes first", TRUE);
  app_fixture_spin (300);
  shot (&f, "state-thinking");
  atl_conversation_answer_text (
      conversation, "It ends with a **list of tasks**:\n\n1. Write the report\n2. Call", FALSE);
  app_fixture_spin (300);
  shot (&f, "state-streaming");
  atl_conversation_answer_fail (conversation, gone);
  app_fixture_spin (300);
  g_assert_true (atl_conversation_begin_turn (conversation, app_message (conversation, -1)->id,
                                              "Once more", NULL, "Qwen", NULL));
  atl_conversation_answer_text (conversation, "Here it is.", FALSE);
  atl_conversation_answer_finish (conversation, &full);
  app_fixture_spin (300);
  shot (&f, "state-nearly-full");
  g_signal_emit_by_name (f.session, "load-failed", bad, "qwen.gguf");
  app_fixture_spin (400);
  shot (&f, "state-errors");
  gtk_revealer_set_reveal_child (GTK_REVEALER (f.window->drop_revealer), TRUE);
  app_fixture_spin (200);
  shot (&f, "state-drop");
  app_fixture_stop (&f);
}

static void
add_model_file (const char *name, gsize size)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), name, NULL);

  g_mkdir_with_parents (atl_library_dir (), 0700);
  g_assert_true (g_file_set_contents (path, "GGUF", 4, NULL));
  g_assert_cmpint (truncate (path, (off_t) size), ==, 0);
}

/* Every kind of block after every other: none sticks to the one before, none floats away. */
static void
test_spacing (void)
{
  static const char *const kinds[] = {
    "A paragraph of plain words.",
    "### A heading",
    "- An item\n- another item",
    "1. An item\n   - an item in it",
    "| A table | of two |\n|:--|--:|\n| a | b |",
    "```c\nint code;\n```",
    "> A quote of somebody.\n>\n> Its second paragraph.",
    "\\[ x = y^2 \\]",
    "---",
  };
  AppFixture f;
  g_autoptr (GString) text = g_string_new (NULL);
  GtkWidget *window = gtk_window_new ();
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *view = atl_markdown_view_new ();

  app_fixture_start (&f);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
      g_string_append_printf (text, "%s\n\n%s\n\n", kinds[i], kinds[k]);
  atl_markdown_view_set_text (ATL_MARKDOWN_VIEW (view), text->str);
  gtk_widget_set_margin_start (view, 12);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), view);
  gtk_window_set_child (GTK_WINDOW (window), scroller);
  gtk_window_set_default_size (GTK_WINDOW (window), 360, 700);
  gtk_window_present (GTK_WINDOW (window));
  app_fixture_spin (400);
  for (GtkWidget *block = gtk_widget_get_first_child (view); block != NULL;)
    {
      GtkWidget *next = gtk_widget_get_next_sibling (block);
      graphene_rect_t above, below;

      if (next == NULL)
        break;
      g_assert_true (gtk_widget_compute_bounds (gtk_widget_get_last_child (block), view, &above));
      g_assert_true (gtk_widget_compute_bounds (gtk_widget_get_last_child (next), view, &below));
      g_assert_cmpfloat (below.origin.y - above.origin.y - above.size.height, >=, 4);
      g_assert_cmpfloat (below.origin.y - above.origin.y - above.size.height, <=, 18);
      block = next;
    }
  app_fixture_shot (view, "markdown-spacing");
  gtk_window_destroy (GTK_WINDOW (window));
  app_fixture_stop (&f);
}

static void
test_models (void)
{
  AppFixture f;
  GtkWidget *preferences;

  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "models");
  app_fixture_spin (500);
  shot (&f, "models-empty");
  add_model_file ("Qwen2.5-1.5B-Instruct-Q4_K_M.gguf", 1117320736);
  add_model_file ("SmolLM2-135M-Instruct-Q4_1.gguf", 98000000);
  add_model_file ("a-model-with-a-very-long-name-that-somebody-gave-it-v0.3-final-Q8_0.gguf",
                  7700000000);
  atl_session_emit_models_changed (f.session);
  app_fixture_spin (1500);
  shot (&f, "models-light");
  atl_window_new_chat (f.window, 0);
  app_fixture_spin (300);
  shot (&f, "choose-model");
  set_size (&f, 360, 640);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "models");
  app_fixture_spin (500);
  shot (&f, "models-360");
  set_size (&f, 1280, 800);
  preferences = atl_preferences_window_new (f.session);
  gtk_window_present (GTK_WINDOW (preferences));
  app_fixture_spin (400);
  app_fixture_shot (preferences, "preferences");
  gtk_window_destroy (GTK_WINDOW (preferences));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/shots/first-start", test_first_start);
  g_test_add_func ("/app/shots/chat", test_chat);
  g_test_add_func ("/app/shots/narrow", test_narrow);
  g_test_add_func ("/app/shots/text-scale", test_text_scale);
  g_test_add_func ("/app/shots/states", test_states);
  g_test_add_func ("/app/shots/spacing", test_spacing);
  g_test_add_func ("/app/shots/models", test_models);
  return g_test_run ();
}
