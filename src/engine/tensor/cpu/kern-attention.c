/* Attention: scores of few queries against rows of a cache, weighted sums of value rows, and the
 * steps of a softmax that runs along with them. */
#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/quants/half.h"

/* `n` cached elements as floats; quantised ones are whole blocks of 32. */
INLINE void
convert_row (AtlDType t, const guint8 *row, gint64 n, float *out)
{
  gint64 i = 0;

  switch (t)
    {
    case ATL_DTYPE_F16:
      for (; i + VW <= n; i += VW)
        vf_store (out + i, vf_load_f16 (row + 2 * i));
      for (; i < n; i++)
        out[i] = atl_load_f16 (row + 2 * i);
      break;
    case ATL_DTYPE_Q8_0:
      for (; i < n; i += 32, row += 34)
        {
          float d = atl_load_f16 (row);
          for (guint j = 0; j < 32; j += VW)
            vf_store (out + i + j, vf_from_vi (vi_load_i8 (row + 2 + j)) * d);
        }
      break;
    case ATL_DTYPE_Q4_0:
      for (; i < n; i += 32, row += 18)
        {
          float d = atl_load_f16 (row);
          for (guint j = 0; j < 16; j += VW)
            {
              vi both = vi_load_u8 (row + 2 + j);
              vf_store (out + i + j, vf_from_vi ((both & 15) - 8) * d);
              vf_store (out + i + 16 + j, vf_from_vi ((both >> 4) - 8) * d);
            }
        }
      break;
    default:
      memcpy (out, row, (gsize) n * sizeof (float));
      break;
    }
}

void
ATL_SIMD_NAME (atl_cache_row) (AtlDType dtype, const guint8 *row, gint64 n, float *out)
{
  convert_row (dtype, row, n, out);
}

/* Scores of `n_q` queries with one key. */
INLINE void
key_dot (
    guint n_q, gboolean half, const guint8 *key, gint64 n, const float *q, float *out, gint64 ld)
{
  vf sum[4];
  gint64 i = 0;

  for (guint j = 0; j < n_q; j++)
    sum[j] = vf_set1 (0.0f);
  for (; i + VW <= n; i += VW)
    {
      vf k = half ? vf_load_f16 (key + 2 * i) : vf_load (key + 4 * i);
#pragma GCC unroll 4
      for (guint j = 0; j < n_q; j++)
        sum[j] += k * vf_load (q + j * n + i);
    }
#pragma GCC unroll 4
  for (guint j = 0; j < n_q; j++)
    {
      float s = vf_sum (sum[j]);

      for (gint64 l = i; l < n; l++)
        s += (half ? atl_load_f16 (key + 2 * l) : ((const float *) key)[l]) * q[j * n + l];
      out[j * ld] = s;
    }
}

INLINE void
keys_dot (gboolean half,
          const guint8 *keys,
          gsize key_bytes,
          gint64 n_keys,
          gint64 n,
          const float *q,
          gint64 n_q,
          float *out,
          gint64 ld)
{
  for (gint64 k = 0; k < n_keys; k++)
    {
      const guint8 *key = keys + k * key_bytes;
      gint64 j = 0;

      for (; j + 4 <= n_q; j += 4)
        key_dot (4, half, key, n, q + j * n, out + j * ld + k, ld);
      for (; j + 2 <= n_q; j += 2)
        key_dot (2, half, key, n, q + j * n, out + j * ld + k, ld);
      for (; j < n_q; j++)
        key_dot (1, half, key, n, q + j * n, out + j * ld + k, ld);
    }
}

void
ATL_SIMD_NAME (atl_scores) (AtlDType dtype,
                            const guint8 *keys,
                            gsize key_bytes,
                            gint64 n_keys,
                            gint64 n,
                            const float *q,
                            gint64 n_q,
                            float *row,
                            float *out,
                            gint64 ld)
{
  if (dtype == ATL_DTYPE_F16)
    keys_dot (TRUE, keys, key_bytes, n_keys, n, q, n_q, out, ld);
  else if (dtype == ATL_DTYPE_F32)
    keys_dot (FALSE, keys, key_bytes, n_keys, n, q, n_q, out, ld);
  else
    for (gint64 k = 0; k < n_keys; k++)
      {
        convert_row (dtype, keys + k * key_bytes, n, row);
        keys_dot (FALSE, (const guint8 *) row, 0, 1, n, q, n_q, out + k, ld);
      }
}

