/* Tiles in 16-bit integers for plain weights of half precision where there are no tiles of AMX:
 * twice as many products an instruction as in floats.
 *
 * A piece is 64 inner elements, whose products are summed in 32 bits and then become floats. Each
 * weight's elements of a piece are rounded so that their Euclidean length is 32767, which bounds
 * the largest, too; those of an activation row so that in no piece of a slab of 256 it is more than
 * 65000. By the inequality of Cauchy and Schwarz no sum, nor a part of one, leaves 32 bits whatever
 * the numbers are. Rounding costs about 1e-4 of a sum's size. Where sums are crossed (kern-dot.h),
 * the words of a row and of a weight are as small as two of them together must be.
 *
 * Layouts of a slab, where what is crossed is minus the sums of products of neighbouring pairs:
 *   rows:   [WORD_ROWS] factors, [pieces][WORD_ROWS] crossed, [n / 2][WORD_ROWS] pairs of words
 *   panels: [n / 2][16] pairs of words, [pieces][16] factors, [pieces][16] crossed
 */
#include "engine/tensor/cpu/kern-dot.h"
#include "engine/tensor/cpu/kern-elements.h"
#include "engine/tensor/cpu/kern-private.h"
#include "engine/tensor/cpu/kern-turn.h"

/* Compiled for AVX2 with and without its VNNI, and for AVX-512 with it in both forms. */
#if defined(ATL_CROSSED)
#define PLAIN_NAME atl_cpu_plain_words_avx512_crossed
#elif defined(__AVXVNNI__)
#define PLAIN_NAME atl_cpu_plain_words_avx2_vnni
#else
#define PLAIN_NAME ATL_SIMD_NAME (atl_cpu_plain_words)
#endif

#define SLAB 256
#define PIECE 64
#define N_PIECES (SLAB / PIECE)
/* Of a row's words and of a weight's; 64 weights spread evenly have their largest at some 10,000.
 */
#if CROSSED
#define LARGEST 21767.0f
#define LARGEST_WEIGHT 11000.0f
#else
#define LARGEST 32767.0f
#endif
/* (32767 + sqrt (64) / 2) (65000 + sqrt (64) / 2) < 2^31 */
#define WEIGHT_LENGTH 32767.0f
#define ROW_LENGTH 65000.0f

typedef struct
{
  float factor[WORD_ROWS];
#if CROSSED
  gint32 crossed[N_PIECES][WORD_ROWS];
#endif
  gint32 words[SLAB / 2][WORD_ROWS];
  gint32 room[VW - WORD_ROWS];
} Rows;

G_STATIC_ASSERT (sizeof (Rows) <= SLAB * WORD_ROWS * 4);
G_STATIC_ASSERT (WORD_ROWS % WORD_PART == 0);

/* --- Rows --- */

/* What n elements are multiplied with to become words, and in `factor` what turns them back: no
 * number where an element is none or infinite. */
INLINE float
row_scale (const float *x, gint64 n, float *factor)
{
  vf most = vf_set1 (0.0f), check = most;
  float longest = 0.0f, scale;

  for (gint64 at = 0; at < n; at += PIECE)
    {
      vf squares = vf_set1 (0.0f);

      for (gint64 i = at; i < MIN (at + PIECE, n); i += VW)
        {
          const vf v = vf_load (x + i);

          most = vf_max (most, vf_abs (v));
          check += v * 0.0f;
          squares += v * v;
        }
      longest = MAX (longest, vf_sum (squares));
    }
  scale = MIN (LARGEST / vf_largest (most), ROW_LENGTH / sqrtf (longest));
  /* Numbers so small, or so large, that this is beyond floats are nothing. */
  if (!isfinite (scale) || !(scale > 0.0f))
    scale = 0.0f;
  *factor = (scale > 0.0f ? 1.0f / scale : 0.0f) + vf_sum (check);
  return scale;
}

/* 2 VW numbers as VW pairs. */
INLINE vf
pairs_of (vi a, vi b)
{
#if VW == 16
  const vu even = { 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30 };
#else
  const vu even = { 0, 2, 4, 6, 8, 10, 12, 14 };
#endif

  return (vf) join_words (atl_shuffle (a, b, even), atl_shuffle (a, b, even + 1));
}

