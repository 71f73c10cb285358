/* GPTQ, AWQ and compressed-tensors: unsigned integers of 2, 3, 4 or 8 bits, packed into words of
 * 32, with a scale and a zero for every group of inputs:
 *
 *   w[o, i] = (q[o, i] - z[g, o]) * s[g, o],   g the group of input i
 *
 *   GPTQ   qweight i32 [in * bits / 32, out]: a stream of bits down each column, lowest first
 *          qzeros  i32 [groups, out * bits / 32]: z - 1 as a stream along each row (z in "gptq_v2")
 *          scales  f16 [groups, out]; g_idx i32 [in], the group of each input (act-order: any
 * order) (AutoGPTQ, auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py) AWQ    qweight i32 [in, out /
 * 8], qzeros i32 [groups, out / 8]: nibble k of a word belongs to output 0 2 4 6 1 3 5 7 [k];
 * scales f16 [groups, out]; z as it is (AutoAWQ, awq/utils/packing_utils.py) compressed-tensors
 * weight_packed i32 [out, in * bits / 32], weight_scale [out, groups], weight_zero_point i32 [out *
 * bits / 32, groups] or the middle of the range
 *
 * The difference q - z of a block of 32 inputs in one group, with s in half precision, is a block
 * of Q4_0 when it lies in -8 … 7 (symmetric 4 bits, and all 2 and 3 bits), of Q5_0 in -16 … 15 (all
 * other 4 bits) and of Q8_0 in -128 … 127: nothing is lost. What does not fit becomes F16, rounded
 * as the authors' own code in half precision rounds. Groups in any order become F16 too, and
 * beside it blocks whose inputs are sorted (AtlSortedTensor), for products.
 */
#define G_LOG_DOMAIN "atl-convert"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf-source.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"

#define BLOCK 32

guint
atl_hf_take_bits (const guint8 *words, gint64 stride, gint64 i, guint bits)
{
  gint64 at = i * bits, word = at / 32;
  guint shift = (guint) (at % 32);
  guint64 pair = atl_load_u32 (words + 4 * word * stride);

  if (shift + bits > 32)
    pair |= (guint64) atl_load_u32 (words + 4 * (word + 1) * stride) << 32;
  return (guint) (pair >> shift) & ((1u << bits) - 1);
}

/* Which nibble of a word of AWQ belongs to each output. */
static const guint8 awq_nibble[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };

static guint
awq_bits (const guint8 *words, gint64 row_words, gint64 row, gint64 out)
{
  return atl_load_u32 (words + 4 * (row * row_words + out / 8)) >> 4 * awq_nibble[out % 8] & 15;
}

static gint64
n_in_of (const AtlHfSource *self)
{
  return self->dim[1];
}

static gint64
n_groups (const AtlHfSource *self)
{
  gint64 size = self->quant.group_size;

  return size > 0 ? (n_in_of (self) + size - 1) / size : 1;
}

static gint64
group_of (const AtlHfSource *self, gint64 input)
{
  if (self->group_of != NULL)
    return self->group_of[input];
  return self->quant.group_size > 0 ? input / self->quant.group_size : 0;
}

static gint
weight_at (const AtlHfSource *self, gint64 out, gint64 input)
{
  if (self->part[ATL_HF_PACKED] != NULL)
    {
      const AtlTensorInfo *packed = self->part[ATL_HF_PACKED];

      return (gint) atl_hf_take_bits (packed->data + 4 * (gsize) (out * packed->dim[1]), 1, input,
                                      self->quant.bits);
    }
  const AtlTensorInfo *words = self->part[ATL_HF_QWEIGHT];

  if (self->along_out)
    return (gint) awq_bits (words->data, words->dim[1], input, out);
  return (gint) atl_hf_take_bits (words->data + 4 * out, words->dim[1], input, self->quant.bits);
}

static gint
zero_at (const AtlHfSource *self, gint64 out, gint64 group)
{
  const AtlTensorInfo *zeros = self->part[ATL_HF_QZEROS];

  if (self->part[ATL_HF_PACKED] != NULL)
    {
      zeros = self->part[ATL_HF_PACKED_ZERO];
      return zeros == NULL ? 1 << (self->quant.bits - 1)
                           : (gint) atl_hf_take_bits (zeros->data + 4 * group, zeros->dim[1], out,
                                                      self->quant.bits);
    }
  if (zeros == NULL)
    return 1 << (self->quant.bits - 1);
  if (self->along_out)
    return (gint) awq_bits (zeros->data, zeros->dim[1], group, out);
  return (gint) (atl_hf_take_bits (zeros->data + 4 * (gsize) (group * zeros->dim[1]), 1, out,
                                   self->quant.bits) +
                 self->quant.zero_offset);
}

