/* What a person can do with chats and folders, as actions of the window. */
#include <glib/gi18n.h>

#include "app/chat/chat-list.h"
#include "app/chat/conversation.h"
#include "app/dialogs.h"
#include "app/window/deleted-chats.h"
#include "app/window/undo.h"
#include "app/window/window-private.h"
#include "app/words.h"
#include "base/whole-file.h"
#include "store/chats.h"
#include "store/trash.h"

/* 0 stands for the chat that is open. */
static gint64
target_chat (AtlWindow *self, GVariant *parameter)
{
  gint64 id = parameter ? g_variant_get_int64 (parameter) : 0;
  return id != 0 ? id
                 : atl_conversation_get_chat_id (
                       atl_chat_page_get_conversation (ATL_CHAT_PAGE (self->chat_page)));
}

static void
say_error (AtlWindow *self, const GError *error)
{
  atl_window_toast (self, error->message);
}

/* --- Renaming, pinning, folders --- */

typedef struct
{
  AtlWindow *window;
  gint64 id;
} Target;

static Target *
target_new (AtlWindow *window, gint64 id)
{
  Target *target = g_new (Target, 1);
  target->window = window;
  target->id = id;
  return target;
}

static void
renamed (const char *text, gpointer data)
{
  Target *target = data;
  g_autoptr (AtlConversation) conversation =
      atl_session_open_conversation (target->window->session, target->id);
  g_autoptr (GError) error = NULL;

  if (!atl_conversation_rename (conversation, text, &error))
    say_error (target->window, error);
}

static void
rename_chat (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  /* F2 in the list of chats concerns the line that has the focus. */
  AtlChatEntry *entry = atl_chat_list_get_focused (ATL_CHAT_LIST (self->chat_list));
  gboolean by_key = g_variant_get_int64 (parameter) == 0 && entry != NULL;
  gint64 id = by_key ? entry->id : target_chat (self, parameter);
  g_autoptr (AtlChat) chat = NULL;

  if (by_key && entry->kind == ATL_CHAT_ENTRY_FOLDER)
    {
      gtk_widget_activate_action (widget, "win.rename-folder", "x", id);
      return;
    }
  if (id == 0)
    return;
  chat = atl_store_chat_get (atl_window_get_store (self), id, NULL);
  if (chat != NULL)
    atl_dialog_ask_text (widget, _ ("Rename chat"), NULL, _ ("Name"), chat->title, _ ("_Rename"),
                         renamed, target_new (self, id), g_free);
}

static void
update_chat (AtlWindow *self, gint64 id, AtlChatFields field, gint64 folder_id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlChat) chat = atl_store_chat_get (atl_window_get_store (self), id, &error);

  if (chat != NULL)
    {
      if (field == ATL_CHAT_PINNED)
        chat->pinned = !chat->pinned;
      else
        chat->folder_id = folder_id;
    }
  if (chat == NULL || !atl_store_chat_update (atl_window_get_store (self), chat, field, &error))
    say_error (self, error);
  atl_session_emit_chats_changed (self->session);
}

static void
pin_chat (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  gint64 id = target_chat (self, parameter);

  if (id != 0)
    update_chat (self, id, ATL_CHAT_PINNED, 0);
}

static void
folder_added (const char *text, gpointer data)
{
  Target *target = data;
  AtlWindow *self = target->window;
  g_autoptr (GError) error = NULL;
  gint64 folder = atl_store_folder_add (atl_window_get_store (self), text, &error);

  if (folder == 0)
    say_error (self, error);
  else if (target->id != 0)
    update_chat (self, target->id, ATL_CHAT_FOLDER, folder);
  atl_session_emit_chats_changed (self->session);
}

static void
ask_new_folder (AtlWindow *self, gint64 chat_id)
{
  atl_dialog_ask_text (GTK_WIDGET (self), _ ("New folder"),
                       chat_id ? _ ("The chat is moved into it.") : NULL, _ ("Name"), "",
                       _ ("_Create"), folder_added, target_new (self, chat_id), g_free);
}

static void
new_folder (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ask_new_folder (ATL_WINDOW (widget), 0);
}

