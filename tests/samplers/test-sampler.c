/* The sampler chain: determinism, clones, constraints, the limits of its parameters and logits that
 * are no numbers. */
#include "engine/samplers/sampler.h"

#include <math.h>
#include <string.h>

#include "engine/samplers/candidates.h"

/* --- The chain --- */

static void
random_logits (float *logits, gsize n, guint32 seed)
{
  AtlRandom random;

  atl_random_init (&random, seed);
  for (gsize i = 0; i < n; i++)
    logits[i] = (float) (10 * (atl_random_uniform (&random) + atl_random_uniform (&random) +
                               atl_random_uniform (&random)));
}

static AtlSampler *
sampler_new (const AtlSamplingParams *params, gsize n_vocab)
{
  g_autoptr (GError) error = NULL;
  AtlSampler *sampler = atl_sampler_new (params, n_vocab, &error);

  g_assert_no_error (error);
  return sampler;
}

/* The sum over ids of a run: the same on every machine, by the portable mathematics. */
static guint64
fingerprint (const AtlSamplingParams *params, guint n_steps)
{
  const gsize n = 1000;
  g_autofree float *logits = g_new (float, n);
  g_autoptr (AtlSampler) sampler = sampler_new (params, n);
  guint64 hash = 14695981039346656037u;

  for (guint step = 0; step < n_steps; step++)
    {
      gint32 id;

      random_logits (logits, n, step);
      id = atl_sampler_sample (sampler, logits, n);
      g_assert_cmpint (id, >=, 0);
      atl_sampler_accept (sampler, id);
      hash = (hash ^ (guint64) id) * 1099511628211u;
    }
  return hash;
}

static void
test_determinism (void)
{
  AtlSamplingParams params;
  guint64 plain;

  atl_sampling_params_init (&params);
  params.seed = 42;
  plain = fingerprint (&params, 50);
  g_test_message ("default chain, seed 42: 0x%" G_GINT64_MODIFIER "x", plain);
  g_assert_cmphex (plain, ==, fingerprint (&params, 50));
  g_assert_cmphex (plain, ==, 0xab1b3388d33bc6f7u);
  params.seed = 43;
  g_assert_cmphex (plain, !=, fingerprint (&params, 50));

  params.top_k = 0;
  params.typical_p = 0.9f;
  params.xtc_probability = 0.5f;
  params.dry_multiplier = 0.8f;
  params.repeat_penalty = 1.1f;
  params.dynatemp_range = 0.4f;
  params.top_n_sigma = 2.0f;
  plain = fingerprint (&params, 50);
  g_test_message ("everything on, seed 43: 0x%" G_GINT64_MODIFIER "x", plain);
  g_assert_cmphex (plain, ==, 0x4e8a93e4022804b7u);
  for (gint32 version = 1; version <= 2; version++)
    {
      params.mirostat = version;
      g_assert_cmphex (fingerprint (&params, 50), ==, fingerprint (&params, 50));
    }
}

/* Draws follow the probabilities: 20,000 of them, each frequency within five standard deviations.
 */
static void
test_distribution (void)
{
  static const float probs[] = { 0.5f, 0.25f, 0.15f, 0.1f };
  const guint n_draws = 20000;
  AtlSamplingParams params;
  g_autoptr (AtlSampler) sampler = NULL;
  guint counts[4] = { 0 };

  atl_sampling_params_init (&params);
  params.temperature = 1;
  params.top_k = 0;
  params.top_p = 1;
  params.min_p = 0;
  sampler = sampler_new (&params, 4);
  for (guint i = 0; i < n_draws; i++)
    {
      float logits[4];

      for (guint k = 0; k < 4; k++)
        logits[k] = logf (probs[k]) + 7;
      counts[atl_sampler_sample (sampler, logits, 4)]++;
    }
  for (guint k = 0; k < 4; k++)
    {
      double deviation = sqrt (n_draws * probs[k] * (1 - probs[k]));

      g_assert_cmpfloat (fabs (counts[k] - n_draws * (double) probs[k]), <, 5 * deviation);
    }
}

static double
mean_surprise (gint32 version, float tau)
{
  const gsize n = 2000;
  g_autofree float *logits = g_new (float, n);
  AtlSamplingParams params;
  g_autoptr (AtlSampler) sampler = NULL;
  double total = 0;
  double surprise = 0;

  atl_sampling_params_init (&params);
  params.temperature = 1;
  params.mirostat = version;
  params.mirostat_tau = tau;
  sampler = sampler_new (&params, n);
  for (gsize i = 0; i < n; i++)
    total += pow ((double) i + 1, -1.1);
  for (guint step = 0; step < 600; step++)
    {
      gint32 id;

      for (gsize i = 0; i < n; i++)
        logits[i] = -1.1f * logf ((float) i + 1);
      id = atl_sampler_sample (sampler, logits, n);
      if (step >= 100)
        surprise -= log2 (pow (id + 1.0, -1.1) / total) / 500;
    }
  return surprise;
}

