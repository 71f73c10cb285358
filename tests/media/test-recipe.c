/* Recipes: what goes into a file comes out of it, and what other programs write is understood. The
 * samples are written for these tests, in the programs' forms. */
#include "recipe-samples.h"

/* --- Our own --- */

static gboolean
same (GVariant *a, GVariant *b)
{
  g_autofree char *x = atl_recipe_to_json (a), *y = atl_recipe_to_json (b);

  return g_str_equal (x, y);
}

static void
test_own (void)
{
  static const AtlPictureFormat formats[] = { ATL_PICTURE_PNG, ATL_PICTURE_JPEG, ATL_PICTURE_WEBP };
  g_autoptr (GVariant) recipe = sample ();

  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_autoptr (AtlPicture) picture = atl_picture_new (64, 48), back = NULL;
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GVariant) read = NULL;
      g_autoptr (GError) error = NULL;

      atl_recipe_write (picture, recipe);
      bytes = atl_picture_encode (picture, formats[i], 0, &error);
      g_assert_no_error (error);
      back = atl_picture_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), 1 << 20,
                                 &error);
      g_assert_no_error (error);
      read = atl_recipe_read (back);
      g_assert_nonnull (read);
      g_assert_true (same (recipe, read));
      g_assert_cmpuint (g_variant_n_children (read), ==, g_variant_n_children (recipe));
      /* With their types. */
      for (gsize j = 0; j < g_variant_n_children (recipe); j++)
        {
          g_autoptr (GVariant) entry = g_variant_get_child_value (recipe, j);
          g_autoptr (GVariant) value = NULL, other = NULL;
          const char *key;

          g_variant_get (entry, "{&sv}", &key, &value);
          other = g_variant_lookup_value (read, key, g_variant_get_type (value));
          g_assert_nonnull (other);
        }
    }
}

/* Through A1111's text alone, all that it can say survives. */
static void
test_own_text (void)
{
  g_autoptr (GVariant) recipe = sample (), read = NULL;
  g_autofree char *text = atl_recipe_to_text (recipe);

  read = atl_recipe_from_text (text);
  assert_text (read, "prompt", "ein Fuchs, (rot:1.2) 🦊\nSteps: 3, no");
  assert_text (read, "negative_prompt", "blurry: yes");
  assert_text (read, "sampler", "DPM++ 2M");
  assert_text (read, "schedule", "Karras");
  assert_text (read, "model", "Doodle, \"big\"");
  assert_text (read, "source", "Atelier");
  assert_uint (read, "steps", 20);
  assert_uint (read, "seed", G_MAXUINT32);
  assert_uint (read, "width", 64);
  assert_double (read, "guidance", 7);
  assert_double (read, "strength", 0.625);
  assert_loras (read, "ink*0.8 dusk*-1");
  assert_other (read, "Hires upscale", "2");
  assert_other (read, "Note", "a, b: c");
}

static void
test_join (void)
{
  g_autoptr (GVariant) settings = g_variant_ref_sink (
      g_variant_new_parsed ("{'prompt': <'a fox'>, 'steps': <uint32 5>, 'unknown': <'kept'>}"));
  g_autoptr (GVariant) facts = g_variant_ref_sink (g_variant_new_parsed (
      "{'steps': <uint32 4>, 'seed': <uint32 9>, 'seconds': <1.5>, 'name': <'Doodle'>,"
      " 'runs-on': <'CPU'>}"));
  g_autoptr (GVariant) recipe = atl_recipe_join (settings, facts, 32, 16);
  g_autoptr (GVariant) alone = atl_recipe_join (NULL, facts, 1, 1);

  assert_text (recipe, "prompt", "a fox");
  assert_text (recipe, "model", "Doodle");
  assert_text (recipe, "unknown", "kept");
  assert_uint (recipe, "steps", 4);
  assert_uint (recipe, "seed", 9);
  assert_uint (recipe, "width", 32);
  assert_text (recipe, "seconds", NULL);
  g_assert_false (g_variant_lookup (recipe, "seconds", "d", NULL));
  assert_text (recipe, "runs-on", NULL);
  assert_text (recipe, "name", NULL);
  assert_uint (alone, "height", 1);
}

