/* Odd prompts and odd sizes over the client with a real engine on the tiny models: nothing hangs or
 * ends the engine, every one gives a picture or a refusal in words. And what goes wrong meanwhile:
 * an engine that is killed, and parts that do not belong together. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "odd-prompts.h"
#include "picture-fixture.h"

#define N_PROMPTS 64u

static void
draw_all (const char *model_name, guint n, guint first)
{
  static const guint sides[] = { 8, 64, 65, 72, 24, 100 };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, model_name);
  GPid pid = atl_client_get_pid (client);
  guint n_made = 0;

  for (guint i = first; i < first + n; i++)
    {
      g_autofree char *prompt = odd_prompt (i);
      g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
          "{'prompt': <%s>, 'negative_prompt': <%s>, 'seed': <%u>, 'steps': <uint32 1>, "
          "'width': <%u>, 'height': <%u>}",
          prompt, i % 4 == 0 ? prompt : "", i, sides[i % G_N_ELEMENTS (sides)],
          sides[i / 7 % G_N_ELEMENTS (sides)]));
      g_auto (Drawing) drawing = { 0 };

      drawing_begin (&drawing, client, model, request);
      g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
      if (drawing.error != NULL)
        {
          g_test_message ("%u: %s", i, drawing.error->message);
          g_assert_true (drawing.error->domain == ATL_ERROR);
          g_assert_cmpint (drawing.error->code, !=, ATL_ERROR_ENGINE_GONE);
        }
      else
        n_made++;
    }
  g_assert_cmpuint (n_made * 10, >=, n * 9);
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  atl_client_stop (client);
}

static void
test_prompts (void)
{
  draw_all ("sd15/model", N_PROMPTS * 3 / 4, 0);
  draw_all ("wan21/model", N_PROMPTS / 4, N_PROMPTS * 3 / 4);
}

/* Values that make no sense: a picture all the same, or words. */
static void
test_settings (void)
{
  static const char *const odd[] = {
    "{'prompt': <uint32 7>, 'steps': <'many'>, 'width': <-5.0>, 'height': <uint32 0>}",
    "{'prompt': <'x'>, 'steps': <uint32 1>, 'guidance': <1e300>, 'width': <uint32 64>, 'height': "
    "<uint32 64>}",
    "{'prompt': <'x'>, 'steps': <-1>, 'seed': <-1>, 'width': <uint32 64>, 'height': <uint32 64>}",
    "{'prompt': <'x'>, 'steps': <uint32 1>, 'loras': <[{'weight': <'heavy'>}]>, 'width': <uint32 "
    "64>, 'height': <uint32 64>}",
    "{'prompt': <'x'>, 'steps': <uint32 2>, 'scheduler_config': <{'beta_start': <'x'>}>, 'width': "
    "<uint32 64>, 'height': <uint32 64>}",
    "{'prompt': <'x'>, 'steps': <uint32 2>, 'sigmas': <[1.0, -3.0]>, 'width': <uint32 64>, "
    "'height': <uint32 64>}",
    "{'prompt': <'x'>, 'steps': <uint32 1>, 'clip_skip': <1e9>, 'width': <uint32 64>, 'height': "
    "<uint32 64>}",
  };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, "sd15/model");
  GPid pid = atl_client_get_pid (client);

  for (gsize i = 0; i < G_N_ELEMENTS (odd); i++)
    {
      GVariant *settings = g_variant_new_parsed (odd[i]);
      g_autoptr (AtlPictureRequest) request = atl_picture_request_new (settings);
      g_auto (Drawing) drawing = { 0 };

      drawing_begin (&drawing, client, model, request);
      /* 512 px of the tiny model at most. */
      g_assert_true (fixture_wait (&drawing.is_over, 3 * WAIT_MS));
      if (drawing.error != NULL)
        g_test_message ("%zu: %s", i, drawing.error->message);
      g_assert_true (drawing.error == NULL || drawing.error->domain == ATL_ERROR);
    }
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  atl_client_stop (client);
}

