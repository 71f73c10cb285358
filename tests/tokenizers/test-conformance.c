/* Every tokenizer of the conformance data: texts to ids and back, and whole corpora. */
#include <glib.h>
#include <string.h>

#include "engine/tokenizers/prompt-clean.h"
#include "tokenizer-fixtures.h"

static char *conformance; /* (nullable) */

/* Loading a large vocabulary takes longer than all its cases, so each is kept. */
static GHashTable *loaded;

static AtlTokenizer *
get_tokenizer (const char *name)
{
  AtlTokenizer *tokenizer = g_hash_table_lookup (loaded, name);
  g_autoptr (GError) error = NULL;

  if (tokenizer == NULL)
    {
      tokenizer = fixture_tokenizer (conformance, name, &error);
      g_assert_no_error (error);
      g_hash_table_insert (loaded, g_strdup (name), tokenizer);
    }
  return tokenizer;
}

static char *
ids_to_string (const gint32 *ids, gsize n)
{
  GString *out = g_string_new (NULL);

  for (gsize i = 0; i < n && i < 60; i++)
    g_string_append_printf (out, "%d ", ids[i]);
  return g_string_free (out, FALSE);
}

static gboolean
same_ids (JsonArray *expected, const GArray *ids)
{
  if (json_array_get_length (expected) != ids->len)
    return FALSE;
  for (guint i = 0; i < ids->len; i++)
    if (json_array_get_int_element (expected, i) != g_array_index (ids, gint32, i))
      return FALSE;
  return TRUE;
}

/* Runs one case; FALSE and a line of diagnosis when it fails. */
static gboolean
run_case (AtlTokenizer *tokenizer, const char *name, guint index, JsonObject *c)
{
  const char *text = atl_json_string (c, "text", NULL);
  const char *detok = atl_json_string (c, "detok", NULL);
  JsonArray *expected = atl_json_array (c, "ids");
  AtlTokenizeFlags flags =
      (atl_json_bool (c, "add_special", FALSE) ? ATL_TOKENIZE_ADD_SPECIAL : 0) |
      (atl_json_bool (c, "parse_special", FALSE) ? ATL_TOKENIZE_PARSE_SPECIAL : 0);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  g_autofree char *clean = NULL;
  gboolean ok = TRUE;

  g_assert_nonnull (text);
  g_assert_nonnull (expected);
  if (strcmp (name, "clip") == 0)
    text = clean = atl_prompt_clean (text, -1);
  atl_tokenizer_encode (tokenizer, text, -1, flags, ids, &error);
  g_assert_no_error (error);
  if (!same_ids (expected, ids))
    {
      g_autofree char *got = ids_to_string ((const gint32 *) (gpointer) ids->data, ids->len);
      g_autoptr (GString) wanted = g_string_new (NULL);

      for (guint i = 0; i < json_array_get_length (expected) && i < 60; i++)
        g_string_append_printf (wanted, "%d ", (int) json_array_get_int_element (expected, i));
      g_test_message ("%s case %u flags %d text “%.200s”\n  got      %s\n  expected %s", name,
                      index, flags, text, got, wanted->str);
      ok = FALSE;
    }
  if (ok && detok != NULL)
    {
      g_autofree char *back = atl_tokenizer_decode (
          tokenizer, (const gint32 *) (gpointer) ids->data, ids->len, TRUE, FALSE);

      if (strcmp (back, detok) != 0)
        {
          g_test_message ("%s case %u text “%.200s”\n  back     “%s”\n  expected “%s”", name, index,
                          text, back, detok);
          ok = FALSE;
        }
    }
  return ok;
}

static void
check_special (AtlTokenizer *tokenizer, JsonObject *header)
{
  static const struct
  {
    const char *member;
    AtlSpecialToken which;
  } specials[] = { { "bos", ATL_SPECIAL_BOS },
                   { "eos", ATL_SPECIAL_EOS },
                   { "eot", ATL_SPECIAL_EOT },
                   { "sep", ATL_SPECIAL_SEP },
                   { "pad", ATL_SPECIAL_PAD } };
  JsonObject *special = atl_json_object (header, "special");
  gboolean gguf = strcmp (atl_json_string (header, "model_format", ""), "gguf") == 0;

  g_assert_cmpint (atl_tokenizer_n_vocab (tokenizer), ==, atl_json_int (special, "n_vocab", -2));
  if (gguf)
    g_assert_cmpint (atl_tokenizer_add_bos (tokenizer), ==, atl_json_bool (special, "add_bos", 2));
  for (guint i = 0; i < G_N_ELEMENTS (specials); i++)
    {
      gint64 expected = atl_json_int (special, specials[i].member, -2);

      /* A GGUF file's ids are its own. A tokenizer.json and its config may name fewer begin and
       * end tokens than the converter of the GGUF file knew, but end tokens still end. */
      if (expected == -2 || (!gguf && specials[i].which == ATL_SPECIAL_BOS))
        continue;
      if (gguf)
        g_assert_cmpint (atl_tokenizer_special (tokenizer, specials[i].which), ==, expected);
      else if (specials[i].which == ATL_SPECIAL_EOT)
        g_assert_true (atl_tokenizer_is_eog (tokenizer, (gint32) expected));
      if (gguf && expected >= 0 &&
          (specials[i].which == ATL_SPECIAL_EOS || specials[i].which == ATL_SPECIAL_EOT))
        g_assert_true (atl_tokenizer_is_eog (tokenizer, (gint32) expected));
    }
}

