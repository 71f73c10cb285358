/* The CPU backend object: memory, uploads, and the loop that runs nodes. */
#include "engine/tensor/cpu/product.h"

#include <glib/gi18n.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/language.h"

typedef gsize (*ScratchFunc) (const AtlCpu *cpu, const AtlNode *node);

typedef struct
{
  AtlCpuOpFunc ref;
  ScratchFunc ref_scratch;  /* (nullable) none needed */
  AtlCpuFastFunc fast;      /* (nullable) none */
  ScratchFunc fast_scratch; /* (nullable) none needed */
} Op;

static const Op ops[ATL_N_OPS] = {
  [ATL_OP_EMBED] = { atl_ref_embed, NULL, NULL, NULL },
  [ATL_OP_LINEAR] = { atl_ref_linear, atl_ref_linear_scratch, atl_fast_linear,
                      atl_fast_linear_scratch },
  [ATL_OP_EXPERT_LINEAR] = { atl_ref_expert_linear, atl_ref_linear_scratch, atl_fast_expert_linear,
                             atl_fast_expert_scratch },
  [ATL_OP_REORDER] = { atl_ref_reorder, NULL, NULL, NULL },
  [ATL_OP_ROUTE] = { atl_ref_route, NULL, NULL, NULL },
  [ATL_OP_EXPERT_SUM] = { atl_ref_expert_sum, NULL, NULL, NULL },
  [ATL_OP_NORM] = { atl_ref_norm, NULL, atl_fast_norm, NULL },
  [ATL_OP_GROUP_NORM] = { atl_ref_group_norm, NULL, atl_fast_group_norm,
                          atl_fast_group_norm_scratch },
  [ATL_OP_ROPE] = { atl_ref_rope, NULL, atl_fast_rope, NULL },
  [ATL_OP_STORE_ROWS] = { atl_ref_store_rows, NULL, atl_fast_store_rows, NULL },
  [ATL_OP_ATTENTION] = { atl_ref_attention, atl_ref_attention_scratch, atl_fast_attention,
                         atl_fast_attention_scratch },
  [ATL_OP_BINARY] = { atl_ref_binary, NULL, atl_fast_binary, NULL },
  [ATL_OP_UNARY] = { atl_ref_unary, NULL, atl_fast_unary, NULL },
  [ATL_OP_GLU] = { atl_ref_glu, NULL, atl_fast_glu, NULL },
  [ATL_OP_COPY] = { atl_ref_copy, NULL, NULL, NULL },
  [ATL_OP_CONCAT] = { atl_ref_concat, NULL, NULL, NULL },
  [ATL_OP_CONV] = { atl_ref_conv, NULL, atl_fast_conv, atl_fast_conv_scratch },
  [ATL_OP_UPSAMPLE] = { atl_ref_upsample, NULL, NULL, NULL },
  [ATL_OP_CAUSAL_CONV] = { atl_ref_causal_conv, NULL, atl_fast_causal_conv,
                           atl_fast_causal_conv_scratch },
  [ATL_OP_SSM_SCAN] = { atl_ref_ssm_scan, atl_ref_recurrent_scratch, atl_fast_ssm_scan,
                        atl_fast_recurrent_scratch },
  [ATL_OP_DELTA_RULE] = { atl_ref_delta_rule, atl_ref_recurrent_scratch, atl_fast_delta_rule,
                          atl_fast_recurrent_scratch },
};

static gboolean
cpu_supports (AtlBackend *self, const AtlNode *node)
{
  return (guint) node->op < ATL_N_OPS && ops[node->op].ref != NULL;
}

/* Large pages: fewer faults while memory is filled, fewer misses of the address cache while it
 * streams by. */
gpointer
atl_cpu_alloc (gsize size_bytes)
{
  void *p = NULL;

  if (posix_memalign (&p, size_bytes >= ATL_CPU_HUGE_BYTES ? ATL_CPU_HUGE_BYTES : 64,
                      MAX (size_bytes, 64)) != 0)
    return NULL;
  if (size_bytes >= ATL_CPU_HUGE_BYTES)
    madvise (p, size_bytes, MADV_HUGEPAGE);
  return p;
}

