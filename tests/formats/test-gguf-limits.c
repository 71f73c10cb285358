/* GGUF files that end anywhere, or are larger than any model: refused in words. */
#include "engine/formats/gguf.h"
#include "engine/formats/gguf-private.h"

#include "build.h"
#include "walk.h"

static void
refuse (AtlFileMap *const *maps, guint n, AtlError code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = atl_gguf_open (maps, n, &error);

  g_assert_null (cp);
  g_assert_error (error, ATL_ERROR, (int) code);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  if (strstr (error->message, words) == NULL)
    g_error ("“%s” does not say “%s”", error->message, words);
}

static void
refuse_bytes (GgufBuilder *b, AtlError code, const char *words)
{
  g_autoptr (AtlFileMap) map = build_finish (b, "large.gguf");

  refuse (&map, 1, code, words);
}

/* A file of `size` bytes that begins like `b`; the rest is zeros that take no room. */
static AtlFileMap *
finish_sparse (GgufBuilder *b, gsize size)
{
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("test", MFD_CLOEXEC);
  AtlFileMap *map;

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, b->bytes->data, b->bytes->len), ==, (gssize) b->bytes->len);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  map = atl_file_map_new_from_fd (fd, "large.gguf", &error);
  g_assert_no_error (error);
  close (fd);
  g_clear_pointer (&b->bytes, g_byte_array_unref);
  return map;
}

static void
refuse_sparse (GgufBuilder *b, gsize size, AtlError code, const char *words)
{
  g_autoptr (AtlFileMap) map = finish_sparse (b, size);

  refuse (&map, 1, code, words);
}

static void
build_list (GgufBuilder *b, const char *key, guint32 type, guint64 n)
{
  build_key (b, key, 9);
  build_u32 (b, type);
  build_count (b, n);
}

/* Something of everything that the format has. */
static void
build_everything (GgufBuilder *b, guint version)
{
  const guint64 dims[] = { 2, 3 }, one[] = { 4 };

  build_header (b, version, 2, 9);
  build_key_text (b, "general.architecture", "llama");
  build_key_u32 (b, "llama.block_count", 7);
  build_key (b, "byte", 0);
  g_byte_array_append (b->bytes, (const guint8 *) "x", 1);
  build_key (b, "wide", 10);
  build_u64 (b, G_MAXUINT64);
  build_key (b, "double", 12);
  build_u64 (b, 0);
  build_key (b, "odd text", 8);
  build_text (b, "a\xff"
                 "b");
  build_list (b, "texts", 8, 2);
  build_text (b, "one");
  build_text (b, "two");
  build_list (b, "numbers", 5, 2);
  build_u32 (b, 1);
  build_u32 (b, 2);
  build_list (b, "bools", 7, 3);
  g_byte_array_append (b->bytes, (const guint8 *) "\0\1\2", 3);
  build_tensor (b, "first", 2, dims, 0, 0);
  build_tensor (b, "second", 1, one, 0, 32);
  build_pad (b, 32);
  for (guint i = 0; i < 8 + 4; i++)
    build_u32 (b, i);
}

static void
test_cut_anywhere (gconstpointer data)
{
  GgufBuilder b;
  g_autoptr (GByteArray) whole = NULL;

  build_everything (&b, GPOINTER_TO_UINT (data));
  whole = g_steal_pointer (&b.bytes);
  for (guint size = 1; size <= whole->len; size++)
    {
      g_autofree guint8 *exact = g_memdup2 (whole->data, size);
      g_autoptr (AtlFileMap) map = build_map ("cut.gguf", exact, size);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlCheckpoint) cp = atl_gguf_open (&map, 1, &error);

      g_assert_true ((cp != NULL) == (size == whole->len));
      if (cp != NULL)
        walk_checkpoint (cp);
      else
        g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
    }
}

