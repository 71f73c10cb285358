/* What the files that pack weights share: four bytes of each of four rows, and the two ways to pack
 * a unit of 16 rows. */
#pragma once

#include <string.h>

#include "engine/tensor/cpu/pack.h"
#include "engine/tensor/cpu/shuffle.h"

G_BEGIN_DECLS

/* Four bytes of each of four rows. */
typedef guint32 AtlQuads __attribute__ ((vector_size (16)));

/* out[i] is bytes 4 i to 4 i + 3 of four rows, `stride` apart. */
static inline void
atl_take_quads (const guint8 *rows, gsize stride, AtlQuads out[4])
{
  AtlQuads q[4], ab[2], cd[2];

  for (guint i = 0; i < 4; i++)
    memcpy (&q[i], rows + i * stride, sizeof q[i]);
  ab[0] = atl_shuffle (q[0], q[1], (AtlQuads){ 0, 4, 1, 5 });
  ab[1] = atl_shuffle (q[0], q[1], (AtlQuads){ 2, 6, 3, 7 });
  cd[0] = atl_shuffle (q[2], q[3], (AtlQuads){ 0, 4, 1, 5 });
  cd[1] = atl_shuffle (q[2], q[3], (AtlQuads){ 2, 6, 3, 7 });
  for (guint i = 0; i < 2; i++)
    {
      out[2 * i] = atl_shuffle (ab[i], cd[i], (AtlQuads){ 0, 1, 4, 5 });
      out[2 * i + 1] = atl_shuffle (ab[i], cd[i], (AtlQuads){ 2, 3, 6, 7 });
    }
}

/* To the line's bytes of rows r to r + 3, r a multiple of four. */
static inline void
atl_put_quads (guint8 *line, guint r, AtlQuads v)
{
  memcpy (line + 4 * r, &v, sizeof v);
}

/* Packs the blocks of 16 rows, `stride` bytes apart, that make up a unit. */
typedef void (*AtlPackUnitFunc) (const guint8 *blocks, gsize stride, guint8 *meta, guint8 *quants);

/* For the types whose blocks hold codes as plain bits; NULL for the others. */
AtlPackUnitFunc atl_pack_unit_func (AtlDType dtype);

/* The same for those others: codebooks (IQ1, IQ2, IQ3), TQ1_0 and Q2_0. */
void atl_pack_small_unit (
    AtlDType dtype, const guint8 *blocks, gsize stride, guint8 *meta, guint8 *quants);

G_END_DECLS
