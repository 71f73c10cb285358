/* Columns, the models they need, and one question for all. */
#include "app/compare/compare-window.h"

#include <glib/gi18n.h>

#include "app/chat/composer.h"
#include "app/chat/conversation-private.h"
#include "app/compare/compare-column.h"
#include "app/dialogs.h"
#include "app/models/model-list.h"
#include "app/words.h"

#define MIN_COLUMNS 2
#define MAX_COLUMNS 4

struct _AtlCompareWindow
{
  AdwWindow parent_instance;

  AtlSession *session;
  GPtrArray *columns;   /* (element-type AtlCompareColumn) borrowed from the box */
  GHashTable *models;   /* model_key() -> AtlModel, loaded for a comparison */
  GCancellable *asking; /* (nullable) from the question to the last answer */
  guint next;           /* column whose model is loaded next */
  AtlSessionLoad load;  /* of that model */
  char *messages;       /* (nullable) what is asked */
  char *question;       /* (nullable) as it was written */
  char *attachments;    /* (nullable) JSON */

  GtkWidget *toasts;
  GtkWidget *title;
  GtkWidget *column_box;
  GtkWidget *add_button;
  GtkWidget *again_button;
  GtkWidget *composer;
};

G_DEFINE_FINAL_TYPE (AtlCompareWindow, atl_compare_window, ADW_TYPE_WINDOW)

static void load_next (AtlCompareWindow *self);
static void begin_load (AtlCompareWindow *self);

static void
say (AtlCompareWindow *self, const char *sentence)
{
  atl_toast_show (self->toasts, sentence);
}

guint
atl_compare_window_get_n_columns (AtlCompareWindow *self)
{
  return self->columns->len;
}

gboolean
atl_compare_window_get_is_running (AtlCompareWindow *self)
{
  return self->asking != NULL;
}

/* --- Columns --- */

static void
refresh (AtlCompareWindow *self)
{
  gboolean running = self->asking != NULL;

  for (guint i = 0; i < self->columns->len; i++)
    atl_compare_column_set_removable (g_ptr_array_index (self->columns, i),
                                      self->columns->len > MIN_COLUMNS && !running);
  gtk_widget_set_sensitive (self->add_button, self->columns->len < MAX_COLUMNS && !running);
  gtk_widget_set_sensitive (self->again_button, self->question != NULL && !running);
  atl_composer_set_running (ATL_COMPOSER (self->composer), running);
}

static void
ended_cb (AtlCompareColumn *column, AtlCompareWindow *self)
{
  if (self->asking == NULL || self->next < self->columns->len)
    return;
  for (guint i = 0; i < self->columns->len; i++)
    if (atl_compare_column_get_is_running (g_ptr_array_index (self->columns, i)))
      return;
  g_clear_object (&self->asking);
  refresh (self);
}

static void
remove_cb (AtlCompareColumn *column, AtlCompareWindow *self)
{
  g_ptr_array_remove (self->columns, column);
  gtk_box_remove (GTK_BOX (self->column_box), GTK_WIDGET (column));
  refresh (self);
  gtk_widget_grab_focus (self->composer);
}

/* The model that made the answer becomes the one in use; that one stays with the other columns. A
 * model that guesses ahead for it is not loaded for a comparison. */
static void
use_model (AtlCompareWindow *self, const char *path)
{
  AtlModel *current = atl_session_get_model (self->session);
  const char *paths[] = { path, NULL };
  g_autofree char *draft = atl_session_dup_draft (self->session, path);
  g_autoptr (AtlModel) model = NULL;
  AtlModel *before;

  if (current != NULL && g_str_equal (atl_model_get_key (current), path))
    {
      atl_session_cancel_load (self->session);
      return;
    }
  model = g_hash_table_lookup (self->models, path);
  if (model != NULL)
    g_object_ref (model);
  g_hash_table_remove (self->models, path);
  if (model == NULL || draft != NULL)
    {
      if (model != NULL)
        atl_session_retire (self->session, model);
      atl_session_load_model (self->session, paths, FALSE);
      return;
    }
  before = atl_session_use_model (self->session, model);
  if (before != NULL)
    g_hash_table_replace (self->models, g_strdup (atl_model_get_key (before)), before);
}

