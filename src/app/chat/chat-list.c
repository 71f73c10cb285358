/* Chats by day and folder, and the places a search found. */
#include "app/chat/chat-list.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/chat-entries.h"
#include "app/chat/chat-list-row.h"
#include "app/chat/conversation.h"
#include "app/chat/open-selection.h"
#include "app/scrolling.h"

struct _AtlChatList
{
  GtkWidget parent_instance;

  AtlSession *session; /* (nullable) */
  GListStore *entries;
  AtlOpenSelection *selection;
  gint64 selected; /* chat */

  GtkWidget *box;
  GtkWidget *search_bar;
  GtkWidget *entry;
  GtkWidget *stack;
  GtkWidget *scroller;
  GtkWidget *list;
};

G_DEFINE_FINAL_TYPE (AtlChatList, atl_chat_list, GTK_TYPE_WIDGET)

static guint open_signal;

static const char *
get_query (AtlChatList *self)
{
  return gtk_search_bar_get_search_mode (GTK_SEARCH_BAR (self->search_bar))
             ? gtk_editable_get_text (GTK_EDITABLE (self->entry))
             : "";
}

static void
show_selected (AtlChatList *self)
{
  guint position = GTK_INVALID_LIST_POSITION;

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->entries)); i++)
    {
      g_autoptr (AtlChatEntry) entry = g_list_model_get_item (G_LIST_MODEL (self->entries), i);
      if (entry->kind == ATL_CHAT_ENTRY_CHAT && entry->id == self->selected)
        position = i;
    }
  atl_open_selection_set_position (self->selection, position);
}

static gboolean
is_same (AtlChatList *self, guint position, GPtrArray *lines, guint line)
{
  g_autoptr (AtlChatEntry) entry = g_list_model_get_item (G_LIST_MODEL (self->entries), position);

  return atl_chat_entry_equal (entry, g_ptr_array_index (lines, line));
}

/* Only what changed, so that the other rows keep their place, the focus and an open menu. */
static void
show_lines (AtlChatList *self, GPtrArray *lines)
{
  guint n_old = g_list_model_get_n_items (G_LIST_MODEL (self->entries));
  guint n_common = MIN (n_old, lines->len);
  guint head = 0, tail = 0;

  while (head < n_common && is_same (self, head, lines, head))
    head++;
  while (tail < n_common - head && is_same (self, n_old - 1 - tail, lines, lines->len - 1 - tail))
    tail++;
  if (head + tail == 0)
    atl_scrolling_reset (self->scroller);
  g_list_store_splice (self->entries, head, n_old - head - tail,
                       lines->pdata ? lines->pdata + head : NULL, lines->len - head - tail);
}

static void
refresh (AtlChatList *self)
{
  AtlStore *store = atl_session_get_store (self->session);
  const char *query = get_query (self);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) lines = *query ? atl_chat_entries_search (store, query, &error)
                                       : atl_chat_entries_list (store, &error);

  if (lines == NULL)
    {
      atl_session_emit_notice (self->session, error->message);
      return;
    }
  for (guint i = 0; i < lines->len; i++)
    {
      AtlChatEntry *entry = g_ptr_array_index (lines, i);
      entry->is_running =
          entry->kind == ATL_CHAT_ENTRY_CHAT && atl_session_is_answering (self->session, entry->id);
    }
  show_lines (self, lines);
  gtk_stack_set_visible_child_name (GTK_STACK (self->stack), lines->len > 0 ? "list"
                                                             : *query       ? "nothing"
                                                                            : "empty");
  show_selected (self);
}

void
atl_chat_list_select (AtlChatList *self, gint64 chat_id)
{
  self->selected = chat_id;
  show_selected (self);
}

gint64
atl_chat_list_neighbor (AtlChatList *self, gint64 chat_id)
{
  gint64 above = 0;
  gboolean passed = FALSE;

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->entries)); i++)
    {
      g_autoptr (AtlChatEntry) entry = g_list_model_get_item (G_LIST_MODEL (self->entries), i);
      if (entry->kind != ATL_CHAT_ENTRY_CHAT)
        continue;
      if (passed)
        return entry->id;
      passed = entry->id == chat_id;
      if (!passed)
        above = entry->id;
    }
  return above;
}

void
atl_chat_list_search (AtlChatList *self, const char *query)
{
  gtk_search_bar_set_search_mode (GTK_SEARCH_BAR (self->search_bar), TRUE);
  if (query != NULL)
    gtk_editable_set_text (GTK_EDITABLE (self->entry), query);
  gtk_widget_grab_focus (self->entry);
}

