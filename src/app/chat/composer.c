/* The composer: keyboard first, nothing lost. */
#include "app/chat/composer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/words.h"

#define DRAFT_MS 400
#define GROW_FRAMES 20

/* What is longer is attached when it is pasted. */
#define LONG_PASTE_BYTES 50000

struct _AtlComposer
{
  GtkWidget parent_instance;

  GtkWidget *attachment_box;
  GtkWidget *attach_button;
  GtkWidget *scroller;
  GtkWidget *text_view;
  GtkWidget *placeholder;
  GtkWidget *button_stack;
  GtkWidget *send_button;
  GtkWidget *stop_button;
  GtkWidget *context_bar;

  AtlAttachedFiles *files;
  GtkFileChooserNative *chooser; /* (nullable) */
  guint draft_source;
  guint grow_tick;
  guint n_grown; /* frames since it began to */
  guint n_context;
  gboolean running;
  gboolean has_preedit;
  gboolean loading_text; /* set_text() is no typing */
};

G_DEFINE_FINAL_TYPE (AtlComposer, atl_composer, GTK_TYPE_WIDGET)

enum
{
  SEND,
  STOP,
  EDIT_LAST,
  DRAFT,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static GtkTextBuffer *
get_buffer (AtlComposer *self)
{
  return gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->text_view));
}

char *
atl_composer_get_text (AtlComposer *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (get_buffer (self), &start, &end);
  return gtk_text_buffer_get_text (get_buffer (self), &start, &end, FALSE);
}

static void
refresh (AtlComposer *self)
{
  g_autofree char *text = atl_composer_get_text (self);
  gboolean empty = *text == '\0';
  gboolean has_files = atl_attached_files_get (self->files)->len > 0;

  gtk_widget_set_visible (self->placeholder, empty && !self->has_preedit);
  gtk_widget_set_sensitive (self->send_button, *g_strstrip (text) != '\0' || has_files);
  gtk_widget_set_visible (self->attachment_box, has_files);
}

static void
save_draft (AtlComposer *self)
{
  g_autofree char *text = atl_composer_get_text (self);

  g_clear_handle_id (&self->draft_source, g_source_remove);
  g_signal_emit (self, signals[DRAFT], 0, text);
}

static gboolean
draft_cb (gpointer data)
{
  AtlComposer *self = data;

  self->draft_source = 0;
  save_draft (self);
  return G_SOURCE_REMOVE;
}

static void
text_changed_cb (AtlComposer *self)
{
  refresh (self);
  if (self->loading_text)
    return;
  g_clear_handle_id (&self->draft_source, g_source_remove);
  self->draft_source = g_timeout_add (DRAFT_MS, draft_cb, self);
}

void
atl_composer_set_text (AtlComposer *self, const char *text)
{
  if (self->draft_source != 0)
    save_draft (self);
  self->loading_text = TRUE;
  gtk_text_buffer_set_text (get_buffer (self), text ? text : "", -1);
  self->loading_text = FALSE;
}

/* The height of the text, or of ten lines, is not in sight yet. */
static gboolean
is_cramped (AtlComposer *self)
{
  GtkScrolledWindow *scroller = GTK_SCROLLED_WINDOW (self->scroller);
  GtkAdjustment *adjustment = gtk_scrolled_window_get_vadjustment (scroller);
  double in_sight = gtk_adjustment_get_page_size (adjustment);

  return gtk_adjustment_get_upper (adjustment) > in_sight &&
         in_sight < gtk_scrolled_window_get_max_content_height (scroller);
}

static gboolean
grow_cb (GtkWidget *view, GdkFrameClock *clock, gpointer data)
{
  AtlComposer *self = data;
  GtkAdjustment *adjustment =
      gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (self->scroller));

  if (is_cramped (self) && self->n_grown++ < GROW_FRAMES)
    {
      gtk_adjustment_set_value (adjustment, gtk_adjustment_get_value (adjustment));
      gtk_widget_queue_resize (view);
      return G_SOURCE_CONTINUE;
    }
  self->grow_tick = 0;
  gtk_text_view_scroll_mark_onscreen (GTK_TEXT_VIEW (view),
                                      gtk_text_buffer_get_insert (get_buffer (self)));
  return G_SOURCE_REMOVE;
}

/* Where a new line begins, the text view scrolls to it before it is given the room it asks for, and
 * while that scroll is animated it does not look at its new height. So the scroll is ended, and
 * begun anew where it is still needed: when the composer has its full height. */
static void
fit_cb (AtlComposer *self)
{
  if (!is_cramped (self) || self->grow_tick != 0)
    return;
  self->n_grown = 0;
  self->grow_tick = gtk_widget_add_tick_callback (self->text_view, grow_cb, self, NULL);
}

