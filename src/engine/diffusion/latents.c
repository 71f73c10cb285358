/* Statistics of latents. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/latents.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/decode.h"

/* Of the authors' autoencoders, for files without a configuration. */
static const float mean_21[] = { -0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                                 -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                                 -0.1922f, -0.9497f, 0.2503f,  -0.2921f };
static const float std_21[] = { 2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f,
                                2.6052f, 2.0743f, 3.2687f, 2.1526f, 2.8652f, 1.5579f,
                                1.6382f, 1.1253f, 2.8251f, 1.916f };
static const float mean_22[] = {
  -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,  -0.1382f, 0.0542f,
  0.2813f,  0.0891f,  0.157f,   -0.0098f, 0.0375f,  -0.1825f, -0.2246f, -0.1207f, -0.0698f, 0.5109f,
  0.2665f,  -0.2108f, -0.2158f, 0.2502f,  -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,
  -0.2799f, -0.123f,  -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.052f,  0.3748f,
  0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f
};
static const float std_22[] = { 0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.499f,  0.4818f,
                                0.5013f, 0.8158f, 1.0344f, 0.5894f, 1.0901f, 0.6885f, 0.6165f,
                                0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f, 0.5833f,
                                1.4146f, 0.8986f, 0.5659f, 0.7069f, 0.5338f, 0.4889f, 0.4917f,
                                0.4069f, 0.4999f, 0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f,
                                0.4944f, 0.5726f, 1.2042f, 0.5458f, 1.6887f, 0.3971f, 1.06f,
                                0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f };

