/* Any text as what a picture's file says about how it was made, under one of the names that
 * programs keep it by (its length says which). */
#include "fuzz.h"
#include "media/recipe-samples.h"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES (
      "{\"sui_image_params\":{\"prompt\":\"a\",\"loras\":[\"i\",{}],\"loraweights\":\"0.5,x\"}}"),
  ATL_FUZZ_BYTES (
      "{\"prompt\":\"a\",\"base_model\":\"b\",\"loras\":[[\"o\",0.1],[],3],\"resolution\":\"(1, "
      "\"}"),
  ATL_FUZZ_BYTES (
      "{\"positive_prompt\":\"a\",\"model\":{},\"loras\":[{\"model\":{}},3],\"image\":null}"),
  ATL_FUZZ_BYTES ("a <lora:x:1e999> <lora:> <lora:y\nNegative prompt: \nSteps: -3, Size: 0x9, "
                  "Seed: , X: \"\\"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("{"),
  ATL_FUZZ_BYTES ("}"),
  ATL_FUZZ_BYTES ("["),
  ATL_FUZZ_BYTES ("]"),
  ATL_FUZZ_BYTES ("\""),
  ATL_FUZZ_BYTES ("\\u0000"),
  ATL_FUZZ_BYTES ("\\ud800"),
  ATL_FUZZ_BYTES (","),
  ATL_FUZZ_BYTES (": "),
  ATL_FUZZ_BYTES ("<lora:"),
  ATL_FUZZ_BYTES ("1e999"),
  ATL_FUZZ_BYTES ("-9223372036854775809"),
  ATL_FUZZ_BYTES ("NaN"),
  ATL_FUZZ_BYTES ("\nNegative prompt: "),
  ATL_FUZZ_BYTES ("\nSteps: 20, "),
  ATL_FUZZ_BYTES ("Size: 4294967296x1, "),
  ATL_FUZZ_BYTES ("Lora hashes: \"a: 1, b: 2\", "),
  ATL_FUZZ_BYTES ("\"class_type\":\"KSampler\","),
  ATL_FUZZ_BYTES ("\"inputs\":{\"text\":[\"6\",0]},"),
  ATL_FUZZ_BYTES ("\"nodes\":[{\"id\":1,\"widgets_values\":[1]}],"),
  ATL_FUZZ_BYTES ("\xff"),
  { NULL, 0 },
};

static void
add_text (GPtrArray *list, const char *text)
{
  g_ptr_array_add (list, g_bytes_new (text, strlen (text)));
}

static void
add_seeds (GPtrArray *list)
{
  g_autoptr (GVariant) own = sample ();
  g_autofree char *json = atl_recipe_to_json (own), *text = atl_recipe_to_text (own);

  add_text (list, json);
  add_text (list, text);
  add_text (list, comfy_graph);
  add_text (list, comfy_flux);
  add_text (list, comfy_drawing);
}

const AtlFuzzTarget atl_fuzz_target = { "recipe", NULL, NULL, seeds, words, add_seeds };

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const char *const keys[] = { "parameters",  "prompt",      "workflow",
                                      "UserComment", "sd-metadata", "atelier" };
  g_autofree char *text = size > 0 ? g_strndup ((const char *) data, size) : g_strdup ("");
  gsize how = size % (G_N_ELEMENTS (keys) + 2);
  g_autoptr (GVariant) read = how == 0   ? atl_recipe_from_text (text)
                              : how == 1 ? atl_recipe_from_json (text)
                                         : read_one (keys[how - 2], text);

  check_readable (read);
  return 0;
}