static void
move_response_cb (AdwMessageDialog *dialog, const char *response, gpointer data)
{
  AtlWindow *self = ATL_WINDOW (gtk_window_get_transient_for (GTK_WINDOW (dialog)));
  gint64 chat = *(gint64 *) g_object_get_data (G_OBJECT (dialog), "chat");
  AdwComboRow *row = g_object_get_data (G_OBJECT (dialog), "row");
  GArray *ids = g_object_get_data (G_OBJECT (dialog), "ids");
  guint choice = adw_combo_row_get_selected (row);

  if (g_str_equal (response, "new"))
    ask_new_folder (self, chat);
  else if (g_str_equal (response, "move") && choice < ids->len)
    update_chat (self, chat, ATL_CHAT_FOLDER, g_array_index (ids, gint64, choice));
}

static void
move_chat (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  gint64 id = target_chat (self, parameter);
  g_autoptr (GPtrArray) folders = atl_store_folder_list (atl_window_get_store (self), NULL);
  g_autoptr (AtlChat) chat = atl_store_chat_get (atl_window_get_store (self), id, NULL);
  g_autoptr (GtkStringList) names = gtk_string_list_new (NULL);
  guint choice = 0;
  GArray *ids = g_array_new (FALSE, TRUE, sizeof (gint64));
  GtkWidget *dialog, *row, *list;
  gint64 none = 0;

  if (id == 0 || folders == NULL || folders->len == 0)
    {
      g_array_unref (ids);
      if (id != 0)
        ask_new_folder (self, id);
      return;
    }
  gtk_string_list_append (names, _ ("No folder"));
  g_array_append_val (ids, none);
  for (guint i = 0; i < folders->len; i++)
    {
      const AtlFolder *folder = g_ptr_array_index (folders, i);
      gtk_string_list_append (names, folder->name);
      g_array_append_val (ids, folder->id);
      /* The first it is not in yet; out of the only one. */
      if (choice == 0 && chat != NULL && chat->folder_id != folder->id)
        choice = i + 1;
    }
  dialog = adw_message_dialog_new (GTK_WINDOW (self), _ ("Move to folder"), NULL);
  row = adw_combo_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), _ ("Folder"));
  adw_combo_row_set_model (ADW_COMBO_ROW (row), G_LIST_MODEL (names));
  adw_combo_row_set_selected (ADW_COMBO_ROW (row), choice);
  list = gtk_list_box_new ();
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  gtk_list_box_append (GTK_LIST_BOX (list), row);
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), list);
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"), "new",
                                    _ ("_New folder…"), "move", _ ("_Move"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "move",
                                              ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "move");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_object_set_data_full (G_OBJECT (dialog), "chat", g_memdup2 (&id, sizeof id), g_free);
  g_object_set_data (G_OBJECT (dialog), "row", row);
  g_object_set_data_full (G_OBJECT (dialog), "ids", ids, (GDestroyNotify) g_array_unref);
  g_signal_connect (dialog, "response", G_CALLBACK (move_response_cb), NULL);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
move_chat_to (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gint64 chat, folder;

  g_variant_get (parameter, "(xx)", &chat, &folder);
  update_chat (ATL_WINDOW (widget), chat, ATL_CHAT_FOLDER, folder);
}

static void
folder_renamed (const char *text, gpointer data)
{
  Target *target = data;
  g_autoptr (GError) error = NULL;

  if (!atl_store_folder_rename (atl_window_get_store (target->window), target->id, text, &error))
    say_error (target->window, error);
  atl_session_emit_chats_changed (target->window->session);
}

static void
rename_folder (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  gint64 id = g_variant_get_int64 (parameter);
  g_autoptr (GPtrArray) folders = atl_store_folder_list (atl_window_get_store (self), NULL);

  for (guint i = 0; folders != NULL && i < folders->len; i++)
    {
      const AtlFolder *folder = g_ptr_array_index (folders, i);
      if (folder->id == id)
        atl_dialog_ask_text (widget, _ ("Rename folder"), NULL, _ ("Name"), folder->name,
                             _ ("_Rename"), folder_renamed, target_new (self, id), g_free);
    }
}