/* VW components of `n_q` sums over all keys, in registers. */
INLINE void
value_columns (guint n_q,
               gboolean half,
               const guint8 *values,
               gsize value_bytes,
               gint64 n_keys,
               const float *p,
               gint64 ld,
               float *sums,
               gint64 n)
{
  vf sum[4];

  for (guint j = 0; j < n_q; j++)
    sum[j] = vf_load (sums + j * n);
  for (gint64 k = 0; k < n_keys; k++)
    {
      const guint8 *at = values + k * value_bytes;
      vf v = half ? vf_load_f16 (at) : vf_load (at);
#pragma GCC unroll 4
      for (guint j = 0; j < n_q; j++)
        sum[j] += v * p[j * ld + k];
    }
  for (guint j = 0; j < n_q; j++)
    vf_store (sums + j * n, sum[j]);
}

INLINE void
values_sum (gboolean half,
            const guint8 *values,
            gsize value_bytes,
            gint64 n_keys,
            gint64 n,
            const float *p,
            gint64 n_q,
            gint64 ld,
            float *sums)
{
  const guint size = half ? 2 : 4;
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    {
      const guint8 *v = values + i * size;
      gint64 j = 0;

      for (; j + 4 <= n_q; j += 4)
        value_columns (4, half, v, value_bytes, n_keys, p + j * ld, ld, sums + j * n + i, n);
      for (; j + 2 <= n_q; j += 2)
        value_columns (2, half, v, value_bytes, n_keys, p + j * ld, ld, sums + j * n + i, n);
      for (; j < n_q; j++)
        value_columns (1, half, v, value_bytes, n_keys, p + j * ld, ld, sums + j * n + i, n);
    }
  for (; i < n; i++)
    for (gint64 j = 0; j < n_q; j++)
      for (gint64 k = 0; k < n_keys; k++)
        {
          const guint8 *at = values + k * value_bytes + i * size;
          sums[j * n + i] += p[j * ld + k] * (half ? atl_load_f16 (at) : *(const float *) at);
        }
}

void
ATL_SIMD_NAME (atl_weigh_values) (AtlDType dtype,
                                  const guint8 *values,
                                  gsize value_bytes,
                                  gint64 n_keys,
                                  gint64 n,
                                  const float *p,
                                  gint64 n_q,
                                  gint64 ld,
                                  float *row,
                                  float *sums)
{
  if (dtype == ATL_DTYPE_F16)
    values_sum (TRUE, values, value_bytes, n_keys, n, p, n_q, ld, sums);
  else if (dtype == ATL_DTYPE_F32)
    values_sum (FALSE, values, value_bytes, n_keys, n, p, n_q, ld, sums);
  else
    for (gint64 k = 0; k < n_keys; k++)
      {
        convert_row (dtype, values + k * value_bytes, n, row);
        values_sum (FALSE, (const guint8 *) row, 0, 1, n, p + k, n_q, ld, sums);
      }
}

/* tanh for what is capped: an absolute error of some 1e-7 is enough there. */
INLINE vf
vf_tanh (vf x)
{
  return 1.0f - 2.0f / (vf_exp (x * 2.0f) + 1.0f);
}

INLINE vf
one_score (vf s, float scale, float softcap)
{
  s = s * scale;
  if (softcap != 0.0f)
    s = softcap * vf_tanh (s * (1.0f / softcap));
  return s;
}

float
ATL_SIMD_NAME (atl_softmax_step) (
    float *s, gint64 n, float scale, float softcap, const float *bias, float *largest, float *sum)
{
  const float before = *largest;
  vf most = vf_set1 (before);
  vf total = vf_set1 (0.0f);
  float now;
  float rest = 0.0f;
  float correction;
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    {
      vf v = one_score (vf_load (s + i), scale, softcap);

      if (bias != NULL)
        v += vf_load (bias + i);
      most = vf_max (most, v);
      vf_store (s + i, v);
    }
  now = vf_largest (most);
  for (gint64 j = i; j < n; j++)
    {
      s[j] *= scale;
      if (softcap != 0.0f)
        s[j] = softcap * tanhf (s[j] / softcap);
      if (bias != NULL)
        s[j] += bias[j];
      now = MAX (now, s[j]);
    }
  if (now == -INFINITY)
    {
      memset (s, 0, (gsize) n * sizeof *s);
      return 1.0f;
    }
  for (i = 0; i + VW <= n; i += VW)
    {
      vf e = vf_exp (vf_load (s + i) - now);

      total += e;
      vf_store (s + i, e);
    }
  for (; i < n; i++)
    {
      s[i] = expf (s[i] - now);
      rest += s[i];
    }
  correction = expf (before - now);
  *sum = *sum * correction + vf_sum (total) + rest;
  *largest = now;
  return correction;
}
