/* Packs the types of few bits whose blocks are no plain codes: vectors of codebooks become levels
 * and signs, digits become codes. The formats of the blocks are told in quants/dequant-iq.c and
 * dequant-simple.c. */
#include "engine/tensor/cpu/pack-private.h"
#include "engine/tensor/quants/half.h"
#include "engine/tensor/quants/iq-grids.h"

/* A unit of 16 rows, taken out of the file's blocks. */
typedef struct
{
  _Alignas(64) guint8 q[16][256]; /* codes, in the order of the elements */
  guint16 d[16];                  /* f16 bits */
  guint8 scale[16][16];           /* [sub-block][row] */
} Unit;

/* Eight levels of two bits, and their signs above. */
static void
levels_iq2 (guint vector, guint signs, guint8 *q)
{
  for (guint i = 0; i < 8; i++)
    q[i] = (guint8) ((vector >> 2 * i & 3) | (signs >> i & 1) << 2);
}

/* Four levels of three bits, and their signs above. */
static void
levels_iq3 (guint vector, guint signs, guint8 *q)
{
  for (guint i = 0; i < 4; i++)
    q[i] = (guint8) ((vector >> 3 * i & 7) | (signs >> i & 1) << 3);
}

static void
levels_iq1 (guint vector, guint8 *q)
{
  for (guint i = 0; i < 8; i++)
    q[i] = vector >> 2 * i & 3;
}

static void
take_iq2_xxs (const guint8 *b, guint row, Unit *u)
{
  for (guint sub = 0; sub < 8; sub++)
    {
      const guint8 *index = b + 2 + sub * 8;
      guint32 extra = atl_load_u32 (index + 4);

      u->scale[sub][row] = (guint8) (extra >> 28);
      for (guint v = 0; v < 4; v++)
        levels_iq2 (atl_iq2_xxs_grid[index[v]], atl_iq_signs (extra >> 7 * v & 127),
                    u->q[row] + sub * 32 + v * 8);
    }
  u->d[row] = atl_load_u16 (b);
}

static void
take_iq2_xs (const guint8 *b, guint row, Unit *u)
{
  for (guint v = 0; v < 32; v++)
    {
      guint q = atl_load_u16 (b + 2 + 2 * v);

      levels_iq2 (atl_iq2_xs_grid[q & 511], atl_iq_signs (q >> 9), u->q[row] + v * 8);
    }
  for (guint sub = 0; sub < 8; sub++)
    u->scale[sub][row] = b[66 + sub];
  u->d[row] = atl_load_u16 (b);
}

static void
take_iq2_s (const guint8 *b, guint row, Unit *u)
{
  for (guint v = 0; v < 32; v++)
    {
      guint index = b[2 + v] | (b[66 + v / 4] >> v % 4 * 2 & 3u) << 8;

      levels_iq2 (atl_iq2_s_grid[index], b[34 + v], u->q[row] + v * 8);
    }
  for (guint sub = 0; sub < 8; sub++)
    u->scale[sub][row] = b[74 + sub];
  u->d[row] = atl_load_u16 (b);
}

static void
take_iq3_xxs (const guint8 *b, guint row, Unit *u)
{
  for (guint sub = 0; sub < 8; sub++)
    {
      const guint8 *index = b + 2 + sub * 8;
      guint32 extra = atl_load_u32 (b + 66 + sub * 4);

      u->scale[sub][row] = (guint8) (2 * (extra >> 28) + 1);
      for (guint v = 0; v < 8; v++)
        levels_iq3 (atl_iq3_xxs_grid[index[v]],
                    (guint) atl_iq_signs (extra >> v / 2 * 7 & 127) >> v % 2 * 4,
                    u->q[row] + sub * 32 + v * 4);
    }
  u->d[row] = atl_load_u16 (b);
}

static void
take_iq3_s (const guint8 *b, guint row, Unit *u)
{
  for (guint v = 0; v < 64; v++)
    {
      guint index = b[2 + v] | (b[66 + v / 8] >> v % 8 & 1u) << 8;

      levels_iq3 (atl_iq3_s_grid[index], (guint) b[74 + v / 2] >> v % 2 * 4, u->q[row] + v * 4);
    }
  for (guint sub = 0; sub < 8; sub++)
    u->scale[sub][row] = (guint8) (2 * (b[106 + sub / 2] >> sub % 2 * 4 & 15) + 1);
  u->d[row] = atl_load_u16 (b);
}

static void
take_iq1_s (const guint8 *b, guint row, Unit *u)
{
  for (guint sub = 0; sub < 8; sub++)
    {
      guint extra = atl_load_u16 (b + 34 + 2 * sub);

      u->scale[sub][row] = (guint8) ((2 * (extra >> 12 & 7) + 1) | (extra >> 15) << 7);
      for (guint v = 0; v < 4; v++)
        levels_iq1 (atl_iq1_grid[b[2 + sub * 4 + v] | (extra >> 3 * v & 7) << 8],
                    u->q[row] + sub * 32 + v * 8);
    }
  u->d[row] = atl_load_u16 (b);
}

