/* Attention: scores of few queries against rows of a cache, weighted sums of value rows, and the
 * steps of a softmax that runs along with them. A cached row is turned into floats once for up to
 * eight queries, in registers. */
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

/* Elements [i, i + VW) of a cached row; i is a multiple of VW. */
INLINE vf
cached (AtlDType t, const guint8 *row, gint64 i)
{
  vi codes;

  switch (t)
    {
    case ATL_DTYPE_F16:
      return vf_load_f16 (row + 2 * i);
    case ATL_DTYPE_Q8_0:
      row += i / 32 * 34;
      return vf_from_vi (vi_load_i8 (row + 2 + i % 32)) * vf_set1_f16 (row);
    case ATL_DTYPE_Q4_0:
      row += i / 32 * 18;
      codes = vi_load_u8 (row + 2 + i % 16);
      codes = i % 32 < 16 ? codes & 15 : codes >> 4;
      return vf_from_vi (codes - 8) * vf_set1_f16 (row);
    default:
      return vf_load (row + 4 * i);
    }
}

/* One element; quantised rows are whole vectors. */
INLINE float
cached_one (AtlDType t, const guint8 *row, gint64 i)
{
  return t == ATL_DTYPE_F16 ? atl_load_f16 (row + 2 * i) : ((const float *) row)[i];
}

/* Queries that meet a key while it is in registers. */
#define MAX_QUERIES (VW >= 8 ? 8 : 4)

/* Some rows of one head, of `width` elements (a constant where that is worth it), and what is asked
 * for with the first of them; with the others what lies ahead_stride further each time. */
typedef struct
{
  const guint8 *data, *ahead;
  gint64 n, row_bytes, width, ahead_stride, far;
} Step;

/* Memory is asked for as it lies, whatever the order of the work, where rows follow each other:
 * that is what the processor's own prefetching goes along with. In two steps, into the second-level
 * cache and then the first, more is under way at a time. */
INLINE Step
step_of (const AtlCacheRows *rows, gint64 width, gint64 head, gint64 first)
{
  const gboolean is_one = rows->ahead_bytes == rows->ahead_stride;

  return (Step){
    .data = rows->data + head * (gint64) rows->head_bytes + first * (gint64) rows->row_bytes,
    .ahead = rows->ahead_bytes == 0
                 ? NULL
                 : rows->ahead + first * (gint64) rows->ahead_stride +
                       head * (gint64) rows->head_bytes * (is_one ? ATL_CACHE_STEP : 1),
    .n = MIN (ATL_CACHE_STEP, rows->n - first),
    .row_bytes = (gint64) rows->row_bytes,
    .width = width > 0 ? width : rows->width,
    .ahead_stride = (gint64) (is_one ? rows->head_bytes : rows->ahead_stride),
    .far = (gint64) rows->far_bytes
  };
}

INLINE gint64
bytes_of (AtlDType t, gint64 n)
{
  switch (t)
    {
    case ATL_DTYPE_F16:
      return 2 * n;
    case ATL_DTYPE_Q8_0:
      return n / 32 * 34;
    case ATL_DTYPE_Q4_0:
      return n / 32 * 18;
    default:
      return 4 * n;
    }
}

INLINE void
ask_for (AtlDType t, const Step *step, gint64 row)
{
  const gint64 n = bytes_of (t, step->width);

  if (step->ahead == NULL)
    return;
#pragma GCC unroll 4
  for (gint64 i = 0; i < n; i += 64)
    {
      __builtin_prefetch (step->ahead + row * step->ahead_stride + step->far + i, 0, 2);
      __builtin_prefetch (step->ahead + row * step->ahead_stride + i);
    }
}

/* Scores of n_q queries with the keys of a step, n_k of them at a time: n_q * n_k sums across lanes
 * at once. */
