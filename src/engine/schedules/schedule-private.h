/* What the solvers of schedule.h share. */
#pragma once

#include "engine/schedules/schedule.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_PREDICT_EPSILON,
  ATL_PREDICT_V,
  ATL_PREDICT_SAMPLE,
  ATL_PREDICT_FLOW,
} AtlPrediction;

typedef enum
{
  ATL_SPACING_LINSPACE,
  ATL_SPACING_LEADING,
  ATL_SPACING_TRAILING,
} AtlSpacing;

typedef enum
{
  ATL_BETAS_LINEAR,
  ATL_BETAS_SCALED_LINEAR,
  ATL_BETAS_COSINE, /* squaredcos_cap_v2 */
} AtlBetas;

typedef enum
{
  ATL_RESPACE_NONE,
  ATL_RESPACE_KARRAS,
  ATL_RESPACE_EXPONENTIAL,
  ATL_RESPACE_BETA,
  ATL_RESPACE_LU,
} AtlRespace;

typedef enum
{
  ATL_ALGORITHM_DPM,     /* dpmsolver */
  ATL_ALGORITHM_DPM_PP,  /* dpmsolver++ */
  ATL_ALGORITHM_SDE_PP,  /* sde-dpmsolver++ */
  ATL_ALGORITHM_SDE_DPM, /* sde-dpmsolver */
} AtlDpmAlgorithm;

typedef struct _AtlSolver AtlSolver;

typedef struct
{
  gint64 n_train;
  AtlBetas betas;
  double beta_start, beta_end;
  AtlPrediction prediction;
  AtlSpacing spacing;
  gint64 steps_offset;
  AtlRespace respace;
  gboolean zero_snr;       /* rescale_betas_zero_snr */
  double sigma_min;        /* 0: from the table */
  double sigma_max;        /* 0: from the table */
  gboolean last_sigma_min; /* final_sigmas_type sigma_min; otherwise zero */
  gboolean log_linear;     /* interpolation_type */
  gboolean continuous;     /* timestep_type: the model is told log sigma / 4 */
  gboolean clip_sample;
  double clip_range;
  gboolean alpha_to_one;
  /* flow */
  gboolean flow_sigmas, dynamic_shift, linear_shift, invert, stochastic;
  double shift, shift_terminal;
  double base_shift, max_shift, base_len, max_len;
  /* multistep */
  guint order;
  AtlDpmAlgorithm algorithm;
  gboolean heun; /* solver_type of DPM-Solver */
  gboolean bh1;  /* solver_type of UniPC */
  gboolean predict_x0, lower_order_final, euler_at_final;
  guint64 disable_corrector; /* bit i: not after step i */
  double lambda_min_clipped;
  /* DDPM, PNDM, LCM, TCD, CogVideoX */
  gboolean fixed_large, skip_prk;
  gint64 original_steps;
  double timestep_scaling, snr_shift_scale;
  /* EDM */
  double sigma_data, rho;
  gboolean exponential; /* sigma_schedule */
} AtlScheduleConfig;

#define ATL_SCHEDULE_HISTORY 4

struct _AtlSchedule
{
  const AtlSolver *solver;
  AtlScheduleConfig c;
  double *abar; /* [n_train] product of 1 - beta; NULL for flow matching and EDM */

  AtlScheduleRequest request; /* of this run; its arrays are not kept */
  guint n_steps, n_calls;
  double *timesteps; /* [n_calls] */
  float *sigmas;     /* (nullable) [n_sigmas] */
  guint n_sigmas;
  float *inner;     /* (nullable) [n_sigmas] sigma of the second call of DPM2 */
  float *up, *down; /* (nullable) [n_sigmas] ancestral parts of DPM2 a */
  guint8 *orders;   /* (nullable) [n_steps] of the single-step solver */
  double init_noise_sigma;

  /* The run so far. */
  guint next_call;
  guint n_done;                      /* calls since the beginning */
  gsize n;                           /* floats of a sample */
  float *past[ATL_SCHEDULE_HISTORY]; /* converted outputs or slopes, newest first */
  guint n_past;
  float *kept; /* the sample a step began with */
  gboolean has_kept;
  float *work; /* [n] */
  guint last_order;
};

/* One call of step. */
typedef struct
{
  guint call;
  const float *output;
  float *x;
  const float *noise; /* (nullable) */
} AtlStep;

