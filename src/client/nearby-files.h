/* Where people keep the parts of models for pictures: ComfyUI's folders, one for each kind of part.
 *
 *   models/diffusion_models/flux1-dev.safetensors
 *   models/text_encoders/clip_l.safetensors, t5xxl_fp16.safetensors
 *   models/vae/ae.safetensors
 *   models/vae_approx/taef1_decoder.safetensors
 *
 * Where a library only has a link to a denoiser, the folders beside what it leads to count.
 *
 * Tiny decoders for previews, known by their names, may also lie beside a model, and those that a
 * person gave Atelier in a folder of its own (atl_nearby_tiny_dir).
 *
 * Threading: looks at folders; call it on a worker thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The tiny decoders beside the model `path`, a file or folder; and where it is a denoiser in a
 * folder of denoisers, the files in the folders of text encoders and autoencoders beside that.
 * Sorted. (element-type filename) The caller's. */
GPtrArray *atl_nearby_files (const char *path);

/* The denoisers below a folder that has such folders in it, or in its "models" or "split_files",
 * sorted; empty when there are none. (element-type filename) The caller's. */
GPtrArray *atl_nearby_denoisers (const char *folder);

/* Whether a file of this name may be a tiny decoder: their authors' names begin alike. */
gboolean atl_nearby_is_tiny_name (const char *name);
/* The folder for tiny decoders that serve every model. The caller's. */
char *atl_nearby_tiny_dir (void);

G_END_DECLS
