// The scan of Mamba-2 and the gated delta rule: a linear recurrence with a state [keys, n] a head.
// A template, compiled for KEYS = 64, 128, 256 (the state in registers), and 0 (any number; the state
// stays in the slot that is written).
//
// Work-group: 32 columns of the state of one head, four work-items (lanes) a column; group id 0: head,
// 1: block of columns. Lane l of a column owns rows l, l + 4, l + 8…; k and q of a token are shared in
// local memory, where lanes also add up their sums.
// For each token, with gate = softplus (gate + bias) and the state decayed by exp (a gate):
//   delta 0: u = gate v;                                          out = S^T q + d v
//   delta 1: u = sigmoid (beta) (v - S^T k); k, q normalised;     out = S^T q
// and S += k u^T before the output is taken.

#undef S
#undef ROWS
#undef LOCAL_KEYS
#undef KEY
#if KEYS > 0
#define ROWS (KEYS / 4)
#define LOCAL_KEYS KEYS
#define S(i) s[i]
#define KEY(p, i) p[(i) * 4 + lane]
#else
#define ROWS n_rows
#define LOCAL_KEYS 1
#define S(i) after[(ulong) ((i) * 4 + lane) * n + column]
#define KEY(p, i) p##_global[(i) * 4 + lane]
#endif

__kernel __attribute__ ((reqd_work_group_size (128, 1, 1))) void
JOIN (recurrence_, KEYS) (__global const float *k, ulong k_off, ulong k_stride,
                          __global const float *q, ulong q_off, ulong q_stride,
                          __global const float *v, ulong v_off, ulong v_stride,
                          __global const float *gate, ulong gate_off, ulong gate_stride,
                          __global const float *beta, ulong beta_off, ulong beta_stride,
                          __global const float *bias, ulong bias_off, __global const float *a,
                          ulong a_off, __global const float *d, ulong d_off, __global float *state,
                          ulong state_off, __global const int *slots, ulong slots_off,
                          __global float *dst, ulong dst_off, uint n_keys, uint n, uint n_heads,
                          uint n_key_heads, uint n_tokens, uint n_slots, int delta, int tiled,
                          float eps, float q_scale, int flags)
{
  __local float ks[LOCAL_KEYS], qs[LOCAL_KEYS];
  __local float sums[128], outs[128], kks[4], qqs[4];
  const uint head = get_group_id (0), item = get_local_id (0), lane = item / 32;
  const uint column = (uint) get_group_id (1) * 32 + item % 32;
  if (head >= n_heads || n_key_heads == 0)
    return;
  const uint key_head = tiled ? head % n_key_heads : head / (n_heads / n_key_heads);
  const ulong size = (ulong) n_keys * n;
  const int from = min (slots[slots_off], (int) n_slots - 1), to = slots[slots_off + 1];
  if (to < 0 || to >= (int) n_slots)
    return;
  __global const float *before =
      state + state_off + ((ulong) max (from, 0) * n_heads + head) * size;
  __global float *after = state + state_off + ((ulong) to * n_heads + head) * size;
  const bool mine = column < n;
  const float rate = a[a_off + head];
  const float shift = flags & HAS_BIAS ? bias[bias_off + head] : 0.0f;
  const float skip = flags & HAS_SCALE ? d[d_off + head] : 0.0f;
  // Rows of this lane that there are.
  const uint n_rows = mine && lane < n_keys ? (n_keys - lane + 3) / 4 : 0;

#if KEYS > 0
  float s[ROWS];
#pragma unroll
  for (uint i = 0; i < ROWS; i++)
    s[i] = from >= 0 && i < n_rows ? before[(ulong) (i * 4 + lane) * n + column] : 0.0f;
#else
  for (uint i = 0; i < n_rows; i++)
    S (i) = from >= 0 ? before[(ulong) (i * 4 + lane) * n + column] : 0.0f;
#endif

  for (uint t = 0; t < n_tokens; t++)
    {
      __global const float *ks_global = k + k_off + t * k_stride + (ulong) key_head * n_keys;
      __global const float *qs_global = q + q_off + t * q_stride + (ulong) key_head * n_keys;
#if KEYS > 0
      for (uint i = item; i < KEYS; i += 128)
        {
          ks[i] = i < n_keys ? ks_global[i] : 0.0f;
          qs[i] = i < n_keys ? qs_global[i] : 0.0f;
        }
      barrier (CLK_LOCAL_MEM_FENCE);
#endif
      const float g = activate (ACT_SOFTPLUS, gate[gate_off + t * gate_stride + head] + shift);
      const float decay = exp (g * rate);
      const float x = mine ? v[v_off + t * v_stride + (ulong) head * n + column] : 0.0f;
      float u = g * x, out = 0.0f, q_factor = 1.0f;

      if (delta)
        {
          float sum = 0.0f, kk = 0.0f, qq = 0.0f;
#pragma unroll
          for (uint i = 0; i < ROWS; i++)
            {
              const float ki = KEY (ks, i), qi = KEY (qs, i);
              sum = mad (S (i), ki, sum);
              kk = mad (ki, ki, kk);
              qq = mad (qi, qi, qq);
            }
          sums[item] = sum;
          // The first column of a block is always there.
          if (item % 32 == 0)
            {
              kks[lane] = kk;
              qqs[lane] = qq;
            }
          barrier (CLK_LOCAL_MEM_FENCE);
          sum = sums[item % 32] + sums[item % 32 + 32] + sums[item % 32 + 64] +
                sums[item % 32 + 96];
          const float k_factor = rsqrt (kks[0] + kks[1] + kks[2] + kks[3] + eps);
          q_factor = q_scale * rsqrt (qqs[0] + qqs[1] + qqs[2] + qqs[3] + eps);
          u = activate (ACT_SIGMOID, beta[beta_off + t * beta_stride + head]) *
              (x - decay * k_factor * sum) * k_factor;
        }
#pragma unroll
      for (uint i = 0; i < ROWS; i++)
        {
          const float next = mad (KEY (ks, i), u, S (i) * decay);
          S (i) = next;
          out = mad (next, KEY (qs, i), out);
        }
      outs[item] = out;
      barrier (CLK_LOCAL_MEM_FENCE);
      if (lane == 0 && mine)
        {
          out = outs[item] + outs[item + 32] + outs[item + 64] + outs[item + 96];
          dst[dst_off + ((ulong) t * n_heads + head) * n + column] = mad (skip, x, out * q_factor);
        }
#if KEYS == 0
      // Without the barrier of new keys, sums may not be overtaken.
      barrier (CLK_LOCAL_MEM_FENCE);
#endif
    }

#if KEYS > 0
#pragma unroll
  for (uint i = 0; i < ROWS; i++)
    if (i < n_rows)
      after[(ulong) (i * 4 + lane) * n + column] = s[i];
#endif
}
