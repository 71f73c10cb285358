/* Runs `atelier-engine --compile` and reads its progress. */
#define G_LOG_DOMAIN "atl-client"

#include "client/compile.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "client/engine-process.h"

/* One program takes a driver's compiler seconds; this long without a line means that it hangs. */
#define PATIENCE_S 180u
#define MAX_WORDS 500u

typedef struct
{
  GSubprocess *process;
  GDataInputStream *lines;
  GSource *patience;
  GSource *cancelled; /* (nullable) */
  AtlCompileFunc progress;
  gpointer progress_data;
  char *words; /* (nullable) why it failed */
} Compile;

static void
remove_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
compile_free (gpointer data)
{
  Compile *self = data;

  remove_source (&self->patience);
  remove_source (&self->cancelled);
  g_clear_object (&self->lines);
  g_clear_object (&self->process);
  g_free (self->words);
  g_free (self);
}

static gboolean
patience_cb (gpointer user_data)
{
  Compile *self = g_task_get_task_data (user_data);

  g_free (self->words);
  self->words = g_strdup_printf (_ ("its driver did not finish within %u seconds"), PATIENCE_S);
  g_subprocess_force_exit (self->process);
  return G_SOURCE_REMOVE;
}

/* Sources do not keep the task alive: it removes them when it goes. */
static void
add_source (GTask *task, GSource **source, GSource *added, GSourceFunc func)
{
  *source = added;
  g_source_set_callback (added, func, task, NULL);
  g_source_attach (added, g_task_get_context (task));
}

static void
restart_patience (GTask *task)
{
  Compile *self = g_task_get_task_data (task);

  remove_source (&self->patience);
  add_source (task, &self->patience, g_timeout_source_new_seconds (PATIENCE_S), patience_cb);
}

static gboolean
cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  Compile *self = g_task_get_task_data (user_data);

  g_subprocess_force_exit (self->process);
  return G_SOURCE_REMOVE;
}

static void
exited_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Compile *self = g_task_get_task_data (task);
  gboolean is_good;

  g_subprocess_wait_finish (self->process, result, NULL);
  is_good = g_subprocess_get_successful (self->process);
  remove_source (&self->patience);
  remove_source (&self->cancelled);
  if (g_task_return_error_if_cancelled (task))
    return;
  if (is_good)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_DEVICE, "%s",
                             self->words != NULL ? self->words
                                                 : _ ("its driver's compiler ended unexpectedly"));
}

static void
take_line (Compile *self, const char *line)
{
  guint n_done, n_total;

  /* Drivers may print lines of their own. */
  if (sscanf (line, "compiled %u of %u", &n_done, &n_total) == 2 && n_done <= n_total)
    {
      if (self->progress != NULL)
        self->progress (n_done, n_total, self->progress_data);
    }
  else if (g_str_has_prefix (line, "failed "))
    {
      g_autofree char *valid = g_utf8_make_valid (line + strlen ("failed "), -1);

      g_free (self->words);
      self->words = g_utf8_substring (valid, 0, MIN (g_utf8_strlen (valid, -1), MAX_WORDS));
    }
}

static void
line_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Compile *self = g_task_get_task_data (task);
  g_autofree char *line = g_data_input_stream_read_line_finish (self->lines, result, NULL, NULL);

  if (line == NULL)
    {
      g_subprocess_wait_async (self->process, NULL, exited_cb, g_steal_pointer (&task));
      return;
    }
  if (!g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    take_line (self, line);
  restart_patience (task);
  g_data_input_stream_read_line_async (self->lines, G_PRIORITY_DEFAULT, NULL, line_cb,
                                       g_steal_pointer (&task));
}

void
atl_compile_async (guint64 matrices,
                   guint64 convs,
                   AtlCompileFunc progress,
                   gpointer progress_data,
                   GCancellable *cancellable,
                   GAsyncReadyCallback callback,
                   gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Compile *self = g_new0 (Compile, 1);
  g_autofree char *number =
      g_strdup_printf ("%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT, matrices, convs);
  GError *error = NULL;

  g_task_set_source_tag (task, atl_compile_async);
  g_task_set_task_data (task, self, compile_free);
  self->progress = progress;
  self->progress_data = progress_data;
  self->process = atl_engine_process_spawn_compiler (number, &error);
  if (self->process == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  self->lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (self->process));
  restart_patience (task);
  if (cancellable != NULL)
    add_source (task, &self->cancelled, g_cancellable_source_new (cancellable),
                G_SOURCE_FUNC (cancelled_cb));
  g_data_input_stream_read_line_async (self->lines, G_PRIORITY_DEFAULT, NULL, line_cb,
                                       g_steal_pointer (&task));
}

gboolean
atl_compile_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
