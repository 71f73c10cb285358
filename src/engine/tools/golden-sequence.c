/* Golden cases of a denoiser over all steps of a walk, some of which are left out: latents and
 * timesteps are given, outputs are not fed back. */
#define G_LOG_DOMAIN "atl-tools"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/arrays.h"
#include "engine/diffusion/step-cache.h"
#include "engine/tools/golden-case.h"

#define MAX_STEPS 1000
#define MAX_PASSES 2

typedef struct
{
  AtlStepRule rule;
  double ratios[MAX_PASSES][MAX_STEPS];
  guint n_passes;
} Rules;

/* "first 3, last 1"; "first and last step". */
static void
read_always (const char *words, AtlStepRule *rule)
{
  unsigned first = 1, last = 1;

  sscanf (words, "first %u, last %u", &first, &last);
  rule->n_first = first;
  rule->n_last = last;
}

/* As numpy's: halves to even numbers. */
static guint
nearest (double x)
{
  return (guint) MAX (nearbyint (x), 0);
}

/* One ratio a step and pass: a list for both, or one that is stretched to the steps. */
static gboolean
read_ratios (JsonObject *params, Rules *rules)
{
  JsonArray *list = atl_json_array (params, "mag_ratios");
  guint n = list != NULL ? json_array_get_length (list) : 0, steps = rules->rule.n_steps;
  double share = atl_json_double (params, "retention_ratio", 0);
  gboolean alternates = json_object_has_member (params, "layout");

  if (n < (alternates ? steps * rules->n_passes : 2))
    return FALSE;
  for (guint i = 0; i < steps; i++)
    for (guint pass = 0; pass < rules->n_passes; pass++)
      {
        guint at = alternates ? i * rules->n_passes + pass
                              : nearest ((double) i * (n - 1) / MAX (steps - 1, 1));

        rules->ratios[pass][i] = json_array_get_double_element (list, MIN (at, n - 1));
      }
  rules->rule.n_first = alternates ? ((guint) (rules->n_passes * steps * share) + 1) / 2
                                   : (guint) (steps * share + 0.5);
  rules->rule.max_skips = (guint) atl_json_int (params, "max_skip_steps", 0);
  return TRUE;
}

static gboolean
read_pyramid (JsonObject *params, AtlStepRule *rule)
{
  JsonArray *range = atl_json_array (params, "timesteps");

  if (range == NULL || json_array_get_length (range) != G_N_ELEMENTS (rule->timesteps))
    return FALSE;
  rule->method = ATL_SKIP_PYRAMID;
  rule->self_every = (guint) atl_json_int (params, "self_every", 1);
  rule->cross_every = (guint) atl_json_int (params, "cross_every", 1);
  for (guint i = 0; i < G_N_ELEMENTS (rule->timesteps); i++)
    rule->timesteps[i] = json_array_get_double_element (range, i);
  return TRUE;
}

static gboolean
read_rules (const GoldenCase *c, Rules *rules, GError **error)
{
  JsonObject *params = c->params;
  const char *method = atl_json_string (params, "method", "");
  JsonArray *list = atl_json_array (params, "coefficients");
  AtlStepRule *rule = &rules->rule;
  gboolean ok = TRUE;

  rules->n_passes = (guint) CLAMP (atl_json_int (params, "passes", 1), 1, MAX_PASSES);
  rule->n_steps = (guint) CLAMP (atl_json_int (params, "steps", 1), 1, MAX_STEPS);
  rule->threshold = atl_json_double (params, "threshold", 0);
  read_always (atl_json_string (params, "always", ""), rule);
  if (g_str_equal (method, "easycache"))
    rule->method = ATL_SKIP_EASY;
  else if (g_str_equal (method, "first_block"))
    {
      rule->method = ATL_SKIP_FIRST_BLOCK;
      rule->n_first = rule->n_last = 0;
    }
  else if (g_str_equal (method, "teacache") && list != NULL &&
           json_array_get_length (list) == G_N_ELEMENTS (rule->polynomial))
    {
      rule->method = ATL_SKIP_TEA;
      for (guint i = 0; i < G_N_ELEMENTS (rule->polynomial); i++)
        rule->polynomial[i] = json_array_get_double_element (list, i);
      rule->probe = strstr (atl_json_string (params, "compared", ""), "projected") != NULL
                        ? "probe_projected"
                        : "probe";
    }
  else if (g_str_equal (method, "magcache"))
    {
      rule->method = ATL_SKIP_MAG;
      rule->n_last = 0;
      ok = read_ratios (params, rules);
    }
  else if (g_str_equal (method, "taylorseer"))
    {
      gint64 after = atl_json_int (params, "disable_cache_after_step", rule->n_steps);

      rule->method = atl_json_bool (params, "use_lite_mode", FALSE) ? ATL_SKIP_TAYLOR
                                                                    : ATL_SKIP_TAYLOR_ATTENTION;
      rule->n_first = (guint) atl_json_int (params, "disable_cache_before_step", 3);
      rule->n_last = rule->n_steps - (guint) CLAMP (after, 0, (gint64) rule->n_steps);
      rule->interval = (guint) atl_json_int (params, "cache_interval", 5);
      rule->order = (guint) atl_json_int (params, "max_order", 1);
    }
  else if (g_str_equal (method, "pyramid_attention_broadcast"))
    ok = read_pyramid (params, rule);
  else
    ok = FALSE;
  if (!ok)
    g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                 "steps cannot be left out by “%s” with these parameters", method);
  return ok;
}

