/* Inside the folder: how long a device may take for a batch of launches before it is no longer slow
 * but hangs, from what it took for those before.
 *
 * A batch is an amount of work, in multiplications with an addition and what goes for one: a byte
 * read or written and a launch cost as much as so many of them on common devices. What a unit took
 * is remembered, the slow ones longer than the fast ones; a batch may then take several times what
 * it would at that pace. So a kernel that runs for a minute is waited for on a device that needed
 * seconds for much smaller ones, and one that is never done is noticed after seconds elsewhere.
 *
 * Times are monotonic and in microseconds.
 *
 * Threading: pure arithmetic, of one thread at a time.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where the pace is not known, and what it never goes below where it is. */
#define ATL_CL_PATIENCE_MS 15000u
#define ATL_CL_LEAST_PATIENCE_MS 3000u
#define ATL_CL_MOST_PATIENCE_MS 200000u

typedef struct
{
  gint64 since_us; /* when the device could begin with the oldest batch */
  double unit_us;  /* what a unit of work took */
  guint n_batches; /* of which that is known */
} AtlClPace;

/* The work of a batch, in the units above. */
double atl_cl_work (guint n_launches, double n_flops, double n_bytes);

/* The work of one launch that a device does in about 50 ms: longer ones freeze the desktop that it
 * draws, and drivers give up after seconds. A guess until the pace is known; never so little that
 * launching takes longer than computing. */
double atl_cl_pace_launch (const AtlClPace *self, gboolean is_cpu);

/* The device had nothing to do and now has. */
void atl_cl_pace_start (AtlClPace *self, gint64 now_us);
/* The oldest batch is done, the next one begins. */
void atl_cl_pace_took (AtlClPace *self, double work, gint64 now_us);

/* So long a device that is well is waited for. */
guint atl_cl_pace_patience_ms (const AtlClPace *self, double work);

G_END_DECLS
