/* Products of some activation rows with packed weights (pack.h) in tiles of bytes.
 *
 * The same integers as in kern-quant.c, and the same order of sums, so that a row's numbers do not
 * depend on which of the two computed it: C = A B with A the high (or low) bytes of the rows, B the
 * codes of a block of 32 elements (a sub-block of 16) of the 16 outputs. A line of packed codes,
 * one quad of elements, is a row of B as it stands. Tiles do 16 rows for what one register of
 * products costs a row or two; what remains is taking the sums of each block out and scaling them,
 * which is done for one pair of blocks while the tiles work on the next.
 */
#include "engine/tensor/cpu/kern-amx.h"
#include "engine/tensor/cpu/kern-codes.h"
#include "engine/tensor/cpu/kern-private.h"

/* Sums of a piece: a block of 32 elements, or a sub-block of 16 of the types that have them. Two
 * of them end where addresses repeat modulo 4096, so that no load waits for a store that only looks
 * like its own. */
typedef struct
{
  gint32 high[16][16], low[16][16]; /* [rows][outputs] */
} Sums;

typedef struct
{
  const guint8 *group, *quants;
  const AtlQuantRows *x;
  gint64 first, n_blocks;
  guint quant_bytes, meta_bytes;
  guint8 *codes; /* room for two pieces */
} Part;

static void
configure (guint n_rows, guint n_elems)
{
  _Alignas(64) AtlTileConfig config = { .palette = 1 };

  for (guint i = 0; i < 8; i++)
    {
      /* 0 to 3: sums, 4 and 5: activations, 6 and 7: codes */
      config.row_bytes[i] = (guint16) (i == 4 || i == 5 ? n_elems : 64);
      config.rows[i] = (guint8) (i < 6 ? n_rows : n_elems / 4);
    }
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig (&config);
}

INLINE guint
pieces_of_block (AtlDType t)
{
  return is_sixteen (t) ? 2 : 1;
}

/* Puts the codes of a piece where its product will look for them. */
INLINE void
unpack (AtlDType t, const Part *p, gint64 block, guint s, gboolean odd)
{
  const guint8 *lines = p->quants + block * p->quant_bytes;
  const guint8 *meta = p->group + block / unit_blocks (t) * p->meta_bytes;
  const guint n = 8 / pieces_of_block (t);

  if (s == 0)
    for (guint line = 0; line < p->quant_bytes; line += 64)
      {
        __builtin_prefetch (lines + PREFETCH_FAR + line, 0, 2);
        __builtin_prefetch (lines + PREFETCH_NEAR + line);
      }
#pragma GCC unroll 8
  for (guint q = 0; q < n; q++)
    vf_store (p->codes + (odd ? 512 : 0) + 64 * q,
              (vf) (codes (t, lines, meta, block % unit_blocks (t), n * s + q, 0) -
                    (guint8) code_offset (t)));
}

#define MULTIPLY(HIGH, LOW, W)                                                                     \
  _tile_zero (HIGH);                                                                               \
  _tile_zero (LOW);                                                                                \
  _tile_loadd (W, w, 64);                                                                          \
  _tile_loadd (4, x, stride);                                                                      \
  _tile_dpbssd (HIGH, 4, W);                                                                       \
  _tile_loadd (5, x + 32, stride);                                                                 \
  _tile_dpbssd (LOW, 5, W);                                                                        \
  _tile_stored (HIGH, out->high, 64);                                                              \
  _tile_stored (LOW, out->low, 64)

/* `odd`: two pieces that follow each other take different tiles. */
INLINE void
multiply (AtlDType t, const Part *p, gint64 block, guint s, gboolean odd, Sums *out)
{
  const gsize stride = (gsize) p->n_blocks * 64;
  const gint8 *x = p->x->q + (gsize) p->first * stride + block * 64 + s * 16;
  const guint8 *w = p->codes + (odd ? 512 : 0);

  if (odd)
    {
      MULTIPLY (2, 3, 7);
    }
  else
    {
      MULTIPLY (0, 1, 6);
    }
}

