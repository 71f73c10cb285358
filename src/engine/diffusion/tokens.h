/* Prompts as the ids that text encoders take.
 *
 *   gint64 n = atl_run_text_length (run, 128, 512);
 *   atl_request_add_text (request, run, "tokenizer", text, n, ATL_TEXT_PAD, NULL, error);
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_TEXT_BEGIN = 1 << 0,    /* behind the vocabulary's begin token */
  ATL_TEXT_END = 1 << 1,      /* before its end token, however short the text is cut */
  ATL_TEXT_SPECIAL = 1 << 2,  /* special tokens that stand in the text are ones */
  ATL_TEXT_PAD = 1 << 3,      /* filled up to the length, which "attention_mask" says */
  ATL_TEXT_IN_FRONT = 1 << 4, /* filled up before the text */
  ATL_TEXT_ALL_SEEN = 1 << 5, /* the mask covers what it was filled up with */
} AtlTextFlags;

/* "max_sequence_length", else `fallback`; from 1 to `most`. */
gint64 atl_run_text_length (const AtlRun *run, gint64 fallback, gint64 most);
/* Adds "token_ids" [1, n] of the text, at most or with ATL_TEXT_PAD exactly `length` of them, the
 * end cut off. Padding is the vocabulary's, else its end token. `*n_valid` (nullable): those that
 * are no padding. Errors are the vocabulary's. */
gboolean atl_request_add_text (AtlRequest *request,
                               AtlRun *run,
                               const char *tokenizer,
                               const char *text,
                               gint64 length,
                               guint flags,
                               gint64 *n_valid,
                               GError **error);

G_END_DECLS
