/* Pictures for Z-Image (diffusers 0.42.1, pipeline_z_image_omni). */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/zimage-edit.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/clip-pixels.h"
#include "engine/diffusion/latents.h"

#define PIXELS 16 /* a token's side */
#define SIGLIP_PATCH 16
#define SIGLIP_PATCHES 256 /* at most, of a picture */

void
atl_zimage_references_clear (AtlZImageReferences *self)
{
  for (guint i = 0; i < ATL_ZIMAGE_MAX_PICTURES; i++)
    {
      g_clear_pointer (&self->latents[i], atl_array_free);
      g_clear_pointer (&self->features[i], atl_array_free);
    }
}

guint
atl_zimage_references_count (const AtlRun *run)
{
  guint n = 0;

  while (n < ATL_ZIMAGE_MAX_PICTURES && atl_run_reference (run, "image", n) != NULL)
    n++;
  return n;
}

/* --- Latents --- */

static AtlArray *
measure (AtlRun *run, const AtlArray *given, const AtlLatent *how, GError **error)
{
  g_autoptr (AtlArray) picture = atl_crop_reference (given, PIXELS, PIXELS, error);
  AtlArray *latent = picture != NULL ? atl_vae_encode (run, picture, how, error) : NULL;

  if (latent != NULL)
    memcpy (latent->dim, (gint64[]){ latent->dim[1], 1, latent->dim[2], latent->dim[3] },
            4 * sizeof *latent->dim);
  return latent;
}

/* --- Features --- */

static gint64
scaled (double scale, gint64 size)
{
  return MAX ((gint64) ceil (size * scale / SIGLIP_PATCH), 1) * SIGLIP_PATCH;
}

/* The largest size of this shape with at most `most` patches, found as the processor does. */
static void
fit_patches (gint64 H, gint64 W, gint64 most, gint64 *height, gint64 *width)
{
  const double eps = 1e-5;
  double low = eps / 10, high = 100;

  while (high - low >= eps)
    {
      double scale = (low + high) / 2;

      if (scaled (scale, H) / SIGLIP_PATCH * (scaled (scale, W) / SIGLIP_PATCH) <= most)
        low = scale;
      else
        high = scale;
    }
  *height = scaled (low, H);
  *width = scaled (low, W);
}

/* Picture number `i` as SigLIP is to see it, in -1…1. The caller's. */
static AtlArray *
show (AtlRun *run, guint i)
{
  const AtlArray *picture = atl_run_reference (run, "image", i),
                 *ready = atl_run_reference (run, "condition", i);
  JsonObject *processor =
      atl_bundle_json (run->bundle, "siglip_processor", "preprocessor_config.json");
  gint64 most = CLAMP (atl_json_int (processor, "max_num_patches", SIGLIP_PATCHES), 1, 4096);
  gint64 height, width;
  AtlArray *out;

  if (ready != NULL)
    out = atl_array_copy (ready, "image");
  else
    {
      fit_patches (picture->dim[2], picture->dim[3], most, &height, &width);
      out = atl_resize_picture (picture, "image", height, width, ATL_FILTER_BILINEAR);
    }
  atl_array_affine (out, 2.0f, -1.0f);
  return out;
}

/* [rows, columns, dim]. The caller's. */
static AtlArray *
look (AtlRun *run, guint i, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_image");
  g_autoptr (GPtrArray) outputs = NULL;
  AtlArray *hidden, *grid;

  atl_request_add (request, show (run, i));
  outputs = atl_run_component (run, ATL_ZIMAGE_SIGLIP, request, error);
  if (outputs == NULL)
    return NULL;
  hidden = atl_arrays_find (outputs, "hidden");
  grid = atl_arrays_find (outputs, "grid");
  if (hidden == NULL || grid == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the part “%s” gives no “%s”"),
                   ATL_ZIMAGE_SIGLIP, "grid");
      return NULL;
    }
  hidden = atl_array_copy (hidden, "features");
  memcpy (hidden->dim,
          (gint64[]){ atl_array_i32 (grid)[0], atl_array_i32 (grid)[1], hidden->dim[2] },
          3 * sizeof *hidden->dim);
  return hidden;
}

gboolean
atl_zimage_references_read (AtlRun *run,
                            const AtlLatent *latent,
                            AtlZImageReferences *self,
                            GError **error)
{
  if (self->n > 0 && !atl_bundle_has (run->bundle, ATL_ZIMAGE_SIGLIP))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
                   _ ("This model has no picture encoder SigLIP, which must look at the pictures"));
      return FALSE;
    }
  for (guint i = 0; i < self->n; i++)
    {
      atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
      self->features[i] = look (run, i, error);
      if (self->features[i] == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, ATL_ZIMAGE_SIGLIP);
  for (guint i = 0; i < self->n; i++)
    {
      self->latents[i] = measure (run, atl_run_reference (run, "image", i), latent, error);
      if (self->latents[i] == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, "vae");
  return TRUE;
}

/* --- The request --- */

static AtlArray *
numbered (const AtlArray *array, const char *kind, guint i)
{
  g_autofree char *name = g_strdup_printf ("%s_%u", kind, i);

  return atl_array_copy (array, name);
}

void
atl_zimage_references_add (const AtlZImageReferences *self,
                           AtlRequest *request,
                           const AtlArray *target)
{
  AtlArray *noisy = atl_array_new ("noisy", ATL_DTYPE_I32, 2, (gint64[]){ 1, self->n + 1 });
  AtlArray *last = numbered (target, "images", self->n);

  for (guint i = 0; i < self->n; i++)
    {
      atl_request_add (request, numbered (self->latents[i], "images", i));
      atl_request_add (request, numbered (self->features[i], "image_features", i));
    }
  atl_array_i32 (noisy)[self->n] = 1;
  last->n_dims = 5;
  memcpy (last->dim, (gint64[]){ 1, target->dim[1], 1, target->dim[2], target->dim[3] },
          5 * sizeof *last->dim);
  atl_request_add (request, last);
  atl_request_add (request, noisy);
}

char **
atl_zimage_pieces (const char *prompt, guint n)
{
  GPtrArray *pieces = g_ptr_array_new ();

  g_ptr_array_add (pieces, g_strdup ("<|im_start|>user\n<|vision_start|>"));
  for (guint i = 1; i < n; i++)
    g_ptr_array_add (pieces, g_strdup ("<|vision_end|><|vision_start|>"));
  g_ptr_array_add (pieces,
                   g_strconcat ("<|vision_end|>", prompt,
                                "<|im_end|>\n<|im_start|>assistant\n<|vision_start|>", NULL));
  g_ptr_array_add (pieces, g_strdup ("<|vision_end|><|im_end|>"));
  g_ptr_array_add (pieces, NULL);
  return (char **) g_ptr_array_free (pieces, FALSE);
}
