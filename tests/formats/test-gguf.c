/* GGUF files put together here: each version, every kind of value, shards, limits. */
#include <math.h>

#include "engine/formats/gguf-private.h"
#include "engine/formats/gguf.h"

#include "build.h"
#include "walk.h"

static const guint64 DIMS_4[] = { 4 };

static AtlCheckpoint *
open_one (AtlFileMap *map, GError **error)
{
  return atl_gguf_open (&map, 1, error);
}

static void
assert_refused (AtlFileMap *map, AtlError code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = open_one (map, &error);

  g_assert_null (cp);
  g_assert_error (error, ATL_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, words));
  g_assert_nonnull (strstr (error->message, atl_file_map_name (map)));
}

static void
test_versions (gconstpointer user_data)
{
  guint version = GPOINTER_TO_UINT (user_data);
  const guint64 dims[] = { 2, 3 }, q4[] = { 64 };
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;
  const AtlTensorInfo *info;
  GgufBuilder b;
  guint64 number;

  build_header (&b, version, 2, 2);
  build_key_text (&b, "general.architecture", "llama");
  build_key_u32 (&b, "llama.block_count", 7);
  build_tensor (&b, "wide", 2, dims, 0, 0);
  build_tensor (&b, "packed", 1, q4, 2, 32);
  build_pad (&b, 32);
  for (guint i = 0; i < 6; i++)
    build_u32 (&b, 0x3f800000 + i);
  build_pad (&b, 32);
  for (guint i = 0; i < 36; i++)
    g_byte_array_append (b.bytes, (const guint8 *) "q", 1);
  map = build_finish (&b, "m.gguf");
  cp = open_one (map, &error);
  g_assert_no_error (error);
  walk_checkpoint (cp);

  g_assert_cmpstr (atl_checkpoint_name (cp), ==, "m.gguf");
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "general.architecture"), ==, "llama");
  g_assert_true (atl_checkpoint_require_uint (cp, "llama.block_count", 1, 100, &number, &error));
  g_assert_cmpuint (number, ==, 7);
  info = atl_checkpoint_find (cp, "wide");
  g_assert_nonnull (info);
  g_assert_cmpint (info->dtype, ==, ATL_DTYPE_F32);
  g_assert_cmpuint (info->n_dims, ==, 2);
  g_assert_cmpint (info->dim[0], ==, 3);
  g_assert_cmpint (info->dim[1], ==, 2);
  g_assert_cmpuint (info->size_bytes, ==, 24);
  g_assert_cmpint (info->data[3], ==, 0x3f);
  info = atl_checkpoint_find (cp, "packed");
  g_assert_cmpint (info->dtype, ==, ATL_DTYPE_Q4_0);
  g_assert_cmpuint (info->size_bytes, ==, 36);
  g_assert_cmpint (info->data[35], ==, 'q');
}

