/* A page of text, and the model writing at its cursor. */
#include "app/notebook/notebook-window.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/attachment.h"
#include "app/chat/param-row.h"
#include "app/dialogs.h"
#include "app/notebook/token-tags.h"
#include "app/recommended.h"
#include "app/session/model-wait.h"
#include "app/words.h"
#include "client/chat-job.h"

#define TEXT_KEY "notebook"
#define SAVE_MS 800
#define DEFAULT_TOKENS 200
#define N_ALTERNATIVES 6

struct _AtlNotebookWindow
{
  AdwWindow parent_instance;

  AtlSession *session;
  AtlChatParams params;
  AtlModelWait *wait;    /* (nullable) for the model that goes on with the text */
  AtlChatJob *job;       /* (nullable) */
  GtkTextMark *place;    /* (nullable) where the model writes */
  GtkTextTag *generated; /* what the model wrote */
  AtlTokenTags *tokens;
  guint save_source;

  GtkWidget *toasts;
  GtkWidget *title;
  GtkWidget *settings_button;
  GtkWidget *param_list;
  GtkWidget *text_view;
  GtkWidget *placeholder;
  GtkWidget *status_label;
  gboolean tells_choices; /* the status is about the word at the cursor */
  GtkWidget *button_stack;
  GtkWidget *continue_button;
  GtkWidget *stop_button;
};

G_DEFINE_FINAL_TYPE (AtlNotebookWindow, atl_notebook_window, ADW_TYPE_WINDOW)

static const char *const keys[] = {
  "max-tokens", "temperature", "top-p", "top-k", "min-p", "seed"
};

static GtkTextBuffer *
get_buffer (AtlNotebookWindow *self)
{
  return gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->text_view));
}

char *
atl_notebook_window_get_text (AtlNotebookWindow *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (get_buffer (self), &start, &end);
  return gtk_text_buffer_get_text (get_buffer (self), &start, &end, FALSE);
}

gboolean
atl_notebook_window_get_is_running (AtlNotebookWindow *self)
{
  return self->job != NULL || self->wait != NULL;
}

static void
say (AtlNotebookWindow *self, const char *sentence)
{
  atl_toast_show (self->toasts, sentence);
}

/* --- Keeping the text --- */

static void
save (AtlNotebookWindow *self)
{
  g_autofree char *text = atl_notebook_window_get_text (self);
  g_autoptr (GError) error = NULL;

  g_clear_handle_id (&self->save_source, g_source_remove);
  if (!atl_store_setting_set (atl_session_get_store (self->session), TEXT_KEY,
                              *text != '\0' ? text : NULL, &error))
    say (self, error->message);
}

static gboolean
save_cb (gpointer data)
{
  AtlNotebookWindow *self = data;

  self->save_source = 0;
  save (self);
  return G_SOURCE_REMOVE;
}

static void
changed_cb (AtlNotebookWindow *self)
{
  GtkTextBuffer *buffer = get_buffer (self);

  gtk_widget_set_visible (self->placeholder, gtk_text_buffer_get_char_count (buffer) == 0);
  if (self->save_source == 0 && self->session != NULL)
    self->save_source = g_timeout_add (SAVE_MS, save_cb, self);
}

void
atl_notebook_window_set_text (AtlNotebookWindow *self, const char *text)
{
  GtkTextIter end;

  gtk_text_buffer_set_text (get_buffer (self), text, -1);
  gtk_text_buffer_get_end_iter (get_buffer (self), &end);
  gtk_text_buffer_place_cursor (get_buffer (self), &end);
}

/* --- The model --- */

static void
model_cb (AtlNotebookWindow *self)
{
  const char *name = atl_session_get_model_name (self->session);

  adw_window_title_set_subtitle (ADW_WINDOW_TITLE (self->title),
                                 name ? name : _ ("No model is loaded"));
}

static void
refresh (AtlNotebookWindow *self)
{
  gboolean running = atl_notebook_window_get_is_running (self);

  gtk_stack_set_visible_child_name (GTK_STACK (self->button_stack), running ? "stop" : "continue");
  /* The cursor stays where it is, but what the model reads must not change under it. */
  gtk_text_view_set_editable (GTK_TEXT_VIEW (self->text_view), !running);
  gtk_widget_grab_focus (self->text_view);
}

static void
status (AtlNotebookWindow *self, const char *words)
{
  self->tells_choices = FALSE;
  gtk_label_set_text (GTK_LABEL (self->status_label), words);
}

