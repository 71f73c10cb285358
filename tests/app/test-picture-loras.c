/* What LoRAs do to a picture's settings: what they set and give back, the words they listen to. */
#include "app/images/picture-settings.h"
#include "app/words.h"
#include "protocol/protocol.h"

static void
add_lora (
    AtlPictureSettings *s, const char *name, guint steps, double guidance, const char *sampler)
{
  char *samplers[] = { (char *) "Euler", (char *) "LCM", (char *) "DDIM", NULL };
  AtlModelInfo model = { .samplers = samplers };
  AtlModelInfo info = { .steps = steps,
                        .guidance = guidance,
                        .strength = 1,
                        .sampler = (char *) sampler,
                        .schedule = (char *) (g_str_equal (sampler, "DDIM") ? "SGM Uniform" : "") };

  atl_picture_settings_add_lora (s, name, &info, &model);
}

/* A LoRA made for few steps is gone: so is what it set, but not what a person set since. */
static void
test_few_steps (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureSettings) again = NULL;
  g_autofree char *json = NULL;

  s->guidance = 6;
  atl_set_string (&s->sampler, "Euler");
  add_lora (s, "plain", 0, 5, "");
  g_assert_cmpuint (s->steps, ==, 0);
  g_assert_cmpfloat (s->guidance, ==, 6);
  add_lora (s, "eight", 8, 1, "LCM");
  g_assert_cmpuint (s->steps, ==, 8);
  g_assert_cmpfloat (s->guidance, ==, 1);
  g_assert_cmpstr (s->sampler, ==, "LCM");

  /* The program was closed meanwhile. */
  json = atl_picture_settings_to_json (s);
  again = atl_picture_settings_from_json (json);
  atl_picture_settings_remove_lora (again, again->loras->pdata[1]);
  g_assert_cmpuint (again->loras->len, ==, 1);
  g_assert_cmpuint (again->steps, ==, 0);
  g_assert_cmpfloat (again->guidance, ==, 6);
  g_assert_cmpstr (again->sampler, ==, "Euler");

  /* Two of them, the first of which goes first. */
  add_lora (s, "four", 4, -1, "DDIM");
  g_assert_cmpuint (s->steps, ==, 4);
  g_assert_cmpstr (s->sampler, ==, "DDIM");
  g_assert_cmpstr (s->schedule, ==, "SGM Uniform");
  atl_picture_settings_remove_lora (s, s->loras->pdata[1]);
  g_assert_cmpuint (s->steps, ==, 4);
  g_assert_cmpfloat (s->guidance, ==, 6);
  atl_picture_settings_remove_lora (s, s->loras->pdata[1]);
  g_assert_cmpuint (s->steps, ==, 0);
  g_assert_cmpstr (s->sampler, ==, "Euler");
  g_assert_cmpstr (s->schedule, ==, "");

  /* What a person chose meanwhile stays. */
  add_lora (s, "eight", 8, 1, "LCM");
  s->steps = 12;
  atl_set_string (&s->sampler, "Heun");
  atl_picture_settings_remove_lora (s, s->loras->pdata[1]);
  g_assert_cmpuint (s->steps, ==, 12);
  g_assert_cmpstr (s->sampler, ==, "Heun");
  g_assert_cmpfloat (s->guidance, ==, 6);
  atl_picture_settings_remove_lora (s, s->loras->pdata[0]);
  g_assert_cmpuint (s->loras->len, ==, 0);

  /* A sampler that the model has not is not set. */
  add_lora (s, "other", 8, 1, "TCD");
  g_assert_cmpstr (s->sampler, ==, "Heun");
}

/* What a LoRA of no known family sets is the model's family's. */
static void
test_few_steps_of_model (void)
{
  static const struct
  {
    const char *family;
    double guidance, strength;
  } cases[] = { { "Flux.1", -1, 0.125 }, { "Qwen-Image", 1, 1 }, { "another", 1, 1 } };
  char *samplers[] = { (char *) "Euler", NULL };
  g_autoptr (GVariant) own = g_variant_ref_sink (g_variant_new_parsed (
      "{'Flux.1': <{%s: <-1.0>, %s: <0.125>, %s: <''>}>, 'Qwen-Image': <{%s: <1.0>}>}",
      ATL_INFO_GUIDANCE, ATL_INFO_STRENGTH, ATL_INFO_SAMPLER, ATL_INFO_GUIDANCE));
  AtlModelInfo info = { .steps = 8,
                        .guidance = 1,
                        .strength = 1,
                        .sampler = (char *) "",
                        .schedule = (char *) "",
                        .few_steps = own };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
      AtlModelInfo model = { .family = (char *) cases[i].family, .samplers = samplers };

      atl_picture_settings_add_lora (s, "hyper", &info, &model);
      g_assert_cmpuint (s->steps, ==, 8);
      g_assert_cmpfloat (s->guidance, ==, cases[i].guidance);
      g_assert_cmpfloat (((AtlPictureLora *) s->loras->pdata[0])->strength, ==, cases[i].strength);
    }
}

/* The words that a LoRA listens to, once. */
static void
test_prompt_with (void)
{
  static const struct
  {
    const char *prompt, *words, *added;
  } cases[] = {
    { "", "ink", "ink" },
    { "  ", "ink", "ink" },
    { "a fox", "ink drawing", ", ink drawing" },
    { "a fox,", "ink", " ink" },
    { "a fox, ", "ink", "ink" },
    { "drinking", "ink", ", ink" },
    { "drinking INK, a fox", "ink", NULL },
    { "Übung", "übung", NULL },
    { "Übungen", "Übung", ", Übung" },
    { "a fox", "", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *added = atl_picture_prompt_with (cases[i].prompt, cases[i].words);

      g_assert_cmpstr (added, ==, cases[i].added);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/picture-loras/few-steps", test_few_steps);
  g_test_add_func ("/picture-loras/few-steps-of-model", test_few_steps_of_model);
  g_test_add_func ("/picture-loras/prompt-with", test_prompt_with);
  return g_test_run ();
}
