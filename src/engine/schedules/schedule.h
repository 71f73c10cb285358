/* Noise schedules and their solvers: from noise to a sample in a number of calls of a denoiser.
 *
 *   g_autoptr (AtlSchedule) s = atl_schedule_new ("EulerDiscreteScheduler", config, error);
 *   atl_schedule_set_steps (s, &(AtlScheduleRequest){ .n_steps = 20 }, error);
 *   x = unit noise * atl_schedule_init_noise_sigma (s);
 *   for (guint i = 0; i < atl_schedule_n_calls (s); i++)
 *     {
 *       atl_schedule_scale_input (s, i, x, scaled, n);
 *       ... output = denoiser (scaled, atl_schedule_timestep (s, i)) ...
 *       atl_schedule_step (s, i, output, x, noise, n);
 *     }
 *
 * A solver of second order calls the denoiser more often than it steps. The mathematics follow the
 * classes of diffusers 0.42.1 that the names say; the tables are made in the precision the
 * originals use, because some of their timesteps are cut to whole numbers.
 *
 * Threading: one thread at a time per AtlSchedule.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlSchedule AtlSchedule;

/* What one run asks for. Exactly one of n_steps, sigmas and timesteps is given. */
typedef struct
{
  guint n_steps;
  const double *sigmas; /* (nullable) flow matching, Euler: before any shift */
  guint n_sigmas;
  const double *timesteps; /* (nullable) few-step models, descending */
  guint n_timesteps;
  double mu; /* logarithm of the shift, for schedules that shift with the size of the picture */
  gboolean has_mu;
  /* How much noise is put back: eta of DDIM and TCD (0 to 1), churn of Euler and Heun. */
  double eta;
  gboolean has_eta;               /* FALSE: 0, and 0.3 for TCD */
  double s_churn, s_tmin, s_tmax; /* s_tmax 0: no limit */
  double s_noise;                 /* 0: 1 */
} AtlScheduleRequest;

/* `class_name` and `config` are those of a scheduler_config.json; missing keys have the class's
 * defaults. config is nullable. Errors: ATL_ERROR_UNSUPPORTED for a class or an option that is not
 * there, ATL_ERROR_INVALID for numbers that make no sense. */
AtlSchedule *atl_schedule_new (const char *class_name, JsonObject *config, GError **error);
void atl_schedule_free (AtlSchedule *self);
/* Static, NULL-terminated. */
const char *const *atl_schedule_class_names (void);

/* Makes the tables of one run and forgets any earlier one. Errors: ATL_ERROR_INVALID. */
gboolean
atl_schedule_set_steps (AtlSchedule *self, const AtlScheduleRequest *request, GError **error);

/* After set_steps. */
guint atl_schedule_n_calls (const AtlSchedule *self);
/* 1, or 2 for solvers of second order. */
guint atl_schedule_calls_per_step (const AtlSchedule *self);
/* What the denoiser is told in call i. */
double atl_schedule_timestep (const AtlSchedule *self, guint call);
/* The table with its terminal entry; NULL for solvers that have none. Borrowed until set_steps. */
const float *atl_schedule_sigmas (const AtlSchedule *self, guint *n);
/* Unit noise times this begins a run. */
double atl_schedule_init_noise_sigma (const AtlSchedule *self);

/* Starting from a picture: the first call when only this share (0 to 1) of the steps is walked.
 * n_calls when nothing is. */
guint atl_schedule_first_call (const AtlSchedule *self, double strength);
/* noised[n] = clean and unit noise mixed as call `first` expects. Buffers may be the same. */
void atl_schedule_add_noise (const AtlSchedule *self,
                             guint first,
                             const float *clean,
                             const float *noise,
                             float *noised,
                             gsize n);

/* clean[n] = the finished sample as the output of this call, asked at x, foretells it; before the
 * step. FALSE where x says nothing of it yet, or the solver cannot tell. */
gboolean atl_schedule_estimate (const AtlSchedule *self,
                                guint call,
                                const float *output,
                                const float *x,
                                float *clean,
                                gsize n);
/* scaled[n] = what the denoiser sees of x. The buffers may be the same. */
void atl_schedule_scale_input (
    const AtlSchedule *self, guint call, const float *x, float *scaled, gsize n);
/* Whether the step of this call uses unit noise. */
gboolean atl_schedule_wants_noise (const AtlSchedule *self, guint call);
/* x[n] becomes the next sample. Calls go up one by one from 0 or from first_call; another order
 * begins anew without history. `noise` is nullable where wants_noise says FALSE. */
void atl_schedule_step (
    AtlSchedule *self, guint call, const float *output, float *x, const float *noise, gsize n);
/* Frees what steps left behind; another begins anew without history. */
void atl_schedule_forget (AtlSchedule *self);
/* Samples that are kept between steps, at most. */
guint atl_schedule_most_kept (const AtlSchedule *self);

/* mu for a picture of n_tokens latent tokens: linear between (base_len, base_shift) and (max_len,
 * max_shift), not clamped (Flux, Qwen-Image, LTX). Reads the four numbers from the configuration.
 */
double atl_schedule_mu (const AtlSchedule *self, double n_tokens);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlSchedule, atl_schedule_free)

G_END_DECLS
