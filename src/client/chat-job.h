/* One answer being made. Created by atl_client_chat() and atl_client_complete().
 *
 *   AtlChatJob *job = atl_client_chat (client, model, messages, &params);
 *   g_signal_connect (job, "text", G_CALLBACK (text_cb), view);
 *   g_signal_connect (job, "finished", G_CALLBACK (finished_cb), view);
 *   g_signal_connect (job, "failed", G_CALLBACK (failed_cb), view);
 *
 * Signals, emitted on the client's main context and never from inside the creating call:
 *   "loading"  (double fraction, const char *phase)  the model is being loaded (again) first
 *   "progress" (guint n_done, guint n_total)         prompt tokens
 *   "text"     (const char *delta, gboolean is_thinking)
 *   "tool-call" (AtlToolCall *)                      the model wants a tool; nothing is run here
 *   "tokens"   (GPtrArray of AtlChatToken)           with n_probs: new tokens, before their text
 *   "finished" (AtlChatStats *)                      the last one; also after a stop
 *   "failed"   (GError *)                            the last one; text so far stays valid
 * Exactly one of "finished" and "failed" comes. The client holds a reference until then; dropping
 * yours does not stop the job. Progress that comes after text: the context was full, its oldest
 * part is left out, and the rest is read again.
 *
 * Threading: the thread that owns the client's main context.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "client/model.h"

G_BEGIN_DECLS

/* A call of a tool. What it returns goes back as a message {"role": "tool", "tool_call_id": id,
 * "name": name, "content": ...} behind the answer, whose message has the calls as "tool_calls". */
typedef struct
{
  char *id;
  char *name;
  char *arguments; /* a JSON object */
} AtlToolCall;

/* A token that was likely at one place. */
typedef struct
{
  gint id;
  char *text;
  double logprob; /* natural logarithm of its probability */
} AtlTokenChoice;

typedef struct
{
  AtlTokenChoice chosen; /* its text is what it adds to the answer, maybe nothing */
  gboolean is_thinking;
  AtlTokenChoice *top; /* [n_top] the likeliest first */
  guint n_top;
} AtlChatToken;

#define ATL_TYPE_CHAT_JOB (atl_chat_job_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatJob, atl_chat_job, ATL, CHAT_JOB, GObject)

/* Asks the engine to stop; "finished" with ATL_STOP_STOPPED follows within a token. An engine that
 * does not obey within ten seconds is ended and "failed" comes instead. */
void atl_chat_job_stop (AtlChatJob *self);
/* Everything that "text" and "thinking" delivered so far; borrowed. */
const char *atl_chat_job_get_text (AtlChatJob *self);
const char *atl_chat_job_get_thinking (AtlChatJob *self);
/* The calls so far, AtlToolCall; borrowed. */
GPtrArray *atl_chat_job_get_tool_calls (AtlChatJob *self);
/* With n_probs: the tokens so far, AtlChatToken; borrowed. */
GPtrArray *atl_chat_job_get_tokens (AtlChatJob *self);
/* The calls as OpenAI's "tool_calls", a JSON array; NULL if there are none. The caller's. */
JsonArray *atl_chat_job_dup_tool_calls_json (AtlChatJob *self);
AtlModel *atl_chat_job_get_model (AtlChatJob *self); /* borrowed */
/* (nullable) after "finished"; borrowed. */
const AtlChatStats *atl_chat_job_get_stats (AtlChatJob *self);

G_END_DECLS
