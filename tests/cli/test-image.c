/* `atelier-cli image` as a person types it, with the engine behind it, on the tiny model of the
 * golden cases: files with recipes, the same bytes for the same seed, nothing overwritten, refusals
 * in words. */
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli-fixture.h"
#include "patched-model.h"

static char *folder, *model;

static void
test_recipe (void)
{
  static const char *const endings[] = { "png", "jpg", "webp" };

  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *name = g_strconcat ("fox.", endings[i], NULL);
      g_autofree char *asked = g_build_filename (folder, name, NULL);
      g_auto (CliResult) result = { 0 };
      g_autofree char *path = NULL;
      g_autoptr (AtlPicture) picture = NULL;
      g_autoptr (JsonNode) recipe = NULL;
      JsonObject *object;
      const char *text;

      cli_image (&result, model, "--prompt", "a fox", "--negative", "snow", "--size", "64x72",
                 "--steps", "2", "--seed", "7", "--guidance", "4.5", "--sampler", "dpm++ 2m karras",
                 "--out", asked, NULL);
      path = cli_printed_path (&result);
      g_assert_cmpstr (path, ==, asked);
      picture = cli_read_picture (path);
      g_assert_cmpuint (picture->width, ==, 64);
      g_assert_cmpuint (picture->height, ==, 72);
      text = atl_picture_text (picture, "parameters");
      g_assert_nonnull (text);
      g_assert_true (g_str_has_prefix (
          text, "a fox\nNegative prompt: snow\nSteps: 2, Sampler: "
                "DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 7, Size: 64x72, "));
      recipe = json_from_string (atl_picture_text (picture, "atelier"), NULL);
      g_assert_nonnull (recipe);
      object = json_node_get_object (recipe);
      g_assert_cmpstr (json_object_get_string_member (object, "prompt"), ==, "a fox");
      g_assert_cmpstr (json_object_get_string_member (object, "scheduler"), ==,
                       "DPMSolverMultistepScheduler");
      g_assert_cmpint (json_object_get_int_member (object, "seed"), ==, 7);
      g_assert_cmpint (json_object_get_int_member (object, "width"), ==, 64);
      g_assert_cmpstr (json_object_get_string_member (object, "model"), ==, "model");
    }
}

/* Without a sampler the recipe names the one that the model took by itself. */
static void
test_own_sampler (void)
{
  g_autofree char *asked = g_build_filename (folder, "own.png", NULL);
  g_auto (CliResult) result = { 0 };
  g_autofree char *path = NULL;
  g_autoptr (AtlPicture) picture = NULL;

  cli_image (&result, model, "--prompt", "a fox", "--size", "64x64", "--steps", "2", "--out", asked,
             NULL);
  path = cli_printed_path (&result);
  picture = cli_read_picture (path);
  g_assert_nonnull (strstr (atl_picture_text (picture, "parameters"), "Sampler: "));
  g_assert_nonnull (strstr (atl_picture_text (picture, "atelier"), "Scheduler\""));
}

/* One that the sampler does not have. */
static void
test_left_out_schedule (void)
{
  g_auto (CliResult) result = { 0 };
  g_autoptr (AtlPicture) picture = NULL;

  cli_image (&result, model, "--prompt", "a fox", "--size", "64x64", "--steps", "2", "--sampler",
             "lcm", "--schedule", "karras", "--out", folder, NULL);
  g_assert_nonnull (strstr (result.err, "“karras”"));
  picture = cli_read_picture (g_strchomp (result.out));
  g_assert_null (strstr (atl_picture_text (picture, "atelier"), "karras"));
}

static void
test_same_seed (void)
{
  g_autofree char *asked = g_build_filename (folder, "same.png", NULL);
  g_autofree char *counted = g_build_filename (folder, "same-2.png", NULL);
  g_autofree char *one = NULL;
  g_autofree char *two = NULL;
  g_autoptr (GBytes) first = NULL;
  g_autoptr (GBytes) kept = NULL;
  g_autoptr (GBytes) second = NULL;
  g_auto (CliResult) a = { 0 }, b = { 0 };

  cli_image (&a, model, "--prompt", "a fox", "--size", "64x64", "--steps", "2", "--seed", "9",
             "--out", asked, NULL);
  one = cli_printed_path (&a);
  g_assert_cmpstr (one, ==, asked);
  first = cli_file_bytes (one);
  cli_image (&b, model, "--prompt", "a fox", "--size", "64x64", "--steps", "2", "--seed", "9",
             "--out", asked, NULL);
  two = cli_printed_path (&b);
  g_assert_cmpstr (two, ==, counted);
  kept = cli_file_bytes (one);
  second = cli_file_bytes (two);
  g_assert_true (g_bytes_equal (first, kept));
  g_assert_true (g_bytes_equal (first, second));
}

