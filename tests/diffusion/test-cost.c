/* What a picture takes, told beforehand: no more and no less than the run then takes, in work and
 * in memory; it grows as it should. */
#include <string.h>
#include <sys/resource.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/rehearsal.h"
#include "family-models.h"
#include "small-model.h"

static AtlBackend *cpu;

static AtlDiffusionCost
price (AtlDiffusionModel *model, gint64 side, guint steps, double guidance)
{
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  AtlDiffusionCost cost;

  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", (double) side);
  atl_settings_set_number (settings, "height", (double) side);
  atl_settings_set_number (settings, "steps", steps);
  atl_settings_set_number (settings, "guidance", guidance);
  atl_diffusion_model_cost (model, &cpu, 1, settings, NULL, &cost, &error);
  g_assert_no_error (error);
  return cost;
}

static void
test_grows (gconstpointer family)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  AtlDiffusionCost one = price (model, 64, 4, 5), more = price (model, 128, 4, 5);
  AtlDiffusionCost long_one = price (model, 64, 8, 5), alone = price (model, 64, 4, 1);

  g_assert_cmpuint (one.width, ==, 64);
  g_assert_cmpuint (more.height, ==, 128);
  g_assert_cmpuint (one.frames, ==, 1);
  g_assert_cmpfloat (one.text, >, 0);
  g_assert_cmpfloat (one.encode, ==, 0);
  g_assert_cmpfloat (more.decode, >, 3.9 * one.decode);
  g_assert_cmpfloat (more.step, >, 1.5 * one.step);
  g_assert_cmpfloat (one.step, ==, long_one.step);
  g_assert_cmpfloat (one.step, >, 1.9 * alone.step);
  g_assert_cmpfloat (one.total, ==, one.text + one.decode + one.steps * one.step);
  g_assert_cmpuint (long_one.steps, >=, 2 * one.steps - 2);
  g_assert_cmpuint (one.largest, <, one.weights);
  g_assert_cmpuint (one.weights, <, one.peak);
  g_assert_cmpuint (one.peak_frugal, <, one.peak);
  g_assert_cmpuint (one.peak, <, more.peak);
  g_assert_true (one.is_possible);
}

/* The products that the backend counts while it computes are those that were foretold. */
static void
test_is_what_happens (gconstpointer family)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GError) error = NULL;
  AtlCpuCost costs[ATL_N_OPS] = { 0 };
  AtlDiffusionCost cost;
  double products = 0;

  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", 72);
  atl_settings_set_number (settings, "height", 48);
  atl_settings_set_number (settings, "steps", 3);
  atl_diffusion_model_use (model, &cpu, 1);
  atl_diffusion_model_cost (model, NULL, 0, settings, NULL, &cost, &error);
  g_assert_no_error (error);
  atl_cpu_backend_count (cpu, costs);
  outputs = atl_diffusion_model_run (model, settings, NULL, NULL, NULL, &error);
  atl_cpu_backend_count (cpu, NULL);
  g_assert_no_error (error);
  for (guint i = 0; i < ATL_N_OPS; i++)
    products += costs[i].products;
  g_assert_cmpfloat (ABS (products - cost.total), <=, 1e-6 * products);
  g_assert_cmpint (atl_arrays_find (outputs, "image")->dim[3], ==, cost.width);
}

/* Beside a device the computer holds what pipelines work on: the picture as numbers, in bytes and
 * in the file that it is handed over in; and while it draws the latents that the solver keeps. */
static void
test_counts_arrays (gconstpointer family)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  AtlBackend *device = atl_rehearsal_new (cpu, &error), *backends[] = { device, cpu };
  const guint64 pixels = 1024 * 1024;
  AtlDiffusionCost cost, small;

  g_assert_no_error (error);
  device->is_host = FALSE;
  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", 64);
  atl_settings_set_number (settings, "height", 64);
  atl_diffusion_model_cost (model, backends, 2, settings, NULL, &small, &error);
  g_assert_no_error (error);
  atl_settings_set_number (settings, "width", 1024);
  atl_settings_set_number (settings, "height", 1024);
  atl_diffusion_model_cost (model, backends, 2, settings, NULL, &cost, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cost.host - small.host, >, pixels * 3 * (sizeof (float) + 2) * 99 / 100);
  /* What stays behind the run are no arrays. */
  g_assert_cmpuint (cost.host_resident, <, pixels);
  atl_backend_free (device);
}

