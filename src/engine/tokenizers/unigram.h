/* Unigram language model (T5, UMT5): the most probable way to cut a text into pieces.
 *
 * Kudo 2018, "Subword Regularization", by the Viterbi algorithm over byte positions. A character
 * that no piece covers costs the lowest score minus ten and becomes the unknown token; neighbouring
 * unknown characters make one.
 *
 * Threading: immutable once built; an AtlUnigramWork belongs to one thread.
 */
#pragma once

#include "engine/tokenizers/text-budget.h"
#include "engine/tokenizers/vocabulary.h"

G_BEGIN_DECLS

typedef struct _AtlUnigram AtlUnigram;

typedef struct
{
  GArray *best; /* reused from call to call; starts NULL */
} AtlUnigramWork;

/* `vocabulary` is borrowed and must outlive the result. `unknown_id` −1: unknown characters are
 * left out. `byte_fallback`: they become their "<0xNN>" bytes where all of them are there.
 * ATL_ERROR_BAD_FILE when a score is no finite number. */
AtlUnigram *atl_unigram_new (const AtlVocabulary *vocabulary,
                             gint32 unknown_id,
                             gboolean byte_fallback,
                             GError **error);
void atl_unigram_free (AtlUnigram *self); /* accepts NULL */

/* Appends the ids of valid UTF-8 `text`; none when `budget` is spent. */
void atl_unigram_encode (const AtlUnigram *self,
                         AtlUnigramWork *work,
                         const char *text,
                         gsize length,
                         AtlTextBudget *budget,
                         GArray *ids);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlUnigram, atl_unigram_free)

G_END_DECLS
