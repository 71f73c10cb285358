/* Prompts of `atelier-cli image` that hold what is no text, or does not do what it looks like. */
#include <string.h>

#include "cli-fixture.h"

static char *folder, *model;

/* Bytes that are no text are refused before anything is drawn. */
static void
test_odd_bytes (void)
{
  static const char *const options[] = { "--prompt", "--negative" };

  for (gsize i = 0; i < G_N_ELEMENTS (options); i++)
    {
      g_auto (CliResult) result = { 0 };

      cli_image (&result, model, "--prompt", "a fox", options[i], "a \xff fox", "--size", "64x64",
                 "--steps", "1", "--out", folder, NULL);
      g_assert_cmpint (result.status, ==, 2);
      g_assert_cmpstr (result.out, ==, "");
      g_assert_nonnull (strstr (result.err, options[i]));
      g_assert_nonnull (strstr (result.err, "UTF-8"));
    }
}

/* A terminal's commands in a prompt are neither drawn nor kept. */
static void
test_control_characters (void)
{
  g_autofree char *asked = g_build_filename (folder, "control.png", NULL);
  g_autofree char *plain = g_build_filename (folder, "control-plain.png", NULL);
  g_auto (CliResult) odd = { 0 }, even = { 0 };
  g_autofree char *path = NULL;
  g_autofree char *path_of_plain = NULL;
  g_autoptr (GBytes) one = NULL;
  g_autoptr (GBytes) two = NULL;
  g_autoptr (AtlPicture) picture = NULL;

  cli_image (&odd, model, "--prompt", "a\x1b[31m fox\nin\tsnow", "--negative", "\x07mud", "--size",
             "64x64", "--steps", "1", "--seed", "3", "--out", asked, NULL);
  path = cli_printed_path (&odd);
  picture = cli_read_picture (path);
  g_assert_true (g_str_has_prefix (atl_picture_text (picture, "parameters"),
                                   "a [31m fox\nin\tsnow\nNegative prompt:  mud\nSteps: 1,"));
  g_assert_null (strstr (atl_picture_text (picture, "atelier"), "u001b"));
  cli_image (&even, model, "--prompt", "a [31m fox\nin\tsnow", "--negative", " mud", "--size",
             "64x64", "--steps", "1", "--seed", "3", "--out", plain, NULL);
  path_of_plain = cli_printed_path (&even);
  one = cli_file_bytes (path);
  two = cli_file_bytes (path_of_plain);
  g_assert_true (g_bytes_equal (one, two));
}

/* What in a prompt does not do what it looks like is drawn, and said. */
static void
test_words_said (void)
{
  static const struct
  {
    const char *family, *prompt, *weighting, *said; /* "": nothing */
    const char *option, *more;                      /* (nullable) */
  } cases[] = {
    { "sd15", "a fox <lora:none>", "a1111", "“<lora:none>”" },
    { "sd15", "(fox:1e999)", "a1111", "“1e999”" },
    { "sd15", "(fox:nan) in [snow]", "comfyui", "“nan”" },
    { "sd15", "(fox: 1,3)", "a1111", "“1,3”" },
    { "sd15", "(fox:1e999)", "plain", "" },
    { "sd15", "(fox:1.3) (at 12:30) :1e999", "a1111", "" },
    { "wan21", "(fox:1.3)", NULL, "“(fox:1.3)”" },
    { "wan21", "a fox", "comfyui", "“comfyui”" },
    { "wan21", "(fox:1.3)", "plain", "" },
    { "wan21", "(at 12:30) \\(fox:1.3\\)", NULL, "" },
    { "sd15", "a fox", "plain", "", "--negative=snow" },
    { "sd15", "a fox", "plain", "no effect", "--negative=snow", "--guidance=1" },
    { "sd15", "a fox", "plain", "", "--guidance=1" },
  };
  guint n_left_out = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_build_filename (folder, cases[i].family, "model", NULL);
      g_auto (CliResult) result = { 0 };

      cli_image (&result, NULL, "--model", path, "--prompt", cases[i].prompt, "--size", "64x64",
                 "--steps", "1", "--out", folder, cases[i].weighting != NULL ? "--weighting" : NULL,
                 cases[i].weighting, cases[i].option, cases[i].more, NULL);
      g_test_message ("%s: %s", cases[i].prompt, result.err);
      g_assert_cmpint (result.status, ==, 0);
      if (*cases[i].said == '\0')
        g_assert_cmpstr (result.err, ==, "");
      else
        g_assert_nonnull (strstr (result.err, cases[i].said));
      /* A rule that was left out is not what made the picture. */
      if (cases[i].weighting != NULL && strstr (result.err, cases[i].weighting) != NULL)
        {
          g_autofree char *made = g_strdup (result.out);
          g_autoptr (AtlPicture) picture = cli_read_picture (g_strchomp (made));

          g_assert_null (strstr (atl_picture_text (picture, "atelier"), cases[i].weighting));
          n_left_out++;
        }
    }
  g_assert_cmpuint (n_left_out, ==, 1);
}

/* A recipe of another program names what nobody here knows: that is left out and said, the rest is
 * followed. */
static void
test_unknown_in_recipe (void)
{
  g_autofree char *asked = g_build_filename (folder, "other.png", NULL);
  g_autofree char *like = g_build_filename (folder, "like-other.png", NULL);
  g_autoptr (AtlPicture) picture = atl_picture_new (8, 8);
  g_autoptr (AtlPicture) drawn = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) png = NULL;
  g_auto (CliResult) result = { 0 };

  atl_picture_set_text (
      picture, "parameters",
      "a fox\nSteps: 2, Sampler: Restart, Schedule type: Turbulent, CFG scale: 6, "
      "Seed: 12, Size: 64x72, Hires upscale: 2, ControlNet 0: \"model: a, b\"");
  png = atl_picture_encode (picture, ATL_PICTURE_PNG, 0, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (asked, g_bytes_get_data (png, NULL),
                                      (gssize) g_bytes_get_size (png), NULL));
  cli_image (&result, model, "--like", asked, "--out", like, NULL);
  g_test_message ("%s", result.err);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_nonnull (strstr (result.err, "“Restart”"));
  g_assert_nonnull (strstr (result.err, "“Turbulent”"));
  drawn = cli_read_picture (like);
  g_assert_nonnull (strstr (atl_picture_text (drawn, "parameters"), "Seed: 12, Size: 64x72"));
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = cli_images_begin ();
  model = g_build_filename (folder, "sd15", "model", NULL);
  g_test_add_func ("/cli-image-words/odd-bytes", test_odd_bytes);
  g_test_add_func ("/cli-image-words/control-characters", test_control_characters);
  g_test_add_func ("/cli-image-words/words-said", test_words_said);
  g_test_add_func ("/cli-image-words/unknown-in-recipe", test_unknown_in_recipe);
  status = g_test_run ();
  cli_images_end (folder);
  g_free (model);
  return status;
}
