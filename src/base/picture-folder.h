/* Folders of models for pictures as diffusers saves them: "model_index.json", and a folder for each
 * part, which has its own configuration.
 *
 * Threading: looks at folders; call it on a worker thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define ATL_PICTURE_INDEX "model_index.json"

/* Whether the folder is one. Downloads that were put together by hand often lack the index: a
 * denoiser's folder with its configuration tells as much. */
gboolean atl_picture_folder_check (const char *path);
gboolean atl_picture_folder_has_index (const char *path);
/* Whether `name` in it is a folder of a part: a vocabulary, or one with a configuration. */
gboolean atl_picture_folder_is_part (const char *path, const char *name);

G_END_DECLS