static void
text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, AtlNotebookWindow *self)
{
  GtkTextBuffer *buffer = get_buffer (self);
  GtkTextIter iter;

  status (self, _ ("Writing…"));
  gtk_text_buffer_get_iter_at_mark (buffer, &iter, self->place);
  gtk_text_buffer_insert_with_tags (buffer, &iter, delta, -1, self->generated, NULL);
  gtk_text_buffer_place_cursor (buffer, &iter);
  atl_token_tags_inserted (self->tokens, (int) g_utf8_strlen (delta, -1));
  gtk_text_view_scroll_mark_onscreen (GTK_TEXT_VIEW (self->text_view), self->place);
}

static void
tokens_cb (AtlChatJob *job, GPtrArray *tokens, AtlNotebookWindow *self)
{
  atl_token_tags_add (self->tokens, tokens);
}

/* Hovering over what the model wrote shows what else it might have written. */
static gboolean
tooltip_cb (
    GtkWidget *view, int x, int y, gboolean keyboard, GtkTooltip *tooltip, AtlNotebookWindow *self)
{
  GtkTextIter iter;
  g_autofree char *markup = NULL;

  if (keyboard)
    gtk_text_buffer_get_iter_at_mark (get_buffer (self), &iter,
                                      gtk_text_buffer_get_insert (get_buffer (self)));
  else if (!atl_token_tags_point (GTK_TEXT_VIEW (view), x, y, &iter))
    return FALSE;
  markup = atl_token_tags_describe (self->tokens, &iter, TRUE);
  gtk_tooltip_set_markup (tooltip, markup);
  return markup != NULL;
}

/* The same for who walks through the text by keyboard. */
static void
cursor_cb (AtlNotebookWindow *self)
{
  GtkTextIter iter;
  g_autofree char *words = NULL;

  if (self->job != NULL)
    return;
  gtk_text_buffer_get_iter_at_mark (get_buffer (self), &iter,
                                    gtk_text_buffer_get_insert (get_buffer (self)));
  words = atl_token_tags_describe (self->tokens, &iter, FALSE);
  if (words == NULL && !self->tells_choices)
    return;
  status (self, words != NULL ? words : "");
  self->tells_choices = words != NULL;
}

static void
loading_cb (AtlChatJob *job, double fraction, const char *phase, AtlNotebookWindow *self)
{
  g_autofree char *words = g_strdup (phase);

  status (self, words);
}

static void
progress_cb (AtlChatJob *job, guint n_done, guint n_total, AtlNotebookWindow *self)
{
  status (self, _ ("Reading…"));
}

static void
end (AtlNotebookWindow *self)
{
  GtkTextBuffer *buffer = get_buffer (self);

  g_signal_handlers_disconnect_by_data (self->job, self);
  g_clear_object (&self->job);
  gtk_text_buffer_end_user_action (buffer);
  gtk_text_buffer_delete_mark (buffer, self->place);
  self->place = NULL;
  refresh (self);
  /* The view looks whether it may undo only when the buffer says something new about that, and then
   * it was not editable. */
  g_object_notify (G_OBJECT (buffer), "can-undo");
}

static void
finished_cb (AtlChatJob *job, AtlChatStats *stats, AtlNotebookWindow *self)
{
  g_autofree char *tokens = atl_format_tokens (stats->n_generated);
  g_autofree char *ran_on = g_strdup (stats->ran_on ? stats->ran_on : "");
  g_autofree char *words =
      g_strdup_printf (_ ("%s · %.1f tokens/s · %s"), tokens, stats->tokens_per_s, ran_on);

  status (self, words);
  end (self);
  atl_accessible_announce (GTK_WIDGET (self), words);
}

static void
failed_cb (AtlChatJob *job, GError *error, AtlNotebookWindow *self)
{
  status (self, "");
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    say (self, error->message);
  end (self);
}

/* The text before the cursor, which is what the model sees; what stands behind it stays behind. The
 * caller's. */
static char *
text_before_cursor (AtlNotebookWindow *self, GtkTextIter *cursor)
{
  GtkTextBuffer *buffer = get_buffer (self);
  GtkTextIter start;

  gtk_text_buffer_get_start_iter (buffer, &start);
  gtk_text_buffer_get_iter_at_mark (buffer, cursor, gtk_text_buffer_get_insert (buffer));
  return gtk_text_buffer_get_text (buffer, &start, cursor, FALSE);
}