/* The engine is killed in a step: that picture is told about, and the next is made. */
static void
test_killed (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, "sd15/model");
  g_auto (Drawing) drawing = { 0 }, after = { 0 };
  guint width = 0, height = 0;

  drawing_start (&drawing, client, model, 900, NULL);
  while (drawing.n_steps == 0 && !drawing.is_over)
    g_main_context_iteration (NULL, TRUE);
  kill (atl_client_get_pid (client), SIGKILL);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_error (drawing.error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  /* Nothing was written. */
  g_assert_null (strstr (drawing.error->message, "written"));
  g_assert_nonnull (drawing_draw (&after, client, model, &width, &height));
  g_assert_cmpuint (width, ==, 72);
  atl_client_stop (client);
}

static char *
read_part (const char *name, gsize *size)
{
  g_autofree char *path = picture_fixture_path (name);
  char *bytes;

  g_assert_true (g_file_get_contents (path, &bytes, size, NULL));
  return bytes;
}

/* `own` is what `other` holds: refused in words, when the model is loaded or when it draws. */
static void
try_part (AtlClient *client, const char *model_name, const char *own, const char *other)
{
  gsize own_size, other_size;
  g_autofree char *own_bytes = read_part (own, &own_size);
  g_autofree char *other_bytes = read_part (other, &other_size);
  g_autofree char *path = picture_fixture_path (own), *model_path = NULL;
  g_autoptr (AtlModel) model = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (Drawing) drawing = { 0 };

  g_assert_true (g_file_set_contents (path, other_bytes, (gssize) other_size, NULL));
  model_path = picture_fixture_path (model_name);
  model = fixture_load (client, model_path, NULL, NULL, &error);
  if (model != NULL)
    {
      drawing_start (&drawing, client, model, 1, NULL);
      g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
      error = g_steal_pointer (&drawing.error);
    }
  /* What a configuration does not say is seen in the weights: it may do. */
  if (error == NULL && g_str_has_suffix (own, ".safetensors"))
    g_error ("%s was taken for %s", other, own);
  g_test_message ("%s as %s: %s", other, own, error != NULL ? error->message : "does");
  g_assert_true (error == NULL || error->domain == ATL_ERROR);
  g_assert_false (g_error_matches (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE));
  g_assert_true (g_file_set_contents (path, own_bytes, (gssize) own_size, NULL));
  if (model != NULL)
    g_assert_true (fixture_unload (client, model, NULL));
}

/* Each part of each family is another one's. */
static void
test_wrong_parts (void)
{
#define WEIGHTS "diffusion_pytorch_model.safetensors"
  static const char *const parts[][2] = {
    { "sd15/model/unet/" WEIGHTS, "wan21/model/transformer/" WEIGHTS },
    { "sd15/model/vae/" WEIGHTS, "wan21/model/vae/" WEIGHTS },
    { "sd15/model/text_encoder/model.safetensors", "wan21/model/text_encoder/model.safetensors" },
    { "sd15/model/unet/" WEIGHTS, "sd15/model/vae/" WEIGHTS },
    { "wan21/model/transformer/" WEIGHTS, "wan21/model/text_encoder/model.safetensors" },
    { "sd15/model/unet/config.json", "wan21/model/transformer/config.json" },
    { "sd15/model/vae/config.json", "wan21/model/vae/config.json" },
    { "sd15/model/text_encoder/config.json", "wan21/model/text_encoder/config.json" },
  };
  g_autoptr (AtlClient) client = atl_client_new ();
  guint width = 0, height = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autofree char *first = g_strndup (parts[i][0], strcspn (parts[i][0], "/"));
      g_autofree char *second = g_strndup (parts[i][1], strcspn (parts[i][1], "/"));
      g_autofree char *model = g_build_filename (first, "model", NULL);
      g_autofree char *other = g_build_filename (second, "model", NULL);

      try_part (client, model, parts[i][0], parts[i][1]);
      try_part (client, other, parts[i][1], parts[i][0]);
    }
  {
    g_autoptr (AtlModel) model = picture_fixture_load (client, "sd15/model");
    g_auto (Drawing) after = { 0 };

    g_assert_nonnull (drawing_draw (&after, client, model, &width, &height));
  }
  atl_client_stop (client);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/odd/prompts", test_prompts);
  g_test_add_func ("/odd/settings", test_settings);
  g_test_add_func ("/odd/killed", test_killed);
  g_test_add_func ("/odd/wrong-parts", test_wrong_parts);
  return picture_fixture_run ((const char *const[]){ "sd15", "wan21", NULL });
}
