/* Spawning the engine with one end of a socket pair, greeting it, and telling when and why it
 * ended. */
#define G_LOG_DOMAIN "atl-client"

#include "client/engine-process.h"

#include <glib/gi18n.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atelier-config.h"

/* A machine that is busy, or reads the drivers of a graphics card from a cold disk, takes a while.
 */
#define HELLO_TIMEOUT_MS 30000
/* What the engine has no business with. */
static const char *const hidden_variables[] = {
  "DBUS_SESSION_BUS_ADDRESS",
  "DBUS_STARTER_ADDRESS",
  "SSH_AUTH_SOCK",
  "GPG_AGENT_INFO",
  "http_proxy",
  "https_proxy",
  "HF_TOKEN",
  NULL,
};

struct _AtlEngineProcess
{
  GObject parent_instance;

  GSubprocess *process;
  GDBusConnection *connection;
  AtlPulseMonitor *monitor;
  GVariant *facts;
  guint subscription;
  GPid pid;
  gboolean is_closed; /* the connection ended */
  gboolean is_exited; /* the process ended */
  gboolean is_gone;   /* "gone" was emitted */
  char *sentence;     /* (nullable) why it was ended on purpose, then why it is gone */
  GPtrArray *orphans; /* (element-type GTask) calls that failed with the connection; each holds
                       * a reference to this object until "gone" */
};

G_DEFINE_FINAL_TYPE (AtlEngineProcess, atl_engine_process, G_TYPE_OBJECT)

enum
{
  PULSE,
  SIGNAL,
  GONE,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
disconnect (AtlEngineProcess *self)
{
  g_clear_pointer (&self->monitor, atl_pulse_monitor_free);
  if (self->connection != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->connection, self);
      if (self->subscription != 0)
        g_dbus_connection_signal_unsubscribe (self->connection, self->subscription);
      self->subscription = 0;
    }
}

static void
atl_engine_process_dispose (GObject *object)
{
  AtlEngineProcess *self = ATL_ENGINE_PROCESS (object);

  disconnect (self);
  if (self->connection != NULL && !self->is_closed)
    g_dbus_connection_close (self->connection, NULL, NULL, NULL);
  if (self->process != NULL && !self->is_exited)
    g_subprocess_force_exit (self->process);
  g_clear_object (&self->connection);
  g_clear_object (&self->process);
  g_clear_pointer (&self->orphans, g_ptr_array_unref);
  G_OBJECT_CLASS (atl_engine_process_parent_class)->dispose (object);
}

static void
atl_engine_process_finalize (GObject *object)
{
  AtlEngineProcess *self = ATL_ENGINE_PROCESS (object);

  g_clear_pointer (&self->facts, g_variant_unref);
  g_free (self->sentence);
  G_OBJECT_CLASS (atl_engine_process_parent_class)->finalize (object);
}

static void
atl_engine_process_class_init (AtlEngineProcessClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = atl_engine_process_dispose;
  object_class->finalize = atl_engine_process_finalize;

  signals[PULSE] = g_signal_new ("pulse", ATL_TYPE_ENGINE_PROCESS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 1, G_TYPE_INT);
  signals[SIGNAL] = g_signal_new ("signal", ATL_TYPE_ENGINE_PROCESS, G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_VARIANT);
  signals[GONE] = g_signal_new ("gone", ATL_TYPE_ENGINE_PROCESS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_engine_process_init (AtlEngineProcess *self)
{
  self->orphans = g_ptr_array_new_with_free_func (g_object_unref);
}

/* --- The end --- */

static const char *
exit_sentence (GSubprocess *process)
{
  switch (g_subprocess_get_if_signaled (process) ? g_subprocess_get_term_sig (process) : 0)
    {
    case SIGKILL:
      return _ ("The engine was ended by the system, perhaps because memory ran out.");
    case SIGBUS:
      return _ ("The engine stopped because the model's file changed or could not be read any "
                "more.");
    default:
      return _ ("The engine stopped unexpectedly.");
    }
}

/* The exit status says more than the closed connection: both are awaited. */
static void
check_gone (AtlEngineProcess *self)
{
  g_autoptr (GPtrArray) orphans = NULL;

  if (self->is_gone || !self->is_exited || (self->connection != NULL && !self->is_closed))
    return;
  self->is_gone = TRUE;
  g_object_ref (self);
  disconnect (self);
  if (self->sentence == NULL)
    self->sentence = g_strdup (exit_sentence (self->process));
  g_signal_emit (self, signals[GONE], 0, self->sentence);

  orphans = g_steal_pointer (&self->orphans);
  for (guint i = 0; orphans != NULL && i < orphans->len; i++)
    g_task_return_new_error (g_ptr_array_index (orphans, i), ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                             self->sentence);
  g_object_unref (self);
}

static void
exited_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AtlEngineProcess) self = user_data;

  g_subprocess_wait_finish (G_SUBPROCESS (source), result, NULL);
  self->is_exited = TRUE;
  /* Its end of the socket is closed with it; this end need not wait to hear of that. */
  if (self->connection != NULL && !self->is_closed)
    g_dbus_connection_close (self->connection, NULL, NULL, NULL);
  check_gone (self);
}

