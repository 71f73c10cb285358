/* A device that fails: every call that a driver can refuse is refused once, from opening the device
 * to reading the last result. Each time there must be an error in words or the right result, the
 * device must fail fast from then on, everything must be freed, and the CPU must still give its own
 * answer. */
#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/cpu.h"
#include "op-cases.h"
#include "opencl-fault-layer.h"
#include "opencl-fixture.h"

#define N_TOKENS 9
#define N_EMBD 64
#define N_VOCAB 40
#define MOST_FAULTS 500

/* (nullable) the layer's functions, from the copy that the loader loaded */
static __typeof__ (opencl_fault_layer_arm) *arm;
static __typeof__ (opencl_fault_layer_n_calls) *n_calls;
static __typeof__ (opencl_fault_layer_hang) *hang;
static __typeof__ (opencl_fault_layer_tell) *tell;

typedef struct
{
  AtlWeights *weights;
  AtlWeight *embd, *norm, *up;
  AtlCheckpoint *checkpoint;
} Model;

static AtlWeight *
add_weight (
    Model *m, OpRandom *r, AtlWeightUse use, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  gsize n = (gsize) (n_dims == 1 ? dim[0] : dim[0] * dim[1]);
  gsize size = n / atl_dtype_info (dtype)->block_elems * atl_dtype_info (dtype)->block_bytes;
  guint8 *data = g_malloc (size);

  op_random_weights (r, dtype, data, n);
  return atl_weights_add_bytes (m->weights, use, 0, dtype, n_dims, dim,
                                g_bytes_new_take (data, size), "w");
}

static void
model_init (Model *m)
{
  OpRandom r = { .state = 7 };

  m->checkpoint = atl_checkpoint_new ("test");
  m->weights = atl_weights_new (m->checkpoint);
  m->embd = add_weight (m, &r, ATL_USE_ROWS | ATL_USE_LINEAR, ATL_DTYPE_Q4_0, 2,
                        (gint64[]){ N_VOCAB, N_EMBD });
  m->norm = add_weight (m, &r, ATL_USE_VECTOR, ATL_DTYPE_F32, 1, (gint64[]){ N_EMBD });
  m->up = add_weight (m, &r, ATL_USE_LINEAR, ATL_DTYPE_Q4_0, 2, (gint64[]){ 2 * N_EMBD, N_EMBD });
}

static void
model_clear (Model *m)
{
  atl_weights_free (m->weights);
  atl_checkpoint_unref (m->checkpoint);
}

/* A little of everything that a decoder does, with a state. */
static AtlGraph *
describe (const Model *m, AtlState *state)
{
  AtlGraph *g = atl_graph_new ();
  AtlTensor *ids = atl_graph_input (g, "ids", ATL_DTYPE_I32, 1, (gint64[]){ N_TOKENS });
  AtlTensor *x = atl_embed (g, atl_weight (g, m->embd), ids, 1.0f);
  AtlTensor *n = atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, m->norm), NULL, 1e-5f);
  AtlTensor *h = atl_glu (g, atl_linear (g, n, atl_weight (g, m->up), NULL), ATL_ACT_SILU, FALSE);
  AtlTensor *rows = atl_graph_input (g, "rows", ATL_DTYPE_I32, 1, (gint64[]){ N_TOKENS });
  AtlTensor *kv = atl_store_rows (g, atl_state (g, state), h, rows);

  kv = atl_reshape_to (g, kv, N_TOKENS, 2, N_EMBD / 2);
  h = atl_attention (g, atl_reshape_to (g, h, N_TOKENS, 2, N_EMBD / 2), kv, kv, NULL, NULL, NULL,
                     0.0f, 0.0f);
  x = atl_add (g, x, atl_reshape_to (g, h, N_TOKENS, N_EMBD));
  atl_graph_output (g, atl_linear (g, x, atl_weight (g, m->embd), NULL), "logits");
  return g;
}

