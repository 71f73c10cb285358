/* Statistics of latents. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/latents.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

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

/* --- Autoencoders --- */

AtlArray *
atl_vae_encode (AtlRun *run, const AtlArray *picture, double scaling, double shift, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_encode");
  AtlArray *mean;

  atl_request_add (request, atl_array_copy (picture, "image"));
  mean = atl_run_output_of (run, "vae", request, "mean", error);
  if (mean != NULL)
    atl_array_affine (mean, (float) scaling, (float) (-shift * scaling));
  return mean;
}

gboolean
atl_vae_decode (AtlRun *run, const AtlArray *latent, double scaling, double shift, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  AtlArray *input = atl_array_copy (latent, "latent"), *image;

  /* Translators: shown while the last numbers become a picture. */
  atl_run_progress (run, _ ("Finishing"), 0, 0);
  atl_array_affine (input, (float) (1.0 / scaling), (float) shift);
  atl_request_add (request, input);
  image = atl_run_output_of (run, "vae", request, "image", error);
  atl_parts_release (run->parts, "vae");
  if (image == NULL)
    return FALSE;
  atl_array_to_picture (image);
  atl_run_take_output (run, "image", image);
  return TRUE;
}

/* --- Tokens --- */

static AtlArray *
repack (const AtlArray *from, const char *name, gint64 C, gint64 H, gint64 W, gboolean is_back)
{
  gint64 h = H / 2, w = W / 2;
  AtlArray *to = is_back ? atl_array_new (name, ATL_DTYPE_F32, 4, (gint64[]){ 1, C, H, W })
                         : atl_array_new (name, ATL_DTYPE_F32, 3, (gint64[]){ 1, h * w, 4 * C });
  const float *a = atl_array_f32 (from);
  float *b = atl_array_f32 (to);

  for (gint64 y = 0; y < H; y++)
    for (gint64 x = 0; x < W; x++)
      for (gint64 c = 0; c < C; c++)
        {
          gint64 token = (y / 2 * w + x / 2) * 4 * C + c * 4 + y % 2 * 2 + x % 2;
          gint64 pixel = (c * H + y) * W + x;

          if (is_back)
            b[pixel] = a[token];
          else
            b[token] = a[pixel];
        }
  return to;
}

AtlArray *
atl_latent_pack (const AtlArray *x, const char *name)
{
  g_assert (x->n_dims == 4 && x->dim[0] == 1 && x->dim[2] % 2 == 0 && x->dim[3] % 2 == 0);
  return repack (x, name, x->dim[1], x->dim[2], x->dim[3], FALSE);
}

AtlArray *
atl_latent_unpack (const AtlArray *x, gint64 height, gint64 width)
{
  g_assert (x->n_dims == 3 && x->dim[0] == 1 && x->dim[1] == height / 2 * (width / 2));
  return repack (x, "latent", x->dim[2] / 4, height, width, TRUE);
}

AtlArray *
atl_grid_ids (const char *name, double first, gint64 rows, gint64 columns)
{
  AtlArray *ids = atl_array_new (name, ATL_DTYPE_F32, 2, (gint64[]){ rows * columns, 3 });

  for (gint64 i = 0; i < rows * columns; i++)
    {
      float *id = atl_array_f32 (ids) + i * 3;

      id[0] = (float) first;
      id[1] = (float) (i / columns);
      id[2] = (float) (i % columns);
    }
  return ids;
}

/* In the latent's shape; an input of as many numbers is taken whatever its dimensions. */
static AtlArray *
latent_noise (AtlRun *run, const gint64 *dim, GError **error)
{
  const AtlArray *given = atl_run_input (run, "noise");
  gint64 n = dim[0] * dim[1] * dim[2] * dim[3];
  AtlArray *noise;

  if (given == NULL || given->dtype != ATL_DTYPE_F32 || atl_array_n_elems (given) != n)
    return atl_run_noise (run, "noise", 4, dim, error);
  noise = atl_array_new ("noise", ATL_DTYPE_F32, 4, dim);
  memcpy (noise->data, given->data, atl_array_size (noise));
  return noise;
}

AtlArray *
atl_flow_start (AtlRun *run,
                AtlSchedule *schedule,
                gint64 channels,
                gint64 height,
                gint64 width,
                const AtlArray *clean,
                guint *first,
                AtlArray **out_noise,
                GError **error)
{
  gint64 dim[] = { 1, channels, height, width };
  gint64 packed[] = { 1, height / 2 * (width / 2), 4 * channels };
  g_autoptr (AtlArray) noise = NULL;
  g_autoptr (AtlArray) x = NULL;

  *first = 0;
  if (atl_run_input (run, "initial_latent") != NULL && clean == NULL)
    return atl_run_noise (run, "initial_latent", 3, packed, error);
  noise = latent_noise (run, dim, error);
  if (noise == NULL)
    return NULL;
  x = atl_array_copy (noise, "latent");
  if (clean != NULL)
    {
      *first =
          atl_run_flow_start (run, schedule, atl_settings_number (run->settings, "strength", 0.6));
      if (*first < atl_schedule_n_calls (schedule))
        atl_schedule_add_noise (schedule, *first, atl_array_f32 (clean), atl_array_f32 (noise),
                                atl_array_f32 (x), (gsize) atl_array_n_elems (x));
      else
        memcpy (x->data, clean->data, atl_array_size (x));
    }
  if (out_noise != NULL)
    *out_noise = g_steal_pointer (&noise);
  return atl_latent_pack (x, "latent");
}

AtlArray *
atl_mask_shrink (const AtlArray *mask, gint64 height, gint64 width)
{
  AtlArray *small = atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, 1, height, width });
  gint64 H = mask->dim[2], W = mask->dim[3];

  for (gint64 y = 0; y < height; y++)
    for (gint64 x = 0; x < width; x++)
      atl_array_f32 (small)[y * width + x] =
          atl_array_f32 (mask)[(y * H / height) * W + x * W / width] >= 0.5f ? 1.0f : 0.0f;
  return small;
}
