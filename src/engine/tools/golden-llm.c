/* Golden cases of language models: logits fed whole, one by one, in threes and beside another
 * sequence, then the greedy continuation. */
#define G_LOG_DOMAIN "atl-tools"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/convert/hf-adapter.h"
#include "engine/convert/hf.h"
#include "engine/models/llm/llm.h"
#include "engine/tools/golden-case.h"

static GArray *
read_ids (JsonObject *params, const char *member)
{
  JsonArray *list = atl_json_array (params, member);
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    {
      gint32 id = (gint32) json_array_get_int_element (list, i);
      g_array_append_val (ids, id);
    }
  return ids;
}

/* Feeds the tokens in steps of `step` and collects all logits. With a neighbour, its cache is fed
 * the same tokens backwards in the same batches. */
static gboolean
feed (AtlLlm *llm,
      AtlLlmCache *cache,
      AtlLlmCache *neighbor,
      const GArray *ids,
      guint step,
      AtlArray *logits,
      GError **error)
{
  guint n_vocab = atl_llm_info (llm)->n_vocab;
  g_autofree gint32 *reversed = g_new (gint32, ids->len);

  for (guint i = 0; i < ids->len; i++)
    reversed[i] = g_array_index (ids, gint32, ids->len - 1 - i);
  for (guint start = 0; start < ids->len; start += step)
    {
      guint n = MIN (step, ids->len - start);
      AtlLlmBatch batch[2] = {
        { cache, (const gint32 *) ids->data + start, n, TRUE },
        { neighbor, reversed + start, n, TRUE },
      };

      if (!atl_llm_decode (llm, batch, neighbor != NULL ? 2 : 1, NULL, error))
        return FALSE;
      for (guint i = 0; i < n; i++)
        memcpy (atl_array_f32 (logits) + (gsize) (start + i) * n_vocab, atl_llm_logits (llm, i),
                n_vocab * sizeof (float));
    }
  return TRUE;
}

static gint32
arg_max (const float *logits, guint n)
{
  guint best = 0;

  for (guint i = 1; i < n; i++)
    if (logits[i] > logits[best])
      best = i;
  return (gint32) best;
}

/* Share of greedy steps that differ while the case's smallest gap says they must not. */
static gboolean
greedy_error (AtlLlm *llm,
              AtlLlmCache *cache,
              const GArray *greedy,
              const float *last,
              double *out,
              GError **error)
{
  guint n_vocab = atl_llm_info (llm)->n_vocab, n_wrong = 0;

  for (guint i = 0; i < greedy->len; i++)
    {
      gint32 id = g_array_index (greedy, gint32, i);
      AtlLlmBatch batch = { cache, &id, 1, FALSE };

      if (arg_max (last, n_vocab) != id)
        n_wrong++;
      if (!atl_llm_decode (llm, &batch, 1, NULL, error))
        return FALSE;
      last = atl_llm_logits (llm, 0);
    }
  *out = greedy->len > 0 ? (double) n_wrong / greedy->len : 0.0;
  return TRUE;
}

/* params.loras: [{"file": path, "scale": strength}], as for pictures. The checkpoints live in
 * `kept`.
 */
static gboolean
set_adapters (
    AtlLlm *llm, const GoldenCase *c, const AtlCheckpoint *base, GPtrArray *kept, GError **error)
{
  JsonArray *list = atl_json_array (c->params, "loras");
  guint n = list != NULL ? json_array_get_length (list) : 0;
  g_autofree AtlLlmAdapter *adapters = g_new0 (AtlLlmAdapter, n + 1);

  for (guint i = 0; i < n; i++)
    {
      JsonObject *entry = json_array_get_object_element (list, i);
      g_autoptr (AtlCheckpoint) files =
          golden_open (c, atl_json_string (entry, "file", ""), NULL, error);
      AtlCheckpoint *adapter = files != NULL ? atl_hf_adapter_adopt (files, base, error) : NULL;

      if (adapter == NULL)
        return FALSE;
      g_ptr_array_add (kept, adapter);
      adapters[i].cp = adapter;
      adapters[i].strength = atl_json_double (entry, "scale", 1);
    }
  return n == 0 || atl_llm_set_adapters (llm, adapters, n, error);
}

static gboolean
run (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend, GError **error)
{
  static const struct
  {
    const char *output;
    guint step;
    gboolean beside;
  } ways[] = {
    { "logits", G_MAXUINT / 2, FALSE },
    { "logits-one-by-one", 1, FALSE },
    { "logits-in-threes", 3, FALSE },
    { "logits-beside", G_MAXUINT / 2, TRUE },
  };
  g_autoptr (AtlCheckpoint) files = golden_open (c, c->model, NULL, error);
  g_autoptr (AtlCheckpoint) cp = files != NULL ? atl_hf_adopt (files, error) : NULL;
  g_autoptr (GPtrArray) kept =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_checkpoint_unref);
  g_autoptr (AtlLlm) llm = NULL;
  g_autoptr (GArray) ids = read_ids (c->params, "tokens");
  g_autoptr (GArray) greedy = read_ids (c->params, "greedy");
  AtlArray *expected = atl_arrays_find (c->expected, "logits");
  guint n_ctx = (guint) atl_json_int (c->params, "n_ctx", ids->len + greedy->len + 1);
  AtlLlmOptions options = { .n_gpu_layers = G_MAXUINT,
                            .n_cpu_experts = G_MAXUINT,
                            .n_ctx_hint = n_ctx };

  if (cp == NULL)
    return FALSE;
  if (expected == NULL || expected->n_dims != 2 || expected->dim[0] != ids->len)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: no expected logits", c->name);
      return FALSE;
    }
  llm = atl_llm_new (cp, backend->list, backend->n, &options, NULL, NULL, NULL, error);
  if (llm == NULL || !set_adapters (llm, c, cp, kept, error))
    return FALSE;
  n_ctx = MAX (n_ctx, ids->len + greedy->len);

  for (gsize w = 0; w < G_N_ELEMENTS (ways); w++)
    {
      g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, n_ctx, ATL_DTYPE_F32, error);
      g_autoptr (AtlLlmCache) neighbor = NULL;
      g_autoptr (AtlArray) got = atl_array_new (
          "logits", ATL_DTYPE_F32, 2, (gint64[]){ ids->len, atl_llm_info (llm)->n_vocab });
      double tolerance = golden_tolerance (c, backend), wrong = 0.0;

      if (cache == NULL)
        return FALSE;
      if (ways[w].beside &&
          (neighbor = atl_llm_cache_new (llm, n_ctx, ATL_DTYPE_F32, error)) == NULL)
        return FALSE;
      if (!feed (llm, cache, neighbor, ids, ways[w].step, got, error))
        return FALSE;
      golden_report_result (report, c, backend, ways[w].output, atl_array_rel_l2 (got, expected),
                            tolerance);
      if (w > 0)
        continue;
      if (!greedy_error (llm, cache, greedy,
                         atl_array_f32 (got) + (gsize) (ids->len - 1) * atl_llm_info (llm)->n_vocab,
                         &wrong, error))
        return FALSE;
      golden_report_result (report, c, backend, "greedy", wrong, 0.0);
    }
  return TRUE;
}

void
golden_run_llm (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  g_autoptr (GError) error = NULL;

  if (!run (report, c, backend, &error))
    golden_report_error (report, c, backend, error);
}
