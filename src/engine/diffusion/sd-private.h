/* What the files of Stable Diffusion's pipeline share (sd.c). */
#pragma once

#include "engine/diffusion/clip-encode.h"
#include "engine/diffusion/latents.h"

G_BEGIN_DECLS

typedef struct
{
  gboolean is_xl, is_guided;
  double guidance, rescale;
  AtlLatent latent;
  AtlArray *context, *pooled, *ids; /* (owned) negative first when guided */
  AtlArray *clean, *noise;          /* (owned, nullable) the picture's latent */
  AtlArray *mask;                   /* (owned, nullable) [1, 1, h, w], 1: paint */
  AtlArray *masked;                 /* (owned, nullable) nine channels: the picture's rest */
} AtlSd;

/* A zeroed one is fine. */
void atl_sd_clear (AtlSd *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlSd, atl_sd_clear)

/* Fills context, and for XL pooled and ids, from the prompts that the run asks for. */
gboolean atl_sd_encode_text (AtlRun *run, AtlSd *self, GError **error);

G_END_DECLS
