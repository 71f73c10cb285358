/* The vtable: memory, transfers, and the run loop over op families. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

#include <glib/gi18n.h>

#include "engine/tensor/opencl/tuning/measure.h"

static const AtlClOp *const ops[ATL_N_OPS] = {
  [ATL_OP_EMBED] = &atl_cl_op_embed,
  [ATL_OP_LINEAR] = &atl_cl_op_linear,
  [ATL_OP_EXPERT_LINEAR] = &atl_cl_op_expert_linear,
  [ATL_OP_REORDER] = &atl_cl_op_reorder,
  [ATL_OP_ROUTE] = &atl_cl_op_route,
  [ATL_OP_EXPERT_SUM] = &atl_cl_op_expert_sum,
  [ATL_OP_NORM] = &atl_cl_op_norm,
  [ATL_OP_GROUP_NORM] = &atl_cl_op_group_norm,
  [ATL_OP_ROPE] = &atl_cl_op_rope,
  [ATL_OP_STORE_ROWS] = &atl_cl_op_store_rows,
  [ATL_OP_ATTENTION] = &atl_cl_op_attention,
  [ATL_OP_BINARY] = &atl_cl_op_binary,
  [ATL_OP_UNARY] = &atl_cl_op_unary,
  [ATL_OP_GLU] = &atl_cl_op_glu,
  [ATL_OP_COPY] = &atl_cl_op_copy,
  [ATL_OP_CONCAT] = &atl_cl_op_concat,
  [ATL_OP_CONV] = &atl_cl_op_conv,
  [ATL_OP_UPSAMPLE] = &atl_cl_op_upsample,
  [ATL_OP_CAUSAL_CONV] = &atl_cl_op_causal_conv,
  [ATL_OP_SSM_SCAN] = &atl_cl_op_recurrence,
  [ATL_OP_DELTA_RULE] = &atl_cl_op_recurrence,
};

static gboolean
backend_supports (AtlBackend *backend, const AtlNode *node)
{
  return ops[node->op] != NULL && ops[node->op]->supports (atl_opencl (backend), node);
}

static gsize
backend_scratch_bytes (AtlBackend *backend, const AtlNode *node)
{
  const AtlClOp *op = ops[node->op];

  return op->scratch_bytes != NULL ? op->scratch_bytes (atl_opencl (backend), node) : 0;
}

static AtlBuffer *
backend_alloc (AtlBackend *backend, gsize size_bytes, GError **error)
{
  cl_mem memory =
      atl_cl_memory_new (atl_opencl (backend), size_bytes, N_ ("working memory"), error);
  AtlBuffer *buffer;

  if (memory == NULL)
    return NULL;
  buffer = g_new0 (AtlBuffer, 1);
  buffer->backend = backend;
  buffer->size_bytes = size_bytes;
  buffer->impl = memory;
  return buffer;
}

static void
backend_free_buffer (AtlBackend *backend, AtlBuffer *buffer)
{
  cl_mem memory;

  if (buffer == NULL)
    return;
  memory = buffer->impl;
  atl_cl_memory_free (atl_opencl (backend), &memory, buffer->size_bytes);
  g_free (buffer);
}

static gboolean
backend_write (
    AtlBackend *backend, AtlBuffer *buffer, gsize offset, const void *src, gsize n, GError **error)
{
  AtlOpencl *self = atl_opencl (backend);

  g_assert (offset <= buffer->size_bytes && n <= buffer->size_bytes - offset);
  if (!atl_cl_alive (self, error))
    return FALSE;
  return n == 0 || atl_cl_write (self, buffer->impl, offset, src, n, N_ ("sending values"), error);
}

static gboolean
backend_read (
    AtlBackend *backend, AtlBuffer *buffer, gsize offset, void *dst, gsize n, GError **error)
{
  AtlOpencl *self = atl_opencl (backend);

  g_assert (offset <= buffer->size_bytes && n <= buffer->size_bytes - offset);
  if (!atl_cl_alive (self, error))
    return FALSE;
  return n == 0 || atl_cl_read (self, buffer->impl, offset, dst, n, N_ ("fetching results"), error);
}

static gboolean
backend_fill_zero (AtlBackend *backend, AtlBuffer *buffer, gsize offset, gsize n, GError **error)
{
  AtlOpencl *self = atl_opencl (backend);
  const guint8 zero = 0;
  cl_int status;

  g_assert (offset <= buffer->size_bytes && n <= buffer->size_bytes - offset);
  if (!atl_cl_alive (self, error))
    return FALSE;
  if (n == 0)
    return TRUE;
  atl_cl_enter (self);
  status = clEnqueueFillBuffer (self->queue, buffer->impl, &zero, 1, offset, n, 0, NULL, NULL);
  atl_cl_leave (self);
  if (status != CL_SUCCESS)
    return atl_cl_lose (self, status, N_ ("clearing memory"), error);
  return atl_cl_finish (self, N_ ("clearing memory"), error);
}

static double
tensor_bytes (const AtlTensor *t)
{
  const AtlDTypeInfo *info;

  if (t == NULL)
    return 0;
  info = atl_dtype_info (t->dtype);
  return (double) atl_tensor_n_elems (t) * info->block_bytes / info->block_elems;
}

/* What a node reads and writes at most. */
static double
node_bytes (const AtlNode *node)
{
  double bytes = tensor_bytes (node->dst) + tensor_bytes (node->dst2);

  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    bytes += tensor_bytes (node->src[i]);
  return bytes;
}

