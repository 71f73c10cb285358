/* What is measured about a device instead of being written into kernels.
 *
 * The numbers are build options of the kernels; the defaults are right everywhere and fast on most
 * GPUs. measure.h finds better ones at the first use of a device; they are kept beside the compiled
 * programs, in tuning-<device>.ini.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  /* linear.cl, few columns: work-items per row of weights, rows side by side in a work-group, and
   * rows per work-item. lanes is a power of two, lanes * groups at most 256. */
  guint gemv_lanes;
  guint gemv_groups;
  guint gemv_rows;
} AtlClTuning;

extern const AtlClTuning atl_cl_tuning_default;

/* Whether all values are ones that the kernels take. */
gboolean atl_cl_tuning_is_valid (const AtlClTuning *self);

/* `key` identifies device and driver. FALSE, with *self untouched, when nothing valid is stored. */
gboolean atl_cl_tuning_load (AtlClTuning *self, const char *dir, const char *key);

/* Failure to write only means measuring again. */
void atl_cl_tuning_store (const AtlClTuning *self, const char *dir, const char *key);

G_END_DECLS
