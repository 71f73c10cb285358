/* The heartbeat as the client sees it: one ping at a time, timed on a thread that does nothing
 * else. */
#define G_LOG_DOMAIN "atl-client"

#include "client/pulse-monitor.h"

#include "client/thread-states.h"

/* The thread wakes every ATL_PULSE_INTERVAL_MS; if it did not for so long, it could not. */
#define STOOD_MS (2 * (gint64) ATL_PULSE_INTERVAL_MS)
/* An engine that is not let is given as long as one that swaps. */
#define MAX_STARVED_MS ((gint64) (ATL_PULSE_SWAPPING_MS - ATL_PULSE_DEAD_MS))

struct _AtlPulseMonitor
{
  gint ref_count; /* (atomic) one of the owner, one of the thread, one a report on its way */
  GDBusConnection *connection;
  GPid pid;
  AtlPulseFunc callback;
  gpointer user_data;
  GMainContext *owner_context;
  gboolean stopped; /* on the owner's thread */

  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;

  /* On the monitor's thread */
  GCancellable *cancellable;
  guint serial;
  gint64 asked_at;      /* monotonic µs of the ping under way; 0: none */
  guint main_late_ms;   /* how late the engine's main loop was at the last answer */
  guint n_late;         /* so many answers one after the other said that it is dead */
  gint64 awake_at;      /* monotonic µs of the last time that this thread did something */
  gint64 ping_stood_ms; /* of the ping under way this program stood still so long */
  gint64 late_stood_ms; /* the same of the time that the engine's main loop is late */
  AtlPulse reported;

  /* Of both ends of the connection, at the last tick at which an answer was due. */
  AtlThreadStates engine, own;
  gint64 looked_at; /* monotonic µs; 0: none was due */
  /* How long they were ready to go on and were not let, as above. */
  gint64 ping_starved_ms, late_starved_ms;
};

typedef struct
{
  AtlPulseMonitor *monitor;
  AtlPulse pulse;
} Report;

static void
monitor_unref (AtlPulseMonitor *self)
{
  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;
  g_clear_object (&self->connection);
  g_clear_object (&self->cancellable);
  g_main_loop_unref (self->loop);
  g_main_context_unref (self->context);
  g_main_context_unref (self->owner_context);
  g_free (self);
}

static void
report_free (gpointer data)
{
  Report *report = data;

  monitor_unref (report->monitor);
  g_free (report);
}

static gboolean
report_cb (gpointer data)
{
  Report *report = data;

  if (!report->monitor->stopped)
    report->monitor->callback (report->pulse, report->monitor->user_data);
  return G_SOURCE_REMOVE;
}

static void
report_pulse (AtlPulseMonitor *self, AtlPulse pulse)
{
  g_autoptr (GSource) source = NULL;
  Report *report;

  if (pulse == self->reported)
    return;
  self->reported = pulse;
  report = g_new0 (Report, 1);
  report->monitor = self;
  report->pulse = pulse;
  g_atomic_int_inc (&self->ref_count);
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, report_cb, report, report_free);
  g_source_attach (source, self->owner_context);
}

/* First of all whenever the thread wakes. What stopped this program, the engine was stopped by as
 * well, or it has had no chance to answer. */
static void
note_awake (AtlPulseMonitor *self)
{
  gint64 now = g_get_monotonic_time ();
  gint64 gap_ms = (now - self->awake_at) / 1000;

  self->awake_at = now;
  if (gap_ms < STOOD_MS)
    return;
  self->ping_stood_ms += gap_ms;
  self->late_stood_ms += gap_ms;
}

/* On a machine with far more to compute than it can, an answer may wait for a processor, at either
 * end: that is no silence. Looks only while an answer is due, and so misses the first second. */
static void
note_starved (AtlPulseMonitor *self)
{
  AtlThreadStates engine = self->engine, own = self->own;
  gint64 gap_ms = (self->awake_at - self->looked_at) / 1000;
  g_autofree char *folder = NULL;

  if (self->asked_at == 0 && self->main_late_ms < ATL_PULSE_INTERVAL_MS)
    {
      self->looked_at = 0;
      return;
    }
  folder = g_strdup_printf ("/proc/%d/task", (int) self->pid);
  atl_thread_states_read (&self->engine, folder, NULL);
  /* GLib's, which reads and writes for all connections. */
  atl_thread_states_read (&self->own, "/proc/self/task", "gdbus");
  if (self->looked_at != 0 && gap_ms < STOOD_MS &&
      (atl_thread_states_are_starved (&engine, &self->engine, gap_ms) ||
       atl_thread_states_are_starved (&own, &self->own, gap_ms)))
    {
      self->ping_starved_ms = MIN (self->ping_starved_ms + gap_ms, MAX_STARVED_MS);
      self->late_starved_ms = MIN (self->late_starved_ms + gap_ms, MAX_STARVED_MS);
    }
  self->looked_at = self->awake_at;
}

static gint64
late (const AtlPulseMonitor *self)
{
  return (gint64) self->main_late_ms - self->late_stood_ms - self->late_starved_ms;
}

