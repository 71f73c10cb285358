/* Model, settings and answer of one side of a comparison. */
#include "app/compare/compare-column.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <json-glib/json-glib.h>

#include "app/accessible.h"
#include "app/chat/markdown-view.h"
#include "app/chat/message-item.h"
#include "app/chat/param-row.h"
#include "app/models/model-drop-down.h"
#include "app/recommended.h"
#include "app/words.h"
#include "client/chat-job.h"
#include "protocol/protocol.h"
#include "store/chats.h"

#define COALESCE_MS 50

struct _AtlCompareColumn
{
  GtkWidget parent_instance;

  AtlSession *session;
  JsonObject *settings; /* what the person changed */
  AtlChatJob *job;      /* (nullable) */
  GString *answer;
  GString *thinking;
  char *asked_path;     /* (nullable) whose answer it is */
  char *asked_settings; /* (nullable) JSON: what it was made with */
  char *stats;          /* (nullable) JSON: of a finished answer */
  gboolean is_whole;    /* it ended by itself */
  gboolean plain;       /* the person wants the model without its adapters */
  guint refresh_source;
  gboolean showing; /* widgets are being set, not edited */

  GtkWidget *box;
  GtkWidget *model_drop;
  GtkWidget *scroller;
  GtkWidget *settings_button;
  GtkWidget *param_list;
  GtkWidget *adapter_row;
  GtkWidget *adapter_switch;
  GtkWidget *plain_label;
  GtkWidget *remove_button;
  GtkWidget *phase_box;
  GtkWidget *spinner;
  GtkWidget *phase_label;
  GtkWidget *empty_label;
  GtkWidget *markdown;
  GtkWidget *error_label;
  GtkWidget *stats_label;
  GtkWidget *actions;
  GtkWidget *copy_button;
  GtkWidget *keep_button;
};

G_DEFINE_FINAL_TYPE (AtlCompareColumn, atl_compare_column, GTK_TYPE_WIDGET)

