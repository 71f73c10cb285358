/* Tiles: a network that looks at single cells gives the same in tiles as whole, whatever the size;
 * what is no picture is refused. */
#include <math.h>

#include "engine/diffusion/decode.h"
#include "engine/models/tiles.h"

static guint n_runs;
static gint64 largest, first_h, first_w;
static gboolean are_alike; /* all windows, in size */

/* Every cell becomes `scale` x `scale` pixels (user data), or pixels' means become a cell. */
static gboolean
cells (gpointer model,
       const AtlRequest *request,
       GPtrArray *outputs,
       GCancellable *cancellable,
       GError **error)
{
  gint64 scale = *(gint64 *) model;
  gboolean is_encode = g_str_equal (atl_request_function (request), "vae_encode");
  const AtlArray *in = atl_request_find (request, is_encode ? "image" : "latent");
  gint64 h = in->dim[2], w = in->dim[3], H = is_encode ? h / scale : h * scale;
  gint64 W = is_encode ? w / scale : w * scale;
  AtlArray *out = atl_array_new (is_encode ? "mean" : "image", ATL_DTYPE_F32, 4,
                                 (gint64[]){ 1, in->dim[1], H, W });

  if (n_runs++ == 0)
    {
      first_h = h;
      first_w = w;
      are_alike = TRUE;
    }
  are_alike = are_alike && h == first_h && w == first_w;
  largest = MAX (largest, MAX (h, w));
  for (gint64 c = 0; c < in->dim[1]; c++)
    for (gint64 y = 0; y < H; y++)
      for (gint64 x = 0; x < W; x++)
        {
          gint64 sy = is_encode ? y * scale : y / scale, sx = is_encode ? x * scale : x / scale;

          atl_array_f32 (out)[(c * H + y) * W + x] = atl_array_f32 (in)[(c * h + sy) * w + sx];
        }
  g_ptr_array_add (outputs, out);
  return TRUE;
}

static AtlArray *
run (
    gint64 scale, gboolean is_encode, gint64 h, gint64 w, double side, double stride, gboolean even)
{
  static const AtlComponentClass klass = { .name = "cells", .run = cells };
  g_autoptr (AtlRequest) request = atl_request_new (is_encode ? "vae_encode" : "vae_decode");
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  g_autoptr (GError) error = NULL;
  AtlArray *in =
      atl_array_new (is_encode ? "image" : "latent", ATL_DTYPE_F32, 4, (gint64[]){ 1, 2, h, w });

  for (gint64 i = 0; i < 2 * h * w; i++)
    atl_array_f32 (in)[i] = (float) (i % 97) / 10 - 3;
  atl_request_add (request, in);
  atl_request_set_number (request, "tile_sample_min_height", side);
  atl_request_set_number (request, "tile_sample_min_width", side);
  atl_request_set_number (request, "tile_sample_stride_height", stride);
  atl_request_set_number (request, "tile_sample_stride_width", stride);
  atl_request_set_number (request, "tile_even", even);
  if (side > 0)
    g_assert_true (atl_tiles_run (&klass, &scale, request, outputs, NULL, &error));
  else
    g_assert_true (cells (&scale, request, outputs, NULL, &error));
  return g_ptr_array_steal_index (outputs, 0);
}

static void
test_same (void)
{
  static const struct
  {
    gint64 scale, h, w;
    double side, stride;
  } cases[] = { { 8, 12, 8, 48, 32 },  { 8, 13, 21, 48, 40 }, { 8, 9, 5, 48, 32 },
                { 16, 11, 7, 64, 48 }, { 8, 4, 40, 64, 64 },  { 4, 30, 30, 64, 16 },
                { 8, 17, 17, 8, 8 } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (guint k = 0; k < 4; k++)
      {
        gint64 f = k < 2 ? 1 : cases[i].scale;
        g_autoptr (AtlArray) whole =
            run (cases[i].scale, k >= 2, cases[i].h * f, cases[i].w * f, 0, 0, FALSE);
        g_autoptr (AtlArray) tiled = NULL;

        n_runs = 0;
        largest = 0;
        tiled = run (cases[i].scale, k >= 2, cases[i].h * f, cases[i].w * f, cases[i].side,
                     cases[i].stride, k % 2);
        g_assert_cmpuint (n_runs, >, 1);
        /* A first window may have shown another number of pixels to a cell. */
        g_assert_true (are_alike || k % 2 == 0 || cases[i].scale != 8);
        g_assert_cmpint (tiled->dim[2], ==, whole->dim[2]);
        g_assert_cmpint (tiled->dim[3], ==, whole->dim[3]);
        for (gint64 e = 0; e < atl_array_n_elems (whole); e++)
          g_assert_cmpfloat_with_epsilon (atl_array_f32 (tiled)[e], atl_array_f32 (whole)[e], 1e-5);
      }
}

/* No window is larger than was asked for. */
static void
test_bounded (void)
{
  g_autoptr (AtlArray) tiled = NULL;

  largest = 0;
  tiled = run (8, FALSE, 100, 60, 128, 96, TRUE);
  g_assert_cmpint (largest, ==, 16);
  largest = 0;
  g_clear_pointer (&tiled, atl_array_free);
  tiled = run (8, TRUE, 800, 480, 128, 96, TRUE);
  g_assert_cmpint (largest, ==, 128);
}

/* As many as are counted beforehand, wherever they end. */
static void
test_count (void)
{
  for (gint64 h = 1; h < 40; h++)
    for (gint64 w = 5; w < 40; w += 7)
      {
        gint64 n = atl_tiles_count (h, 6, 4) * atl_tiles_count (w, 6, 4);
        g_autoptr (AtlArray) tiled = NULL;

        n_runs = 0;
        tiled = run (8, FALSE, h, w, 48, 32, TRUE);
        g_assert_cmpint (n_runs, ==, n);
        g_assert_true (are_alike);
      }
}

static void
test_no_picture (void)
{
  g_autoptr (AtlArray) pixels = atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, 5, 7 });
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_pixels_check (pixels, &error)); /* grey */
  for (gint64 i = 0; i < 3 * 5 * 7; i++)
    atl_array_f32 (pixels)[i] = -1.2f;
  g_assert_false (atl_pixels_check (pixels, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  atl_array_f32 (pixels)[104] = 0.5f;
  g_assert_true (atl_pixels_check (pixels, &error));
  atl_array_f32 (pixels)[50] = INFINITY;
  g_assert_false (atl_pixels_check (pixels, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tiles/same", test_same);
  g_test_add_func ("/tiles/bounded", test_bounded);
  g_test_add_func ("/tiles/count", test_count);
  g_test_add_func ("/tiles/no-picture", test_no_picture);
  return g_test_run ();
}
