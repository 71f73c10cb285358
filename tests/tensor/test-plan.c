/* Plans: lifetimes share memory without touching each other, values cross between backends,
 * unsupported ops fall back. */
#include <string.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/plan-private.h"

/* A device made of the CPU backend: its buffers are hidden from the planner's host short cut, it
 * refuses one op, and can fail. */
typedef struct
{
  AtlBackend parent;
  AtlBackend *cpu;
  AtlOp refused;
  gsize fail_above; /* allocations larger than this fail; 0 = none */
  guint n_runs, n_writes, n_reads;
} Device;

static AtlBackendClass device_class;

static gboolean
device_supports (AtlBackend *b, const AtlNode *node)
{
  return node->op != ((Device *) b)->refused;
}

static AtlBuffer *
device_alloc (AtlBackend *b, gsize size, GError **error)
{
  Device *d = (Device *) b;
  AtlBuffer *buffer;

  if (d->fail_above > 0 && size > d->fail_above)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "full");
      return NULL;
    }
  buffer = d->cpu->klass->alloc (d->cpu, size, error);
  buffer->backend = b;
  return buffer;
}

static void
device_free_buffer (AtlBackend *b, AtlBuffer *buffer)
{
  buffer->backend = ((Device *) b)->cpu;
  buffer->backend->klass->free_buffer (buffer->backend, buffer);
}

static gboolean
device_write (
    AtlBackend *b, AtlBuffer *buffer, gsize offset, const void *src, gsize n, GError **error)
{
  ((Device *) b)->n_writes++;
  g_assert_cmpuint (offset + n, <=, buffer->size_bytes);
  memcpy ((guint8 *) buffer->host + offset, src, n);
  return TRUE;
}

static gboolean
device_read (AtlBackend *b, AtlBuffer *buffer, gsize offset, void *dst, gsize n, GError **error)
{
  ((Device *) b)->n_reads++;
  g_assert_cmpuint (offset + n, <=, buffer->size_bytes);
  memcpy (dst, (guint8 *) buffer->host + offset, n);
  return TRUE;
}

static gboolean
device_run (AtlBackend *b,
            AtlNode *const *nodes,
            guint n,
            AtlBuffer *scratch,
            GCancellable *c,
            GError **error)
{
  Device *d = (Device *) b;

  d->n_runs++;
  for (guint i = 0; i < n; i++)
    {
      g_assert_true (nodes[i]->backend == b);
      for (guint k = 0; k < ATL_NODE_MAX_SRC; k++)
        if (nodes[i]->src[k] != NULL && nodes[i]->src[k]->kind != ATL_TENSOR_WEIGHT)
          g_assert_true (atl_tensor_base (nodes[i]->src[k])->backend == b);
    }
  return d->cpu->klass->run (d->cpu, nodes, n, scratch, c, error);
}

static gsize
device_scratch (AtlBackend *b, const AtlNode *node)
{
  Device *d = (Device *) b;

  return d->cpu->klass->scratch_bytes != NULL ? d->cpu->klass->scratch_bytes (d->cpu, node) : 0;
}

static void
device_free (AtlBackend *b)
{
  atl_backend_clear (b);
  g_free (b);
}

static Device *
device_new (AtlBackend *cpu, AtlOp refused)
{
  Device *d = g_new0 (Device, 1);

  device_class.supports = device_supports;
  device_class.alloc = device_alloc;
  device_class.free_buffer = device_free_buffer;
  device_class.write = device_write;
  device_class.read = device_read;
  device_class.run = device_run;
  device_class.scratch_bytes = device_scratch;
  device_class.free = device_free;
  d->cpu = cpu;
  d->refused = refused;
  g_assert_true (atl_backend_init (&d->parent, &device_class, "device", "A test device", NULL));
  return d;
}

static AtlBackend *
cpu_new (void)
{
  AtlCpuOptions options = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  g_autoptr (GError) error = NULL;
  AtlBackend *cpu = atl_cpu_backend_new (&options, &error);

  g_assert_no_error (error);
  return cpu;
}

/* A chain whose values die one after the other, with one that lives long: y = x0 + f(f(f(x0))). */
static AtlGraph *
chain (guint n_steps, gint64 n)
{
  AtlGraph *g = atl_graph_new ();
  AtlTensor *x = atl_graph_input (g, "x", ATL_DTYPE_F32, 2, (gint64[]){ 4, n });
  AtlTensor *first = atl_affine (g, x, 2.0f, 1.0f), *y = first;

  for (guint i = 0; i < n_steps; i++)
    y = i % 3 == 1 ? atl_norm_l2 (g, y, NULL, 1e-6f, 1.0f) : atl_affine (g, y, 0.5f, (float) i);
  atl_graph_output (g, atl_add (g, first, y), "y");
  return g;
}