static gboolean
run_nodes (
    AtlOpencl *self, AtlNode *const *nodes, guint n_nodes, AtlBuffer *scratch, GError **error)
{
  for (guint i = 0; i < n_nodes; i++)
    {
      self->n_bytes += node_bytes (nodes[i]);
      if (!ops[nodes[i]->op]->run (self, nodes[i], scratch, error) || !atl_cl_pace (self, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
backend_run (AtlBackend *backend,
             AtlNode *const *nodes,
             guint n_nodes,
             AtlBuffer *scratch,
             GCancellable *cancellable,
             GError **error)
{
  AtlOpencl *self = atl_opencl (backend);
  gboolean ok;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  self->cancellable = cancellable;
  ok = run_nodes (self, nodes, n_nodes, scratch, error);
  self->cancellable = NULL;
  /* What was started may still run after a failure; its memory stays until it has. */
  return atl_cl_pace_end (self, ok ? error : NULL) && ok;
}

static guint
backend_waiting_ms (AtlBackend *backend, guint *patience_ms)
{
  guint64 waiting = __atomic_load_n (&atl_opencl (backend)->waiting, __ATOMIC_RELAXED);
  gint64 since = (gint64) (waiting >> ATL_CL_PATIENCE_BITS);

  *patience_ms = (guint) (waiting & ((1u << ATL_CL_PATIENCE_BITS) - 1));
  return waiting != 0 ? (guint) MAX (g_get_monotonic_time () / 1000 - since, 0) : 0;
}

static void
backend_free (AtlBackend *backend)
{
  AtlOpencl *self = atl_opencl (backend);

  atl_cl_context_clear (self);
  atl_backend_clear (backend);
  g_free (self);
}

const AtlBackendClass atl_cl_backend_class = {
  .supports = backend_supports,
  .alloc = backend_alloc,
  .free_buffer = backend_free_buffer,
  .write = backend_write,
  .read = backend_read,
  .fill_zero = backend_fill_zero,
  .upload_cost = atl_cl_upload_cost,
  .upload = atl_cl_upload,
  .drop = atl_cl_drop,
  .scratch_bytes = backend_scratch_bytes,
  .run = backend_run,
  .waiting_ms = backend_waiting_ms,
  .free = backend_free,
};

AtlBackend *
atl_opencl_backend_new (const AtlOpenclDevice *device, const char *cache_dir, GError **error)
{
  AtlOpencl *self = g_new0 (AtlOpencl, 1);
  g_autofree char *name =
      g_strdup_printf ("opencl:%u.%u", device->platform_index, device->device_index);

  /* Large enough for every driver's vector types, and so that rows of floats can be read in fours.
   */
  self->parent.alignment = 256;
  self->parent.max_alloc = (gsize) device->max_alloc;
  self->parent.memory_total = self->parent.memory_free = device->memory_total;
  self->parent.shares_memory = device->unified_memory;
  if (!atl_backend_init (&self->parent, &atl_cl_backend_class, name, device->name, error))
    {
      g_free (self);
      return NULL;
    }
  if (!atl_cl_context_init (self, device, cache_dir, error))
    {
      atl_backend_free (&self->parent);
      return NULL;
    }
  atl_cl_tuning_restore (self);
  return &self->parent;
}

void
atl_opencl_backend_set_launch (AtlBackend *self, double most_work)
{
  atl_opencl (self)->most_work = most_work;
}
