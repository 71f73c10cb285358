/* What a screen reader meets: on every page and in every window and dialog each thing that takes
 * the focus has a name, once. */
#include "app-steps.h"

#include "app/dialogs.h"
#include "app/chat/message-row.h"
#include "app/chat/composer.h"
#include "app/compare/compare-window.h"
#include "app/images/upscale-dialog.h"
#include "app/notebook/notebook-window.h"
#include "app/preferences/preferences-window.h"
#include "app/window/shortcuts-window.h"

/* GTK's own parts of an entry or of a list's row are read as the whole. */
static gboolean
is_part (GtkWidget *widget)
{
  return GTK_IS_TEXT (widget) || GTK_IS_WINDOW (widget) ||
         gtk_widget_get_ancestor (widget, GTK_TYPE_WINDOW_CONTROLS) != NULL ||
         (GTK_IS_BUTTON (widget) &&
          gtk_widget_get_ancestor (widget, GTK_TYPE_SPIN_BUTTON) != NULL) ||
         GTK_IS_POPOVER (widget) || gtk_widget_get_ancestor (widget, GTK_TYPE_POPOVER) != NULL;
}

static gboolean
has_name (GtkWidget *widget)
{
  GtkAccessible *accessible = GTK_ACCESSIBLE (widget);

  if (gtk_test_accessible_has_property (accessible, GTK_ACCESSIBLE_PROPERTY_LABEL) ||
      gtk_test_accessible_has_relation (accessible, GTK_ACCESSIBLE_RELATION_LABELLED_BY))
    return TRUE;
  if (GTK_IS_LABEL (widget))
    return TRUE;
  if (GTK_IS_CHECK_BUTTON (widget))
    return gtk_check_button_get_label (GTK_CHECK_BUTTON (widget)) != NULL;
  return GTK_IS_BUTTON (widget) && gtk_button_get_label (GTK_BUTTON (widget)) != NULL;
}

/* What screen readers say twice: a name of its own beside that of the row that it is in. (A button
 * is labelled by its picture, which has no name.) */
static gboolean
is_named_twice (GtkWidget *widget)
{
  return (GTK_IS_SPIN_BUTTON (widget) || GTK_IS_ENTRY (widget) || GTK_IS_SWITCH (widget) ||
          GTK_IS_RANGE (widget)) &&
         gtk_test_accessible_has_property (GTK_ACCESSIBLE (widget),
                                           GTK_ACCESSIBLE_PROPERTY_LABEL) &&
         gtk_test_accessible_has_relation (GTK_ACCESSIBLE (widget),
                                           GTK_ACCESSIBLE_RELATION_LABELLED_BY);
}

static void
check_names (GtkWidget *widget, guint *n)
{
  if (!gtk_widget_get_mapped (widget))
    return;
  /* The part of an entry or a spin button that takes the focus is read as the whole. */
  if ((GTK_IS_SPIN_BUTTON (widget) || GTK_IS_ENTRY (widget) || gtk_widget_get_focusable (widget)) &&
      gtk_widget_get_can_focus (widget) && !is_part (widget))
    {
      g_autofree char *place = app_widget_place (widget);
      if (!has_name (widget) || is_named_twice (widget))
        {
          g_test_message ("%s: %s", has_name (widget) ? "two names" : "no name", place);
          g_test_fail ();
        }
      (*n)++;
    }
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    check_names (child, n);
}

static void
check (GtkWidget *root, const char *what, guint least)
{
  guint n = 0;

  app_fixture_spin (300);
  check_names (root, &n);
  g_test_message ("%s: %u named", what, n);
  g_assert_cmpuint (n, >=, least);
}

