/* Weight tables: what a model needs, checked against what the file has. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/weights.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/language.h"

struct _AtlWeights
{
  AtlCheckpoint *checkpoint; /* (owned) */
  GPtrArray *weights;        /* (owned) AtlWeight */
  GError *error;             /* (nullable) */
};

static void
weight_free (AtlWeight *w)
{
  for (guint i = 0; i < ATL_MAX_BACKENDS; i++)
    if (w->store[i] != NULL)
      {
        AtlBackend *backend = atl_backend_get (i);
        g_assert (backend != NULL);
        backend->klass->drop (backend, w);
      }
  g_clear_pointer (&w->bytes, g_bytes_unref);
  g_free (w->deltas);
  g_free (w->name);
  g_free (w);
}

AtlWeights *
atl_weights_new (AtlCheckpoint *cp)
{
  AtlWeights *self = g_new0 (AtlWeights, 1);

  self->checkpoint = atl_checkpoint_ref (cp);
  self->weights = g_ptr_array_new_with_free_func ((GDestroyNotify) weight_free);
  return self;
}

void
atl_weights_free (AtlWeights *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->weights);
  atl_checkpoint_unref (self->checkpoint);
  g_clear_error (&self->error);
  g_free (self);
}

void
atl_weights_fail (AtlWeights *self, const char *format, ...)
{
  va_list args;

  if (self->error != NULL)
    return;
  va_start (args, format);
  self->error = g_error_new_valist (ATL_ERROR, ATL_ERROR_BAD_FILE, format, args);
  va_end (args);
}

void
atl_weights_fail_lora (AtlWeights *self, guint at, const char *format, ...)
{
  va_list args;

  if (self->error != NULL)
    return;
  va_start (args, format);
  self->error = g_error_new_valist (ATL_ERROR, ATL_ERROR_BAD_FILE, format, args);
  va_end (args);
  atl_error_blame_lora (self->error, at);
}

static gboolean
usable_dtype (AtlDType dtype)
{
  switch (dtype)
    {
    case ATL_DTYPE_I8:
    case ATL_DTYPE_U8:
    case ATL_DTYPE_I16:
    case ATL_DTYPE_U16:
    case ATL_DTYPE_I32:
    case ATL_DTYPE_U32:
    case ATL_DTYPE_I64:
    case ATL_DTYPE_U64:
    case ATL_DTYPE_BOOL:
    case ATL_DTYPE_Q8_1: /* of activations */
    case ATL_DTYPE_Q8_K:
      return FALSE;
    default:
      return TRUE;
    }
}

/* Fits `want` (with -1 for anything) onto what the file has; sizes of one may be missing or extra
 * at the end. */
static gboolean
fit_shape (const AtlTensorInfo *info, guint n_dims, const gint64 *want, gint64 *out)
{
  guint n = MAX (n_dims, info->n_dims);

  for (guint i = 0; i < n; i++)
    {
      gint64 have = i < info->n_dims ? info->dim[i] : 1;
      gint64 need = i < n_dims ? want[i] : 1;

      if (have < 1 || (need >= 0 && need != have))
        return FALSE;
      if (i < n_dims)
        out[i] = have;
    }
  return TRUE;
}

/* The order as a weight of its own, one for all of the layer that have the same. */
static AtlWeight *
order_weight (AtlWeights *self, gint layer, const AtlSortedTensor *sorted)
{
  const AtlTensorInfo *info = &sorted->info;
  const gint64 n_in = info->dim[info->n_dims - 1];
  const gint64 dim[2] = { info->dim[0], n_in };
  const gboolean is_stack = info->n_dims > 2;
  const gsize n = (gsize) ((is_stack ? dim[0] : 1) * n_in);
  g_autofree char *name = NULL;
  float *order = g_new (float, n);
  AtlWeight *w = NULL;

  for (gsize i = 0; i < n; i++)
    order[i] = (float) sorted->order[i];
  for (guint i = self->weights->len; w == NULL && i > 0; i--)
    {
      AtlWeight *other = ((AtlWeight *) self->weights->pdata[i - 1])->order;

      if (other != NULL && other->layer == layer && other->n_dims == (is_stack ? 2 : 1) &&
          other->size_bytes == n * sizeof *order &&
          memcmp (other->data, order, other->size_bytes) == 0)
        w = other;
    }
  if (w != NULL)
    {
      g_free (order);
      return w;
    }
  name = g_strconcat (info->name, ", order", NULL);
  return atl_weights_add_bytes (self, ATL_USE_VECTOR, layer, ATL_DTYPE_F32, is_stack ? 2 : 1,
                                is_stack ? dim : dim + 1,
                                g_bytes_new_take (order, n * sizeof *order), name);
}

