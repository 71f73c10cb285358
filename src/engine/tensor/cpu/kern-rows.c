/* Rows of floats: norms, rotations, elementwise operations, rows into a cache. */
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/quants/half.h"

/* --- norm --- */

INLINE float
row_sum (const float *x, gint64 n)
{
  vf s0 = vf_set1 (0.0f);
  vf s1 = s0;
  gint64 i = 0;

  for (; i + 2 * VW <= n; i += 2 * VW)
    {
      s0 += vf_load (x + i);
      s1 += vf_load (x + i + VW);
    }
  for (; i + VW <= n; i += VW)
    s0 += vf_load (x + i);
  if (i < n)
    s1 += vf_load_some (x + i, n - i);
  return vf_sum (s0 + s1);
}

/* Sum of (x - mean)^2. */
INLINE float
row_squares (const float *x, gint64 n, float mean)
{
  vf s0 = vf_set1 (0.0f);
  vf s1 = s0;
  gint64 i = 0;

  for (; i + 2 * VW <= n; i += 2 * VW)
    {
      vf a = vf_load (x + i) - mean;
      vf b = vf_load (x + i + VW) - mean;

      s0 += a * a;
      s1 += b * b;
    }
  for (; i < n; i++)
    s0[0] += (x[i] - mean) * (x[i] - mean);
  return vf_sum (s0 + s1);
}

void
ATL_SIMD_NAME (atl_norm_row) (const AtlNormRow *m, const float *x, float *out)
{
  const gint64 n = m->dim;
  float mean = 0.0f;
  float squares;
  float factor;

  if (m->kind == ATL_NORM_LAYER)
    mean = row_sum (x, n) / (float) n;
  squares = row_squares (x, n, mean);
  if (m->kind == ATL_NORM_L2)
    factor = m->a / MAX (sqrtf (squares), m->eps);
  else
    factor = 1.0f / sqrtf (squares / (float) n + m->eps);

  for (gint64 i = 0; i < n; i += VW)
    {
      gint64 left = n - i;
      gboolean whole = left >= VW;
      vf v = whole ? vf_load (x + i) : vf_load_some (x + i, left);

      v = (v - mean) * factor;
      if (m->weight != NULL)
        v *= whole ? vf_load (m->weight + i) : vf_load_some (m->weight + i, left);
      if (m->bias != NULL)
        v += whole ? vf_load (m->bias + i) : vf_load_some (m->bias + i, left);
      if (m->scale != NULL)
        v *= 1.0f + (whole ? vf_load (m->scale + i) : vf_load_some (m->scale + i, left));
      if (m->shift != NULL)
        v += whole ? vf_load (m->shift + i) : vf_load_some (m->shift + i, left);
      if (whole)
        vf_store (out + i, v);
      else
        vf_store_some (out + i, left, v);
    }
}

/* --- rope --- */

void
ATL_SIMD_NAME (atl_rope_row) (
    AtlRopePairing pairing, const float *x, const float *table, gint64 n_rot, gint64 n, float *out)
{
  const gint64 half = n_rot / 2;
  const float *c = table;
  const float *s = table + half;
  gint64 i = 0;

  if (pairing == ATL_ROPE_HALVES)
    {
      for (; i + VW <= half; i += VW)
        {
          vf a = vf_load (x + i);
          vf b = vf_load (x + half + i);
          vf cv = vf_load (c + i);
          vf sv = vf_load (s + i);

          vf_store (out + i, a * cv - b * sv);
          vf_store (out + half + i, a * sv + b * cv);
        }
      for (; i < half; i++)
        {
          float a = x[i];
          float b = x[half + i];

          out[i] = a * c[i] - b * s[i];
          out[half + i] = a * s[i] + b * c[i];
        }
    }
  else
    {
      for (; i < half; i++)
        {
          float a = x[2 * i];
          float b = x[2 * i + 1];

          out[2 * i] = a * c[i] - b * s[i];
          out[2 * i + 1] = a * s[i] + b * c[i];
        }
    }
  memcpy (out + n_rot, x + n_rot, (gsize) (n - n_rot) * sizeof *out);
}

/* --- cache --- */

