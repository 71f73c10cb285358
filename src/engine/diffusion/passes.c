/* Choosing a rule, and a memory for each pass. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/passes.h"

#include <string.h>

#define MAX_PASSES 4 /* of a step: positive, negative and others */

struct _AtlPasses
{
  AtlRun *run; /* borrowed */
  char *role;  /* (owned) */
  AtlStepRule rule;
  AtlStepCache *caches[MAX_PASSES]; /* (owned) of the step itself where it is left out whole */
  guint pass;                       /* of the step, the one that comes next */
};

/* --- Rules --- */

/* TeaCache's, as its authors fitted them (ali-vilab/TeaCache 7c10efc). */
typedef struct
{
  double polynomial[5];
  double thresholds[3];
  const char *probe;
} Fitted;

static const Fitted flux_dev = { { 498.651651, -283.781631, 55.8554382, -3.82021401, 0.264230861 },
                                 { 0.25, 0.4, 0.6 },
                                 "probe" };
static const Fitted wan_t2v_1_3b = {
  { 2396.76752, -1311.10545, 201.331979, -8.29855975, 0.137887774 }, { 0.05, 0.065, 0.08 }, "probe"
};
static const Fitted wan_t2v_14b = { { -5784.54975374, 5449.50911966, -1811.16591783, 256.27178429,
                                      -13.02252404 },
                                    { 0.1, 0.14, 0.2 },
                                    "probe" };
static const Fitted wan_i2v_14b = {
  { -302.33167, 223.948934, -52.546397, 5.87348440, -0.201973289 }, { 0.13, 0.19, 0.26 }, "probe"
};

/* First-block's and EasyCache's thresholds; every how many steps Taylor's computes one. */
static const double of_first_block[] = { 0.06, 0.1, 0.15 };
static const double of_easy[] = { 0.025, 0.05, 0.1 };
static const guint of_taylor[] = { 3, 4, 5 };

static const AtlTensorInfo *
find (const AtlCheckpoint *cp, const char *name)
{
  g_autofree char *below = g_strconcat ("model.diffusion_model.", name, NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);

  return info != NULL ? info : atl_checkpoint_find (cp, below);
}

/* Wan 2.1's by the width of its blocks and the channels that it reads. */
static const Fitted *
fitted_wan (const AtlCheckpoint *cp)
{
  const AtlTensorInfo *info = find (cp, "patch_embedding.weight");

  if (info == NULL || info->n_dims != 5)
    return NULL;
  return info->dim[0] == 1536 && info->dim[1] == 16   ? &wan_t2v_1_3b
         : info->dim[0] == 5120 && info->dim[1] == 16 ? &wan_t2v_14b
         : info->dim[0] == 5120 && info->dim[1] == 36 ? &wan_i2v_14b
                                                      : NULL;
}

static const Fitted *
fitted (const AtlComponentClass *klass, const AtlCheckpoint *cp)
{
  return g_str_equal (klass->name, "flux")  ? &flux_dev
         : g_str_equal (klass->name, "wan") ? fitted_wan (cp)
                                            : NULL;
}

static gboolean
answers_in_parts (const AtlComponentClass *klass, const AtlCheckpoint *cp)
{
  return g_strv_contains (klass->functions, "forward_first") &&
         find (cp, "vace_patch_embedding.weight") == NULL;
}

gboolean
atl_passes_rule (const AtlComponentClass *klass,
                 const AtlCheckpoint *cp,
                 const char *method,
                 double strength,
                 guint n_steps,
                 AtlStepRule *rule)
{
  gboolean has_parts = answers_in_parts (klass, cp);
  const Fitted *known = has_parts ? fitted (klass, cp) : NULL;
  guint i = (guint) strength - 1;

  if (strength != 1.0 && strength != 2.0 && strength != 3.0)
    return FALSE;
  if (method == NULL)
    method = known != NULL ? "teacache" : has_parts ? "first-block" : "easycache";
  *rule = (AtlStepRule){ .n_steps = n_steps, .n_first = 1, .n_last = 1 };
  if (known != NULL && g_str_equal (method, "teacache"))
    {
      rule->method = ATL_SKIP_TEA;
      rule->threshold = known->thresholds[i];
      rule->probe = known->probe;
      memcpy (rule->polynomial, known->polynomial, sizeof rule->polynomial);
    }
  else if (has_parts && (g_str_equal (method, "first-block") || g_str_equal (method, "teacache")))
    {
      rule->method = ATL_SKIP_FIRST_BLOCK;
      rule->threshold = of_first_block[i];
    }
  else if (g_str_equal (method, "taylor"))
    {
      rule->method = ATL_SKIP_TAYLOR;
      rule->n_first = 3;
      rule->interval = of_taylor[i];
      rule->order = 1;
    }
  else
    {
      rule->method = ATL_SKIP_EASY;
      rule->threshold = of_easy[i];
      rule->n_first = MAX (3, n_steps / 5);
    }
  return TRUE;
}

