/* Odd prompts at odd sizes for each family of pictures: each is drawn or refused in words. Without
 * ATELIER_FAULT_ROUNDS only the families that come with the source. */
#include "service-fixture.h"

#include <string.h>

#include "engine/service/picture.h"
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

static double
work_of (World *world, guint model, const FamilyModel *family, guint reference)
{
  g_autoptr (GVariant) own = g_variant_ref_sink (g_variant_new_parsed (family->settings));
  g_autoptr (GVariant) price = NULL, work = NULL, step = NULL;
  GVariantDict dict;

  g_variant_dict_init (&dict, own);
  g_variant_dict_insert (&dict, "width", "u", 64);
  g_variant_dict_insert (&dict, "height", "u", 64);
  g_variant_dict_insert (&dict, "steps", "u", 2);
  g_variant_dict_insert_value (&dict, ATL_PRICE_SIZES,
                               g_variant_new_parsed ("[(%u, %u)]", reference, reference));
  price = world_price_of (world, model, g_variant_dict_end (&dict), family->inputs);
  work = atl_dict_lookup (price, ATL_MADE_WORK, "a{sv}");
  step = atl_dict_lookup (work, ATL_WORK_STEP, "d");
  return g_variant_get_double (step);
}

/* A picture to follow costs what it is brought to: small ones stay small, large ones do not get
 * larger than what the model was trained for, which one of no known size counts as. */
static void
test_reference_price (void)
{
  const FamilyModel *family = NULL;
  g_autofree char *folder = NULL;
  g_autoptr (GError) error = NULL;
  double small, large, unknown;
  guint model;
  World world;

  for (guint i = 0; i < family_models_n (); i++)
    if (g_str_equal (family_model (i)->name, "flux2-reference"))
      family = family_model (i);
  folder = family_model_folder (family);
  if (folder == NULL)
    {
      g_test_skip ("no golden cases of flux2: this case did not run");
      return;
    }
  world_open (&world, atl_devices_new (FALSE, NULL, &error));
  g_assert_no_error (error);
  model = world_load (&world, folder, "{'device': <'cpu'>}", &error);
  g_assert_no_error (error);
  small = work_of (&world, model, family, 64);
  large = work_of (&world, model, family, 4000);
  unknown = work_of (&world, model, family, 0);
  g_assert_cmpfloat (small, <, large / 4);
  g_assert_cmpfloat (large, ==, unknown);
  g_assert_cmpfloat (work_of (&world, model, family, G_MAXUINT32), ==, unknown);
  world_close (&world);
  patched_model_remove (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/prompts/reference-price", test_reference_price);
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
