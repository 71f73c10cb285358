/* A tokenizer from the files of a Hugging Face or diffusers folder. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "base/json-bounded.h"
#include "engine/tokenizers/tokenizer-private.h"

/* Maps folder/name; NULL without an error when there is no such file. */
static AtlFileMap *
map_file (const char *folder, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return NULL;
  return atl_file_map_new (path, error);
}

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

AtlTokenizer *
atl_tokenizer_new_from_folder (const char *folder, GError **error)
{
  static const char *const names[] = { "tokenizer.json",     "tokenizer_config.json",
                                       "spiece.model",       "tokenizer.model",
                                       "vocab.json",         "merges.txt",
                                       "chat_template.jinja" };
  enum
  {
    JSON,
    CONFIG,
    SPIECE,
    MODEL,
    VOCAB,
    MERGES,
    TEMPLATE,
    N_FILES
  };
  AtlFileMap *maps[N_FILES] = { NULL };
  AtlTokenizer *self = NULL;
  g_autoptr (GError) local = NULL;

  for (guint i = 0; i < N_FILES && local == NULL; i++)
    maps[i] = map_file (folder, names[i], &local);

  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  else if (maps[JSON] != NULL)
    self = atl_tokenizer_new_from_json (text_of (maps[JSON]), size_of (maps[JSON]),
                                        text_of (maps[CONFIG]), size_of (maps[CONFIG]), error);
  else if (maps[SPIECE] != NULL || maps[MODEL] != NULL)
    {
      AtlFileMap *map = maps[SPIECE] != NULL ? maps[SPIECE] : maps[MODEL];

      self =
          atl_tokenizer_new_sentencepiece (atl_file_map_data (map), atl_file_map_size (map), error);
    }
  else if (maps[VOCAB] != NULL && maps[MERGES] != NULL)
    {
      self = atl_tokenizer_new_clip (text_of (maps[VOCAB]), size_of (maps[VOCAB]),
                                     text_of (maps[MERGES]), size_of (maps[MERGES]), error);
      if (self != NULL && !read_pad_token (self, maps[CONFIG], error))
        g_clear_pointer (&self, atl_tokenizer_unref);
    }
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                 "%s holds no tokenizer: neither tokenizer.json nor spiece.model, tokenizer.model "
                 "or vocab.json with merges.txt",
                 folder);
  if (self != NULL)
    add_template_file (self, maps[TEMPLATE]);
  for (guint i = 0; i < N_FILES; i++)
    g_clear_pointer (&maps[i], atl_file_map_unref);
  return self;
}
