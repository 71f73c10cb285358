/* Tiles in bytes, for packed weights (pack.h) and many rows: twice as many products an instruction
 * as in words (kern-words.c), at a price in exactness, for prompts only.
 *
 * The codes of the weights are taken as they are, as signed bytes; nothing of them is rounded. An
 * activation is rounded to one of 256 steps between the smallest and the largest of its block of
 * 32, x = step q + offset, so that for a row of weights w = scale code - min
 *
 *   sum w x = step scale sum code q + offset scale sum code - min sum x.
 *
 * Activations of language models are small but for a few, and one of those makes the steps of 31
 * others coarse. Where it does, the farthest of a block is left out of the range, and what it has
 * beyond is added by itself, exactly. Which ones that are a row decides for itself, so that its
 * numbers do not depend on the rows beside it.
 *
 * Activations spread evenly lose 4e-3 of a sum's size. What that does to models is in
 * docs/performance.md, "Accuracy at this speed".
 *
 * Layouts of a slab:
 *   rows:   Rows
 *   panels: Head in 64 bytes, [8 blocks of 32][FACTORS][16] floats, [n / 4] quads of [16] x 4 codes
 */
#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/kern-codes.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"

/* Compiled for AVX2 with and without its VNNI, and for AVX-512 with it. Without it products of
 * bytes are summed in 16 bits first (FOLDED), as many as surely fit there, and types whose codes
 * have more than five bits are not taken. */
#if defined(__AVXVNNI__)
#define BYTES_NAME atl_cpu_bytes_avx2_vnni
#else
#define BYTES_NAME ATL_SIMD_NAME (atl_cpu_bytes)
#endif

#if defined(ATL_SIMD_AVX2) && !defined(__AVXVNNI__)
#define FOLDED 1
#else
#define FOLDED 0
#endif

#define SLAB 256
#define MAX_BLOCKS (SLAB / 32)
#define HEAD_BYTES 64
/* Rows of a tile taken at a time: their sums, in integers and in floats, stay in registers. */
#define PART_ROWS 6
#define N_PARTS (TILE_ROWS / PART_ROWS)
/* The farthest of a block is left out where that makes its range so much smaller, in squares and in
 * parts of what blocks of the slab have on average. */
#define FAR_GAIN 4.0f
/* Ranges below it are nothing beside others, and one divided by them may be no number. */
#define LEAST_RANGE 1e-30f

/* Factors of a block of 32: the scales of both halves, sum of scale code, the mins of both. */
enum
{
  SCALE_0,
  SCALE_1,
  CODES,
  MIN_0,
  MIN_1,
  FACTORS
};

#define FACTOR_BYTES (FACTORS * 64)
#define CODES_AT (HEAD_BYTES + MAX_BLOCKS * FACTOR_BYTES)

typedef struct
{
  guint32 sixteen, min;
  guint32 fold; /* products of so many quads fit in 16 bits, if all numbers are the largest */
} Head;

/* What activations of some rows have beyond the range of their block, times 2^-24, all of them of
 * one inner element; where a panel has its codes and their scales. A vector that begins as many
 * bytes before a quad as the element is before the last has the codes in the highest byte of each
 * lane. */
typedef struct
{
  guint16 codes_at, scales_at;
  float beyond[PART_ROWS];
} Far;

typedef struct
{
  float step[MAX_BLOCKS][TILE_ROWS];
  float offset[MAX_BLOCKS][TILE_ROWS];
  float sum[MAX_BLOCKS][3][TILE_ROWS]; /* of elements 0-15, 16-31, all */
  gint32 quads[SLAB / 4][TILE_ROWS];
  gint32 room[VW - TILE_ROWS];
  guint32 n_far[N_PARTS];
  Far far[N_PARTS][MAX_BLOCKS * PART_ROWS];
} Rows;

G_STATIC_ASSERT (sizeof (Rows) <= SLAB * TILE_ROWS * 4);
G_STATIC_ASSERT (TILE_ROWS % PART_ROWS == 0);
G_STATIC_ASSERT (CODES_AT + SLAB * 16 <= SLAB * 16 * 4);

/* a + the products of the four bytes of each lane: x without a sign, w with one; FOLDED: sums of
 * two of them fit in 16 bits. */
