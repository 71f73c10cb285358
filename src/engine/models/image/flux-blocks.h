/* The blocks of Flux.1's transformer, which Chroma, Flux.2 and Qwen-Image share (diffusers 0.42.1
 * FluxTransformerBlock and FluxSingleTransformerBlock): picture and text as two streams with one
 * attention, then as one.
 *
 * Shift, scale and gate come from outside: from the timestep, or from a table in Chroma. Feed-
 * forward: Linear(GELU_tanh(Linear(x))), in Flux.2 Linear(SiLU(a) * b) with [a, b] = Linear(x).
 *
 *   AtlFluxPass p = { .blocks = &m->blocks, .g = g, .stage = stage, .inputs = inputs };
 *   x = atl_flux_run (&p, modulate, m);
 *   if (x != NULL)
 *     atl_flux_end (&p, x, mod);
 *
 * Threading: as the graph's.
 */
#pragma once

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/stages.h"

G_BEGIN_DECLS

#define ATL_FLUX_MAX_BLOCKS 128
#define ATL_FLUX_MAX_AXES 4

/* What picture and text have each in a double block; a single block uses some of it. */
typedef struct
{
  AtlAffine mod; /* of Flux.1 and Qwen-Image */
  AtlQkv qkv;
  AtlAffine out, mlp1, mlp2;
  AtlAffine mlp_gate; /* of gated double blocks: a, mlp1 being b; in single blocks mlp1 is both */
} AtlFluxStream;

typedef struct
{
  gint64 dim, head_dim, n_heads;
  guint n_axes;
  gint64 axis[ATL_FLUX_MAX_AXES]; /* of the rotation */
  double theta;
  gboolean is_gated; /* the feed-forward */
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

/* Adds what the request's "guidance" [B] or [1] becomes to `inputs`, which borrow it; the caller's.
 * NULL with an error when it is not there. */
AtlArray *
atl_flux_blocks_guidance (const AtlRequest *request, gint64 B, GPtrArray *inputs, GError **error);

typedef struct _AtlFluxPass AtlFluxPass;

/* Shift, scale and gate of a block into `mod`, [B or 1, 1, D] each: six of a double block, for the
 * attention, then for the MLP; three of a single one. */
typedef enum
{
  ATL_FLUX_IMAGE,
  ATL_FLUX_TEXT,
  ATL_FLUX_SINGLE
} AtlFluxKind;
typedef void (*AtlFluxModulateFunc) (
    AtlFluxPass *pass, AtlFluxKind kind, guint i, AtlTensor **mod, gpointer user_data);

struct _AtlFluxPass
{
  const AtlFluxBlocks *blocks;
  AtlGraph *g;
  AtlStage stage;
  GPtrArray *inputs; /* borrowed */
  AtlTensor *rope;
  gint64 T; /* text tokens */
};

/* The part of a pass that is asked for, of the inputs "latent", "context" and "rope": the picture's
 * tokens [B, n, D] behind the blocks, NULL where the part ends before that. */
AtlTensor *atl_flux_run (AtlFluxPass *pass, AtlFluxModulateFunc modulate, gpointer user_data);
/* mod as above. Changes both streams. */
void atl_flux_double (AtlFluxPass *pass,
                      guint i,
                      AtlTensor *const *mod_image,
                      AtlTensor *const *mod_text,
                      AtlTensor **image,
                      AtlTensor **text);
/* The picture's tokens -> "output" [B, n, out]; mod: shift, scale. */
void atl_flux_end (AtlFluxPass *pass, AtlTensor *x, AtlTensor *const *mod);

G_END_DECLS
