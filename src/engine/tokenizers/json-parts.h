/* The parts of a tokenizer.json beside its model: normalizer, pre_tokenizer, post_processor and
 * decoder. A part of a kind unknown here is ATL_ERROR_UNSUPPORTED and named: half a pipeline would
 * give wrong ids without a word. Not for other folders.
 *
 * Threading: one thread at a time per tokenizer that is being made.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "engine/tokenizers/tokenizer-private.h"

G_BEGIN_DECLS

typedef struct
{
  gboolean byte_level;   /* the model sees GPT-2's letters for bytes */
  gboolean space_prefix; /* a space (or its mark) is put in front of a text */
  guint n_steps;         /* of normalizer and pre_tokenizer so far */
} AtlJsonTraits;

/* Each reads a member of `root` (absent and null mean none). */
gboolean atl_json_read_normalizer (JsonObject *root,
                                   AtlNormalizer *normalizer,
                                   AtlJsonTraits *traits,
                                   GError **error);
gboolean atl_json_read_pre_tokenizer (JsonObject *root,
                                      AtlPreTokenizer *pre,
                                      AtlJsonTraits *traits,
                                      GError **error);
gboolean atl_json_read_decoder (JsonObject *root, AtlPieceSpelling *spelling, GError **error);
/* Fills prefix and suffix; the vocabulary must be there. */
gboolean atl_json_read_post_processor (JsonObject *root, AtlTokenizer *tokenizer, GError **error);

/* Special tokens, begin and end tokens and chat templates of a tokenizer_config.json; what the
 * tokenizer has already stays. */
void atl_tokenizer_read_config (AtlTokenizer *t, JsonObject *config);

/* Sets ATL_ERROR_BAD_FILE with a formatted message that begins "tokenizer.json: "; FALSE. */
gboolean atl_json_bad (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