static void
test_tokenizer (gconstpointer data)
{
  const char *name = data;
  g_autofree char *path = g_build_filename (conformance, "tokenizers", name, "cases.json", NULL);
  g_autoptr (JsonNode) root = fixture_json (path);
  JsonArray *cases = atl_json_array (json_node_get_object (root), "cases");
  AtlTokenizer *tokenizer = get_tokenizer (name);
  guint n = json_array_get_length (cases), failed = 0;

  check_special (tokenizer, json_node_get_object (root));
  g_assert_cmpuint (n, >, 0);
  for (guint i = 0; i < n; i++)
    failed += !run_case (tokenizer, name, i, json_array_get_object_element (cases, i));
  g_test_message ("%s (%s): %u of %u cases pass", name, atl_tokenizer_kind (tokenizer), n - failed,
                  n);
  g_assert_cmpuint (failed, ==, 0);
}

typedef struct
{
  char *tokenizer, *file;
  gint64 n_ids;
  char *sha256;
} Corpus;

static void
free_corpus (gpointer data)
{
  Corpus *c = data;

  g_free (c->tokenizer);
  g_free (c->file);
  g_free (c->sha256);
  g_free (c);
}

static void
test_corpus (gconstpointer data)
{
  const Corpus *corpus = data;
  g_autofree char *path = g_build_filename (conformance, "corpora", corpus->file, NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  g_autofree char *sha256 = NULL;
  AtlTokenizer *tokenizer = get_tokenizer (corpus->tokenizer);
  gsize size;
  gint64 start;

  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  start = g_get_monotonic_time ();
  atl_tokenizer_encode (tokenizer, text, (gssize) size, ATL_TOKENIZE_NONE, ids, &error);
  g_assert_no_error (error);
  g_test_message ("%s: %u ids in %.0f ms", corpus->tokenizer, ids->len,
                  (double) (g_get_monotonic_time () - start) / 1000.0);

  for (guint i = 0; i < ids->len; i++)
    {
      guint32 *id = &g_array_index (ids, guint32, i);

      *id = GUINT32_TO_LE (*id);
    }
  sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) ids->data,
                                        (gsize) ids->len * sizeof (gint32));
  g_assert_cmpint (ids->len, ==, corpus->n_ids);
  g_assert_cmpstr (sha256, ==, corpus->sha256);
}

static void
add_corpora (void)
{
  g_autofree char *path = g_build_filename (conformance, "corpora", "tokens.json", NULL);
  g_autoptr (JsonNode) root = fixture_json (path);
  JsonArray *cases = atl_json_array (json_node_get_object (root), "cases");

  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *c = json_array_get_object_element (cases, i);
      Corpus *corpus = g_new0 (Corpus, 1);
      g_autofree char *name = NULL;

      corpus->tokenizer = g_strdup (atl_json_string (c, "tokenizer", ""));
      corpus->file = g_strdup (atl_json_string (c, "file", ""));
      corpus->sha256 = g_strdup (atl_json_string (c, "sha256_ids", ""));
      corpus->n_ids = atl_json_int (c, "n_ids", -1);
      name = g_strdup_printf ("/tokenizers/corpora/%s/%s", corpus->tokenizer, corpus->file);
      g_test_add_data_func_full (name, corpus, test_corpus, free_corpus);
    }
}

static void
test_absent (void)
{
  g_test_skip ("conformance data not found: suite tokenizers did not run");
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "baichuan",     "bert-bge",  "clip",   "deepseek-coder",
                                       "deepseek-llm", "falcon",    "gemma3", "gpt-2",
                                       "gpt-neox",     "llama-spm", "llama3", "mpt",
                                       "phi-3",        "qwen3",     "refact", "starcoder" };
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions ();
  conformance = fixture_conformance_dir ();
  loaded =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) atl_tokenizer_unref);
  if (conformance == NULL)
    g_test_add_func ("/tokenizers/conformance", test_absent);
  else
    {
      for (guint i = 0; i < G_N_ELEMENTS (names); i++)
        {
          g_autofree char *path = g_strconcat ("/tokenizers/conformance/", names[i], NULL);

          g_test_add_data_func (path, names[i], test_tokenizer);
        }
      add_corpora ();
    }
  status = g_test_run ();
  g_hash_table_unref (loaded);
  g_free (conformance);
  return status;
}