static AtlWeight *
add (AtlWeights *self,
     AtlWeightUse use,
     gint layer,
     guint n_dims,
     const gint64 *dim,
     gboolean optional,
     const char *name)
{
  const AtlTensorInfo *info = atl_checkpoint_find (self->checkpoint, name);
  gint64 shape[ATL_MAX_DIMS];
  AtlWeight *w;

  g_assert (n_dims >= 1 && n_dims <= ATL_MAX_DIMS);
  if (self->error != NULL)
    return NULL;
  if (info == NULL)
    {
      if (!optional)
        atl_weights_fail (self, _ ("%s: the tensor “%s” is missing"),
                          atl_checkpoint_name (self->checkpoint), name);
      return NULL;
    }
  if (!fit_shape (info, n_dims, dim, shape))
    {
      g_autofree char *have = atl_shape_to_string (info->n_dims, info->dim);
      g_autofree char *need = atl_shape_to_string (n_dims, dim);
      atl_weights_fail (self, _ ("%s: the tensor “%s” has the shape %s; expected %s"),
                        atl_checkpoint_name (self->checkpoint), name, have, need);
      return NULL;
    }
  if (!usable_dtype (info->dtype) || shape[n_dims - 1] % atl_dtype_info (info->dtype)->block_elems)
    {
      atl_weights_fail (self, _ ("%s: the tensor “%s” has the type %s, which cannot be used here"),
                        atl_checkpoint_name (self->checkpoint), name, atl_dtype_name (info->dtype));
      return NULL;
    }

  w = g_new0 (AtlWeight, 1);
  if (use == ATL_USE_LINEAR && info->sorted != NULL)
    {
      w->order = order_weight (self, layer, info->sorted);
      info = &info->sorted->info;
    }
  w->name = g_strdup (name);
  w->dtype = info->dtype;
  w->n_dims = n_dims;
  memcpy (w->dim, shape, n_dims * sizeof *shape);
  w->use = use;
  w->data = info->data;
  w->map = atl_checkpoint_map_of (self->checkpoint, info->data);
  w->size_bytes = info->size_bytes;
  w->made = info->rows != NULL ? info : NULL;
  w->scale = 1.0f;
  w->layer = layer;
  g_ptr_array_add (self->weights, w);
  return w;
}

gboolean
atl_weights_has (const AtlWeights *self, const char *format, ...)
{
  g_autofree char *name = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return atl_checkpoint_find (self->checkpoint, name) != NULL;
}

AtlWeight *
atl_weights_add (AtlWeights *self,
                 AtlWeightUse use,
                 gint layer,
                 guint n_dims,
                 const gint64 *dim,
                 const char *format,
                 ...)
{
  g_autofree char *name = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return add (self, use, layer, n_dims, dim, FALSE, name);
}

AtlWeight *
atl_weights_add_optional (AtlWeights *self,
                          AtlWeightUse use,
                          gint layer,
                          guint n_dims,
                          const gint64 *dim,
                          const char *format,
                          ...)
{
  g_autofree char *name = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return add (self, use, layer, n_dims, dim, TRUE, name);
}

AtlWeight *
atl_weights_add_bytes (AtlWeights *self,
                       AtlWeightUse use,
                       gint layer,
                       AtlDType dtype,
                       guint n_dims,
                       const gint64 *dim,
                       GBytes *bytes,
                       const char *name)
{
  AtlWeight *w = g_new0 (AtlWeight, 1);
  gsize size;

  w->name = g_strdup (name);
  w->dtype = dtype;
  w->n_dims = n_dims;
  memcpy (w->dim, dim, n_dims * sizeof *dim);
  w->use = use;
  w->data = g_bytes_get_data (bytes, &size);
  w->size_bytes = size;
  w->scale = 1.0f;
  w->layer = layer;
  w->bytes = bytes;
  g_ptr_array_add (self->weights, w);
  return w;
}

AtlWeight *
atl_weights_add_made (AtlWeights *self, AtlWeightUse use, gint layer, const AtlTensorInfo *info)
{
  AtlWeight *w;

  g_assert (info->rows != NULL);
  if (self->error != NULL)
    return NULL;
  w = g_new0 (AtlWeight, 1);
  w->name = g_strdup (info->name);
  w->dtype = info->dtype;
  w->n_dims = info->n_dims;
  memcpy (w->dim, info->dim, info->n_dims * sizeof *info->dim);
  w->use = use;
  w->size_bytes = info->size_bytes;
  w->made = info;
  w->scale = 1.0f;
  w->layer = layer;
  g_ptr_array_add (self->weights, w);
  return w;
}