static void
take_iq1_m (const guint8 *b, guint row, Unit *u)
{
  guint d = 0;

  for (guint sub = 0; sub < 16; sub++)
    {
      guint packed = atl_load_u16 (b + 48 + sub / 4 * 2);
      guint nibbles = b[32 + sub];

      d |= sub % 4 == 0 ? packed >> 12 << sub : 0;
      u->scale[sub][row] = (guint8) ((2 * (packed >> sub % 4 * 3 & 7) + 1) |
                                     (nibbles >> 3 & 1) << 4 | (nibbles >> 7) << 5);
      levels_iq1 (atl_iq1_grid[b[2 * sub] | (nibbles & 7) << 8], u->q[row] + sub * 16);
      levels_iq1 (atl_iq1_grid[b[2 * sub + 1] | (nibbles >> 4 & 7) << 8], u->q[row] + sub * 16 + 8);
    }
  u->d[row] = (guint16) d;
}

/* Ternary digits of `n` bytes, as in quants/dequant-simple.c. */
static guint8 *
put_ternary (const guint8 *bytes, guint n, guint n_digits, guint8 *q)
{
  guint power = 1;

  for (guint digit = 0; digit < n_digits; digit++, power *= 3)
    for (guint i = 0; i < n; i++)
      *q++ = (guint8) ((bytes[i] * power & 255) * 3 >> 8);
  return q;
}

static void
take_tq1_0 (const guint8 *b, guint row, Unit *u)
{
  guint8 *q = u->q[row];

  q = put_ternary (b, 32, 5, q);
  q = put_ternary (b + 32, 16, 5, q);
  put_ternary (b + 48, 4, 4, q);
  u->d[row] = atl_load_u16 (b + 52);
}

static void
take_q2_0 (const guint8 *b, guint row, Unit *u)
{
  for (guint i = 0; i < 64; i++)
    u->q[row][i] = b[2 + i / 4] >> i % 4 * 2 & 3;
  u->d[row] = atl_load_u16 (b);
}

static void
take_block (AtlDType dtype, const guint8 *block, guint row, Unit *u)
{
  switch (dtype)
    {
    case ATL_DTYPE_IQ2_XXS:
      take_iq2_xxs (block, row, u);
      break;
    case ATL_DTYPE_IQ2_XS:
      take_iq2_xs (block, row, u);
      break;
    case ATL_DTYPE_IQ2_S:
      take_iq2_s (block, row, u);
      break;
    case ATL_DTYPE_IQ3_XXS:
      take_iq3_xxs (block, row, u);
      break;
    case ATL_DTYPE_IQ3_S:
      take_iq3_s (block, row, u);
      break;
    case ATL_DTYPE_IQ1_S:
      take_iq1_s (block, row, u);
      break;
    case ATL_DTYPE_IQ1_M:
      take_iq1_m (block, row, u);
      break;
    case ATL_DTYPE_TQ1_0:
      take_tq1_0 (block, row, u);
      break;
    case ATL_DTYPE_Q2_0:
      take_q2_0 (block, row, u);
      break;
    default:
      g_assert_not_reached ();
    }
}

/* --- Codes into planes --- */

static void
put_nibbles (const Unit *u, guint first, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        AtlQuads q[4];

        atl_take_quads (&u->q[r][first + 16 * half], sizeof u->q[0], q);
        for (guint j = 0; j < 2; j++)
          atl_put_quads (out + 64 * (2 * half + j), r,
                         (q[2 * j] & 0x0f0f0f0f) | (q[2 * j + 1] & 0x0f0f0f0f) << 4);
      }
}

/* The lower two bits of each code. */
static void
put_pairs (const Unit *u, guint first, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    for (guint half = 0; half < 2; half++)
      {
        AtlQuads q[4], v = { 0 };

        atl_take_quads (&u->q[r][first + 16 * half], sizeof u->q[0], q);
        for (guint i = 0; i < 4; i++)
          v |= (q[i] & 0x03030303) << 2 * i;
        atl_put_quads (out + 64 * half, r, v);
      }
}

/* The third bit of each. */
static void
put_bits (const Unit *u, guint first, guint8 *out)
{
  for (guint r = 0; r < 16; r += 4)
    {
      AtlQuads q[8], v = { 0 };

      atl_take_quads (&u->q[r][first], sizeof u->q[0], q);
      atl_take_quads (&u->q[r][first + 16], sizeof u->q[0], q + 4);
      for (guint i = 0; i < 8; i++)
        v |= (q[i] >> 2 & 0x01010101) << i;
      atl_put_quads (out, r, v);
    }
}

static void
put_quants (AtlDType dtype, const Unit *u, guint first, guint8 *out)
{
  switch (dtype)
    {
    case ATL_DTYPE_IQ2_XXS:
    case ATL_DTYPE_IQ2_XS:
    case ATL_DTYPE_IQ2_S:
      put_pairs (u, first, out);
      put_bits (u, first, out + 128);
      break;
    case ATL_DTYPE_IQ3_XXS:
    case ATL_DTYPE_IQ3_S:
      put_nibbles (u, first, out);
      break;
    default:
      put_pairs (u, first, out);
      break;
    }
}

void
atl_pack_small_unit (
    AtlDType dtype, const guint8 *blocks, gsize stride, guint8 *meta, guint8 *quants)
{
  const AtlPackInfo *info = atl_pack_info (dtype);
  Unit u;

  for (guint r = 0; r < 16; r++)
    take_block (dtype, blocks + r * stride, r, &u);
  memcpy (meta, u.d, 32);
  memcpy (meta + 32, u.scale, info->meta_bytes - 32);
  for (guint first = 0; first < info->unit; first += 32)
    put_quants (dtype, &u, first, quants + first / 32 * info->quant_bytes);
}