INLINE void
prepare_slab (const float *const *rows, gint64 n_rows, gint64 k, gint64 n, Rows *out)
{
  gint32 *words = &out->words[0][0];
  float scale[WORD_ROWS] = { 0.0f };
#if CROSSED
  vi crossed = { 0 };
#endif

  for (gint64 r = 0; r < WORD_ROWS; r++)
    {
      out->factor[r] = 0.0f;
      if (r < n_rows)
        scale[r] = row_scale (rows[r] + k, n, &out->factor[r]);
    }
  for (gint64 at = 0; at < n; at += 2 * VW)
    {
      vf square[VW];

#pragma GCC unroll 16
      for (gint64 r = 0; r < VW; r++)
        {
          square[r] = vf_set1 (0.0f);
          if (r < WORD_ROWS && r < n_rows)
            square[r] = pairs_of (vi_round (vf_load (rows[r] + k + at) * scale[r]),
                                  vi_round (vf_load (rows[r] + k + at + VW) * scale[r]));
        }
      turn_square (square);
      /* What a vector has beyond WORD_ROWS is overwritten by the next, after the last there is
       * room. */
#pragma GCC unroll 16
      for (guint i = 0; i < VW; i++)
        vf_store (words + (at / 2 + i) * WORD_ROWS, square[i]);
#if CROSSED
#pragma GCC unroll 16
      for (guint i = 0; i < VW; i += 2)
        crossed = dot_words (crossed, (vi) square[i], (vi) square[i + 1]);
      if ((at + 2 * VW) % PIECE == 0 || at + 2 * VW >= n)
        {
          vf_store_some ((float *) out->crossed[at / PIECE], WORD_ROWS, (vf) - (vu) crossed);
          crossed = vi_set1 (0);
        }
#endif
    }
}

static void
prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out)
{
  for (gint64 k = 0; k < n_k; k += SLAB, out += sizeof (Rows))
    prepare_slab (rows, n, k, MIN (SLAB, n_k - k), (Rows *) out);
}

/* --- Panels --- */

typedef gint64 Halves __attribute__ ((vector_size (VB / 2)));

/* Four elements of each of VW / 4 rows that lie four rows apart. */
INLINE vf
load_fours (AtlDType t, const guint8 *row, gsize row_bytes)
{
  Halves halves;
  vf floats;

#pragma GCC unroll 4
  for (guint i = 0; i < VW / 4; i++)
    {
      const guint8 *from = row + 4 * i * row_bytes;

      if (t == ATL_DTYPE_F32)
        memcpy ((float *) &floats + 4 * i, from, 16);
      else
        {
          gint64 four;

          memcpy (&four, from, sizeof four);
          halves[i] = four;
        }
    }
  return t == ATL_DTYPE_F32 ? floats : load_elements (t, (const guint8 *) &halves, 0);
}

#if VW == 16
#define UNPACK(half, bits, a, b) (vi) _mm512_unpack##half##_epi##bits ((__m512i) a, (__m512i) b)
#define PACK(a, b) (vi) _mm512_packs_epi32 ((__m512i) a, (__m512i) b)
#else
#define UNPACK(half, bits, a, b) (vi) _mm256_unpack##half##_epi##bits ((__m256i) a, (__m256i) b)
#define PACK(a, b) (vi) _mm256_packs_epi32 ((__m256i) a, (__m256i) b)
#endif

/* Eight elements of VW rows as four pairs of each: out[4][16]; *crossed += products of neighbours.
 * Pieces of 128 bits are rows that lie four apart until they are turned. */
INLINE void
turn_eight (
    AtlDType t, const guint8 *rows, gsize row_bytes, const vf scale[4], guint8 *out, vi *crossed)
{
  const gsize half = 4 * element_bytes (t);
  vi v[4], u[4];

#pragma GCC unroll 4
  for (guint r = 0; r < 4; r++)
    {
      const guint8 *row = rows + r * row_bytes;

      v[r] = PACK (vi_round (load_fours (t, row, row_bytes) * scale[r]),
                   vi_round (load_fours (t, row + half, row_bytes) * scale[r]));
    }
  u[0] = UNPACK (lo, 32, v[0], v[1]);
  u[1] = UNPACK (hi, 32, v[0], v[1]);
  u[2] = UNPACK (lo, 32, v[2], v[3]);
  u[3] = UNPACK (hi, 32, v[2], v[3]);
  v[0] = UNPACK (lo, 64, u[0], u[2]);
  v[1] = UNPACK (hi, 64, u[0], u[2]);
  v[2] = UNPACK (lo, 64, u[1], u[3]);
  v[3] = UNPACK (hi, 64, u[1], u[3]);
#pragma GCC unroll 4
  for (guint i = 0; i < 4; i++)
    vf_store (out + i * 64, (vf) v[i]);
#if CROSSED
  *crossed = dot_words (dot_words (*crossed, v[0], v[1]), v[2], v[3]);
#endif
}

