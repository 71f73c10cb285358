/* A message on the screen. Changes while an answer streams are collected for 50 ms. */
#include "app/chat/message-row.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/markdown-view.h"
#include "app/chat/message-details.h"
#include "app/chat/message-editor.h"
#include "app/words.h"
#include "protocol/protocol.h"

#define COALESCE_MS 50

struct _AtlMessageRow
{
  GtkWidget parent_instance;

  AtlConversation *conversation; /* (nullable) */
  AtlMessageItem *item;          /* (nullable) */
  gulong changed_handler;
  guint refresh_source;
  GtkWidget *editor; /* (nullable) */

  GtkWidget *box;
  GtkWidget *name_label;
  GtkWidget *thinking_box;
  GtkWidget *thinking_toggle;
  GtkWidget *thinking_label;
  GtkWidget *thinking_arrow;
  GtkWidget *thinking_text;
  GtkWidget *attachment_box;
  GtkWidget *bubble;
  GtkWidget *markdown;
  GtkWidget *empty_label;
  GtkWidget *phase_box;
  GtkWidget *spinner;
  GtkWidget *phase_label;
  GtkWidget *phase_bar;
  GtkWidget *error_box;
  GtkWidget *error_label;
  GtkWidget *retry_button;
  GtkWidget *longer_button;
  GtkWidget *footer;
  GtkWidget *branch_box;
  GtkWidget *branch_label;
  GtkWidget *previous_button;
  GtkWidget *next_button;
  GtkWidget *actions;
  GtkWidget *regenerate_button;
  GtkWidget *continue_button;
  GtkWidget *details_button;
  GtkWidget *stats_label;
};

G_DEFINE_FINAL_TYPE (AtlMessageRow, atl_message_row, GTK_TYPE_WIDGET)

static void
refresh_thinking (AtlMessageRow *self)
{
  AtlMessageItem *item = self->item;
  gboolean open = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->thinking_toggle));
  g_autofree char *label = NULL;

  gtk_widget_set_visible (self->thinking_box, item->thinking->len > 0);
  if (item->thinking->len == 0)
    return;
  label = atl_message_details_thinking (item, open);
  gtk_label_set_text (GTK_LABEL (self->thinking_label), label);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->thinking_toggle),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  gtk_accessible_update_state (GTK_ACCESSIBLE (self->thinking_toggle),
                               GTK_ACCESSIBLE_STATE_EXPANDED, open, -1);
  gtk_image_set_from_icon_name (GTK_IMAGE (self->thinking_arrow),
                                open ? "pan-down-symbolic" : "pan-end-symbolic");
  if (open)
    {
      g_autofree char *text = g_strstrip (g_strdup (item->thinking->str));
      gtk_label_set_text (GTK_LABEL (self->thinking_text), text);
    }
}

static void
refresh_attachments (AtlMessageRow *self)
{
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (self->attachment_box)) != NULL)
    gtk_box_remove (GTK_BOX (self->attachment_box), child);
  for (guint i = 0; i < self->item->attachments->len; i++)
    {
      const AtlAttachment *file = g_ptr_array_index (self->item->attachments, i);
      GtkWidget *chip = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
      GtkWidget *label = gtk_label_new (file->name);
      gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_MIDDLE);
      gtk_box_append (GTK_BOX (chip), gtk_image_new_from_icon_name ("text-x-generic-symbolic"));
      gtk_box_append (GTK_BOX (chip), label);
      gtk_widget_add_css_class (chip, "chip");
      gtk_widget_set_halign (chip, GTK_ALIGN_END);
      gtk_box_append (GTK_BOX (self->attachment_box), chip);
    }
  gtk_widget_set_visible (self->attachment_box, self->item->attachments->len > 0);
}

static void
refresh_phase (AtlMessageRow *self)
{
  AtlMessageItem *item = self->item;
  gboolean shows = item->phase != NULL && item->state == ATL_MESSAGE_STREAMING;

  gtk_widget_set_visible (self->phase_box, shows);
  gtk_spinner_set_spinning (GTK_SPINNER (self->spinner), shows);
  if (!shows)
    return;
  gtk_label_set_text (GTK_LABEL (self->phase_label), item->phase);
  gtk_widget_set_visible (self->phase_bar, item->fraction >= 0);
  if (item->fraction >= 0)
    gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->phase_bar), MIN (item->fraction, 1));
}

