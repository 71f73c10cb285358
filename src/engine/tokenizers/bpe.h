/* Byte pair encoding: joining neighbours until no rule applies.
 *
 * Two families share one machine. With merges (GPT-2, Llama 3, CLIP, Gemma's tokenizer.json) a pair
 * of ids has a rank in the file and the lowest rank is joined first. With scores (SentencePiece
 * BPE) a pair may be joined when its text is a piece, the highest score first. Of equals the
 * leftmost goes first. A heap of candidate pairs over a linked list of symbols makes a word of n
 * symbols cost O(n log n).
 *
 *   AtlBpeWork work = { 0 };
 *   atl_bpe_encode (bpe, &work, word, len, &budget, ids);
 *   atl_bpe_work_clear (&work);
 *
 * Threading: an AtlBpe is immutable once built; an AtlBpeWork belongs to one thread.
 */
#pragma once

#include "engine/tokenizers/text-budget.h"
#include "engine/tokenizers/vocabulary.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_BPE_BYTES,  /* symbols are bytes, pieces are spelled in GPT-2's letters for bytes */
  ATL_BPE_CHARS,  /* symbols are characters of the text */
  ATL_BPE_SCORES, /* as CHARS, but pieces are joined by score instead of by merges */
} AtlBpeKind;

typedef struct _AtlBpe AtlBpe;

typedef struct
{
  AtlBpeKind kind;
  /* Whole words that are pieces are taken as they are, without merging (Llama 3, Tekken). */
  gboolean ignore_merges;
  /* As above, but only for words of nothing but line feeds (Gemma 4 in GGUF). */
  gboolean whole_newlines;
  /* A character without a piece becomes its "<0xNN>" bytes, where all of them are there. */
  gboolean byte_fallback;
  /* Neighbouring unknown characters make one unknown token. */
  gboolean fuse_unknown;
  gint32 unknown_id;       /* −1: unknown characters are left out */
  const char *end_of_word; /* (nullable) "</w>": belongs to the last symbol of each word */
} AtlBpeConfig;

/* `vocabulary` is borrowed and must outlive the result. */
AtlBpe *atl_bpe_new (const AtlVocabulary *vocabulary, const AtlBpeConfig *config, GError **error);
void atl_bpe_free (AtlBpe *self); /* accepts NULL */

/* Makes room for about so many merges, before the first. */
void atl_bpe_expect_merges (AtlBpe *self, gsize n);

/* Adds the next merge, in the order of the file.
 * ATL_ERROR_BAD_FILE when a part or the result is no piece of the vocabulary. */
gboolean atl_bpe_add_merge (AtlBpe *self,
                            const char *left,
                            gsize left_length,
                            const char *right,
                            gsize right_length,
                            GError **error);

/* All merges in order, as pairs of ids (gint32); the caller's. */
GArray *atl_bpe_list_merges (const AtlBpe *self);
const AtlBpeConfig *atl_bpe_config (const AtlBpe *self);

/* A merge in one string, "left right". */
gboolean atl_bpe_add_merge_line (AtlBpe *self, const char *line, gsize length, GError **error);

/* Memory that encoding reuses from word to word. Starts zeroed. */
typedef struct
{
  GArray *symbols;
  GArray *heap;
  GString *letters;
} AtlBpeWork;

/* A zeroed one is fine. */
void atl_bpe_work_clear (AtlBpeWork *work);

/* Appends the ids of one word (valid UTF-8, may be long). */
void atl_bpe_encode (const AtlBpe *self,
                     AtlBpeWork *work,
                     const char *word,
                     gsize length,
                     AtlTextBudget *budget,
                     GArray *ids);

/* GPT-2's spelling of bytes as printable characters: the letter of a byte, and back (−1 for a
 * character that stands for no byte). */
gunichar atl_bpe_byte_letter (guint8 byte);
int atl_bpe_letter_byte (gunichar letter);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlBpe, atl_bpe_free)

G_END_DECLS
