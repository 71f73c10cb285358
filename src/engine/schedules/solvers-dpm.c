/* DPM-Solver in its multistep and single-step forms; multistep.c has the mathematics. */
#include <glib/gi18n.h>
#include <math.h>

#include "engine/schedules/multistep.h"

static gboolean
is_noise_form (const AtlSchedule *self)
{
  return self->c.algorithm == ATL_ALGORITHM_DPM || self->c.algorithm == ATL_ALGORITHM_SDE_DPM;
}

static gboolean
check (const AtlSchedule *self, GError **error)
{
  if (!is_noise_form (self) || self->c.last_sigma_min)
    return TRUE;
  g_set_error_literal (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("DPM-Solver in its noise form cannot end at no noise; its "
                          "final_sigmas_type must be sigma_min"));
  return FALSE;
}

static void
convert (AtlSchedule *self, const AtlStep *s)
{
  double x, output;
  float *m = atl_schedule_push (self);

  atl_multistep_convert (self, s->call, is_noise_form (self), &x, &output);
  atl_schedule_combine (m, self->n, 2, (const float *[]){ s->x, s->output },
                        (double[]){ x, output });
}

/* --- Multistep --- */

static void
multi_defaults (AtlScheduleConfig *c)
{
  c->lower_order_final = TRUE;
}

static gboolean
multi_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  return check (self, error) && atl_multistep_plan (self, request, ATL_MULTISTEP_DPM, error);
}

static void
multi_step (AtlSchedule *self, const AtlStep *s)
{
  convert (self, s);
  atl_multistep_dpm_update (
      self, s,
      atl_multistep_order (self, s->call, self->c.euler_at_final || !self->c.last_sigma_min));
}

static const AtlSolver multi = {
  .class_name = "DPMSolverMultistepScheduler",
  .defaults = multi_defaults,
  .plan = multi_plan,
  .mix = atl_multistep_mix,
  .wants_noise = atl_multistep_dpm_wants_noise,
  .step = multi_step,
  .calls_per_step = 1,
};

/* --- Single-step --- */

/* 1, 2, 3, 1, 2, 3 …: a call of order k finishes a step that began k calls ago. */
static void
plan_orders (AtlSchedule *self)
{
  guint n = self->n_calls, order = self->c.order;
  gboolean lower = self->c.lower_order_final || n % order != 0 || !self->c.last_sigma_min;

  self->orders = g_new (guint8, n);
  for (guint i = 0; i < n; i++)
    self->orders[i] = (guint8) (i % order + 1);
  if (lower && order == 2 && n % 2 == 0)
    self->orders[n - 1] = 1;
  if (lower && order == 3 && n % 3 == 0)
    self->orders[n - 1] = 1;
  if (!self->c.last_sigma_min)
    self->orders[n - 1] = 1;
}

static gboolean
single_plan (AtlSchedule *self, const AtlScheduleRequest *request, GError **error)
{
  self->c.spacing = ATL_SPACING_LINSPACE;
  if (!check (self, error) || !atl_multistep_plan (self, request, ATL_MULTISTEP_DPM, error))
    return FALSE;
  plan_orders (self);
  return TRUE;
}

static void
single_step (AtlSchedule *self, const AtlStep *s)
{
  guint order = self->orders[s->call];

  convert (self, s);
  /* After a start in the middle of a step there is less to build on. */
  order = MIN (order, self->n_past);
  if (order == 1)
    atl_schedule_keep (self, s->x);
  atl_multistep_dpm_single (self, s, order);
}

static const AtlSolver single = {
  .class_name = "DPMSolverSinglestepScheduler",
  .plan = single_plan,
  .mix = atl_multistep_mix,
  .wants_noise = atl_multistep_dpm_wants_noise,
  .step = single_step,
  .calls_per_step = 1,
};

const AtlSolver *const atl_solvers_dpm[] = { &multi, &single, NULL };
