/* An engine gone wrong in every way: the client goes on, with words, and believes nothing. */
#include <glib/gstdio.h>
#include <string.h>

#include "client-fixture.h"

/* Modes in which the engine never becomes ready, and a word that the sentence must hold. */
static const struct
{
  const char *mode;
  const char *word;
} broken[] = {
  { "exit", "engine" },     { "abort", "engine" }, { "garbage", "engine" },
  { "version", "version" }, { "types", "engine" }, { "silent-death", "engine" },
};

static void
test_broken (gconstpointer data)
{
  gsize i = GPOINTER_TO_SIZE (data);
  AtlClient *client;

  g_setenv ("ATELIER_FAKE", broken[i].mode, TRUE);
  client = atl_client_new ();
  for (guint round = 0; round < 3; round++)
    {
      atl_client_start_async (client, NULL, NULL, NULL);
      while (atl_client_get_state (client) == ATL_ENGINE_STARTING)
        g_main_context_iteration (NULL, TRUE);
      g_assert_cmpint (atl_client_get_state (client), ==, ATL_ENGINE_LOST);
      g_assert_nonnull (strstr (client->sentence, broken[i].word));
    }
  g_test_message ("%s", client->sentence);
  atl_client_stop (client);
  g_object_unref (client);
  fixture_sleep (50);
}

typedef struct
{
  double last;
  guint n;
} Progress;

static void
progress_cb (double fraction, const char *phase, gpointer user_data)
{
  Progress *progress = user_data;

  /* It never falls, whatever the engine says. */
  g_assert_cmpfloat (fraction, >=, progress->last);
  g_assert_cmpfloat (fraction, <=, 1);
  progress->last = fraction;
  progress->n++;
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlModel **model = user_data;

  *model = atl_client_load_model_finish (ATL_CLIENT (source), result, NULL);
}

static void
test_nonsense (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atelier-test-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "m.gguf", NULL);
  const char *paths[] = { path, NULL };
  g_autoptr (AtlModel) model = NULL;
  AtlClient *client;
  Progress progress = { 0 };

  g_file_set_contents (path, "GGUF", 4, NULL);
  g_setenv ("ATELIER_FAKE", "nonsense", TRUE);
  client = atl_client_new ();
  atl_client_load_model_async (client, paths, NULL, progress_cb, &progress, NULL, loaded_cb,
                               &model);
  while (model == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (progress.n, >, 0);
  g_assert_cmpstr (atl_model_get_info (model)->name, !=, "");
  g_assert_cmpuint (atl_model_get_info (model)->n_ctx, ==, 0);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (Answer) answer = answer_new (atl_client_complete (client, model, "x", NULL));

      g_assert_true (answer_wait (answer));
      g_assert_no_error (answer->error);
      /* What came after the end does not count. */
      g_assert_cmpstr (answer->text->str, ==, "ab");
      g_assert_cmpfloat (answer->stats->tokens_per_s, ==, 0);
    }
  fixture_sleep (100);
  g_assert_cmpint (atl_client_get_state (client), ==, ATL_ENGINE_READY);
  g_assert_nonnull (atl_client_get_status (client));
  atl_client_stop (client);
  g_object_unref (client);
  g_remove (path);
  g_rmdir (folder);
}

static void
error_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GError **error = user_data;

  g_assert_null (atl_client_load_model_finish (ATL_CLIENT (source), result, error));
}

