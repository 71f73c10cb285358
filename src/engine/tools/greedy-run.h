/* Greedy runs of a real model: what a reference engine generated in float32, and how far a backend
 * is from it.
 *
 *   g_autoptr (GPtrArray) runs = greedy_runs_read ("smollm2.greedy.json", &n_vocab, error);
 *   greedy_run_measure (llm, runs->pdata[0], ATL_DTYPE_F16, &result, error);
 *   if (!greedy_result_is_good (&result, 0.05, 0.05)) ...
 *
 * Threading: one thread.
 */
#pragma once

#include "engine/models/llm/llm.h"

G_BEGIN_DECLS

typedef struct
{
  char *prompt;       /* (owned) (nullable) the text behind prompt_ids */
  gint32 *prompt_ids; /* (owned) at least one */
  guint n_prompt;
  gint32 *generated; /* (owned) */
  guint n_generated;
  double *gaps;       /* (owned) (nullable) best minus second logit at each generated step */
  gint32 top_ids[10]; /* the best ids after the prompt */
  double top_logits[10];
  guint n_top;
  double logsumexp; /* of all logits after the prompt; NAN when the file does not say */
  double *nll;      /* (owned) (nullable) [n_prompt - 1] -log p of each prompt id but the first */
} GreedyRun;

typedef struct
{
  guint n_steps;
  /* Teacher-forced steps whose arg-max is another id, with the largest reference gap among them:
   * token by token, and fed in one go. Without gaps in the file: how far the given id is behind. */
  guint n_changed, n_changed_at_once;
  double gap_changed, gap_changed_at_once;
  double max_delta;     /* of the best ten's log-probabilities, or logits without logsumexp */
  double max_nll_delta; /* 0 without nll */
  guint n_free; /* ids that running freely has in common with the reference, from the start */
  /* Steps before the first one whose gap is below G, which free-running must have in common, are
   * counted by greedy_result_is_good() from here. */
  const GreedyRun *run;
} GreedyResult;

/* A *.greedy.json or *.golden.json file. (element-type GreedyRun) `*n_vocab` (nullable) 0 when the
 * file does not say. */
GPtrArray *greedy_runs_read (const char *path, guint *n_vocab, GError **error);
void greedy_run_free (GreedyRun *self);

/* `kv_dtype` is how the context is kept. `result` keeps a pointer to `run`. */
gboolean greedy_run_measure (
    AtlLlm *llm, const GreedyRun *run, AtlDType kv_dtype, GreedyResult *result, GError **error);
/* No arg-max turned where the gap is above `gap`, the ten best and the prompt's likelihoods are
 * within `delta`, and free-running is equal up to the first step whose gap is below `gap`. */
gboolean greedy_result_is_good (const GreedyResult *self, double gap, double delta);

G_END_DECLS
