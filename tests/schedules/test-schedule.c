/* Schedules without numbers from elsewhere (those are golden cases): an exact model leads to its
 * picture, any number of steps is finite or refused, nonsense is refused in words. */
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/schedules/schedule.h"

#define N 24

static JsonNode *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonNode *node = atl_json_parse (text, strlen (text), "config", &error);

  g_assert_no_error (error);
  return node;
}

static double
normal (GRand *rand)
{
  return sqrt (-2 * log (1 - g_rand_double (rand))) * cos (2 * G_PI * g_rand_double (rand));
}

static gboolean
is_flow (const char *name)
{
  return g_str_has_prefix (name, "FlowMatch");
}

/* Walks a whole run with a model that knows the picture, told so as a clean sample or (flow) as
 * noise - clean; returns the largest distance from the picture at the end. */
static double
walk (AtlSchedule *s, const char *name, GRand *rand)
{
  float clean[N], x[N], scaled[N], output[N], noise[N];
  double distance = 0;

  for (guint i = 0; i < N; i++)
    {
      clean[i] = (float) g_rand_double_range (rand, -1, 1);
      x[i] = (float) (normal (rand) * atl_schedule_init_noise_sigma (s));
    }
  for (guint call = 0; call < atl_schedule_n_calls (s); call++)
    {
      guint n_sigmas;
      const float *sigmas = atl_schedule_sigmas (s, &n_sigmas);

      atl_schedule_scale_input (s, call, x, scaled, N);
      for (guint i = 0; i < N; i++)
        {
          noise[i] = (float) normal (rand);
          output[i] = is_flow (name) ? (x[i] - clean[i]) / sigmas[call] : clean[i];
        }
      atl_schedule_step (s, call, output, x, noise, N);
    }
  for (guint i = 0; i < N; i++)
    distance = fmax (distance, isfinite (x[i]) ? fabs (x[i] - clean[i]) : INFINITY);
  return distance;
}

/* A solver that is told the clean sample must arrive there, whatever its order. */
static void
test_exact_model (gconstpointer data)
{
  const char *name = data;
  g_autoptr (JsonNode) config =
      parse (is_flow (name) ? "{\"shift\": 3}"
                            : "{\"prediction_type\": \"sample\", \"clip_sample\": false,"
                              " \"set_alpha_to_one\": true}");
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlSchedule) s = atl_schedule_new (name, json_node_get_object (config), &error);

  g_assert_no_error (error);
  g_assert_true (atl_schedule_set_steps (s, &(AtlScheduleRequest){ .n_steps = 12 }, &error));
  /* CogVideoX's SDE, DEIS and PNDM's form end above no noise at all; PNDM knows no clean samples,
   * EDM mixes its output itself. */
  if (g_str_equal (name, "PNDMScheduler") || g_str_has_prefix (name, "EDM"))
    g_assert_true (isfinite (walk (s, name, rand)));
  else if (g_str_equal (name, "DEISMultistepScheduler"))
    g_assert_cmpfloat (walk (s, name, rand), <, 0.2);
  else if (g_str_equal (name, "LCMScheduler") || g_str_equal (name, "TCDScheduler"))
    g_assert_cmpfloat (walk (s, name, rand), <, 0.3);
  else
    g_assert_cmpfloat (walk (s, name, rand), <, 1e-3);
}

/* Every class with every number of steps, spacing and re-spacing: finite, or refused in words. */
static void
test_any_steps (gconstpointer data)
{
  const char *name = data;
  static const char *const spacings[] = { "linspace", "leading", "trailing" };
  static const char *const respacings[] = { "use_karras_sigmas", "use_exponential_sigmas",
                                            "use_beta_sigmas", "none" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  guint n_run = 0;

  for (guint k = 0; k < G_N_ELEMENTS (spacings) * G_N_ELEMENTS (respacings); k++)
    {
      g_autofree char *text = g_strdup_printf (
          "{\"timestep_spacing\": \"%s\", \"%s\": true, \"clip_sample\": false,"
          " \"prediction_type\": \"%s\"}",
          spacings[k % 3], respacings[k / 3], is_flow (name) ? "flow_prediction" : "v_prediction");
      g_autoptr (JsonNode) config = parse (text);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlSchedule) s = atl_schedule_new (name, json_node_get_object (config), &error);

      g_assert_no_error (error);
      for (guint n = 1; n < 1001; n = n < 34 ? n + 1 : n * 3)
        {
          g_autoptr (GError) refused = NULL;

          if (!atl_schedule_set_steps (s, &(AtlScheduleRequest){ .n_steps = n, .s_churn = 1 },
                                       &refused))
            {
              g_assert_error (refused, ATL_ERROR, ATL_ERROR_INVALID);
              continue;
            }
          n_run++;
          if (!isfinite (walk (s, name, rand)))
            g_error ("%s: %u steps with %s lead nowhere", name, n, text);
        }
    }
  g_assert_cmpuint (n_run, >, 20);
}