INLINE void
store_q8_0 (const float *x, guint8 *out)
{
  vf most = vf_set1 (0.0f);
  float scale;
  float inverse;

  for (guint i = 0; i < 32; i += VW)
    most = vf_max (most, vf_abs (vf_load (x + i)));
  scale = vf_largest (most) / 127.0f;
  inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  atl_store_f16 (out, scale);
  for (guint i = 0; i < 32; i += VW)
    {
      vf v = vf_load (x + i) * inverse;
      gint32 q[VW];

      v = vf_min (vf_max (v, vf_set1 (-127.0f)), vf_set1 (127.0f));
      vf_store (q, (vf) vi_round (v));
      for (guint j = 0; j < VW; j++)
        out[2 + i + j] = (guint8) q[j];
    }
}

gboolean
ATL_SIMD_NAME (atl_store_cache_row) (AtlDType dtype, const float *x, gint64 n, guint8 *out)
{
  gint64 i = 0;

  switch (dtype)
    {
    case ATL_DTYPE_F32:
      memcpy (out, x, (gsize) n * sizeof *x);
      return TRUE;
    case ATL_DTYPE_F16:
      for (; i + VW <= n; i += VW)
        vf_store_f16 (out + 2 * i, vf_load (x + i));
      for (; i < n; i++)
        atl_store_f16 (out + 2 * i, x[i]);
      return TRUE;
    case ATL_DTYPE_Q8_0:
      for (; i < n; i += 32, out += 34)
        store_q8_0 (x + i, out);
      return TRUE;
    default:
      return FALSE;
    }
}

/* --- elementwise --- */

INLINE vf
binary (AtlBinary op, vf a, vf b)
{
  switch (op)
    {
    case ATL_ADD:
      return a + b;
    case ATL_SUB:
      return a - b;
    case ATL_MUL:
      return a * b;
    case ATL_DIV:
      return a / b;
    case ATL_MIN:
      return vf_min (a, b);
    case ATL_MAX:
    default:
      return vf_max (a, b);
    }
}

INLINE void
binary_loop (
    AtlBinary op, const float *a, gint64 sa, const float *b, gint64 sb, gint64 n, float *out)
{
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    vf_store (out + i, binary (op, sa ? vf_load (a + i) : vf_set1 (*a),
                               sb ? vf_load (b + i) : vf_set1 (*b)));
  if (i < n)
    vf_store_some (out + i, n - i,
                   binary (op, sa ? vf_load_some (a + i, n - i) : vf_set1 (*a),
                           sb ? vf_load_some (b + i, n - i) : vf_set1 (*b)));
}

void
ATL_SIMD_NAME (atl_binary_row) (
    AtlBinary op, const float *a, gint64 sa, const float *b, gint64 sb, gint64 n, float *out)
{
  switch (op)
    {
    case ATL_ADD:
      binary_loop (ATL_ADD, a, sa, b, sb, n, out);
      break;
    case ATL_SUB:
      binary_loop (ATL_SUB, a, sa, b, sb, n, out);
      break;
    case ATL_MUL:
      binary_loop (ATL_MUL, a, sa, b, sb, n, out);
      break;
    case ATL_DIV:
      binary_loop (ATL_DIV, a, sa, b, sb, n, out);
      break;
    case ATL_MIN:
      binary_loop (ATL_MIN, a, sa, b, sb, n, out);
      break;
    case ATL_MAX:
    default:
      binary_loop (ATL_MAX, a, sa, b, sb, n, out);
      break;
    }
}

