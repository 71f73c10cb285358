/* The token ids of golden cases: the text of every language model and text encoder case whose
 * tokenizer lies beside it. Reads ATELIER_GOLDEN_UNPACKED. */
#include <glib.h>
#include <string.h>

#include "engine/tokenizers/prompt-clean.h"
#include "tokenizer-fixtures.h"

static const char *golden;

/* Tokenizers of one family, by path, so that each is loaded once. */
static AtlTokenizer *
load_cached (GHashTable *cache, const char *path)
{
  AtlTokenizer *tokenizer = g_hash_table_lookup (cache, path);
  g_autoptr (GError) error = NULL;

  if (tokenizer != NULL)
    return tokenizer;
  if (g_str_has_suffix (path, ".gguf"))
    {
      g_autoptr (AtlCheckpoint) cp = fixture_gguf (path, &error);

      g_assert_no_error (error);
      tokenizer = atl_tokenizer_new_from_checkpoint (cp, &error);
    }
  else
    tokenizer = atl_tokenizer_new_from_folder (path, &error);
  g_assert_no_error (error);
  g_hash_table_insert (cache, g_strdup (path), tokenizer);
  return tokenizer;
}

/* A text encoder reads a fixed number of tokens: cut so that the last one stays, filled up with the
 * padding token. */
static void
fit (GArray *ids, guint n, gint32 pad, gboolean left)
{
  if (ids->len > n)
    {
      g_array_index (ids, gint32, n - 1) = g_array_index (ids, gint32, ids->len - 1);
      g_array_set_size (ids, n);
    }
  while (ids->len < n)
    {
      if (left)
        g_array_prepend_val (ids, pad);
      else
        g_array_append_val (ids, pad);
    }
}

static gboolean
check (const char *name, JsonArray *expected, const GArray *ids)
{
  guint n = json_array_get_length (expected);

  for (guint i = 0; i < MAX (n, ids->len); i++)
    if (i >= n || i >= ids->len ||
        json_array_get_int_element (expected, i) != g_array_index (ids, gint32, i))
      {
        g_test_message (
            "%s: %u ids, expected %u; the first other one is number %u: %d, expected %d", name,
            ids->len, n, i, i < ids->len ? g_array_index (ids, gint32, i) : -1,
            i < n ? (int) json_array_get_int_element (expected, i) : -1);
        return FALSE;
      }
  return TRUE;
}

/* TRUE and `*path` when the case says which tokenizer reads its text: of a diffusers folder the one
 * with the number of the text encoder. */
static gboolean
find_tokenizer (const char *family, JsonObject *c, JsonObject *params, char **path)
{
  const char *named = atl_json_string (params, "tokenizer", NULL);
  const char *model = atl_json_string (c, "model", "");
  const char *component = atl_json_string (c, "component", NULL);
  g_autofree char *name = NULL;
  g_autofree char *folder = NULL;
  g_autofree char *second = g_build_filename (golden, family, "model", "tokenizer_2", NULL);

  /* A single file of a model with several text encoders does not say which one it is. */
  if (component == NULL && named == NULL && g_file_test (second, G_FILE_TEST_IS_DIR))
    return FALSE;
  name = g_strconcat ("tokenizer",
                      component != NULL && g_str_has_prefix (component, "text_encoder")
                          ? component + strlen ("text_encoder")
                          : "",
                      NULL);
  folder = g_build_filename (golden, family, model, name, NULL);
  if (named != NULL)
    *path = g_build_filename (golden, family, named, NULL);
  else if (g_str_has_suffix (model, ".gguf"))
    *path = g_build_filename (golden, family, model, NULL);
  else if (g_file_test (folder, G_FILE_TEST_IS_DIR))
    *path = g_steal_pointer (&folder);
  else
    *path = g_build_filename (golden, family, "model", name, NULL);
  return g_file_test (*path, G_FILE_TEST_EXISTS);
}

/* The text as the tokenizer gets it: within the family's prompt template where the case gives one.
 * `*flags` loses the begin and end tokens where a chat template wrote the text. */
