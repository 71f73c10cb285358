/* Statistics of latents. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/latents.h"

#include <glib/gi18n.h>
#include <math.h>

float *
atl_latent_statistics (const AtlCheckpoint *vae,
                       const char *name,
                       gint64 n,
                       const float *fallback,
                       gint64 n_fallback,
                       GError **error)
{
  const AtlMetaValue *meta = atl_checkpoint_meta (vae, name);
  float *values = g_new (float, n);
  gboolean ok;

  if (meta != NULL && meta->type == ATL_META_ARRAY && meta->v_array.elem_type == ATL_META_FLOAT)
    {
      const double *from = meta->v_array.elems;

      ok = (gint64) meta->v_array.n == n;
      for (gint64 i = 0; ok && i < n; i++)
        {
          values[i] = (float) from[i];
          ok = isfinite (values[i]);
        }
    }
  else
    {
      ok = n == n_fallback;
      for (gint64 i = 0; ok && i < n; i++)
        values[i] = fallback[i];
    }
  if (ok)
    return values;
  g_free (values);
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("%s: “%s” does not have a number for each of the %d channels of a latent"),
               atl_checkpoint_name (vae), name, (int) n);
  return NULL;
}

static void
apply (AtlArray *x, const float *mean, const float *std, gboolean is_back)
{
  gint64 C = x->dim[1], n = atl_array_n_elems (x) / C;
  float *p = atl_array_f32 (x);

  g_assert (x->dim[0] == 1);
  for (gint64 c = 0; c < C; c++)
    for (gint64 i = 0; i < n; i++, p++)
      *p = is_back ? *p * std[c] + mean[c] : (*p - mean[c]) / std[c];
}

void
atl_latent_normalise (AtlArray *x, const float *mean, const float *std)
{
  apply (x, mean, std, FALSE);
}

void
atl_latent_restore (AtlArray *x, const float *mean, const float *std)
{
  apply (x, mean, std, TRUE);
}
