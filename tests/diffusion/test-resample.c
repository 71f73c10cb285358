/* Resampling: what must not change, and that parts fit together. */
#include "engine/diffusion/resample.h"

#include <string.h>

#define SIDE 23

static void
fill (float *data, float (*f) (gint64 x, gint64 y))
{
  for (gint64 y = 0; y < SIDE; y++)
    for (gint64 x = 0; x < SIDE; x++)
      data[y * SIDE + x] = f (x, y);
}

static float
even (gint64 x, gint64 y)
{
  return 0.4f;
}

static float
ramp (gint64 x, gint64 y)
{
  return (float) (2 * x + y) / (3 * SIDE);
}

static float
noise (gint64 x, gint64 y)
{
  return (float) ((x * 7919 + y * 104729 + x * y * 31) % 101) / 100.0f;
}

static const double factors[] = { 1.0, 2.0, 0.5, 0.75, 1.0 / 3.0, 2.7 };

/* One colour stays as it is; nothing goes beyond black and white. */
static void
test_even (void)
{
  float data[SIDE * SIDE];
  AtlPlane plane = { .data = data, .width = SIDE, .height = SIDE };

  fill (data, even);
  for (guint i = 0; i < G_N_ELEMENTS (factors); i++)
    {
      gint64 n = MAX ((gint64) (SIDE * factors[i]), 1);
      g_autofree guint8 *out = g_malloc (n * n);

      atl_resample (&plane, factors[i], 0, 0, n, n, out, 1, n);
      for (gint64 k = 0; k < n * n; k++)
        g_assert_cmpint (out[k], ==, 102);
    }
}

/* Away from the borders a straight slope stays one. */
static void
test_ramp (void)
{
  float data[SIDE * SIDE];
  AtlPlane plane = { .data = data, .width = SIDE, .height = SIDE };
  guint8 out[2 * SIDE * 2 * SIDE];

  fill (data, ramp);
  atl_resample (&plane, 2.0, 0, 0, 2 * SIDE, 2 * SIDE, out, 1, 2 * SIDE);
  for (gint64 y = 8; y < 2 * SIDE - 8; y++)
    for (gint64 x = 8; x < 2 * SIDE - 8; x++)
      {
        double expected = 255.0 * (2 * ((x + 0.5) / 2 - 0.5) + (y + 0.5) / 2 - 0.5) / (3 * SIDE);

        g_assert_cmpfloat_with_epsilon (out[y * 2 * SIDE + x], expected, 1.5);
      }
}

/* Made in parts from parts of the plane, with pixels that lie apart. */
static void
test_parts (void)
{
  float data[SIDE * SIDE], part[SIDE * 19];
  AtlPlane plane = { .data = data, .width = SIDE, .height = SIDE };

  fill (data, noise);
  for (guint i = 0; i < G_N_ELEMENTS (factors); i++)
    {
      gint64 n = MAX ((gint64) (SIDE * factors[i]), 1), half = n / 2;
      g_autofree guint8 *whole = g_malloc (n * n), *pieces = g_malloc0 (3 * n * n);

      atl_resample (&plane, factors[i], 0, 0, n, n, whole, 1, n);
      for (guint side = 0; side < 2; side++)
        {
          /* Columns 0 to 18, and 4 to the end. */
          AtlPlane cut = { .data = part, .width = 19, .height = SIDE, .x = side == 0 ? 0 : 4 };
          gint64 from = side == 0 ? 0 : half, to = side == 0 ? half : n;

          for (gint64 y = 0; y < SIDE; y++)
            memcpy (part + y * 19, data + y * SIDE + cut.x, 19 * sizeof *part);
          if (to > from)
            atl_resample (&cut, factors[i], from, 0, to - from, n, pieces + 3 * from + 1, 3, 3 * n);
        }
      for (gint64 k = 0; k < n * n; k++)
        {
          /* Widened filters reach further than these parts overlap. */
          if (factors[i] > 0.4)
            g_assert_cmpint (ABS (pieces[3 * k + 1] - whole[k]), <=, 1);
          g_assert_cmpint (pieces[3 * k] + pieces[3 * k + 2], ==, 0);
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/resample/even", test_even);
  g_test_add_func ("/resample/ramp", test_ramp);
  g_test_add_func ("/resample/parts", test_parts);
  return g_test_run ();
}