/* By hand: numbers of the other kind, members of the wrong kind. */
static void
test_json (void)
{
  g_autoptr (GVariant) recipe = atl_recipe_from_json (
      "{\"recipe\":1,\"version\":\"9\",\"prompt\":7,\"guidance\":7,\"steps\":20.0,\"seed\":-1,"
      "\"width\":\"wide\",\"x\":NaN,\"y\":[-Infinity,\"NaN\"],\"big\":99999999999,\"none\":null,"
      "\"loras\":[{\"name\":\"a\",\"weight\":1}],\"other\":{\"a\":\"b\",\"c\":1}}");

  assert_text (recipe, "prompt", NULL);
  assert_double (recipe, "guidance", 7);
  assert_uint (recipe, "steps", 20);
  g_assert_false (g_variant_lookup (recipe, "seed", "u", NULL));
  g_assert_false (g_variant_lookup (recipe, "recipe", "u", NULL));
  assert_loras (recipe, "a*1");
  assert_other (recipe, "a", "b");
  g_assert_true (g_variant_lookup (recipe, "big", "x", NULL));
  g_assert_null (atl_recipe_from_json ("[1]"));
  g_assert_null (atl_recipe_from_json (""));
  g_assert_null (atl_recipe_from_json ("{\"a\":"));
}

/* --- Others --- */

static void
test_a1111 (void)
{
  g_autoptr (GVariant) new_one = read_one (
      "parameters",
      "a lighthouse, <lora:ink wash:0.75> at dusk\nsecond line <lora:b:1:0.5>\n"
      "Negative prompt: blurry,\nlow quality\n"
      "Steps: 28, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 6.5, Seed: 123456789, "
      "Size: 832x1216, Model hash: 0a1b2c3d4e, Model: some_model_v2, Denoising strength: 0.35, "
      "Clip skip: 2, Hires prompt: \"a, b: \\\"c\\\"\", Lora hashes: \"ink wash: aa, b: bb\", "
      "Version: v1.10.1");
  g_autoptr (GVariant) old_one = read_one ("parameters", "castle\r\nSteps: 20, Sampler: Euler a "
                                                         "Karras, CFG scale: 7, Seed: 1\r\n");
  g_autoptr (GVariant) forge =
      read_one ("UserComment", "a boat\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG "
                               "scale: 1, Distilled CFG Scale: 3.5, Seed: 99999999999, Size: "
                               "896x1152, Model: flux1-dev, Version: f2.0.1");
  g_autoptr (GVariant) bare = read_one ("comment", "Steps: 4, Seed: 5, Size: 8x8");
  g_autoptr (GVariant) none = read_one ("parameters", "only words, without: anything");

  assert_text (new_one, "prompt", "a lighthouse, at dusk\nsecond line");
  assert_text (new_one, "negative_prompt", "blurry,\nlow quality");
  assert_text (new_one, "sampler", "DPM++ 2M SDE");
  assert_text (new_one, "schedule", "Karras");
  assert_double (new_one, "guidance", 6.5);
  assert_double (new_one, "strength", 0.35);
  assert_uint (new_one, "seed", 123456789);
  assert_uint (new_one, "width", 832);
  assert_uint (new_one, "height", 1216);
  assert_uint (new_one, "clip_skip", 2);
  assert_text (new_one, "model", "some_model_v2");
  assert_text (new_one, "model-hash", "0a1b2c3d4e");
  assert_text (new_one, "source", "A1111");
  assert_loras (new_one, "ink wash*0.75 b*1");
  assert_other (new_one, "Hires prompt", "a, b: \"c\"");
  assert_other (new_one, "Lora hashes", "ink wash: aa, b: bb");

  assert_text (old_one, "prompt", "castle");
  assert_text (old_one, "sampler", "Euler a");
  assert_text (old_one, "schedule", "Karras");
  assert_text (old_one, "negative_prompt", NULL);
  assert_text (forge, "source", "Forge");
  assert_text (forge, "schedule", "Simple");
  assert_double (forge, "guidance", 3.5);
  assert_other (forge, "Seed", "99999999999");
  g_assert_false (g_variant_lookup (forge, "seed", "u", NULL));
  assert_uint (bare, "steps", 4);
  assert_text (bare, "prompt", "");
  g_assert_null (none);
}

