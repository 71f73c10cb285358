/* The tile registers in memory. */
#include "engine/tensor/cpu/kern-amx-emulated.h"

#include <string.h>

#include "engine/tensor/cpu/kern-amx.h"

#define ROW_INTS (ATL_TILE_ROW_BYTES / 4)

typedef struct
{
  guint rows, row_bytes;
  union
  {
    guint8 row[ATL_TILE_ROWS][ATL_TILE_ROW_BYTES];
    gint32 sums[ATL_TILE_ROWS][ROW_INTS];
    float floats[ATL_TILE_ROWS][ROW_INTS];
  };
} Tile;

static _Thread_local Tile tiles[ATL_TILES];

void
atl_tiles_configure (const void *config)
{
  const AtlTileConfig *c = config;

  g_assert_cmpuint (c->palette, ==, 1);
  g_assert_cmpuint (c->start_row, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (c->unused); i++)
    g_assert_cmpuint (c->unused[i], ==, 0);
  memset (tiles, 0, sizeof tiles);
  for (guint i = 0; i < G_N_ELEMENTS (c->rows); i++)
    {
      g_assert_cmpuint (c->rows[i], <=, i < ATL_TILES ? ATL_TILE_ROWS : 0);
      g_assert_cmpuint (c->row_bytes[i], <=, i < ATL_TILES ? ATL_TILE_ROW_BYTES : 0);
      /* A tile is there with both or not at all. */
      g_assert_true ((c->rows[i] == 0) == (c->row_bytes[i] == 0));
      if (i < ATL_TILES)
        {
          tiles[i].rows = c->rows[i];
          tiles[i].row_bytes = c->row_bytes[i];
        }
    }
}

void
atl_tiles_release (void)
{
  memset (tiles, 0, sizeof tiles);
}

static Tile *
get (guint tile)
{
  g_assert_cmpuint (tile, <, ATL_TILES);
  g_assert_cmpuint (tiles[tile].rows, >, 0);
  return &tiles[tile];
}

void
atl_tile_load (guint tile, const void *base, gsize stride)
{
  Tile *t = get (tile);

  memset (t->row, 0, sizeof t->row);
  for (guint r = 0; r < t->rows; r++)
    memcpy (t->row[r], (const guint8 *) base + r * stride, t->row_bytes);
}

void
atl_tile_store (guint tile, void *base, gsize stride)
{
  const Tile *t = get (tile);

  for (guint r = 0; r < t->rows; r++)
    memcpy ((guint8 *) base + r * stride, t->row[r], t->row_bytes);
}

void
atl_tile_zero (guint tile)
{
  Tile *t = get (tile);

  memset (t->row, 0, sizeof t->row);
}

/* The three tiles of a product, whose shapes have to belong together. */
static void
check_product (const Tile *sums, const Tile *a, const Tile *b)
{
  g_assert_true (sums != a && sums != b && a != b);
  g_assert_cmpuint (sums->rows, ==, a->rows);
  g_assert_cmpuint (sums->row_bytes, ==, b->row_bytes);
  g_assert_cmpuint (a->row_bytes, ==, 4 * b->rows);
  g_assert_cmpuint (sums->row_bytes % 4, ==, 0);
}

void
atl_tile_add_bytes (guint sums, guint a, guint b)
{
  Tile *c = get (sums);
  const Tile *x = get (a), *w = get (b);

  check_product (c, x, w);
  for (guint m = 0; m < c->rows; m++)
    for (guint k = 0; k < w->rows; k++)
      for (guint n = 0; n < c->row_bytes / 4; n++)
        {
          gint32 sum = 0;

          for (guint i = 0; i < 4; i++)
            sum += (gint8) x->row[m][4 * k + i] * (gint8) w->row[k][4 * n + i];
          /* wraps around, as the instruction does */
          c->sums[m][n] = (gint32) ((guint32) c->sums[m][n] + (guint32) sum);
        }
}

/* A bfloat16 of a tile's row; numbers too small to be normal are zero. */
static float
bf16_at (const guint8 *row, guint i)
{
  guint32 bits = (guint32) row[2 * i] << 16 | (guint32) row[2 * i + 1] << 24;
  float value;

  if ((bits & 0x7f800000) == 0)
    bits &= 0x80000000;
  memcpy (&value, &bits, sizeof value);
  return value;
}

void
atl_tile_add_bf16 (guint sums, guint a, guint b)
{
  Tile *c = get (sums);
  const Tile *x = get (a), *w = get (b);
  const guint n_columns = c->row_bytes / 4;
  float column[ATL_TILE_ROWS][2 * ROW_INTS];

  check_product (c, x, w);
  for (guint k = 0; k < w->rows; k++)
    for (guint n = 0; n < 2 * n_columns; n++)
      column[k][n] = bf16_at (w->row[k], n);
  for (guint m = 0; m < c->rows; m++)
    {
      float partial[2 * ROW_INTS] = { 0 };

      for (guint k = 0; k < w->rows; k++)
        {
          const float pair[2] = { bf16_at (x->row[m], 2 * k), bf16_at (x->row[m], 2 * k + 1) };

          for (guint n = 0; n < n_columns; n++)
            {
              partial[2 * n] += pair[0] * column[k][2 * n];
              partial[2 * n + 1] += pair[1] * column[k][2 * n + 1];
            }
        }
      for (guint n = 0; n < n_columns; n++)
        c->floats[m][n] += partial[2 * n] + partial[2 * n + 1];
    }
}