/* Mirostat steers the surprise: it is measured among the candidates that are left, and so somewhat
 * above tau among all. Without it the mean would be 7.2 bits. */
static void
test_mirostat (void)
{
  for (gint32 version = 1; version <= 2; version++)
    {
      double low = mean_surprise (version, 2);
      double middle = mean_surprise (version, 3.5f);
      double high = mean_surprise (version, 5);

      g_test_message ("mirostat %d: %.2f, %.2f and %.2f bits for 2, 3.5 and 5", version, low,
                      middle, high);
      g_assert_cmpfloat (low, >, 1.8);
      g_assert_cmpfloat (low, <, 3.6);
      g_assert_cmpfloat (middle, >, low + 0.8);
      g_assert_cmpfloat (high, >, middle + 0.6);
      g_assert_cmpfloat (high, <, 6.6);
    }
}

static void
test_greedy_and_bias (void)
{
  AtlSamplingParams params;
  g_autoptr (AtlSampler) sampler = NULL;
  AtlLogitBias bias[] = { { 3, -INFINITY }, { 1, 2.5f } };
  float logits[] = { 1, 2, 3, 9 };
  float ties[] = { 5, 7, 7, 1 };

  atl_sampling_params_init (&params);
  params.temperature = 0;
  params.logit_bias = bias;
  params.n_logit_bias = G_N_ELEMENTS (bias);
  sampler = sampler_new (&params, 4);
  g_assert_cmpint (atl_sampler_sample (sampler, logits, 4), ==, 1);
  g_assert_cmpint (atl_sampler_sample (sampler, ties, 4), ==, 1);
}

static gboolean
only_multiples (gpointer data, gint32 id)
{
  return id % *(gint32 *) data == 0;
}

static void
mask_multiples (gpointer data, float *logits, gsize n_vocab)
{
  for (gsize i = 0; i < n_vocab; i++)
    if (!only_multiples (data, (gint32) i))
      logits[i] = -INFINITY;
}

static gboolean
nothing (gpointer data, gint32 id)
{
  return FALSE;
}

static void
mask_all (gpointer data, float *logits, gsize n_vocab)
{
  for (gsize i = 0; i < n_vocab; i++)
    logits[i] = -INFINITY;
}

static void
test_constraint (void)
{
  const gsize n = 300;
  gint32 divisor = 17;
  AtlSamplerConstraint multiples = { &divisor, only_multiples, mask_multiples };
  AtlSamplerConstraint impossible = { NULL, nothing, mask_all };
  AtlSamplingParams params;
  g_autofree float *logits = g_new (float, n);

  for (guint greedy = 0; greedy < 2; greedy++)
    {
      g_autoptr (AtlSampler) sampler = NULL;

      atl_sampling_params_init (&params);
      params.temperature = greedy ? 0 : 1;
      params.repeat_penalty = 1.2f;
      sampler = sampler_new (&params, n);
      atl_sampler_set_constraint (sampler, &multiples);
      for (guint step = 0; step < 100; step++)
        {
          gint32 id;

          random_logits (logits, n, step);
          id = atl_sampler_sample (sampler, logits, n);
          g_assert_cmpint (id, >=, 0);
          g_assert_cmpint (id % divisor, ==, 0);
          atl_sampler_accept (sampler, id);
        }
      atl_sampler_set_constraint (sampler, &impossible);
      random_logits (logits, n, 1);
      g_assert_cmpint (atl_sampler_sample (sampler, logits, n), ==, ATL_TOKEN_NONE);
    }
}

/* The fast way to the k largest agrees with sorting everything, for every shape of input. */
static void
test_gather_top (void)
{
  const gsize n = 10000;
  g_autofree float *logits = g_new (float, n);

  for (guint shape = 0; shape < 5; shape++)
    for (gsize k = 1; k < n; k = k * 3 + 1)
      {
        AtlCandidates fast, slow;

        random_logits (logits, n, shape);
        for (gsize i = 0; i < n; i++)
          if (shape == 1)
            logits[i] = (float) i;
          else if (shape == 2)
            logits[i] = -(float) i;
          else if (shape == 3)
            logits[i] = (float) (i % 7) - 3;
          else if (shape == 4)
            logits[i] = i % 3 == 0 ? NAN : i % 5 == 0 ? -INFINITY : -logits[i];
        atl_candidates_init (&fast, n);
        atl_candidates_init (&slow, n);
        atl_candidates_gather_top (&fast, logits, n, k);
        atl_candidates_gather (&slow, logits, n);
        atl_candidates_sort (&slow);
        for (gsize i = 0; i < fast.n; i++)
          {
            g_assert_cmpfloat (fast.items[i].logit, ==, slow.items[i].logit);
            if (!isinf (fast.items[i].logit))
              g_assert_cmpint (fast.items[i].id, ==, slow.items[i].id);
          }
        g_assert_cmpuint (fast.n, <=, k);
        atl_candidates_clear (&fast);
        atl_candidates_clear (&slow);
      }
}

