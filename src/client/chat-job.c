/* One answer: waits for its model, asks, passes on what comes, and ends exactly once. */
#define G_LOG_DOMAIN "atl-client"

#include <glib/gi18n.h>

#include "client/job.h"

/* An engine gone wrong must not fill the window's memory. */
#define MAX_TEXT_BYTES (64u << 20)
#define MAX_TOOL_CALLS 1024u
#define MAX_TOKENS (1u << 20)

struct _AtlChatJob
{
  GObject parent_instance;

  AtlJob job;
  char *method;
  char *text_in;
  GVariant *params;
  char *conversation; /* (nullable) */
  GString *text;
  GString *thinking;
  GPtrArray *calls;  /* AtlToolCall */
  GPtrArray *tokens; /* AtlChatToken */
  AtlChatStats *stats;
};

G_DEFINE_FINAL_TYPE (AtlChatJob, atl_chat_job, G_TYPE_OBJECT)

enum
{
  LOADING,
  PROGRESS,
  TEXT,
  TOOL_CALL,
  TOKENS,
  FINISHED,
  FAILED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
tool_call_free (gpointer data)
{
  AtlToolCall *call = data;

  g_free (call->id);
  g_free (call->name);
  g_free (call->arguments);
  g_free (call);
}

static void
chat_token_free (gpointer data)
{
  AtlChatToken *token = data;

  for (guint i = 0; i < token->n_top; i++)
    g_free (token->top[i].text);
  g_free (token->top);
  g_free (token->chosen.text);
  g_free (token);
}

static void
atl_chat_job_finalize (GObject *object)
{
  AtlChatJob *self = ATL_CHAT_JOB (object);

  atl_job_clear (&self->job);
  g_clear_pointer (&self->params, g_variant_unref);
  g_clear_pointer (&self->stats, atl_chat_stats_unref);
  g_string_free (self->text, TRUE);
  g_string_free (self->thinking, TRUE);
  g_ptr_array_unref (self->calls);
  g_ptr_array_unref (self->tokens);
  g_free (self->method);
  g_free (self->conversation);
  g_free (self->text_in);
  G_OBJECT_CLASS (atl_chat_job_parent_class)->finalize (object);
}

static void
atl_chat_job_class_init (AtlChatJobClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_chat_job_finalize;

  signals[LOADING] = g_signal_new ("loading", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                   NULL, G_TYPE_NONE, 2, G_TYPE_DOUBLE, G_TYPE_STRING);
  signals[PROGRESS] = g_signal_new ("progress", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                    NULL, G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_UINT);
  signals[TEXT] = g_signal_new ("text", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_BOOLEAN);
  signals[TOOL_CALL] = g_signal_new ("tool-call", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL,
                                     NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
  signals[TOKENS] = g_signal_new ("tokens", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                  NULL, G_TYPE_NONE, 1, G_TYPE_PTR_ARRAY);
  signals[FINISHED] = g_signal_new ("finished", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                    NULL, G_TYPE_NONE, 1, ATL_TYPE_CHAT_STATS);
  signals[FAILED] = g_signal_new ("failed", ATL_TYPE_CHAT_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                  NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

/* --- The end: the reference the job held on itself while running goes --- */

static void
job_finished (AtlChatJob *self, GVariant *stats)
{
  if (!atl_job_end (&self->job))
    return;
  self->stats = atl_chat_stats_new_from_variant (stats);
  g_signal_emit (self, signals[FINISHED], 0, self->stats);
  g_object_unref (self);
}

static void
job_failed (AtlChatJob *self, const GError *error)
{
  if (!atl_job_end (&self->job))
    return;
  g_signal_emit (self, signals[FAILED], 0, error);
  g_object_unref (self);
}

/* Stopped before the engine knew of it. */
static void
job_stopped (AtlChatJob *self)
{
  GVariantDict dict;
  g_autoptr (GVariant) stats = NULL;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_STAT_STOP_REASON, "s", ATL_STOP_STOPPED);
  stats = g_variant_ref_sink (g_variant_dict_end (&dict));
  job_finished (self, stats);
}

static void
failed (gpointer owner, const GError *error)
{
  AtlChatJob *self = owner;
  g_autoptr (GError) said = NULL;

  if (self->job.is_stopping && !atl_job_is_asked (&self->job) &&
      g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    job_stopped (self);
  else if (atl_job_is_asked (&self->job) &&
           g_error_matches (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE))
    {
      /* Of a picture nothing would be. */
      said = g_error_new (error->domain, error->code, "%s %s", error->message,
                          _ ("What was written so far is kept."));
      job_failed (self, said);
    }
  else
    job_failed (self, error);
}

/* --- The middle --- */

static void
take_text (AtlChatJob *self, const char *delta, gboolean is_thinking)
{
  GString *text = is_thinking ? self->thinking : self->text;

  if (*delta == '\0')
    return;
  if (text->len + strlen (delta) > MAX_TEXT_BYTES)
    {
      atl_chat_job_stop (self);
      return;
    }
  g_string_append (text, delta);
  g_signal_emit (self, signals[TEXT], 0, delta, is_thinking);
}

static void
take_call (AtlChatJob *self, const char *id, const char *name, const char *arguments)
{
  AtlToolCall *call;

  if (self->calls->len >= MAX_TOOL_CALLS)
    {
      atl_chat_job_stop (self);
      return;
    }
  call = g_new0 (AtlToolCall, 1);
  call->id = g_strdup (id);
  call->name = g_strdup (name);
  call->arguments = g_strdup (arguments);
  g_ptr_array_add (self->calls, call);
  g_signal_emit (self, signals[TOOL_CALL], 0, call);
}

static AtlChatToken *
read_token (GVariant *value)
{
  AtlChatToken *token = g_new0 (AtlChatToken, 1);
  g_autoptr (GVariantIter) top = NULL;
  gsize n;

  g_variant_get (value, "(isdba(isd))", &token->chosen.id, &token->chosen.text,
                 &token->chosen.logprob, &token->is_thinking, &top);
  n = MIN (g_variant_iter_n_children (top), ATL_MAX_PROBS);
  token->top = g_new0 (AtlTokenChoice, n + 1);
  while (token->n_top < n)
    {
      AtlTokenChoice *choice = &token->top[token->n_top++];

      g_variant_iter_next (top, "(isd)", &choice->id, &choice->text, &choice->logprob);
    }
  return token;
}

static void
take_tokens (AtlChatJob *self, GVariant *list)
{
  g_autoptr (GPtrArray) fresh = g_ptr_array_new ();
  gsize n = g_variant_n_children (list);

  for (gsize i = 0; i < n && self->tokens->len < MAX_TOKENS; i++)
    {
      g_autoptr (GVariant) value = g_variant_get_child_value (list, i);

      g_ptr_array_add (self->tokens, read_token (value));
      g_ptr_array_add (fresh, self->tokens->pdata[self->tokens->len - 1]);
    }
  g_signal_emit (self, signals[TOKENS], 0, fresh);
}

static void
take_signal (gpointer owner, const char *name, GVariant *params)
{
  AtlChatJob *self = owner;
  const char *chars, *message;
  guint id, n_done, n_total;
  gboolean is_thinking;

  if (g_str_equal (name, "Text") && g_variant_is_of_type (params, G_VARIANT_TYPE ("(usb)")))
    {
      g_variant_get (params, "(u&sb)", &id, &chars, &is_thinking);
      take_text (self, chars, is_thinking);
    }
  else if (g_str_equal (name, "Prefill") && g_variant_is_of_type (params, G_VARIANT_TYPE ("(uuu)")))
    {
      g_variant_get (params, "(uuu)", &id, &n_done, &n_total);
      if (n_done <= n_total)
        g_signal_emit (self, signals[PROGRESS], 0, n_done, n_total);
    }
  else if (g_str_equal (name, "ToolCall") &&
           g_variant_is_of_type (params, G_VARIANT_TYPE ("(usss)")))
    {
      const char *arguments;

      g_variant_get (params, "(u&s&s&s)", &id, &chars, &message, &arguments);
      take_call (self, chars, message, arguments);
    }
  else if (g_str_equal (name, "Tokens") &&
           g_variant_is_of_type (params, G_VARIANT_TYPE ("(ua(isdba(isd)))")))
    {
      g_autoptr (GVariant) list = g_variant_get_child_value (params, 1);

      take_tokens (self, list);
    }
  else if (g_str_equal (name, "Finished") &&
           g_variant_is_of_type (params, G_VARIANT_TYPE ("(ua{sv})")))
    {
      g_autoptr (GVariant) stats = g_variant_get_child_value (params, 1);

      job_finished (self, stats);
    }
}

/* --- The beginning --- */

static void
loading (gpointer owner, double fraction, const char *phase)
{
  g_signal_emit (owner, signals[LOADING], 0, fraction, phase);
}

static gboolean
is_fresh (gpointer owner)
{
  AtlChatJob *self = owner;

  return self->text->len + self->thinking->len == 0;
}

static void
ask (gpointer owner)
{
  AtlChatJob *self = owner;
  AtlJob *job = &self->job;

  if (self->conversation != NULL)
    atl_client_hand_over (job->client, job->model, self->conversation);
  atl_job_call (
      job, self->method,
      g_variant_new ("(uus@a{sv})", job->request.id, job->model->id, self->text_in, self->params),
      NULL);
}

static const AtlJobClass job_class = { loading, is_fresh, ask, take_signal, failed };

static void
atl_chat_job_init (AtlChatJob *self)
{
  self->text = g_string_new (NULL);
  self->thinking = g_string_new (NULL);
  self->calls = g_ptr_array_new_with_free_func (tool_call_free);
  self->tokens = g_ptr_array_new_with_free_func (chat_token_free);
  atl_job_init (&self->job, self, &job_class);
}

static AtlChatJob *
chat_job_new (AtlClient *client,
              AtlModel *model,
              const char *method,
              const char *text,
              const AtlChatParams *params)
{
  AtlChatJob *self = g_object_new (ATL_TYPE_CHAT_JOB, NULL);
  g_auto (AtlChatParams) own = { 0 };

  if (params != NULL)
    atl_chat_params_copy (&own, params);
  else
    {
      atl_chat_params_init (&own);
      /* A recommendation out of range is as good as none. */
      atl_chat_params_apply (&own, atl_model_get_info (model)->recommended, NULL);
    }
  atl_job_set (&self->job, client, model);
  self->method = g_strdup (method);
  self->text_in = g_utf8_make_valid (text, -1);
  self->conversation = g_strdup (own.conversation);
  self->params = g_variant_ref_sink (atl_chat_params_to_variant (&own));
  g_object_ref (self);
  atl_job_begin (&self->job);
  return self;
}

AtlChatJob *
atl_client_chat (AtlClient *self,
                 AtlModel *model,
                 const char *messages,
                 const AtlChatParams *params)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model) && messages != NULL, NULL);
  return chat_job_new (self, model, "Chat", messages, params);
}

AtlChatJob *
atl_client_complete (AtlClient *self,
                     AtlModel *model,
                     const char *prompt,
                     const AtlChatParams *params)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model) && prompt != NULL, NULL);
  return chat_job_new (self, model, "Complete", prompt, params);
}

