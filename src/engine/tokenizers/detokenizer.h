/* A stream of token ids to a stream of valid UTF-8.
 *
 * A token may end in the middle of a character, so bytes of an unfinished character are held back
 * until the next token completes it; bytes that can never become a character turn into U+FFFD as
 * soon as that is certain.
 *
 *   g_autoptr (AtlDetokenizer) detok = atl_detokenizer_new (tok, FALSE, TRUE);
 *   while (...) atl_detokenizer_push (detok, id, out);
 *   atl_detokenizer_finish (detok, out);
 *
 * Threading: one thread at a time; several detokenizers may share a tokenizer.
 */
#pragma once

#include "engine/tokenizers/tokenizer.h"

G_BEGIN_DECLS

typedef struct _AtlDetokenizer AtlDetokenizer;

/* `show_special`: control tokens appear as their names. `strip_prefix`: where the encoder puts a
 * space in front of a text (SentencePiece), the one space at the beginning is dropped; pass FALSE
 * for the continuation of a text. Keeps a reference on the tokenizer. */
AtlDetokenizer *
atl_detokenizer_new (AtlTokenizer *tokenizer, gboolean show_special, gboolean strip_prefix);
void atl_detokenizer_free (AtlDetokenizer *self); /* accepts NULL */

/* Appends what `id` completes: always whole characters of valid UTF-8, possibly nothing. An id
 * outside the vocabulary adds nothing. */
void atl_detokenizer_push (AtlDetokenizer *self, gint32 id, GString *out);

/* The end: bytes still held back are an unfinished character and become one U+FFFD. The
 * detokenizer is then as new. */
void atl_detokenizer_finish (AtlDetokenizer *self, GString *out);

/* All of `ids` at once; free with g_free. */
char *atl_tokenizer_decode (AtlTokenizer *tokenizer,
                            const gint32 *ids,
                            gsize n_ids,
                            gboolean show_special,
                            gboolean strip_prefix);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlDetokenizer, atl_detokenizer_free)

G_END_DECLS