/* An answer that did not end by itself can be continued, where there is room. */
static gboolean
was_cut (AtlMessageRow *self)
{
  const AtlMessageItem *item = self->item;
  const char *reason = item->stats.stop_reason;
  guint used, total;

  if (item->content->len == 0 && item->thinking->len == 0)
    return FALSE;
  if (item->state == ATL_MESSAGE_INTERRUPTED || item->state == ATL_MESSAGE_ERROR ||
      g_strcmp0 (reason, ATL_STOP_LENGTH) == 0)
    return TRUE;
  if (g_strcmp0 (reason, ATL_STOP_CONTEXT_FULL) != 0)
    return FALSE;
  atl_conversation_get_context (self->conversation, &used, &total);
  return total > used;
}

/* Nothing of an answer is there, and no error says why. */
static gboolean
is_empty (const AtlMessageItem *item)
{
  return item->role == ATL_ROLE_ASSISTANT && item->content->len == 0 &&
         item->state != ATL_MESSAGE_STREAMING && item->state != ATL_MESSAGE_ERROR;
}

/* Then a note stands in its place: what is left out looks like a fault of the window. */
static void
refresh_empty (AtlMessageRow *self)
{
  g_autofree char *note = is_empty (self->item) ? atl_message_details_note (self->item) : NULL;

  gtk_widget_set_visible (self->empty_label, note != NULL && self->editor == NULL);
  gtk_label_set_text (GTK_LABEL (self->empty_label), note != NULL ? note : "");
}

static void
refresh_footer (AtlMessageRow *self)
{
  AtlMessageItem *item = self->item;
  gboolean streaming = item->state == ATL_MESSAGE_STREAMING;
  gboolean answer = item->role == ATL_ROLE_ASSISTANT;
  g_autofree char *note = streaming || is_empty (item) ? NULL : atl_message_details_note (item);
  g_autofree char *line = streaming || !answer ? NULL : atl_message_details_line (item);
  g_autofree char *stats =
      note && line ? g_strdup_printf ("%s · %s", note, line) : g_strdup (note ? note : line);
  g_autofree char *branch = g_strdup_printf ("%u/%u", item->branch + 1, item->n_branches);

  /* The space stays while an answer streams, so that nothing jumps when it ends. */
  gtk_widget_set_opacity (self->footer, streaming ? 0 : 1);
  gtk_widget_set_sensitive (self->footer, !streaming);
  gtk_widget_set_visible (self->branch_box, item->n_branches > 1);
  gtk_label_set_text (GTK_LABEL (self->branch_label), branch);
  /* Of thoughts alone nothing would be copied, and what was copied before would be gone. */
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "message.copy", item->content->len > 0);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "message.previous-branch",
                                 item->branch > 0 && !streaming);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "message.next-branch",
                                 item->branch + 1 < item->n_branches && !streaming);
  gtk_widget_set_visible (self->regenerate_button, answer);
  gtk_widget_set_visible (self->continue_button, answer && item->is_last && was_cut (self));
  gtk_widget_set_visible (self->details_button, answer);
  gtk_label_set_text (GTK_LABEL (self->stats_label), stats ? stats : "");
  gtk_widget_set_tooltip_text (self->stats_label, stats);
  gtk_widget_set_visible (self->stats_label, answer);
}

static void
set_class (AtlMessageRow *self, const char *name, gboolean on)
{
  if (on)
    gtk_widget_add_css_class (GTK_WIDGET (self), name);
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), name);
}

/* The message itself takes the focus, before its buttons, and is read then. Not while it grows:
 * each change would be read. */