static void
test_starts_in_the_middle (gconstpointer data)
{
  const char *name = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlSchedule) s = atl_schedule_new (name, NULL, &error);
  float x[N] = { 0 }, again[N] = { 0 }, once_more[N] = { 0 }, output[N], noise[N] = { 0 };
  guint first;

  for (guint i = 0; i < N; i++)
    output[i] = (float) i / N;
  g_assert_no_error (error);
  g_assert_true (atl_schedule_set_steps (s, &(AtlScheduleRequest){ .n_steps = 10 }, &error));
  g_assert_cmpuint (atl_schedule_first_call (s, 0), ==,
                    MIN (atl_schedule_first_call (s, 0), atl_schedule_n_calls (s)));
  g_assert_cmpuint (atl_schedule_first_call (s, 1), ==, 0);
  first = atl_schedule_first_call (s, 0.5);
  g_assert_cmpuint (first, >, 0);
  g_assert_cmpuint (first, <, atl_schedule_n_calls (s));
  /* A second run of the same steps forgets the first one's history, if only when it begins. */
  for (guint run = 0; run < 3; run++)
    {
      for (guint call = first; call < atl_schedule_n_calls (s); call++)
        atl_schedule_step (s, call, output, run == 0 ? x : run == 1 ? again : once_more, noise, N);
      if (run == 1)
        atl_schedule_forget (s);
    }
  g_assert_cmpmem (x, sizeof x, again, sizeof again);
  g_assert_cmpmem (x, sizeof x, once_more, sizeof once_more);
}

static void
refuse (const char *name, const char *text, AtlError code)
{
  g_autoptr (JsonNode) config = parse (text);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlSchedule) s = atl_schedule_new (name, json_node_get_object (config), &error);
  gboolean ok =
      s != NULL && atl_schedule_set_steps (s, &(AtlScheduleRequest){ .n_steps = 5 }, &error);

  g_assert_false (ok);
  g_assert_error (error, ATL_ERROR, (gint) code);
}

static void
test_refuses (void)
{
  refuse ("SurpriseScheduler", "{}", ATL_ERROR_UNSUPPORTED);
  refuse ("EulerDiscreteScheduler", "{\"beta_schedule\": \"secret\"}", ATL_ERROR_UNSUPPORTED);
  refuse ("EulerDiscreteScheduler", "{\"trained_betas\": [0.1]}", ATL_ERROR_UNSUPPORTED);
  refuse ("EulerDiscreteScheduler", "{\"num_train_timesteps\": 1e12}", ATL_ERROR_INVALID);
  refuse ("EulerDiscreteScheduler", "{\"num_train_timesteps\": -5}", ATL_ERROR_INVALID);
  refuse ("DDIMScheduler", "{\"beta_start\": -1}", ATL_ERROR_INVALID);
  refuse ("DDIMScheduler", "{\"num_train_timesteps\": 4}", ATL_ERROR_INVALID);
  refuse ("DPMSolverMultistepScheduler", "{\"solver_order\": 9}", ATL_ERROR_INVALID);
  refuse ("DPMSolverMultistepScheduler", "{\"algorithm_type\": \"dpmsolver\"}",
          ATL_ERROR_UNSUPPORTED);
  refuse ("FlowMatchEulerDiscreteScheduler", "{\"use_dynamic_shifting\": true}", ATL_ERROR_INVALID);
  refuse ("FlowMatchEulerDiscreteScheduler", "{\"shift\": 0}", ATL_ERROR_INVALID);
  refuse ("EDMEulerScheduler", "{\"sigma_max\": 0.001}", ATL_ERROR_INVALID);
}

/* What the output of a model that knows the picture foretells is the picture, in every call that
 * starts where noise was added. */
static void
test_estimate (gconstpointer data)
{
  static const char *const predictions[] = { "epsilon", "v_prediction", "sample" };
  const char *name = data;
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);

  for (guint p = 0; p < (is_flow (name) ? 1 : 3); p++)
    {
      g_autofree char *text = g_strdup_printf ("{\"prediction_type\": \"%s\"}", predictions[p]);
      g_autoptr (JsonNode) config = parse (is_flow (name) ? "{\"shift\": 3}" : text);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlSchedule) s = atl_schedule_new (name, json_node_get_object (config), &error);

      g_assert_no_error (error);
      g_assert_true (atl_schedule_set_steps (s, &(AtlScheduleRequest){ .n_steps = 7 }, &error));
      for (guint call = 0; call < atl_schedule_n_calls (s); call++)
        {
          float one = 1, zero = 0, alpha, sigma;

          atl_schedule_add_noise (s, call, &one, &zero, &alpha, 1);
          atl_schedule_add_noise (s, call, &zero, &one, &sigma, 1);
          for (guint i = 0; i < N; i++)
            {
              float clean = (float) g_rand_double_range (rand, -1, 1), got;
              float noise = (float) normal (rand), x = alpha * clean + sigma * noise;
              double size = sqrt (alpha * alpha + sigma * sigma);
              float velocity = (float) ((alpha * noise - sigma * clean) / size);
              float output = is_flow (name) ? noise - clean
                             : p == 0       ? noise
                             : p == 1       ? velocity
                                            : clean;

              if (!atl_schedule_estimate (s, call, &output, &x, &got, 1))
                {
                  g_assert_true (g_str_has_prefix (name, "EDM"));
                  return;
                }
              g_assert_cmpfloat_with_epsilon (got, clean, 2e-3);
            }
        }
    }
}

int
main (int argc, char **argv)
{
  const char *const *names = atl_schedule_class_names ();

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *exact = g_strdup_printf ("/schedules/exact-model/%s", names[i]);
      g_autofree char *steps = g_strdup_printf ("/schedules/any-steps/%s", names[i]);
      g_autofree char *estimate = g_strdup_printf ("/schedules/estimate/%s", names[i]);
      g_autofree char *middle = g_strdup_printf ("/schedules/middle/%s", names[i]);

      g_test_add_data_func (exact, names[i], test_exact_model);
      g_test_add_data_func (steps, names[i], test_any_steps);
      g_test_add_data_func (middle, names[i], test_starts_in_the_middle);
      g_test_add_data_func (estimate, names[i], test_estimate);
    }
  g_test_add_func ("/schedules/refuses", test_refuses);
  return g_test_run ();
}
