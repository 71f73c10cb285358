/* Files that a reader accepts and a model must not: conformance/gguf-bad's stages “model”, and
 * every tensor and key of tiny models made wrong in turn. Refused in words, or loaded and run;
 * never a crash, never memory that the file does not account for. */
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizers/tokenizer.h"

#include "conformance.h"
#include "model-fixture.h"

#define MAX_GROWTH (128 * 1024 * 1024)

static void
check_words (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_cmpuint (strlen (error->message), >, 10);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_null (strstr (error->message, "(null)"));
  g_test_message ("%s", error->message);
}

/* Loads and runs a few tokens; FALSE in words. Whatever loads must run, if only to numbers that
 * are none. */
static gboolean
try_model (AtlCheckpoint *cp, GError **error)
{
  static const gint32 ids[] = { 1, 2, 3, 4 };
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  g_autoptr (AtlLlm) llm = NULL;
  g_autoptr (AtlLlmCache) cache = NULL;
  guint64 weights, kv, scratch, before = model_fixture_peak ();

  /* What is asked before loading must be as safe. */
  atl_llm_supports (cp, NULL);
  atl_llm_estimate (cp, 4096, ATL_DTYPE_F16, &weights, &kv, &scratch, NULL, NULL);

  llm = atl_llm_new (cp, &cpu, 1, NULL, NULL, NULL, NULL, error);
  if (llm == NULL)
    {
      g_assert_cmpuint (model_fixture_peak () - before, <, MAX_GROWTH);
      return FALSE;
    }
  cache = atl_llm_cache_new (llm, 16, ATL_DTYPE_F32, error);
  if (cache == NULL)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    if (ids[i] < (gint32) atl_llm_info (llm)->n_vocab)
      model_fixture_feed (llm, cache, &ids[i], 1);
  g_assert_cmpuint (model_fixture_peak () - before, <, MAX_GROWTH);
  return TRUE;
}

/* --- Files --- */

typedef struct
{
  char *path;
  gboolean must_fail;
} BadFile;

static void
test_file (gconstpointer user_data)
{
  const BadFile *bad = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (bad->path, &error);
  g_autoptr (AtlCheckpoint) cp = map != NULL ? atl_gguf_open (&map, 1, &error) : NULL;
  g_autoptr (AtlTokenizer) tokenizer =
      cp != NULL ? atl_tokenizer_new_from_checkpoint (cp, &error) : NULL;
  gboolean loaded = tokenizer != NULL && try_model (cp, &error);

  if (!loaded)
    check_words (error);
  else if (bad->must_fail)
    {
      g_test_message ("%s was loaded", bad->path);
      g_test_fail ();
    }
}

static void
add_files (void)
{
  g_autofree char *path = atl_test_conformance_find ("gguf-bad/manifest.json");
  g_autofree char *text = NULL;
  g_autofree char *folder = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  JsonArray *files;
  gsize size;

  if (path == NULL)
    return;
  folder = g_path_get_dirname (path);
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  files = atl_json_array (json_node_get_object (root), "files");
  for (guint i = 0; i < json_array_get_length (files); i++)
    {
      JsonObject *object = json_array_get_object_element (files, i);
      const char *file = atl_json_string (object, "file", "");
      g_autofree char *test_path = g_strdup_printf ("/models/bad/%s", file);
      BadFile *bad;

      if (!g_str_equal (atl_json_string (object, "stage", ""), "model"))
        continue;
      bad = g_new0 (BadFile, 1);
      bad->path = g_build_filename (folder, file, NULL);
      bad->must_fail = g_str_equal (atl_json_string (object, "expect", ""), "error");
      g_test_add_data_func (test_path, bad, test_file);
    }
}

static void
test_no_files (void)
{
  g_autofree char *path = atl_test_conformance ("gguf-bad/manifest.json");
  g_assert_null (path);
}

/* --- Models made wrong --- */

/* A copy of `from` with one tensor or key replaced or left out. */
typedef struct
{
  const char *tensor;        /* (nullable) its name in `from` */
  const AtlTensorInfo *info; /* (nullable) what takes its place */
  const char *key;           /* (nullable) */
  const AtlMetaValue *value; /* (nullable) what takes its place */
} Change;

