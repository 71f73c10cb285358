/* Inside the folder: from blocks in a file to the planes that kernels/dequant-*.cl read.
 *
 * A block mixes scales with quants of odd widths; no GPU loads 18-byte structures well. Here every
 * kind of bits goes to a plane of its own, aligned, and the quants are reordered so that one mask
 * yields four of them (kernels/unpack.cl). No bit is lost or added except Q3_K's scales, which are
 * unpacked to bytes. Rows follow each other without gaps inside a plane.
 *
 *   plane  0             1                   2             3
 *   f32    floats        -                   -             -      rows padded to 32 elements
 *   f16    halves; bf16, f8 likewise
 *   q4_0   nibbles 16    d 2
 *   q4_1   nibbles 16    d, m 4
 *   q5_0   nibbles 16    d 2                 bits 4
 *   q5_1   nibbles 16    d, m 4              bits 4
 *   q8_0   bytes 32      d 2
 *   iq4_nl nibbles 16    d 2
 *   mxfp4  nibbles 16    e 1
 *   q2_K   pairs 64      d, dmin 4           s, t 16
 *   q3_K   pairs 64      d 2                 s 16          bits 32
 *   q4_K   nibbles 128   header 16
 *   q5_K   nibbles 128   header 16           bits 32
 *   q6_K   nibbles 128   d 2                 s 16          pairs 64
 *   iq4_xs nibbles 128   d, s 8
 *   wide   bytes 16      d 4 (float)         (bytes per 16)
 *
 * (bytes per block of 32 or 256.) "Wide" holds what has no kernels of its own: the rare IQ, TQ and
 * ternary types are all small integers times a scale, which atl_cl_widen finds again in the floats.
 *
 * Threading: pure functions, any thread.
 */
#pragma once

#include "base/dtype.h"

G_BEGIN_DECLS

#define ATL_CL_PLANES 4

/* The slot of "wide" among the dtypes: no weight of a model is int8. */
#define ATL_CL_WIDE ATL_DTYPE_I8

typedef struct
{
  gint64 k; /* elements of a row as stored: a multiple of 32 */
  guint n_planes;
  gsize row_bytes[ATL_CL_PLANES]; /* of each plane */
} AtlClLayout;

/* `n_elems` of a row of the file; FALSE for types without kernels. */
gboolean atl_cl_layout_init (AtlClLayout *layout, AtlDType dtype, gint64 n_elems);

/* `n_rows` rows of `n_elems` at `src` (no alignment needed) to the planes. */
void atl_cl_repack (const AtlClLayout *layout,
                    AtlDType dtype,
                    const guint8 *src,
                    gint64 n_elems,
                    gint64 n_rows,
                    guint8 *const planes[ATL_CL_PLANES]);

/* Which integers the largest magnitude of a group stood for lately, most recent first. */
typedef struct
{
  guint8 order[127];
} AtlClWidener;

/* Nothing was seen yet. */
void atl_cl_widener_init (AtlClWidener *self);

/* Sixteen floats that are integers of at most 127 times an unknown scale, to both, exactly but for
 * rounding to float32. Others are rounded to the nearest of 8 bits. */
void atl_cl_widen (AtlClWidener *self, const float values[16], gint8 quants[16], float *scale);

G_END_DECLS