/* Arrays of a walk are on the account of who counts them, from when they are made to when they are
 * freed. */
static void
test_array_account (void)
{
  g_autoptr (GError) error = NULL;
  AtlBackend *counting = atl_rehearsal_new (cpu, &error);
  const AtlRehearsalCounts *counts = atl_rehearsal_counts (counting);
  const gint64 n = 1 << 18;
  AtlArray *before, *a, *b;

  g_assert_no_error (error);
  atl_arrays_set_hollow (TRUE);
  before = atl_array_new ("before", ATL_DTYPE_F32, 1, &n);
  atl_rehearsal_count_arrays (counting);
  a = atl_array_new ("a", ATL_DTYPE_F32, 1, &n);
  b = atl_array_try_new ("b", ATL_DTYPE_F32, 1, &n, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (counts->held_bytes, ==, 8 * (guint64) n);
  atl_array_free (a);
  atl_array_free (before);
  g_assert_cmpuint (counts->held_bytes, ==, 4 * (guint64) n);
  g_assert_cmpuint (counts->peak_bytes, ==, 8 * (guint64) n);
  atl_rehearsal_count_arrays (NULL);
  atl_array_free (b);
  a = atl_array_new ("a", ATL_DTYPE_F32, 1, &n);
  g_assert_cmpuint (counts->held_bytes, ==, 4 * (guint64) n);
  atl_array_free (a);
  atl_arrays_set_hollow (FALSE);
  atl_backend_free (counting);
}

/* Nothing stays behind: devices can be made again and again. */
static void
test_leaves_nothing (void)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open ("sd15");

  for (guint i = 0; i < 20; i++)
    price (model, 64, i + 1, 5);
}

/* Arrays of a huge picture are not touched: the walk takes milliseconds and no memory. */
static void
test_huge (gconstpointer family)
{
  g_autoptr (AtlDiffusionModel) model = small_model_open (family);
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  struct rusage before, after;
  AtlDiffusionCost cost;

  atl_settings_set_string (settings, "prompt", "a red fox");
  /* What is the same for every size is touched by the first. */
  for (guint i = 0; i < 2; i++)
    {
      atl_settings_set_number (settings, "width", i == 0 ? 64 : 8192);
      atl_settings_set_number (settings, "height", i == 0 ? 64 : 8192);
      getrusage (RUSAGE_SELF, &before);
      atl_diffusion_model_cost (model, &cpu, 1, settings, NULL, &cost, &error);
      getrusage (RUSAGE_SELF, &after);
      g_assert_no_error (error);
    }
  /* The latent alone has 16 MB. */
  g_assert_cmpint ((after.ru_minflt - before.ru_minflt) * 4096, <, 8 << 20);
}

/* Nor are those of huge pictures that it begins with or follows. Without ATELIER_FAULT_ROUNDS only
 * the families that come with the source. */
