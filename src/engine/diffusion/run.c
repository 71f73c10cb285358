/* What the families' pipelines share. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/passes.h"
#include "engine/diffusion/preview.h"

#define MAX_SIDE 16384
#define MAX_STEPS 1000

/* --- Inputs --- */

AtlArray *
atl_run_input (const AtlRun *run, const char *name)
{
  return atl_arrays_find (run->inputs, name);
}

const AtlArray *
atl_run_reference (const AtlRun *run, const char *kind, guint i)
{
  g_autofree char *name = g_strdup_printf ("%s_%u", kind, i + 1);
  const AtlArray *a = atl_run_input (run, name);

  if (a == NULL && i == 0)
    a = atl_run_input (run, kind);
  return a != NULL && a->dtype == ATL_DTYPE_F32 && a->n_dims == 4 && a->dim[0] == 1 &&
                 a->dim[1] == 3 && a->dim[2] > 0 && a->dim[3] > 0
             ? a
             : NULL;
}

AtlArray *
atl_run_picture (const AtlRun *run, const char *name, gint64 height, gint64 width, GError **error)
{
  const AtlArray *input = atl_run_input (run, name);
  AtlArray *picture;

  if (input == NULL || input->dtype != ATL_DTYPE_F32 || input->n_dims != 4 || input->dim[0] != 1 ||
      input->dim[1] != 3 || input->dim[2] != height || input->dim[3] != width)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The picture “%s” must be there, with %d × %d pixels"), name, (int) width,
                   (int) height);
      return NULL;
    }
  picture = atl_array_copy (input, "image");
  atl_array_affine (picture, 2.0f, -1.0f);
  return picture;
}

AtlArray *
atl_run_mask (const AtlRun *run, gint64 height, gint64 width, GError **error)
{
  const AtlArray *given = atl_run_input (run, "mask");
  AtlArray *mask;

  if (given == NULL || given->dtype != ATL_DTYPE_F32 || given->n_dims != 4 || given->dim[0] != 1 ||
      given->dim[1] != 1 || given->dim[2] != height || given->dim[3] != width)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The mask must have the size of the picture, %d × %d pixels"), (int) width,
                   (int) height);
      return NULL;
    }
  mask = atl_array_copy (given, "mask");
  for (gint64 i = 0; i < height * width && !atl_array_is_hollow (mask); i++)
    atl_array_f32 (mask)[i] = atl_array_f32 (mask)[i] >= 0.5f ? 1.0f : 0.0f;
  return mask;
}

AtlArray *
atl_run_noise (AtlRun *run, const char *name, guint n_dims, const gint64 *dim, GError **error)
{
  const AtlArray *input = atl_run_input (run, name);
  AtlArray *noise;

  if (input == NULL)
    {
      noise = atl_array_new ("latent", ATL_DTYPE_F32, n_dims, dim);
      if (run->count == NULL)
        atl_noise_fill (run->noise, atl_array_f32 (noise), (gsize) atl_array_n_elems (noise));
      return noise;
    }
  if (input->dtype != ATL_DTYPE_F32 || input->n_dims != n_dims ||
      memcmp (input->dim, dim, n_dims * sizeof *dim) != 0)
    {
      g_autofree char *got = atl_shape_to_string (input->n_dims, input->dim);
      g_autofree char *wanted = atl_shape_to_string (n_dims, dim);

      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("“%s” is %s; this picture needs %s"),
                   name, got, wanted);
      return NULL;
    }
  return atl_array_copy (input, "latent");
}

const char *
atl_run_text_for (const AtlRun *run, const char *name, guint encoder)
{
  g_autofree char *own = g_strdup_printf ("%s_%u", name, encoder + 1);
  const char *text = atl_settings_string (run->settings, name, "");

  return encoder == 0 ? text : atl_settings_string (run->settings, own, text);
}

static gint64
rounded (double size, gint64 multiple)
{
  double n = floor (CLAMP (size, 1, MAX_SIDE) / (double) multiple + 0.5);

  return CLAMP ((gint64) n, 1, MAX_SIDE / multiple) * multiple;
}

