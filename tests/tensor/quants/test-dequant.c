/* Every quantised type against recorded blocks, bit for bit; and what the function refuses. */
#include <math.h>
#include <string.h>

#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"

#include "conformance.h"

#define N_ELEMS 4096

static char *
read_all (const char *type, const char *suffix, gsize *size)
{
  g_autofree char *name = g_strdup_printf ("quant/%s.%s", type, suffix);
  g_autofree char *path = atl_test_conformance (name);
  g_autoptr (GError) error = NULL;
  char *data = NULL;

  if (path == NULL)
    return NULL;
  g_file_get_contents (path, &data, size, &error);
  g_assert_no_error (error);
  return data;
}

static void
test_recorded (gconstpointer user_data)
{
  AtlDType dtype = GPOINTER_TO_UINT (user_data);
  const char *name = atl_dtype_name (dtype);
  gsize blocks_size, expected_size, row_bytes;
  g_autofree char *blocks = read_all (name, "blk", &blocks_size);
  g_autofree char *expected = NULL, *moved = NULL;
  g_autofree float *out = g_new (float, N_ELEMS);
  guint64 bytes;

  if (blocks == NULL)
    return;
  expected = read_all (name, "f32", &expected_size);
  g_assert_nonnull (expected);
  g_assert_true (atl_dtype_row_bytes (dtype, N_ELEMS, &bytes));
  row_bytes = bytes;
  g_assert_cmpuint (blocks_size, ==, row_bytes);
  g_assert_cmpuint (expected_size, ==, N_ELEMS * sizeof (float));

  g_assert_true (atl_dequantize (dtype, blocks, out, N_ELEMS));
  for (guint i = 0; i < N_ELEMS; i++)
    if (memcmp (out + i, expected + i * sizeof (float), sizeof (float)) != 0)
      g_error ("%s: element %u is %a, expected %a", name, i, out[i], ((float *) expected)[i]);

  /* The same at an odd address: weights in a file are not aligned. */
  moved = g_malloc (row_bytes + 1);
  memcpy (moved + 1, blocks, row_bytes);
  memset (out, 0xff, N_ELEMS * sizeof (float));
  g_assert_true (atl_dequantize (dtype, moved + 1, out, N_ELEMS));
  g_assert_cmpmem (out, N_ELEMS * sizeof (float), expected, expected_size);
}

static void
test_plain_floats (void)
{
  const float values[] = { 0.0f, -1.5f, 0.0625f, 448.0f, -0.0f };
  guint8 buffer[8 * G_N_ELEMENTS (values)];
  float out[G_N_ELEMENTS (values)];

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    {
      double wide = values[i];
      memcpy (buffer + 8 * i, &wide, sizeof wide);
    }
  g_assert_true (atl_dequantize (ATL_DTYPE_F64, buffer, out, G_N_ELEMENTS (values)));
  g_assert_cmpmem (out, sizeof out, values, sizeof values);

  g_assert_true (atl_dequantize (ATL_DTYPE_F32, values, out, G_N_ELEMENTS (values)));
  g_assert_cmpmem (out, sizeof out, values, sizeof values);

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    atl_store_u16 (buffer + 2 * i, atl_f32_to_bf16 (values[i]));
  g_assert_true (atl_dequantize (ATL_DTYPE_BF16, buffer, out, G_N_ELEMENTS (values)));
  g_assert_cmpmem (out, sizeof out, values, sizeof values);

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    atl_store_f16 (buffer + 2 * i, values[i]);
  g_assert_true (atl_dequantize (ATL_DTYPE_F16, buffer, out, G_N_ELEMENTS (values)));
  g_assert_cmpmem (out, sizeof out, values, sizeof values);

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    buffer[i] = atl_f32_to_f8_e4m3 (values[i]);
  g_assert_true (atl_dequantize (ATL_DTYPE_F8_E4M3, buffer, out, G_N_ELEMENTS (values)));
  g_assert_cmpmem (out, sizeof out, values, sizeof values);

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    buffer[i] = atl_f32_to_f8_e5m2 (values[i]);
  /* All bytes, times a factor; zeros, subnormals and NaN among them. */
  for (guint b = 0; b < 256; b += 32)
    {
      const float factor = 0.3f;
      guint8 block[36];
      float got[32];

      memcpy (block, &factor, sizeof factor);
      for (guint i = 0; i < 32; i++)
        block[4 + i] = (guint8) (b + i);
      g_assert_true (atl_dequantize (ATL_DTYPE_F8_E4M3_32, block, got, 32));
      for (guint i = 0; i < 32; i++)
        {
          float want = atl_f8_e4m3_to_f32 ((guint8) (b + i)) * factor;

          g_assert_true (got[i] == want || (isnan (got[i]) && isnan (want)));
        }
    }
  g_assert_true (atl_dequantize (ATL_DTYPE_F8_E5M2, buffer, out, G_N_ELEMENTS (values)));
  g_assert_cmpmem (out, sizeof out, values, sizeof values);
}

/* The two types of activations are in no recorded set; their blocks are made by hand. */
static void
test_activations (void)
{
  guint8 block[292] = { 0 };
  float out[256], scale = 0.75f;

  atl_store_f16 (block, 0.5f);
  for (guint i = 0; i < 32; i++)
    block[4 + i] = (guint8) (i * 5 - 70);
  g_assert_true (atl_dequantize (ATL_DTYPE_Q8_1, block, out, 32));
  for (gint i = 0; i < 32; i++)
    g_assert_cmpfloat (out[i], ==, 0.5f * (float) (i * 5 - 70));

  memcpy (block, &scale, sizeof scale);
  for (guint i = 0; i < 256; i++)
    block[4 + i] = (guint8) (i - 128);
  g_assert_true (atl_dequantize (ATL_DTYPE_Q8_K, block, out, 256));
  for (gint i = 0; i < 256; i++)
    g_assert_cmpfloat (out[i], ==, scale * (float) (i - 128));
}

static void
test_refused (void)
{
  guint8 block[256] = { 0 };
  float out[256] = { 42 };

  g_assert_false (atl_dequantize (ATL_DTYPE_I32, block, out, 8));
  g_assert_false (atl_dequantize (ATL_DTYPE_BOOL, block, out, 8));
  g_assert_false (atl_dequantize (ATL_DTYPE_Q4_0, block, out, 33));
  g_assert_false (atl_dequantize (ATL_DTYPE_Q4_K, block, out, 128));
  g_assert_false (atl_dequantize (ATL_N_DTYPES, block, out, 32));
  g_assert_cmpfloat (out[0], ==, 42);
  g_assert_true (atl_dequantize (ATL_DTYPE_Q4_0, block, out, 0));
  g_assert_cmpfloat (out[0], ==, 42);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < ATL_N_DTYPES; i++)
    if (atl_dtype_info (i)->quantized && i != ATL_DTYPE_Q8_1 && i != ATL_DTYPE_Q8_K)
      {
        g_autofree char *path = g_strdup_printf ("/quants/dequant/%s", atl_dtype_name (i));
        g_test_add_data_func (path, GUINT_TO_POINTER (i), test_recorded);
      }
  g_test_add_func ("/quants/dequant/plain-floats", test_plain_floats);
  g_test_add_func ("/quants/dequant/activations", test_activations);
  g_test_add_func ("/quants/dequant/refused", test_refused);
  return g_test_run ();
}
