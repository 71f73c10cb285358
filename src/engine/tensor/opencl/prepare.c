/* Which programs a model needs, and having them compiled before compilers are out of reach. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/programs.h"
#include "engine/tensor/opencl/tuning/measure.h"
#include "engine/tensor/opencl/weight.h"
#include "engine/tensor/quants/dequant.h"

typedef struct
{
  AtlClFamily family;
  AtlDType dtype;
} Wanted;

typedef struct
{
  Wanted list[ATL_CL_LINEAR + 2 * ATL_N_DTYPES];
  guint n;
} WantedList;

static void
want (WantedList *self, AtlClFamily family, AtlDType dtype)
{
  /* Several types may be stored as one. */
  for (guint i = 0; i < self->n; i++)
    if (self->list[i].family == family && self->list[i].dtype == dtype)
      return;
  self->list[self->n++] = (Wanted){ family, dtype };
}

static void
list_programs (const AtlOpenclNeeds *needs, WantedList *out)
{
  out->n = 0;
  for (AtlClFamily family = 0; family < ATL_CL_LINEAR; family++)
    want (out, family, 0);
  for (AtlDType dtype = 0; dtype < ATL_N_DTYPES; dtype++)
    {
      /* Others run on the host, whatever is asked. */
      if (!atl_dtype_is_float_like (dtype))
        continue;
      if (needs->matrices >> dtype & 1)
        want (out, ATL_CL_LINEAR, atl_cl_matrix_dtype (dtype));
      if (needs->convs >> dtype & 1)
        want (out, ATL_CL_CONV, atl_cl_conv_dtype (dtype));
    }
}

gboolean
atl_opencl_backend_prepare (AtlBackend *backend,
                            const AtlOpenclNeeds *needs,
                            AtlOpenclProgress progress,
                            gpointer progress_data,
                            GCancellable *cancellable,
                            GError **error)
{
  AtlOpencl *self = atl_opencl (backend);
  WantedList wanted;

  g_return_val_if_fail (backend->klass == &atl_cl_backend_class, FALSE);
  list_programs (needs, &wanted);
  /* Measuring is one step more: on a new device it is the longest. */
  for (guint i = 0; i <= wanted.n; i++)
    {
      const Wanted *w = &wanted.list[i > 0 ? i - 1 : 0];

      if (progress != NULL)
        progress (i, wanted.n + 1, progress_data);
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (i == 0)
        {
          if (!atl_cl_tuning_measure (self, cancellable, error))
            return FALSE;
          continue;
        }
      if (!atl_cl_program_prepare (self, w->family, w->dtype, TRUE, error))
        return FALSE;
      atl_cl_program_keep (self, w->family, w->dtype);
    }
  if (progress != NULL)
    progress (wanted.n + 1, wanted.n + 1, progress_data);
  return TRUE;
}

void
atl_opencl_backend_forbid_compiler (AtlBackend *backend)
{
  g_return_if_fail (backend->klass == &atl_cl_backend_class);
  atl_opencl (backend)->no_compiler = TRUE;
}

gboolean
atl_opencl_backend_is_prepared (AtlBackend *backend, const AtlOpenclNeeds *needs)
{
  AtlOpencl *self = atl_opencl (backend);
  WantedList wanted;

  g_return_val_if_fail (backend->klass == &atl_cl_backend_class, FALSE);
  if (!self->no_compiler)
    return TRUE;
  /* It may have been measured meanwhile. */
  atl_cl_tuning_restore (self);
  list_programs (needs, &wanted);
  for (guint i = 0; i < wanted.n; i++)
    {
      g_autoptr (GError) error = NULL;

      if (atl_cl_program_prepare (self, wanted.list[i].family, wanted.list[i].dtype, FALSE, &error))
        continue;
      g_debug ("%s", error->message);
      return FALSE;
    }
  return TRUE;
}