/* --- Deleting --- */

typedef struct
{
  AtlWindow *window; /* borrowed: it owns the undo */
  AtlTrashKind kind;
  gint64 id;
  gboolean was_open;
} Trashed;

static gboolean
restore (gpointer data, GError **error)
{
  Trashed *trashed = data;

  if (!atl_store_restore (atl_window_get_store (trashed->window), trashed->kind, trashed->id,
                          error))
    return FALSE;
  atl_session_emit_chats_changed (trashed->window->session);
  if (trashed->was_open)
    atl_window_open_chat (trashed->window, trashed->id, 0);
  return TRUE;
}

static gboolean
trash (AtlWindow *self, AtlTrashKind kind, gint64 id, gboolean was_open, const char *sentence)
{
  g_autoptr (GError) error = NULL;
  Trashed *trashed;

  if (!atl_store_trash (atl_window_get_store (self), kind, id, &error))
    {
      say_error (self, error);
      return FALSE;
    }
  trashed = g_new0 (Trashed, 1);
  trashed->window = self;
  trashed->kind = kind;
  trashed->id = id;
  trashed->was_open = was_open;
  atl_undo_offer (GTK_WIDGET (self), sentence, restore, trashed, g_free);
  return TRUE;
}

static void
delete_chat (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  gint64 id = target_chat (self, parameter);
  gint64 next = atl_chat_list_neighbor (ATL_CHAT_LIST (self->chat_list), id);
  gboolean is_open = id == target_chat (self, NULL);
  gboolean in_list = atl_chat_list_get_focused (ATL_CHAT_LIST (self->chat_list)) != NULL;
  g_autoptr (AtlConversation) conversation = NULL;

  if (id == 0)
    return;
  conversation = atl_session_open_conversation (self->session, id);
  if (atl_conversation_get_is_running (conversation))
    atl_conversation_stop (conversation);
  if (!trash (self, ATL_TRASH_CHAT, id, is_open, _ ("Chat deleted")))
    return;
  if (is_open && next != 0)
    atl_window_open_chat (self, next, 0);
  else if (is_open)
    atl_window_new_chat (self, 0);
  atl_session_emit_chats_changed (self->session);
  /* The row that had the focus is gone. */
  if (in_list && !atl_chat_list_focus_chat (ATL_CHAT_LIST (self->chat_list), next))
    atl_chat_page_focus (ATL_CHAT_PAGE (self->chat_page));
}

static void
delete_folder (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);

  trash (self, ATL_TRASH_FOLDER, g_variant_get_int64 (parameter), FALSE,
         _ ("Folder deleted, its chats stay"));
  atl_session_emit_chats_changed (self->session);
}

static void
deleted_chats (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_deleted_chats_present (GTK_WINDOW (widget), ATL_WINDOW (widget)->session);
}

/* --- Saving as a file --- */

typedef struct
{
  AtlWindow *window;
  GFile *file;
} Export;

typedef struct
{
  gint64 chat_id;
  AtlExportFormat format;
} Chosen;

static void
written_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlWindow) self = data;
  g_autoptr (GError) error = NULL;

  if (atl_whole_file_save_finish (result, &error))
    atl_window_toast (self, _ ("Chat saved"));
  else
    say_error (self, error);
}

static void
exported_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Export *export = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = atl_store_export_finish (result, &error);

  if (bytes == NULL)
    say_error (export->window, error);
  else
    atl_whole_file_save_async (export->file, bytes, written_cb, g_object_ref (export->window));
  g_object_unref (export->window);
  g_object_unref (export->file);
  g_free (export);
}

void
atl_window_export_to (AtlWindow *self, gint64 chat_id, AtlExportFormat format, GFile *file)
{
  Export *export = g_new0 (Export, 1);

  export->window = g_object_ref (self);
  export->file = g_object_ref (file);
  atl_store_export_async (atl_store_dir (atl_window_get_store (self)), chat_id, format, NULL,
                          exported_cb, export);
}

