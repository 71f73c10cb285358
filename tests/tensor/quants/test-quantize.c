/* Quantising and back: close to the recorded error on recorded data, below the thresholds of
 * llama.cpp on its synthetic data, and safe on odd blocks. */
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"
#include "engine/tensor/quants/quantize.h"

#include "conformance.h"

#define N 4096

static const AtlDType types[] = {
  ATL_DTYPE_Q4_0, ATL_DTYPE_Q4_1, ATL_DTYPE_Q5_0, ATL_DTYPE_Q5_1, ATL_DTYPE_Q8_0,   ATL_DTYPE_Q2_K,
  ATL_DTYPE_Q3_K, ATL_DTYPE_Q4_K, ATL_DTYPE_Q5_K, ATL_DTYPE_Q6_K, ATL_DTYPE_IQ4_NL, ATL_DTYPE_MXFP4,
};

static void
round_trip (AtlDType dtype, const float *in, float *out, gsize n)
{
  guint64 bytes;
  g_autofree guint8 *blocks = NULL;

  g_assert_true (atl_dtype_row_bytes (dtype, n, &bytes));
  /* At an odd address, and exactly as long as needed, for the sanitizers. */
  blocks = g_malloc (bytes + 1);
  g_assert_true (atl_quantize (dtype, in, blocks + 1, n));
  g_assert_true (atl_dequantize (dtype, blocks + 1, out, n));
}

static double
square_error (const float *a, const float *b, gsize n)
{
  double sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
  return sum;
}

static JsonObject *
find_type (JsonArray *list, const char *name)
{
  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonObject *object = json_array_get_object_element (list, i);

      if (g_str_equal (atl_json_string (object, "type", ""), name))
        return object;
    }
  g_assert_not_reached ();
}

static void
test_recorded (gconstpointer user_data)
{
  AtlDType dtype = GPOINTER_TO_UINT (user_data);
  g_autofree char *path = atl_test_conformance ("quant/README.json");
  g_autofree char *input_path = NULL, *input = NULL, *text = NULL;
  g_autofree float *out = g_new (float, N), *a = g_new (float, N), *b = g_new (float, N);
  g_autofree float *b8 = g_new (float, N);
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  JsonObject *expected;
  double rmse, golden, dot = 0, dot_exact = 0, limit;
  gsize size;

  if (path == NULL)
    return;
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  expected =
      find_type (atl_json_array (json_node_get_object (root), "types"), atl_dtype_name (dtype));
  input_path = atl_test_conformance ("quant/input.f32");
  g_file_get_contents (input_path, &input, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, N * sizeof (float));

  round_trip (dtype, (float *) input, out, N);
  rmse = sqrt (square_error (out, (float *) input, N) / N);
  golden = atl_json_double (expected, "golden_rmse", 0);
  g_test_message ("%s: rmse %.6f, recorded %.6f", atl_dtype_name (dtype), rmse, golden);
  g_assert_cmpfloat (rmse, <=, 1.10 * golden);

  for (guint i = 0; i < N; i++)
    {
      a[i] = 0.1f + 2 * cosf ((float) i);
      b[i] = 0.1f + 2 * cosf ((float) i + 1);
    }
  round_trip (dtype, a, out, N);
  limit = atl_json_double (expected, "max_quantize_error", 0);
  g_assert_cmpfloat (sqrt (square_error (out, a, N)) / N, <, limit);

  round_trip (ATL_DTYPE_Q8_0, b, b8, N);
  for (guint i = 0; i < N; i++)
    {
      dot += (double) out[i] * b8[i];
      dot_exact += (double) a[i] * b[i];
    }
  g_assert_cmpfloat (fabs (dot - dot_exact) / N, <, atl_json_double (expected, "max_dot_error", 0));
}

/* Blocks that a careless division or rounding would spoil. */
static void
test_odd_blocks (gconstpointer user_data)
{
  AtlDType dtype = GPOINTER_TO_UINT (user_data);
  float in[256], out[256];

  memset (in, 0, sizeof in);
  round_trip (dtype, in, out, 256);
  for (guint i = 0; i < 256; i++)
    g_assert_cmpfloat (out[i], ==, 0);

  /* One value alone, negative or positive, in each place. */
  for (guint i = 0; i < 256; i++)
    {
      float error;

      memset (in, 0, sizeof in);
      in[i] = i % 2 == 0 ? -3 : 3;
      round_trip (dtype, in, out, 256);
      error = fabsf (out[i] - in[i]);
      g_assert_cmpfloat (error, <=, 0.35f);
      for (guint j = 0; j < 256; j++)
        g_assert_true (isfinite (out[j]));
    }

  /* All alike, tiny, and large. */
  for (float size = 1e-7f; size < 1e6f; size *= 7)
    {
      for (guint i = 0; i < 256; i++)
        in[i] = size;
      round_trip (dtype, in, out, 256);
      for (guint i = 0; i < 256; i++)
        g_assert_true (isfinite (out[i]) && out[i] >= 0 && out[i] <= 1.5f * size + 1e-6f);
    }
}

static void
test_plain (void)
{
  const float in[] = { 0.5f, -1.25f, 240, -0.0f };
  const AtlDType plain[] = { ATL_DTYPE_F32, ATL_DTYPE_F16, ATL_DTYPE_BF16, ATL_DTYPE_F8_E4M3,
                             ATL_DTYPE_F8_E5M2 };
  float out[4];

  for (guint i = 0; i < G_N_ELEMENTS (plain); i++)
    {
      round_trip (plain[i], in, out, 4);
      for (guint j = 0; j < 4; j++)
        if (!(plain[i] == ATL_DTYPE_F8_E5M2 && j == 2)) /* 240 needs four bits */
          g_assert_cmphex (atl_f32_to_bits (in[j]), ==, atl_f32_to_bits (out[j]));
    }
}

static void
test_refused (void)
{
  float in[64] = { 0 };
  guint8 out[256] = { 42 };

  g_assert_false (atl_quantize (ATL_DTYPE_I32, in, out, 4));
  g_assert_false (atl_quantize (ATL_DTYPE_IQ2_XXS, in, out, 0));
  g_assert_false (atl_quantize (ATL_DTYPE_Q4_0, in, out, 31));
  g_assert_false (atl_quantize (ATL_N_DTYPES, in, out, 32));
  g_assert_cmpint (out[0], ==, 42);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autofree char *recorded =
          g_strdup_printf ("/quants/quantize/recorded/%s", atl_dtype_name (types[i]));
      g_autofree char *odd =
          g_strdup_printf ("/quants/quantize/odd-blocks/%s", atl_dtype_name (types[i]));

      g_test_add_data_func (recorded, GUINT_TO_POINTER (types[i]), test_recorded);
      g_test_add_data_func (odd, GUINT_TO_POINTER (types[i]), test_odd_blocks);
    }
  g_test_add_func ("/quants/quantize/plain", test_plain);
  g_test_add_func ("/quants/quantize/refused", test_refused);
  return g_test_run ();
}
