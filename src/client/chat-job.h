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
 *   "finished" (AtlChatStats *)                      the last one; also after a stop
 *   "failed"   (GError *)                            the last one; text so far stays valid
 * Exactly one of "finished" and "failed" comes. The client holds a reference until then; dropping
 * yours does not stop the job.
 *
 * Threading: the thread that owns the client's main context.
 */
#pragma once

#include "client/model.h"

G_BEGIN_DECLS

#define ATL_TYPE_CHAT_JOB (atl_chat_job_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatJob, atl_chat_job, ATL, CHAT_JOB, GObject)

/* Asks the engine to stop; "finished" with ATL_STOP_STOPPED follows within a token. An engine that
 * does not obey within ten seconds is ended and "failed" comes instead. */
void atl_chat_job_stop (AtlChatJob *self);
/* TRUE until "finished" or "failed". */
gboolean atl_chat_job_is_running (AtlChatJob *self);
/* Everything "text" delivered so far; borrowed. */
const char *atl_chat_job_get_text (AtlChatJob *self);
const char *atl_chat_job_get_thinking (AtlChatJob *self);
AtlModel *atl_chat_job_get_model (AtlChatJob *self); /* borrowed */
/* (nullable) after "finished"; borrowed. */
const AtlChatStats *atl_chat_job_get_stats (AtlChatJob *self);

G_END_DECLS