INLINE void
scores_step (AtlDType t, guint n_k, guint n_q, const Step *step, const float *q, float *out)
{
  const gint64 n = step->width;

  for (gint64 first = 0; first < step->n; first += n_k)
    {
      const gint64 last = step->n - 1 - first;
      const guint8 *row[VW];
      vf sum[VW];
      float sums[VW];
      gint64 i = 0;

      row[0] = step->data + first * step->row_bytes;
      /* The last ones are taken again for those that are missing. */
#pragma GCC unroll 16
      for (guint k = 1; k < n_k; k++)
        row[k] = row[0] + MIN (k, last) * step->row_bytes;
#pragma GCC unroll 16
      for (guint k = 0; k < n_k; k++)
        ask_for (t, step, first + k);
#pragma GCC unroll 16
      for (guint k = 0; k < VW; k++)
        sum[k] = vf_set1 (0.0f);
#pragma GCC unroll 4
      for (; i + VW <= n; i += VW)
        {
          vf key[VW];

#pragma GCC unroll 16
          for (guint k = 0; k < n_k; k++)
            key[k] = cached (t, row[k], i);
#pragma GCC unroll 16
          for (guint j = 0; j < n_q; j++)
            {
              vf v = vf_load (q + j * n + i);
#pragma GCC unroll 16
              for (guint k = 0; k < n_k; k++)
                sum[j * n_k + k] = i == 0 ? key[k] * v : sum[j * n_k + k] + key[k] * v;
            }
        }
      vf_store (sums, vf_sums (sum));
      for (; i < n; i++)
        for (guint j = 0; j < n_q; j++)
          for (guint k = 0; k < n_k; k++)
            sums[j * n_k + k] += cached_one (t, row[k], i) * q[j * n + i];
#pragma GCC unroll 16
      for (guint j = 0; j < n_q; j++)
        memcpy (out + j * ATL_CACHE_ROWS + first, sums + j * n_k, n_k * sizeof (float));
    }
}

/* Scores of all keys, a step of every head at a time, as they lie in memory. */
INLINE void
all_scores (AtlDType t,
            guint n_k,
            guint n_q,
            gint64 width,
            const AtlCacheRows *keys,
            const float *q,
            float *out)
{
  for (gint64 first = 0; first < keys->n; first += ATL_CACHE_STEP)
    for (gint64 h = 0; h < keys->n_heads; h++)
      {
        const Step step = step_of (keys, width, h, first);

        scores_step (t, n_k, n_q, &step,
                     (const float *) ((const guint8 *) q + h * (gint64) keys->in_stride),
                     out + h * keys->out_stride + first);
      }
}

/* n_v vectors of n_q sums, from element `i` on, in registers. */
INLINE void
values_part (
    AtlDType t, guint n_v, guint n_q, const Step *step, gint64 i, const float *p, float *sums)
{
  const gint64 n = step->width;
  const guint8 *row = step->data;
  vf sum[16];

#pragma GCC unroll 16
  for (guint j = 0; j < n_q; j++)
#pragma GCC unroll 16
    for (guint v = 0; v < n_v; v++)
      sum[j * n_v + v] = vf_load (sums + j * n + i + v * VW);
  for (gint64 k = 0; k < step->n; k++, row += step->row_bytes)
    {
      vf value[4];

      if (i == 0)
        ask_for (t, step, k);
#pragma GCC unroll 16
      for (guint v = 0; v < n_v; v++)
        value[v] = cached (t, row, i + v * VW);
#pragma GCC unroll 16
      for (guint j = 0; j < n_q; j++)
        {
          vf weight = vf_set1 (p[j * ATL_CACHE_ROWS + k]);
#pragma GCC unroll 16
          for (guint v = 0; v < n_v; v++)
            sum[j * n_v + v] += value[v] * weight;
        }
    }
#pragma GCC unroll 16
  for (guint j = 0; j < n_q; j++)
#pragma GCC unroll 16
    for (guint v = 0; v < n_v; v++)
      vf_store (sums + j * n + i + v * VW, sum[j * n_v + v]);
}

INLINE void
values_step (AtlDType t, guint n_v, guint n_q, const Step *step, const float *p, float *sums)
{
  const gint64 n = step->width;
  gint64 i = 0;

  for (; i + n_v * VW <= n; i += n_v * VW)
    values_part (t, n_v, n_q, step, i, p, sums);
  for (; n_v > 1 && i + VW <= n; i += VW)
    values_part (t, 1, n_q, step, i, p, sums);
  for (; i < n; i++)
    for (guint j = 0; j < n_q; j++)
      for (gint64 k = 0; k < step->n; k++)
        sums[j * n + i] +=
            p[j * ATL_CACHE_ROWS + k] * cached_one (t, step->data + k * step->row_bytes, i);
}

