/* Squares of floats turned: rows become columns.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/shuffle.h"
#include "engine/tensor/cpu/simd.h"

#if VW == 16
#define LANES                                                                                      \
  {                                                                                                \
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15                                           \
  }
#elif VW == 8
#define LANES                                                                                      \
  {                                                                                                \
    0, 1, 2, 3, 4, 5, 6, 7                                                                         \
  }
#else
#define LANES                                                                                      \
  {                                                                                                \
    0, 1, 2, 3                                                                                     \
  }
#endif

/* One round of turning a square: exchanges the off-diagonal halves of all squares of 2 s lanes. */
INLINE void
turn_round (vf *r, const gint32 s)
{
  const vi lane = LANES;
  const vi other = ((lane & s) != 0) & (VW - s);

#pragma GCC unroll 16
  for (gint32 i = 0; i < VW; i++)
    if ((i & s) == 0)
      {
        vf a = r[i];
        vf b = r[i + s];

        r[i] = atl_shuffle (a, b, lane + other);
        r[i + s] = atl_shuffle (a, b, lane + other + s);
      }
}

/* r[i][j] becomes r[j][i]. */
INLINE void
turn_square (vf *r)
{
  turn_round (r, 1);
  turn_round (r, 2);
#if VW >= 8
  turn_round (r, 4);
#endif
#if VW >= 16
  turn_round (r, 8);
#endif
}
