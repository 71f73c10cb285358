/* For tests and fuzzing: reads everything that a checkpoint hands out and holds it to its word. */
#pragma once

#include <string.h>

#include "base/checkpoint.h"

static inline guint64
walk_bytes (const guint8 *data, gsize size)
{
  guint64 sum = 0;

  for (gsize i = 0; i < size; i++)
    sum = sum * 31 + data[i];
  return sum;
}

static inline guint64
walk_meta (const AtlMetaValue *value)
{
  guint64 sum = 0;

  if (value->type == ATL_META_STRING)
    {
      g_assert_cmpint (value->v_string.chars[value->v_string.length], ==, '\0');
      g_assert_true (g_utf8_validate_len (value->v_string.chars, value->v_string.length, NULL) ||
                     strlen (value->v_string.chars) < value->v_string.length);
      sum += walk_bytes ((const guint8 *) value->v_string.chars, value->v_string.length);
    }
  else if (value->type == ATL_META_ARRAY)
    {
      g_assert_cmpint (value->v_array.elem_type, !=, ATL_META_ARRAY);
      for (gsize i = 0; i < value->v_array.n; i++)
        switch (value->v_array.elem_type)
          {
          case ATL_META_STRING:
            {
              const char *text = ((char **) value->v_array.elems)[i];
              gsize length =
                  value->v_array.lengths != NULL ? value->v_array.lengths[i] : strlen (text);

              g_assert_cmpint (text[length], ==, '\0');
              sum += walk_bytes ((const guint8 *) text, length);
              break;
            }
          case ATL_META_BOOL:
            sum += (guint64) ((gboolean *) value->v_array.elems)[i];
            break;
          default:
            sum += ((guint64 *) value->v_array.elems)[i];
            break;
          }
    }
  return sum;
}

/* A number that depends on every byte, so that no compiler leaves a read out. */
static inline guint64
walk_checkpoint (const AtlCheckpoint *cp)
{
  guint64 sum = 0, total = 0;

  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);

      g_assert_true (key[0] != '\0' && g_utf8_validate (key, -1, NULL));
      sum += walk_meta (atl_checkpoint_meta (cp, key));
    }
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      guint64 elems = 1, bytes;

      g_assert_true (info->name[0] != '\0' && g_utf8_validate (info->name, -1, NULL));
      g_assert_true (atl_checkpoint_find (cp, info->name) == info);
      g_assert_cmpuint (info->n_dims, <=, ATL_MAX_DIMS);
      for (guint d = 0; d < info->n_dims; d++)
        {
          g_assert_cmpint (info->dim[d], >=, 0);
          if (info->dim[d] == 0)
            elems = 0;
        }
      for (guint d = 0; d < info->n_dims && elems > 0; d++)
        elems *= (guint64) info->dim[d];
      g_assert_true (atl_dtype_row_bytes (info->dtype, elems, &bytes));
      g_assert_cmpuint (bytes, ==, info->size_bytes);
      if (info->data != NULL)
        sum += walk_bytes (info->data, info->size_bytes);
      else
        {
          g_autofree guint8 *made = g_malloc (info->size_bytes);

          g_assert_nonnull (info->rows);
          atl_tensor_info_read (info, 0, atl_tensor_info_n_rows (info), made);
          sum += walk_bytes (made, info->size_bytes);
        }
      total += info->size_bytes;
    }
  g_assert_cmpuint (atl_checkpoint_weight_bytes (cp), ==, total);
  return sum;
}