/* Tells the owner what the last answers say: at each tick, and at each answer, so that an engine
 * that goes on is shown as such at once. */
static void
evaluate (AtlPulseMonitor *self)
{
  gint64 now = g_get_monotonic_time ();
  gint64 silent_ms = self->asked_at != 0 ? (now - self->asked_at) / 1000 - self->ping_stood_ms -
                                               self->ping_starved_ms
                                         : 0;
  gint64 late_ms = late (self);

  /* It may have gone on since it said so. */
  if (self->n_late < 2)
    late_ms = MIN (late_ms, (gint64) ATL_PULSE_DEAD_MS - 1);
  silent_ms = MAX (silent_ms, late_ms);
  if (silent_ms < ATL_PULSE_SILENT_MS)
    report_pulse (self, ATL_PULSE_ALIVE);
  else if (silent_ms < ATL_PULSE_DEAD_MS)
    report_pulse (self, ATL_PULSE_SILENT);
  else if (silent_ms >= ATL_PULSE_SWAPPING_MS || self->engine.n_waiting_for_disk == 0)
    report_pulse (self, ATL_PULSE_DEAD);
}

static void
ping_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlPulseMonitor *self = user_data;
  g_autoptr (GVariant) reply = NULL;
  guint serial = 0;

  note_awake (self);
  reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);
  if (reply != NULL)
    {
      g_variant_get (reply, "(uu)", &serial, &self->main_late_ms);
      /* Asked and answered since. */
      if (self->main_late_ms < ATL_PULSE_SILENT_MS && self->ping_stood_ms == 0)
        self->late_stood_ms = 0;
      if (self->main_late_ms < ATL_PULSE_SILENT_MS && self->ping_starved_ms == 0)
        self->late_starved_ms = 0;
      self->n_late = late (self) >= (gint64) ATL_PULSE_DEAD_MS ? self->n_late + 1 : 0;
      if (serial == self->serial)
        {
          self->asked_at = 0;
          evaluate (self);
        }
    }
  monitor_unref (self);
}

static gboolean
tick_cb (gpointer user_data)
{
  AtlPulseMonitor *self = user_data;

  note_awake (self);
  note_starved (self);
  evaluate (self);
  if (self->asked_at == 0)
    {
      self->asked_at = g_get_monotonic_time ();
      self->ping_stood_ms = self->ping_starved_ms = 0;
      g_atomic_int_inc (&self->ref_count);
      g_dbus_connection_call (self->connection, NULL, ATL_ENGINE_PATH, ATL_PULSE_INTERFACE, "Ping",
                              g_variant_new ("(u)", ++self->serial), G_VARIANT_TYPE ("(uu)"),
                              G_DBUS_CALL_FLAGS_NO_AUTO_START, G_MAXINT, self->cancellable, ping_cb,
                              self);
    }
  return G_SOURCE_CONTINUE;
}

static gpointer
monitor_thread (gpointer data)
{
  AtlPulseMonitor *self = data;
  g_autoptr (GSource) timer = g_timeout_source_new (ATL_PULSE_INTERVAL_MS);

  g_main_context_push_thread_default (self->context);
  /* After the answers that have come: the first thing that this thread does when it is let again
   * must not be to say that there was none. */
  g_source_set_priority (timer, G_PRIORITY_LOW);
  g_source_set_callback (timer, tick_cb, self, NULL);
  g_source_attach (timer, self->context);
  g_main_loop_run (self->loop);

  /* A ping under way holds a reference that its callback drops: let it come. */
  g_source_destroy (timer);
  g_cancellable_cancel (self->cancellable);
  while (g_main_context_iteration (self->context, FALSE))
    ;
  g_main_context_pop_thread_default (self->context);
  monitor_unref (self);
  return NULL;
}

static gboolean
quit_cb (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

AtlPulseMonitor *
atl_pulse_monitor_new (GDBusConnection *connection,
                       GPid pid,
                       AtlPulseFunc callback,
                       gpointer user_data)
{
  AtlPulseMonitor *self = g_new0 (AtlPulseMonitor, 1);

  self->ref_count = 2;
  self->awake_at = g_get_monotonic_time ();
  self->connection = g_object_ref (connection);
  self->pid = pid;
  self->callback = callback;
  self->user_data = user_data;
  self->owner_context = g_main_context_ref_thread_default ();
  self->cancellable = g_cancellable_new ();
  self->context = g_main_context_new ();
  self->loop = g_main_loop_new (self->context, FALSE);
  self->thread = g_thread_new ("atl-pulse", monitor_thread, self);
  return self;
}

void
atl_pulse_monitor_free (AtlPulseMonitor *self)
{
  g_autoptr (GSource) source = NULL;

  if (self == NULL)
    return;
  self->stopped = TRUE;
  /* Through the loop's own context, so that a quit before the first iteration is not lost. */
  source = g_idle_source_new ();
  g_source_set_callback (source, quit_cb, self->loop, NULL);
  g_source_attach (source, self->context);
  g_thread_join (self->thread);
  monitor_unref (self);
}
