/* Chat and Complete: from a call to a turn of the pipeline. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/service/handlers.h"
#include "engine/service/job.h"
#include "engine/service/service-private.h"
#include "engine/service/turn-options.h"
#include "protocol/protocol.h"

#define PREFILL_INTERVAL_US (80 * 1000)

/* --- On a worker --- */

static void
prefill_cb (guint n_done, guint n_total, gpointer user_data)
{
  AtlJob *job = user_data;
  gint64 now = g_get_monotonic_time ();

  if (n_done < n_total && now - job->ask.prefill_sent_at < PREFILL_INTERVAL_US)
    return;
  job->ask.prefill_sent_at = now;
  atl_service_emit (job->service, "Prefill",
                    g_variant_new ("(uuu)", job->request, n_done, n_total));
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  AtlJob *job = user_data;

  atl_text_sender_push (job->ask.sender, text, is_thinking);
}

static void
call_cb (const char *id, const char *name, const char *arguments, gpointer user_data)
{
  AtlJob *job = user_data;

  atl_text_sender_flush (job->ask.sender);
  atl_service_emit (job->service, "ToolCall",
                    g_variant_new ("(usss)", job->request, id, name, arguments));
}

static void
token_cb (const AtlTurnToken *token,
          const AtlTurnToken *top,
          guint n_top,
          gboolean is_thinking,
          gpointer user_data)
{
  AtlJob *job = user_data;
  GVariantBuilder likeliest;

  g_variant_builder_init (&likeliest, G_VARIANT_TYPE ("a(isd)"));
  for (guint i = 0; i < n_top; i++)
    g_variant_builder_add (&likeliest, "(isd)", top[i].id, top[i].text, (double) top[i].logprob);
  atl_text_sender_push_token (job->ask.sender,
                              g_variant_new ("(isdba(isd))", token->id, token->text,
                                             (double) token->logprob, is_thinking, &likeliest));
}

/* A JSON array out of the job's text; owned. */
static JsonNode *
parse_messages (AtlJob *job, GError **error)
{
  JsonNode *root = atl_json_parse (job->ask.text, strlen (job->ask.text), "messages", error);

  if (root != NULL && !JSON_NODE_HOLDS_ARRAY (root))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("messages: a JSON array was expected"));
      g_clear_pointer (&root, json_node_unref);
    }
  return root;
}

/* A GPU that failed is not asked again: the model moves, and the person reads what to expect. */
static void
note_device_failure (AtlJob *job, GError **error)
{
  AtlDevices *devices = job->service->devices;
  g_autofree char *message = NULL;

  if (!job->slot->uses_gpu || !atl_devices_gave_up (devices, *error))
    return;
  message =
      g_strdup_printf (_ ("The graphics card failed: %s. The next answers run on the processor."),
                       (*error)->message);
  g_free ((*error)->message);
  (*error)->message = g_steal_pointer (&message);
}

/* On the model's thread. */
static void
turn_done_cb (AtlChatTurn *turn, gpointer user_data)
{
  AtlJob *job = user_data;
  const GError *error = atl_chat_turn_error (turn);

  if (error == NULL)
    job->stats = g_variant_ref_sink (atl_turn_stats_to_variant (
        atl_chat_turn_stats (turn), job->ask.queued_s, job->slot->options.n_ctx, job->slot->runs_on,
        job->ask.options.sampling.seed));
  else
    {
      job->error = g_error_copy (error);
      note_device_failure (job, &job->error);
    }
  __atomic_store_n (&job->slot->used_at, g_get_monotonic_time (), __ATOMIC_RELAXED);
  atl_chat_turn_free (turn);
  atl_job_end (job);
}

static gboolean
start_turn (AtlJob *job, JsonArray *messages, GError **error)
{
  AtlTurnSink sink = {
    .prefill = prefill_cb, .text = text_cb, .call = call_cb, .token = token_cb, .user_data = job
  };
  AtlChatTurn *turn;

  if (job->slot->pictures != NULL || job->slot->upscaler != NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s makes pictures and cannot chat"),
                   atl_slot_name (job->slot));
      return FALSE;
    }
  if (job->slot->model == NULL || !atl_chat_model_is_loaded (job->slot->model))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ (ATL_NOT_LOADED_WORDS));
      return FALSE;
    }
  turn = atl_chat_turn_new (job->slot->model, messages, messages != NULL ? NULL : job->ask.text,
                            &job->ask.options, &sink, job->cancellable, error);
  if (turn == NULL)
    return FALSE;
  job->is_continued = TRUE;
  atl_chat_turn_start (turn, turn_done_cb, job);
  return TRUE;
}

