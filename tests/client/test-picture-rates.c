/* What finished pictures tell of those to come: steps, decoding and what is read before by their
 * work, loading by the size of what is loaded where that is not in memory, the rest as it was. */
#include "client/picture-rates.h"
#include "protocol/protocol.h"

#define PLACE "CPU, 2 threads"
#define WEIGHTS 1000

/* `load` below 0: a picture to come, cold or not; else one that was made. */
static GVariant *
work_of (guint steps, double step, double decode, double load, gboolean is_cold)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_WORK_WEIGHTS, "t", (guint64) WEIGHTS);
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

/* With so much to read beside ten steps of 100 (20 s) and 50 to decode (3 s). */
static GVariant *
reading_of (double text, double encode, guint64 weights, double load)
{
  g_autoptr (GVariant) work = work_of (10, 100, 50, load, TRUE);
  GVariantDict dict;

  g_variant_dict_init (&dict, work);
  g_variant_dict_insert (&dict, ATL_WORK_TEXT, "d", text);
  g_variant_dict_insert (&dict, ATL_WORK_ENCODE, "d", encode);
  g_variant_dict_insert (&dict, ATL_WORK_WEIGHTS, "t", weights);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static double
foretell_reading (AtlPictureRates *rates, const char *model, double encode, guint64 weights)
{
  g_autoptr (GVariant) work = reading_of (100, encode, weights, -1);
  gboolean is_own;

  return atl_picture_rates_seconds (rates, model, PLACE, work, &is_own);
}

/* A picture with others to follow is not told by one without, nor the other way round; and a model
 * that was never measured takes as long to load as there is of it. */
static void
test_reading (void)
{
  AtlPictureRates *rates = atl_picture_rates_new ();
  g_autoptr (GVariant) without = reading_of (100, 0, WEIGHTS, 5);
  g_autoptr (GVariant) with = reading_of (100, 200, WEIGHTS, 5);
  g_autoptr (GVariant) quick = reading_of (100, 1000, WEIGHTS, 0);

  /* Two seconds for the text, one for what else there is. */
  atl_picture_rates_note (rates, "model", PLACE, without, 31);
  g_assert_cmpfloat_with_epsilon (foretell_reading (rates, "model", 0, WEIGHTS), 31, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell_reading (rates, "model", 200, WEIGHTS), 43, 1e-9);
  atl_picture_rates_note (rates, "model", PLACE, with, 43);
  g_assert_cmpfloat_with_epsilon (foretell_reading (rates, "model", 0, WEIGHTS), 31, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell_reading (rates, "other", 0, 3 * WEIGHTS), 41, 1e-9);
  /* Where reading is quicker than the steps are, as it was: 62 by their pace, in 31. */
  atl_picture_rates_note (rates, "model", PLACE, quick, 54);
  g_assert_cmpfloat_with_epsilon (foretell_reading (rates, "model", 1000, WEIGHTS), 59, 2e-3);
  g_assert_cmpfloat_with_epsilon (foretell_reading (rates, "model", 0, WEIGHTS), 29, 2e-3);
  atl_picture_rates_free (rates);
}

/* The same with steps left out; `computed` 0: to come. */
static GVariant *
faster_work_of (const char *way, guint computed)
{
  g_autoptr (GVariant) work = work_of (10, 100, 50, computed > 0 ? 0 : -1, FALSE);
  GVariantDict dict;

  g_variant_dict_init (&dict, work);
  g_variant_dict_insert (&dict, ATL_WORK_FASTER, "s", way);
  g_variant_dict_insert (&dict, ATL_WORK_COMPUTED, "u", computed);
  if (computed < 10)
    g_variant_dict_insert (&dict, ATL_WORK_STEP_SECONDS, "d", 0.0);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static double
foretell_faster (AtlPictureRates *rates, const char *way)
{
  g_autoptr (GVariant) work = faster_work_of (way, 0);
  gboolean is_own;

  return atl_picture_rates_seconds (rates, "model", PLACE, work, &is_own);
}

/* The first of a way is told as if it left out nothing, the next as the last one was. */
static void
test_faster (void)
{
  AtlPictureRates *rates = atl_picture_rates_new ();
  g_autoptr (GVariant) all = work_of (10, 100, 50, 0, FALSE);
  g_autoptr (GVariant) less = faster_work_of ("auto 2", 6);
  g_autoptr (GVariant) none = faster_work_of ("first-block 1", 10);

  /* Of a model that nothing is known of it is no measurement. */
  atl_picture_rates_note (rates, "model", PLACE, less, 16);
  g_assert_cmpfloat (foretell_faster (rates, "auto 2"), <, 0);
  atl_picture_rates_note (rates, "model", PLACE, all, 24);
  g_assert_cmpfloat_with_epsilon (foretell_faster (rates, "auto 2"), 24, 1e-9);
  atl_picture_rates_note (rates, "model", PLACE, less, 16);
  g_assert_cmpfloat_with_epsilon (foretell_faster (rates, "auto 2"), 16, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell_faster (rates, "auto 3"), 24, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell (rates, 10, 100, FALSE), 24, 1e-9);
  atl_picture_rates_note (rates, "model", PLACE, none, 24);
  g_assert_cmpfloat_with_epsilon (foretell_faster (rates, "first-block 1"), 24, 1e-9);
  g_assert_cmpfloat_with_epsilon (foretell_faster (rates, "auto 2"), 16, 1e-9);
  atl_picture_rates_free (rates);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/picture-rates/load", test_load);
  g_test_add_func ("/picture-rates/reading", test_reading);
  g_test_add_func ("/picture-rates/faster", test_faster);
  return g_test_run ();
}
