/* Answering pings whatever the rest of the engine does. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/pulse.h"

#include "engine1.h"
#include "protocol/protocol.h"

#define STAMP_INTERVAL_MS 500u

struct _AtlPulseThread
{
  GDBusConnection *connection;
  GThread *thread;        /* (nullable) where none could be begun the main loop answers */
  AtlIpcPulse1 *skeleton; /* (owned) */
  GMainContext *context;
  GMainLoop *loop;
  GSource *stamper; /* on the main loop */
  gint main_stamp;  /* (atomic) milliseconds, wrapping */

  GMutex mutex;
  GCond cond;
  gboolean is_exported; /* (mutex mutex) */
};

static guint
now_ms (void)
{
  return (guint) (g_get_monotonic_time () / 1000);
}

static gboolean
stamp_cb (gpointer user_data)
{
  AtlPulseThread *self = user_data;

  g_atomic_int_set (&self->main_stamp, (gint) now_ms ());
  return G_SOURCE_CONTINUE;
}

static gboolean
ping_cb (AtlIpcPulse1 *skeleton,
         GDBusMethodInvocation *invocation,
         guint serial,
         AtlPulseThread *self)
{
  guint age = now_ms () - (guint) g_atomic_int_get (&self->main_stamp);

  atl_ipc_pulse1_complete_ping (skeleton, invocation, serial,
                                age > STAMP_INTERVAL_MS ? age - STAMP_INTERVAL_MS : 0);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* Calls are delivered to the context that is the default while exporting. */
static void
export_pulse (AtlPulseThread *self)
{
  self->skeleton = atl_ipc_pulse1_skeleton_new ();
  g_signal_connect (self->skeleton, "handle-ping", G_CALLBACK (ping_cb), self);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (self->skeleton), self->connection,
                                    ATL_ENGINE_PATH, NULL);
}

static gpointer
pulse_main (gpointer data)
{
  AtlPulseThread *self = data;

  g_main_context_push_thread_default (self->context);
  export_pulse (self);
  g_mutex_lock (&self->mutex);
  self->is_exported = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->mutex);

  g_main_loop_run (self->loop);
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (self->skeleton));
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

AtlPulseThread *
atl_pulse_thread_new (GDBusConnection *connection)
{
  AtlPulseThread *self = g_new0 (AtlPulseThread, 1);

  self->connection = g_object_ref (connection);
  self->context = g_main_context_new ();
  self->loop = g_main_loop_new (self->context, FALSE);
  g_mutex_init (&self->mutex);
  g_cond_init (&self->cond);
  stamp_cb (self);
  self->stamper = g_timeout_source_new (STAMP_INTERVAL_MS);
  g_source_set_callback (self->stamper, stamp_cb, self, NULL);
  g_source_attach (self->stamper, g_main_context_get_thread_default ());

  self->thread = g_thread_try_new ("pulse", pulse_main, self, NULL);
  if (self->thread == NULL)
    {
      /* What is asked next is refused in words for the same lack, and this program goes on. */
      export_pulse (self);
      return self;
    }
  g_mutex_lock (&self->mutex);
  while (!self->is_exported)
    g_cond_wait (&self->cond, &self->mutex);
  g_mutex_unlock (&self->mutex);
  return self;
}

static gboolean
quit_cb (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_REMOVE;
}

void
atl_pulse_thread_free (AtlPulseThread *self)
{
  if (self == NULL)
    return;
  g_source_destroy (self->stamper);
  g_source_unref (self->stamper);
  if (self->thread != NULL)
    {
      g_autoptr (GSource) source = g_idle_source_new ();

      g_source_set_callback (source, quit_cb, self->loop, NULL);
      g_source_attach (source, self->context);
      g_thread_join (self->thread);
    }
  else
    g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (self->skeleton));
  g_object_unref (self->skeleton);
  g_main_loop_unref (self->loop);
  g_main_context_unref (self->context);
  g_object_unref (self->connection);
  g_mutex_clear (&self->mutex);
  g_cond_clear (&self->cond);
  g_free (self);
}