/* Several pictures, as a folder's files, each with its own seed. */
static void
test_count (void)
{
  g_auto (CliResult) result = { 0 };
  g_auto (GStrv) lines = NULL;

  cli_image (&result, model, "--prompt", "a fox", "--size", "64x64", "--steps", "1", "--seed",
             "4294967295", "--count", "2", "--out", folder, NULL);
  g_assert_cmpint (result.status, ==, 0);
  lines = g_strsplit (result.out, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 3);
  g_assert_true (g_str_has_suffix (lines[0], "/atelier-4294967295.png"));
  g_assert_true (g_str_has_suffix (lines[1], "/atelier-0.png"));
}

/* A picture's recipe is the next one's, except for what is said; enlarged at the end. */
static void
test_like (void)
{
  g_autofree char *asked = g_build_filename (folder, "first.png", NULL);
  g_autofree char *like = g_build_filename (folder, "like.png", NULL);
  g_autofree char *upscaler =
      g_build_filename (folder, "upscale", "model", "esrgan-x2.safetensors:3", NULL);
  g_autofree char *larger = g_build_filename (folder, "larger.png", NULL);
  g_autofree char *only = g_build_filename (folder, "only.png", NULL);
  g_autofree char *again = g_build_filename (folder, "again.png", NULL);
  g_auto (CliResult) first = { 0 }, second = { 0 }, third = { 0 }, fourth = { 0 }, fifth = { 0 },
                     sixth = { 0 };
  g_autoptr (GBytes) one = NULL;
  g_autoptr (GBytes) two = NULL;
  g_autoptr (GBytes) three = NULL;
  g_autoptr (AtlPicture) picture = NULL;
  g_autoptr (AtlPicture) enlarged = NULL;

  cli_image (&first, model, "--prompt", "a fox", "--size", "64x72", "--steps", "2", "--seed", "11",
             "--sampler", "heun", "--out", asked, NULL);
  g_assert_cmpint (first.status, ==, 0);
  cli_image (&second, model, "--like", asked, "--out", like, NULL);
  g_assert_cmpstr (second.err, ==, "");
  one = cli_file_bytes (asked);
  two = cli_file_bytes (like);
  g_assert_true (g_bytes_equal (one, two));
  cli_image (&third, model, "--like", asked, "--seed", "12", "--upscale", upscaler, "--out", larger,
             NULL);
  g_assert_cmpstr (third.err, ==, "");
  picture = cli_read_picture (larger);
  g_assert_cmpuint (picture->width, ==, 192);
  g_assert_cmpuint (picture->height, ==, 216);
  g_assert_nonnull (strstr (atl_picture_text (picture, "parameters"), "Seed: 12"));
  g_assert_nonnull (strstr (atl_picture_text (picture, "parameters"), "Size: 64x72"));
  g_assert_nonnull (strstr (atl_picture_text (picture, "atelier"), "esrgan-x2"));
  /* What was enlarged was drawn smaller, and is drawn so again. */
  cli_image (&sixth, model, "--like", larger, "--seed", "11", "--out", again, NULL);
  g_assert_cmpstr (sixth.err, ==, "");
  three = cli_file_bytes (again);
  g_assert_true (g_bytes_equal (one, three));
  cli_image (&fourth, NULL, "--image", asked, "--upscale", upscaler, "--out", only, NULL);
  g_assert_cmpstr (fourth.err, ==, "");
  enlarged = cli_read_picture (only);
  g_assert_cmpuint (enlarged->width, ==, 192);
  /* What it does not say. */
  cli_image (&fifth, model, "--like", only, "--out", like, NULL);
  g_assert_cmpint (fifth.status, ==, 1);
  g_assert_nonnull (strstr (fifth.err, "only.png"));
}

