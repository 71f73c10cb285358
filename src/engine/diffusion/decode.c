/* Decoding latents. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/decode.h"

#include <glib/gi18n.h>

AtlArray *
atl_run_decode (AtlRun *run, AtlArray *latent, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  AtlArray *image;

  /* Translators: shown while the last numbers become a picture. */
  atl_run_progress (run, _ ("Finishing"), 0, 0);
  atl_request_add (request, latent);
  image = atl_run_output_of (run, "vae", request, "image", error);
  atl_parts_release (run->parts, "vae");
  if (run->count != NULL && image != NULL)
    {
      /* Nobody looks at the pixels. */
      run->count->frames = image->n_dims == 5 ? (guint) image->dim[2] : 1;
      run->count->is_done = TRUE;
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
      g_clear_pointer (&image, atl_array_free);
    }
  return image;
}
