/* Tiles of packed weights in integers: what those in words (kern-words.c) and in bytes
 * (kern-bytes.c) share, from slabs to the kernel for a type of weights. Included once, behind
 *
 *   ROWS        rows of a tile
 *   SLAB        inner elements of a slab, which a Rows holds for ROWS rows
 *   PART_ROWS   rows of a tile that are taken at a time
 *   Head        what a panel begins with: { guint32 sixteen, min; }
 *   prepare_slab (rows, n_rows, k, n, out)          elements [k, k + n) of some rows
 *   panel_body (type, group, n_in, k, n, out)       the same of a group of packed weights
 *   part_body (sixteen, min, from, n_k, a, panel, c, ldc, add, next)
 *       rows [from, from + PART_ROWS); asks meanwhile for the Rows `next`
 *
 * with what an AtlCpuTiles says of its members.
 *
 * Threading: any; each call works on the memory that it is given.
 */

static void
prepare_rows (const float *const *rows, gint64 n, gint64 n_k, guint8 *out)
{
  for (gint64 k = 0; k < n_k; k += SLAB, out += sizeof (Rows))
    prepare_slab (rows, n, k, MIN (SLAB, n_k - k), (Rows *) out);
}

#define PANEL_OUT guint8
#include "engine/tensor/cpu/kern-panels.h"

static void
pack_panel (AtlDType dtype, const guint8 *group, gint64 n_in, gint64 k, gint64 n, guint8 *out)
{
  g_assert (n <= SLAB);
  write_panel (dtype, group, n_in, k, n, out);
}

INLINE void
tile_body (gboolean sixteen,
           gboolean min,
           gint64 n_k,
           const Rows *a,
           const guint8 *const panel[2],
           float *c,
           gint64 ldc,
           gboolean add,
           const Rows *next)
{
  for (guint from = 0; from < ROWS; from += PART_ROWS)
    part_body (sixteen, min, from, n_k, a, panel, c, ldc, add, next);
}

#define DEFINE_TILE(NAME, SIXTEEN, MIN)                                                            \
  static __attribute__ ((noinline)) void NAME (gint64 n_k, const Rows *a,                          \
                                               const guint8 *const panel[2], float *c, gint64 ldc, \
                                               gboolean add, const Rows *next)                     \
  {                                                                                                \
    tile_body (SIXTEEN, MIN, n_k, a, panel, c, ldc, add, next);                                    \
  }

DEFINE_TILE (tile_plain, FALSE, FALSE)
DEFINE_TILE (tile_min, FALSE, TRUE)
DEFINE_TILE (tile_sixteen, TRUE, FALSE)
DEFINE_TILE (tile_both, TRUE, TRUE)

/* `x` and `y` are the panels of the two vectors; where they differ, each has what the other needs.
 */
INLINE void
tile (gint64 n_k,
      const guint8 *a,
      const guint8 *x,
      const guint8 *y,
      gsize y_lane,
      float *c,
      gint64 ldc,
      gboolean add,
      const guint8 *next)
{
  const guint8 *const panel[2] = { x, y + y_lane };
  Head hx, hy;

  memcpy (&hx, x, sizeof hx);
  memcpy (&hy, y, sizeof hy);
  ((hx.sixteen | hy.sixteen) != 0 ? (hx.min | hy.min) != 0 ? tile_both : tile_sixteen
   : (hx.min | hy.min) != 0
       ? tile_min
       : tile_plain) (n_k, (const Rows *) a, panel, c, ldc, add, (const Rows *) next);
}

static void
tile_of_panels (gint64 n_k,
                const guint8 *a,
                const guint8 *b0,
                const guint8 *b1,
                float *c,
                gint64 ldc,
                gboolean add,
                const guint8 *next)
{
#if VW == 16
  tile (n_k, a, b0, b1, 0, c, ldc, add, next);
#else
  tile (n_k, a, b0, b0, 32, c, ldc, add, next);
  tile (n_k, a, b1, b1, 32, c + 16, ldc, add, next);
#endif
}