enum
{
  REMOVE,
  KEEP,
  ENDED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static const char *const keys[] = {
  "temperature", "top-p", "top-k", "min-p", "seed", "max-tokens"
};

/* --- The model --- */

const char *
atl_compare_column_get_path (AtlCompareColumn *self)
{
  AtlModelEntry *entry = atl_model_drop_down_get_entry (GTK_DROP_DOWN (self->model_drop));

  return entry != NULL ? entry->path : NULL;
}

void
atl_compare_column_set_path (AtlCompareColumn *self, const char *path)
{
  atl_model_drop_down_set_path (GTK_DROP_DOWN (self->model_drop), path);
}

static gboolean
has_adapters (AtlCompareColumn *self)
{
  const char *path = atl_compare_column_get_path (self);
  g_auto (GStrv) adapters = path != NULL ? atl_session_dup_adapters (self->session, path) : NULL;

  return adapters != NULL && adapters[0] != NULL;
}

gboolean
atl_compare_column_get_is_plain (AtlCompareColumn *self)
{
  return self->plain && has_adapters (self);
}

static void
show_adapters (AtlCompareColumn *self)
{
  const gboolean has = has_adapters (self);

  gtk_widget_set_visible (self->adapter_row, has);
  gtk_widget_set_visible (self->plain_label, has && self->plain);
  self->showing = TRUE;
  gtk_switch_set_active (GTK_SWITCH (self->adapter_switch), !self->plain);
  self->showing = FALSE;
}

void
atl_compare_column_set_plain (AtlCompareColumn *self, gboolean plain)
{
  self->plain = plain;
  show_adapters (self);
}

static void
switched_cb (AtlCompareColumn *self)
{
  if (!self->showing)
    atl_compare_column_set_plain (self, !gtk_switch_get_active (GTK_SWITCH (self->adapter_switch)));
}

/* --- Settings --- */

static char *
settings_to_json (AtlCompareColumn *self)
{
  g_autoptr (JsonNode) node = json_node_alloc ();

  json_node_init_object (node, self->settings);
  return json_to_string (node, FALSE);
}

/* Of the model that is chosen, when it is the one in use: others are known when they are loaded. */
static void
get_params (AtlCompareColumn *self, AtlModel *model, AtlChatParams *params)
{
  g_autofree char *json = settings_to_json (self);

  if (model != NULL)
    atl_chat_params_apply (params, atl_recommended (model), NULL);
  atl_chat_params_apply_json (params, json, NULL);
}

static void
show_params (AtlCompareColumn *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  g_auto (AtlChatParams) params;

  if (model != NULL &&
      g_strcmp0 (atl_model_get_key (model), atl_compare_column_get_path (self)) != 0)
    model = NULL;
  atl_chat_params_init (&params);
  get_params (self, model, &params);
  self->showing = TRUE;
  for (GtkWidget *row = gtk_widget_get_first_child (self->param_list); row != NULL;
       row = gtk_widget_get_next_sibling (row))
    {
      const AtlChatParamSpec *spec;

      if (!ATL_IS_PARAM_ROW (row))
        continue;
      spec = atl_param_row_get_spec (ATL_PARAM_ROW (row));
      atl_param_row_set_value (ATL_PARAM_ROW (row), atl_chat_param_get (&params, spec),
                               json_object_has_member (self->settings, spec->key));
    }
  self->showing = FALSE;
  show_adapters (self);
}

void
atl_compare_column_set_param (AtlCompareColumn *self, const char *key, double value)
{
  const AtlChatParamSpec *spec = atl_chat_param_find (key);

  g_return_if_fail (spec != NULL);
  if (spec->kind == ATL_PARAM_DOUBLE)
    json_object_set_double_member (self->settings, key, value);
  else
    json_object_set_int_member (self->settings, key, (gint64) value);
  show_params (self);
}

static void
edited_cb (AtlParamRow *row, double value, AtlCompareColumn *self)
{
  if (!self->showing)
    atl_compare_column_set_param (self, atl_param_row_get_spec (row)->key, value);
}

static void
reset_cb (AtlParamRow *row, AtlCompareColumn *self)
{
  const char *key = atl_param_row_get_spec (row)->key;

  if (json_object_has_member (self->settings, key))
    json_object_remove_member (self->settings, key);
  show_params (self);
}

/* --- The answer --- */

static void
show_phase (AtlCompareColumn *self, const char *phase)
{
  gtk_widget_set_visible (self->phase_box, phase != NULL);
  gtk_spinner_set_spinning (GTK_SPINNER (self->spinner), phase != NULL);
  if (phase != NULL)
    gtk_label_set_text (GTK_LABEL (self->phase_label), phase);
}

static void
show_answer (AtlCompareColumn *self)
{
  g_clear_handle_id (&self->refresh_source, g_source_remove);
  gtk_widget_set_visible (self->markdown, self->answer->len > 0);
  atl_markdown_view_set_text (ATL_MARKDOWN_VIEW (self->markdown), self->answer->str);
  gtk_widget_set_visible (self->actions, self->job == NULL && self->answer->len > 0);
}

static gboolean
refresh_cb (gpointer data)
{
  AtlCompareColumn *self = data;

  self->refresh_source = 0;
  show_answer (self);
  return G_SOURCE_REMOVE;
}

void
atl_compare_column_wait (AtlCompareColumn *self, const char *phase, double fraction)
{
  g_autofree char *words = fraction >= 0
                               ? g_strdup_printf ("%s (%d %%)", phase, (int) (100 * fraction))
                               : g_strdup (phase);

  g_string_truncate (self->answer, 0);
  g_string_truncate (self->thinking, 0);
  gtk_widget_set_sensitive (self->model_drop, FALSE);
  gtk_widget_set_sensitive (self->adapter_row, FALSE);
  gtk_widget_set_visible (self->empty_label, FALSE);
  gtk_widget_set_visible (self->error_label, FALSE);
  gtk_label_set_text (GTK_LABEL (self->stats_label), "");
  show_phase (self, words);
  show_answer (self);
}

static void
text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, AtlCompareColumn *self)
{
  if (is_thinking)
    {
      show_phase (self, _ ("Thinking…"));
      g_string_append (self->thinking, delta);
      return;
    }
  show_phase (self, NULL);
  g_string_append (self->answer, delta);
  if (self->refresh_source == 0)
    self->refresh_source = g_timeout_add (COALESCE_MS, refresh_cb, self);
}

static void
loading_cb (AtlChatJob *job, double fraction, const char *phase, AtlCompareColumn *self)
{
  g_autofree char *words = g_strdup (phase);

  show_phase (self, words);
}

static void
progress_cb (AtlChatJob *job, guint n_done, guint n_total, AtlCompareColumn *self)
{
  show_phase (self, n_total > 0 && n_done >= n_total ? _ ("Writing…") : _ ("Reading…"));
}

static void
end (AtlCompareColumn *self)
{
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_clear_object (&self->job);
  gtk_widget_set_sensitive (self->model_drop, TRUE);
  gtk_widget_set_sensitive (self->adapter_row, TRUE);
  show_phase (self, NULL);
  show_answer (self);
  g_signal_emit (self, signals[ENDED], 0);
}