INLINE void
all_values (AtlDType t,
            guint n_v,
            guint n_q,
            gint64 width,
            const AtlCacheRows *values,
            const float *p,
            float *sums)
{
  for (gint64 first = 0; first < values->n; first += ATL_CACHE_STEP)
    for (gint64 h = 0; h < values->n_heads; h++)
      {
        const Step step = step_of (values, width, h, first);

        values_step (t, n_v, n_q, &step,
                     (const float *) ((const guint8 *) p + h * (gint64) values->in_stride) + first,
                     sums + h * values->out_stride);
      }
}

typedef void (*ScoresFunc) (const AtlCacheRows *keys, const float *q, float *out);
typedef void (*ValuesFunc) (const AtlCacheRows *values, const float *p, float *sums);

/* Keys at a time, so that sums fill a vector but keys go up in ATL_CACHE_STEP. */
#define KEYS_OF(N) (N > 4 ? VW / 8 : N > 2 ? VW / 4 : MIN (VW / N, ATL_CACHE_STEP))

/* Vectors of values at a time: their sums fill the registers. */
#define VECTORS_OF(N) (N <= 2 ? 4 : VW / 4 / ((N + 3) / 4))

/* With the usual sizes of a head in f16 as constants. */
#define CALL_OF(FUNC, T, N_AT_ONCE, N, ROWS, ...)                                                  \
  if (T == ATL_DTYPE_F16 && ROWS->width == 64)                                                     \
    FUNC (T, N_AT_ONCE, N, 64, ROWS, __VA_ARGS__);                                                 \
  else if (T == ATL_DTYPE_F16 && ROWS->width == 128)                                               \
    FUNC (T, N_AT_ONCE, N, 128, ROWS, __VA_ARGS__);                                                \
  else                                                                                             \
    FUNC (T, N_AT_ONCE, N, 0, ROWS, __VA_ARGS__);

/* One function a dtype and number of queries: scores fill a vector, sums of values the registers.
 */
