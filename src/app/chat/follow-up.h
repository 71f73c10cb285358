/* A new chat that goes on where a full one ends: with its last question and answer, and, when the
 * person wants it, a summary of all that was said, made by the model.
 *
 *   atl_follow_up_summarize_async (chat, progress_cb, self, cancellable, summarized_cb, self);
 *   ... g_autofree char *summary = atl_follow_up_summarize_finish (result, &error);
 *   gint64 id = atl_follow_up_start (chat, summary, &error);
 *
 * A chat that fills the context does not fit into it beside a question about it, so it is summed up
 * piece by piece: the summary so far and the next piece give the next summary.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/chat/conversation.h"

G_BEGIN_DECLS

/* Piece `part` of `n_parts`, from 1, begins. */
typedef void (*AtlFollowUpProgress) (guint part, guint n_parts, gpointer data);

/* `progress` may be NULL. ATL_ERROR_NOT_FOUND without a model; cancelled as usual. */
void atl_follow_up_summarize_async (AtlConversation *conversation,
                                    AtlFollowUpProgress progress,
                                    gpointer progress_data,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer data);
/* The caller's; never empty. */
char *atl_follow_up_summarize_finish (GAsyncResult *result, GError **error);

/* The id of the new chat, or 0. It keeps title, folder, instructions and settings; the last
 * question that was answered comes along with its answer, and where they would fill much of the
 * context again beside the `summary` (nullable), only the beginning of the question and the end of
 * the answer. What was asked after that is the draft of the new chat. */
gint64 atl_follow_up_start (AtlConversation *conversation, const char *summary, GError **error);

/* For tests: the conversation as the pieces that are summed up one after the other, each of at most
 * `max_chars` characters. The caller's. */
char **atl_follow_up_pieces (AtlConversation *conversation, guint max_chars);

G_END_DECLS