static void
closed_cb (GDBusConnection *connection,
           gboolean remote_peer_vanished,
           GError *error,
           AtlEngineProcess *self)
{
  self->is_closed = TRUE;
  if (!self->is_exited)
    g_subprocess_force_exit (self->process);
  check_gone (self);
}

void
atl_engine_process_kill (AtlEngineProcess *self, const char *sentence)
{
  if (self->is_gone || self->is_exited)
    return;
  g_free (self->sentence);
  self->sentence = g_strdup (sentence);
  g_subprocess_force_exit (self->process);
}

static void
pulse_cb (AtlPulse pulse, gpointer user_data)
{
  AtlEngineProcess *self = user_data;

  if (pulse == ATL_PULSE_DEAD)
    atl_engine_process_kill (self, _ ("The engine did not respond any more and was ended."));
  else
    g_signal_emit (self, signals[PULSE], 0, (gint) pulse);
}

static void
signal_cb (GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *interface,
           const char *name,
           GVariant *params,
           gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL], 0, name, params);
}

/* --- The beginning --- */

char *
atl_engine_process_find_program (GError **error)
{
  g_autofree char *beside =
      g_build_filename (ATL_BUILD_DIR, "src", "engine", "atelier-engine", NULL);
  g_autofree char *installed = g_build_filename (ATL_LIBEXECDIR, "atelier-engine", NULL);
  const char *named = g_getenv ("ATELIER_ENGINE");

  if (named != NULL && *named != '\0')
    return g_strdup (named);
  if (g_file_test (beside, G_FILE_TEST_IS_EXECUTABLE))
    return g_steal_pointer (&beside);
  if (g_file_test (installed, G_FILE_TEST_IS_EXECUTABLE))
    return g_steal_pointer (&installed);
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
               _ ("The engine's program was not found; it should be %s. Installing Atelier again "
                  "brings it back."),
               installed);
  return NULL;
}

static void
start_failed (GTask *task, GError *error)
{
  AtlEngineProcess *self = g_task_get_task_data (task);

  if (self->process != NULL && !self->is_exited)
    g_subprocess_force_exit (self->process);
  g_task_return_error (task, error);
}

static void
hello_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlEngineProcess *self = g_task_get_task_data (task);
  g_autoptr (GVariant) reply = NULL;
  GError *error = NULL;
  guint version = 0;

  reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  if (reply == NULL)
    {
      g_dbus_error_strip_remote_error (error);
      if (error->domain != ATL_ERROR)
        {
          g_clear_error (&error);
          error = g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                               _ ("The engine ended while starting."));
        }
      start_failed (task, error);
      return;
    }
  g_variant_get (reply, "(u@a{sv})", &version, &self->facts);
  if (version != ATL_PROTOCOL_VERSION)
    {
      start_failed (task, g_error_new (ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                                       _ ("The engine speaks version %u, this program %u. "
                                          "Installing Atelier again makes both the same."),
                                       version, ATL_PROTOCOL_VERSION));
      return;
    }
  self->monitor = atl_pulse_monitor_new (self->connection, self->pid, pulse_cb, self);
  g_task_return_pointer (task, g_object_ref (self), g_object_unref);
}

static void
connected_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlEngineProcess *self = g_task_get_task_data (task);
  GVariantDict options;

  self->connection = g_dbus_connection_new_finish (result, NULL);
  if (self->connection == NULL)
    {
      start_failed (task, g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s",
                                       _ ("The engine ended while starting.")));
      return;
    }
  g_dbus_connection_set_exit_on_close (self->connection, FALSE);
  g_signal_connect (self->connection, "closed", G_CALLBACK (closed_cb), self);
  self->subscription = g_dbus_connection_signal_subscribe (
      self->connection, NULL, ATL_ENGINE_INTERFACE, NULL, ATL_ENGINE_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, signal_cb, self, NULL);
  g_dbus_connection_start_message_processing (self->connection);
  g_variant_dict_init (&options, NULL);
  g_dbus_connection_call (
      self->connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Hello",
      g_variant_new ("(u@a{sv})", ATL_PROTOCOL_VERSION, g_variant_dict_end (&options)),
      G_VARIANT_TYPE ("(ua{sv})"), G_DBUS_CALL_FLAGS_NO_AUTO_START, HELLO_TIMEOUT_MS,
      g_task_get_cancellable (task), hello_cb, g_object_ref (task));
}

