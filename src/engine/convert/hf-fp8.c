/* Weights in fp8 with factors beside them, in float32, bfloat16 or half precision:
 *
 *   weight_scale_inv   one a block of rows and columns, or one for all (DeepSeek, Qwen, Ministral)
 *   weight_scale       one for all, one a row, one an expert (ModelOpt, compressed-tensors), or one
 *                      a block (compressed-tensors' strategy "block")
 *
 * (transformers, integrations/finegrained_fp8.py; compressed-tensors, quantization/lifecycle.)
 * Blocks at the edges are cut off. Rows of whole blocks of 32 keep their bytes, with the factor in
 * front of each 32; others become float32.
 */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-source.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/quants/dequant.h"

static gint64
n_in_of (const AtlHfSource *self)
{
  return self->dim[self->n_dims - 1];
}

static gint64
n_out_of (const AtlHfSource *self)
{
  return self->dim[self->n_dims - 2];
}

static const AtlTensorInfo *
scale_of (const AtlHfSource *self)
{
  const AtlTensorInfo *inverse = self->part[ATL_HF_SCALE_INV];

  return inverse != NULL ? inverse : self->part[ATL_HF_SCALE];
}

/* The factor of input `i` of row `r`. */
static float
scale_at (const AtlHfSource *self, gint64 r, gint64 i)
{
  const AtlTensorInfo *scale = scale_of (self);
  const AtlDTypeInfo *type = atl_dtype_info (scale->dtype);
  gint64 n_out = n_out_of (self), at;
  float value = 0;

  if (self->in_blocks)
    {
      gint64 columns = (n_in_of (self) + self->quant.block[1] - 1) / self->quant.block[1];
      gint64 blocks = (n_out + self->quant.block[0] - 1) / self->quant.block[0];

      at = (r / n_out * blocks + r % n_out / self->quant.block[0]) * columns +
           i / self->quant.block[1];
    }
  else
    at = r / (self->n_rows / atl_tensor_info_n_elems (scale));
  atl_dequantize (scale->dtype, scale->data + (gsize) at * type->block_bytes, &value, 1);
  return value;
}

/* The bytes of one row, each 32 after the factor of their block. */
static void
put_blocks (const AtlHfSource *self, gint64 r, guint8 *out)
{
  const AtlTensorInfo *weight = self->part[ATL_HF_WEIGHT];
  gint64 n_in = n_in_of (self);

  for (gint64 i = 0; i < n_in; i += 32, out += 36)
    {
      float factor = scale_at (self, r, i);

      memcpy (out, &factor, sizeof factor);
      memcpy (out + sizeof factor, weight->data + (gsize) (r * n_in + i), 32);
    }
}

static void
scaled_rows (const AtlHfSource *self, gint64 first, gint64 stride, gint64 n, guint8 *out)
{
  const AtlTensorInfo *weight = self->part[ATL_HF_WEIGHT];
  gint64 n_in = n_in_of (self), run = self->in_blocks ? self->quant.block[1] : n_in;
  g_autofree float *row = NULL;

  if (self->dtype == ATL_DTYPE_F8_E4M3_32)
    {
      for (gint64 r = first; n > 0; r += stride, n--, out += self->row_bytes)
        put_blocks (self, r, out);
      return;
    }
  row = g_new (float, n_in);
  for (gint64 r = first; n > 0; r += stride, n--, out += self->row_bytes)
    {
      atl_dequantize (weight->dtype, weight->data + (gsize) (r * n_in), row, (gsize) n_in);
      for (gint64 c = 0; c < n_in; c += run)
        {
          float s = scale_at (self, r, c);

          for (gint64 i = c; i < MIN (n_in, c + run); i++)
            row[i] *= s;
        }
      memcpy (out, row, (gsize) n_in * sizeof *row);
    }
}

/* A table of blocks, [rows, columns] for each matrix; one that lies flat can be told from factors
 * of rows only where its name says that it is one. */
static gboolean
are_blocks (const AtlHfSource *self, const AtlTensorInfo *scale)
{
  gint64 rows = (n_out_of (self) + self->quant.block[0] - 1) / self->quant.block[0];
  gint64 columns = (n_in_of (self) + self->quant.block[1] - 1) / self->quant.block[1];
  guint n = scale->n_dims;

  if (atl_tensor_info_n_elems (scale) != self->n_rows / n_out_of (self) * rows * columns)
    return FALSE;
  return n < 2 ? scale == self->part[ATL_HF_SCALE_INV]
               : scale->dim[n - 2] == rows && scale->dim[n - 1] == columns;
}

/* One factor for all, for each matrix or for each row; those of rows lie in one line. */
static gboolean
are_rows (const AtlHfSource *self, const AtlTensorInfo *scale)
{
  gint64 n = atl_tensor_info_n_elems (scale), longest = 1;

  for (guint i = 0; i < scale->n_dims; i++)
    longest = MAX (longest, scale->dim[i]);
  if (n == 1 || n == self->n_rows / n_out_of (self))
    return TRUE;
  return n == self->n_rows && (longest == n || scale->dim[scale->n_dims - 1] == 1);
}

gboolean
atl_hf_fp8_init (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *scale = scale_of (self);
  gboolean fits = scale->dtype == ATL_DTYPE_F32 || scale->dtype == ATL_DTYPE_F16 ||
                  scale->dtype == ATL_DTYPE_BF16;

  /* A list, which has no rows, is never scaled. */
  fits = fits && self->n_dims >= 2;
  self->in_blocks = fits && are_blocks (self, scale);
  if (!fits || (!self->in_blocks && !are_rows (self, scale)))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The scales of the fp8 tensor “%s” do not fit its shape"), name);
      return FALSE;
    }
  /* Rows that blocks of 32 do not divide are rare, and small. */
  self->dtype = self->part[ATL_HF_WEIGHT]->dtype == ATL_DTYPE_F8_E4M3 && n_in_of (self) % 32 == 0 &&
                        (!self->in_blocks || self->quant.block[1] % 32 == 0)
                    ? ATL_DTYPE_F8_E4M3_32
                    : ATL_DTYPE_F32;
  self->plain = NULL;
  self->rows = scaled_rows;
  return TRUE;
}
