/* The little JSON that a safetensors header and its index are made of: objects, lists, texts and
 * plain integers. It reads from left to right and never recurses; whoever calls it says what must
 * come next, so nothing is built for what is not expected.
 *
 * A general JSON library is no use here: it would merge duplicate members without a word, and take
 * 8.0 for 8.
 *
 * Threading: one thread a scanner.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  const char *at;
  const char *start;
  const char *end;
  const char *file; /* for messages */
} AtlStScanner;

/* `text`, any bytes, must stay while the scanner is used. Only texts may hold more than ASCII, and
 * they are checked one by one, so that a huge header is read no further than it is good. */
void atl_st_scanner_init (AtlStScanner *self, const char *text, gsize size, const char *file);

/* The next character must be `c`; `what` says in the message what was being read. */
gboolean atl_st_expect (AtlStScanner *self, char c, const char *what, GError **error);

/* A text with its escapes resolved, valid UTF-8, `out` to be freed with g_free(). A NUL or half a
 * surrogate pair in it is an error. */
gboolean atl_st_text (AtlStScanner *self, const char *what, char **out, GError **error);

/* A whole number without sign, fraction or exponent. */
gboolean atl_st_uint (AtlStScanner *self, const char *what, guint64 *out, GError **error);

/* Steps to the next element of a list or object that ends with `close`: TRUE with *more set to
 * whether there is one. `first` is TRUE before the first element, and is cleared. */
gboolean atl_st_next (AtlStScanner *self,
                      char close,
                      gboolean *first,
                      gboolean *more,
                      const char *what,
                      GError **error);

/* Steps over any value without looking closer; for text that is only consulted, as an index is. */
gboolean atl_st_skip (AtlStScanner *self, const char *what, GError **error);

/* Nothing but spaces may follow. */
gboolean atl_st_finish (AtlStScanner *self, GError **error);

G_END_DECLS
