/* How much guessing ahead brings on a real model: `atelier-cli bench --draft FILE MODEL`.
 *
 * Answers to a few questions of different kinds, as people get them: plain, with prompt lookup, and
 * with a draft model as well. The texts must be the same.
 *
 * Threading: one measurement at a time.
 */
#pragma once

#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct
{
  const char *model; /* paths */
  const char *draft; /* (nullable) prompt lookup only */
  guint n_generate;  /* tokens of each answer at most */
  guint n_repeats;
  double temperature;
  gboolean json;
} BenchDraftPlan;

/* Prints a line for each question. `backends` as for models. Errors: those of loading;
 * ATL_ERROR_INVALID when a text changed. */
gboolean bench_draft_run (const BenchDraftPlan *plan,
                          AtlBackend *const *backends,
                          guint n_backends,
                          GError **error);

G_END_DECLS
