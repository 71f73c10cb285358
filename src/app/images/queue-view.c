/* A list box over the queue. */
#include "app/images/queue-view.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/window/undo.h"
#include "app/words.h"

#define PROMPT_CHARS 30

struct _AtlQueueView
{
  GtkWidget parent_instance;

  AtlPicturesSession *pictures; /* (nullable) borrowed */
  GtkWidget *box;
  GtkWidget *scroller;
  GtkWidget *clear_button;
  GtkWidget *list;
};

G_DEFINE_FINAL_TYPE (AtlQueueView, atl_queue_view, GTK_TYPE_WIDGET)

static AtlPictureQueue *
queue_of (AtlQueueView *self)
{
  return atl_pictures_session_get_queue (self->pictures);
}

static AtlPictureTask *
task_of (GtkWidget *widget)
{
  GtkWidget *row = gtk_widget_get_ancestor (widget, GTK_TYPE_LIST_BOX_ROW);

  return row != NULL ? g_object_get_data (G_OBJECT (row), "task") : NULL;
}

static AtlQueueView *
view_of (GtkWidget *widget)
{
  return ATL_QUEUE_VIEW (gtk_widget_get_ancestor (widget, ATL_TYPE_QUEUE_VIEW));
}

static void
move (AtlQueueView *self, AtlPictureTask *task, gint by)
{
  g_autoptr (AtlPictureTask) held = g_object_ref (task);

  atl_picture_queue_move (queue_of (self), held, by);
}

/* --- Taking out, with undo --- */

typedef struct
{
  AtlPicturesSession *pictures; /* (owned) */
  GPtrArray *tasks;             /* (owned) AtlPictureTask, in their order */
  GArray *places;               /* (owned) of guint: where each was */
  gboolean was_paused;
} Taken;

static void
free_taken (gpointer data)
{
  Taken *taken = data;

  g_object_unref (taken->pictures);
  g_ptr_array_unref (taken->tasks);
  g_array_unref (taken->places);
  g_free (taken);
}

static gboolean
put_back (gpointer data, GError **error)
{
  const Taken *taken = data;

  /* An empty queue does not rest. */
  if (taken->was_paused)
    atl_pictures_session_set_is_paused (taken->pictures, TRUE);
  for (guint i = 0; i < taken->tasks->len; i++)
    atl_pictures_session_put_back (taken->pictures, taken->tasks->pdata[i],
                                   g_array_index (taken->places, guint, i));
  return TRUE;
}

/* `only` (nullable): all that are not at work. */
static void
take_out (AtlQueueView *self, AtlPictureTask *only)
{
  GListModel *queue = G_LIST_MODEL (queue_of (self));
  Taken *taken = g_new0 (Taken, 1);
  g_autofree char *words = NULL;

  taken->pictures = g_object_ref (self->pictures);
  taken->tasks = g_ptr_array_new_with_free_func (g_object_unref);
  taken->places = g_array_new (FALSE, FALSE, sizeof (guint));
  taken->was_paused = atl_pictures_session_get_is_paused (self->pictures);
  for (guint i = 0; i < g_list_model_get_n_items (queue); i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue, i);
      AtlPictureTaskState state = atl_picture_task_get_state (task);

      if (state == ATL_TASK_RUNNING || state == ATL_TASK_SAVING || (only != NULL && task != only))
        continue;
      g_array_append_val (taken->places, i);
      g_ptr_array_add (taken->tasks, g_steal_pointer (&task));
    }
  for (guint i = 0; i < taken->tasks->len; i++)
    atl_picture_queue_remove (queue_of (self), taken->tasks->pdata[i]);
  words = g_strdup_printf (ngettext ("%u picture taken out of the queue",
                                     "%u pictures taken out of the queue", taken->tasks->len),
                           taken->tasks->len);
  if (taken->tasks->len > 0)
    atl_undo_offer (GTK_WIDGET (self), words, put_back, taken, free_taken);
  else
    free_taken (taken);
}