/* How steps are left out is in the recipe, and is done so again. */
static void
test_faster (void)
{
  g_autofree char *asked = g_build_filename (folder, "faster.png", NULL);
  g_autofree char *again = g_build_filename (folder, "faster-again.png", NULL);
  g_autofree char *own = g_build_filename (folder, "faster-own.png", NULL);
  g_auto (CliResult) first = { 0 }, second = { 0 }, third = { 0 };
  g_autoptr (GBytes) one = NULL;
  g_autoptr (GBytes) two = NULL;
  g_autoptr (AtlPicture) picture = NULL;
  g_autoptr (AtlPicture) simple = NULL;
  g_autoptr (JsonNode) recipe = NULL;
  g_autoptr (JsonNode) simplest = NULL;
  JsonObject *object;

  cli_image (&first, model, "--prompt", "a fox", "--size", "64x64", "--steps", "12", "--seed", "3",
             "--faster=taylor:1", "--out", asked, NULL);
  g_assert_cmpstr (first.err, ==, "");
  picture = cli_read_picture (asked);
  recipe = json_from_string (atl_picture_text (picture, "atelier"), NULL);
  object = json_node_get_object (recipe);
  g_assert_cmpint (json_object_get_int_member (object, "faster"), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (object, "faster_method"), ==, "taylor");
  g_assert_cmpint (json_object_get_int_member (object, "steps-computed"), <, 12);
  cli_image (&second, model, "--like", asked, "--out", again, NULL);
  g_assert_cmpstr (second.err, ==, "");
  one = cli_file_bytes (asked);
  two = cli_file_bytes (again);
  g_assert_true (g_bytes_equal (one, two));
  /* Alone, before another option: the middle strength, and the method that the model has. */
  cli_image (&third, model, "--prompt", "a fox", "--size", "64x64", "--steps", "12", "--faster",
             "--out", own, NULL);
  g_assert_cmpstr (third.err, ==, "");
  simple = cli_read_picture (own);
  simplest = json_from_string (atl_picture_text (simple, "atelier"), NULL);
  object = json_node_get_object (simplest);
  g_assert_cmpint (json_object_get_int_member (object, "faster"), ==, 2);
  g_assert_cmpstr (json_object_get_string_member (object, "faster_method"), ==, "easycache");
}

/* A LoRA for few steps says alone what else has to be said, and so does the recipe afterwards. */
static void
test_few_steps (void)
{
  static const struct
  {
    const char *name, *steps, *sampler, *schedule;
  } rows[] = {
    { "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors", "4", "LCM", NULL },
    { "Hyper-SD15-2steps-lora.safetensors", "2", "DDIM", "SGM Uniform" },
  };
  g_autofree char *kohya = g_build_filename (folder, "sd15", "loras", "kohya.safetensors", NULL);
  g_autoptr (GBytes) lora = cli_file_bytes (kohya);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *few = g_build_filename (folder, rows[i].name, NULL);
      g_autofree char *above = g_path_get_dirname (few);
      g_autofree char *asked = g_strdup_printf ("%s/few-%u.png", folder, (guint) i);
      g_autofree char *again = g_strdup_printf ("%s/said-%u.png", folder, (guint) i);
      g_auto (CliResult) alone = { 0 }, said = { 0 };
      g_autoptr (AtlPicture) one = NULL;
      g_autoptr (AtlPicture) two = NULL;
      g_autoptr (JsonNode) recipe = NULL;
      JsonObject *object;

      g_assert_cmpint (g_mkdir_with_parents (above, 0700), ==, 0);
      g_assert_true (g_file_set_contents (few, g_bytes_get_data (lora, NULL),
                                          (gssize) g_bytes_get_size (lora), NULL));
      cli_image (&alone, model, "--prompt", "a fox", "--size", "64x64", "--seed", "5", "--lora",
                 few, "--out", asked, NULL);
      g_assert_cmpstr (alone.err, ==, "");
      one = cli_read_picture (asked);
      recipe = json_from_string (atl_picture_text (one, "atelier"), NULL);
      object = json_node_get_object (recipe);
      g_assert_cmpint (json_object_get_int_member (object, "steps"), ==, atoi (rows[i].steps));
      g_assert_cmpfloat (json_object_get_double_member (object, "guidance"), ==, 1);
      g_assert_cmpstr (json_object_get_string_member (object, "sampler"), ==, rows[i].sampler);
      if (rows[i].schedule != NULL)
        g_assert_cmpstr (json_object_get_string_member (object, "schedule"), ==, rows[i].schedule);
      g_assert_cmpuint (json_array_get_length (json_object_get_array_member (object, "loras")), ==,
                        1);
      /* The same file under a name that says nothing. */
      cli_image (&said, model, "--prompt", "a fox", "--size", "64x64", "--seed", "5", "--lora",
                 kohya, "--steps", rows[i].steps, "--guidance", "1", "--sampler", rows[i].sampler,
                 "--out", again, rows[i].schedule != NULL ? "--schedule" : NULL, rows[i].schedule,
                 NULL);
      g_assert_cmpstr (said.err, ==, "");
      two = cli_read_picture (again);
      g_assert_cmpmem (one->rgb, 64 * 64 * 3, two->rgb, 64 * 64 * 3);
    }
}

