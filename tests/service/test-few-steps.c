/* LoRAs for few steps set by themselves what they need: what names and sums say, and pictures of
 * the golden cases that are asked for with nothing but the LoRA. */
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/lora-steps.h"
#include "engine/formats/open.h"
#include "engine/service/picture.h"
#include "engine/tensor/cpu/cpu.h"
#include "protocol/protocol.h"
#include "small-model.h"

static AtlBackend *cpu;

static const AtlDiffusionFamily *
family_named (const char *name)
{
  for (const AtlDiffusionFamily *const *at = atl_diffusion_families (); *at != NULL; at++)
    if (g_str_equal ((*at)->name, name))
      return *at;
  g_assert_not_reached ();
}

static void
test_names (void)
{
  static const struct
  {
    const char *name, *family;
    guint steps;
    double guidance;
    const char *sampler, *schedule;
    double strength, eta;
  } rows[] = {
    { "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors", "sd", 4, 1, "LCM", NULL, 1, -1 },
    { "LCM_LoRA_Weights_SD15.safetensors", "sd", 4, 1, "LCM", NULL, 1, -1 },
    { "lcm-lora-sdxl.safetensors", "sdxl", 4, 1, "LCM", NULL, 1, -1 },
    { "models--latent-consistency--lcm-lora-sdxl/pytorch_lora_weights.safetensors", "sdxl", 4, 1,
      "LCM", NULL, 1, -1 },
    { "dmd2_sdxl_4step_lora_fp16.safetensors", "sdxl", 4, 1, "LCM", NULL, 1, -1 },
    { "sdxl_lightning_2step_lora.safetensors", "sdxl", 2, 1, "Euler", "SGM Uniform", 1, -1 },
    { "sdxl_lightning_8step_lora.safetensors", "sdxl", 8, 1, "Euler", "SGM Uniform", 1, -1 },
    { "Hyper-SDXL-1step-lora.safetensors", "sdxl", 1, 1, "TCD", NULL, 1, 1 },
    { "Hyper-SDXL-4steps-lora.safetensors", "sdxl", 4, 1, "DDIM", "SGM Uniform", 1, -1 },
    { "sdxl_hyper_sd_4step_lora.safetensors", "sdxl", 4, 1, "DDIM", "SGM Uniform", 1, -1 },
    { "hypersd-xl-8steps.safetensors", "sdxl", 8, 1, "DDIM", "SGM Uniform", 1, -1 },
    { "Hyper-SDXL-12steps-CFG-lora.safetensors", "sdxl", 12, -1, "DDIM", "SGM Uniform", 1, -1 },
    { "Hyper-SD15-8steps-CFG-lora.safetensors", "sd", 8, -1, "DDIM", "SGM Uniform", 1, -1 },
    { "Hyper-SD3-4steps-CFG-lora.safetensors", "sd3", 4, 3, NULL, NULL, 0.125, -1 },
    { "Hyper-SD3-8steps-CFG-lora.safetensors", "sd3", 8, 5, NULL, NULL, 0.125, -1 },
    { "Hyper-SD3-16steps-CFG-lora.safetensors", "sd3", 16, 7, NULL, NULL, 0.125, -1 },
    { "Hyper-FLUX.1-dev-8steps-lora.safetensors", "flux", 8, -1, NULL, NULL, 0.125, -1 },
    { "FLUX.1-Turbo-Alpha.safetensors", "flux", 8, -1, NULL, NULL, 1, -1 },
    { "pcm_sdxl_smallcfg_2step_converted.safetensors", "sdxl", 2, 1, "DDIM", "SGM Uniform", 1, -1 },
    { "pcm_sd15_normalcfg_4step_converted.safetensors", "sd", 4, -1, "DDIM", "SGM Uniform", 1, -1 },
    { "sd_xl_turbo_lora_v1.safetensors", "sdxl", 4, 1, "Euler a", "SGM Uniform", 1, -1 },
    { "Qwen-Image-Lightning-4steps-V2.0.safetensors", "qwen-image", 4, 1, NULL, NULL, 1, -1 },
    { "lightx2v_T2V_14B_cfg_step_distill_v2_lora_rank64_bf16.safetensors", "wan", 4, 1, "Euler",
      NULL, 1, -1 },
    { "Wan21_CausVid_14B_T2V_lora_rank32.safetensors", "wan", 4, 1, "Euler", NULL, 1, -1 },
    { "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors", "wan", 4, 1, "Euler", NULL, 1,
      -1 },
    /* Words alone are for anything. */
    { "lightning_strikes.safetensors", "sdxl", 0, -1, NULL, NULL, 1, -1 },
    { "hyper_realism.safetensors", "sd", 0, -1, NULL, NULL, 1, -1 },
    { "welcome.safetensors", "sd", 0, -1, NULL, NULL, 1, -1 },
    { "ink.safetensors", "sdxl", 0, -1, NULL, NULL, 1, -1 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      AtlLoraFacts facts = { .family = family_named (rows[i].family) };

      atl_lora_find_steps (rows[i].name, &facts);
      g_test_message ("%s: %u steps, %s", rows[i].name, facts.steps,
                      facts.sampler != NULL ? facts.sampler : "own");
      g_assert_cmpuint (facts.steps, ==, rows[i].steps);
      g_assert_cmpfloat (facts.guidance, ==, rows[i].guidance);
      g_assert_cmpstr (facts.sampler, ==, rows[i].sampler);
      g_assert_cmpstr (facts.schedule, ==, rows[i].schedule);
      g_assert_cmpfloat (facts.strength, ==, rows[i].strength);
      g_assert_cmpfloat (facts.eta, ==, rows[i].eta);
    }
}

static void
test_sums (void)
{

  g_assert_cmpstr (
      atl_lora_published_as (393854592,
                             "bf56cf2657efb15e465d81402ed481d1e11c4677e4bcce1bc11fe71ad8506b79"),
      ==, "sdxl_lightning_4step_lora");
  g_assert_null (atl_lora_published_as (
      393854593, "bf56cf2657efb15e465d81402ed481d1e11c4677e4bcce1bc11fe71ad8506b79"));
  g_assert_true (atl_lora_is_published_size (787239704));
  g_assert_false (atl_lora_is_published_size (64));
}

/* DMD2's timesteps, evenly down from 999. */
static void
test_timesteps (void)
{
  AtlLoraFacts facts = { .family = family_named ("sdxl") };
  g_autofree double *four = NULL;
  g_autofree double *three = NULL;
  g_autofree double *one = NULL;

  atl_lora_find_steps ("dmd2_sdxl_4step_lora", &facts);
  four = atl_lora_timesteps (&facts, 4);
  g_assert_cmpfloat (four[0], ==, 999);
  g_assert_cmpfloat (four[1], ==, 749);
  g_assert_cmpfloat (four[3], ==, 249);
  three = atl_lora_timesteps (&facts, 3);
  g_assert_cmpfloat (three[2], >, 0);
  one = atl_lora_timesteps (&facts, 1);
  g_assert_cmpfloat (one[0], ==, 399);
  g_assert_null (atl_lora_timesteps (&facts, 0));
  g_assert_null (atl_lora_timesteps (&facts, 1001));
  atl_lora_find_steps ("lcm-lora-sdxl", &facts);
  g_assert_null (atl_lora_timesteps (&facts, 4));
}

/* What a person says stays; a recipe that names the LoRA's sampler is drawn as with it. */
static void
test_said (void)
{
  AtlLoraFacts facts = { .family = family_named ("sdxl") };
  g_autoptr (AtlSettings) own = atl_settings_new ();
  g_autoptr (AtlSettings) other = atl_settings_new ();
  g_autofree double *timesteps = NULL;
  guint n;

  atl_lora_find_steps ("dmd2_sdxl_4step_lora", &facts);
  atl_settings_set_number (own, ATL_MADE_STEPS, 8);
  atl_settings_set_number (own, ATL_MADE_GUIDANCE, 2);
  atl_settings_set_string (own, ATL_MADE_SAMPLER, "lcm");
  atl_picture_set_few_steps (own, &facts);
  g_assert_cmpfloat (atl_settings_number (own, ATL_MADE_STEPS, 0), ==, 8);
  g_assert_cmpfloat (atl_settings_number (own, ATL_MADE_GUIDANCE, 0), ==, 2);
  timesteps = atl_settings_numbers (own, "timesteps", &n);
  g_assert_cmpuint (n, ==, 8);
  g_assert_cmpfloat (timesteps[1], ==, 874);
  atl_settings_set_string (other, ATL_MADE_SAMPLER, "Euler");
  atl_picture_set_few_steps (other, &facts);
  g_assert_cmpstr (atl_settings_string (other, ATL_MADE_SAMPLER, ""), ==, "Euler");
  g_assert_cmpfloat (atl_settings_number (other, ATL_MADE_STEPS, 0), ==, 4);
  g_assert_false (atl_settings_has (other, "timesteps"));
}

/* --- Golden cases --- */

static void
add_arrays (const char *folder, const char *name, GPtrArray *arrays)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  g_autoptr (AtlCheckpoint) cp = NULL;

  g_assert_no_error (error);
  cp = atl_checkpoint_open (&map, &name, 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    g_ptr_array_add (arrays, atl_array_from_tensor (atl_checkpoint_tensor (cp, i), &error));
  g_assert_no_error (error);
}

/* The case's settings without what the LoRA is to say; its steps where they are others than these.
 */
static AtlSettings *
read_settings (const char *folder, guint steps)
{
  static const char *const told[] = { "guidance", "timesteps", "scheduler", "scheduler_config",
                                      "loras" };
  g_autofree char *path = g_build_filename (folder, "case.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  AtlSettings *settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  JsonObject *params;

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  params = json_object_get_object_member (json_node_get_object (json_parser_get_root (parser)),
                                          "params");
  for (gsize i = 0; i < G_N_ELEMENTS (told); i++)
    json_object_remove_member (params, told[i]);
  if (json_object_get_int_member (params, "steps") == steps)
    json_object_remove_member (params, "steps");
  atl_settings_add_json (settings, params);
  return settings;
}

static void
test_golden (void)
{
  static const struct
  {
    const char *name, *file, *called;
  } cases[] = {
    { "pipeline-dmd2", "kohya.safetensors", "dmd2_sdxl_4step_lora.safetensors" },
    { "pipeline-lcm-lora", "peft.safetensors", "lcm-lora-sdxl/pytorch_lora_weights.safetensors" },
    /* A whole model, which its LoRA makes of another: it wants the same settings. */
    { "pipeline-lightning", NULL, "sdxl_lightning_4step_lora.safetensors" },
  };
  g_autofree char *family = small_model_family ("sdxl");
  g_autofree char *folder = NULL;
  g_autoptr (AtlDiffusionModel) model = NULL;

  if (family == NULL)
    {
      g_test_skip ("SDXL's cases were not found: set ATELIER_GOLDEN_PATH to a folder with them");
      return;
    }
  folder = g_build_filename (family, "model", NULL);
  model = small_model_open_folder (folder, NULL, NULL);
  atl_diffusion_model_use (model, &cpu, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *at = g_build_filename (family, "cases", cases[i].name, NULL);
      g_autoptr (AtlSettings) settings = read_settings (at, 4);
      const AtlTraits *traits = atl_diffusion_model_traits (model);
      g_autoptr (GPtrArray) inputs = atl_arrays_new ();
      g_autoptr (GPtrArray) expected = atl_arrays_new ();
      g_autoptr (GPtrArray) outputs = NULL;
      g_autoptr (AtlCheckpoint) cp = NULL;
      g_autoptr (GError) error = NULL;
      AtlLoraFacts facts = { .family = family_named ("sdxl") };
      double rel;

      if (cases[i].file != NULL)
        {
          g_autofree char *path = g_build_filename (family, "loras", cases[i].file, NULL);
          g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
          AtlLoraFile file = { .scale = 1 };

          g_assert_no_error (error);
          file.cp = cp = atl_lora_open (map, cases[i].called, &error);
          g_assert_no_error (error);
          atl_lora_facts_clear (&facts);
          atl_lora_read_facts (cp, cases[i].called, NULL, family_named ("sdxl"), &facts);
          atl_diffusion_model_set_loras (model, &file, 1);
        }
      else
        {
          atl_lora_find_steps (cases[i].called, &facts);
          atl_diffusion_model_set_loras (model, NULL, 0);
        }
      atl_picture_set_few_steps (settings, &facts);
      atl_picture_set_defaults (settings, traits);
      g_assert_true (atl_picture_choose_sampler (settings, traits, &error));
      add_arrays (at, "inputs.safetensors", inputs);
      add_arrays (at, "expected.safetensors", expected);
      outputs = atl_diffusion_model_run (model, settings, inputs, NULL, NULL, &error);
      g_assert_no_error (error);
      rel = atl_array_rel_l2 (atl_arrays_find (outputs, "image"),
                              atl_arrays_find (expected, "image"));
      g_test_message ("%s: %g", cases[i].name, rel);
      /* As for whole pipelines on fast backends; named mistakes are ten times as far. */
      g_assert_cmpfloat (rel, <=, 0.002);
      atl_diffusion_model_set_loras (model, NULL, 0);
      atl_lora_facts_clear (&facts);
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
  g_test_add_func ("/few-steps/names", test_names);
  g_test_add_func ("/few-steps/sums", test_sums);
  g_test_add_func ("/few-steps/timesteps", test_timesteps);
  g_test_add_func ("/few-steps/said", test_said);
  g_test_add_func ("/few-steps/golden", test_golden);
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
