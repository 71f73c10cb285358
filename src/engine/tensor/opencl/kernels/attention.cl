// Attention with running softmax (Milakov and Gimelshein 2018; Dao et al. 2022), no score matrix.
//
// q [B, Tq, H, D], k [B, Tk, Kh, D], v [B, Tk, Kh, Dv]; strides in elements come as (batch, token,
// head). k and v are f32, f16, q8_0 or q4_0 (`kind`; the blocks of the last two as in a file), q and
// dst f32, dst contiguous [B, Tq, H, Dv]. A query attends to keys [ranges[i, 0], ranges[i, 1]).
// sinks[h] is one more logit without a value. bias strides are (batch, head, query, key 1).
//
// Everything is float32; only loading knows the kinds. attention-many.cl follows this file.

#define NONE -3.0e38f

float4
load4 (__global const uchar *p, int kind, ulong i)
{
  if (kind == KV_F32)
    return vload4 (0, (__global const float *) p + i);
  if (kind == KV_F16)
    return vload_half4 (0, (__global const half *) p + i);
  if (kind == KV_Q8_0)
    {
      __global const uchar *block = p + i / 32 * 34;
      float d = vload_half (0, (__global const half *) block);
      return convert_float4 (vload4 (0, (__global const char *) block + 2 + i % 32)) * d;
    }
  __global const uchar *block = p + i / 32 * 18;
  float d = vload_half (0, (__global const half *) block);
  uchar4 q = vload4 (0, block + 2 + i % 16);
  q = i % 32 < 16 ? q & (uchar) 15 : q >> (uchar) 4;
  return (convert_float4 (q) - 8.0f) * d;
}

float
load1 (__global const uchar *p, int kind, ulong i)
{
  // Packed kinds always come in fours.
  return kind == KV_F32 ? ((__global const float *) p)[i]
                        : vload_half (i, (__global const half *) p);
}

// Elements i to i + 3 of a row of which `left` are there; zeros behind.
float4
load_up_to_4 (__global const uchar *p, int kind, ulong i, uint left)
{
  if (left >= 4)
    return load4 (p, kind, i);
  return (float4) (left > 0 ? load1 (p, kind, i) : 0.0f, left > 1 ? load1 (p, kind, i + 1) : 0.0f,
                   left > 2 ? load1 (p, kind, i + 2) : 0.0f, 0.0f);
}

float
cap (float s, float softcap)
{
  return softcap > 0.0f ? softcap * tanh (s / softcap) : s;
}

uint2
range_of (__global const int *ranges, ulong off, uint row, uint n_keys, int flags)
{
  if (!(flags & HAS_RANGES))
    return (uint2) (0, n_keys);
  return (uint2) (clamp (ranges[off + 2 * (ulong) row], 0, (int) n_keys),
                  clamp (ranges[off + 2 * (ulong) row + 1], 0, (int) n_keys));
}

#define ATTENTION_ARGS                                                                             \
  __global const float *q, ulong q_off, ulong4 q_stride, __global const uchar *k, ulong k_off,     \
      ulong4 k_stride, __global const uchar *v, ulong v_off, ulong4 v_stride, int k_kind,          \
      int v_kind, __global const int *ranges, ulong ranges_off, __global const float *bias,        \
      ulong bias_off, ulong4 bias_stride, __global const float *sinks, ulong sinks_off,            \
      __global float *dst, ulong dst_off, uint n_queries, uint n_keys, uint n_heads, uint group,   \
      uint head_dim, uint value_dim, float scale, float softcap, int flags

// --- Few queries ---------------------------------------------------------------------------
// Work-group: 128 work-items, one query, head and batch, and one of `n_splits` equal parts of its
// range of keys. Keys go by in tiles of 128.
// Group id 0: split; 1: query * n_heads + head; 2: batch * n_slices + slice (512 components each).
// Scores: four work-items per key, each every fourth group of four components; then work-item t owns
// key t. Result: `lanes` (a power of two) work-items cover the components, four each; work-item t has
// components 4 (t % lanes) .. + 3 and every (128 / lanes)-th key from t / lanes on.
// With IS_FINAL (one split) the result goes to dst, else (top, sum, result) go to
// partial [B * n_slices, n_queries * n_heads, n_splits, 2 + 512] for attention_join.

#define WIDEST 1024 // of head_dim