/* A socket pair, one end wrapped for GDBus; the other is `*engine_fd`. */
static GSocketConnection *
make_stream (int *engine_fd, GError **error)
{
  g_autoptr (GSocket) socket = NULL;
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE,
                   _ ("The engine could not be started: %s."), g_strerror (errno));
      return NULL;
    }
  socket = g_socket_new_from_fd (fds[0], error);
  if (socket == NULL)
    {
      close (fds[0]);
      close (fds[1]);
      return NULL;
    }
  *engine_fd = fds[1];
  return g_socket_connection_factory_create_connection (socket);
}

static GSubprocessLauncher *
make_launcher (GSubprocessFlags flags)
{
  GSubprocessLauncher *launcher = g_subprocess_launcher_new (flags);

  for (const char *const *name = hidden_variables; *name != NULL; name++)
    g_subprocess_launcher_unsetenv (launcher, *name);
  return launcher;
}

GSubprocess *
atl_engine_process_spawn_compiler (const char *matrices, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = make_launcher (G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autofree char *program = atl_engine_process_find_program (error);

  if (program == NULL)
    return NULL;
  return g_subprocess_launcher_spawn (launcher, error, program, "--compile", matrices, NULL);
}

static gboolean
spawn (AtlEngineProcess *self, int engine_fd, gboolean cpu_only, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = make_launcher (G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_autofree char *program = atl_engine_process_find_program (error);
  g_autoptr (GError) local = NULL;
  const char *identifier;

  if (program == NULL)
    {
      close (engine_fd);
      return FALSE;
    }
  g_subprocess_launcher_take_fd (launcher, engine_fd, 3);
  self->process = g_subprocess_launcher_spawn (launcher, &local, program, "--fd", "3",
                                               cpu_only ? "--cpu-only" : NULL, NULL);
  if (self->process == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE,
                   _ ("The engine could not be started: %s."), local->message);
      return FALSE;
    }
  /* No identifier: it has ended already. */
  identifier = g_subprocess_get_identifier (self->process);
  self->pid = identifier != NULL ? (GPid) g_ascii_strtoll (identifier, NULL, 10) : 0;
  return TRUE;
}

void
atl_engine_process_start_async (gboolean cpu_only,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  AtlEngineProcess *self = g_object_new (ATL_TYPE_ENGINE_PROCESS, NULL);
  g_autoptr (GSocketConnection) stream = NULL;
  g_autofree char *guid = g_dbus_generate_guid ();
  GError *error = NULL;
  int engine_fd = -1;

  g_task_set_source_tag (task, atl_engine_process_start_async);
  g_task_set_task_data (task, self, g_object_unref);
  atl_error_register_dbus ();
  stream = make_stream (&engine_fd, &error);
  if (stream == NULL || !spawn (self, engine_fd, cpu_only, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_subprocess_wait_async (self->process, NULL, exited_cb, g_object_ref (self));
  g_dbus_connection_new (G_IO_STREAM (stream), guid,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                             G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_REQUIRE_SAME_USER |
                             G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, cancellable, connected_cb, g_steal_pointer (&task));
}

AtlEngineProcess *
atl_engine_process_start_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

GVariant *
atl_engine_process_get_facts (AtlEngineProcess *self)
{
  return self->facts;
}

GPid
atl_engine_process_get_pid (AtlEngineProcess *self)
{
  return self->is_exited ? 0 : self->pid;
}

gboolean
atl_engine_process_is_gone (AtlEngineProcess *self)
{
  return self->is_gone;
}

/* --- Calls --- */

static void
call_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlEngineProcess *self = g_task_get_source_object (task);
  GError *error = NULL;
  GVariant *reply = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source),
                                                                     NULL, result, &error);

  if (reply != NULL)
    {
      g_task_return_pointer (task, reply, (GDestroyNotify) g_variant_unref);
      return;
    }
  if (g_dbus_connection_is_closed (self->connection))
    {
      g_error_free (error);
      if (self->orphans != NULL)
        g_ptr_array_add (self->orphans, g_steal_pointer (&task));
      else
        g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", self->sentence);
      return;
    }
  g_dbus_error_strip_remote_error (error);
  g_task_return_error (task, error);
}

void
atl_engine_process_call (AtlEngineProcess *self,
                         const char *method,
                         GVariant *params,
                         const char *reply_type,
                         GUnixFDList *fds,
                         GAsyncReadyCallback callback,
                         gpointer user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);

  g_task_set_source_tag (task, atl_engine_process_call);
  g_dbus_connection_call_with_unix_fd_list (
      self->connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, method, params,
      G_VARIANT_TYPE (reply_type), G_DBUS_CALL_FLAGS_NO_AUTO_START, G_MAXINT, fds, NULL, call_cb,
      task);
}

GVariant *
atl_engine_process_call_finish (AtlEngineProcess *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
atl_engine_process_send (AtlEngineProcess *self, const char *method, GVariant *params)
{
  g_dbus_connection_call (self->connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, method,
                          params, NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, G_MAXINT, NULL, NULL,
                          NULL);
}
