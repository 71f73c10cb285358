/* The client against a real engine process: starting, asking, cancelling, leaking nothing. */
#include <glib/gstdio.h>
#include <string.h>

#include "client-fixture.h"

#define STORY "Once upon a time"
#define TINY "stories260K.gguf"

static void
test_start (Fixture *fixture, gconstpointer data)
{
  gboolean ready = FALSE;
  gint64 started = g_get_monotonic_time ();

  g_assert_cmpint (atl_client_get_state (fixture->client), ==, ATL_ENGINE_STOPPED);
  atl_client_start_async (fixture->client, NULL, NULL, NULL);
  g_assert_cmpint (atl_client_get_state (fixture->client), ==, ATL_ENGINE_STARTING);
  while (atl_client_get_state (fixture->client) == ATL_ENGINE_STARTING)
    g_main_context_iteration (NULL, TRUE);
  ready = atl_client_get_state (fixture->client) == ATL_ENGINE_READY;
  g_assert_true (ready);
  g_assert_cmpstr (fixture->client->sentence, ==, "Ready");
  g_assert_cmpint (atl_client_get_pid (fixture->client), >, 0);
  g_test_message ("ready after %.1f ms", (g_get_monotonic_time () - started) / 1000.0);

  while (atl_client_get_status (fixture->client) == NULL)
    g_main_context_iteration (NULL, TRUE);
  AtlEngineStatus *status = atl_client_get_status (fixture->client);
  g_assert_cmpuint (status->ram_total, >, 0);
  g_assert_cmpuint (status->ram_free, <=, status->ram_total);
  g_assert_cmpuint (status->n_parts, ==, 0);
  g_assert_cmpuint (status->n_devices, >=, 1);
  g_assert_cmpstr (status->devices[0].type, ==, "cpu");
  g_assert_true (status->devices[0].is_used);
  g_assert_cmpstr (status->sandbox, !=, "");
}

/* A device that computes in the computer's memory adds none to it. */
static void
test_memory (void)
{
  for (guint shared = 0; shared < 2; shared++)
    {
      g_autoptr (GVariant) facts = g_variant_ref_sink (g_variant_new_parsed ("@a{sv} {}"));
      g_autoptr (GVariant) dict = g_variant_ref_sink (g_variant_new_parsed (
          "{'ram-total': <uint64 16>, 'vram-total': <uint64 12>, 'vram-shared': <%b>}", shared));
      AtlEngineStatus *status = atl_engine_status_new_from_variant (dict, facts);

      g_assert_cmpuint (atl_engine_status_memory (status), ==, shared ? 16 : 28);
      atl_engine_status_unref (status);
    }
}

static void
test_no_program (Fixture *fixture, gconstpointer data)
{
  g_autofree char *before = g_strdup (g_getenv ("ATELIER_ENGINE"));

  g_setenv ("ATELIER_ENGINE", "/nonexistent/atelier-engine", TRUE);
  atl_client_start_async (fixture->client, NULL, NULL, NULL);
  while (atl_client_get_state (fixture->client) == ATL_ENGINE_STARTING)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (atl_client_get_state (fixture->client), ==, ATL_ENGINE_LOST);
  g_assert_nonnull (strstr (fixture->client->sentence, "could not be started"));
  if (before != NULL)
    g_setenv ("ATELIER_ENGINE", before, TRUE);
  else
    g_unsetenv ("ATELIER_ENGINE");
}

