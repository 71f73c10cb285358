/* Choosing a rule, and a memory for each pass. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/passes.h"

#include <math.h>
#include <string.h>

#include "engine/diffusion/family.h"
#include "engine/diffusion/part-checks.h"

#define MAX_PASSES 4 /* of a step: positive, negative and others */
#define MAX_NETWORKS 2
#define SECOND_ROLE "transformer_2"

struct _AtlPasses
{
  AtlRun *run; /* borrowed */
  char *role;  /* (owned) of the first network */
  gboolean is_pair;
  AtlStepRule rule;
  AtlStepCache *caches[MAX_NETWORKS][MAX_PASSES]; /* (owned) */
  guint step;                                     /* the one that comes next */
  guint pass;                                     /* of the step, the one that comes next */
  const AtlStepCache *first;                      /* of the step, its first pass's */
};

/* --- Rules --- */

/* First-block's and EasyCache's thresholds; every how many steps Taylor's computes one, and pyramid
 * attention broadcast attention over the picture and over text. */
static const double of_first_block[] = { 0.06, 0.1, 0.15 };
static const double of_easy[] = { 0.025, 0.05, 0.1 };
/* In a row, whatever is foretold: rules were fitted to 28 to 50 steps, and fewer are further apart.
 */
static const guint most_skips[] = { 2, 3, 5 };
static const guint of_taylor[] = { 3, 4, 5 };
static const guint of_pyramid[][2] = { { 2, 3 }, { 3, 5 }, { 4, 6 } };

static gboolean
answers (const AtlStepNetwork *network, const char *function)
{
  return g_strv_contains (network->klass->functions, function) &&
         atl_denoiser_find (network->cp, "vace_patch_embedding.weight") == NULL;
}

static void
set_tea (AtlStepRule *rule, const AtlTeaFit *fit, guint i)
{
  rule->method = ATL_SKIP_TEA;
  rule->threshold = fit->thresholds[i];
  rule->probe = "probe";
  memcpy (rule->polynomial, fit->polynomial, sizeof rule->polynomial);
  if (fit->first_of > 0)
    rule->n_first = MAX (1, rule->n_steps / fit->first_of);
}

static void
set_taylor (AtlStepRule *rule, AtlSkipMethod method, guint i)
{
  rule->method = method;
  rule->n_first = 3;
  rule->interval = of_taylor[i];
  rule->order = 1;
}

/* From timestep 800 down to 100 of 1000. */
static void
set_pyramid (AtlStepRule *rule, const AtlStepNetwork *network, guint i)
{
  double whole = network->family->first_timestep;

  rule->method = ATL_SKIP_PYRAMID;
  rule->self_every = of_pyramid[i][0];
  rule->cross_every = of_pyramid[i][1];
  rule->timesteps[0] = 0.1 * whole;
  rule->timesteps[1] = 0.8 * whole;
}

gboolean
atl_passes_rule (const AtlStepNetwork *network,
                 const char *method,
                 double strength,
                 guint n_steps,
                 AtlStepRule *rule)
{
  gboolean has_parts = answers (network, "forward_first");
  gboolean has_attention = answers (network, "forward_attention");
  const AtlTeaFit *fit = has_parts && !network->is_pair && network->family->tea_fit != NULL
                             ? network->family->tea_fit (network)
                             : NULL;
  guint i = (guint) strength - 1;

  if (strength != 1.0 && strength != 2.0 && strength != 3.0)
    return FALSE;
  if (method == NULL || g_str_equal (method, "auto"))
    method = fit != NULL ? "teacache" : has_parts ? "first-block" : "easycache";
  *rule =
      (AtlStepRule){ .n_steps = n_steps, .n_first = 1, .n_last = 1, .max_skips = most_skips[i] };
  if (fit != NULL && g_str_equal (method, "teacache"))
    set_tea (rule, fit, i);
  else if (has_parts && (g_str_equal (method, "first-block") || g_str_equal (method, "teacache")))
    {
      rule->method = ATL_SKIP_FIRST_BLOCK;
      rule->threshold = of_first_block[i];
    }
  else if (has_attention && g_str_equal (method, "taylor-attention"))
    set_taylor (rule, ATL_SKIP_TAYLOR_ATTENTION, i);
  else if (has_attention && g_str_equal (method, "pyramid"))
    set_pyramid (rule, network, i);
  else if (g_str_has_prefix (method, "taylor"))
    set_taylor (rule, ATL_SKIP_TAYLOR, i);
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
  AtlStepNetwork network = { .family = run->family,
                             .cp = atl_bundle_checkpoint (run->bundle, role, NULL),
                             .is_pair = atl_bundle_has (run->bundle, SECOND_ROLE),
                             .is_guided =
                                 atl_settings_number (run->settings, "guidance", INFINITY) > 1 };
  AtlPasses *self;
  AtlStepRule rule;

  if (network.cp != NULL)
    network.klass =
        atl_component_class_for (network.cp, atl_bundle_class (run->bundle, role), "forward", NULL);
  if (network.klass == NULL || n_steps < ATL_STEP_CACHE_LEAST ||
      !atl_passes_rule (&network, method, strength, n_steps, &rule))
    return NULL;
  self = g_new0 (AtlPasses, 1);
  self->run = run;
  self->role = g_strdup (role);
  self->is_pair = network.is_pair;
  self->rule = rule;
  return self;
}