/* The answer becomes a chat of its own, with its model and settings. */
static void
keep_cb (AtlCompareColumn *column, AtlCompareWindow *self)
{
  AtlStore *store = atl_session_get_store (self->session);
  g_autoptr (GError) error = NULL;
  gint64 chat = atl_compare_column_save (column, self->question, self->attachments, &error);

  if (chat == 0)
    {
      say (self, error->message);
      return;
    }
  g_autofree char *title =
      g_utf8_substring (self->question, 0, MIN (g_utf8_strlen (self->question, -1), 48));
  atl_store_chat_suggest_title (store, chat, g_strdelimit (title, "\n\r\t", ' '), NULL);
  atl_session_emit_chats_changed (self->session);
  use_model (self, atl_compare_column_get_answered_path (column));
  if (atl_compare_column_get_is_plain (column))
    atl_session_emit_notice (self->session, _ ("In chats, this model goes on with its adapters."));
  g_action_group_activate_action (G_ACTION_GROUP (gtk_window_get_application (GTK_WINDOW (self))),
                                  "open-chat", g_variant_new_int64 (chat));
}

static AtlCompareColumn *
add_column (AtlCompareWindow *self)
{
  GtkWidget *column = atl_compare_column_new (self->session);

  g_signal_connect (column, "remove", G_CALLBACK (remove_cb), self);
  g_signal_connect (column, "keep", G_CALLBACK (keep_cb), self);
  g_signal_connect (column, "ended", G_CALLBACK (ended_cb), self);
  gtk_widget_set_hexpand (column, TRUE);
  gtk_box_append (GTK_BOX (self->column_box), column);
  g_ptr_array_add (self->columns, column);
  refresh (self);
  return ATL_COMPARE_COLUMN (column);
}

/* The same file is another model without its adapters. The caller's. */
static char *
model_key (const char *path, gboolean plain)
{
  return g_strconcat (path, plain ? "//plain" : NULL, NULL);
}

static gboolean
has_model (AtlCompareWindow *self, AtlCompareColumn *except, const char *path)
{
  for (guint i = 0; i < self->columns->len; i++)
    if (self->columns->pdata[i] != except &&
        g_strcmp0 (atl_compare_column_get_path (self->columns->pdata[i]), path) == 0)
      return TRUE;
  return FALSE;
}

/* Of the models that no other column has the one used last: of those known to answer, else of those
 * that may. NULL: there is none. */
static AtlModelEntry *
another_model (AtlCompareWindow *self, AtlCompareColumn *column)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));
  g_autoptr (AtlModelEntry) found = NULL;

  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

      if (!atl_model_entry_may_answer (entry) || entry->why_not != NULL ||
          entry->too_large != NULL || has_model (self, column, entry->path))
        continue;
      if (entry->kind == ATL_MODEL_CHAT)
        return g_steal_pointer (&entry);
      if (found == NULL)
        found = g_object_ref (entry);
    }
  return g_steal_pointer (&found);
}

static void
add_cb (AtlCompareWindow *self)
{
  AtlCompareColumn *column;
  g_autoptr (AtlModelEntry) other = NULL;

  if (self->columns->len >= MAX_COLUMNS)
    return;
  column = add_column (self);
  other = another_model (self, column);
  if (other != NULL)
    atl_compare_column_set_path (column, other->path);
}

/* --- Asking --- */