static void
export_chosen_cb (GtkNativeDialog *chooser, int response, AtlWindow *self)
{
  Chosen *chosen = g_object_get_data (G_OBJECT (chooser), "chosen");

  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      atl_window_export_to (self, chosen->chat_id, chosen->format, file);
    }
  g_clear_object (&self->chooser);
}

static void
export_chat (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlChat) chat = NULL;
  Chosen chosen;
  const char *format;

  g_variant_get (parameter, "(x&s)", &chosen.chat_id, &format);
  chosen.format = g_str_equal (format, "json") ? ATL_EXPORT_JSON : ATL_EXPORT_MARKDOWN;
  if (chosen.chat_id == 0)
    chosen.chat_id = target_chat (self, NULL);
  if (chosen.chat_id == 0)
    return;
  chat = atl_store_chat_get (atl_window_get_store (self), chosen.chat_id, &error);
  if (chat == NULL)
    {
      say_error (self, error);
      return;
    }
  const char *documents = g_get_user_special_dir (G_USER_DIRECTORY_DOCUMENTS);
  g_autoptr (GFile) folder = g_file_new_for_path (
      documents != NULL && g_file_test (documents, G_FILE_TEST_IS_DIR) ? documents
                                                                       : g_get_home_dir ());
  g_autofree char *file_name =
      atl_file_name_from_title (chat->title, chosen.format == ATL_EXPORT_JSON ? ".json" : ".md");
  self->chooser = gtk_file_chooser_native_new (_ ("Save chat"), GTK_WINDOW (self),
                                               GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Save"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (self->chooser), folder, NULL);
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (self->chooser), file_name);
  g_object_set_data_full (G_OBJECT (self->chooser), "chosen", g_memdup2 (&chosen, sizeof chosen),
                          g_free);
  g_signal_connect (self->chooser, "response", G_CALLBACK (export_chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

/* --- The menu of the open chat --- */

/* Where "Pin" stands in the menu of window.ui. */
#define PIN_SECTION 1
#define PIN_ITEM 1

static void
menu_opens_cb (GtkMenuButton *button, gpointer data)
{
  AtlWindow *self = data;
  g_autoptr (AtlChat) chat =
      atl_store_chat_get (atl_window_get_store (self), target_chat (self, NULL), NULL);
  g_autoptr (GMenuModel) section = g_menu_model_get_item_link (
      gtk_menu_button_get_menu_model (button), PIN_SECTION, G_MENU_LINK_SECTION);
  g_autoptr (GMenuItem) item =
      g_menu_item_new (chat != NULL && chat->pinned ? _ ("Un_pin") : _ ("_Pin"), NULL);

  g_menu_item_set_action_and_target (item, "win.pin-chat", "x", (gint64) 0);
  g_menu_remove (G_MENU (section), PIN_ITEM);
  g_menu_insert_item (G_MENU (section), PIN_ITEM, item);
}

void
atl_window_connect_chat_menu (AtlWindow *self)
{
  gtk_menu_button_set_create_popup_func (GTK_MENU_BUTTON (self->chat_menu_button), menu_opens_cb,
                                         self, NULL);
}

void
atl_window_install_chat_actions (GtkWidgetClass *c)
{
  gtk_widget_class_install_action (c, "win.rename-chat", "x", rename_chat);
  gtk_widget_class_install_action (c, "win.pin-chat", "x", pin_chat);
  gtk_widget_class_install_action (c, "win.move-chat", "x", move_chat);
  gtk_widget_class_install_action (c, "win.move-chat-to", "(xx)", move_chat_to);
  gtk_widget_class_install_action (c, "win.new-folder", NULL, new_folder);
  gtk_widget_class_install_action (c, "win.rename-folder", "x", rename_folder);
  gtk_widget_class_install_action (c, "win.delete-chat", "x", delete_chat);
  gtk_widget_class_install_action (c, "win.delete-folder", "x", delete_folder);
  gtk_widget_class_install_action (c, "win.deleted-chats", NULL, deleted_chats);
  gtk_widget_class_install_action (c, "win.export-chat", "(xs)", export_chat);
}
