/* The small float types, over all of their values: each is exact on the way to float and back, and
 * around every midpoint between two neighbours rounding goes to the right one. */
#include <math.h>

#include "engine/tensor/quants/half.h"

typedef struct
{
  const char *name;
  guint bits;
  float (*widen) (guint v);
  guint (*narrow) (float v);
  guint largest; /* the largest finite positive value */
  gboolean saturates;
} Format;

static float
widen_f16 (guint v)
{
  return atl_f16_to_f32 ((guint16) v);
}
static guint
narrow_f16 (float v)
{
  return atl_f32_to_f16 (v);
}
static float
widen_bf16 (guint v)
{
  return atl_bf16_to_f32 ((guint16) v);
}
static guint
narrow_bf16 (float v)
{
  return atl_f32_to_bf16 (v);
}
static float
widen_e4m3 (guint v)
{
  return atl_f8_e4m3_to_f32 ((guint8) v);
}
static guint
narrow_e4m3 (float v)
{
  return atl_f32_to_f8_e4m3 (v);
}
static float
widen_e5m2 (guint v)
{
  return atl_f8_e5m2_to_f32 ((guint8) v);
}
static guint
narrow_e5m2 (float v)
{
  return atl_f32_to_f8_e5m2 (v);
}

static const Format formats[] = {
  { "f16", 16, widen_f16, narrow_f16, 0x7bff, FALSE },
  { "bf16", 16, widen_bf16, narrow_bf16, 0x7f7f, FALSE },
  { "f8_e4m3", 8, widen_e4m3, narrow_e4m3, 0x7e, TRUE },
  { "f8_e5m2", 8, widen_e5m2, narrow_e5m2, 0x7b, FALSE },
};

static void
test_format (gconstpointer user_data)
{
  const Format *f = user_data;
  guint sign = 1u << (f->bits - 1);

  for (guint v = 0; v < 2 * sign; v++)
    {
      float wide = f->widen (v);
      guint back = f->narrow (wide);

      if (isnan (wide))
        g_assert_true (isnan (f->widen (back)));
      else
        g_assert_cmphex (back, ==, v);
    }

  for (guint v = 0; v < f->largest; v++)
    {
      float low = f->widen (v), high = f->widen (v + 1);
      float middle = (float) (((double) low + (double) high) / 2);
      guint even = v % 2 == 0 ? v : v + 1;

      g_assert_cmpfloat (low, <, high);
      g_assert_cmphex (f->narrow (middle), ==, even);
      g_assert_cmphex (f->narrow (nextafterf (middle, 0)), ==, v);
      g_assert_cmphex (f->narrow (nextafterf (middle, INFINITY)), ==, v + 1);
      g_assert_cmphex (f->narrow (-middle), ==, sign | even);
    }

  /* Past the end: half a step beyond the largest value. */
  {
    float top = f->widen (f->largest), step = top - f->widen (f->largest - 1);
    float edge = (float) ((double) top + (double) step / 2);

    g_assert_cmphex (f->narrow (nextafterf (edge, 0)), ==, f->largest);
    g_assert_cmphex (f->narrow (edge), ==, f->saturates ? f->largest : f->largest + 1);
    g_assert_cmphex (f->narrow (INFINITY), ==, f->saturates ? f->largest : f->largest + 1);
    g_assert_cmphex (f->narrow (-INFINITY), ==,
                     sign | (f->saturates ? f->largest : f->largest + 1));
  }
  g_assert_true (isnan (f->widen (f->narrow (NAN))));
  g_assert_cmphex (f->narrow (1e-45f), ==, 0);
}

static void
test_known (void)
{
  g_assert_cmphex (atl_f32_to_f16 (1.0f), ==, 0x3c00);
  g_assert_cmphex (atl_f32_to_f16 (1.0f / 3.0f), ==, 0x3555);
  g_assert_cmphex (atl_f32_to_f16 (65519.996f), ==, 0x7bff);
  g_assert_cmphex (atl_f32_to_f16 (65520.0f), ==, 0x7c00);
  g_assert_cmpfloat (atl_f16_to_f32 (0x0001), ==, 0x1p-24f);
  g_assert_cmphex (atl_f32_to_bf16 (3.14159265f), ==, 0x4049);
  g_assert_cmpfloat (atl_f8_e4m3_to_f32 (0x7e), ==, 448.0f);
  g_assert_cmpfloat (atl_f8_e5m2_to_f32 (0x7b), ==, 57344.0f);
  g_assert_cmpfloat (atl_e8m0_half_to_f32 (0), ==, 0x1p-128f);
  g_assert_cmpfloat (atl_e8m0_half_to_f32 (1), ==, 0x1p-127f);
  g_assert_cmpfloat (atl_e8m0_half_to_f32 (128), ==, 1.0f);
  g_assert_cmpfloat (atl_ue4m3_half_to_f32 (0x38), ==, 0.5f);
  g_assert_cmpfloat (atl_ue4m3_half_to_f32 (0x7f), ==, 0.0f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_autofree char *path = g_strdup_printf ("/quants/half/%s", formats[i].name);
      g_test_add_data_func (path, &formats[i], test_format);
    }
  g_test_add_func ("/quants/half/known", test_known);
  return g_test_run ();
}
