/* Walking a schedule with what a denoiser says. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/passes.h"
#include "engine/diffusion/preview.h"

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

static void
set_overflow (const AtlRun *run, guint step, GError **error)
{
  if (atl_parts_n_loras (run->parts) > 0)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("The model's numbers overflowed in step %u, so there is no picture. Weaker or "
                    "fewer LoRAs, less prompt strength or another copy of the model may help"),
                 step);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("The model's numbers overflowed in step %u, so there is no picture. "
                    "Less prompt strength, another size or another copy of the model may "
                    "help"),
                 step);
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
  /* What the solver keeps, the noise of a step, what it foretells. */
  g_autoptr (AtlArray) kept = atl_array_new (
      "kept", ATL_DTYPE_F32, 2,
      (gint64[]){ atl_schedule_most_kept (schedule) + 2, atl_array_n_elems (scaled) });

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
      if (!atl_array_is_finite (out))
        {
          set_overflow (run, call + 1 - first, error);
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
  run->method = atl_passes_method (run->passes);
  ok = sample (run, schedule, first, x, predict, after, user_data, error);
  g_clear_pointer (&run->passes, atl_passes_free);
  g_clear_pointer (&run->estimate, atl_array_free);
  /* The autoencoder's memory is not to come on top of it. */
  atl_schedule_forget (schedule);
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