/* What VW weights of lengths and largest elements are multiplied with to become words: any number
 * for those that are nothing. */
INLINE vf
weight_scale (vf length, const vf *most)
{
#if CROSSED
  vf square[VW], largest;

  for (guint r = 0; r < VW; r++)
    square[r] = most[r];
  turn_square (square);
  largest = square[0];
  for (guint r = 1; r < VW; r++)
    largest = vf_max (largest, square[r]);
  return vf_min (WEIGHT_LENGTH / length, LARGEST_WEIGHT / largest);
#else
  return WEIGHT_LENGTH / length;
#endif
}

/* A piece of 16 rows, a multiple of 2 VW elements. */
INLINE void
turn_piece (AtlDType t,
            const guint8 *rows,
            gsize row_bytes,
            gint64 n,
            guint8 *words,
            float *factors,
            gint32 *crossed)
{
  const gsize element = element_bytes (t);
  const vf none = vf_set1 (0.0f);
  float scale[16];

  for (guint first = 0; first < 16; first += VW)
    {
      vf squares[VW], most[VW], length, by;
      vi is_any;

      for (guint r = 0; r < VW; r++)
        {
          const guint8 *row = rows + (first + r) * row_bytes;
          vf sum[2] = { none, none };

          most[r] = none;
          for (gint64 i = 0; i < n; i += 2 * VW)
#pragma GCC unroll 2
            for (guint h = 0; h < 2; h++)
              {
                const vf v = load_elements (t, row, i + h * VW);

                sum[h] += v * v;
#if CROSSED
                most[r] = vf_max (most[r], vf_abs (v));
#endif
              }
          squares[r] = sum[0] + sum[1];
        }
      length = vf_sqrt (vf_sums (squares));
      /* Lengths beyond floats are as good as infinite, and make the factor no number. */
      is_any = length > 1e-30f;
      by = weight_scale (length, most);
      vf_store (scale + first, vf_select (is_any, by, none));
      vf_store (factors + first, vf_select (is_any, 1.0f / by, none) + length * 0.0f);
    }
  for (guint first = 0; first < 16; first += VW)
    {
      vf scales[4];
      vi within = { 0 };

#pragma GCC unroll 4
      for (guint r = 0; r < 4; r++)
        for (guint i = 0; i < VW; i++)
          scales[r][i] = scale[first + i / 4 * 4 + r];
      for (gint64 i = 0; i < n; i += 8)
        turn_eight (t, rows + first * row_bytes + (gsize) i * element, row_bytes, scales,
                    words + i * 32 + first * 4, &within);
      if (CROSSED)
        vf_store (crossed + first, (vf) - (vu) within);
    }
}

#undef UNPACK
#undef PACK

INLINE void
turn_rows (AtlDType t, const guint8 *rows, gsize row_bytes, gint64 n, guint8 *out)
{
  float *factors = (float *) (out + n * 32);
  gint32 *crossed = (gint32 *) (factors + N_PIECES * 16);

  for (gint64 at = 0; at < n; at += PIECE)
    turn_piece (t, rows + (gsize) at * element_bytes (t), row_bytes, MIN (PIECE, n - at),
                out + at * 32, factors + at / PIECE * 16, crossed + at / PIECE * 16);
}

/* Rows of other types, and fewer than 16, become floats first. */
static void
turn_others (AtlDType t, const guint8 *rows, gsize row_bytes, guint n_rows, gint64 n, guint8 *out)
{
  float floats[16][SLAB];

  for (guint r = 0; r < 16; r++)
    for (gint64 i = 0; i < n; i++)
      floats[r][i] = r < n_rows ? load_element (t, rows + r * row_bytes, i) : 0.0f;
  turn_rows (ATL_DTYPE_F32, (const guint8 *) floats, sizeof floats[0], n, out);
}