static float
scale_at (const AtlHfSource *self, gint64 out, gint64 group)
{
  gboolean rows_first = self->part[ATL_HF_PACKED] != NULL;
  const AtlTensorInfo *scales = self->part[rows_first ? ATL_HF_SCALE : ATL_HF_SCALES];
  gint64 i = rows_first ? out * scales->dim[1] + group : group * scales->dim[1] + out;
  float value = 0;

  atl_dequantize (scales->dtype,
                  scales->data + (gsize) i * atl_dtype_info (scales->dtype)->block_bytes, &value,
                  1);
  return value;
}

static void
put_block (AtlDType dtype, float scale, const gint *q, guint8 *out)
{
  guint32 fifth = 0;

  atl_store_f16 (out, scale);
  switch (dtype)
    {
    case ATL_DTYPE_Q4_0:
      for (guint j = 0; j < 16; j++)
        out[2 + j] = (guint8) ((q[j] + 8) | (q[j + 16] + 8) << 4);
      break;
    case ATL_DTYPE_Q5_0:
      for (guint j = 0; j < 32; j++)
        fifth |= (guint32) ((q[j] + 16) >> 4 & 1) << j;
      fifth = GUINT32_TO_LE (fifth);
      memcpy (out + 2, &fifth, sizeof fifth);
      for (guint j = 0; j < 16; j++)
        out[6 + j] = (guint8) (((q[j] + 16) & 15) | ((q[j + 16] + 16) & 15) << 4);
      break;
    default:
      for (guint j = 0; j < 32; j++)
        out[2 + j] = (guint8) (gint8) q[j];
      break;
    }
}

static void
packed_rows (const AtlHfSource *self, gint64 first, gint64 stride, gint64 n, guint8 *out)
{
  const AtlDTypeInfo *type = atl_dtype_info (self->dtype);
  gint64 n_in = n_in_of (self);

  for (gint64 o = first; n > 0; o += stride, n--, out += self->row_bytes)
    {
      gint64 known = -1;
      gint zero = 0;
      float scale = 0;

      for (gint64 b = 0; b < n_in; b += BLOCK)
        {
          gint q[BLOCK];

          for (gint64 i = b; i < MIN (b + BLOCK, n_in); i++)
            {
              gint64 input = self->order != NULL ? self->order[i] : i;
              gint64 group = group_of (self, input);

              if (group != known)
                {
                  known = group;
                  zero = zero_at (self, o, group);
                  scale = scale_at (self, o, group);
                }
              q[i - b] = weight_at (self, o, input) - zero;
              if (!type->quantised)
                atl_store_f16 (out + 2 * i, (float) q[i - b] * scale);
            }
          if (type->quantised)
            put_block (self->dtype, scale, q, out + b / BLOCK * type->block_bytes);
        }
    }
}

/* --- Checking and choosing the type --- */

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

/* Scales that half precision holds exactly; those of GPTQ and AWQ are half precision. */
static gboolean
scales_fit (const AtlTensorInfo *scales)
{
  gint64 n = scales->dim[0] * scales->dim[1];

  if (scales->dtype == ATL_DTYPE_F16)
    return TRUE;
  for (gint64 i = 0; i < n; i++)
    {
      float value = 0;

      atl_dequantize (scales->dtype,
                      scales->data + (gsize) i * atl_dtype_info (scales->dtype)->block_bytes,
                      &value, 1);
      if (atl_f16_to_f32 (atl_f32_to_f16 (value)) != value)
        return FALSE;
    }
  return TRUE;
}

static AtlDType
lossless_type (const AtlHfSource *self)
{
  const AtlTensorInfo *scales =
      self->part[self->part[ATL_HF_PACKED] != NULL ? ATL_HF_SCALE : ATL_HF_SCALES];
  gint64 n_out = self->dim[0], groups = n_groups (self);
  gint top = (1 << self->quant.bits) - 1, low = 0, high = 0;

  if ((self->group_of != NULL && self->order == NULL) || n_in_of (self) % BLOCK != 0 ||
      !scales_fit (scales) || (groups > 1 && self->quant.group_size % BLOCK != 0))
    return ATL_DTYPE_F16;
  for (gint64 g = 0; g < groups; g++)
    for (gint64 o = 0; o < n_out; o++)
      {
        gint zero = zero_at (self, o, g);

        low = MIN (low, -zero);
        high = MAX (high, top - zero);
      }
  if (low >= -8 && high <= 7)
    return ATL_DTYPE_Q4_0;
  if (low >= -16 && high <= 15)
    return ATL_DTYPE_Q5_0;
  return low >= -128 && high <= 127 ? ATL_DTYPE_Q8_0 : ATL_DTYPE_F16;
}

