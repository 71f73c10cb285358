/* The list of chats, and the window as a whole: widths, directions, actions. */
#include "app-steps.h"
#include "seen-writes.h"

#include <string.h>

#include "app/chat/chat-entries.h"
#include "app/chat/chat-list-row.h"
#include "app/preferences/preferences-window.h"
#include "app/words.h"
#include "store/chats.h"
#include "store/transfer.h"
#include "store/trash.h"

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
  g_assert_cmpint (atl_conversation_get_chat_id (app_conversation (&f)), ==, a);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_cmpuint (count_chats (&f), ==, 2);
  /* What was open before is open again. */
  g_assert_cmpint (atl_conversation_get_chat_id (app_conversation (&f)), ==, b);
  app_fixture_stop (&f);
}

static GtkWindow *
window_of_deleted (void)
{
  GListModel *windows = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWindow) window = g_list_model_get_item (windows, i);

      if (ADW_IS_PREFERENCES_WINDOW (window) && gtk_widget_get_mapped (GTK_WIDGET (window)))
        return window;
    }
  return NULL;
}

static gboolean
has_label (GtkWidget *widget, gconstpointer label)
{
  return g_strcmp0 (GTK_IS_BUTTON (widget) ? gtk_button_get_label (GTK_BUTTON (widget))
                                           : gtk_label_get_text (GTK_LABEL (widget)),
                    label) == 0;
}

static GtkWidget *
find_deleted (GType type, const char *label)
{
  return app_fixture_find (GTK_WIDGET (window_of_deleted ()), type, has_label, label);
}

/* Long after the notice with its undo is gone. */
static void
test_deleted_chats (void)
{
  AppFixture f;
  GtkWidget *focus;
  gint64 a, b;

  app_fixture_start (&f);
  a = app_fixture_add_chat (&f, "First & <last>", "q", "a", NULL, NULL);
  b = app_fixture_add_chat (&f, "Second", "q", "a", NULL, NULL);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.delete-chat", "x", a);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.delete-chat", "x", b);
  g_assert_cmpuint (count_chats (&f), ==, 0);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.deleted-chats", NULL);
  app_assert_soon (window_of_deleted () != NULL);
  g_assert_nonnull (find_deleted (GTK_TYPE_LABEL, "First & <last>"));
  gtk_widget_activate (find_deleted (GTK_TYPE_BUTTON, "Restore"));
  app_assert_soon (count_chats (&f) == 1);
  /* The next one has the focus. */
  focus = gtk_window_get_focus (window_of_deleted ());
  g_assert_true (ADW_IS_ACTION_ROW (focus));
  gtk_widget_activate (find_deleted (GTK_TYPE_BUTTON, "_Destroy all…"));
  app_assert_soon (app_dialog () != NULL);
  adw_message_dialog_response (app_dialog (), "destroy");
  g_assert_null (find_deleted (GTK_TYPE_BUTTON, "Restore"));
  g_assert_cmpuint (count_chats (&f), ==, 1);
  app_fixture_stop (&f);
}

static void
test_rename_by_enter (void)
{
  AppFixture f;
  GtkWidget *entry;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "one", "answer");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.rename-chat", "x", (gint64) 0);
  app_assert_soon (app_dialog () != NULL);
  entry = app_fixture_find (GTK_WIDGET (app_dialog ()), GTK_TYPE_ENTRY, NULL, NULL);
  gtk_editable_set_text (GTK_EDITABLE (entry), "Renamed");
  /* What Enter does in the text of an entry. */
  g_signal_emit_by_name (gtk_editable_get_delegate (GTK_EDITABLE (entry)), "activate");
  app_assert_soon (app_dialog () == NULL);
  g_assert_cmpstr (atl_conversation_get_title (app_conversation (&f)), ==, "Renamed");
  app_fixture_stop (&f);
}

static void
test_pin_and_search (void)
{
  AppFixture f;
  gint64 id;
  g_autoptr (GPtrArray) lines = NULL, found = NULL, once = NULL;
  AtlChatEntry *hit = NULL;

  app_fixture_start (&f);
  id = app_fixture_add_chat (&f, "Rainbow", "Why?", "Light & <drops> of water", NULL, NULL);
  app_fixture_add_chat (&f, "Zebra", "Zebra", "a", NULL, NULL);
  once = atl_chat_entries_search (atl_session_get_store (f.session), "Zebra", NULL);
  g_assert_cmpuint (once->len, ==, 1);
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
  app_assert_soon (app_message (app_conversation (&f), 1)->is_found);
  app_fixture_stop (&f);
}

