/* Host arrays. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/array.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "base/language.h"
#include "engine/tensor/quants/dequant.h"

/* Smaller ones may decide what is computed. */
#define LARGE_BYTES (64 * 1024)

static __thread gboolean are_hollow;
static __thread AtlArrayCount count_func;
static __thread gpointer count_data;

/* Without its numbers, unless those are hollow. */
static AtlArray *
array_new_empty (const char *name, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  AtlArray *self = g_new0 (AtlArray, 1);

  g_assert (n_dims <= ATL_MAX_DIMS && (dtype == ATL_DTYPE_F32 || dtype == ATL_DTYPE_I32));
  self->name = g_strdup (name);
  self->dtype = dtype;
  self->n_dims = n_dims;
  memcpy (self->dim, dim, n_dims * sizeof *dim);
  /* Clearing what nobody reads takes longer than the walk: these are pages that nobody touches. */
  if (atl_array_is_hollow (self))
    {
      gpointer pages = mmap (NULL, atl_array_size (self), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

      if (pages != MAP_FAILED)
        {
          self->data = pages;
          self->mapped_bytes = atl_array_size (self);
          self->is_counted = count_func != NULL;
          if (self->is_counted)
            count_func ((gint64) self->mapped_bytes, count_data);
        }
    }
  return self;
}

AtlArray *
atl_array_new (const char *name, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  AtlArray *self = array_new_empty (name, dtype, n_dims, dim);

  if (self->mapped_bytes == 0)
    self->data = g_malloc0 (MAX (atl_array_size (self), 1));
  return self;
}

AtlArray *
atl_array_try_new (
    const char *name, AtlDType dtype, guint n_dims, const gint64 *dim, GError **error)
{
  AtlArray *self = array_new_empty (name, dtype, n_dims, dim);
  g_autofree char *size = NULL;

  if (self->mapped_bytes == 0)
    self->data = g_try_malloc0 (MAX (atl_array_size (self), 1));
  if (self->data != NULL)
    return self;
  size = atl_language_size (atl_array_size (self));
  g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
               _ ("The computer has no %s of free memory left for “%s”."), size, name);
  atl_array_free (self);
  return NULL;
}

static gboolean
read_integers (const AtlTensorInfo *info, gint32 *out, gint64 n)
{
  for (gint64 i = 0; i < n; i++)
    switch (info->dtype)
      {
      case ATL_DTYPE_I64:
      case ATL_DTYPE_U64:
        {
          gint64 v;
          memcpy (&v, info->data + i * 8, 8);
          out[i] = (gint32) CLAMP (v, G_MININT32, G_MAXINT32);
          break;
        }
      case ATL_DTYPE_I32:
      case ATL_DTYPE_U32:
        memcpy (&out[i], info->data + i * 4, 4);
        break;
      case ATL_DTYPE_I16:
        {
          gint16 v;
          memcpy (&v, info->data + i * 2, 2);
          out[i] = v;
          break;
        }
      case ATL_DTYPE_I8:
        out[i] = (gint8) info->data[i];
        break;
      case ATL_DTYPE_U8:
      case ATL_DTYPE_BOOL:
        out[i] = info->data[i];
        break;
      default:
        return FALSE;
      }
  return TRUE;
}

AtlArray *
atl_array_from_tensor (const AtlTensorInfo *info, GError **error)
{
  gboolean whole = info->dtype == ATL_DTYPE_I64 || info->dtype == ATL_DTYPE_U64 ||
                   info->dtype == ATL_DTYPE_I32 || info->dtype == ATL_DTYPE_U32 ||
                   info->dtype == ATL_DTYPE_I16 || info->dtype == ATL_DTYPE_I8 ||
                   info->dtype == ATL_DTYPE_U8 || info->dtype == ATL_DTYPE_BOOL;
  g_autoptr (AtlArray) self =
      atl_array_new (info->name, whole ? ATL_DTYPE_I32 : ATL_DTYPE_F32, info->n_dims, info->dim);
  gint64 n = atl_array_n_elems (self);

  if (whole ? !read_integers (info, self->data, n)
            : !atl_dequantize (info->dtype, info->data, self->data, (gsize) n))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The tensor “%s” has the type %s, which "
                      "cannot be read here"),
                   info->name, atl_dtype_name (info->dtype));
      return NULL;
    }
  return g_steal_pointer (&self);
}

void
atl_array_free (AtlArray *self)
{
  if (self == NULL)
    return;
  g_free (self->name);
  if (self->is_counted && count_func != NULL)
    count_func (-(gint64) self->mapped_bytes, count_data);
  if (self->mapped_bytes > 0)
    munmap (self->data, self->mapped_bytes);
  else
    g_free (self->data);
  g_free (self);
}

gint64
atl_array_n_elems (const AtlArray *self)
{
  gint64 n = 1;

  for (guint i = 0; i < self->n_dims; i++)
    n *= self->dim[i];
  return n;
}

gsize
atl_array_size (const AtlArray *self)
{
  return (gsize) atl_array_n_elems (self) * 4;
}

void
atl_arrays_set_hollow (gboolean is_hollow)
{
  are_hollow = is_hollow;
}

void
atl_arrays_count (AtlArrayCount count, gpointer user_data)
{
  count_func = count;
  count_data = user_data;
}

gboolean
atl_array_is_hollow (const AtlArray *self)
{
  return self->dtype == ATL_DTYPE_F32 && atl_bytes_are_hollow (atl_array_size (self));
}

gboolean
atl_bytes_are_hollow (gsize size_bytes)
{
  return are_hollow && size_bytes > LARGE_BYTES;
}

GPtrArray *
atl_arrays_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) atl_array_free);
}

AtlArray *
atl_arrays_find (GPtrArray *arrays, const char *name)
{
  for (guint i = 0; i < arrays->len; i++)
    {
      AtlArray *a = arrays->pdata[i];
      if (g_strcmp0 (a->name, name) == 0)
        return a;
    }
  return NULL;
}

double
atl_array_rel_l2 (const AtlArray *a, const AtlArray *b)
{
  const float *x, *y;
  double diff = 0.0, norm = 0.0;

  if (a->dtype != ATL_DTYPE_F32 || b->dtype != ATL_DTYPE_F32 || a->n_dims != b->n_dims ||
      memcmp (a->dim, b->dim, a->n_dims * sizeof *a->dim) != 0)
    return INFINITY;
  x = a->data;
  y = b->data;
  for (gint64 i = 0; i < atl_array_n_elems (a); i++)
    {
      double d = (double) x[i] - y[i];
      diff += d * d;
      norm += (double) y[i] * y[i];
    }
  if (!isfinite (diff))
    return INFINITY;
  return norm > 0.0 ? sqrt (diff / norm) : sqrt (diff);
}
