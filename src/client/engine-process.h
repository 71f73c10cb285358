/* One run of the engine's program: spawned, greeted, watched, ended. Private to client/.
 *
 * Signals:
 *   "pulse"  (AtlPulse)                     heartbeat changed
 *   "signal" (const char *name, GVariant *) a signal of ATL_ENGINE_INTERFACE
 *   "gone"   (const char *sentence)         once; the process has ended, for whatever reason
 *
 * Threading: the thread whose default main context was current at creation.
 */
#pragma once

#include <gio/gunixfdlist.h>

#include "client/pulse-monitor.h"

G_BEGIN_DECLS

#define ATL_TYPE_ENGINE_PROCESS (atl_engine_process_get_type ())
G_DECLARE_FINAL_TYPE (AtlEngineProcess, atl_engine_process, ATL, ENGINE_PROCESS, GObject)

/* Path of the program that would be started; owned. ATL_ERROR_NOT_FOUND when there is none. */
char *atl_engine_process_find_program (GError **error);

/* Starts the program to compile for the GPU (client/compile.h); its lines are on stdout. Owned. */
GSubprocess *atl_engine_process_spawn_compiler (const char *matrices, GError **error);

/* Spawns and greets; `cpu_only`: GPUs are not even looked for. ATL_ERROR_ENGINE_GONE when it ends
 * or stays silent while doing so, ATL_ERROR_UNSUPPORTED when it speaks another version. */
void atl_engine_process_start_async (gboolean cpu_only,
                                     GCancellable *cancellable,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data);
AtlEngineProcess *atl_engine_process_start_finish (GAsyncResult *result, GError **error);

/* What it said of itself when it was greeted, a{sv} with ATL_FACT_* of protocol.h; borrowed. */
GVariant *atl_engine_process_get_facts (AtlEngineProcess *self);
/* 0 once it has ended. */
GPid atl_engine_process_get_pid (AtlEngineProcess *self);
/* Whether "gone" was emitted. */
gboolean atl_engine_process_is_gone (AtlEngineProcess *self);

/* Calls a method of ATL_ENGINE_INTERFACE without a time limit; a floating `params` is consumed. The
 * reply must have `reply_type`. When the process ends first, the call completes after "gone", with
 * ATL_ERROR_ENGINE_GONE and the same sentence. */
void atl_engine_process_call (AtlEngineProcess *self,
                              const char *method,
                              GVariant *params,
                              const char *reply_type,
                              GUnixFDList *fds,
                              GAsyncReadyCallback callback,
                              gpointer user_data);
GVariant *
atl_engine_process_call_finish (AtlEngineProcess *self, GAsyncResult *result, GError **error);

/* Calls without waiting for the answer. */
void atl_engine_process_send (AtlEngineProcess *self, const char *method, GVariant *params);

/* Ends the process at once; "gone" follows with `sentence`. */
void atl_engine_process_kill (AtlEngineProcess *self, const char *sentence);

G_END_DECLS
