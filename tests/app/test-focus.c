/* By keyboard alone: on every page and in every window the Tab key comes to each thing that takes
 * the focus, goes round, and the same way back. */
#include "app-steps.h"
#include "gallery-steps.h"

#include "app/chat/chat-list-row.h"
#include "app/chat/chat-list.h"
#include "app/compare/compare-window.h"
#include "app/gallery/gallery-strip.h"
#include "app/gallery/gallery-tile.h"
#include "app/gallery/gallery-view-private.h"
#include "app/images/pictures-session.h"
#include "app/notebook/notebook-window.h"
#include "app/preferences/preferences-window.h"
#include "app/window/shortcuts-window.h"

#define MAX_STEPS 400

/* Arrows walk a list; the Tab key comes to one of its rows. Scrolled windows take the focus only
 * where nothing in them does. */
static gboolean
is_reached_otherwise (GtkWidget *widget)
{
  return GTK_IS_WINDOW (widget) || GTK_IS_SCROLLED_WINDOW (widget) || GTK_IS_LABEL (widget) ||
         GTK_IS_LIST_BOX (widget) ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_WINDOW_CONTROLS) != NULL ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_POPOVER) != NULL ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_LIST_VIEW) != NULL ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_GRID_VIEW) != NULL ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_LIST_BOX) != NULL ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_FLOW_BOX) != NULL ||
         (GTK_IS_TOGGLE_BUTTON (widget) && !gtk_widget_get_can_focus (widget));
}

/* Below something that cannot take it, nothing can. */
static gboolean
can_be_reached (GtkWidget *widget)
{
  for (; widget != NULL; widget = gtk_widget_get_parent (widget))
    if (!gtk_widget_get_can_focus (widget))
      return FALSE;
  return TRUE;
}

static void
expect_reached (GtkWidget *widget, GPtrArray *way, const char *what)
{
  if (!gtk_widget_get_mapped (widget) || !gtk_widget_is_sensitive (widget))
    return;
  if (gtk_widget_get_focusable (widget) && can_be_reached (widget) &&
      !is_reached_otherwise (widget) && !g_ptr_array_find (way, widget, NULL))
    {
      g_autofree char *place = app_widget_place (widget);
      g_test_message ("%s: the Tab key never comes to %s", what, place);
      g_test_fail ();
    }
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    expect_reached (child, way, what);
}

/* From the thing that has the focus round to it again. (element-type GtkWidget) borrowed */
static GPtrArray *
walk (GtkWidget *window, GtkDirectionType direction, const char *what)
{
  GPtrArray *way = g_ptr_array_new ();

  for (guint i = 0; i < MAX_STEPS; i++)
    {
      GtkWidget *focus;

      g_signal_emit_by_name (window, "move-focus", direction);
      focus = gtk_root_get_focus (GTK_ROOT (window));
      if (way->len > 0 && focus == g_ptr_array_index (way, 0))
        return way;
      if (focus == NULL || g_ptr_array_find (way, focus, NULL))
        {
          g_autofree char *place = focus ? app_widget_place (focus) : g_strdup ("nothing");
          g_test_message ("%s: the Tab key is caught at %s", what, place);
          g_test_fail ();
          return way;
        }
      g_ptr_array_add (way, focus);
    }
  g_test_message ("%s: the way has no end", what);
  g_test_fail ();
  return way;
}

static void
check (GtkWidget *window, const char *what, guint least)
{
  g_autoptr (GPtrArray) there = NULL;
  g_autoptr (GPtrArray) back = NULL;

  app_fixture_spin (300);
  there = walk (window, GTK_DIR_TAB_FORWARD, what);
  g_test_message ("%s: %u stops", what, there->len);
  g_assert_cmpuint (there->len, >=, least);
  expect_reached (window, there, what);
  back = walk (window, GTK_DIR_TAB_BACKWARD, what);
  /* Backwards it comes to a chat, and not to the chat's menu first. */
  for (guint i = 0; i < there->len; i++)
    if (gtk_widget_get_ancestor (g_ptr_array_index (there, i), ATL_TYPE_CHAT_LIST_ROW) == NULL &&
        !g_ptr_array_find (back, g_ptr_array_index (there, i), NULL))
      {
        g_autofree char *place = app_widget_place (g_ptr_array_index (there, i));
        g_test_message ("%s: not on the way back: %s", what, place);
        g_test_fail ();
      }
}