static void
activated_cb (GtkListView *view, guint position, AtlChatList *self)
{
  g_autoptr (AtlChatEntry) entry = g_list_model_get_item (G_LIST_MODEL (self->selection), position);

  if (entry == NULL || entry->kind == ATL_CHAT_ENTRY_HEADING ||
      entry->kind == ATL_CHAT_ENTRY_FOLDER)
    return;
  g_signal_emit (self, open_signal, 0, entry->id, entry->message_id);
}

/* The row of a chat, where it is in sight. */
static GtkWidget *
find_chat (AtlChatList *self, gint64 id)
{
  for (GtkWidget *row = gtk_widget_get_first_child (self->list); row != NULL;
       row = gtk_widget_get_next_sibling (row))
    {
      GtkWidget *child = gtk_widget_get_first_child (row);
      AtlChatEntry *entry = ATL_IS_CHAT_LIST_ROW (child)
                                ? atl_chat_list_row_get_entry (ATL_CHAT_LIST_ROW (child))
                                : NULL;
      if (entry != NULL && entry->kind == ATL_CHAT_ENTRY_CHAT && entry->id == id &&
          gtk_widget_get_mapped (row))
        return row;
    }
  return NULL;
}

static void
search_mode_cb (AtlChatList *self)
{
  GtkWidget *selected;

  refresh (self);
  if (gtk_search_bar_get_search_mode (GTK_SEARCH_BAR (self->search_bar)))
    return;
  /* What comes first in the list is a heading. */
  selected = find_chat (self, self->selected);
  gtk_widget_grab_focus (selected != NULL ? selected : self->list);
}

static void
search_activated_cb (AtlChatList *self)
{
  /* Whoever types fast presses Enter before the list has followed. */
  refresh (self);
  if (*get_query (self) != '\0' && g_list_model_get_n_items (G_LIST_MODEL (self->entries)) > 0)
    activated_cb (GTK_LIST_VIEW (self->list), 0, self);
}

static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlChatList *self)
{
  gtk_list_item_set_child (list_item, atl_chat_list_row_new ());
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlChatList *self)
{
  AtlChatEntry *entry = gtk_list_item_get_item (list_item);
  gboolean heading = entry->kind == ATL_CHAT_ENTRY_HEADING || entry->kind == ATL_CHAT_ENTRY_FOLDER;

  /* A heading that could not be selected would not take the focus, and end the way of the arrows
   * and of the Tab key; what is selected is for the selection to say. */
  gtk_list_item_set_selectable (list_item, TRUE);
  gtk_list_item_set_activatable (list_item, !heading);
  atl_chat_list_row_set_entry (ATL_CHAT_LIST_ROW (gtk_list_item_get_child (list_item)), entry);
  atl_accessible_name_list_item (list_item, entry->title);
}

void
atl_chat_list_set_session (AtlChatList *self, AtlSession *session)
{
  g_return_if_fail (self->session == NULL);

  self->session = g_object_ref (session);
  g_signal_connect_object (session, "chats-changed", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
}

static void
atl_chat_list_dispose (GObject *object)
{
  AtlChatList *self = ATL_CHAT_LIST (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->selection);
  g_clear_object (&self->entries);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_chat_list_parent_class)->dispose (object);
}

static AtlChatListRow *
get_focused_row (AtlChatList *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focused = root != NULL ? gtk_root_get_focus (root) : NULL;
  GtkWidget *row;

  if (focused == NULL || !gtk_widget_is_ancestor (focused, self->list))
    return NULL;
  row = gtk_widget_get_ancestor (focused, ATL_TYPE_CHAT_LIST_ROW);
  if (row == NULL)
    row = gtk_widget_get_first_child (focused);
  return ATL_IS_CHAT_LIST_ROW (row) ? ATL_CHAT_LIST_ROW (row) : NULL;
}

AtlChatEntry *
atl_chat_list_get_focused (AtlChatList *self)
{
  AtlChatListRow *row = get_focused_row (self);

  return row != NULL ? atl_chat_list_row_get_entry (row) : NULL;
}