static AtlModel *
find_model (AtlCompareWindow *self, AtlCompareColumn *column)
{
  AtlModel *current = atl_session_get_model (self->session);
  const char *path = atl_compare_column_get_path (column);
  const gboolean plain = atl_compare_column_get_is_plain (column);
  g_autofree char *key = path != NULL ? model_key (path, plain) : NULL;

  if (path == NULL)
    return NULL;
  if (!plain && current != NULL && g_strcmp0 (atl_model_get_key (current), path) == 0 &&
      (atl_model_get_is_loaded (current) || !g_hash_table_contains (self->models, path)))
    return current;
  return g_hash_table_lookup (self->models, key);
}

static void
ask_all (AtlCompareWindow *self)
{
  for (guint i = 0; i < self->columns->len; i++)
    {
      AtlCompareColumn *column = g_ptr_array_index (self->columns, i);
      AtlModel *model = find_model (self, column);

      if (model != NULL)
        atl_compare_column_ask (column, model, self->messages);
    }
  ended_cb (NULL, self);
}

static void
load_progress_cb (double fraction, const char *phase, gpointer data)
{
  AtlCompareWindow *self = data;
  g_autofree char *words = g_strdup (phase);

  if (self->next < self->columns->len)
    atl_compare_column_wait (g_ptr_array_index (self->columns, self->next), words, fraction);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlCompareWindow) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = atl_client_load_model_finish (ATL_CLIENT (source), result, &error);
  AtlCompareColumn *column;

  if (self->asking == NULL)
    return;
  /* The model without them is better than none. */
  if (model == NULL && atl_session_load_drop_adapters (&self->load, error))
    {
      g_autofree char *words =
          g_strdup_printf (_ ("The model is used without an adapter: %s"), error->message);

      say (self, words);
      begin_load (self);
      return;
    }
  column = g_ptr_array_index (self->columns, self->next);
  if (model != NULL)
    {
      char *key = model_key (atl_model_get_key (model), atl_compare_column_get_is_plain (column));
      g_hash_table_replace (self->models, key, g_steal_pointer (&model));
    }
  else
    atl_compare_column_fail (column, error);
  if (g_cancellable_is_cancelled (self->asking))
    {
      g_clear_object (&self->asking);
      for (guint i = 0; i < self->columns->len; i++)
        atl_compare_column_fail (g_ptr_array_index (self->columns, i), error);
      refresh (self);
      return;
    }
  self->next++;
  load_next (self);
}

static void
begin_load (AtlCompareWindow *self)
{
  AtlCompareColumn *column = g_ptr_array_index (self->columns, self->next);
  const char *paths[] = { atl_compare_column_get_path (column), NULL };

  atl_client_load_model_async (atl_session_get_client (self->session), paths, &self->load.options,
                               load_progress_cb, self, self->asking, loaded_cb,
                               g_object_ref (self));
}

/* One after the other: each is told how much memory the ones before left. */
static void
load_next (AtlCompareWindow *self)
{
  for (; self->next < self->columns->len; self->next++)
    {
      AtlCompareColumn *column = g_ptr_array_index (self->columns, self->next);
      const char *path = atl_compare_column_get_path (column);
      AtlModel *model = find_model (self, column);

      /* What left the memory is loaded as the settings say now. */
      if (path == NULL || (model != NULL && atl_model_get_is_loaded (model)))
        continue;
      atl_session_load_clear (&self->load);
      atl_session_load_init (&self->load, self->session, path);
      self->load.options.insist = TRUE;
      if (atl_compare_column_get_is_plain (column))
        {
          g_clear_pointer (&self->load.adapters, g_strfreev);
          self->load.adapters = g_new0 (char *, 1);
          self->load.options.adapters = (const char *const *) self->load.adapters;
        }
      /* Answers are the same without it, and several models want the memory. */
      self->load.options.draft = NULL;
      begin_load (self);
      return;
    }
  ask_all (self);
}