static AtlCheckpoint *
change (AtlCheckpoint *from, const Change *c)
{
  AtlCheckpoint *to = atl_checkpoint_new ("changed.gguf");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < atl_checkpoint_n_tensors (from); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (from, i);

      if (g_strcmp0 (c->tensor, info->name) == 0)
        info = c->info;
      if (info != NULL)
        atl_checkpoint_add_tensor (to, info, &error);
      g_assert_no_error (error);
    }
  for (guint i = 0; i < atl_checkpoint_n_meta (from); i++)
    {
      const char *key = atl_checkpoint_meta_key (from, i);

      if (g_strcmp0 (c->key, key) != 0)
        atl_checkpoint_add_meta (to, key, atl_checkpoint_meta (from, key), &error);
      g_assert_no_error (error);
    }
  if (c->key != NULL && c->value != NULL)
    atl_checkpoint_add_meta (to, c->key, c->value, &error);
  g_assert_no_error (error);
  return to;
}

static void
refuse (AtlCheckpoint *from, const Change *c)
{
  g_autoptr (AtlCheckpoint) cp = change (from, c);
  g_autoptr (GError) error = NULL;

  if (try_model (cp, &error))
    g_error ("%s %s was accepted", c->tensor != NULL ? c->tensor : "",
             c->key != NULL ? c->key : "");
  check_words (error);
  if (c->tensor != NULL)
    g_assert_nonnull (strstr (error->message, c->tensor));
}

/* Either way is right, as long as it is orderly. */
static void
survive (AtlCheckpoint *from, const Change *c)
{
  g_autoptr (AtlCheckpoint) cp = change (from, c);
  g_autoptr (GError) error = NULL;

  if (!try_model (cp, &error))
    check_words (error);
}

static gboolean
is_optional (const char *name)
{
  return g_str_has_suffix (name, ".bias") || g_str_equal (name, "output.weight") ||
         g_str_equal (name, "rope_freqs.weight");
}

static void
test_missing_tensors (gconstpointer family)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (family, "model.gguf");

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const char *name = atl_checkpoint_tensor (cp, i)->name;
      Change c = { .tensor = name };

      if (is_optional (name))
        survive (cp, &c);
      else
        refuse (cp, &c);
    }
}

/* Shapes that the bytes allow, but the model does not. */
static void
test_misshapen_tensors (gconstpointer family)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (family, "model.gguf");

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *have = atl_checkpoint_tensor (cp, i);
      AtlTensorInfo info = *have;
      Change c = { .tensor = have->name, .info = &info };

      /* One row or number less. The rows of the embedding say how large the vocabulary is, so that
       * another tensor is the one that does not fit. */
      info.dim[0]--;
      info.size_bytes = have->size_bytes / (gsize) have->dim[0] * (gsize) info.dim[0];
      if (g_str_equal (have->name, "token_embd.weight"))
        survive (cp, &c);
      else
        refuse (cp, &c);

      info = *have;
      if (have->n_dims == 2 && have->dim[0] != have->dim[1])
        {
          info.dim[0] = have->dim[1];
          info.dim[1] = have->dim[0];
          g_str_equal (have->name, "token_embd.weight") ? survive (cp, &c) : refuse (cp, &c);
        }
      info = *have;
      info.n_dims = 0;
      info.size_bytes = atl_dtype_info (info.dtype)->block_bytes;
      refuse (cp, &c);

      info = *have;
      info.dim[0] = 0;
      info.size_bytes = 0;
      refuse (cp, &c);

      info = *have;
      info.n_dims = have->n_dims + 1;
      memmove (info.dim + 1, have->dim, have->n_dims * sizeof *info.dim);
      info.dim[0] = 1;
      survive (cp, &c);
    }
}

