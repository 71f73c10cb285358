/* What all autoencoders' requests have in common: "vae_encode" takes the array "image",
 * "vae_decode" the array "latent", and a file may hold one half only. Threading: any. */
#pragma once

#include "engine/models/component.h"

G_BEGIN_DECLS

/* Whether the request is "vae_encode". */
gboolean atl_vae_encodes (const AtlRequest *request);

/* The picture or latent of a request, float32 with `n_dims` dimensions, borrowed. NULL with an
 * error where it is missing or the file lacks the half that is asked for (`has_half` FALSE). */
AtlArray *
atl_vae_input (const AtlRequest *request, guint n_dims, gboolean has_half, GError **error);

G_END_DECLS
