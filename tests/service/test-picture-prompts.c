/* Odd prompts at odd sizes for each family of pictures: each is drawn or refused in words. Without
 * ATELIER_FAULT_ROUNDS only the families that come with the source. */
#include "service-fixture.h"

#include <string.h>

#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "family-models.h"
#include "odd-prompts.h"

/* For each model: 264 in all. */
#define N_PROMPTS 11u

static GVariant *
odd_settings (const FamilyModel *model, guint i)
{
  static const guint sides[] = { 8, 64, 65, 72, 24, 100, 1, 48 };
  g_autoptr (GVariant) own = g_variant_ref_sink (
      g_variant_new_parsed (model->settings != NULL ? model->settings : "@a{sv} {}"));
  g_autofree char *prompt = odd_prompt (i);
  GVariantDict dict;

  g_variant_dict_init (&dict, own);
  g_variant_dict_insert (&dict, "prompt", "s", prompt);
  g_variant_dict_insert (&dict, "negative_prompt", "s", i % 4 == 0 ? prompt : "");
  g_variant_dict_insert (&dict, "seed", "u", i);
  g_variant_dict_insert (&dict, "steps", "u", 1);
  g_variant_dict_insert (&dict, "width", "u", sides[i % G_N_ELEMENTS (sides)]);
  g_variant_dict_insert (&dict, "height", "u", sides[i / 3 % G_N_ELEMENTS (sides)]);
  return g_variant_dict_end (&dict);
}

static void
test_prompts (gconstpointer data)
{
  const FamilyModel *family = data;
  g_autofree char *folder = family_model_folder (family);
  g_autoptr (GError) error = NULL;
  guint model, n_made = 0, first = 0;
  World world;

  if (folder == NULL)
    {
      g_test_skip ("no golden cases of this family: this case did not run");
      return;
    }
  while (family_model (first / N_PROMPTS) != family)
    first += N_PROMPTS;
  world_open (&world, atl_devices_new (FALSE, NULL, &error));
  g_assert_no_error (error);
  model = world_load (&world, folder, "{'device': <'cpu'>}", &error);
  g_assert_no_error (error);
  for (guint i = first; i < first + N_PROMPTS; i++)
    {
      gboolean is_made = world_try (&world, model, odd_settings (family, i), 64, family->inputs);

      if (!is_made)
        {
          g_test_message ("%u: %s", i, world.failure);
          g_assert_true (g_utf8_validate (world.failure, -1, NULL));
          g_assert_cmpuint (strlen (world.failure), >, 12);
        }
      n_made += is_made;
    }
  g_test_message ("%s: %u of %u", family->name, n_made, N_PROMPTS);
  g_assert_cmpuint (n_made * 10, >=, N_PROMPTS * 9);
  world_close (&world);
  patched_model_remove (folder);
}

/* A model that only fills masks says what it needs; others draw without a picture. */
static void
test_fills (void)
{
  AtlTraits traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_MASK };
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_picture_check_fills (&traits, "Flux.1", TRUE, TRUE, &error));
  g_assert_no_error (error);
  g_assert_false (atl_picture_check_fills (&traits, "Flux.1", TRUE, FALSE, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "Flux.1"));
  g_clear_error (&error);
  traits.abilities |= ATL_CAN_IMAGE;
  g_assert_true (atl_picture_check_fills (&traits, "Flux.1", FALSE, FALSE, &error));
  traits.abilities = ATL_CAN_PICTURE;
  g_assert_true (atl_picture_check_fills (&traits, "Flux.1", FALSE, FALSE, &error));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/prompts/fills", test_fills);
  for (guint i = 0; i < family_models_n (); i++)
    {
      const FamilyModel *model = family_model (i);
      g_autofree char *name = g_strdup_printf ("/prompts/%s", model->name);

      if (model->is_shipped || g_getenv ("ATELIER_FAULT_ROUNDS") != NULL)
        g_test_add_data_func (name, model, test_prompts);
    }
  return g_test_run ();
}