void
atl_run_size (const AtlRun *run, gint64 multiple, gint64 side, gint64 *width, gint64 *height)
{
  *width = rounded (atl_settings_number (run->settings, "width", (double) side), multiple);
  *height = rounded (atl_settings_number (run->settings, "height", (double) side), multiple);
}

/* --- Steps --- */

void
atl_run_progress (AtlRun *run, const char *phase, guint step, guint n_steps)
{
  if (run->hooks.progress != NULL)
    run->hooks.progress (phase, step, n_steps, run->hooks.user_data);
}

void
atl_run_trace (AtlRun *run, const char *name, const AtlArray *value)
{
  if (run->hooks.trace != NULL)
    run->hooks.trace (name, value, run->hooks.user_data);
}

static guint
kind_of (const char *role, const char *function)
{
  return g_str_equal (role, ATL_TINY_ROLE)        ? ATL_COUNT_PREVIEW
         : g_str_equal (function, "encode_text")  ? ATL_COUNT_TEXT
         : g_str_has_prefix (function, "forward") ? ATL_COUNT_STEP
         : g_str_equal (function, "vae_decode")   ? ATL_COUNT_DECODE
                                                  : ATL_COUNT_ENCODE;
}

GPtrArray *
atl_run_component (AtlRun *run, const char *role, const AtlRequest *request, GError **error)
{
  const char *function = atl_request_function (request);
  AtlRunCount *count = run->count;
  guint64 weights = count != NULL ? atl_count_weights (count) : 0;
  double products = count != NULL ? atl_count_products (count) : 0;
  AtlComponent *component;
  GPtrArray *outputs;

  if (g_cancellable_set_error_if_cancelled (run->cancellable, error))
    return NULL;
  component = atl_parts_get (run->parts, role, function, run->cancellable, error);
  outputs =
      component != NULL ? atl_component_run (component, request, run->cancellable, error) : NULL;
  if (count != NULL)
    {
      count->largest_part = MAX (count->largest_part, atl_count_weights (count) - weights);
      count->products[kind_of (role, function)] += atl_count_products (count) - products;
    }
  return outputs;
}

AtlArray *
atl_run_output_of (
    AtlRun *run, const char *role, AtlRequest *request, const char *name, GError **error)
{
  g_autoptr (GPtrArray) outputs = NULL;

  if (atl_passes_concerns (run->passes, role, atl_request_function (request)))
    return atl_passes_forward (run->passes, role, request, error);
  outputs = atl_run_component (run, role, request, error);
  if (outputs == NULL)
    return NULL;
  for (guint i = 0; i < outputs->len; i++)
    if (g_str_equal (((AtlArray *) outputs->pdata[i])->name, name))
      return g_ptr_array_steal_index (outputs, i);
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the part “%s” gives no “%s”"), role, name);
  return NULL;
}

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
atl_run_schedule (AtlRun *run,
                  const char *fallback,
                  const char *fallback_config,
                  const char *fixed,
                  GError **error)
{
  g_autoptr (JsonObject) config = json_object_new ();
  g_autoptr (JsonObject) whole = atl_settings_object (run->settings, "scheduler");
  g_autoptr (JsonObject) more = atl_settings_object (run->settings, "scheduler_config");
  JsonObject *own = atl_bundle_json (run->bundle, "scheduler", "scheduler_config.json");
  const char *name = atl_json_string (own, "_class_name", fallback);

  if (whole != NULL)
    overlay (config, whole);
  else if (own != NULL)
    overlay (config, own);
  else
    overlay_text (config, fallback_config);
  name = whole != NULL ? atl_json_string (whole, "_class_name", name)
                       : atl_settings_string (run->settings, "scheduler", name);
  if (atl_settings_has (run->settings, "shift"))
    {
      double shift = atl_settings_number (run->settings, "shift", 1);

      json_object_set_double_member (config, "shift", shift);
      json_object_set_double_member (config, "flow_shift", shift);
    }
  overlay (config, more);
  overlay_text (config, fixed);
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
  double n = atl_schedule_n_calls (schedule);

  return (guint) MAX (n - MIN (n * strength, n), 0);
}

