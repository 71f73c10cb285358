/* Settings of a chat: every change is saved at once and counts from the next answer on. */
#include "app/chat/settings-pane.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/adapter-list.h"
#include "app/chat/chat-presets.h"
#include "app/chat/draft-list.h"
#include "app/chat/json-row.h"
#include "app/chat/kv-list.h"
#include "app/chat/load-params.h"
#include "app/chat/param-row.h"
#include "app/dialogs.h"
#include "app/recommended.h"
#include "app/wheel.h"
#include "app/words.h"
#include "base/json-bounded.h"
#include "protocol/protocol.h"

#define SYSTEM_PROMPT_MS 500

struct _AtlSettingsPane
{
  GtkWidget parent_instance;

  AtlSession *session;
  AtlConversation *conversation;
  GPtrArray *presets; /* (element-type AtlPreset) */
  GPtrArray *rows;    /* (element-type AtlParamRow) borrowed */
  GtkWidget *context_row;
  GtkWidget *gpu_layers_row;
  GtkWidget *cpu_experts_row;
  GtkWidget *schema_row;
  GtkWidget *tools_row;
  guint system_source;
  gboolean showing; /* widgets are being set, not edited */

  GtkWidget *box;
  GtkWidget *preset_row;
  GtkWidget *creative_scale;
  GtkWidget *creative_label;
  GtkWidget *length_row;
  GtkWidget *thinking_row;
  GtkWidget *thinking_switch;
  GtkWidget *system_view;
  GtkWidget *adapter_list;
  GtkWidget *kv_list;
  GtkWidget *draft_list;
  GtkWidget *advanced_row;
  GtkWidget *reload_bar;
  GtkWidget *reload_button;
  GtkWidget *preset_buttons;
  GtkWidget *reset_button;
};

G_DEFINE_FINAL_TYPE (AtlSettingsPane, atl_settings_pane, GTK_TYPE_WIDGET)

enum
{
  NOTICE,
  RELOAD,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static const char *const advanced_keys[] = { "temperature",    "top-p", "top-k",     "min-p",
                                             "repeat-penalty", "seed",  "max-tokens" };

static const int length_tokens[] = { -1, 200, 700, 2000 };

static void show_settings (AtlSettingsPane *self);

static JsonObject *
get_settings (AtlSettingsPane *self)
{
  return atl_conversation_get_settings (self->conversation);
}

static void
set_number (AtlSettingsPane *self, const AtlChatParamSpec *spec, double value)
{
  if (self->showing || self->conversation == NULL)
    return;
  if (spec->kind == ATL_PARAM_DOUBLE)
    json_object_set_double_member (get_settings (self), spec->key, value);
  else
    json_object_set_int_member (get_settings (self), spec->key, (gint64) value);
  atl_conversation_save_settings (self->conversation);
  show_settings (self);
}

/* What the open chat wants counts for the next load, whatever begins it: a model chosen first,
 * another one, the button. */
static void
take_load_params (AtlSettingsPane *self)
{
  atl_session_set_n_ctx (self->session, atl_conversation_get_n_ctx (self->conversation));
  atl_session_set_offload (
      self->session, (gint) atl_json_int (get_settings (self), ATL_LOAD_PARAM_GPU_LAYERS, -1),
      (gint) atl_json_int (get_settings (self), ATL_LOAD_PARAM_CPU_EXPERTS, -1));
}

static void
edited_cb (AtlParamRow *row, double value, AtlSettingsPane *self)
{
  set_number (self, atl_param_row_get_spec (row), value);
}

static void
reset_cb (AtlParamRow *row, AtlSettingsPane *self)
{
  const char *key = atl_param_row_get_spec (row)->key;

  if (json_object_has_member (get_settings (self), key))
    json_object_remove_member (get_settings (self), key);
  atl_conversation_save_settings (self->conversation);
  show_settings (self);
}

static const char *
creative_words (double temperature)
{
  if (temperature <= 0.15)
    return _ ("Exact");
  if (temperature <= 0.5)
    return _ ("Careful");
  if (temperature <= 0.9)
    return _ ("Balanced");
  if (temperature <= 1.3)
    return _ ("Creative");
  return _ ("Wild");
}

static void
show_length (AtlSettingsPane *self, int max_tokens)
{
  guint choice;

  for (choice = 0; choice < G_N_ELEMENTS (length_tokens); choice++)
    if (length_tokens[choice] == max_tokens)
      break;
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->length_row), choice);
}

