/* Enlarging with a small network of random weights: sizes, channels, factors, tiles, refusals. */
#include "engine/diffusion/upscale.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/tensor/cpu/cpu.h"

#define FEATURES 6

typedef struct
{
  AtlBackend *cpu;
  AtlUpscaler *up;
} Fixture;

static void
add_tensor (GString *header, GArray *data, const char *name, guint n_dims, const gint64 *dim)
{
  gint64 n = 1;
  gsize begin = data->len * sizeof (float);
  guint32 seed = g_str_hash (name);

  g_string_append_printf (header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                          header->len > 1 ? "," : "", name);
  for (guint i = 0; i < n_dims; i++)
    {
      g_string_append_printf (header, "%s%d", i > 0 ? "," : "", (int) dim[i]);
      n *= dim[i];
    }
  for (gint64 i = 0; i < n; i++)
    {
      float x;

      seed = seed * 1664525 + 1013904223;
      x = ((float) (seed >> 8) / (1 << 24) - 0.5f) * 0.3f;
      g_array_append_val (data, x);
    }
  g_string_append_printf (header, "],\"data_offsets\":[%zu,%zu]}", begin,
                          data->len * sizeof (float));
}

static AtlFileMap *
map_bytes (const void *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("test", MFD_CLOEXEC);
  AtlFileMap *map;

  g_assert_cmpint (write (fd, data, size), ==, (gssize) size);
  map = atl_file_map_new_from_fd (fd, "net.safetensors", &error);
  g_assert_no_error (error);
  close (fd);
  return map;
}

/* A compact network for `scale` of two layers, `colours` colours. */
static AtlFileMap *
make_network (guint scale, guint colors)
{
  g_autoptr (GString) header = g_string_new ("{");
  g_autoptr (GArray) data = g_array_new (FALSE, FALSE, sizeof (float));
  g_autoptr (GByteArray) file = g_byte_array_new ();
  gint64 out = colors * scale * scale, n = FEATURES;
  guint64 length;

  add_tensor (header, data, "body.0.weight", 4, (gint64[]){ n, colors, 3, 3 });
  add_tensor (header, data, "body.0.bias", 1, &n);
  add_tensor (header, data, "body.1.weight", 1, &n);
  add_tensor (header, data, "body.2.weight", 4, (gint64[]){ out, n, 3, 3 });
  add_tensor (header, data, "body.2.bias", 1, &out);
  g_string_append (header, "}");
  length = GUINT64_TO_LE ((guint64) header->len);
  g_byte_array_append (file, (const guint8 *) &length, sizeof length);
  g_byte_array_append (file, (const guint8 *) header->str, header->len);
  g_byte_array_append (file, (const guint8 *) data->data, data->len * sizeof (float));
  return map_bytes (file->data, file->len);
}

static void
fixture_init (Fixture *f, guint scale, guint colors)
{
  AtlCpuOptions options = { .best_level = TRUE };
  g_autoptr (AtlFileMap) map = make_network (scale, colors);
  g_autoptr (GError) error = NULL;

  f->cpu = atl_cpu_backend_new (&options, &error);
  g_assert_no_error (error);
  f->up = atl_upscaler_open (&map, NULL, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_upscaler_scale (f->up), ==, scale);
  g_assert_cmpstr (atl_upscaler_kind (f->up), ==, "Compact");
  g_assert_cmpuint (atl_upscaler_memory (f->up, 64), <, atl_upscaler_memory (f->up, 128));
  atl_upscaler_use (f->up, &f->cpu, 1);
}

static void
fixture_clear (Fixture *f)
{
  atl_upscaler_free (f->up);
  atl_backend_free (f->cpu);
}

static guint8 *
make_picture (guint width, guint height, guint channels)
{
  guint8 *pixels = g_malloc (width * height * channels);

  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      for (guint c = 0; c < channels; c++)
        pixels[(y * width + x) * channels + c] =
            (guint8) (128 + 60 * (int) (x * (c + 1) / 3 % 3) - 40 * (int) (y / 5 % 2));
  return pixels;
}

static guint8 *
run (Fixture *f, guint width, guint height, guint channels, double factor, guint tile)
{
  g_autofree guint8 *pixels = make_picture (width, height, channels);
  AtlUpscaleRequest request = { .pixels = pixels,
                                .width = width,
                                .height = height,
                                .channels = channels,
                                .factor = factor,
                                .tile = tile };
  g_autoptr (GError) error = NULL;
  guint w = 0, h = 0;
  guint8 *out = atl_upscaler_run (f->up, &request, &w, &h, NULL, &error);
  double used = factor > 0 ? factor : atl_upscaler_scale (f->up);

  g_assert_no_error (error);
  g_assert_cmpuint (w, ==, MAX ((guint) (width * used + 0.5), 1));
  g_assert_cmpuint (h, ==, MAX ((guint) (height * used + 0.5), 1));
  return out;
}

static guint
largest_difference (const guint8 *a, const guint8 *b, gsize n)
{
  guint most = 0;

  for (gsize i = 0; i < n; i++)
    most = MAX (most, (guint) ABS ((int) a[i] - (int) b[i]));
  return most;
}