static void
test_inspect (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = fixture_model_path (TINY);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = NULL;

  if (path == NULL)
    return;
  info = fixture_inspect (fixture->client, path, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (info->architecture, ==, "llama");
  g_assert_true (info->can_run);
  g_assert_true (info->fits);
  g_assert_true (info->is_toy);
  g_assert_cmpuint (info->n_params, >, 200000);
  g_assert_cmpuint (info->n_params, <, 400000);
  g_assert_cmpuint (info->needed_bytes, ==,
                    info->weight_bytes + info->kv_bytes + info->scratch_bytes);
  g_assert_cmpuint (info->n_ctx, ==, info->n_ctx_train);
}

static void
test_bad_files (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("atelier-test-XXXXXX", NULL);
  g_autofree char *junk = g_build_filename (folder, "junk.gguf", NULL);
  g_autofree char *empty = g_build_filename (folder, "empty.gguf", NULL);
  g_autofree char *missing = g_build_filename (folder, "missing.gguf", NULL);
  g_autofree char *shard = g_build_filename (folder, "m-00001-of-00002.gguf", NULL);

  g_file_set_contents (junk, "this is no model at all", -1, NULL);
  g_file_set_contents (empty, "", 0, NULL);
  g_file_set_contents (shard, "GGUF", 4, NULL);

  g_assert_null (fixture_load (fixture->client, missing, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (fixture_load (fixture->client, empty, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (fixture_load (fixture->client, shard, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "m-00002-of-00002.gguf"));
  g_clear_error (&error);
  g_assert_null (fixture_load (fixture->client, "/dev/zero", NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  /* Two files that begin like models make the choice unclear. */
  g_assert_null (fixture_load (fixture->client, folder, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  g_assert_null (fixture_load (fixture->client, junk, NULL, NULL, &error));
  g_assert_true (g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE) ||
                 g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED));
  g_test_message ("%s", error->message);
  g_assert_cmpint (atl_client_get_state (fixture->client), ==, ATL_ENGINE_READY);

  g_remove (junk);
  g_remove (empty);
  g_remove (shard);
  g_rmdir (folder);
}

static void
test_complete (Fixture *fixture, gconstpointer data)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autofree char *first = NULL;

  if (fixture->model == NULL)
    return;
  g_assert_true (atl_model_get_is_loaded (fixture->model));
  g_assert_cmpstr (atl_model_get_info (fixture->model)->runs_on, !=, "");
  params_greedy (&params, 40);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (Answer) answer =
          answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));

      g_assert_true (answer_wait (answer));
      g_assert_no_error (answer->error);
      g_assert_cmpuint (answer->text->len, >, 40);
      g_assert_cmpstr (answer->text->str, ==, atl_chat_job_get_text (answer->job));
      g_assert_cmpstr (answer->stats->stop_reason, ==, "length");
      g_assert_cmpuint (answer->stats->n_generated, ==, 40);
      g_assert_cmpuint (answer->stats->n_prompt, >, 3);
      g_assert_cmpuint (answer->n_done, ==, answer->n_total);
      g_assert_cmpfloat (answer->stats->tokens_per_s, >, 0);
      g_assert_cmpfloat (answer->stats->first_token_ms, >, 0);
      g_assert_nonnull (strstr (answer->stats->ran_on, "CPU"));
      if (first == NULL)
        first = g_strdup (answer->text->str);
      else
        {
          /* The same again, from the cache: all but the last prompt token. */
          g_assert_cmpstr (first, ==, answer->text->str);
          g_assert_cmpuint (answer->stats->n_cached, ==, answer->stats->n_prompt - 1);
        }
    }
}

static void
test_prefix_reuse (Fixture *fixture, gconstpointer data)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) first = NULL;
  g_autoptr (Answer) second = NULL;
  g_autofree char *longer = NULL;

  if (fixture->model == NULL)
    return;
  params_greedy (&params, 20);
  first = answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));
  g_assert_true (answer_wait (first));
  g_assert_no_error (first->error);
  longer = g_strconcat (STORY, first->text->str, " and then", NULL);
  second = answer_new (atl_client_complete (fixture->client, fixture->model, longer, &params));
  g_assert_true (answer_wait (second));
  g_assert_no_error (second->error);
  g_assert_cmpuint (second->stats->n_prompt, >, first->stats->n_prompt);
  /* Words may be cut otherwise where two texts meet, but not more than a few tokens. */
  g_assert_cmpuint (second->stats->n_cached + 8, >=,
                    first->stats->n_prompt + first->stats->n_generated);
}

static void
test_chat (Fixture *fixture, gconstpointer data)
{
  static const char *const messages =
      "[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"Hi\"}]";
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;
  g_autoptr (Answer) alone = NULL;

  if (fixture->model == NULL)
    return;
  params_greedy (&params, 8);
  answer = answer_new (atl_client_chat (fixture->client, fixture->model, messages, &params));
  g_assert_true (answer_wait (answer));
  g_assert_no_error (answer->error);
  g_assert_cmpuint (answer->text->len, >, 0);
  /* The template has the words of both messages, and marks around them. */
  alone = answer_new (atl_client_complete (fixture->client, fixture->model, "Be kind.Hi", &params));
  g_assert_true (answer_wait (alone));
  g_assert_no_error (alone->error);
  g_assert_cmpuint (answer->stats->n_prompt, >, alone->stats->n_prompt);
}

