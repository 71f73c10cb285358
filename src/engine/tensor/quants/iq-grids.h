/* The codebooks of the IQ1, IQ2 and IQ3 formats: short vectors of small values, found by search in
 * the llama.cpp project (I. Kawrakow) and fixed in every file since.
 *
 * One entry is one vector, packed into 16 bits with element 0 in the lowest bits: eight elements of
 * two bits (IQ1, IQ2) or four elements of three bits (IQ3). The digit is an index into the levels:
 *
 *   IQ2: 8, 25, 43        IQ3_XXS: 4, 12, 20, 28, 36, 44, 52, 62
 *   IQ1: -1, 0, 1         IQ3_S:   1, 3, 5, 7, 9, 11, 13, 15
 *
 *   guint8 value = atl_iq2_levels[atl_iq2_xxs_grid[index] >> 2 * i & 3];
 *
 * Threading: constant data, any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

extern const guint8 atl_iq2_levels[4];
extern const guint8 atl_iq3_xxs_levels[8];
extern const guint8 atl_iq3_s_levels[8];

extern const guint16 atl_iq2_xxs_grid[256];
extern const guint16 atl_iq2_xs_grid[512];
extern const guint16 atl_iq2_s_grid[1024];
extern const guint16 atl_iq3_xxs_grid[256];
extern const guint16 atl_iq3_s_grid[512];
extern const guint16 atl_iq1_grid[2048]; /* IQ1_S and IQ1_M */

/* The eight sign bits that a 7-bit sign index stands for: the number of set bits is always even. */
static inline guint8
atl_iq_signs (guint index)
{
  return (guint8) (index | (guint) __builtin_parity (index) << 7);
}

G_END_DECLS
