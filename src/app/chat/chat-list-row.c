/* One line of the sidebar and its menu. */
#include "app/chat/chat-list-row.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/menu-tooltip.h"

struct _AtlChatListRow
{
  GtkWidget parent_instance;

  AtlChatEntry *entry; /* (nullable) */

  GtkWidget *box;
  GtkWidget *icon;
  GtkWidget *title;
  GtkWidget *snippet;
  GtkWidget *spinner;
  GtkWidget *menu_button;
};

G_DEFINE_FINAL_TYPE (AtlChatListRow, atl_chat_list_row, GTK_TYPE_WIDGET)

static void
append (GMenu *menu, const char *label, const char *action, GVariant *target)
{
  g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);
  g_menu_item_set_action_and_target_value (item, action, target);
  g_menu_append_item (menu, item);
}

static GMenuModel *
chat_menu (AtlChatEntry *entry)
{
  GMenu *menu = g_menu_new ();
  g_autoptr (GMenu) first = g_menu_new ();
  g_autoptr (GMenu) export = g_menu_new ();
  g_autoptr (GMenu) last = g_menu_new ();
  gint64 id = entry->id;

  append (first, entry->pinned ? _ ("Un_pin") : _ ("_Pin"), "win.pin-chat",
          g_variant_new_int64 (id));
  append (first, _ ("_Rename…"), "win.rename-chat", g_variant_new_int64 (id));
  append (first, _ ("_Move to folder…"), "win.move-chat", g_variant_new_int64 (id));
  append (export, _ ("Save as Mar_kdown…"), "win.export-chat", g_variant_new ("(xs)", id, "md"));
  append (export, _ ("Save as _JSON…"), "win.export-chat", g_variant_new ("(xs)", id, "json"));
  append (last, _ ("_Delete"), "win.delete-chat", g_variant_new_int64 (id));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (first));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (export));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (last));
  return G_MENU_MODEL (menu);
}

static GMenuModel *
folder_menu (AtlChatEntry *entry)
{
  GMenu *menu = g_menu_new ();

  append (menu, _ ("_New chat here"), "win.new-chat-in", g_variant_new_int64 (entry->id));
  append (menu, _ ("_Rename folder…"), "win.rename-folder", g_variant_new_int64 (entry->id));
  append (menu, _ ("_Delete folder"), "win.delete-folder", g_variant_new_int64 (entry->id));
  return G_MENU_MODEL (menu);
}

static void
create_menu_cb (GtkMenuButton *button, gpointer data)
{
  AtlChatListRow *self = data;
  g_autoptr (GMenuModel) menu = NULL;

  if (self->entry == NULL)
    return;
  menu = self->entry->kind == ATL_CHAT_ENTRY_FOLDER ? folder_menu (self->entry)
                                                    : chat_menu (self->entry);
  gtk_menu_button_set_menu_model (button, menu);
}

gboolean
atl_chat_list_row_popup (AtlChatListRow *self)
{
  if (!gtk_widget_get_visible (self->menu_button))
    return FALSE;
  gtk_menu_button_popup (GTK_MENU_BUTTON (self->menu_button));
  return TRUE;
}

static void
pressed_cb (GtkGestureClick *gesture, int n_press, double x, double y, AtlChatListRow *self)
{
  GdkEvent *event = gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (gesture));

  if (event == NULL || !gdk_event_triggers_context_menu (event) || !atl_chat_list_row_popup (self))
    return;
  gtk_gesture_set_state (GTK_GESTURE (gesture), GTK_EVENT_SEQUENCE_CLAIMED);
}

/* --- Dragging a chat into a folder, or out of it --- */

static GdkContentProvider *
prepare_cb (GtkDragSource *source, double x, double y, AtlChatListRow *self)
{
  if (self->entry == NULL || self->entry->kind != ATL_CHAT_ENTRY_CHAT)
    return NULL;
  return gdk_content_provider_new_typed (G_TYPE_INT64, self->entry->id);
}

static void
drag_begin_cb (GtkDragSource *source, GdkDrag *drag, AtlChatListRow *self)
{
  g_autoptr (GdkPaintable) picture = gtk_widget_paintable_new (GTK_WIDGET (self));
  gtk_drag_source_set_icon (source, picture, 12, 12);
}

/* Onto a folder or a chat in it: into the folder; onto a day or a chat of a day: out of any. What
 * is pinned stands above both and says neither. */
static gboolean
takes_chats (AtlChatListRow *self)
{
  return self->entry != NULL && self->entry->kind != ATL_CHAT_ENTRY_HIT && !self->entry->pinned;
}

static GdkDragAction
drag_enter_cb (GtkDropTarget *target, double x, double y, AtlChatListRow *self)
{
  return takes_chats (self) ? GDK_ACTION_MOVE : 0;
}

static gboolean
drop_cb (GtkDropTarget *target, const GValue *value, double x, double y, AtlChatListRow *self)
{
  gint64 folder;

  if (!takes_chats (self))
    return FALSE;
  folder = self->entry->kind == ATL_CHAT_ENTRY_FOLDER ? self->entry->id : self->entry->folder_id;
  return gtk_widget_activate_action (GTK_WIDGET (self), "win.move-chat-to", "(xx)",
                                     g_value_get_int64 (value), folder);
}

