/* Golden cases of noise schedules: the case's model outputs walked through the solver. They compute
 * on the host whatever the backend is. */
#define G_LOG_DOMAIN "atl-tools"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/schedules/schedule.h"
#include "engine/tools/golden-case.h"

static double *
read_numbers (JsonObject *object, const char *member, guint *n)
{
  JsonArray *list = atl_json_array (object, member);
  double *numbers;

  *n = list != NULL ? json_array_get_length (list) : 0;
  if (*n == 0)
    return NULL;
  numbers = g_new (double, *n);
  for (guint i = 0; i < *n; i++)
    numbers[i] = json_array_get_double_element (list, i);
  return numbers;
}

/* Some cases say in words that the pipeline hands over an even ramp. */
static double *
read_sigmas (JsonObject *object, guint n_steps, guint *n)
{
  double *sigmas;

  if (g_strcmp0 (atl_json_string (object, "sigmas", NULL), "linspace(1, 1/n, n)") != 0 ||
      n_steps == 0)
    return read_numbers (object, "sigmas", n);
  sigmas = g_new (double, n_steps);
  for (guint i = 0; i < n_steps; i++)
    sigmas[i] = (double) (n_steps - i) / n_steps;
  *n = n_steps;
  return sigmas;
}

static gboolean
set_steps (AtlSchedule *schedule, const GoldenCase *c, GError **error)
{
  JsonObject *given = atl_json_object (c->params, "set_timesteps");
  JsonObject *call = atl_json_object (c->params, "call_kwargs");
  JsonObject *where = given != NULL ? given : c->params;
  guint n_steps = (guint) CLAMP (atl_json_int (c->params, "steps", 0), 0, 10000);
  AtlScheduleRequest request = { 0 };
  g_autofree double *sigmas = read_sigmas (where, n_steps, &request.n_sigmas);
  g_autofree double *timesteps = read_numbers (where, "timesteps", &request.n_timesteps);

  request.sigmas = sigmas;
  request.timesteps = timesteps;
  if (sigmas == NULL && timesteps == NULL)
    request.n_steps = n_steps;
  request.mu = atl_json_double (where, "mu", NAN);
  request.has_mu = !isnan (request.mu);
  request.has_eta = call != NULL && json_object_has_member (call, "eta");
  request.eta = atl_json_double (call, "eta", 0);
  request.s_churn = atl_json_double (call, "s_churn", 0);
  request.s_noise = atl_json_double (call, "s_noise", 1);
  return atl_schedule_set_steps (schedule, &request, error);
}

static AtlArray *
array_like (const GoldenCase *c, const char *name)
{
  const AtlArray *expected = atl_arrays_find (c->expected, name);

  return expected != NULL ? atl_array_new (name, ATL_DTYPE_F32, expected->n_dims, expected->dim)
                          : NULL;
}

static void
compare (GoldenReport *report,
         const GoldenCase *c,
         const GoldenBackend *backend,
         const char *name,
         const float *values,
         gint64 n)
{
  g_autoptr (AtlArray) got = array_like (c, name);
  double distance = INFINITY;

  if (got == NULL)
    return;
  if (atl_array_n_elems (got) == n)
    {
      memcpy (got->data, values, (gsize) n * sizeof *values);
      distance = atl_array_rel_l2 (got, atl_arrays_find (c->expected, name));
    }
  golden_report_result (report, c, backend, name, distance, golden_tolerance (c, backend));
}

static void
compare_tables (GoldenReport *report,
                const GoldenCase *c,
                const GoldenBackend *backend,
                const AtlSchedule *schedule,
                guint first)
{
  guint n = atl_schedule_n_calls (schedule) - first, n_sigmas;
  const float *sigmas = atl_schedule_sigmas (schedule, &n_sigmas);
  const AtlArray *expected = atl_arrays_find (c->expected, "sigmas");
  g_autofree float *timesteps = g_new (float, n);

  for (guint i = 0; i < n; i++)
    timesteps[i] = (float) atl_schedule_timestep (schedule, first + i);
  compare (report, c, backend, "timesteps", timesteps, n);
  /* The whole table, or what is left of it from the first call on. */
  if (sigmas != NULL && expected != NULL && atl_array_n_elems (expected) + first == n_sigmas)
    compare (report, c, backend, "sigmas", sigmas + first, n_sigmas - first);
  else
    compare (report, c, backend, "sigmas", sigmas, n_sigmas);
}

static gboolean
run (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend, GError **error)
{
  g_autoptr (AtlSchedule) schedule = NULL;
  const AtlArray *outputs = atl_arrays_find (c->inputs, "model_outputs");
  const AtlArray *noise = atl_arrays_find (c->inputs, "noise");
  const AtlArray *initial = atl_arrays_find (c->inputs, "initial");
  const AtlArray *clean = atl_arrays_find (c->inputs, "clean");
  const AtlArray *start = atl_arrays_find (c->inputs, "start_noise");
  g_autofree float *x = NULL, *scaled = NULL, *samples = NULL;
  guint first, n_calls;
  gsize n;

  schedule = atl_schedule_new (atl_json_string (c->params, "scheduler", c->architecture),
                               atl_json_object (c->params, "config"), error);
  if (schedule == NULL || !set_steps (schedule, c, error))
    return FALSE;
  /* Pipelines round the share of the steps in ways of their own: the case may say. */
  first = atl_schedule_first_call (schedule, atl_json_double (c->params, "strength", 1));
  first = (guint) CLAMP (atl_json_int (c->params, "first_step", first), 0,
                         atl_schedule_n_calls (schedule));
  n_calls = atl_schedule_n_calls (schedule) - first;
  compare_tables (report, c, backend, schedule, first);
  if (outputs == NULL)
    return TRUE;
  n = (gsize) atl_array_n_elems (outputs) / MAX (n_calls, 1);
  if ((initial == NULL && (clean == NULL || start == NULL)) || n_calls == 0 ||
      (gsize) atl_array_n_elems (outputs) != n * n_calls ||
      (gsize) atl_array_n_elems (initial != NULL ? initial : clean) != n ||
      (noise != NULL && (gsize) atl_array_n_elems (noise) < n * n_calls))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   "%s: %u calls do not go with the model's outputs", c->name, n_calls);
      return FALSE;
    }

  x = g_new (float, n);
  if (initial != NULL)
    memcpy (x, initial->data, n * sizeof *x);
  else
    atl_schedule_add_noise (schedule, first, atl_array_f32 (clean), atl_array_f32 (start), x, n);
  if (initial == NULL)
    compare (report, c, backend, "noised", x, (gint64) n);
  scaled = g_new (float, (n * n_calls));
  samples = g_new (float, (n * n_calls));
  for (guint i = 0; i < n_calls; i++)
    {
      if (noise == NULL && atl_schedule_wants_noise (schedule, first + i))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       "%s: the solver wants noise, the case has none", c->name);
          return FALSE;
        }
      atl_schedule_scale_input (schedule, first + i, x, scaled + i * n, n);
      atl_schedule_step (schedule, first + i, atl_array_f32 (outputs) + i * n, x,
                         noise != NULL ? atl_array_f32 (noise) + i * n : NULL, n);
      memcpy (samples + i * n, x, n * sizeof *x);
    }
  compare (report, c, backend, "scaled_inputs", scaled, (gint64) (n * n_calls));
  compare (report, c, backend, "samples", samples, (gint64) (n * n_calls));
  return TRUE;
}

void
golden_run_schedule (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  g_autoptr (GError) error = NULL;

  if (!run (report, c, backend, &error))
    golden_report_error (report, c, backend, error);
}
