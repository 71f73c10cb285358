/* Files that several families are published with: rows of AtlDiffusionFamily.published, each for
 * the role that a family gives it. Sizes as the repositories list them.
 *
 *   static const AtlPublished published[] = {
 *     ATL_PUBLISHED_CLIP_WORDS ("tokenizer"),
 *     ATL_PUBLISHED_CLIP_L ("text_encoder"),
 *   };
 *
 * Threading: any; constant tables.
 */
#pragma once

#include "engine/diffusion/family.h"

#define ATL_REPO_SDXL "stabilityai/stable-diffusion-xl-base-1.0"
#define ATL_REPO_FLUX_TEXT "comfyanonymous/flux_text_encoders"

/* Vocabularies. */
#define ATL_PUBLISHED_CLIP_WORDS(role)                                                             \
  { role, "openai/clip-vit-large-patch14", "vocab.json", 961143 },                                 \
  {                                                                                                \
    role, "openai/clip-vit-large-patch14", "merges.txt", 524619                                    \
  }
/* CLIP-G's, padded otherwise than CLIP-L's, which its configuration says. */
#define ATL_PUBLISHED_CLIP_G_WORDS(role)                                                           \
  { role, ATL_REPO_SDXL, "tokenizer_2/vocab.json", 961143 },                                       \
      { role, ATL_REPO_SDXL, "tokenizer_2/merges.txt", 524619 },                                   \
  {                                                                                                \
    role, ATL_REPO_SDXL, "tokenizer_2/tokenizer_config.json", 0                                    \
  }
#define ATL_PUBLISHED_T5_WORDS(role)                                                               \
  {                                                                                                \
    role, "google/t5-v1_1-xxl", "spiece.model", 791656                                             \
  }

/* Text encoders. */
#define ATL_PUBLISHED_CLIP_L(role)                                                                 \
  {                                                                                                \
    role, ATL_REPO_FLUX_TEXT, "clip_l.safetensors", 246144152                                      \
  }
#define ATL_PUBLISHED_T5(role)                                                                     \
  {                                                                                                \
    role, ATL_REPO_FLUX_TEXT, "t5xxl_fp8_e4m3fn.safetensors", 4893934904                           \
  }

/* Flux.1's autoencoder, from a repository that asks for no account. */
#define ATL_PUBLISHED_FLUX_VAE(role)                                                               \
  {                                                                                                \
    role, "Comfy-Org/z_image_turbo", "split_files/vae/ae.safetensors", 335304388                   \
  }
#define ATL_PUBLISHED_TAEF1(role)                                                                  \
  {                                                                                                \
    role, "madebyollin/taef1", "diffusion_pytorch_model.safetensors", 0                            \
  }
