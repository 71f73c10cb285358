/* A row a chat, last deleted first; all of them can be destroyed before their time. */
#include "app/window/deleted-chats.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/dialogs.h"
#include "store/chats.h"
#include "store/trash.h"

#define DATA_KEY "deleted-chats" /* of the window: its Deleted */
#define DAY_US (24 * 3600 * (gint64) G_USEC_PER_SEC)

typedef struct
{
  AtlSession *session; /* (owned) */
  GtkWidget *window;
  AdwPreferencesGroup *group;
  GPtrArray *rows; /* (owned) of the group, borrowed */
} Deleted;

static void
free_deleted (gpointer data)
{
  Deleted *self = data;

  g_object_unref (self->session);
  g_ptr_array_unref (self->rows);
  g_free (self);
}

static void
say (Deleted *self, const char *sentence)
{
  adw_preferences_window_add_toast (ADW_PREFERENCES_WINDOW (self->window),
                                    atl_toast_new (self->window, sentence, NULL));
  atl_accessible_announce (self->window, sentence);
}

/* --- The rows --- */

static void
show_nothing (Deleted *self)
{
  GtkWidget *page = adw_status_page_new ();

  adw_status_page_set_icon_name (ADW_STATUS_PAGE (page), "user-trash-symbolic");
  adw_status_page_set_title (ADW_STATUS_PAGE (page), _ ("No deleted chats"));
  gtk_widget_add_css_class (page, "compact");
  adw_preferences_group_set_header_suffix (self->group, NULL);
  adw_preferences_group_add (self->group, page);
}

/* The keyboard stays in the list. */
static void
remove_row (Deleted *self, GtkWidget *row)
{
  guint at;

  if (!g_ptr_array_find (self->rows, row, &at))
    return;
  g_ptr_array_remove_index (self->rows, at);
  if (self->rows->len > 0)
    gtk_widget_grab_focus (self->rows->pdata[MIN (at, self->rows->len - 1)]);
  adw_preferences_group_remove (self->group, row);
  if (self->rows->len == 0)
    show_nothing (self);
}

static const char *
title_of (const AtlChat *chat)
{
  return *chat->title != '\0' ? chat->title : _ ("New chat");
}

static void
restore_cb (GtkButton *button, Deleted *self)
{
  GtkWidget *row = gtk_widget_get_ancestor (GTK_WIDGET (button), ADW_TYPE_ACTION_ROW);
  const char *title = adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row));
  gint64 id = *(gint64 *) g_object_get_data (G_OBJECT (button), "chat");
  g_autofree char *sentence = g_strdup_printf (_ ("“%s” is among your chats again"), title);
  g_autoptr (GError) error = NULL;

  if (atl_store_restore (atl_session_get_store (self->session), ATL_TRASH_CHAT, id, &error))
    atl_session_emit_chats_changed (self->session);
  if (error == NULL || g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    remove_row (self, row);
  say (self, error != NULL ? error->message : sentence);
}

static void
add_row (Deleted *self, const AtlChat *chat)
{
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *button = gtk_button_new_with_label (_ ("Restore"));
  gint64 age = MAX (g_get_real_time () - chat->trashed_us, 0) / DAY_US;
  guint days = (guint) MAX (ATL_TRASH_DAYS - age, 1);
  g_autofree char *left = g_strdup_printf (ngettext ("%u day left", "%u days left", days), days);
  g_autofree char *name = g_strdup_printf (_ ("Restore “%s”"), title_of (chat));

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title_of (chat));
  adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 2);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), left);
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_object_set_data_full (G_OBJECT (button), "chat", g_memdup2 (&chat->id, sizeof chat->id),
                          g_free);
  g_signal_connect (button, "clicked", G_CALLBACK (restore_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), button);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), button);
  adw_preferences_group_add (self->group, row);
  g_ptr_array_add (self->rows, row);
}

/* --- Destroying --- */

static void
destroy_response_cb (AdwMessageDialog *dialog, const char *response, GObject *window)
{
  Deleted *self = g_object_get_data (window, DATA_KEY);
  g_autoptr (GError) error = NULL;

  if (!g_str_equal (response, "destroy"))
    return;
  if (atl_store_trash_empty_chats (atl_session_get_store (self->session), &error) < 0)
    {
      say (self, error->message);
      return;
    }
  atl_session_forget_destroyed_chats (self->session);
  while (self->rows->len > 0)
    remove_row (self, self->rows->pdata[0]);
}

static void
destroy_cb (GtkButton *button, Deleted *self)
{
  guint n = self->rows->len;
  g_autofree char *body = g_strdup_printf (
      ngettext (
          "%u chat is destroyed with all its messages. This cannot be undone. Backups keep it "
          "until there are seven newer ones, a day each.",
          "%u chats are destroyed with all their messages. This cannot be undone. Backups "
          "keep them until there are seven newer ones, a day each.",
          n),
      n);
  AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (
      adw_message_dialog_new (GTK_WINDOW (self->window), _ ("Destroy deleted chats?"), body));

  adw_message_dialog_add_responses (dialog, "cancel", _ ("_Cancel"), "destroy", _ ("_Destroy"),
                                    NULL);
  adw_message_dialog_set_response_appearance (dialog, "destroy", ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_default_response (dialog, "cancel");
  adw_message_dialog_set_close_response (dialog, "cancel");
  g_signal_connect_object (dialog, "response", G_CALLBACK (destroy_response_cb), self->window, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
add_destroy_button (Deleted *self)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (_ ("_Destroy all…"));

  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "flat");
  g_signal_connect (button, "clicked", G_CALLBACK (destroy_cb), self);
  adw_preferences_group_set_header_suffix (self->group, button);
}

/* --- The window --- */

static void
show_chats (Deleted *self)
{
  g_autofree char *words = g_strdup_printf (
      ngettext ("A chat that was deleted can be brought back for %u day, then it is destroyed.",
                "A chat that was deleted can be brought back for %u days, then it is destroyed.",
                ATL_TRASH_DAYS),
      ATL_TRASH_DAYS);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) chats =
      atl_store_chat_list_trashed (atl_session_get_store (self->session), &error);

  adw_preferences_group_set_description (self->group, words);
  for (guint i = 0; chats != NULL && i < chats->len; i++)
    add_row (self, chats->pdata[i]);
  if (self->rows->len > 0)
    add_destroy_button (self);
  else
    show_nothing (self);
  if (error != NULL)
    say (self, error->message);
}

void
atl_deleted_chats_present (GtkWindow *parent, AtlSession *session)
{
  Deleted *self = g_new0 (Deleted, 1);
  AdwPreferencesPage *page = ADW_PREFERENCES_PAGE (adw_preferences_page_new ());

  self->session = g_object_ref (session);
  self->rows = g_ptr_array_new ();
  self->window = adw_preferences_window_new ();
  self->group = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  g_object_set_data_full (G_OBJECT (self->window), DATA_KEY, self, free_deleted);
  adw_preferences_page_set_title (page, _ ("Deleted chats"));
  adw_preferences_page_add (page, self->group);
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (self->window), page);
  gtk_window_set_title (GTK_WINDOW (self->window), _ ("Deleted chats"));
  gtk_window_set_default_size (GTK_WINDOW (self->window), 520, 560);
  gtk_window_set_transient_for (GTK_WINDOW (self->window), parent);
  gtk_window_set_modal (GTK_WINDOW (self->window), TRUE);
  show_chats (self);
  gtk_window_present (GTK_WINDOW (self->window));
}
