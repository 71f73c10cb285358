/* Whether the parts of a packed weight fit together, and what they say of its shape:
 *
 *   GPTQ   qweight i32 [in * bits / 32, out]: a stream of bits down each column, lowest first
 *          qzeros  i32 [groups, out * bits / 32]: z - 1 as a stream along each row (z in "gptq_v2")
 *          scales  f16 [groups, out]
 *          g_idx   i32 [in], the group of each input (act-order: any order)
 *          (AutoGPTQ, auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py)
 *   AWQ    qweight i32 [in, out / 8], qzeros i32 [groups, out / 8]: nibble k of a word belongs to
 *          output 0 2 4 6 1 3 5 7 [k]; scales f16 [groups, out]; z as it is
 *          (AutoAWQ, awq/utils/packing_utils.py)
 *   compressed-tensors
 *          weight_packed i32 [out, in * bits / 32], weight_scale [out, groups], weight_zero_point
 *          i32 [out * bits / 32, groups] or the middle of the range; or weight i8 [out, in] and
 *          weight_zero_point i8 [out, groups]
 *          (compressed_tensors/compressors/pack_quantized, naive_quantized)
 */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-source.h"

#include <glib/gi18n.h>

#include "engine/tensor/quants/half.h"

gint64
atl_hf_packed_groups (const AtlHfSource *self)
{
  gint64 size = self->quant.group_size;

  return size > 0 ? (self->dim[1] + size - 1) / size : 1;
}

static gboolean
bad (const char *name, const char *what, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("The quantised weight “%s”: “%s.%s” is missing or does not fit the settings of "
                  "the checkpoint"),
               name, name, what);
  return FALSE;
}

static gboolean
is_words (const AtlTensorInfo *info, gint64 rows, gint64 columns)
{
  return info != NULL && info->dtype == ATL_DTYPE_I32 && info->n_dims == 2 &&
         info->dim[0] == rows && info->dim[1] == columns;
}

static gboolean
is_table (const AtlTensorInfo *info, gint64 rows, gint64 columns)
{
  return info != NULL &&
         (info->dtype == ATL_DTYPE_F16 || info->dtype == ATL_DTYPE_BF16 ||
          info->dtype == ATL_DTYPE_F32) &&
         info->n_dims == 2 && info->dim[0] == rows && info->dim[1] == columns;
}

/* A symmetric form may leave them out. */
static gboolean
zeros_fit (const AtlHfSource *self, const AtlTensorInfo *zeros, gint64 rows, gint64 columns)
{
  return zeros == NULL ? self->quant.symmetric : is_words (zeros, rows, columns);
}

/* g_idx: kept only where it says more than the order does. */
static gboolean
read_groups (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *idx = self->part[ATL_HF_G_IDX];
  gint64 n_in = self->dim[1];
  gboolean in_order = TRUE;

  if (idx == NULL || idx->size_bytes == 0)
    return !self->quant.ordered || atl_hf_packed_groups (self) == 1 ? TRUE
                                                                    : bad (name, "g_idx", error);
  if (idx->dtype != ATL_DTYPE_I32 || idx->n_dims != 1 || idx->dim[0] != n_in)
    return bad (name, "g_idx", error);
  self->group_of = g_new (guint32, n_in);
  for (gint64 i = 0; i < n_in; i++)
    {
      guint32 group = atl_load_u32 (idx->data + 4 * i);

      /* compressed-tensors writes -1 for "not in use". */
      if (self->rows_first && group == G_MAXUINT32)
        group = (guint32) (self->quant.group_size > 0 ? i / self->quant.group_size : 0);
      if (group >= atl_hf_packed_groups (self))
        return bad (name, "g_idx", error);
      in_order &= group == (self->quant.group_size > 0 ? i / self->quant.group_size : 0);
      self->group_of[i] = group;
    }
  if (in_order)
    g_clear_pointer (&self->group_of, g_free);
  return TRUE;
}

static gboolean
check_gptq (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_HF_QWEIGHT], *scales = self->part[ATL_HF_SCALES];
  gint64 bits = self->quant.bits;

  if (scales == NULL || scales->n_dims != 2)
    return bad (name, "scales", error);
  if (words->n_dims != 2 || words->dtype != ATL_DTYPE_I32 || words->dim[0] < 1 ||
      words->dim[1] < 1 || words->dim[0] * 32 % bits != 0)
    return bad (name, "qweight", error);
  self->dim[0] = words->dim[1];
  self->dim[1] = words->dim[0] * 32 / bits;
  if (!is_table (scales, atl_hf_packed_groups (self), self->dim[0]))
    return bad (name, "scales", error);
  if (!zeros_fit (self, self->part[ATL_HF_QZEROS], atl_hf_packed_groups (self),
                  (self->dim[0] * bits + 31) / 32))
    return bad (name, "qzeros", error);
  return TRUE;
}

