/* PyTorch's archives: tables of tensors out of a pickle, their bytes out of the archive. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/torch.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/checked.h"
#include "engine/formats/format-error.h"
#include "engine/formats/pickle.h"
#include "engine/formats/zip-index.h"

#define LOOK_BYTES 4096

typedef struct
{
  const char *file;
  const AtlZipIndex *zip;
  const AtlPickle *pickle;
  AtlCheckpoint *cp;
} Reader;

/* A tensor whose elements do not lie one after the other. */
typedef struct
{
  const guint8 *data; /* of element 0 */
  gsize elem_bytes;
  gint64 stride[ATL_MAX_DIMS]; /* in elements */
} Strided;

gboolean
atl_torch_is_torch (const guint8 *data, gsize size)
{
  return size >= 4 && memcmp (data, "PK\3\4", 4) == 0 &&
         memmem (data, MIN (size, LOOK_BYTES), "/data.pkl", strlen ("/data.pkl")) != NULL;
}

static void
make_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const Strided *self = info->rows_data;
  guint last = info->n_dims - 1;

  for (gint64 row = first; row < first + n; row++)
    {
      gint64 rest = row, at = 0;

      for (guint d = last; d-- > 0; rest /= info->dim[d])
        at += rest % info->dim[d] * self->stride[d];
      for (gint64 i = 0; i < info->dim[last]; i++, out += self->elem_bytes)
        memcpy (out, self->data + self->elem_bytes * (gsize) (at + i * self->stride[last]),
                self->elem_bytes);
    }
}

static gboolean
bad_tensor (const Reader *self, const char *name, GError **error)
{
  g_autofree char *shown = atl_format_excerpt (name, strlen (name));

  return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                          _ ("%s: the tensor “%s” does not fit the bytes that are there for it"),
                          self->file, shown);
}

/* The shape, the strides and the last element's place of a tensor; FALSE when they make no sense.
 */
static gboolean
read_shape (const Reader *self,
            AtlPickleValue tensor,
            AtlTensorInfo *info,
            gint64 *stride,
            guint64 *begin,
            guint64 *end)
{
  const AtlPickle *p = self->pickle;
  AtlPickleValue offset = atl_pickle_item (p, tensor, 1), shape = atl_pickle_item (p, tensor, 2);
  AtlPickleValue strides = atl_pickle_item (p, tensor, 3);
  gboolean is_empty = FALSE;

  if (atl_pickle_kind (p, offset) != ATL_PICKLE_INT || atl_pickle_int (p, offset) < 0 ||
      atl_pickle_kind (p, shape) != ATL_PICKLE_LIST ||
      atl_pickle_kind (p, strides) != ATL_PICKLE_LIST ||
      atl_pickle_n_items (p, shape) != atl_pickle_n_items (p, strides) ||
      atl_pickle_n_items (p, shape) > ATL_MAX_DIMS)
    return FALSE;
  *begin = *end = (guint64) atl_pickle_int (p, offset);
  info->n_dims = atl_pickle_n_items (p, shape);
  for (guint d = 0; d < info->n_dims; d++)
    {
      AtlPickleValue dim = atl_pickle_item (p, shape, d), step = atl_pickle_item (p, strides, d);
      guint64 reach;

      if (atl_pickle_kind (p, dim) != ATL_PICKLE_INT || atl_pickle_int (p, dim) < 0 ||
          atl_pickle_kind (p, step) != ATL_PICKLE_INT || atl_pickle_int (p, step) < 0)
        return FALSE;
      info->dim[d] = atl_pickle_int (p, dim);
      stride[d] = atl_pickle_int (p, step);
      is_empty |= info->dim[d] == 0;
      if (info->dim[d] > 0 &&
          (!atl_checked_mul ((guint64) info->dim[d] - 1, (guint64) stride[d], &reach) ||
           !atl_checked_add (*end, reach, end)))
        return FALSE;
    }
  if (is_empty)
    *end = *begin;
  return is_empty || atl_checked_add (*end, 1, end);
}

static gboolean
is_contiguous (const AtlTensorInfo *info, const gint64 *stride)
{
  gint64 expected = 1;

  for (guint d = info->n_dims; d-- > 0; expected *= info->dim[d])
    if (info->dim[d] != 1 && stride[d] != expected)
      return FALSE;
  return TRUE;
}

