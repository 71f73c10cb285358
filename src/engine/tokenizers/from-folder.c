/* A tokenizer from the files of a Hugging Face or diffusers folder. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "base/json-bounded.h"

#include <glib/gi18n.h>
#include "engine/tokenizers/json-parts.h"
#include "engine/tokenizers/tokenizer-private.h"

typedef enum
{
  FILE_JSON,
  FILE_CONFIG,
  FILE_SPIECE,
  FILE_MODEL,
  FILE_VOCAB,
  FILE_MERGES,
  FILE_TEMPLATE,
  FILE_TEMPLATE_JSON,
  FILE_GENERATION,
  N_FILES
} File;

static const char *const file_names[N_FILES] = {
  "tokenizer.json",
  "tokenizer_config.json",
  "spiece.model",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "generation_config.json",
};

static const char *
text_of (const AtlFileMap *map)
{
  return map != NULL ? (const char *) atl_file_map_data (map) : NULL;
}

static gsize
size_of (const AtlFileMap *map)
{
  return map != NULL ? atl_file_map_size (map) : 0;
}

/* Newer folders keep the chat template in a file of its own, which wins. */
static void
add_template_file (AtlTokenizer *self, const AtlFileMap *map)
{
  g_autofree char *text = NULL;

  if (map == NULL || !g_utf8_validate_len (text_of (map), size_of (map), NULL))
    return;
  text = g_strndup (text_of (map), size_of (map));
  g_hash_table_insert (self->templates, g_strdup (""), g_steal_pointer (&text));
}

/* The same in JSON, beside models that see. */
static void
add_template_json (AtlTokenizer *self, const AtlFileMap *map)
{
  g_autoptr (JsonNode) root = NULL;
  const char *text;

  if (map == NULL)
    return;
  root = atl_json_parse (text_of (map), size_of (map), "chat_template.json", NULL);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return;
  text = atl_json_string (json_node_get_object (root), "chat_template", NULL);
  if (text != NULL)
    g_hash_table_insert (self->templates, g_strdup (""), g_strdup (text));
}

static void
add_end (AtlTokenizer *self, JsonNode *node)
{
  gint64 id = node != NULL && JSON_NODE_HOLDS_VALUE (node) &&
                      json_node_get_value_type (node) == G_TYPE_INT64
                  ? json_node_get_int (node)
                  : -1;

  if (id >= 0 && id < self->vocabulary->n && !atl_tokenizer_is_eog (self, (gint32) id))
    {
      gint32 end = (gint32) id;
      g_array_append_val (self->eog, end);
    }
}

/* "eos_token_id": one number or a list of them. */
static void
add_ends (AtlTokenizer *self, const AtlFileMap *map)
{
  g_autoptr (JsonNode) root = NULL;
  JsonNode *ids;

  if (map == NULL)
    return;
  root = atl_json_parse (text_of (map), size_of (map), "generation_config.json", NULL);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return;
  ids = json_object_get_member (json_node_get_object (root), "eos_token_id");
  if (ids == NULL || !JSON_NODE_HOLDS_ARRAY (ids))
    {
      add_end (self, ids);
      return;
    }
  for (guint i = 0; i < MIN (json_array_get_length (json_node_get_array (ids)), 64); i++)
    add_end (self, json_array_get_element (json_node_get_array (ids), i));
}

/* The chat template and the names of special tokens of a folder without tokenizer.json. */
static gboolean
add_config (AtlTokenizer *self, const AtlFileMap *map, GError **error)
{
  g_autoptr (JsonNode) root = NULL;

  if (map == NULL)
    return TRUE;
  root = atl_json_parse (text_of (map), size_of (map), "tokenizer_config.json", error);
  if (root == NULL)
    return FALSE;
  if (JSON_NODE_HOLDS_OBJECT (root))
    atl_tokenizer_read_config (self, json_node_get_object (root));
  return TRUE;
}

/* OpenCLIP's tokenizers (SDXL, SD 3) are CLIP's but pad with "!"; only the config says so. As the
 * Hugging Face library does, that "!" is then one token wherever a text has it, before words are
 * cut. */
static gboolean
read_pad_token (AtlTokenizer *self, const AtlFileMap *map, GError **error)
{
  g_autoptr (JsonNode) root = NULL;
  JsonObject *config;
  const char *text;
  gint32 id;

  if (map == NULL)
    return TRUE;
  root = atl_json_parse (text_of (map), size_of (map), "tokenizer_config.json", error);
  if (root == NULL)
    return FALSE;
  config = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  text = atl_json_string (config, "pad_token",
                          atl_json_string (atl_json_object (config, "pad_token"), "content", ""));
  id = atl_tokenizer_find (self, text);
  if (id < 0 || id == self->special[ATL_SPECIAL_PAD])
    return TRUE;
  self->special[ATL_SPECIAL_PAD] = id;
  if (self->vocabulary->type[id] == ATL_TOKEN_NORMAL)
    atl_tokenizer_add_user_defined (self, id);
  return TRUE;
}