static void
ask (AtlNotebookWindow *self, AtlModel *model)
{
  GtkTextBuffer *buffer = get_buffer (self);
  GtkTextIter cursor;
  g_autofree char *prompt = text_before_cursor (self, &cursor);

  /* One step of undo takes the whole continuation back. */
  gtk_text_buffer_begin_user_action (buffer);
  self->place = gtk_text_buffer_create_mark (buffer, NULL, &cursor, FALSE);
  atl_token_tags_begin (self->tokens, gtk_text_iter_get_offset (&cursor));
  self->job =
      atl_client_complete (atl_session_get_client (self->session), model, prompt, &self->params);
  g_signal_connect (self->job, "loading", G_CALLBACK (loading_cb), self);
  g_signal_connect (self->job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (self->job, "tokens", G_CALLBACK (tokens_cb), self);
  g_signal_connect (self->job, "text", G_CALLBACK (text_cb), self);
  g_signal_connect (self->job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (self->job, "failed", G_CALLBACK (failed_cb), self);
}

static void load_progress_cb (AtlNotebookWindow *self);

static void
stop_waiting (AtlNotebookWindow *self)
{
  g_clear_pointer (&self->wait, atl_model_wait_free);
  g_signal_handlers_disconnect_by_func (self->session, load_progress_cb, self);
}

static void
load_progress_cb (AtlNotebookWindow *self)
{
  status (self, atl_session_get_load_phase (self->session));
}

static void
ready_cb (AtlModel *model, const GError *error, gpointer data)
{
  AtlNotebookWindow *self = data;

  stop_waiting (self);
  status (self, "");
  if (error != NULL)
    say (self, error->message);
  else if (model != NULL)
    ask (self, model);
  refresh (self);
}

/* A model that left the memory is loaded as the settings say now. */
static void
continue_cb (AtlNotebookWindow *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  g_autofree char *prompt = NULL;
  GtkTextIter cursor;

  if (atl_notebook_window_get_is_running (self))
    return;
  if (model == NULL && !atl_session_get_is_loading (self->session))
    {
      say (self, _ ("Choose a model first: nobody is there to answer."));
      return;
    }
  prompt = text_before_cursor (self, &cursor);
  if (*prompt == '\0')
    {
      say (self, _ ("Write a beginning first: the model goes on from there."));
      return;
    }
  status (self, _ ("Waiting for the model…"));
  if (model != NULL)
    atl_session_prepare (self->session, atl_model_get_options (model)->n_ctx);
  if (atl_session_get_is_loading (self->session))
    {
      self->wait = atl_model_wait_new (self->session, ready_cb, self);
      g_signal_connect_swapped (self->session, "notify::load-phase", G_CALLBACK (load_progress_cb),
                                self);
    }
  else
    ask (self, model);
  refresh (self);
}

static void
stop_cb (AtlNotebookWindow *self)
{
  if (self->job != NULL)
    atl_chat_job_stop (self->job);
  if (self->wait == NULL)
    return;
  stop_waiting (self);
  status (self, "");
  refresh (self);
}

static gboolean
escape_cb (GtkWidget *widget, GVariant *arguments, gpointer data)
{
  AtlNotebookWindow *self = ATL_NOTEBOOK_WINDOW (widget);
  gboolean running = atl_notebook_window_get_is_running (self);

  stop_cb (self);
  return running;
}

/* In the capture phase: the text would take the Enter for a new line. */
static gboolean
key_cb (GtkEventControllerKey *controller,
        guint keyval,
        guint code,
        GdkModifierType state,
        AtlNotebookWindow *self)
{
  if ((keyval != GDK_KEY_Return && keyval != GDK_KEY_KP_Enter) ||
      (state & gtk_accelerator_get_default_mod_mask ()) != GDK_CONTROL_MASK)
    return GDK_EVENT_PROPAGATE;
  continue_cb (self);
  return GDK_EVENT_STOP;
}

/* --- Dropped files --- */

static void
read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlNotebookWindow) self = data;
  g_autoptr (GError) error = NULL;
  AtlContentKind kind;
  AtlAttachment *file = atl_attachment_read_finish (result, &kind, &error);

  if (self->session == NULL || file == NULL)
    {
      if (self->session != NULL)
        say (self, error->message);
    }
  else
    gtk_text_buffer_insert_interactive_at_cursor (
        get_buffer (self), file->text, -1,
        gtk_text_view_get_editable (GTK_TEXT_VIEW (self->text_view)));
  if (file != NULL)
    atl_attachment_unref (file);
}

/* Their text comes to the cursor. */
static gboolean
drop_cb (GtkDropTarget *target, const GValue *value, double x, double y, AtlNotebookWindow *self)
{
  for (GSList *l = g_value_get_boxed (value); l != NULL; l = l->next)
    atl_attachment_read_async (l->data, NULL, read_cb, g_object_ref (self));
  return TRUE;
}

/* --- Settings --- */

static void
edited_cb (AtlParamRow *row, double value, AtlNotebookWindow *self)
{
  atl_chat_param_set (&self->params, atl_param_row_get_spec (row), value, NULL);
}

static void
add_rows (AtlNotebookWindow *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const AtlChatParamSpec *spec = atl_chat_param_find (keys[i]);
      GtkWidget *row = atl_param_row_new (spec);
      atl_param_row_set_value (ATL_PARAM_ROW (row), atl_chat_param_get (&self->params, spec),
                               FALSE);
      g_signal_connect (row, "edited", G_CALLBACK (edited_cb), self);
      gtk_list_box_append (GTK_LIST_BOX (self->param_list), row);
    }
}

