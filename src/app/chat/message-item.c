/* A message as an object that rows can watch. */
#include "app/chat/message-item.h"

#include <string.h>

#include "app/chat/json-lines.h"
#include "base/error.h"
#include "base/json-bounded.h"

G_DEFINE_FINAL_TYPE (AtlMessageItem, atl_message_item, G_TYPE_OBJECT)

static guint changed_signal;

static void
add_number (JsonBuilder *builder, const char *name, double value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_double_value (builder, value);
}

static void
add_count (JsonBuilder *builder, const char *name, guint value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, value);
}

static void
add_text (JsonBuilder *builder, const char *name, const char *value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, value);
}

/* Of both runs together; a run without a speed does not count. */
static double
joint_speed (const AtlChatStats *stats, const AtlAnswerStats *before)
{
  if (before->n_tokens == 0 || before->tokens_per_s <= 0)
    return stats->tokens_per_s;
  if (stats->n_generated == 0 || stats->tokens_per_s <= 0)
    return before->tokens_per_s;
  return ((double) before->n_tokens + stats->n_generated) /
         (before->n_tokens / before->tokens_per_s + stats->n_generated / stats->tokens_per_s);
}

char *
atl_answer_stats_to_json (const AtlChatStats *stats, const AtlAnswerStats *before)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  add_number (builder, "tokens_per_s", joint_speed (stats, before));
  add_number (builder, "first_token_ms",
              before->first_token_ms > 0 ? before->first_token_ms : stats->first_token_ms);
  add_number (builder, "thinking_ms", before->thinking_ms + stats->thinking_ms);
  add_count (builder, "n_tokens", before->n_tokens + stats->n_generated);
  add_count (builder, "n_prompt", stats->n_prompt);
  add_count (builder, "context_used", stats->n_ctx_used);
  add_count (builder, "context_size", stats->n_ctx);
  add_count (builder, "n_drafted", before->n_drafted + stats->n_drafted);
  add_count (builder, "n_accepted", before->n_accepted + stats->n_accepted);
  if (before->is_json)
    {
      json_builder_set_member_name (builder, "is_json");
      json_builder_add_boolean_value (builder, TRUE);
    }
  add_text (builder, "device", stats->ran_on ? stats->ran_on : "");
  add_text (builder, "stop_reason", stats->stop_reason ? stats->stop_reason : "");
  json_builder_end_object (builder);
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

static void
clear_stats (AtlAnswerStats *stats)
{
  g_free (stats->ran_on);
  g_free (stats->stop_reason);
  *stats = (AtlAnswerStats){ 0 };
}

static void
read_stats (AtlAnswerStats *stats, const char *json)
{
  g_autoptr (JsonNode) node = json ? atl_json_parse (json, strlen (json), "stats", NULL) : NULL;

  clear_stats (stats);
  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return;
  JsonObject *object = json_node_get_object (node);
  stats->tokens_per_s = atl_json_double (object, "tokens_per_s", 0);
  stats->first_token_ms = atl_json_double (object, "first_token_ms", 0);
  stats->thinking_ms = atl_json_double (object, "thinking_ms", 0);
  stats->n_tokens = (guint) atl_json_int (object, "n_tokens", 0);
  stats->n_prompt = (guint) atl_json_int (object, "n_prompt", 0);
  stats->n_drafted = (guint) atl_json_int (object, "n_drafted", 0);
  stats->n_accepted = (guint) atl_json_int (object, "n_accepted", 0);
  stats->context_used = (guint) atl_json_int (object, "context_used", 0);
  stats->context_size = (guint) atl_json_int (object, "context_size", 0);
  stats->is_json = atl_json_bool (object, "is_json", FALSE);
  stats->ran_on = g_strdup (atl_json_string (object, "device", NULL));
  stats->stop_reason = g_strdup (atl_json_string (object, "stop_reason", NULL));
}