INLINE vi
dot_quads (vi a, vi x, vi w)
{
#if defined(ATL_SIMD_AVX512)
  return (vi) _mm512_dpbusd_epi32 ((__m512i) a, (__m512i) x, (__m512i) w);
#elif defined(__AVXVNNI__)
  return (vi) _mm256_dpbusd_avx_epi32 ((__m256i) a, (__m256i) x, (__m256i) w);
#else
  const __m256i pairs = _mm256_maddubs_epi16 ((__m256i) x, (__m256i) w);

  return a + (vi) _mm256_madd_epi16 (pairs, _mm256_set1_epi16 (1));
#endif
}

#if FOLDED
/* sum += the same in pairs of 16 bits. */
INLINE void
add_folded (vi *sum, vi x, vi w)
{
  vi pairs;

  __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(*sum), "=&x"(pairs) : "x"(x), "x"(w));
}

INLINE vi
unfolded (vi sum)
{
  return (vi) _mm256_madd_epi16 ((__m256i) sum, _mm256_set1_epi16 (1));
}
#endif

/* --- Rows --- */

/* The ranges of blocks, a row a lane. */
typedef struct
{
  vf lowest, highest;           /* of all elements, and zero */
  vf near_lowest, near_highest; /* without the farthest */
} Range;

INLINE Range
range_of (const float v[32][VW])
{
  vf h1 = vf_set1 (0.0f), h2 = h1, l1 = h1, l2 = h1;
  Range r;
  vi high;

#pragma GCC unroll 4
  for (guint i = 0; i < 32; i++)
    {
      const vf x = vf_load (v[i]);

      h2 = vf_max (h2, vf_min (h1, x));
      h1 = vf_max (h1, x);
      l2 = vf_min (l2, vf_max (l1, x));
      l1 = vf_min (l1, x);
    }
  high = h1 - h2 > l2 - l1;
  r.lowest = l1;
  r.highest = h1;
  r.near_lowest = vf_select (high, l1, l2);
  r.near_highest = vf_select (high, h2, h1);
  return r;
}

/* Puts what is beyond the range of block `b` of row `r` into the list of the row's part, which
 * holds that of earlier rows from entry `begin` on. */
static void
add_far (Rows *out, const float v[32][VW], guint b, guint r, float farthest, guint begin)
{
  const guint part = r / PART_ROWS;
  Far *list = out->far[part];
  guint i = 0, at = begin, codes_at;
  float is;

  while (i < 31 && v[i][r] != farthest)
    i++;
  codes_at = CODES_AT + (b * 8 + i / 4) * 64 + i % 4 - 3;
  while (at < out->n_far[part] && list[at].codes_at != codes_at)
    at++;
  if (at == out->n_far[part])
    {
      list[at] = (Far){ .codes_at = (guint16) codes_at };
      list[at].scales_at = (guint16) (HEAD_BYTES + b * FACTOR_BYTES + (SCALE_0 + i / 16) * 64);
      out->n_far[part]++;
    }
  is =
      out->step[b][r] * ((const guint8 *) &out->quads[b * 8 + i / 4][r])[i % 4] + out->offset[b][r];
  list[at].beyond[r % PART_ROWS] = (farthest - is) * 0x1p-24f;
  out->sum[b][i / 16][r] += farthest - is;
  out->sum[b][2][r] += farthest - is;
}

/* Rounds a block; `far`: its farthest is left out of the range. */
INLINE void
round_block (const float v[32][VW], guint b, Range range, vi far, Rows *out)
{
  const vf none = vf_set1 (0.0f), most = vf_set1 (255.0f);
  const vf low = vf_select (far, range.near_lowest, range.lowest);
  const vf size = vf_select (far, range.near_highest, range.highest) - low;
  const vf inverse = vf_select (size > LEAST_RANGE, most / size, none);
  const vf step = vf_select (size > LEAST_RANGE, size * (1.0f / 255.0f), none);
  vf sum[2];

#pragma GCC unroll 2
  for (guint half = 0; half < 2; half++)
    {
      vi total = vi_set1 (0);

#pragma GCC unroll 4
      for (guint q = 4 * half; q < 4 * half + 4; q++)
        {
          vi quad = vi_set1 (0);

#pragma GCC unroll 4
          for (guint i = 0; i < 4; i++)
            {
              const vf x = (vf_load (v[4 * q + i]) - low) * inverse;
              const vi code = vi_round (vf_min (vf_max (x, none), most));

              total += code;
              quad |= (vi) ((vu) code << 8 * i);
            }
          /* What a vector has beyond TILE_ROWS is overwritten by the next, after the last there
           * is room. */
          vf_store (out->quads[b * 8 + q], (vf) quad);
        }
      sum[half] = vf_from_vi (total) * step + low * 16.0f;
      vf_store_some (out->sum[b][half], TILE_ROWS, sum[half]);
    }
  vf_store_some (out->sum[b][2], TILE_ROWS, sum[0] + sum[1]);
  vf_store_some (out->step[b], TILE_ROWS, step);
  vf_store_some (out->offset[b], TILE_ROWS, low);
}

