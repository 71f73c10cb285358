/* Running means of the time of steps. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/pace.h"

/* What a row more costs of a step until it is measured. */
#define ROW_SHARE 0.2

void
atl_pace_note (AtlPace *self, guint n_rows, double seconds)
{
  double *mean = &self->step_s[MIN (n_rows, ATL_PACE_ROWS)];

  if (n_rows == 0 || n_rows > ATL_PACE_ROWS || !(seconds > 0))
    return;
  /* The first of its kind has made a plan, which the next ones find ready. */
  if (self->n_seen[n_rows]++ == 0)
    return;
  /* What disturbs a step makes it longer, never shorter, and is to count little. */
  if (*mean == 0)
    *mean = seconds;
  else if (seconds < *mean)
    *mean += (seconds - *mean) / 4;
  else
    *mean += (MIN (seconds, 2 * *mean) - *mean) / 16;
}

/* Seconds that a step of `n_rows` tokens is expected to take; 0 while nothing is known. */
static double
step_seconds (const AtlPace *self, guint n_rows)
{
  guint below, above;

  n_rows = CLAMP (n_rows, 1, ATL_PACE_ROWS);
  for (below = n_rows; below > 0 && self->step_s[below] == 0;)
    below--;
  for (above = n_rows; above <= ATL_PACE_ROWS && self->step_s[above] == 0;)
    above++;
  if (below == n_rows)
    return self->step_s[n_rows];
  if (below > 0 && above <= ATL_PACE_ROWS)
    return self->step_s[below] + (self->step_s[above] - self->step_s[below]) * (n_rows - below) /
                                     (double) (above - below);
  if (below > 0)
    return self->step_s[below] * (1 + ROW_SHARE * n_rows) / (1 + ROW_SHARE * below);
  if (above <= ATL_PACE_ROWS)
    return self->step_s[above] * (1 + ROW_SHARE * n_rows) / (1 + ROW_SHARE * above);
  return 0;
}

double
atl_pace_extra (const AtlPace *self, guint n_rows, guint n)
{
  return MAX (0, step_seconds (self, n_rows + n) - step_seconds (self, n_rows));
}

double
atl_pace_worth (const AtlPace *self, guint n_rows)
{
  return step_seconds (self, n_rows) / MAX (n_rows, 1);
}
