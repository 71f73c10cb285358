/* Tokens that are recognised as a whole in the text, before any algorithm sees it.
 *
 *   AtlAddedMatch m;
 *   gsize from = 0;
 *   while (atl_added_tokens_next (added, text, len, from, parse_special, &budget, &m))
 *     { ... plain text [from, m.from), then token m.id ...; from = m.to; }
 *
 * Of several that begin at one place the longest counts; the leftmost goes first.
 *
 * Threading: immutable once built.
 */
#pragma once

#include "engine/tokenizers/text-budget.h"
#include "engine/tokenizers/vocabulary.h"

G_BEGIN_DECLS

typedef struct
{
  gint32 id;
  gboolean special;     /* only recognised on request */
  gboolean lstrip;      /* swallows white space before it */
  gboolean rstrip;      /* and after it */
  gboolean single_word; /* only where no letter or digit touches it */
  gboolean normalized;  /* looked for in the normalised text */
} AtlAddedToken;

typedef struct _AtlAddedTokens AtlAddedTokens;

/* `texts[i]` is what tokens[i] looks like; both are copied. Empty texts are ignored. */
AtlAddedTokens *
atl_added_tokens_new (const AtlAddedToken *tokens, const char *const *texts, gsize n);
void atl_added_tokens_free (AtlAddedTokens *self); /* accepts NULL */

typedef struct
{
  gint32 id;
  gsize from, to; /* bytes */
} AtlAddedMatch;

/* The next token at or after `from`; FALSE when there is none, or `budget` is spent. */
gboolean atl_added_tokens_next (const AtlAddedTokens *self,
                                const char *text,
                                gsize length,
                                gsize from,
                                gboolean parse_special,
                                AtlTextBudget *budget,
                                AtlAddedMatch *match);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlAddedTokens, atl_added_tokens_free)

G_END_DECLS
