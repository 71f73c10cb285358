/* What is shown while a picture is drawn: a tiny decoder's pixels where the bundle has one that
 * fits, colours where it has none or a broken one; and that its memory is in the price. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/cost.h"
#include "engine/formats/open.h"
#include "engine/tensor/cpu/cpu.h"
#include "opencl-fixture.h"
#include "small-model.h"

#define WIDTH 8 /* of the tiny decoder */
#define CELLS 12
#define SIDE (8 * CELLS)

static AtlBackend *cpu;

/* --- A tiny decoder of random numbers, in the authors' names --- */

typedef struct
{
  GString *header;
  GByteArray *data;
  GRand *rand;
  float spoil; /* added to every number */
} Writer;

static void
put (Writer *self, guint n_dims, guint out, guint in, const char *name)
{
  guint n = n_dims == 4 ? out * in * 9 : out;
  gsize start = self->data->len;

  for (guint i = 0; i < n; i++)
    {
      float x = (float) g_rand_double_range (self->rand, -0.2, 0.2) + self->spoil;

      g_byte_array_append (self->data, (const guint8 *) &x, sizeof x);
    }
  g_string_append_printf (self->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%u",
                          self->header->len > 1 ? "," : "", name, out);
  if (n_dims == 4)
    g_string_append_printf (self->header, ",%u,3,3", in);
  g_string_append_printf (self->header, "],\"data_offsets\":[%zu,%u]}", start, self->data->len);
}

static void
put_conv (Writer *self, guint out, guint in, gboolean has_bias, const char *format, ...)
{
  g_autofree char *name = NULL;
  g_autofree char *weight = NULL;
  g_autofree char *bias = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  weight = g_strconcat (name, ".weight", NULL);
  bias = g_strconcat (name, ".bias", NULL);
  put (self, 4, out, in, weight);
  if (has_bias)
    put (self, 1, out, 0, bias);
}

