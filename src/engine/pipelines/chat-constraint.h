/* What an answer must keep to: a grammar, a JSON schema, calls of tools; from the moment it holds.
 *
 * What is thought before an answer stays free, but may not be its end. Where a model may think
 * first, both are allowed until it has decided. Calls that it makes of its own accord are
 * constrained from the mark that opens them to the end of their section.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/answers/tool-set.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/chat-turn.h"

G_BEGIN_DECLS

typedef struct _AtlChatConstraint AtlChatConstraint;

/* Whether the answer must be calls or JSON, which nothing but its grammar may end. */
gboolean atl_chat_constraint_is_due (const AtlTurnOptions *options, const AtlToolSet *tools);

/* NULL without an error where nothing is asked for. The marks of thinking are borrowed. `tools`
 * (nullable): those that may be called. `may_think`: the model may open a thinking section by
 * itself; `after_thinking`: the prompt ended inside one. Errors: ATL_ERROR_INVALID and _TOO_COMPLEX
 * for grammars and schemas. */
AtlChatConstraint *atl_chat_constraint_new (AtlChatModel *model,
                                            const AtlTurnOptions *options,
                                            AtlToolSet *tools,
                                            const char *think_open,
                                            const char *think_close,
                                            gboolean may_think,
                                            gboolean after_thinking,
                                            GError **error);
void atl_chat_constraint_free (AtlChatConstraint *self);
/* Whether the options' schema and these tools (nullable) have a grammar, whatever the model. */
gboolean
atl_chat_constraint_check (const AtlTurnOptions *options, AtlToolSet *tools, GError **error);

/* Tells the sampler what holds for the next token. */
void atl_chat_constraint_apply (AtlChatConstraint *self, AtlSampler *sampler);
/* The token is part of the answer now; `is_thinking` after it. `opened` (nullable) is what followed
 * a mark that opens calls, if the token brought one. */
void atl_chat_constraint_accept (AtlChatConstraint *self,
                                 gint32 id,
                                 gboolean is_thinking,
                                 const char *opened);
/* Why nothing may come next, in words; static. */
const char *atl_chat_constraint_failure (const AtlChatConstraint *self);
/* What would make the answer whole if it ended here, "" if it is or need not be; the caller's. Is
 * the model thinking, this follows the end of that. */
char *atl_chat_constraint_rest (AtlChatConstraint *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatConstraint, atl_chat_constraint_free)

G_END_DECLS
