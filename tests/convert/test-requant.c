/* Writing models as GGUF files: what goes in comes out, in the types that were asked for, and
 * nothing is left behind where it cannot. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "engine/convert/requant.h"
#include "engine/formats/gguf.h"
#include "engine/tensor/quants/dequant.h"
#include "hf-fixture.h"

#define N_LAYERS 16
#define WIDTH 512

static char *folder;

static void
add_number (AtlCheckpoint *cp, const char *key, AtlMetaType type, double number, guint width)
{
  AtlMetaValue value = { .type = type, .width = (guint8) width };

  if (type == ATL_META_FLOAT)
    value.v_float = number;
  else
    value.v_int = (gint64) number;
  g_assert_true (atl_checkpoint_add_meta (cp, key, &value, NULL));
}

static void
add_tensor (AtlCheckpoint *cp, GRand *rand, const char *name, guint n_dims, const gint64 *dim)
{
  AtlTensorInfo info = { .name = name, .dtype = ATL_DTYPE_F32, .n_dims = n_dims };
  gint64 n = 1;
  float *values;

  for (guint i = 0; i < n_dims; i++)
    n *= info.dim[i] = dim[i];
  values = g_new (float, n);
  for (gint64 i = 0; i < n; i++)
    values[i] = (float) g_rand_double_range (rand, -1, 1);
  atl_checkpoint_take (cp, values, g_free);
  info.data = (const guint8 *) values;
  info.size_bytes = (gsize) n * sizeof (float);
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

static AtlCheckpoint *
make_model (void)
{
  static const char *const parts[] = { "attn_q", "attn_v", "ffn_down" };
  AtlCheckpoint *cp = atl_checkpoint_new ("model");
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  AtlMetaValue list = { .type = ATL_META_ARRAY, .width = 1 };
  gint64 bytes[] = { -1, 2, 127 };
  const char *texts[] = { "a", "", "ü" };

  hf_add_text (cp, "general.architecture", "llama");
  add_number (cp, "llama.block_count", ATL_META_UINT, N_LAYERS, 4);
  add_number (cp, "llama.attention.head_count", ATL_META_UINT, 8, 4);
  add_number (cp, "llama.wide", ATL_META_UINT, 5e9, 0);
  add_number (cp, "llama.small", ATL_META_INT, -3, 2);
  add_number (cp, "llama.eps", ATL_META_FLOAT, 1e-5f, 0);
  add_number (cp, "general.file_type", ATL_META_UINT, 0, 4);
  list.v_array.elem_type = ATL_META_INT;
  list.v_array.n = 3;
  list.v_array.elems = bytes;
  g_assert_true (atl_checkpoint_add_meta (cp, "llama.bytes", &list, NULL));
  list.v_array.elem_type = ATL_META_STRING;
  list.v_array.elems = texts;
  g_assert_true (atl_checkpoint_add_meta (cp, "llama.texts", &list, NULL));
  add_tensor (cp, rand, "token_embd.weight", 2, (gint64[]){ 40, WIDTH });
  add_tensor (cp, rand, "output.weight", 2, (gint64[]){ 40, WIDTH });
  for (guint il = 0; il < N_LAYERS; il++)
    {
      g_autofree char *norm = g_strdup_printf ("blk.%u.attn_norm.weight", il);
      g_autofree char *router = g_strdup_printf ("blk.%u.ffn_gate_inp.weight", il);
      g_autofree char *odd = g_strdup_printf ("blk.%u.attn_k.weight", il);

      for (guint p = 0; p < G_N_ELEMENTS (parts); p++)
        {
          g_autofree char *name = g_strdup_printf ("blk.%u.%s.weight", il, parts[p]);
          add_tensor (cp, rand, name, 2, (gint64[]){ 24, WIDTH });
        }
      add_tensor (cp, rand, norm, 1, (gint64[]){ WIDTH });
      add_tensor (cp, rand, router, 2, (gint64[]){ 4, WIDTH });
      /* Rows that no block of 256 divides, and in one layer none of 32. */
      add_tensor (cp, rand, odd, 2, (gint64[]){ 3, il == 5 ? 50 : 96 });
    }
  return cp;
}

static AtlCheckpoint *
open_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  AtlFileMap *map = atl_file_map_new (path, &error);
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  cp = atl_gguf_open (&map, 1, &error);
  g_assert_no_error (error);
  atl_file_map_unref (map);
  return cp;
}

static AtlDType
type_of (AtlCheckpoint *cp, const char *name)
{
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);

  g_assert_nonnull (info);
  return info->dtype;
}

