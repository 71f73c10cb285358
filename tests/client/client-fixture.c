/* A client with a real engine process, for tests. */
#include "client-fixture.h"

char *
fixture_model_path (const char *name)
{
  const char *conformance = g_getenv ("ATELIER_CONFORMANCE");
  g_autofree char *beside =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared", "conformance", NULL);
  g_autofree char *path =
      g_build_filename (conformance != NULL ? conformance : beside, "models", name, NULL);

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_autofree char *words = g_strdup_printf ("%s not found: this case did not run", path);
  g_test_skip (words);
  return NULL;
}

void
fixture_set_up (Fixture *fixture, gconstpointer model_name)
{
  fixture->client = atl_client_new ();
  if (model_name == NULL)
    return;
  fixture->model_path = fixture_model_path (model_name);
  if (fixture->model_path != NULL)
    {
      g_autoptr (GError) error = NULL;

      fixture->model = fixture_load (fixture->client, fixture->model_path, NULL, NULL, &error);
      g_assert_no_error (error);
    }
}

void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  gpointer weak = fixture->client;

  atl_client_stop (fixture->client);
  g_clear_object (&fixture->model);
  /* Calls under way hold the client until the process has ended. */
  g_object_add_weak_pointer (G_OBJECT (fixture->client), &weak);
  g_object_unref (fixture->client);
  assert_soon (weak == NULL);
  g_clear_pointer (&fixture->model_path, g_free);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static gboolean
wake_cb (gpointer user_data)
{
  gboolean *is_late = user_data;

  if (is_late != NULL)
    *is_late = TRUE;
  return G_SOURCE_REMOVE;
}

gboolean
fixture_wait (const gboolean *flag, guint limit_ms)
{
  gboolean is_late = FALSE;
  guint timer = g_timeout_add (limit_ms, wake_cb, &is_late);

  while (!*flag && !is_late)
    g_main_context_iteration (NULL, TRUE);
  if (!is_late)
    g_source_remove (timer);
  return *flag;
}

void
fixture_sleep (guint ms)
{
  static const gboolean never = FALSE;

  fixture_wait (&never, ms);
}

/* --- Calls that wait --- */

typedef struct
{
  GAsyncResult *result;
  gboolean is_done;
} Waiting;

static void
done_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Waiting *waiting = user_data;

  waiting->result = g_object_ref (result);
  waiting->is_done = TRUE;
}

AtlModel *
fixture_load (AtlClient *client,
              const char *path,
              const AtlLoadOptions *options,
              GCancellable *cancellable,
              GError **error)
{
  const char *paths[] = { path, NULL };
  Waiting waiting = { 0 };
  AtlModel *model;

  atl_client_load_model_async (client, paths, options, NULL, NULL, cancellable, done_cb, &waiting);
  g_assert_true (fixture_wait (&waiting.is_done, WAIT_MS));
  model = atl_client_load_model_finish (client, waiting.result, error);
  g_object_unref (waiting.result);
  return model;
}

gboolean
fixture_unload (AtlClient *client, AtlModel *model, GError **error)
{
  Waiting waiting = { 0 };
  gboolean ok;

  atl_client_unload_async (client, model, NULL, done_cb, &waiting);
  g_assert_true (fixture_wait (&waiting.is_done, WAIT_MS));
  ok = atl_client_unload_finish (client, waiting.result, error);
  g_object_unref (waiting.result);
  return ok;
}

AtlModelInfo *
fixture_inspect (AtlClient *client, const char *path, const AtlLoadOptions *options, GError **error)
{
  const char *paths[] = { path, NULL };
  Waiting waiting = { 0 };
  AtlModelInfo *info;

  atl_client_inspect_async (client, paths, options, NULL, done_cb, &waiting);
  g_assert_true (fixture_wait (&waiting.is_done, WAIT_MS));
  info = atl_client_inspect_finish (client, waiting.result, error);
  g_object_unref (waiting.result);
  return info;
}

/* --- Answers --- */

static void
text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, Answer *self)
{
  g_assert_false (self->is_over);
  g_assert_true (g_utf8_validate (delta, -1, NULL));
  g_string_append (self->text, delta);
  self->n_text++;
}

static void
progress_cb (AtlChatJob *job, guint n_done, guint n_total, Answer *self)
{
  /* It begins anew where a full context made room. */
  g_assert_true (n_done >= self->n_done || self->n_text > 0);
  g_assert_cmpuint (n_done, <=, n_total);
  self->n_done = n_done;
  self->n_total = n_total;
}

static void
finished_cb (AtlChatJob *job, AtlChatStats *stats, Answer *self)
{
  g_assert_false (self->is_over);
  self->stats = atl_chat_stats_ref (stats);
  self->is_over = TRUE;
}

static void
failed_cb (AtlChatJob *job, GError *error, Answer *self)
{
  g_assert_false (self->is_over);
  self->error = g_error_copy (error);
  self->is_over = TRUE;
}

Answer *
answer_new (AtlChatJob *job)
{
  Answer *self = g_new0 (Answer, 1);

  self->job = job;
  self->text = g_string_new (NULL);
  g_signal_connect (job, "text", G_CALLBACK (text_cb), self);
  g_signal_connect (job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (job, "failed", G_CALLBACK (failed_cb), self);
  return self;
}

void
answer_free (Answer *self)
{
  g_signal_handlers_disconnect_by_data (self->job, self);
  g_object_unref (self->job);
  g_string_free (self->text, TRUE);
  g_clear_pointer (&self->stats, atl_chat_stats_unref);
  g_clear_error (&self->error);
  g_free (self);
}

gboolean
answer_wait (Answer *self)
{
  return fixture_wait (&self->is_over, WAIT_MS);
}

void
params_greedy (AtlChatParams *params, gint max_tokens)
{
  atl_chat_params_init (params);
  params->temperature = 0;
  params->max_tokens = max_tokens;
}

Answer *
answer_endless (Fixture *fixture, const char *prompt)
{
  g_auto (AtlChatParams) params = { 0 };
  Answer *self;

  params_greedy (&params, 1 << 20);
  params.shift_context = TRUE;
  /* Whatever the model would like: letters for ever. */
  params.grammar = g_strdup ("root ::= [a-z ] root");
  self = answer_new (atl_client_complete (fixture->client, fixture->model, prompt, &params));
  while (self->n_text == 0 && !self->is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_no_error (self->error);
  g_assert_false (self->is_over);
  return self;
}

void
fixture_wait_for_other_engine (AtlClient *client, GPid before)
{
  assert_soon (atl_client_get_state (client) == ATL_ENGINE_READY &&
               atl_client_get_pid (client) != before);
}

guint
count_descriptors (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}
