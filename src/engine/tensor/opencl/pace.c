/* How long a device may take, from what it took. */
#include "engine/tensor/opencl/pace.h"

/* Of an integrated GPU of the slow kind: 50 GB/s beside 1 TFLOP/s, 10 µs a launch. */
#define FLOPS_A_BYTE 20.0
#define FLOPS_A_LAUNCH 1e7

/* A launch may take so long. One of the least work takes 20 ms at 0.1 TFLOP/s, and on a processor
 * that pretends to be a device; one of a device that is not known yet five times as long. */
#define LAUNCH_US 50000.0
#define LEAST_LAUNCH 2e9
#define LEAST_LAUNCH_CPU 5e7
#define GUESSED_LAUNCHES 5

/* The first batches may have waited for the driver. */
#define BATCHES_TO_KNOW 8
/* A batch may take so many times what its work says: the work is an estimate, and other programs
 * draw on the same device. */
#define SLACK 8.0
/* A faster batch says so little, a slower one all. */
#define FASTER_COUNTS 0.1

double
atl_cl_work (guint n_launches, double n_flops, double n_bytes)
{
  return n_launches * FLOPS_A_LAUNCH + n_flops + n_bytes * FLOPS_A_BYTE;
}

double
atl_cl_pace_launch (const AtlClPace *self, gboolean is_cpu)
{
  double least = is_cpu ? LEAST_LAUNCH_CPU : LEAST_LAUNCH;

  if (self->n_batches < BATCHES_TO_KNOW)
    return GUESSED_LAUNCHES * least;
  return MAX (LAUNCH_US / MAX (self->unit_us, 1e-9), least);
}

void
atl_cl_pace_start (AtlClPace *self, gint64 now_us)
{
  self->since_us = now_us;
}

void
atl_cl_pace_took (AtlClPace *self, double work, gint64 now_us)
{
  double unit_us = (double) (now_us - self->since_us) / MAX (work, 1);

  self->since_us = now_us;
  self->n_batches += self->n_batches < BATCHES_TO_KNOW;
  if (unit_us > self->unit_us)
    self->unit_us = unit_us;
  else
    self->unit_us += (unit_us - self->unit_us) * FASTER_COUNTS;
}

guint
atl_cl_pace_patience_ms (const AtlClPace *self, double work)
{
  double ms = SLACK * work * self->unit_us / 1000;

  if (self->n_batches < BATCHES_TO_KNOW)
    return ATL_CL_PATIENCE_MS;
  return (guint) CLAMP (ms, ATL_CL_LEAST_PATIENCE_MS, ATL_CL_MOST_PATIENCE_MS);
}
