/* GPTQ, AWQ and compressed-tensors: integers of few bits with a scale and a zero for every group of
 * inputs (their forms: hf-packed-check.c):
 *
 *   w[o, i] = (q[o, i] - z[g, o]) * s[g, o],   g the group of input i
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
group_of (const AtlHfSource *self, gint64 input)
{
  if (self->group_of != NULL)
    return self->group_of[input];
  return self->quant.group_size > 0 ? input / self->quant.group_size : 0;
}

static gint
weight_at (const AtlHfSource *self, gint64 out, gint64 input)
{
  const AtlTensorInfo *packed = self->part[ATL_HF_PACKED], *words = self->part[ATL_HF_QWEIGHT];

  if (!self->rows_first)
    return self->along_out ? (gint) awq_bits (words->data, words->dim[1], input, out)
                           : (gint) atl_hf_take_bits (words->data + 4 * out, words->dim[1], input,
                                                      self->quant.bits);
  if (packed == NULL)
    return (gint8) self->part[ATL_HF_WEIGHT]->data[out * n_in_of (self) + input] + 128;
  return (gint) atl_hf_take_bits (packed->data + 4 * (gsize) (out * packed->dim[1]), 1, input,
                                  self->quant.bits);
}

/* GPTQ's first format holds z - 1, made a word at a time by taking 1 from each of its fields: a z
 * of 0 borrows from the next field (GPTQModel, convert_gptq_v2_to_v1_format). Fields of 3 bits lie
 * across words and are counted each by itself. */
static gint
gptq_zero (const AtlHfSource *self, const guint8 *row, gint64 out)
{
  guint bits = self->quant.bits, mask = (1u << bits) - 1;
  guint32 word;

  if (self->quant.zero_offset == 0 || bits == 3)
    return (gint) ((atl_hf_take_bits (row, 1, out, bits) + self->quant.zero_offset) & mask);
  word = atl_load_u32 (row + 4 * (out * bits / 32)) + G_MAXUINT32 / mask;
  return (gint) (word >> (out * bits % 32) & mask);
}

static gint
zero_at (const AtlHfSource *self, gint64 out, gint64 group)
{
  const AtlTensorInfo *zeros = self->part[self->rows_first ? ATL_HF_PACKED_ZERO : ATL_HF_QZEROS];

  if (zeros == NULL)
    return 1 << (self->quant.bits - 1);
  if (zeros->dtype == ATL_DTYPE_I8)
    return (gint8) zeros->data[out * zeros->dim[1] + group] + 128;
  if (self->rows_first)
    return (gint) atl_hf_take_bits (zeros->data + 4 * group, zeros->dim[1], out, self->quant.bits);
  if (self->along_out)
    return (gint) awq_bits (zeros->data, zeros->dim[1], group, out);
  return gptq_zero (self, zeros->data + 4 * (gsize) (group * zeros->dim[1]), out);
}

static const AtlTensorInfo *
scales_of (const AtlHfSource *self)
{
  return self->part[self->rows_first ? ATL_HF_SCALE : ATL_HF_SCALES];
}

static float
scale_at (const AtlHfSource *self, gint64 out, gint64 group)
{
  const AtlTensorInfo *scales = scales_of (self);
  gint64 i = self->rows_first ? out * scales->dim[1] + group : group * scales->dim[1] + out;
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
              if (!type->quantized)
                atl_store_f16 (out + 2 * i, (float) q[i - b] * scale);
            }
          if (type->quantized)
            put_block (self->dtype, scale, q, out + b / BLOCK * type->block_bytes);
        }
    }
}

/* --- Choosing the type --- */

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
  const AtlTensorInfo *scales = scales_of (self);
  gint64 n_out = self->dim[0], groups = atl_hf_packed_groups (self);
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

/* Every group is whole, so that it begins and ends with a block; within it inputs stay in order. */
gboolean
atl_hf_source_sort (AtlHfSource *self)
{
  const gint64 n_in = n_in_of (self), size = self->quant.group_size;
  g_autofree gint64 *next = NULL;
  g_autofree guint32 *order = NULL;

  if (self->rows != packed_rows)
    return FALSE;
  next = g_new (gint64, atl_hf_packed_groups (self));
  order = g_new (guint32, n_in);
  for (gint64 g = 0; g < atl_hf_packed_groups (self); g++)
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
  return atl_dtype_info (self->dtype)->quantized;
}

gboolean
atl_hf_packed_init (AtlHfSource *self, const char *name, GError **error)
{
  self->n_dims = 2;
  self->plain = NULL;
  if (!atl_hf_packed_check (self, name, error))
    return FALSE;
  self->rows = packed_rows;
  self->dtype = lossless_type (self);
  return TRUE;
}