static void
remove_cb (GtkWidget *button)
{
  take_out (view_of (button), task_of (button));
}

static void
retry_cb (GtkWidget *button)
{
  atl_pictures_session_retry (view_of (button)->pictures, task_of (button));
}

static void
up_cb (GtkWidget *button)
{
  move (view_of (button), task_of (button), -1);
}

static void
down_cb (GtkWidget *button)
{
  move (view_of (button), task_of (button), 1);
}

/* The key at the end of `words` is read after the name. */
static GtkWidget *
new_button (const char *icon, const char *words, gboolean is_sensitive, GCallback clicked)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);
  const char *key = strstr (words, " (");
  g_autofree char *name = key != NULL ? g_strndup (words, (gsize) (key - words)) : g_strdup (words);

  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (button, words);
  gtk_widget_set_sensitive (button, is_sensitive);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_signal_connect (button, "clicked", clicked, NULL);
  return button;
}

static const char *
state_words (AtlQueueView *self, AtlPictureTask *task)
{
  switch (atl_picture_task_get_state (task))
    {
    case ATL_TASK_RUNNING:
      if (atl_pictures_session_get_is_paused (self->pictures) &&
          !atl_picture_task_pauses_after (task))
        return _ ("Paused");
      return atl_picture_task_get_source (task) != NULL ? _ ("Is being enlarged")
                                                        : _ ("Is being drawn");
    case ATL_TASK_SAVING:
      return _ ("Is being saved");
    case ATL_TASK_FAILED:
      return atl_picture_task_get_error (task)->message;
    case ATL_TASK_WAITING:
    default:
      return _ ("Waits");
    }
}

static GdkContentProvider *
drag_cb (GtkDragSource *source, double x, double y, GtkWidget *row)
{
  return gdk_content_provider_new_typed (ATL_TYPE_PICTURE_TASK, task_of (row));
}

static gint
position_of (AtlQueueView *self, AtlPictureTask *task)
{
  GListModel *queue = G_LIST_MODEL (queue_of (self));

  for (guint i = 0; i < g_list_model_get_n_items (queue); i++)
    {
      g_autoptr (AtlPictureTask) other = g_list_model_get_item (queue, i);

      if (other == task)
        return (gint) i;
    }
  return -1;
}

static gboolean
drop_cb (GtkDropTarget *target, const GValue *value, double x, double y, GtkWidget *row)
{
  AtlQueueView *self = view_of (row);
  AtlPictureTask *task = g_value_get_object (value);
  gint from = position_of (self, task), to = position_of (self, task_of (row));

  if (from < 0 || to < 0)
    return FALSE;
  move (self, task, to - from);
  return TRUE;
}

static gboolean
key_cb (GtkEventControllerKey *keys,
        guint keyval,
        guint keycode,
        GdkModifierType state,
        AtlQueueView *self)
{
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))));
  AtlPictureTask *task =
      focus != NULL && gtk_widget_is_ancestor (focus, GTK_WIDGET (self)) ? task_of (focus) : NULL;

  if (task == NULL)
    return FALSE;
  if ((state & GDK_ALT_MASK) != 0 && (keyval == GDK_KEY_Up || keyval == GDK_KEY_Down))
    move (self, task, keyval == GDK_KEY_Up ? -1 : 1);
  else if (keyval == GDK_KEY_Delete && task != atl_pictures_session_get_current (self->pictures))
    take_out (self, task);
  else
    return FALSE;
  return TRUE;
}

