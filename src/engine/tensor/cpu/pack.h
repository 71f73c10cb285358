/* Quantised weights laid out for vectors: 16 rows side by side.
 *
 * A packed weight is groups of 16 rows (the last one padded with zero rows). A group is, for rows
 * of n_in elements:
 *
 *   meta   [n_in / unit][meta_bytes]    scales of a unit (32 to 256 elements) of the 16 rows
 *   quants [n_in / 32][quant_bytes]     the codes of 32 elements of the 16 rows
 *
 * Codes are held in planes of 64-byte lines. In every line the four bytes at 4 r belong to row r,
 * and byte i of them to element 4 q + i, where q, the quad (0 to 7), says which four of the 32
 * elements are meant. So one line is what a product of bytes summed over four neighbours (vpdpbusd,
 * vdot) wants, with one accumulator a row and no sums across lanes.
 *
 *   nibbles: 4 lines; line j holds quad 2 j in the low and quad 2 j + 1 in the high nibbles
 *   pairs:   2 lines; line j holds quads 4 j to 4 j + 3, two bits each, lowest first
 *   bits:    1 line; bit q of a byte belongs to quad q
 *   bytes:   8 lines; line q is quad q
 *
 *   dtype             planes          meta of a unit, each for 16 rows     value
 *
 *   q4_0              nibbles         f16 d                                d (q - 8)
 *   q4_1              nibbles         f16 d, f16 m                         d q + m
 *   q5_0              nibbles + bits  f16 d                                d (q - 16)
 *   q5_1              nibbles + bits  f16 d, f16 m                         d q + m
 *   q8_0              bytes           f16 d                                d (q - 128)
 *   iq4_nl            nibbles         f16 d                                d table[q]
 *   mxfp4             nibbles         u8 e, 16 unused bytes                2^(e - 128) table[q]
 *   nvfp4             nibbles         u8 [4] e4m3 scale                    scale table[q] / 2
 *   q1_0              bits            f16 d                                d (2 q - 1)
 *   q2_0              pairs           f16 d                                d (q - 1)
 *   tq1_0, tq2_0      pairs           f16 d                                d (q - 1)
 *   q2_K              pairs           f16 d, f16 m, u8 [16] s | min << 4   d s q - m min
 *   q3_K              pairs + bits    f16 d, i8 [16] s                     d s (q - 4)
 *   q4_K              nibbles         f16 d, f16 m, u8 [8] s, u8 [8] min   d s q - m min
 *   q5_K              nibbles + bits  the same                             d s q - m min
 *   q6_K              nibbles + pairs f16 d, i8 [16] s                     d s (q - 32)
 *   iq4_xs            nibbles         f16 d, i8 [8] s                      d s table[q]
 *   iq3_xxs, iq3_s    nibbles         f16 d, u8 [8] s                      d s table[q] (/ 4)
 *   iq2_xxs, _xs, _s  pairs + bits    f16 d, u8 [8] s, two nibbles         d s table[q] / 8
 *   iq1_s             pairs           f16 d, u8 [8] s | down << 7          d s (q - 1 +- 1/8)
 *   iq1_m             pairs           f16 d, u8 [16] s | down << 4         d s (q - 1 +- 1/8)
 *
 * Codebook types are taken apart into levels and signs, as a look-up for each vector costs more
 * than the bytes it saves: iq1 takes 1.5 times the room of its file, iq2 1.3 to 1.6 times, iq3 1.3
 * to 1.4 times. Of iq1_m two bits say which of a sub-block's two vectors are moved down. Types of
 * one line are packed alike but for the table: atl_pack_alike.
 *
 * Nothing is lost: packing moves bits, widens small scales to bytes and looks codebooks up.
 *
 * Threading: pure functions.
 */
#pragma once

#include "base/dtype.h"

G_BEGIN_DECLS

#define ATL_PACK_ROWS 16

typedef struct
{
  guint unit;        /* elements that share a meta entry: 32 to 256 */
  guint meta_bytes;  /* for 16 rows */
  guint quant_bytes; /* for 32 elements of 16 rows */
} AtlPackInfo;

/* NULL for a dtype that is not packed. */
const AtlPackInfo *atl_pack_info (AtlDType dtype);

/* The dtype whose packed form is the same, values included; often `dtype` itself. */
AtlDType atl_pack_alike (AtlDType dtype);

/* Bytes of one group of 16 rows; a multiple of 64. */
gsize atl_pack_group_bytes (AtlDType dtype, gint64 n_in);

/* Where the quants start in a group. */
static inline gsize
atl_pack_meta_bytes (const AtlPackInfo *info, gint64 n_in)
{
  return ((gsize) (n_in / info->unit) * info->meta_bytes + 63) & ~(gsize) 63;
}

/* Packs `n_rows` (at most 16) rows of file blocks, `row_bytes` apart, into one group. */
void atl_pack_group (
    AtlDType dtype, const guint8 *rows, gsize row_bytes, guint n_rows, gint64 n_in, guint8 *out);

G_END_DECLS
