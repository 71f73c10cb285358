/* What a step of a model takes, by the tokens that are computed in it: measured while answers are
 * made, so that guessing ahead is done only where it pays on this machine.
 *
 *   AtlPace pace = { 0 };
 *   atl_pace_note (&pace, 1, 0.050);
 *   atl_pace_extra (&pace, 1, 3)        what three tokens more would take
 *
 * Threading: plain data.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define ATL_PACE_ROWS 8u

typedef struct
{
  double step_s[ATL_PACE_ROWS + 1]; /* by rows; 0: not known */
  guint n_seen[ATL_PACE_ROWS + 1];
} AtlPace;

/* A step of `n_rows` tokens took so long; more than ATL_PACE_ROWS are passed over. */
void atl_pace_note (AtlPace *self, guint n_rows, double seconds);
/* Seconds that `n` tokens more than `n_rows` take; never negative. */
double atl_pace_extra (const AtlPace *self, guint n_rows, guint n);
/* What a token is worth that need not be computed in a step of its own, when `n_rows` answers share
 * a step; 0 while it is not known. */
double atl_pace_worth (const AtlPace *self, guint n_rows);

G_END_DECLS
