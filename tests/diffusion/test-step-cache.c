/* Leaving out steps, or the blocks of some: which are computed, and what stands for the others. */
#include <math.h>
#include <string.h>

#include "engine/diffusion/family.h"
#include "engine/models/component.h"

#define N 5
#define STEPS 20

/* A network of blocks: `before` is x / 2, the first block adds what `first` says, the others add
 * what `others` says, and the end doubles. With attention apart `first` is what it gives over the
 * picture, `others` over text. */
typedef struct
{
  float first, others; /* of this step */
  guint n_rest, n_end, n_whole;
  guint n_self, n_cross; /* how often attention was computed */
} Network;

static AtlArray *
row (const char *name, const AtlArray *from, float scale, float shift)
{
  AtlArray *a = atl_array_new (name, ATL_DTYPE_F32, 3, (gint64[]){ 1, 1, N });

  for (guint i = 0; i < N; i++)
    atl_array_f32 (a)[i] = scale * atl_array_f32 (from)[i] + shift;
  return a;
}

/* What stands for attention, or what is computed and given back; its sum with x. */
static void
attend (const AtlRequest *request,
        const char *name,
        float value,
        guint *n_computed,
        AtlArray *sum,
        GPtrArray *outputs)
{
  const AtlArray *kept = atl_request_find (request, name);

  if (kept == NULL)
    {
      (*n_computed)++;
      g_ptr_array_add (outputs, row (name, sum, 0, value));
      kept = outputs->pdata[outputs->len - 1];
    }
  for (guint i = 0; i < N; i++)
    atl_array_f32 (sum)[i] += atl_array_f32 (kept)[i];
}

static GPtrArray *
run (const AtlRequest *request, gpointer user_data, GError **error)
{
  Network *net = user_data;
  const char *function = atl_request_function (request);
  const AtlArray *x = atl_request_find (request, "latent");
  const AtlArray *hidden = atl_request_find (request, "hidden");
  const AtlArray *last = atl_request_find (request, "last");
  GPtrArray *outputs = atl_arrays_new ();

  if (g_str_equal (function, "forward_probe"))
    {
      g_ptr_array_add (outputs, row ("before", x, 0.5f, 0));
      g_ptr_array_add (outputs, row ("probe", x, 0, net->first));
    }
  else if (g_str_equal (function, "forward_first"))
    {
      g_ptr_array_add (outputs, row ("before", x, 0.5f, 0));
      g_ptr_array_add (outputs, row ("hidden", x, 0.5f, net->first));
    }
  else if (g_str_equal (function, "forward_rest"))
    {
      net->n_rest++;
      g_ptr_array_add (outputs, row ("last", hidden, 1, net->others));
      g_ptr_array_add (outputs, row ("output", hidden, 2, 2 * net->others));
    }
  else if (g_str_equal (function, "forward_end"))
    {
      net->n_end++;
      g_ptr_array_add (outputs, row ("output", last, 2, 0));
    }
  else if (g_str_equal (function, "forward_attention"))
    {
      AtlArray *sum = row ("output", x, 1, 0);

      attend (request, "reuse.self.0", net->first, &net->n_self, sum, outputs);
      attend (request, "reuse.cross.0", net->others, &net->n_cross, sum, outputs);
      g_ptr_array_insert (outputs, 0, sum);
    }
  else
    {
      net->n_whole++;
      g_ptr_array_add (outputs, row ("output", x, 1, 2 * (net->first + net->others)));
    }
  return outputs;
}

/* One step at x = `at` (the same in all places but for the place); its first output. */
static float
step (AtlStepCache *cache, Network *net, float at, gboolean *computed)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (AtlArray) output = NULL;
  g_autoptr (GError) error = NULL;
  AtlArray *x = atl_array_new ("latent", ATL_DTYPE_F32, 3, (gint64[]){ 1, 1, N });

  for (guint i = 0; i < N; i++)
    atl_array_f32 (x)[i] = at + (float) i;
  atl_request_add (request, x);
  output = atl_step_cache_run (cache, request, run, net, &error);
  g_assert_no_error (error);
  *computed = atl_step_cache_computed (cache);
  return atl_array_f32 (output)[0];
}