static void
test_comfy (void)
{
  g_autoptr (GVariant) graph = read_one ("prompt", comfy_graph);
  g_autoptr (GVariant) flux = read_one ("prompt", comfy_flux);
  g_autoptr (GVariant) drawing = read_one ("workflow", comfy_drawing);
  g_autofree char *in_exif = g_strconcat ("Prompt:", comfy_flux, NULL);
  g_autoptr (GVariant) exif = read_one ("Make", in_exif);

  assert_text (graph, "source", "ComfyUI");
  assert_text (graph, "prompt", "a pier, warm light");
  assert_text (graph, "negative_prompt", "blurry");
  assert_text (graph, "model", "my model");
  assert_text (graph, "sampler", "DPM++ 2M SDE");
  assert_text (graph, "schedule", "Karras");
  assert_uint (graph, "steps", 30);
  assert_uint (graph, "seed", 77);
  assert_uint (graph, "width", 1024);
  assert_double (graph, "guidance", 5.5);
  assert_loras (graph, "dusk*0.4 ink*0.6");
  g_assert_false (g_variant_lookup (graph, "strength", "d", NULL));

  assert_text (flux, "prompt", "a glass bird");
  assert_text (flux, "negative_prompt", NULL);
  assert_text (flux, "model", "flux1-dev");
  assert_text (flux, "sampler", "Euler");
  assert_text (flux, "schedule", "Simple");
  assert_uint (flux, "steps", 4);
  assert_uint (flux, "seed", 12);
  assert_double (flux, "guidance", 2.5);
  assert_double (flux, "strength", 0.8);
  g_assert_true (same (flux, exif));

  assert_text (drawing, "prompt", "a barn owl");
  assert_text (drawing, "negative_prompt", "ugly");
  assert_text (drawing, "model", "base");
  assert_text (drawing, "sampler", "Euler a");
  assert_uint (drawing, "steps", 12);
  assert_uint (drawing, "height", 512);
  assert_double (drawing, "guidance", 4.5);
}