/* Calls loop (constant activation, …) for those that have a vector form. */
#define FOR_ACT(act, loop, ...)                                                                    \
  switch (act)                                                                                     \
    {                                                                                              \
    case ATL_ACT_NONE:                                                                             \
      loop (ATL_ACT_NONE, __VA_ARGS__);                                                            \
      return TRUE;                                                                                 \
    case ATL_ACT_SILU:                                                                             \
      loop (ATL_ACT_SILU, __VA_ARGS__);                                                            \
      return TRUE;                                                                                 \
    case ATL_ACT_GELU_TANH:                                                                        \
      loop (ATL_ACT_GELU_TANH, __VA_ARGS__);                                                       \
      return TRUE;                                                                                 \
    case ATL_ACT_GELU_ERF:                                                                         \
      loop (ATL_ACT_GELU_ERF, __VA_ARGS__);                                                        \
      return TRUE;                                                                                 \
    case ATL_ACT_GELU_QUICK:                                                                       \
      loop (ATL_ACT_GELU_QUICK, __VA_ARGS__);                                                      \
      return TRUE;                                                                                 \
    case ATL_ACT_RELU:                                                                             \
      loop (ATL_ACT_RELU, __VA_ARGS__);                                                            \
      return TRUE;                                                                                 \
    case ATL_ACT_RELU_SQUARED:                                                                     \
      loop (ATL_ACT_RELU_SQUARED, __VA_ARGS__);                                                    \
      return TRUE;                                                                                 \
    case ATL_ACT_SIGMOID:                                                                          \
      loop (ATL_ACT_SIGMOID, __VA_ARGS__);                                                         \
      return TRUE;                                                                                 \
    case ATL_ACT_EXP:                                                                              \
      loop (ATL_ACT_EXP, __VA_ARGS__);                                                             \
      return TRUE;                                                                                 \
    case ATL_ACT_ABS:                                                                              \
      loop (ATL_ACT_ABS, __VA_ARGS__);                                                             \
      return TRUE;                                                                                 \
    case ATL_ACT_SQUARE:                                                                           \
      loop (ATL_ACT_SQUARE, __VA_ARGS__);                                                          \
      return TRUE;                                                                                 \
    case ATL_ACT_SQRT:                                                                             \
      loop (ATL_ACT_SQRT, __VA_ARGS__);                                                            \
      return TRUE;                                                                                 \
    case ATL_ACT_CLAMPED_QUICK:                                                                    \
      loop (ATL_ACT_CLAMPED_QUICK, __VA_ARGS__);                                                   \
      return TRUE;                                                                                 \
    case ATL_ACT_CLAMPED_PLUS_ONE:                                                                 \
      loop (ATL_ACT_CLAMPED_PLUS_ONE, __VA_ARGS__);                                                \
      return TRUE;                                                                                 \
    case ATL_ACT_LEAKY_RELU:                                                                       \
      loop (ATL_ACT_LEAKY_RELU, __VA_ARGS__);                                                      \
      return TRUE;                                                                                 \
    default:                                                                                       \
      return FALSE;                                                                                \
    }

INLINE void
unary_loop (AtlAct act, const float *x, float a, float b, gint64 n, float *out)
{
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    vf_store (out + i, vf_act (act, vf_load (x + i) * a + b));
  if (i < n)
    vf_store_some (out + i, n - i, vf_act (act, vf_load_some (x + i, n - i) * a + b));
}

gboolean
ATL_SIMD_NAME (atl_unary_row) (AtlAct act, const float *x, float a, float b, gint64 n, float *out)
{
  FOR_ACT (act, unary_loop, x, a, b, n, out);
}

gboolean
ATL_SIMD_NAME (atl_act_row) (AtlAct act, float *x, gint64 n)
{
  return ATL_SIMD_NAME (atl_unary_row) (act, x, 1.0f, 0.0f, n, x);
}

INLINE void
glu_loop (AtlAct act, const float *gate, const float *up, gint64 n, float *out)
{
  const AtlAct factor = atl_act_of_factor (act);
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    vf_store (out + i, vf_act (act, vf_load (gate + i)) * vf_act (factor, vf_load (up + i)));
  if (i < n)
    vf_store_some (out + i, n - i,
                   vf_act (act, vf_load_some (gate + i, n - i)) *
                       vf_act (factor, vf_load_some (up + i, n - i)));
}

gboolean
ATL_SIMD_NAME (atl_glu_row) (AtlAct act, const float *gate, const float *up, gint64 n, float *out)
{
  FOR_ACT (act, glu_loop, gate, up, n, out);
}

/* --- group norm --- */