static gboolean
check_awq (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_HF_QWEIGHT];

  if (self->quant.bits != 4 || words->n_dims != 2 || words->dtype != ATL_DTYPE_I32 ||
      words->dim[0] < 1 || words->dim[1] < 1)
    return bad (name, "qweight", error);
  self->along_out = TRUE;
  self->dim[0] = words->dim[1] * 8;
  self->dim[1] = words->dim[0];
  if (!is_table (self->part[ATL_HF_SCALES], atl_hf_packed_groups (self), self->dim[0]))
    return bad (name, "scales", error);
  if (!zeros_fit (self, self->part[ATL_HF_QZEROS], atl_hf_packed_groups (self), words->dim[1]))
    return bad (name, "qzeros", error);
  return TRUE;
}

/* The bits of a stream of `n` that takes `n_words`; 0 for none. Streams without gaps; three bits
 * were once packed ten to a word, which no published model is. */
static guint
bits_of (gint64 n, gint64 n_words)
{
  static const guint8 usual[] = { 4, 8, 2, 3, 5, 6, 7 };

  for (guint i = 0; i < G_N_ELEMENTS (usual); i++)
    if (n_words == (n * usual[i] + 31) / 32)
      return usual[i];
  return 0;
}

/* Inputs that share a scale: where the last group is shorter the table's width leaves it open. */
static gboolean
find_group_size (AtlHfSource *self, gint64 n_groups)
{
  self->quant.group_size = 0;
  if (n_groups == 1)
    return TRUE;
  for (guint i = 0; i < ATL_HF_MAX_GROUPS; i++)
    {
      self->quant.group_size = self->quant.group_sizes[i];
      if (self->quant.group_size > 0 && atl_hf_packed_groups (self) == n_groups)
        return TRUE;
    }
  self->quant.group_size = (guint) (self->dim[1] / n_groups);
  return self->dim[1] % n_groups == 0;
}

static gboolean
read_shape (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_HF_PACKED], *shape = self->part[ATL_HF_PACKED_SHAPE];
  gsize width = shape != NULL && shape->dtype == ATL_DTYPE_I64 ? 8 : 4;

  if (words->n_dims != 2 || words->dtype != ATL_DTYPE_I32)
    return bad (name, "weight_packed", error);
  if (shape == NULL || shape->size_bytes != 2 * width ||
      (shape->dtype != ATL_DTYPE_I64 && shape->dtype != ATL_DTYPE_I32))
    return bad (name, "weight_shape", error);
  for (guint i = 0; i < 2; i++)
    {
      guint32 number = atl_load_u32 (shape->data + i * width);

      if (number < 1 || number > 1 << 24)
        return bad (name, "weight_shape", error);
      self->dim[i] = number;
    }
  self->quant.bits = bits_of (self->dim[1], words->dim[1]);
  if (self->quant.bits == 0 || words->dim[0] != self->dim[0])
    return bad (name, "weight_packed", error);
  return TRUE;
}

/* Its settings lie deep in lists; the shapes say the same. */
static gboolean
check_compressed (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *scales = self->part[ATL_HF_SCALE], *zeros = self->part[ATL_HF_PACKED_ZERO];
  gboolean is_packed = self->part[ATL_HF_PACKED] != NULL, ok;

  self->rows_first = TRUE;
  self->quant.bits = 8;
  if (is_packed && !read_shape (self, name, error))
    return FALSE;
  if (scales == NULL || scales->n_dims != 2 || scales->dim[1] < 1 ||
      scales->dim[1] > self->dim[1] || !find_group_size (self, scales->dim[1]) ||
      !is_table (scales, self->dim[0], atl_hf_packed_groups (self)))
    return bad (name, "weight_scale", error);
  if (is_packed)
    ok = zeros_fit (self, zeros, (self->dim[0] * self->quant.bits + 31) / 32,
                    atl_hf_packed_groups (self));
  else
    ok = zeros == NULL
             ? self->quant.symmetric
             : zeros->dtype == ATL_DTYPE_I8 && zeros->n_dims == 2 &&
                   zeros->dim[0] == self->dim[0] && zeros->dim[1] == atl_hf_packed_groups (self);
  return ok || bad (name, "weight_zero_point", error);
}

gboolean
atl_hf_packed_check (AtlHfSource *self, const char *name, GError **error)
{
  guint bits = self->quant.bits;
  gboolean ok;

  if (self->part[ATL_HF_QWEIGHT] == NULL)
    ok = check_compressed (self, name, error);
  else if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The weight “%s” is packed in %u bits; 2, 3, 4 and 8 are known here"), name,
                   bits);
      return FALSE;
    }
  else if (g_strcmp0 (self->quant.method, "awq") == 0)
    ok = check_awq (self, name, error);
  else
    ok = check_gptq (self, name, error);
  return ok && read_groups (self, name, error);
}