/* --- Passes --- */

AtlPasses *
atl_passes_new (AtlRun *run, const char *role, guint n_steps)
{
  double strength = atl_settings_number (run->settings, "faster", 0);
  const char *method = atl_settings_string (run->settings, "faster_method", NULL);
  AtlCheckpoint *cp = atl_bundle_checkpoint (run->bundle, role, NULL);
  const AtlComponentClass *klass = NULL;
  AtlPasses *self;
  AtlStepRule rule;

  if (cp != NULL)
    klass = atl_component_class_for (cp, atl_bundle_class (run->bundle, role), "forward", NULL);
  if (klass == NULL || n_steps < ATL_STEP_CACHE_LEAST ||
      atl_bundle_has (run->bundle, "transformer_2") ||
      !atl_passes_rule (klass, cp, method, strength, n_steps, &rule))
    return NULL;
  self = g_new0 (AtlPasses, 1);
  self->run = run;
  self->role = g_strdup (role);
  self->rule = rule;
  return self;
}

void
atl_passes_free (AtlPasses *self)
{
  if (self == NULL)
    return;
  for (guint i = 0; i < MAX_PASSES; i++)
    atl_step_cache_free (self->caches[i]);
  g_free (self->role);
  g_free (self);
}

/* What leaves out whole steps looks at them from outside. */
static gboolean
is_outside (const AtlPasses *self)
{
  return self->rule.method == ATL_SKIP_EASY || self->rule.method == ATL_SKIP_TAYLOR;
}

gboolean
atl_passes_concerns (const AtlPasses *self, const char *role, const char *function)
{
  return self != NULL && !is_outside (self) && g_str_equal (role, self->role) &&
         g_str_equal (function, "forward");
}

static AtlStepCache *
cache_of (AtlPasses *self, guint pass)
{
  if (self->caches[pass] == NULL)
    self->caches[pass] = atl_step_cache_new (&self->rule, NULL);
  return self->caches[pass];
}

typedef struct
{
  AtlPassesFunc predict;
  gpointer user_data;
  AtlArray *out;
} Step;

/* A step as a pass. */
static GPtrArray *
run_step (const AtlRequest *request, gpointer user_data, GError **error)
{
  const Step *step = user_data;
  GPtrArray *outputs;

  if (!step->predict (atl_request_find (request, "latent"), step->out, step->user_data, error))
    return NULL;
  outputs = atl_arrays_new ();
  g_ptr_array_add (outputs, atl_array_copy (step->out, "output"));
  return outputs;
}

gboolean
atl_passes_predict (AtlPasses *self,
                    const AtlArray *x,
                    AtlPassesFunc predict,
                    gpointer user_data,
                    AtlArray *out,
                    gboolean *computed,
                    GError **error)
{
  Step step = { predict, user_data, out };
  g_autoptr (AtlRequest) request = NULL;
  g_autoptr (AtlArray) guess = NULL;

  *computed = TRUE;
  if (self != NULL)
    self->pass = 0;
  if (self == NULL || !is_outside (self) || self->run->count != NULL)
    {
      if (!predict (x, out, user_data, error))
        return FALSE;
      if (self != NULL && self->pass > 0 && self->run->count == NULL)
        *computed = atl_step_cache_computed (cache_of (self, 0));
      return TRUE;
    }
  request = atl_request_new ("forward");
  atl_request_add (request, atl_array_copy (x, "latent"));
  guess = atl_step_cache_run (cache_of (self, 0), request, run_step, &step, error);
  if (guess == NULL)
    return FALSE;
  *computed = atl_step_cache_computed (cache_of (self, 0));
  if (!*computed)
    memcpy (out->data, guess->data, atl_array_size (out));
  return TRUE;
}

static GPtrArray *
run_part (const AtlRequest *request, gpointer user_data, GError **error)
{
  AtlPasses *self = user_data;

  return atl_run_component (self->run, self->role, request, error);
}

AtlArray *
atl_passes_forward (AtlPasses *self, const char *role, AtlRequest *request, GError **error)
{
  AtlRunCount *count = self->run->count;
  guint pass = MIN (self->pass, MAX_PASSES - 1);
  AtlArray *output;
  guint64 bytes;

  self->pass++;
  if (count == NULL)
    return atl_step_cache_run (cache_of (self, pass), request, run_part, self, error);
  if (!atl_step_cache_count (&self->rule, request, run_part, self, &output, &bytes, error))
    return NULL;
  /* Each pass of a step has its own. */
  count->cache_bytes = MAX (count->cache_bytes, bytes * self->pass);
  return output;
}
