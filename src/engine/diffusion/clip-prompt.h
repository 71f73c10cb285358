/* A weighted prompt for CLIP text encoders: read by one of two programs' rules and cut into chunks
 * of 77 tokens.
 *
 *   AtlClipPrompt *p =
 *       atl_clip_prompt_new (tokenizer, "a (red:1.3) fox", ATL_PROMPT_A1111, -1, &error);
 *   p->n_chunks, p->ids[chunk * 77 + i], p->weights[chunk * 77 + i]
 *
 * A1111: ( ) times 1.1, [ ] over 1.1, (x:1.3) times 1.3, nested factors multiply, a backslash takes
 * the meaning from what follows, BREAK ends a chunk; runs of one weight are tokenised apart; where
 * a chunk is full and a comma lies at most 20 tokens back, what follows the comma moves on.
 * ComfyUI: ( ) times 1.1, (x:1.3) sets 1.3 whatever encloses it, \( and \) are letters; words are
 * tokenised alone and one under eight tokens is never split over chunks.
 * Plain: one chunk, no weights, what is too long is cut.
 * Sources: AUTOMATIC1111 prompt_parser.py and sd_hijack_clip.py, ComfyUI sd1_clip.py.
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/diffusion/prompt-weights.h"
#include "engine/tokenizers/tokenizer.h"

G_BEGIN_DECLS

#define ATL_CLIP_CHUNK 77
/* A prompt gives at most so many chunks; the rest of it is left out. */
#define ATL_CLIP_MAX_CHUNKS 32

typedef struct
{
  guint n_chunks; /* 1 or more */
  gint32 start, end, pad;
  gint32 *ids;      /* (owned) [n_chunks, 77] */
  float *weights;   /* (owned) [n_chunks, 77] */
  gboolean is_even; /* every weight is 1 */
  gboolean was_cut; /* something was left out */
} AtlClipPrompt;

/* `pad` fills up behind the end token; -1: the end token itself. Errors are the tokenizer's. */
AtlClipPrompt *atl_clip_prompt_new (const AtlTokenizer *tokenizer,
                                    const char *text,
                                    AtlPromptRule rule,
                                    gint32 pad,
                                    GError **error);
void atl_clip_prompt_free (AtlClipPrompt *self);
/* Adds chunks of the empty prompt until there are `n_chunks`. */
void atl_clip_prompt_extend (AtlClipPrompt *self, guint n_chunks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlClipPrompt, atl_clip_prompt_free)

G_END_DECLS
