/* Whole runs that leave out steps: how many were computed, and that their memory is in the price.
 */
#include <math.h>

#include "engine/diffusion/cost.h"
#include "engine/tensor/cpu/cpu.h"
#include "small-model.h"

#define STEPS 12

static AtlBackend *cpu;

static AtlSettings *
ask (double faster, const char *method)
{
  AtlSettings *settings = atl_settings_new ();

  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_string (settings, "negative_prompt", "dogs");
  atl_settings_set_number (settings, "width", 64);
  atl_settings_set_number (settings, "height", 64);
  atl_settings_set_number (settings, "steps", STEPS);
  atl_settings_set_number (settings, "faster", faster);
  if (method != NULL)
    atl_settings_set_string (settings, "faster_method", method);
  return settings;
}

static guint
draw (AtlDiffusionModel *model, double faster, const char *method)
{
  g_autoptr (AtlSettings) settings = ask (faster, method);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) outputs = NULL;

  atl_diffusion_model_use (model, &cpu, 1);
  outputs = atl_diffusion_model_run (model, settings, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  return atl_diffusion_model_n_computed (model);
}

static void
test_steps (gconstpointer family)
{
  static const char *const methods[] = { NULL, "first-block", "easycache", "taylor-attention",
                                         "pyramid" };
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  guint all, of_taylor = 0;

  all = draw (model, 0, NULL);
  g_assert_cmpuint (all, >=, STEPS);
  /* 0 1 2 4 7 10… and the last. */
  for (guint i = 0; i < all; i++)
    of_taylor += i < 3 || i % 3 == 1 || i + 1 == all;
  g_assert_cmpuint (draw (model, 1, "taylor"), ==, of_taylor);
  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++)
    for (guint faster = 1; faster <= 3; faster++)
      {
        guint n = draw (model, faster, methods[i]);

        g_assert_cmpuint (n, >=, 2);
        g_assert_cmpuint (n, <=, all);
      }
}

static void
test_price (gconstpointer method)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open ("wan21");
  g_autoptr (AtlSettings) all = ask (0, NULL);
  g_autoptr (AtlSettings) fewer = ask (1, method);
  g_autoptr (GError) error = NULL;
  AtlDiffusionCost whole, parts;

  g_assert_true (atl_diffusion_model_cost (model, &cpu, 1, all, NULL, &whole, &error));
  g_assert_true (atl_diffusion_model_cost (model, &cpu, 1, fewer, NULL, &parts, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (parts.weights, ==, whole.weights);
  g_assert_cmpuint (parts.peak, >, whole.peak);
  /* The work of all blocks at least; what is made of text is made twice. */
  g_assert_cmpfloat (parts.step, >=, whole.step);
  g_assert_cmpfloat (parts.step, <, 2 * whole.step);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  cpu = atl_cpu_backend_new (NULL, &error);
  g_assert_no_error (error);
  g_test_add_data_func ("/passes/steps/sd15", "sd15", test_steps);
  g_test_add_data_func ("/passes/steps/wan21", "wan21", test_steps);
  g_test_add_data_func ("/passes/price/first-block", "first-block", test_price);
  g_test_add_data_func ("/passes/price/pyramid", "pyramid", test_price);
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