static AtlFileMap *
make_tiny (guint channels, float spoil, const char *name)
{
  Writer w = { .header = g_string_new ("{"),
               .data = g_byte_array_new (),
               .rand = g_rand_new_with_seed (7),
               .spoil = spoil };
  g_autofree char *folder = g_dir_make_tmp ("atelier-preview-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GString) bytes = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  AtlFileMap *map;
  guint64 length;

  put_conv (&w, WIDTH, channels, TRUE, "1");
  for (guint level = 0; level < 3; level++)
    {
      for (guint block = 0; block < 3; block++)
        for (guint conv = 0; conv < 3; conv++)
          put_conv (&w, WIDTH, WIDTH, TRUE, "%u.conv.%u", 3 + 5 * level + block, 2 * conv);
      put_conv (&w, WIDTH, WIDTH, FALSE, "%u", 7 + 5 * level);
    }
  for (guint conv = 0; conv < 3; conv++)
    put_conv (&w, WIDTH, WIDTH, TRUE, "18.conv.%u", 2 * conv);
  put_conv (&w, 3, WIDTH, TRUE, "19");
  g_string_append_c (w.header, '}');
  length = GUINT64_TO_LE (w.header->len);
  g_string_append_len (bytes, (const char *) &length, sizeof length);
  g_string_append_len (bytes, w.header->str, (gssize) w.header->len);
  g_string_append_len (bytes, (const char *) w.data->data, w.data->len);
  g_assert_true (g_file_set_contents (path, bytes->str, (gssize) bytes->len, &error));
  map = atl_file_map_new (path, &error);
  g_assert_no_error (error);
  g_unlink (path);
  g_rmdir (folder);
  g_string_free (w.header, TRUE);
  g_byte_array_unref (w.data);
  g_rand_free (w.rand);
  return map;
}

/* --- Drawing with it --- */

typedef struct
{
  AtlDiffusionModel *model;
  guint max_side;
  guint8 *rgb; /* (owned) of the last step */
  guint width, height;
} Seen;

static void
step_cb (const AtlArray *latent, guint step, guint n_steps, gpointer user_data)
{
  Seen *seen = user_data;

  g_clear_pointer (&seen->rgb, g_free);
  g_assert_true (atl_diffusion_model_preview (seen->model, latent, seen->max_side, &seen->rgb,
                                              &seen->width, &seen->height));
}

static AtlSettings *
ask (void)
{
  AtlSettings *settings = atl_settings_new ();

  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", SIDE);
  atl_settings_set_number (settings, "height", SIDE);
  atl_settings_set_number (settings, "steps", 2);
  return settings;
}

static GPtrArray *
draw_on (AtlBackend *const *backends, guint n, AtlDiffusionModel *model, Seen *seen)
{
  g_autoptr (AtlSettings) settings = ask ();
  const AtlRunHooks hooks = { .step = step_cb, .user_data = seen };
  g_autoptr (GError) error = NULL;
  GPtrArray *outputs;

  seen->model = model;
  atl_diffusion_model_use (model, backends, n);
  outputs = atl_diffusion_model_run (model, settings, NULL, &hooks, NULL, &error);
  g_assert_no_error (error);
  return outputs;
}

static GPtrArray *
draw (AtlDiffusionModel *model, Seen *seen)
{
  return draw_on (&cpu, 1, model, seen);
}

/* The last estimate is the finished latent: the decoder's own pixels of it are what was shown. */
static void
test_shown (void)
{
  static const char name[] = "taesd_decoder.safetensors", *const names[] = { name };
  g_autoptr (AtlFileMap) tiny = make_tiny (4, 0, name);
  g_autoptr (AtlDiffusionModel) model = small_model_open_with ("sd15", tiny, "nearby/taesd.sft");
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (AtlComponent) decoder = NULL;
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GPtrArray) decoded = NULL;
  g_autoptr (GError) error = NULL;
  const AtlArray *image;
  Seen seen = { .max_side = 512 };
  double off = 0, color = 0;

  outputs = draw (model, &seen);
  g_assert_cmpuint (seen.width, ==, SIDE);
  g_assert_cmpuint (seen.height, ==, SIDE);
  cp = atl_checkpoint_open (&tiny, names, 1, &error);
  g_assert_no_error (error);
  decoder = atl_component_load (atl_component_class_for (cp, NULL, "vae_decode", NULL), cp, &cpu, 1,
                                NULL, &error);
  g_assert_no_error (error);
  atl_request_add (request, atl_array_copy (atl_arrays_find (outputs, "final_latent"), "latent"));
  decoded = atl_component_run (decoder, request, NULL, &error);
  g_assert_no_error (error);
  image = atl_arrays_find (decoded, "image");
  for (guint i = 0; i < SIDE * SIDE; i++)
    for (guint c = 0; c < 3; c++)
      {
        float x = CLAMP (atl_array_f32 (image)[c * SIDE * SIDE + i] * 0.5f + 0.5f, 0, 1) * 255;

        off += fabsf (x - seen.rgb[3 * i + c]);
        color += fabsf (x - 127.5f);
      }
  /* A byte's rounding is a quarter on average; what the picture differs from grey by is more. */
  g_assert_cmpfloat (off / (3.0 * SIDE * SIDE), <, 1);
  g_assert_cmpfloat (color / (3.0 * SIDE * SIDE), >, 4);
  g_free (seen.rgb);
}

/* Where it is to be smaller than its pixels the latent is made smaller before. */
static void
test_smaller (void)
{
  g_autoptr (AtlFileMap) tiny = make_tiny (4, 0, "taesd_decoder.safetensors");
  g_autoptr (AtlDiffusionModel) model = small_model_open_with ("sd15", tiny, "nearby/taesd.sft");
  g_autoptr (GPtrArray) outputs = NULL;
  Seen seen = { .max_side = SIDE - 1 };

  outputs = draw (model, &seen);
  g_assert_cmpuint (seen.width, ==, SIDE / 2);
  g_assert_cmpuint (seen.height, ==, SIDE / 2);
  g_free (seen.rgb);
}