void
atl_composer_send (AtlComposer *self)
{
  g_autofree char *text = atl_composer_get_text (self);
  g_autofree char *attachments = atl_attachments_to_json (atl_attached_files_get (self->files));
  gboolean taken = FALSE;

  g_strstrip (text);
  if (self->running || (*text == '\0' && attachments == NULL))
    return;
  g_signal_emit (self, signals[SEND], 0, text, attachments, &taken);
  if (!taken)
    return;
  gtk_text_buffer_set_text (get_buffer (self), "", 0);
  atl_attached_files_clear (self->files);
  save_draft (self);
}

void
atl_composer_set_running (AtlComposer *self, gboolean running)
{
  gboolean had_focus =
      gtk_widget_has_focus (self->send_button) || gtk_widget_has_focus (self->stop_button);

  self->running = running;
  gtk_stack_set_visible_child_name (GTK_STACK (self->button_stack), running ? "stop" : "send");
  if (had_focus)
    gtk_widget_grab_focus (self->text_view);
}

void
atl_composer_set_context (AtlComposer *self, guint n_used, guint n_total)
{
  double share = n_total > 0 ? MIN ((double) n_used / n_total, 1) : 0;
  g_autofree char *tip = NULL;

  self->n_context = n_total;
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->context_bar), share);
  gtk_widget_set_opacity (self->context_bar, share > 0 ? 1 : 0);
  if (share >= 0.9)
    gtk_widget_add_css_class (self->context_bar, "nearly-full");
  else
    gtk_widget_remove_css_class (self->context_bar, "nearly-full");
  if (n_total > 0)
    tip = g_strdup_printf (_ ("Context: %'u of %'u tokens used (%d %%)"), n_used, n_total,
                           (int) (share * 100));
  gtk_widget_set_tooltip_text (self->context_bar, tip);
}

/* --- Attachments --- */

static void
remove_cb (GtkButton *button, AtlComposer *self)
{
  AtlAttachment *attachment = g_object_get_data (G_OBJECT (button), "attachment");

  atl_attached_files_remove (self->files, attachment);
  gtk_widget_grab_focus (self->text_view);
}

static GtkWidget *
new_chip (AtlComposer *self, AtlAttachment *attachment)
{
  GtkWidget *chip = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *label = gtk_label_new (attachment->name);
  GtkWidget *button = gtk_button_new_from_icon_name ("window-close-symbolic");
  g_autofree char *size = atl_format_bytes (strlen (attachment->text));
  g_autofree char *name = g_strdup_printf (_ ("Remove “%s”"), attachment->name);

  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 22);
  gtk_widget_set_tooltip_text (chip, size);
  gtk_widget_add_css_class (chip, "chip");
  gtk_widget_set_halign (chip, GTK_ALIGN_START);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_add_css_class (button, "circular");
  gtk_widget_set_tooltip_text (button, name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_object_set_data (G_OBJECT (button), "attachment", attachment);
  g_signal_connect (button, "clicked", G_CALLBACK (remove_cb), self);
  gtk_box_append (GTK_BOX (chip), gtk_image_new_from_icon_name ("text-x-generic-symbolic"));
  gtk_box_append (GTK_BOX (chip), label);
  gtk_box_append (GTK_BOX (chip), button);
  return chip;
}

static void
show_attachments (AtlComposer *self)
{
  GPtrArray *list = atl_attached_files_get (self->files);
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (self->attachment_box)) != NULL)
    gtk_flow_box_remove (GTK_FLOW_BOX (self->attachment_box), child);
  for (guint i = 0; i < list->len; i++)
    {
      gtk_flow_box_append (GTK_FLOW_BOX (self->attachment_box), new_chip (self, list->pdata[i]));
      child = gtk_widget_get_last_child (self->attachment_box);
      gtk_widget_set_focusable (child, FALSE);
    }
  refresh (self);
}

/* Whatever page they were dropped on: here is where they are sent from. */
static void
attached_cb (AtlComposer *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.show-page", "s", "chats");
  gtk_widget_grab_focus (self->text_view);
}

AtlAttachedFiles *
atl_composer_get_files (AtlComposer *self)
{
  return self->files;
}

static void
drop_files (AtlComposer *self)
{
  if (self->files == NULL)
    return;
  g_signal_handlers_disconnect_by_func (self->files, show_attachments, self);
  g_signal_handlers_disconnect_by_func (self->files, attached_cb, self);
  g_clear_object (&self->files);
}

static void
take_files (AtlComposer *self, AtlAttachedFiles *files)
{
  self->files = g_object_ref (files);
  g_signal_connect_swapped (files, "changed", G_CALLBACK (show_attachments), self);
  g_signal_connect_swapped (files, "attached", G_CALLBACK (attached_cb), self);
}

