/* One answer: prompt, prefix reuse, prefill, sampling, streamed text, statistics.
 *
 *   AtlTurnOptions options = { .max_tokens = -1, .thinking = -1 };
 *   atl_sampling_params_init (&options.sampling);
 *   atl_chat_turn_run (model, messages, NULL, &options, &sink, cancellable, &stats, error);
 *
 * What the cache still holds of earlier turns is not computed again: the longest common prefix of
 * its tokens and the new prompt stays. A cancel takes effect within one token or one prefill chunk
 * and is no failure: the text so far stands, with stop_reason ATL_TURN_STOPPED.
 *
 * Threading: one turn at a time per model; the sink runs on the calling thread.
 */
#pragma once

#include "engine/pipelines/chat-model.h"
#include "engine/samplers/sampler.h"

G_BEGIN_DECLS

typedef struct
{
  AtlSamplingParams sampling; /* with the seed to use */
  gint max_tokens;            /* -1: no limit */
  const char *const *stop;    /* (nullable) */
  const char *grammar;        /* (nullable) GBNF */
  const char *json_schema;    /* (nullable) excludes grammar */
  JsonArray *tools;           /* (nullable) */
  gboolean continue_last;
  gint thinking; /* -1 as the model likes, 0 off, 1 on */
  gboolean shift_context;
} AtlTurnOptions;

typedef struct
{
  void (*prefill) (guint n_done, guint n_total, gpointer user_data);
  /* Whole characters of valid UTF-8. */
  void (*text) (const char *text, gboolean is_thinking, gpointer user_data);
  gpointer user_data;
} AtlTurnSink;

typedef enum
{
  ATL_TURN_EOS,
  ATL_TURN_STOP_STRING,
  ATL_TURN_LENGTH,
  ATL_TURN_STOPPED,
  ATL_TURN_CONTEXT_FULL,
} AtlTurnStop;

typedef struct
{
  guint n_prompt;    /* tokens of the prompt, cached ones included */
  guint n_cached;    /* of these, found in the cache */
  guint n_generated; /* the end token not counted */
  guint n_shifted;   /* oldest tokens dropped to make room */
  guint n_ctx_used;  /* when the turn ended */
  double prefill_s, generate_s, first_token_s, thinking_s;
  AtlTurnStop stop;
} AtlTurnStats;

/* Answers `messages` (a JSON array of messages) or goes on with `text`; the other is NULL.
 * Errors: ATL_ERROR_FULL when the prompt alone does not fit (naming both numbers),
 * ATL_ERROR_INVALID for messages, parameters and grammars, ATL_ERROR_TOO_COMPLEX, ATL_ERROR_DEVICE.
 * `stats` is filled in every case. */
gboolean atl_chat_turn_run (AtlChatModel *model,
                            JsonArray *messages,
                            const char *text,
                            const AtlTurnOptions *options,
                            const AtlTurnSink *sink,
                            GCancellable *cancellable,
                            AtlTurnStats *stats,
                            GError **error);

G_END_DECLS
