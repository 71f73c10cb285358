/* Which of several files of one kind a family means: what a text encoder or an autoencoder is told
 * by where people keep those of many models in one folder.
 *
 *   { "text_encoder", …, "UMT5EncoderModel", atl_is_umt5, FALSE, NULL, fits_text }
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

/* Whether `n` states of a text encoder side by side are as wide as what the denoiser's tensor of
 * one of these names (NULL-terminated, without prefix) reads: its last dimension. */
gboolean atl_encoder_fits (AtlBundle *bundle,
                           const AtlCheckpoint *encoder,
                           const char *const *names,
                           guint n);

G_END_DECLS