/* By AtlSkipMethod, behind the one that leaves it to the rules. */
static const char *const method_names[] = { "auto",
                                            [1 + ATL_SKIP_EASY] = "easycache",
                                            [1 + ATL_SKIP_TEA] = "teacache",
                                            [1 + ATL_SKIP_FIRST_BLOCK] = "first-block",
                                            [1 + ATL_SKIP_MAG] = "magcache",
                                            [1 + ATL_SKIP_TAYLOR] = "taylor",
                                            [1 + ATL_SKIP_TAYLOR_ATTENTION] = "taylor-attention",
                                            [1 + ATL_SKIP_PYRAMID] = "pyramid",
                                            NULL };

const char *const *
atl_passes_methods (void)
{
  return method_names;
}

const char *
atl_passes_method (const AtlPasses *self)
{
  return self != NULL ? method_names[1 + self->rule.method] : NULL;
}

static void
forget (AtlPasses *self, guint network)
{
  for (guint i = 0; i < MAX_PASSES; i++)
    g_clear_pointer (&self->caches[network][i], atl_step_cache_free);
}

void
atl_passes_free (AtlPasses *self)
{
  if (self == NULL)
    return;
  for (guint n = 0; n < MAX_NETWORKS; n++)
    forget (self, n);
  g_free (self->role);
  g_free (self);
}

/* What leaves out whole steps looks at them from outside, unless two networks draw: the pass of one
 * says nothing of the other's. */
static gboolean
is_outside (const AtlPasses *self)
{
  return !self->is_pair &&
         (self->rule.method == ATL_SKIP_EASY || self->rule.method == ATL_SKIP_TAYLOR);
}

static gboolean
is_second (const AtlPasses *self, const char *role)
{
  return self->is_pair && g_str_equal (role, SECOND_ROLE);
}

gboolean
atl_passes_concerns (const AtlPasses *self, const char *role, const char *function)
{
  return self != NULL && !is_outside (self) && g_str_equal (function, "forward") &&
         (g_str_equal (role, self->role) || is_second (self, role));
}

static AtlStepCache *
cache_of (AtlPasses *self, guint network, guint pass)
{
  AtlStepCache **caches = self->caches[network];

  /* The one that has drawn until now is done. */
  if (caches[0] == NULL)
    forget (self, !network);
  if (caches[pass] == NULL)
    caches[pass] = atl_step_cache_new (&self->rule, self->step, pass > 0 ? caches[0] : NULL);
  if (pass == 0)
    self->first = caches[0];
  return caches[pass];
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

/* Asks `predict`, or foretells what it would say. */
static gboolean
predict_outside (AtlPasses *self, const AtlArray *x, Step *step, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (AtlArray) guess = NULL;
  AtlStepCache *cache = cache_of (self, 0, 0);

  atl_request_add (request, atl_array_copy (x, "latent"));
  guess = atl_step_cache_run (cache, request, run_step, step, error);
  if (guess == NULL)
    return FALSE;
  if (!atl_step_cache_computed (cache))
    memcpy (step->out->data, guess->data, atl_array_size (step->out));
  return TRUE;
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
  gboolean ok;

  *computed = TRUE;
  if (self == NULL)
    return predict (x, out, user_data, error);
  self->pass = 0;
  self->first = NULL;
  ok = is_outside (self) && self->run->count == NULL ? predict_outside (self, x, &step, error)
                                                     : predict (x, out, user_data, error);
  self->step++;
  if (self->first != NULL)
    *computed = atl_step_cache_computed (self->first);
  return ok;
}

typedef struct
{
  AtlPasses *self;
  const char *role;
} Part;

static GPtrArray *
run_part (const AtlRequest *request, gpointer user_data, GError **error)
{
  const Part *part = user_data;

  return atl_run_component (part->self->run, part->role, request, error);
}

AtlArray *
atl_passes_forward (AtlPasses *self, const char *role, AtlRequest *request, GError **error)
{
  AtlRunCount *count = self->run->count;
  guint pass = MIN (self->pass, MAX_PASSES - 1);
  Part part = { self, role };
  AtlArray *output;
  guint64 bytes;

  self->pass++;
  if (count == NULL)
    return atl_step_cache_run (cache_of (self, is_second (self, role), pass), request, run_part,
                               &part, error);
  if (!atl_step_cache_count (&self->rule, request, run_part, &part, &output, &bytes, error))
    return NULL;
  /* Each pass of a step has its own. */
  count->cache_bytes = MAX (count->cache_bytes, bytes * self->pass);
  return output;
}