gboolean
atl_run_set_steps (AtlRun *run, AtlSchedule *schedule, guint fallback, double mu, GError **error)
{
  return set_steps (run, schedule, count_steps (run, fallback), NULL, mu, error);
}

/* The noise of draw `draw` into `noise`. */
static void
step_noise (AtlRun *run, guint draw, float *noise, gint64 n)
{
  const AtlArray *given = atl_run_input (run, "noise");

  /* One array for the picture, or one for each draw: told apart by how much it holds. */
  if (given != NULL && given->dtype == ATL_DTYPE_F32 &&
      atl_array_n_elems (given) == n * given->dim[0] && draw < given->dim[0])
    memcpy (noise, atl_array_f32 (given) + n * draw, (gsize) n * sizeof *noise);
  else
    atl_noise_fill (run->noise, noise, (gsize) n);
}

static gboolean
is_finite (const AtlArray *array)
{
  gint64 n = atl_array_n_elems (array);
  const float *x = atl_array_f32 (array);

  for (gint64 i = 0; i < n; i++)
    if (!isfinite (x[i]))
      return FALSE;
  return TRUE;
}

/* Shows what x will be, and says whether that is enough: then x is it. */
static gboolean
show_step (AtlRun *run, AtlArray *x, guint step, guint n_steps)
{
  gboolean is_last = step == n_steps;

  if (run->hooks.step != NULL)
    run->hooks.step (x, step, n_steps, run->hooks.user_data);
  if (run->hooks.is_enough == NULL || g_atomic_int_get (run->hooks.is_enough) == 0)
    return is_last;
  if (run->estimate != NULL && !is_last)
    memcpy (x->data, run->estimate->data, atl_array_size (x));
  return TRUE;
}

/* A step's prediction as atl_passes_predict() asks for it. */
typedef struct
{
  AtlRun *run;
  AtlPredictFunc predict;
  double timestep;
  guint call;
  gpointer user_data;
} Asked;

static gboolean
ask (const AtlArray *x, AtlArray *out, gpointer user_data, GError **error)
{
  const Asked *asked = user_data;

  return asked->predict (asked->run, x, asked->timestep, asked->call, out, asked->user_data, error);
}

/* All steps are alike, but the last may be another network's. */
static gboolean
count_steps_of (AtlRun *run,
                AtlSchedule *schedule,
                guint first,
                const AtlArray *scaled,
                AtlArray *out,
                AtlPredictFunc predict,
                gpointer user_data,
                GError **error)
{
  guint n_calls = atl_schedule_n_calls (schedule);
  guint calls[] = { first, n_calls - 1 };

  run->count->n_steps = n_calls - MIN (first, n_calls);
  for (guint i = 0; i < MIN (run->count->n_steps, G_N_ELEMENTS (calls)); i++)
    {
      Asked asked = { run, predict, atl_schedule_timestep (schedule, calls[i]), calls[i],
                      user_data };
      gboolean is_computed;

      if (!atl_passes_predict (run->passes, scaled, ask, &asked, out, &is_computed, error))
        return FALSE;
      run->count->n_asked++;
    }
  atl_preview_count (run, out);
  return TRUE;
}

