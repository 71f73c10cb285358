/* The blocks of Flux.1's transformer, which Chroma shares (diffusers 0.42.1 FluxTransformerBlock
 * and FluxSingleTransformerBlock): picture and text as two streams with one attention, then as one.
 *
 * Shift, scale and gate come from outside: from the timestep in Flux, from a table in Chroma.
 *
 * Threading: as the graph's.
 */
#pragma once

#include "engine/models/blocks/denoiser.h"

G_BEGIN_DECLS

#define ATL_FLUX_MAX_BLOCKS 128
#define ATL_FLUX_MAX_AXES 4

/* What picture and text have each in a double block; a single block uses some of it. */
typedef struct
{
  AtlAffine mod; /* of Flux */
  AtlQkv qkv;
  AtlAffine out, mlp1, mlp2;
} AtlFluxStream;

typedef struct
{
  gint64 dim, head_dim, n_heads;
  guint n_axes;
  gint64 axis[ATL_FLUX_MAX_AXES]; /* of the rotation */
  guint n_double, n_single;
  AtlFluxStream image[ATL_FLUX_MAX_BLOCKS], text[ATL_FLUX_MAX_BLOCKS], single[ATL_FLUX_MAX_BLOCKS];
  AtlAffine x_embedder, context_embedder, proj_out;
} AtlFluxBlocks;

/* Heads and the axes of their rotation: of the configuration, or the published ones. */
gboolean atl_flux_blocks_config (AtlFluxBlocks *self, const AtlCheckpoint *cp, GError **error);
/* Their weights; canonical names are diffusers'. Mistakes are the weight table's. */
void atl_flux_blocks_read (AtlFluxBlocks *self, AtlSource *source, gboolean has_modulation);
/* The rotation of all tokens, text first, for positions [T, axes] and [tokens, axes]. The caller's.
 */
AtlArray *atl_flux_blocks_rope (const AtlFluxBlocks *self,
                                const AtlArray *context_ids,
                                const AtlArray *image_ids);

typedef struct
{
  const AtlFluxBlocks *blocks;
  AtlGraph *g;
  gint64 T; /* text tokens */
  AtlTensor *rope;
} AtlFluxPass;

/* mod: shift, scale, gate of the attention, then of the MLP, [B, 1, D] each. Changes both streams.
 */
void atl_flux_double (AtlFluxPass *pass,
                      guint i,
                      AtlTensor *const *mod_image,
                      AtlTensor *const *mod_text,
                      AtlTensor **image,
                      AtlTensor **text);
/* Of the joined streams; mod: shift, scale, gate. */
AtlTensor *atl_flux_single (AtlFluxPass *pass, guint i, AtlTensor *const *mod, AtlTensor *x);
/* The picture's n tokens out of the joined streams -> [B, n, out]; mod: shift, scale. */
AtlTensor *atl_flux_end (AtlFluxPass *pass, AtlTensor *x, AtlTensor *const *mod, gint64 n);

G_END_DECLS