static AtlBackend *
place_cb (const AtlWeight *w, gpointer user_data)
{
  return user_data;
}

/* Runs the model twice on backends[0]. */
static gboolean
compute (AtlBackend *const *backends, guint n_backends, float *logits, GError **error)
{
  gint32 ids[N_TOKENS], rows[N_TOKENS];
  g_autoptr (AtlPlan) plan = NULL;
  AtlState *state = NULL;
  gboolean ok;
  Model m;

  for (gint32 i = 0; i < N_TOKENS; i++)
    {
      ids[i] = i * 11 % N_VOCAB;
      rows[i] = N_TOKENS - 1 - i;
    }
  model_init (&m);
  ok = atl_weights_upload (m.weights, place_cb, backends[0], NULL, NULL, NULL, error);
  if (ok)
    state = atl_state_new (backends[0], "state", ATL_DTYPE_F16, 2, (gint64[]){ N_TOKENS, N_EMBD },
                           error);
  if (state != NULL)
    plan = atl_plan_new (describe (&m, state), backends, n_backends, error);
  ok = plan != NULL && atl_plan_allocate (plan, error) &&
       atl_plan_set_input (plan, "ids", ids, sizeof ids, error) &&
       atl_plan_set_input (plan, "rows", rows, sizeof rows, error) &&
       atl_plan_run (plan, NULL, error) && atl_plan_run (plan, NULL, error) &&
       atl_plan_get_output (plan, "logits", logits, N_TOKENS * N_VOCAB * sizeof *logits, error);
  g_clear_pointer (&plan, atl_plan_free);
  atl_state_free (state);
  model_clear (&m);
  return ok;
}

static double
distance (const float *a, const float *b)
{
  double difference = 0, size = 0;

  for (guint i = 0; i < N_TOKENS * N_VOCAB; i++)
    {
      difference += pow ((double) a[i] - b[i], 2);
      size += pow (b[i], 2);
    }
  return sqrt (difference / size);
}

/* Opens the device, computes, closes it. TRUE with a result, FALSE with an error. */
static gboolean
session (const AtlOpenclDevice *device,
         AtlBackend *cpu,
         const float *want,
         float *logits,
         GError **error)
{
  AtlBackend *backends[2] = { NULL, cpu };
  gboolean ok;

  backends[0] = atl_opencl_backend_new (device, NULL, error);
  if (backends[0] == NULL)
    return FALSE;
  ok = compute (backends, 2, logits, error);
  if (!ok)
    {
      /* Whatever happens next on it: no crash, and no wrong result. */
      float again[N_TOKENS * N_VOCAB];
      g_autoptr (GError) second = NULL;

      if (!compute (backends, 2, again, &second))
        g_assert_nonnull (second);
      else
        g_assert_cmpfloat (distance (again, want), <, 1e-5);
    }
  atl_backend_free (backends[0]);
  return ok;
}

static void
test_faults (gconstpointer data)
{
  cl_int status = GPOINTER_TO_INT (data);
  AtlOpenclDevice *device = opencl_fixture_device ();
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  AtlBackend *cpu = atl_cpu_backend_new (&plain, NULL);
  float want[N_TOKENS * N_VOCAB], got[N_TOKENS * N_VOCAB];
  g_autoptr (GError) error = NULL;
  guint n_errors = 0;
  long n;

  if (device == NULL || arm == NULL)
    {
      if (device != NULL)
        g_test_skip ("the OpenCL loader takes no layers: no faults could be injected");
      atl_backend_free (cpu);
      return;
    }
  g_assert_true (compute (&cpu, 1, want, &error));
  arm (-1, 0);
  g_assert_true (session (device, cpu, want, got, &error));
  n = n_calls ();
  g_test_message ("%ld calls can fail", n);
  g_assert_cmpint (n, >, 40);
  g_assert_cmpfloat (distance (got, want), <, 1e-5);

  for (long i = 0; i < MIN (n, MOST_FAULTS); i++)
    {
      g_autoptr (GError) fault = NULL;

      arm (i, status);
      if (session (device, cpu, want, got, &fault))
        {
          g_assert_no_error (fault);
          g_assert_cmpfloat (distance (got, want), <, 1e-5);
          continue;
        }
      n_errors++;
      g_assert_nonnull (fault);
      g_assert_true (g_error_matches (fault, ATL_ERROR, ATL_ERROR_DEVICE) ||
                     g_error_matches (fault, ATL_ERROR, ATL_ERROR_NO_MEMORY));
      g_assert_nonnull (strstr (fault->message, device->name));
    }
  /* Hardly any call may fail without anybody noticing. */
  g_assert_cmpuint (n_errors, >=, (guint) (MIN (n, MOST_FAULTS) - 2));
  arm (-1, 0);
  g_assert_true (compute (&cpu, 1, got, &error));
  g_assert_cmpmem (got, sizeof got, want, sizeof want);
  atl_backend_free (cpu);
}