static void
check_pages (int width)
{
  AppFixture f;

  app_fixture_start (&f);
  gtk_window_set_default_size (GTK_WINDOW (f.window), width, 720);
  check (GTK_WIDGET (f.window), "first start", 4);
  app_fixture_add_chat (&f, "First", "q", "a", "A thought.", NULL);
  app_exchange (app_conversation (&f), "one", "| a | b |\n|--|--|\n| c | d |\n\n```c\nint a;\n```");
  check (GTK_WIDGET (f.window), "chat", 10);
  app_act (&f, "win.toggle-settings", NULL);
  check (GTK_WIDGET (f.window), "settings", 10);
  g_settings_set_boolean (atl_session_get_settings (f.session), "advanced-expanded", TRUE);
  check (GTK_WIDGET (f.window), "advanced settings", 20);
  app_act (&f, "win.toggle-settings", NULL);
  app_act (&f, "win.find", NULL);
  check (GTK_WIDGET (f.window), "find", 12);
  app_act (&f, "win.search", NULL);
  check (GTK_WIDGET (f.window), "search", 6);
  app_act (&f, "win.show-page", "images");
  check (GTK_WIDGET (f.window), "images", 5);
  app_act (&f, "win.show-page", "models");
  check (GTK_WIDGET (f.window), "models", 3);
  g_settings_reset (atl_session_get_settings (f.session), "advanced-expanded");
  app_fixture_stop (&f);
}

static void
test_wide (void)
{
  check_pages (1280);
}

static void
test_narrow (void)
{
  check_pages (360);
}

static void
test_windows (void)
{
  AppFixture f;

  app_fixture_start (&f);
  app_check_window (check, atl_preferences_window_new (f.session), "preferences", 8);
  app_check_window (check, atl_shortcuts_window_new (), "shortcuts", 8);
  app_check_window (check, atl_compare_window_new (GTK_APPLICATION (f.app), f.session), "compare",
                    5);
  app_check_window (check, atl_notebook_window_new (GTK_APPLICATION (f.app), f.session), "notebook",
                    3);
  app_fixture_stop (&f);
}

/* The row that had the focus goes; the next one has it then. */
static void
test_deleted_chat (void)
{
  AppFixture f;
  gint64 below, chat;
  AtlChatList *list;

  app_fixture_start (&f);
  list = ATL_CHAT_LIST (f.window->chat_list);
  below = app_fixture_add_chat (&f, "Below", "q", "a", NULL, NULL);
  chat = app_fixture_add_chat (&f, "Above", "q", "a", NULL, NULL);
  app_fixture_spin (300);
  g_assert_true (atl_chat_list_focus_chat (list, chat));
  g_assert_cmpint (atl_chat_list_get_focused (list)->id, ==, chat);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.delete-chat", "x", chat);
  g_assert_nonnull (atl_chat_list_get_focused (list));
  g_assert_cmpint (atl_chat_list_get_focused (list)->id, ==, below);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.delete-chat", "x", below);
  g_assert_nonnull (gtk_root_get_focus (GTK_ROOT (f.window)));
  app_fixture_stop (&f);
}

/* In a narrow window the settings lie over the chat: Tab does not come to what is below them, and
 * who wants to write gets the chat back. */
static void
test_covered (void)
{
  AppFixture f;
  GtkWidget *composer, *focus;

  app_fixture_start (&f);
  gtk_window_set_default_size (GTK_WINDOW (f.window), 360, 640);
  app_fixture_spin (300);
  composer = app_composer (&f);
  app_act (&f, "win.show-page", "chats");
  app_act (&f, "win.toggle-settings", NULL);
  g_assert_true (gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (f.window->settings_button)));
  for (guint i = 0; i < 30; i++)
    {
      focus = gtk_root_get_focus (GTK_ROOT (f.window));
      g_assert_true (focus == NULL || !gtk_widget_is_ancestor (focus, composer));
      gtk_widget_child_focus (GTK_WIDGET (f.window), GTK_DIR_TAB_FORWARD);
    }
  app_act (&f, "win.show-page", "chats");
  g_assert_false (gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (f.window->settings_button)));
  focus = gtk_root_get_focus (GTK_ROOT (f.window));
  g_assert_true (focus != NULL && gtk_widget_is_ancestor (focus, composer));
  app_fixture_stop (&f);
}

static gboolean
is_menu_open (gpointer f)
{
  GtkMenuButton *button = GTK_MENU_BUTTON (((AppFixture *) f)->window->main_menu_button);
  GtkPopover *popover = gtk_menu_button_get_popover (button);

  return popover != NULL && gtk_widget_get_mapped (GTK_WIDGET (popover));
}

/* The main menu's key, where the sidebar that has the menu is not shown. */
static void
test_main_menu (void)
{
  AppFixture f;
  GtkWidget *leaflet;

  app_fixture_start (&f);
  leaflet = f.window->leaflet;
  gtk_window_set_default_size (GTK_WINDOW (f.window), 360, 640);
  app_fixture_spin (300);
  app_assert_soon (adw_leaflet_get_folded (ADW_LEAFLET (leaflet)));
  adw_leaflet_set_visible_child (ADW_LEAFLET (leaflet), f.window->content);
  app_act (&f, "win.main-menu", NULL);
  g_assert_true (app_fixture_wait (is_menu_open, &f, 60));
  g_assert_true (adw_leaflet_get_visible_child (ADW_LEAFLET (leaflet)) == f.window->sidebar);
  app_fixture_stop (&f);
}

