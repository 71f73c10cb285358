/* What happens to a text before it is cut into words: normal forms, lower case, spaces made marks.
 *
 *   g_autoptr (AtlNormalizer) n = atl_normalizer_new ();
 *   atl_normalizer_add_replace (n, " ", "\xe2\x96\x81");
 *   atl_normalizer_run (n, text, len, out, error);
 *
 * Threading: immutable once built; then any thread.
 */
#pragma once

#include "base/error.h"
#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/codepoints.h"

G_BEGIN_DECLS

typedef struct _AtlNormalizer AtlNormalizer;

AtlNormalizer *atl_normalizer_new (void);
void atl_normalizer_free (AtlNormalizer *self); /* accepts NULL */
gboolean atl_normalizer_is_empty (const AtlNormalizer *self);

/* Each adds a step; steps run in the order they were added. Strings are copied. */
void atl_normalizer_add_form (AtlNormalizer *self, AtlNormalForm form);
void atl_normalizer_add_lowercase (AtlNormalizer *self);
void atl_normalizer_add_strip_accents (AtlNormalizer *self); /* drops marks */
/* Puts `with` for every `what` (not empty). */
void atl_normalizer_add_replace (AtlNormalizer *self, const char *what, const char *with);
/* Puts `with` (literally) for every match. ATL_ERROR_UNSUPPORTED when it does not compile. */
gboolean atl_normalizer_add_replace_regex (AtlNormalizer *self,
                                           const char *pattern,
                                           const char *with,
                                           GError **error);
/* Puts `text` in front of a text that is not empty. */
void atl_normalizer_add_prepend (AtlNormalizer *self, const char *text);
/* Cuts white space off the ends. */
void atl_normalizer_add_strip (AtlNormalizer *self, gboolean left, gboolean right);
/* BERT's cleaning: drops control characters, frees CJK characters by spaces, drops accents, lowers.
 * Accents are dropped as the Hugging Face library does (canonical decomposition without non-spacing
 * marks), or with `base_only` as llama.cpp does: each character becomes the first one of its
 * decomposition (which leaves only the first letter of a Hangul syllable) and every mark goes. */
void atl_normalizer_add_bert (AtlNormalizer *self,
                              gboolean clean,
                              gboolean cjk,
                              gboolean strip_accents,
                              gboolean base_only,
                              gboolean lowercase);
void atl_normalizer_add_charsmap (AtlNormalizer *self, AtlCharsmap *charsmap); /* takes it */
/* SentencePiece's treatment of spaces: with `merge` runs become one and the ends go; `prefix` puts
 * one in front (or behind, with `suffix`) of a text that is not empty; with `escape` each becomes
 * U+2581. */
void atl_normalizer_add_sentencepiece_spaces (
    AtlNormalizer *self, gboolean merge, gboolean prefix, gboolean suffix, gboolean escape);

/* Appends the normalised form of valid UTF-8 `text` to `out`. ATL_ERROR_TOO_COMPLEX when a regular
 * expression gives up or the text grows past four times ATL_TOKENIZER_MAX_TEXT. */
gboolean atl_normalizer_run (
    const AtlNormalizer *self, const char *text, gsize len, GString *out, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlNormalizer, atl_normalizer_free)

G_END_DECLS
