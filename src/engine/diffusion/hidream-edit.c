/* Editing with HiDream-E1: the picture's latent stands to the right of the noisy one. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/clip-pixels.h"
#include "engine/diffusion/hidream-private.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"

#define PART_REFINER "refiner"

gboolean
atl_hidream_is_editor (const AtlCheckpoint *cp)
{
  return atl_denoiser_is_called (cp, (const char *const[]){ "_e1", "-e1", NULL }) ||
         g_ascii_strncasecmp (atl_checkpoint_name (cp), "e1", 2) == 0;
}

void
atl_hidream_find_editor (AtlBundle *bundle,
                         const char *pipeline,
                         const char **editor,
                         const char **refiner)
{
  AtlCheckpoint *cp = atl_bundle_checkpoint (bundle, ATL_HIDREAM_DENOISER, NULL);

  *editor = *refiner = NULL;
  if (pipeline != NULL ? g_str_equal (pipeline, ATL_HIDREAM_EDITING)
                       : cp != NULL && atl_hidream_is_editor (cp))
    {
      *editor = ATL_HIDREAM_DENOISER;
      if (atl_bundle_has (bundle, PART_REFINER) &&
          atl_bundle_checkpoint (bundle, PART_REFINER, NULL) != cp)
        *refiner = PART_REFINER;
    }
  else if (pipeline == NULL && atl_bundle_has (bundle, ATL_HIDREAM_EDITOR))
    {
      *editor = ATL_HIDREAM_EDITOR;
      *refiner = ATL_HIDREAM_DENOISER;
    }
}

void
atl_hidream_fit_area (double width, double height, double area, gint64 *to_width, gint64 *to_height)
{
  double scale = sqrt (area / (width * height));

  /* A picture of just that area stays as it is. */
  *to_width = MAX ((gint64) (width * scale + 0.5) / ATL_HIDREAM_TOKEN, 1) * ATL_HIDREAM_TOKEN;
  *to_height = MAX ((gint64) (height * scale + 0.5) / ATL_HIDREAM_TOKEN, 1) * ATL_HIDREAM_TOKEN;
}

/* The picture in -1…1, in its own shape and, where a size is asked for, of that area. NULL where
 * there is none; the caller's. */
static AtlArray *
find_picture (const AtlRun *run)
{
  gboolean is_unit = atl_run_input (run, "image_1") != NULL;
  const AtlArray *a = atl_run_input (run, is_unit ? "image_1" : "image");
  gint64 width, height;
  AtlArray *picture;

  if (a == NULL || a->dtype != ATL_DTYPE_F32 || a->n_dims != 4 || a->dim[0] != 1 ||
      a->dim[1] != 3 || a->dim[2] < 1 || a->dim[3] < 1)
    return NULL;
  if (!is_unit)
    return atl_array_copy (a, "image");
  atl_run_size (run, ATL_HIDREAM_TOKEN, 1024, &width, &height);
  atl_hidream_fit_area ((double) a->dim[3], (double) a->dim[2], (double) width * (double) height,
                        &width, &height);
  picture = width == a->dim[3] && height == a->dim[2]
                ? atl_array_copy (a, "image")
                : atl_resize_picture (a, "image", height, width, ATL_FILTER_BICUBIC);
  atl_array_affine (picture, 2.0f, -1.0f);
  return picture;
}