static gboolean
add_tensor (Reader *self, const char *name, AtlPickleValue tensor, GError **error)
{
  const AtlPickle *p = self->pickle;
  AtlPickleValue storage = atl_pickle_item (p, tensor, 0);
  AtlTensorInfo info = { .name = name };
  gint64 stride[ATL_MAX_DIMS], n_elems;
  guint64 begin, end, n = 1, shape = 1;
  const AtlZipMember *member;
  g_autofree char *path = NULL;
  const char *key;
  gsize elem_bytes;

  if (atl_pickle_kind (p, storage) != ATL_PICKLE_STORAGE ||
      !read_shape (self, tensor, &info, stride, &begin, &end))
    return bad_tensor (self, name, error);
  info.dtype = atl_pickle_storage (p, storage, &key, &n_elems);
  elem_bytes = atl_dtype_info (info.dtype)->block_bytes;
  path = g_strconcat ("data/", key, NULL);
  member = atl_zip_index_find (self->zip, path);
  if (member == NULL || end > (guint64) n_elems || end > member->size / elem_bytes)
    return bad_tensor (self, name, error);
  /* A stride of zero can make much out of little, which no weights are; a dimension of zero must
   * not hide an absurd shape. */
  for (guint d = 0; d < info.n_dims; d++)
    if (!atl_checked_mul (n, (guint64) info.dim[d], &n) || n > member->size / elem_bytes ||
        (info.dim[d] > 0 && !atl_checked_mul (shape, (guint64) info.dim[d], &shape)) ||
        shape > G_MAXINT64)
      return bad_tensor (self, name, error);
  info.size_bytes = (gsize) n * elem_bytes;
  info.data = member->data + begin * elem_bytes;
  if (n > 0 && !is_contiguous (&info, stride))
    {
      Strided *strided = g_new0 (Strided, 1);

      strided->data = info.data;
      strided->elem_bytes = elem_bytes;
      memcpy (strided->stride, stride, sizeof strided->stride);
      atl_checkpoint_take (self->cp, strided, g_free);
      info.data = NULL;
      info.rows = make_rows;
      info.rows_data = strided;
    }
  return atl_checkpoint_add_tensor (self->cp, &info, error);
}

/* The member `name` of a table that is a table itself. */
static gboolean
find_table (const AtlPickle *p, AtlPickleValue table, const char *name, AtlPickleValue *out)
{
  for (guint i = 0; i + 1 < atl_pickle_n_items (p, table); i += 2)
    {
      AtlPickleValue key = atl_pickle_item (p, table, i);

      *out = atl_pickle_item (p, table, i + 1);
      if (atl_pickle_kind (p, key) == ATL_PICKLE_TEXT &&
          strcmp (atl_pickle_text (p, key), name) == 0 &&
          atl_pickle_kind (p, *out) == ATL_PICKLE_TABLE)
        return TRUE;
    }
  return FALSE;
}

static gboolean
add_tensors (Reader *self, GError **error)
{
  static const char *const inner[] = { "params_ema", "params", "state_dict", "model" };
  const AtlPickle *p = self->pickle;
  AtlPickleValue table = atl_pickle_root (p), found;
  guint n = 0;

  if (atl_pickle_kind (p, table) != ATL_PICKLE_TABLE)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s holds no table of tensors, as files of weights do"), self->file);
  for (gsize i = 0; i < G_N_ELEMENTS (inner); i++)
    if (find_table (p, table, inner[i], &found))
      {
        table = found;
        break;
      }
  for (guint i = 0; i + 1 < atl_pickle_n_items (p, table); i += 2)
    {
      AtlPickleValue key = atl_pickle_item (p, table, i);
      AtlPickleValue value = atl_pickle_item (p, table, i + 1);

      if (atl_pickle_kind (p, key) != ATL_PICKLE_TEXT ||
          atl_pickle_kind (p, value) != ATL_PICKLE_TENSOR)
        continue;
      n++;
      if (!add_tensor (self, atl_pickle_text (p, key), value, error))
        return FALSE;
    }
  if (n == 0)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s holds no table of tensors, as files of weights do"), self->file);
  return TRUE;
}

static gboolean
read_file (AtlCheckpoint *cp, AtlFileMap *map, GError **error)
{
  const char *name = atl_file_map_name (map);
  g_autoptr (AtlZipIndex) zip =
      atl_zip_index_new (atl_file_map_data (map), atl_file_map_size (map), name, error);
  const AtlZipMember *list = zip != NULL ? atl_zip_index_find (zip, "data.pkl") : NULL;
  const AtlZipMember *order = zip != NULL ? atl_zip_index_find (zip, "byteorder") : NULL;
  g_autoptr (AtlPickle) pickle = NULL;
  Reader self = { .file = name, .zip = zip, .cp = cp };

  if (zip == NULL)
    return FALSE;
  if (list == NULL)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s: there is no data.pkl in this archive"), name);
  if (order != NULL && order->size >= 3 && memcmp (order->data, "big", 3) == 0)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s was written on a computer with the other order of bytes"), name);
  pickle = atl_pickle_parse (list->data, list->size, name, error);
  if (pickle == NULL)
    return FALSE;
  self.pickle = pickle;
  atl_checkpoint_add_map (cp, map);
  return add_tensors (&self, error);
}

AtlCheckpoint *
atl_torch_open (AtlFileMap *const *maps, guint n, GError **error)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new (atl_file_map_name (maps[0]));

  for (guint i = 0; i < n; i++)
    if (!read_file (cp, maps[i], error))
      return NULL;
  return g_steal_pointer (&cp);
}
