/* A GtkListView of messages and everything about its scrolling. */
#include "app/chat/chat-view.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/message-row.h"
#include "app/scrolling.h"
#include "store/search.h"

/* Pixels from the end that still count as the end. */
#define END_SLACK 32
#define SETTLE_FRAMES 4

struct _AtlChatView
{
  GtkWidget parent_instance;

  AtlSession *session;           /* (nullable) */
  AtlConversation *conversation; /* (nullable) */
  GtkNoSelection *selection;

  GtkWidget *box;
  GtkWidget *find_bar;
  GtkWidget *find_entry;
  GtkWidget *find_label;
  GtkWidget *scroller;
  GtkWidget *list;
  GtkWidget *jump_revealer;

  GPtrArray *hits; /* (nullable) (element-type AtlSearchHit) */
  guint hit;
  gint64 found_id;
  gint64 edit_id; /* whose row is edited as soon as it is there */
  guint edit_source, n_frames_to_row;

  gboolean stick; /* the person is at the end and wants to stay there */
  double last_value;
  guint tick;
  guint n_frames; /* left to settle */
  guint earlier_source;
};

G_DEFINE_FINAL_TYPE (AtlChatView, atl_chat_view, GTK_TYPE_WIDGET)

static GtkAdjustment *
get_adjustment (AtlChatView *self)
{
  return gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (self->scroller));
}

gboolean
atl_chat_view_get_is_at_end (AtlChatView *self)
{
  GtkAdjustment *adjustment = get_adjustment (self);
  return gtk_adjustment_get_value (adjustment) + gtk_adjustment_get_page_size (adjustment) >=
         gtk_adjustment_get_upper (adjustment) - END_SLACK;
}

static gboolean
earlier_cb (gpointer data)
{
  AtlChatView *self = data;

  self->earlier_source = 0;
  if (self->conversation != NULL)
    atl_conversation_show_earlier (self->conversation);
  return G_SOURCE_REMOVE;
}

/* Earlier messages come before a person reaches the first one, and when a few short ones leave the
 * view half empty. */
static void
want_earlier (AtlChatView *self)
{
  GtkAdjustment *adjustment = get_adjustment (self);
  double page = gtk_adjustment_get_page_size (adjustment);
  gboolean near = self->stick ? gtk_adjustment_get_upper (adjustment) < 2 * page
                              : gtk_adjustment_get_value (adjustment) < page;

  if (near && self->earlier_source == 0 && self->conversation != NULL &&
      atl_conversation_get_has_earlier (self->conversation))
    self->earlier_source = g_idle_add (earlier_cb, self);
}

/* Setting the value inside notify::upper does not stay (GTK 4.8): a tick after the layout does. */
static gboolean
tick_cb (GtkWidget *widget, GdkFrameClock *clock, gpointer data)
{
  AtlChatView *self = data;
  GtkAdjustment *adjustment = get_adjustment (self);

  if (self->stick)
    gtk_adjustment_set_value (adjustment, gtk_adjustment_get_upper (adjustment) -
                                              gtk_adjustment_get_page_size (adjustment));
  if (--self->n_frames > 0)
    return G_SOURCE_CONTINUE;
  self->tick = 0;
  want_earlier (self);
  return G_SOURCE_REMOVE;
}

static void
settle (AtlChatView *self)
{
  self->n_frames = SETTLE_FRAMES;
  if (self->tick == 0)
    self->tick = gtk_widget_add_tick_callback (self->scroller, tick_cb, self, NULL);
}

static void
refresh_jump (AtlChatView *self)
{
  gboolean show = !self->stick && !atl_chat_view_get_is_at_end (self);

  gtk_revealer_set_reveal_child (GTK_REVEALER (self->jump_revealer), show);
  gtk_widget_set_can_target (self->jump_revealer, show);
}

/* Up without the list having changed its size: a person scrolled. */
static void
value_changed_cb (GtkAdjustment *adjustment, AtlChatView *self)
{
  double value = gtk_adjustment_get_value (adjustment);

  if (value < self->last_value - 1)
    self->stick = FALSE;
  if (atl_chat_view_get_is_at_end (self))
    self->stick = TRUE;
  self->last_value = value;
  refresh_jump (self);
  if (!self->stick)
    want_earlier (self);
}