static void
test_first_block (void)
{
  const AtlStepRule rule = {
    .method = ATL_SKIP_FIRST_BLOCK, .threshold = 0.1, .n_steps = STEPS, .n_last = 1
  };
  /* What the first block adds; against that of the last computed step, not of the one before. */
  static const float adds[] = { 1, 1.05f, 1.09f, 1.12f, 1.2f, 1.3f };
  static const gboolean expected[] = { TRUE, FALSE, FALSE, TRUE, FALSE, TRUE };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  Network net = { .others = 3 };
  gboolean computed;

  for (guint i = 0; i < G_N_ELEMENTS (adds); i++)
    {
      float tail = net.others, out;

      net.first = adds[i];
      out = step (cache, &net, (float) i, &computed);
      g_assert_cmpint (computed, ==, expected[i]);
      /* What the other blocks added last time; it is another number when they run again. */
      g_assert_cmpfloat_with_epsilon (out, 2 * (0.5f * (float) i + adds[i] + tail), 1e-5);
    }
  g_assert_cmpuint (net.n_rest, ==, 3);
  g_assert_cmpuint (net.n_end, ==, 3);
  g_assert_cmpuint (net.n_whole, ==, 0);
}

static void
test_tea (void)
{
  /* Twice the change. */
  const AtlStepRule rule = { .method = ATL_SKIP_TEA,
                             .threshold = 0.5,
                             .n_steps = 7,
                             .n_first = 1,
                             .n_last = 1,
                             .polynomial = { 0, 0, 0, 2, 0 },
                             .probe = "probe" };
  /* Against the step before, skipped or not: 0.2, 0.2, 0.2 of it make 0.4, 0.8: computed. */
  static const float probes[] = { 1, 1.2f, 1.44f, 1.728f, 1.728f, 1.9f, 1.9f };
  static const gboolean expected[] = { TRUE, FALSE, TRUE, FALSE, FALSE, TRUE, TRUE };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  Network net = { .others = 3 };
  float added = 0;
  gboolean computed;

  for (guint i = 0; i < G_N_ELEMENTS (probes); i++)
    {
      float out;

      net.first = probes[i];
      out = step (cache, &net, (float) i, &computed);
      if (computed)
        added = net.first + net.others;
      g_assert_cmpfloat_with_epsilon (out, 2 * (0.5f * (float) i + added), 1e-5);
      g_assert_cmpint (computed, ==, expected[i]);
    }
}

static void
test_mag (void)
{
  static const double ratios[] = { 1, 1.1, 0.9, 1.0, 1.05, 1.0 };
  const AtlStepRule rule = { .method = ATL_SKIP_MAG,
                             .threshold = 0.15,
                             .n_steps = G_N_ELEMENTS (ratios),
                             .n_first = 1,
                             .ratios = ratios,
                             .max_skips = 2 };
  /* 0.1; + |1 - 0.99|; the limit of two; anew: 0.05; 0.1; */
  static const gboolean expected[] = { TRUE, FALSE, FALSE, TRUE, FALSE, FALSE };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  Network net = { .first = 1, .others = 3 };
  gboolean computed;

  for (guint i = 0; i < G_N_ELEMENTS (ratios); i++)
    {
      step (cache, &net, (float) i, &computed);
      g_assert_cmpint (computed, ==, expected[i]);
    }
}

/* A latent that moves evenly, and an output that follows it. */
static void
test_easy (void)
{
  const AtlStepRule rule = {
    .method = ATL_SKIP_EASY, .threshold = 0.01, .n_steps = STEPS, .n_first = 4, .n_last = 1
  };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  g_autoptr (AtlStepCache) follower = atl_step_cache_new (&rule, 0, cache);
  Network net = { .first = 0, .others = 0 };
  gboolean computed, followed;

  /* k = 1; a step changes x by 0.005, v is 3 on average: 0.00167 a step, so that five are foretold
   * in a row. */
  for (guint i = 0; i < STEPS; i++)
    {
      float out = step (cache, &net, 1 - 0.005f * (float) i, &computed);

      step (follower, &net, 2 - 0.1f * (float) i, &followed);
      g_assert_cmpint (computed, ==, i < 4 || i == 9 || i == 15 || i == 19);
      g_assert_cmpint (followed, ==, computed);
      g_assert_cmpfloat_with_epsilon (out, 1 - 0.005f * (float) i, 1e-5);
    }
}

/* A parabola is foretold exactly by second differences. */
static void
test_taylor (void)
{
  const AtlStepRule rule = {
    .method = ATL_SKIP_TAYLOR, .n_steps = 12, .n_first = 3, .n_last = 1, .interval = 3, .order = 1
  };
  static const gboolean expected[] = { TRUE,  TRUE, TRUE,  FALSE, TRUE, FALSE,
                                       FALSE, TRUE, FALSE, FALSE, TRUE, TRUE };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  Network net = { .first = 0 };
  gboolean computed;

  for (guint i = 0; i < rule.n_steps; i++)
    {
      float out;

      net.others = (float) i;
      out = step (cache, &net, 1, &computed);
      g_assert_cmpint (computed, ==, expected[i]);
      g_assert_cmpfloat_with_epsilon (out, 1 + 2 * (float) i, 1e-4);
    }
}

