/* Leaving out steps of a run, or parts of them (step-cache.h): which rule holds for its denoiser,
 * and the memories of a step's passes.
 *
 *   AtlPasses *passes = atl_passes_new (run, "transformer", n_steps);
 *   for each step:
 *     atl_passes_predict (passes, scaled, predict_step, data, out, error)
 *
 * Rules, by strength 1, 2, 3 of the setting "faster": TeaCache where its authors fitted a
 * polynomial (Flux.1, Wan 2.1, HiDream-I1 Full), else the first block's where the network answers
 * in parts, else EasyCache. The setting "faster_method" asks for another: "teacache",
 * "first-block", "easycache", "taylor" (of outputs), and, for networks that answer
 * "forward_attention", "taylor-attention" and "pyramid"; what is not there gives way to the next
 * best. Of two networks that draw one after another each has its own memory.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* NULL where every step is computed: no such setting, few steps. */
AtlPasses *atl_passes_new (AtlRun *run, const char *role, guint n_steps);
/* The name of its rule, one of those of "faster_method"; NULL where every step is computed, and
 * `self` is NULL. Static. */
const char *atl_passes_method (const AtlPasses *self);
/* Accepts NULL. */
void atl_passes_free (AtlPasses *self);

/* One step's prediction for the latent x into `out`; borrowed. */
typedef gboolean (*AtlPassesFunc) (const AtlArray *x,
                                   AtlArray *out,
                                   gpointer user_data,
                                   GError **error);

/* One step: `predict` itself, whose passes come to atl_passes_forward() one after another, or what
 * is foretold. `*computed`: whether its first pass was computed whole. */
gboolean atl_passes_predict (AtlPasses *self,
                             const AtlArray *x,
                             AtlPassesFunc predict,
                             gpointer user_data,
                             AtlArray *out,
                             gboolean *computed,
                             GError **error);
/* The "output" of one pass of the part `role`; the caller's. */
AtlArray *
atl_passes_forward (AtlPasses *self, const char *role, AtlRequest *request, GError **error);
/* Whether passes of that part come here. */
gboolean atl_passes_concerns (const AtlPasses *self, const char *role, const char *function);

/* The words of the setting "faster_method": "auto", then the methods. NULL-terminated, static. */
const char *const *atl_passes_methods (void);

/* What a rule is for. */
typedef struct
{
  const AtlDiffusionFamily *family;
  const AtlComponentClass *klass;
  const AtlCheckpoint *cp;
  gboolean is_pair;   /* of networks that draw one after another, which nothing was fitted to */
  gboolean is_guided; /* by a text that is not wanted; what was taught its guidance differs */
} AtlStepNetwork;

/* TeaCache as its authors fitted it to a network (ali-vilab/TeaCache 7c10efc). */
typedef struct
{
  double polynomial[5]; /* the highest power first */
  double thresholds[3]; /* of the strengths */
  guint first_of;       /* the first of so many parts of the steps is computed; 0: the first step */
} AtlTeaFit;

/* `method` nullable, as is "auto". FALSE where `strength` is not 1, 2 or 3. */
gboolean atl_passes_rule (const AtlStepNetwork *network,
                          const char *method,
                          double strength,
                          guint n_steps,
                          AtlStepRule *rule);

G_END_DECLS