static void
test_mathematics (void)
{
  for (double x = -700; x < 700; x += 0.37)
    g_assert_cmpfloat (fabs (atl_portable_exp (x) / exp (x) - 1), <, 1e-13);
  for (double x = 1e-300; x < 1e300; x *= 1.7)
    g_assert_cmpfloat (fabs (atl_portable_log (x) - log (x)), <=, 1e-13 * MAX (1, fabs (log (x))));
  g_assert_cmpfloat (atl_portable_exp (-1000), ==, 0);
  g_assert_true (isinf (atl_portable_exp (1000)) && isinf (atl_portable_log (0)));
  g_assert_cmpfloat (fabs (atl_portable_pow (1.75, 5) - pow (1.75, 5)), <, 1e-11);
}

/* Broken logits never give an id outside of the vocabulary. */
static void
test_broken_logits (void)
{
  const gsize n = 3000;
  g_autofree float *logits = g_new (float, n);
  static const float odd[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 0.0f, -0.0f, 1e-40f };
  AtlRandom random;

  atl_random_init (&random, 5);
  for (guint round = 0; round < 400; round++)
    {
      AtlSamplingParams params;
      g_autoptr (AtlSampler) sampler = NULL;

      atl_sampling_params_init (&params);
      params.seed = round;
      params.temperature = (float) (round % 3);
      params.top_k = round % 4 == 0 ? 0 : (gint32) (round % 50);
      params.top_p = round % 5 == 0 ? 1 : 0.7f;
      params.min_p = round % 7 == 0 ? 0 : 0.2f;
      params.typical_p = round % 6 == 0 ? 0.5f : 1;
      params.mirostat = round % 9 == 0 ? 1 : round % 11 == 0 ? 2 : 0;
      params.dynatemp_range = round % 8 == 0 ? 0.5f : 0;
      params.xtc_probability = round % 10 == 0 ? 1 : 0;
      params.top_n_sigma = round % 13 == 0 ? 1 : 0;
      params.dry_multiplier = round % 2 == 0 ? 1 : 0;
      params.repeat_penalty = round % 2 == 0 ? 1.1f : 1;
      sampler = sampler_new (&params, n);
      for (guint step = 0; step < 3; step++)
        {
          gint32 id;

          for (gsize i = 0; i < n; i++)
            {
              gsize pick = (gsize) (atl_random_uniform (&random) * 40);

              logits[i] = round % 20 == 1 ? NAN
                          : pick < G_N_ELEMENTS (odd)
                              ? odd[pick]
                              : (float) (atl_random_uniform (&random) * 20 - 10);
            }
          id = atl_sampler_sample (sampler, logits, n);
          g_assert_true (id == ATL_TOKEN_NONE || (id >= 0 && (gsize) id < n));
          atl_sampler_accept (sampler, id);
        }
    }
}

static void
test_params (void)
{
  g_autoptr (GError) error = NULL;
  AtlSamplingParams params;

  atl_sampling_params_init (&params);
  g_assert_true (atl_sampling_params_check (&params, &error));
  params.top_p = 1.5f;
  g_assert_false (atl_sampling_params_check (&params, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_cmpstr (error->message, ==, "top_p is 1.5, it must be from 0 to 1");
  g_clear_error (&error);
  atl_sampling_params_init (&params);
  params.temperature = NAN;
  g_assert_null (atl_sampler_new (&params, 10, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  atl_sampling_params_init (&params);
  g_assert_null (atl_sampler_new (&params, 0, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/determinism", test_determinism);
  g_test_add_func ("/sampler/distribution", test_distribution);
  g_test_add_func ("/sampler/mirostat", test_mirostat);
  g_test_add_func ("/sampler/greedy-and-bias", test_greedy_and_bias);
  g_test_add_func ("/sampler/constraint", test_constraint);
  g_test_add_func ("/sampler/gather-top", test_gather_top);
  g_test_add_func ("/sampler/mathematics", test_mathematics);
  g_test_add_func ("/sampler/broken-logits", test_broken_logits);
  g_test_add_func ("/sampler/params", test_params);
  return g_test_run ();
}