static void
describe (AtlMessageRow *self)
{
  AtlMessageItem *item = self->item;
  g_autofree char *words = NULL;
  g_autofree char *all = NULL;

  if (item->state == ATL_MESSAGE_STREAMING)
    return;
  words = is_empty (item) ? g_strdup (gtk_label_get_text (GTK_LABEL (self->empty_label)))
          : item->role == ATL_ROLE_ASSISTANT
              ? atl_markdown_view_get_words (ATL_MARKDOWN_VIEW (self->markdown))
              : g_strdup (item->content->str);
  if (item->state == ATL_MESSAGE_ERROR)
    all = g_strdup_printf ("%s\n%s", words, gtk_label_get_text (GTK_LABEL (self->error_label)));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  all ? all : words, -1);
}

static void
refresh (AtlMessageRow *self)
{
  AtlMessageItem *item = self->item;
  gboolean answer = item->role == ATL_ROLE_ASSISTANT;
  gboolean failed = item->state == ATL_MESSAGE_ERROR;
  gboolean editing = self->editor != NULL;
  gboolean wants_longer;

  gtk_widget_set_visible (self->name_label, answer && item->model_name != NULL);
  gtk_label_set_text (GTK_LABEL (self->name_label), item->model_name ? item->model_name : "");
  gtk_widget_set_halign (self->footer, answer ? GTK_ALIGN_FILL : GTK_ALIGN_END);
  gtk_widget_set_visible (self->bubble, !answer && !editing && item->content->len > 0);
  gtk_widget_set_visible (self->markdown, answer && !editing && item->content->len > 0);
  if (answer)
    {
      g_autofree char *text = atl_message_item_to_markdown (item);
      atl_markdown_view_set_text (ATL_MARKDOWN_VIEW (self->markdown), text);
    }
  else
    gtk_label_set_text (GTK_LABEL (self->bubble), item->content->str);
  refresh_thinking (self);
  refresh_phase (self);
  gtk_widget_set_visible (self->error_box, failed);
  gtk_label_set_text (GTK_LABEL (self->error_label),
                      item->error_text ? item->error_text : _ ("The answer could not be made."));
  wants_longer = atl_conversation_is_refused (self->conversation, item) &&
                 atl_conversation_get_longer_context (self->conversation) > 0;
  gtk_widget_set_visible (self->retry_button, !wants_longer);
  gtk_widget_set_visible (self->longer_button, wants_longer);
  refresh_empty (self);
  refresh_footer (self);
  describe (self);
  set_class (self, "last", item->is_last);
  set_class (self, "found", item->is_found);
}

static gboolean
refresh_cb (gpointer data)
{
  AtlMessageRow *self = data;

  self->refresh_source = 0;
  refresh (self);
  return G_SOURCE_REMOVE;
}

static void
changed_cb (AtlMessageItem *item, AtlMessageRow *self)
{
  if (item->state == ATL_MESSAGE_STREAMING)
    {
      if (self->refresh_source == 0)
        self->refresh_source = g_timeout_add (COALESCE_MS, refresh_cb, self);
      return;
    }
  g_clear_handle_id (&self->refresh_source, g_source_remove);
  refresh (self);
}

static void
end_edit (AtlMessageRow *self)
{
  if (self->editor == NULL)
    return;
  gtk_box_remove (GTK_BOX (self->box), g_steal_pointer (&self->editor));
  if (self->item != NULL)
    refresh (self);
}

void
atl_message_row_set_item (AtlMessageRow *self, AtlConversation *conversation, AtlMessageItem *item)
{
  end_edit (self);
  g_clear_handle_id (&self->refresh_source, g_source_remove);
  if (self->item != NULL)
    g_clear_signal_handler (&self->changed_handler, self->item);
  g_set_object (&self->conversation, conversation);
  g_set_object (&self->item, item);
  if (item == NULL)
    return;
  self->changed_handler = g_signal_connect (item, "changed", G_CALLBACK (changed_cb), self);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->thinking_toggle), FALSE);
  set_class (self, "assistant", item->role == ATL_ROLE_ASSISTANT);
  set_class (self, "user", item->role != ATL_ROLE_ASSISTANT);
  gtk_accessible_update_property (
      GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL,
      item->role == ATL_ROLE_ASSISTANT ? _ ("Answer") : _ ("Your message"), -1);
  refresh_attachments (self);
  refresh (self);
}

