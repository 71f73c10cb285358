/* Where only the last token's logits are asked for, the last layer computes no more than they need:
 * the same numbers as with all tokens' logits, for every family and for several chats at once. */
#include <string.h>

#include "model-fixture.h"

#include "engine/models/llm/llm-private.h"

#define N_IDS 24
#define N_SECOND 9

static const gint32 ids[N_IDS] = { 1,  17, 45, 9,  88, 120, 3,  100, 14, 15, 16,  90,
                                   91, 92, 5,  33, 61, 7,   10, 11,  12, 70, 110, 42 };

/* The last logits of two chats in one pass, [2][n_vocab]. */
static float *
last_logits (AtlLlm *llm, gboolean all)
{
  const guint n_vocab = atl_llm_info (llm)->n_vocab;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) a = atl_llm_cache_new (llm, N_IDS, ATL_DTYPE_F32, &error);
  g_autoptr (AtlLlmCache) b = atl_llm_cache_new (llm, N_IDS, ATL_DTYPE_F32, &error);
  AtlLlmBatch batch[] = { { a, ids, N_IDS, all }, { b, ids + 3, N_SECOND, all } };
  float *out = g_new (float, 2 * n_vocab);

  g_assert_no_error (error);
  atl_llm_decode (llm, batch, 2, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_llm_n_logits (llm), ==, all ? N_IDS + N_SECOND : 2);
  memcpy (out, atl_llm_logits (llm, all ? N_IDS - 1 : 0), n_vocab * sizeof *out);
  memcpy (out + n_vocab, atl_llm_logits (llm, all ? N_IDS + N_SECOND - 1 : 1),
          n_vocab * sizeof *out);
  return out;
}

static void
test_same_numbers (gconstpointer data)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open_path (data);
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  g_autofree float *want = last_logits (llm, TRUE);
  g_autofree float *got = last_logits (llm, FALSE);
  const double distance = model_fixture_distance (got, want, 2 * atl_llm_info (llm)->n_vocab);

  g_test_message ("%s: %g", (const char *) data, distance);
  g_assert_cmpfloat (distance, <=, 2e-5);
}

/* Linear nodes whose results have `n_rows` rows. */
static guint
count_products (AtlLlm *llm, const AtlLlmCache *cache, guint n_tokens, guint n_output, guint n_rows)
{
  const AtlDecoderSegment segment = { n_tokens, cache->states };
  g_autoptr (AtlGraph) graph = atl_decoder_graph (&llm->decoder, &segment, 1, n_output);
  guint n = 0;

  for (guint i = 0; i < atl_graph_n_nodes (graph); i++)
    {
      const AtlNode *node = atl_graph_node (graph, i);

      n += node->op == ATL_OP_LINEAR && node->dst->dim[0] == n_rows;
    }
  return n;
}

/* Of a llama's last layer only keys and values are those of all tokens. */
static void
test_less_work (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, N_IDS, ATL_DTYPE_F32, &error);
  guint n_layer;

  g_assert_no_error (error);
  n_layer = llm->decoder.h.n_layer;
  /* A layer: queries, keys and values; output; gate and up; down. */
  g_assert_cmpuint (count_products (llm, cache, N_IDS, N_IDS, N_IDS), ==, 4 * n_layer + 1);
  g_assert_cmpuint (count_products (llm, cache, N_IDS, 1, N_IDS), ==, 4 * (n_layer - 1) + 1);
  g_assert_cmpuint (count_products (llm, cache, N_IDS, 1, 1), ==, 5);
  g_assert_cmpuint (count_products (llm, cache, N_IDS, 0, N_IDS), ==, 4 * (n_layer - 1) + 1);
}

int
main (int argc, char **argv)
{
  g_autoptr (GPtrArray) models = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  models = model_fixture_models ();
  for (guint i = 0; i < models->len; i++)
    {
      g_autofree char *name = g_strdup_printf ("/models/last-rows/%u", i);

      g_test_add_data_func (name, models->pdata[i], test_same_numbers);
    }
  g_test_add_func ("/models/last-rows/less-work", test_less_work);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
