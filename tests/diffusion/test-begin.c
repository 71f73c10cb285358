/* One frame of Wan from a picture: as far from it as the strength says, and inside of a mask. (That
 * the numbers are those of diffusers' WanVideoToVideoPipeline was seen once, on three backends.) */
#include "engine/diffusion/arrays.h"
#include "engine/tensor/cpu/cpu.h"
#include "small-model.h"

#define SIDE 64

static AtlBackend *cpu;

/* A picture that goes from dark to bright; with a mask only its right half may change. */
static GPtrArray *
make_inputs (gboolean has_mask)
{
  GPtrArray *inputs = atl_arrays_new ();
  AtlArray *image = atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, SIDE, SIDE });
  AtlArray *mask = atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, 1, SIDE, SIDE });

  for (gint64 i = 0; i < atl_array_n_elems (image); i++)
    atl_array_f32 (image)[i] = (float) (i % SIDE) / SIDE;
  for (gint64 i = 0; i < atl_array_n_elems (mask); i++)
    atl_array_f32 (mask)[i] = i % SIDE < SIDE / 2 ? 0 : 1;
  g_ptr_array_add (inputs, image);
  if (has_mask)
    g_ptr_array_add (inputs, mask);
  else
    atl_array_free (mask);
  return inputs;
}

/* Its latent; the caller's. `sampler`: a class, or NULL for the model's own. */
static AtlArray *
draw_by (AtlDiffusionModel *model, const char *sampler, double strength, gboolean has_mask)
{
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) inputs = make_inputs (has_mask);
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GError) error = NULL;

  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", SIDE);
  atl_settings_set_number (settings, "height", SIDE);
  atl_settings_set_number (settings, "frames", 1);
  atl_settings_set_number (settings, "steps", sampler != NULL ? 24 : 4);
  atl_settings_set_number (settings, "seed", 4);
  atl_settings_set_number (settings, "strength", strength);
  if (sampler != NULL)
    atl_settings_set_string (settings, "scheduler", sampler);
  outputs = atl_diffusion_model_run (model, settings, inputs, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (atl_arrays_find (outputs, "image"));
  return atl_array_copy (atl_arrays_find (outputs, "final_latent"), "latent");
}

static AtlArray *
draw (AtlDiffusionModel *model, double strength, gboolean has_mask)
{
  return draw_by (model, NULL, strength, has_mask);
}

static void
test_wan (void)
{
  g_autofree char *folder = small_model_folder ("wan21");
  g_autoptr (AtlDiffusionModel) model = small_model_open_folder (folder, NULL, NULL);
  g_autoptr (AtlArray) still = NULL, little = NULL, much = NULL, part = NULL;
  gint64 w, n_inside = 0;

  atl_diffusion_model_use (model, &cpu, 1);
  still = draw (model, 0, FALSE);
  little = draw (model, 0.25, FALSE);
  much = draw (model, 1, FALSE);
  g_assert_cmpfloat (atl_array_rel_l2 (little, still), >, 0.01);
  g_assert_cmpfloat (atl_array_rel_l2 (little, still), <, atl_array_rel_l2 (much, still));

  part = draw (model, 1, TRUE);
  w = part->dim[part->n_dims - 1];
  for (gint64 i = 0; i < atl_array_n_elems (part); i++)
    if (i % w < w / 2)
      g_assert_cmpfloat (atl_array_f32 (part)[i], ==, atl_array_f32 (still)[i]);
    else
      n_inside += atl_array_f32 (part)[i] != atl_array_f32 (still)[i];
  g_assert_cmpint (n_inside, >, atl_array_n_elems (part) / 4);
}

/* A solver that asks twice a step begins with a whole step, not in the middle of one, where it
 * would leave the noise as it is. */
static void
test_second_order (void)
{
  g_autofree char *folder = small_model_folder ("wan21");
  g_autoptr (AtlDiffusionModel) model = small_model_open_folder (folder, NULL, NULL);
  g_autoptr (AtlArray) once = NULL, twice = NULL, most = NULL;

  atl_diffusion_model_use (model, &cpu, 1);
  once = draw_by (model, "FlowMatchEulerDiscreteScheduler", 0.5, FALSE);
  twice = draw_by (model, "FlowMatchHeunDiscreteScheduler", 0.5, FALSE);
  most = draw_by (model, "FlowMatchEulerDiscreteScheduler", 1, FALSE);
  g_assert_cmpfloat (atl_array_rel_l2 (twice, once), <, atl_array_rel_l2 (most, once));
}

/* What only goes on from a picture has nothing to draw in one frame, and says so at the price. */
static void
test_goes_on (void)
{
  g_autofree char *shipped = small_model_shipped ("wan21");
  g_autofree char *folder = g_build_filename (shipped, "model-i2v", NULL);
  g_autoptr (AtlDiffusionModel) model = small_model_open_folder (folder, NULL, NULL);
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  AtlDiffusionCost cost;

  atl_diffusion_model_use (model, &cpu, 1);
  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", SIDE);
  atl_settings_set_number (settings, "height", SIDE);
  atl_settings_set_number (settings, "steps", 2);
  for (guint frames = 1; frames <= 5; frames += 4)
    {
      g_autoptr (GPtrArray) inputs = make_inputs (FALSE);
      g_autoptr (GError) error = NULL;

      atl_settings_set_number (settings, "frames", frames);
      g_assert_cmpint (atl_diffusion_model_cost (model, NULL, 0, settings, inputs, &cost, &error),
                       ==, frames > 1);
      if (frames > 1)
        g_assert_no_error (error);
      else
        g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
    }
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  cpu = atl_cpu_backend_new (NULL, &error);
  g_assert_no_error (error);
  g_test_add_func ("/begin/wan", test_wan);
  g_test_add_func ("/begin/second-order", test_second_order);
  g_test_add_func ("/begin/goes-on", test_goes_on);
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
