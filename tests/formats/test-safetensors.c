/* Safetensors files put together here: every dtype, odd shapes, shards with their index, settings.
 */
#include <math.h>

#include "engine/formats/safetensors.h"

#include "build.h"
#include "walk.h"

static AtlCheckpoint *
open_one (AtlFileMap *map, GError **error)
{
  return atl_safetensors_open (&map, 1, NULL, 0, error);
}

static void
test_dtypes (void)
{
  const struct
  {
    const char *name;
    AtlDType dtype;
    guint bytes;
  } cases[] = {
    { "F64", ATL_DTYPE_F64, 8 },         { "F32", ATL_DTYPE_F32, 4 },
    { "F16", ATL_DTYPE_F16, 2 },         { "BF16", ATL_DTYPE_BF16, 2 },
    { "F8_E4M3", ATL_DTYPE_F8_E4M3, 1 }, { "F8_E5M2", ATL_DTYPE_F8_E5M2, 1 },
    { "I64", ATL_DTYPE_I64, 8 },         { "I32", ATL_DTYPE_I32, 4 },
    { "I16", ATL_DTYPE_I16, 2 },         { "I8", ATL_DTYPE_I8, 1 },
    { "U8", ATL_DTYPE_U8, 1 },           { "U16", ATL_DTYPE_U16, 2 },
    { "U32", ATL_DTYPE_U32, 4 },         { "U64", ATL_DTYPE_U64, 8 },
    { "BOOL", ATL_DTYPE_BOOL, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *header =
          g_strdup_printf ("{\"t\":{\"dtype\":\"%s\",\"shape\":[2,3],\"data_offsets\":[0,%u]}}",
                           cases[i].name, 6 * cases[i].bytes);
      g_autoptr (AtlFileMap) map = build_safetensors ("m", header, 6 * cases[i].bytes);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlCheckpoint) cp = open_one (map, &error);
      const AtlTensorInfo *info;

      g_assert_no_error (error);
      walk_checkpoint (cp);
      info = atl_checkpoint_find (cp, "t");
      g_assert_cmpint (info->dtype, ==, cases[i].dtype);
      g_assert_cmpuint (info->n_dims, ==, 2);
      g_assert_cmpint (info->dim[0], ==, 2);
      g_assert_cmpint (info->dim[1], ==, 3);
      g_assert_cmpint (info->data[0], ==, 1);
    }
}

static void
test_shapes (void)
{
  g_autoptr (AtlFileMap) map = build_safetensors (
      "m",
      "{ \"five\" : {\"shape\":[1,2,1,2,1],\"data_offsets\":[1,5],\"dtype\":\"U8\"},\n"
      "\"scalar\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
      "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[1,1]},"
      "\"na\\u00efve "
      "\\ud83d\\ude00/\\\"x\\\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[5,6]},"
      "\"__metadata__\":{\"format\":\"pt\",\"\":\"none\"}}   ",
      6);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = open_one (map, &error);
  const AtlTensorInfo *info;

  g_assert_no_error (error);
  walk_checkpoint (cp);
  info = atl_checkpoint_find (cp, "five");
  g_assert_cmpuint (info->n_dims, ==, 5);
  g_assert_cmpint (info->dim[3], ==, 2);
  g_assert_cmpint (info->data[0], ==, 2);
  info = atl_checkpoint_find (cp, "scalar");
  g_assert_cmpuint (info->n_dims, ==, 0);
  g_assert_cmpuint (info->size_bytes, ==, 1);
  info = atl_checkpoint_find (cp, "empty");
  g_assert_cmpuint (info->size_bytes, ==, 0);
  g_assert_cmpint (info->dim[1], ==, 7);
  g_assert_nonnull (atl_checkpoint_find (cp, "naïve 😀/\"x\""));
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "__metadata__.format"), ==, "pt");
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "__metadata__."), ==, "none");
}

