/* The part of running an autoencoder that is the same in all of them. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/vae/halves.h"

#include <glib/gi18n.h>

gboolean
atl_vae_encodes (const AtlRequest *request)
{
  return g_str_equal (atl_request_function (request), "vae_encode");
}

AtlArray *
atl_vae_input (const AtlRequest *request, guint n_dims, gboolean has_half, GError **error)
{
  gboolean encodes = atl_vae_encodes (request);

  if (has_half)
    return atl_request_require (request, encodes ? "image" : "latent", ATL_DTYPE_F32, n_dims,
                                error);
  g_set_error_literal (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       encodes ? _ ("This autoencoder cannot start from a picture: its file has no "
                                    "encoder")
                               : _ ("This autoencoder cannot show pictures: its file has no "
                                    "decoder"));
  return NULL;
}