static void
test_mistyped_tensors (gconstpointer family)
{
  static const AtlDType types[] = { ATL_DTYPE_I8,  ATL_DTYPE_I16,  ATL_DTYPE_I32,  ATL_DTYPE_U32,
                                    ATL_DTYPE_I64, ATL_DTYPE_BOOL, ATL_DTYPE_Q8_1, ATL_DTYPE_Q8_K };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (family, "model.gguf");
  g_autofree guint8 *zeros = g_malloc0 (1 << 22);

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    for (gsize t = 0; t < G_N_ELEMENTS (types); t++)
      {
        AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);
        Change c = { .tensor = info.name, .info = &info };
        guint64 size, n_rows = 1;

        if (!atl_dtype_row_bytes (types[t], (guint64) info.dim[info.n_dims - 1], &size))
          continue; /* a reader would not let it pass */
        for (guint k = 0; k + 1 < info.n_dims; k++)
          n_rows *= (guint64) info.dim[k];
        info.dtype = types[t];
        info.data = zeros;
        info.size_bytes = size * n_rows;
        g_assert_cmpuint (info.size_bytes, <=, 1 << 22);
        refuse (cp, &c);
      }
}

/* Every key that is a number takes every absurd value; the model decides which of them are errors.
 */
static void
test_absurd_values (gconstpointer family)
{
  static const guint64 wholes[] = { 0,          1,          3,          7,           255,
                                    65536,      1u << 30,   1u << 31,   G_MAXUINT32, 1ull << 32,
                                    1ull << 62, 1ull << 63, G_MAXUINT64 };
  static const double reals[] = { NAN, INFINITY, -INFINITY, -1.0, 0.0, 1e-300, 1e300, 3.5 };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (family, "model.gguf");
  guint n_changed = 0;

  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);
      AtlMetaType type = atl_checkpoint_meta (cp, key)->type;
      AtlMetaValue value = { 0 };
      Change c = { .key = key, .value = &value };

      if (type == ATL_META_ARRAY || type == ATL_META_STRING || g_str_has_prefix (key, "tokenizer."))
        continue;
      n_changed++;
      for (gsize k = 0; k < G_N_ELEMENTS (wholes); k++)
        {
          value = (AtlMetaValue){ .type = ATL_META_UINT, .v_uint = wholes[k] };
          survive (cp, &c);
          value = (AtlMetaValue){ .type = ATL_META_INT, .v_int = -(gint64) (wholes[k] / 2) };
          survive (cp, &c);
        }
      for (gsize k = 0; k < G_N_ELEMENTS (reals); k++)
        {
          value = (AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = reals[k] };
          survive (cp, &c);
        }
      value = (AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = TRUE };
      survive (cp, &c);
      value = (AtlMetaValue){ .type = ATL_META_STRING, .v_string = { "%s%n", 4 } };
      survive (cp, &c);
      value = (AtlMetaValue){ .type = ATL_META_ARRAY, .v_array = { .elem_type = ATL_META_UINT } };
      survive (cp, &c);
      c.value = NULL;
      survive (cp, &c);
    }
  g_assert_cmpuint (n_changed, >=, 8);
}

/* The values that must not pass, whatever else does. */
static void
test_impossible_values (void)
{
  static const struct
  {
    const char *key;
    double value; /* whole ones are written as whole numbers */
  } cases[] = {
    { "llama.block_count", 0 },
    { "llama.block_count", 2147483648.0 },
    { "llama.embedding_length", 0 },
    { "llama.embedding_length", 4294967295.0 },
    { "llama.attention.head_count", 0 },
    { "llama.attention.head_count", 3 },
    { "llama.attention.head_count", 2147483648.0 },
    { "llama.attention.head_count_kv", 0 },
    { "llama.attention.head_count_kv", 3 },
    { "llama.feed_forward_length", 0 },
    { "llama.feed_forward_length", 2147483648.0 },
    { "llama.rope.dimension_count", 0 },
    { "llama.rope.dimension_count", 3 },
    { "llama.rope.dimension_count", 65536 },
    { "llama.attention.layer_norm_rms_epsilon", NAN },
    { "llama.attention.layer_norm_rms_epsilon", -1.5 },
    { "llama.attention.layer_norm_rms_epsilon", INFINITY },
    { "llama.rope.freq_base", 0 },
    { "llama.rope.freq_base", NAN },
    { "llama.expert_count", 2147483648.0 },
    { "llama.expert_count", 4 }, /* and no expert in the file */
    { "llama.attention.key_length", 0 },
    { "llama.attention.key_length", 7 },
    { "llama.attention.value_length", 65536 },
  };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      double number = cases[i].value;
      AtlMetaValue value = { .type = ATL_META_FLOAT, .v_float = number };

      if (number >= 0.0 && isfinite (number))
        value = (AtlMetaValue){ .type = ATL_META_UINT, .v_uint = (guint64) number };
      g_test_message ("%s = %g", cases[i].key, number);
      refuse (cp, &(Change){ .key = cases[i].key, .value = &value });
    }
}

