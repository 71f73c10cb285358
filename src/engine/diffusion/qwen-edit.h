/* The pictures that Qwen-Image-Edit works from: each is seen twice, by the text encoder's vision
 * tower and, exactly, as tokens of its latent.
 *
 *   g_auto (AtlQwenReferences) references = { 0 };
 *   references.n = atl_qwen_references_count (run, TRUE);
 *   atl_qwen_references_look (run, &references, error);
 *   text = atl_qwen_references_encode (run, &references, prompt, length, error);
 *   atl_qwen_references_measure (run, &references, mean, std, error);    their tokens
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/qwen-prompt.h"

G_BEGIN_DECLS

typedef struct
{
  guint n;
  gboolean is_plus;                      /* several, numbered in the prompt */
  AtlQwenPictures seen;                  /* (owned) */
  AtlArray *tokens;                      /* (owned, nullable) [1, n, 64] of all latents */
  gint64 size[ATL_QWEN_MAX_PICTURES][2]; /* rows and columns of tokens */
} AtlQwenReferences;

/* A zeroed one is fine. */
void atl_qwen_references_clear (AtlQwenReferences *self);

/* How many there are: image_1, image_2, …, or "image" where `takes_image`. */
guint atl_qwen_references_count (const AtlRun *run, gboolean takes_image);
/* `area` (px) in the shape of a picture of width x height, sides multiples of 32. */
void
atl_qwen_fit_area (double width, double height, double area, gint64 *to_width, gint64 *to_height);
/* Has the vision tower look at them: at the inputs condition_1… (0…1, sides multiples of 28), else
 * at the pictures in the size that the origin shows them. After this the tower may go. */
gboolean atl_qwen_references_look (AtlRun *run, AtlQwenReferences *self, GError **error);
/* The prompt in the template of editing, with the pictures in it: [1, T, dim]. The caller's. */
AtlArray *atl_qwen_references_encode (
    AtlRun *run, const AtlQwenReferences *self, const char *prompt, gint64 length, GError **error);
/* Takes a picture [1, 3, H, W] in -1…1: its latent [1, C, h, w], (mean - latents_mean) /
 * latents_std. The caller's. */
AtlArray *atl_qwen_latent_of (
    AtlRun *run, AtlArray *picture, const float *mean, const float *std, GError **error);
/* Their latents as tokens. Sides are multiples of 16 px. After this the autoencoder may go. */
gboolean atl_qwen_references_measure (
    AtlRun *run, AtlQwenReferences *self, const float *mean, const float *std, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlQwenReferences, atl_qwen_references_clear)

G_END_DECLS
