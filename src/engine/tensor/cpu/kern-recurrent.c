/* A few tokens of a linear recurrence at once: what the state says to all of them in one pass over
 * it, what they say to each other as small products, and one pass that brings the state up to date;
 * and the rows of a causal convolution.
 *
 * With P(t) the product of the decays up to token t, D(s, t) = P(t) / P(s) and S the state before:
 *   u(t) = scale(t) (v(t) - delta (P(t) S^T k(t) + sum over s < t of D(s, t) (k(t) . k(s)) u(s)))
 *   out(t) = P(t) S^T q(t) + sum over s <= t of D(s, t) (q(t) . k(s)) u(s) + skip v(t)
 *   S' = P(last) S + sum over s of D(s, last) k(s) u(s)^T
 * which is the chunked form of Yang et al. (2024) and Dao & Gu (2024) with its triangular system
 * solved in place. D is kept as products of decays, so that nothing is divided and nothing grows.
 * Chunks are as long as their sums fit into registers: a processor then spends its time on the two
 * passes, and longer ones would only add to the small products. */
#include "engine/tensor/cpu/kern-private.h"

/* Vectors of sums beside each other for eight rows. */
#if defined(ATL_SIMD_AVX2)
#define N_VECTORS 1
#else
#define N_VECTORS 2
#endif

INLINE float
dot (const float *a, const float *b, gint64 n)
{
  vf s0 = vf_set1 (0.0f);
  vf s1 = s0;
  gint64 i = 0;

  for (; i + 2 * VW <= n; i += 2 * VW)
    {
      s0 += vf_load (a + i) * vf_load (b + i);
      s1 += vf_load (a + i + VW) * vf_load (b + i + VW);
    }
  for (; i + VW <= n; i += VW)
    s0 += vf_load (a + i) * vf_load (b + i);
  if (i < n)
    s1 += vf_load_some (a + i, n - i) * vf_load_some (b + i, n - i);
  return vf_sum (s0 + s1);
}

