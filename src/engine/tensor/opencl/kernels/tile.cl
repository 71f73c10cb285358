// What linear.cl and conv.cl share: the epilogue, the product of two tiles in local memory, and the
// way of the result out.
//
// A tile is TILE_R rows of W by TILE_C columns of x, made by 256 work-items; K goes by in slices of
// TILE_K, both operands stored K-major. Work-item t loads granule t / TILE_R of row t % TILE_R of W,
// and 8 values of column t % TILE_C; it owns rows 4 (t % 16) .. + 3 and 64 more, and columns
// 4 (t / 16) .. + 3.

#ifndef HAS_MIN
#define HAS_MIN 0
#endif

#define EPILOGUE_ARGS                                                                              \
  __global float *dst, ulong dst_off, uint dst_stride, __global const float *bias, ulong bias_off, \
      __global const float *mul, ulong mul_off, uint mul_stride, __global const float *residual,   \
      ulong residual_off, uint residual_stride, float scale, float a, int act, int flags
#define EPILOGUE_PASS                                                                              \
  dst, dst_off, dst_stride, bias, bias_off, mul, mul_off, mul_stride, residual, residual_off,      \
      residual_stride, scale, a, act, flags

// `r` counts in dst, `bias_row` in the whole bias (of all experts).
void
finish (EPILOGUE_ARGS, uint c, uint r, ulong bias_row, float acc)
{
  float v = acc * scale;

  if (flags & HAS_BIAS)
    v += bias[bias_off + bias_row];
  v = activate (act, v) * a;
  if (flags & HAS_MUL)
    v *= mul[mul_off + (ulong) c * mul_stride + r];
  if (flags & HAS_RESIDUAL)
    v += residual[residual_off + (ulong) c * residual_stride + r];
  dst[dst_off + (ulong) c * dst_stride + r] = v;
}

#define TILE_R 128
#define TILE_C 64
#define TILE_K 32

#define TILE_MULTIPLY(ws, xs, acc, tr, tc)                                                         \
  for (uint k = 0; k < TILE_K; k++)                                                                \
    {                                                                                              \
      float8 wv = (float8) (vload4 (0, (ws) + k * TILE_R + (tr) * 4),                              \
                            vload4 (0, (ws) + k * TILE_R + 64 + (tr) * 4));                        \
      float4 xv = vload4 (0, (xs) + k * TILE_C + (tc) * 4);                                        \
      acc[0] = mad (wv, xv.x, acc[0]);                                                             \
      acc[1] = mad (wv, xv.y, acc[1]);                                                             \
      acc[2] = mad (wv, xv.z, acc[2]);                                                             \
      acc[3] = mad (wv, xv.w, acc[3]);                                                             \
    }

// Sums of one column in four at a time go through local memory, so that neighbours store neighbouring
// rows and the epilogue is there four times, not 32. `column` maps a column of the tile to c.
#define TILE_FINISH(ws, acc, t, tr, tc, row0, n_rows, first, count, column)                        \
  _Pragma ("unroll") for (uint j = 0; j < 4; j++)                                                  \
    {                                                                                              \
      barrier (CLK_LOCAL_MEM_FENCE);                                                               \
      vstore4 (acc[j].lo, 0, (ws) + (tc) * TILE_R + (tr) * 4);                                     \
      vstore4 (acc[j].hi, 0, (ws) + (tc) * TILE_R + 64 + (tr) * 4);                                \
      barrier (CLK_LOCAL_MEM_FENCE);                                                               \
      for (uint i = (t); i < TILE_C / 4 * TILE_R; i += 256)                                        \
        {                                                                                          \
          const uint in_tile = i / TILE_R * 4 + j, r = (row0) + i % TILE_R;                        \
          if (in_tile < (count) && r < (n_rows))                                                   \
            finish (EPILOGUE_PASS, column (in_tile), r, (first) + r, (ws)[i]);                     \
        }                                                                                          \
    }

void
store16 (__local float *p, uint stride, float16 v)
{
  p[0] = v.s0;
  p[stride] = v.s1;
  p[2 * stride] = v.s2;
  p[3 * stride] = v.s3;
  p[4 * stride] = v.s4;
  p[5 * stride] = v.s5;
  p[6 * stride] = v.s6;
  p[7 * stride] = v.s7;
  p[8 * stride] = v.s8;
  p[9 * stride] = v.s9;
  p[10 * stride] = v.sa;
  p[11 * stride] = v.sb;
  p[12 * stride] = v.sc;
  p[13 * stride] = v.sd;
  p[14 * stride] = v.se;
  p[15 * stride] = v.sf;
}

void
store8 (__local float *p, uint stride, float8 v)
{
  p[0] = v.s0;
  p[stride] = v.s1;
  p[2 * stride] = v.s2;
  p[3 * stride] = v.s3;
  p[4 * stride] = v.s4;
  p[5 * stride] = v.s5;
  p[6 * stride] = v.s6;
  p[7 * stride] = v.s7;
}
