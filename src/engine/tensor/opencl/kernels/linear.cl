// Products of activations and weights; embedding. One program per weight type: common.cl, unpack.cl,
// the type's dequant-*.cl, tile.cl, this file, then gemv.cl for each number of columns.
//
//   dst[c, r] = act (scale * (x[c'] . W[r']) + bias[r'']) * a * mul[c, r] + residual[c, r]
//
// W is [rows, K] in granules of 16 weights (see the dequant file); `k16` = K / 16 is even. x is
// float32, 16-byte aligned, rows `x_stride` floats apart (a multiple of 4), K of them: the host packs
// what does not fit. Column c is a token or, with HAS_IDS, a (token, chosen expert) pair: it then
// uses rows [ids[c] * n_rows, ...) of W and bias, and x' row c / x_div.

// --- Many columns --------------------------------------------------------------------------
// Work-group: one tile (tile.cl).
// Group id + begin, 0: tile of columns, or with HAS_IDS entry of `tiles`: (expert, first position
// in `order`, count, unused), which lists the columns by expert; 1: tile of rows.

#define COLUMN(i) (flags & HAS_IDS ? (uint) order[order_off + first_pos + (i)] : first_pos + (i))

__kernel __attribute__ ((reqd_work_group_size (256, 1, 1))) void
gemm (__global const uchar *w, ulong p1, ulong p2, ulong p3, uint k16, uint n_rows,
      __global const float *x, ulong x_off, uint x_stride, uint n_cols, uint x_div,
      __global const int *order, ulong order_off, __global const int4 *tiles, ulong tiles_off,
      uint4 begin, EPILOGUE_ARGS)
{
  __local float lut[16];
  __local float ws[TILE_K * TILE_R];
  __local float xs[TILE_K * TILE_C];
  const uint t = get_local_id (0);
  const uint tile_at = begin.x + (uint) get_group_id (0);
  const uint row0 = (begin.y + (uint) get_group_id (1)) * TILE_R;
  const uint tr = t % 16, tc = t / 16;
  uint first_pos = tile_at * TILE_C;
  uint count = first_pos < n_cols ? min (n_cols - first_pos, (uint) TILE_C) : 0;
  ulong first = 0;
  float8 acc[4];

  QUANTS_LUT (lut);
  if (flags & HAS_IDS)
    {
      int4 tile = tiles[tiles_off + tile_at];
      first = (ulong) tile.x * n_rows;
      first_pos = tile.y;
      count = tile.z;
    }
  if (count == 0 || row0 >= n_rows)
    return;

  // What this work-item loads in every slice.
  const ulong w_granule = (first + min (row0 + t % TILE_R, n_rows - 1)) * k16 + t / TILE_R;
  const uint x_col = COLUMN (min (t % TILE_C, count - 1));
  __global const float *xp = x + x_off + (ulong) (x_col / x_div) * x_stride + t / TILE_C * 8;
#pragma unroll
  for (int j = 0; j < 4; j++)
    acc[j] = 0.0f;

  for (uint k = 0; k < k16; k += TILE_K / 16)
    {
      float d, m = 0.0f;
      barrier (CLK_LOCAL_MEM_FENCE);
      float16 q = quants16 (w, p1, p2, p3, w_granule + k, lut, &d, &m);
      store16 (ws + t / TILE_R * 16 * TILE_R + t % TILE_R, TILE_R, mad (q, d, m));
      __global const float4 *xq = (__global const float4 *) (xp + k * 16);
      store8 (xs + t / TILE_C * 8 * TILE_C + t % TILE_C, TILE_C, (float8) (xq[0], xq[1]));
      barrier (CLK_LOCAL_MEM_FENCE);
      TILE_MULTIPLY (ws, xs, acc, tr, tc);
    }

  TILE_FINISH (ws, acc, t, tr, tc, row0, n_rows, first, count, COLUMN)
}

// --- Rows looked up ------------------------------------------------------------------------
// Global id 0 = granule of the row, 1 = index into ids.

__kernel ITEMS void
embed (__global const uchar *w, ulong p1, ulong p2, ulong p3, uint k16, uint n_rows, uint dim,
       __global const int *ids, ulong ids_off, uint n, __global float *dst, ulong dst_off, float a)
{
  __local float lut[16];
  const uint k = get_global_id (0);
  const uint count = min (dim - min (k * 16, dim), 16u);

  QUANTS_LUT (lut);
  barrier (CLK_LOCAL_MEM_FENCE);
  if (k >= k16)
    return;
  FOR_ROWS (i, n)
    {
      const uint row = min ((uint) ids[ids_off + i], n_rows - 1);
      float d, m = 0.0f;
      const float16 q = quants16 (w, p1, p2, p3, (ulong) row * k16 + k, lut, &d, &m);
      const float16 value = mad (q, d, m) * a;
      const float v[16] = SPREAD16 (value);
#pragma unroll
      for (uint j = 0; j < 16; j++)
        if (j < count)
          dst[dst_off + (ulong) i * dim + k * 16 + j] = v[j];
    }
}
