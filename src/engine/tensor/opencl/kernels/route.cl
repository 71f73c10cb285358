// Mixture of experts: which expert sees which token, lists by expert, and the weighted sum.

#define MAX_EXPERTS 1024
#define MAX_GROUPS 64
#define MAX_PICKED 64

// What a chosen expert counts, before it is divided by the sum; `top` is the largest of the chosen.
float
chosen_weight (int kind, float p, float top)
{
  return kind == ROUTE_SOFTMAX_AFTER   ? exp (p - top)
         : kind == ROUTE_SIGMOID_AFTER ? 1.0f / (1.0f + exp (-p))
                                       : p;
}

// One work-group of 64 per token. Local memory holds the scores: p for the weights, `key` for the
// selection. The k largest keys are found one after the other: each work-item scans its experts
// (t, t + 64, ...), then work-item 0 the 64 candidates; ties go to the lower index. A NaN key never
// wins, and when nothing is left the lowest free index is taken, so ids are always valid.
__kernel __attribute__ ((reqd_work_group_size (64, 1, 1))) void
route (__global const float *logits, ulong logits_off, ulong logits_stride,
       __global const float *bias, ulong bias_off, __global float *weights, ulong weights_off,
       __global int *ids, ulong ids_off, uint n_tokens, uint n_experts, uint k, uint n_groups,
       uint n_groups_used, float scale, int kind, int flags)
{
  __local float p[MAX_EXPERTS];
  __local float key[MAX_EXPERTS];
  __local float group_score[MAX_GROUPS];
  __local float best[64];
  __local int best_at[64];
  __local float picked[MAX_PICKED];
  __local int picked_at[MAX_PICKED];
  const uint t = get_local_id (0);
  const uint token = get_group_id (0);

  if (token >= n_tokens)
    return;
  __global const float *l = logits + logits_off + token * logits_stride;

  // Barriers stand outside of conditions, and the softmax is computed for all kinds: PoCL 3.1 loses
  // the loops after a barrier that is inside one.
  float m = -INFINITY, sum = 0.0f;
  for (uint e = t; e < n_experts; e += 64)
    m = fmax (m, l[e]);
  best[t] = m;
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = 0; i < 64; i++)
    m = fmax (m, best[i]);
  for (uint e = t; e < n_experts; e += 64)
    sum += exp (l[e] - m);
  barrier (CLK_LOCAL_MEM_FENCE);
  best[t] = sum;
  barrier (CLK_LOCAL_MEM_FENCE);
  sum = 0.0f;
  for (uint i = 0; i < 64; i++)
    sum += best[i];
  for (uint e = t; e < n_experts; e += 64)
    {
      p[e] = kind == ROUTE_SOFTMAX   ? exp (l[e] - m) / sum
             : kind == ROUTE_SIGMOID ? 1.0f / (1.0f + exp (-l[e]))
                                     : l[e];
      key[e] = p[e] + (flags & HAS_BIAS ? bias[bias_off + e] : 0.0f);
    }
  barrier (CLK_LOCAL_MEM_FENCE);

  const uint size = n_groups > 0 ? n_experts / n_groups : 0;
  for (uint g = t; g < n_groups; g += 64)
    {
      float first = -INFINITY, second = -INFINITY;
      for (uint e = g * size; e < (g + 1) * size; e++)
        if (key[e] > first)
          {
            second = first;
            first = key[e];
          }
        else if (key[e] > second)
          second = key[e];
      group_score[g] = size > 1 && !(flags & GROUP_BY_BEST) ? first + second : first;
    }
  barrier (CLK_LOCAL_MEM_FENCE);
  // A group stays if fewer than n_groups_used come before it.
  for (uint g = t; g < n_groups; g += 64)
    {
      uint before = 0;
      for (uint o = 0; o < n_groups; o++)
        before += group_score[o] > group_score[g] || (group_score[o] == group_score[g] && o < g);
      if (before >= n_groups_used)
        for (uint e = g * size; e < (g + 1) * size; e++)
          key[e] = -INFINITY;
    }
  barrier (CLK_LOCAL_MEM_FENCE);

  for (uint i = 0; i < k; i++)
    {
      float b = -INFINITY;
      int at = -1;
      for (uint e = t; e < n_experts; e += 64)
        if (key[e] > b)
          {
            b = key[e];
            at = (int) e;
          }
      best[t] = b;
      best_at[t] = at;
      barrier (CLK_LOCAL_MEM_FENCE);
      if (t == 0)
        {
          for (uint o = 1; o < 64; o++)
            if (best_at[o] >= 0 && (at < 0 || best[o] > b || (best[o] == b && best_at[o] < at)))
              {
                b = best[o];
                at = best_at[o];
              }
          // Only infinities and NaN are left: the first expert that is not in the list so far.
          for (uint e = 0; e < n_experts && at < 0; e++)
            {
              at = (int) e;
              for (uint o = 0; o < i; o++)
                at = picked_at[o] == (int) e ? -1 : at;
            }
          key[at] = -INFINITY;
          picked_at[i] = at;
          picked[i] = p[at];
        }
      barrier (CLK_LOCAL_MEM_FENCE);
    }

  // SOFTMAX_AFTER: the keys may differ from p by the bias, so the largest p need not be the first.
  float top = -INFINITY, total = 0.0f;
  for (uint i = 0; i < k; i++)
    top = fmax (top, picked[i]);
  for (uint i = 0; i < k; i++)
    total += chosen_weight (kind, picked[i], top);
  if (t < k)
    {
      float w = chosen_weight (kind, picked[t], top);
      if (kind == ROUTE_SOFTMAX_AFTER || (flags & RENORM))
        w /= total;
      weights[weights_off + (ulong) token * k + t] = w * scale;
      ids[ids_off + (ulong) token * k + t] = picked_at[t];
    }
}