/* Those of the configuration, one a channel, or `fallback`. */
static float *
statistics (const AtlCheckpoint *vae,
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

gboolean
atl_wan_statistics (
    const AtlCheckpoint *vae, gint64 channels, float **mean, float **std, GError **error)
{
  gboolean is_22 = channels == G_N_ELEMENTS (mean_22);
  gint64 n = is_22 ? G_N_ELEMENTS (mean_22) : G_N_ELEMENTS (mean_21);

  *mean = statistics (vae, "latents_mean", channels, is_22 ? mean_22 : mean_21, n, error);
  if (*mean == NULL)
    return FALSE;
  *std = statistics (vae, "latents_std", channels, is_22 ? std_22 : std_21, n, error);
  return *std != NULL;
}

gboolean
atl_wan_is_published (const float *mean, gint64 channels)
{
  const float *published = channels == G_N_ELEMENTS (mean_22) ? mean_22 : mean_21;
  gint64 n = channels == G_N_ELEMENTS (mean_22) ? G_N_ELEMENTS (mean_22) : G_N_ELEMENTS (mean_21);

  for (gint64 i = 0; i < channels; i++)
    if (n != channels || fabsf (mean[i] - published[i]) > 1e-3f)
      return FALSE;
  return TRUE;
}

static void
apply (AtlArray *x, const float *mean, const float *std, gboolean is_back)
{
  gint64 C = x->dim[1], n = atl_array_n_elems (x) / C;
  float *p = atl_array_f32 (x);

  g_assert (x->dim[0] == 1);
  if (atl_array_is_hollow (x))
    return;
  for (gint64 c = 0; c < C; c++)
    for (gint64 i = 0; i < n; i++, p++)
      *p = is_back ? *p * std[c] + mean[c] : (*p - mean[c]) / std[c];
}

void
atl_latent_normalize (AtlArray *x, const float *mean, const float *std)
{
  apply (x, mean, std, FALSE);
}

void
atl_latent_restore (AtlArray *x, const float *mean, const float *std)
{
  apply (x, mean, std, TRUE);
}

/* --- Autoencoders --- */

gboolean
atl_latent_init (AtlLatent *self, AtlRun *run, gint64 multiple, gint64 side, GError **error)
{
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  GError *local = NULL;

  if (vae == NULL)
    return FALSE;
  atl_run_size (run, multiple, side, &self->width, &self->height);
  self->width /= self->factor;
  self->height /= self->factor;
  /* "null" stands for none in configurations. */
  atl_checkpoint_get_float (vae, "scaling_factor", 1e-6, 1e6, &self->scaling, &local);
  if (local == NULL)
    atl_checkpoint_get_float (vae, "shift_factor", -1e6, 1e6, &self->shift, &local);
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  run->latent = *self;
  return TRUE;
}

AtlArray *
atl_vae_encode (AtlRun *run, const AtlArray *picture, const AtlLatent *how, GError **error)
{
  AtlArray *copy = atl_array_try_copy (picture, "image", error);
  AtlArray *mean = copy != NULL ? atl_run_encode (run, copy, error) : NULL;

  if (mean != NULL)
    atl_array_affine (mean, (float) how->scaling, (float) (-how->shift * how->scaling));
  return mean;
}

gboolean
atl_vae_encode_input (AtlRun *run, const AtlLatent *how, AtlArray **clean, GError **error)
{
  g_autoptr (AtlArray) picture = NULL;

  *clean = NULL;
  if (atl_run_input (run, "image") == NULL)
    return TRUE;
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  picture =
      atl_run_picture (run, "image", how->height * how->factor, how->width * how->factor, error);
  if (picture != NULL)
    *clean = atl_vae_encode (run, picture, how, error);
  return *clean != NULL;
}

gboolean
atl_vae_decode (AtlRun *run, const AtlArray *x, const AtlLatent *how, GError **error)
{
  AtlArray *input = atl_array_copy (x, "latent"), *image;

  atl_array_affine (input, (float) (1.0 / how->scaling), (float) how->shift);
  image = atl_run_decode (run, input, error);
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

  if (atl_array_is_hollow (to))
    return to;
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
atl_grid_ids (const char *name, guint n_axes, double first, gint64 rows, gint64 columns)
{
  AtlArray *ids = atl_array_new (name, ATL_DTYPE_F32, 2, (gint64[]){ rows * columns, n_axes });

  g_assert (n_axes >= 3);
  if (atl_array_is_hollow (ids))
    return ids;
  for (gint64 i = 0; i < rows * columns; i++)
    {
      float *id = atl_array_f32 (ids) + i * n_axes;

      id[0] = (float) first;
      id[1] = (float) (i / columns);
      id[2] = (float) (i % columns);
    }
  return ids;
}

/* An input in the latent's shape; "noise" of as many numbers in any shape, "initial_latent" as
 * tokens too. */
static AtlArray *
given_or_noise (AtlRun *run, const char *name, const gint64 *dim, GError **error)
{
  const AtlArray *given = atl_run_input (run, name);
  gint64 n = dim[0] * dim[1] * dim[2] * dim[3];
  AtlArray *x;

  if (given == NULL || given->dtype != ATL_DTYPE_F32 || atl_array_n_elems (given) != n)
    return atl_run_noise (run, name, 4, dim, error);
  if (given->n_dims == 3 && given->dim[0] == 1 && given->dim[1] == dim[2] / 2 * (dim[3] / 2))
    return atl_latent_unpack (given, dim[2], dim[3]);
  x = atl_array_new ("latent", ATL_DTYPE_F32, 4, dim);
  if (!atl_array_is_hollow (x))
    memcpy (x->data, given->data, atl_array_size (x));
  return x;
}

/* What flow matching begins with, [1, channels, height, width], the caller's. With a `clean` latent
 * (nullable) that one, as noisy as call `*first`, n - n "strength", expects it. `*noise` (nullable)
 * is set to the noise, the caller's. */
static AtlArray *
flow_start (AtlRun *run,
            AtlSchedule *schedule,
            gint64 channels,
            const AtlLatent *latent,
            const AtlArray *clean,
            guint *first,
            AtlArray **noise,
            GError **error)
{
  gint64 dim[] = { 1, channels, latent->height, latent->width };
  AtlArray *x;

  *first = 0;
  if (atl_run_input (run, "initial_latent") != NULL && clean == NULL)
    return given_or_noise (run, "initial_latent", dim, error);
  x = given_or_noise (run, "noise", dim, error);
  if (x == NULL || clean == NULL)
    return x;
  if (noise != NULL)
    *noise = atl_array_copy (x, "noise");
  *first = atl_run_flow_start (run, schedule, atl_settings_number (run->settings, "strength", 0.6));
  if (atl_array_is_hollow (x))
    return x;
  if (*first < atl_schedule_n_calls (schedule))
    atl_schedule_add_noise (schedule, *first, atl_array_f32 (clean), atl_array_f32 (x),
                            atl_array_f32 (x), (gsize) atl_array_n_elems (x));
  else
    memcpy (x->data, clean->data, atl_array_size (x));
  return x;
}

AtlArray *
atl_flow_draw (
    AtlRun *run, AtlSchedule *schedule, const AtlFlowWalk *walk, gpointer user_data, GError **error)
{
  const AtlLatent *latent = walk->latent;
  AtlArray *x;
  guint first;

  x = flow_start (run, schedule, walk->channels, latent, walk->clean, &first, walk->noise, error);
  if (x == NULL)
    return NULL;
  atl_parts_release (run->parts, "vae");
  if (walk->is_packed)
    {
      g_autoptr (AtlArray) begin = x;

      x = atl_latent_pack (begin, "latent");
    }
  x = atl_run_sample (run, schedule, first, x, "transformer", walk->predict, walk->after, user_data,
                      error);
  if (x == NULL)
    return NULL;
  return walk->is_packed ? atl_latent_unpack (x, latent->height, latent->width)
                         : atl_array_copy (x, "latent");
}

AtlArray *
atl_mask_shrink (const AtlArray *mask, gint64 height, gint64 width)
{
  AtlArray *small = atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, 1, height, width });
  gint64 H = mask->dim[2], W = mask->dim[3];

  if (atl_array_is_hollow (small))
    return small;
  for (gint64 y = 0; y < height; y++)
    for (gint64 x = 0; x < width; x++)
      atl_array_f32 (small)[y * width + x] =
          atl_array_f32 (mask)[(y * H / height) * W + x * W / width] >= 0.5f ? 1.0f : 0.0f;
  return small;
}

void
atl_latent_keep_outside (AtlSchedule *schedule,
                         guint call,
                         AtlArray *x,
                         const AtlArray *clean,
                         const AtlArray *noise,
                         const AtlArray *mask)
{
  gint64 n = atl_array_n_elems (x), cells = atl_array_n_elems (mask);
  g_autoptr (AtlArray) outside = atl_array_copy (clean, "outside");

  if (call + 1 < atl_schedule_n_calls (schedule))
    atl_schedule_add_noise (schedule, call + 1, atl_array_f32 (clean), atl_array_f32 (noise),
                            atl_array_f32 (outside), (gsize) n);
  for (gint64 i = 0; i < n; i++)
    if (atl_array_f32 (mask)[i % cells] == 0.0f)
      atl_array_f32 (x)[i] = atl_array_f32 (outside)[i];
}