/* What the menu of the row has, without the menu. (F2 is a key of the window.) */
static gboolean
key_cb (
    GtkEventControllerKey *keys, guint keyval, guint code, GdkModifierType state, AtlChatList *self)
{
  GdkModifierType modifiers = state & gtk_accelerator_get_default_mod_mask ();
  AtlChatListRow *row = get_focused_row (self);
  AtlChatEntry *entry = row != NULL ? atl_chat_list_row_get_entry (row) : NULL;

  if (keyval == GDK_KEY_Escape && modifiers == 0 &&
      gtk_search_bar_get_search_mode (GTK_SEARCH_BAR (self->search_bar)))
    {
      gtk_search_bar_set_search_mode (GTK_SEARCH_BAR (self->search_bar), FALSE);
      return GDK_EVENT_STOP;
    }
  if (entry == NULL)
    return GDK_EVENT_PROPAGATE;
  if (keyval == GDK_KEY_Menu || (keyval == GDK_KEY_F10 && modifiers == GDK_SHIFT_MASK))
    return atl_chat_list_row_popup (row);
  if ((keyval == GDK_KEY_Delete || keyval == GDK_KEY_KP_Delete) && modifiers == 0 &&
      (entry->kind == ATL_CHAT_ENTRY_CHAT || entry->kind == ATL_CHAT_ENTRY_FOLDER))
    return gtk_widget_activate_action (GTK_WIDGET (self),
                                       entry->kind == ATL_CHAT_ENTRY_CHAT ? "win.delete-chat"
                                                                          : "win.delete-folder",
                                       "x", entry->id);
  return GDK_EVENT_PROPAGATE;
}

/* From the words to the first place that was found, and not to the nearest button. */
static gboolean
entry_key_cb (
    GtkEventControllerKey *keys, guint keyval, guint code, GdkModifierType state, AtlChatList *self)
{
  GtkWidget *row = gtk_widget_get_first_child (self->list);

  return keyval == GDK_KEY_Down && row != NULL && gtk_widget_get_mapped (row) &&
         gtk_widget_grab_focus (row);
}

gboolean
atl_chat_list_focus_chat (AtlChatList *self, gint64 chat_id)
{
  GtkWidget *row = find_chat (self, chat_id);

  return row != NULL && gtk_widget_grab_focus (row);
}

/* In the list the Tab key comes to the chat that is open, goes to the menu of the row at most and
 * then on: there may be hundreds of chats, and the arrows walk them. */
static gboolean
focus_in_list (AtlChatList *self, GtkWidget *focused, GtkDirectionType direction)
{
  GtkWidget *selected = find_chat (self, self->selected);

  if (focused != NULL && gtk_widget_is_ancestor (focused, self->list))
    return direction == GTK_DIR_TAB_FORWARD && gtk_widget_get_parent (focused) == self->list &&
           gtk_widget_child_focus (focused, direction);
  if (selected != NULL && !gtk_search_bar_get_search_mode (GTK_SEARCH_BAR (self->search_bar)))
    return gtk_widget_grab_focus (selected);
  return gtk_widget_child_focus (self->stack, direction);
}

static gboolean
focus (GtkWidget *widget, GtkDirectionType direction)
{
  AtlChatList *self = ATL_CHAT_LIST (widget);
  GtkWidget *focused = gtk_root_get_focus (gtk_widget_get_root (widget));
  gboolean in_search = focused != NULL && gtk_widget_is_ancestor (focused, self->search_bar);
  gboolean in_list = focused != NULL && gtk_widget_is_ancestor (focused, self->stack);

  if (direction == GTK_DIR_TAB_FORWARD)
    return (!in_list && gtk_widget_child_focus (self->search_bar, direction)) ||
           focus_in_list (self, focused, direction);
  if (direction == GTK_DIR_TAB_BACKWARD)
    return (!in_search && focus_in_list (self, focused, direction)) ||
           gtk_widget_child_focus (self->search_bar, direction);
  return GTK_WIDGET_CLASS (atl_chat_list_parent_class)->focus (widget, direction);
}

static void
atl_chat_list_class_init (AtlChatListClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_chat_list_dispose;
  widget_class->focus = focus;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/chat-list.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlChatList, name)
  BIND (box);
  BIND (search_bar);
  BIND (entry);
  BIND (stack);
  BIND (scroller);
  BIND (list);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, search_activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, refresh);
  gtk_widget_class_bind_template_callback (widget_class, search_mode_cb);
  open_signal = g_signal_new ("open", ATL_TYPE_CHAT_LIST, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                              G_TYPE_NONE, 2, G_TYPE_INT64, G_TYPE_INT64);
}

static void
atl_chat_list_init (AtlChatList *self)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GtkEventController *keys;

  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_search_bar_connect_entry (GTK_SEARCH_BAR (self->search_bar), GTK_EDITABLE (self->entry));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), self);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), self);
  self->entries = g_list_store_new (ATL_TYPE_CHAT_ENTRY);
  self->selection = atl_open_selection_new (G_LIST_MODEL (self->entries));
  gtk_list_view_set_model (GTK_LIST_VIEW (self->list), GTK_SELECTION_MODEL (self->selection));
  gtk_list_view_set_factory (GTK_LIST_VIEW (self->list), factory);
  g_object_unref (factory);
  keys = gtk_event_controller_key_new ();
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (self->list, keys);
  keys = gtk_event_controller_key_new ();
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (entry_key_cb), self);
  gtk_widget_add_controller (self->entry, keys);
}
