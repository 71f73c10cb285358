/* Loading of conformance tokenizers. */
#include "tokenizer-fixtures.h"

#include <gio/gio.h>

char *
fixture_conformance_dir (void)
{
  const char *set = g_getenv ("ATELIER_CONFORMANCE");
  const char *source = g_getenv ("ATELIER_SOURCE");
  g_autofree char *dir = set != NULL ? g_strdup (set)
                                     : g_build_filename (source != NULL ? source : ".", "..",
                                                         "shared", "conformance", NULL);

  return g_file_test (dir, G_FILE_TEST_IS_DIR) ? g_steal_pointer (&dir) : NULL;
}

JsonNode *
fixture_json (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  JsonNode *root;
  gsize size;

  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (root));
  return root;
}

AtlCheckpoint *
fixture_gguf (const char *path, GError **error)
{
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, error);

  return map != NULL ? atl_gguf_open (&map, 1, error) : NULL;
}

/* The merges of OpenAI's CLIP are published compressed. */
static AtlTokenizer *
load_clip (const char *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) raw = g_file_read (file, NULL, error);
  g_autoptr (GZlibDecompressor) gunzip = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP);
  g_autoptr (GInputStream) plain = NULL;
  g_autoptr (GByteArray) text = g_byte_array_new ();
  guint8 buffer[65536];
  gssize n;

  if (raw == NULL)
    return NULL;
  plain = g_converter_input_stream_new (G_INPUT_STREAM (raw), G_CONVERTER (gunzip));
  while ((n = g_input_stream_read (plain, buffer, sizeof buffer, NULL, error)) > 0)
    g_byte_array_append (text, buffer, (guint) n);
  if (n < 0)
    return NULL;
  return atl_tokenizer_new_clip (NULL, 0, (const char *) text->data, text->len, error);
}

AtlTokenizer *
fixture_tokenizer (const char *conformance, const char *name, GError **error)
{
  g_autofree char *folder = g_build_filename (conformance, "tokenizers", name, NULL);
  g_autofree char *cases = g_build_filename (folder, "cases.json", NULL);
  g_autoptr (JsonNode) root = fixture_json (cases);
  JsonObject *header = json_node_get_object (root);
  const char *format = atl_json_string (header, "model_format", "");
  g_autofree char *model = g_build_filename (folder, atl_json_string (header, "model", ""), NULL);

  if (strcmp (format, "gguf") == 0)
    {
      g_autoptr (AtlCheckpoint) cp = fixture_gguf (model, error);

      return cp != NULL ? atl_tokenizer_new_from_checkpoint (cp, error) : NULL;
    }
  if (strcmp (format, "clip-bpe-gz") == 0)
    return load_clip (model, error);
  return atl_tokenizer_new_from_folder (folder, error);
}
