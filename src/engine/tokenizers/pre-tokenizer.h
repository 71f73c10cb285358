/* Cutting text into the words that a vocabulary's algorithm works on.
 *
 * A pre-tokeniser is a list of stages, each cutting the pieces of the one before. It comes from the
 * name in a GGUF file (`tokenizer.ggml.pre`) or from the `pre_tokenizer` of a tokenizer.json.
 *
 *   AtlPreTokenizer *pre = atl_pre_tokenizer_new_named ("llama-bpe");
 *   AtlPreWork work = { 0 };
 *   atl_pre_tokenizer_run (pre, &work, text, len, TRUE, error);
 *   for each AtlPreSpan s of work.spans: bytes [work.text.offset[s.start], …offset[s.end])
 *
 * Threading: an AtlPreTokenizer is immutable once built; an AtlPreWork belongs to one thread.
 */
#pragma once

#include "base/error.h"
#include "engine/tokenizers/scan.h"

G_BEGIN_DECLS

/* What becomes of the matches of a pattern and of the text between them. */
typedef enum
{
  ATL_SPLIT_ISOLATED,  /* both are pieces */
  ATL_SPLIT_REMOVED,   /* matches are dropped */
  ATL_SPLIT_KEEP_ONLY, /* only matches stay: "removed" of the inverted pattern */
  ATL_SPLIT_MERGED_WITH_PREVIOUS,
  ATL_SPLIT_MERGED_WITH_NEXT,
  ATL_SPLIT_CONTIGUOUS, /* neighbouring matches make one piece */
} AtlSplitBehavior;

typedef enum
{
  ATL_PREPEND_NEVER,
  ATL_PREPEND_FIRST, /* only at the beginning of the whole text */
  ATL_PREPEND_ALWAYS,
} AtlPrependScheme;

typedef struct _AtlPreTokenizer AtlPreTokenizer;

AtlPreTokenizer *atl_pre_tokenizer_new (void);
void atl_pre_tokenizer_free (AtlPreTokenizer *self); /* accepts NULL */

/* The stages that a GGUF file means by `name`; NULL for a name unknown here. */
AtlPreTokenizer *atl_pre_tokenizer_new_named (const char *name);
/* The stages for a file that names none. */
AtlPreTokenizer *atl_pre_tokenizer_new_default (void);

/* GGUF's name for these stages, the other way round; of several alike one whose words are taken
 * whole where `ignore_merges`. NULL when there is none. Static. */
const char *atl_pre_tokenizer_name (const AtlPreTokenizer *self, gboolean ignore_merges);

/* Adds a scanner; its strings are copied. */
void
atl_pre_tokenizer_add_scan (AtlPreTokenizer *self, const AtlScan *scan, AtlSplitBehavior behavior);
/* Adds the regular expression of a tokenizer.json: a scanner where it is a well-known one, else
 * PCRE. ATL_ERROR_UNSUPPORTED when it cannot be compiled. */
gboolean atl_pre_tokenizer_add_regex (AtlPreTokenizer *self,
                                      const char *pattern,
                                      AtlSplitBehavior behavior,
                                      GError **error);
/* Puts `mark` (one character) for every space and, by `scheme`, in front; with `split` each mark
 * begins a new piece. */
void atl_pre_tokenizer_add_metaspace (AtlPreTokenizer *self,
                                      const char *mark,
                                      AtlPrependScheme scheme,
                                      gboolean split);
/* A space in front of every piece that does not begin with one. */
void atl_pre_tokenizer_add_space_prefix (AtlPreTokenizer *self);

/* Turns the text into GPT-2's letters for bytes, for the stages that follow; the words come out as
 * letters too, which `makes_letters` tells. */
void atl_pre_tokenizer_add_letters (AtlPreTokenizer *self);
gboolean atl_pre_tokenizer_makes_letters (const AtlPreTokenizer *self);

typedef struct
{
  guint32 start, end; /* code points */
} AtlPreSpan;

typedef struct
{
  AtlCodepoints text;
  GArray *spans; /* AtlPreSpan */
  GArray *spare;
  GString *edited; /* the text, where a stage changed it */
} AtlPreWork;

/* A zeroed one is fine. */
void atl_pre_work_clear (AtlPreWork *work);

/* Cuts valid UTF-8 `text`. `first`: it stands at the beginning of the whole text. The results in
 * `work` last until the next call. ATL_ERROR_TOO_COMPLEX when a regular expression gives up. */
gboolean atl_pre_tokenizer_run (const AtlPreTokenizer *self,
                                AtlPreWork *work,
                                const char *text,
                                gsize len,
                                gboolean first,
                                GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPreTokenizer, atl_pre_tokenizer_free)

G_END_DECLS