__kernel __attribute__ ((reqd_work_group_size (128, 1, 1))) void
attention_few (ATTENTION_ARGS, uint n_slices, uint n_splits, uint lanes, __global float *partial,
               ulong partial_off)
{
  __local float qs[WIDEST];
  __local float part[128 * 4];
  __local float ps[128];
  const uint t = get_local_id (0);
  const uint row = get_group_id (1);
  if (row >= n_queries * n_heads)
    return;
  const uint query = row / n_heads, head = row % n_heads;
  const uint batch = (uint) get_group_id (2) / n_slices;
  const uint dv0 = (uint) get_group_id (2) % n_slices * 512;
  const ulong q_base = q_off + batch * q_stride.x + query * q_stride.y + head * q_stride.z;
  const ulong k_base = batch * k_stride.x + head / group * k_stride.z;
  const ulong v_base = batch * v_stride.x + head / group * v_stride.z;
  __global const uchar *kp = k + k_off, *vp = v + v_off;
  const uint2 range =
      range_of (ranges, ranges_off, query + (flags & RANGES_PER_BATCH ? batch * n_queries : 0),
                n_keys, flags);
  const uint n = (uint) max ((int) range.y - (int) range.x, 0);
  const uint share = (n + n_splits - 1) / n_splits;
  const uint from = min (range.x + (uint) get_group_id (0) * share, range.x + n);
  const uint to = min (from + share, range.x + n);
  const uint dv = dv0 + t % lanes * 4;
  float top = NONE, sum = 0.0f;
  float4 acc = 0.0f;

  for (uint d = t; d < head_dim; d += 128)
    qs[d] = q[q_base + d];
  for (uint key0 = from; key0 < to; key0 += 128)
    {
      barrier (CLK_LOCAL_MEM_FENCE);
      for (uint i = 0; i < 4; i++)
        {
          const uint j = i * 32 + t / 4;
          float s = 0.0f;
          if (key0 + j < to)
            {
              const ulong at = k_base + (key0 + j) * k_stride.y;
              for (uint d = t % 4 * 4; d < head_dim; d += 16)
                {
                  float4 kv = load_up_to_4 (kp, k_kind, at + d, head_dim - d);
                  // Behind head_dim the keys are zero, and qs may hold anything but NaN.
                  float4 qv = d + 4 <= head_dim
                                  ? vload4 (0, qs + d)
                                  : (float4) (qs[d], d + 1 < head_dim ? qs[d + 1] : 0.0f,
                                              d + 2 < head_dim ? qs[d + 2] : 0.0f, 0.0f);
                  s += dot (qv, kv);
                }
            }
          part[j * 4 + t % 4] = s;
        }
      barrier (CLK_LOCAL_MEM_FENCE);
      float s = NONE;
      if (key0 + t < to)
        {
          s = cap (sum4 (vload4 (t, part)) * scale, softcap);
          if (flags & HAS_BIAS)
            s += bias[bias_off + batch * bias_stride.x + head * bias_stride.y +
                      query * bias_stride.z + key0 + t];
        }
      const float m = fmax (top, max_over (s, 128, part));
      const float fade = exp (top - m);
      const float p = s > NONE ? exp (s - m) : 0.0f;
      top = m;
      // This work-item's own keys only, until the end.
      sum = mad (sum, fade, p);
      ps[t] = p;
      barrier (CLK_LOCAL_MEM_FENCE);
      acc *= fade;
      if (dv < value_dim)
        for (uint j = t / lanes; j < min (to - key0, 128u); j += 128 / lanes)
          acc = mad (ps[j],
                     load_up_to_4 (vp, v_kind, v_base + (key0 + j) * v_stride.y + dv,
                                   value_dim - dv),
                     acc);
    }

  sum = sum_over (sum, 128, part);
  // The groups of lanes hold sums over different keys.
  barrier (CLK_LOCAL_MEM_FENCE);
  vstore4 (acc, t, part);
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = t + lanes; i < 128; i += lanes)
    acc += vload4 (i, part);
  // One condition for what is stored: nested ones go wrong in PoCL 3.1.
  const uint dv_end = t < lanes ? value_dim : 0;

  __global float *out;
  float f = 1.0f;
  if (flags & IS_FINAL)
    {
      if (flags & HAS_SINKS)
        {
          const float sink = sinks[sinks_off + head], m = fmax (top, sink);
          sum = sum * exp (top - m) + exp (sink - m);
          f = exp (top - m);
        }
      f = n > 0 && sum > 0.0f ? f / sum : 0.0f;
      out = dst + dst_off +
            (((ulong) batch * n_queries + query) * n_heads + head) * value_dim + dv0;
    }
  else
    {
      out = partial + partial_off +
            (((ulong) get_group_id (2) * n_queries * n_heads + row) * n_splits +
             get_group_id (0)) *
                514;
      if (t == 0)
        {
          out[0] = top;
          out[1] = sum;
        }
      out += 2;
    }
  acc *= f;
  const float o[4] = SPREAD4 (acc);
#pragma unroll
  for (uint i = 0; i < 4; i++)
    if (dv + i < dv_end)
      out[t * 4 + i] = o[i];
}

// Joins the parts of attention_few. Group id 0: query * n_heads + head; 1: batch * n_slices + slice.
// Work-item t owns components t, t + 64, ...
__kernel __attribute__ ((reqd_work_group_size (64, 1, 1))) void
attention_join (__global const float *partial, ulong partial_off, __global const float *sinks,
                ulong sinks_off, __global float *dst, ulong dst_off, uint n_queries, uint n_heads,
                uint value_dim, uint n_slices, uint n_splits, int flags)
{
  const uint t = get_local_id (0);
  const uint row = get_group_id (0);
  if (row >= n_queries * n_heads)
    return;
  const uint batch = (uint) get_group_id (1) / n_slices;
  const uint dv0 = (uint) get_group_id (1) % n_slices * 512;
  __global const float *p =
      partial + partial_off +
      ((ulong) get_group_id (1) * n_queries * n_heads + row) * n_splits * 514;
  float top = NONE, sum = 0.0f;

  for (uint i = 0; i < n_splits; i++)
    top = fmax (top, p[i * 514]);
  // Nothing was attended to: zeros, even with a sink.
  const int empty = top <= NONE;
  if (flags & HAS_SINKS)
    {
      const float sink = sinks[sinks_off + row % n_heads];
      top = fmax (top, sink);
      sum = exp (sink - top);
    }
  for (uint i = 0; i < n_splits; i++)
    sum += p[i * 514 + 1] * exp (p[i * 514] - top);
  const float f = !empty && sum > 0.0f ? 1.0f / sum : 0.0f;
  __global float *out =
      dst + dst_off + ((ulong) batch * n_queries * n_heads + row) * value_dim + dv0;
  for (uint d = t; d < min (value_dim - dv0, 512u); d += 64)
    {
      float v = 0.0f;
      for (uint i = 0; i < n_splits; i++)
        v = mad (p[i * 514 + 2 + d], exp (p[i * 514] - top), v);
      out[d] = v * f;
    }
}
