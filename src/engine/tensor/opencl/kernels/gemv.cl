// Products with few columns of x, straight from memory: a template, compiled for COLUMNS = 1, 4, 8.
// What it computes and its operands: linear.cl.
//
// Work-group: GEMV_LANES x GEMV_GROUPS. The lanes of one group share GEMV_ROWS rows of W and COLUMNS
// columns: lane l takes granules l, l + LANES, ... (so that neighbours read neighbouring bytes), and
// the lanes' sums meet in local memory.
// Group id 0: GEMV_GROUPS * GEMV_ROWS rows; group id 1: COLUMNS columns (one with HAS_IDS).

__kernel __attribute__ ((reqd_work_group_size (GEMV_LANES, GEMV_GROUPS, 1))) void
JOIN (gemv_, COLUMNS) (__global const uchar *w, ulong p1, ulong p2, ulong p3, uint k16, uint n_rows,
                       __global const float *x, ulong x_off, uint x_stride, uint n_cols,
                       uint x_div, __global const int *ids, ulong ids_off, uint n_experts,
                       EPILOGUE_ARGS)
{
  __local float lut[16];
  __local float part[GEMV_GROUPS][GEMV_ROWS * COLUMNS][GEMV_LANES];
  const uint lane = get_local_id (0), group = get_local_id (1);
  const uint row0 = ((uint) get_group_id (0) * GEMV_GROUPS + group) * GEMV_ROWS;
  const uint col0 = (uint) get_group_id (1) * COLUMNS;
  const uint last_row = n_rows - min (n_rows, 1u);
  const uint last_col = n_cols - min (n_cols, 1u);
  ulong first = 0;
  ulong base[GEMV_ROWS];
  __global const float *xp[COLUMNS];
  float acc[GEMV_ROWS][COLUMNS];

  QUANTS_LUT (lut);
  barrier (CLK_LOCAL_MEM_FENCE);
  if (flags & HAS_IDS)
    first = (ulong) min ((uint) ids[ids_off + min (col0, last_col)], n_experts - 1) * n_rows;
  // All loops over rows and columns are unrolled, so that these arrays are registers. Rows and
  // columns past the end repeat the last one and are not stored.
#pragma unroll
  for (int j = 0; j < COLUMNS; j++)
    xp[j] = x + x_off + (n_cols > 0 ? (ulong) (min (col0 + j, last_col) / x_div) * x_stride : 0);
#pragma unroll
  for (int i = 0; i < GEMV_ROWS; i++)
    {
      base[i] = (first + min (row0 + i, last_row)) * k16;
#pragma unroll
      for (int j = 0; j < COLUMNS; j++)
        acc[i][j] = 0.0f;
    }
  for (uint k = lane; k < k16; k += GEMV_LANES)
    {
      float16 xv[COLUMNS];
#pragma unroll
      for (int j = 0; j < COLUMNS; j++)
        xv[j] = load16 (xp[j] + k * 16);
#pragma unroll
      for (int i = 0; i < GEMV_ROWS; i++)
        {
          float d, m;
          float16 q = quants16 (w, p1, p2, p3, base[i] + k, lut, &d, &m);
#pragma unroll
          for (int j = 0; j < COLUMNS; j++)
            {
              acc[i][j] = mad (d, dot16 (q, xv[j]), acc[i][j]);
              if (HAS_MIN)
                acc[i][j] = mad (m, sum16 (xv[j]), acc[i][j]);
            }
        }
    }
#pragma unroll
  for (int i = 0; i < GEMV_ROWS; i++)
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
      part[group][i * COLUMNS + j][lane] = acc[i][j];
  barrier (CLK_LOCAL_MEM_FENCE);
  // Eight sums for each result, then one: barriers cost more than additions.
  for (uint i = lane; i < GEMV_ROWS * COLUMNS * 8; i += GEMV_LANES)
    {
      __local float *sums = part[group][i / 8];
      for (uint l = i % 8 + 8; l < GEMV_LANES; l += 8)
        sums[i % 8] += sums[l];
    }
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = lane; i < GEMV_ROWS * COLUMNS; i += GEMV_LANES)
    {
      uint r = row0 + i / COLUMNS, c = col0 + i % COLUMNS;
      if (r < n_rows && c < n_cols)
        {
          const float4 sums = vload4 (0, part[group][i]) + vload4 (1, part[group][i]);
          finish (EPILOGUE_PASS, c, r, first + r, sum4 (sums));
        }
    }
}