/* Graphs that lead round in circles, and everywhere at once. */
static void
test_comfy_circles (void)
{
  static const char circle[] =
      "{\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":[\"1\",0],\"steps\":[\"2\",0],"
      "\"cfg\":[\"2\",0],\"positive\":[\"2\",0],\"negative\":[\"1\",1],\"model\":[\"2\",0],"
      "\"latent_image\":[\"2\",0]}},"
      "\"2\":{\"class_type\":\"SaveImage\",\"inputs\":{\"text\":[\"2\",0],\"value\":[\"2\",0],"
      "\"string\":[\"2\",0],\"int\":[\"2\",0],\"model\":[\"2\",0],\"samples\":[\"2\",0],\"width\":"
      "[\"2\",0],\"conditioning\":[\"2\",0],\"conditioning_1\":[\"2\",0],\"conditioning_2\":[\"2\","
      "0],\"images\":[\"1\",0]}}}";
  g_autoptr (GString) wide = g_string_new ("{\"0\":{\"class_type\":\"KSampler\",\"inputs\":{"
                                           "\"seed\":3,\"steps\":1,\"positive\":[\"1\",0],"
                                           "\"negative\":[\"1\",0],\"model\":[\"1\",0]}}");
  g_autoptr (GVariant) round = NULL, recipe = NULL;

  round = read_one ("prompt", circle);
  for (guint i = 1; i < 20000; i++)
    g_string_append_printf (wide,
                            ",\"%u\":{\"class_type\":\"Save\",\"inputs\":{\"conditioning_1\":["
                            "\"%u\",0],\"conditioning_2\":[\"%u\",0],\"model\":[\"%u\",0]}}",
                            i, i + 1, i / 2, i + 1);
  g_string_append_c (wide, '}');
  recipe = read_one ("prompt", wide->str);
  assert_uint (recipe, "seed", 3);
}

static void
test_swarm (void)
{
  g_autoptr (GVariant) recipe = read_one (
      "parameters",
      "{\"sui_image_params\":{\"prompt\":\"a fern\",\"negativeprompt\":\"\",\"model\":"
      "\"Flux/"
      "some-dev.safetensors\",\"seed\":305223794,\"steps\":25,\"cfgscale\":1.0,\"width\":512,"
      "\"height\":768,\"sampler\":\"euler\",\"scheduler\":\"normal\",\"loras\":[\"ink\",\"dusk\"],"
      "\"loraweights\":[\"0.5\",1.25],\"fluxguidancescale\":3,\"aspectratio\":\"Custom\","
      "\"swarm_version\":\"0.9\"},\"sui_extra_data\":{\"date\":\"2024-08-07\"}}");

  assert_text (recipe, "source", "SwarmUI");
  assert_text (recipe, "prompt", "a fern");
  assert_text (recipe, "negative_prompt", NULL);
  assert_text (recipe, "model", "some-dev");
  assert_text (recipe, "sampler", "Euler");
  assert_text (recipe, "schedule", NULL);
  assert_uint (recipe, "seed", 305223794);
  assert_uint (recipe, "steps", 25);
  assert_uint (recipe, "height", 768);
  assert_double (recipe, "guidance", 3);
  assert_loras (recipe, "ink*0.5 dusk*1.25");
  assert_other (recipe, "aspectratio", "Custom");
}

static void
test_fooocus (void)
{
  g_autoptr (GVariant) own = read_one (
      "parameters",
      "{\"adm_guidance\":\"(1.5, 0.8, 0.3)\",\"base_model\":\"someXL\",\"base_model_hash\":\"aa\","
      "\"guidance_scale\":4,\"loras\":[[\"offset\",0.1,\"bb\"],[\"ink\",\"0.3\"]],"
      "\"metadata_scheme\":\"fooocus\",\"negative_prompt\":\"dull\",\"performance\":\"Speed\","
      "\"prompt\":\"a tram\",\"prompt_expansion\":\"a tram, detailed\",\"resolution\":\"(1152, "
      "896)\",\"sampler\":\"dpmpp_2m_sde_gpu\",\"scheduler\":\"karras\",\"seed\":\"123\",\"steps\":"
      "30,"
      "\"styles\":\"['Fooocus V2']\",\"version\":\"Fooocus v2.3.0\"}");
  g_autoptr (GVariant) other = read_one (
      "parameters",
      "a tram\nNegative prompt: dull\nSteps: 30, Sampler: DPM++ 2M SDE, Seed: 123, Size: "
      "1152x896, CFG scale: 4, Sharpness: 2.0, ADM Guidance: \"(1.5, 0.8, 0.3)\", Model hash: aa, "
      "Model: someXL, Scheduler: karras, Performance: Speed, Styles: \"['Fooocus V2']\", Version: "
      "Fooocus v2.3.0");

  for (guint i = 0; i < 2; i++)
    {
      GVariant *recipe = i == 0 ? own : other;

      assert_text (recipe, "source", "Fooocus");
      assert_text (recipe, "prompt", "a tram");
      assert_text (recipe, "negative_prompt", "dull");
      assert_text (recipe, "model", "someXL");
      assert_text (recipe, "model-hash", "aa");
      assert_text (recipe, "sampler", "DPM++ 2M SDE");
      assert_text (recipe, "schedule", "Karras");
      assert_uint (recipe, "seed", 123);
      assert_uint (recipe, "steps", 30);
      assert_uint (recipe, "width", 1152);
      assert_uint (recipe, "height", 896);
      assert_double (recipe, "guidance", 4);
    }
  assert_loras (own, "offset*0.1 ink*0.3");
  assert_other (own, "prompt_expansion", "a tram, detailed");
}

static void
test_invoke (void)
{
  g_autoptr (GVariant) recipe = read_one (
      "invokeai_metadata",
      "{\"app_version\":\"4.2\",\"positive_prompt\":\"a "
      "mill\",\"negative_prompt\":\"fog\",\"seed\":"
      "9,\"steps\":15,\"cfg_scale\":6.0,\"scheduler\":\"dpmpp_2m_k\",\"width\":512,\"height\":640,"
      "\"model\":{\"key\":\"k\",\"name\":\"mill model\",\"base\":\"sdxl\"},\"loras\":[{\"model\":{"
      "\"name\":\"ink\"},\"weight\":0.5},{\"lora\":{\"model_name\":\"dusk\"},\"weight\":2}],"
      "\"strength\":0.7}");
  g_autoptr (GVariant) old_one =
      read_one ("sd-metadata",
                "{\"model\":\"stable diffusion\",\"model_weights\":\"sd-1.5\",\"image\":{"
                "\"prompt\":[{\"prompt\":\"a mill\",\"weight\":1.0}],\"steps\":50,\"cfg_scale\":"
                "7.5,\"seed\":42,\"width\":512,\"height\":512,\"sampler\":\"k_lms\"}}");

  assert_text (recipe, "source", "InvokeAI");
  assert_text (recipe, "prompt", "a mill");
  assert_text (recipe, "negative_prompt", "fog");
  assert_text (recipe, "model", "mill model");
  assert_text (recipe, "sampler", "DPM++ 2M");
  assert_text (recipe, "schedule", "Karras");
  assert_double (recipe, "guidance", 6);
  assert_double (recipe, "strength", 0.7);
  assert_loras (recipe, "ink*0.5 dusk*2");
  assert_text (old_one, "prompt", "a mill");
  assert_text (old_one, "sampler", "LMS");
  assert_uint (old_one, "seed", 42);
}

static void
test_novelai (void)
{
  g_autoptr (GVariant) recipe = read_one (
      "Comment", "{\"prompt\":\"a quay\",\"steps\":28,\"height\":1216,\"width\":832,\"scale\":5.0,"
                 "\"seed\":1234,\"noise_schedule\":\"karras\",\"sampler\":\"k_euler_ancestral\","
                 "\"uc\":\"fog\",\"request_type\":\"PromptGenerateRequest\"}");
  g_autoptr (AtlPicture) old = atl_picture_new (8, 8);
  g_autoptr (GVariant) first = NULL;

  assert_text (recipe, "source", "NovelAI");
  assert_text (recipe, "prompt", "a quay");
  assert_text (recipe, "negative_prompt", "fog");
  assert_text (recipe, "sampler", "Euler a");
  assert_text (recipe, "schedule", "Karras");
  assert_double (recipe, "guidance", 5);
  assert_uint (recipe, "seed", 1234);
  assert_uint (recipe, "width", 832);
  assert_other (recipe, "request_type", "PromptGenerateRequest");
  /* Its first version has the prompt beside it. */
  atl_picture_set_text (old, "Description", "a pier");
  atl_picture_set_text (old, "Comment",
                        "{\"steps\":28,\"sampler\":\"ddim\",\"seed\":5,\"scale\":11,\"uc\":\"\"}");
  first = atl_recipe_read (old);
  g_assert_nonnull (first);
  assert_text (first, "prompt", "a pier");
  assert_text (first, "sampler", "DDIM");
}

/* In a packet of XMP, which a PNG has as a text. */
static void
test_draw_things (void)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (8, 8);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) png = NULL;
  g_autoptr (AtlPicture) again = NULL;
  g_autoptr (GVariant) recipe = NULL;

  atl_picture_set_text (
      picture, "XML:com.adobe.xmp",
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-"
      "syntax-ns#\"><rdf:Description rdf:about=\"\" xmlns:exif=\"http://ns.adobe.com/exif/1.0/\">"
      "<exif:UserComment> <rdf:Alt> <rdf:li xml:lang=\"x-default\">{&quot;c&quot;:&quot;a "
      "dune&quot;,&quot;uc&quot;:&quot;sea&quot;,&quot;model&quot;:&quot;dunes.ckpt&quot;,"
      "&quot;sampler&quot;:&quot;DPM++ 2M Karras&quot;,&quot;scale&quot;:7.5,&quot;seed&quot;:77,"
      "&quot;size&quot;:&quot;768x512&quot;,&quot;steps&quot;:20,&quot;strength&quot;:1,"
      "&quot;lora&quot;:[{&quot;model&quot;:&quot;ink.ckpt&quot;,&quot;weight&quot;:0.5}]}</"
      "rdf:li> "
      "</rdf:Alt> </exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>");
  png = atl_picture_encode (picture, ATL_PICTURE_PNG, 0, &error);
  g_assert_no_error (error);
  again =
      atl_picture_decode (g_bytes_get_data (png, NULL), g_bytes_get_size (png), 1 << 20, &error);
  g_assert_no_error (error);
  recipe = atl_recipe_read (again);
  g_assert_nonnull (recipe);
  assert_text (recipe, "source", "Draw Things");
  assert_text (recipe, "prompt", "a dune");
  assert_text (recipe, "negative_prompt", "sea");
  assert_text (recipe, "sampler", "DPM++ 2M");
  assert_text (recipe, "schedule", "Karras");
  assert_uint (recipe, "width", 768);
  assert_uint (recipe, "height", 512);
  assert_uint (recipe, "steps", 20);
  assert_double (recipe, "guidance", 7.5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/recipe/own", test_own);
  g_test_add_func ("/media/recipe/own-text", test_own_text);
  g_test_add_func ("/media/recipe/join", test_join);
  g_test_add_func ("/media/recipe/json", test_json);
  g_test_add_func ("/media/recipe/a1111", test_a1111);
  g_test_add_func ("/media/recipe/comfy", test_comfy);
  g_test_add_func ("/media/recipe/comfy-circles", test_comfy_circles);
  g_test_add_func ("/media/recipe/swarm", test_swarm);
  g_test_add_func ("/media/recipe/fooocus", test_fooocus);
  g_test_add_func ("/media/recipe/invoke", test_invoke);
  g_test_add_func ("/media/recipe/novelai", test_novelai);
  g_test_add_func ("/media/recipe/draw-things", test_draw_things);
  return g_test_run ();
}
