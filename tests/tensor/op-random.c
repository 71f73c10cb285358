/* Random numbers and random weights of every dtype. */
#include "op-cases.h"

#include "engine/tensor/quants/half.h"

guint32
op_random_bits (OpRandom *r)
{
  /* splitmix64 */
  guint64 z = (r->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15));

  z = (z ^ z >> 30) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return (guint32) ((z ^ z >> 31) >> 32);
}

float
op_random (OpRandom *r)
{
  return (float) ((gint32) op_random_bits (r)) * 0x1p-31f;
}

/* Where the half-precision factors of a block are, and what keeps values near one. */
typedef struct
{
  AtlDType dtype;
  gint d, m; /* offsets; -1: none */
  float size;
} Factors;

static const Factors factors[] = {
  { ATL_DTYPE_Q4_0, 0, -1, 1.0f / 8 },      { ATL_DTYPE_Q4_1, 0, 2, 1.0f / 16 },
  { ATL_DTYPE_Q5_0, 0, -1, 1.0f / 16 },     { ATL_DTYPE_Q5_1, 0, 2, 1.0f / 32 },
  { ATL_DTYPE_Q8_0, 0, -1, 1.0f / 128 },    { ATL_DTYPE_Q2_K, 80, 82, 1.0f / 32 },
  { ATL_DTYPE_Q3_K, 108, -1, 1.0f / 128 },  { ATL_DTYPE_Q4_K, 0, 2, 1.0f / 512 },
  { ATL_DTYPE_Q5_K, 0, 2, 1.0f / 1024 },    { ATL_DTYPE_Q6_K, 208, -1, 1.0f / 2048 },
  { ATL_DTYPE_IQ2_XXS, 0, -1, 1.0f / 128 }, { ATL_DTYPE_IQ2_XS, 0, -1, 1.0f / 128 },
  { ATL_DTYPE_IQ2_S, 0, -1, 1.0f / 128 },   { ATL_DTYPE_IQ3_XXS, 0, -1, 1.0f / 256 },
  { ATL_DTYPE_IQ3_S, 0, -1, 1.0f / 256 },   { ATL_DTYPE_IQ1_S, 0, -1, 1.0f / 8 },
  { ATL_DTYPE_IQ4_NL, 0, -1, 1.0f / 128 },  { ATL_DTYPE_IQ4_XS, 0, -1, 1.0f / 2048 },
  { ATL_DTYPE_TQ1_0, 52, -1, 1.0f },        { ATL_DTYPE_TQ2_0, 64, -1, 1.0f },
  { ATL_DTYPE_Q1_0, 0, -1, 1.0f },          { ATL_DTYPE_Q2_0, 0, -1, 1.0f },
};

static void
fix_block (OpRandom *r, AtlDType dtype, guint8 *block)
{
  for (guint i = 0; i < G_N_ELEMENTS (factors); i++)
    if (factors[i].dtype == dtype)
      {
        atl_store_f16 (block + factors[i].d, (0.6f + 0.4f * op_random (r)) * factors[i].size);
        if (factors[i].m >= 0)
          atl_store_f16 (block + factors[i].m, op_random (r) * factors[i].size);
      }
  switch (dtype)
    {
    case ATL_DTYPE_MXFP4:
      block[0] = (guint8) (121 + op_random_bits (r) % 5);
      break;
    case ATL_DTYPE_F8_E4M3_32:
      {
        /* Values up to 448, among which no NaN. */
        float d = (0.6f + 0.4f * op_random (r)) / 448;

        memcpy (block, &d, sizeof d);
        for (guint i = 4; i < 36; i++)
          if ((block[i] & 0x7f) == 0x7f)
            block[i] ^= 1;
        break;
      }
    case ATL_DTYPE_NVFP4:
      for (guint i = 0; i < 4; i++)
        block[i] = (guint8) (30 + op_random_bits (r) % 16);
      break;
    case ATL_DTYPE_IQ1_M:
      /* The upper nibbles of four words make the factor, 2^-5 to 2^-4. */
      block[49] = (guint8) (block[49] & 0x0f);
      block[51] = (guint8) (block[51] & 0x0f);
      block[53] = (guint8) (block[53] & 0x0f);
      block[55] = (guint8) ((block[55] & 0x0f) | 0x20);
      break;
    default:
      break;
    }
}

void
op_random_weights (OpRandom *r, AtlDType dtype, guint8 *out, gsize n_elems)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);

  for (gsize i = 0; i < n_elems / info->block_elems; i++)
    {
      guint8 *block = out + i * info->block_bytes;
      float v = op_random (r);

      switch (dtype)
        {
        case ATL_DTYPE_F32:
          memcpy (block, &v, sizeof v);
          break;
        case ATL_DTYPE_F64:
          memcpy (block, &(double){ v }, sizeof (double));
          break;
        case ATL_DTYPE_F16:
          atl_store_f16 (block, v);
          break;
        case ATL_DTYPE_BF16:
          atl_store_u16 (block, atl_f32_to_bf16 (v));
          break;
        case ATL_DTYPE_F8_E4M3:
          block[0] = atl_f32_to_f8_e4m3 (v);
          break;
        case ATL_DTYPE_F8_E5M2:
          block[0] = atl_f32_to_f8_e5m2 (v);
          break;
        default:
          for (guint k = 0; k < info->block_bytes; k++)
            block[k] = (guint8) op_random_bits (r);
          fix_block (r, dtype, block);
          break;
        }
    }
}
