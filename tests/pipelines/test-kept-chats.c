/* Chats that leave the memory and come back from a file: the answers are those that would have come
 * without, and nothing is computed twice. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept-fixture.h"
#include "model-fixture.h"
#include "opencl-fixture.h"

static const KeptCase cases[] = {
  { "llm-llama2", "f32", 1, FALSE },        { "llm-qwen2", "f16", 1, FALSE },
  { "llm-llama2", "f16", 1, FALSE },        { "llm-gpt-oss", "f32", 1, FALSE },
  { "llm-gpt-oss", "f16", 24, FALSE },      { "llm-gemma3n", "f32", 1, FALSE },
  { "llm-gemma4", "f32", 24, FALSE },       { "llm-deepseek2-lite", "f32", 1, FALSE },
  { "llm-glm-4-7-flash", "f16", 1, FALSE }, { "llm-qwen35", "f32", 1, FALSE },
  { "llm-qwen3next", "f16", 1, FALSE },     { "llm-lfm2", "f32", 1, FALSE },
  { "llm-mamba2", "f32", 1, FALSE },        { "llm-falcon-h1", "f32", 1, FALSE },
  { "llm-qwen2", "q8_0", 1, TRUE },         { "llm-qwen2", "q4_0", 1, TRUE },
};

/* --- The same answers --- */

static void
check_case (const KeptCase *c, AtlBackend *gpu)
{
  g_autofree char *question = kept_make_question (c);
  g_autofree char *first = NULL, *more = NULL, *want = NULL, *cold = NULL, *got = NULL;
  AtlTurnStats stats, want_stats;
  AtlChatModel *model;
  KeptFiles files;

  kept_files_init (&files);
  model = kept_open_model (c, KEPT_N_CTX, gpu, &files);
  first = kept_ask (model, question, &stats);
  g_assert_cmpuint (atl_chat_model_n_unkept (model), ==, 1);
  kept_keep_all (model);
  g_assert_cmpuint (files.n_kept, ==, stats.n_ctx_used);
  more = g_strconcat (question, first, " And then? Nobody knew.", NULL);
  want = kept_ask (model, more, &want_stats);
  g_assert_cmpuint (want_stats.n_cached, >, 32);
  atl_chat_model_free (model);

  /* Another program, one day later. */
  model = kept_open_model (c, KEPT_N_CTX, gpu, &files);
  got = kept_ask (model, more, &stats);
  g_assert_cmpuint (stats.n_cached, ==, want_stats.n_cached);
  g_assert_cmpstr (got, ==, want);
  /* It goes on, and comes back once more. */
  kept_keep_all (model);
  g_assert_cmpuint (files.n_kept, ==, stats.n_ctx_used);
  atl_chat_model_free (model);

  /* With a shorter context as well, if it fits. */
  model = kept_open_model (c, KEPT_N_CTX - 100, gpu, &files);
  g_free (got);
  got = kept_ask (model, more, &stats);
  g_assert_cmpuint (stats.n_cached, >=, want_stats.n_cached);
  g_assert_cmpstr (got, ==, want);
  atl_chat_model_free (model);

  model = kept_open_model (c, KEPT_N_CTX, gpu, NULL);
  cold = kept_ask (model, more, &stats);
  g_assert_cmpuint (stats.n_cached, ==, 0);
  if (!c->is_inexact)
    g_assert_cmpstr (cold, ==, want);
  atl_chat_model_free (model);
  kept_files_clear (&files);
}

static void
test_cpu (gconstpointer data)
{
  check_case (data, NULL);
}

static void
test_opencl (gconstpointer data)
{
  AtlBackend *gpu = opencl_fixture_open (opencl_fixture_cache_dir ());

  if (gpu == NULL)
    return;
  check_case (data, gpu);
  atl_backend_free (gpu);
}

/* --- Other models, other settings --- */

