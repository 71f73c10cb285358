/* Prompts with pictures in them, as Qwen2.5-VL reads them (transformers 5.23, qwen2_5_vl).
 *
 *   g_auto (AtlQwenPictures) seen = { 0 };
 *   atl_qwen_look (run, picture, &seen, error);                     each picture, in order
 *   hidden = atl_qwen_encode (run, "…<|vision_start|><|image_pad|><|vision_end|>…", 1088, 64,
 *                            &seen, error);
 *
 * Each <|image_pad|> of the text becomes as many tokens as the vision tower has cells for its
 * picture; they stand at (p, p + row, p + column), p being where the picture begins, and the text
 * behind goes on at p + the larger of rows and columns.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

#define ATL_QWEN_PICTURE "<|vision_start|><|image_pad|><|vision_end|>"
#define ATL_QWEN_MAX_PICTURES 16

/* What the tower says of some pictures. */
typedef struct
{
  guint n;
  AtlArray *rows[ATL_QWEN_MAX_PICTURES]; /* (owned) [1, cells, dim] */
  gint64 grid[ATL_QWEN_MAX_PICTURES][2]; /* rows and columns of cells */
} AtlQwenPictures;

/* A zeroed one is fine. */
void atl_qwen_pictures_clear (AtlQwenPictures *self);

/* Adds what the part "vision_tower" says of a picture [1, 3, H, W], normalised, its sides multiples
 * of a cell's (28). Errors are the tower's. */
gboolean
atl_qwen_look (AtlRun *run, const AtlArray *picture, AtlQwenPictures *seen, GError **error);

/* A prompt with its pictures in place, for "encode_text". */
typedef struct
{
  AtlArray *token_ids;  /* (owned) i32 [1, T] */
  AtlArray *positions;  /* (owned) i32 [3, T] */
  AtlArray *row_tokens; /* (owned) i32 [1, n] which tokens are the pictures' */
} AtlQwenPrompt;

/* A zeroed one is fine. */
void atl_qwen_prompt_clear (AtlQwenPrompt *self);

/* The text, in its template, as ids; at most `length` of them beside those of the pictures, the end
 * is cut off. ATL_ERROR_INVALID when the text has not one place for each picture. */
gboolean atl_qwen_read (AtlRun *run,
                        const char *text,
                        gint64 length,
                        const AtlQwenPictures *seen,
                        AtlQwenPrompt *prompt,
                        GError **error);

/* The last hidden state [1, T - drop, dim] of such a prompt. The caller's. */
AtlArray *atl_qwen_encode (AtlRun *run,
                           const char *text,
                           gint64 length,
                           gint64 drop,
                           const AtlQwenPictures *seen,
                           GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlQwenPictures, atl_qwen_pictures_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlQwenPrompt, atl_qwen_prompt_clear)

G_END_DECLS