/* TRUE when the person wants another number than the model was loaded with, of `max`. */
static gboolean
show_offload (AtlSettingsPane *self, GtkWidget *row, gint now, guint max)
{
  AtlEngineStatus *status = atl_client_get_status (atl_session_get_client (self->session));
  const char *key = atl_param_row_get_spec (ATL_PARAM_ROW (row))->key;
  gboolean is_changed = json_object_has_member (get_settings (self), key);
  gint64 wanted = atl_json_int (get_settings (self), key, -1);

  atl_param_row_set_max (ATL_PARAM_ROW (row), (double) MAX (wanted, (gint64) max));
  atl_param_row_set_value (ATL_PARAM_ROW (row), (double) wanted, is_changed);
  gtk_widget_set_visible (row, is_changed || (max > 0 && status != NULL && status->vram_total > 0));
  return wanted != now;
}

/* What counts when the model is loaded. */
static void
show_load (AtlSettingsPane *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  const AtlModelInfo *info = model != NULL ? atl_model_get_info (model) : NULL;
  guint wanted = atl_conversation_get_n_ctx (self->conversation);
  guint now = info != NULL ? info->n_ctx : 0;
  guint n_layers = info != NULL ? (info->n_layers > 0 ? info->n_layers : ATL_LOAD_MAX_LAYERS) : 0;
  const AtlLoadOptions *loaded = model != NULL ? atl_model_get_options (model) : NULL;
  gboolean differs;

  take_load_params (self);
  differs =
      show_offload (self, self->gpu_layers_row, loaded != NULL ? loaded->gpu_layers : -1, n_layers);
  differs |= show_offload (self, self->cpu_experts_row, loaded != NULL ? loaded->cpu_experts : -1,
                           info != NULL && info->has_experts ? n_layers : 0);
  differs |= wanted > 0 && wanted != now;
  /* It is loaded with the usual length before this chat is answered. */
  if (wanted == 0 && atl_session_has_too_short_context (self->session, 0))
    now = MIN (ATL_DEFAULT_N_CTX, info->n_ctx_train > 0 ? info->n_ctx_train : ATL_DEFAULT_N_CTX);
  atl_param_row_set_max (ATL_PARAM_ROW (self->context_row), info != NULL && info->n_ctx_train > 0
                                                                ? MAX (info->n_ctx_train, wanted)
                                                                : ATL_LOAD_MAX_N_CTX);
  atl_param_row_set_value (ATL_PARAM_ROW (self->context_row), (double) (wanted > 0 ? wanted : now),
                           json_object_has_member (get_settings (self), ATL_LOAD_PARAM_N_CTX));
  gtk_widget_set_visible (self->reload_bar, model != NULL && differs);
}

static void
show_settings (AtlSettingsPane *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  g_auto (AtlChatParams) params;
  gboolean thinks = model != NULL && atl_model_get_info (model)->has_thinking;
  g_autofree char *recommended = model != NULL ? atl_recommended_words (model) : g_strdup ("");

  if (self->conversation == NULL)
    return;
  atl_chat_params_init (&params);
  atl_conversation_get_params (self->conversation, &params);
  self->showing = TRUE;
  for (guint i = 0; i < self->rows->len; i++)
    {
      AtlParamRow *row = g_ptr_array_index (self->rows, i);
      const AtlChatParamSpec *spec = atl_param_row_get_spec (row);
      atl_param_row_set_value (row, atl_chat_param_get (&params, spec),
                               json_object_has_member (get_settings (self), spec->key));
    }
  gtk_range_set_value (GTK_RANGE (self->creative_scale), params.temperature);
  gtk_label_set_text (GTK_LABEL (self->creative_label), creative_words (params.temperature));
  show_length (self, params.max_tokens);
  gtk_widget_set_visible (self->thinking_row, thinks);
  gtk_switch_set_active (GTK_SWITCH (self->thinking_switch), params.thinking != 0);
  show_load (self);
  atl_json_row_set_text (ATL_JSON_ROW (self->schema_row), params.json_schema);
  atl_json_row_set_text (ATL_JSON_ROW (self->tools_row), params.tools);
  /* What changes every answer is seen though the rows are folded away. */
  adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (self->advanced_row),
                                 params.json_schema != NULL ? _ ("Answers as JSON")
                                 : params.tools != NULL     ? _ ("With tools")
                                                            : recommended);
  gtk_widget_set_sensitive (self->reset_button, json_object_get_size (get_settings (self)) > 0);
  self->showing = FALSE;
}

