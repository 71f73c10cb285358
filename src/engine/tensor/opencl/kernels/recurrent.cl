// Causal convolution with what came before in a slot of a state. The other ops that carry a state:
// recurrence.cl.

// x rows [tokens, channels], w [channels, taps], state [slots, taps - 1, channels].
// Row `at` of the input of channel c; rows before the first are the state's, or zeros.
float
conv_input (__global const float *x, ulong x_off, ulong x_stride, __global const float *before,
            int from, uint n_channels, uint n_before, uint c, long at)
{
  if (at >= 0)
    return x[x_off + (ulong) at * x_stride + c];
  return from < 0 ? 0.0f : before[(ulong) (at + n_before) * n_channels + c];
}

// Global id 0 = channel, 1 = token.
__kernel ITEMS void
causal_conv (__global const float *x, ulong x_off, ulong x_stride, __global const float *w,
             ulong w_off, __global const float *bias, ulong bias_off, __global const float *state,
             ulong state_off, __global const int *slots, ulong slots_off, __global float *dst,
             ulong dst_off, uint n_channels, uint n_taps, uint n_tokens, uint n_slots, int act,
             int flags)
{
  const uint c = get_global_id (0);
  if (c >= n_channels)
    return;
  const uint n_before = n_taps - 1;
  const int from = min (slots[slots_off], (int) n_slots - 1);
  __global const float *before = state + state_off + (ulong) max (from, 0) * n_before * n_channels;
  FOR_ROWS (t, n_tokens)
    {
      float sum = flags & HAS_BIAS ? bias[bias_off + c] : 0.0f;
      for (uint j = 0; j < n_taps; j++)
        sum += w[w_off + (ulong) c * n_taps + j] *
               conv_input (x, x_off, x_stride, before, from, n_channels, n_before, c,
                           (long) t + j - n_before);
      dst[dst_off + (ulong) t * n_channels + c] = activate (act, sum);
    }
}

// The last taps - 1 rows of state and x together become the slot to be written; after causal_conv.
// Global id 0 = channel. Rows are written upwards: what is read lies above.
__kernel ITEMS void
causal_conv_keep (__global const float *x, ulong x_off, ulong x_stride, __global float *state,
                  ulong state_off, __global const int *slots, ulong slots_off, uint n_channels,
                  uint n_taps, uint n_tokens, uint n_slots)
{
  const uint c = get_global_id (0);
  if (c >= n_channels)
    return;
  const uint n_before = n_taps - 1;
  const int from = min (slots[slots_off], (int) n_slots - 1);
  const int to = slots[slots_off + 1];
  __global const float *before = state + state_off + (ulong) max (from, 0) * n_before * n_channels;
  __global float *after = state + state_off + (ulong) max (to, 0) * n_before * n_channels;
  if (to < 0 || to >= (int) n_slots)
    return;
  for (uint j = 0; j < n_before; j++)
    after[(ulong) j * n_channels + c] =
        conv_input (x, x_off, x_stride, before, from, n_channels, n_before, c,
                    (long) n_tokens + j - n_before);
}
