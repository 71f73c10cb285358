/* Prompts through T5 text encoders: ids, the end token, padding.
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

typedef struct
{
  const char *encoder, *tokenizer; /* roles */
  guint max_tokens;                /* of the model; "max_sequence_length" may ask for less */
  gboolean is_masked;              /* padding is not attended to */
} AtlT5Encoder;

/* Hidden states [1, n, dim] of `text` and its end token, cut or padded to n tokens, n being
 * "max_sequence_length" or the model's. `n_valid` (nullable): tokens that are no padding. The
 * caller's. */
AtlArray *atl_t5_encode (
    AtlRun *run, const AtlT5Encoder *encoder, const char *text, gint64 *n_valid, GError **error);

G_END_DECLS
