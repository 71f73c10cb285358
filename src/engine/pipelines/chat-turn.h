/* One answer: prompt, prefix reuse, prefill, sampling, streamed text, statistics.
 *
 *   AtlTurnOptions options = { .max_tokens = -1, .thinking = -1, .conversation = "chat-7" };
 *   atl_sampling_params_init (&options.sampling);
 *   turn = atl_chat_turn_new (model, messages, NULL, &options, &sink, cancellable, error);
 *   atl_chat_turn_start (turn, done_cb, self);
 *
 * What the model still holds of the conversation is not computed again: the longest common prefix
 * of its tokens and the new prompt stays. A cancel takes effect within one token or one piece of
 * the prompt and is no failure: the text so far stands, with stop_reason ATL_TURN_STOPPED. Turns of
 * one model run beside each other, and none changes another's text.
 *
 * Threading: see each function.
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
  const char *tool_choice;    /* (nullable) "auto", "required", or the tool that must be called */
  guint n_probs;              /* tell each token, and so many of the likeliest at its place */
  gboolean continue_last;
  gint thinking; /* -1 as the model likes, 0 off, 1 on */
  gboolean shift_context;
  gboolean speculate;       /* check guessed tokens several at a time; the text stays the same */
  const char *conversation; /* (nullable) names the chat whose beginning may be known already */
} AtlTurnOptions;

/* A token and how likely it was, before the sampler's parameters counted. */
typedef struct
{
  gint32 id;
  const char *text; /* valid UTF-8 */
  float logprob;    /* natural logarithm */
} AtlTurnToken;

typedef struct
{
  void (*prefill) (guint n_done, guint n_total, gpointer user_data);
  /* Whole characters of valid UTF-8. */
  void (*text) (const char *text, gboolean is_thinking, gpointer user_data);
  /* (nullable) A call of a tool, as soon as it is whole; `arguments` is a JSON object. */
  void (*call) (const char *id, const char *name, const char *arguments, gpointer user_data);
  /* (nullable) With n_probs: the token that was chosen, its text what it adds to the answer (maybe
   * nothing: half a character, a mark), and what else was likely there, itself included. It may
   * come before its text does. */
  void (*token) (const AtlTurnToken *token,
                 const AtlTurnToken *top,
                 guint n_top,
                 gboolean is_thinking,
                 gpointer user_data);
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
  guint n_prompt;                          /* tokens of the prompt, cached ones included */
  guint n_cached;                          /* of these, found in the cache */
  guint n_generated;                       /* the end token not counted */
  guint n_shifted;                         /* oldest tokens dropped to make room */
  guint n_calls;                           /* of tools */
  guint n_ctx_used;                        /* when the turn ended */
  guint n_drafted;                         /* tokens guessed ahead of the model */
  guint n_accepted;                        /* of these, confirmed by it */
  guint n_model_drafted, n_model_accepted; /* of these, what a draft model guessed */
  double prefill_s, generate_s, first_token_s, thinking_s;
  AtlTurnStop stop;
} AtlTurnStats;

typedef struct _AtlChatTurn AtlChatTurn;

/* Whether answers can keep to the options' JSON schema and calls to their tools, whatever the
 * model; what is wrong as atl_chat_turn_new() says it. Any thread. */
gboolean atl_chat_turn_check (const AtlTurnOptions *options, GError **error);

/* Prepares an answer to `messages` (a JSON array of messages), or one that goes on with `text`; the
 * other is NULL. Several threads may prepare turns of one loaded model. What the options point to
 * must stay until the turn is done.
 * Errors: ATL_ERROR_TOO_LONG when the prompt alone does not fit (naming both numbers),
 * ATL_ERROR_INVALID for messages, parameters and grammars. */
AtlChatTurn *atl_chat_turn_new (AtlChatModel *model,
                                JsonArray *messages,
                                const char *text,
                                const AtlTurnOptions *options,
                                const AtlTurnSink *sink,
                                GCancellable *cancellable,
                                GError **error);
/* It is not under way. Accepts NULL. */
void atl_chat_turn_free (AtlChatTurn *self);

/* Computes it beside the model's other turns. The sink and, once at the end, done() run on the
 * model's thread; done() may free the turn. */
void atl_chat_turn_start (AtlChatTurn *self,
                          void (*done) (AtlChatTurn *turn, gpointer user_data),
                          gpointer user_data);
/* When it is done. */
const AtlTurnStats *atl_chat_turn_stats (const AtlChatTurn *self);
/* (nullable) Why it ended early: ATL_ERROR_TOO_COMPLEX, ATL_ERROR_DEVICE, ATL_ERROR_NO_MEMORY. */
const GError *atl_chat_turn_error (const AtlChatTurn *self);

/* All of this in one call, waiting for the end. Not on the model's thread. */
gboolean atl_chat_turn_run (AtlChatModel *model,
                            JsonArray *messages,
                            const char *text,
                            const AtlTurnOptions *options,
                            const AtlTurnSink *sink,
                            GCancellable *cancellable,
                            AtlTurnStats *stats,
                            GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatTurn, atl_chat_turn_free)

G_END_DECLS