/* The answer goes on where the last message ends, and its beginning is not said again. */
static void
test_continue (Fixture *fixture, gconstpointer data)
{
  static const char *const messages =
      "[{\"role\":\"user\",\"content\":\"Tell\"},"
      "{\"role\":\"assistant\",\"content\":\"Once upon a time, there was a little\"}]";
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;

  if (fixture->model == NULL)
    return;
  params_greedy (&params, 6);
  params.continue_last = TRUE;
  answer = answer_new (atl_client_chat (fixture->client, fixture->model, messages, &params));
  g_assert_true (answer_wait (answer));
  g_assert_no_error (answer->error);
  g_test_message ("“%s”", answer->text->str);
  g_assert_true (g_str_has_prefix (answer->text->str, " "));
  g_assert_null (strstr (answer->text->str, "Once upon"));
}

/* However fast the model is, the window gets few messages. */
static void
test_coalescing (Fixture *fixture, gconstpointer data)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;
  gint64 started = g_get_monotonic_time ();

  if (fixture->model == NULL)
    return;
  params_greedy (&params, 1500);
  params.temperature = 2;
  params.seed = 3;
  answer = answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));
  g_assert_true (answer_wait (answer));
  g_assert_no_error (answer->error);
  g_assert_cmpfloat (answer->n_text, <=, (g_get_monotonic_time () - started) / 1e6 * 30 + 3);
  g_test_message ("%u tokens in %u messages", answer->stats->n_generated, answer->n_text);
}

static void
titled_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  char **title = user_data;

  *title = atl_client_title_finish (ATL_CLIENT (source), result, &error);
  /* This model may well have nothing to say. */
  if (*title == NULL)
    *title = g_strdup ("");
}

static void
test_title (Fixture *fixture, gconstpointer data)
{
  g_autofree char *title = NULL;

  if (fixture->model == NULL)
    return;
  atl_client_title_async (fixture->client, fixture->model,
                          "[{\"role\":\"user\",\"content\":\"Tell me about Lily\"}]", "lily", NULL,
                          titled_cb, &title);
  while (title == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (g_utf8_strlen (title, -1), <=, 60);
  g_assert_null (strchr (title, '\n'));
  g_test_message ("%s", title);
}

static void
test_bad_requests (Fixture *fixture, gconstpointer data)
{
  static const char *const bad[] = { "",        "{}", "[1]",      "[",
                                     "[{}]",    "[]", "\"text\"", "[{\"role\":1}]",
                                     "[[[[]]]]" };
  g_auto (AtlChatParams) params = { 0 };

  if (fixture->model == NULL)
    return;
  params_greedy (&params, 4);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (Answer) answer =
          answer_new (atl_client_chat (fixture->client, fixture->model, bad[i], &params));

      g_assert_true (answer_wait (answer));
      g_assert_nonnull (answer->error);
      g_assert_cmpint (answer->error->domain, ==, ATL_ERROR);
    }
  params.temperature = -4;
  {
    g_autoptr (Answer) answer =
        answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));

    g_assert_true (answer_wait (answer));
    g_assert_error (answer->error, ATL_ERROR, ATL_ERROR_INVALID);
    g_assert_nonnull (strstr (answer->error->message, "temperature"));
  }
}

static void
test_stop (Fixture *fixture, gconstpointer data)
{
  g_auto (AtlChatParams) params = { 0 };

  if (fixture->model == NULL)
    return;
  params_greedy (&params, -1);
  params.shift_context = TRUE; /* or the answer would end by itself */
  for (guint i = 0; i < 5; i++)
    {
      g_autoptr (Answer) answer =
          answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));

      if (i > 0)
        {
          while (answer->n_text < i)
            g_main_context_iteration (NULL, TRUE);
        }
      atl_chat_job_stop (answer->job);
      g_assert_true (answer_wait (answer));
      g_assert_no_error (answer->error);
      if (g_str_equal (answer->stats->stop_reason, "eos"))
        continue;
      g_assert_cmpstr (answer->stats->stop_reason, ==, "stopped");
    }
}