static gboolean
has_title (GtkWidget *row, gconstpointer title)
{
  GtkWidget *label = app_fixture_find (row, GTK_TYPE_LABEL, NULL, NULL);
  return g_strcmp0 (gtk_label_get_text (GTK_LABEL (label)), title) == 0;
}

/* Lets the chat fall onto the row of that title. */
static gboolean
drop_chat (AppFixture *f, gint64 id, const char *title)
{
  GtkWidget *row =
      app_fixture_find (f->window->chat_list, ATL_TYPE_CHAT_LIST_ROW, has_title, title);
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (row);
  g_auto (GValue) value = G_VALUE_INIT;
  gboolean taken = FALSE;

  g_value_init (&value, G_TYPE_INT64);
  g_value_set_int64 (&value, id);
  for (guint i = 0; i < g_list_model_get_n_items (controllers); i++)
    {
      g_autoptr (GtkEventController) c = g_list_model_get_item (controllers, i);
      if (GTK_IS_DROP_TARGET (c))
        g_signal_emit_by_name (c, "drop", &value, 5., 5., &taken);
    }
  app_fixture_spin (100);
  return taken;
}

static gint64
folder_of (AppFixture *f, gint64 id)
{
  g_autoptr (AtlChat) chat = atl_store_chat_get (atl_session_get_store (f->session), id, NULL);
  return chat->folder_id;
}

/* What is made now is still of today when it is looked for. */
static void
wait_for_room_in_day (void)
{
  for (;;)
    {
      g_autoptr (GDateTime) now = g_date_time_new_now_local ();

      if (g_date_time_get_hour (now) < 23 || g_date_time_get_minute (now) < 58)
        return;
      app_fixture_run (1000);
    }
}

/* Into a folder by its name or by a chat in it, out of it by a day; the pinned ones say nothing. */
static void
test_drag_to_folder (void)
{
  AppFixture f;
  gint64 a, b, c, folder;

  app_fixture_start (&f);
  a = app_fixture_add_chat (&f, "First", "q", "a", NULL, NULL);
  b = app_fixture_add_chat (&f, "Second", "q", "a", NULL, NULL);
  c = app_fixture_add_chat (&f, "Third", "q", "a", NULL, NULL);
  folder = atl_store_folder_add (atl_session_get_store (f.session), "School", NULL);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.pin-chat", "x", c);
  app_fixture_spin (200);
  g_assert_true (drop_chat (&f, a, "School"));
  g_assert_cmpint (folder_of (&f, a), ==, folder);
  g_assert_true (drop_chat (&f, b, "First"));
  g_assert_cmpint (folder_of (&f, b), ==, folder);
  g_assert_false (drop_chat (&f, b, "Third"));
  g_assert_cmpint (folder_of (&f, b), ==, folder);
  wait_for_room_in_day ();
  app_fixture_add_chat (&f, "Fourth", "q", "a", NULL, NULL);
  atl_session_emit_chats_changed (f.session);
  app_fixture_spin (100);
  g_assert_true (drop_chat (&f, a, "Today"));
  g_assert_cmpint (folder_of (&f, a), ==, 0);
  app_fixture_stop (&f);
}

/* The buttons above the list name what they do on the page in sight. */
static void
test_list_buttons (void)
{
  AppFixture f;

  app_fixture_start (&f);
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (f.window->search_button),
                                       GTK_ACCESSIBLE_PROPERTY_LABEL, "Search all chats");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  app_fixture_spin (50);
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (f.window->search_button),
                                       GTK_ACCESSIBLE_PROPERTY_LABEL, "Search pictures");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (f.window->list_new_button),
                                       GTK_ACCESSIBLE_PROPERTY_LABEL, "New picture");
  app_fixture_stop (&f);
}