/* Brings the sums of a piece to floats. */
INLINE void
add_sums (
    AtlDType t, guint n_rows, const Part *p, gint64 block, guint s, const Sums *sums, vf *total)
{
  const guint which = is_sixteen (t) ? s : 2;
  const guint8 *meta = p->group + block / unit_blocks (t) * p->meta_bytes;
  const Factors f = factors (t, unit_factors (t, meta, 0), meta, block % unit_blocks (t), 0);

#pragma GCC unroll 16
  for (guint r = 0; r < n_rows; r++)
    {
      const AtlQuantBlock *xb = p->x->blocks + (p->first + r) * p->n_blocks + block;
      vi dot = ((vi) vf_load (sums->high[r]) << 7) + (vi) vf_load (sums->low[r]);

      total[r] += vf_from_vi (dot) * (f.scale[s] * xb->scale);
      if (has_min (t))
        total[r] -= f.min[s] * xb->real_sum[which];
    }
}

INLINE void
tiles_body (
    AtlDType t, guint n_rows, const guint8 *group, const AtlQuantRows *x, gint64 first, float *out)
{
  const guint n = pieces_of_block (t);
  const gint64 n_pieces = x->n_blocks * n;
  const AtlPackInfo *info = atl_pack_info (t);
  _Alignas(64) guint8 room[1024];
  const Part p = {
    .group = group,
    .quants = group + atl_pack_meta_bytes (info, x->n_blocks * 32),
    .quant_bytes = info->quant_bytes,
    .meta_bytes = info->meta_bytes,
    .x = x,
    .first = first,
    .n_blocks = x->n_blocks,
    .codes = room,
  };
  _Alignas(4096) Sums sums[2];
  vf total[16];

#pragma GCC unroll 16
  for (guint r = 0; r < n_rows; r++)
    total[r] = vf_set1 (0.0f);
  configure (n_rows, 32 / n);
  /* Codes are unpacked two pieces ahead and multiplied one ahead: a tile that reads what was just
   * stored waits. */
  unpack (t, &p, 0, 0, FALSE);
  if (n_pieces > 1)
    unpack (t, &p, 1 / n, 1 % n, TRUE);
  multiply (t, &p, 0, 0, FALSE, &sums[0]);
  for (gint64 i = 0; i < n_pieces; i += 2)
    {
      if (i + 2 < n_pieces)
        unpack (t, &p, (i + 2) / n, 0, FALSE);
      if (i + 1 < n_pieces)
        multiply (t, &p, (i + 1) / n, 1 % n, TRUE, &sums[1]);
      add_sums (t, n_rows, &p, i / n, 0, &sums[0], total);
      if (i + 1 == n_pieces)
        break;
      if (i + 3 < n_pieces)
        unpack (t, &p, (i + 3) / n, 1 % n, TRUE);
      if (i + 2 < n_pieces)
        multiply (t, &p, (i + 2) / n, 0, FALSE, &sums[0]);
      add_sums (t, n_rows, &p, (i + 1) / n, 1 % n, &sums[1], total);
    }
  _tile_release ();
#pragma GCC unroll 16
  for (guint r = 0; r < n_rows; r++)
    vf_store (out + r * 16, total[r]);
}

typedef void (*TilesFunc) (const guint8 *group, const AtlQuantRows *x, gint64 first, float *out);

#define DEFINE_TILES_OF(T, N)                                                                      \
  static __attribute__ ((noinline)) void tiles_##T##_##N (                                         \
      const guint8 *group, const AtlQuantRows *x, gint64 first, float *out)                        \
  {                                                                                                \
    tiles_body (ATL_DTYPE_##T, N, group, x, first, out);                                           \
  }
#define DEFINE_TILES(T)                                                                            \
  DEFINE_TILES_OF (T, 8)                                                                           \
  DEFINE_TILES_OF (T, 16)
#define TILES_ROW(T) [ATL_DTYPE_##T] = { tiles_##T##_8, tiles_##T##_16 },

EACH_DTYPE (DEFINE_TILES)

static const TilesFunc tiles[ATL_N_DTYPES][2] = { EACH_DTYPE (TILES_ROW) };

void
atl_amx_packed_dot (AtlDType dtype,
                    const guint8 *group,
                    const AtlQuantRows *x,
                    gint64 first,
                    gint64 n_rows,
                    float *out)
{
  const TilesFunc *of = tiles[atl_pack_alike (dtype)];

  for (; n_rows >= 16; first += 16, n_rows -= 16, out += 16 * 16)
    of[1](group, x, first, out);
  /* Twice as many sums to take out do not pay for eight rows. */
  for (; n_rows >= 8 && !is_sixteen (atl_pack_alike (dtype));
       first += 8, n_rows -= 8, out += 8 * 16)
    of[0](group, x, first, out);
  if (n_rows > 0)
    ATL_SIMD_NAME (atl_packed_dot) (dtype, group, x, first, n_rows, out);
}