static void
test_values (void)
{
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;
  const AtlMetaValue *value;
  GgufBuilder b;

  build_header (&b, 3, 0, 12);
  build_key (&b, "u8", 0);
  g_byte_array_append (b.bytes, (const guint8 *) "\xff", 1);
  build_key (&b, "i8", 1);
  g_byte_array_append (b.bytes, (const guint8 *) "\xff", 1);
  build_key (&b, "i16", 3);
  g_byte_array_append (b.bytes, (const guint8 *) "\x00\x80", 2);
  build_key (&b, "i32", 5);
  build_u32 (&b, 0xfffffffe);
  build_key (&b, "u64", 10);
  build_u64 (&b, G_MAXUINT64);
  build_key (&b, "f32", 6);
  build_u32 (&b, 0x3fc00000);
  build_key (&b, "f64", 12);
  build_u64 (&b, 0xbff8000000000000);
  build_key (&b, "bool", 7);
  g_byte_array_append (b.bytes, (const guint8 *) "\x02", 1);
  build_key (&b, "bad text", 8);
  build_text (&b, "a\xff"
                  "b");
  build_key (&b, "texts", 9);
  build_u32 (&b, 8);
  build_u64 (&b, 3);
  build_text (&b, "one");
  build_text (&b, "");
  build_text (&b, "\xff\xfe");
  build_key (&b, "shorts", 9);
  build_u32 (&b, 3);
  build_u64 (&b, 2);
  g_byte_array_append (b.bytes, (const guint8 *) "\xff\xff\x02\x00", 4);
  build_key (&b, "none", 9);
  build_u32 (&b, 6);
  build_u64 (&b, 0);
  map = build_finish (&b, "v.gguf");
  cp = open_one (map, &error);
  g_assert_no_error (error);
  walk_checkpoint (cp);

  g_assert_cmpuint (atl_checkpoint_meta (cp, "u8")->v_uint, ==, 255);
  value = atl_checkpoint_meta (cp, "i8");
  g_assert_cmpint (value->type, ==, ATL_META_INT);
  g_assert_cmpint (value->v_int, ==, -1);
  g_assert_cmpint (atl_checkpoint_meta (cp, "i16")->v_int, ==, -32768);
  g_assert_cmpint (atl_checkpoint_meta (cp, "i32")->v_int, ==, -2);
  g_assert_cmpuint (atl_checkpoint_meta (cp, "u64")->v_uint, ==, G_MAXUINT64);
  g_assert_cmpfloat (atl_checkpoint_meta (cp, "f32")->v_float, ==, 1.5);
  g_assert_cmpfloat (atl_checkpoint_meta (cp, "f64")->v_float, ==, -1.5);
  g_assert_true (atl_checkpoint_meta (cp, "bool")->v_bool);
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "bad text"), ==,
                   "a\xef\xbf\xbd"
                   "b");

  value = atl_checkpoint_meta (cp, "texts");
  g_assert_cmpuint (value->v_array.n, ==, 3);
  g_assert_cmpint (value->v_array.elem_type, ==, ATL_META_STRING);
  g_assert_cmpstr (((char **) value->v_array.elems)[0], ==, "one");
  g_assert_cmpstr (((char **) value->v_array.elems)[2], ==,
                   "\xff\xfe"); /* tokens keep their bytes */
  value = atl_checkpoint_meta (cp, "shorts");
  g_assert_cmpint (value->v_array.elem_type, ==, ATL_META_INT);
  g_assert_cmpint (((gint64 *) value->v_array.elems)[0], ==, -1);
  g_assert_cmpint (((gint64 *) value->v_array.elems)[1], ==, 2);
  g_assert_cmpuint (atl_checkpoint_meta (cp, "none")->v_array.n, ==, 0);
}

/* A shard with one tensor of four floats, all `fill`. */
static AtlFileMap *
build_shard (const char *name, guint no, guint count, guint total, const char *tensor, guint32 fill)
{
  GgufBuilder b;

  build_header (&b, 3, 1, no == 0 ? 4 : 3);
  build_key (&b, "split.no", 2);
  g_byte_array_append (b.bytes, (const guint8[]){ (guint8) no, 0 }, 2);
  build_key (&b, "split.count", 2);
  g_byte_array_append (b.bytes, (const guint8[]){ (guint8) count, 0 }, 2);
  build_key (&b, "split.tensors.count", 5);
  build_u32 (&b, total);
  if (no == 0)
    build_key_text (&b, "general.architecture", "llama");
  build_tensor (&b, tensor, 1, DIMS_4, 0, 0);
  build_pad (&b, 32);
  for (guint i = 0; i < 4; i++)
    build_u32 (&b, fill);
  return build_finish (&b, name);
}

static void
test_shards (void)
{
  g_autoptr (AtlFileMap) a = build_shard ("m-00001-of-00003.gguf", 0, 3, 3, "a", 1);
  g_autoptr (AtlFileMap) b = build_shard ("m-00002-of-00003.gguf", 1, 3, 3, "b", 2);
  g_autoptr (AtlFileMap) c = build_shard ("m-00003-of-00003.gguf", 2, 3, 3, "c", 3);
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;

  cp = atl_gguf_open ((AtlFileMap *[]){ c, a, b }, 3, &error);
  g_assert_no_error (error);
  walk_checkpoint (cp);
  g_assert_cmpstr (atl_checkpoint_name (cp), ==, "m-00001-of-00003.gguf");
  g_assert_cmpstr (atl_checkpoint_get_string (cp, "general.architecture"), ==, "llama");
  g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      g_assert_cmpint (info->name[0], ==, 'a' + i);
      g_assert_cmpint (info->data[0], ==, i + 1);
    }
}