/* n <= SLAB elements of at most TILE_ROWS rows, from `k` on. */
static void
prepare_slab (const float *const *rows, gint64 n_rows, gint64 k, gint64 n, Rows *out)
{
  float turned[SLAB][VW] __attribute__ ((aligned (64)));
  Range ranges[MAX_BLOCKS];
  vf gains[MAX_BLOCKS], mean = vf_set1 (0.0f), check = vf_set1 (0.0f), first;
  const guint n_blocks = (guint) n / 32;

  for (gint64 at = 0; at < n; at += VW)
    {
      vf square[VW];

#pragma GCC unroll 16
      for (gint64 r = 0; r < VW; r++)
        square[r] = r < TILE_ROWS && r < n_rows ? vf_load (rows[r] + k + at) : vf_set1 (0.0f);
      turn_square (square);
#pragma GCC unroll 16
      for (guint i = 0; i < VW; i++)
        {
          vf_store (turned[at + i], square[i]);
          check += square[i] * 0.0f;
        }
    }
  for (guint b = 0; b < n_blocks; b++)
    {
      const Range r = range_of (turned + b * 32);
      const vf all = r.highest - r.lowest, near = r.near_highest - r.near_lowest;

      ranges[b] = r;
      gains[b] = all * all - near * near;
      mean += near * near;
    }
  mean *= FAR_GAIN / (float) n_blocks;
  memset (out->n_far, 0, sizeof out->n_far);
  for (guint b = 0; b < n_blocks; b++)
    {
      const vi far = gains[b] > mean;
      guint begin[N_PARTS];
      gint32 is_far[VW];
      float farthest[VW];

      round_block (turned + b * 32, b, ranges[b], far, out);
      memcpy (is_far, &far, sizeof far);
      vf_store (farthest, vf_select (ranges[b].near_lowest > ranges[b].lowest, ranges[b].lowest,
                                     ranges[b].highest));
      memcpy (begin, out->n_far, sizeof begin);
      for (guint r = 0; r < TILE_ROWS; r++)
        if (is_far[r])
          add_far (out, turned + b * 32, b, r, farthest[r], begin[r / PART_ROWS]);
    }
  /* Infinities and values that are no numbers are not lost in integers: they spoil the row. */
  first = vf_load_some (out->step[0], TILE_ROWS);
  vf_store_some (out->step[0], TILE_ROWS, first + check);
}

/* --- Panels --- */

/* What makes the codes of a type signed bytes: what is subtracted from them, or, where a type has
 * minima, the middle of the codes. */
INLINE gint32
signed_offset (AtlDType t)
{
  switch (t)
    {
    case ATL_DTYPE_Q4_1:
    case ATL_DTYPE_Q4_K:
      return 8;
    case ATL_DTYPE_Q5_1:
    case ATL_DTYPE_Q5_K:
      return 16;
    case ATL_DTYPE_Q2_K:
    case ATL_DTYPE_IQ1_S:
      return 2;
    default:
      return code_offset (t);
    }
}

/* Quads of codes of at most 8 or 16, positive or negative, whose products with 255 fit in 16 bits:
 * 2 * 255 * 16 * 4 = 32640. With larger ones words are as fast. */
INLINE guint
fold_of (AtlDType t)
{
  switch (t)
    {
    case ATL_DTYPE_Q5_0:
    case ATL_DTYPE_Q5_1:
    case ATL_DTYPE_Q5_K:
    case ATL_DTYPE_MXFP4:
    case ATL_DTYPE_NVFP4:
    case ATL_DTYPE_IQ3_S:
    case ATL_DTYPE_IQ1_M:
      return 4;
    default:
      return is_bytes (t) || t == ATL_DTYPE_Q6_K ? 0 : 8;
    }
}