void
ATL_SIMD_NAME (atl_column_sums) (const float *x, gint64 n_rows, gint64 n, float *sums)
{
  memset (sums, 0, (gsize) n * sizeof *sums);
  for (gint64 r = 0; r < n_rows; r++, x += n)
    {
      gint64 i = 0;

      for (; i + VW <= n; i += VW)
        vf_store (sums + i, vf_load (sums + i) + vf_load (x + i));
      for (; i < n; i++)
        sums[i] += x[i];
    }
}

void
ATL_SIMD_NAME (atl_column_squares) (
    const float *x, gint64 n_rows, gint64 n, const float *mean, float *sums)
{
  memset (sums, 0, (gsize) n * sizeof *sums);
  for (gint64 r = 0; r < n_rows; r++, x += n)
    {
      gint64 i = 0;

      for (; i + VW <= n; i += VW)
        {
          vf d = vf_load (x + i) - vf_load (mean + i);
          vf_store (sums + i, vf_load (sums + i) + d * d);
        }
      for (; i < n; i++)
        sums[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
    }
}

INLINE void
columns_loop (AtlAct act,
              const float *x,
              gint64 n_rows,
              gint64 n,
              const float *mean,
              const float *factor,
              const float *shift,
              float *out)
{
  for (gint64 r = 0; r < n_rows; r++, x += n, out += n)
    {
      gint64 i = 0;

      for (; i + VW <= n; i += VW)
        {
          vf v = vf_load (x + i) - vf_load (mean + i);
          vf_store (out + i, vf_act (act, v * vf_load (factor + i) + vf_load (shift + i)));
        }
      if (i < n)
        {
          vf v = vf_load_some (x + i, n - i) - vf_load_some (mean + i, n - i);
          v = v * vf_load_some (factor + i, n - i) + vf_load_some (shift + i, n - i);
          vf_store_some (out + i, n - i, vf_act (act, v));
        }
    }
}

gboolean
ATL_SIMD_NAME (atl_normalize_columns) (AtlAct act,
                                       const float *x,
                                       gint64 n_rows,
                                       gint64 n,
                                       const float *mean,
                                       const float *factor,
                                       const float *shift,
                                       float *out)
{
  FOR_ACT (act, columns_loop, x, n_rows, n, mean, factor, shift, out);
}

/* --- sums of products --- */

INLINE vf
load_up_to (const float *x, gint64 n)
{
  return n >= VW ? vf_load (x) : vf_load_some (x, n);
}

/* sums * scale + bias of at most n columns from `column` on. */
INLINE vf
scaled (const float *sums, float scale, const float *bias, gint64 column, gint64 n)
{
  const vf v = load_up_to (sums, n) * scale;

  return bias != NULL ? v + load_up_to (bias + column, n) : v;
}

INLINE void
sums_loop (
    AtlAct act, gboolean gated, const AtlSumsTo *f, const float *sums, gint64 ld, gint64 n_rows)
{
  const AtlAct factor = atl_act_of_factor (act);
  const float *second = f->second;

  for (gint64 r = 0; r < n_rows; r++, sums += ld)
    {
      const float *residual = f->residual != NULL ? f->residual + r * f->residual_stride : NULL;
      float *out = f->out + r * f->out_stride;

      for (gint64 i = 0; i < f->n; i += VW)
        {
          const gint64 left = f->n - i;
          vf v = vf_act (act, scaled (sums + i, f->scale, f->bias, i, left));

          if (gated)
            v *= vf_act (factor, scaled (second + i, f->second_scale, f->second_bias, i, left));
          v *= f->factor;
          if (residual != NULL)
            v += load_up_to (residual + i, left);
          if (left >= VW)
            vf_store (out + i, v);
          else
            vf_store_some (out + i, left, v);
        }
      if (gated)
        second += ld;
    }
}

INLINE void
sums_of (AtlAct act, const AtlSumsTo *f, const float *sums, gint64 ld, gint64 n_rows)
{
  if (f->second != NULL)
    sums_loop (act, TRUE, f, sums, ld, n_rows);
  else
    sums_loop (act, FALSE, f, sums, ld, n_rows);
}

gboolean
ATL_SIMD_NAME (atl_write_sums) (const AtlSumsTo *f, const float *sums, gint64 ld, gint64 n_rows)
{
  FOR_ACT (f->act, sums_of, f, sums, ld, n_rows);
}