static void
creative_cb (GtkRange *range, AtlSettingsPane *self)
{
  set_number (self, atl_chat_param_find ("temperature"), gtk_range_get_value (range));
}

static void
length_cb (AtlSettingsPane *self)
{
  guint choice = adw_combo_row_get_selected (ADW_COMBO_ROW (self->length_row));

  if (choice < G_N_ELEMENTS (length_tokens))
    set_number (self, atl_chat_param_find ("max-tokens"), length_tokens[choice]);
}

static void
thinking_cb (AtlSettingsPane *self)
{
  set_number (self, atl_chat_param_find ("thinking"),
              gtk_switch_get_active (GTK_SWITCH (self->thinking_switch)) ? 1 : 0);
}

/* --- JSON --- */

static void
json_edited_cb (AtlJsonRow *row, const char *json, AtlSettingsPane *self)
{
  const char *key = GTK_WIDGET (row) == self->schema_row ? "json-schema" : "tools";

  if (self->showing || self->conversation == NULL)
    return;
  if (json != NULL)
    json_object_set_string_member (get_settings (self), key, json);
  else if (json_object_has_member (get_settings (self), key))
    json_object_remove_member (get_settings (self), key);
  atl_conversation_save_settings (self->conversation);
  show_settings (self);
}

static GtkWidget *
add_json_row (AtlSettingsPane *self, AtlJsonRowKind kind)
{
  GtkWidget *row = atl_json_row_new (kind);

  g_signal_connect (row, "edited", G_CALLBACK (json_edited_cb), self);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (self->advanced_row), row);
  atl_wheel_ignore (row);
  return row;
}

/* --- Instructions --- */

static void
save_system_prompt (AtlSettingsPane *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->system_view));
  GtkTextIter start, end;
  g_autofree char *text = NULL;

  g_clear_handle_id (&self->system_source, g_source_remove);
  gtk_text_buffer_get_bounds (buffer, &start, &end);
  text = gtk_text_buffer_get_text (buffer, &start, &end, FALSE);
  if (self->conversation != NULL)
    atl_conversation_set_system_prompt (self->conversation, text);
}

static gboolean
system_timeout_cb (gpointer data)
{
  AtlSettingsPane *self = data;

  self->system_source = 0;
  save_system_prompt (self);
  return G_SOURCE_REMOVE;
}

static void
system_changed_cb (AtlSettingsPane *self)
{
  if (self->showing)
    return;
  g_clear_handle_id (&self->system_source, g_source_remove);
  self->system_source = g_timeout_add (SYSTEM_PROMPT_MS, system_timeout_cb, self);
}

static void
show_system_prompt (AtlSettingsPane *self)
{
  self->showing = TRUE;
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->system_view)),
                            atl_conversation_get_system_prompt (self->conversation), -1);
  self->showing = FALSE;
}

/* --- Presets --- */

static void
show_presets (AtlSettingsPane *self, gint64 selected)
{
  g_autoptr (GtkStringList) names = gtk_string_list_new (NULL);
  guint choice = 0;

  g_clear_pointer (&self->presets, g_ptr_array_unref);
  self->presets = atl_store_preset_list (atl_session_get_store (self->session), NULL);
  gtk_string_list_append (names, _ ("None"));
  for (guint i = 0; self->presets != NULL && i < self->presets->len; i++)
    {
      const AtlPreset *preset = g_ptr_array_index (self->presets, i);
      gtk_string_list_append (names, preset->name);
      if (preset->id == selected)
        choice = i + 1;
    }
  self->showing = TRUE;
  adw_combo_row_set_model (ADW_COMBO_ROW (self->preset_row), G_LIST_MODEL (names));
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->preset_row), choice);
  gtk_widget_set_visible (self->preset_buttons, choice > 0);
  self->showing = FALSE;
}

static const AtlPreset *
selected_preset (AtlSettingsPane *self)
{
  guint choice = adw_combo_row_get_selected (ADW_COMBO_ROW (self->preset_row));

  if (self->presets == NULL || choice == 0 || choice > self->presets->len)
    return NULL;
  return g_ptr_array_index (self->presets, choice - 1);
}