void
atl_composer_set_files (AtlComposer *self, AtlAttachedFiles *files)
{
  drop_files (self);
  take_files (self, files);
  show_attachments (self);
}

void
atl_composer_attach_files (AtlComposer *self, GSList *files)
{
  atl_attached_files_attach (self->files, files, self->n_context);
}

static void
chosen_cb (GtkNativeDialog *dialog, int response, AtlComposer *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GListModel) files = gtk_file_chooser_get_files (GTK_FILE_CHOOSER (dialog));
      GSList *list = NULL;

      for (guint i = 0; i < g_list_model_get_n_items (files); i++)
        list = g_slist_append (list, g_list_model_get_item (files, i));
      atl_composer_attach_files (self, list);
      g_slist_free_full (list, g_object_unref);
    }
  g_clear_object (&self->chooser);
}

static void
attach_cb (AtlComposer *self)
{
  static const char *const patterns[] = { "*.txt",  "*.md",   "*.csv",  "*.tsv", "*.json", "*.xml",
                                          "*.yaml", "*.toml", "*.html", "*.tex", "*.log" };
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();
  g_autoptr (GtkFileFilter) all = gtk_file_filter_new ();

  gtk_file_filter_set_name (filter, _ ("Text and source code"));
  gtk_file_filter_add_mime_type (filter, "text/*");
  for (guint i = 0; i < G_N_ELEMENTS (patterns); i++)
    gtk_file_filter_add_pattern (filter, patterns[i]);
  gtk_file_filter_set_name (all, _ ("All files"));
  gtk_file_filter_add_pattern (all, "*");
  self->chooser = gtk_file_chooser_native_new (_ ("Attach files"),
                                               GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                               GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Attach"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (self->chooser), TRUE);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (self->chooser), filter);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (self->chooser), all);
  g_signal_connect (self->chooser, "response", G_CALLBACK (chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static void
pasted_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlComposer) self = data;
  const GValue *value = gdk_clipboard_read_value_finish (GDK_CLIPBOARD (source), result, NULL);

  /* Another program takes its time to hand over what was copied; the window may be closed. */
  if (value != NULL && G_VALUE_HOLDS (value, GDK_TYPE_FILE_LIST) && self->files != NULL)
    atl_composer_attach_files (self, g_value_get_boxed (value));
}

static void
insert_text (AtlComposer *self, const char *text)
{
  GtkTextView *view = GTK_TEXT_VIEW (self->text_view);
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (view);

  gtk_text_buffer_begin_user_action (buffer);
  gtk_text_buffer_delete_selection (buffer, TRUE, TRUE);
  gtk_text_buffer_insert_interactive_at_cursor (buffer, text, -1, TRUE);
  gtk_text_buffer_end_user_action (buffer);
  gtk_text_view_scroll_mark_onscreen (view, gtk_text_buffer_get_insert (buffer));
}

/* A text view lays out seconds long what a person would not read in it either. */
static void
text_pasted_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlComposer) self = data;
  g_autofree char *text = gdk_clipboard_read_text_finish (GDK_CLIPBOARD (source), result, NULL);

  if (text == NULL || self->files == NULL)
    return;
  if (strlen (text) < LONG_PASTE_BYTES)
    insert_text (self, text);
  else
    atl_attached_files_attach_text (self->files, text, self->n_context);
}

/* Files that were copied in the file manager are attached, and a text of the length of a book. */
static void
paste_cb (GtkTextView *view, AtlComposer *self)
{
  GdkClipboard *clipboard = gtk_widget_get_clipboard (GTK_WIDGET (view));
  GdkContentFormats *formats = gdk_clipboard_get_formats (clipboard);

  g_signal_stop_emission_by_name (view, "paste-clipboard");
  if (gdk_content_formats_contain_gtype (formats, GDK_TYPE_FILE_LIST))
    gdk_clipboard_read_value_async (clipboard, GDK_TYPE_FILE_LIST, G_PRIORITY_DEFAULT, NULL,
                                    pasted_cb, g_object_ref (self));
  else if (gdk_content_formats_contain_gtype (formats, GDK_TYPE_TEXTURE) &&
           !gdk_content_formats_contain_gtype (formats, G_TYPE_STRING))
    atl_attached_files_refuse_picture (self->files);
  else
    gdk_clipboard_read_text_async (clipboard, NULL, text_pasted_cb, g_object_ref (self));
}

/* --- Keys --- */

static void
preedit_cb (GtkTextView *view, const char *preedit, AtlComposer *self)
{
  self->has_preedit = *preedit != '\0';
  refresh (self);
}