/* In tiles of any size the picture is the one that is computed whole. */
static void
test_tiles (void)
{
  Fixture f;

  fixture_init (&f, 4, 3);
  for (guint i = 0; i < 3; i++)
    {
      static const double factors[] = { 4.0, 2.0, 3.0 };
      guint w = 151, h = 83;
      g_autofree guint8 *whole = run (&f, w, h, 3, factors[i], 512);
      gsize n = (gsize) (w * factors[i]) * (gsize) (h * factors[i]) * 3;

      for (guint tile = 32; tile <= 96; tile += 17)
        {
          g_autofree guint8 *tiled = run (&f, w, h, 3, factors[i], tile);

          g_assert_cmpuint (largest_difference (whole, tiled, n), <=, 1);
        }
    }
  fixture_clear (&f);
}

/* The smallest and the oddest pictures, all channels, factors up and down. */
static void
test_sizes (void)
{
  static const guint sizes[][2] = { { 1, 1 }, { 1, 9 }, { 65, 1 }, { 33, 2 }, { 7, 5 } };
  static const double factors[] = { 0, 2, 3, 4, 8, 1, 0.5, 2.37 };
  Fixture f;

  for (guint scale = 1; scale <= 4; scale++)
    {
      fixture_init (&f, scale, scale == 3 ? 1 : 3);
      for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
        for (guint i = 0; i < G_N_ELEMENTS (factors); i++)
          for (guint channels = 1; channels <= 4; channels++)
            g_free (run (&f, sizes[s][0], sizes[s][1], channels, factors[i], 32));
      fixture_clear (&f);
    }
}

/* Grey is what equal colours give; what is opaque stays opaque. */
static void
test_channels (void)
{
  guint8 gray[6 * 5 * 2], color[6 * 5 * 4];
  AtlUpscaleRequest request = { .pixels = gray, .width = 6, .height = 5, .channels = 2 };
  g_autofree guint8 *a = NULL, *b = NULL;
  g_autoptr (GError) error = NULL;
  guint w, h;
  Fixture f;

  fixture_init (&f, 2, 3);
  for (guint i = 0; i < 30; i++)
    {
      gray[2 * i] = (guint8) (i * 8);
      gray[2 * i + 1] = 255;
      memset (color + 4 * i, (int) i * 8, 3);
      color[4 * i + 3] = 255;
    }
  a = atl_upscaler_run (f.up, &request, &w, &h, NULL, &error);
  g_assert_no_error (error);
  request.pixels = color;
  request.channels = 4;
  b = atl_upscaler_run (f.up, &request, &w, &h, NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < w * h; i++)
    {
      int mean = (b[4 * i] + b[4 * i + 1] + b[4 * i + 2]) / 3;

      /* Colours were cut off at white each by itself. */
      if (b[4 * i] > 0 && b[4 * i] < 255 && b[4 * i + 1] > 0 && b[4 * i + 1] < 255 &&
          b[4 * i + 2] > 0 && b[4 * i + 2] < 255)
        g_assert_cmpint (ABS (a[2 * i] - mean), <=, 2);
      g_assert_cmpint (a[2 * i + 1], ==, 255);
      g_assert_cmpint (b[4 * i + 3], ==, 255);
    }
  fixture_clear (&f);
}

static void
progress_cb (guint done, guint total, gpointer user_data)
{
  GCancellable *cancellable = user_data;

  g_assert_cmpuint (done, <=, total);
  if (done == 2)
    g_cancellable_cancel (cancellable);
}

static void
test_refused (void)
{
  g_autofree guint8 *pixels = make_picture (100, 100, 3);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (AtlFileMap) other = map_bytes ("\x40\0\0\0\0\0\0\0"
                                            "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],"
                                            "\"data_offsets\":[0,1]}}           x",
                                            73);
  const AtlUpscaleRequest wrong[] = {
    { .pixels = pixels, .width = 0, .height = 10, .channels = 3 },
    { .pixels = pixels, .width = 40000, .height = 10, .channels = 3 },
    { .pixels = pixels, .width = 10, .height = 10, .channels = 3, .factor = 9 },
    { .pixels = pixels, .width = 10, .height = 10, .channels = 3, .factor = -1 },
    { .pixels = pixels, .width = 10, .height = 10, .channels = 3, .factor = 1e-9 },
    { .pixels = pixels, .width = 10, .height = 10, .channels = 5 },
    { .pixels = pixels, .width = 8192, .height = 8192, .channels = 3, .factor = 4 },
  };
  AtlUpscaleRequest request = { .pixels = pixels,
                                .width = 100,
                                .height = 100,
                                .channels = 3,
                                .tile = 32,
                                .progress = progress_cb,
                                .progress_data = cancellable };
  g_autoptr (GError) error = NULL;
  guint w, h;
  Fixture f;

  fixture_init (&f, 4, 3);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_assert_null (atl_upscaler_run (f.up, &wrong[i], &w, &h, NULL, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
      g_test_message ("%s", error->message);
      g_clear_error (&error);
    }
  g_assert_null (atl_upscaler_run (f.up, &request, &w, &h, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  fixture_clear (&f);
  g_assert_null (atl_upscaler_open (&other, NULL, 1, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/upscale/tiles", test_tiles);
  g_test_add_func ("/upscale/sizes", test_sizes);
  g_test_add_func ("/upscale/channels", test_channels);
  g_test_add_func ("/upscale/refused", test_refused);
  return g_test_run ();
}
