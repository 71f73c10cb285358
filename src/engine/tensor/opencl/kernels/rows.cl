// Position and state: rotary embedding, and rows stored into a state.

// x [outer, tokens, heads, dim] with strides of its first three dimensions; dst contiguous.
// Items: (outer, token, head, pair) in row-major order, `n` in all; a pair is two components that
// are rotated, or two neighbours behind n_rot that are only copied. `pairs` = (dim + 1) / 2.
__kernel ITEMS void
rope (__global const float *x, ulong x_off, ulong4 x_stride, __global const float *table,
      ulong table_off, __global float *dst, ulong dst_off, uint n_tokens, uint n_heads, uint dim,
      uint pairs, uint n_rot, int pairing, ulong n)
{
  FOR_ITEMS (item, n)
    {
      const uint pair = (uint) (item % pairs);
      const ulong line = item / pairs;
      const uint head = (uint) (line % n_heads);
      const uint row = (uint) (line / n_heads);
      const uint token = row % n_tokens;
      __global const float *p =
          x + x_off + row / n_tokens * x_stride.x + token * x_stride.y + head * x_stride.z;
      __global float *q = dst + dst_off + line * dim;

      if (2 * pair >= n_rot)
        {
          q[2 * pair] = p[2 * pair];
          if (2 * pair + 1 < dim)
            q[2 * pair + 1] = p[2 * pair + 1];
          continue;
        }
      const uint i = pairing == ROPE_HALVES ? pair : 2 * pair;
      const uint j = pairing == ROPE_HALVES ? pair + n_rot / 2 : 2 * pair + 1;
      const float c = table[table_off + (ulong) token * n_rot + pair];
      const float s = table[table_off + (ulong) token * n_rot + n_rot / 2 + pair];
      const float u = p[i], v = p[j];
      q[i] = u * c - v * s;
      q[j] = u * s + v * c;
    }
}

// Rows of x [n, width] to rows ids[i] of a state of `n_state` rows. An index outside is skipped.
// Global id 0 = element, 1 = i.
__kernel ITEMS void
store_float (__global const float *x, ulong x_off, ulong x_stride, __global const int *ids,
             ulong ids_off, __global float *state, ulong state_bytes, uint width, uint n,
             uint n_state)
{
  const uint k = get_global_id (0);
  if (k >= width)
    return;
  FOR_ROWS (i, n)
    {
      const uint row = (uint) ids[ids_off + i];
      if (row < n_state)
        state[state_bytes / 4 + (ulong) row * width + k] = x[x_off + i * x_stride + k];
    }
}

__kernel ITEMS void
store_half (__global const float *x, ulong x_off, ulong x_stride, __global const int *ids,
            ulong ids_off, __global half *state, ulong state_bytes, uint width, uint n,
            uint n_state)
{
  const uint k = get_global_id (0);
  if (k >= width)
    return;
  FOR_ROWS (i, n)
    {
      const uint row = (uint) ids[ids_off + i];
      if (row < n_state)
        vstore_half_rte (x[x_off + i * x_stride + k], state_bytes / 2 + (ulong) row * width + k,
                         state);
    }
}

// Blocks of 32 as in a file: a half and 32 signed bytes. Global id 0 = block, 1 = i.
__kernel ITEMS void
store_q8_0 (__global const float *x, ulong x_off, ulong x_stride, __global const int *ids,
            ulong ids_off, __global uchar *state, ulong state_bytes, uint width, uint n,
            uint n_state)
{
  const uint k = get_global_id (0);
  if (k * 32 >= width)
    return;
  FOR_ROWS (i, n)
    {
      const uint row = (uint) ids[ids_off + i];
      if (row >= n_state)
        continue;
      __global const float *p = x + x_off + i * x_stride + k * 32;
      __global uchar *q = state + state_bytes + ((ulong) row * (width / 32) + k) * 34;
      float largest = 0.0f;
      for (int j = 0; j < 32; j++)
        largest = fmax (largest, fabs (p[j]));
      const float d = largest / 127.0f;
      const float inverse = d > 0.0f ? 1.0f / d : 0.0f;
      vstore_half_rte (d, 0, (__global half *) q);
      for (int j = 0; j < 32; j++)
        q[2 + j] = as_uchar (convert_char_sat (rint (p[j] * inverse)));
    }
}

// Blocks of 32: a half and 16 bytes, weight j low and weight j + 16 high; d makes the value of the
// largest magnitude -8.
__kernel ITEMS void
store_q4_0 (__global const float *x, ulong x_off, ulong x_stride, __global const int *ids,
            ulong ids_off, __global uchar *state, ulong state_bytes, uint width, uint n,
            uint n_state)
{
  const uint k = get_global_id (0);
  if (k * 32 >= width)
    return;
  FOR_ROWS (i, n)
    {
      const uint row = (uint) ids[ids_off + i];
      if (row >= n_state)
        continue;
      __global const float *p = x + x_off + i * x_stride + k * 32;
      __global uchar *q = state + state_bytes + ((ulong) row * (width / 32) + k) * 18;
      float largest = 0.0f, extreme = 0.0f;
      for (int j = 0; j < 32; j++)
        if (fabs (p[j]) > largest)
          {
            largest = fabs (p[j]);
            extreme = p[j];
          }
      const float d = extreme / -8.0f;
      const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
      vstore_half_rte (d, 0, (__global half *) q);
      for (int j = 0; j < 16; j++)
        {
          uint low = (uint) clamp (rint (p[j] * inverse) + 8.0f, 0.0f, 15.0f);
          uint high = (uint) clamp (rint (p[j + 16] * inverse) + 8.0f, 0.0f, 15.0f);
          q[2 + j] = (uchar) (low | high << 4);
        }
    }
}

// Rows of x [n, n_in] with their elements in the order of a weight's columns.
// Global id 0 = column, 1 = row.
__kernel ITEMS void
reorder (__global const float *x, ulong x_off, ulong x_stride, __global const float *order,
         ulong order_off, __global float *dst, ulong dst_off, uint n_in, uint n)
{
  const uint i = get_global_id (0);
  if (i >= n_in)
    return;
  const uint from = (uint) order[order_off + i];
  FOR_ROWS (r, n)
    dst[dst_off + (ulong) r * n_in + i] = x[x_off + r * x_stride + from];
}

// The same, each row in the order of its expert's columns; `per_x` rows of the result are made of
// one of x. An index outside gives zeros.
__kernel ITEMS void
reorder_experts (__global const float *x, ulong x_off, ulong x_stride,
                 __global const float *order, ulong order_off, __global const int *ids,
                 ulong ids_off, uint per_x, uint n_experts, __global float *dst, ulong dst_off,
                 uint n_in, uint n)
{
  const uint i = get_global_id (0);
  if (i >= n_in)
    return;
  FOR_ROWS (r, n)
    {
      const uint expert = (uint) ids[ids_off + r];
      float value = 0.0f;
      if (expert < n_experts)
        value = x[x_off + r / per_x * x_stride +
                  (uint) order[order_off + (ulong) expert * n_in + i]];
      dst[dst_off + (ulong) r * n_in + i] = value;
    }
}