/* Each page by its key takes the focus, from wherever it was. */
static void
test_pages_take_it (void)
{
  static const char *const names[] = { "images", "chats", "models", "chats" };
  AppFixture f;

  app_fixture_start (&f);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      GtkWidget *focus;

      gtk_widget_grab_focus (app_fixture_find_id (GTK_WIDGET (f.window), "list_new_button"));
      app_act (&f, "win.show-page", names[i]);
      focus = gtk_root_get_focus (GTK_ROOT (f.window));
      g_assert_nonnull (focus);
      g_assert_true (gtk_widget_is_ancestor (focus, f.window->pages));
    }
  app_fixture_stop (&f);
}

static GtkWidget *
focus_of (AppFixture *f)
{
  return gtk_root_get_focus (GTK_ROOT (f->window));
}

static GtkWidget *
focused_tile (AppFixture *f)
{
  return focus_of (f) != NULL ? gtk_widget_get_ancestor (focus_of (f), ATL_TYPE_GALLERY_TILE)
                              : NULL;
}

static gboolean
is_tile_of (GtkWidget *widget, gconstpointer item)
{
  return gtk_widget_get_mapped (widget) &&
         atl_gallery_tile_get_item (ATL_GALLERY_TILE (widget)) == item;
}

/* The Tab key leaves the gallery and the strip from any of their pictures, both ways; in the strip
 * keys are about the picture that has the focus, whichever is chosen. */
static void
test_pictures (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  AppFixture f;
  AtlGalleryView *view;
  GtkWidget *strip, *list, *tile;

  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *path = app_write_picture (i, folder);

      app_make_old (path, (int) i);
    }
  app_fixture_start (&f);
  view = app_add_gallery (&f);
  app_wait_for_pictures (&f, 3);
  list = app_fixture_find_id (GTK_WIDGET (view), "list");
  for (guint back = 0; back < 2; back++)
    {
      gtk_widget_grab_focus (GTK_WIDGET (view));
      app_assert_soon (gtk_widget_is_ancestor (focus_of (&f), list));
      app_press (list, GDK_KEY_Tab, back ? GDK_SHIFT_MASK : 0);
      g_assert_nonnull (focus_of (&f));
      g_assert_false (gtk_widget_is_ancestor (focus_of (&f), list));
    }
  /* The row that has the focus is used for another picture before the tile that is to have it has
   * come: GTK gives the focus to the list meanwhile. */
  atl_gallery_view_focus (view, 0);
  app_assert_soon (focused_tile (&f) != NULL);
  atl_gallery_view_stop_focusing (view);
  atl_gallery_view_focus (view, 2);
  gtk_root_set_focus (GTK_ROOT (f.window), list);
  app_assert_soon (focused_tile (&f) != NULL && atl_gallery_tile_get_item (ATL_GALLERY_TILE (
                                                    focused_tile (&f))) == app_picture_at (&f, 2));
  strip = atl_gallery_strip_new (GTK_ORIENTATION_HORIZONTAL);
  atl_gallery_strip_set_session (ATL_GALLERY_STRIP (strip), f.session);
  app_add_page (&f, strip, "row");
  adw_view_stack_set_visible_child (ADW_VIEW_STACK (f.window->pages), strip);
  app_assert_soon (
      app_fixture_find (strip, ATL_TYPE_GALLERY_TILE, is_tile_of, app_picture_at (&f, 1)) != NULL);
  tile = app_fixture_find (strip, ATL_TYPE_GALLERY_TILE, is_tile_of, app_picture_at (&f, 1));
  list = gtk_widget_get_ancestor (tile, GTK_TYPE_LIST_VIEW);
  gtk_widget_grab_focus (gtk_widget_get_parent (tile));
  app_press (list, GDK_KEY_s, 0);
  g_assert_false (atl_gallery_item_get_starred (app_picture_at (&f, 0)));
  g_assert_true (atl_gallery_item_get_starred (app_picture_at (&f, 1)));
  app_press (list, GDK_KEY_Tab, 0);
  g_assert_nonnull (focus_of (&f));
  g_assert_false (gtk_widget_is_ancestor (focus_of (&f), list));
  app_fixture_stop (&f);
  app_clear_pictures ();
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/focus/wide", test_wide);
  g_test_add_func ("/app/focus/narrow", test_narrow);
  g_test_add_func ("/app/focus/windows", test_windows);
  g_test_add_func ("/app/focus/deleted-chat", test_deleted_chat);
  g_test_add_func ("/app/focus/covered", test_covered);
  g_test_add_func ("/app/focus/main-menu", test_main_menu);
  g_test_add_func ("/app/focus/pictures", test_pictures);
  g_test_add_func ("/app/focus/pages-take-it", test_pages_take_it);
  return g_test_run ();
}