/* A match deep in a long sentence is shown by the words around it. */
static void
test_hit_shows_match (void)
{
  AppFixture f;
  g_autoptr (GPtrArray) found = NULL;
  const AtlChatEntry *hit;

  app_fixture_start (&f);
  app_fixture_add_chat (&f, "Long", "Why?",
                        "Many words stand here before the one that somebody looked for, which is "
                        "lighthouse in this case.",
                        NULL, NULL);
  found = atl_chat_entries_search (atl_session_get_store (f.session), "lighthouse", NULL);
  g_assert_cmpuint (found->len, ==, 1);
  hit = found->pdata[0];
  g_assert_true (g_str_has_prefix (hit->markup, "…"));
  g_assert_cmpint (strstr (hit->markup, "<b>lighthouse</b>") - hit->markup, <=, 24);
  app_fixture_stop (&f);
}

static gboolean
two_chats (gpointer f)
{
  return count_chats (f) == 2;
}

static gboolean
says (const char *path, const char *words)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) && strstr (text, words) != NULL;
}

/* Written to its end. */
static gboolean
is_json (const char *path)
{
  g_autoptr (JsonParser) parser = json_parser_new ();

  return json_parser_load_from_file (parser, path, NULL);
}

/* As the menus do it: written and read on worker threads. A file has its name when it is whole. */
static void
test_export_import_files (void)
{
  AppFixture f;
  g_autoptr (GFile) markdown = NULL, json = NULL;
  gint64 id;
  int watch;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "Question?", "The **answer**");
  id = atl_conversation_get_chat_id (app_conversation (&f));
  markdown = g_file_new_build_filename (f.dir, "chat.md", NULL);
  watch = writes_watch (f.dir);
  atl_window_export_to (f.window, id, ATL_EXPORT_MARKDOWN, markdown);
  app_assert_soon (says (g_file_peek_path (markdown), "The **answer**"));
  g_assert_false (writes_seen (watch, "chat.md"));
  json = g_file_new_build_filename (f.dir, "chat.json", NULL);
  atl_window_export_to (f.window, id, ATL_EXPORT_JSON, json);
  app_assert_soon (says (g_file_peek_path (json), "The **answer**") &&
                   is_json (g_file_peek_path (json)));
  atl_window_import_file (f.window, json);
  g_assert_true (app_fixture_wait (two_chats, &f, 10));
  app_assert_soon (atl_conversation_get_chat_id (app_conversation (&f)) != id);
  g_assert_cmpstr (app_message (app_conversation (&f), 1)->content->str, ==, "The **answer**");
  app_fixture_stop (&f);
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
  app_exchange (app_conversation (&f), "Question?", "The **answer**");
  id = atl_conversation_get_chat_id (app_conversation (&f));
  markdown = atl_store_export_markdown (store, id, NULL);
  g_assert_nonnull (strstr (markdown, "The **answer**"));
  json = atl_store_export_json (store, id, NULL);
  ids = atl_store_import (store, json, strlen (json), "chat.json", NULL);
  g_assert_cmpuint (ids->len, ==, 1);
  g_assert_true (two_chats (&f));
  atl_window_open_chat (f.window, g_array_index (ids, gint64, 0), 0);
  g_assert_cmpstr (app_message (app_conversation (&f), 1)->content->str, ==, "The **answer**");
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

static GtkWidget *
focus_in (GtkWidget *list, GtkDirectionType direction)
{
  GtkWidget *focus;

  g_assert_true (gtk_widget_child_focus (list, direction));
  focus = gtk_window_get_focus (GTK_WINDOW (gtk_widget_get_root (list)));
  g_assert_nonnull (focus);
  g_assert_true (gtk_widget_is_ancestor (focus, list));
  return focus;
}

/* The Tab key enters the list, the arrows go past its headings. */
static void
test_keys_reach_chats (void)
{
  AppFixture f;
  GtkWidget *list, *scroller, *first;

  app_fixture_start (&f);
  app_fixture_add_chat (&f, "First", "q", "a", NULL, NULL);
  app_fixture_add_chat (&f, "Second", "q", "a", NULL, NULL);
  app_fixture_spin (200);
  scroller = app_fixture_find_id (f.window->chat_list, "scroller");
  list = gtk_scrolled_window_get_child (GTK_SCROLLED_WINDOW (scroller));
  focus_in (scroller, GTK_DIR_TAB_FORWARD);
  first = focus_in (list, GTK_DIR_DOWN);
  g_assert_true (focus_in (list, GTK_DIR_DOWN) != first);
  app_fixture_stop (&f);
}

