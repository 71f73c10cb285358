/* Editing a message in its place. */
#include "app/chat/message-editor.h"

#include <glib/gi18n.h>

#include "app/words.h"

#define ATL_TYPE_MESSAGE_EDITOR (atl_message_editor_get_type ())
G_DECLARE_FINAL_TYPE (AtlMessageEditor, atl_message_editor, ATL, MESSAGE_EDITOR, GtkBox)

#define RESIZE_MS 60

struct _AtlMessageEditor
{
  GtkBox parent_instance;

  GtkWidget *view;
  AtlEditedFunc edited;
  gpointer data;
};

G_DEFINE_FINAL_TYPE (AtlMessageEditor, atl_message_editor, GTK_TYPE_BOX)

static void
accept (AtlMessageEditor *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view));
  GtkTextIter start, end;
  g_autofree char *text = NULL;

  gtk_text_buffer_get_bounds (buffer, &start, &end);
  text = gtk_text_buffer_get_text (buffer, &start, &end, FALSE);
  if (*g_strstrip (text) != '\0')
    self->edited (text, self->data);
}

static void
cancel (AtlMessageEditor *self)
{
  self->edited (NULL, self->data);
}

static gboolean
key_cb (GtkEventControllerKey *controller,
        guint keyval,
        guint code,
        GdkModifierType state,
        AtlMessageEditor *self)
{
  if (keyval == GDK_KEY_Escape)
    cancel (self);
  else if ((keyval == GDK_KEY_Return || keyval == GDK_KEY_KP_Enter) && !(state & GDK_SHIFT_MASK))
    accept (self);
  else
    return GDK_EVENT_PROPAGATE;
  return GDK_EVENT_STOP;
}

/* A text view knows its height only once it was laid out at its width, and rows of a list do not
 * ask again by themselves. */
static gboolean
resize_cb (gpointer view)
{
  gtk_widget_queue_resize (view);
  return G_SOURCE_REMOVE;
}

static void
mapped_cb (GtkWidget *view)
{
  g_timeout_add_full (G_PRIORITY_LOW, RESIZE_MS, resize_cb, g_object_ref (view), g_object_unref);
}

static gboolean
grab_focus (GtkWidget *widget)
{
  return gtk_widget_grab_focus (ATL_MESSAGE_EDITOR (widget)->view);
}

static void
atl_message_editor_class_init (AtlMessageEditorClass *klass)
{
  GTK_WIDGET_CLASS (klass)->grab_focus = grab_focus;
}

static void
atl_message_editor_init (AtlMessageEditor *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  gtk_orientable_set_orientation (GTK_ORIENTABLE (self), GTK_ORIENTATION_VERTICAL);
  gtk_box_set_spacing (GTK_BOX (self), 6);
  gtk_widget_add_css_class (GTK_WIDGET (self), "message-editor");
  self->view = gtk_text_view_new ();
  g_signal_connect (self->view, "map", G_CALLBACK (mapped_cb), NULL);
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (self->view), GTK_WRAP_WORD_CHAR);
  atl_text_never_hyphenate (GTK_TEXT_VIEW (self->view));
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (self->view), FALSE);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->view), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Edit the message"), -1);
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (self->view, keys);
  gtk_box_append (GTK_BOX (self), self->view);
}

GtkWidget *
atl_message_editor_new (const char *text,
                        const char *accept_label,
                        AtlEditedFunc edited,
                        gpointer data)
{
  AtlMessageEditor *self = g_object_new (ATL_TYPE_MESSAGE_EDITOR, NULL);
  GtkWidget *buttons = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *cancel_button = gtk_button_new_with_label (_ ("Cancel"));
  GtkWidget *accept_button = gtk_button_new_with_label (accept_label);

  self->edited = edited;
  self->data = data;
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view)), text, -1);
  gtk_widget_set_halign (buttons, GTK_ALIGN_END);
  gtk_widget_add_css_class (accept_button, "suggested-action");
  g_signal_connect_swapped (cancel_button, "clicked", G_CALLBACK (cancel), self);
  g_signal_connect_swapped (accept_button, "clicked", G_CALLBACK (accept), self);
  gtk_box_append (GTK_BOX (buttons), cancel_button);
  gtk_box_append (GTK_BOX (buttons), accept_button);
  gtk_box_append (GTK_BOX (self), buttons);
  return GTK_WIDGET (self);
}