// Sorts the n pairs (token, chosen) by expert for the tiles of `gemm`: order [n] are the pairs'
// numbers, tiles [n_tiles] are (expert, first position in order, count, 0), count 0 for the unused.
// One work-group of 256. The order inside an expert is by chance; no result depends on it.
__kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void
sort_by_expert (__global const int *ids, ulong ids_off, uint n, uint n_experts, uint tile_size,
                __global int *order, ulong order_off, __global int4 *tiles, ulong tiles_off,
                uint n_tiles)
{
  __local int count[MAX_EXPERTS];
  const uint t = get_local_id (0);

  for (uint e = t; e < n_experts; e += 256)
    count[e] = 0;
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = t; i < n; i += 256)
    atomic_inc (&count[min ((uint) ids[ids_off + i], n_experts - 1)]);
  barrier (CLK_LOCAL_MEM_FENCE);
  if (t == 0)
    {
      int start = 0;
      uint tile = 0;
      for (uint e = 0; e < n_experts; e++)
        {
          const int c = count[e];
          for (int o = 0; o < c; o += (int) tile_size)
            tiles[tiles_off + tile++] = (int4) ((int) e, start + o, min (c - o, (int) tile_size), 0);
          count[e] = start;
          start += c;
        }
      while (tile < n_tiles)
        tiles[tiles_off + tile++] = 0;
    }
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = t; i < n; i += 256)
    order[order_off + atomic_inc (&count[min ((uint) ids[ids_off + i], n_experts - 1)])] = (int) i;
}

// dst[token, i] = sum over the k chosen of weights * x + residual. Global id 0 = i, 1 = token.
__kernel ITEMS void
expert_sum (__global const float *x, ulong x_off, __global const float *weights, ulong weights_off,
            __global const float *residual, ulong residual_off, ulong residual_stride,
            __global float *dst, ulong dst_off, uint dim, uint n_tokens, uint k, int flags)
{
  const uint i = get_global_id (0);
  if (i >= dim)
    return;
  FOR_ROWS (token, n_tokens)
    {
      float v = 0.0f;
      for (uint e = 0; e < k; e++)
        v = mad (weights[weights_off + (ulong) token * k + e],
                 x[x_off + ((ulong) token * k + e) * dim + i], v);
      if (flags & HAS_RESIDUAL)
        v += residual[residual_off + token * residual_stride + i];
      dst[dst_off + (ulong) token * dim + i] = v;
    }
}