/* Numbers that are none: words, and no file; what is there stays. */
static void
test_overflow (void)
{
  static const struct
  {
    const char *file, *tensor, *words;
  } rows[] = {
    { "text_encoder/model.safetensors", "text_model.final_layer_norm.weight", "text encoder" },
    { "unet/diffusion_pytorch_model.safetensors", "conv_out.weight", "step 1" },
    { "vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.weight", "VAE" },
  };
  char *whole = model;

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *spoilt = patched_model_copy (whole);
      g_autofree char *out = g_build_filename (spoilt, "out", NULL);
      g_auto (CliResult) result = { 0 };
      g_autoptr (GDir) dir = NULL;

      patched_model_fill (spoilt, rows[i].file, rows[i].tensor, NAN);
      g_assert_cmpint (g_mkdir_with_parents (out, 0700), ==, 0);
      model = spoilt;
      cli_image (&result, model, "--prompt", "a fox", "--size", "64x64", "--steps", "2", "--count",
                 "2", "--out", out, NULL);
      model = whole;
      g_test_message ("%s", result.err);
      g_assert_cmpint (result.status, ==, 1);
      g_assert_cmpstr (result.out, ==, "");
      g_assert_nonnull (strstr (result.err, rows[i].words));
      dir = g_dir_open (out, 0, NULL);
      g_assert_null (g_dir_read_name (dir));
      patched_model_remove (spoilt);
    }
}

/* Parts of another family, or of half a download: words, and no file. */
static void
test_wrong_parts (void)
{
  static const struct
  {
    const char *part, *file;
    gboolean is_cut;
  } rows[] = {
    { "text_encoder", "text_encoder/model.safetensors", FALSE },
    { "text_encoder", "text_encoder/model.safetensors", TRUE },
    { "unet", "unet/diffusion_pytorch_model.safetensors", TRUE },
    { "vae", "vae/diffusion_pytorch_model.safetensors", FALSE },
    { "vae", "vae/diffusion_pytorch_model.safetensors", TRUE },
    { "tokenizer", "tokenizer/vocab.json", TRUE },
  };
  char *whole = model;

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *wrong = patched_model_copy (whole);
      g_autofree char *out = g_build_filename (wrong, "out", NULL);
      g_autofree char *path = g_build_filename (wrong, rows[i].file, NULL);
      g_autofree char *other = g_build_filename (folder, "wan21", "model", rows[i].file, NULL);
      g_autoptr (GBytes) bytes = cli_file_bytes (rows[i].is_cut ? path : other);
      gsize size = g_bytes_get_size (bytes);
      g_auto (CliResult) result = { 0 };
      g_autoptr (GDir) dir = NULL;

      g_assert_true (g_file_set_contents (path, g_bytes_get_data (bytes, NULL),
                                          (gssize) (rows[i].is_cut ? size * 2 / 3 : size), NULL));
      g_assert_cmpint (g_mkdir_with_parents (out, 0700), ==, 0);
      model = wrong;
      cli_image (&result, model, "--prompt", "a fox", "--size", "64x64", "--steps", "2", "--out",
                 out, NULL);
      model = whole;
      g_test_message ("%s", result.err);
      g_assert_cmpint (result.status, ==, 1);
      g_assert_cmpstr (result.out, ==, "");
      g_assert_cmpuint (strlen (result.err), >, strlen ("atelier-cli image: \n"));
      dir = g_dir_open (out, 0, NULL);
      g_assert_null (g_dir_read_name (dir));
      patched_model_remove (wrong);
    }
}

static void
test_preview (void)
{
  g_autofree char *asked = g_build_filename (folder, "preview.png", NULL);
  g_auto (CliResult) result = { 0 };

  cli_image (&result, model, "--prompt", "a fox", "--size", "64x64", "--steps", "4", "--preview",
             "--out", asked, NULL);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_nonnull (strstr (result.err, "▀"));
}