static AtlTokenizer *
from_files (AtlFileMap *const *maps, const char *where, gboolean may_be_clip, GError **error)
{
  AtlTokenizer *self = NULL;

  if (maps[FILE_JSON] != NULL)
    self = atl_tokenizer_new_from_json (text_of (maps[FILE_JSON]), size_of (maps[FILE_JSON]),
                                        text_of (maps[FILE_CONFIG]), size_of (maps[FILE_CONFIG]),
                                        error);
  else if (maps[FILE_SPIECE] != NULL || maps[FILE_MODEL] != NULL)
    {
      AtlFileMap *map = maps[FILE_SPIECE] != NULL ? maps[FILE_SPIECE] : maps[FILE_MODEL];

      self =
          atl_tokenizer_new_sentencepiece (atl_file_map_data (map), atl_file_map_size (map), error);
      if (self != NULL && !add_config (self, maps[FILE_CONFIG], error))
        g_clear_pointer (&self, atl_tokenizer_unref);
    }
  else if (maps[FILE_VOCAB] != NULL && maps[FILE_MERGES] != NULL)
    {
      self =
          atl_tokenizer_new_clip (text_of (maps[FILE_VOCAB]), size_of (maps[FILE_VOCAB]),
                                  text_of (maps[FILE_MERGES]), size_of (maps[FILE_MERGES]), error);
      if (self != NULL && !read_pad_token (self, maps[FILE_CONFIG], error))
        g_clear_pointer (&self, atl_tokenizer_unref);
    }
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                 !may_be_clip
                     ? _ ("%s: the vocabulary is missing: tokenizer.json or tokenizer.model should "
                          "lie beside the weights")
                     : _ ("%s: the vocabulary is missing: neither tokenizer.json nor spiece.model, "
                          "tokenizer.model or vocab.json with merges.txt lie beside the weights"),
                 where);
  if (self == NULL)
    return NULL;
  add_template_json (self, maps[FILE_TEMPLATE_JSON]);
  add_template_file (self, maps[FILE_TEMPLATE]);
  add_ends (self, maps[FILE_GENERATION]);
  return self;
}

AtlTokenizer *
atl_tokenizer_new_from_folder (const char *folder, GError **error)
{
  AtlFileMap *maps[N_FILES] = { NULL };
  AtlTokenizer *self = NULL;
  gboolean ok = TRUE;

  for (guint i = 0; i < N_FILES && ok; i++)
    {
      g_autofree char *path = g_build_filename (folder, file_names[i], NULL);

      if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
        ok = (maps[i] = atl_file_map_new (path, error)) != NULL;
    }
  if (ok)
    self = from_files (maps, folder, TRUE, error);
  for (guint i = 0; i < N_FILES; i++)
    g_clear_pointer (&maps[i], atl_file_map_unref);
  return self;
}

static AtlTokenizer *
from_maps (AtlFileMap *const *maps,
           const char *const *names,
           guint n,
           gboolean may_be_clip,
           GError **error)
{
  AtlFileMap *files[N_FILES] = { NULL };

  g_return_val_if_fail (n >= 1, NULL);
  for (guint i = 0; i < n; i++)
    {
      const char *name = names != NULL && names[i] != NULL ? names[i] : atl_file_map_name (maps[i]);
      g_autofree char *base = g_path_get_basename (name);

      for (guint k = 0; k < N_FILES; k++)
        if ((may_be_clip || (k != FILE_VOCAB && k != FILE_MERGES)) &&
            g_str_equal (base, file_names[k]) && files[k] == NULL)
          files[k] = maps[i];
    }
  return from_files (files, atl_file_map_name (maps[0]), may_be_clip, error);
}

AtlTokenizer *
atl_tokenizer_new_from_maps (AtlFileMap *const *maps,
                             const char *const *names,
                             guint n,
                             GError **error)
{
  /* A language model's vocab.json is not CLIP's. */
  return from_maps (maps, names, n, FALSE, error);
}

AtlTokenizer *
atl_tokenizer_new_from_part (AtlFileMap *const *maps,
                             const char *const *names,
                             guint n,
                             GError **error)
{
  return from_maps (maps, names, n, TRUE, error);
}