/* As without it: one that is another family's, has other channels or overflows. */
static void
test_colors (void)
{
  const struct
  {
    guint channels;
    float spoil;
    const char *name;
  } bad[] = { { 4, 0, "taesdxl_decoder.safetensors" },
              { 16, 0, "taesd_decoder.safetensors" },
              { 4, NAN, "taesd_decoder.safetensors" } };
  g_autoptr (AtlDiffusionModel) plain = small_model_open ("sd15");
  g_autoptr (GPtrArray) outputs = NULL;
  Seen expected = { .max_side = 512 };

  outputs = draw (plain, &expected);
  g_assert_cmpuint (expected.width, ==, CELLS);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (AtlFileMap) tiny = make_tiny (bad[i].channels, bad[i].spoil, bad[i].name);
      g_autofree char *logical = g_strconcat ("nearby/", bad[i].name, NULL);
      g_autoptr (AtlDiffusionModel) model = small_model_open_with ("sd15", tiny, logical);
      g_autoptr (GPtrArray) made = NULL;
      Seen seen = { .max_side = 512 };

      made = draw (model, &seen);
      g_assert_cmpmem (seen.rgb, seen.width * seen.height * 3, expected.rgb,
                       expected.width * expected.height * 3);
      g_free (seen.rgb);
    }
  g_free (expected.rgb);
}

static void
test_price (void)
{
  g_autoptr (AtlFileMap) tiny = make_tiny (4, 0, "taesd_decoder.safetensors");
  g_autoptr (AtlDiffusionModel) plain = small_model_open ("sd15");
  g_autoptr (AtlDiffusionModel) model = small_model_open_with ("sd15", tiny, "nearby/taesd.sft");
  g_autoptr (AtlSettings) settings = ask ();
  g_autoptr (GError) error = NULL;
  AtlDiffusionCost without, with;

  g_assert_true (atl_diffusion_model_cost (plain, &cpu, 1, settings, NULL, &without, &error));
  g_assert_true (atl_diffusion_model_cost (model, &cpu, 1, settings, NULL, &with, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (with.weights, >, without.weights);
  g_assert_cmpuint (with.peak, >=, without.peak);
  /* Neither the steps' nor the end's time. */
  g_assert_cmpfloat (with.step, ==, without.step);
  g_assert_cmpfloat (with.decode, ==, without.decode);
}

/* On a device the same is seen, by the tiny decoder and by colours, and nothing of it stays there.
 */
static void
test_device (void)
{
  static const char name[] = "taesd_decoder.safetensors";
  g_autoptr (AtlFileMap) tiny = NULL;
  AtlBackend *backends[2] = { opencl_fixture_open (opencl_fixture_cache_dir ()), cpu };

  if (backends[0] == NULL)
    return;
  tiny = make_tiny (4, 0, name);
  for (guint has_tiny = 0; has_tiny < 2; has_tiny++)
    {
      g_autoptr (AtlDiffusionModel) model =
          has_tiny ? small_model_open_with ("sd15", tiny, "nearby/taesd.sft")
                   : small_model_open ("sd15");
      guint64 room = backends[0]->memory_free;
      Seen expected = { .max_side = 512 }, seen = { .max_side = 512 };
      double off = 0, color = 0;

      g_ptr_array_unref (draw (model, &expected));
      g_ptr_array_unref (draw_on (backends, G_N_ELEMENTS (backends), model, &seen));
      g_assert_cmpuint (seen.width, ==, has_tiny ? SIDE : CELLS);
      g_assert_cmpuint (seen.width, ==, expected.width);
      g_assert_cmpuint (seen.height, ==, expected.height);
      for (guint i = 0; i < 3 * seen.width * seen.height; i++)
        {
          off += fabs ((double) seen.rgb[i] - expected.rgb[i]);
          color += fabs (seen.rgb[i] - 127.5);
        }
      g_assert_cmpfloat (off / (3.0 * seen.width * seen.height), <, 2);
      g_assert_cmpfloat (color / (3.0 * seen.width * seen.height), >, 4);
      atl_diffusion_model_drop (model);
      g_assert_cmpuint (backends[0]->memory_free, ==, room);
      g_free (expected.rgb);
      g_free (seen.rgb);
    }
  atl_backend_free (backends[0]);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  cpu = atl_cpu_backend_new (NULL, NULL);
  g_test_add_func ("/diffusion/preview/shown", test_shown);
  g_test_add_func ("/diffusion/preview/smaller", test_smaller);
  g_test_add_func ("/diffusion/preview/colours", test_colors);
  g_test_add_func ("/diffusion/preview/price", test_price);
  g_test_add_func ("/diffusion/preview/device", test_device);
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
