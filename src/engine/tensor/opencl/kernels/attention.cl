// Attention with running softmax (Milakov and Gimelshein 2018; Dao et al. 2022), no score matrix.
//
// q [B, Tq, H, D], k [B, Tk, Kh, D], v [B, Tk, Kh, Dv]; strides in elements come as (batch, token,
// head). k and v are f32, f16, q8_0 or q4_0 (`kind`; the blocks of the last two as in a file), q and
// dst f32, dst contiguous [B, Tq, H, Dv]. A query attends to keys [ranges[i, 0], ranges[i, 1]).
// sinks[h] is one more logit without a value. bias strides are (batch, head, query, key 1).
//
// Everything is float32; only loading knows the kinds.

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

// --- Many queries --------------------------------------------------------------------------
// Work-group: 256 work-items, QB queries of one (batch, head) and DV components of the result (wider
// values are several work-groups, each with all scores). Keys go by in tiles of KB.
// Group id 0 + first_block: block of queries; 1: head; 2: batch * n_slices + slice.
// Scores: work-item t owns queries 4 (t % 16) .. + 3 and keys 2 (t / 16), + 1 of the tile.
// Result: the same queries and components 64 c + 4 (t / 16) .. + 3 for each c.
// Softmax: four work-items per query (query t / 4), eight keys each.

#define QB 64
#define KB 32
#define DB 32 // components of q and k in local memory at a time
#define PS 68 // row of the transposed scores: QB and a little against bank conflicts