/* g_idx: kept only where it says more than the order does. */
static gboolean
read_groups (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *idx = self->part[ATL_HF_G_IDX];
  gint64 n_in = n_in_of (self);
  gboolean in_order = TRUE;

  if (idx == NULL || idx->size_bytes == 0)
    return !self->quant.ordered || n_groups (self) == 1 ? TRUE : bad (name, "g_idx", error);
  if (idx->dtype != ATL_DTYPE_I32 || idx->n_dims != 1 || idx->dim[0] != n_in)
    return bad (name, "g_idx", error);
  self->group_of = g_new (guint32, n_in);
  for (gint64 i = 0; i < n_in; i++)
    {
      guint32 group = atl_load_u32 (idx->data + 4 * i);

      /* compressed-tensors writes -1 for "not in use". */
      if (self->part[ATL_HF_PACKED] != NULL && group == G_MAXUINT32)
        group = (guint32) (self->quant.group_size > 0 ? i / self->quant.group_size : 0);
      if (group >= n_groups (self))
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
  if (!is_table (scales, n_groups (self), self->dim[0]))
    return bad (name, "scales", error);
  if (!zeros_fit (self, self->part[ATL_HF_QZEROS], n_groups (self),
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
  if (!is_table (self->part[ATL_HF_SCALES], n_groups (self), self->dim[0]))
    return bad (name, "scales", error);
  if (!zeros_fit (self, self->part[ATL_HF_QZEROS], n_groups (self), words->dim[1]))
    return bad (name, "qzeros", error);
  return TRUE;
}

/* Its settings lie deep in lists; the shapes say the same. */
static gboolean
check_compressed (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_HF_PACKED], *scales = self->part[ATL_HF_SCALE];
  const AtlTensorInfo *shape = self->part[ATL_HF_PACKED_SHAPE];
  const AtlTensorInfo *zeros = self->part[ATL_HF_PACKED_ZERO];
  guint64 number[2] = { 0 };
  gsize width = shape != NULL && shape->dtype == ATL_DTYPE_I64 ? 8 : 4;

  if (words->n_dims != 2 || words->dtype != ATL_DTYPE_I32)
    return bad (name, "weight_packed", error);
  if (scales == NULL || scales->n_dims != 2 || scales->dim[1] < 1)
    return bad (name, "weight_scale", error);
  if (shape == NULL || shape->size_bytes != 2 * width ||
      (shape->dtype != ATL_DTYPE_I64 && shape->dtype != ATL_DTYPE_I32))
    return bad (name, "weight_shape", error);
  for (guint i = 0; i < 2; i++)
    {
      number[i] = atl_load_u32 (shape->data + i * width);
      if (number[i] < 1 || number[i] > 1 << 24)
        return bad (name, "weight_shape", error);
      self->dim[i] = (gint64) number[i];
    }
  self->quant.bits = 0;
  for (guint bits = 2; bits <= 8; bits++)
    if ((bits < 5 || bits == 8) && words->dim[1] == (self->dim[1] + 32 / bits - 1) / (32 / bits))
      self->quant.bits = bits;
  /* Three bits would be packed ten to a word, which no published model does. */
  if (self->quant.bits < 2 || self->quant.bits == 3 || words->dim[0] != self->dim[0])
    return bad (name, "weight_packed", error);
  self->quant.group_size =
      scales->dim[1] == 1 ? 0 : (guint) ((self->dim[1] + scales->dim[1] - 1) / scales->dim[1]);
  if (!is_table (scales, self->dim[0], n_groups (self)))
    return bad (name, "weight_scale", error);
  if (!zeros_fit (self, zeros, (self->dim[0] * self->quant.bits + 31) / 32, n_groups (self)))
    return bad (name, "weight_zero_point", error);
  return TRUE;
}

/* Every group is whole, so that it begins and ends with a block; within it inputs stay in order. */
gboolean
atl_hf_source_sort (AtlHfSource *self)
{
  const gint64 n_in = n_in_of (self), size = self->quant.group_size;
  g_autofree gint64 *next = NULL;
  g_autofree guint32 *order = NULL;

  if (self->rows != packed_rows)
    return FALSE;
  next = g_new (gint64, n_groups (self));
  order = g_new (guint32, n_in);
  for (gint64 g = 0; g < n_groups (self); g++)
    next[g] = g * size;
  for (gint64 i = 0; i < n_in; i++)
    {
      gint64 group = group_of (self, i);

      if (size > 0 && next[group] >= MIN ((group + 1) * size, n_in))
        return FALSE;
      order[next[group]++] = (guint32) i;
    }
  self->order = g_steal_pointer (&order);
  atl_hf_source_set_dtype (self, lossless_type (self));
  return atl_dtype_info (self->dtype)->quantised;
}

gboolean
atl_hf_packed_init (AtlHfSource *self, const char *name, GError **error)
{
  guint bits = self->quant.bits;
  gboolean ok;

  if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The weight “%s” is packed in %u bits; 2, 3, 4 and 8 are known here"), name,
                   bits);
      return FALSE;
    }
  self->n_dims = 2;
  if (self->part[ATL_HF_PACKED] != NULL)
    ok = check_compressed (self, name, error);
  else if (g_strcmp0 (self->quant.method, "awq") == 0)
    ok = check_awq (self, name, error);
  else
    ok = check_gptq (self, name, error);
  if (!ok || !read_groups (self, name, error))
    return FALSE;
  self->rows = packed_rows;
  self->dtype = lossless_type (self);
  return TRUE;
}
