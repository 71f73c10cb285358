/* Waiting for asynchronous things from a terminal. */
#define G_LOG_DOMAIN "atl-cli"

#include "cli/session.h"

#include <glib/gi18n.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hub/library.h"
#include "hub/starter.h"

/* --- Which model --- */

/* "one, two, three" of the first ten. Owned. */
static char *
some_names (GPtrArray *models)
{
  GString *names = g_string_new (NULL);

  for (guint i = 0; i < models->len && i < 10; i++)
    {
      const AtlModelFile *file = g_ptr_array_index (models, i);

      g_string_append_printf (names, "%s%s", i == 0 ? "" : ", ", file->name);
    }
  return g_string_free (names, FALSE);
}

/* The whole name, else the only one that contains it, letter case aside. */
static const AtlModelFile *
match_name (GPtrArray *models, const char *name)
{
  g_autofree char *wanted = g_utf8_casefold (name, -1);
  const AtlModelFile *found = NULL;
  guint n_found = 0;

  for (guint i = 0; i < models->len; i++)
    {
      const AtlModelFile *file = g_ptr_array_index (models, i);
      g_autofree char *folded = g_utf8_casefold (file->name, -1);

      if (g_str_equal (folded, wanted))
        return file;
      if (strstr (folded, wanted) != NULL)
        {
          found = file;
          n_found++;
        }
    }
  return n_found == 1 ? found : NULL;
}

/* A path for what a person calls the model; owned. ATL_ERROR_NOT_FOUND lists what there is. */
static char *
find_model (const char *name, GError **error)
{
  g_autoptr (GPtrArray) models = NULL;
  g_autofree char *names = NULL;
  const AtlModelFile *file;
  char *starter;

  if (name != NULL && g_file_test (name, G_FILE_TEST_EXISTS))
    return g_canonicalize_filename (name, NULL);
  if (name == NULL && (starter = atl_starter_find (NULL, ATL_STARTER_BEST)) != NULL)
    return starter;
  models = atl_library_scan (atl_library_dir (), NULL, error);
  if (models == NULL)
    return NULL;
  if (name == NULL && models->len > 0)
    return g_strdup (((const AtlModelFile *) g_ptr_array_index (models, 0))->path);
  file = name != NULL ? match_name (models, name) : NULL;
  if (file != NULL)
    return g_strdup (file->path);

  names = some_names (models);
  if (name == NULL)
    g_set_error (
        error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
        _ ("There is no model yet. “atelier-cli fetch-starter” brings one; --model names a file."));
  else if (*names == '\0')
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                 _ ("No file and no model of the library is called “%s”."), name);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                 _ ("No file and no model of the library is called “%s”. In the library: %s."),
                 name, names);
  return NULL;
}

/* --- Loading --- */

typedef struct
{
  GAsyncResult *result;
} Waiting;

static void
done_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Waiting *waiting = user_data;

  waiting->result = g_object_ref (result);
}

static void
progress_cb (double fraction, const char *phase, gpointer user_data)
{
  if (isatty (STDERR_FILENO))
    fprintf (stderr, "\r\033[K%3.0f %%  %s", fraction * 100, phase);
}

static void
clear_line (void)
{
  if (isatty (STDERR_FILENO))
    fputs ("\r\033[K", stderr);
}

static gboolean
sigint_cb (gpointer user_data)
{
  AtlCliSession *self = user_data;

  self->is_interrupted = TRUE;
  g_cancellable_cancel (self->cancellable);
  if (self->job != NULL)
    atl_chat_job_stop (self->job);
  return G_SOURCE_CONTINUE;
}

gboolean
atl_cli_session_open (AtlCliSession *self,
                      const char *name,
                      const AtlLoadOptions *options,
                      GError **error)
{
  g_autofree char *path = find_model (name, error);
  g_autofree char *draft = NULL;
  const char *paths[] = { path, NULL };
  AtlLoadOptions found = *options;
  Waiting waiting = { NULL };

  if (path == NULL)
    return FALSE;
  if (options->draft != NULL)
    {
      found.draft = draft = find_model (options->draft, error);
      if (draft == NULL)
        return FALSE;
    }
  if (self->client == NULL)
    {
      g_autofree char *rates = atl_client_rates_path ();

      self->client = atl_client_new ();
      atl_client_set_rates_file (self->client, rates);
      self->cancellable = g_cancellable_new ();
      self->sigint = g_unix_signal_add (SIGINT, sigint_cb, self);
    }
  g_clear_object (&self->model);
  g_cancellable_reset (self->cancellable);
  atl_client_load_model_async (self->client, paths, &found, progress_cb, self, self->cancellable,
                               done_cb, &waiting);
  while (waiting.result == NULL)
    g_main_context_iteration (NULL, TRUE);
  clear_line ();
  self->model = atl_client_load_model_finish (self->client, waiting.result, error);
  g_object_unref (waiting.result);
  return self->model != NULL;
}

void
atl_cli_session_close (AtlCliSession *self)
{
  if (self->client == NULL)
    return;
  g_source_remove (self->sigint);
  g_clear_object (&self->model);
  atl_client_stop (self->client);
  g_clear_object (&self->client);
  g_clear_object (&self->cancellable);
}

/* --- Answering --- */

typedef struct
{
  const AtlCliSink *sink;
  gboolean is_over;
  GError *error;
} Answer;

static void
text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, Answer *answer)
{
  if (answer->sink != NULL && answer->sink->text != NULL &&
      !answer->sink->text (delta, is_thinking, answer->sink->user_data))
    atl_chat_job_stop (job);
}

static void
loading_cb (AtlChatJob *job, double fraction, const char *phase, Answer *answer)
{
  progress_cb (fraction, phase, NULL);
  if (fraction >= 1)
    clear_line ();
}

static void
finished_cb (AtlChatJob *job, AtlChatStats *stats, Answer *answer)
{
  answer->is_over = TRUE;
}

static void
failed_cb (AtlChatJob *job, GError *error, Answer *answer)
{
  answer->error = g_error_copy (error);
  answer->is_over = TRUE;
}

AtlChatJob *
atl_cli_session_answer (AtlCliSession *self,
                        const char *messages,
                        const char *prompt,
                        const AtlChatParams *params,
                        const AtlCliSink *sink,
                        GError **error)
{
  Answer answer = { .sink = sink };

  self->job = messages != NULL ? atl_client_chat (self->client, self->model, messages, params)
                               : atl_client_complete (self->client, self->model, prompt, params);
  g_signal_connect (self->job, "text", G_CALLBACK (text_cb), &answer);
  g_signal_connect (self->job, "loading", G_CALLBACK (loading_cb), &answer);
  g_signal_connect (self->job, "finished", G_CALLBACK (finished_cb), &answer);
  g_signal_connect (self->job, "failed", G_CALLBACK (failed_cb), &answer);
  while (!answer.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_signal_handlers_disconnect_by_data (self->job, &answer);
  if (answer.error != NULL)
    {
      g_clear_object (&self->job);
      g_propagate_error (error, answer.error);
      return NULL;
    }
  return g_steal_pointer (&self->job);
}
