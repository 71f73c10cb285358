/* Results of attention that stand for those of later steps, block by block, while all else is
 * computed (the function "forward_attention" of blocks/stages.h).
 *
 * - TaylorSeer (Liu et al. 2025; diffusers 0.42.1): of steps that are not computed all of them are
 *   foretold (series.h).
 * - Pyramid attention broadcast (Zhao et al. 2024; diffusers 0.42.1): while the timestep is between
 *   two limits, attention over the picture is computed every so many steps, over text ("cross")
 *   every so many others, and repeated between.
 *
 * Threading: one thread.
 */
#pragma once

#include "engine/diffusion/series.h"
#include "engine/models/component.h"

G_BEGIN_DECLS

typedef struct _AtlAttentionCache AtlAttentionCache;

/* Runs the request's function; the caller's. NULL with an error. */
typedef GPtrArray *(*AtlPassFunc) (const AtlRequest *request, gpointer user_data, GError **error);

AtlAttentionCache *atl_attention_cache_new (void);
/* Accepts NULL. */
void atl_attention_cache_free (AtlAttentionCache *self);

/* Whether there is something to repeat. */
gboolean atl_attention_cache_is_filled (const AtlAttentionCache *self);
/* One step's "output"; attention over the picture, and over text, is computed, or else taken from
 * here; what is computed is kept with differences up to `order`. The caller's. */
AtlArray *atl_attention_cache_run (AtlAttentionCache *self,
                                   AtlRequest *request,
                                   guint step,
                                   gboolean compute_self,
                                   gboolean compute_cross,
                                   guint order,
                                   AtlPassFunc run,
                                   gpointer user_data,
                                   GError **error);
/* Of what is kept. */
guint64 atl_attention_cache_bytes (const AtlAttentionCache *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlAttentionCache, atl_attention_cache_free)

G_END_DECLS