static void
test_metadata (void)
{
  const gsize over = ATL_GGUF_MAX_META_BYTES + 1;
  g_autofree char *long_key = g_strnfill (ATL_GGUF_MAX_KEY_BYTES + 1, 'k');
  g_autofree char *long_text = g_strnfill (over, 't');
  GgufBuilder b;

  build_header (&b, 3, 0, 1);
  build_key_u32 (&b, long_key, 1);
  refuse_bytes (&b, ATL_ERROR_BAD_FILE, "name has 65536 bytes");

  build_header (&b, 3, 0, ATL_GGUF_MAX_PAIRS + 1);
  refuse_sparse (&b, (ATL_GGUF_MAX_PAIRS + 10) * 32, ATL_ERROR_UNSUPPORTED, "settings; at most");

  build_header (&b, 3, 0, 1);
  build_u64 (&b, 3);
  g_byte_array_append (b.bytes, (const guint8 *) "a\0b", 3);
  build_u32 (&b, 4);
  build_u32 (&b, 1);
  refuse_bytes (&b, ATL_ERROR_BAD_FILE, "large.gguf");

  build_header (&b, 3, 0, 1);
  build_key_text (&b, "text", long_text);
  refuse_bytes (&b, ATL_ERROR_BAD_FILE, "take more than 64 MiB");

  /* No UTF-8: each of its zeros would become three bytes. */
  build_header (&b, 3, 0, 1);
  build_key (&b, "zeros", 8);
  build_u64 (&b, over);
  refuse_sparse (&b, over + 100, ATL_ERROR_BAD_FILE, "take more than 64 MiB");

  build_header (&b, 3, 0, 1);
  build_list (&b, "bytes", 0, over / 8 + 1);
  refuse_sparse (&b, over, ATL_ERROR_BAD_FILE, "take more than 64 MiB");

  build_header (&b, 3, 0, 1);
  build_list (&b, "empty texts", 8, over / 16 + 1);
  refuse_sparse (&b, over, ATL_ERROR_BAD_FILE, "take more than 64 MiB");

  build_header (&b, 3, 0, 1);
  build_list (&b, "long texts", 8, 1);
  build_u64 (&b, over);
  refuse_sparse (&b, over + 100, ATL_ERROR_BAD_FILE, "take more than 64 MiB");

  build_header (&b, 1, 0, 1);
  build_list (&b, "texts", 8, 1000);
  build_text (&b, "a");
  refuse_bytes (&b, ATL_ERROR_BAD_FILE, "claims 1000 entries");
}

/* Two rows of half a block: the tensor has a whole block, its rows have none. */
static void
test_rows (void)
{
  const guint64 dims[] = { 16, 2 };
  const guint32 q4_0 = 2, block_bytes = 18;
  GgufBuilder b;

  build_header (&b, 3, 1, 1);
  build_key_text (&b, "general.architecture", "llama");
  build_tensor (&b, "halves", 2, dims, q4_0, 0);
  build_pad (&b, 32);
  g_byte_array_set_size (b.bytes, b.bytes->len + block_bytes);
  refuse_bytes (&b, ATL_ERROR_BAD_FILE, "no multiple of the 32");
}

static AtlFileMap *
build_shard (guint no, guint count, guint64 n_tensors)
{
  GgufBuilder b;

  build_header (&b, 3, n_tensors, 2);
  build_key_u32 (&b, "split.no", no);
  build_key_u32 (&b, "split.count", count);
  return finish_sparse (&b, (n_tensors + 10) * 32);
}

static void
test_shards (void)
{
  enum
  {
    N_MANY = 70000
  };
  g_autofree AtlFileMap **many = g_new0 (AtlFileMap *, N_MANY);
  AtlFileMap *two[2];
  GgufBuilder b;

  two[0] = build_shard (0, 2, ATL_GGUF_MAX_TENSORS / 2 + 1);
  two[1] = build_shard (1, 2, ATL_GGUF_MAX_TENSORS / 2 + 1);
  refuse (two, 2, ATL_ERROR_UNSUPPORTED, "all parts together hold");
  for (guint i = 0; i < N_MANY; i++)
    many[i] = two[0];
  refuse (many, N_MANY, ATL_ERROR_INVALID, "too many");
  g_clear_pointer (&two[0], atl_file_map_unref);
  g_clear_pointer (&two[1], atl_file_map_unref);

  two[0] = build_shard (G_MAXUINT32, 2, 0);
  refuse (two, 1, ATL_ERROR_BAD_FILE, "split.no");
  g_clear_pointer (&two[0], atl_file_map_unref);
  two[0] = build_shard (0, G_MAXUINT32, 0);
  refuse (two, 1, ATL_ERROR_BAD_FILE, "split.count");
  g_clear_pointer (&two[0], atl_file_map_unref);

  build_header (&b, 3, 0, 2);
  build_key_text (&b, "general.architecture", "llama");
  build_key_text (&b, "split.tensors.count", "many");
  refuse_bytes (&b, ATL_ERROR_BAD_FILE, "split.tensors.count");

  build_header (&b, 3, ATL_GGUF_MAX_TENSORS + 1u, 0);
  refuse_sparse (&b, (ATL_GGUF_MAX_TENSORS + 10u) * 32u, ATL_ERROR_UNSUPPORTED, "at most");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint version = 1; version <= 3; version++)
    {
      g_autofree char *path = g_strdup_printf ("/gguf-limits/cut-anywhere/%u", version);

      g_test_add_data_func (path, GUINT_TO_POINTER (version), test_cut_anywhere);
    }
  g_test_add_func ("/gguf-limits/metadata", test_metadata);
  g_test_add_func ("/gguf-limits/rows", test_rows);
  g_test_add_func ("/gguf-limits/shards", test_shards);
  return g_test_run ();
}