INLINE void
panel_body (AtlDType t, const guint8 *group, gint64 n_in, gint64 k, gint64 n, guint8 *out)
{
  const AtlPackInfo *info = atl_pack_info (t);
  const guint8 *quants = group + atl_pack_meta_bytes (info, n_in);
  const Head head = { .sixteen = is_sixteen (t), .min = has_min (t), .fold = fold_of (t) };
  const guint second = is_sixteen (t) ? 1 : 0;
  const gint32 offset = signed_offset (t);
  const float middle = (float) (offset - code_offset (t));
  guint8 *to = out + CODES_AT;
  guint8 *factor = out + HEAD_BYTES;

  memcpy (out, &head, sizeof head);
  for (gint64 b = k / 32; b < (k + n) / 32; b++, to += 32 * 16, factor += FACTOR_BYTES)
    {
      /* The next slab's codes, which come while this one is multiplied. */
      for (guint at = 0; at < quant_bytes_of (t); at += 64)
        __builtin_prefetch (quants + (b + MAX_BLOCKS) * quant_bytes_of (t) + at, 0, 2);
      for (guint half = 0; half < 64 / VB; half++)
        {
          const guint8 *lines = quants + b * info->quant_bytes;
          const guint8 *meta = group + (b / unit_blocks (t)) * info->meta_bytes;
          const guint sub = b % unit_blocks (t);
          const Factors f = factors (t, unit_factors (t, meta, half), meta, sub, half);
          guint8 *lane = factor + half * VB;
          vi sum[2] = { { 0 }, { 0 } };

#pragma GCC unroll 8
          for (guint q = 0; q < 8; q++)
            {
              const vi w = (vi) (codes (t, lines, meta, sub, q, half) - (guint8) offset);

              sum[q / 4] = dot_quads (sum[q / 4], vi_set1 (0x01010101), w);
              vf_store (to + q * 64 + half * VB, (vf) w);
            }
          vf_store (lane + SCALE_0 * 64, f.scale[0]);
          vf_store (lane + SCALE_1 * 64, f.scale[second]);
          vf_store (lane + CODES * 64,
                    vf_from_vi (sum[0]) * f.scale[0] + vf_from_vi (sum[1]) * f.scale[second]);
          vf_store (lane + MIN_0 * 64, f.min[0] - middle * f.scale[0]);
          vf_store (lane + MIN_1 * 64, f.min[second] - middle * f.scale[second]);
        }
    }
}

/* --- Tiles --- */

/* dot[r][j]: products of quads [at, at + n) of rows [from, from + PART_ROWS) and two vectors of
 * outputs; FOLDED: in pairs of 16 bits. */
INLINE void
dot_part (guint from,
          gsize at,
          guint n,
          const Rows *a,
          const guint8 *const panel[2],
          vi dot[PART_ROWS][2])
{
#pragma GCC unroll 12
  for (guint r = 0; r < PART_ROWS; r++)
    dot[r][0] = dot[r][1] = vi_set1 (0);
#pragma GCC unroll 2
  for (guint q = 0; q < n; q++)
    {
      const vi w0 = (vi) vf_load (panel[0] + CODES_AT + (at + q) * 64);
      const vi w1 = (vi) vf_load (panel[1] + CODES_AT + (at + q) * 64);

#pragma GCC unroll 12
      for (guint r = 0; r < PART_ROWS; r++)
        {
          const vi x = vi_set1 (a->quads[at + q][from + r]);

#if FOLDED
          add_folded (&dot[r][0], x, w0);
          add_folded (&dot[r][1], x, w1);
#else
          dot[r][0] = dot_quads (dot[r][0], x, w0);
          dot[r][1] = dot_quads (dot[r][1], x, w1);
#endif
        }
    }
}

#if FOLDED
/* The same in 32 bits, `fold` quads at a time, of which n is a multiple. */
INLINE void
dot_folded (guint from,
            gsize at,
            guint n,
            guint fold,
            const Rows *a,
            const guint8 *const panel[2],
            vi dot[PART_ROWS][2])
{
  vi some[PART_ROWS][2];

  dot_part (from, at, fold, a, panel, some);
#pragma GCC unroll 12
  for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      dot[r][j] = unfolded (some[r][j]);
  for (guint q = fold; q < n; q += fold)
    {
      dot_part (from, at + q, fold, a, panel, some);
#pragma GCC unroll 12
      for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
        for (guint j = 0; j < 2; j++)
          dot[r][j] += unfolded (some[r][j]);
    }
}
#endif