AtlWeight *
atl_weights_add_rows (AtlWeights *self, AtlWeight *of, AtlWeightUse use, gint64 first, gint64 n)
{
  AtlWeight *w;
  const AtlTensorInfo *info;
  gsize row_bytes;

  if (self->error != NULL || of == NULL)
    return NULL;
  g_assert (first >= 0 && n >= 1 && first + n <= of->dim[0]);
  w = g_memdup2 (of, sizeof *of);
  info = of->made;
  if (use == ATL_USE_LINEAR && of->order == NULL && info != NULL && info->sorted != NULL)
    {
      w->order = order_weight (self, of->layer, info->sorted);
      w->made = info = &info->sorted->info;
      w->dtype = info->dtype;
      w->size_bytes = info->size_bytes;
    }
  row_bytes = w->size_bytes / (gsize) of->dim[0];
  w->name =
      g_strdup_printf ("%s[%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT "]", of->name, first, first + n);
  w->use = use;
  w->part_of = of;
  w->part_first = first;
  w->deltas = NULL;
  w->n_deltas = 0;
  w->dim[0] = n;
  if (of->data != NULL)
    w->data = of->data + (gsize) first * row_bytes;
  if (info != NULL)
    w->made_row = of->made_row + first * (atl_tensor_info_n_rows (info) / info->dim[0]);
  w->size_bytes = (gsize) n * row_bytes;
  w->bytes = of->bytes != NULL ? g_bytes_ref (of->bytes) : NULL;
  w->home = NULL;
  memset (w->store, 0, sizeof w->store);
  g_ptr_array_add (self->weights, w);
  return w;
}

void
atl_weights_use (AtlWeight *weight, AtlWeightUse use)
{
  if (weight != NULL)
    weight->use |= use;
}

gboolean
atl_weight_make (AtlWeight *weight, GError **error)
{
  guint8 *bytes;

  if (weight->data != NULL || weight->made == NULL)
    return TRUE;
  bytes = g_try_malloc (MAX (weight->size_bytes, 1));
  if (bytes == NULL)
    {
      g_autofree char *size = atl_language_size (weight->size_bytes);

      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("The computer has no %s of free memory left for “%s”."), size, weight->name);
      return FALSE;
    }
  atl_tensor_info_read (weight->made, weight->made_row,
                        atl_tensor_info_n_rows (weight->made) * (gint64) weight->size_bytes /
                            (gint64) weight->made->size_bytes,
                        bytes);
  weight->bytes = g_bytes_new_take (bytes, weight->size_bytes);
  weight->data = bytes;
  return TRUE;
}

/* What was made and then copied by the backend need not stay: it can be made again. Rows that are
 * looked up, and all that the backend uses in place, stay. */
static void
drop_made (AtlWeight *weight, AtlBackend *backend)
{
  gboolean floats_in_place = backend->is_host && (weight->use & ATL_USE_LINEAR) != 0 &&
                             !atl_dtype_info (weight->dtype)->quantized;

  if (weight->made == NULL || (weight->use & ATL_USE_ROWS) != 0 || floats_in_place ||
      backend->klass->upload_cost (backend, weight) == 0)
    return;
  g_clear_pointer (&weight->bytes, g_bytes_unref);
  weight->data = NULL;
}

static gboolean
is_large (const AtlWeight *weight)
{
  return (weight->use & (ATL_USE_LINEAR | ATL_USE_CONV)) != 0;
}

/* The host reads from files what lies in them; what is made of them is made when it is needed. */
static void
save_on_host (AtlWeight *weight)
{
  weight->in_file = weight->bytes == NULL && weight->made == NULL;
  weight->streams = weight->made != NULL && is_large (weight);
}

void
atl_weights_save_memory (AtlWeights *self, AtlBackend *backend, guint64 keep_bytes)
{
  guint64 kept = 0;

  for (guint i = 0; i < self->weights->len; i++)
    {
      AtlWeight *w = self->weights->pdata[i];
      guint64 cost;

      if (backend->is_host)
        {
          save_on_host (w);
          continue;
        }
      if (!is_large (w))
        continue;
      cost = backend->klass->upload_cost (backend, w);
      w->streams = kept + cost > keep_bytes;
      kept += w->streams ? 0 : cost;
    }
}

