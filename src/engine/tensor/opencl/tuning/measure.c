/* One measurement a choice: products of one column with a q4_K and an f16 matrix, the two kinds of
 * loads that decoding is made of, for every candidate; the least summed time wins. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/tuning/measure.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/opencl/programs.h"
#include "engine/tensor/opencl/repack.h"

/* 4096 x 4096: a common shape, and larger than most caches as f16. */
#define SIDE 4096
#define RUNS 20
/* Slow devices try fewer candidates: the most likely ones come first. */
#define MOST_SECONDS 5.0
/* A candidate replaces the default only if it is clearly faster. */
#define MARGIN 0.97

static const AtlClTuning candidates[] = {
  { .gemv_lanes = 32, .gemv_groups = 2, .gemv_rows = 2 }, /* the default, first */
  { .gemv_lanes = 32, .gemv_groups = 2, .gemv_rows = 1 },
  { .gemv_lanes = 32, .gemv_groups = 4, .gemv_rows = 2 },
  { .gemv_lanes = 32, .gemv_groups = 2, .gemv_rows = 4 },
  { .gemv_lanes = 64, .gemv_groups = 1, .gemv_rows = 2 },
  { .gemv_lanes = 64, .gemv_groups = 2, .gemv_rows = 2 },
  { .gemv_lanes = 64, .gemv_groups = 1, .gemv_rows = 4 },
  { .gemv_lanes = 16, .gemv_groups = 4, .gemv_rows = 2 },
  { .gemv_lanes = 16, .gemv_groups = 8, .gemv_rows = 1 },
};

static char *
device_key (const AtlOpencl *self)
{
  g_autofree char *name = atl_cl_device_string (self->device, CL_DEVICE_NAME);
  g_autofree char *driver = atl_cl_device_string (self->device, CL_DRIVER_VERSION);

  return g_strdup_printf ("%s | %s", name, driver);
}

/* All of them: the values are build options of every program. */
static void
forget_programs (AtlOpencl *self)
{
  for (guint f = 0; f < ATL_CL_N_FAMILIES; f++)
    for (guint d = 0; d < ATL_N_DTYPES; d++)
      g_clear_pointer (&self->programs[f][d], atl_cl_program_free);
}

void
atl_cl_tuning_restore (AtlOpencl *self)
{
  g_autofree char *key = device_key (self);
  AtlClTuning tuning = atl_cl_tuning_default;

  if (self->cache_dir != NULL)
    atl_cl_tuning_load (&tuning, self->cache_dir, key);
  if (memcmp (&tuning, &self->tuning, sizeof tuning) == 0)
    return;
  self->tuning = tuning;
  forget_programs (self);
}

/* Adds the seconds of RUNS products. */
static gboolean
time_dtype (AtlOpencl *self, AtlDType dtype, cl_mem memory, double *seconds, GError **error)
{
  gint64 rows_per_group = (gint64) self->tuning.gemv_groups * self->tuning.gemv_rows;
  AtlClLayout layout;
  gint64 start = 0;

  if (!atl_cl_program_prepare (self, ATL_CL_GEMV, dtype, FALSE, error))
    return FALSE;
  atl_cl_layout_init (&layout, dtype, SIDE);
  for (guint run = 0; run <= RUNS; run++)
    {
      AtlClCall call;

      /* The first one compiles and warms up. */
      if (run == 1)
        {
          if (!atl_cl_finish (self, N_ ("measuring"), error))
            return FALSE;
          start = g_get_monotonic_time ();
        }
      if (!atl_cl_call_begin (&call, self, ATL_CL_GEMV, dtype, "gemv_1", error))
        return FALSE;
      atl_cl_arg_memory (&call, memory);
      for (guint i = 1; i < ATL_CL_PLANES; i++)
        atl_cl_arg_ulong (&call, i < layout.n_planes ? SIDE * layout.row_bytes[0] : 0);
      atl_cl_arg_uint (&call, SIDE / 16);
      atl_cl_arg_uint (&call, SIDE);
      atl_cl_arg_memory (&call, memory); /* x: any numbers do */
      atl_cl_arg_ulong (&call, 0);
      atl_cl_arg_uint (&call, SIDE);
      atl_cl_arg_uint (&call, 1);
      atl_cl_arg_uint (&call, 1);
      atl_cl_arg_memory (&call, NULL);
      atl_cl_arg_ulong (&call, 0);
      atl_cl_arg_uint (&call, 0);
      /* dst: behind everything that is read */
      atl_cl_arg_memory (&call, memory);
      atl_cl_arg_ulong (&call, (guint64) SIDE * SIDE / 2);
      atl_cl_arg_uint (&call, SIDE);
      for (guint i = 0; i < 3; i++)
        {
          atl_cl_arg_memory (&call, NULL);
          atl_cl_arg_ulong (&call, 0);
          if (i > 0)
            atl_cl_arg_uint (&call, 0);
        }
      atl_cl_arg_float (&call, 1.0f);
      atl_cl_arg_float (&call, 1.0f);
      atl_cl_arg_int (&call, ATL_ACT_NONE);
      atl_cl_arg_int (&call, 0);
      if (!atl_cl_call_groups (&call, (guint64) ((SIDE + rows_per_group - 1) / rows_per_group), 1,
                               1, error))
        return FALSE;
    }
  if (!atl_cl_finish (self, N_ ("measuring"), error))
    return FALSE;
  *seconds += (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  return TRUE;
}

static gboolean
group_size_fits (const AtlOpencl *self, const AtlClTuning *t)
{
  return t->gemv_lanes * t->gemv_groups <=
         atl_cl_device_number (self->device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
}

gboolean
atl_cl_tuning_measure (AtlOpencl *self, GCancellable *cancellable, GError **error)
{
  const gsize size = (gsize) SIDE * SIDE * 2 + SIDE * sizeof (float);
  g_autofree char *key = device_key (self);
  AtlClTuning best = atl_cl_tuning_default;
  double best_seconds = G_MAXDOUBLE;
  gboolean ok = TRUE;
  gint64 start;
  cl_mem memory;

  if (self->cache_dir == NULL || self->is_cpu || atl_cl_tuning_load (&best, self->cache_dir, key))
    return TRUE;
  memory = atl_cl_memory_new (self, size, N_ ("a measurement"), NULL);
  if (memory == NULL)
    return TRUE; /* too little room to measure: the defaults serve */

  start = g_get_monotonic_time ();
  for (guint i = 0; i < G_N_ELEMENTS (candidates) && ok; i++)
    {
      double seconds = 0;

      if (i > 0 && (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC > MOST_SECONDS)
        break;
      if (!group_size_fits (self, &candidates[i]))
        continue;
      self->tuning = candidates[i];
      forget_programs (self);
      ok = !g_cancellable_set_error_if_cancelled (cancellable, error) &&
           time_dtype (self, ATL_DTYPE_Q4_K, memory, &seconds, error) &&
           time_dtype (self, ATL_DTYPE_F16, memory, &seconds, error);
      if (ok && (best_seconds == G_MAXDOUBLE || seconds < best_seconds * MARGIN))
        {
          best = candidates[i];
          best_seconds = seconds;
        }
    }
  atl_cl_memory_free (self, &memory, size);
  self->tuning = best;
  forget_programs (self);
  if (ok)
    atl_cl_tuning_store (&best, self->cache_dir, key);
  return ok;
}