void
atl_chat_job_stop (AtlChatJob *self)
{
  g_return_if_fail (ATL_IS_CHAT_JOB (self));
  atl_job_stop (&self->job);
}

const char *
atl_chat_job_get_text (AtlChatJob *self)
{
  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  return self->text->str;
}

const char *
atl_chat_job_get_thinking (AtlChatJob *self)
{
  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  return self->thinking->str;
}

GPtrArray *
atl_chat_job_get_tool_calls (AtlChatJob *self)
{
  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  return self->calls;
}

GPtrArray *
atl_chat_job_get_tokens (AtlChatJob *self)
{
  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  return self->tokens;
}

JsonArray *
atl_chat_job_dup_tool_calls_json (AtlChatJob *self)
{
  JsonArray *array;

  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  if (self->calls->len == 0)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; i < self->calls->len; i++)
    {
      const AtlToolCall *call = self->calls->pdata[i];
      JsonObject *object = json_object_new (), *function = json_object_new ();

      json_object_set_string_member (function, "name", call->name);
      json_object_set_string_member (function, "arguments", call->arguments);
      json_object_set_string_member (object, "id", call->id);
      json_object_set_string_member (object, "type", "function");
      json_object_set_object_member (object, "function", function);
      json_array_add_object_element (array, object);
    }
  return array;
}

AtlModel *
atl_chat_job_get_model (AtlChatJob *self)
{
  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  return self->job.model;
}

const AtlChatStats *
atl_chat_job_get_stats (AtlChatJob *self)
{
  g_return_val_if_fail (ATL_IS_CHAT_JOB (self), NULL);
  return self->stats;
}