static GtkWidget *
new_labels (AtlQueueView *self, AtlPictureTask *task)
{
  const char *prompt = atl_picture_task_get_settings (task)->prompt;
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *title = gtk_label_new (*prompt != '\0' ? prompt : _ ("No words"));
  GtkWidget *state = gtk_label_new (state_words (self, task));

  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_xalign (GTK_LABEL (state), 0);
  gtk_label_set_single_line_mode (GTK_LABEL (title), TRUE);
  gtk_label_set_ellipsize (GTK_LABEL (title), PANGO_ELLIPSIZE_END);
  gtk_label_set_max_width_chars (GTK_LABEL (title), PROMPT_CHARS);
  gtk_label_set_wrap (GTK_LABEL (state), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (state), PROMPT_CHARS);
  gtk_widget_add_css_class (state, "caption");
  gtk_widget_add_css_class (state, "dim-label");
  gtk_widget_set_hexpand (box, TRUE);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_valign (box, GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (box), title);
  gtk_box_append (GTK_BOX (box), state);
  return box;
}

static GtkWidget *
new_row (AtlQueueView *self, AtlPictureTask *task)
{
  AtlPictureTaskState state = atl_picture_task_get_state (task);
  gboolean at_work = state == ATL_TASK_RUNNING || state == ATL_TASK_SAVING;
  GtkWidget *row = gtk_list_box_row_new (), *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  GtkDragSource *source = gtk_drag_source_new ();
  GtkDropTarget *target = gtk_drop_target_new (ATL_TYPE_PICTURE_TASK, GDK_ACTION_MOVE);

  g_object_set_data_full (G_OBJECT (row), "task", g_object_ref (task), g_object_unref);
  gtk_box_append (GTK_BOX (box), new_labels (self, task));
  if (state == ATL_TASK_FAILED)
    gtk_box_append (GTK_BOX (box), new_button ("view-refresh-symbolic", _ ("Try again"), TRUE,
                                               G_CALLBACK (retry_cb)));
  if (!at_work)
    {
      gtk_box_append (GTK_BOX (box),
                      new_button ("go-up-symbolic", _ ("Earlier (Alt+Up)"),
                                  atl_picture_queue_can_move (queue_of (self), task, -1),
                                  G_CALLBACK (up_cb)));
      gtk_box_append (GTK_BOX (box),
                      new_button ("go-down-symbolic", _ ("Later (Alt+Down)"),
                                  atl_picture_queue_can_move (queue_of (self), task, 1),
                                  G_CALLBACK (down_cb)));
      gtk_box_append (GTK_BOX (box),
                      new_button ("window-close-symbolic", _ ("Take it out (Delete)"), TRUE,
                                  G_CALLBACK (remove_cb)));
      gtk_drag_source_set_actions (source, GDK_ACTION_MOVE);
      g_signal_connect (source, "prepare", G_CALLBACK (drag_cb), row);
      g_signal_connect (target, "drop", G_CALLBACK (drop_cb), row);
      gtk_widget_add_controller (row, GTK_EVENT_CONTROLLER (source));
      gtk_widget_add_controller (row, GTK_EVENT_CONTROLLER (target));
    }
  else
    {
      g_object_unref (source);
      g_object_unref (target);
    }
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  atl_picture_task_get_settings (task)->prompt,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, state_words (self, task),
                                  -1);
  return row;
}

static void
clear_cb (AtlQueueView *self)
{
  take_out (self, NULL);
}

/* --- The rows are made anew; the keyboard stays where it was --- */

typedef struct
{
  AtlPictureTask *task; /* (nullable) whose row had the focus */
  gint at;              /* which row that was */
  const char *icon;     /* (nullable) of its button, when that had it */
} Focus;

static void
find_focus (AtlQueueView *self, Focus *focus)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *widget = root != NULL ? gtk_root_get_focus (root) : NULL;
  GtkWidget *row;

  *focus = (Focus){ NULL };
  if (widget == NULL || !gtk_widget_is_ancestor (widget, self->list))
    return;
  row = gtk_widget_get_ancestor (widget, GTK_TYPE_LIST_BOX_ROW);
  focus->task = g_object_ref (task_of (row));
  focus->at = gtk_list_box_row_get_index (GTK_LIST_BOX_ROW (row));
  focus->icon = GTK_IS_BUTTON (widget)
                    ? g_intern_string (gtk_button_get_icon_name (GTK_BUTTON (widget)))
                    : NULL;
}