static void
test_fails_fast (void)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autoptr (GError) error = NULL;
  AtlBackend *backend;
  AtlBuffer *buffer;
  guint8 byte = 0;

  if (device == NULL || arm == NULL)
    {
      if (device != NULL)
        g_test_skip ("the OpenCL loader takes no layers: no faults could be injected");
      return;
    }
  arm (-1, 0);
  backend = atl_opencl_backend_new (device, NULL, &error);
  g_assert_no_error (error);
  buffer = backend->klass->alloc (backend, 1000, &error);
  g_assert_no_error (error);

  const AtlOpenclNeeds needs = { 0 };
  arm (0, CL_OUT_OF_RESOURCES);
  g_assert_false (backend->klass->write (backend, buffer, 0, &byte, 1, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_DEVICE);
  arm (-1, 0);
  for (guint i = 0; i < 5; i++)
    {
      g_autoptr (GError) again = NULL;
      gboolean ok = i == 0   ? backend->klass->write (backend, buffer, 0, &byte, 1, &again)
                    : i == 1 ? backend->klass->read (backend, buffer, 0, &byte, 1, &again)
                    : i == 2 ? backend->klass->fill_zero (backend, buffer, 0, 1, &again)
                    : i == 3
                        ? backend->klass->alloc (backend, 64, &again) != NULL
                        : atl_opencl_backend_prepare (backend, &needs, NULL, NULL, NULL, &again);

      g_assert_false (ok);
      g_assert_error (again, ATL_ERROR, ATL_ERROR_DEVICE);
      g_assert_cmpstr (again->message, ==, error->message);
    }
  /* The driver was asked nothing. */
  g_assert_cmpint (n_calls (), ==, 0);
  backend->klass->free_buffer (backend, buffer);
  atl_backend_free (backend);
}

