/* An array that is computed at some steps, foretold between them from differences (TaylorSeer, Liu
 * et al. 2025, as diffusers 0.42.1 has it).
 *
 *   F_0 is what was computed last, F_(j+1) = (F_j - F_j of the time before) / steps between them;
 *   d steps later it is the sum of F_j d^j / j!, j up to the order.
 *
 * Threading: plain data, one owner.
 */
#pragma once

#include "engine/tensor/array.h"

G_BEGIN_DECLS

#define ATL_SERIES_MAX_ORDER 3u

typedef struct
{
  AtlArray *factors[ATL_SERIES_MAX_ORDER + 1]; /* (owned) */
  guint n;                                     /* of them */
  guint step;                                  /* the last one that was computed */
} AtlSeries;

void atl_series_clear (AtlSeries *self);
/* Of the step `step`, after that of the call before. Another shape begins anew. */
void atl_series_learn (AtlSeries *self, const AtlArray *value, guint order, guint step);
/* What it is at `step`; something was learnt. The caller's. */
AtlArray *atl_series_foretell (const AtlSeries *self, const char *name, guint step);

G_END_DECLS
