/* When a device hangs and when it is slow, by what it took before. No device is needed. */
#include "engine/tensor/opencl/pace.h"

#define MS 1000

/* `n` batches of so much work that took so long. */
static void
work_at (AtlClPace *pace, guint n, double work, gint64 took_us)
{
  for (guint i = 0; i < n; i++)
    {
      gint64 now = pace->since_us;

      atl_cl_pace_took (pace, work, now + took_us);
    }
}

static void
test_unknown (void)
{
  AtlClPace pace = { 0 };

  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e12), ==, ATL_CL_PATIENCE_MS);
  atl_cl_pace_start (&pace, 0);
  work_at (&pace, 7, 1e11, 100 * MS);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e11), ==, ATL_CL_PATIENCE_MS);
}

/* A batch of a tenth of a second: seconds are enough; fifty times its work takes longer. */
static void
test_known (void)
{
  AtlClPace pace = { 0 };

  atl_cl_pace_start (&pace, 5);
  work_at (&pace, 8, 1e11, 100 * MS);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e11), ==, ATL_CL_LEAST_PATIENCE_MS);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 50e11), >=, 5 * 8 * 1000 - 1);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 50e11), <=, 5 * 8 * 1000);
  /* Nothing is waited for for ever. */
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e18), ==, ATL_CL_MOST_PATIENCE_MS);
}

/* Another program takes the device: the first slow batch counts, and is forgotten in time. */
static void
test_slower (void)
{
  AtlClPace pace = { 0 };

  atl_cl_pace_start (&pace, 0);
  work_at (&pace, 20, 1e11, 100 * MS);
  work_at (&pace, 1, 1e11, 2000 * MS);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e11), >=, 16000 - 1);
  work_at (&pace, 60, 1e11, 100 * MS);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e11), ==, ATL_CL_LEAST_PATIENCE_MS);
}

/* What took place while the device had nothing to do is no work of it. */
static void
test_idle (void)
{
  AtlClPace pace = { 0 };
  gint64 now;

  atl_cl_pace_start (&pace, 0);
  work_at (&pace, 20, 1e11, 100 * MS);
  now = pace.since_us + 3600 * (gint64) G_USEC_PER_SEC;
  atl_cl_pace_start (&pace, now);
  atl_cl_pace_took (&pace, 1e11, now + 100 * MS);
  g_assert_cmpuint (atl_cl_pace_patience_ms (&pace, 1e11), ==, ATL_CL_LEAST_PATIENCE_MS);
}

/* A pass over a large table without arithmetic is work too. */
static void
test_work (void)
{
  g_assert_cmpfloat (atl_cl_work (0, 0, 1e9), >, 1e9);
  g_assert_cmpfloat (atl_cl_work (64, 0, 0), >, 0);
  g_assert_cmpfloat (atl_cl_work (1, 1e12, 0), >=, 1e12);
}

/* A launch is what the device does in a twentieth of a second, by its slow batches, and never less
 * than what is worth launching. */
static void
test_launch (void)
{
  AtlClPace pace = { 0 };
  double guessed = atl_cl_pace_launch (&pace, FALSE);

  g_assert_cmpfloat (guessed, <, 1e11);
  atl_cl_pace_start (&pace, 0);
  work_at (&pace, 20, 1e11, 100 * MS);
  g_assert_cmpfloat_with_epsilon (atl_cl_pace_launch (&pace, FALSE), 5e10, 1e8);
  work_at (&pace, 1, 1e11, 1000 * MS);
  g_assert_cmpfloat_with_epsilon (atl_cl_pace_launch (&pace, FALSE), 5e9, 1e8);
  work_at (&pace, 1, 1, 1000 * MS);
  g_assert_cmpfloat (atl_cl_pace_launch (&pace, FALSE), >=, 1e9);
  g_assert_cmpfloat (atl_cl_pace_launch (&pace, TRUE), <=, guessed);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/opencl-pace/unknown", test_unknown);
  g_test_add_func ("/opencl-pace/known", test_known);
  g_test_add_func ("/opencl-pace/slower", test_slower);
  g_test_add_func ("/opencl-pace/idle", test_idle);
  g_test_add_func ("/opencl-pace/work", test_work);
  g_test_add_func ("/opencl-pace/launch", test_launch);
  return g_test_run ();
}
