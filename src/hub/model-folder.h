/* A language model as its authors publish it: a folder of settings, vocabulary and weights, which
 * is one model under the folder's name.
 *
 *   if (atl_model_folder_check (path))
 *     files = atl_model_folder_files (path);
 *
 * Folders of picture and clip models, whose parts lie in folders below, are none.
 *
 * Threading: any; looks at one folder.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether `path` (or what it links to) holds config.json, a vocabulary and .safetensors files. */
gboolean atl_model_folder_check (const char *path);

/* The names, without folder, of the files that belong to the model, sorted; the caller's
 * (g_strfreev). */
char **atl_model_folder_files (const char *path);

G_END_DECLS
