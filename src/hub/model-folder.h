/* A model as its authors publish it: a folder that is one model under the folder's name. A language
 * model has settings, vocabulary and weights side by side; a model for pictures has
 * model_index.json and a folder below for each of its parts; an enlarger of the ncnn library is one
 * pair of NAME.param and NAME.bin.
 *
 *   if (atl_model_folder_check (path))
 *     files = atl_model_folder_files (path);
 *
 * Threading: any; looks at one folder, and at those of a picture model's parts.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether `path` (or what it links to) is a model: either holds config.json, a vocabulary and
 * .safetensors files, or is for pictures, or holds exactly one pair of ncnn's. */
gboolean atl_model_folder_check (const char *path);

/* Whether it holds model_index.json: a model for pictures or clips. */
gboolean atl_model_folder_check_pictures (const char *path);

/* The names of the files that belong to the model, below `path` ("vae/config.json"), sorted; the
 * caller's (g_strfreev). */
char **atl_model_folder_files (const char *path);

/* The weights NAME.bin beside the description `path`, a NAME.param, of a network of the ncnn
 * library; the caller's, NULL when it is none or they are not there. */
char *atl_model_pair_weights (const char *path);
/* The other way: NAME.param beside NAME.bin. */
char *atl_model_pair_of_weights (const char *path);

G_END_DECLS
