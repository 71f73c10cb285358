// Elementwise operations on tensors of up to five dimensions with any strides.
//
// Shapes come as `dim` (five sizes in s0..s4, outermost first, leading ones when there are fewer;
// the host merges dimensions that need no separate stride) and strides in elements as long8.
// Elements are numbered in row-major order, `n` in all; work-item g owns g, g + global size, ...

ulong
strided (ulong i, uint8 dim, long8 stride)
{
  ulong at, q;

  if (i <= 0xffffffffu)
    {
      // 32-bit divisions are several times faster.
      uint j = (uint) i, r;
      r = j / dim.s4;
      at = (j - r * dim.s4) * stride.s4;
      j = r / dim.s3;
      at += (r - j * dim.s3) * stride.s3;
      r = j / dim.s2;
      at += (j - r * dim.s2) * stride.s2;
      j = r / dim.s1;
      at += (r - j * dim.s1) * stride.s1;
      return at + j * stride.s0;
    }
  q = i / dim.s4;
  at = (i - q * dim.s4) * stride.s4;
  i = q / dim.s3;
  at += (q - i * dim.s3) * stride.s3;
  q = i / dim.s2;
  at += (i - q * dim.s2) * stride.s2;
  i = q / dim.s1;
  at += (q - i * dim.s1) * stride.s1;
  return at + i * stride.s0;
}

// Element types of copies.
#define KIND_WORD 0 // float or int, moved as it is
#define KIND_HALF 1
#define KIND_INT 2

__kernel ITEMS void
binary (__global const float *a, ulong a_off, long8 a_stride, __global const float *b, ulong b_off,
        long8 b_stride, __global float *dst, ulong dst_off, uint8 dim, ulong n, int op)
{
  FOR_ITEMS (i, n)
    {
      const float u = a[a_off + strided (i, dim, a_stride)];
      const float v = b[b_off + strided (i, dim, b_stride)];
      float r;

      switch (op)
        {
        case BINARY_ADD:
          r = u + v;
          break;
        case BINARY_SUB:
          r = u - v;
          break;
        case BINARY_MUL:
          r = u * v;
          break;
        case BINARY_DIV:
          r = u / v;
          break;
        case BINARY_MIN:
          r = fmin (u, v);
          break;
        default:
          r = fmax (u, v);
          break;
        }
      dst[dst_off + i] = r;
    }
}

__kernel ITEMS void
unary (__global const float *x, ulong x_off, long8 stride, __global float *dst, ulong dst_off,
       uint8 dim, ulong n, float a, float b, int act)
{
  FOR_ITEMS (i, n)
    {
      dst[dst_off + i] = activate (act, mad (x[x_off + strided (i, dim, stride)], a, b));
    }
}

// Also a part of a concatenation: dst has strides of its own.
__kernel ITEMS void
copy (__global const uint *x, ulong x_off, long8 x_stride, int x_kind, __global uint *dst,
      ulong dst_off, long8 dst_stride, int dst_kind, uint8 dim, ulong n)
{
  FOR_ITEMS (i, n)
    {
      const ulong from = x_off + strided (i, dim, x_stride);
      const ulong to = dst_off + strided (i, dim, dst_stride);

      if (x_kind == dst_kind && x_kind != KIND_HALF)
        {
          dst[to] = x[from];
          continue;
        }
      const float v = x_kind == KIND_HALF  ? vload_half (from, (__global const half *) x)
                      : x_kind == KIND_INT ? (float) as_int (x[from])
                                           : as_float (x[from]);
      if (dst_kind == KIND_HALF)
        vstore_half_rte (v, to, (__global half *) dst);
      else if (dst_kind == KIND_INT)
        dst[to] = as_uint (convert_int_sat (v));
      else
        dst[to] = as_uint (v);
    }
}

// Global id 0 = column of dst, 1 = row. x rows are `x_stride` apart and 2 * width wide.
__kernel ITEMS void
glu (__global const float *x, ulong x_off, ulong x_stride, __global float *dst, ulong dst_off,
     uint width, uint n_rows, int act, int factor, int flags)
{
  const uint i = get_global_id (0);
  if (i >= width)
    return;
  FOR_ROWS (row, n_rows)
    {
      __global const float *p = x + x_off + row * x_stride;
      const float u = p[i], v = p[width + i];
      const float gate = flags & GATE_SECOND ? v : u, other = flags & GATE_SECOND ? u : v;
      dst[dst_off + (ulong) row * width + i] = activate (act, gate) * activate (factor, other);
    }
}

// Rows of `width` floats copied to rows of `padded` floats with zeros behind: x for linear.cl.
// Global id 0 = column of dst, 1 = row.
__kernel ITEMS void
pack_rows (__global const float *x, ulong x_off, ulong x_stride, uint width, __global float *dst,
           ulong dst_off, uint padded, uint n_rows)
{
  const uint i = get_global_id (0);
  if (i >= padded)
    return;
  FOR_ROWS (row, n_rows)
    dst[dst_off + (ulong) row * padded + i] = i < width ? x[x_off + row * x_stride + i] : 0.0f;
}

// Upsampling to the nearest neighbour ("upsample" is a function of OpenCL C). in = (F, H, W, C), out = (F', H', W', C); elements as above.
__kernel ITEMS void
resize (__global const float *x, ulong x_off, __global float *dst, ulong dst_off, uint4 in,
          uint4 out, ulong n)
{
  FOR_ITEMS (i, n)
    {
      ulong j = i / out.w;
      const uint c = (uint) (i % out.w);
      const uint px = (uint) (j % out.z * in.z / out.z);
      j /= out.z;
      const uint py = (uint) (j % out.y * in.y / out.y);
      j /= out.y;
      const uint f = (uint) (j % out.x * in.x / out.x);
      const ulong batch = j / out.x;
      dst[dst_off + i] = x[x_off + (((batch * in.x + f) * in.y + py) * in.z + px) * in.w + c];
    }
}
