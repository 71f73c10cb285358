/* Tiles in 16-bit integers for packed weights (pack.h) where there are no tiles of AMX: twice as
 * many products an instruction as in floats.
 *
 * The codes of packed weights are taken as they are, so nothing of them is rounded; activations are
 * rounded to 16 bits of the largest of a row in a slab of up to 256 inner elements. A piece, the 32
 * (or 16) elements that share a scale of the weight, is summed exactly in 32 bits: 32 codes of
 * eight bits times 2^15 are below 2^28. Then the sums become floats, times the scales of the piece;
 * what a type subtracts as a minimum is multiplied with the sums of the activations of the piece.
 *
 * Two elements meet in one instruction: of each quad the first and third, then the second and
 * fourth, since those of packed codes fall apart so with a mask and a shift.
 *
 * Layouts of a slab:
 *   rows:   [WORD_ROWS] scales, [8 blocks of 32][elements 0-15, 16-31, all][WORD_ROWS] sums,
 *           floats; [n / 2][WORD_ROWS] pairs of words
 *   panels: 64 bytes of what is in it, [n / 2][16] pairs of words, [n / 32][4][16] floats: scales
 *           of both halves of a block, minima of both
 *
 * Where sums are crossed (kern-dot.h) both have also minus the sums of products of neighbouring
 * pairs, of elements 0-15, 16-31 and all of a block.
 */
#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/cpu/kern-codes.h"
#include "engine/tensor/cpu/kern-dot.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"

/* Compiled for AVX2 with and without its VNNI, and for AVX-512 with it in both forms. */
#if defined(ATL_CROSSED)
#define WORDS_NAME atl_cpu_words_avx512_crossed
#elif defined(__AVXVNNI__)
#define WORDS_NAME atl_cpu_words_avx2_vnni
#else
#define WORDS_NAME ATL_SIMD_NAME (atl_cpu_words)
#endif

#define SLAB 256
#define HEAD_BYTES 64
#if CROSSED
#define LARGEST 32639.0f /* beside a code of eight bits */
#define FACTOR_BYTES 448 /* of a block of 32 */
#else
#define LARGEST 32767.0f
#define FACTOR_BYTES 256
#endif
#define CROSSED_AT 256

/* What a panel has beside one scale a block. */
typedef struct
{
  guint32 sixteen, min;
} Head;

typedef struct
{
  float scale[WORD_ROWS];
  float sum[SLAB / 32][3][WORD_ROWS];
#if CROSSED
  gint32 crossed[SLAB / 32][3][WORD_ROWS];
#endif
  gint32 words[SLAB / 2][WORD_ROWS];
  gint32 room[VW - WORD_ROWS];
} Rows;

G_STATIC_ASSERT (sizeof (Rows) <= SLAB * WORD_ROWS * 4);
G_STATIC_ASSERT (WORD_ROWS % WORD_PART == 0);
G_STATIC_ASSERT (HEAD_BYTES + SLAB * 32 + SLAB / 32 * FACTOR_BYTES <= SLAB * 16 * 4);

/* --- Rows --- */

/* The scale of a row: what its values are multiplied with to become words, 0 for nothing but values
 * that are nothing beside the others. */
INLINE float
row_scale (const float *x, gint64 n, float *check)
{
  vf largest = vf_set1 (0.0f), checks = vf_set1 (0.0f);
  float size, inverse;

  for (gint64 i = 0; i < n; i += VW)
    {
      const vf v = vf_load (x + i);

      largest = vf_max (largest, vf_abs (v));
      checks += v * 0.0f;
    }
  *check = vf_sum (checks);
  size = vf_largest (largest);
  inverse = size > 0.0f ? LARGEST / size : 0.0f;
  /* Values so small that the inverse overflows are nothing beside the others. */
  return isfinite (inverse) ? inverse : 0.0f;
}

/* The words of 2 VW elements, two a lane: of each quad the first and third, the second and fourth.
 */
INLINE vf
pair_words (vi a, vi b)
{
#if VW == 16
  const vu even = { 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29 };
#else
  const vu even = { 0, 1, 4, 5, 8, 9, 12, 13 };
#endif
  const vi low = atl_shuffle (a, b, even), high = atl_shuffle (a, b, even + 2);

  return (vf) join_words (low, high);
}

/* Sums of both halves of a block, a row a lane. */
INLINE void
store_sums (float sums[3][WORD_ROWS], vi first, vi second)
{
  vf_store_some (sums[0], WORD_ROWS, vf_from_vi (first));
  vf_store_some (sums[1], WORD_ROWS, vf_from_vi (second));
  vf_store_some (sums[2], WORD_ROWS, vf_from_vi (first + second));
}

