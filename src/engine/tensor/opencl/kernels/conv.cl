// Convolution, channels last, as a product of implicitly gathered pixels and weights: the tiles of
// linear.cl with another loader of x. One program per weight type: common.cl, unpack.cl, the type's
// dequant-*.cl, tile.cl, then this file.
//
// x [B, F, H, W, C]; W [out, taps * cp], taps = kf * kh * kw, cp = C rounded up to 16 (weights there
// are zero); dst [B, F', H', W', out]. Column c is output position c in row-major order.
// in = (F, H, W, C), out = (F', H', W', n_rows), kernel = (kf, kh, kw, cp), stride and pad per axis.
// Group id + first, 0: tile of columns; 1: tile of rows of W.
// Work-item t gathers for column t % TILE_C the 8 values from K index k + 8 (t / TILE_C): they lie in
// one tap since cp is a multiple of 16.

#define PIXEL(i) (col0 + (i))

__kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void
conv (__global const uchar *w, ulong p1, ulong p2, ulong p3, uint k16, uint n_rows,
      __global const float *x, ulong x_off, uint n_cols, uint4 first, int4 in, int4 out,
      int4 kernel_size, int4 stride, int4 pad, EPILOGUE_ARGS)
{
  __local float lut[16];
  __local float ws[TILE_K * TILE_R];
  __local float xs[TILE_K * TILE_C];
  const uint t = get_local_id (0);
  const uint row0 = (first.y + (uint) get_group_id (1)) * TILE_R;
  const uint tr = t % 16, tc = t / 16;
  const uint col0 = (first.x + (uint) get_group_id (0)) * TILE_C;
  float8 acc[4];

  QUANTS_LUT (lut);
  if (col0 >= n_cols || row0 >= n_rows)
    return;

  const ulong w_granule = (ulong) min (row0 + t % TILE_R, n_rows - 1) * k16 + t / TILE_R;
  uint position = min (col0 + t % TILE_C, n_cols - 1);
  const int ox = (int) (position % (uint) out.z) * stride.z - pad.z;
  position /= (uint) out.z;
  const int oy = (int) (position % (uint) out.y) * stride.y - pad.y;
  position /= (uint) out.y;
  const int of = (int) (position % (uint) out.x) * stride.x - pad.x;
  const ulong batch = (ulong) (position / (uint) out.x) * (uint) in.x;
#pragma unroll
  for (int j = 0; j < 4; j++)
    acc[j] = 0.0f;

  for (uint k = 0; k < k16; k += TILE_K / 16)
    {
      const uint at = k * 16 + t / TILE_C * 8;
      const uint tap = at / (uint) kernel_size.w;
      const int c = (int) (at % (uint) kernel_size.w);
      const int ix = ox + (int) (tap % (uint) kernel_size.z);
      const int iy = oy + (int) (tap / (uint) kernel_size.z % (uint) kernel_size.y);
      const int f = of + (int) (tap / (uint) (kernel_size.z * kernel_size.y));
      float8 v = 0.0f;
      float d, m = 0.0f;

      // Past the last tap (the row is padded to whole slices) weights are zero and f is out of range
      // or not: the guard on the tap keeps the read inside.
      if (tap < (uint) (kernel_size.x * kernel_size.y * kernel_size.z) && ix >= 0 && ix < in.z &&
          iy >= 0 && iy < in.y && f >= 0 && f < in.x && c < in.w)
        {
          __global const float *xp =
              x + x_off +
              (((batch + (uint) f) * (uint) in.y + (uint) iy) * (uint) in.z + (uint) ix) *
                  (uint) in.w +
              (uint) c;
          if (c + 8 <= in.w)
            v = vload8 (0, xp);
          else
            {
              v.s0 = xp[0];
              v.s1 = c + 1 < in.w ? xp[1] : 0.0f;
              v.s2 = c + 2 < in.w ? xp[2] : 0.0f;
              v.s3 = c + 3 < in.w ? xp[3] : 0.0f;
              v.s4 = c + 4 < in.w ? xp[4] : 0.0f;
              v.s5 = c + 5 < in.w ? xp[5] : 0.0f;
              v.s6 = c + 6 < in.w ? xp[6] : 0.0f;
            }
        }
      barrier (CLK_LOCAL_MEM_FENCE);
      float16 q = quants16 (w, p1, p2, p3, w_granule + k, lut, &d, &m);
      store16 (ws + t / TILE_R * 16 * TILE_R + t % TILE_R, TILE_R, mad (q, d, m));
      store8 (xs + t / TILE_C * 8 * TILE_C + t % TILE_C, TILE_C, v);
      barrier (CLK_LOCAL_MEM_FENCE);
      TILE_MULTIPLY (ws, xs, acc, tr, tc);
    }

  TILE_FINISH (ws, acc, t, tr, tc, row0, n_rows, 0, n_cols - col0, PIXEL)
}
