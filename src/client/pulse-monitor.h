/* Watches an engine's heartbeat from a thread of its own, so that a busy window raises no alarm.
 *
 * Pings once a second. Without an answer for ATL_PULSE_SILENT_MS the engine is reported silent; for
 * ATL_PULSE_DEAD_MS, dead. An engine that waits for the disk (swapping) is given a minute instead,
 * and so is one that is ready to compute and is not let, on a machine that has far more to do.
 * Time in which this program itself stood still does not count: a terminal that stopped both with
 * Ctrl-Z, a computer that was asleep.
 *
 * Threading: create and free on one thread; `callback` runs on that thread's default main context,
 * never after atl_pulse_monitor_free() returned.
 */
#pragma once

#include "protocol/protocol.h"

G_BEGIN_DECLS

#define ATL_PULSE_INTERVAL_MS 1000u
#define ATL_PULSE_SILENT_MS 2900u
#define ATL_PULSE_DEAD_MS 6900u
#define ATL_PULSE_SWAPPING_MS 60000u

typedef enum
{
  ATL_PULSE_ALIVE,
  ATL_PULSE_SILENT,
  ATL_PULSE_DEAD
} AtlPulse;

typedef void (*AtlPulseFunc) (AtlPulse pulse, gpointer user_data);

typedef struct _AtlPulseMonitor AtlPulseMonitor;

/* `pid` is looked up in /proc to tell swapping from hanging. */
AtlPulseMonitor *atl_pulse_monitor_new (GDBusConnection *connection,
                                        GPid pid,
                                        AtlPulseFunc callback,
                                        gpointer user_data);
void atl_pulse_monitor_free (AtlPulseMonitor *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPulseMonitor, atl_pulse_monitor_free)

G_END_DECLS