/* The model that comes with the program draws at its own size, and what it is asked for. */
static void
test_starter (void)
{
  static const char *const prompts[] = { "a penguin", "a red car" };
  g_autofree char *starter =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "data", "starter", "doodle", NULL);
  AtlPicture *pictures[G_N_ELEMENTS (prompts)]; /* (owned) */
  char *tiny = model;
  guint n_differ = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (prompts); i++)
    {
      g_autofree char *asked = g_strdup_printf ("%s/starter-%u.png", folder, (guint) i);
      g_auto (CliResult) result = { 0 };
      g_autofree char *path = NULL;

      model = starter;
      cli_image (&result, model, "--prompt", prompts[i], "--seed", "1", "--out", asked, NULL);
      model = tiny;
      path = cli_printed_path (&result);
      pictures[i] = cli_read_picture (path);
      g_assert_cmpuint (pictures[i]->width, ==, 128);
      g_assert_cmpuint (pictures[i]->height, ==, 128);
    }
  for (guint i = 0; i < 128 * 128 * 3; i++)
    n_differ += ABS ((int) pictures[0]->rgb[i] - (int) pictures[1]->rgb[i]) > 64;
  g_assert_cmpuint (n_differ, >, 128 * 128 / 4);
  for (gsize i = 0; i < G_N_ELEMENTS (prompts); i++)
    atl_picture_free (pictures[i]);
}

static void
test_refusals (void)
{
  static const struct
  {
    const char *option, *value, *words;
    int status;
  } cases[] = {
    { "--sampler", "magic", "“magic”", 2 },
    { "--sampler", "MagicScheduler", "MagicScheduler", 1 },
    { "--steps", "1001", "--steps: 1001", 2 },
    { "--count", "-1", "--count: -1", 2 },
    { "--threads", "-1", "--threads: -1", 2 },
    { "-t", "100000", "--threads: 100000", 2 },
    { "--guidance", "nan", "“nan”", 2 },
    { "--guidance", "1e999", "“1e999”", 2 },
    { "--faster", "4", "“4”", 2 },
    { "--faster", "", "--faster", 2 },
    { "--faster", "taylor:x", "“taylor:x”", 2 },
    { "--faster", "magic", "auto, easycache, taylor", 1 },
    { "--schedule", "magic", "“magic”", 2 },
    { "--upscale", "x.pth:99", "--upscale", 2 },
    { "--device", "gpu", "graphics card", 1 },
    { "--device", "toaster", "toaster", 1 },
    { "--size", "64xy", "--size", 2 },
    { "--steps", "0", "--steps: 0", 2 },
    { "--seed", "1.5", "1.5", 2 },
    { "--image", "/nonexistent/a.png", "/nonexistent/a.png", 1 },
    { "--mask", "/nonexistent/a.png", "--image", 2 },
    { "--out", "/nonexistent/a.png", "/nonexistent", 2 },
    { "--out", "a.tiff", "tiff", 2 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (CliResult) result = { 0 };

      cli_image (&result, model, "--prompt", "a fox", "--steps", "1", "--size", "64x64", "--out",
                 folder, cases[i].option, cases[i].value, NULL);
      g_test_message ("%s %s: %s", cases[i].option, cases[i].value, result.err);
      g_assert_cmpint (result.status, ==, cases[i].status);
      g_assert_nonnull (strstr (result.err, cases[i].words));
      g_assert_cmpstr (result.out, ==, "");
    }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = cli_images_begin ();
  model = g_build_filename (folder, "sd15", "model", NULL);
  g_test_add_func ("/cli-image/recipe", test_recipe);
  g_test_add_func ("/cli-image/own-sampler", test_own_sampler);
  g_test_add_func ("/cli-image/left-out-schedule", test_left_out_schedule);
  g_test_add_func ("/cli-image/same-seed", test_same_seed);
  g_test_add_func ("/cli-image/count", test_count);
  g_test_add_func ("/cli-image/like", test_like);
  g_test_add_func ("/cli-image/faster", test_faster);
  g_test_add_func ("/cli-image/few-steps", test_few_steps);
  g_test_add_func ("/cli-image/overflow", test_overflow);
  g_test_add_func ("/cli-image/wrong-parts", test_wrong_parts);
  g_test_add_func ("/cli-image/preview", test_preview);
  g_test_add_func ("/cli-image/starter", test_starter);
  g_test_add_func ("/cli-image/refusals", test_refusals);
  status = g_test_run ();
  cli_images_end (folder);
  g_free (model);
  return status;
}
