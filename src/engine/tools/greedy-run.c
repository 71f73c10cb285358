/* Reads greedy runs and measures a model against them. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/greedy-run.h"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"

void
greedy_run_free (GreedyRun *self)
{
  if (self == NULL)
    return;
  g_free (self->prompt);
  g_free (self->prompt_ids);
  g_free (self->generated);
  g_free (self->gaps);
  g_free (self->nll);
  g_free (self);
}

static gint32 *
read_ids (JsonObject *object, const char *member, guint *n)
{
  JsonArray *list = atl_json_array (object, member);
  gint32 *ids;

  *n = list != NULL ? json_array_get_length (list) : 0;
  ids = g_new (gint32, MAX (*n, 1));
  for (guint i = 0; i < *n; i++)
    ids[i] = (gint32) json_array_get_int_element (list, i);
  return ids;
}

/* NULL unless there are `n` of them. */
static double *
read_numbers (JsonObject *object, const char *member, guint n)
{
  JsonArray *list = atl_json_array (object, member);
  double *numbers;

  if (list == NULL || n == 0 || json_array_get_length (list) != n)
    return NULL;
  numbers = g_new (double, n);
  for (guint i = 0; i < n; i++)
    numbers[i] = json_array_get_double_element (list, i);
  return numbers;
}

static GreedyRun *
read_run (JsonObject *object)
{
  GreedyRun *self = g_new0 (GreedyRun, 1);
  JsonArray *top = atl_json_array (object, "last_prompt_logits_top10");

  self->prompt = g_strdup (
      atl_json_string (object, "rendered_prompt", atl_json_string (object, "prompt", NULL)));
  self->prompt_ids = read_ids (object, "prompt_ids", &self->n_prompt);
  self->generated = read_ids (object, "generated_ids", &self->n_generated);
  self->gaps = read_numbers (object, "gaps", self->n_generated);
  self->logsumexp = atl_json_double (object, "last_prompt_logsumexp", NAN);
  if (self->n_prompt > 0)
    self->nll = read_numbers (object, "prompt_nll", self->n_prompt - 1);
  self->n_top = top != NULL ? MIN (json_array_get_length (top), G_N_ELEMENTS (self->top_ids)) : 0;
  for (guint i = 0; i < self->n_top; i++)
    {
      JsonArray *pair = json_array_get_array_element (top, i);
      self->top_ids[i] = (gint32) json_array_get_int_element (pair, 0);
      self->top_logits[i] = json_array_get_double_element (pair, 1);
    }
  return self;
}

GPtrArray *
greedy_runs_read (const char *path, guint *n_vocab, GError **error)
{
  g_autoptr (GPtrArray) runs = g_ptr_array_new_with_free_func ((GDestroyNotify) greedy_run_free);
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) root = NULL;
  JsonArray *list = NULL;
  gsize size;

  if (!g_file_get_contents (path, &text, &size, error))
    return NULL;
  root = atl_json_parse (text, size, path, error);
  if (root == NULL)
    return NULL;
  if (JSON_NODE_HOLDS_OBJECT (root))
    list = atl_json_array (json_node_get_object (root), "runs");
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    g_ptr_array_add (runs, read_run (json_array_get_object_element (list, i)));
  for (guint i = 0; i < runs->len; i++)
    if (((GreedyRun *) runs->pdata[i])->n_prompt == 0)
      g_ptr_array_set_size (runs, 0);
  if (runs->len == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s holds no greedy runs", path);
      return NULL;
    }
  if (n_vocab != NULL)
    *n_vocab = (guint) atl_json_int (json_node_get_object (root), "n_vocab", 0);
  return g_steal_pointer (&runs);
}

/* --- Measuring --- */

static gint32
arg_max (const float *logits, guint n)
{
  guint best = 0;

  for (guint i = 1; i < n; i++)
    if (logits[i] > logits[best])
      best = i;
  return (gint32) best;
}

static double
log_sum_exp (const float *logits, guint n)
{
  double max = logits[arg_max (logits, n)], sum = 0.0;

  for (guint i = 0; i < n; i++)
    sum += exp (logits[i] - max);
  return max + log (sum);
}

/* fabs() that lets no NAN pass for small. */
static double
distance (double a, double b)
{
  double d = fabs (a - b);

  return isnan (d) ? INFINITY : d;
}

static void
compare_step (
    const GreedyRun *run, guint step, const float *logits, guint n_vocab, guint *n, double *gap)
{
  gint32 id = run->generated[step], best = arg_max (logits, n_vocab);

  if (best == id)
    return;
  (*n)++;
  *gap = MAX (*gap, run->gaps != NULL ? run->gaps[step] : distance (logits[best], logits[id]));
}

