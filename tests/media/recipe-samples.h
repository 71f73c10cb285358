/* Recipes to read, and what is expected of them, for the tests of this folder. Include once per
 * test program. */
#pragma once

#include <string.h>

#include "media/recipe.h"

static inline void
assert_text (GVariant *recipe, const char *key, const char *expected)
{
  const char *text = NULL;

  g_assert_nonnull (recipe);
  g_variant_lookup (recipe, key, "&s", &text);
  g_assert_cmpstr (text, ==, expected);
}

static inline void
assert_uint (GVariant *recipe, const char *key, guint32 expected)
{
  guint32 number = G_MAXUINT32;

  g_assert_true (g_variant_lookup (recipe, key, "u", &number));
  g_assert_cmpuint (number, ==, expected);
}

static inline void
assert_double (GVariant *recipe, const char *key, double expected)
{
  double number = -1;

  g_assert_true (g_variant_lookup (recipe, key, "d", &number));
  g_assert_cmpfloat_with_epsilon (number, expected, 1e-9);
}

/* "name*weight name*weight" */
static inline void
assert_loras (GVariant *recipe, const char *expected)
{
  g_autoptr (GVariant) loras =
      g_variant_lookup_value (recipe, ATL_RECIPE_LORAS, G_VARIANT_TYPE ("aa{sv}"));
  g_autoptr (GString) said = g_string_new (NULL);

  for (gsize i = 0; loras != NULL && i < g_variant_n_children (loras); i++)
    {
      g_autoptr (GVariant) lora = g_variant_get_child_value (loras, i);
      const char *name = NULL;
      double weight = -1;

      g_variant_lookup (lora, "name", "&s", &name);
      g_variant_lookup (lora, "weight", "d", &weight);
      g_string_append_printf (said, "%s%s*%g", i > 0 ? " " : "", name, weight);
    }
  g_assert_cmpstr (said->str, ==, expected);
}

static inline void
assert_other (GVariant *recipe, const char *key, const char *expected)
{
  g_autoptr (GVariant) other =
      g_variant_lookup_value (recipe, ATL_RECIPE_OTHER, G_VARIANT_TYPE ("a{ss}"));
  const char *text = NULL;

  g_assert_nonnull (other);
  g_variant_lookup (other, key, "&s", &text);
  g_assert_cmpstr (text, ==, expected);
}

static inline GVariant *
read_one (const char *key, const char *text)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (1, 1);

  atl_picture_set_text (picture, key, text);
  return atl_recipe_read (picture);
}

static inline void
check_readable (GVariant *recipe)
{
  g_autofree char *json = NULL, *text = NULL;
  g_autoptr (GVariant) again = NULL;

  if (recipe == NULL)
    return;
  g_assert_true (g_variant_is_of_type (recipe, G_VARIANT_TYPE_VARDICT));
  json = atl_recipe_to_json (recipe);
  text = atl_recipe_to_text (recipe);
  g_assert_nonnull (json);
  g_assert_true (g_utf8_validate (json, -1, NULL));
  g_assert_true (g_utf8_validate (text, -1, NULL));
  again = atl_recipe_from_json (json);
  g_assert_nonnull (again);
}

static inline GVariant *
sample (void)
{
  g_autoptr (GError) error = NULL;
  GVariant *recipe = g_variant_parse (
      G_VARIANT_TYPE_VARDICT,
      "{'prompt': <'ein Fuchs, (rot:1.2) 🦊\\nSteps: 3, no'>, 'negative_prompt': <'blurry: yes'>,"
      " 'steps': <uint32 20>, 'seed': <uint32 4294967295>, 'guidance': <7.0>, 'width': <uint32 64>,"
      " 'height': <uint32 48>, 'sampler': <'DPM++ 2M'>, 'schedule': <'Karras'>,"
      " 'strength': <0.625>, 'model': <'Doodle, \"big\"'>, 'shift': <3.5>, 'tiled': <true>,"
      " 'loras': <[{'name': <'ink'>, 'weight': <0.8>}, {'name': <'dusk'>, 'weight': <-1.0>}]>,"
      " 'numbers': <[<uint32 1>, <2.5>, <'x'>]>, 'words': <['a', 'b']>,"
      " 'deep': <{'a': <{'b': <'c'>}>}>, 'other': <{'Hires upscale': '2', 'Note': 'a, b: c'}>}",
      NULL, NULL, &error);

  g_assert_no_error (error);
  return recipe;
}

