/* Memory that is lowered step by step: a picture is made in ever thriftier ways, then refused with
 * a size that fits, which then does; each way gives the same picture, or nearly. */
#include <math.h>

#include "engine/diffusion/fit.h"
#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/rehearsal.h"
#include "small-model.h"

static AtlBackend *cpu;

static AtlSettings *
ask (double side)
{
  AtlSettings *settings = atl_settings_new ();

  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", side);
  atl_settings_set_number (settings, "height", side);
  atl_settings_set_number (settings, "steps", 2);
  return settings;
}

static AtlDiffusionFit
fit_into (AtlDiffusionModel *model, double side, guint64 room)
{
  g_autoptr (AtlSettings) settings = ask (side);
  g_autoptr (GError) error = NULL;
  const AtlDiffusionPlace at = {
    .backends = &cpu, .n_backends = 1, .room = room, .wants_size = TRUE
  };
  AtlDiffusionFit fit;

  atl_diffusion_model_fit (model, &at, settings, NULL, &fit, &error);
  g_assert_no_error (error);
  return fit;
}

/* What a run in that way takes, counted while all of it is walked, each tile and each step. */
static guint64
peak_of (AtlDiffusionModel *model, double side, const AtlDiffusionHow *how)
{
  g_autoptr (AtlSettings) settings = ask (side);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) outputs = NULL;
  AtlBackend *counting = atl_rehearsal_new (cpu, &error);
  guint64 peak;

  g_assert_no_error (error);
  atl_diffusion_model_use (model, &counting, 1);
  atl_diffusion_model_set_how (model, how);
  outputs = atl_diffusion_model_run (model, settings, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  peak = atl_rehearsal_counts (counting)->peak_bytes;
  atl_diffusion_model_use (model, &cpu, 1);
  atl_backend_free (counting);
  return peak;
}

static void
test_ways (gconstpointer family)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  guint64 room = G_MAXUINT64;
  gboolean was_frugal = FALSE, was_tiled = FALSE, was_refused = FALSE;

  /* A byte less than the last way took, until nothing is left. */
  while (!was_refused)
    {
      AtlDiffusionFit fit = fit_into (model, 512, room);

      if (fit.fits)
        {
          g_assert_cmpuint (fit.cost.peak, <=, room);
          g_assert_cmpuint (peak_of (model, 512, &fit.how), <=, fit.cost.peak);
          g_assert_cmpuint (fit.width, ==, 0);
          was_frugal = was_frugal || fit.how.is_frugal;
          was_tiled = was_tiled || fit.how.tile > 0;
          room = fit.cost.peak - 1;
          continue;
        }
      was_refused = TRUE;
      g_assert_cmpuint (fit.cost.peak, >, room);
      if (fit.width > 0)
        {
          g_assert_cmpuint (fit.width, <, 512);
          g_assert_true (fit_into (model, fit.width, room).fits);
        }
    }
  g_assert_true (was_frugal);
  g_assert_true (was_tiled);
  g_assert_false (fit_into (model, 512, 1000).fits);
  g_assert_cmpuint (fit_into (model, 512, 1000).width, ==, 0);
}

static GPtrArray *
make (AtlDiffusionModel *model, const AtlDiffusionHow *how)
{
  g_autoptr (AtlSettings) settings = ask (96);
  g_autoptr (GError) error = NULL;
  GPtrArray *outputs;

  atl_diffusion_model_set_how (model, how);
  outputs = atl_diffusion_model_run (model, settings, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  return outputs;
}

static double
distance (GPtrArray *a, GPtrArray *b, const char *name)
{
  const AtlArray *x = atl_arrays_find (a, name), *y = atl_arrays_find (b, name);
  double sum = 0, all = 0;

  g_assert_cmpint (atl_array_n_elems (x), ==, atl_array_n_elems (y));
  for (gint64 i = 0; i < atl_array_n_elems (x); i++)
    {
      sum += pow (atl_array_f32 (x)[i] - atl_array_f32 (y)[i], 2);
      all += pow (atl_array_f32 (x)[i], 2);
    }
  return sqrt (sum / all);
}

static void
test_same_picture (gconstpointer family)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  g_autoptr (GPtrArray) kept = NULL;
  g_autoptr (GPtrArray) frugal = NULL;
  g_autoptr (GPtrArray) streamed = NULL;
  g_autoptr (GPtrArray) tiled = NULL;

  atl_diffusion_model_use (model, &cpu, 1);
  kept = make (model, &(AtlDiffusionHow){ 0 });
  frugal = make (model, &(AtlDiffusionHow){ .is_frugal = TRUE });
  g_assert_cmpfloat (distance (kept, frugal, "image"), ==, 0);
  streamed = make (model, &(AtlDiffusionHow){ .is_frugal = TRUE, .streams = TRUE });
  g_assert_cmpfloat (distance (kept, streamed, "image"), <, 2e-2);
  /* The latent is the same; random weights make tiles' pixels differ freely. */
  tiled = make (model, &(AtlDiffusionHow){ .is_frugal = TRUE, .tile = 64 });
  g_assert_cmpfloat (distance (kept, tiled, "final_latent"), ==, 0);
  g_assert_cmpfloat (distance (kept, tiled, "image"), >, 0);
}

/* A device that has no memory of its own: what both take together has to be there once. */
static void
test_shared (void)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open ("sd15");
  g_autoptr (AtlSettings) settings = ask (512);
  g_autoptr (GError) error = NULL;
  AtlBackend *device = atl_rehearsal_new (cpu, &error), *backends[] = { device, cpu };
  AtlDiffusionPlace at = { .backends = backends,
                           .n_backends = 2,
                           .room = G_MAXUINT64,
                           .host_room = G_MAXUINT64 / 2,
                           .is_shared = TRUE };
  AtlDiffusionFit fit;
  guint n_ways = 0;

  g_assert_no_error (error);
  device->is_host = FALSE;
  do
    {
      atl_diffusion_model_fit (model, &at, settings, NULL, &fit, &error);
      g_assert_no_error (error);
      if (!fit.fits)
        break;
      n_ways++;
      g_assert_cmpuint (fit.cost.host, >, 0);
      g_assert_cmpuint (fit.cost.peak + fit.cost.host, <=, at.host_room);
      at.host_room = fit.how.streams ? 4096 : fit.cost.peak + fit.cost.host - 1;
    }
  while (TRUE);
  g_assert_cmpuint (n_ways, >=, 3);
  /* So much is enough on each of two, and not for both. */
  at.room = at.host_room = MAX (fit.cost.peak, fit.cost.host);
  for (guint i = 0; i < 2; i++)
    {
      at.is_shared = i == 0;
      atl_diffusion_model_fit (model, &at, settings, NULL, &fit, &error);
      g_assert_no_error (error);
      g_assert_cmpint (fit.fits, ==, !at.is_shared);
    }
  atl_backend_free (device);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  cpu = atl_cpu_backend_new (NULL, &error);
  g_assert_no_error (error);
  g_test_add_data_func ("/fit/ways/sd15", "sd15", test_ways);
  g_test_add_data_func ("/fit/ways/wan21", "wan21", test_ways);
  g_test_add_func ("/fit/shared", test_shared);
  g_test_add_data_func ("/fit/same-picture/sd15", "sd15", test_same_picture);
  g_test_add_data_func ("/fit/same-picture/wan21", "wan21", test_same_picture);
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
