/* A turn on its way, shared by chat-turn.c (prompt, choosing tokens) and scheduler.c (computing).
 *
 * Threading: made and submitted on one thread, from then on until done() the scheduler's.
 */
#pragma once

#include "engine/pipelines/chat-answer.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/pipelines/conversations.h"
#include "engine/pipelines/draft.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_TURN_WAITING,  /* has no conversation yet */
  ATL_TURN_PREFILL,  /* conversation->ids is a beginning of `ids` */
  ATL_TURN_GENERATE, /* conversation->ids is all of `ids`, but for a few at the end that a model
                        with states computes again (share.h); `next` comes then */
  ATL_TURN_OVER,     /* stats.stop or error says how */
} AtlTurnPhase;

struct _AtlChatTurn
{
  AtlChatModel *model; /* borrowed */
  AtlTurnOptions options;
  AtlTurnSink sink;
  GCancellable *cancellable; /* (owned) */
  char *key;                 /* (owned) (nullable) */
  GArray *ids;               /* gint32: what is to be in the cache */
  AtlChatAnswer *answer;
  AtlTurnStats stats;
  GError *error;

  AtlTurnPhase phase;
  AtlConversation *conversation; /* (nullable) */
  gint32 next;                   /* chosen, not computed yet */
  AtlDraft draft;
  gboolean has_begun; /* the first prefill is over */
  gint64 started, computing_since;
  guint boundary; /* where the last message of the prompt ends; 0: unknown, or of no use */
  guint n_keep;   /* tokens at the beginning that a shift leaves alone */

  void (*done) (AtlChatTurn *turn, gpointer user_data);
  gpointer done_data;
};

/* Chooses the next token by the logits of the last one and sends its text; sets `next` or ends the
 * turn. Behind a full cache with shift_context the turn goes back to PREFILL. */
void atl_chat_turn_take_logits (AtlChatTurn *self, const float *logits);
/* The prompt is computed: the answer begins. */
void atl_chat_turn_begin_answer (AtlChatTurn *self);
/* Takes the error. A cancel counts as stopped. */
void atl_chat_turn_end (AtlChatTurn *self, GError *error);
/* Closes text and numbers; then done() may be called. */
void atl_chat_turn_close (AtlChatTurn *self);

G_END_DECLS
