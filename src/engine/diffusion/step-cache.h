/* Steps of a walk that need not be computed: "faster, slightly different" (EasyCache; Zhou et al.
 * 2025, "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive Caching").
 *
 * The denoiser's output v follows its input x: of the last two steps that were computed k = mean|v
 * - v'| / mean|x - x'|. While the sum of what the output is foretold to have changed, k mean|x_i -
 * x_(i-1)| / mean|v|, stays below a threshold, the output is x + (v_c - x_c) of the last computed
 * step c. The first steps and the last are always computed.
 *
 *   if (!atl_step_cache_guess (cache, x, v))
 *     { compute v; atl_step_cache_learn (cache, x, v); }
 *
 * Whatever passes a step takes (guidance) count as one output. Threading: one thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Below so many steps, as few-step models have, every one of them is computed. */
#define ATL_STEP_CACHE_LEAST 10

typedef struct _AtlStepCache AtlStepCache;

/* The threshold of a strength 1, 2 or 3; 0 for any other. */
double atl_step_cache_threshold (double strength);
/* For n_steps steps with n numbers each; the first n_first are computed. NULL where nothing would
 * be left out: threshold 0, or fewer steps than ATL_STEP_CACHE_LEAST. */
AtlStepCache *atl_step_cache_new (double threshold, guint n_steps, guint n_first, gsize n);
/* Accepts NULL. */
void atl_step_cache_free (AtlStepCache *self);
/* Of the steps in a walk: what is always computed at its head. */
guint atl_step_cache_first (guint n_steps);

/* Called once for each step. TRUE: v[n] is foretold; FALSE: it must be computed and learnt. */
gboolean atl_step_cache_guess (AtlStepCache *self, const float *x, float *v);
void atl_step_cache_learn (AtlStepCache *self, const float *x, const float *v);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlStepCache, atl_step_cache_free)

G_END_DECLS
