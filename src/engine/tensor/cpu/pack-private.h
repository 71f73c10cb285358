/* What the files that pack weights share: a unit of 16 rows, taken out of the file's blocks. */
#pragma once

#include "engine/tensor/cpu/pack.h"

G_BEGIN_DECLS

typedef struct
{
  _Alignas(64) guint8 q[16][256]; /* codes, in the order of the elements */
  guint16 d[16], m[16];           /* f16 bits */
  guint8 scale[16][16];           /* [sub-block][row], signed ones as two's complement */
  guint8 min[16][16];             /* [sub-block][row] */
} AtlPackUnit;

/* Takes a block of `row` of a type of few bits: codebooks (IQ1, IQ2, IQ3), ternary and binary
 * digits, and NVFP4. */
void atl_pack_take_small (AtlDType dtype, const guint8 *block, guint row, AtlPackUnit *u);

G_END_DECLS