static gboolean
sample (AtlRun *run,
        AtlSchedule *schedule,
        guint first,
        AtlArray *x,
        AtlPredictFunc predict,
        AtlStepFunc after,
        gpointer user_data,
        GError **error)
{
  guint n_calls = atl_schedule_n_calls (schedule), draws = 0;
  gint64 n = atl_array_n_elems (x);
  g_autoptr (AtlArray) scaled = atl_array_copy (x, "latent");
  g_autoptr (AtlArray) out = atl_array_new ("output", ATL_DTYPE_F32, x->n_dims, x->dim);
  g_autofree float *noise = NULL;

  if (run->count != NULL)
    return count_steps_of (run, schedule, first, scaled, out, predict, user_data, error);
  for (guint call = first; call < n_calls; call++)
    {
      gboolean is_noisy = atl_schedule_wants_noise (schedule, call), is_computed;
      Asked asked;

      /* Translators: shown while a picture is made. */
      atl_run_progress (run, _ ("Drawing"), call - first, n_calls - first);
      if (g_cancellable_set_error_if_cancelled (run->cancellable, error))
        return FALSE;
      atl_schedule_scale_input (schedule, call, atl_array_f32 (x), atl_array_f32 (scaled),
                                (gsize) n);
      asked = (Asked){ run, predict, atl_schedule_timestep (schedule, call), call, user_data };
      if (!atl_passes_predict (run->passes, scaled, ask, &asked, out, &is_computed, error))
        return FALSE;
      run->n_computed += is_computed;
      if (!is_finite (out))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The model's numbers overflowed in step %u, so there is no picture. "
                          "Less prompt strength, another size or another copy of the model may "
                          "help"),
                       call + 1 - first);
          return FALSE;
        }
      if (is_noisy)
        {
          if (noise == NULL)
            noise = g_new (float, n);
          step_noise (run, draws++, noise, n);
        }
      g_clear_pointer (&run->estimate, atl_array_free);
      if (run->hooks.step != NULL || run->hooks.is_enough != NULL)
        {
          run->estimate = atl_array_copy (x, "estimate");
          if (!atl_schedule_estimate (schedule, call, atl_array_f32 (out), atl_array_f32 (x),
                                      atl_array_f32 (run->estimate), (gsize) n))
            g_clear_pointer (&run->estimate, atl_array_free);
        }
      atl_schedule_step (schedule, call, atl_array_f32 (out), atl_array_f32 (x),
                         is_noisy ? noise : NULL, (gsize) n);
      if (after != NULL)
        after (run, schedule, call, x, user_data);
      if (show_step (run, x, call + 1 - first, n_calls - first))
        break;
    }
  return TRUE;
}

AtlArray *
atl_run_sample (AtlRun *run,
                AtlSchedule *schedule,
                guint first,
                AtlArray *x,
                const char *role,
                AtlPredictFunc predict,
                AtlStepFunc after,
                gpointer user_data,
                GError **error)
{
  guint n_calls = atl_schedule_n_calls (schedule);
  gboolean ok;

  /* Rules are made for one call a step. */
  if (atl_schedule_calls_per_step (schedule) <= 1)
    run->passes = atl_passes_new (run, role, n_calls - MIN (first, n_calls));
  ok = sample (run, schedule, first, x, predict, after, user_data, error);
  g_clear_pointer (&run->passes, atl_passes_free);
  g_clear_pointer (&run->estimate, atl_array_free);
  /* The autoencoder's memory is not to come on top of it. */
  atl_parts_forget (run->parts, ATL_TINY_ROLE);
  atl_parts_release (run->parts, role);
  if (!ok)
    {
      atl_array_free (x);
      return NULL;
    }
  atl_run_take_output (run, "final_latent", x);
  return x;
}

gboolean
atl_run_guided (AtlRun *run,
                AtlForwardFunc forward,
                const AtlArray *latent,
                double timestep,
                gconstpointer positive,
                gconstpointer negative,
                double scale,
                AtlArray *out,
                AtlArray **kept,
                gpointer user_data,
                GError **error)
{
  g_autoptr (AtlArray) with = forward (run, latent, timestep, positive, user_data, error);
  g_autoptr (AtlArray) without = NULL;

  if (with == NULL)
    return FALSE;
  g_assert (atl_array_size (with) >= atl_array_size (out));
  if (!run->is_under_way)
    atl_run_trace (run, "first_output", with);
  run->is_under_way = TRUE;
  if (negative != NULL)
    {
      without = forward (run, latent, timestep, negative, user_data, error);
      if (without == NULL)
        return FALSE;
      atl_guide (out, without, with, scale);
    }
  else if (!atl_array_is_hollow (out))
    memcpy (out->data, with->data, atl_array_size (out));
  if (kept != NULL)
    *kept = g_steal_pointer (&with);
  return TRUE;
}

void
atl_run_take_output (AtlRun *run, const char *name, AtlArray *array)
{
  g_free (array->name);
  array->name = g_strdup (name);
  g_ptr_array_add (run->outputs, array);
}
