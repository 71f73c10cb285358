/* The engine's side of the protocol: calls become jobs, jobs become replies and signals.
 *
 *   AtlService *service = atl_service_new (connection, devices, sandbox_sentence, is_full, error);
 *   g_dbus_connection_start_message_processing (connection);
 *   ... run the main loop until the connection closes ...
 *   atl_service_free (service);
 *
 * Threading: everything here on the main thread. Workers load and unload (one job at a time, in
 * order), read (inspecting, counting tokens) and prepare prompts; none waits for another. Every
 * loaded model computes its answers on a thread of its own, a step of one model at a time.
 */
#pragma once

#include <gio/gio.h>

#include "engine/service/devices.h"

G_BEGIN_DECLS

typedef struct _AtlService AtlService;

/* `devices` is borrowed and outlives the service. */
AtlService *atl_service_new (GDBusConnection *connection,
                             AtlDevices *devices,
                             const char *sandbox_sentence,
                             gboolean sandbox_is_full,
                             GError **error);
/* Cancels everything and waits for the workers. */
void atl_service_free (AtlService *self);

G_END_DECLS