/* An empty column would look as if it had not been asked. */
static void
say_empty (AtlCompareColumn *self)
{
  if (self->answer->len > 0)
    return;
  gtk_label_set_text (GTK_LABEL (self->empty_label), !self->is_whole ? _ ("Stopped")
                                                     : self->thinking->len > 0
                                                         ? _ ("The model ended after its thoughts")
                                                         : _ ("The model wrote nothing"));
  gtk_widget_set_visible (self->empty_label, TRUE);
}

/* The answer is read when it ends, and when the focus comes to it. */
static void
tell (AtlCompareColumn *self)
{
  AtlModelEntry *entry = atl_model_drop_down_get_entry (GTK_DROP_DOWN (self->model_drop));
  g_autofree char *words = atl_markdown_view_get_words (ATL_MARKDOWN_VIEW (self->markdown));
  g_autofree char *told = g_strdup_printf ("%s: %s", entry != NULL ? entry->name : "", words);

  gtk_accessible_update_property (GTK_ACCESSIBLE (self->scroller),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, words, -1);
  atl_accessible_announce (GTK_WIDGET (self), told);
}

static void
finished_cb (AtlChatJob *job, AtlChatStats *stats, AtlCompareColumn *self)
{
  g_autofree char *tokens = atl_format_tokens (stats->n_generated);
  g_autofree char *first = atl_format_seconds (stats->first_token_ms / 1000);
  g_autofree char *words = g_strdup_printf (_ ("%.1f tokens/s · first word after %s · %s"),
                                            stats->tokens_per_s, first, tokens);

  gtk_label_set_text (GTK_LABEL (self->stats_label), words);
  self->stats = atl_answer_stats_to_json (stats, &(AtlAnswerStats){ 0 });
  self->is_whole = g_strcmp0 (stats->stop_reason, ATL_STOP_STOPPED) != 0;
  end (self);
  say_empty (self);
  tell (self);
}

void
atl_compare_column_fail (AtlCompareColumn *self, const GError *error)
{
  if (error != NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      gtk_label_set_text (GTK_LABEL (self->error_label), error->message);
      atl_accessible_announce (GTK_WIDGET (self), error->message);
      gtk_widget_set_visible (self->error_label, TRUE);
    }
  end (self);
}

static void
failed_cb (AtlChatJob *job, GError *error, AtlCompareColumn *self)
{
  atl_compare_column_fail (self, error);
}

void
atl_compare_column_ask (AtlCompareColumn *self, AtlModel *model, const char *messages)
{
  g_auto (AtlChatParams) params;

  g_return_if_fail (self->job == NULL);
  atl_chat_params_init (&params);
  get_params (self, model, &params);
  g_clear_pointer (&self->stats, g_free);
  self->is_whole = FALSE;
  g_free (self->asked_path);
  self->asked_path = g_strdup (atl_model_get_key (model));
  g_free (self->asked_settings);
  self->asked_settings = settings_to_json (self);
  atl_compare_column_wait (self, _ ("Waiting for the model…"), -1);
  self->job = atl_client_chat (atl_session_get_client (self->session), model, messages, &params);
  g_signal_connect (self->job, "loading", G_CALLBACK (loading_cb), self);
  g_signal_connect (self->job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (self->job, "text", G_CALLBACK (text_cb), self);
  g_signal_connect (self->job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (self->job, "failed", G_CALLBACK (failed_cb), self);
}

void
atl_compare_column_stop (AtlCompareColumn *self)
{
  if (self->job != NULL)
    atl_chat_job_stop (self->job);
}

gboolean
atl_compare_column_get_is_running (AtlCompareColumn *self)
{
  return self->job != NULL;
}

const char *
atl_compare_column_get_answer (AtlCompareColumn *self)
{
  return self->answer->str;
}

const char *
atl_compare_column_get_answered_path (AtlCompareColumn *self)
{
  return self->asked_path;
}

static gboolean
save_settings (AtlCompareColumn *self, gint64 chat_id, GError **error)
{
  const AtlChat chat = { .id = chat_id, .settings_json = self->asked_settings };

  return atl_store_chat_update (atl_session_get_store (self->session), &chat, ATL_CHAT_SETTINGS,
                                error);
}

gint64
atl_compare_column_save (AtlCompareColumn *self,
                         const char *question,
                         const char *attachments_json,
                         GError **error)
{
  AtlStore *store = atl_session_get_store (self->session);
  g_autofree char *name =
      atl_model_list_get_name (atl_session_get_models (self->session), self->asked_path);
  gint64 chat = atl_store_chat_add (store, 0, error);
  gint64 asked = 0, answer = 0;

  if (chat == 0 || !save_settings (self, chat, error) ||
      !atl_store_turn_begin (store, chat, 0, question, attachments_json, name, &asked, &answer,
                             error) ||
      !atl_store_answer_finish (
          store, answer, self->is_whole ? ATL_MESSAGE_COMPLETE : ATL_MESSAGE_INTERRUPTED,
          self->answer->str, self->thinking->len > 0 ? self->thinking->str : NULL, NULL,
          self->stats, error))
    return 0;
  return chat;
}

static void
copy_cb (AtlCompareColumn *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), self->answer->str);
}