static void
test_minimum_width (void)
{
  AppFixture f;
  int minimum;

  app_fixture_start (&f);
  app_exchange (
      app_conversation (&f),
      "averyveryveryveryveryveryveryveryveryverylongwordwithoutanyspaceinitatall",
      "|a|b|c|d|e|\n|-|-|-|-|-|\n|one|two|three|four|five|\n\n```c\nint "
      "a_very_long_line_of_code = 1234567890 + 1234567890 + 1234567890;\n```\n\n```tool-call\n"
      "get_the_current_weather_and_the_forecast_of_a_city\n{}\n```");
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
  preferences = g_object_ref_sink (atl_preferences_window_new (f.session));
  gtk_window_present (GTK_WINDOW (preferences));
  app_fixture_spin (100);
  gtk_window_destroy (GTK_WINDOW (preferences));
  app_fixture_stop (&f);
}

static char *
write_kept (gint64 chat_id)
{
  g_autofree char *key = atl_session_chat_key (chat_id);
  g_autofree char *name = g_strconcat (key, ".chat", NULL);
  g_autofree char *dir = g_build_filename (g_get_user_cache_dir (), "atelier", "chats", NULL);
  char *path = g_build_filename (dir, name, NULL);

  g_mkdir_with_parents (dir, 0700);
  g_assert_true (g_file_set_contents (path, "kept", 4, NULL));
  return path;
}

/* What is kept of chats goes with them, with Clear, and when nothing is to be kept. */
static void
test_kept (void)
{
  AppFixture f;
  g_autofree char *gone = NULL, *trashed = NULL, *there = NULL;
  g_autoptr (GtkWidget) preferences = NULL;
  AtlStore *store;
  gint64 in_trash;

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  in_trash = atl_store_chat_add (store, 0, NULL);
  there = write_kept (atl_store_chat_add (store, 0, NULL));
  trashed = write_kept (in_trash);
  gone = write_kept (in_trash + 1000);
  g_assert_true (atl_store_trash (store, ATL_TRASH_CHAT, in_trash, NULL));
  atl_session_forget_destroyed_chats (f.session);
  g_assert_false (g_file_test (gone, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (trashed, G_FILE_TEST_EXISTS));
  g_assert_cmpint (atl_store_trash_purge (store, G_MAXINT64, NULL), ==, 1);
  atl_session_forget_destroyed_chats (f.session);
  g_assert_false (g_file_test (trashed, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (there, G_FILE_TEST_EXISTS));

  preferences = g_object_ref_sink (atl_preferences_window_new (f.session));
  gtk_window_present (GTK_WINDOW (preferences));
  app_fixture_spin (100);
  g_signal_emit_by_name (app_fixture_find_id (preferences, "keep_clear_button"), "clicked");
  g_assert_false (g_file_test (there, G_FILE_TEST_EXISTS));

  g_assert_true (g_file_set_contents (there, "kept", 4, NULL));
  gtk_switch_set_active (GTK_SWITCH (app_fixture_find_id (preferences, "keep_switch")), FALSE);
  g_assert_false (g_file_test (there, G_FILE_TEST_EXISTS));
  g_assert_null (atl_client_get_kept_chats (atl_session_get_client (f.session)));
  g_assert_false (gtk_widget_is_sensitive (app_fixture_find_id (preferences, "keep_spin")));
  gtk_switch_set_active (GTK_SWITCH (app_fixture_find_id (preferences, "keep_switch")), TRUE);
  g_assert_nonnull (atl_client_get_kept_chats (atl_session_get_client (f.session)));
  gtk_window_destroy (GTK_WINDOW (preferences));
  app_fixture_stop (&f);
}

static void
test_rtl (void)
{
  AppFixture f;

  gtk_widget_set_default_direction (GTK_TEXT_DIR_RTL);
  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "שלום", "> ציטוט\n\n- אחד\n- שתיים");
  app_fixture_spin (300);
  app_fixture_shot (GTK_WIDGET (f.window), "rtl");
  app_fixture_stop (&f);
  gtk_widget_set_default_direction (GTK_TEXT_DIR_LTR);
}

/* The pointer and the keyboard pass over other chats; the open one stays marked. */
static void
test_open_stays_marked (void)
{
  AppFixture f;
  GtkSelectionModel *model;
  GtkWidget *view;
  gint64 open;
  guint n;

  app_fixture_start (&f);
  for (guint i = 0; i < 4; i++)
    open = app_fixture_add_chat (&f, "Chat", "q", "a", NULL, NULL);
  atl_window_open_chat (f.window, open, 0);
  app_fixture_spin (200);
  view = app_fixture_find (f.window->chat_list, GTK_TYPE_LIST_VIEW, NULL, NULL);
  model = gtk_list_view_get_model (GTK_LIST_VIEW (view));
  n = g_list_model_get_n_items (G_LIST_MODEL (model));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GtkBitset) marked = NULL;
      g_autoptr (AtlChatEntry) entry = NULL;

      /* What GTK does when the pointer enters a row. */
      gtk_widget_activate_action (view, "list.select-item", "(ubb)", i, FALSE, FALSE);
      app_fixture_spin (20);
      marked = gtk_selection_model_get_selection (model);
      g_assert_cmpuint (gtk_bitset_get_size (marked), ==, 1);
      entry = g_list_model_get_item (G_LIST_MODEL (model), gtk_bitset_get_nth (marked, 0));
      g_assert_cmpint (entry->id, ==, open);
    }
  app_fixture_stop (&f);
}

