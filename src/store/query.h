/* A search as a person types it, taken apart for SQLite: every word must occur, as search.h says.
 *
 *   g_auto (AtlQuery) query = { 0 };
 *   if (atl_query_init (&query, "cap fra"))
 *     ... WHERE table MATCH query.match, unless it is NULL; then, row by row:
 *         atl_query_admits (&query, text)
 *
 * Threading: plain data.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  char *match;           /* (owned) (nullable) FTS5 expression */
  GPtrArray *substrings; /* (owned) of words that must occur as they are */
} AtlQuery;

/* Takes `text` apart. FALSE when nothing was asked for; it is to be cleared nevertheless. */
gboolean atl_query_init (AtlQuery *query, const char *text);
void atl_query_clear (AtlQuery *query);
/* TRUE when `text` holds what the index could not look for. */
gboolean atl_query_admits (const AtlQuery *query, const char *text);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlQuery, atl_query_clear)

G_END_DECLS