/* After an undo; the open chat may be another one than the one that it was about. */
static void
presets_changed (GtkWidget *widget)
{
  AtlSettingsPane *self = ATL_SETTINGS_PANE (widget);

  if (self->conversation == NULL)
    return;
  show_presets (self, 0);
  show_settings (self);
  if (self->system_source == 0)
    show_system_prompt (self);
}

static void
keep_chosen_preset (GtkWidget *widget)
{
  AtlSettingsPane *self = ATL_SETTINGS_PANE (widget);

  show_presets (self, selected_preset (self) != NULL ? selected_preset (self)->id : 0);
}

static void
preset_cb (AtlSettingsPane *self)
{
  const AtlPreset *preset = selected_preset (self);

  gtk_widget_set_visible (self->preset_buttons, preset != NULL);
  if (self->showing || preset == NULL || self->conversation == NULL)
    return;
  save_system_prompt (self);
  if (!atl_chat_preset_take (GTK_WIDGET (self), self->conversation, preset, presets_changed))
    return;
  show_settings (self);
  show_system_prompt (self);
}

static void
save_as (const char *name, gpointer data)
{
  AtlSettingsPane *self = data;
  gint64 id;

  save_system_prompt (self);
  id = atl_chat_preset_save (GTK_WIDGET (self), self->session, self->conversation, self->presets,
                             name, presets_changed);
  if (id != 0)
    show_presets (self, id);
}

static void
save_cb (AtlSettingsPane *self)
{
  const AtlPreset *preset = selected_preset (self);

  atl_dialog_ask_text (GTK_WIDGET (self), _ ("Save as preset"),
                       _ ("Keeps these settings and instructions under a name, for other chats."),
                       _ ("Name"), preset ? preset->name : "", _ ("_Save"), save_as, self, NULL);
}

static void
rename_cb (AtlSettingsPane *self)
{
  const AtlPreset *preset = selected_preset (self);

  if (preset != NULL)
    atl_chat_preset_ask_rename (GTK_WIDGET (self), self->session, preset, keep_chosen_preset);
}

static void
remove_cb (AtlSettingsPane *self)
{
  const AtlPreset *preset = selected_preset (self);

  if (preset != NULL)
    atl_chat_preset_remove (GTK_WIDGET (self), self->session, preset, presets_changed);
  show_presets (self, 0);
}

static void
reset_all_cb (AtlSettingsPane *self)
{
  g_autoptr (JsonObject) none = json_object_new ();

  atl_conversation_replace_settings (self->conversation, none);
  show_presets (self, 0);
  show_settings (self);
}

static void
reload_cb (AtlSettingsPane *self)
{
  take_load_params (self);
  g_signal_emit (self, signals[RELOAD], 0);
}

void
atl_settings_pane_set_conversation (AtlSettingsPane *self,
                                    AtlSession *session,
                                    AtlConversation *conversation)
{
  gboolean same = self->conversation == conversation;

  if (self->session == NULL && session != NULL)
    {
      g_settings_bind (atl_session_get_settings (session), "advanced-expanded", self->advanced_row,
                       "expanded", G_SETTINGS_BIND_DEFAULT);
    }
  if (self->system_source != 0)
    save_system_prompt (self);
  if (!same)
    {
      atl_json_row_flush (ATL_JSON_ROW (self->schema_row));
      atl_json_row_flush (ATL_JSON_ROW (self->tools_row));
    }
  g_set_object (&self->session, session);
  if (session != NULL)
    {
      atl_adapter_list_set_session (ATL_ADAPTER_LIST (self->adapter_list), session);
      atl_kv_list_set_session (ATL_KV_LIST (self->kv_list), session);
      atl_draft_list_set_session (ATL_DRAFT_LIST (self->draft_list), session);
      atl_json_row_set_client (ATL_JSON_ROW (self->schema_row), atl_session_get_client (session));
      atl_json_row_set_client (ATL_JSON_ROW (self->tools_row), atl_session_get_client (session));
    }
  g_set_object (&self->conversation, conversation);
  gtk_widget_set_sensitive (GTK_WIDGET (self), conversation != NULL);
  if (conversation == NULL)
    return;
  show_settings (self);
  if (!same)
    {
      show_presets (self, 0);
      show_system_prompt (self);
    }
}

