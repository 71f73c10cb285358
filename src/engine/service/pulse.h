/* The engine's heartbeat: a thread that answers Pulse1.Ping and does nothing else. Where the system
 * has no thread left the main loop answers.
 *
 * Threading: create and free on the main thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _AtlPulseThread AtlPulseThread;

/* Exports Pulse1 on `connection`, whose message processing has not started yet, and watches how
 * late the thread's default main context is. */
AtlPulseThread *atl_pulse_thread_new (GDBusConnection *connection);
void atl_pulse_thread_free (AtlPulseThread *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPulseThread, atl_pulse_thread_free)

G_END_DECLS