void
atl_message_item_update (AtlMessageItem *self, const AtlMessage *message)
{
  self->id = message->id;
  self->parent_id = message->parent_id;
  self->role = message->role;
  self->state = message->state;
  g_string_assign (self->content, message->content);
  g_string_assign (self->thinking, message->thinking ? message->thinking : "");
  g_clear_pointer (&self->attachments, g_ptr_array_unref);
  self->attachments = atl_attachments_from_json (message->attachments_json);
  g_free (self->error_text);
  self->error_text = g_strdup (message->error_text);
  self->is_too_long =
      g_strcmp0 (message->error_name, atl_error_dbus_name (ATL_ERROR_TOO_LONG)) == 0;
  g_free (self->model_name);
  self->model_name = g_strdup (message->model_name);
  read_stats (&self->stats, message->stats_json);
  self->branch = message->branch;
  self->n_branches = message->n_branches;
  self->created_us = message->created_us;
  atl_message_item_changed (self);
}

void
atl_message_item_end (AtlMessageItem *self,
                      AtlMessageState state,
                      const GError *failure,
                      const char *stats_json)
{
  self->state = state;
  g_free (self->error_text);
  self->error_text = failure != NULL ? g_strdup (failure->message) : NULL;
  self->is_too_long = g_error_matches (failure, ATL_ERROR, ATL_ERROR_TOO_LONG);
  if (stats_json != NULL)
    read_stats (&self->stats, stats_json);
  atl_message_item_changed (self);
}

void
atl_message_item_set_is_last (AtlMessageItem *self, gboolean is_last)
{
  if (self->is_last == is_last)
    return;
  self->is_last = is_last;
  atl_message_item_changed (self);
}

void
atl_message_item_set_is_found (AtlMessageItem *self, gboolean is_found)
{
  if (self->is_found == is_found)
    return;
  self->is_found = is_found;
  atl_message_item_changed (self);
}

void
atl_message_item_set_phase (AtlMessageItem *self, const char *phase, double fraction)
{
  g_autofree char *old = g_steal_pointer (&self->phase);

  self->phase = g_strdup (phase);
  self->fraction = fraction;
  atl_message_item_changed (self);
}

void
atl_message_item_changed (AtlMessageItem *self)
{
  g_signal_emit (self, changed_signal, 0);
}

/* Whether the answer is JSON, or will be. A list or object is, whatever was asked for: it may come
 * from elsewhere. What a person corrected into something else is not any more. */
static gboolean
is_json (const AtlMessageItem *self)
{
  const char *text = self->content->str;
  const char *start = text + strspn (text, " \t\r\n");
  gboolean is_list = *start == '{' || *start == '[';
  g_autoptr (JsonNode) node = NULL;

  if (self->role != ATL_ROLE_ASSISTANT || !(is_list || self->stats.is_json))
    return FALSE;
  if (self->state == ATL_MESSAGE_STREAMING)
    return self->stats.is_json && (is_list || *start == '"');
  node = atl_json_parse (start, strlen (start), "answer", NULL);
  return node != NULL || (is_list && self->stats.is_json && self->state != ATL_MESSAGE_COMPLETE);
}

char *
atl_message_item_to_markdown (const AtlMessageItem *self)
{
  g_autofree char *lines = NULL;

  if (!is_json (self))
    return g_strdup (self->content->str);
  lines = atl_json_lines (self->content->str);
  return g_strdup_printf ("```json\n%s\n```", lines);
}

static void
atl_message_item_finalize (GObject *object)
{
  AtlMessageItem *self = ATL_MESSAGE_ITEM (object);

  g_string_free (self->content, TRUE);
  g_string_free (self->thinking, TRUE);
  g_clear_pointer (&self->attachments, g_ptr_array_unref);
  g_free (self->error_text);
  g_free (self->model_name);
  g_free (self->phase);
  clear_stats (&self->stats);
  G_OBJECT_CLASS (atl_message_item_parent_class)->finalize (object);
}

static void
atl_message_item_class_init (AtlMessageItemClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_message_item_finalize;
  changed_signal = g_signal_new ("changed", ATL_TYPE_MESSAGE_ITEM, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
atl_message_item_init (AtlMessageItem *self)
{
  self->content = g_string_new (NULL);
  self->thinking = g_string_new (NULL);
  self->fraction = -1;
}

AtlMessageItem *
atl_message_item_new (const AtlMessage *message)
{
  AtlMessageItem *self = g_object_new (ATL_TYPE_MESSAGE_ITEM, NULL);
  atl_message_item_update (self, message);
  return self;
}