/* The same button of the same task; where it is gone, the row that is there now. */
static void
restore_focus (AtlQueueView *self, const Focus *focus)
{
  GtkListBox *list = GTK_LIST_BOX (self->list);
  GtkListBoxRow *row, *last = NULL, *found = NULL;

  if (focus->task == NULL)
    return;
  for (gint i = 0; (row = gtk_list_box_get_row_at_index (list, i)) != NULL; i++)
    {
      if (i <= focus->at)
        last = row;
      if (g_object_get_data (G_OBJECT (row), "task") == focus->task)
        found = row;
    }
  if (found == NULL)
    found = last;
  if (found == NULL)
    return;
  gtk_widget_grab_focus (GTK_WIDGET (found));
  for (GtkWidget *child = gtk_widget_get_first_child (gtk_list_box_row_get_child (found));
       child != NULL && focus->icon != NULL; child = gtk_widget_get_next_sibling (child))
    if (GTK_IS_BUTTON (child) && gtk_widget_get_sensitive (child) &&
        g_strcmp0 (gtk_button_get_icon_name (GTK_BUTTON (child)), focus->icon) == 0)
      gtk_widget_grab_focus (child);
}

/* All rows: where one can go depends on the others. */
static void
rebuild (AtlQueueView *self)
{
  GListModel *queue = G_LIST_MODEL (queue_of (self));
  guint n_idle =
      atl_picture_queue_n_waiting (queue_of (self)) + atl_picture_queue_n_failed (queue_of (self));
  GtkWidget *child;
  Focus focus;

  if (!gtk_widget_get_mapped (GTK_WIDGET (self)))
    return;
  find_focus (self, &focus);
  while ((child = gtk_widget_get_first_child (self->list)) != NULL)
    gtk_list_box_remove (GTK_LIST_BOX (self->list), child);
  gtk_widget_set_visible (self->clear_button, n_idle > 1);
  for (guint i = 0; i < g_list_model_get_n_items (queue); i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue, i);

      gtk_list_box_append (GTK_LIST_BOX (self->list), new_row (self, task));
    }
  restore_focus (self, &focus);
  g_clear_object (&focus.task);
}

static void
map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (atl_queue_view_parent_class)->map (widget);
  rebuild (ATL_QUEUE_VIEW (widget));
}

void
atl_queue_view_set_session (AtlQueueView *self, AtlPicturesSession *pictures)
{
  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  g_signal_connect_object (pictures, "notify::current", G_CALLBACK (rebuild), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "notify::is-paused", G_CALLBACK (rebuild), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "failed", G_CALLBACK (rebuild), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (queue_of (self), "items-changed", G_CALLBACK (rebuild), self,
                           G_CONNECT_SWAPPED);
}

static void
atl_queue_view_dispose (GObject *object)
{
  AtlQueueView *self = ATL_QUEUE_VIEW (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_queue_view_parent_class)->dispose (object);
}

static void
atl_queue_view_class_init (AtlQueueViewClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_queue_view_dispose;
  GTK_WIDGET_CLASS (klass)->map = map;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
atl_queue_view_init (AtlQueueView *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  self->list = gtk_list_box_new ();
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (self->list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (self->list, "queue");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("What comes next"), -1);
  self->scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (self->scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (self->scroller), TRUE);
  gtk_scrolled_window_set_propagate_natural_width (GTK_SCROLLED_WINDOW (self->scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (self->scroller), 320);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (self->scroller), self->list);
  self->clear_button = gtk_button_new_with_mnemonic (_ ("_Take all out"));
  gtk_widget_set_tooltip_text (self->clear_button, _ ("Those that wait and those that failed"));
  gtk_widget_set_margin_top (self->clear_button, 6);
  g_signal_connect_swapped (self->clear_button, "clicked", G_CALLBACK (clear_cb), self);
  self->box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_box_append (GTK_BOX (self->box), self->scroller);
  gtk_box_append (GTK_BOX (self->box), self->clear_button);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
}
