/* The folders that ComfyUI, and others after it, sort the parts of pictures' models into:
 *
 *   models/diffusion_models/flux1-dev.safetensors        (or "unet")
 *   models/text_encoders/clip_l.safetensors, t5xxl_fp16.safetensors        (or "clip")
 *   models/vae/ae.safetensors
 *
 * The denoiser stands for the model; what lies in the folders beside its own are parts that several
 * models may share.
 *
 * Threading: looks at folders; call it on a worker thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Names of folders of denoisers, NULL-terminated; the first is the usual one. */
const char *const *atl_sorted_denoiser_folders (void);
/* The files in the folders of parts beside that folder, sorted; empty when there are none.
 * (element-type filename) The caller's. */
GPtrArray *atl_sorted_parts (const char *path);
/* Whether `folder` is one of parts, with one of models beside it: none of its files is a model by
 * itself. */
gboolean atl_sorted_is_of_parts (const char *folder);

/* Adds the files in `folder`/`below` that end in one of `endings`; no hidden ones, no links that
 * lead nowhere, and no more than there is room for in a request to the engine. */
void atl_sorted_add_files (const char *folder,
                           const char *below,
                           const char *const *endings,
                           GPtrArray *files);
/* For g_ptr_array_sort() of file names. */
int atl_sorted_compare (gconstpointer a, gconstpointer b);

G_END_DECLS
