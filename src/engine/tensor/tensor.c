/* Shapes and strides. */
#include "engine/tensor/tensor.h"

gboolean
atl_tensor_is_contiguous (const AtlTensor *t)
{
  gint64 expected = 1;

  for (guint i = t->n_dims; i-- > 0;)
    {
      if (t->dim[i] != 1 && t->stride[i] != expected)
        return FALSE;
      expected *= t->dim[i];
    }
  return TRUE;
}

gboolean
atl_tensor_rows (const AtlTensor *t, gint64 *n_rows, gint64 *row_stride)
{
  gint64 rows = 1, stride = 0, expected = 0;
  guint last = t->n_dims - 1;

  if (t->dim[last] != 1 && t->stride[last] != 1)
    return FALSE;
  for (guint i = last; i-- > 0;)
    {
      if (t->dim[i] == 1)
        continue;
      if (stride == 0)
        stride = t->stride[i];
      else if (t->stride[i] != expected)
        return FALSE;
      rows *= t->dim[i];
      expected = t->stride[i] * t->dim[i];
    }
  *n_rows = rows;
  *row_stride = stride != 0 ? stride : t->dim[last];
  return TRUE;
}

char *
atl_shape_to_string (guint n_dims, const gint64 *dim)
{
  GString *s = g_string_new ("[");

  for (guint i = 0; i < n_dims; i++)
    g_string_append_printf (s, "%s%" G_GINT64_FORMAT, i > 0 ? ", " : "", dim[i]);
  g_string_append_c (s, ']');
  return g_string_free (s, FALSE);
}