/* out[r, 0 … n_vec * VW) = sum over i of p[r][i] s[i], rows of s and out n apart. */
INLINE void
read_block (guint n_rows,
            guint n_vec,
            const float *s,
            gint64 n_keys,
            gint64 n,
            const float *const *p,
            float *out)
{
  const float *row[8];
  vf sum[8][4];

#pragma GCC unroll 8
  for (guint r = 0; r < n_rows; r++)
    {
      row[r] = p[r];
#pragma GCC unroll 4
      for (guint c = 0; c < n_vec; c++)
        sum[r][c] = vf_set1 (0.0f);
    }
  for (gint64 i = 0; i < n_keys; i++)
    {
      vf v[4];

#pragma GCC unroll 4
      for (guint c = 0; c < n_vec; c++)
        v[c] = vf_load (s + i * n + c * VW);
#pragma GCC unroll 8
      for (guint r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (guint c = 0; c < n_vec; c++)
          sum[r][c] += v[c] * row[r][i];
    }
#pragma GCC unroll 8
  for (guint r = 0; r < n_rows; r++)
#pragma GCC unroll 4
    for (guint c = 0; c < n_vec; c++)
      vf_store (out + r * n + c * VW, sum[r][c]);
}

INLINE void
read_rows (guint n_rows,
           guint n_vec,
           const float *s,
           gint64 n_keys,
           gint64 n,
           const float *const *p,
           float *out)
{
  gint64 j = 0;

  for (; j + n_vec * VW <= n; j += n_vec * VW)
    read_block (n_rows, n_vec, s + j, n_keys, n, p, out + j);
  for (; j + VW <= n; j += VW)
    read_block (n_rows, 1, s + j, n_keys, n, p, out + j);
  if (j == n)
    return;
  for (guint r = 0; r < n_rows; r++)
    {
      vf sum = vf_set1 (0.0f);

      for (gint64 i = 0; i < n_keys; i++)
        sum += vf_load_some (s + i * n + j, n - j) * p[r][i];
      vf_store_some (out + r * n + j, n - j, sum);
    }
}

/* out[r] = S^T p[r] */
static void
read_state (
    const float *s, gint64 n_keys, gint64 n, const float *const *p, guint n_rows, float *out)
{
  guint r = 0;

  for (; r + 8 <= n_rows; r += 8)
    read_rows (8, N_VECTORS, s, n_keys, n, p + r, out + r * n);
  for (; r + 4 <= n_rows; r += 4)
    read_rows (4, 2, s, n_keys, n, p + r, out + r * n);
  for (; r + 2 <= n_rows; r += 2)
    read_rows (2, 4, s, n_keys, n, p + r, out + r * n);
  for (; r < n_rows; r++)
    read_rows (1, 4, s, n_keys, n, p + r, out + r * n);
}

INLINE void
update_block (guint n_rows,
              guint n_vec,
              const float *from,
              float *to,
              gint64 n_keys,
              gint64 n,
              float decay,
              const float *const *k,
              const float *u)
{
  const float *row[8];
  vf x[8][2];

#pragma GCC unroll 8
  for (guint r = 0; r < n_rows; r++)
    {
      row[r] = k[r];
#pragma GCC unroll 2
      for (guint c = 0; c < n_vec; c++)
        x[r][c] = vf_load (u + r * n + c * VW);
    }
  for (gint64 i = 0; i < n_keys; i++)
    {
      vf v[2];

#pragma GCC unroll 2
      for (guint c = 0; c < n_vec; c++)
        v[c] = vf_load (from + i * n + c * VW) * decay;
#pragma GCC unroll 8
      for (guint r = 0; r < n_rows; r++)
#pragma GCC unroll 2
        for (guint c = 0; c < n_vec; c++)
          v[c] += x[r][c] * row[r][i];
#pragma GCC unroll 2
      for (guint c = 0; c < n_vec; c++)
        vf_store (to + i * n + c * VW, v[c]);
    }
}

INLINE void
update_rows (guint n_rows,
             const float *from,
             float *to,
             gint64 n_keys,
             gint64 n,
             float decay,
             const float *const *k,
             const float *u)
{
  gint64 j = 0;

  for (; j + N_VECTORS * VW <= n; j += N_VECTORS * VW)
    update_block (n_rows, N_VECTORS, from + j, to + j, n_keys, n, decay, k, u + j);
  for (; j + VW <= n; j += VW)
    update_block (n_rows, 1, from + j, to + j, n_keys, n, decay, k, u + j);
  if (j == n)
    return;
  for (gint64 i = 0; i < n_keys; i++)
    {
      vf v = vf_load_some (from + i * n + j, n - j) * decay;

      for (guint r = 0; r < n_rows; r++)
        v += vf_load_some (u + r * n + j, n - j) * k[r][i];
      vf_store_some (to + i * n + j, n - j, v);
    }
}

/* to = decay from + sum over r of k[r] u[r]^T */
static void
update_state (const float *from,
              float *to,
              gint64 n_keys,
              gint64 n,
              float decay,
              const float *const *k,
              const float *u,
              guint n_rows)
{
  for (guint r = 0, take; r < n_rows; r += take)
    {
      take = n_rows - r;
      take = take >= 8 ? 8 : take >= 4 ? 4 : take >= 2 ? 2 : 1;
      if (take == 8)
        update_rows (8, from, to, n_keys, n, decay, k + r, u + r * n);
      else if (take == 4)
        update_rows (4, from, to, n_keys, n, decay, k + r, u + r * n);
      else if (take == 2)
        update_rows (2, from, to, n_keys, n, decay, k + r, u + r * n);
      else
        update_rows (1, from, to, n_keys, n, decay, k + r, u + r * n);
      from = to;
      decay = 1.0f;
    }
}

/* out = sum over i of factors[i] rows[i] */
static void
combine (guint n_terms, const float *const *rows, const float *factors, gint64 n, float *out)
{
  gint64 j = 0;

  for (; j + VW <= n; j += VW)
    {
      vf sum = vf_load (rows[0] + j) * factors[0];

      for (guint i = 1; i < n_terms; i++)
        sum += vf_load (rows[i] + j) * factors[i];
      vf_store (out + j, sum);
    }
  if (j < n)
    {
      vf sum = vf_set1 (0.0f);

      for (guint i = 0; i < n_terms; i++)
        sum += vf_load_some (rows[i] + j, n - j) * factors[i];
      vf_store_some (out + j, n - j, sum);
    }
}

/* Whether a new state goes past the caches: it is not looked at before the weights of a whole model
 * have come by, and a store that goes the usual way first reads what it overwrites. */
INLINE gboolean
may_stream (const float *from, const float *to, gint64 n)
{
  return from != to && ((gsize) to | (gsize) n * sizeof *to) % VB == 0;
}

INLINE void
store_state (gboolean stream, float *to, vf v)
{
  if (stream)
    vf_stream (to, v);
  else
    vf_store (to, v);
}

/* How far ahead of a single pass over a state its memory is asked for, in floats. */
#define AHEAD 1024

/* S' = decay S + k u^T and out = S'^T q for a block of columns, in one pass. */
INLINE void
step_block (guint n_vec,
            gboolean stream,
            const float *from,
            float *to,
            gint64 n_keys,
            gint64 n,
            float decay,
            const float *k,
            const float *q,
            const float *u,
            float *out)
{
  vf x[4], sum[4];

#pragma GCC unroll 4
  for (guint c = 0; c < n_vec; c++)
    {
      x[c] = vf_load (u + c * VW);
      sum[c] = vf_set1 (0.0f);
    }
  for (gint64 i = 0; i < n_keys; i++)
    {
#pragma GCC unroll 4
      for (guint c = 0; c < n_vec; c++)
        {
          vf v = vf_load (from + i * n + c * VW) * decay + x[c] * k[i];

          sum[c] += v * q[i];
          store_state (stream, to + i * n + c * VW, v);
        }
      for (guint c = 0; c < n_vec * VW; c += 16)
        __builtin_prefetch (from + AHEAD + i * n + c);
    }
#pragma GCC unroll 4
  for (guint c = 0; c < n_vec; c++)
    vf_store (out + c * VW, sum[c]);
}

/* One token without the delta rule: nothing is read from the state before it is written, so one
 * pass does. */
INLINE void
recur_once (const AtlRecurStep *step, gboolean stream)
{
  const gint64 n_keys = step->n_keys, n = step->n;
  const float *k = step->k[0], *q = step->q[0], *v = step->v[0];
  const float decay = step->decay[0];
  float *u = step->scratch, *out = step->out[0];
  gint64 j = 0;

  combine (1, &v, &step->scale[0], n, u);
  for (; j + 4 * VW <= n; j += 4 * VW)
    step_block (4, stream, step->from + j, step->to + j, n_keys, n, decay, k, q, u + j, out + j);
  for (; j + VW <= n; j += VW)
    step_block (1, stream, step->from + j, step->to + j, n_keys, n, decay, k, q, u + j, out + j);
  if (j < n)
    {
      vf sum = vf_set1 (0.0f);

      for (gint64 i = 0; i < n_keys; i++)
        {
          vf s = vf_load_some (step->from + i * n + j, n - j) * decay +
                 vf_load_some (u + j, n - j) * k[i];

          sum += s * q[i];
          vf_store_some (step->to + i * n + j, n - j, s);
        }
      vf_store_some (out + j, n - j, sum);
    }
  if (step->skip != 0.0f)
    {
      const float *term[2] = { out, v };
      float factor[2] = { 1.0f, step->skip };

      combine (2, term, factor, n, out);
    }
}

void
ATL_SIMD_NAME (atl_recur) (const AtlRecurStep *step)
{
  enum
  {
    MAX = ATL_RECUR_TOKENS
  };
  const gint64 n_keys = step->n_keys, n = step->n;
  const guint T = step->n_tokens;
  const float *rows[2 * MAX] = { NULL };
  float *q_read = step->scratch, *k_read = q_read + T * n, *u = q_read + 2 * MAX * n;
  float q_factor[MAX], k_factor[MAX]; /* of q and k as they are given */
  float reach[MAX];                   /* D(s, t) for the present t */
  float all = 1.0f;                   /* P(t) */

  if (T == 1 && !step->delta)
    {
      if (may_stream (step->from, step->to, n))
        recur_once (step, TRUE);
      else
        recur_once (step, FALSE);
      vf_stream_end ();
      return;
    }
  for (guint t = 0; t < T; t++)
    {
      rows[t] = step->q[t];
      rows[T + t] = step->k[t];
      q_factor[t] = k_factor[t] = 1.0f;
      if (step->delta)
        {
          k_factor[t] = 1.0f / sqrtf (dot (step->k[t], step->k[t], n_keys) + step->eps);
          q_factor[t] = step->q_scale / sqrtf (dot (step->q[t], step->q[t], n_keys) + step->eps);
        }
    }
  read_state (step->from, n_keys, n, rows, step->delta ? 2 * T : T, q_read);

  for (guint t = 0; t < T; t++)
    {
      const float *term[MAX + 2];
      float factor[MAX + 2];
      guint n_terms = 0;

      all *= step->decay[t];
      for (guint s = 0; s < t; s++)
        reach[s] *= step->decay[t];
      reach[t] = 1.0f;

      term[n_terms] = step->v[t];
      factor[n_terms++] = step->scale[t];
      if (step->delta)
        {
          term[n_terms] = k_read + t * n;
          factor[n_terms++] = -step->scale[t] * k_factor[t] * all;
          for (guint s = 0; s < t; s++)
            {
              term[n_terms] = u + s * n;
              factor[n_terms++] = -step->scale[t] * k_factor[t] * k_factor[s] * reach[s] *
                                  dot (step->k[t], step->k[s], n_keys);
            }
        }
      combine (n_terms, term, factor, n, u + t * n);

      n_terms = 0;
      term[n_terms] = q_read + t * n;
      factor[n_terms++] = q_factor[t] * all;
      for (guint s = 0; s <= t; s++)
        {
          term[n_terms] = u + s * n;
          factor[n_terms++] =
              q_factor[t] * k_factor[s] * reach[s] * dot (step->q[t], step->k[s], n_keys);
        }
      if (step->skip != 0.0f)
        {
          term[n_terms] = step->v[t];
          factor[n_terms++] = step->skip;
        }
      combine (n_terms, term, factor, n, step->out[t]);
    }

  for (guint s = 0; s < T; s++)
    {
      const float *term = u + s * n;
      float factor = reach[s] * k_factor[s];

      combine (1, &term, &factor, n, u + s * n);
    }
  update_state (step->from, step->to, n_keys, n, all, step->k, u, T);
}

void
ATL_SIMD_NAME (atl_conv_row) (const float *const *rows,
                              gint64 n_taps,
                              const float *taps,
                              gint64 ld,
                              const float *bias,
                              gint64 n,
                              float *out)
{
  gint64 i = 0;

  for (; i + VW <= n; i += VW)
    {
      vf sum = bias != NULL ? vf_load (bias + i) : vf_set1 (0.0f);

      for (gint64 j = 0; j < n_taps; j++)
        sum += vf_load (taps + j * ld + i) * vf_load (rows[j] + i);
      vf_store (out + i, sum);
    }
  for (; i < n; i++)
    {
      float sum = bias != NULL ? bias[i] : 0.0f;

      for (gint64 j = 0; j < n_taps; j++)
        sum += taps[j * ld + i] * rows[j][i];
      out[i] = sum;
    }
}
