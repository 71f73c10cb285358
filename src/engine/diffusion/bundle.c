/* Sorting a model's files into roles. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/bundle-private.h"

static void
folder_free (gpointer data)
{
  AtlBundleFolder *self = data;

  g_free (self->role);
  g_ptr_array_unref (self->maps);
  g_ptr_array_unref (self->names);
  atl_checkpoint_unref (self->checkpoint);
  atl_checkpoint_unref (self->plain);
  atl_tokenizer_unref (self->tokenizer);
  g_free (self);
}

static void
json_free (gpointer data)
{
  if (data != NULL)
    json_node_unref (data);
}

AtlBundleFolder *
atl_bundle_find_folder (const AtlBundle *self, const char *role)
{
  for (guint i = 0; i < self->folders->len; i++)
    {
      AtlBundleFolder *folder = self->folders->pdata[i];
      if (g_str_equal (folder->role, role))
        return folder;
    }
  return NULL;
}

/* Where a file belongs. Without an index only the names of parts count: what else a folder is
 * called says nothing of its files. */
static char *
role_of (const char *name, gboolean has_index)
{
  static const char *const known[] = { "transformer",     "unet",      "text_encoder",
                                       "tokenizer",       "vae",       "scheduler",
                                       "image_encoder",   "processor", "feature_extractor",
                                       "image_processor", "siglip",    "editor",
                                       "refiner",         "tae",       ATL_BUNDLE_NEARBY };
  const char *slash = strrchr (name, '/');
  g_autofree char *role = slash != NULL ? g_strndup (name, (gsize) (slash - name)) : g_strdup ("");

  if (has_index)
    return g_steal_pointer (&role);
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_str_has_prefix (role, known[i]))
      return g_steal_pointer (&role);
  return g_strdup ("");
}

AtlBundle *
atl_bundle_new (AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  AtlBundle *self;
  gboolean has_index = FALSE;

  if (n == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s", _ ("There are no files"));
      return NULL;
    }
  self = g_new0 (AtlBundle, 1);
  self->folders = g_ptr_array_new_with_free_func (folder_free);
  self->given = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->origins = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->misfits = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->json = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, json_free);
  for (guint i = 0; i < n; i++)
    has_index |= names != NULL && g_strcmp0 (names[i], "model_index.json") == 0;
  for (guint i = 0; i < n; i++)
    {
      const char *name = names != NULL && names[i] != NULL ? names[i] : atl_file_map_name (maps[i]);
      const char *slash = strrchr (name, '/');
      g_autofree char *role = role_of (name, has_index);
      AtlBundleFolder *folder = atl_bundle_find_folder (self, role);

      if (folder == NULL)
        {
          folder = g_new0 (AtlBundleFolder, 1);
          folder->role = g_steal_pointer (&role);
          folder->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
          folder->names = g_ptr_array_new_with_free_func (g_free);
          g_ptr_array_add (self->folders, folder);
        }
      g_ptr_array_add (folder->maps, atl_file_map_ref (maps[i]));
      g_ptr_array_add (folder->names, g_strdup (slash != NULL ? slash + 1 : name));
    }
  return self;
}

AtlBundle *
atl_bundle_copy (const AtlBundle *self)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < self->folders->len; i++)
    {
      const AtlBundleFolder *folder = self->folders->pdata[i];

      for (guint k = 0; k < folder->maps->len; k++)
        {
          g_ptr_array_add (maps, folder->maps->pdata[k]);
          g_ptr_array_add (names,
                           *folder->role != '\0'
                               ? g_strconcat (folder->role, "/", folder->names->pdata[k], NULL)
                               : g_strdup (folder->names->pdata[k]));
        }
    }
  return atl_bundle_new ((AtlFileMap *const *) maps->pdata, (const char *const *) names->pdata,
                         maps->len, NULL);
}

void
atl_bundle_free (AtlBundle *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->given);
  g_hash_table_unref (self->origins);
  g_hash_table_unref (self->misfits);
  g_clear_pointer (&self->loose, g_ptr_array_unref);
  g_clear_pointer (&self->plain, g_ptr_array_unref);
  g_clear_pointer (&self->nearby, g_ptr_array_unref);
  g_clear_pointer (&self->nearby_plain, g_ptr_array_unref);
  g_hash_table_unref (self->json);
  g_ptr_array_unref (self->folders);
  g_free (self);
}

/* --- JSON --- */

static JsonNode *
read_json (const AtlBundle *self, const char *role, const char *file)
{
  const AtlBundleFolder *folder = atl_bundle_find_folder (self, role);

  for (guint i = 0; folder != NULL && i < folder->maps->len; i++)
    if (g_str_equal (folder->names->pdata[i], file))
      {
        AtlFileMap *map = folder->maps->pdata[i];
        JsonNode *node = atl_json_parse ((const char *) atl_file_map_data (map),
                                         atl_file_map_size (map), file, NULL);

        if (node != NULL && !JSON_NODE_HOLDS_OBJECT (node))
          g_clear_pointer (&node, json_node_unref);
        return node;
      }
  return NULL;
}

JsonObject *
atl_bundle_json (AtlBundle *self, const char *role, const char *file)
{
  g_autofree char *key = g_build_filename (role != NULL ? role : "", file, NULL);
  gpointer node;

  if (!g_hash_table_lookup_extended (self->json, key, NULL, &node))
    {
      node = read_json (self, role != NULL ? role : "", file);
      g_hash_table_insert (self->json, g_steal_pointer (&key), node);
    }
  return node != NULL ? json_node_get_object (node) : NULL;
}

const char *
atl_bundle_pipeline (AtlBundle *self)
{
  return atl_json_string (atl_bundle_json (self, NULL, "model_index.json"), "_class_name", NULL);
}

const char *
atl_bundle_class (AtlBundle *self, const char *role)
{
  JsonArray *pair = atl_json_array (atl_bundle_json (self, NULL, "model_index.json"), role);
  JsonNode *name =
      pair != NULL && json_array_get_length (pair) == 2 ? json_array_get_element (pair, 1) : NULL;

  return name != NULL && JSON_NODE_HOLDS_VALUE (name) &&
                 json_node_get_value_type (name) == G_TYPE_STRING
             ? json_node_get_string (name)
             : g_hash_table_lookup (self->origins, role);
}
