/* Steps of a walk whose denoiser need not be computed whole: "faster, slightly different". One
 * memory for each of a step's passes (positive and negative conditioning).
 *
 *   AtlStepCache *cache = atl_step_cache_new (&rule, 0, lead);
 *   AtlArray *out = atl_step_cache_run (cache, request, run, user_data, error);
 *
 * Methods, with mean|…| over all numbers and p the pass before:
 * - EASY (EasyCache, Zhou et al. 2025): k = mean|v_a - v_b| / mean|x_a - x_b| of the last two
 * computed passes, x the latent and v the output. While the sum of k mean|x - x_p| / mean|v| stays
 * below the threshold the output is x + (v_c - x_c) of the last computed one.
 * - TEA (TeaCache, Liu et al. 2024): the sum of polynomial (mean|g - g_p| / mean|g_p|) of what the
 *   network makes of its input first ("probe") stays below the threshold; the blocks are left out,
 *   and what they added last time is added.
 * - FIRST_BLOCK (ParaAttention; diffusers 0.42.1 FirstBlockCache): what the first block adds, r, is
 *   like that of the last computed pass, mean|r - r_c| / mean|r_c| not above the threshold; the
 *   other blocks are left out, and what they added then is added.
 * - MAG (MagCache, Ma et al. 2025): of ratios known beforehand, sum of |1 - their product|.
 * - TAYLOR (TaylorSeer, Liu et al. 2025, lite): every `interval`-th output is computed, the others
 *   follow from differences up to `order` (series.h).
 * - TAYLOR_ATTENTION (the same, whole): so is what attention gives in each block; all else is
 *   computed (attention-cache.h).
 * - PYRAMID (pyramid attention broadcast, Zhao et al. 2024): attention is repeated.
 *
 * Threading: one thread.
 */
#pragma once

#include "engine/diffusion/attention-cache.h"
#include "engine/models/component.h"

G_BEGIN_DECLS

/* Below so many steps, as few-step models have, every one of them is computed. */
#define ATL_STEP_CACHE_LEAST 10

typedef enum
{
  ATL_SKIP_EASY,
  ATL_SKIP_TEA,
  ATL_SKIP_FIRST_BLOCK,
  ATL_SKIP_MAG,
  ATL_SKIP_TAYLOR,
  ATL_SKIP_TAYLOR_ATTENTION,
  ATL_SKIP_PYRAMID
} AtlSkipMethod;

typedef struct
{
  AtlSkipMethod method;
  double threshold;
  guint n_steps;
  guint n_first, n_last; /* of the steps; always computed */
  double polynomial[5];  /* TEA: the highest power first */
  const char *probe;     /* TEA: the output that is compared */
  const double *ratios;  /* MAG: one a step; outlives the cache */
  guint max_skips;       /* in a row; 0: no limit, but with MAG */
  guint interval, order; /* TAYLOR, TAYLOR_ATTENTION */
  /* PYRAMID: every how many steps, between timesteps (neither included) as the network has them. */
  guint self_every, cross_every;
  double timesteps[2];
} AtlStepRule;

typedef struct _AtlStepCache AtlStepCache;

/* `first` is the step that it is asked for first: 0, but for a network that comes in later. `lead`
 * (nullable, outlives it) decides for both with EASY: the positive pass, which runs before. */
AtlStepCache *atl_step_cache_new (const AtlStepRule *rule, guint first, const AtlStepCache *lead);
/* Accepts NULL. */
void atl_step_cache_free (AtlStepCache *self);

/* The next step's "output" for a request for "forward", which becomes one for other functions
 * (blocks/stages.h) and gets their arrays. The caller's. */
AtlArray *atl_step_cache_run (
    AtlStepCache *self, AtlRequest *request, AtlPassFunc run, gpointer user_data, GError **error);
/* Where nothing is computed: runs every function once that a walk runs, and tells how many bytes a
 * cache holds then. FALSE with an error. */
gboolean atl_step_cache_count (const AtlStepRule *rule,
                               AtlRequest *request,
                               AtlPassFunc run,
                               gpointer user_data,
                               AtlArray **output,
                               guint64 *bytes,
                               GError **error);

/* Of the last step: whether all of it was computed; what was compared (below 0: nothing), and what
 * the threshold was compared with. */
gboolean atl_step_cache_computed (const AtlStepCache *self);
double atl_step_cache_indicator (const AtlStepCache *self);
double atl_step_cache_sum (const AtlStepCache *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlStepCache, atl_step_cache_free)

G_END_DECLS