static gboolean
turn_run (AtlJob *job, GError **error)
{
  g_autoptr (JsonNode) messages = NULL;
  gboolean ok;

  job->ask.queued_s = (double) (g_get_monotonic_time () - job->accepted_at) / G_USEC_PER_SEC;
  if ((job->ask.is_messages && (messages = parse_messages (job, error)) == NULL) ||
      !atl_turn_options_init (&job->ask.options, &job->ask.params, error))
    return FALSE;
  if (g_atomic_int_get (&job->service->devices->gpu_failed) &&
      !atl_slot_move_to_cpu (job->slot, job->service->devices, error))
    return FALSE;
  g_rw_lock_reader_lock (&job->slot->lock);
  ok = start_turn (job, messages != NULL ? json_node_get_array (messages) : NULL, error);
  g_rw_lock_reader_unlock (&job->slot->lock);
  return ok;
}

/* --- On the main thread --- */

static void
emit_failed (AtlJob *job, const GError *error)
{
  g_autofree char *name = g_dbus_error_encode_gerror (error);

  atl_service_emit (job->service, "Failed",
                    g_variant_new ("(uss)", job->request, name, error->message));
}

static void
turn_done (AtlJob *job, const GError *error)
{
  AtlTurnStats none = { .stop = ATL_TURN_STOPPED };

  /* Refused before it was accepted: the call itself fails. */
  if (job->invocation != NULL)
    {
      g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
      return;
    }
  atl_text_sender_flush (job->ask.sender);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    job->stats = g_variant_ref_sink (atl_turn_stats_to_variant (&none, 0, 0, "", 0));
  else if (error != NULL)
    {
      emit_failed (job, error);
      return;
    }
  atl_service_emit (job->service, "Finished",
                    g_variant_new ("(u@a{sv})", job->request, job->stats));
}

static void
accept_turn (AtlService *self,
             GDBusMethodInvocation *invocation,
             guint request,
             guint model,
             const char *text,
             gboolean is_messages,
             GVariant *params)
{
  AtlJob *job = atl_job_new (self, request, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return;
  job->run = turn_run;
  job->done = turn_done;
  atl_chat_params_init (&job->ask.params);
  if (request == 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, _ ("request 0 cannot be told apart"));
  else if (strlen (text) > ATL_MAX_MESSAGES_BYTES)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("The conversation has %zu bytes; at most %u are accepted"), strlen (text),
                 ATL_MAX_MESSAGES_BYTES);
  else if (atl_job_set_slot (job, model, &error))
    atl_chat_params_apply (&job->ask.params, params, &error);
  if (error != NULL)
    {
      atl_job_refuse (job, error);
      return;
    }
  job->ask.text = g_strdup (text);
  job->ask.is_messages = is_messages;
  job->ask.sender = atl_text_sender_new (self->connection, self->context, request);
  /* Chat and Complete both reply with nothing; signals follow. */
  g_dbus_method_invocation_return_value (g_steal_pointer (&job->invocation), NULL);
  atl_job_start (job, self->preparing);
}

gboolean
atl_handle_chat (AtlIpcEngine1 *skeleton,
                 GDBusMethodInvocation *invocation,
                 guint request,
                 guint model,
                 const char *messages,
                 GVariant *params,
                 AtlService *self)
{
  accept_turn (self, invocation, request, model, messages, TRUE, params);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

gboolean
atl_handle_complete (AtlIpcEngine1 *skeleton,
                     GDBusMethodInvocation *invocation,
                     guint request,
                     guint model,
                     const char *prompt,
                     GVariant *params,
                     AtlService *self)
{
  accept_turn (self, invocation, request, model, prompt, FALSE, params);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
