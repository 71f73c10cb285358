/* Every op case on the CPU: each level that the machine has, in exact and in fast mode, against the
 * plain C reference. */
#include <math.h>

#include "engine/tensor/cpu/cpu.h"
#include "op-cases.h"

typedef struct
{
  AtlBackend *backend;
  AtlBackend *reference;
  gboolean exact;
  guint first, n;
} Suite;

static void
run_case (gconstpointer data)
{
  const Suite *s = data;

  for (guint i = s->first; i < s->first + s->n; i++)
    {
      const OpCase *c = op_case_get (i);
      g_autoptr (GError) error = NULL;
      g_autoptr (GArray) want = op_case_run (c, &s->reference, 1, &error);
      g_autoptr (GArray) got = NULL;
      double distance;

      g_assert_no_error (error);
      got = op_case_run (c, &s->backend, 1, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (want->len, >, 0);
      distance = op_case_compare (c, got, want, s->exact);
      if (!(distance <= 1.0))
        {
          g_test_message ("%s is off by %.3g times its tolerance", op_case_name (c), distance);
          g_test_fail ();
        }
    }
}

/* "linear/q4_0/in-160-out-37-n-3" -> "linear/q4_0": one test for each such group. */
static char *
group_of (const OpCase *c)
{
  const char *name = op_case_name (c);
  const char *last = strrchr (name, '/');

  return g_strndup (name, last - name);
}

static AtlBackend *
add_backend (AtlCpuLevel level, gboolean exact, guint n_threads, AtlBackend *reference)
{
  AtlCpuOptions options = { .level = level, .exact = exact, .n_threads = n_threads };
  AtlBackend *backend = atl_cpu_backend_new (&options, NULL);

  g_assert_nonnull (backend);
  for (guint i = 0; i < op_cases_n ();)
    {
      g_autofree char *group = group_of (op_case_get (i));
      g_autofree char *path = NULL;
      Suite *suite = g_new0 (Suite, 1);

      suite->backend = backend;
      suite->reference = reference;
      suite->exact = exact;
      suite->first = i;
      for (; i < op_cases_n (); i++, suite->n++)
        {
          g_autofree char *next = group_of (op_case_get (i));
          if (!g_str_equal (group, next))
            break;
        }
      path = g_strdup_printf ("/ops/%s/%s/%u/%s", atl_cpu_backend_level_name (backend),
                              exact ? "exact" : "fast", suite->first, group);
      g_test_add_data_func_full (path, suite, run_case, g_free);
    }
  return backend;
}

static AtlBackend *
place_cb (const AtlWeight *w, gpointer user_data)
{
  return user_data;
}

/* A value that is no number must not vanish where activations become integers. */
static void
test_not_a_number (gconstpointer data)
{
  AtlBackend *cpu = (AtlBackend *) data;
  AtlCheckpoint *checkpoint = atl_checkpoint_new ("test");
  AtlWeights *weights = atl_weights_new (checkpoint);
  AtlGraph *graph = atl_graph_new ();
  g_autoptr (AtlPlan) plan = NULL;
  g_autoptr (GError) error = NULL;
  OpRandom random = { 1 };
  guint8 *bytes = g_malloc (20 * 2 * 34);
  AtlTensor *x = atl_graph_input (graph, "x", ATL_DTYPE_F32, 2, (gint64[]){ 2, 64 });
  float values[128];
  float out[40];
  AtlWeight *w;

  for (guint i = 0; i < 128; i++)
    values[i] = op_random (&random);
  values[64 + 40] = NAN;
  op_random_weights (&random, ATL_DTYPE_Q8_0, bytes, 20 * 64);
  w = atl_weights_add_bytes (weights, ATL_USE_LINEAR, 0, ATL_DTYPE_Q8_0, 2, (gint64[]){ 20, 64 },
                             g_bytes_new_take (bytes, 20 * 2 * 34), "w");
  atl_graph_output (graph, atl_linear (graph, x, atl_weight (graph, w), NULL), "out");
  atl_weights_upload (weights, place_cb, cpu, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  plan = atl_plan_new (graph, &cpu, 1, &error);
  g_assert_no_error (error);
  g_assert_true (atl_plan_allocate (plan, &error));
  g_assert_true (atl_plan_set_input (plan, "x", values, sizeof values, &error));
  g_assert_true (atl_plan_run (plan, NULL, &error));
  g_assert_true (atl_plan_get_output (plan, "out", out, sizeof out, &error));
  for (guint i = 0; i < 20; i++)
    {
      g_assert_true (isfinite (out[i]));
      g_assert_true (isnan (out[20 + i]));
    }
  g_clear_pointer (&plan, atl_plan_free);
  atl_weights_free (weights);
  atl_checkpoint_unref (checkpoint);
}

int
main (int argc, char **argv)
{
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  AtlCpuLevel best = atl_cpu_best_level ();
  AtlBackend *reference;

  g_test_init (&argc, &argv, NULL);
  reference = atl_cpu_backend_new (&plain, NULL);
  g_assert_nonnull (reference);

  /* The reference with several threads, then each level above it. */
  add_backend (ATL_CPU_REFERENCE, TRUE, 3, reference);
  for (AtlCpuLevel level = ATL_CPU_AVX2; level <= MIN (best, ATL_CPU_AMX); level++)
    {
      g_autofree char *path = g_strdup_printf ("/ops/not-a-number/%d", level);

      add_backend (level, TRUE, 2, reference);
      g_test_add_data_func (path, add_backend (level, FALSE, 3, reference), test_not_a_number);
    }
  if (best == ATL_CPU_NEON)
    add_backend (best, TRUE, 2, reference);
  return g_test_run ();
}
