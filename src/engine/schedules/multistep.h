/* What the multistep solvers share: their tables and their updates.
 *
 * Threading: as schedule.h.
 */
#pragma once

#include "engine/schedules/schedule-private.h"

G_BEGIN_DECLS

/* Which of the originals' habits a table follows. */
typedef enum
{
  ATL_MULTISTEP_DPM,   /* last sigma 0, or the smallest of the whole table */
  ATL_MULTISTEP_UNIPC, /* last sigma 0, or the last of the re-spaced ones again */
  ATL_MULTISTEP_DEIS,  /* the last of the re-spaced ones again, otherwise the table's smallest */
} AtlMultistepTable;

/* Timesteps are whole numbers: rounded for Karras, cut off for the other re-spacings. */
gboolean atl_multistep_plan (AtlSchedule *self,
                             const AtlScheduleRequest *request,
                             AtlMultistepTable kind,
                             GError **error);
void atl_multistep_mix (const AtlSchedule *self, guint call, double *clean, double *noise);

/* The model's output as a mix of x and itself: the clean sample, or (noise) the noise. */
void atl_multistep_convert (
    const AtlSchedule *self, guint call, gboolean noise, double *x, double *output);

/* Order of step `call` when lower orders begin and end a run. */
guint atl_multistep_order (const AtlSchedule *self, guint call, gboolean last_is_first_order);

/* DPM-Solver's update of order 1 to 3 from past[0], past[1], past[2]; x becomes the next sample. */
void atl_multistep_dpm_update (AtlSchedule *self, const AtlStep *s, guint order);
/* The same for a single-step solver: from the kept sample, `order` calls ago. */
void atl_multistep_dpm_single (AtlSchedule *self, const AtlStep *s, guint order);
gboolean atl_multistep_dpm_wants_noise (const AtlSchedule *self, guint call);

G_END_DECLS