static double
error_of (AtlCheckpoint *a, AtlCheckpoint *b, const char *name)
{
  const AtlTensorInfo *x = atl_checkpoint_find (a, name), *y = atl_checkpoint_find (b, name);
  gsize n = x->size_bytes / sizeof (float);
  g_autofree float *got = g_new (float, n);
  double sum = 0;

  g_assert_true (atl_dequantize (y->dtype, y->data, got, n));
  for (gsize i = 0; i < n; i++)
    {
      float want;

      memcpy (&want, x->data + i * sizeof want, sizeof want);
      sum += (double) (got[i] - want) * (got[i] - want);
    }
  return sqrt (sum / (double) n);
}

static void
test_mix (void)
{
  g_autofree char *path = g_build_filename (folder, "mix.gguf", NULL);
  g_autoptr (AtlCheckpoint) in = make_model ();
  g_autoptr (AtlCheckpoint) out = NULL;
  g_autoptr (GError) error = NULL;
  AtlRequant job = { .cp = in, .mix = atl_mix_find ("q4_k_m") };
  AtlRequantSummary summary;
  guint n_short = 0;
  guint64 number;
  double eps;

  g_assert_true (atl_requant_write (&job, path, &summary, &error));
  g_assert_no_error (error);
  out = open_file (path);
  g_assert_cmpuint (atl_checkpoint_n_tensors (out), ==, atl_checkpoint_n_tensors (in));
  g_assert_cmpint (type_of (out, "output.weight"), ==, ATL_DTYPE_Q6_K);
  g_assert_cmpint (type_of (out, "token_embd.weight"), ==, ATL_DTYPE_Q4_K);
  g_assert_cmpint (type_of (out, "blk.0.attn_v.weight"), ==, ATL_DTYPE_Q6_K);
  g_assert_cmpint (type_of (out, "blk.2.attn_v.weight"), ==, ATL_DTYPE_Q4_K);
  g_assert_cmpint (type_of (out, "blk.4.ffn_down.weight"), ==, ATL_DTYPE_Q6_K);
  g_assert_cmpint (type_of (out, "blk.0.attn_q.weight"), ==, ATL_DTYPE_Q4_K);
  g_assert_cmpint (type_of (out, "blk.0.attn_k.weight"), ==, ATL_DTYPE_Q5_0);
  g_assert_cmpint (type_of (out, "blk.5.attn_k.weight"), ==, ATL_DTYPE_F16);
  g_assert_cmpint (type_of (out, "blk.0.attn_norm.weight"), ==, ATL_DTYPE_F32);
  g_assert_cmpint (type_of (out, "blk.0.ffn_gate_inp.weight"), ==, ATL_DTYPE_F32);
  g_assert_cmpuint (summary.n_other_type, ==, 1);
  for (guint i = 0; i < atl_checkpoint_n_tensors (out); i++)
    {
      const AtlDTypeInfo *type = atl_dtype_info (atl_checkpoint_tensor (out, i)->dtype);

      n_short += type->quantized && type->block_elems == 32;
    }
  g_assert_cmpuint (n_short, >, 0);
  g_assert_cmpuint (summary.n_shorter_blocks, ==, n_short);
  g_assert_cmpfloat (error_of (in, out, "blk.0.attn_q.weight"), <, 0.06);
  g_assert_cmpfloat (error_of (in, out, "output.weight"), <, 0.015);
  g_assert_cmpfloat (error_of (in, out, "blk.3.attn_norm.weight"), ==, 0);
  /* Metadata, with the widths that they had. */
  g_assert_true (atl_checkpoint_get_uint (out, "general.file_type", 0, 99, &number, NULL));
  g_assert_cmpuint (number, ==, 15);
  g_assert_true (atl_checkpoint_get_uint (out, "llama.wide", 0, G_MAXUINT64, &number, NULL));
  g_assert_cmpuint (number, ==, 5000000000);
  g_assert_cmpint (atl_checkpoint_meta (out, "llama.small")->v_int, ==, -3);
  g_assert_cmpint (atl_checkpoint_meta (out, "llama.small")->width, ==, 2);
  g_assert_true (atl_checkpoint_get_float (out, "llama.eps", 0, 1, &eps, NULL));
  g_assert_cmpfloat (eps, ==, 1e-5f);
  g_assert_cmpint (atl_checkpoint_meta (out, "llama.bytes")->width, ==, 1);
  g_assert_cmpint (((gint64 *) atl_checkpoint_meta (out, "llama.bytes")->v_array.elems)[0], ==, -1);
  g_assert_cmpstr (((char **) atl_checkpoint_meta (out, "llama.texts")->v_array.elems)[2], ==, "ü");
}

