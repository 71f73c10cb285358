/* Models that are larger than the memory: with any budget for copied weights the same numbers. */
#include <string.h>

#include "model-fixture.h"

static const gint32 ids[] = { 1, 17, 45, 9, 88, 120, 3, 100, 14, 15, 16, 90 };

typedef struct
{
  const char *family, *file;
} Case;

static const Case cases[] = {
  { "llm-qwen2", "variants/q4_k_m/model.gguf" },
  { "llm-qwen2", "variants/q8_0/model.gguf" },
  { "llm-mixtral", "model.gguf" },
};

static AtlLlm *
load (AtlCheckpoint *cp, guint64 budget)
{
  AtlBackend *cpu = model_fixture_cpu (FALSE);
  AtlLlmOptions options = { .weight_budget = budget };
  g_autoptr (GError) error = NULL;
  AtlLlm *llm = atl_llm_new (cp, &cpu, 1, &options, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  return llm;
}

/* Logits after the prompt at once, then of two tokens one by one. */
static float *
logits (AtlLlm *llm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, 32, ATL_DTYPE_F16, &error);
  guint n_vocab = atl_llm_info (llm)->n_vocab;
  float *all = g_new (float, 3 * n_vocab);

  g_assert_no_error (error);
  memcpy (all, model_fixture_feed (llm, cache, ids, 10), n_vocab * sizeof *all);
  for (guint i = 0; i < 2; i++)
    memcpy (all + (i + 1) * n_vocab, model_fixture_feed (llm, cache, ids + 10 + i, 1),
            n_vocab * sizeof *all);
  return all;
}

static void
test_same_numbers (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (c->family, c->file);
  g_autoptr (AtlLlm) whole = load (cp, 0);
  g_autofree float *expected = logits (whole);
  gsize size = 3 * atl_llm_info (whole)->n_vocab * sizeof (float);
  guint64 all = atl_llm_info (whole)->host_bytes;
  guint64 last = 0;

  g_assert_cmpuint (atl_llm_info (whole)->file_bytes, ==, 0);
  for (guint64 part = 0; part <= 4; part++)
    {
      guint64 budget = MAX (all * part / 4, 1);
      g_autoptr (AtlLlm) llm = load (cp, budget);
      const AtlLlmInfo *info = atl_llm_info (llm);
      g_autofree float *got = logits (llm);
      g_autofree char *words = atl_llm_placement (llm);

      g_test_message ("%s with %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes: %s", c->file,
                      info->host_bytes, all, words);
      g_assert_cmpmem (got, size, expected, size);
      g_assert_cmpuint (info->host_bytes, >=, last);
      last = info->host_bytes;
      if (part == 0 && all > 1000000)
        g_assert_cmpuint (info->host_bytes, <, all);
    }
  g_assert_cmpuint (last, ==, all);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strdup_printf ("/models/in-file/%s/%u", cases[i].family, (guint) i);

      g_test_add_data_func (path, &cases[i], test_same_numbers);
    }
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
