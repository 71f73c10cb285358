/* Reads safetensors files, single or sharded, and the config.json that lies beside them.
 *
 *   g_autoptr (AtlCheckpoint) cp = atl_safetensors_open (maps, n_maps, NULL, 0, &error);
 *   if (cp == NULL || !atl_config_add_json (cp, json, size, "config.json", &error))
 *     return FALSE;
 *
 * The header is parsed here, strictly: duplicate members, numbers that are no plain integers,
 * shapes that do not match their bytes, overlapping or unused bytes are all refused.
 *
 * The members of a file's "__metadata__" become metadata keys "__metadata__.MEMBER".
 *
 * Threading: any thread; a checkpoint is being built by one thread until it is shared.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Whether `size` bytes (the first 9 or more of a file) begin like a safetensors file. */
gboolean atl_safetensors_is_safetensors (const guint8 *data, gsize size);

/* Opens one file, or all shards of a model in any order; `n_maps` is at least 1.
 *
 * `index_json` (nullable) is the text of "….safetensors.index.json", `index_size` bytes: every
 * tensor it lists must then be found, in the file it names.
 *
 * ATL_ERROR_BAD_FILE when a file is broken; ATL_ERROR_UNSUPPORTED for element types and numbers of
 * dimensions beyond ATL_MAX_DIMS that the format allows and nothing here can hold;
 * ATL_ERROR_NOT_FOUND when the index names a file that is not among the maps. */
AtlCheckpoint *atl_safetensors_open (AtlFileMap *const *maps,
                                     guint n_maps,
                                     const char *index_json,
                                     gsize index_size,
                                     GError **error);

#define ATL_CONFIG_NULL "null:" /* before the key of a setting that is null */

/* Adds a model's settings to a checkpoint that is still being built. Members of nested objects are
 * joined by dots; whole numbers become ATL_META_INT, other numbers ATL_META_FLOAT, arrays whose
 * elements are all of one of these kinds (numbers may mix: they become floats), strings or bools
 * become arrays, an empty array an array of strings. Other arrays are left out; null and an empty
 * object are a true “null:KEY”. A key that is there already, from another file, stays as it is.
 * `name` begins the message of an error: ATL_ERROR_BAD_FILE when it is no JSON object. */
gboolean atl_config_add_json (
    AtlCheckpoint *cp, const char *json, gsize size, const char *name, GError **error);

/* The same with `prefix`, such as "generation_config.", before every key. */
gboolean atl_config_add_json_under (AtlCheckpoint *cp,
                                    const char *prefix,
                                    const char *json,
                                    gsize size,
                                    const char *name,
                                    GError **error);

G_END_DECLS