static AtlBuffer *
cpu_alloc (AtlBackend *self, gsize size_bytes, GError **error)
{
  AtlBuffer *buffer;
  void *host = size_bytes <= self->max_alloc ? atl_cpu_alloc (size_bytes) : NULL;

  if (host == NULL)
    {
      g_autofree char *size = atl_language_size (size_bytes);

      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("The computer has no %s of free memory left for this."), size);
      return NULL;
    }
  buffer = g_new0 (AtlBuffer, 1);
  buffer->backend = self;
  buffer->size_bytes = size_bytes;
  buffer->host = host;
  return buffer;
}

static void
cpu_free_buffer (AtlBackend *self, AtlBuffer *buffer)
{
  if (buffer == NULL)
    return;
  atl_pool_quiesce (((AtlCpu *) self)->pool);
  free (buffer->host);
  g_free (buffer);
}

static gboolean
cpu_write (
    AtlBackend *self, AtlBuffer *buffer, gsize offset, const void *src, gsize n, GError **error)
{
  g_assert (offset <= buffer->size_bytes && n <= buffer->size_bytes - offset);
  if (n > 0)
    memcpy ((guint8 *) buffer->host + offset, src, n);
  return TRUE;
}

static gboolean
cpu_read (AtlBackend *self, AtlBuffer *buffer, gsize offset, void *dst, gsize n, GError **error)
{
  g_assert (offset <= buffer->size_bytes && n <= buffer->size_bytes - offset);
  if (n > 0)
    memcpy (dst, (guint8 *) buffer->host + offset, n);
  return TRUE;
}

static gboolean
cpu_fill_zero (AtlBackend *self, AtlBuffer *buffer, gsize offset, gsize n, GError **error)
{
  g_assert (offset <= buffer->size_bytes && n <= buffer->size_bytes - offset);
  memset ((guint8 *) buffer->host + offset, 0, n);
  return TRUE;
}

static gsize
cpu_upload_cost (AtlBackend *self, const AtlWeight *weight)
{
  return atl_cpu_weight_cost ((AtlCpu *) self, weight);
}

static gboolean
cpu_upload (AtlBackend *self, AtlWeight *weight, GError **error)
{
  return atl_cpu_weight_upload ((AtlCpu *) self, weight, error);
}

static void
cpu_drop (AtlBackend *self, AtlWeight *weight)
{
  atl_pool_quiesce (((AtlCpu *) self)->pool);
  atl_cpu_weight_drop ((AtlCpu *) self, weight);
}

static gsize
cpu_scratch_bytes (AtlBackend *self, const AtlNode *node)
{
  const AtlCpu *cpu = (const AtlCpu *) self;
  const Op *op = &ops[node->op];
  gsize bytes = 0;

  if (op->ref_scratch != NULL)
    bytes = op->ref_scratch (cpu, node);
  if (op->fast_scratch != NULL && cpu->kernels != NULL)
    bytes = MAX (bytes, op->fast_scratch (cpu, node));
  return bytes;
}

/* What the threads may ask for while they wait for each other in this product, or in what stands
 * between it and the next. */
static void
ask_ahead (AtlCpuRun *run, AtlNode *const *nodes, guint n_nodes)
{
  guint next = 1;

  if (run->cpu->kernels == NULL || nodes[0]->op != ATL_OP_LINEAR)
    return;
  while (next < n_nodes && nodes[next]->op != ATL_OP_LINEAR)
    next++;
  if (next < n_nodes)
    atl_linear_ask_ahead (run, nodes[next]);
}

static gboolean
cpu_run (AtlBackend *self,
         AtlNode *const *nodes,
         guint n_nodes,
         AtlBuffer *scratch,
         GCancellable *cancellable,
         GError **error)
{
  AtlCpu *cpu = (AtlCpu *) self;
  AtlCpuRun run = {
    .cpu = cpu,
    .pool = cpu->pool,
    .scratch = scratch != NULL ? scratch->host : NULL,
    .scratch_bytes = scratch != NULL ? scratch->size_bytes : 0,
  };

  for (guint i = 0; i < n_nodes; i++)
    {
      const Op *op = &ops[nodes[i]->op];
      const gint64 start = cpu->costs != NULL ? g_get_monotonic_time () : 0;

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      atl_cpu_ask_nodes (&run, nodes + i, n_nodes - i);
      ask_ahead (&run, nodes + i, n_nodes - i);
      if (cpu->kernels == NULL || op->fast == NULL || !op->fast (&run, nodes[i]))
        op->ref (&run, nodes[i]);
      if (run.error != NULL)
        {
          g_propagate_error (error, run.error);
          return FALSE;
        }
      if (cpu->costs != NULL)
        {
          AtlCpuCost *cost = &cpu->costs[nodes[i]->op];

          cost->n++;
          cost->seconds += (double) (g_get_monotonic_time () - start) / 1e6;
          cost->products += atl_node_products (nodes[i]);
        }
    }
  return TRUE;
}