static void
test_model_zero (void)
{
  const char *paths[] = { "/proc/self/exe", NULL };
  AtlClient *client;
  GError *error = NULL;

  g_setenv ("ATELIER_FAKE", "model-zero", TRUE);
  client = atl_client_new ();
  atl_client_load_model_async (client, paths, NULL, NULL, NULL, NULL, error_cb, &error);
  while (error == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  g_error_free (error);
  atl_client_stop (client);
  g_object_unref (client);
}

static void
lost_cb (AtlClient *client, const char *sentence, char **lost)
{
  *lost = g_strdup (sentence);
}

static void
crashed_cb (AtlClient *client, AtlModel *model, guint count)
{
  g_assert_not_reached ();
}

/* Keeps the first sentence of a client that does not respond: the state may be over when the loop
 * comes round again. */
static void
state_cb (AtlClient *client, GParamSpec *pspec, char **sentence)
{
  if (atl_client_get_state (client) == ATL_ENGINE_NOT_RESPONDING && *sentence == NULL)
    *sentence = g_strdup (client->sentence);
}

/* A driver that hangs is told about, then the engine is ended and goes on without the GPU. */
static void
test_silent_device (void)
{
  const char *paths[] = { "/proc/self/exe", NULL };
  g_autoptr (AtlModel) model = NULL;
  g_autoptr (Answer) hung = NULL;
  g_autoptr (Answer) again = NULL;
  g_autofree char *lost = NULL;
  g_autofree char *silent = NULL;
  AtlClient *client;

  g_setenv ("ATELIER_FAKE", "silent-device", TRUE);
  client = atl_client_new ();
  g_signal_connect (client, "engine-lost", G_CALLBACK (lost_cb), &lost);
  g_signal_connect (client, "model-crashed", G_CALLBACK (crashed_cb), NULL);
  g_signal_connect (client, "notify::state", G_CALLBACK (state_cb), &silent);
  atl_client_load_model_async (client, paths, NULL, NULL, NULL, NULL, loaded_cb, &model);
  while (silent == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_nonnull (strstr (silent, "graphics card"));
  while (model == NULL)
    g_main_context_iteration (NULL, TRUE);

  hung = answer_new (atl_client_complete (client, model, "x", NULL));
  g_assert_true (answer_wait (hung));
  g_assert_error (hung->error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  g_test_message ("%s", hung->error->message);
  g_assert_nonnull (strstr (hung->error->message, "graphics card"));
  g_assert_true (g_str_has_prefix (hung->error->message, lost));
  g_assert_cmpuint (atl_client_get_crash_count (client, atl_model_get_key (model)), ==, 0);
  again = answer_new (atl_client_complete (client, model, "x", NULL));
  g_assert_true (answer_wait (again));
  g_assert_no_error (again->error);
  atl_client_stop (client);
  g_object_unref (client);
}

static void
any_progress_cb (AtlChatJob *job, guint n_done, guint n_total, gboolean *is_over)
{
  g_assert_false (*is_over);
  g_assert_cmpuint (n_done, <=, n_total);
}

static void
any_text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, gboolean *is_over)
{
  g_assert_false (*is_over);
  g_assert_true (g_utf8_validate (delta, -1, NULL));
}

static void
any_finished_cb (AtlChatJob *job, AtlChatStats *stats, gboolean *is_over)
{
  g_assert_false (*is_over);
  *is_over = TRUE;
}

static void
any_failed_cb (AtlChatJob *job, GError *error, gboolean *is_over)
{
  g_assert_false (*is_over);
  g_assert_cmpstr (error->message, !=, "");
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  *is_over = TRUE;
}

#define N_EACH 2000

/* Signals and replies of the right signature with anything in them, $ATELIER_FUZZ_RUNS (20000) in
 * all; each process of the engine has its number. */
static void
test_anything (void)
{
  const char *paths[] = { "/proc/self/exe", NULL };
  const char *said = g_getenv ("ATELIER_FUZZ_RUNS");
  guint n =
      MAX ((guint) (said != NULL ? g_ascii_strtoull (said, NULL, 10) : 20000) / N_EACH / 4, 1);
  guint n_models = 0, n_answers = 0;

  g_setenv ("ATELIER_FAKE", "anything", TRUE);
  g_setenv ("ATELIER_FAKE_SIGNALS", G_STRINGIFY (N_EACH), TRUE);
  for (guint round = 0; round < n; round++)
    {
      g_autofree char *seed = g_strdup_printf ("%u", round);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlModel) model = NULL;
      AtlClient *client;

      g_setenv ("ATELIER_FAKE_SEED", seed, TRUE);
      client = atl_client_new ();
      model = fixture_load (client, paths[0], NULL, NULL, &error);
      n_models += model != NULL;
      if (model == NULL)
        g_test_message ("%s", error->message);
      for (guint i = 0; model != NULL && i < 3; i++)
        {
          g_autoptr (AtlChatJob) job = atl_client_complete (client, model, "x", NULL);
          gboolean is_over = FALSE;

          g_signal_connect (job, "progress", G_CALLBACK (any_progress_cb), &is_over);
          g_signal_connect (job, "text", G_CALLBACK (any_text_cb), &is_over);
          g_signal_connect (job, "finished", G_CALLBACK (any_finished_cb), &is_over);
          g_signal_connect (job, "failed", G_CALLBACK (any_failed_cb), &is_over);
          g_assert_true (fixture_wait (&is_over, 60000));
          g_signal_handlers_disconnect_by_data (job, &is_over);
          n_answers++;
        }
      if (atl_client_get_status (client) != NULL)
        g_assert_nonnull (client->sentence);
      atl_client_stop (client);
      g_object_unref (client);
      fixture_sleep (10);
    }
  g_test_message ("%u engines, %u models, %u answers, %u signals each", n, n_models, n_answers,
                  N_EACH);
  g_assert_cmpuint (n_answers, >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (broken); i++)
    {
      g_autofree char *path = g_strconcat ("/distrust/", broken[i].mode, NULL);

      g_test_add_data_func (path, GSIZE_TO_POINTER (i), test_broken);
    }
  g_test_add_func ("/distrust/nonsense", test_nonsense);
  g_test_add_func ("/distrust/model-zero", test_model_zero);
  g_test_add_func ("/distrust/anything", test_anything);
  g_test_add_func ("/distrust/silent-device", test_silent_device);
  return g_test_run ();
}
