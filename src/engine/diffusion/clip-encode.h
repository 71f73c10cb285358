/* Prompts through CLIP text encoders: chunks, weights, hidden states and the pooled vector.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/clip-prompt.h"
#include "engine/diffusion/run.h"

G_BEGIN_DECLS

/* Whether a file holds the small (CLIP-L) or the large (OpenCLIP bigG) text encoder. */
gboolean atl_is_clip_l (const AtlCheckpoint *cp);
gboolean atl_is_clip_g (const AtlCheckpoint *cp);

typedef struct
{
  AtlArray *hidden; /* (owned) [1, 77 * chunks, dim] */
  AtlArray *pooled; /* (owned, nullable) [1, dim] of the first chunk */
} AtlClipText;

/* A zeroed one is fine. */
void atl_clip_text_clear (AtlClipText *self);

typedef struct
{
  const char *encoder, *tokenizer; /* roles */
  int layer;                       /* -1 the last, -2 the one before */
  gboolean final_norm;
} AtlClipEncoder;

/* `text` as this encoder's chunks. The caller's. */
AtlClipPrompt *
atl_clip_read (AtlRun *run, const AtlClipEncoder *encoder, const char *text, GError **error);
/* Encodes all chunks of a prompt. */
gboolean atl_clip_encode (AtlRun *run,
                          const AtlClipEncoder *encoder,
                          const AtlClipPrompt *prompt,
                          AtlClipText *out,
                          GError **error);

/* The negative (nullable) and the positive text, in as many chunks as the longer one needs. */
gboolean atl_clip_encode_pair (AtlRun *run,
                               const AtlClipEncoder *encoder,
                               const char *negative,
                               const char *positive,
                               AtlClipText *out_negative,
                               AtlClipText *out_positive,
                               GError **error);
/* Hidden states of two encoders (`before` nullable) joined along the channels; ATL_ERROR_INVALID
 * when they have different numbers of chunks. *out is the caller's. */
gboolean atl_clip_side_by_side (const AtlArray *before,
                                const AtlArray *hidden,
                                AtlArray **out,
                                GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlClipText, atl_clip_text_clear)

G_END_DECLS