static const char comfy_graph[] =
    "{\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":[\"20\",0],\"steps\":30,\"cfg\":5.5,"
    "\"sampler_name\":\"dpmpp_2m_sde_gpu\",\"scheduler\":\"karras\",\"denoise\":1,\"model\":["
    "\"11\","
    "0],\"positive\":[\"6\",0],\"negative\":[\"7\",0],\"latent_image\":[\"5\",0]}},"
    "\"4\":{\"class_type\":\"CheckpointLoaderSimple\",\"inputs\":{\"ckpt_name\":\"XL\\\\my "
    "model.safetensors\"}},"
    "\"5\":{\"class_type\":\"EmptyLatentImage\",\"inputs\":{\"width\":1024,\"height\":768}},"
    "\"6\":{\"class_type\":\"ConditioningCombine\",\"inputs\":{\"conditioning_1\":[\"61\",0],"
    "\"conditioning_2\":[\"62\",0]}},"
    "\"61\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":[\"21\",0]}},"
    "\"62\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"warm light\"}},"
    "\"7\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"blurry\"}},"
    "\"8\":{\"class_type\":\"VAEDecode\",\"inputs\":{\"samples\":[\"30\",0],\"vae\":[\"4\",2]}},"
    "\"9\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"8\",0]},\"is_changed\":[NaN]},"
    "\"10\":{\"class_type\":\"LoraLoader\",\"inputs\":{\"lora_name\":\"a/ink.safetensors\","
    "\"strength_model\":0.6,\"strength_clip\":1,\"model\":[\"4\",0],\"clip\":[\"4\",1]}},"
    "\"11\":{\"class_type\":\"Power Lora Loader\",\"inputs\":{\"lora_1\":{\"on\":true,\"lora\":"
    "\"dusk.safetensors\",\"strength\":0.4},\"lora_2\":{\"on\":false,\"lora\":\"no.safetensors\","
    "\"strength\":1},\"model\":[\"10\",0]}},"
    "\"20\":{\"class_type\":\"Seed (rgthree)\",\"inputs\":{\"seed\":77}},"
    "\"21\":{\"class_type\":\"PrimitiveStringMultiline\",\"inputs\":{\"value\":\"a pier\"}},"
    "\"29\":{\"class_type\":\"LatentUpscale\",\"inputs\":{\"samples\":[\"3\",0],\"width\":2048,"
    "\"height\":1536}},"
    "\"30\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":5,\"steps\":10,\"cfg\":8,"
    "\"sampler_name\":\"euler\",\"scheduler\":\"normal\",\"denoise\":0.5,\"model\":[\"4\",0],"
    "\"positive\":[\"6\",0],\"negative\":[\"7\",0],\"latent_image\":[\"29\",0]}}}";

static const char comfy_flux[] =
    "{\"1\":{\"class_type\":\"SamplerCustomAdvanced\",\"inputs\":{\"noise\":[\"2\",0],\"guider\":"
    "[\"3\",0],\"sampler\":[\"4\",0],\"sigmas\":[\"5\",0],\"latent_image\":[\"6\",0]}},"
    "\"2\":{\"class_type\":\"RandomNoise\",\"inputs\":{\"noise_seed\":12}},"
    "\"3\":{\"class_type\":\"BasicGuider\",\"inputs\":{\"model\":[\"7\",0],\"conditioning\":[\"8\","
    "0]}},"
    "\"4\":{\"class_type\":\"KSamplerSelect\",\"inputs\":{\"sampler_name\":\"euler\"}},"
    "\"5\":{\"class_type\":\"BasicScheduler\",\"inputs\":{\"scheduler\":\"simple\",\"steps\":4,"
    "\"denoise\":0.8,\"model\":[\"7\",0]}},"
    "\"6\":{\"class_type\":\"VAEEncode\",\"inputs\":{\"pixels\":[\"12\",0]}},"
    "\"7\":{\"class_type\":\"UNETLoader\",\"inputs\":{\"unet_name\":\"flux1-dev.gguf\"}},"
    "\"8\":{\"class_type\":\"FluxGuidance\",\"inputs\":{\"guidance\":2.5,\"conditioning\":[\"9\",0]"
    "}"
    "},\"9\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"a glass bird\"}},"
    "\"10\":{\"class_type\":\"VAEDecode\",\"inputs\":{\"samples\":[\"1\",0]}},"
    "\"11\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"10\",0]}},"
    "\"12\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"x.png\"}}}";

static const char comfy_drawing[] =
    "{\"last_node_id\":9,\"nodes\":["
    "{\"id\":3,\"type\":\"KSampler\",\"mode\":0,\"inputs\":[{\"name\":\"model\",\"link\":1},{"
    "\"name\":\"positive\",\"link\":4},{\"name\":\"negative\",\"link\":6},{\"name\":"
    "\"latent_image\",\"link\":2}],\"widgets_values\":[8,\"randomize\",12,4.5,\"euler_ancestral\","
    "\"normal\",1]},"
    "{\"id\":4,\"type\":\"CheckpointLoaderSimple\",\"widgets_values\":[\"base.ckpt\"]},"
    "{\"id\":5,\"type\":\"EmptyLatentImage\",\"widgets_values\":[640,512,1]},"
    "{\"id\":6,\"type\":\"CLIPTextEncode\",\"inputs\":[{\"name\":\"clip\",\"link\":3}],"
    "\"widgets_values\":[\"a barn owl\"]},"
    "{\"id\":7,\"type\":\"CLIPTextEncode\",\"widgets_values\":[\"ugly\"]},"
    "{\"id\":8,\"type\":\"KSampler\",\"mode\":4,\"widgets_values\":[1,\"fixed\",99,1,\"ddim\","
    "\"normal\",1]}],"
    "\"links\":[[1,4,0,3,0,\"MODEL\"],[4,6,0,3,1,\"CONDITIONING\"],[6,7,0,3,2,\"CONDITIONING\"],"
    "[2,5,0,3,3,\"LATENT\"],[3,4,1,6,0,\"CLIP\"],[\"x\"],7]}";