static void
size_changed_cb (GtkAdjustment *adjustment, AtlChatView *self)
{
  /* Where the list moves what it shows with its size, this comes before the other signal. */
  self->last_value = gtk_adjustment_get_value (adjustment);
  if (self->stick)
    settle (self);
  refresh_jump (self);
}

void
atl_chat_view_jump_to_end (AtlChatView *self)
{
  self->stick = TRUE;
  settle (self);
  refresh_jump (self);
}

/* --- Rows --- */

static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlChatView *self)
{
  gtk_list_item_set_activatable (list_item, FALSE);
  gtk_list_item_set_selectable (list_item, FALSE);
  gtk_list_item_set_child (list_item, atl_message_row_new ());
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlChatView *self)
{
  AtlMessageItem *item = gtk_list_item_get_item (list_item);

  atl_message_row_set_item (ATL_MESSAGE_ROW (gtk_list_item_get_child (list_item)),
                            self->conversation, item);
  atl_accessible_name_list_item (list_item, item->role == ATL_ROLE_ASSISTANT ? _ ("Answer")
                                                                             : _ ("Your message"));
}

static void
unbind_cb (GtkSignalListItemFactory *factory, GtkListItem *list_item, AtlChatView *self)
{
  atl_message_row_set_item (ATL_MESSAGE_ROW (gtk_list_item_get_child (list_item)), NULL, NULL);
}

void
atl_chat_view_set_conversation (AtlChatView *self,
                                AtlSession *session,
                                AtlConversation *conversation)
{
  g_set_object (&self->session, session);
  if (self->conversation == conversation)
    return;
  gtk_search_bar_set_search_mode (GTK_SEARCH_BAR (self->find_bar), FALSE);
  atl_scrolling_reset (self->scroller);
  /* Rows of the old conversation let go before the new ones bind. */
  gtk_no_selection_set_model (self->selection, NULL);
  if (self->conversation != NULL)
    g_signal_handlers_disconnect_by_func (self->conversation, atl_scrolling_reset, self->scroller);
  g_set_object (&self->conversation, conversation);
  if (conversation != NULL)
    {
      g_signal_connect_object (conversation, "replacing", G_CALLBACK (atl_scrolling_reset),
                               self->scroller, G_CONNECT_SWAPPED);
      gtk_no_selection_set_model (self->selection, atl_conversation_get_messages (conversation));
    }
  atl_chat_view_jump_to_end (self);
}

static AtlMessageRow *
find_row (GtkWidget *widget, gint64 id)
{
  if (ATL_IS_MESSAGE_ROW (widget))
    {
      AtlMessageItem *item = atl_message_row_get_item (ATL_MESSAGE_ROW (widget));
      return item != NULL && item->id == id ? ATL_MESSAGE_ROW (widget) : NULL;
    }
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      AtlMessageRow *row = find_row (child, id);
      if (row != NULL)
        return row;
    }
  return NULL;
}

#define MAX_FRAMES_TO_ROW 60

/* A list view makes the rows that are in sight when it is laid out. */
static gboolean
edit_cb (GtkWidget *list, GdkFrameClock *clock, gpointer data)
{
  AtlChatView *self = data;
  AtlMessageRow *row = find_row (list, self->edit_id);

  if (row == NULL && --self->n_frames_to_row > 0)
    return G_SOURCE_CONTINUE;
  self->edit_source = 0;
  if (row != NULL)
    atl_message_row_edit (row);
  return G_SOURCE_REMOVE;
}

static void
edit_when_shown (AtlChatView *self, gint64 id, guint position)
{
  if (self->edit_source != 0)
    gtk_widget_remove_tick_callback (self->list, self->edit_source);
  self->stick = FALSE;
  self->edit_id = id;
  self->n_frames_to_row = MAX_FRAMES_TO_ROW;
  gtk_widget_activate_action (self->list, "list.scroll-to-item", "u", position);
  self->edit_source = gtk_widget_add_tick_callback (self->list, edit_cb, self, NULL);
}