#define DEFINE_OF(T, N)                                                                            \
  static __attribute__ ((noinline)) void scores_##T##_##N (const AtlCacheRows *keys,               \
                                                           const float *q, float *out)             \
  {                                                                                                \
    CALL_OF (all_scores, ATL_DTYPE_##T, KEYS_OF (N), N, keys, q, out)                              \
  }                                                                                                \
  static __attribute__ ((noinline)) void values_##T##_##N (const AtlCacheRows *values,             \
                                                           const float *p, float *sums)            \
  {                                                                                                \
    CALL_OF (all_values, ATL_DTYPE_##T, VECTORS_OF (N), N, values, p, sums)                        \
  }

#if VW >= 8
#define DEFINE(T)                                                                                  \
  DEFINE_OF (T, 1)                                                                                 \
  DEFINE_OF (T, 2)                                                                                 \
  DEFINE_OF (T, 3)                                                                                 \
  DEFINE_OF (T, 4)                                                                                 \
  DEFINE_OF (T, 5)                                                                                 \
  DEFINE_OF (T, 6)                                                                                 \
  DEFINE_OF (T, 7)                                                                                 \
  DEFINE_OF (T, 8)
#define ROW(F, T)                                                                                  \
  [ATL_DTYPE_##T] = { F##_##T##_1, F##_##T##_2, F##_##T##_3, F##_##T##_4,                          \
                      F##_##T##_5, F##_##T##_6, F##_##T##_7, F##_##T##_8 },
#else
#define DEFINE(T)                                                                                  \
  DEFINE_OF (T, 1)                                                                                 \
  DEFINE_OF (T, 2)                                                                                 \
  DEFINE_OF (T, 3)                                                                                 \
  DEFINE_OF (T, 4)
#define ROW(F, T) [ATL_DTYPE_##T] = { F##_##T##_1, F##_##T##_2, F##_##T##_3, F##_##T##_4 },
#endif

DEFINE (F32)
DEFINE (F16)
DEFINE (Q8_0)
DEFINE (Q4_0)

/* By dtype, then by number of queries less one. */
static const ScoresFunc scores[ATL_N_DTYPES][MAX_QUERIES] = { ROW (scores, F32) ROW (
    scores, F16) ROW (scores, Q8_0) ROW (scores, Q4_0) };
static const ValuesFunc values_of[ATL_N_DTYPES][MAX_QUERIES] = { ROW (values, F32) ROW (
    values, F16) ROW (values, Q8_0) ROW (values, Q4_0) };

void
ATL_SIMD_NAME (atl_scores) (
    AtlDType dtype, const AtlCacheRows *keys, const float *q, gint64 n_q, float *out)
{
  AtlCacheRows rows = *keys;

  for (gint64 j = 0; j < n_q; j += MAX_QUERIES, rows.ahead_bytes = 0)
    scores[dtype][MIN (n_q - j, MAX_QUERIES) - 1](&rows, q + j * rows.width,
                                                  out + j * ATL_CACHE_ROWS);
}

void
ATL_SIMD_NAME (atl_weigh_values) (
    AtlDType dtype, const AtlCacheRows *values, const float *p, gint64 n_q, float *sums)
{
  AtlCacheRows rows = *values;

  for (gint64 j = 0; j < n_q; j += MAX_QUERIES, rows.ahead_bytes = 0)
    values_of[dtype][MIN (n_q - j, MAX_QUERIES) - 1](&rows, p + j * ATL_CACHE_ROWS,
                                                     sums + j * rows.width);
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

/* How far a score may lie above what its row's weights are relative to. */
#define SLACK 8.0f

void
ATL_SIMD_NAME (atl_softmax_rows) (float *s,
                                  const gint64 *n,
                                  gint64 n_rows,
                                  float scale,
                                  float *states,
                                  float *sums,
                                  float *corrections)
{
  vi lane;

  for (guint i = 0; i < VW; i++)
    lane[i] = (gint32) i;
  for (gint64 r = 0; r < n_rows; r++, s += ATL_CACHE_ROWS, sums += ATL_SOFTMAX_LANES)
    {
      const gint64 whole = n[r] / VW * VW;
      const vi is_there = lane < (gint32) (n[r] - whole);
      vf tail = vf_set1 (-INFINITY);
      vf most = tail;
      vf total = vf_load (sums);
      vf base;
      float now;

      for (gint64 i = 0; i < whole; i += VW)
        most = vf_max (most, vf_load (s + i));
      if (whole < n[r])
        tail = vf_select (is_there, vf_load (s + whole), tail);
      now = vf_largest (vf_max (most, tail)) * scale;
      corrections[r] = 1.0f;
      /* Weights are relative to the largest score so far, or a little less, so that earlier sums
       * are rarely corrected. */
      if (now > states[r] + SLACK || states[r] == -INFINITY)
        {
          if (now == -INFINITY)
            {
              memset (s, 0, ATL_CACHE_ROWS * sizeof *s);
              continue;
            }
          if (states[r] != -INFINITY)
            corrections[r] = expf (states[r] - now);
          total *= corrections[r];
          states[r] = now;
        }
      base = vf_set1 (states[r]);
      for (gint64 i = 0; i < whole; i += VW)
        {
          vf e = vf_exp_bounded (vf_load (s + i) * scale - base);

          total += e;
          vf_store (s + i, e);
        }
      if (whole < n[r])
        {
          vf e = vf_exp_bounded (tail * scale - base);

          total += e;
          vf_store (s + whole, e);
        }
      for (gint64 i = (n[r] + VW - 1) / VW * VW; i < ATL_CACHE_ROWS; i += VW)
        vf_store (s + i, vf_set1 (0.0f));
      vf_store (sums, total);
    }
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
      vf e = vf_exp_bounded (vf_load (s + i) - now);

      total += e;
      vf_store (s + i, e);
    }
  for (; i < n; i++)
    {
      s[i] = expf (s[i] - now);
      rest += s[i];
    }
  correction = before == now ? 1.0f : expf (before - now);
  *sum = *sum * correction + vf_sum (total) + rest;
  *largest = now;
  return correction;
}