#define PREFILL(DV)                                                                                \
  __kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void attention_##DV (                \
      ATTENTION_ARGS, uint n_slices, uint first_block)                                             \
  {                                                                                                \
    __local float qs[DB * QB]; /* [component][query] */                                            \
    __local float ks[DB * KB]; /* [component][key] */                                              \
    __local float vs[KB * 64]; /* [key][component] */                                              \
    __local float ps[KB * PS]; /* [key][query] */                                                  \
    __local float top[QB], sum[QB], fade[QB];                                                      \
    __local float part[256];                                                                       \
    __local uint from[QB], to[QB];                                                                 \
    const uint t = get_local_id (0);                                                               \
    const uint tq = t % 16, tk = t / 16;                                                           \
    const uint query0 = (first_block + (uint) get_group_id (0)) * QB;                              \
    const uint head = get_group_id (1);                                                            \
    if (query0 >= n_queries || head >= n_heads)                                                    \
      return;                                                                                      \
    const uint batch = (uint) get_group_id (2) / n_slices;                                         \
    const uint dv0 = (uint) get_group_id (2) % n_slices * DV;                                      \
    const ulong q_base = q_off + batch * q_stride.x + head * q_stride.z;                           \
    const ulong k_base = batch * k_stride.x + head / group * k_stride.z;                           \
    const ulong v_base = batch * v_stride.x + head / group * v_stride.z;                           \
    __global const uchar *kp = k + k_off, *vp = v + v_off;                                         \
    float4 acc[DV / 64 * 4];                                                                       \
    uint key_from = n_keys, key_to = 0;                                                            \
                                                                                                   \
    for (int i = 0; i < DV / 64 * 4; i++)                                                          \
      acc[i] = 0.0f;                                                                               \
    if (t < QB)                                                                                    \
      {                                                                                            \
        uint2 r = 0;                                                                               \
        if (query0 + t < n_queries)                                                                \
          r = range_of (ranges, ranges_off,                                                        \
                        query0 + t + (flags & RANGES_PER_BATCH ? batch * n_queries : 0), n_keys,   \
                        flags);                                                                    \
        from[t] = r.x;                                                                             \
        to[t] = r.y;                                                                               \
        top[t] = flags & HAS_SINKS ? sinks[sinks_off + head] : NONE;                               \
        sum[t] = flags & HAS_SINKS ? 1.0f : 0.0f;                                                  \
      }                                                                                            \
    barrier (CLK_LOCAL_MEM_FENCE);                                                                 \
    for (uint i = 0; i < QB; i++)                                                                  \
      if (from[i] < to[i])                                                                         \
        {                                                                                          \
          key_from = min (key_from, from[i]);                                                      \
          key_to = max (key_to, to[i]);                                                            \
        }                                                                                          \
                                                                                                   \
    for (uint key0 = key_from / KB * KB; key0 < key_to; key0 += KB)                                \
      {                                                                                            \
        float8 s = 0.0f; /* key 0: queries in lo, key 1: in hi */                                  \
        for (uint d0 = 0; d0 < head_dim; d0 += DB)                                                 \
          {                                                                                        \
            barrier (CLK_LOCAL_MEM_FENCE);                                                         \
            for (uint i = t; i < QB * DB / 4; i += 256)                                            \
              {                                                                                    \
                const uint row = min (query0 + i / (DB / 4), n_queries - 1);                       \
                const uint d = d0 + i % (DB / 4) * 4;                                              \
                float4 u =                                                                         \
                    d < head_dim ? load_up_to_4 ((__global const uchar *) q, KV_F32,               \
                                                 q_base + row * q_stride.y + d, head_dim - d)      \
                                 : (float4) (0.0f);                                                \
                __local float *to4 = qs + i % (DB / 4) * 4 * QB + i / (DB / 4);                    \
                to4[0] = u.x;                                                                      \
                to4[QB] = u.y;                                                                     \
                to4[2 * QB] = u.z;                                                                 \
                to4[3 * QB] = u.w;                                                                 \
              }                                                                                    \
            {                                                                                      \
              const uint row = min (key0 + t / (DB / 4), n_keys - 1);                              \
              const uint d = d0 + t % (DB / 4) * 4;                                                \
              float4 u = d < head_dim ? load_up_to_4 (kp, k_kind, k_base + row * k_stride.y + d,   \
                                                      head_dim - d)                                \
                                      : (float4) (0.0f);                                           \
              __local float *to4 = ks + t % (DB / 4) * 4 * KB + t / (DB / 4);                      \
              to4[0] = u.x;                                                                        \
              to4[KB] = u.y;                                                                       \
              to4[2 * KB] = u.z;                                                                   \
              to4[3 * KB] = u.w;                                                                   \
            }                                                                                      \
            barrier (CLK_LOCAL_MEM_FENCE);                                                         \
            for (uint d = 0; d < DB; d++)                                                          \
              {                                                                                    \
                float4 qv = vload4 (0, qs + d * QB + tq * 4);                                      \
                float2 kv = vload2 (0, ks + d * KB + tk * 2);                                      \
                s.lo = mad (qv, kv.x, s.lo);                                                       \
                s.hi = mad (qv, kv.y, s.hi);                                                       \
              }                                                                                    \
          }                                                                                        \
        {                                                                                          \
          float s8[8];                                                                             \
          vstore8 (s, 0, s8);                                                                      \
          for (uint i = 0; i < 8; i++)                                                             \
            {                                                                                      \
              const uint j = tk * 2 + i / 4, key = key0 + j, r = tq * 4 + i % 4;                   \
              float u = NONE;                                                                      \
              if (key >= from[r] && key < to[r])                                                   \
                {                                                                                  \
                  u = cap (s8[i] * scale, softcap);                                                \
                  if (flags & HAS_BIAS)                                                            \
                    u += bias[bias_off + batch * bias_stride.x + head * bias_stride.y +            \
                              (query0 + r) * bias_stride.z + key];                                 \
                }                                                                                  \
              ps[j * PS + r] = u;                                                                  \
            }                                                                                      \
        }                                                                                          \
        barrier (CLK_LOCAL_MEM_FENCE);                                                             \
        {                                                                                          \
          const uint r = t / 4, j0 = t % 4 * (KB / 4);                                             \
          float m = NONE;                                                                          \
          for (uint j = j0; j < j0 + KB / 4; j++)                                                  \
            m = fmax (m, ps[j * PS + r]);                                                          \
          part[t] = m;                                                                             \
          barrier (CLK_LOCAL_MEM_FENCE);                                                           \
          m = fmax (fmax (part[r * 4], part[r * 4 + 1]), fmax (part[r * 4 + 2], part[r * 4 + 3])); \
          m = fmax (m, top[r]);                                                                    \
          barrier (CLK_LOCAL_MEM_FENCE);                                                           \
          float l = 0.0f;                                                                          \
          for (uint j = j0; j < j0 + KB / 4; j++)                                                  \
            {                                                                                      \
              float u = ps[j * PS + r];                                                            \
              u = u > NONE ? exp (u - m) : 0.0f;                                                   \
              ps[j * PS + r] = u;                                                                  \
              l += u;                                                                              \
            }                                                                                      \
          part[t] = l;                                                                             \
          barrier (CLK_LOCAL_MEM_FENCE);                                                           \
          if (t % 4 == 0)                                                                          \
            {                                                                                      \
              fade[r] = exp (top[r] - m);                                                          \
              top[r] = m;                                                                          \
              sum[r] = sum[r] * fade[r] + sum4 (vload4 (r, part));                                 \
            }                                                                                      \
          barrier (CLK_LOCAL_MEM_FENCE);                                                           \
        }                                                                                          \
        for (int i = 0; i < DV / 64 * 4; i++)                                                      \
          acc[i] *= fade[tq * 4 + i % 4];                                                          \
        for (uint c = 0; c < DV / 64; c++)                                                         \
          {                                                                                        \
            for (uint i = t; i < KB * 16; i += 256)                                                \
              {                                                                                    \
                const uint row = min (key0 + i / 16, n_keys - 1);                                  \
                const uint d = dv0 + c * 64 + i % 16 * 4;                                          \
                float4 u = d < value_dim                                                           \
                               ? load_up_to_4 (vp, v_kind, v_base + row * v_stride.y + d,          \
                                               value_dim - d)                                      \
                               : (float4) (0.0f);                                                  \
                vstore4 (u, i, vs);                                                                \
              }                                                                                    \
            barrier (CLK_LOCAL_MEM_FENCE);                                                         \
            for (uint j = 0; j < KB; j++)                                                          \
              {                                                                                    \
                const float4 pv = vload4 (0, ps + j * PS + tq * 4);                                \
                const float4 vv = vload4 (0, vs + j * 64 + tk * 4);                                \
                acc[c * 4] = mad (pv.x, vv, acc[c * 4]);                                           \
                acc[c * 4 + 1] = mad (pv.y, vv, acc[c * 4 + 1]);                                   \
                acc[c * 4 + 2] = mad (pv.z, vv, acc[c * 4 + 2]);                                   \
                acc[c * 4 + 3] = mad (pv.w, vv, acc[c * 4 + 3]);                                   \
              }                                                                                    \
            barrier (CLK_LOCAL_MEM_FENCE);                                                         \
          }                                                                                        \
      }                                                                                            \
    for (uint i = 0; i < 4; i++)                                                                   \
      {                                                                                            \
        const uint r = tq * 4 + i;                                                                 \
        if (query0 + r >= n_queries)                                                               \
          break;                                                                                   \
        /* An empty range gives zeros, with or without a sink. */                                  \
        const float f = from[r] < to[r] && sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;                   \
        __global float *out =                                                                      \
            dst + dst_off +                                                                        \
            (((ulong) batch * n_queries + query0 + r) * n_heads + head) * value_dim;               \
        for (uint c = 0; c < DV / 64; c++)                                                         \
          {                                                                                        \
            float o[4];                                                                            \
            vstore4 (acc[c * 4 + i] * f, 0, o);                                                    \
            for (uint e = 0; e < 4; e++)                                                           \
              if (dv0 + c * 64 + tk * 4 + e < value_dim)                                           \
                out[dv0 + c * 64 + tk * 4 + e] = o[e];                                             \
          }                                                                                        \
      }                                                                                            \
  }