static void
test_refused (void)
{
  const struct
  {
    const char *header;
    AtlError code;
    const char *words;
  } cases[] = {
    { "{\"t\":{\"dtype\":\"F4\",\"shape\":[8],\"data_offsets\":[0,4]}}", ATL_ERROR_UNSUPPORTED,
      "F4" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,2,2],\"data_offsets\":[0,4]}}",
      ATL_ERROR_UNSUPPORTED, "6 dimensions" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[3,4611686018427387904,0],\"data_offsets\":[0,0]}}",
      ATL_ERROR_BAD_FILE, "impossibly large" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"dtype\":\"U8\"}}",
      ATL_ERROR_BAD_FILE, "twice" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[04],\"data_offsets\":[0,4]}}", ATL_ERROR_BAD_FILE,
      "dimension" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
      "\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
      ATL_ERROR_BAD_FILE, "overlap" },
    { "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", ATL_ERROR_BAD_FILE,
      "UTF-8" },
    { "{\"\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", ATL_ERROR_BAD_FILE,
      "no name" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}\t", ATL_ERROR_BAD_FILE,
      "padding" },
    { "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"},"
      "\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
      ATL_ERROR_BAD_FILE, "twice" },
    { "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],}}", ATL_ERROR_BAD_FILE,
      "field" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlFileMap) map = build_safetensors ("m", cases[i].header, 4);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlCheckpoint) cp = open_one (map, &error);

      g_assert_null (cp);
      g_assert_error (error, ATL_ERROR, (int) cases[i].code);
      if (strstr (error->message, cases[i].words) == NULL)
        g_error ("“%s” does not speak of “%s”", error->message, cases[i].words);
    }
}

