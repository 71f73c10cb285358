/* The measurements behind `atelier-cli bench`: rounds of passes over one model.
 *
 *   BenchPlan plan = { .n_prompt = 512, .n_generate = 64, .n_repeats = 3, .depths = { 1, { 0 } },
 *                      .memory = memory };
 *   BenchResult result;
 *   bench_run (&plan, checkpoint, backends, n_backends, &result, error);
 *
 * Threading: one measurement at a time.
 */
#pragma once

#include "base/checkpoint.h"
#include "engine/tensor/backend.h"
#include "engine/tools/bench-memory.h"

G_BEGIN_DECLS

#define BENCH_MAX_REPEATS 32
#define BENCH_MAX_LIST 8
#define BENCH_MAX_CHATS 64

typedef struct
{
  guint n;
  guint value[BENCH_MAX_LIST];
} BenchList;

typedef struct
{
  guint n_prompt, n_generate, n_repeats; /* at least 1 */
  BenchList depths;                      /* tokens in the context; at least one */
  BenchList rows;                        /* tokens of one chat in a pass, logits of all */
  BenchList chats; /* chats with a token each in a pass, sampled; <= BENCH_MAX_CHATS */
  AtlDType kv_dtype;
  BenchMemory *memory; /* (nullable) read around decoding */
} BenchPlan;

/* Tokens per second if nothing else is said; doubles only. */
typedef struct
{
  double prefill;
  double decode[BENCH_MAX_LIST];                      /* at each depth */
  double rows[BENCH_MAX_LIST], chats[BENCH_MAX_LIST]; /* all tokens of the pass */
  double bandwidth; /* bytes per second that were read around decoding, the median */
  double bandwidth_best;
  double share; /* of the median, that decoding at the first depth reads of weights; all three are
                 * 0 without `memory` */
} BenchSpeeds;

typedef struct
{
  double load_s;
  guint64 bytes_per_token; /* weights read for one decoded token */
  BenchSpeeds speeds;      /* medians */
} BenchResult;

/* Sorts the values; n >= 1. */
double bench_median (double *values, int n);

/* Loads `cp` on the backends and runs n_repeats rounds of the plan after one that is not counted;
 * minutes with a large model. FALSE with the errors of loading, or of a pass. */
gboolean bench_run (const BenchPlan *plan,
                    AtlCheckpoint *cp,
                    AtlBackend **backends,
                    guint n_backends,
                    BenchResult *out,
                    GError **error);

G_END_DECLS