static void
test_pages (void)
{
  AppFixture f;

  app_fixture_start (&f);
  check (GTK_WIDGET (f.window), "first start", 10);
  app_fixture_add_chat (&f, "First", "q", "a", "A thought.", NULL);
  app_exchange (app_conversation (&f), "one", "| a | b |\n|--|--|\n| c | d |\n\n```c\nint a;\n```");
  g_settings_set_boolean (atl_session_get_settings (f.session), "advanced-expanded", TRUE);
  app_act (&f, "win.toggle-settings", NULL);
  check (GTK_WIDGET (f.window), "chat", 40);
  app_act (&f, "win.toggle-settings", NULL);
  app_act (&f, "win.find", NULL);
  check (GTK_WIDGET (f.window), "find", 18);
  app_act (&f, "win.search", NULL);
  check (GTK_WIDGET (f.window), "search", 18);
  g_settings_set_boolean (atl_session_get_settings (f.session), "images-advanced-expanded", TRUE);
  app_act (&f, "win.show-page", "images");
  check (GTK_WIDGET (f.window), "images", 30);
  app_act (&f, "win.show-page", "models");
  check (GTK_WIDGET (f.window), "models", 8);
  g_settings_reset (atl_session_get_settings (f.session), "advanced-expanded");
  g_settings_reset (atl_session_get_settings (f.session), "images-advanced-expanded");
  app_fixture_stop (&f);
}

static void
test_windows (void)
{
  AppFixture f;

  app_fixture_start (&f);
  app_check_window (check, atl_preferences_window_new (f.session), "preferences", 10);
  app_check_window (check, atl_shortcuts_window_new (), "shortcuts", 30);
  app_check_window (check, atl_compare_window_new (GTK_APPLICATION (f.app), f.session), "compare",
                    6);
  app_check_window (check, atl_notebook_window_new (GTK_APPLICATION (f.app), f.session), "notebook",
                    3);
  app_check_window (check,
                    GTK_WIDGET (atl_upscale_dialog_new (
                        GTK_WINDOW (f.window), atl_pictures_session_get (f.session), NULL)),
                    "enlarge", 2);
  app_fixture_stop (&f);
}

static void
test_dialogs (void)
{
  AppFixture f;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "one", "answer");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.rename-chat", "x", (gint64) 0);
  app_fixture_spin (200);
  app_check_window (check, GTK_WIDGET (app_dialog ()), "rename", 2);
  app_act (&f, "win.new-folder", NULL);
  app_check_window (check, GTK_WIDGET (app_dialog ()), "new folder", 2);
  app_fixture_stop (&f);
}

/* A person who waits in the composer is told, also how an answer ended that was stopped. */
static void
test_answer_is_told (void)
{
  const AtlChatStats whole = { .stop_reason = (char *) "eos" };
  const AtlChatStats half = { .stop_reason = (char *) ATL_STOP_STOPPED };
  AppFixture f;
  GtkWidget *view;

  app_fixture_start (&f);
  view = app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  app_begin_turn (app_conversation (&f), "one");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Answering");
  atl_conversation_answer_text (app_conversation (&f), "answer", FALSE);
  atl_conversation_answer_finish (app_conversation (&f), &whole);
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "The answer is ready.\nanswer");
  app_begin_turn (app_conversation (&f), "two");
  atl_conversation_answer_text (app_conversation (&f), "half", FALSE);
  atl_conversation_answer_finish (app_conversation (&f), &half);
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Stopped\nhalf");
  app_fixture_stop (&f);
}

static gboolean
is_answer (GtkWidget *widget, gconstpointer data)
{
  AtlMessageItem *item = atl_message_row_get_item (ATL_MESSAGE_ROW (widget));

  return item != NULL && item->role == ATL_ROLE_ASSISTANT && gtk_widget_get_mapped (widget);
}

/* A message that takes the focus is read. */
static void
test_message_is_read (void)
{
  AppFixture f;
  GtkWidget *row;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "one", "It is **two**:\n\n| a | b |\n|--|--|\n| c | d |");
  app_fixture_spin (300);
  row = app_fixture_find (f.window->chat_page, ATL_TYPE_MESSAGE_ROW, is_answer, NULL);
  g_assert_nonnull (row);
  g_assert_true (gtk_widget_get_focusable (row));
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "It is two:\na, b\nc, d");
  app_fixture_stop (&f);
}

/* What a toast says, the thing that has the focus says too, until the focus goes on. */
static void
test_notice_is_told (void)
{
  AppFixture f;
  GtkWidget *view, *button;

  app_fixture_start (&f);
  view = app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  button = app_fixture_find_id (GTK_WIDGET (f.window), "list_new_button");
  gtk_widget_grab_focus (view);
  atl_session_emit_notice (f.session, "Something happened.");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Something happened.");
  gtk_widget_grab_focus (button);
  g_assert_false (gtk_test_accessible_has_property (GTK_ACCESSIBLE (view),
                                                    GTK_ACCESSIBLE_PROPERTY_DESCRIPTION));
  atl_session_emit_notice (f.session, "Something else.");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Something else.");
  gtk_widget_grab_focus (view);
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Ctrl+N");
  app_fixture_stop (&f);
}