/* Rotary divisors may be of any value, but not of any size. */
static void
test_rope_divisors (void)
{
  static const float wild[] = { 0.0f, -1.0f, NAN, INFINITY, 1e-38f };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama3-tied", "model.gguf");
  const AtlTensorInfo *have = atl_checkpoint_find (cp, "rope_freqs.weight");
  AtlTensorInfo info;
  Change c = { .tensor = "rope_freqs.weight", .info = &info };
  gsize n;

  g_assert_nonnull (have);
  n = have->size_bytes / sizeof (float);
  for (gsize k = 0; k < G_N_ELEMENTS (wild); k++)
    {
      g_autofree float *values = g_new (float, n);

      for (gsize i = 0; i < n; i++)
        values[i] = wild[k];
      info = *have;
      info.data = (const guint8 *) values;
      survive (cp, &c);
    }
  info = *have;
  info.dtype = ATL_DTYPE_F16;
  info.size_bytes /= 2;
  refuse (cp, &c);
}

/* NaN weights: the end is orderly, the numbers are none. */
static void
test_nan_weights (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-mixtral", "model.gguf");

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);
      g_autofree guint8 *bytes = g_malloc (info.size_bytes);

      memset (bytes, 0xff, info.size_bytes);
      info.data = bytes;
      survive (cp, &(Change){ .tensor = info.name, .info = &info });
    }
}

static void
test_supports (void)
{
  static const char *const names[] = { "", "nothing", "%s%n%1000d", "llama " };
  g_autoptr (AtlCheckpoint) from = model_fixture_open ("llm-llama2", "model.gguf");

  g_assert_true (atl_llm_supports (from, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      AtlMetaValue value = { .type = ATL_META_STRING, .v_string = { names[i], strlen (names[i]) } };
      Change c = { .key = "general.architecture", .value = &value };
      g_autoptr (AtlCheckpoint) cp = change (from, &c);
      g_autofree char *why = NULL;

      g_assert_false (atl_llm_supports (cp, &why));
      g_assert_nonnull (strstr (why, "llama, qwen2"));
      refuse (from, &c);
    }
}

int
main (int argc, char **argv)
{
  static const char *const families[] = { "llm-llama2", "llm-qwen2", "llm-mixtral" };
  g_autofree char *manifest = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  manifest = atl_test_conformance_find ("gguf-bad/manifest.json");
  if (manifest != NULL)
    add_files ();
  else
    g_test_add_func ("/models/bad/files", test_no_files);
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      static const struct
      {
        const char *name;
        GTestDataFunc func;
      } tests[] = {
        { "missing-tensors", test_missing_tensors },
        { "misshapen-tensors", test_misshapen_tensors },
        { "mistyped-tensors", test_mistyped_tensors },
        { "absurd-values", test_absurd_values },
      };

      for (gsize t = 0; t < G_N_ELEMENTS (tests); t++)
        {
          g_autofree char *path = g_strdup_printf ("/models/bad/%s/%s", families[i], tests[t].name);
          g_test_add_data_func (path, families[i], tests[t].func);
        }
    }
  g_test_add_func ("/models/bad/impossible-values", test_impossible_values);
  g_test_add_func ("/models/bad/rope-divisors", test_rope_divisors);
  g_test_add_func ("/models/bad/nan-weights", test_nan_weights);
  g_test_add_func ("/models/bad/supports", test_supports);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