/* Two answers run beside each other, and each is stopped alone. */
static void
test_stop_one (Fixture *fixture, gconstpointer data)
{
  g_autoptr (Answer) first = NULL;
  g_autoptr (Answer) second = NULL;
  guint n_text;

  if (fixture->model == NULL)
    return;
  first = answer_endless (fixture, STORY);
  second = answer_endless (fixture, STORY);
  atl_chat_job_stop (second->job);
  g_assert_true (answer_wait (second));
  g_assert_cmpstr (second->stats->stop_reason, ==, "stopped");
  n_text = first->n_text;
  while (first->n_text == n_text && !first->is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (first->is_over);
  atl_chat_job_stop (first->job);
  g_assert_true (answer_wait (first));
}

static gboolean
cancel_cb (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return G_SOURCE_REMOVE;
}

static guint
count_parts (AtlClient *client)
{
  atl_client_refresh_status (client);
  fixture_sleep (50);
  return atl_client_get_status (client)->n_parts;
}

static void
test_cancel_load (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = fixture_model_path (TINY);

  if (path == NULL)
    return;
  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlModel) model = NULL;

      if (i == 0)
        g_cancellable_cancel (cancellable);
      else
        g_timeout_add_full (G_PRIORITY_DEFAULT, i * 3, cancel_cb, g_object_ref (cancellable),
                            g_object_unref);
      model = fixture_load (fixture->client, path, NULL, cancellable, &error);
      if (model != NULL)
        g_assert_true (fixture_unload (fixture->client, model, NULL));
      else
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      fixture_sleep (40);
    }
  /* Nothing stayed in the ledger. */
  assert_soon (count_parts (fixture->client) == 0);
}

static void
test_unload_race (Fixture *fixture, gconstpointer data)
{
  g_auto (AtlChatParams) params = { 0 };

  if (fixture->model == NULL)
    return;
  params_greedy (&params, 30);
  for (guint i = 0; i < 200; i++)
    {
      g_autoptr (Answer) first =
          answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));
      g_autoptr (Answer) second =
          answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));

      for (guint turn = 0; turn < i % 7; turn++)
        g_main_context_iteration (NULL, turn > 2);
      atl_client_unload_async (fixture->client, fixture->model, NULL, NULL, NULL);
      g_assert_true (answer_wait (first));
      g_assert_true (answer_wait (second));
      /* Finished, stopped, or told that the model went: never an engine that ended. */
      g_assert_false (g_error_matches (first->error, ATL_ERROR, ATL_ERROR_ENGINE_GONE));
      g_assert_false (g_error_matches (second->error, ATL_ERROR, ATL_ERROR_ENGINE_GONE));
    }
  g_assert_cmpint (atl_client_get_state (fixture->client), ==, ATL_ENGINE_READY);
}

#define RUNNING "Tom and Lily ran to the big red house. "

/* How many tokens the engine reads of a prompt. */
static guint
count_prompt (Fixture *fixture, const char *prompt)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;

  params_greedy (&params, 1);
  answer = answer_new (atl_client_complete (fixture->client, fixture->model, prompt, &params));
  g_assert_true (answer_wait (answer));
  g_assert_no_error (answer->error);
  return answer->stats->n_prompt;
}

