/* From the protocol's parameters of an answer to the pipeline's.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/pipelines/chat-turn.h"
#include "protocol/chat-params.h"

G_BEGIN_DECLS

/* Fills `options`, which borrows strings from `params` and owns a reference on tools. A seed of -1
 * becomes a random one. ATL_ERROR_INVALID names what cannot be. */
gboolean
atl_turn_options_init (AtlTurnOptions *options, const AtlChatParams *params, GError **error);
void atl_turn_options_clear (AtlTurnOptions *options);

/* The D-Bus dictionary of a finished turn, floating. `queued_s`: seconds between acceptance and
 * start. */
GVariant *atl_turn_stats_to_variant (
    const AtlTurnStats *stats, double queued_s, guint n_ctx, const char *ran_on, guint64 seed);

G_END_DECLS