static char *
messages_of (const char *text, const char *attachments_json)
{
  const AtlMessage row = { .role = ATL_ROLE_USER,
                           .content = (char *) text,
                           .attachments_json = (char *) attachments_json };
  g_autoptr (AtlMessageItem) item = atl_message_item_new (&row);
  g_autofree char *content = atl_conversation_text_for_model (item);

  return atl_conversation_one_message (content);
}

gboolean
atl_compare_window_ask (AtlCompareWindow *self, const char *text, const char *attachments_json)
{
  if (self->asking != NULL)
    return FALSE;
  if (atl_compare_column_get_path (g_ptr_array_index (self->columns, 0)) == NULL)
    {
      say (self, _ ("Add a model first: nobody is there to answer."));
      return FALSE;
    }
  g_free (self->messages);
  g_free (self->question);
  g_free (self->attachments);
  self->messages = messages_of (text, attachments_json);
  self->question = g_strdup (text);
  self->attachments = g_strdup (attachments_json);
  adw_window_title_set_subtitle (ADW_WINDOW_TITLE (self->title), text);
  self->asking = g_cancellable_new ();
  self->next = 0;
  for (guint i = 0; i < self->columns->len; i++)
    atl_compare_column_wait (g_ptr_array_index (self->columns, i), _ ("Waiting for the model…"),
                             -1);
  refresh (self);
  load_next (self);
  return TRUE;
}

static gboolean
send_cb (AtlComposer *composer, const char *text, const char *attachments, AtlCompareWindow *self)
{
  return atl_compare_window_ask (self, text, attachments);
}

/* With what was changed in the columns since, or after a failure. */
static void
again_cb (AtlCompareWindow *self)
{
  g_autofree char *question = g_strdup (self->question);
  g_autofree char *attachments = g_strdup (self->attachments);

  if (question != NULL)
    atl_compare_window_ask (self, question, attachments);
}

static void notice_cb (AtlAttachedFiles *files, const char *sentence, AtlCompareWindow *self);

/* Up in the empty composer: the question with its files, to be asked in other words. */
static void
edit_last_cb (AtlCompareWindow *self)
{
  g_autoptr (GPtrArray) list = atl_attachments_from_json (self->attachments);
  g_autoptr (AtlAttachedFiles) files = atl_attached_files_new (list);

  if (self->question == NULL || self->asking != NULL)
    return;
  if (atl_attached_files_get (atl_composer_get_files (ATL_COMPOSER (self->composer)))->len == 0)
    {
      g_signal_connect_object (files, "notice", G_CALLBACK (notice_cb), self, 0);
      atl_composer_set_files (ATL_COMPOSER (self->composer), files);
    }
  atl_composer_set_text (ATL_COMPOSER (self->composer), self->question);
}

static gboolean
drop_cb (GtkDropTarget *target, const GValue *value, double x, double y, AtlCompareWindow *self)
{
  atl_composer_attach_files (ATL_COMPOSER (self->composer), g_value_get_boxed (value));
  return TRUE;
}

static void
stop_cb (AtlCompareWindow *self)
{
  if (self->asking != NULL)
    g_cancellable_cancel (self->asking);
  for (guint i = 0; i < self->columns->len; i++)
    atl_compare_column_stop (g_ptr_array_index (self->columns, i));
}

static void
notice_cb (AtlAttachedFiles *files, const char *sentence, AtlCompareWindow *self)
{
  say (self, sentence);
}

/* --- GObject --- */

static void
unload_all (AtlCompareWindow *self)
{
  GHashTableIter iter;
  gpointer model;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &model))
    if (model != atl_session_get_model (self->session))
      atl_session_retire (self->session, model);
  g_hash_table_remove_all (self->models);
}

static void
atl_compare_window_dispose (GObject *object)
{
  AtlCompareWindow *self = ATL_COMPARE_WINDOW (object);

  if (self->asking != NULL)
    g_cancellable_cancel (self->asking);
  g_clear_object (&self->asking);
  if (self->session != NULL)
    unload_all (self);
  g_ptr_array_set_size (self->columns, 0);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_compare_window_parent_class)->dispose (object);
}

