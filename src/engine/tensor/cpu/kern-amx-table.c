/* What a table of inner loops is with AMX. */
#include "engine/tensor/cpu/kern-amx.h"

void
atl_amx_fill (AtlCpuKernels *kernels, gboolean has_int8)
{
  static const AtlCpuTiles int_tiles = {
    .prepare_panel = atl_amx_int_prepare_panel,
    .prepare_rows = atl_amx_int_prepare_rows,
    .tile = atl_amx_int_tile,
    .slab_bytes = ATL_AMX_INT_SLAB_BYTES,
  };
  static const AtlCpuCacheTiles cache_tiles = {
    .queries_bytes = atl_amx_queries_bytes,
    .prepare_queries = atl_amx_prepare_queries,
    .scores = atl_amx_scores,
    .weigh_values = atl_amx_weigh_values,
  };

  kernels->prepare_panel = atl_amx_prepare_panel;
  kernels->load_panel = atl_amx_load_panel;
  kernels->prepare_rows = atl_amx_prepare_rows;
  kernels->tile = atl_amx_tile;
  kernels->tile_ahead = NULL;
  kernels->tile_bf16 = atl_amx_tile_bf16;
  kernels->split_pixel = atl_amx_split_pixel;
  kernels->tile_pixels = atl_amx_tile_pixels;
  kernels->tile_pixels_bf16 = atl_amx_tile_pixels_bf16;
  kernels->softmax_tile = atl_amx_softmax_tile;
  kernels->channel_unit = 32;
  kernels->tile_rows = 32;
  kernels->tile_k = ATL_AMX_INT_SLAB;
  if (has_int8)
    {
      kernels->packed_dot = atl_amx_packed_dot;
      kernels->quant_tiles = &int_tiles;
      kernels->q8_tiles = &cache_tiles;
    }
  kernels->begin = atl_amx_begin;
  kernels->end = atl_amx_end;
}
