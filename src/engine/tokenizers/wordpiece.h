/* WordPiece (BERT): the longest piece that fits, again and again, within each word.
 *
 * A word begins with a piece spelled `first_prefix` + text and goes on with pieces spelled
 * `next_prefix` + text: "" and "##" in a tokenizer.json, "▁" and "" in a GGUF file. A word that
 * cannot be covered is one unknown token.
 *
 * Threading: immutable once built; any thread.
 */
#pragma once

#include "engine/tokenizers/text-budget.h"
#include "engine/tokenizers/vocabulary.h"

G_BEGIN_DECLS

typedef struct _AtlWordpiece AtlWordpiece;

/* `vocabulary` is borrowed and must outlive the result. `unknown_id` −1: an unknown word is left
 * out. Words of more than `max_chars` characters are unknown (0: no limit). */
AtlWordpiece *atl_wordpiece_new (const AtlVocabulary *vocabulary,
                                 const char *first_prefix,
                                 const char *next_prefix,
                                 gint32 unknown_id,
                                 guint max_chars);
void atl_wordpiece_free (AtlWordpiece *self); /* accepts NULL */

/* Appends the ids of one word. */
void atl_wordpiece_encode (
    const AtlWordpiece *self, const char *word, gsize length, AtlTextBudget *budget, GArray *ids);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlWordpiece, atl_wordpiece_free)

G_END_DECLS
