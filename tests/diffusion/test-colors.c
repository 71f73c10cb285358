/* Colours of latents: fitting finds what made them, painting cuts and steps, published ones are
 * told apart. */
#include <math.h>

#include "engine/diffusion/colors.h"

static float
noise (guint *state)
{
  *state = *state * 1664525u + 1013904223u;
  return (float) (*state >> 8) / (1 << 24) - 0.5f;
}

static void
test_fit (void)
{
  static const gint64 channels[] = { 1, 4, 16, 48 };

  for (gsize k = 0; k < G_N_ELEMENTS (channels); k++)
    {
      gint64 C = channels[k], h = 12, w = 17, factor = 4, cells = h * w;
      g_autoptr (AtlArray) latent =
          atl_array_new ("latent", ATL_DTYPE_F32, 4, (gint64[]){ 1, C, h, w });
      g_autoptr (AtlArray) picture =
          atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, h * factor, w * factor });
      AtlColors fitted;
      guint state = 7;

      for (gint64 i = 0; i < C * cells; i++)
        atl_array_f32 (latent)[i] = 4 * noise (&state);
      /* Colour c is 0.3 of channel c, plus c / 10; cells are flat. */
      for (gint64 c = 0; c < 3; c++)
        for (gint64 y = 0; y < h * factor; y++)
          for (gint64 x = 0; x < w * factor; x++)
            atl_array_f32 (picture)[(c * h * factor + y) * w * factor + x] =
                0.3f * atl_array_f32 (latent)[c % C * cells + y / factor * w + x / factor] +
                0.1f * (float) c;
      g_assert_true (atl_colors_fit (latent, picture, &fitted));
      g_assert_cmpuint (fitted.n_channels, ==, C);
      for (guint i = 0; i < C; i++)
        for (guint c = 0; c < 3; c++)
          g_assert_cmpfloat_with_epsilon (fitted.factors[i][c], c % C == i ? 0.3f : 0, 0.03);
      for (guint c = 0; c < 3; c++)
        g_assert_cmpfloat_with_epsilon (fitted.bias[c], 0.1f * (float) c, 0.03);
      atl_array_f32 (latent)[0] = NAN;
      g_assert_false (atl_colors_fit (latent, picture, &fitted));
    }
}

static void
test_chart (void)
{
  g_autoptr (AtlArray) chart = atl_colors_chart (96);
  double sum[3] = { 0 }, squares[3] = { 0 };

  for (gint64 i = 0; i < 3 * 96 * 96; i++)
    {
      float x = atl_array_f32 (chart)[i];

      g_assert_cmpfloat (fabsf (x), <=, 1.0f);
      sum[i / (96 * 96)] += x;
      squares[i / (96 * 96)] += x * x;
    }
  for (guint c = 0; c < 3; c++)
    {
      g_assert_cmpfloat (fabs (sum[c] / (96 * 96)), <, 0.2);
      g_assert_cmpfloat (squares[c] / (96 * 96), >, 0.3);
    }
}

static void
test_published (void)
{
  g_assert_true (atl_colors_published (4, 0.18215) != atl_colors_published (4, 0.13025));
  g_assert_true (atl_colors_published (16, 0.3611) != atl_colors_published (16, 0));
  g_assert_cmpuint (atl_colors_published (48, 0)->n_channels, ==, 48);
  g_assert_cmpuint (atl_colors_published (32, 1)->n_channels, ==, 32);
  g_assert_null (atl_colors_published (16, 0.5));
  g_assert_null (atl_colors_published (5, 0.18215));
}

static void
test_paint (void)
{
  AtlColors colors = { .n_channels = 2,
                       .bias = { -1, 0, 1 },
                       .factors = { { 2, 0, 0 }, { 0, 0, -2 } } };
  g_autoptr (AtlArray) clip =
      atl_array_new ("latent", ATL_DTYPE_F32, 5, (gint64[]){ 1, 2, 3, 5, 7 });
  g_autofree guint8 *whole = NULL;
  g_autofree guint8 *small = NULL;
  guint w, h;

  /* The first channel is the frame's number, the second the column over 6. */
  for (gint64 i = 0; i < 3 * 5 * 7; i++)
    {
      atl_array_f32 (clip)[i] = (float) (i / 35) / 2;
      atl_array_f32 (clip)[105 + i] = (float) (i % 7) / 6;
    }
  atl_array_f32 (clip)[35] = NAN;
  whole = atl_colors_paint (&colors, clip, 1, 64, &w, &h);
  g_assert_cmpuint (w, ==, 7);
  g_assert_cmpuint (h, ==, 5);
  g_assert_cmpuint (whole[0], ==, 0); /* no number */
  g_assert_cmpuint (whole[3], ==, 128);
  g_assert_cmpuint (whole[4], ==, 128);
  g_assert_cmpuint (whole[3 * 7 + 2], ==, 255);
  g_assert_cmpuint (whole[3 * 6 + 2], ==, 0);
  small = atl_colors_paint (&colors, clip, 2, 3, &w, &h);
  g_assert_cmpuint (w, ==, 3);
  g_assert_cmpuint (h, ==, 2);
  g_assert_cmpuint (small[0], ==, 255);
  g_assert_cmpuint (small[3 * 2 + 2], ==, 0); /* column 6 */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/colours/fit", test_fit);
  g_test_add_func ("/colours/chart", test_chart);
  g_test_add_func ("/colours/published", test_published);
  g_test_add_func ("/colours/paint", test_paint);
  return g_test_run ();
}