static void
check_strange (const KeptCase *kept, const KeptCase *asked, gboolean is_used)
{
  g_autofree char *question = kept_make_question (kept);
  g_autofree char *first = NULL, *got = NULL;
  AtlTurnStats stats;
  AtlChatModel *model;
  KeptFiles files;

  kept_files_init (&files);
  model = kept_open_model (kept, KEPT_N_CTX, NULL, &files);
  first = kept_ask (model, question, &stats);
  kept_keep_all (model);
  g_assert_cmpuint (files.n_kept, >, 0);
  atl_chat_model_free (model);
  model = kept_open_model (asked, KEPT_N_CTX, NULL, &files);
  got = kept_ask (model, question, &stats);
  g_assert_cmpuint (stats.n_cached > 0, ==, is_used);
  atl_chat_model_free (model);
  kept_files_clear (&files);
}

static void
test_strangers (void)
{
  static const KeptCase a = { "llm-llama2", "f32", 1, FALSE },
                        b = { "llm-llama2", "f16", 1, FALSE },
                        c = { "llm-llama3-tied", "f32", 1, FALSE };

  check_strange (&a, &a, TRUE);
  check_strange (&a, &b, FALSE);
  check_strange (&a, &c, FALSE);
}

/* --- Limits --- */

static gboolean
stop_cb (gpointer user_data)
{
  return TRUE;
}

static void
test_limits (void)
{
  AtlTurnStats stats;
  AtlChatModel *model;
  g_autofree char *first = NULL;
  struct stat st;
  KeptFiles files;

  kept_files_init (&files);
  model = kept_open_model (&cases[0], KEPT_N_CTX, NULL, &files);
  first = kept_ask (model, kept_sentence, &stats);
  /* No time: it is tried again. */
  atl_chat_model_keep_conversations (model, 0, stop_cb, NULL);
  g_assert_cmpuint (files.n_agains, ==, 1);
  g_assert_cmpuint (atl_chat_model_n_unkept (model), ==, 1);
  atl_chat_model_keep_conversations (model, 1, NULL, NULL);
  g_assert_cmpuint (files.n_agains, ==, 2);
  g_assert_cmpuint (files.n_kept, ==, 0);
  g_assert_cmpint (fstat (files.room, &st), ==, 0);
  g_assert_cmpint (st.st_size, ==, 0);
  /* Too large: it is not. */
  files.max_bytes = 1000;
  atl_chat_model_keep_conversations (model, 0, NULL, NULL);
  g_assert_cmpuint (files.n_ends, ==, 3);
  g_assert_cmpuint (files.n_agains, ==, 2);
  g_assert_cmpuint (files.n_kept, ==, 0);
  g_assert_cmpuint (atl_chat_model_n_unkept (model), ==, 0);
  /* Nowhere to write: /dev/full is a full disk. */
  files.max_bytes = G_MAXUINT64;
  close (files.room);
  files.room = open ("/dev/full", O_RDWR | O_CLOEXEC);
  g_assert_cmpint (files.room, >=, 0);
  g_free (first);
  first = kept_ask (model, kept_sentence, &stats);
  atl_chat_model_keep_conversations (model, 0, NULL, NULL);
  g_assert_cmpuint (files.n_ends, ==, 4);
  g_assert_cmpuint (files.n_kept, ==, 0);
  /* Dropped for its memory: kept first. */
  close (files.room);
  files.room = kept_new_file ();
  g_free (first);
  first = kept_ask (model, kept_sentence, &stats);
  g_assert_cmpuint (atl_chat_model_drop_conversation (model), >, 0);
  g_assert_cmpuint (files.n_kept, ==, stats.n_ctx_used);
  g_free (first);
  first = kept_ask (model, kept_sentence, &stats);
  g_assert_cmpuint (stats.n_cached, ==, stats.n_prompt - 1);
  atl_chat_model_free (model);
  kept_files_clear (&files);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name =
          g_strdup_printf ("%s-%s-%u", cases[i].family, cases[i].kv_type, cases[i].n_repeats);
      g_autofree char *cpu = g_strconcat ("/pipelines/kept/cpu/", name, NULL);
      g_autofree char *opencl = g_strconcat ("/pipelines/kept/opencl/", name, NULL);

      g_test_add_data_func (cpu, &cases[i], test_cpu);
      g_test_add_data_func (opencl, &cases[i], test_opencl);
    }
  g_test_add_func ("/pipelines/kept/strangers", test_strangers);
  g_test_add_func ("/pipelines/kept/limits", test_limits);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