static void
install_drag (AtlChatListRow *self)
{
  GtkDragSource *source = gtk_drag_source_new ();
  GtkDropTarget *target = gtk_drop_target_new (G_TYPE_INT64, GDK_ACTION_MOVE);

  gtk_drag_source_set_actions (source, GDK_ACTION_MOVE);
  g_signal_connect (source, "prepare", G_CALLBACK (prepare_cb), self);
  g_signal_connect (source, "drag-begin", G_CALLBACK (drag_begin_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (source));
  g_signal_connect (target, "enter", G_CALLBACK (drag_enter_cb), self);
  g_signal_connect (target, "drop", G_CALLBACK (drop_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (target));
}

AtlChatEntry *
atl_chat_list_row_get_entry (AtlChatListRow *self)
{
  return self->entry;
}

void
atl_chat_list_row_set_entry (AtlChatListRow *self, AtlChatEntry *entry)
{
  gboolean heading = entry->kind == ATL_CHAT_ENTRY_HEADING;
  gboolean folder = entry->kind == ATL_CHAT_ENTRY_FOLDER;
  g_autofree char *menu_name = g_strdup_printf (_ ("Menu of “%s”"), entry->title);

  g_set_object (&self->entry, entry);
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->menu_button), NULL);
  gtk_menu_button_set_create_popup_func (GTK_MENU_BUTTON (self->menu_button), create_menu_cb, self,
                                         NULL);
  gtk_label_set_text (GTK_LABEL (self->title), entry->title);
  gtk_widget_set_tooltip_text (self->title, heading ? NULL : entry->title);
  gtk_widget_set_visible (self->icon, folder || (entry->pinned && !heading));
  gtk_image_set_from_icon_name (GTK_IMAGE (self->icon),
                                folder ? "folder-symbolic" : "view-pin-symbolic");
  gtk_widget_set_visible (self->snippet, entry->markup != NULL);
  if (entry->markup != NULL)
    gtk_label_set_markup (GTK_LABEL (self->snippet), entry->markup);
  gtk_widget_set_visible (self->spinner, entry->is_running);
  gtk_spinner_set_spinning (GTK_SPINNER (self->spinner), entry->is_running);
  gtk_widget_set_visible (self->menu_button, !heading && entry->kind != ATL_CHAT_ENTRY_HIT);
  atl_accessible_set_menu_button (GTK_MENU_BUTTON (self->menu_button), menu_name);
  if (entry->markup != NULL)
    gtk_widget_add_css_class (GTK_WIDGET (self), "hit");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), "hit");
  if (heading || folder)
    gtk_widget_add_css_class (GTK_WIDGET (self), "heading-row");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), "heading-row");
}

static void
atl_chat_list_row_dispose (GObject *object)
{
  AtlChatListRow *self = ATL_CHAT_LIST_ROW (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->entry);
  G_OBJECT_CLASS (atl_chat_list_row_parent_class)->dispose (object);
}

static void
atl_chat_list_row_class_init (AtlChatListRowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_chat_list_row_dispose;
  gtk_widget_class_set_css_name (widget_class, "chatrow");
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
}

static void
atl_chat_list_row_init (AtlChatListRow *self)
{
  GtkWidget *texts = gtk_box_new (GTK_ORIENTATION_VERTICAL, 2);
  GtkGesture *click = gtk_gesture_click_new ();

  self->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  self->icon = gtk_image_new ();
  self->title = gtk_label_new (NULL);
  gtk_label_set_xalign (GTK_LABEL (self->title), 0);
  gtk_label_set_ellipsize (GTK_LABEL (self->title), PANGO_ELLIPSIZE_END);
  gtk_widget_add_css_class (self->title, "title");
  self->snippet = gtk_label_new (NULL);
  gtk_label_set_xalign (GTK_LABEL (self->snippet), 0);
  gtk_label_set_ellipsize (GTK_LABEL (self->snippet), PANGO_ELLIPSIZE_END);
  gtk_label_set_wrap (GTK_LABEL (self->snippet), TRUE);
  gtk_label_set_lines (GTK_LABEL (self->snippet), 2);
  gtk_widget_add_css_class (self->snippet, "caption");
  gtk_widget_set_hexpand (texts, TRUE);
  gtk_widget_set_valign (texts, GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (texts), self->title);
  gtk_box_append (GTK_BOX (texts), self->snippet);
  self->spinner = gtk_spinner_new ();
  self->menu_button = gtk_menu_button_new ();
  gtk_menu_button_set_icon_name (GTK_MENU_BUTTON (self->menu_button), "view-more-symbolic");
  gtk_widget_set_valign (self->menu_button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (self->menu_button, "flat");
  gtk_widget_add_css_class (self->menu_button, "row-menu");
  atl_menu_tooltip_rests (GTK_MENU_BUTTON (self->menu_button), self->title);
  gtk_box_append (GTK_BOX (self->box), self->icon);
  gtk_box_append (GTK_BOX (self->box), texts);
  gtk_box_append (GTK_BOX (self->box), self->spinner);
  gtk_box_append (GTK_BOX (self->box), self->menu_button);
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (click), 0);
  g_signal_connect (click, "pressed", G_CALLBACK (pressed_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (click));
  install_drag (self);
}

GtkWidget *
atl_chat_list_row_new (void)
{
  return g_object_new (ATL_TYPE_CHAT_LIST_ROW, NULL);
}