AtlMessageItem *
atl_message_row_get_item (AtlMessageRow *self)
{
  return self->item;
}

/* --- Actions --- */

/* What stays when the row is replaced by what it asked for; a reference, NULL outside a list. */
static GtkWidget *
ref_list (AtlMessageRow *self)
{
  GtkWidget *list = gtk_widget_get_ancestor (GTK_WIDGET (self), GTK_TYPE_LIST_VIEW);

  return list != NULL ? g_object_ref (list) : NULL;
}

static void
say (GtkWidget *list, GError *error)
{
  if (list != NULL)
    gtk_widget_activate_action (list, "chat.say", "s", error->message);
}

/* The button that was pressed goes away; the next thing to do is to write. */
static void
focus_composer (GtkWidget *list)
{
  if (list != NULL)
    gtk_widget_activate_action (list, "chat.focus-composer", NULL);
}

static void
edited_cb (const char *text, gpointer data)
{
  g_autoptr (AtlMessageRow) self = g_object_ref (data);
  g_autoptr (GtkWidget) list = ref_list (self);
  g_autoptr (AtlMessageItem) item = g_object_ref (self->item);
  g_autoptr (AtlConversation) conversation = g_object_ref (self->conversation);
  g_autoptr (GError) error = NULL;

  if (text != NULL && g_strcmp0 (text, item->content->str) != 0 &&
      !atl_conversation_edit (conversation, item, text, &error))
    say (list, error);
  else
    {
      /* First: GTK 4.8 shows the focus where it passed by when the editor goes with it. */
      focus_composer (list);
      end_edit (self);
    }
}

void
atl_message_row_edit (AtlMessageRow *self)
{
  gboolean answer;

  if (self->item == NULL || self->editor != NULL || self->item->state == ATL_MESSAGE_STREAMING)
    return;
  answer = self->item->role == ATL_ROLE_ASSISTANT;
  self->editor = atl_message_editor_new (self->item->content->str, answer ? _ ("Save") : _ ("Send"),
                                         edited_cb, self);
  gtk_box_insert_child_after (GTK_BOX (self->box), self->editor, self->markdown);
  refresh (self);
  gtk_widget_grab_focus (self->editor);
}

static void
copy_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (widget);

  if (self->item == NULL)
    return;
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), self->item->content->str);
  gtk_widget_activate_action (widget, "chat.say", "s", _ ("Copied"));
}

static void
regenerate_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (widget);
  g_autoptr (GtkWidget) list = ref_list (self);
  g_autoptr (GError) error = NULL;

  if (self->item != NULL && !atl_conversation_regenerate (self->conversation, self->item, &error))
    say (list, error);
  else
    focus_composer (list);
}

static void
longer_context_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (widget);

  if (self->item == NULL || atl_conversation_get_is_running (self->conversation))
    return;
  /* The answer waits for the model that is loaded now. */
  atl_conversation_use_longer_context (self->conversation);
  regenerate_action (widget, name, parameter);
}

static void
continue_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (widget);
  g_autoptr (GtkWidget) list = ref_list (self);
  g_autoptr (GError) error = NULL;

  if (self->item != NULL && !atl_conversation_continue (self->conversation, self->item, &error))
    say (list, error);
  else
    focus_composer (list);
}

static void
edit_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_message_row_edit (ATL_MESSAGE_ROW (widget));
}

static void
delete_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (widget);

  if (self->item != NULL)
    gtk_widget_activate_action (widget, "chat.delete-message", "x", self->item->id);
}

/* The version that stands where another one stood has the focus where that had it, so that a person
 * can walk through them. */
static void
focus_branch (GtkWidget *list, gint64 parent_id, int step)
{
  for (GtkWidget *child = gtk_widget_get_first_child (list); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *row = gtk_widget_get_first_child (child);
      AtlMessageRow *found = ATL_IS_MESSAGE_ROW (row) ? ATL_MESSAGE_ROW (row) : NULL;

      if (found == NULL || found->item == NULL || found->item->parent_id != parent_id)
        continue;
      GtkWidget *same = step > 0 ? found->next_button : found->previous_button;
      GtkWidget *other = step > 0 ? found->previous_button : found->next_button;
      gtk_widget_grab_focus (gtk_widget_is_sensitive (same) ? same : other);
    }
}

