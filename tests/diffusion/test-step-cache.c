/* Leaving out steps whose output can be foretold. */
#include <math.h>

#include "engine/diffusion/step-cache.h"

#define N 5
#define STEPS 20

/* A latent that moves evenly and a denoiser whose output follows it: v = x / 2 + c, until
 * `turn`, from which on it jumps. */
static void
walk_at (guint step, guint turn, float *x, float *v)
{
  for (guint i = 0; i < N; i++)
    {
      x[i] = 1.0f + (float) i - 0.01f * (float) step;
      v[i] = 0.5f * x[i] + (float) i + (step >= turn ? 10.0f : 0.0f);
    }
}

/* Marks the computed steps; checks what is foretold. */
static guint
run (double threshold, guint n_steps, guint turn, gboolean *computed)
{
  g_autoptr (AtlStepCache) cache =
      atl_step_cache_new (threshold, n_steps, atl_step_cache_first (n_steps), N);
  float last_x[N] = { 0 }, last_v[N] = { 0 };
  guint n = 0;

  for (guint step = 0; step < n_steps; step++)
    {
      float x[N], v[N], guess[N];

      walk_at (step, turn, x, v);
      computed[step] = cache == NULL || !atl_step_cache_guess (cache, x, guess);
      if (!computed[step])
        {
          for (guint i = 0; i < N; i++)
            g_assert_cmpfloat_with_epsilon (guess[i], x[i] + last_v[i] - last_x[i], 1e-6);
          continue;
        }
      n++;
      if (cache != NULL)
        atl_step_cache_learn (cache, x, v);
      for (guint i = 0; i < N; i++)
        {
          last_x[i] = x[i];
          last_v[i] = v[i];
        }
    }
  return n;
}

static void
test_even (void)
{
  gboolean computed[STEPS];
  guint n = run (0.01, STEPS, STEPS, computed);

  /* k = 1/2; a step changes x by 0.01, v is 3.5 on average: 0.00143 a step, so that six are
   * foretold in a row. */
  for (guint i = 0; i < STEPS; i++)
    g_assert_cmpint (computed[i], ==, i < 4 || i == 10 || i == 17 || i == 19);
  g_assert_cmpuint (n, ==, 7);
}

static void
test_strength (void)
{
  gboolean computed[STEPS];
  guint before = STEPS;

  g_assert_cmpfloat (atl_step_cache_threshold (0), ==, 0);
  g_assert_cmpfloat (atl_step_cache_threshold (1.5), ==, 0);
  g_assert_cmpfloat (atl_step_cache_threshold (-1), ==, 0);
  g_assert_cmpfloat (atl_step_cache_threshold (NAN), ==, 0);
  for (guint strength = 1; strength <= 3; strength++)
    {
      double threshold = atl_step_cache_threshold (strength);
      guint n = run (threshold / 10, STEPS, STEPS, computed);

      g_assert_cmpfloat (threshold, >, 0);
      g_assert_cmpuint (n, <, before);
      before = n;
    }
}

/* Few steps, no threshold: everything is computed. */
static void
test_off (void)
{
  gboolean computed[STEPS];

  g_assert_cmpuint (run (0, STEPS, STEPS, computed), ==, STEPS);
  g_assert_cmpuint (run (NAN, STEPS, STEPS, computed), ==, STEPS);
  g_assert_cmpuint (run (1, ATL_STEP_CACHE_LEAST - 1, STEPS, computed), ==,
                    ATL_STEP_CACHE_LEAST - 1);
}

/* A large threshold leaves the head and the last step; a latent that stands still says nothing of
 * the output, which is computed then. */
static void
test_ends (void)
{
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (1, STEPS, 3, N);
  gboolean computed[STEPS];
  float x[N] = { 1, 2, 3, 4, 5 }, v[N] = { 1, 1, 1, 1, 1 }, out[N];

  run (100, STEPS, STEPS, computed);
  for (guint i = 0; i < STEPS; i++)
    g_assert_cmpint (computed[i], ==, i < 4 || i == STEPS - 1);
  for (guint i = 0; i < STEPS; i++)
    {
      g_assert_false (atl_step_cache_guess (cache, x, out));
      atl_step_cache_learn (cache, x, v);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/step-cache/even", test_even);
  g_test_add_func ("/step-cache/strength", test_strength);
  g_test_add_func ("/step-cache/off", test_off);
  g_test_add_func ("/step-cache/ends", test_ends);
  return g_test_run ();
}