static gboolean
key_cb (GtkEventControllerKey *controller,
        guint keyval,
        guint code,
        GdkModifierType state,
        AtlComposer *self)
{
  GdkModifierType modifiers = state & gtk_accelerator_get_default_mod_mask ();

  /* An input method that is composing a character needs these keys itself. */
  if (self->has_preedit)
    return GDK_EVENT_PROPAGATE;
  if ((keyval == GDK_KEY_Return || keyval == GDK_KEY_KP_Enter || keyval == GDK_KEY_ISO_Enter) &&
      (modifiers == 0 || modifiers == GDK_CONTROL_MASK))
    atl_composer_send (self);
  else if (keyval == GDK_KEY_Escape && self->running)
    g_signal_emit (self, signals[STOP], 0);
  else if (keyval == GDK_KEY_Up && modifiers == 0 &&
           gtk_text_buffer_get_char_count (get_buffer (self)) == 0)
    g_signal_emit (self, signals[EDIT_LAST], 0);
  else
    return GDK_EVENT_PROPAGATE;
  return GDK_EVENT_STOP;
}

gboolean
atl_composer_take_key (AtlComposer *self, GtkEventControllerKey *keys)
{
  if (gtk_widget_has_focus (self->text_view))
    return GDK_EVENT_PROPAGATE;
  gtk_widget_grab_focus (self->text_view);
  return gtk_event_controller_key_forward (keys, self->text_view);
}

static void
stop_clicked_cb (AtlComposer *self)
{
  g_signal_emit (self, signals[STOP], 0);
}

/* --- GObject --- */

static gboolean
grab_focus (GtkWidget *widget)
{
  return gtk_widget_grab_focus (ATL_COMPOSER (widget)->text_view);
}

/* Not by way of grab_focus(), as a widget does by itself: the Tab key stops at each button too. */
static gboolean
focus (GtkWidget *widget, GtkDirectionType direction)
{
  return gtk_widget_child_focus (gtk_widget_get_first_child (widget), direction);
}

static void
atl_composer_dispose (GObject *object)
{
  AtlComposer *self = ATL_COMPOSER (object);
  GtkWidget *child;

  g_clear_handle_id (&self->draft_source, g_source_remove);
  g_clear_object (&self->chooser);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  drop_files (self);
  G_OBJECT_CLASS (atl_composer_parent_class)->dispose (object);
}

static guint
new_signal (
    const char *name, GSignalAccumulator accumulator, GType result, guint n, GType a, GType b)
{
  return g_signal_new (name, ATL_TYPE_COMPOSER, G_SIGNAL_RUN_LAST, 0, accumulator, NULL, NULL,
                       result, n, a, b);
}

static void
atl_composer_class_init (AtlComposerClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_composer_dispose;
  widget_class->focus = focus;
  widget_class->grab_focus = grab_focus;
  gtk_widget_class_set_css_name (widget_class, "composer");
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/composer.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlComposer, name)
  BIND (attachment_box);
  BIND (attach_button);
  BIND (scroller);
  BIND (text_view);
  BIND (placeholder);
  BIND (button_stack);
  BIND (send_button);
  BIND (stop_button);
  BIND (context_bar);
#undef BIND
  signals[SEND] = new_signal ("send", g_signal_accumulator_true_handled, G_TYPE_BOOLEAN, 2,
                              G_TYPE_STRING, G_TYPE_STRING);
  signals[STOP] = new_signal ("stop", NULL, G_TYPE_NONE, 0, 0, 0);
  signals[EDIT_LAST] = new_signal ("edit-last", NULL, G_TYPE_NONE, 0, 0, 0);
  signals[DRAFT] = new_signal ("draft", NULL, G_TYPE_NONE, 1, G_TYPE_STRING, 0);
}

static void
atl_composer_init (AtlComposer *self)
{
  g_autoptr (AtlAttachedFiles) files = atl_attached_files_new (NULL);
  GtkEventController *keys = gtk_event_controller_key_new ();
  GtkAdjustment *adjustment;

  take_files (self, files);
  gtk_widget_init_template (GTK_WIDGET (self));
  atl_text_never_hyphenate (GTK_TEXT_VIEW (self->text_view));
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (self->text_view, keys);
  g_signal_connect_swapped (get_buffer (self), "changed", G_CALLBACK (text_changed_cb), self);
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (self->scroller));
  g_signal_connect_swapped (adjustment, "changed", G_CALLBACK (fit_cb), self);
  g_signal_connect (self->text_view, "preedit-changed", G_CALLBACK (preedit_cb), self);
  g_signal_connect (self->text_view, "paste-clipboard", G_CALLBACK (paste_cb), self);
  g_signal_connect_swapped (self->attach_button, "clicked", G_CALLBACK (attach_cb), self);
  g_signal_connect_swapped (self->send_button, "clicked", G_CALLBACK (atl_composer_send), self);
  g_signal_connect_swapped (self->stop_button, "clicked", G_CALLBACK (stop_clicked_cb), self);
  refresh (self);
}
