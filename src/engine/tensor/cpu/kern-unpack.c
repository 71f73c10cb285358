/* Packed weights (pack.h) as the floats that they stand for: panels for tiles of floats. */
#include "engine/tensor/cpu/kern-codes.h"
#include "engine/tensor/cpu/kern-private.h"

INLINE void
panel_body (AtlDType t, const guint8 *group, gint64 n_in, gint64 k, gint64 n, float *out)
{
  const AtlPackInfo *info = atl_pack_info (t);
  const guint8 *quants = group + atl_pack_meta_bytes (info, n_in);

  for (gint64 b = k / 32; b < (k + n) / 32; b++, out += 32 * 16)
    for (guint half = 0; half < 64 / VB; half++)
      {
        const guint8 *lines = quants + b * quant_bytes_of (t);
        const guint8 *meta = group + (b / unit_blocks (t)) * info->meta_bytes;
        Factors f = factors (t, unit_factors (t, meta, half), meta, b % unit_blocks (t), half);

#pragma GCC unroll 8
        for (guint q = 0; q < 8; q++)
          {
            vu w = (vu) codes (t, lines, meta, b % unit_blocks (t), q, half);
            guint s = is_sixteen (t) ? q / 4 : 0;

#pragma GCC unroll 4
            for (guint i = 0; i < 4; i++)
              {
                vi code = (vi) (w >> 8 * i) & 255;
                vf v;

                if (code_offset (t) != 0)
                  code -= code_offset (t);
                v = vf_from_vi (code) * f.scale[s];
                if (has_min (t))
                  v -= f.min[s];
                vf_store (out + (4 * q + i) * 16 + half * VW, v);
              }
          }
      }
}

#define PANEL_OUT float
#include "engine/tensor/cpu/kern-panels.h"

void
ATL_SIMD_NAME (atl_unpack_panel) (
    AtlDType dtype, const guint8 *group, gint64 n_in, gint64 k, gint64 n, float *out)
{
  write_panel (dtype, group, n_in, k, n, out);
}