gboolean
atl_chat_view_edit_last (AtlChatView *self)
{
  GListModel *messages;

  if (self->conversation == NULL)
    return FALSE;
  messages = atl_conversation_get_messages (self->conversation);
  for (guint i = g_list_model_get_n_items (messages); i-- > 0;)
    {
      g_autoptr (AtlMessageItem) item = g_list_model_get_item (messages, i);

      if (item->role != ATL_ROLE_USER)
        continue;
      /* A long answer may have pushed it out of sight. */
      edit_when_shown (self, item->id, i);
      return TRUE;
    }
  return FALSE;
}

/* --- Finding --- */

static void
mark_found (AtlChatView *self, gint64 id)
{
  GListModel *messages = atl_conversation_get_messages (self->conversation);

  for (guint i = 0; i < g_list_model_get_n_items (messages); i++)
    {
      g_autoptr (AtlMessageItem) item = g_list_model_get_item (messages, i);
      atl_message_item_set_is_found (item, item->id == id);
    }
  self->found_id = id;
}

void
atl_chat_view_show_message (AtlChatView *self, gint64 message_id)
{
  int position;

  if (self->conversation == NULL)
    return;
  position = atl_conversation_show_message (self->conversation, message_id);
  if (position < 0)
    return;
  self->stick = FALSE;
  mark_found (self, message_id);
  gtk_widget_activate_action (self->list, "list.scroll-to-item", "u", (guint) position);
}

static void
go_to_hit (AtlChatView *self, guint hit)
{
  g_autofree char *words = NULL;
  const AtlSearchHit *found;

  if (self->hits == NULL || self->hits->len == 0)
    return;
  self->hit = hit % self->hits->len;
  found = g_ptr_array_index (self->hits, self->hit);
  /* Translators: which of the places found is shown, as in "2 of 7" */
  words = g_strdup_printf (_ ("%u of %u"), self->hit + 1, self->hits->len);
  gtk_label_set_text (GTK_LABEL (self->find_label), words);
  atl_chat_view_show_message (self, found->message_id);
}

static void
find_changed_cb (AtlChatView *self)
{
  const char *query = gtk_editable_get_text (GTK_EDITABLE (self->find_entry));
  gint64 id = self->conversation ? atl_conversation_get_chat_id (self->conversation) : 0;

  g_clear_pointer (&self->hits, g_ptr_array_unref);
  if (id != 0 && *query != '\0')
    self->hits =
        atl_store_search_chat (atl_session_get_store (self->session), id, query, 500, NULL);
  if (self->hits != NULL && self->hits->len > 0)
    {
      go_to_hit (self, self->hits->len - 1);
      return;
    }
  gtk_label_set_text (GTK_LABEL (self->find_label), *query ? _ ("Nothing found") : "");
  if (self->conversation != NULL)
    mark_found (self, 0);
}

static void
find_next_cb (AtlChatView *self)
{
  go_to_hit (self, self->hit + 1);
}

static void
find_previous_cb (AtlChatView *self)
{
  if (self->hits != NULL && self->hits->len > 0)
    go_to_hit (self, self->hit + self->hits->len - 1);
}

static void
find_mode_cb (AtlChatView *self)
{
  if (gtk_search_bar_get_search_mode (GTK_SEARCH_BAR (self->find_bar)) ||
      self->conversation == NULL)
    return;
  mark_found (self, 0);
  gtk_widget_activate_action (GTK_WIDGET (self), "chat.focus-composer", NULL);
}

void
atl_chat_view_find (AtlChatView *self)
{
  gtk_search_bar_set_search_mode (GTK_SEARCH_BAR (self->find_bar), TRUE);
  gtk_widget_grab_focus (self->find_entry);
}

/* --- The Tab key --- */

/* Where the focus comes to: the message that was found, the last one for a person at the end, else
 * the first in sight. (By itself a list takes its first row, and jumps there.) */