/* Every type by its name; each loses less than it may. */
static void
test_types (void)
{
  static const double limits[ATL_N_DTYPES] = {
    [ATL_DTYPE_F32] = 1e-9,    [ATL_DTYPE_F16] = 2e-4,  [ATL_DTYPE_BF16] = 2e-3,
    [ATL_DTYPE_Q8_0] = 3e-3,   [ATL_DTYPE_Q6_K] = 0.02, [ATL_DTYPE_Q5_K] = 0.03,
    [ATL_DTYPE_Q5_0] = 0.04,   [ATL_DTYPE_Q5_1] = 0.03, [ATL_DTYPE_Q4_K] = 0.06,
    [ATL_DTYPE_Q4_0] = 0.06,   [ATL_DTYPE_Q4_1] = 0.06, [ATL_DTYPE_Q3_K] = 0.12,
    [ATL_DTYPE_IQ4_NL] = 0.07, [ATL_DTYPE_Q2_K] = 0.2,  [ATL_DTYPE_MXFP4] = 0.1,
  };
  g_autoptr (AtlCheckpoint) in = make_model ();

  for (const AtlMix *mix = atl_mix_list (); mix->name != NULL; mix++)
    {
      g_autofree char *base = g_strconcat (mix->name, ".gguf", NULL);
      g_autofree char *path = g_build_filename (folder, base, NULL);
      g_autoptr (AtlCheckpoint) out = NULL;
      g_autoptr (GError) error = NULL;
      AtlRequant job = { .cp = in, .mix = mix };
      AtlRequantSummary summary;

      g_assert_true (atl_requant_write (&job, path, &summary, &error));
      g_assert_no_error (error);
      out = open_file (path);
      g_assert_cmpint (type_of (out, "blk.1.attn_q.weight"), ==, mix->dtype);
      g_assert_cmpfloat (limits[mix->dtype], >, 0);
      g_assert_cmpfloat (error_of (in, out, "blk.1.attn_q.weight"), <, limits[mix->dtype]);
    }
}

static void
expect_files (const char *expected)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GString) names = g_string_new (NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    if (strstr (name, "part") != NULL || strstr (name, "split") != NULL ||
        strstr (name, expected) != NULL)
      g_string_append (names, name);
  g_assert_cmpstr (names->str, ==, expected);
}

static void
cancel_cb (double fraction, const char *tensor, gpointer data)
{
  if (fraction > 0.5)
    g_cancellable_cancel (data);
}