static void
test_huge_start (gconstpointer data)
{
  const FamilyModel *family = data;
  g_autofree char *folder = family_model_folder (family);
  g_autoptr (AtlDiffusionModel) model = NULL;
  gboolean follows = g_str_equal (family->inputs, "reference");
  struct rusage before, after;

  if (folder == NULL)
    return;
  model = small_model_open_folder (folder, NULL, NULL);
  for (gint64 i = 0; i < 2; i++)
    {
      const gint64 side = i == 0 ? 64 : 2048;
      g_autoptr (AtlSettings) settings = atl_settings_new ();
      g_autoptr (GPtrArray) inputs = atl_arrays_new ();
      g_autoptr (GVariant) own = g_variant_ref_sink (
          g_variant_new_parsed (family->settings != NULL ? family->settings : "@a{sv} {}"));
      g_autoptr (GError) error = NULL;
      AtlDiffusionCost cost;

      atl_settings_add_dict (settings, own);
      atl_settings_set_string (settings, "prompt", "a red fox");
      atl_settings_set_number (settings, "width", (double) side);
      atl_settings_set_number (settings, "height", (double) side);
      atl_arrays_set_hollow (TRUE);
      g_ptr_array_add (inputs, atl_array_new (follows ? "image_1" : "image", ATL_DTYPE_F32, 4,
                                              (gint64[]){ 1, 3, side, side }));
      if (strstr (family->inputs, "mask") != NULL)
        g_ptr_array_add (inputs,
                         atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, 1, side, side }));
      atl_arrays_set_hollow (FALSE);
      getrusage (RUSAGE_SELF, &before);
      atl_diffusion_model_cost (model, &cpu, 1, settings, inputs, &cost, &error);
      getrusage (RUSAGE_SELF, &after);
      g_assert_no_error (error);
    }
  /* The picture has 50 MB. */
  g_test_message ("%ld pages", after.ru_minflt - before.ru_minflt);
  g_assert_cmpint ((after.ru_minflt - before.ru_minflt) * 4096, <, 8 << 20);
  patched_model_remove (folder);
}

/* A picture that is larger than the network's table of positions is refused in pixels, and is not
 * taken for a part that does not fit. */
static void
test_too_large (void)
{
  g_autofree char *family = small_model_family ("sd3");
  g_autofree char *folder = family != NULL ? g_build_filename (family, "model", NULL) : NULL;
  g_autoptr (AtlDiffusionModel) model = NULL;
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  AtlDiffusionCost cost;

  if (family == NULL)
    {
      g_test_skip ("no golden cases of sd3 (ATELIER_GOLDEN_PATH): this case did not run");
      return;
    }
  model = small_model_open_folder (folder, NULL, NULL);
  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", 384);
  atl_settings_set_number (settings, "height", 32);
  atl_diffusion_model_cost (model, &cpu, 1, settings, NULL, &cost, &error);
  g_assert_no_error (error);
  atl_settings_set_number (settings, "width", 400);
  g_assert_false (atl_diffusion_model_cost (model, &cpu, 1, settings, NULL, &cost, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_cmpstr (error->message, ==,
                   "This model makes pictures of up to 384 × 384 pixels, not of 400 × 32");
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;
  gboolean is_long = g_getenv ("ATELIER_FAULT_ROUNDS") != NULL;

  g_test_init (&argc, &argv, NULL);
  cpu = atl_cpu_backend_new (NULL, &error);
  g_assert_no_error (error);
  g_test_add_data_func ("/cost/grows/sd15", "sd15", test_grows);
  g_test_add_data_func ("/cost/grows/wan21", "wan21", test_grows);
  g_test_add_data_func ("/cost/is-what-happens/sd15", "sd15", test_is_what_happens);
  g_test_add_data_func ("/cost/is-what-happens/wan21", "wan21", test_is_what_happens);
  g_test_add_data_func ("/cost/counts-arrays/sd15", "sd15", test_counts_arrays);
  g_test_add_data_func ("/cost/counts-arrays/wan21", "wan21", test_counts_arrays);
  g_test_add_func ("/cost/array-account", test_array_account);
  g_test_add_data_func ("/cost/huge/sd15", "sd15", test_huge);
  g_test_add_data_func ("/cost/huge/wan21", "wan21", test_huge);
  for (guint i = 0; i < family_models_n (); i++)
    {
      g_autofree char *path = g_strdup_printf ("/cost/huge-start/%s", family_model (i)->name);

      if (*family_model (i)->inputs != '\0' && (is_long || family_model (i)->is_shipped))
        g_test_add_data_func (path, family_model (i), test_huge_start);
    }
  g_test_add_func ("/cost/too-large", test_too_large);
  g_test_add_func ("/cost/leaves-nothing", test_leaves_nothing);
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
