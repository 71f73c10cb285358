/* A second, smaller model that guesses what an answer of the first will say next.
 *
 *   AtlDraftModel *draft = atl_draft_model_new (llm, n_ctx, n_vocab, &room);
 *   n = atl_draft_model_guess (draft, &pace, &place, max, &guess);   the first model checks them
 *   atl_draft_model_note (draft, &pace, &place, &guess, n_accepted);
 *
 * Speculative decoding (Leviathan et al. 2023; Chen et al. 2023), with the likeliest token of the
 * small model as the guess. The large model chooses every token by itself, so that the text is the
 * same whatever is guessed. The small one keeps a cache of its own for each conversation.
 *
 * How far is guessed follows from how sure the small model is, how often it was right when it was
 * that sure, and the measured time of both models' steps. When it has not paid for some steps it
 * pauses, for longer each time.
 *
 * Threading: inside the turnstile, except for atl_draft_model_bytes(), and atl_draft_model_note()
 * on the thread that guesses.
 */
#pragma once

#include "engine/pipelines/conversations.h"
#include "engine/pipelines/draft.h"

G_BEGIN_DECLS

typedef struct _AtlDraftModel AtlDraftModel;

/* Where guesses are wanted, beyond what AtlDraftPlace says. */
typedef struct
{
  AtlDraftPlace place;
  const char *key;           /* of the conversation */
  guint n_left;              /* tokens that the answer may still have */
  gboolean is_first;         /* the answer has only begun */
  GCancellable *cancellable; /* (nullable) */
} AtlDraftContext;

typedef struct
{
  guint n;
  gint32 tokens[ATL_DRAFT_MAX];
  guint8 sureness[ATL_DRAFT_MAX]; /* class of each */
  double seconds;                 /* that guessing took; 0: it was not tried */
} AtlDraftGuess;

/* `llm` is borrowed. Guesses are below `n_vocab`. `room` as conversations want it. */
AtlDraftModel *
atl_draft_model_new (AtlLlm *llm, guint n_ctx, guint n_vocab, const AtlChatRoom *room);
/* Accepts NULL. */
void atl_draft_model_free (AtlDraftModel *self);

/* At most `max` guesses, maybe none; nothing that goes wrong is the answer's concern. */
void atl_draft_model_guess (AtlDraftModel *self,
                            const AtlPace *pace,
                            const AtlDraftContext *context,
                            guint max,
                            AtlDraftGuess *guess);
/* The first `n_accepted` were right. */
void atl_draft_model_note (AtlDraftModel *self,
                           const AtlPace *pace,
                           const AtlDraftPlace *place,
                           const AtlDraftGuess *guess,
                           guint n_accepted);

/* Frees all caches and lets go of the decoder, which may go then: from now on nothing is guessed.
 * FALSE, and nothing happens, while it is asked for room from inside a guess. */
gboolean atl_draft_model_retire (AtlDraftModel *self);

/* Memory of its caches; any thread. */
guint64 atl_draft_model_bytes (const AtlDraftModel *self);
/* As of AtlConversations. */
gint64 atl_draft_model_oldest (const AtlDraftModel *self);
guint64 atl_draft_model_drop_oldest (AtlDraftModel *self);

G_END_DECLS