PREFILL (64)
PREFILL (128)
PREFILL (256)

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
  const uint n = range.y > range.x ? range.y - range.x : 0;
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
      barrier (CLK_LOCAL_MEM_FENCE);
      part[t] = s;
      for (uint i = 64; i > 0; i /= 2)
        {
          barrier (CLK_LOCAL_MEM_FENCE);
          if (t < i)
            part[t] = fmax (part[t], part[t + i]);
        }
      barrier (CLK_LOCAL_MEM_FENCE);
      const float m = fmax (top, part[0]);
      const float fade = exp (top - m);
      const float p = s > NONE ? exp (s - m) : 0.0f;
      top = m;
      ps[t] = p;
      barrier (CLK_LOCAL_MEM_FENCE);
      part[t] = p;
      for (uint i = 64; i > 0; i /= 2)
        {
          barrier (CLK_LOCAL_MEM_FENCE);
          if (t < i)
            part[t] += part[t + i];
        }
      barrier (CLK_LOCAL_MEM_FENCE);
      sum = sum * fade + part[0];
      acc *= fade;
      if (dv < value_dim)
        for (uint j = t / lanes; j < min (to - key0, 128u); j += 128 / lanes)
          acc = mad (ps[j],
                     load_up_to_4 (vp, v_kind, v_base + (key0 + j) * v_stride.y + dv,
                                   value_dim - dv),
                     acc);
    }

  // The groups of lanes hold sums over different keys.
  barrier (CLK_LOCAL_MEM_FENCE);
  vstore4 (acc, t, part);
  barrier (CLK_LOCAL_MEM_FENCE);
  if (t >= lanes)
    return;
  for (uint i = t + lanes; i < 128; i += lanes)
    acc += vload4 (i, part);

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
  float o[4];
  vstore4 (acc * f, 0, o);
  for (uint i = 0; i < 4; i++)
    if (dv + i < value_dim)
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
