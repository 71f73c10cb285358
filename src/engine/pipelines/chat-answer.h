/* One answer in the making: which token comes next, and what the tokens become.
 *
 *   g_autoptr (AtlChatAnswer) answer =
 *       atl_chat_answer_new (model, &options, &sink, prompt_ids, is_thinking, FALSE, error);
 *   while (atl_chat_answer_sample (answer, logits, &id, error) && !is_eog (id))
 *     if (atl_chat_answer_push (answer, id)) break;       a stop string came
 *   atl_chat_answer_finish (answer);                      what was held back comes out
 *
 * It holds everything of a sequence but its place in the cache: sampler, grammar, and the way from
 * ids through characters and marks to the sink. Whoever decodes (one sequence or many at a time)
 * hands in logits and takes ids.
 *
 * Threading: one thread at a time; several answers of one model may live side by side.
 */
#pragma once

#include "engine/pipelines/chat-turn.h"

G_BEGIN_DECLS

typedef struct _AtlChatAnswer AtlChatAnswer;

/* `prompt` are the ids in front (gint32), `is_thinking` whether they end inside a thinking section,
 * `continues` whether they end in text that the answer goes on with. Options and sink are borrowed.
 * Errors: ATL_ERROR_INVALID for parameters and grammars. */
AtlChatAnswer *atl_chat_answer_new (AtlChatModel *model,
                                    const AtlTurnOptions *options,
                                    const AtlTurnSink *sink,
                                    const GArray *prompt,
                                    gboolean is_thinking,
                                    gboolean continues,
                                    GError **error);
void atl_chat_answer_free (AtlChatAnswer *self);

/* Chooses the next token from logits[n_vocab], which do not change. ATL_ERROR_TOO_COMPLEX when the
 * grammar allows none, ATL_ERROR_DEVICE when the numbers do not. */
gboolean
atl_chat_answer_sample (AtlChatAnswer *self, const float *logits, gint32 *id, GError **error);
/* The token, no end of generation, is now part of the answer. TRUE when a stop string came. */
gboolean atl_chat_answer_push (AtlChatAnswer *self, gint32 id);
/* The answer ends here although the model did not end it: what a grammar, schema or required call
 * still wants is put behind it, as briefly as can be, so that it can be read. Before finish. */
void atl_chat_answer_complete (AtlChatAnswer *self);
/* No token will follow: text held back goes out. */
void atl_chat_answer_finish (AtlChatAnswer *self);
guint atl_chat_answer_n_calls (const AtlChatAnswer *self);
/* Seconds spent in thinking sections so far. */
double atl_chat_answer_thinking_s (const AtlChatAnswer *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatAnswer, atl_chat_answer_free)

G_END_DECLS