/* --- GObject --- */

static gboolean
close_request (GtkWindow *window)
{
  AtlNotebookWindow *self = ATL_NOTEBOOK_WINDOW (window);

  save (self);
  return GTK_WINDOW_CLASS (atl_notebook_window_parent_class)->close_request (window);
}

static void
atl_notebook_window_dispose (GObject *object)
{
  AtlNotebookWindow *self = ATL_NOTEBOOK_WINDOW (object);

  g_clear_handle_id (&self->save_source, g_source_remove);
  if (self->job != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->job, self);
      atl_chat_job_stop (self->job);
    }
  g_clear_object (&self->job);
  if (self->session != NULL)
    stop_waiting (self);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_notebook_window_parent_class)->dispose (object);
}

static void
atl_notebook_window_finalize (GObject *object)
{
  atl_chat_params_clear (&ATL_NOTEBOOK_WINDOW (object)->params);
  atl_token_tags_free (ATL_NOTEBOOK_WINDOW (object)->tokens);
  G_OBJECT_CLASS (atl_notebook_window_parent_class)->finalize (object);
}

static void
atl_notebook_window_class_init (AtlNotebookWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_notebook_window_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_notebook_window_finalize;
  GTK_WINDOW_CLASS (klass)->close_request = close_request;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/notebook-window.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlNotebookWindow, name)
  BIND (toasts);
  BIND (title);
  BIND (settings_button);
  BIND (param_list);
  BIND (text_view);
  BIND (placeholder);
  BIND (status_label);
  BIND (button_stack);
  BIND (continue_button);
  BIND (stop_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, continue_cb);
  gtk_widget_class_bind_template_callback (widget_class, stop_cb);
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Escape, 0, escape_cb, NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_w, GDK_CONTROL_MASK, "window.close",
                                       NULL);
}

static void
atl_notebook_window_init (AtlNotebookWindow *self)
{
  GtkEventController *key_controller = gtk_event_controller_key_new ();
  GtkDropTarget *drop = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);

  atl_chat_params_init (&self->params);
  self->params.max_tokens = DEFAULT_TOKENS;
  self->params.n_probs = N_ALTERNATIVES;
  gtk_widget_init_template (GTK_WIDGET (self));
  atl_text_never_hyphenate (GTK_TEXT_VIEW (self->text_view));
  self->generated =
      gtk_text_buffer_create_tag (get_buffer (self), NULL, "foreground", "#2a7de1", NULL);
  gtk_event_controller_set_propagation_phase (key_controller, GTK_PHASE_CAPTURE);
  g_signal_connect (key_controller, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), key_controller);
  gtk_event_controller_set_propagation_phase (GTK_EVENT_CONTROLLER (drop), GTK_PHASE_CAPTURE);
  g_signal_connect (drop, "drop", G_CALLBACK (drop_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (drop));
  g_signal_connect_swapped (get_buffer (self), "changed", G_CALLBACK (changed_cb), self);
  self->tokens = atl_token_tags_new (get_buffer (self));
  gtk_widget_set_has_tooltip (self->text_view, TRUE);
  g_signal_connect (self->text_view, "query-tooltip", G_CALLBACK (tooltip_cb), self);
  g_signal_connect_swapped (get_buffer (self), "notify::cursor-position", G_CALLBACK (cursor_cb),
                            self);
}

GtkWidget *
atl_notebook_window_new (GtkApplication *app, AtlSession *session)
{
  /* By itself GTK 4.8 tells screen readers of it as of any widget. */
  AtlNotebookWindow *self = g_object_new (ATL_TYPE_NOTEBOOK_WINDOW, "accessible-role",
                                          GTK_ACCESSIBLE_ROLE_WINDOW, "application", app, NULL);
  AtlModel *model = atl_session_get_model (session);
  g_autofree char *text = atl_store_setting_get (atl_session_get_store (session), TEXT_KEY, NULL);

  if (model != NULL)
    atl_chat_params_apply (&self->params, atl_recommended (model), NULL);
  add_rows (self);
  if (text != NULL)
    {
      /* What was there before is nothing to undo. */
      gtk_text_buffer_begin_irreversible_action (get_buffer (self));
      atl_notebook_window_set_text (self, text);
      gtk_text_buffer_end_irreversible_action (get_buffer (self));
    }
  self->session = g_object_ref (session);
  g_signal_connect_object (session, "notify::model", G_CALLBACK (model_cb), self,
                           G_CONNECT_SWAPPED);
  model_cb (self);
  refresh (self);
  return GTK_WIDGET (self);
}