static void
atl_compare_window_finalize (GObject *object)
{
  AtlCompareWindow *self = ATL_COMPARE_WINDOW (object);

  g_ptr_array_unref (self->columns);
  g_hash_table_unref (self->models);
  atl_session_load_clear (&self->load);
  g_free (self->messages);
  g_free (self->question);
  g_free (self->attachments);
  G_OBJECT_CLASS (atl_compare_window_parent_class)->finalize (object);
}

static void
atl_compare_window_class_init (AtlCompareWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_compare_window_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_compare_window_finalize;
  g_type_ensure (ATL_TYPE_COMPOSER);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/compare-window.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlCompareWindow, name)
  BIND (toasts);
  BIND (title);
  BIND (column_box);
  BIND (add_button);
  BIND (again_button);
  BIND (composer);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, add_cb);
  gtk_widget_class_bind_template_callback (widget_class, again_cb);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_w, GDK_CONTROL_MASK, "window.close",
                                       NULL);
}

static void
atl_compare_window_init (AtlCompareWindow *self)
{
  GtkDropTarget *drop = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);

  self->columns = g_ptr_array_new ();
  self->models = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect (self->composer, "send", G_CALLBACK (send_cb), self);
  g_signal_connect_swapped (self->composer, "stop", G_CALLBACK (stop_cb), self);
  g_signal_connect_swapped (self->composer, "edit-last", G_CALLBACK (edit_last_cb), self);
  /* In the capture phase, because the text view of the composer takes drops as text. */
  gtk_event_controller_set_propagation_phase (GTK_EVENT_CONTROLLER (drop), GTK_PHASE_CAPTURE);
  g_signal_connect (drop, "drop", G_CALLBACK (drop_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (drop));
  g_signal_connect_object (atl_composer_get_files (ATL_COMPOSER (self->composer)), "notice",
                           G_CALLBACK (notice_cb), self, 0);
}

/* Something to compare from the start: another model, else the same without its adapters, else
 * another temper of the same. Also when it turned out of the one that was chosen so that it cannot
 * answer. */
static void
choose_second (AtlCompareWindow *self)
{
  AtlCompareColumn *first = g_ptr_array_index (self->columns, 0);
  AtlCompareColumn *second = g_ptr_array_index (self->columns, 1);
  g_autoptr (AtlModelEntry) other = NULL;

  if (self->question != NULL ||
      g_strcmp0 (atl_compare_column_get_path (first), atl_compare_column_get_path (second)) != 0)
    return;
  other = another_model (self, second);
  if (other != NULL)
    {
      /* Also when it is told of later that there is another one. */
      atl_compare_column_set_plain (second, FALSE);
      atl_compare_column_set_path (second, other->path);
    }
  else
    {
      atl_compare_column_set_plain (second, TRUE);
      if (!atl_compare_column_get_is_plain (second))
        {
          atl_compare_column_set_plain (second, FALSE);
          atl_compare_column_set_param (second, "temperature", 0);
        }
    }
}

GtkWidget *
atl_compare_window_new (GtkApplication *app, AtlSession *session)
{
  /* By itself GTK 4.8 tells screen readers of it as of any widget. */
  AtlCompareWindow *self = g_object_new (ATL_TYPE_COMPARE_WINDOW, "accessible-role",
                                         GTK_ACCESSIBLE_ROLE_WINDOW, "application", app, NULL);

  self->session = g_object_ref (session);
  add_column (self);
  add_column (self);
  choose_second (self);
  /* After the columns, which have taken out what cannot answer. */
  g_signal_connect_object (atl_session_get_models (session), "judged", G_CALLBACK (choose_second),
                           self, G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  gtk_widget_grab_focus (self->composer);
  return GTK_WIDGET (self);
}