static gboolean
is_toast (GtkWidget *widget, gconstpointer data)
{
  return g_str_equal (gtk_widget_get_css_name (widget), "toast") &&
         gtk_widget_get_mapped (widget) && gtk_widget_get_height (widget) > 0;
}

static GtkWidget *
find_toast (AppFixture *f)
{
  return app_fixture_find (GTK_WIDGET (f->window), GTK_TYPE_WIDGET, is_toast, NULL);
}

/* In a narrow window a notice is read whole, and what closes it and undoes is in sight. */
static void
test_notice_fits (void)
{
  static const char words[] = "A sentence of many words, and a/path/of/many/folders/in/it.gguf, "
                              "that is too long for one line, and for two";
  AppFixture f;

  app_fixture_start (&f);
  gtk_window_set_default_size (GTK_WINDOW (f.window), 360, 640);
  app_assert_soon (gtk_widget_get_width (f.window->toasts) <= 380);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (AdwToast) toast =
          g_object_ref_sink (atl_toast_new (f.window->toasts, words, i == 0 ? NULL : "_Undo"));
      graphene_rect_t room, place;

      adw_toast_set_timeout (toast, 0);
      atl_toast_add (f.window->toasts, g_object_ref (toast));
      app_assert_soon (find_toast (&f) != NULL);
      gtk_test_accessible_assert_property (
          GTK_ACCESSIBLE (gtk_widget_get_last_child (find_toast (&f))),
          GTK_ACCESSIBLE_PROPERTY_LABEL, "Close");
      g_assert_true (gtk_widget_compute_bounds (find_toast (&f), f.window->toasts, &room));
      for (GtkWidget *child = gtk_widget_get_first_child (find_toast (&f)); child != NULL;
           child = gtk_widget_get_next_sibling (child))
        {
          g_assert_true (gtk_widget_compute_bounds (child, f.window->toasts, &place));
          g_test_message ("%s: %g to %g of %g", G_OBJECT_TYPE_NAME (child), place.origin.x,
                          place.origin.x + place.size.width, room.origin.x + room.size.width);
          g_assert_cmpfloat (place.origin.x + place.size.width, <=,
                             room.origin.x + room.size.width);
        }
      adw_toast_dismiss (toast);
      app_assert_soon (find_toast (&f) == NULL);
    }
  app_fixture_stop (&f);
}

/* A sentence covers neither what is being written nor what stands above it. */
static void
test_toast_above (void)
{
  AppFixture f;
  GtkWidget *composer;
  graphene_rect_t toast, box;

  app_fixture_start (&f);
  composer = app_composer (&f);
  atl_composer_set_text (ATL_COMPOSER (composer), "One\ntwo\nthree\nfour\nfive\nsix");
  app_fixture_spin (200);
  atl_window_toast (f.window, "A sentence that tells of something");
  app_assert_soon (find_toast (&f) != NULL);
  app_fixture_spin (300);
  g_assert_true (gtk_widget_compute_bounds (find_toast (&f), GTK_WIDGET (f.window), &toast));
  g_assert_true (gtk_widget_compute_bounds (composer, GTK_WIDGET (f.window), &box));
  g_assert_cmpfloat (toast.origin.y + toast.size.height, <=, box.origin.y);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/names/pages", test_pages);
  g_test_add_func ("/app/names/windows", test_windows);
  g_test_add_func ("/app/names/dialogs", test_dialogs);
  g_test_add_func ("/app/names/answer-is-told", test_answer_is_told);
  g_test_add_func ("/app/names/message-is-read", test_message_is_read);
  g_test_add_func ("/app/names/notice-is-told", test_notice_is_told);
  g_test_add_func ("/app/names/notice-fits", test_notice_fits);
  g_test_add_func ("/app/names/toast-above", test_toast_above);
  return g_test_run ();
}