static void
test_context_full (Fixture *fixture, gconstpointer data)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (GString) prompt = g_string_new (NULL);
  g_autoptr (Answer) full = NULL;
  g_autoptr (Answer) shifted = NULL;
  g_autoptr (Answer) refused = NULL;
  guint n_ctx, each;

  if (fixture->model == NULL)
    return;
  n_ctx = atl_model_get_info (fixture->model)->n_ctx;
  each = count_prompt (fixture, RUNNING RUNNING) - count_prompt (fixture, RUNNING);
  g_assert_cmpuint (each, >, 0);
  /* Room for an answer of a few words, and less than one more sentence besides. */
  for (guint n = each; n + 24 < n_ctx; n += each)
    g_string_append (prompt, RUNNING);
  params_greedy (&params, 400);
  full = answer_new (atl_client_complete (fixture->client, fixture->model, prompt->str, &params));
  g_assert_true (answer_wait (full));
  g_assert_no_error (full->error);
  if (!g_str_equal (full->stats->stop_reason, "eos"))
    {
      g_assert_cmpstr (full->stats->stop_reason, ==, "context-full");
      g_assert_cmpuint (full->stats->n_ctx_used, ==, n_ctx);
    }
  params.shift_context = TRUE;
  shifted =
      answer_new (atl_client_complete (fixture->client, fixture->model, prompt->str, &params));
  g_assert_true (answer_wait (shifted));
  g_assert_no_error (shifted->error);
  if (!g_str_equal (shifted->stats->stop_reason, "eos"))
    g_assert_cmpuint (shifted->stats->n_shifted, >, 0);

  params.shift_context = FALSE;
  for (guint i = 0; i < 10; i++)
    g_string_append (prompt, RUNNING);
  refused =
      answer_new (atl_client_complete (fixture->client, fixture->model, prompt->str, &params));
  g_assert_true (answer_wait (refused));
  g_assert_error (refused->error, ATL_ERROR, ATL_ERROR_TOO_LONG);
  g_test_message ("%s", refused->error->message);
  /* A longer context is only advised where the model has one. */
  g_assert_cmpuint (n_ctx, >=, atl_model_get_info (fixture->model)->n_ctx_train);
  g_assert_null (strstr (refused->error->message, "longer context"));
}

static void
test_too_big (Fixture *fixture, gconstpointer data)
{
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;
  g_autofree char *path = fixture_model_path (TINY);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = NULL;
  g_autoptr (AtlModel) model = NULL;

  if (path == NULL)
    return;
  options.kv_type = "f17";
  g_assert_null (fixture_load (fixture->client, path, &options, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  /* More than it was made for is reduced, with words. */
  options.kv_type = NULL;
  options.n_ctx = 1 << 20;
  model = fixture_load (fixture->client, path, &options, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_model_get_info (model)->n_ctx, ==, atl_model_get_info (model)->n_ctx_train);
  g_assert_cmpstr (atl_model_get_info (model)->notice, !=, "");
}

static void
test_descriptors (void)
{
  g_autofree char *path = fixture_model_path (TINY);
  guint before = 0;

  if (path == NULL)
    return;
  for (guint i = 0; i < 6; i++)
    {
      Fixture fixture = { .client = atl_client_new () };

      fixture.model = fixture_load (fixture.client, path, NULL, NULL, NULL);
      g_assert_nonnull (fixture.model);
      fixture_tear_down (&fixture, NULL);
      /* The first round opens what GLib keeps. */
      if (i == 1)
        {
          fixture_sleep (150);
          before = count_descriptors ();
        }
    }
  /* GLib's threads close what they hold a little later, on a busy machine much later. */
  assert_soon (count_descriptors () <= before);
}

static void
add (const char *name, const char *model, void (*test) (Fixture *, gconstpointer))
{
  g_test_add (name, Fixture, model, fixture_set_up, test, fixture_tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/client/start", NULL, test_start);
  add ("/client/no-program", NULL, test_no_program);
  add ("/client/inspect", NULL, test_inspect);
  add ("/client/bad-files", NULL, test_bad_files);
  add ("/client/complete", TINY, test_complete);
  add ("/client/prefix-reuse", TINY, test_prefix_reuse);
  add ("/client/chat", TINY, test_chat);
  add ("/client/continue", TINY, test_continue);
  add ("/client/coalescing", TINY, test_coalescing);
  add ("/client/title", TINY, test_title);
  add ("/client/bad-requests", TINY, test_bad_requests);
  add ("/client/stop", TINY, test_stop);
  add ("/client/stop-one", TINY, test_stop_one);
  add ("/client/cancel-load", NULL, test_cancel_load);
  add ("/client/unload-race", TINY, test_unload_race);
  add ("/client/context-full", TINY, test_context_full);
  add ("/client/too-big", NULL, test_too_big);
  g_test_add_func ("/client/memory", test_memory);
  g_test_add_func ("/client/descriptors", test_descriptors);
  return g_test_run ();
}
