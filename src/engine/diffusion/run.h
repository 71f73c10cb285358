/* One picture or clip on its way: what a family's pipeline works with, and the steps that families
 * share.
 *
 *   context = atl_run_component (run, "text_encoder", request, error);
 *   schedule = atl_run_schedule (run, error);
 *   x = atl_run_noise (run, "initial_latent", 4, dim, error);
 *   atl_run_sample (run, schedule, 0, x, predict, NULL, data, error);
 *   atl_run_take_output (run, "image", image);
 *
 * Threading: one thread, the one that runs it.
 */
#pragma once

#include "engine/diffusion/arrays.h"
#include "engine/diffusion/noise.h"
#include "engine/diffusion/parts.h"
#include "engine/diffusion/settings.h"
#include "engine/diffusion/step-cache.h"
#include "engine/schedules/schedule.h"

G_BEGIN_DECLS

/* What somebody outside wants to know while it runs; all nullable. Called on the run's thread. */
typedef struct
{
  /* `phase` is a sentence for the person; n_steps is 0 where nothing is counted. */
  void (*progress) (const char *phase, guint step, guint n_steps, gpointer user_data);
  /* The latent after a step, still noisy: [1, C, (F,) H, W] or tokens, as the family has it. */
  void (*step) (const AtlArray *latent, guint step, guint n_steps, gpointer user_data);
  /* Intermediate results under the names of the golden cases ("text_hidden", "first_output"). */
  void (*trace) (const char *name, const AtlArray *value, gpointer user_data);
  gpointer user_data;
  /* (nullable) Once it is not 0, which any thread may make it, no further step is taken: the
   * picture is what the denoiser foretold last. */
  const gint *is_enough;
} AtlRunHooks;

/* The latent of a picture: its size and how numbers of the autoencoder become the network's. */
typedef struct
{
  gint64 factor; /* pixels to one of its cells */
  gint64 channels;
  gint64 height, width; /* in cells */
  double scaling, shift;
} AtlLatent;

/* What a walk that only counts has found (cost.h). */
enum
{
  ATL_COUNT_TEXT,
  ATL_COUNT_ENCODE,
  ATL_COUNT_STEP,
  ATL_COUNT_DECODE,
  ATL_COUNT_PREVIEW, /* once, as often as there is time for it */
  ATL_N_COUNTS
};

typedef struct
{
  AtlBackend *const *backends; /* rehearsals */
  guint n_backends;
  double products[ATL_N_COUNTS];
  guint64 largest_part;   /* bytes of its weights */
  guint64 cache_bytes;    /* in the host's memory, of what leaves out steps */
  guint n_steps, n_asked; /* steps there are, and that were walked */
  guint frames;
  gboolean is_done; /* it came to its end; the pipeline gives an error then, which is none */
} AtlRunCount;

typedef struct _AtlPasses AtlPasses;                   /* passes.h */
typedef struct _AtlDiffusionFamily AtlDiffusionFamily; /* family.h */

typedef struct
{
  const AtlDiffusionFamily *family; /* (nullable) of a whole picture's run */
  const char *pipeline;             /* (nullable) class: asked for, or of model_index.json */
  AtlBundle *bundle;
  AtlParts *parts;
  const AtlSettings *settings;
  GPtrArray *inputs; /* AtlArray: "image", "mask", "initial_latent"…; borrowed */
  AtlNoise *noise;
  AtlRunHooks hooks;
  GCancellable *cancellable; /* (nullable) */
  GPtrArray *outputs;        /* AtlArray */
  char *sampler;             /* (owned) (nullable) class of the schedule, once it is made */
  gboolean is_under_way;     /* the denoiser was asked */
  guint n_computed;          /* steps that were; others may be foretold (step-cache.h) */
  const char *method;        /* (nullable) by which they are (passes.h); static */
  guint tile;                /* side of the autoencoder's tiles, px; 0: whole */
  AtlRunCount *count;        /* (nullable) nothing is computed, this is filled */
  AtlLatent latent;          /* once the family knows it; scaling 0: normalised by statistics */
  AtlPasses *passes;         /* (owned, nullable) while it samples: what leaves out steps */
  AtlArray *estimate;        /* (owned, nullable) during hooks.step: what the denoiser foretells */
} AtlRun;

/* Multiplications that were walked on all its backends; bytes of the weights that they were given.
 */
double atl_count_products (const AtlRunCount *self);
guint64 atl_count_weights (const AtlRunCount *self);

/* --- Inputs --- */

/* NULL if there is none of that name. */
AtlArray *atl_run_input (const AtlRun *run, const char *name);
/* Picture `i`, from 0, of a kind ("image", "condition") that may come several times: "KIND_1", or
 * KIND alone for the first; float32 [1, 3, H, W]. NULL where there is none of that form. */
const AtlArray *atl_run_reference (const AtlRun *run, const char *kind, guint i);
/* The middle of such a picture of 0…1, as -1…1, [1, 3, H, W] with sides that are multiples of
 * `multiple`; NULL with ATL_ERROR_INVALID where one would be less than `least`. The caller's. */
