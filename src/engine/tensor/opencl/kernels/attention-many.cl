// Attention of many queries: a template, compiled for DV = 64, 128, 256 components of the result.
// What it computes and its operands: attention.cl.
//
// Work-group: 256 work-items, QB queries of one (batch, head) and DV components of the result (wider
// values are several work-groups, each with all scores). Keys go by in tiles of KB.
// Group id + first, 0: block of queries; 1: head; 2: batch * n_slices + slice.
// Scores: work-item t owns queries 4 (t % 16) .. + 3 and keys 2 (t / 16), + 1 of the tile.
// Result: the same queries and components 64 c + 4 (t / 16) .. + 3 for each c.
// Softmax: four work-items per query (query t / 4), eight keys each.

#ifndef QB
#define QB 64
#define KB 32
#define DB 32 // components of q and k in local memory at a time
#define PS 68 // row of the transposed scores: QB and a little against bank conflicts
#endif

__kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void
JOIN (attention_, DV) (ATTENTION_ARGS, uint n_slices, uint4 first)
{
  __local float qs[DB * QB]; // [component][query]
  __local float ks[DB * KB]; // [component][key]
  __local float vs[KB * 64]; // [key][component]
  __local float ps[KB * PS]; // [key][query]
  __local float top[QB], sum[QB], fade[QB];
  __local float part[256];
  __local uint from[QB], to[QB];
  const uint t = get_local_id (0);
  const uint tq = t % 16, tk = t / 16;
  const uint query0 = (first.x + (uint) get_group_id (0)) * QB;
  const uint head = first.y + (uint) get_group_id (1);
  if (query0 >= n_queries || head >= n_heads)
    return;
  const uint batch = (first.z + (uint) get_group_id (2)) / n_slices;
  const uint dv0 = (first.z + (uint) get_group_id (2)) % n_slices * DV;
  const ulong q_base = q_off + batch * q_stride.x + head * q_stride.z;
  const ulong k_base = batch * k_stride.x + head / group * k_stride.z;
  const ulong v_base = batch * v_stride.x + head / group * v_stride.z;
  __global const uchar *kp = k + k_off, *vp = v + v_off;
  float4 acc[DV / 64 * 4];
  uint key_from = n_keys, key_to = 0;

#pragma unroll
  for (int i = 0; i < DV / 64 * 4; i++)
    acc[i] = 0.0f;
  if (t < QB)
    {
      uint2 r = 0;
      if (query0 + t < n_queries)
        r = range_of (ranges, ranges_off,
                      query0 + t + (flags & RANGES_PER_BATCH ? batch * n_queries : 0), n_keys,
                      flags);
      from[t] = r.x;
      to[t] = r.y;
      top[t] = flags & HAS_SINKS ? sinks[sinks_off + head] : NONE;
      sum[t] = flags & HAS_SINKS ? 1.0f : 0.0f;
    }
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = 0; i < QB; i++)
    if (from[i] < to[i])
      {
        key_from = min (key_from, from[i]);
        key_to = max (key_to, to[i]);
      }

  for (uint key0 = key_from / KB * KB; key0 < key_to; key0 += KB)
    {
      float8 s = 0.0f; // key 0: queries in lo, key 1: in hi
      for (uint d0 = 0; d0 < head_dim; d0 += DB)
        {
          barrier (CLK_LOCAL_MEM_FENCE);
          for (uint i = t; i < QB * DB / 4; i += 256)
            {
              const uint row = min (query0 + i / (DB / 4), n_queries - 1);
              const uint d = d0 + i % (DB / 4) * 4;
              float4 u =
                  d < head_dim ? load_up_to_4 ((__global const uchar *) q, KV_F32,
                                               q_base + row * q_stride.y + d, head_dim - d)
                               : (float4) (0.0f);
              __local float *to4 = qs + i % (DB / 4) * 4 * QB + i / (DB / 4);
              to4[0] = u.x;
              to4[QB] = u.y;
              to4[2 * QB] = u.z;
              to4[3 * QB] = u.w;
            }
          {
            const uint row = min (key0 + t / (DB / 4), n_keys - 1);
            const uint d = d0 + t % (DB / 4) * 4;
            float4 u = d < head_dim ? load_up_to_4 (kp, k_kind, k_base + row * k_stride.y + d,
                                                    head_dim - d)
                                    : (float4) (0.0f);
            __local float *to4 = ks + t % (DB / 4) * 4 * KB + t / (DB / 4);
            to4[0] = u.x;
            to4[KB] = u.y;
            to4[2 * KB] = u.z;
            to4[3 * KB] = u.w;
          }
          barrier (CLK_LOCAL_MEM_FENCE);
          for (uint d = 0; d < DB; d++)
            {
              float4 qv = vload4 (0, qs + d * QB + tq * 4);
              float2 kv = vload2 (0, ks + d * KB + tk * 2);
              s.lo = mad (qv, kv.x, s.lo);
              s.hi = mad (qv, kv.y, s.hi);
            }
        }
      {
        const float s8[8] = SPREAD8 (s);
#pragma unroll
        for (uint i = 0; i < 8; i++)
          {
            const uint j = tk * 2 + i / 4, key = key0 + j, r = tq * 4 + i % 4;
            float u = NONE;
            if (key >= from[r] && key < to[r])
              {
                u = cap (s8[i] * scale, softcap);
                if (flags & HAS_BIAS)
                  u += bias[bias_off + batch * bias_stride.x + head * bias_stride.y +
                            (query0 + r) * bias_stride.z + key];
              }
            ps[j * PS + r] = u;
          }
      }
      barrier (CLK_LOCAL_MEM_FENCE);
      {
        const uint r = t / 4, j0 = t % 4 * (KB / 4);
        float m = NONE;
        for (uint j = j0; j < j0 + KB / 4; j++)
          m = fmax (m, ps[j * PS + r]);
        part[t] = m;
        barrier (CLK_LOCAL_MEM_FENCE);
        m = fmax (fmax (part[r * 4], part[r * 4 + 1]), fmax (part[r * 4 + 2], part[r * 4 + 3]));
        m = fmax (m, top[r]);
        barrier (CLK_LOCAL_MEM_FENCE);
        float l = 0.0f;
        for (uint j = j0; j < j0 + KB / 4; j++)
          {
            float u = ps[j * PS + r];
            u = u > NONE ? exp (u - m) : 0.0f;
            ps[j * PS + r] = u;
            l += u;
          }
        part[t] = l;
        barrier (CLK_LOCAL_MEM_FENCE);
        if (t % 4 == 0)
          {
            fade[r] = exp (top[r] - m);
            top[r] = m;
            sum[r] = sum[r] * fade[r] + sum4 (vload4 (r, part));
          }
        barrier (CLK_LOCAL_MEM_FENCE);
      }
#pragma unroll
      for (int i = 0; i < DV / 64 * 4; i++)
        acc[i] *= fade[tq * 4 + i % 4];
#pragma unroll
      for (uint c = 0; c < DV / 64; c++)
        {
          for (uint i = t; i < KB * 16; i += 256)
            {
              const uint row = min (key0 + i / 16, n_keys - 1);
              const uint d = dv0 + c * 64 + i % 16 * 4;
              // Behind the last range may be anything: zero, since zero times NaN is not.
              float4 u = d < value_dim && key0 + i / 16 < key_to
                             ? load_up_to_4 (vp, v_kind, v_base + row * v_stride.y + d,
                                             value_dim - d)
                             : (float4) (0.0f);
              vstore4 (u, i, vs);
            }
          barrier (CLK_LOCAL_MEM_FENCE);
          for (uint j = 0; j < KB; j++)
            {
              const float4 pv = vload4 (0, ps + j * PS + tq * 4);
              const float4 vv = vload4 (0, vs + j * 64 + tk * 4);
              acc[c * 4] = mad (pv.x, vv, acc[c * 4]);
              acc[c * 4 + 1] = mad (pv.y, vv, acc[c * 4 + 1]);
              acc[c * 4 + 2] = mad (pv.z, vv, acc[c * 4 + 2]);
              acc[c * 4 + 3] = mad (pv.w, vv, acc[c * 4 + 3]);
            }
          barrier (CLK_LOCAL_MEM_FENCE);
        }
    }
#pragma unroll
  for (uint i = 0; i < 4; i++)
    {
      const uint r = tq * 4 + i;
      // One condition for what is stored: nested ones go wrong in PoCL 3.1.
      const uint dv_end = query0 + r < n_queries ? value_dim : 0;
      // An empty range gives zeros, with or without a sink.
      const float f = from[r] < to[r] && sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;
      __global float *out =
          dst + dst_off +
          (((ulong) batch * n_queries + query0 + r) * n_heads + head) * value_dim;
#pragma unroll
      for (uint c = 0; c < DV / 64; c++)
        {
          const float4 value = acc[c * 4 + i] * f;
          const float o[4] = SPREAD4 (value);
#pragma unroll
          for (uint e = 0; e < 4; e++)
            if (dv0 + c * 64 + tk * 4 + e < dv_end)
              out[dv0 + c * 64 + tk * 4 + e] = o[e];
        }
    }
}
