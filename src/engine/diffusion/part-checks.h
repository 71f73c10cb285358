/* Which of several files of one kind a family means: what a text encoder or an autoencoder is told
 * by where people keep those of many models in one folder.
 *
 *   { "text_encoder", …, "UMT5EncoderModel", atl_is_umt5, .reader = &text_reader }
 *
 * All say yes to what they cannot tell.
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/diffusion/bundle.h"

G_BEGIN_DECLS

/* UMT5 has positions in every layer, T5 in the first. */
gboolean atl_is_t5 (const AtlCheckpoint *cp);
gboolean atl_is_umt5 (const AtlCheckpoint *cp);
/* Language models by their architecture. */
gboolean atl_is_qwen3 (const AtlCheckpoint *cp);
gboolean atl_is_qwen25_vl (const AtlCheckpoint *cp);
gboolean atl_is_llama (const AtlCheckpoint *cp);
/* Autoencoders with 4, 16 and 32 channels; those of Wan's kind by their files' names, as
 * Qwen-Image's differs in its numbers only. */
gboolean atl_is_vae_of_4 (const AtlCheckpoint *cp);
gboolean atl_is_vae_of_16 (const AtlCheckpoint *cp);
gboolean atl_is_vae_of_32 (const AtlCheckpoint *cp);
gboolean atl_is_qwen_vae (const AtlCheckpoint *cp);
gboolean atl_is_wan_vae (const AtlCheckpoint *cp);
/* An autoencoder's tensor, also in a file with all of a model; NULL without it. */
const AtlTensorInfo *atl_vae_find (const AtlCheckpoint *cp, const char *name);

/* Last of a family's parts: what shows latents while they are drawn (preview.h). */
#define ATL_TINY_PART(origin, accepts, fit)                                                        \
  {                                                                                                \
    ATL_TINY_ROLE, N_ ("the tiny decoder for previews"), "vae_decode", origin, accepts, TRUE,      \
        .fits = fit                                                                                \
  }
#define ATL_TINY_ROLE "tae"
/* Tiny decoders for previews by their channels, and by their files' names where families have as
 * many. */
gboolean atl_is_taesd (const AtlCheckpoint *cp);
gboolean atl_is_taesdxl (const AtlCheckpoint *cp);
gboolean atl_is_taesd3 (const AtlCheckpoint *cp);
gboolean atl_is_taef1 (const AtlCheckpoint *cp);
gboolean atl_is_taef2 (const AtlCheckpoint *cp);
gboolean atl_is_taew (const AtlCheckpoint *cp);
/* The channels that a tiny decoder reads; 0 when it is none. */
gint64 atl_tiny_channels (const AtlCheckpoint *cp);
/* Whether it reads Wan's latents as the autoencoder has them, and not as the denoiser: lightx2v's
 * do. */
gboolean atl_tiny_reads_raw (const AtlCheckpoint *cp);

/* A denoiser's tensor, by its name or that below "model.diffusion_model."; NULL without it or
 * without a file. */
const AtlTensorInfo *atl_denoiser_find (const AtlCheckpoint *cp, const char *name);

/* Whether its file's name, or the title that the file gives it, has one of the words (lower case,
 * to NULL): networks of the same shape are told apart by nothing else. FALSE without a file. */
gboolean atl_denoiser_is_called (const AtlCheckpoint *cp, const char *const *words);

/* Whether what the encoder in `role` gives is as wide as what is read; notes the misfit. */
gboolean atl_text_fits (AtlBundle *bundle,
                        const AtlCheckpoint *encoder,
                        const char *role,
                        const AtlTextReader *reader);
#define ATL_CLIP_L_WIDTH 768
#define ATL_CLIP_G_WIDTH 1280

G_END_DECLS
