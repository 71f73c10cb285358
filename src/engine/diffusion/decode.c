/* Autoencoders at work. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/decode.h"

#include <glib/gi18n.h>
#include <math.h>

/* Below this, in -1…1, a byte is 0. */
#define BLACK (-1.0f + 1.0f / 255.0f)

static void
ask_for_tiles (const AtlRun *run, AtlRequest *request)
{
  /* A quarter of a tile goes over into the next. */
  double side = run->tile, stride = side * 3 / 4;

  if (side <= 0)
    return;
  atl_request_set_number (request, "tiled", 1);
  atl_request_set_number (request, "tile_smooth", 1);
  atl_request_set_number (request, "tile_sample_min_height", side);
  atl_request_set_number (request, "tile_sample_min_width", side);
  atl_request_set_number (request, "tile_sample_stride_height", stride);
  atl_request_set_number (request, "tile_sample_stride_width", stride);
}

AtlArray *
atl_run_encode (AtlRun *run, AtlArray *pixels, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_encode");

  atl_request_add (request, pixels);
  ask_for_tiles (run, request);
  return atl_run_output_of (run, "vae", request, "mean", error);
}

gboolean
atl_pixels_check (const AtlArray *pixels, GError **error)
{
  gint64 n = atl_array_n_elems (pixels);
  const float *x = atl_array_f32 (pixels);
  gboolean is_black = TRUE;

  for (gint64 i = 0; i < n; i++)
    {
      if (!isfinite (x[i]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                       _ ("The autoencoder's numbers overflowed, so there is no picture. Another "
                          "copy of the VAE may help"));
          return FALSE;
        }
      is_black = is_black && x[i] < BLACK;
    }
  if (!is_black)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
               _ ("The picture came out all black, which means that the model's numbers "
                  "overflowed. Another size or another copy of the model may help"));
  return FALSE;
}

AtlArray *
atl_run_decode (AtlRun *run, AtlArray *latent, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  g_autoptr (AtlArray) pixels = NULL;

  /* Translators: shown while the last numbers become a picture. */
  atl_run_progress (run, _ ("Finishing"), 0, 0);
  atl_request_add (request, latent);
  ask_for_tiles (run, request);
  pixels = atl_run_output_of (run, "vae", request, "image", error);
  atl_parts_release (run->parts, "vae");
  if (pixels == NULL)
    return NULL;
  if (run->count != NULL)
    {
      /* Nobody looks at the pixels. */
      run->count->frames = pixels->n_dims == 5 ? (guint) pixels->dim[2] : 1;
      run->count->is_done = TRUE;
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
      return NULL;
    }
  return atl_pixels_check (pixels, error) ? g_steal_pointer (&pixels) : NULL;
}
