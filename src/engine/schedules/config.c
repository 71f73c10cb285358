/* Reading a scheduler_config.json: defaults are set by the solver before, every number is checked.
 */
#include <glib/gi18n.h>
#include <math.h>

#include "base/json-bounded.h"
#include "engine/schedules/schedule-private.h"

typedef struct
{
  const char *word;
  int value;
} Word;

/* One of the words, or the default when the key is absent or null. */
static gboolean
read_word (JsonObject *config, const char *key, const Word *words, int *value, GError **error)
{
  const char *word = atl_json_string (config, key, NULL);

  if (word == NULL)
    return TRUE;
  for (; words->word != NULL; words++)
    if (g_str_equal (word, words->word))
      {
        *value = words->value;
        return TRUE;
      }
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("The schedule's %s is “%s”, which is not known here"), key, word);
  return FALSE;
}

static gboolean
read_number (
    JsonObject *config, const char *key, double low, double high, double *value, GError **error)
{
  double v = atl_json_double (config, key, *value);

  if (!(v >= low && v <= high))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The schedule's %s is %g; %g to %g is possible"), key, v, low, high);
      return FALSE;
    }
  *value = v;
  return TRUE;
}

static gboolean
read_whole (
    JsonObject *config, const char *key, gint64 low, gint64 high, gint64 *value, GError **error)
{
  double v = (double) *value;

  if (!read_number (config, key, (double) low, (double) high, &v, error))
    return FALSE;
  *value = (gint64) v;
  return TRUE;
}

static const Word predictions[] = {
  { "epsilon", ATL_PREDICT_EPSILON },      { "v_prediction", ATL_PREDICT_V },
  { "sample", ATL_PREDICT_SAMPLE },        { "original_sample", ATL_PREDICT_SAMPLE },
  { "flow_prediction", ATL_PREDICT_FLOW }, { NULL, 0 }
};
static const Word spacings[] = { { "linspace", ATL_SPACING_LINSPACE },
                                 { "leading", ATL_SPACING_LEADING },
                                 { "trailing", ATL_SPACING_TRAILING },
                                 { NULL, 0 } };
static const Word beta_kinds[] = { { "linear", ATL_BETAS_LINEAR },
                                   { "scaled_linear", ATL_BETAS_SCALED_LINEAR },
                                   { "squaredcos_cap_v2", ATL_BETAS_COSINE },
                                   { NULL, 0 } };
static const Word algorithms[] = { { "dpmsolver", ATL_ALGORITHM_DPM },
                                   { "dpmsolver++", ATL_ALGORITHM_DPM_PP },
                                   { "sde-dpmsolver++", ATL_ALGORITHM_SDE_PP },
                                   { "sde-dpmsolver", ATL_ALGORITHM_SDE_DPM },
                                   { "deis", ATL_ALGORITHM_DPM_PP },
                                   { NULL, 0 } };
static const Word last_sigmas[] = { { "zero", FALSE }, { "sigma_min", TRUE }, { NULL, 0 } };
static const Word interpolations[] = { { "linear", FALSE }, { "log_linear", TRUE }, { NULL, 0 } };
static const Word timestep_types[] = { { "discrete", FALSE }, { "continuous", TRUE }, { NULL, 0 } };
static const Word time_shifts[] = { { "exponential", FALSE }, { "linear", TRUE }, { NULL, 0 } };
static const Word variances[] = { { "fixed_small", FALSE }, { "fixed_large", TRUE }, { NULL, 0 } };
static const Word sigma_schedules[] = { { "karras", FALSE }, { "exponential", TRUE }, { NULL, 0 } };

static gboolean
read_words (AtlScheduleConfig *c, JsonObject *config, GError **error)
{
  int prediction = (int) c->prediction, spacing = (int) c->spacing, betas = (int) c->betas;
  int algorithm = (int) c->algorithm;

  if (!read_word (config, "prediction_type", predictions, &prediction, error) ||
      !read_word (config, "timestep_spacing", spacings, &spacing, error) ||
      !read_word (config, "beta_schedule", beta_kinds, &betas, error) ||
      !read_word (config, "algorithm_type", algorithms, &algorithm, error) ||
      !read_word (config, "final_sigmas_type", last_sigmas, &c->last_sigma_min, error) ||
      !read_word (config, "interpolation_type", interpolations, &c->log_linear, error) ||
      !read_word (config, "timestep_type", timestep_types, &c->continuous, error) ||
      !read_word (config, "time_shift_type", time_shifts, &c->linear_shift, error) ||
      !read_word (config, "variance_type", variances, &c->fixed_large, error) ||
      !read_word (config, "sigma_schedule", sigma_schedules, &c->exponential, error))
    return FALSE;
  c->prediction = (AtlPrediction) prediction;
  c->spacing = (AtlSpacing) spacing;
  c->betas = (AtlBetas) betas;
  c->algorithm = (AtlDpmAlgorithm) algorithm;
  /* A name of another solver's type means the default, as in the origin. */
  c->heun = g_strcmp0 (atl_json_string (config, "solver_type", NULL), "heun") == 0;
  c->bh1 = g_strcmp0 (atl_json_string (config, "solver_type", NULL), "bh1") == 0;
  return TRUE;
}