static void
run_chain (AtlBackend *const *backends,
           guint n_backends,
           guint n_steps,
           float *y,
           gsize *memory,
           guint *n_segments)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPlan) plan = atl_plan_new (chain (n_steps, 33), backends, n_backends, &error);
  float x[4 * 33];

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (x); i++)
    x[i] = (float) (i % 17) * 0.1f;
  *memory = plan->arena[0].scratch_bytes;
  for (guint i = 0; i < plan->arena[0].bucket_sizes->len; i++)
    *memory += g_array_index (plan->arena[0].bucket_sizes, gsize, i);
  *n_segments = plan->steps->len;
  g_assert_true (atl_plan_allocate (plan, &error));
  /* Twice: a replay must give the same. */
  for (guint round = 0; round < 2; round++)
    {
      g_assert_true (atl_plan_set_input (plan, "x", x, sizeof x, &error));
      g_assert_true (atl_plan_run (plan, NULL, &error));
      g_assert_true (atl_plan_get_output (plan, "y", y, sizeof x, &error));
    }
}

static void
test_memory_is_shared (void)
{
  AtlBackend *cpu = cpu_new ();
  float short_run[4 * 33], long_run[4 * 33];
  gsize few, many;
  guint n;

  run_chain (&cpu, 1, 6, short_run, &few, &n);
  run_chain (&cpu, 1, 60, long_run, &many, &n);
  g_assert_cmpuint (many, ==, few); /* ten times the values, the same memory */
  atl_backend_free (cpu);
}

static void
test_crossing (void)
{
  AtlBackend *cpu = cpu_new ();
  Device *device = device_new (cpu, ATL_OP_NORM);
  AtlBackend *both[2] = { &device->parent, cpu };
  float alone[4 * 33], split[4 * 33];
  gsize memory;
  guint n_segments;

  run_chain (&cpu, 1, 9, alone, &memory, &n_segments);
  g_assert_cmpuint (n_segments, ==, 1);
  run_chain (both, 2, 9, split, &memory, &n_segments);
  g_assert_cmpuint (n_segments, >, 3);
  g_assert_cmpuint (device->n_runs, >, 0);
  g_assert_cmpuint (device->n_reads, >, 0);
  g_assert_cmpmem (alone, sizeof alone, split, sizeof split);
  atl_backend_free (&device->parent);
  atl_backend_free (cpu);
}

static void
test_fallback (void)
{
  AtlBackend *cpu = cpu_new ();
  Device *device = device_new (cpu, ATL_OP_NORM);
  AtlBackend *both[2] = { &device->parent, cpu };
  g_autoptr (AtlPlan) plan = atl_plan_new (chain (9, 8), both, 2, NULL);

  /* The first norm; what follows it is preferred where its source is, on the host. */
  g_assert_cmpuint (plan->n_fallbacks, ==, 1);
  g_clear_pointer (&plan, atl_plan_free);
  atl_backend_free (&device->parent);
  atl_backend_free (cpu);
}

static void
test_no_memory (void)
{
  AtlBackend *cpu = cpu_new ();
  Device *device = device_new (cpu, ATL_N_OPS);
  AtlBackend *both[2] = { &device->parent, cpu };
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPlan) plan = atl_plan_new (chain (3, 1024), both, 2, &error);

  g_assert_no_error (error);
  device->fail_above = 4096;
  g_assert_false (atl_plan_allocate (plan, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
  g_clear_error (&error);
  device->fail_above = 0;
  g_assert_true (atl_plan_allocate (plan, &error)); /* a second try may succeed */
  g_clear_pointer (&plan, atl_plan_free);
  atl_backend_free (&device->parent);
  atl_backend_free (cpu);
}

static void
test_buckets (void)
{
  AtlBackend *cpu = cpu_new ();
  float alone[4 * 33], split[4 * 33];
  gsize memory;
  guint n;

  run_chain (&cpu, 1, 9, alone, &memory, &n);
  cpu->max_alloc = 4 * 33 * sizeof (float) + 64; /* one value a buffer */
  run_chain (&cpu, 1, 9, split, &memory, &n);
  g_assert_cmpmem (alone, sizeof alone, split, sizeof split);
  atl_backend_free (cpu);
}

static void
test_cancelled (void)
{
  AtlBackend *cpu = cpu_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPlan) plan = atl_plan_new (chain (3, 8), &cpu, 1, &error);

  g_assert_true (atl_plan_allocate (plan, &error));
  g_cancellable_cancel (cancellable);
  g_assert_false (atl_plan_run (plan, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_pointer (&plan, atl_plan_free);
  atl_backend_free (cpu);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tensor/plan/memory-is-shared", test_memory_is_shared);
  g_test_add_func ("/tensor/plan/crossing", test_crossing);
  g_test_add_func ("/tensor/plan/fallback", test_fallback);
  g_test_add_func ("/tensor/plan/no-memory", test_no_memory);
  g_test_add_func ("/tensor/plan/buckets", test_buckets);
  g_test_add_func ("/tensor/plan/cancelled", test_cancelled);
  return g_test_run ();
}
