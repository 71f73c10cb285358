/* What finished pictures tell of those to come: steps and decoding by their work, the rest as it
 * was, and loading where the parts are not in memory. */
#include "client/picture-rates.h"
#include "protocol/protocol.h"

#define PLACE "CPU, 2 threads"

/* `load` below 0: a picture to come, cold or not; else one that was made. */
static GVariant *
work_of (guint steps, double step, double decode, double load, gboolean is_cold)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_WORK_STEPS, "u", steps);
  g_variant_dict_insert (&dict, ATL_WORK_STEP, "d", step);
  g_variant_dict_insert (&dict, ATL_WORK_DECODE, "d", decode);
  if (load < 0)
    g_variant_dict_insert (&dict, ATL_WORK_IS_COLD, "b", is_cold);
  else
    {
      g_variant_dict_insert (&dict, ATL_WORK_STEP_SECONDS, "d", 2.0);
      g_variant_dict_insert (&dict, ATL_WORK_DECODE_SECONDS, "d", 3.0);
      g_variant_dict_insert (&dict, ATL_WORK_LOAD_SECONDS, "d", load);
    }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static double
foretell (AtlPictureRates *rates, guint steps, double step, gboolean is_cold)
{
  g_autoptr (GVariant) work = work_of (steps, step, 50, -1, is_cold);
  gboolean is_own;

  return atl_picture_rates_seconds (rates, "model", PLACE, work, &is_own);
}

static void
test_load (void)
{
  AtlPictureRates *rates = atl_picture_rates_new ();
  g_autoptr (GVariant) cold = work_of (10, 100, 50, 7, TRUE);
  g_autoptr (GVariant) warm = work_of (10, 100, 50, 0, FALSE);

  g_assert_cmpfloat (foretell (rates, 10, 100, FALSE), <, 0);
  /* Ten steps of two seconds, three to decode, seven to load, one for the rest. */
  atl_picture_rates_note (rates, "model", PLACE, cold, 31);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 10, 100, TRUE), 31, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 10, 100, FALSE), 24, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 20, 50, FALSE), 24, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 20, 100, FALSE), 44, 1e-9);
  /* One that loads nothing leaves that as it was. */
  atl_picture_rates_note (rates, "model", PLACE, warm, 25);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 10, 100, FALSE), 25, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 10, 100, TRUE), 32, 1e-9);
  atl_picture_rates_free (rates);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/picture-rates/load", test_load);
  return g_test_run ();
}