static void
test_refused (void)
{
  g_autofree char *there = g_build_filename (folder, "there.gguf", NULL);
  g_autofree char *stopped = g_build_filename (folder, "stopped.gguf", NULL);
  g_autoptr (AtlCheckpoint) in = make_model ();
  g_autoptr (AtlCheckpoint) nameless = atl_checkpoint_new ("nameless");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  AtlRequant job = { .cp = in, .mix = atl_mix_find ("Q8_0") };
  AtlRequantSummary summary;

  g_assert_null (atl_mix_find ("Q9_Z"));
  g_assert_true (atl_mix_find ("Q3_K") == atl_mix_find ("Q3_K_M"));
  g_assert_true (atl_mix_find ("q4_k") == atl_mix_find ("Q4_K_M"));
  g_assert_true (atl_mix_find ("Q5_K") == atl_mix_find ("Q5_K_M"));
  g_assert_true (g_file_set_contents (there, "mine", -1, NULL));
  g_assert_false (atl_requant_write (&job, there, &summary, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
  g_clear_error (&error);
  g_assert_true (g_file_get_contents (there, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "mine");

  job.cancellable = cancellable;
  job.progress = cancel_cb;
  job.progress_data = cancellable;
  g_assert_false (atl_requant_write (&job, stopped, &summary, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  expect_files ("there.gguf");

  job = (AtlRequant){ .cp = nameless };
  g_assert_false (atl_requant_write (&job, stopped, &summary, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  expect_files ("there.gguf");
}

/* Half precision ends where BF16 goes on; nothing becomes infinite without a word. */
static void
test_large_numbers (void)
{
  static const gint64 dim[] = { 2, 32 };
  g_autofree char *half = g_build_filename (folder, "half.gguf", NULL);
  g_autofree char *wide = g_build_filename (folder, "wide.gguf", NULL);
  g_autoptr (AtlCheckpoint) in = atl_checkpoint_new ("large");
  g_autoptr (GError) error = NULL;
  AtlRequant job = { .cp = in, .mix = atl_mix_find ("F16") };
  AtlRequantSummary summary;
  float numbers[64] = { 65519.0f };
  AtlTensorInfo info = {
    .name = "blk.0.ffn_up.weight",
    .dtype = ATL_DTYPE_F32,
    .n_dims = 2,
    .dim = { dim[0], dim[1] },
    .data = (const guint8 *) numbers,
    .size_bytes = sizeof numbers,
  };

  hf_add_text (in, "general.architecture", "llama");
  g_assert_true (atl_checkpoint_add_tensor (in, &info, NULL));
  g_assert_true (atl_requant_write (&job, half, &summary, &error));
  g_assert_no_error (error);
  g_unlink (half);
  numbers[33] = -65520.0f;
  g_assert_false (atl_requant_write (&job, half, &summary, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "blk.0.ffn_up.weight"));
  g_assert_nonnull (strstr (error->message, "BF16"));
  g_clear_error (&error);
  job.mix = atl_mix_find ("BF16");
  g_assert_true (atl_requant_write (&job, wide, &summary, &error));
  g_assert_no_error (error);
  g_unlink (wide);
  expect_files ("there.gguf");
}

/* Parts of at most so many bytes, with llama.cpp's names and keys; all of them or none. */
static void
test_split (void)
{
  enum
  {
    PART_BYTES = 300000
  };
  g_autofree char *path = g_build_filename (folder, "split.gguf", NULL);
  g_autofree char *taken = NULL;
  g_autoptr (AtlCheckpoint) in = make_model ();
  g_autoptr (AtlCheckpoint) out = NULL;
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  g_autoptr (GError) error = NULL;
  AtlRequant job = { .cp = in, .split_bytes = PART_BYTES };
  AtlRequantSummary summary;
  guint64 number, sum = 0;

  g_assert_true (atl_requant_write (&job, path, &summary, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (summary.n_parts, >, 3);
  /* The last part first: the reader puts them in order. */
  for (guint i = summary.n_parts; i-- > 0;)
    {
      g_autofree char *base = g_strdup_printf ("split-%05u-of-%05u.gguf", i + 1, summary.n_parts);
      g_autofree char *part = g_build_filename (folder, base, NULL);
      AtlFileMap *map = atl_file_map_new (part, &error);

      g_assert_no_error (error);
      g_ptr_array_add (maps, map);
      g_assert_cmpuint (atl_file_map_size (map), <, PART_BYTES + 8192);
      sum += atl_file_map_size (map);
      if (i == 1)
        taken = g_steal_pointer (&part);
    }
  g_assert_cmpuint (sum, ==, summary.bytes_after);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  out = atl_gguf_open ((AtlFileMap **) maps->pdata, maps->len, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_checkpoint_n_tensors (out), ==, atl_checkpoint_n_tensors (in));
  g_assert_true (atl_checkpoint_get_uint (out, "split.count", 0, 99, &number, NULL));
  g_assert_cmpuint (number, ==, summary.n_parts);
  g_assert_cmpint (atl_checkpoint_meta (out, "split.no")->width, ==, 2);
  g_assert_cmpint (atl_checkpoint_meta (out, "split.tensors.count")->type, ==, ATL_META_INT);
  for (guint i = 0; i < atl_checkpoint_n_tensors (in); i++)
    g_assert_cmpfloat (error_of (in, out, atl_checkpoint_tensor (in, i)->name), ==, 0);

  /* One of the names is taken: no part is written. */
  for (guint i = 0; i < summary.n_parts; i++)
    {
      g_autofree char *base = g_strdup_printf ("split-%05u-of-%05u.gguf", i + 1, summary.n_parts);
      g_autofree char *part = g_build_filename (folder, base, NULL);

      if (strcmp (part, taken) != 0)
        g_unlink (part);
    }
  g_assert_false (atl_requant_write (&job, path, &summary, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
  g_unlink (taken);
  expect_files ("there.gguf");
}

int
main (int argc, char **argv)
{
  int result;
  g_autoptr (GDir) dir = NULL;
  const char *name;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("atelier-requant-XXXXXX", NULL);
  g_test_add_func ("/convert/requant/mix", test_mix);
  g_test_add_func ("/convert/requant/types", test_types);
  g_test_add_func ("/convert/requant/refused", test_refused);
  g_test_add_func ("/convert/requant/large-numbers", test_large_numbers);
  g_test_add_func ("/convert/requant/split", test_split);
  result = g_test_run ();
  dir = g_dir_open (folder, 0, NULL);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  return result;
}
