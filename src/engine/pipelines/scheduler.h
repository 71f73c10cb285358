/* Several turns of one model at the same time: one thread decodes them together.
 *
 *   AtlScheduler *scheduler = atl_scheduler_new (model, error);
 *   atl_scheduler_submit (scheduler, turn);     any thread; turn->done is called on the scheduler's
 *   atl_scheduler_free (scheduler);             ends every turn
 *
 * Each round computes a piece of one prompt and then a token of every answer, so that nobody waits
 * for somebody else's long prompt. Turns come and go between rounds. What a row of numbers becomes
 * does not depend on its company: a prompt is cut into pieces at places that give the same numbers
 * however many pieces there are, and answers share runs of few rows only.
 *
 * Threading: submit from any thread; the rest by the owner.
 */
#pragma once

#include "base/turnstile.h"
#include "engine/pipelines/chat-turn-private.h"

G_BEGIN_DECLS

typedef struct _AtlScheduler AtlScheduler;

/* For a model whose decoder, conversations and turnstile are there; all are borrowed. NULL with
 * ATL_ERROR_NO_MEMORY where no thread can be begun. */
AtlScheduler *atl_scheduler_new (AtlChatModel *model, GError **error);
/* Ends the turns that are left as stopped, then the thread. Not from inside the turnstile, unless
 * it is idle. Accepts NULL. */
void atl_scheduler_free (AtlScheduler *self);

/* Whatever can be guessed is, where it pays as well as where it does not: steps are not measured.
 * Before the first turn. */
void atl_scheduler_guess_always (AtlScheduler *self);

/* Runs the turn; its done() will be called. */
void atl_scheduler_submit (AtlScheduler *self, AtlChatTurn *turn);
/* No turn is under way. */
gboolean atl_scheduler_is_idle (AtlScheduler *self);

G_END_DECLS
