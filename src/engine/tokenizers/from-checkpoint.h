/* A tokenizer being made from the `tokenizer.*` metadata of a GGUF file: what the files of this
 * share.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/tokenizers/pre-kinds.h"
#include "engine/tokenizers/tokenizer-private.h"

G_BEGIN_DECLS

#define KEY(name) "tokenizer.ggml." name

typedef enum
{
  FAMILY_BPE,
  FAMILY_SENTENCEPIECE,
  FAMILY_UNIGRAM,
  FAMILY_WORDPIECE,
} CheckpointFamily;

/* What a family assumes where the file says nothing. */
typedef struct
{
  const char *model;
  CheckpointFamily family;
  gboolean add_bos, add_eos, space_prefix;
  gint32 bos, eos, unk, sep, pad, mask;
} CheckpointDefaults;

typedef struct
{
  const AtlCheckpoint *cp;
  AtlTokenizer *tokenizer;
  const CheckpointDefaults *defaults;
  const char *pre; /* (nullable) */
  AtlPreTraits traits;
} CheckpointLoader;

/* An array of metadata; NULL without an error when it is absent. */
const AtlMetaValue *checkpoint_get_array (const AtlCheckpoint *cp,
                                          const char *key,
                                          const char *of_what,
                                          GError **error);
/* FALSE: the key is not what was expected, in words that are translated here. */
gboolean checkpoint_set_mistyped (const AtlCheckpoint *cp,
                                  const char *key,
                                  const char *expected,
                                  GError **error);
gboolean checkpoint_get_flag (
    CheckpointLoader *self, const char *key, gboolean fallback, gboolean *out, GError **error);

/* from-checkpoint-models.c: each sets the vocabulary to work by its family's algorithm. */
gboolean checkpoint_load_bpe (CheckpointLoader *self, GError **error);
gboolean checkpoint_load_sentencepiece (CheckpointLoader *self, GError **error);
gboolean checkpoint_load_unigram (CheckpointLoader *self, GError **error);
gboolean checkpoint_load_wordpiece (CheckpointLoader *self, GError **error);

G_END_DECLS