static char *
prepare_text (const char *family, JsonObject *params, AtlTokenizeFlags *flags)
{
  const char *text = atl_json_string (params, "text", "");
  const char *template = atl_json_string (params, "template", NULL);
  const char *formatted = atl_json_string (params, "formatted", NULL);
  const char *gap = template != NULL ? strstr (template, "{}") : NULL;

  if (formatted != NULL)
    {
      *flags = ATL_TOKENIZE_PARSE_SPECIAL;
      return g_strdup (formatted);
    }
  if (gap != NULL)
    {
      *flags |= ATL_TOKENIZE_PARSE_SPECIAL;
      return g_strdup_printf ("%.*s%s%s", (int) (gap - template), template, text, gap + 2);
    }
  return g_str_has_prefix (family, "wan") ? atl_prompt_clean (text, -1) : g_strdup (text);
}

/* Cases whose text goes through a prompt's own grammar of weights, or gets pictures put in, belong
 * to the pipelines. */
static gboolean
run_case (const char *family, const char *case_name, GHashTable *cache, guint *n_checked)
{
  g_autofree char *file = g_build_filename (golden, family, "cases", case_name, "case.json", NULL);
  g_autoptr (JsonNode) root = NULL;
  JsonObject *c, *params;
  const char *text;
  JsonArray *expected;
  gboolean encoder;
  g_autofree char *path = NULL;
  g_autofree char *name = g_strconcat (family, "/", case_name, NULL);
  g_autofree char *prepared = NULL;
  AtlTokenizeFlags flags = ATL_TOKENIZE_ADD_SPECIAL;
  g_autofree char *raw = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  AtlTokenizer *tokenizer;

  /* Cases without a text may hold numbers that are no JSON, and are nothing to read here. */
  if (!g_file_get_contents (file, &raw, NULL, NULL) || strstr (raw, "\"text\"") == NULL)
    return TRUE;
  root = fixture_json (file);
  c = json_node_get_object (root);
  params = atl_json_object (c, "params");
  text = atl_json_string (params, "text", NULL);
  encoder = strcmp (atl_json_string (c, "kind", ""), "encode_text") == 0;
  expected = atl_json_array (params, "token_ids");
  if (expected == NULL)
    expected = atl_json_array (params, "tokens");
  if (text == NULL || expected == NULL || atl_json_string (params, "rule", NULL) != NULL ||
      json_object_has_member (params, "image_grid_thw") ||
      !find_tokenizer (family, c, params, &path))
    return TRUE;

  (*n_checked)++;
  tokenizer = load_cached (cache, path);
  prepared = prepare_text (family, params, &flags);
  atl_tokenizer_encode (tokenizer, prepared, -1, flags, ids, &error);
  g_assert_no_error (error);
  if (encoder)
    fit (ids, json_array_get_length (expected), atl_tokenizer_special (tokenizer, ATL_SPECIAL_PAD),
         strcmp (atl_json_string (params, "padding_side", ""), "left") == 0);
  return check (name, expected, ids);
}

static void
test_family (gconstpointer data)
{
  const char *family = data;
  g_autofree char *cases = g_build_filename (golden, family, "cases", NULL);
  g_autoptr (GHashTable) cache =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) atl_tokenizer_unref);
  g_autoptr (GDir) dir = g_dir_open (cases, 0, NULL);
  guint n_checked = 0, failed = 0;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    failed += !run_case (family, name, cache, &n_checked);
  g_test_message ("%s: %u of %u texts give the recorded ids", family, n_checked - failed,
                  n_checked);
  g_assert_cmpuint (failed, ==, 0);
}

static void
test_absent (void)
{
  g_test_skip (
      "ATELIER_GOLDEN_UNPACKED is not set to a folder: suite tokenizers/golden did not run");
}

int
main (int argc, char **argv)
{
  g_autoptr (GPtrArray) families = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = NULL;
  const char *name;

  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions ();
  golden = g_getenv ("ATELIER_GOLDEN_UNPACKED");
  dir = golden != NULL ? g_dir_open (golden, 0, NULL) : NULL;
  if (dir == NULL)
    g_test_add_func ("/tokenizers/golden", test_absent);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_strconcat ("/tokenizers/golden/", name, NULL);

      g_ptr_array_add (families, g_strdup (name));
      g_test_add_data_func (path, families->pdata[families->len - 1], test_family);
    }
  return g_test_run ();
}