/* Who ends a search is at the chat that is open, and not at a heading. */
static void
test_search_ended (void)
{
  AppFixture f;
  gint64 open;
  AtlChatEntry *entry;
  GtkWidget *bar;

  app_fixture_start (&f);
  app_fixture_add_chat (&f, "First", "one", "two", NULL, NULL);
  open = app_fixture_add_chat (&f, "Second", "three", "four", NULL, NULL);
  app_fixture_add_chat (&f, "Third", "five", "six", NULL, NULL);
  atl_window_open_chat (f.window, open, 0);
  app_fixture_spin (300);
  app_act (&f, "win.search", NULL);
  bar = app_fixture_find (f.window->chat_list, GTK_TYPE_SEARCH_BAR, NULL, NULL);
  g_assert_true (gtk_search_bar_get_search_mode (GTK_SEARCH_BAR (bar)));
  gtk_search_bar_set_search_mode (GTK_SEARCH_BAR (bar), FALSE);
  entry = atl_chat_list_get_focused (ATL_CHAT_LIST (f.window->chat_list));
  g_assert_nonnull (entry);
  g_assert_cmpint (entry->kind, ==, ATL_CHAT_ENTRY_CHAT);
  g_assert_cmpint (entry->id, ==, open);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/chats/drag-to-folder", test_drag_to_folder);
  g_test_add_func ("/app/chats/list-buttons", test_list_buttons);
  g_test_add_func ("/app/chats/delete", test_delete_chat);
  g_test_add_func ("/app/chats/deleted", test_deleted_chats);
  g_test_add_func ("/app/chats/kept", test_kept);
  g_test_add_func ("/app/chats/pin-and-search", test_pin_and_search);
  g_test_add_func ("/app/chats/search-ended", test_search_ended);
  g_test_add_func ("/app/chats/rename-by-enter", test_rename_by_enter);
  g_test_add_func ("/app/chats/hit-shows-match", test_hit_shows_match);
  g_test_add_func ("/app/chats/export-import", test_export_import);
  g_test_add_func ("/app/chats/export-import-files", test_export_import_files);
  g_test_add_func ("/app/chats/days", test_days);
  g_test_add_func ("/app/chats/keys-reach-chats", test_keys_reach_chats);
  g_test_add_func ("/app/whole-window/minimum-width", test_minimum_width);
  g_test_add_func ("/app/whole-window/actions", test_actions);
  g_test_add_func ("/app/whole-window/rtl", test_rtl);
  g_test_add_func ("/app/chats/open-stays-marked", test_open_stays_marked);
  return g_test_run ();
}