/* Escapes in a name: what they spell, or NULL where it is no text. */
static void
test_escapes (void)
{
  static const struct
  {
    const char *written, *read;
  } cases[] = {
    { "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
    { "\\u00e4\\uFFFD", "\xc3\xa4\xef\xbf\xbd" },
    { "\\ud83e\\udd8a", "\xf0\x9f\xa6\x8a" },
    { "\\udbff\\udfff", "\xf4\x8f\xbf\xbf" },
    { "\\x41", NULL },
    { "\\u00g0", NULL },
    { "\\u0000", NULL },
    { "\\udc00", NULL },
    { "\\udfff", NULL },
    { "\\ud800", NULL },
    { "\\ud800 \\udc00", NULL },
    { "\\ud800\\n12345", NULL },
    { "\\ud800\\u0041", NULL },
    { "\\ud800\\ue000", NULL },
    { "\\ud800\\udcg0", NULL },
    { "\t", NULL },
  };
  static const char *const unfinished[] = {
    "{\"",
    "{\"\\",
    "{\"\\u00e",
    "{\"\\ud83e\\udd8",
    "{\"a\"",
    "{\"a\":{\"",
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[1",
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *header = g_strdup_printf (
          "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", cases[i].written);
      g_autoptr (AtlFileMap) map = build_safetensors ("m", header, 1);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlCheckpoint) cp = open_one (map, &error);

      if (cases[i].read != NULL)
        {
          g_assert_no_error (error);
          g_assert_nonnull (atl_checkpoint_find (cp, cases[i].read));
          continue;
        }
      g_assert_null (cp);
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
    }
  for (guint i = 0; i < G_N_ELEMENTS (unfinished); i++)
    {
      g_autoptr (AtlFileMap) map = build_safetensors ("m", unfinished[i], 1);
      g_autoptr (GError) error = NULL;

      g_assert_null (open_one (map, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
    }
}

/* A NUL ends no text here: it is one of the characters that none may hold. */
static void
test_nul (void)
{
  static const char header[] = "{\"a\\\0\":{\"dtype\":\"U8\",\"shape\":[1]}}";
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (GError) error = NULL;
  guint64 size = GUINT64_TO_LE (sizeof header - 1);

  g_byte_array_append (bytes, (const guint8 *) &size, sizeof size);
  g_byte_array_append (bytes, (const guint8 *) header, sizeof header - 1);
  map = build_map ("m", bytes->data, bytes->len);
  g_assert_null (open_one (map, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

/* Numbers are whole, without zeros in front, and of 64 bits at most. */
static void
test_whole_numbers (void)
{
  static const char *const numbers[] = {
    "1.0", "1e0", "1E0", "-1", "+1", "00", "", "x", "18446744073709551616", "18446744073709551620"
  };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autofree char *header = g_strdup_printf (
          "{\"t\":{\"dtype\":\"U8\",\"shape\":[%s],\"data_offsets\":[0,1]}}", numbers[i]);
      g_autoptr (AtlFileMap) map = build_safetensors ("m", header, 1);
      g_autoptr (GError) error = NULL;
      gboolean is_list = *numbers[i] == '\0';
      g_autoptr (AtlCheckpoint) cp = open_one (map, &error);

      /* An empty list is one number, and fits. */
      g_assert_true ((cp != NULL) == is_list);
    }
}

#define ONE(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"

static void
test_shards (void)
{
  g_autoptr (AtlFileMap) a = build_safetensors ("d/m-00001-of-00002.safetensors", ONE ("a"), 1);
  g_autoptr (AtlFileMap) b = build_safetensors ("d/m-00002-of-00002.safetensors", ONE ("b"), 1);
  g_autoptr (AtlFileMap) same = build_safetensors ("d/m-00003-of-00002.safetensors", ONE ("a"), 1);
  AtlFileMap *maps[] = { b, a }, *clash[] = { a, same };
  const struct
  {
    const char *index, *words;
  } cases[] = {
    { "{\"metadata\":{\"total_size\":2.5e3,\"x\":[1,{\"y\":null}]},\"weight_map\":"
      "{\"a\":\"m-00001-of-00002.safetensors\",\"b\":\"m-00002-of-00002.safetensors\"}}",
      NULL },
    { "{\"weight_map\":{\"a\":\"m-00002-of-00002.safetensors\"}}", "does not" },
    { "{\"weight_map\":{\"c\":\"m-00002-of-00002.safetensors\"}}", "does not" },
    { "{\"weight_map\":{\"a\":\"m-00007-of-00009.safetensors\"}}", "missing" },
    { "{\"weight_map\":{\"a\":3}}", "name of a file" },
    { "{\"weight_map\":{3:\"m-00001-of-00002.safetensors\"}}", "name of a tensor" },
    { "{\"weight_map\":{\"a\" \"m-00001-of-00002.safetensors\"}}", "weight_map" },
    { "{\"weight_map\":3}", "weight_map" },
    { "{3:{}}", "name of a member" },
    { "{\"metadata\" {}}", "index" },
    { "{\"metadata\":{}}", "weight_map" },
    { "{\"metadata\":{", "ends inside" },
    { "[]", "index" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlCheckpoint) cp =
          atl_safetensors_open (maps, 2, cases[i].index, strlen (cases[i].index), &error);

      if (cases[i].words == NULL)
        {
          g_assert_no_error (error);
          walk_checkpoint (cp);
          g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, 2);
          g_assert_cmpstr (atl_checkpoint_tensor (cp, 0)->name, ==, "a");
          g_assert_cmpstr (atl_checkpoint_name (cp), ==, "d/m-00001-of-00002.safetensors");
        }
      else
        {
          g_assert_null (cp);
          if (strstr (error->message, cases[i].words) == NULL)
            g_error ("“%s” does not speak of “%s”", error->message, cases[i].words);
        }
    }
  /* An index that ends anywhere. */
  for (gsize n = 0; n < strlen (cases[0].index); n++)
    {
      g_autofree char *cut = g_memdup2 (cases[0].index, n);
      g_autoptr (GError) error = NULL;

      g_assert_null (atl_safetensors_open (maps, 2, n > 0 ? cut : "", n, &error));
      g_assert_true (error != NULL && error->domain == ATL_ERROR);
    }
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (AtlCheckpoint) cp = atl_safetensors_open (clash, 2, NULL, 0, &error);

    g_assert_null (cp);
    g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  }
}

static void
test_config (void)
{
  const char *json = "{\"hidden_size\":64,\"rope_scaling\":{\"factor\":8.0,\"kind\":{\"x\":true}},"
                     "\"names\":[\"A\",\"B\"],\"mixed\":[1,2.5],\"bad\":[1,\"x\"],\"none\":null,"
                     "\"objects\":[{}],\"empty\":[],\"flags\":[true,false],\"hidden_size2\":-1}";
  const char *second = "{\"hidden_size\":1,\"new\":2}";
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("m");
  g_autoptr (GError) error = NULL;
  const AtlMetaValue *value;
  g_autofree char *deep = NULL;

  g_assert_true (atl_config_add_json (cp, json, strlen (json), "config.json", &error));
  g_assert_true (atl_config_add_json (cp, second, strlen (second), "second.json", &error));
  g_assert_true (atl_config_add_json_under (cp, "g.", second, strlen (second), "g.json", &error));
  g_assert_no_error (error);
  walk_checkpoint (cp);

  value = atl_checkpoint_meta (cp, "hidden_size");
  g_assert_cmpint (value->type, ==, ATL_META_INT);
  g_assert_cmpint (value->v_int, ==, 64);
  g_assert_cmpint (atl_checkpoint_meta (cp, "hidden_size2")->v_int, ==, -1);
  g_assert_cmpint (atl_checkpoint_meta (cp, "new")->v_int, ==, 2);
  g_assert_cmpint (atl_checkpoint_meta (cp, "g.hidden_size")->v_int, ==, 1);
  value = atl_checkpoint_meta (cp, "rope_scaling.factor");
  g_assert_cmpint (value->type, ==, ATL_META_FLOAT);
  g_assert_cmpfloat (value->v_float, ==, 8.0);
  g_assert_true (atl_checkpoint_meta (cp, "rope_scaling.kind.x")->v_bool);
  value = atl_checkpoint_meta (cp, "names");
  g_assert_cmpuint (value->v_array.n, ==, 2);
  g_assert_cmpstr (((char **) value->v_array.elems)[1], ==, "B");
  value = atl_checkpoint_meta (cp, "mixed");
  g_assert_cmpint (value->v_array.elem_type, ==, ATL_META_FLOAT);
  g_assert_cmpfloat (((double *) value->v_array.elems)[0], ==, 1.0);
  g_assert_cmpfloat (((double *) value->v_array.elems)[1], ==, 2.5);
  value = atl_checkpoint_meta (cp, "flags");
  g_assert_true (((gboolean *) value->v_array.elems)[0]);
  g_assert_false (((gboolean *) value->v_array.elems)[1]);
  g_assert_cmpuint (atl_checkpoint_meta (cp, "empty")->v_array.n, ==, 0);
  g_assert_null (atl_checkpoint_meta (cp, "bad"));
  g_assert_null (atl_checkpoint_meta (cp, "none"));
  g_assert_null (atl_checkpoint_meta (cp, "objects"));

  g_assert_false (atl_config_add_json (cp, "[1]", 3, "list.json", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  deep = g_strnfill (100000, '[');
  g_assert_false (atl_config_add_json (cp, deep, 100000, "deep.json", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

/* A million tensors are refused, and not slowly, although each is fine by itself. */
static void
test_many (void)
{
  g_autoptr (GString) header = g_string_new ("{");
  clock_t start;
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 1000000; i++)
    g_string_append_printf (header,
                            "%s\"t%u\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                            i > 0 ? "," : "", i);
  g_string_append_c (header, '}');
  map = build_safetensors ("many", header->str, 0);
  start = clock ();
  cp = open_one (map, &error);
  g_assert_null (cp);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "262144"));
  /* Of the processor: names that collide would take minutes. */
  g_assert_cmpfloat ((double) (clock () - start) / CLOCKS_PER_SEC, <, 60);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/formats/safetensors/dtypes", test_dtypes);
  g_test_add_func ("/formats/safetensors/shapes", test_shapes);
  g_test_add_func ("/formats/safetensors/refused", test_refused);
  g_test_add_func ("/formats/safetensors/escapes", test_escapes);
  g_test_add_func ("/formats/safetensors/nul", test_nul);
  g_test_add_func ("/formats/safetensors/whole-numbers", test_whole_numbers);
  g_test_add_func ("/formats/safetensors/shards", test_shards);
  g_test_add_func ("/formats/safetensors/config", test_config);
  g_test_add_func ("/formats/safetensors/many", test_many);
  return g_test_run ();
}