static void
keep_cb (AtlCompareColumn *self)
{
  g_signal_emit (self, signals[KEEP], 0);
}

static void
remove_cb (AtlCompareColumn *self)
{
  g_signal_emit (self, signals[REMOVE], 0);
}

void
atl_compare_column_set_removable (AtlCompareColumn *self, gboolean removable)
{
  gtk_widget_set_visible (self->remove_button, removable);
}

/* --- GObject --- */

static void
atl_compare_column_dispose (GObject *object)
{
  AtlCompareColumn *self = ATL_COMPARE_COLUMN (object);

  g_clear_handle_id (&self->refresh_source, g_source_remove);
  if (self->job != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->job, self);
      atl_chat_job_stop (self->job);
    }
  g_clear_object (&self->job);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_compare_column_parent_class)->dispose (object);
}

static void
atl_compare_column_finalize (GObject *object)
{
  AtlCompareColumn *self = ATL_COMPARE_COLUMN (object);

  json_object_unref (self->settings);
  g_string_free (self->answer, TRUE);
  g_string_free (self->thinking, TRUE);
  g_free (self->asked_path);
  g_free (self->asked_settings);
  g_free (self->stats);
  G_OBJECT_CLASS (atl_compare_column_parent_class)->finalize (object);
}

static void
atl_compare_column_class_init (AtlCompareColumnClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  const char *const names[] = { "remove", "keep", "ended" };

  G_OBJECT_CLASS (klass)->dispose = atl_compare_column_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_compare_column_finalize;
  g_type_ensure (ATL_TYPE_MARKDOWN_VIEW);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/compare-column.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlCompareColumn, name)
  BIND (box);
  BIND (model_drop);
  BIND (scroller);
  BIND (settings_button);
  BIND (param_list);
  BIND (adapter_row);
  BIND (adapter_switch);
  BIND (plain_label);
  BIND (remove_button);
  BIND (phase_box);
  BIND (spinner);
  BIND (phase_label);
  BIND (empty_label);
  BIND (markdown);
  BIND (error_label);
  BIND (stats_label);
  BIND (actions);
  BIND (copy_button);
  BIND (keep_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, show_params);
  gtk_widget_class_bind_template_callback (widget_class, switched_cb);
  gtk_widget_class_bind_template_callback (widget_class, copy_cb);
  gtk_widget_class_bind_template_callback (widget_class, keep_cb);
  gtk_widget_class_bind_template_callback (widget_class, remove_cb);
  for (guint i = 0; i < N_SIGNALS; i++)
    signals[i] = g_signal_new (names[i], ATL_TYPE_COMPARE_COLUMN, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                               NULL, G_TYPE_NONE, 0);
}

static void
atl_compare_column_init (AtlCompareColumn *self)
{
  self->settings = json_object_new ();
  self->answer = g_string_new (NULL);
  self->thinking = g_string_new (NULL);
  gtk_widget_init_template (GTK_WIDGET (self));
  atl_accessible_set_name (self->scroller, _ ("Answer"));
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      GtkWidget *row = atl_param_row_new (atl_chat_param_find (keys[i]));
      g_signal_connect (row, "edited", G_CALLBACK (edited_cb), self);
      g_signal_connect (row, "reset", G_CALLBACK (reset_cb), self);
      gtk_list_box_append (GTK_LIST_BOX (self->param_list), row);
    }
}

GtkWidget *
atl_compare_column_new (AtlSession *session)
{
  AtlCompareColumn *self = g_object_new (ATL_TYPE_COMPARE_COLUMN, NULL);
  AtlModel *model = atl_session_get_model (session);

  self->session = g_object_ref (session);
  atl_model_drop_down_set_models (GTK_DROP_DOWN (self->model_drop),
                                  atl_session_get_models (session));
  if (model != NULL)
    atl_compare_column_set_path (self, atl_model_get_key (model));
  show_params (self);
  return GTK_WIDGET (self);
}
