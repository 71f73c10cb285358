/* Tiny tokenizers to test on and to damage: one of each kind and source. For tests only. */
#pragma once

#include "engine/tokenizers/tokenizer.h"

G_BEGIN_DECLS

/* tokenizer.json texts: byte-level BPE, BPE with byte fallback, unigram, WordPiece; NULL-ended. */
extern const char *const tiny_json[];

/* tokenizer_config.json for any of them. */
extern const char tiny_config[];

/* vocab.json and merges.txt of a CLIP. */
extern const char tiny_clip_vocab[];
extern const char tiny_clip_merges[];

/* The bytes of a SentencePiece model; `model_type` 1 unigram, 2 BPE. */
GByteArray *tiny_sentencepiece (guint model_type);

typedef enum
{
  TINY_GPT2,
  TINY_LLAMA,
  TINY_T5,
  TINY_BERT,
  TINY_GEMMA4,
  N_TINY
} TinyKind;

/* Called for each key before it is added; may change the value, and drops the key by FALSE. */
typedef gboolean (*TinyFilter) (const char *key, AtlMetaValue *value, gpointer data);

/* The metadata of a GGUF file of that kind. */
AtlCheckpoint *tiny_checkpoint (TinyKind kind, TinyFilter filter, gpointer data);

G_END_DECLS