#if CROSSED
/* The same, negated, of the first n rows or outputs; `stride` lanes apart. */
INLINE void
store_crossed (gint32 *to, gsize stride, gint64 n, vi first, vi second)
{
  vf_store_some ((float *) to, n, (vf) - (vu) first);
  vf_store_some ((float *) to + stride, n, (vf) - (vu) second);
  vf_store_some ((float *) to + 2 * stride, n, (vf) - (vu) sum_wrapping (first, second));
}
#endif

/* n <= SLAB elements of at most WORD_ROWS rows. */
INLINE void
prepare_slab (const float *const *rows, gint64 n_rows, gint64 k, gint64 n, Rows *out)
{
  gint32 *words = &out->words[0][0];
  float scale[WORD_ROWS] = { 0.0f };
#if VW < 16
  vi first = { 0 }, first_crossed = { 0 };
#endif

  for (gint64 r = 0; r < WORD_ROWS; r++)
    {
      float check = 0.0f;

      scale[r] = r < n_rows ? row_scale (rows[r] + k, n, &check) : 0.0f;
      out->scale[r] = scale[r] > 0.0f ? 1.0f / scale[r] : 0.0f;
      /* Infinities and values that are no numbers are not lost in integers: they spoil the row. */
      if (isnan (check))
        out->scale[r] = NAN;
    }
  for (gint64 at = 0; at < n; at += 2 * VW)
    {
      vf square[VW];
      vi sum[2] = { { 0 }, { 0 } };
#if CROSSED
      vi crossed[2] = { { 0 }, { 0 } };
#endif

#pragma GCC unroll 16
      for (gint64 r = 0; r < VW; r++)
        {
          square[r] = vf_set1 (0.0f);
          if (r < WORD_ROWS && r < n_rows)
            square[r] = pair_words (vi_round (vf_load (rows[r] + k + at) * scale[r]),
                                    vi_round (vf_load (rows[r] + k + at + VW) * scale[r]));
        }
      turn_square (square);
      /* What a vector has beyond WORD_ROWS is overwritten by the next, after the last there is
       * room.
       */
#pragma GCC unroll 16
      for (guint i = 0; i < VW; i++)
        {
          vf_store (words + (at / 2 + i) * WORD_ROWS, square[i]);
          sum[i / (VW / 2)] = dot_words (sum[i / (VW / 2)], (vi) square[i], vi_set1 (0x10001));
#if CROSSED
          if (i % 2 == 1)
            crossed[i / (VW / 2)] =
                dot_words (crossed[i / (VW / 2)], (vi) square[i - 1], (vi) square[i]);
#endif
        }
#if VW < 16
      /* Half a block. */
      if (at % 32 == 0)
        {
          first = sum[0] + sum[1];
          first_crossed = sum_wrapping (crossed[0], crossed[1]);
          continue;
        }
      sum[1] += sum[0];
      sum[0] = first;
      crossed[1] = sum_wrapping (crossed[1], crossed[0]);
      crossed[0] = first_crossed;
#endif
      store_sums (out->sum[at / 32], sum[0], sum[1]);
#if CROSSED
      store_crossed (out->crossed[at / 32][0], WORD_ROWS, WORD_ROWS, crossed[0], crossed[1]);
#endif
    }
}

/* --- Panels --- */

