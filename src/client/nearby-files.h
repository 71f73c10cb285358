/* Where people keep the parts of models for pictures: ComfyUI's folders, one for each kind of part.
 *
 *   models/diffusion_models/flux1-dev.safetensors
 *   models/text_encoders/clip_l.safetensors, t5xxl_fp16.safetensors
 *   models/vae/ae.safetensors
 *
 * Threading: looks at folders; call it on a worker thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The files in the folders of text encoders and autoencoders beside that of the denoiser `path`,
 * sorted; empty when it lies in no folder of denoisers. (element-type filename) The caller's. */
GPtrArray *atl_nearby_files (const char *path);

/* The denoisers below a folder that has such folders in it, or in its "models" or "split_files",
 * sorted; empty when there are none. (element-type filename) The caller's. */
GPtrArray *atl_nearby_denoisers (const char *folder);

G_END_DECLS
