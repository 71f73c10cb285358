/* Moves the bits of quantised rows into groups of 16; the layout is drawn in pack.h. */
#include "engine/tensor/cpu/pack-private.h"

#include <string.h>

#define MAX_BLOCK_BYTES 256

static const AtlPackInfo infos[ATL_N_DTYPES] = {
  [ATL_DTYPE_Q4_0] = { 32, 32, 256 },           [ATL_DTYPE_Q4_1] = { 32, 64, 256 },
  [ATL_DTYPE_Q5_0] = { 32, 32, 320 },           [ATL_DTYPE_Q5_1] = { 32, 64, 320 },
  [ATL_DTYPE_Q8_0] = { 32, 32, 512 },           [ATL_DTYPE_IQ4_NL] = { 32, 32, 256 },
  [ATL_DTYPE_MXFP4] = { 32, 32, 256 },          [ATL_DTYPE_Q2_K] = { 256, 64 + 256, 128 },
  [ATL_DTYPE_Q3_K] = { 256, 32 + 256, 192 },    [ATL_DTYPE_Q4_K] = { 256, 64 + 256, 256 },
  [ATL_DTYPE_Q5_K] = { 256, 64 + 256, 320 },    [ATL_DTYPE_Q6_K] = { 256, 32 + 256, 384 },
  [ATL_DTYPE_IQ4_XS] = { 256, 32 + 128, 256 },  [ATL_DTYPE_NVFP4] = { 64, 64, 256 },
  [ATL_DTYPE_Q1_0] = { 128, 32, 64 },           [ATL_DTYPE_Q2_0] = { 64, 32, 128 },
  [ATL_DTYPE_TQ1_0] = { 256, 32, 128 },         [ATL_DTYPE_TQ2_0] = { 256, 32, 128 },
  [ATL_DTYPE_IQ3_XXS] = { 256, 32 + 128, 256 }, [ATL_DTYPE_IQ3_S] = { 256, 32 + 128, 256 },
  [ATL_DTYPE_IQ2_XXS] = { 256, 32 + 128, 192 }, [ATL_DTYPE_IQ2_XS] = { 256, 32 + 128, 192 },
  [ATL_DTYPE_IQ2_S] = { 256, 32 + 128, 192 },   [ATL_DTYPE_IQ1_S] = { 256, 32 + 128, 128 },
  [ATL_DTYPE_IQ1_M] = { 256, 32 + 256, 128 },
};

const AtlPackInfo *
atl_pack_info (AtlDType dtype)
{
  return infos[dtype].unit != 0 ? &infos[dtype] : NULL;
}

AtlDType
atl_pack_alike (AtlDType dtype)
{
  switch (dtype)
    {
    case ATL_DTYPE_TQ1_0:
      return ATL_DTYPE_TQ2_0;
    case ATL_DTYPE_IQ2_S:
      return ATL_DTYPE_IQ2_XS;
    default:
      return dtype;
    }
}

gsize
atl_pack_group_bytes (AtlDType dtype, gint64 n_in)
{
  const AtlPackInfo *info = &infos[dtype];
  return atl_pack_meta_bytes (info, n_in) + (gsize) (n_in / 32) * info->quant_bytes;
}

void
atl_pack_group (
    AtlDType dtype, const guint8 *rows, gsize row_bytes, guint n_rows, gint64 n_in, guint8 *out)
{
  const AtlPackInfo *info = &infos[dtype];
  const AtlPackUnitFunc unit = atl_pack_unit_func (dtype);
  const gsize block_bytes = atl_dtype_info (dtype)->block_bytes;
  const gsize quant_bytes = (gsize) info->unit / 32 * info->quant_bytes;
  guint8 *quants = out + atl_pack_meta_bytes (info, n_in);
  guint8 padded[ATL_PACK_ROWS * MAX_BLOCK_BYTES];

  /* Rows that are not there have zero scales and so the value zero. */
  g_assert (block_bytes <= MAX_BLOCK_BYTES);
  if (n_rows < ATL_PACK_ROWS)
    memset (padded, 0, sizeof padded);
  for (gint64 i = 0; i < n_in / info->unit; i++)
    {
      const guint8 *blocks = rows + (gsize) i * block_bytes;
      guint8 *meta = out + (gsize) i * info->meta_bytes;
      gsize stride = row_bytes;

      if (n_rows < ATL_PACK_ROWS)
        {
          for (guint r = 0; r < n_rows; r++)
            memcpy (padded + r * block_bytes, blocks + r * row_bytes, block_bytes);
          blocks = padded;
          stride = block_bytes;
        }
      if (unit != NULL)
        unit (blocks, stride, meta, quants);
      else
        atl_pack_small_unit (dtype, blocks, stride, meta, quants);
      quants += quant_bytes;
    }
}
