/* What the transformers that denoise pictures do alike: where their files keep them, embedders of
 * numbers, modulation, and the attention of several streams of tokens.
 *
 *   temb = atl_act (g, ATL_ACT_SILU, atl_embedder (g, &time, features));
 *   atl_modulation (g, temb, &block->mod, 6, mod);          shift, scale, gate; shift, scale, gate
 *   atl_qkv (g, &block->qkv, atl_modulated (g, x, mod), n_heads, qkv);
 *   x = atl_gated (g, x, atl_apply (g, atl_qkv_attend (g, qkv, rope), &block->out), mod[2]);
 *
 * Sources: Peebles & Xie 2023 (DiT, adaLN-Zero), Esser et al. 2024 (MM-DiT); diffusers 0.42.1.
 * Threading: as the source's and the graph's.
 */
#pragma once

#include "engine/models/blocks/source.h"
#include "engine/tensor/graph.h"

G_BEGIN_DECLS

/* Of all norms here. */
#define ATL_DENOISER_EPS 1e-6f
/* Numbers that a timestep or a guidance becomes before it is embedded. */
#define ATL_DENOISER_FREQS 256

/* What stands before a denoiser's names: "" or, in a file that holds a whole pipeline,
 * "model.diffusion_model."; the first below which all the named tensors are. NULL for none. */
const char *atl_denoiser_prefix (const AtlCheckpoint *cp, ...) G_GNUC_NULL_TERMINATED;

/* How a head's rotation is divided among axes: the list `key` of the configuration where it has
 * `min` to `max` numbers, else what axis[0 … *n_axes) holds already. ATL_ERROR_BAD_FILE unless they
 * are even and fill a head. */
gboolean atl_denoiser_axes (const AtlCheckpoint *cp,
                            const char *key,
                            guint min,
                            guint max,
                            gint64 head_dim,
                            gint64 *axis,
                            guint *n_axes,
                            GError **error);

/* Linear(SiLU(Linear(x))). */
typedef struct
{
  AtlAffine first, second; /* first.w NULL: there is none */
} AtlEmbedder;

/* NAME.linear_1 [any, in], NAME.linear_2 [out, any]; in -1: any. */
void
atl_embedder_read (AtlEmbedder *self, AtlSource *source, gint64 out, gint64 in, const char *name);
AtlTensor *atl_embedder (AtlGraph *g, const AtlEmbedder *self, AtlTensor *x);

/* The n parts of Linear(temb), temb [B, D] -> [B, 1, …] each. */
void atl_modulation (AtlGraph *g, AtlTensor *temb, const AtlAffine *a, guint n, AtlTensor **parts);
/* LN(x) (1 + mod[1]) + mod[0], the norm without weights. */
AtlTensor *atl_modulated (AtlGraph *g, AtlTensor *x, AtlTensor *const *mod);
/* The two parts of the last modulation as atl_modulated() takes them: Linear(temb) has the scale
 * first in diffusers' files (norm_out.linear), the shift in the authors'. */
void atl_modulation_of_end (
    AtlGraph *g, AtlTensor *temb, const AtlAffine *a, gboolean shift_first, AtlTensor **parts);
/* x + gate y */
AtlTensor *atl_gated (AtlGraph *g, AtlTensor *x, AtlTensor *y, AtlTensor *gate);

/* Queries, keys and values of one stream. */
typedef struct
{
  AtlAffine proj[3];
  AtlAffine norm_q, norm_k; /* RMS of a head; w nullable */
} AtlQkv;

/* x [B, T, D] -> qkv [B, T, n_heads, head_dim], queries and keys normed. */
void atl_qkv (AtlGraph *g, const AtlQkv *self, AtlTensor *x, gint64 n_heads, AtlTensor **qkv);
/* Two streams behind one another. */
void
atl_qkv_join (AtlGraph *g, AtlTensor *const *first, AtlTensor *const *second, AtlTensor **joint);
/* Attention of all to all, queries and keys rotated by `rope` (nullable) [T, head_dim]; [B, T, D].
 */
AtlTensor *atl_qkv_attend (AtlGraph *g, AtlTensor *const *qkv, AtlTensor *rope);

G_END_DECLS