static void
assert_shards_refused (AtlFileMap **maps, guint n, AtlError code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = atl_gguf_open (maps, n, &error);

  g_assert_null (cp);
  g_assert_error (error, ATL_ERROR, (int) code);
  if (strstr (error->message, words) == NULL)
    g_error ("“%s” does not speak of “%s”", error->message, words);
}

static void
test_shards_refused (void)
{
  g_autoptr (AtlFileMap) a = build_shard ("a", 0, 2, 2, "a", 1);
  g_autoptr (AtlFileMap) b = build_shard ("b", 1, 2, 2, "b", 2);
  g_autoptr (AtlFileMap) same = build_shard ("same", 1, 2, 2, "a", 2);
  g_autoptr (AtlFileMap) twice = build_shard ("twice", 0, 2, 2, "c", 2);
  g_autoptr (AtlFileMap) beyond = build_shard ("beyond", 2, 2, 2, "c", 2);
  g_autoptr (AtlFileMap) total = build_shard ("total", 0, 2, 3, "c", 2);
  g_autoptr (AtlFileMap) alone = build_shard ("alone", 0, 1, 1, "d", 2);

  assert_shards_refused ((AtlFileMap *[]){ a }, 1, ATL_ERROR_NOT_FOUND, "part 1 of 2");
  assert_shards_refused ((AtlFileMap *[]){ b }, 1, ATL_ERROR_NOT_FOUND, "part 2 of 2");
  assert_shards_refused ((AtlFileMap *[]){ a, twice }, 2, ATL_ERROR_INVALID, "both part 1");
  assert_shards_refused ((AtlFileMap *[]){ a, same }, 2, ATL_ERROR_BAD_FILE, "twice");
  assert_shards_refused ((AtlFileMap *[]){ a, beyond }, 2, ATL_ERROR_BAD_FILE, "part 3 of 2");
  assert_shards_refused ((AtlFileMap *[]){ a, b, twice }, 3, ATL_ERROR_INVALID, "3 files");
  assert_shards_refused ((AtlFileMap *[]){ total, b }, 2, ATL_ERROR_BAD_FILE, "expected 3");
  assert_shards_refused ((AtlFileMap *[]){ a, alone }, 2, ATL_ERROR_INVALID, "whole model");
}

/* One tensor with the given name and shape under the given architecture (none when NULL). */
static AtlFileMap *
build_single (const char *architecture, const char *tensor, guint n_dims)
{
  const guint64 dims[] = { 4, 1, 1, 1, 1, 1 };
  GgufBuilder b;

  build_header (&b, 3, 1, architecture != NULL);
  if (architecture != NULL)
    build_key_text (&b, "general.architecture", architecture);
  build_tensor (&b, tensor, n_dims, dims, 0, 0);
  build_pad (&b, 32);
  for (guint i = 0; i < 4; i++)
    build_u32 (&b, i);
  return build_finish (&b, "limits.gguf");
}

/* Picture and clip models go beyond the limits of language models, up to ours. */
static void
test_limits (void)
{
  g_autofree char *name65 = g_strnfill (65, 'n'), *name300 = g_strnfill (300, 'n');
  const struct
  {
    const char *architecture, *name;
    guint n_dims;
    const char *words; /* NULL when it should open */
  } cases[] = {
    { "llama", "t", 4, NULL },
    { "llama", "t", 5, "5 dimensions" },
    { "llama", name65, 1, "65 bytes" },
    { "wan", "t", 5, NULL },
    { "wan", "t", 6, "6 dimensions" },
    { "wan", name65, 1, NULL },
    { "wan", name300, 1, "300 bytes" },
    { NULL, name65, 1, NULL },
    { NULL, "t", 5, NULL },
    { "llama", "t", 0, "0 dimensions" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlFileMap) map =
          build_single (cases[i].architecture, cases[i].name, cases[i].n_dims);
      g_autoptr (AtlCheckpoint) cp = NULL;
      g_autoptr (GError) error = NULL;

      if (cases[i].words != NULL)
        {
          assert_refused (map, ATL_ERROR_BAD_FILE, cases[i].words);
          continue;
        }
      cp = open_one (map, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, 1);
      walk_checkpoint (cp);
    }
}

