/* Values by name, and noise from a seed. */
#include <math.h>

#include "engine/diffusion/noise.h"
#include "engine/diffusion/settings.h"

static void
test_numbers (void)
{
  g_autoptr (AtlSettings) s = atl_settings_new ();
  g_autofree double *list = NULL;
  guint n;

  atl_settings_set (s, "steps", g_variant_new_int32 (20));
  atl_settings_set (s, "flag", g_variant_new_boolean (TRUE));
  atl_settings_set (s, "inner", g_variant_new_variant (g_variant_new_uint64 (7)));
  atl_settings_set (s, "nan", g_variant_new_double (NAN));
  atl_settings_set_string (s, "prompt", "a fox");
  g_assert_cmpfloat (atl_settings_number (s, "steps", 1), ==, 20);
  g_assert_cmpfloat (atl_settings_number (s, "flag", 0), ==, 1);
  g_assert_cmpfloat (atl_settings_number (s, "inner", 0), ==, 7);
  g_assert_cmpfloat (atl_settings_number (s, "nan", 3), ==, 3);
  g_assert_cmpfloat (atl_settings_number (s, "prompt", 3), ==, 3);
  g_assert_cmpfloat (atl_settings_number (s, "absent", 4), ==, 4);
  g_assert_cmpstr (atl_settings_string (s, "steps", NULL), ==, NULL);
  atl_settings_set (s, "prompt", g_variant_new_maybe (G_VARIANT_TYPE_STRING, NULL));
  g_assert_false (atl_settings_has (s, "prompt"));
  atl_settings_set (s, "words", g_variant_new_strv ((const char *const[]){ "a", NULL }, -1));
  list = atl_settings_numbers (s, "words", &n);
  g_assert_null (list);
  g_assert_cmpuint (n, ==, 0);
}

static void
test_json (void)
{
  g_autoptr (JsonNode) node = json_from_string (
      "{\"timesteps\": [999, 749.5], \"negative_prompt\": null, \"scheduler\": {\"shift\": 3.0}}",
      NULL);
  g_autoptr (AtlSettings) s = atl_settings_new ();
  g_autoptr (AtlSettings) copy = NULL;
  g_autoptr (JsonObject) scheduler = NULL;
  g_autofree double *list = NULL;
  guint n;

  atl_settings_add_json (s, json_node_get_object (node));
  copy = atl_settings_copy (s);
  list = atl_settings_numbers (copy, "timesteps", &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpfloat (list[1], ==, 749.5);
  g_assert_false (atl_settings_has (copy, "negative_prompt"));
  scheduler = atl_settings_object (copy, "scheduler");
  g_assert_nonnull (scheduler);
  g_assert_cmpfloat (json_object_get_double_member (scheduler, "shift"), ==, 3.0);
}

/* What torch 2.13 gives after torch.manual_seed (42), runs one after the other. */
static void
test_noise (void)
{
  static const float five[] = { 0.3366904f, 0.1288094f, 0.2344624f, 0.230333f, -1.122856f };
  static const float sixteen[] = { -0.2482575f, -1.208215f, -0.4776675f };
  static const float last_of_20[] = { -0.09780689f, 1.844594f, -1.184537f, 1.383549f };
  g_autoptr (AtlNoise) noise = atl_noise_new (42);
  float x[20];

  atl_noise_fill (noise, x, 5);
  for (guint i = 0; i < 5; i++)
    g_assert_cmpfloat_with_epsilon (x[i], five[i], 1e-5);
  atl_noise_fill (noise, x, 16);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat_with_epsilon (x[i], sixteen[i], 1e-5);
  atl_noise_fill (noise, x, 20);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat_with_epsilon (x[16 + i], last_of_20[i], 1e-5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/diffusion/settings/numbers", test_numbers);
  g_test_add_func ("/diffusion/settings/json", test_json);
  g_test_add_func ("/diffusion/noise", test_noise);
  return g_test_run ();
}