/* --- GObject --- */

static void
atl_settings_pane_dispose (GObject *object)
{
  AtlSettingsPane *self = ATL_SETTINGS_PANE (object);

  if (self->system_source != 0)
    save_system_prompt (self);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_pointer (&self->presets, g_ptr_array_unref);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_object (&self->conversation);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_settings_pane_parent_class)->dispose (object);
}

static void
atl_settings_pane_class_init (AtlSettingsPaneClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_settings_pane_dispose;
  g_type_ensure (ATL_TYPE_ADAPTER_LIST);
  g_type_ensure (ATL_TYPE_DRAFT_LIST);
  g_type_ensure (ATL_TYPE_KV_LIST);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/settings-pane.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlSettingsPane, name)
  BIND (box);
  BIND (preset_row);
  BIND (creative_scale);
  BIND (creative_label);
  BIND (length_row);
  BIND (thinking_row);
  BIND (thinking_switch);
  BIND (system_view);
  BIND (adapter_list);
  BIND (kv_list);
  BIND (draft_list);
  BIND (advanced_row);
  BIND (reload_bar);
  BIND (reload_button);
  BIND (preset_buttons);
  BIND (reset_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, save_cb);
  gtk_widget_class_bind_template_callback (widget_class, rename_cb);
  gtk_widget_class_bind_template_callback (widget_class, remove_cb);
  signals[NOTICE] = g_signal_new ("notice", ATL_TYPE_SETTINGS_PANE, G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[RELOAD] = g_signal_new ("reload", ATL_TYPE_SETTINGS_PANE, G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 0);
}

static GtkWidget *
add_row (AtlSettingsPane *self, const AtlChatParamSpec *spec)
{
  GtkWidget *row = atl_param_row_new (spec);

  g_signal_connect (row, "edited", G_CALLBACK (edited_cb), self);
  g_signal_connect (row, "reset", G_CALLBACK (reset_cb), self);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (self->advanced_row), row);
  return row;
}

static void
connect (AtlSettingsPane *self, GtkWidget *widget, const char *signal, GCallback callback)
{
  g_signal_connect_swapped (widget, signal, callback, self);
}

static void
notice_cb (AtlSettingsPane *self, const char *sentence)
{
  g_signal_emit (self, signals[NOTICE], 0, sentence);
}

static void
atl_settings_pane_init (AtlSettingsPane *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->rows = g_ptr_array_new ();
  for (guint i = 0; i < G_N_ELEMENTS (advanced_keys); i++)
    g_ptr_array_add (self->rows, add_row (self, atl_chat_param_find (advanced_keys[i])));
  self->context_row = add_row (self, &atl_load_n_ctx);
  g_ptr_array_add (self->rows, add_row (self, atl_chat_param_find ("shift-context")));
  self->gpu_layers_row = add_row (self, &atl_load_gpu_layers);
  self->cpu_experts_row = add_row (self, &atl_load_cpu_experts);
  self->schema_row = add_json_row (self, ATL_JSON_ROW_SCHEMA);
  self->tools_row = add_json_row (self, ATL_JSON_ROW_TOOLS);
  g_signal_connect_swapped (self->adapter_list, "notice", G_CALLBACK (notice_cb), self);
  atl_wheel_ignore (self->creative_scale);
  atl_wheel_ignore (gtk_widget_get_parent (self->system_view));
  atl_text_never_hyphenate (GTK_TEXT_VIEW (self->system_view));
  atl_accessible_name_combo_row (self->preset_row);
  atl_accessible_name_combo_row (self->length_row);
  g_signal_connect (self->creative_scale, "value-changed", G_CALLBACK (creative_cb), self);
  connect (self, self->length_row, "notify::selected", G_CALLBACK (length_cb));
  connect (self, self->thinking_switch, "notify::active", G_CALLBACK (thinking_cb));
  connect (self, self->preset_row, "notify::selected", G_CALLBACK (preset_cb));
  connect (self, self->reset_button, "clicked", G_CALLBACK (reset_all_cb));
  connect (self, self->reload_button, "clicked", G_CALLBACK (reload_cb));
  g_signal_connect_swapped (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->system_view)), "changed",
                            G_CALLBACK (system_changed_cb), self);
}