static void
cpu_free (AtlBackend *self)
{
  AtlCpu *cpu = (AtlCpu *) self;

  atl_pool_free (cpu->pool);
  atl_cpu_slabs_free_all (cpu->slabs);
  atl_backend_clear (self);
  g_free (cpu);
}

static const AtlBackendClass cpu_class = {
  .supports = cpu_supports,
  .alloc = cpu_alloc,
  .free_buffer = cpu_free_buffer,
  .write = cpu_write,
  .read = cpu_read,
  .fill_zero = cpu_fill_zero,
  .upload_cost = cpu_upload_cost,
  .upload = cpu_upload,
  .drop = cpu_drop,
  .scratch_bytes = cpu_scratch_bytes,
  .run = cpu_run,
  .free = cpu_free,
};

/* Processors that this process may use: containers and taskset narrow them. */
static guint
usable_processors (void)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  if (sched_getaffinity (0, sizeof set, &set) == 0 && CPU_COUNT (&set) > 0)
    return CPU_COUNT (&set);
  return g_get_num_processors ();
}

AtlBackend *
atl_cpu_backend_new (const AtlCpuOptions *options, GError **error)
{
  const AtlCpuFeatures *features = atl_cpu_features ();
  g_autofree char *description = NULL;
  AtlCpu *cpu = g_new0 (AtlCpu, 1);
  guint n_threads = options != NULL ? options->n_threads : 0;
  gint64 pages = sysconf (_SC_PHYS_PAGES);
  gint64 page_bytes = sysconf (_SC_PAGESIZE);

  cpu->level = features->best;
  if (options != NULL && !options->best_level && atl_cpu_has_level (options->level))
    cpu->level = options->level;
  cpu->exact = options != NULL && options->exact;
  cpu->kernels = atl_cpu_kernels (cpu->level, cpu->exact);
  cpu->pool = atl_pool_new (n_threads != 0 ? n_threads : usable_processors ());
  cpu->n_threads = atl_pool_n_threads (cpu->pool);
  cpu->slabs = atl_cpu_slabs_new (cpu->pool);

  description = g_strdup_printf (ngettext ("CPU, %u thread", "CPU, %u threads", cpu->n_threads),
                                 cpu->n_threads);
  if (!atl_backend_init (&cpu->base, &cpu_class, "cpu", description, error))
    {
      atl_pool_free (cpu->pool);
      atl_cpu_slabs_free_all (cpu->slabs);
      g_free (cpu);
      return NULL;
    }
  cpu->base.is_host = TRUE;
  cpu->base.alignment = 64;
  atl_product_row_classes (cpu->kernels, cpu->exact, &cpu->base.few_rows, &cpu->base.many_rows);
  cpu->base.max_alloc = pages > 0 && page_bytes > 0 ? (gsize) (pages * page_bytes) : G_MAXSIZE / 2;
  return &cpu->base;
}

const char *
atl_cpu_backend_level_name (AtlBackend *self)
{
  switch (((AtlCpu *) self)->level)
    {
    case ATL_CPU_AVX2:
      return "AVX2";
    case ATL_CPU_AVX512:
      return atl_cpu_features ()->vnni ? "AVX-512 + VNNI" : "AVX-512";
    case ATL_CPU_AMX:
      return atl_cpu_best_level () == ATL_CPU_AMX ? "AVX-512 + AMX" : "AVX-512 + AMX in plain C";
    case ATL_CPU_NEON:
      return "NEON";
    case ATL_CPU_REFERENCE:
    default:
      return _ ("plain C");
    }
}