gboolean
atl_weight_send (AtlWeight *weight, AtlBackend *backend, GError **error)
{
  if ((!backend->is_rehearsal && !atl_weight_make (weight, error)) ||
      !backend->klass->upload (backend, weight, error))
    return FALSE;
  if (!backend->is_rehearsal)
    drop_made (weight, backend);
  return TRUE;
}

void
atl_weight_withdraw (AtlWeight *weight, AtlBackend *backend)
{
  backend->klass->drop (backend, weight);
  if (weight->made == NULL || backend->is_rehearsal)
    return;
  g_clear_pointer (&weight->bytes, g_bytes_unref);
  weight->data = NULL;
}

gboolean
atl_weights_check (AtlWeights *self, GError **error)
{
  if (self->error == NULL)
    return TRUE;
  if (error != NULL)
    *error = g_error_copy (self->error);
  return FALSE;
}

AtlCheckpoint *
atl_weights_checkpoint (AtlWeights *self)
{
  return self->checkpoint;
}

guint
atl_weights_n (const AtlWeights *self)
{
  return self->weights->len;
}

AtlWeight *
atl_weights_get (const AtlWeights *self, guint i)
{
  return self->weights->pdata[i];
}

gboolean
atl_weights_upload (AtlWeights *self,
                    AtlPlaceFunc place,
                    gpointer place_data,
                    AtlProgressFunc progress,
                    gpointer progress_data,
                    GCancellable *cancellable,
                    GError **error)
{
  guint64 total = 0, done = 0;

  for (guint i = 0; i < self->weights->len; i++)
    total += atl_weights_get (self, i)->size_bytes;

  for (guint i = 0; i < self->weights->len; i++)
    {
      AtlWeight *w = atl_weights_get (self, i);
      AtlBackend *backend = place (w, place_data);

      w->home = w->streams ? backend : NULL;
      /* Weights that are only there to be split (a fused qkv) have no use of their own. */
      if (w->use != 0 && !w->streams)
        {
          if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
              !atl_weight_send (w, backend, error))
            {
              for (guint k = 0; k <= i; k++)
                {
                  AtlWeight *u = atl_weights_get (self, k);
                  if (u->home != NULL)
                    u->home->klass->drop (u->home, u);
                  u->home = NULL;
                }
              return FALSE;
            }
          w->home = backend;
          /* What was copied need not stay in memory twice; rows that are looked up come back alone.
           */
          if (w->bytes == NULL && w->made == NULL && !backend->is_rehearsal &&
              backend->klass->upload_cost (backend, w) > 0)
            {
              AtlTensorInfo info = { .data = w->data, .size_bytes = w->size_bytes };
              atl_checkpoint_forget (self->checkpoint, &info);
            }
        }
      done += w->size_bytes;
      if (progress != NULL && total > 0)
        progress ((double) done / (double) total, _ ("Loading weights"), progress_data);
    }
  return TRUE;
}

AtlState *
atl_state_new (AtlBackend *backend,
               const char *name,
               AtlDType dtype,
               guint n_dims,
               const gint64 *dim,
               GError **error)
{
  g_autofree char *shape = atl_shape_to_string (n_dims, dim);
  AtlState *self;
  AtlBuffer *buffer;
  gint64 n = 1;

  for (guint i = 0; i < n_dims; i++)
    n *= dim[i];
  g_assert (dim[n_dims - 1] % atl_dtype_info (dtype)->block_elems == 0);

  gsize size =
      (gsize) n / atl_dtype_info (dtype)->block_elems * atl_dtype_info (dtype)->block_bytes;
  buffer = backend->klass->alloc (backend, MAX (size, 1), error);
  if (buffer == NULL)
    return NULL;
  if (!backend->klass->fill_zero (backend, buffer, 0, size, error))
    {
      backend->klass->free_buffer (backend, buffer);
      return NULL;
    }
  self = g_new0 (AtlState, 1);
  self->name = g_strdup (name);
  self->dtype = dtype;
  self->n_dims = n_dims;
  memcpy (self->dim, dim, n_dims * sizeof *dim);
  self->size_bytes = size;
  self->buffer = buffer;
  return self;
}

void
atl_state_free (AtlState *self)
{
  if (self == NULL)
    return;
  self->buffer->backend->klass->free_buffer (self->buffer->backend, self->buffer);
  g_free (self->name);
  g_free (self);
}