static void
compare_best (const GreedyRun *run, const float *logits, guint n_vocab, GreedyResult *result)
{
  gboolean normalized = !isnan (run->logsumexp);
  double shift = normalized ? log_sum_exp (logits, n_vocab) : 0.0;

  for (guint i = 0; i < run->n_top; i++)
    {
      double want = run->top_logits[i] - (normalized ? run->logsumexp : 0.0);
      double got = logits[run->top_ids[i]] - shift;
      result->max_delta = MAX (result->max_delta, distance (got, want));
    }
}

/* Everything in one go, as a prompt is processed. */
static gboolean
measure_at_once (
    AtlLlm *llm, const GreedyRun *run, AtlDType kv_dtype, GreedyResult *result, GError **error)
{
  guint n = run->n_prompt + run->n_generated, n_vocab = atl_llm_info (llm)->n_vocab;
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, n, kv_dtype, error);
  g_autofree gint32 *ids = g_new (gint32, n);
  AtlLlmBatch batch = { cache, ids, n, TRUE };

  if (cache == NULL)
    return FALSE;
  memcpy (ids, run->prompt_ids, run->n_prompt * sizeof *ids);
  memcpy (ids + run->n_prompt, run->generated, run->n_generated * sizeof *ids);
  if (!atl_llm_decode (llm, &batch, 1, NULL, error))
    return FALSE;
  for (guint i = 0; i < run->n_generated; i++)
    compare_step (run, i, atl_llm_logits (llm, run->n_prompt - 1 + i), n_vocab,
                  &result->n_changed_at_once, &result->gap_changed_at_once);
  compare_best (run, atl_llm_logits (llm, run->n_prompt - 1), n_vocab, result);
  for (guint i = 0; run->nll != NULL && i + 1 < run->n_prompt; i++)
    {
      const float *logits = atl_llm_logits (llm, i);
      double nll = log_sum_exp (logits, n_vocab) - logits[run->prompt_ids[i + 1]];
      result->max_nll_delta = MAX (result->max_nll_delta, distance (nll, run->nll[i]));
    }
  return TRUE;
}

/* The prompt, then a token a step: the reference's ids, or the model's own when `free_running`. */
static gboolean
measure_stepwise (AtlLlm *llm,
                  const GreedyRun *run,
                  AtlDType kv_dtype,
                  gboolean free_running,
                  GreedyResult *result,
                  GError **error)
{
  guint n = run->n_prompt + run->n_generated, n_vocab = atl_llm_info (llm)->n_vocab;
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, n, kv_dtype, error);
  AtlLlmBatch prompt = { cache, run->prompt_ids, run->n_prompt, FALSE };

  if (cache == NULL || !atl_llm_decode (llm, &prompt, 1, NULL, error))
    return FALSE;
  if (!free_running)
    compare_best (run, atl_llm_logits (llm, 0), n_vocab, result);
  for (guint i = 0; i < run->n_generated; i++)
    {
      gint32 id = run->generated[i];
      AtlLlmBatch batch = { cache, &id, 1, FALSE };

      if (free_running && arg_max (atl_llm_logits (llm, 0), n_vocab) != id)
        break; /* from here on the texts differ */
      if (free_running)
        result->n_free++;
      else
        compare_step (run, i, atl_llm_logits (llm, 0), n_vocab, &result->n_changed,
                      &result->gap_changed);
      if (i + 1 < run->n_generated && !atl_llm_decode (llm, &batch, 1, NULL, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
greedy_run_measure (
    AtlLlm *llm, const GreedyRun *run, AtlDType kv_dtype, GreedyResult *result, GError **error)
{
  guint n_vocab = atl_llm_info (llm)->n_vocab;

  *result = (GreedyResult){ .n_steps = run->n_generated, .run = run };
  for (guint i = 0; i < run->n_generated; i++)
    if (run->generated[i] < 0 || (guint) run->generated[i] >= n_vocab)
      {
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     "The run has the id %d; the model's vocabulary ends at %u", run->generated[i],
                     n_vocab - 1);
        return FALSE;
      }
  for (guint i = 0; i < run->n_top; i++)
    if (run->top_ids[i] < 0 || (guint) run->top_ids[i] >= n_vocab)
      {
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "The run is of another vocabulary");
        return FALSE;
      }
  return measure_at_once (llm, run, kv_dtype, result, error) &&
         measure_stepwise (llm, run, kv_dtype, FALSE, result, error) &&
         measure_stepwise (llm, run, kv_dtype, TRUE, result, error);
}

gboolean
greedy_result_is_good (const GreedyResult *self, double gap, double delta)
{
  guint must = self->n_steps;

  for (guint i = 0; self->run->gaps != NULL && i < must; i++)
    if (self->run->gaps[i] < gap)
      must = i;
  /* Without gaps a changed step was judged by itself, and free-running may go astray there. */
  if (self->run->gaps == NULL && self->n_changed > 0)
    must = 0;
  return self->gap_changed <= gap && self->gap_changed_at_once <= gap && self->max_delta <= delta &&
         self->max_nll_delta <= delta && self->n_free >= must;
}
