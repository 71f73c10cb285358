/* What the loaders fill in and the encoder reads. Not for other folders.
 *
 * A loader makes one with atl_tokenizer_alloc, sets the vocabulary, one algorithm and what else its
 * file says, and ends with atl_tokenizer_finish, which derives the rest and checks it.
 */
#pragma once

#include "engine/tokenizers/added-tokens.h"
#include "engine/tokenizers/bpe.h"
#include "engine/tokenizers/normalizer.h"
#include "engine/tokenizers/pre-tokenizer.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tokenizers/unigram.h"
#include "engine/tokenizers/vocabulary.h"
#include "engine/tokenizers/wordpiece.h"

G_BEGIN_DECLS

/* How a piece of the vocabulary spells the bytes it stands for. */
typedef struct
{
  gboolean letters;      /* GPT-2's letters for bytes */
  gboolean marks;        /* U+2581 for a space, "<0x0A>" for a byte */
  char end_of_word[16];  /* "</w>" stands for a space; "": there is none */
  char continuation[16]; /* pieces without this "##" begin with a space; "": there is none */
} AtlPieceSpelling;

struct _AtlTokenizer
{
  gatomicrefcount ref_count;
  char *kind;    /* (owned) */
  char *warning; /* (owned) (nullable) */

  AtlVocabulary *vocabulary; /* (owned) */
  AtlPieceSpelling spelling;
  char *bytes;           /* (owned) what the pieces stand for, end to end */
  guint32 *bytes_offset; /* (owned) [n + 1] */

  AtlNormalizer *normalizer;        /* (owned) (nullable) */
  AtlPreTokenizer *pre_tokenizer;   /* (owned) (nullable) */
  GArray *added;                    /* (owned) AtlAddedToken, as loaded */
  AtlAddedTokens *added_raw;        /* (owned) */
  AtlAddedTokens *added_normalized; /* (owned) (nullable) */

  /* The algorithm: one of them. */
  AtlBpe *bpe;             /* (owned) (nullable) */
  AtlUnigram *unigram;     /* (owned) (nullable) */
  AtlWordpiece *wordpiece; /* (owned) (nullable) */

  gint32 special[ATL_N_SPECIAL];
  GArray *prefix; /* (owned) gint32: ids that ADD_SPECIAL puts in front */
  GArray *suffix; /* (owned) */
  GArray *eog;    /* (owned) gint32, a few */
  gboolean space_prefix;

  GHashTable *templates;     /* (owned) name ("" the default) to text */
  GPtrArray *template_names; /* (owned) NULL-terminated, without the default */
};

/* Empty, with one reference: without a vocabulary it cannot be used, only freed. */
AtlTokenizer *atl_tokenizer_alloc (void);

/* Takes `vocabulary`, which must be indexed. */
void atl_tokenizer_take_vocabulary (AtlTokenizer *self, AtlVocabulary *vocabulary);

/* Remembers a chat template; the first of a name stays. */
void atl_tokenizer_add_template (AtlTokenizer *self, const char *name, const char *text);

/* Finds the special tokens that have well-known names and were not given by the file, and the
 * tokens that end generation. For a GGUF file `retype` makes well-known end tokens control tokens
 * although the file calls them normal ones. */
void atl_tokenizer_find_specials (AtlTokenizer *self, gboolean retype);

/* Makes a normal piece of a finished tokenizer one that is always matched as a whole. */
void atl_tokenizer_add_user_defined (AtlTokenizer *self, gint32 id);

/* Builds what is derived. The last step of a loader. */
void atl_tokenizer_finish (AtlTokenizer *self);

G_END_DECLS