/* What attention gives is foretold; x is not. */
static void
test_taylor_attention (void)
{
  const AtlStepRule rule = { .method = ATL_SKIP_TAYLOR_ATTENTION,
                             .n_steps = 9,
                             .n_first = 2,
                             .n_last = 1,
                             .interval = 3,
                             .order = 2 };
  static const gboolean expected[] = { TRUE, TRUE, FALSE, TRUE, FALSE, FALSE, TRUE, FALSE, TRUE };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  Network net = { .first = 0 };
  guint n = 0;

  for (guint i = 0; i < rule.n_steps; i++)
    {
      gboolean computed;
      float out;

      net.first = (float) i;
      net.others = 2 * (float) i;
      out = step (cache, &net, 7 * (float) (i * i), &computed);
      g_assert_cmpint (computed, ==, expected[i]);
      g_assert_cmpfloat_with_epsilon (out, 7 * (float) (i * i) + 3 * (float) i, 1e-3);
      n += expected[i];
    }
  g_assert_cmpuint (net.n_self, ==, n);
  g_assert_cmpuint (net.n_cross, ==, n);
}

static void
test_pyramid (void)
{
  const AtlStepRule rule = { .method = ATL_SKIP_PYRAMID,
                             .n_steps = STEPS,
                             .self_every = 2,
                             .cross_every = 3,
                             .timesteps = { 100, 900 } };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  Network net = { .first = 0 };
  float of_self = 0, of_cross = 0;

  for (guint i = 0; i < STEPS; i++)
    {
      g_autoptr (AtlRequest) request = atl_request_new ("forward");
      g_autoptr (AtlArray) output = NULL;
      g_autoptr (GError) error = NULL;
      float t = 950 - 50 * (float) i;
      gboolean outside = t <= 100 || t >= 900;

      atl_request_add (request, atl_array_new ("latent", ATL_DTYPE_F32, 3, (gint64[]){ 1, 1, N }));
      atl_request_add (request, atl_array_new ("timestep", ATL_DTYPE_F32, 1, (gint64[]){ 1 }));
      atl_array_f32 (atl_request_find (request, "timestep"))[0] = t;
      net.first = 1 + (float) i;
      net.others = 100 * (float) i;
      if (outside || i % 2 == 0)
        of_self = net.first;
      if (outside || i % 3 == 0)
        of_cross = net.others;
      output = atl_step_cache_run (cache, request, run, &net, &error);
      g_assert_no_error (error);
      g_assert_cmpint (atl_step_cache_computed (cache), ==, outside || i % 2 == 0);
      g_assert_cmpfloat_with_epsilon (atl_array_f32 (output)[0], of_self + of_cross, 1e-4);
    }
  /* Steps 0, 1 and from 17 on are outside. */
  g_assert_cmpuint (net.n_self, ==, 5 + 8);
  g_assert_cmpuint (net.n_cross, ==, 5 + 5);
}

/* A network that comes in later has computed nothing yet, and knows which step is the last. */
static void
test_later (void)
{
  const AtlStepRule rule = {
    .method = ATL_SKIP_FIRST_BLOCK, .threshold = 0.1, .n_steps = STEPS, .n_first = 1, .n_last = 1
  };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, STEPS - 3, NULL);
  static const gboolean expected[] = { TRUE, FALSE, TRUE };
  Network net = { .first = 1, .others = 3 };

  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      gboolean computed;

      step (cache, &net, (float) i, &computed);
      g_assert_cmpint (computed, ==, expected[i]);
    }
}

/* What never changes is computed now and then all the same. */
static void
test_limit (void)
{
  static const AtlSkipMethod methods[] = { ATL_SKIP_TEA, ATL_SKIP_FIRST_BLOCK };

  for (gsize m = 0; m < G_N_ELEMENTS (methods); m++)
    {
      const AtlStepRule rule = { .method = methods[m],
                                 .threshold = 1,
                                 .n_steps = STEPS,
                                 .n_last = 1,
                                 .probe = "probe",
                                 .max_skips = 3 };
      g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
      Network net = { .first = 1, .others = 3 };

      for (guint i = 0; i < STEPS; i++)
        {
          gboolean computed;

          step (cache, &net, (float) i, &computed);
          g_assert_cmpint (computed, ==, i % 4 == 0 || i + 1 == STEPS);
        }
    }
}

/* Numbers that are none, and a latent that stands still, say nothing: all is computed. */
static void
test_nan (void)
{
  static const AtlSkipMethod methods[] = { ATL_SKIP_EASY, ATL_SKIP_TEA, ATL_SKIP_FIRST_BLOCK };

  for (gsize m = 0; m < G_N_ELEMENTS (methods); m++)
    {
      const AtlStepRule rule = { .method = methods[m],
                                 .threshold = 1,
                                 .n_steps = STEPS,
                                 .polynomial = { 1 },
                                 .probe = "probe" };
      g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
      Network net = { .first = 0, .others = 1 };
      gboolean computed;

      for (guint i = 0; i < 5; i++)
        {
          step (cache, &net, 1, &computed);
          g_assert_true (computed);
        }
    }
}