static void
rows_panel (AtlDType dtype,
            const guint8 *rows,
            gsize row_bytes,
            guint n_rows,
            gint64 k,
            gint64 n,
            guint8 *out)
{
  rows += (gsize) k * element_bytes (dtype);
  if (n_rows == 16 && dtype == ATL_DTYPE_F16)
    turn_rows (ATL_DTYPE_F16, rows, row_bytes, n, out);
  else if (n_rows == 16 && dtype == ATL_DTYPE_BF16)
    turn_rows (ATL_DTYPE_BF16, rows, row_bytes, n, out);
  else
    turn_others (dtype, rows, row_bytes, n_rows, n, out);
}

/* --- Tiles --- */

/* Rows [from, from + WORD_PART) x two vectors of outputs, which are at `panel`. */
INLINE void
part (guint from,
      gint64 n_k,
      const Rows *a,
      const guint8 *const panel[2],
      float *c,
      gint64 ldc,
      gboolean add,
      const Rows *next)
{
  const gsize n_parts = WORD_ROWS / WORD_PART;
  const gsize factors = (gsize) n_k * 32;
  vf sum[WORD_PART][2];

#pragma GCC unroll 12
  for (guint r = 0; r < WORD_PART; r++)
    sum[r][0] = sum[r][1] = vf_set1 (0.0f);
  for (gint64 at = 0; at < n_k; at += PIECE)
    {
      const gsize n = (gsize) MIN (PIECE, n_k - at) / 2;
      const gsize factor = factors + (gsize) (at / PIECE) * 64;
      const gint32 *row_crossed = NULL;
      const guint8 *panel_crossed[2] = { NULL };
      vi dot[WORD_PART][2];

      ask_for_part (next, sizeof (Rows), (gsize) (at / PIECE) * n_parts + from / WORD_PART,
                    N_PIECES * n_parts);
#if CROSSED
      row_crossed = a->crossed[at / PIECE] + from;
      for (guint j = 0; j < 2; j++)
        panel_crossed[j] = panel[j] + factor + N_PIECES * 64;
#endif
      dot_part (n, a->words[at / 2] + from,
                (const guint8 *const[]){ panel[0] + at * 32, panel[1] + at * 32 }, row_crossed,
                panel_crossed, dot);
#pragma GCC unroll 12
      for (guint r = 0; r < WORD_PART; r++)
#pragma GCC unroll 2
        for (guint j = 0; j < 2; j++)
          sum[r][j] += vf_from_vi (dot[r][j]) * vf_load (panel[j] + factor);
    }
#pragma GCC unroll 12
  for (guint r = 0; r < WORD_PART; r++)
#pragma GCC unroll 2
    for (guint j = 0; j < 2; j++)
      {
        vf v = sum[r][j] * a->factor[from + r];

        if (add)
          v += vf_load (c + (from + r) * ldc + j * VW);
        vf_store (c + (from + r) * ldc + j * VW, v);
      }
}

INLINE void
parts (gint64 n_k,
       const guint8 *a,
       const guint8 *x,
       const guint8 *y,
       float *c,
       gint64 ldc,
       gboolean add,
       const guint8 *next)
{
  for (guint from = 0; from < WORD_ROWS; from += WORD_PART)
    part (from, n_k, (const Rows *) a, (const guint8 *const[]){ x, y }, c, ldc, add,
          (const Rows *) next);
}

static void
tile (gint64 n_k,
      const guint8 *a,
      const guint8 *b0,
      const guint8 *b1,
      float *c,
      gint64 ldc,
      gboolean add,
      const guint8 *next)
{
#if VW == 16
  parts (n_k, a, b0, b1, c, ldc, add, next);
#else
  parts (n_k, a, b0, b0 + 32, c, ldc, add, next);
  parts (n_k, a, b1, b1 + 32, c + 16, ldc, add, next);
#endif
}

const AtlCpuTiles PLAIN_NAME = {
  .rows_panel = rows_panel,
  .prepare_rows = prepare_rows,
  .tile_ahead = tile,
  .n_rows = WORD_ROWS,
  .slab_bytes = sizeof (Rows),
};