/* Rows [from, from + PART_ROWS) x two vectors of outputs, which are at `panel`. */
INLINE void
part_body (gboolean sixteen,
           gboolean min,
           guint from,
           gint64 n_k,
           const Rows *a,
           const guint8 *const panel[2],
           float *c,
           gint64 ldc,
           gboolean add,
           const Rows *next)
{
  const guint n_pieces = sixteen ? 2 : 1;
  const guint n_quads = 8 / n_pieces;
#if FOLDED
  const guint fold = ((const Head *) panel[0])->fold; /* both are of one panel */
#endif
  vf sum[PART_ROWS][2];

#pragma GCC unroll 12
  for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      sum[r][j] = add ? vf_load (c + (from + r) * ldc + j * VW) : vf_set1 (0.0f);
  /* These first: nothing of the rest waits for them, but they would wait for its last sums. */
  for (guint i = 0; i < a->n_far[from / PART_ROWS]; i++)
    {
      const Far *f = &a->far[from / PART_ROWS][i];
      vf w[2];

#pragma GCC unroll 2
      for (guint j = 0; j < 2; j++)
        {
          const vi code = (vi) vf_load (panel[j] + f->codes_at) & (gint32) 0xff000000;

          w[j] = vf_from_vi (code) * vf_load (panel[j] + f->scales_at);
        }
#pragma GCC unroll 12
      for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
        for (guint j = 0; j < 2; j++)
          sum[r][j] += w[j] * f->beyond[r];
    }
  for (gint64 b = 0; b < n_k / 32; b++)
    {
      const gsize factor = HEAD_BYTES + (gsize) b * FACTOR_BYTES;

      ask_for_part (next, offsetof (Rows, n_far), (gsize) b * N_PARTS + from / PART_ROWS,
                    MAX_BLOCKS * N_PARTS);
      for (guint s = 0; s < n_pieces; s++)
        {
          const gsize at = (gsize) (b * 8 + s * n_quads);
          vi dot[PART_ROWS][2];

#if FOLDED
          if (fold >= n_quads)
            dot_folded (from, at, n_quads, n_quads, a, panel, dot);
          else
            dot_folded (from, at, n_quads, 4, a, panel, dot);
#else
          dot_part (from, at, n_quads, a, panel, dot);
#endif
#pragma GCC unroll 12
          for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
            for (guint j = 0; j < 2; j++)
              sum[r][j] += vf_from_vi (dot[r][j]) * a->step[b][from + r] *
                           vf_load (panel[j] + factor + (SCALE_0 + s) * 64);
        }
#pragma GCC unroll 12
      for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
        for (guint j = 0; j < 2; j++)
          {
            sum[r][j] += vf_load (panel[j] + factor + CODES * 64) * a->offset[b][from + r];
            if (min && !sixteen)
              sum[r][j] -= vf_load (panel[j] + factor + MIN_0 * 64) * a->sum[b][2][from + r];
            if (min && sixteen)
              sum[r][j] -= vf_load (panel[j] + factor + MIN_0 * 64) * a->sum[b][0][from + r] +
                           vf_load (panel[j] + factor + MIN_1 * 64) * a->sum[b][1][from + r];
          }
    }
#pragma GCC unroll 12
  for (guint r = 0; r < PART_ROWS; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      vf_store (c + (from + r) * ldc + j * VW, sum[r][j]);
}

#define ROWS TILE_ROWS
#include "engine/tensor/cpu/kern-packed-tiles.h"

#if FOLDED
static gboolean
takes (AtlDType dtype)
{
  return fold_of (atl_pack_alike (dtype)) > 0;
}
#endif

const AtlCpuTiles BYTES_NAME = {
#if FOLDED
  .takes = takes,
#endif
  .pack_panel = pack_panel,
  .prepare_rows = prepare_rows,
  .tile_ahead = tile_of_panels,
  .n_rows = TILE_ROWS,
  .slab_bytes = sizeof (Rows),
};