/* Too little memory is no reason to give the device up. */
static void
test_memory (void)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autoptr (GError) error = NULL;
  AtlBackend *backend;
  AtlBuffer *buffer;

  if (device == NULL || arm == NULL)
    {
      if (device != NULL)
        g_test_skip ("the OpenCL loader takes no layers: no faults could be injected");
      return;
    }
  arm (-1, 0);
  backend = atl_opencl_backend_new (device, NULL, &error);
  g_assert_no_error (error);
  for (long at = 0; at < 3; at++)
    {
      g_autoptr (GError) refused = NULL;

      arm (at, CL_MEM_OBJECT_ALLOCATION_FAILURE);
      buffer = backend->klass->alloc (backend, 5 << 20, &refused);
      g_assert_null (buffer);
      g_assert_error (refused, ATL_ERROR, ATL_ERROR_NO_MEMORY);
      g_assert_nonnull (strstr (refused->message, "5.0"));
    }
  arm (-1, 0);
  g_assert_null (backend->klass->alloc (backend, backend->max_alloc + 1, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
  g_assert_cmpint (n_calls (), ==, 0);
  g_clear_error (&error);

  guint64 before = backend->memory_free;
  buffer = backend->klass->alloc (backend, 1 << 20, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (backend->memory_free, ==, before - (1 << 20));
  backend->klass->free_buffer (backend, buffer);
  g_assert_cmpuint (backend->memory_free, ==, before);
  atl_backend_free (backend);
}

static gpointer
clear_thread (gpointer user_data)
{
  AtlBuffer *buffer = user_data;

  return GINT_TO_POINTER (
      buffer->backend->klass->fill_zero (buffer->backend, buffer, 0, buffer->size_bytes, NULL));
}

/* A driver that does not come back is seen from another thread. */
static void
test_hang (void)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autoptr (GError) error = NULL;
  AtlBackend *backend;
  AtlBuffer *buffer;
  GThread *thread;
  guint patience_ms;

  if (device == NULL || hang == NULL)
    {
      if (device != NULL)
        g_test_skip ("the OpenCL loader takes no layers: nothing could hang");
      return;
    }
  arm (-1, 0);
  backend = atl_opencl_backend_new (device, NULL, &error);
  g_assert_no_error (error);
  buffer = backend->klass->alloc (backend, 1000, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (backend->klass->waiting_ms (backend, &patience_ms), ==, 0);
  hang (1);
  thread = g_thread_new ("clear", clear_thread, buffer);
  while (backend->klass->waiting_ms (backend, &patience_ms) < 50)
    g_usleep (1000);
  g_assert_cmpuint (patience_ms, >=, 3000);
  hang (0);
  g_assert_true (GPOINTER_TO_INT (g_thread_join (thread)));
  g_assert_cmpuint (backend->klass->waiting_ms (backend, &patience_ms), ==, 0);
  backend->klass->free_buffer (backend, buffer);
  atl_backend_free (backend);
}

#define SIDE 48
#define N_CHANNELS 160

/* One node of that kind, of at least LEAST_LAUNCHES work-groups; its weight is added to `m`. */
#define LEAST_LAUNCHES 24
static AtlGraph *
describe_one (const char *kind, Model *m)
{
  const gint64 square[] = { N_CHANNELS, N_CHANNELS }, taps[] = { N_CHANNELS, N_CHANNELS, 1, 1 };
  AtlGraph *g = atl_graph_new ();
  AtlTensor *x =
      atl_graph_input (g, "x", ATL_DTYPE_F32, 4, (gint64[]){ 1, SIDE, SIDE, N_CHANNELS });
  gboolean is_conv = g_str_equal (kind, "conv");
  AtlTensor *out;

  m->up =
      atl_weights_add_bytes (m->weights, is_conv ? ATL_USE_CONV : ATL_USE_LINEAR, 0, ATL_DTYPE_F32,
                             is_conv ? 4 : 2, is_conv ? taps : square,
                             g_bytes_new_take (g_malloc0 (sizeof (float) * N_CHANNELS * N_CHANNELS),
                                               sizeof (float) * N_CHANNELS * N_CHANNELS),
                             "w");
  if (is_conv)
    out = atl_conv2d (g, x, atl_weight (g, m->up), NULL, 1, 0);
  else if (g_str_equal (kind, "linear"))
    out =
        atl_linear (g, atl_reshape_to (g, x, SIDE * SIDE, N_CHANNELS), atl_weight (g, m->up), NULL);
  else
    {
      AtlTensor *q = atl_reshape_to (g, x, SIDE * SIDE, 2, N_CHANNELS / 2);
      out = atl_attention (g, q, q, q, NULL, NULL, NULL, 1.0f, 0.0f);
    }
  atl_graph_output (g, out, "out");
  return g;
}

static void
cancel_cb (void *data)
{
  g_cancellable_cancel (data);
}

/* A node of many launches is given up between two of them. */
static void
test_cancel_within (gconstpointer kind)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPlan) plan = NULL;
  g_autofree float *x = g_new0 (float, SIDE *SIDE *N_CHANNELS);
  AtlBackend *backends[2];
  Model m = { 0 };
  AtlGraph *g;
  long n_whole, n_pieces;

  if (device == NULL || tell == NULL)
    {
      if (device != NULL)
        g_test_skip ("the OpenCL loader takes no layers: nobody could cancel at a call");
      return;
    }
  arm (-1, 0);
  backends[0] = atl_opencl_backend_new (device, opencl_fixture_cache_dir (), &error);
  g_assert_no_error (error);
  backends[1] = atl_cpu_backend_new (&plain, NULL);
  m.checkpoint = atl_checkpoint_new ("test");
  m.weights = atl_weights_new (m.checkpoint);
  g = describe_one (kind, &m);
  g_assert_true (atl_weights_upload (m.weights, place_cb, backends[0], NULL, NULL, NULL, &error));
  plan = atl_plan_new (g, backends, 2, &error);
  g_assert_no_error (error);
  g_assert_true (atl_plan_allocate (plan, &error));
  g_assert_true (atl_plan_set_input (plan, "x", x, SIDE * SIDE * N_CHANNELS * sizeof *x, &error));
  g_assert_true (atl_plan_run (plan, NULL, &error));
  arm (-1, 0);
  atl_opencl_backend_set_launch (backends[0], 1e15);
  g_assert_true (atl_plan_run (plan, cancellable, &error));
  n_whole = n_calls ();
  arm (-1, 0);
  atl_opencl_backend_set_launch (backends[0], 1);
  g_assert_true (atl_plan_run (plan, cancellable, &error));
  n_pieces = n_calls ();
  g_assert_cmpint (n_pieces, >=, n_whole + LEAST_LAUNCHES);

  arm (-1, 0);
  tell (n_pieces / 2, cancel_cb, cancellable);
  g_assert_false (atl_plan_run (plan, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_cmpint (n_calls (), <=, n_pieces / 2 + LEAST_LAUNCHES / 4);
  g_assert_true (atl_plan_run (plan, NULL, &error));
  arm (-1, 0);
  g_clear_pointer (&plan, atl_plan_free);
  model_clear (&m);
  atl_backend_free (backends[1]);
  atl_backend_free (backends[0]);
}

int
main (int argc, char **argv)
{
  g_autofree char *path = NULL;
  void *module;

  g_test_init (&argc, &argv, NULL);
  path = g_test_build_filename (G_TEST_BUILT, "tensor", "opencl-fault-layer.so", NULL);
  /* Before the loader looks. */
  g_setenv ("OPENCL_LAYERS", path, TRUE);
  opencl_fixture_cache_dir ();
  if (opencl_fixture_device () != NULL)
    {
      module = dlopen (path, RTLD_NOW | RTLD_NOLOAD);
      if (module != NULL)
        {
          arm = dlsym (module, "opencl_fault_layer_arm");
          n_calls = dlsym (module, "opencl_fault_layer_n_calls");
          hang = dlsym (module, "opencl_fault_layer_hang");
          tell = dlsym (module, "opencl_fault_layer_tell");
        }
    }

  g_test_add_data_func ("/opencl/faults/lost", GINT_TO_POINTER (CL_OUT_OF_RESOURCES), test_faults);
  g_test_add_data_func ("/opencl/faults/memory", GINT_TO_POINTER (CL_MEM_OBJECT_ALLOCATION_FAILURE),
                        test_faults);
  g_test_add_func ("/opencl/faults/fast", test_fails_fast);
  g_test_add_func ("/opencl/faults/allocation", test_memory);
  g_test_add_func ("/opencl/faults/hang", test_hang);
  g_test_add_data_func ("/opencl/faults/cancel/linear", "linear", test_cancel_within);
  g_test_add_data_func ("/opencl/faults/cancel/attention", "attention", test_cancel_within);
  g_test_add_data_func ("/opencl/faults/cancel/conv", "conv", test_cancel_within);
  return g_test_run ();
}
