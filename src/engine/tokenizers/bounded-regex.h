/* Regular expressions of a tokenizer's file, with bounds on what looking for them may cost.
 *
 *   g_autoptr (AtlBoundedRegex) regex = atl_bounded_regex_new (pattern, n_others, error);
 *   g_regex_match_full (atl_bounded_regex_for (regex, len), text, len, ...)
 *
 * PCRE bounds the steps from each place of the text where a match may begin, not those of all of
 * them: an expression that always stops just below its bound costs the bound times the text. So a
 * long text gets a lower one, which still suffices for an expression that goes over a word of ten
 * thousand letters a few times.
 *
 * Threading: immutable once built; any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _AtlBoundedRegex AtlBoundedRegex;

/* Each text is gone over by all expressions of a file: a few, in real ones. */
#define ATL_BOUNDED_REGEX_MAX 8

/* `before` says how many the caller has already. ATL_ERROR_UNSUPPORTED with the reason when those
 * are enough, and when the expression is too long or not understood. */
AtlBoundedRegex *atl_bounded_regex_new (const char *pattern, guint before, GError **error);
void atl_bounded_regex_free (AtlBoundedRegex *self); /* accepts NULL */

/* The one for a text of `len` bytes (borrowed). */
GRegex *atl_bounded_regex_for (const AtlBoundedRegex *self, gsize len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlBoundedRegex, atl_bounded_regex_free)

G_END_DECLS