static void
test_refused (void)
{
  g_autoptr (AtlFileMap) text = build_map ("text", "hello there", 11);
  g_autoptr (AtlFileMap) big =
      build_map ("big", "GGUF\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
  g_autoptr (AtlFileMap) next =
      build_map ("next", "GGUF\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
  g_autoptr (AtlFileMap) cut = build_map ("cut", "GGUF\3\0\0\0\0", 9);

  assert_refused (text, ATL_ERROR_BAD_FILE, "no GGUF");
  assert_refused (big, ATL_ERROR_UNSUPPORTED, "big-endian");
  assert_refused (next, ATL_ERROR_UNSUPPORTED, "version 4");
  assert_refused (cut, ATL_ERROR_BAD_FILE, "download was not finished");
  g_assert_true (atl_gguf_is_gguf ((const guint8 *) "GGUF", 4));
  g_assert_false (atl_gguf_is_gguf ((const guint8 *) "GGUF", 3));
}

/* As many tensors as are allowed open quickly, also when their names were chosen to collide under
 * g_str_hash ("Ez" and "FY" hash alike); one more is refused. */
static void
test_many (void)
{
  const guint n = 1u << 18;
  const guint64 dims[] = { 0 };
  clock_t start;
  g_autoptr (AtlFileMap) map = NULL, more = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;
  GgufBuilder b;

  for (guint extra = 0; extra < 2; extra++)
    {
      build_header (&b, 3, n + extra, 1);
      build_key_text (&b, "general.architecture", "llama");
      for (guint i = 0; i < n + extra; i++)
        {
          char name[40] = "";

          for (guint bit = 0; bit < 19; bit++)
            memcpy (name + 2 * bit, (i >> bit & 1) != 0 ? "Ez" : "FY", 2);
          build_tensor (&b, name, 1, dims, 0, 0);
        }
      build_pad (&b, 32);
      if (extra == 0)
        map = build_finish (&b, "many");
      else
        more = build_finish (&b, "more");
    }
  start = clock ();
  cp = open_one (map, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, n);
  /* Of the processor: names that collide would take minutes. */
  g_assert_cmpfloat ((double) (clock () - start) / CLOCKS_PER_SEC, <, 60);
  assert_refused (more, ATL_ERROR_UNSUPPORTED, "at most 262144");
}

/* The numbers of types both ways: what the format has no number for is none. */
static void
test_type_numbers (void)
{
  g_assert_cmpint (atl_gguf_id_of_dtype (ATL_DTYPE_F32), ==, 0);
  g_assert_cmpint (atl_gguf_id_of_dtype (ATL_DTYPE_MXFP4), ==, 39);
  g_assert_cmpint (atl_gguf_id_of_dtype (ATL_DTYPE_F8_E4M3), ==, -1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/formats/gguf/version-1", GUINT_TO_POINTER (1), test_versions);
  g_test_add_data_func ("/formats/gguf/version-2", GUINT_TO_POINTER (2), test_versions);
  g_test_add_data_func ("/formats/gguf/version-3", GUINT_TO_POINTER (3), test_versions);
  g_test_add_func ("/formats/gguf/type-numbers", test_type_numbers);
  g_test_add_func ("/formats/gguf/values", test_values);
  g_test_add_func ("/formats/gguf/shards", test_shards);
  g_test_add_func ("/formats/gguf/shards-refused", test_shards_refused);
  g_test_add_func ("/formats/gguf/limits", test_limits);
  g_test_add_func ("/formats/gguf/refused", test_refused);
  g_test_add_func ("/formats/gguf/many", test_many);
  return g_test_run ();
}