static GtkWidget *
find_entrance (AtlChatView *self)
{
  AtlMessageRow *found = self->found_id != 0 ? find_row (self->list, self->found_id) : NULL;
  GtkWidget *last = NULL;

  if (found != NULL && gtk_widget_get_mapped (GTK_WIDGET (found)))
    return GTK_WIDGET (found);
  for (GtkWidget *row = gtk_widget_get_first_child (self->list); row != NULL;
       row = gtk_widget_get_next_sibling (row))
    {
      graphene_rect_t bounds;

      if (!gtk_widget_get_mapped (row) || gtk_widget_get_first_child (row) == NULL ||
          !gtk_widget_compute_bounds (row, self->scroller, &bounds))
        continue;
      last = gtk_widget_get_first_child (row);
      if (!self->stick && bounds.origin.y + bounds.size.height > END_SLACK)
        break;
    }
  return last;
}

static gboolean
focus (GtkWidget *widget, GtkDirectionType direction)
{
  AtlChatView *self = ATL_CHAT_VIEW (widget);
  GtkWidget *focused = gtk_root_get_focus (gtk_widget_get_root (widget));
  GtkWidget *const parts[] = { self->find_bar, self->scroller, self->jump_revealer };
  int step = direction == GTK_DIR_TAB_FORWARD ? 1 : -1;
  int part = direction == GTK_DIR_TAB_FORWARD ? 0 : G_N_ELEMENTS (parts) - 1;

  if (direction != GTK_DIR_TAB_FORWARD && direction != GTK_DIR_TAB_BACKWARD)
    return GTK_WIDGET_CLASS (atl_chat_view_parent_class)->focus (widget, direction);
  for (int i = 0; focused != NULL && i < (int) G_N_ELEMENTS (parts); i++)
    if (gtk_widget_is_ancestor (focused, parts[i]))
      part = i;
  for (; part >= 0 && part < (int) G_N_ELEMENTS (parts); part += step)
    {
      GtkWidget *entrance = parts[part];

      if (parts[part] == self->jump_revealer &&
          !gtk_revealer_get_reveal_child (GTK_REVEALER (self->jump_revealer)))
        continue;
      if (parts[part] == self->scroller &&
          (focused == NULL || !gtk_widget_is_ancestor (focused, self->scroller)))
        entrance = find_entrance (self);
      if (entrance != NULL && gtk_widget_child_focus (entrance, direction))
        return TRUE;
    }
  return FALSE;
}

/* --- GObject --- */

static void
atl_chat_view_dispose (GObject *object)
{
  AtlChatView *self = ATL_CHAT_VIEW (object);

  g_clear_handle_id (&self->earlier_source, g_source_remove);
  if (self->tick != 0)
    gtk_widget_remove_tick_callback (self->scroller, self->tick);
  self->tick = 0;
  if (self->edit_source != 0)
    gtk_widget_remove_tick_callback (self->list, self->edit_source);
  self->edit_source = 0;
  if (self->selection != NULL)
    gtk_no_selection_set_model (self->selection, NULL);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_pointer (&self->hits, g_ptr_array_unref);
  g_clear_object (&self->selection);
  g_clear_object (&self->conversation);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_chat_view_parent_class)->dispose (object);
}

static void
atl_chat_view_class_init (AtlChatViewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_chat_view_dispose;
  widget_class->focus = focus;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/chat-view.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlChatView, name)
  BIND (box);
  BIND (find_bar);
  BIND (find_entry);
  BIND (find_label);
  BIND (scroller);
  BIND (list);
  BIND (jump_revealer);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, find_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, find_next_cb);
  gtk_widget_class_bind_template_callback (widget_class, find_previous_cb);
  gtk_widget_class_bind_template_callback (widget_class, find_mode_cb);
  gtk_widget_class_bind_template_callback (widget_class, atl_chat_view_jump_to_end);
}

static void
atl_chat_view_init (AtlChatView *self)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_search_bar_connect_entry (GTK_SEARCH_BAR (self->find_bar), GTK_EDITABLE (self->find_entry));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), self);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), self);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_cb), self);
  self->selection = gtk_no_selection_new (NULL);
  gtk_list_view_set_model (GTK_LIST_VIEW (self->list), GTK_SELECTION_MODEL (self->selection));
  gtk_list_view_set_factory (GTK_LIST_VIEW (self->list), factory);
  g_object_unref (factory);
  self->stick = TRUE;
  g_signal_connect (get_adjustment (self), "value-changed", G_CALLBACK (value_changed_cb), self);
  g_signal_connect (get_adjustment (self), "changed", G_CALLBACK (size_changed_cb), self);
}