static const AtlComponentClass *
class_named (const char *name)
{
  const AtlComponentClass *const *c = atl_component_classes ();

  while (*c != NULL && !g_str_equal ((*c)->name, name))
    c++;
  g_assert_nonnull (*c);
  return *c;
}

/* The network of that class in its (first) family. */
static AtlStepNetwork
network_of (const char *name, const AtlCheckpoint *cp)
{
  const AtlDiffusionFamily *const *f = atl_diffusion_families ();

  while (*f != NULL && !g_str_equal ((*f)->component, name))
    f++;
  g_assert_nonnull (*f);
  return (AtlStepNetwork){ .family = *f, .klass = class_named (name), .cp = cp };
}

static void
test_rules (void)
{
  static const struct
  {
    const char *klass, *method;
    AtlSkipMethod expected;
    gboolean is_pair, is_guided;
  } rules[] = {
    { "flux", NULL, ATL_SKIP_TEA },
    { "flux", NULL, ATL_SKIP_FIRST_BLOCK, .is_pair = TRUE },
    { "flux", "first-block", ATL_SKIP_FIRST_BLOCK },
    { "flux", "taylor", ATL_SKIP_TAYLOR },
    { "flux", "taylor-attention", ATL_SKIP_TAYLOR_ATTENTION },
    { "flux", "pyramid", ATL_SKIP_PYRAMID },
    { "flux", "easycache", ATL_SKIP_EASY },
    { "flux2", NULL, ATL_SKIP_FIRST_BLOCK },
    { "chroma", NULL, ATL_SKIP_FIRST_BLOCK },
    { "sd3", NULL, ATL_SKIP_FIRST_BLOCK },
    { "sd3", "taylor-attention", ATL_SKIP_TAYLOR },
    { "zimage", NULL, ATL_SKIP_FIRST_BLOCK },
    { "hidream", NULL, ATL_SKIP_TEA, .is_guided = TRUE },
    { "hidream", NULL, ATL_SKIP_FIRST_BLOCK },
    { "qwen-image", NULL, ATL_SKIP_FIRST_BLOCK },
    { "qwen-image", "teacache", ATL_SKIP_FIRST_BLOCK },
    { "sd-unet", NULL, ATL_SKIP_EASY },
    { "sd-unet", "first-block", ATL_SKIP_EASY },
    { "sd-unet", "pyramid", ATL_SKIP_EASY },
    /* No width that TeaCache knows. */
    { "wan", NULL, ATL_SKIP_FIRST_BLOCK },
  };
  AtlCheckpoint *cp = atl_checkpoint_new ("model");
  AtlStepNetwork flux = network_of ("flux", cp);
  AtlStepRule rule;

  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      AtlStepNetwork network = network_of (rules[i].klass, cp);
      double before = 0;

      network.is_pair = rules[i].is_pair;
      network.is_guided = rules[i].is_guided;

      for (guint strength = 1; strength <= 3; strength++)
        {
          double value;

          g_assert_true (atl_passes_rule (&network, rules[i].method, strength, STEPS, &rule));
          g_assert_cmpint (rule.method, ==, rules[i].expected);
          value = rule.threshold + rule.interval + rule.self_every;
          g_assert_cmpfloat (value, >, before);
          before = value;
        }
    }
  g_assert_false (atl_passes_rule (&flux, NULL, 0, STEPS, &rule));
  g_assert_false (atl_passes_rule (&flux, NULL, 1.5, STEPS, &rule));
  g_assert_false (atl_passes_rule (&flux, NULL, -1, STEPS, &rule));
  g_assert_false (atl_passes_rule (&flux, NULL, NAN, STEPS, &rule));
  atl_checkpoint_unref (cp);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/step-cache/first-block", test_first_block);
  g_test_add_func ("/step-cache/tea", test_tea);
  g_test_add_func ("/step-cache/mag", test_mag);
  g_test_add_func ("/step-cache/easy", test_easy);
  g_test_add_func ("/step-cache/taylor", test_taylor);
  g_test_add_func ("/step-cache/taylor-attention", test_taylor_attention);
  g_test_add_func ("/step-cache/pyramid", test_pyramid);
  g_test_add_func ("/step-cache/later", test_later);
  g_test_add_func ("/step-cache/limit", test_limit);
  g_test_add_func ("/step-cache/nan", test_nan);
  g_test_add_func ("/step-cache/rules", test_rules);
  return g_test_run ();
}