INLINE void
panel_body (AtlDType t, const guint8 *group, gint64 n_in, gint64 k, gint64 n, guint8 *out)
{
  const AtlPackInfo *info = atl_pack_info (t);
  const guint8 *quants = group + atl_pack_meta_bytes (info, n_in);
  const Head head = { .sixteen = is_sixteen (t), .min = has_min (t) };
  guint8 *words = out + HEAD_BYTES;
  guint8 *factor = words + n * 32;

  memcpy (out, &head, sizeof head);
  for (gint64 b = k / 32; b < (k + n) / 32; b++, words += 32 * 32, factor += FACTOR_BYTES)
    for (guint half = 0; half < 64 / VB; half++)
      {
        const guint8 *lines = quants + b * info->quant_bytes;
        const guint8 *meta = group + (b / unit_blocks (t)) * info->meta_bytes;
        const Factors f =
            factors (t, unit_factors (t, meta, half), meta, b % unit_blocks (t), half);
        const guint second = is_sixteen (t) ? 1 : 0;
        const vh offset = (gint16) code_offset (t) - (vh){ 0 };
        vi crossed[2] = { { 0 }, { 0 } };

#pragma GCC unroll 8
        for (guint q = 0; q < 8; q++)
          {
            const vu w = (vu) codes (t, lines, meta, b % unit_blocks (t), q, half);
            const vh odd = (vh) (w & 0x00ff00ff), even = (vh) (w >> 8 & 0x00ff00ff);

            vf_store (words + (2 * q) * 64 + half * VB, (vf) (odd - offset));
            vf_store (words + (2 * q + 1) * 64 + half * VB, (vf) (even - offset));
            crossed[q / 4] = dot_words (crossed[q / 4], (vi) (odd - offset), (vi) (even - offset));
          }
        vf_store (factor + half * VB, f.scale[0]);
        vf_store (factor + 64 + half * VB, f.scale[second]);
        vf_store (factor + 128 + half * VB, f.min[0]);
        vf_store (factor + 192 + half * VB, f.min[second]);
#if CROSSED
        store_crossed ((gint32 *) (factor + CROSSED_AT + half * VB), 16, VW, crossed[0],
                       crossed[1]);
#endif
      }
}

/* --- Tiles --- */

/* Rows [from, from + WORD_PART) x two vectors of outputs, which are at `panel`. */
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
  const guint n_parts = WORD_ROWS / WORD_PART;
  const guint n_pieces = sixteen ? 2 : 1;
  const guint n_pairs = 16 / n_pieces;
  const gsize factors_at = HEAD_BYTES + (gsize) n_k * 32;
  vf sum[WORD_PART][2];

#pragma GCC unroll 12
  for (guint r = 0; r < WORD_PART; r++)
    sum[r][0] = sum[r][1] = vf_set1 (0.0f);
  for (gint64 b = 0; b < n_k / 32; b++)
    for (guint s = 0; s < n_pieces; s++)
      {
        const gsize at = (gsize) (b * 16 + s * n_pairs);
        const gsize factor = factors_at + (gsize) b * FACTOR_BYTES + s * 64;
        const gsize words = HEAD_BYTES + at * 64;
        const gint32 *row_crossed = NULL;
        const guint8 *panel_crossed[2] = { NULL };
        vi dot[WORD_PART][2];

        if (s == 0)
          ask_for_part (next, sizeof (Rows), (gsize) b * n_parts + from / WORD_PART,
                        SLAB / 32 * n_parts);
#if CROSSED
        const guint which = sixteen ? s : 2;

        row_crossed = a->crossed[b][which] + from;
        for (guint j = 0; j < 2; j++)
          panel_crossed[j] =
              panel[j] + factors_at + (gsize) b * FACTOR_BYTES + CROSSED_AT + which * 64;
#endif
        dot_part (n_pairs, a->words[at] + from,
                  (const guint8 *const[]){ panel[0] + words, panel[1] + words }, row_crossed,
                  panel_crossed, dot);
#pragma GCC unroll 12
        for (guint r = 0; r < WORD_PART; r++)
#pragma GCC unroll 2
          for (guint j = 0; j < 2; j++)
            sum[r][j] += vf_from_vi (dot[r][j]) * vf_load (panel[j] + factor);
      }
  if (min)
    for (gint64 b = 0; b < n_k / 32; b++)
      for (guint s = 0; s < n_pieces; s++)
        {
          const gsize factor = factors_at + (gsize) b * FACTOR_BYTES + 128 + s * 64;

#pragma GCC unroll 12
          for (guint r = 0; r < WORD_PART; r++)
#pragma GCC unroll 2
            for (guint j = 0; j < 2; j++)
              sum[r][j] -= vf_load (panel[j] + factor) * a->sum[b][sixteen ? s : 2][from + r];
        }
#pragma GCC unroll 12
  for (guint r = 0; r < WORD_PART; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        vf v = sum[r][j] * a->scale[from + r];

        if (add)
          v += vf_load (c + (from + r) * ldc + j * VW);
        vf_store (c + (from + r) * ldc + j * VW, v);
      }
}

#define ROWS WORD_ROWS
#define PART_ROWS WORD_PART
#include "engine/tensor/cpu/kern-packed-tiles.h"

const AtlCpuTiles WORDS_NAME = {
  .pack_panel = pack_panel,
  .prepare_rows = prepare_rows,
  .tile_ahead = tile_of_panels,
  .n_rows = WORD_ROWS,
  .slab_bytes = sizeof (Rows),
};