gboolean
atl_hidream_prepare_edit (AtlRun *run, AtlHiDream *self, GError **error)
{
  g_autoptr (AtlArray) given = find_picture (run);
  double refine = CLAMP (atl_settings_number (run->settings, "refine_strength", 0.3), 0, 1);
  guint n_max = 0;
  g_autofree double *max_seq = atl_settings_numbers (run->settings, "max_seq", &n_max);

  atl_hidream_find_editor (run->bundle, run->pipeline, &self->editor, &self->refiner);
  if (self->editor == NULL || given == NULL)
    {
      self->editor = self->editor != NULL ? self->editor : ATL_HIDREAM_DENOISER;
      self->refiner = NULL;
      return TRUE;
    }
  if (given->dim[2] % ATL_HIDREAM_TOKEN != 0 || given->dim[3] % ATL_HIDREAM_TOKEN != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A reference picture's width and height must be multiples of %d pixels"),
                   ATL_HIDREAM_TOKEN);
      return FALSE;
    }
  self->picture = g_steal_pointer (&given);
  self->latent.height = self->picture->dim[2] / ATL_HIDREAM_FACTOR;
  self->latent.width = self->picture->dim[3] / ATL_HIDREAM_FACTOR;
  run->latent = self->latent;
  self->edits = self->is_guided = TRUE;
  self->keeps_norm = atl_settings_number (run->settings, "clip_cfg_norm", 1) != 0;
  self->image_guidance = atl_settings_number (run->settings, "image_guidance_scale", 1.5);
  if (max_seq != NULL && n_max == 2)
    memcpy (self->max_seq, max_seq, sizeof self->max_seq);
  if (refine <= 0 ||
      (*atl_settings_string (run->settings, "target_prompt", "") == '\0' &&
       strstr (atl_settings_string (run->settings, "prompt", ""), ATL_HIDREAM_TARGET) == NULL))
    self->refiner = NULL;
  return TRUE;
}

gboolean
atl_hidream_read_picture (AtlRun *run, AtlHiDream *self, guint n_steps, GError **error)
{
  double refine = CLAMP (atl_settings_number (run->settings, "refine_strength", 0.3), 0, 1);
  g_autoptr (AtlArray) picture = g_steal_pointer (&self->picture);

  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  self->picture = atl_vae_encode (run, picture, &self->latent, error);
  if (self->picture == NULL)
    return FALSE;
  atl_run_trace (run, "picture_latent", self->picture);
  atl_parts_release (run->parts, "vae");
  self->n_edits = self->refiner != NULL ? (guint) (n_steps * (1.0 - refine)) : n_steps;
  atl_hidream_set_batch (
      self,
      self->keeps_norm
          ? (guint[]){ ATL_HIDREAM_POSITIVE, ATL_HIDREAM_NEGATIVE, ATL_HIDREAM_POSITIVE }
          : (guint[]){ ATL_HIDREAM_NEGATIVE, ATL_HIDREAM_NEGATIVE, ATL_HIDREAM_POSITIVE },
      3);
  return TRUE;
}

AtlArray *
atl_hidream_beside_picture (const AtlHiDream *self, const AtlArray *x)
{
  g_autoptr (AtlArray) zeros =
      atl_array_new ("zeros", ATL_DTYPE_F32, self->picture->n_dims, self->picture->dim);
  const AtlArray *noisy[] = { x, x, x }, *clean[] = { zeros, self->picture, self->picture };
  g_autoptr (AtlArray) left = atl_array_join ("latent", 0, 3, noisy);
  g_autoptr (AtlArray) right = atl_array_join ("latent", 0, 3, clean);

  return atl_array_join ("latent", 3, 2, (const AtlArray *const[]){ left, right });
}

void
atl_hidream_guide_edit (const AtlHiDream *self, const AtlArray *three, AtlArray *out)
{
  gint64 C = out->dim[1], h = out->dim[2], w = out->dim[3];
  gint64 plane = h * 2 * w, whole = C * plane;
  const float *p = atl_array_f32 (three);
  double g = self->guidance, gi = self->image_guidance;

  for (gint64 y = 0; y < h && !atl_array_is_hollow (out); y++)
    for (gint64 x = 0; x < w; x++)
      {
        double of_t = 0, of_f = 0, factor = 1;

        for (gint64 c = 0; self->keeps_norm && c < C; c++)
          {
            const float *u = p + c * plane + y * 2 * w + x;
            double i = u[whole], f = u[2 * whole], t = i + g * (f - i);

            of_t += t * t;
            of_f += f * f;
          }
        if (self->keeps_norm)
          factor = MIN (sqrt (of_f) / (sqrt (of_t) + 1e-8), 1.0);
        for (gint64 c = 0; c < C; c++)
          {
            const float *at = p + c * plane + y * 2 * w + x;
            double u = at[0], i = at[whole], f = at[2 * whole], t = i + g * (f - i);

            atl_array_f32 (out)[(c * h + y) * w + x] =
                (float) (self->keeps_norm ? u + gi * (t * factor - u)
                                          : u + gi * (i - u) + g * (f - i));
          }
      }
}
