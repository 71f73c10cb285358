/* The schedule of a run and its steps, from what is asked for, the bundle and the family. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/family.h"

#define MAX_STEPS 1000

/* Members of `from` replace those of `to`. */
static void
overlay (JsonObject *to, JsonObject *from)
{
  g_autoptr (GList) members = from != NULL ? json_object_get_members (from) : NULL;

  for (GList *l = members; l != NULL; l = l->next)
    json_object_set_member (to, l->data, json_object_dup_member (from, l->data));
}

static void
overlay_text (JsonObject *to, const char *json)
{
  g_autoptr (JsonNode) node = json != NULL ? atl_json_parse (json, strlen (json), "", NULL) : NULL;

  g_assert (json == NULL || (node != NULL && JSON_NODE_HOLDS_OBJECT (node)));
  if (node != NULL)
    overlay (to, json_node_get_object (node));
}

AtlSchedule *
atl_run_schedule (AtlRun *run, GError **error)
{
  const AtlOwnSchedule *usual = &run->family->schedule;
  g_autoptr (JsonObject) config = json_object_new ();
  g_autoptr (JsonObject) whole = atl_settings_object (run->settings, "scheduler");
  g_autoptr (JsonObject) more = atl_settings_object (run->settings, "scheduler_config");
  JsonObject *own = atl_bundle_json (run->bundle, "scheduler", "scheduler_config.json");
  const char *name = atl_json_string (own, "_class_name", usual->name);

  if (whole != NULL)
    overlay (config, whole);
  else if (own != NULL)
    overlay (config, own);
  else
    overlay_text (config, usual->config);
  name = whole != NULL ? atl_json_string (whole, "_class_name", name)
                       : atl_settings_string (run->settings, "scheduler", name);
  if (atl_settings_has (run->settings, "shift"))
    {
      double shift = atl_settings_number (run->settings, "shift", 1);

      json_object_set_double_member (config, "shift", shift);
      json_object_set_double_member (config, "flow_shift", shift);
    }
  overlay (config, more);
  overlay_text (config, usual->fixed);
  g_free (run->sampler);
  run->sampler = g_strdup (name);
  return atl_schedule_new (name, config, error);
}

/* Sets the request's steps: those asked for, else `even` [n] (nullable), else just their number. */
static gboolean
set_steps (AtlRun *run,
           AtlSchedule *schedule,
           guint n_steps,
           const double *even,
           double mu,
           GError **error)
{
  AtlScheduleRequest request = { .eta = atl_settings_number (run->settings, "eta", 0),
                                 .has_eta = atl_settings_has (run->settings, "eta"),
                                 .s_churn = atl_settings_number (run->settings, "s_churn", 0) };
  g_autofree double *timesteps =
      atl_settings_numbers (run->settings, "timesteps", &request.n_timesteps);
  g_autofree double *sigmas = atl_settings_numbers (run->settings, "sigmas", &request.n_sigmas);

  if (isfinite (mu))
    {
      request.mu = mu;
      request.has_mu = TRUE;
    }
  if (timesteps != NULL)
    {
      request.timesteps = timesteps;
      request.n_sigmas = 0;
    }
  else if (sigmas != NULL)
    request.sigmas = sigmas;
  else if (even != NULL)
    {
      request.sigmas = even;
      request.n_sigmas = n_steps;
    }
  else
    request.n_steps = n_steps;
  return atl_schedule_set_steps (schedule, &request, error);
}

static guint
count_steps (const AtlRun *run, guint fallback)
{
  return (guint) CLAMP (atl_settings_number (run->settings, "steps", fallback), 1, MAX_STEPS);
}

gboolean
atl_run_set_flow_steps (
    AtlRun *run, AtlSchedule *schedule, guint fallback, double mu, GError **error)
{
  guint n = count_steps (run, fallback);
  g_autofree double *even = g_new (double, n);

  /* As numpy's linspace (1, 1 / n, n). */
  for (guint i = 0; i < n; i++)
    even[i] = n == 1 ? 1.0 : 1.0 + i * ((1.0 / n - 1.0) / (n - 1));
  return set_steps (run, schedule, n, even, mu, error);
}

guint
atl_run_flow_start (const AtlRun *run, const AtlSchedule *schedule, double strength)
{
  guint n_calls = atl_schedule_n_calls (schedule), per = atl_schedule_calls_per_step (schedule);
  /* Whole steps: in the middle of one a solver of second order lacks its first half. */
  double n = (n_calls + per - 1) / per;

  return MIN ((guint) MAX (n - MIN (n * strength, n), 0) * per, n_calls);
}

gboolean
atl_run_set_steps (AtlRun *run, AtlSchedule *schedule, guint fallback, double mu, GError **error)
{
  return set_steps (run, schedule, count_steps (run, fallback), NULL, mu, error);
}
