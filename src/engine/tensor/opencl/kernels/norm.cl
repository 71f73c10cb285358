// Normalisations over rows; group norm.

// One work-group per row; work-item t owns elements t, t + WG, ... The variance is a second pass over
// the row, around its mean: no cancellation. `vector_rows`: weight and bias are [vector_rows, dim] and
// row r uses r % vector_rows. scale and shift: row r uses r / mod_div.
#define NORM(WG)                                                                                   \
  __kernel __attribute__ ((reqd_work_group_size (WG, 1, 1))) void norm_##WG (                      \
      __global const float *x, ulong x_off, ulong x_stride, __global const float *weight,          \
      ulong weight_off, __global const float *bias, ulong bias_off, uint vector_rows,              \
      __global const float *scale, ulong scale_off, ulong scale_stride,                            \
      __global const float *shift, ulong shift_off, ulong shift_stride, uint scale_div,            \
      uint shift_div, __global float *dst, ulong dst_off, uint dim, uint n_rows, float eps,        \
      float a, int kind, int flags)                                                                \
  {                                                                                                \
    __local float buffer[WG];                                                                      \
    const uint t = get_local_id (0);                                                               \
    const uint row = get_group_id (0);                                                             \
    float mean = 0.0f, sum = 0.0f, r;                                                              \
                                                                                                   \
    if (row >= n_rows)                                                                             \
      return;                                                                                      \
    __global const float *p = x + x_off + row * x_stride;                                          \
    if (kind == NORM_LAYER)                                                                        \
      {                                                                                            \
        for (uint i = t; i < dim; i += WG)                                                         \
          sum += p[i];                                                                             \
        mean = sum_over (sum, WG, buffer) / (float) dim;                                          \
        sum = 0.0f;                                                                                \
      }                                                                                            \
    for (uint i = t; i < dim; i += WG)                                                             \
      sum = mad (p[i] - mean, p[i] - mean, sum);                                                   \
    sum = sum_over (sum, WG, buffer);                                                             \
    if (kind == NORM_L2)                                                                           \
      r = a / fmax (sqrt (sum), eps);                                                              \
    else                                                                                           \
      r = 1.0f / sqrt (sum / (float) dim + eps);                                                   \
                                                                                                   \
    const ulong vector = (ulong) (vector_rows > 1 ? row % vector_rows : 0) * dim;                  \
    for (uint i = t; i < dim; i += WG)                                                             \
      {                                                                                            \
        float v = (p[i] - mean) * r;                                                               \
        if (flags & HAS_WEIGHT)                                                                    \
          v *= weight[weight_off + vector + i];                                                    \
        if (flags & HAS_BIAS)                                                                      \
          v += bias[bias_off + vector + i];                                                        \
        if (flags & HAS_SCALE)                                                                     \
          v *= 1.0f + scale[scale_off + row / scale_div * scale_stride + i];                       \
        if (flags & HAS_SHIFT)                                                                     \
          v += shift[shift_off + row / shift_div * shift_stride + i];                              \
        dst[dst_off + (ulong) row * dim + i] = v;                                                  \
      }                                                                                            \
  }

NORM (64)
NORM (256)

// Group norm in two launches. x [batch, pixels, channels]; a group is `width` neighbouring channels.
// The pixels of one (batch, group) are cut into `n_chunks` of `chunk` pixels: group id 0 = chunk,
// 1 = group, 2 = batch. The first launch leaves mean and sum of squared distances of each chunk in
// stats [batch, groups, n_chunks, 2]; the second combines them (Chan et al. 1979) and writes.
__kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void
group_norm_stats (__global const float *x, ulong x_off, __global float *stats, ulong stats_off,
                  uint pixels, uint channels, uint width, uint chunk, uint n_chunks)
{
  __local float buffer[256];
  const uint t = get_local_id (0);
  const uint first = (uint) get_group_id (0) * chunk;

  if (first >= pixels)
    return;
  const uint n = min (chunk, pixels - first) * width;
  __global const float *p = x + x_off +
                            ((ulong) get_group_id (2) * pixels + first) * channels +
                            (ulong) get_group_id (1) * width;
  float sum = 0.0f;
  for (uint i = t; i < n; i += 256)
    sum += p[(ulong) (i / width) * channels + i % width];
  const float mean = sum_over (sum, 256, buffer) / (float) n;
  sum = 0.0f;
  for (uint i = t; i < n; i += 256)
    {
      float d = p[(ulong) (i / width) * channels + i % width] - mean;
      sum = mad (d, d, sum);
    }
  sum = sum_over (sum, 256, buffer);
  if (t == 0)
    {
      ulong at = stats_off + 2 * (((ulong) get_group_id (2) * get_num_groups (1) + get_group_id (1)) *
                                      n_chunks +
                                  get_group_id (0));
      stats[at] = mean;
      stats[at + 1] = sum;
    }
}

__kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void
group_norm (__global const float *x, ulong x_off, __global const float *stats, ulong stats_off,
            __global const float *weight, ulong weight_off, __global const float *bias,
            ulong bias_off, __global float *dst, ulong dst_off, uint pixels, uint channels,
            uint width, uint chunk, uint n_chunks, float eps, int act, int flags)
{
  const uint t = get_local_id (0);
  const uint first = (uint) get_group_id (0) * chunk;

  if (first >= pixels)
    return;
  __global const float *s =
      stats + stats_off +
      2 * (((ulong) get_group_id (2) * get_num_groups (1) + get_group_id (1)) * n_chunks);
  float mean = s[0], m2 = s[1], count = (float) (min (chunk, pixels) * width);
  for (uint i = 1; i < n_chunks; i++)
    {
      const float n = (float) (min (chunk, pixels - i * chunk) * width);
      const float delta = s[2 * i] - mean, total = count + n;
      mean += delta * (n / total);
      m2 += s[2 * i + 1] + delta * delta * (count * n / total);
      count = total;
    }
  const float r = 1.0f / sqrt (m2 / count + eps);

  const uint n = min (chunk, pixels - first) * width;
  const ulong base = ((ulong) get_group_id (2) * pixels + first) * channels;
  for (uint i = t; i < n; i += 256)
    {
      const uint c = (uint) get_group_id (1) * width + i % width;
      const ulong at = base + (ulong) (i / width) * channels + c;
      float v = (x[x_off + at] - mean) * r;
      if (flags & HAS_WEIGHT)
        v *= weight[weight_off + c];
      if (flags & HAS_BIAS)
        v += bias[bias_off + c];
      dst[dst_off + at] = activate (act, v);
    }
}