static gboolean
read_numbers (AtlScheduleConfig *c, JsonObject *config, GError **error)
{
  gint64 order = c->order;

  if (!read_whole (config, "num_train_timesteps", 2, 100000, &c->n_train, error) ||
      !read_number (config, "beta_start", 0, 1, &c->beta_start, error) ||
      !read_number (config, "beta_end", 0, 1, &c->beta_end, error) ||
      !read_whole (config, "steps_offset", 0, 1000, &c->steps_offset, error) ||
      !read_number (config, "sigma_min", 0, 1e6, &c->sigma_min, error) ||
      !read_number (config, "sigma_max", 0, 1e6, &c->sigma_max, error) ||
      !read_number (config, "clip_sample_range", 0, 1e6, &c->clip_range, error) ||
      !read_number (config, "shift", 1e-3, 1e3, &c->shift, error) ||
      !read_number (config, "flow_shift", 1e-3, 1e3, &c->shift, error) ||
      !read_number (config, "shift_terminal", 0, 0.999, &c->shift_terminal, error) ||
      !read_number (config, "base_shift", -100, 100, &c->base_shift, error) ||
      !read_number (config, "max_shift", -100, 100, &c->max_shift, error) ||
      !read_number (config, "base_image_seq_len", 1, 1e9, &c->base_len, error) ||
      !read_number (config, "max_image_seq_len", 1, 1e9, &c->max_len, error) ||
      !read_whole (config, "solver_order", 1, 3, &order, error) ||
      !read_number (config, "lambda_min_clipped", -1e300, 100, &c->lambda_min_clipped, error) ||
      !read_whole (config, "original_inference_steps", 1, 100000, &c->original_steps, error) ||
      !read_number (config, "timestep_scaling", 0, 1e6, &c->timestep_scaling, error) ||
      !read_number (config, "snr_shift_scale", 1e-6, 1e6, &c->snr_shift_scale, error) ||
      !read_number (config, "sigma_data", 1e-6, 1e6, &c->sigma_data, error) ||
      !read_number (config, "rho", 0.1, 100, &c->rho, error))
    return FALSE;
  c->order = (guint) order;
  return TRUE;
}

static void
read_flags (AtlScheduleConfig *c, JsonObject *config)
{
  JsonArray *list = atl_json_array (config, "disable_corrector");

  c->zero_snr = atl_json_bool (config, "rescale_betas_zero_snr", c->zero_snr);
  c->clip_sample = atl_json_bool (config, "clip_sample", c->clip_sample);
  c->alpha_to_one = atl_json_bool (config, "set_alpha_to_one", c->alpha_to_one);
  c->flow_sigmas = atl_json_bool (config, "use_flow_sigmas", c->flow_sigmas);
  c->dynamic_shift = atl_json_bool (config, "use_dynamic_shifting", c->dynamic_shift);
  c->invert = atl_json_bool (config, "invert_sigmas", c->invert);
  c->stochastic = atl_json_bool (config, "stochastic_sampling", c->stochastic);
  c->predict_x0 = atl_json_bool (config, "predict_x0", c->predict_x0);
  c->lower_order_final = atl_json_bool (config, "lower_order_final", c->lower_order_final);
  c->euler_at_final = atl_json_bool (config, "euler_at_final", c->euler_at_final);
  c->skip_prk = atl_json_bool (config, "skip_prk_steps", c->skip_prk);
  if (atl_json_bool (config, "use_karras_sigmas", FALSE))
    c->respace = ATL_RESPACE_KARRAS;
  else if (atl_json_bool (config, "use_exponential_sigmas", FALSE))
    c->respace = ATL_RESPACE_EXPONENTIAL;
  else if (atl_json_bool (config, "use_beta_sigmas", FALSE))
    c->respace = ATL_RESPACE_BETA;
  else if (atl_json_bool (config, "use_lu_lambdas", FALSE))
    c->respace = ATL_RESPACE_LU;
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    {
      JsonNode *node = json_array_get_element (list, i);
      gint64 step = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : -1;

      if (step >= 0 && step < 64)
        c->disable_corrector |= (guint64) 1 << step;
    }
}

gboolean
atl_schedule_read_config (AtlScheduleConfig *c, JsonObject *config, GError **error)
{
  JsonNode *trained = config != NULL ? json_object_get_member (config, "trained_betas") : NULL;

  if (config == NULL)
    return TRUE;
  if (trained != NULL && !JSON_NODE_HOLDS_NULL (trained))
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                           _ ("The schedule brings noise levels of its own (trained_betas), which "
                              "cannot be used"));
      return FALSE;
    }
  if (atl_json_bool (config, "thresholding", FALSE))
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                           _ ("The schedule asks for thresholding, which is for models without "
                              "latents only"));
      return FALSE;
    }
  read_flags (c, config);
  return read_words (c, config, error) && read_numbers (c, config, error);
}
