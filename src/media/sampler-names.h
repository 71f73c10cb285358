/* What samplers and their schedules are called: by people who know other programs, by their
 * authors' classes, and what their configuration says.
 *
 *   atl_sampler_find ("dpm++ 2m sde", FALSE)   its class and configuration
 *   atl_sampler_words ("EulerAncestralDiscreteScheduler")   "Euler a"
 *   atl_sampler_split ("DPM++ 2M Karras", &sampler, &schedule)   "DPM++ 2M", "Karras"
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *name;       /* "DPM++ 2M SDE" */
  const char *class_name; /* "DPMSolverMultistepScheduler" */
  const char *config;     /* (nullable) JSON object that is laid over a model's own */
  gboolean is_flow;       /* of models that match flows */
  gboolean has_schedule;  /* its steps can be spaced by any AtlScheduleName */
  gboolean has_spacing;   /* by those that only choose among the timesteps */
} AtlSamplerName;

typedef struct
{
  const char *name;    /* "Karras" */
  const char *config;  /* JSON object */
  gboolean is_spacing; /* chooses among the timesteps, and leaves noise levels between them alone */
} AtlScheduleName;

/* Every row, in the order in which they are offered. Static. */
const AtlSamplerName *atl_sampler_names (guint *n);
const AtlScheduleName *atl_schedule_names (guint *n);

/* The sampler of that name for models of a kind; NULL for a name that is not in the list. Letter
 * case does not matter. Static. */
const AtlSamplerName *atl_sampler_find (const char *name, gboolean is_flow);
const AtlScheduleName *atl_schedule_find (const char *name);
/* A name with its schedule behind it, as A1111 wrote them once, into two; *schedule is NULL where
 * there is none. The caller's. */
void atl_sampler_split (const char *text, char **sampler, char **schedule);

/* Whether the sampler's steps can be spaced so. */
gboolean atl_sampler_takes (const AtlSamplerName *sampler, const AtlScheduleName *schedule);

/* NULL for a name that is not in the list. Static. */
const char *atl_sampler_class (const char *name);
/* The usual name of a class, or the class itself where it has none. Static, or borrowed. */
const char *atl_sampler_words (const char *class_name);
/* "Euler, Euler a, …": every name. The caller's. */
char *atl_sampler_list (void);

G_END_DECLS
