/* Tiles of AMX that plain C stands for, so that kern-amx*.c can be tested on processors without
 * them: in builds with tests these files are compiled once more, with ATL_AMX_EMULATED.
 *
 * Instructions as in Intel's “Architecture Instruction Set Extensions Programming Reference”, AMX:
 * what a processor would refuse (a palette that is not 1, tiles of shapes that do not belong
 * together) is an assertion here. Threading: each thread has its own tiles, as each has registers.
 */
#pragma once

#include <glib.h>
#include <immintrin.h>

#define ATL_TILES 8
#define ATL_TILE_ROWS 16
#define ATL_TILE_ROW_BYTES 64

/* Of ldtilecfg: 64 bytes, as AtlTileConfig of kern-amx.h. */
void atl_tiles_configure (const void *config);
void atl_tiles_release (void);
/* All rows of the tile from `base`, `stride` bytes apart; the rest of the register is zero. */
void atl_tile_load (guint tile, const void *base, gsize stride);
void atl_tile_store (guint tile, void *base, gsize stride);
void atl_tile_zero (guint tile);
/* sums[m][n] += a[m][4 k + i] b[k][4 n + i] over k and i < 4, signed bytes into 32 bits. */
void atl_tile_add_bytes (guint sums, guint a, guint b);
/* sums[m][n] += a[m][2 k + i] b[k][2 n + i] over k and i < 2, bfloat16 into float32. */
void atl_tile_add_bf16 (guint sums, guint a, guint b);

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#undef _tile_dpbf16ps
#define _tile_loadconfig(config) atl_tiles_configure (config)
#define _tile_release() atl_tiles_release ()
#define _tile_loadd(tile, base, stride) atl_tile_load (tile, base, (gsize) (stride))
#define _tile_stored(tile, base, stride) atl_tile_store (tile, base, (gsize) (stride))
#define _tile_zero(tile) atl_tile_zero (tile)
#define _tile_dpbssd(sums, a, b) atl_tile_add_bytes (sums, a, b)
#define _tile_dpbf16ps(sums, a, b) atl_tile_add_bf16 (sums, a, b)

/* Both forms are in one program. */
#define atl_amx_begin atl_amx_emulated_begin
#define atl_amx_end atl_amx_emulated_end
#define atl_amx_fill atl_amx_emulated_fill
#define atl_amx_int_prepare_panel atl_amx_emulated_int_prepare_panel
#define atl_amx_int_prepare_rows atl_amx_emulated_int_prepare_rows
#define atl_amx_int_tile atl_amx_emulated_int_tile
#define atl_amx_load_panel atl_amx_emulated_load_panel
#define atl_amx_packed_dot atl_amx_emulated_packed_dot
#define atl_amx_prepare_panel atl_amx_emulated_prepare_panel
#define atl_amx_prepare_queries atl_amx_emulated_prepare_queries
#define atl_amx_prepare_rows atl_amx_emulated_prepare_rows
#define atl_amx_queries_bytes atl_amx_emulated_queries_bytes
#define atl_amx_scores atl_amx_emulated_scores
#define atl_amx_softmax_tile atl_amx_emulated_softmax_tile
#define atl_amx_split_pixel atl_amx_emulated_split_pixel
#define atl_amx_tile atl_amx_emulated_tile
#define atl_amx_tile_bf16 atl_amx_emulated_tile_bf16
#define atl_amx_tile_pixels atl_amx_emulated_tile_pixels
#define atl_amx_tile_pixels_bf16 atl_amx_emulated_tile_pixels_bf16
#define atl_amx_weigh_values atl_amx_emulated_weigh_values