static void
branch_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (widget);
  int step = g_str_equal (name, "message.next-branch") ? 1 : -1;
  g_autoptr (GtkWidget) list = ref_list (self);
  g_autoptr (GError) error = NULL;
  gint64 parent_id = self->item != NULL ? self->item->parent_id : 0;

  if (self->item == NULL)
    return;
  if (!atl_conversation_step_branch (self->conversation, self->item, step, &error))
    say (list, error);
  else if (list != NULL)
    focus_branch (list, parent_id, step);
}

static void
thinking_toggled_cb (AtlMessageRow *self)
{
  if (self->item != NULL)
    refresh_thinking (self);
}

static void
details_cb (GtkMenuButton *button, gpointer data)
{
  AtlMessageRow *self = data;

  if (self->item != NULL)
    gtk_menu_button_set_popover (button, atl_message_details_popover (self->item));
}

/* --- GObject --- */

static void
atl_message_row_dispose (GObject *object)
{
  AtlMessageRow *self = ATL_MESSAGE_ROW (object);
  GtkWidget *child;

  atl_message_row_set_item (self, NULL, NULL);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  G_OBJECT_CLASS (atl_message_row_parent_class)->dispose (object);
}

static void
atl_message_row_class_init (AtlMessageRowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_message_row_dispose;
  g_type_ensure (ATL_TYPE_MARKDOWN_VIEW);
  gtk_widget_class_set_css_name (widget_class, "message");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/message-row.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlMessageRow, name)
  BIND (box);
  BIND (name_label);
  BIND (thinking_box);
  BIND (thinking_toggle);
  BIND (thinking_label);
  BIND (thinking_arrow);
  BIND (thinking_text);
  BIND (attachment_box);
  BIND (bubble);
  BIND (markdown);
  BIND (empty_label);
  BIND (phase_box);
  BIND (spinner);
  BIND (phase_label);
  BIND (phase_bar);
  BIND (error_box);
  BIND (error_label);
  BIND (retry_button);
  BIND (longer_button);
  BIND (footer);
  BIND (branch_box);
  BIND (branch_label);
  BIND (previous_button);
  BIND (next_button);
  BIND (actions);
  BIND (regenerate_button);
  BIND (continue_button);
  BIND (details_button);
  BIND (stats_label);
#undef BIND
  gtk_widget_class_install_action (widget_class, "message.copy", NULL, copy_action);
  gtk_widget_class_install_action (widget_class, "message.regenerate", NULL, regenerate_action);
  gtk_widget_class_install_action (widget_class, "message.longer-context", NULL,
                                   longer_context_action);
  gtk_widget_class_install_action (widget_class, "message.continue", NULL, continue_action);
  gtk_widget_class_install_action (widget_class, "message.edit", NULL, edit_action);
  gtk_widget_class_install_action (widget_class, "message.delete", NULL, delete_action);
  gtk_widget_class_install_action (widget_class, "message.previous-branch", NULL, branch_action);
  gtk_widget_class_install_action (widget_class, "message.next-branch", NULL, branch_action);
}

static void
atl_message_row_init (AtlMessageRow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
  atl_label_never_hyphenate (GTK_LABEL (self->bubble));
  atl_label_never_hyphenate (GTK_LABEL (self->thinking_text));
  atl_accessible_focus_by_click (self->bubble);
  atl_accessible_focus_by_click (self->thinking_text);
  gtk_menu_button_set_create_popup_func (GTK_MENU_BUTTON (self->details_button), details_cb, self,
                                         NULL);
  g_signal_connect_swapped (self->thinking_toggle, "toggled", G_CALLBACK (thinking_toggled_cb),
                            self);
}

GtkWidget *
atl_message_row_new (void)
{
  return g_object_new (ATL_TYPE_MESSAGE_ROW, NULL);
}
