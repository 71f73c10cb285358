/* A backend owns memory, weight layout and op implementations.
 *
 * The planner (plan.h) decides which node runs where and calls the functions below; nobody else
 * does. A backend never aborts: a failed allocation, build or launch is a GError
 * (ATL_ERROR_NO_MEMORY or ATL_ERROR_DEVICE), after which the other functions may still be called
 * and `free` always works.
 *
 * Threading: one plan runs at a time on a backend (the caller's duty); `alloc`, `upload` and `drop`
 * are called while no plan runs.
 */
#pragma once

#include "engine/tensor/ops.h"

G_BEGIN_DECLS

typedef struct
{
  /* Whether run() can execute the node as it is (dtypes, strides, sizes, weights uploaded here or
   * not): called once per node while planning; no side effects. */
  gboolean (*supports) (AtlBackend *self, const AtlNode *node);

  /* Memory for values and states; contents undefined. The buffer is freed with free_buffer. */
  AtlBuffer *(*alloc) (AtlBackend *self, gsize size_bytes, GError **error);
  void (*free_buffer) (AtlBackend *self, AtlBuffer *buffer);

  /* Between host memory and a buffer; complete when they return. */
  gboolean (*write) (
      AtlBackend *self, AtlBuffer *buffer, gsize offset, const void *src, gsize n, GError **error);
  gboolean (*read) (
      AtlBackend *self, AtlBuffer *buffer, gsize offset, void *dst, gsize n, GError **error);
  gboolean (*fill_zero) (
      AtlBackend *self, AtlBuffer *buffer, gsize offset, gsize n, GError **error);

  /* Bytes that upload() would allocate beyond the mapped file (0: used in place). */
  gsize (*upload_cost) (AtlBackend *self, const AtlWeight *weight);
  /* Makes weight->store[self->index]; may repack for weight->use. */
  gboolean (*upload) (AtlBackend *self, AtlWeight *weight, GError **error);
  void (*drop) (AtlBackend *self, AtlWeight *weight);

  /* Scratch that run() needs for this node (packed panels, split-K partials); the planner allocates
   * the largest once. */
  gsize (*scratch_bytes) (AtlBackend *self, const AtlNode *node);

  /* Executes nodes in order; all tensors have buffers of this backend. `cancellable` is looked at
   * between nodes at least. Results are visible to read() afterwards. */
  gboolean (*run) (AtlBackend *self,
                   AtlNode *const *nodes,
                   guint n_nodes,
                   AtlBuffer *scratch,
                   GCancellable *cancellable,
                   GError **error);

  /* (nullable) Any thread: for how many milliseconds now the backend has waited for its device
   * without any work there coming to an end; 0 while it does not wait. `patience_ms` becomes how
   * long that may take on a device that is well. */
  guint (*waiting_ms) (AtlBackend *self, guint *patience_ms);

  void (*free) (AtlBackend *self);
} AtlBackendClass;

struct _AtlBackend
{
  const AtlBackendClass *klass;
  guint index;           /* slot in AtlWeight.store; given by atl_backend_init */
  char *name;            /* (owned) "cpu", "opencl:0" */
  char *description;     /* (owned) for people: "AMD Radeon RX 7600", "CPU, 8 threads" */
  gboolean is_host;      /* buffers are plain host memory (atl_tensor_host() works) */
  gboolean is_rehearsal; /* computes nothing and needs no weight's bytes (rehearsal.h) */
  gsize alignment;       /* of tensors inside a buffer, bytes, power of two, at least 64 */
  gsize max_alloc;       /* largest single buffer */
  guint64 memory_total, memory_free; /* of a device; 0 for the host */
  gboolean shares_memory;            /* a device whose memory is the computer's, not its own */
  /* A row's numbers do not depend on how many others a product has beside it: among products of 1
   * to few_rows rows, and among those of many_rows rows and more. 0: no promise is made. */
  guint few_rows, many_rows;
};

struct _AtlBuffer
{
  AtlBackend *backend;
  gsize size_bytes;
  gpointer host; /* (nullable) host backends */
  gpointer impl; /* (nullable) the backend's own */
};

/* Fills the common fields; at most ATL_MAX_BACKENDS may live at a time (FALSE with ATL_ERROR_FULL).
 */
gboolean atl_backend_init (AtlBackend *self,
                           const AtlBackendClass *klass,
                           const char *name,
                           const char *description,
                           GError **error);
/* Undoes init; called last by a backend's free(). */
void atl_backend_clear (AtlBackend *self);
/* Accepts NULL. */
void atl_backend_free (AtlBackend *self);
/* The live backend with this index, or NULL. */
AtlBackend *atl_backend_get (guint index);

static inline gpointer
atl_tensor_host (const AtlTensor *t)
{
  const AtlTensor *b = t->base != NULL ? t->base : t;
  /* A state's memory may be another one than when the graph was made. */
  const AtlBuffer *buffer = b->kind == ATL_TENSOR_STATE ? b->state->buffer : b->buffer;
  g_assert (buffer != NULL && buffer->host != NULL);
  return (guint8 *) buffer->host + atl_tensor_byte_offset (t);
}

G_END_DECLS