AtlArray *
atl_crop_reference (const AtlArray *picture, gint64 multiple, gint64 least, GError **error);
/* "image" [1, 3, H, W] in 0…1 as -1…1, of exactly this size; NULL with ATL_ERROR_INVALID. The
 * caller's. */
AtlArray *
atl_run_picture (const AtlRun *run, const char *name, gint64 height, gint64 width, GError **error);
/* The input "mask" [1, 1, H, W] of exactly this size, cut at one half: 1 is painted. NULL with
 * ATL_ERROR_INVALID, also when there is none. The caller's. */
AtlArray *atl_run_mask (const AtlRun *run, gint64 height, gint64 width, GError **error);
/* The input of that name, or unit noise from the run's seed, in this shape. The caller's.
 * ATL_ERROR_INVALID when the input has another shape. */
AtlArray *
atl_run_noise (AtlRun *run, const char *name, guint n_dims, const gint64 *dim, GError **error);
/* The text for encoder `encoder` (from 0): the setting "NAME_2" for the second, "NAME_3" for the
 * third, or NAME itself. Borrowed. */
const char *atl_run_text_for (const AtlRun *run, const char *name, guint encoder);
/* Width and height as asked for, rounded to multiples of `multiple`, from it to 16384; `side` when
 * not asked for. */
void atl_run_size (const AtlRun *run, gint64 multiple, gint64 side, gint64 *width, gint64 *height);

/* --- Steps --- */

void atl_run_progress (AtlRun *run, const char *phase, guint step, guint n_steps);
void atl_run_trace (AtlRun *run, const char *name, const AtlArray *value);
/* Runs a part. The request's arrays stay the caller's. */
GPtrArray *
atl_run_component (AtlRun *run, const char *role, const AtlRequest *request, GError **error);
/* The same for its one output of that name; the caller's. */
AtlArray *atl_run_output_of (
    AtlRun *run, const char *role, AtlRequest *request, const char *name, GError **error);

/* The schedule that is asked for ("scheduler": a class, or a configuration with "_class_name";
 * "scheduler_config", and "shift" of flow matching), the bundle's own, or the family's. Steps are
 * not set yet. */
AtlSchedule *atl_run_schedule (AtlRun *run, GError **error);
/* Sets the steps that are asked for ("timesteps", "sigmas" or "steps"); `mu` NAN for none. */
gboolean
atl_run_set_steps (AtlRun *run, AtlSchedule *schedule, guint fallback, double mu, GError **error);

/* The same for flow matching, whose pipelines give the steps themselves: from 1 down to 1/n evenly,
 * before any shift. */
gboolean atl_run_set_flow_steps (
    AtlRun *run, AtlSchedule *schedule, guint fallback, double mu, GError **error);
/* The call that a walk from a picture begins with in flow matching: n - n * strength of the n steps
 * are left out, cut to a whole number. */
guint atl_run_flow_start (const AtlRun *run, const AtlSchedule *schedule, double strength);

/* What the denoiser says, guidance included. `out` has x's shape. */
typedef gboolean (*AtlPredictFunc) (AtlRun *run,
                                    const AtlArray *scaled,
                                    double timestep,
                                    guint call,
                                    AtlArray *out,
                                    gpointer user_data,
                                    GError **error);
/* After each step (nullable): may change x. */
typedef void (*AtlStepFunc) (
    AtlRun *run, AtlSchedule *schedule, guint call, AtlArray *x, gpointer user_data);

/* Walks the schedule from call `first` to its end. Takes x, which becomes the sample and the output
 * "final_latent"; borrowed, NULL on error. Releases `role`, the denoiser. Steps that use noise take
 * it from the input "noise" [draws, …] when there is one, else from the seed. With the setting
 * "faster" (1, 2 or 3) steps are left out whose result can be foretold (passes.h). An error
 * names NaN when the denoiser's output is not finite. */
AtlArray *atl_run_sample (AtlRun *run,
                          AtlSchedule *schedule,
                          guint first,
                          AtlArray *x,
                          const char *role,
                          AtlPredictFunc predict,
                          AtlStepFunc after,
                          gpointer user_data,
                          GError **error);

/* What a denoiser says of one text: `text` is whatever the family keeps for one. The caller's. */
typedef AtlArray *(*AtlForwardFunc) (AtlRun *run,
                                     const AtlArray *latent,
                                     double timestep,
                                     gconstpointer text,
                                     gpointer user_data,
                                     GError **error);
/* out = negative + scale * (positive - negative) of two passes, or the positive one alone when
 * there is no negative text (nullable). A pass may say more than `out` holds: the rest, behind, is
 * left out. `*kept` (nullable) is the positive pass, the caller's. */
gboolean atl_run_guided (AtlRun *run,
                         AtlForwardFunc forward,
                         const AtlArray *latent,
                         double timestep,
                         gconstpointer positive,
                         gconstpointer negative,
                         double scale,
                         AtlArray *out,
                         AtlArray **kept,
                         gpointer user_data,
                         GError **error);

/* Takes the array; it is renamed. */
void atl_run_take_output (AtlRun *run, const char *name, AtlArray *array);

G_END_DECLS