/* A request for step `step`: what has a row for each gives its own. */
static AtlRequest *
make_request (const GoldenCase *c, guint step, guint pass)
{
  AtlRequest *request = atl_request_new ("forward");

  for (guint i = 0; i < c->inputs->len; i++)
    {
      const AtlArray *a = c->inputs->pdata[i];
      const AtlArray *other = atl_arrays_find (c->inputs, "context_negative");
      gboolean is_text = g_str_equal (a->name, "context");

      if (g_str_equal (a->name, "latent") || g_str_equal (a->name, "timestep"))
        atl_request_add (request, atl_array_rows (a, a->name, step, 1));
      else if (!g_str_equal (a->name, "context_negative"))
        atl_request_add (
            request, atl_array_copy (is_text && pass > 0 && other != NULL ? other : a, a->name));
    }
  return request;
}

static GPtrArray *
run_component (const AtlRequest *request, gpointer user_data, GError **error)
{
  return atl_component_run (user_data, request, NULL, error);
}

static void
set_number (AtlArray *array, gint64 i, double value)
{
  if (array != NULL && i < atl_array_n_elems (array))
    atl_array_f32 (array)[i] = (float) value;
}

/* Arrays like those that are expected, to be filled; of whole numbers those become floats. */
static GPtrArray *
make_outputs (const GoldenCase *c)
{
  GPtrArray *outputs = atl_arrays_new ();

  for (guint i = 0; i < c->expected->len; i++)
    {
      AtlArray *a = c->expected->pdata[i];

      for (gint64 k = 0; a->dtype == ATL_DTYPE_I32 && k < atl_array_n_elems (a); k++)
        ((float *) a->data)[k] = (float) ((gint32 *) a->data)[k];
      a->dtype = ATL_DTYPE_F32;
      g_ptr_array_add (outputs, atl_array_new (a->name, ATL_DTYPE_F32, a->n_dims, a->dim));
    }
  return outputs;
}

static gboolean
walk (const GoldenCase *c,
      AtlComponent *component,
      Rules *rules,
      AtlStepCache **caches,
      GPtrArray *outputs,
      GError **error)
{
  AtlArray *all = atl_arrays_find (outputs, "output");

  for (guint step = 0; step < rules->rule.n_steps; step++)
    for (guint pass = 0; pass < rules->n_passes; pass++)
      {
        g_autoptr (AtlRequest) request = make_request (c, step, pass);
        g_autoptr (AtlArray) output =
            atl_step_cache_run (caches[pass], request, run_component, component, error);
        gint64 at = (gint64) step * rules->n_passes + pass;

        if (output == NULL)
          return FALSE;
        for (gint64 i = 0; i < atl_array_n_elems (output); i++)
          set_number (all, at * atl_array_n_elems (output) + i, atl_array_f32 (output)[i]);
        set_number (atl_arrays_find (outputs, "computed"), at,
                    atl_step_cache_computed (caches[pass]));
        set_number (atl_arrays_find (outputs, "indicator"), at,
                    atl_step_cache_indicator (caches[pass]));
        set_number (atl_arrays_find (outputs, "accumulated"), at,
                    atl_step_cache_sum (caches[pass]));
      }
  return TRUE;
}

static gboolean
run (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend, GError **error)
{
  g_autoptr (AtlCheckpoint) cp = golden_open (c, c->model, c->component, error);
  g_autoptr (AtlComponent) component = NULL;
  g_autoptr (GPtrArray) outputs = NULL;
  AtlStepCache *caches[MAX_PASSES] = { NULL };
  g_autofree Rules *rules = g_new0 (Rules, 1);
  const AtlComponentClass *klass;
  const AtlArray *latent = atl_arrays_find (c->inputs, "latent");
  gboolean ok;

  if (cp == NULL || !read_rules (c, rules, error))
    return FALSE;
  if (latent == NULL || latent->dim[0] < rules->rule.n_steps)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "there is no latent for every step");
      return FALSE;
    }
  klass = atl_component_class_for (cp, c->architecture, "forward", error);
  if (klass == NULL)
    return FALSE;
  component = atl_component_load (klass, cp, backend->list, backend->n, NULL, error);
  if (component == NULL)
    return FALSE;
  outputs = make_outputs (c);
  for (guint pass = 0; pass < rules->n_passes; pass++)
    {
      rules->rule.ratios = rules->ratios[pass];
      caches[pass] = atl_step_cache_new (&rules->rule, 0, pass > 0 ? caches[0] : NULL);
    }
  ok = walk (c, component, rules, caches, outputs, error);
  for (guint pass = 0; pass < rules->n_passes; pass++)
    atl_step_cache_free (caches[pass]);
  if (ok)
    golden_report_outputs (report, c, backend, outputs);
  return ok;
}

void
golden_run_sequence (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  g_autoptr (GError) error = NULL;

  if (!run (report, c, backend, &error))
    golden_report_error (report, c, backend, error);
}
