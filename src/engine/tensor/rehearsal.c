/* Pretending to compute. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/rehearsal.h"

#include <string.h>

#include "engine/tensor/array.h"

/* Reads up to this size are answered with zeros. */
#define SMALL_READ (64 * 1024)

typedef struct
{
  AtlBackend base;
  AtlBackend *of;
  AtlRehearsalCounts counts;
} Rehearsal;

static void
hold (Rehearsal *self, gint64 bytes)
{
  self->counts.held_bytes += (guint64) bytes;
  self->counts.peak_bytes = MAX (self->counts.peak_bytes, self->counts.held_bytes);
}

static gboolean
rehearsal_supports (AtlBackend *backend, const AtlNode *node)
{
  AtlBackend *of = ((Rehearsal *) backend)->of;

  return of->klass->supports (of, node);
}

static AtlBuffer *
rehearsal_alloc (AtlBackend *backend, gsize size_bytes, GError **error)
{
  Rehearsal *self = (Rehearsal *) backend;
  AtlBuffer *buffer = g_new0 (AtlBuffer, 1);

  buffer->backend = backend;
  buffer->size_bytes = size_bytes;
  self->counts.largest_alloc = MAX (self->counts.largest_alloc, size_bytes);
  hold (self, (gint64) size_bytes);
  return buffer;
}

static void
rehearsal_free_buffer (AtlBackend *backend, AtlBuffer *buffer)
{
  if (buffer == NULL)
    return;
  hold ((Rehearsal *) backend, -(gint64) buffer->size_bytes);
  g_free (buffer);
}

static gboolean
rehearsal_write (
    AtlBackend *backend, AtlBuffer *buffer, gsize offset, const void *src, gsize n, GError **error)
{
  return TRUE;
}

static gboolean
rehearsal_read (
    AtlBackend *backend, AtlBuffer *buffer, gsize offset, void *dst, gsize n, GError **error)
{
  if (n <= SMALL_READ)
    memset (dst, 0, n);
  return TRUE;
}

static gboolean
rehearsal_fill_zero (AtlBackend *backend, AtlBuffer *buffer, gsize offset, gsize n, GError **error)
{
  return TRUE;
}

static gsize
rehearsal_upload_cost (AtlBackend *backend, const AtlWeight *weight)
{
  AtlBackend *of = ((Rehearsal *) backend)->of;

  return of->klass->upload_cost (of, weight);
}

static gboolean
rehearsal_upload (AtlBackend *backend, AtlWeight *weight, GError **error)
{
  Rehearsal *self = (Rehearsal *) backend;
  guint64 *bytes;

  if (weight->store[backend->index] != NULL)
    return TRUE;
  bytes = g_new (guint64, 1);
  *bytes = rehearsal_upload_cost (backend, weight);
  /* Pages of the file are the system's to take back. */
  if (*bytes == 0 && !weight->in_file)
    *bytes = weight->size_bytes;
  weight->store[backend->index] = bytes;
  self->counts.weight_bytes += weight->streams ? 0 : *bytes;
  hold (self, (gint64) *bytes);
  return TRUE;
}

static void
rehearsal_drop (AtlBackend *backend, AtlWeight *weight)
{
  guint64 *bytes = g_steal_pointer ((guint64 **) &weight->store[backend->index]);

  if (bytes == NULL)
    return;
  hold ((Rehearsal *) backend, -(gint64) *bytes);
  g_free (bytes);
}

static gsize
rehearsal_scratch_bytes (AtlBackend *backend, const AtlNode *node)
{
  AtlBackend *of = ((Rehearsal *) backend)->of;

  return of->klass->scratch_bytes != NULL ? of->klass->scratch_bytes (of, node) : 0;
}

static gboolean
rehearsal_run (AtlBackend *backend,
               AtlNode *const *nodes,
               guint n_nodes,
               AtlBuffer *scratch,
               GCancellable *cancellable,
               GError **error)
{
  for (guint i = 0; i < n_nodes; i++)
    ((Rehearsal *) backend)->counts.products += atl_node_products (nodes[i]);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

static void
rehearsal_free (AtlBackend *backend)
{
  atl_backend_clear (backend);
  g_free (backend);
}

static const AtlBackendClass rehearsal_class = {
  .supports = rehearsal_supports,
  .alloc = rehearsal_alloc,
  .free_buffer = rehearsal_free_buffer,
  .write = rehearsal_write,
  .read = rehearsal_read,
  .fill_zero = rehearsal_fill_zero,
  .upload_cost = rehearsal_upload_cost,
  .upload = rehearsal_upload,
  .drop = rehearsal_drop,
  .scratch_bytes = rehearsal_scratch_bytes,
  .run = rehearsal_run,
  .free = rehearsal_free,
};

AtlBackend *
atl_rehearsal_new (AtlBackend *of, GError **error)
{
  Rehearsal *self = g_new0 (Rehearsal, 1);

  self->of = of;
  self->base.alignment = of->alignment;
  self->base.max_alloc = of->max_alloc;
  if (!atl_backend_init (&self->base, &rehearsal_class, of->name, of->description, error))
    {
      g_free (self);
      return NULL;
    }
  self->base.is_host = of->is_host;
  self->base.is_rehearsal = TRUE;
  self->base.memory_total = of->memory_total;
  self->base.memory_free = of->memory_free;
  self->base.shares_memory = of->shares_memory;
  self->base.few_rows = of->few_rows;
  self->base.many_rows = of->many_rows;
  return &self->base;
}

static void
count_array (gint64 bytes, gpointer user_data)
{
  hold (user_data, bytes);
}

void
atl_rehearsal_count_arrays (AtlBackend *self)
{
  g_assert (self == NULL || self->klass == &rehearsal_class);
  atl_arrays_count (self != NULL ? count_array : NULL, self);
}

const AtlRehearsalCounts *
atl_rehearsal_counts (const AtlBackend *self)
{
  g_assert (self->klass == &rehearsal_class);
  return &((const Rehearsal *) self)->counts;
}