struct _AtlSolver
{
  const char *class_name;
  void (*defaults) (AtlScheduleConfig *c);
  gboolean (*plan) (AtlSchedule *self, const AtlScheduleRequest *request, GError **error);
  double (*input_scale) (const AtlSchedule *self, guint call); /* (nullable) 1 */
  void (*mix) (const AtlSchedule *self, guint call, double *clean, double *noise);
  gboolean (*wants_noise) (const AtlSchedule *self, guint call); /* (nullable) never */
  void (*step) (AtlSchedule *self, const AtlStep *step);
  guint calls_per_step; /* how many calls image to image skips for a step */
  /* (nullable) The call that begins step `skipped`, where that is no multiple. */
  guint (*first_call) (const AtlSchedule *self, guint skipped);
};

extern const AtlSolver *const atl_solvers_sigma[];     /* solvers-sigma.c, NULL-terminated */
extern const AtlSolver *const atl_solvers_second[];    /* solvers-second.c */
extern const AtlSolver *const atl_solvers_dpm[];       /* solvers-dpm.c */
extern const AtlSolver *const atl_solvers_multistep[]; /* solvers-multistep.c */
extern const AtlSolver *const atl_solvers_vp[];        /* solvers-vp.c */
extern const AtlSolver *const atl_solvers_few[];       /* solvers-few.c */
extern const AtlSolver *const atl_solvers_flow[];      /* solvers-flow.c */
extern const AtlSolver *const atl_solvers_edm[];       /* solvers-edm.c */

/* config.c */
gboolean atl_schedule_read_config (AtlScheduleConfig *c, JsonObject *config, GError **error);

/* tables.c */
double *atl_schedule_make_abar (const AtlScheduleConfig *c, gboolean floor_terminal);
/* abar of CogVideoX: shifted signal-to-noise, then zero terminal on abar itself, all in doubles. */
double *atl_schedule_make_abar_cog (const AtlScheduleConfig *c);
/* sqrt ((1 - abar) / abar) in float32; and their logarithms. [n_train], free with g_free. */
float *atl_schedule_sigma_table (const AtlSchedule *self, float **logs);
/* n timesteps, descending. rounded: to whole numbers. */
void atl_schedule_space (const AtlScheduleConfig *c, guint n, gboolean rounded, double *t);
/* The spacing of DPM-Solver, UniPC and DEIS, below `last`; returns how many there are (n, or fewer
 * with a clipped lambda). */
guint atl_schedule_space_multistep (const AtlScheduleConfig *c, guint n, gint64 last, double *t);
/* table[t], linear between entries. */
double atl_schedule_interpolate (const float *table, gint64 n, double t);
/* The timestep of a sigma: linear between logarithms, within the table. */
double atl_schedule_sigma_to_t (double sigma, const float *logs, gint64 n);
/* n sigmas from `high` down to `low` as the configuration says (not LU). */
void
atl_schedule_respace (const AtlScheduleConfig *c, double high, double low, guint n, double *sigmas);
/* s' of a flow sigma under the configured shift. */
double atl_schedule_shift_sigma (const AtlScheduleConfig *c, double shift, double mu, double s);
/* Stretches so that the last is shift_terminal. */
void atl_schedule_stretch (const AtlScheduleConfig *c, double *sigmas, guint n);

/* schedule.c */
/* dst = sum coef[i] * src[i]; dst may be one of them. A coefficient of 0 is left out, whatever the
 * source holds. */
void
atl_schedule_combine (float *dst, gsize n, guint k, const float *const *src, const double *coef);
/* A new slot in front of the history, to be filled by the caller. */
float *atl_schedule_push (AtlSchedule *self);
void atl_schedule_keep (AtlSchedule *self, const float *x);
void atl_schedule_set_calls (AtlSchedule *self, guint n_steps, guint n_calls);
/* sigmas[n] and `last` become the float table. */
void atl_schedule_set_sigmas (AtlSchedule *self, const double *sigmas, guint n, double last);

/* The denoised sample as a mix of x and the model's output.
 * In sigma space: x = clean + sigma * noise. */
void atl_schedule_clean_sigma (const AtlScheduleConfig *c, double sigma, double *x, double *output);
/* In the variance-preserving or flow space: x = alpha * clean + s * noise. */
void atl_schedule_clean_vp (
    const AtlScheduleConfig *c, double alpha, double s, double *x, double *output);

/* By what share the noise at `sigma` is raised before a step (Karras et al. 2022, algorithm 2). */
double atl_schedule_churn (const AtlSchedule *self, double sigma);

/* A point of a multistep solver. */
typedef struct
{
  double alpha, sigma, lambda;
} AtlPoint;

/* Signal and noise at `sigma`: (1 - sigma, sigma) of flows; of noise schedules with a table of
 * alphas the variance-preserving pair; else (1, sigma). lambda is log (alpha / sigma). */
AtlPoint atl_schedule_point (const AtlSchedule *self, float sigma);

G_END_DECLS
