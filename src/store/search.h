/* Search over all titles and messages.
 *
 *   g_autoptr (GPtrArray) hits = atl_store_search (store, "cap fra", 50, &error);
 *
 * Every word must occur, each as the beginning of a word, whatever its case and accents. Words of
 * scripts that do not separate words (Chinese, Japanese, Thai...) are found anywhere.
 *
 * Threading: that of the handle. Quick, whatever is typed; no query is a syntax error.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef struct
{
  guint start; /* bytes into the snippet */
  guint end;   /* first byte after the match */
} AtlMatch;

typedef struct
{
  gint64 chat_id;
  gint64 message_id; /* 0: the title matched */
  char *chat_title;
  char *snippet;   /* plain text, one line: some words around the first matches */
  AtlMatch *match; /* `n_matches` places in `snippet`, ascending, on character boundaries */
  guint n_matches;
  gint64 created_us; /* of the message, or updated_us of the chat */
} AtlSearchHit;

/* NULL is fine. */
void atl_search_hit_free (AtlSearchHit *hit);

/* Matching titles first, then messages, each newest first, `limit` at most of either. An empty
 * query finds nothing. (transfer full) (element-type AtlSearchHit) */
GPtrArray *atl_store_search (AtlStore *self, const char *query, guint limit, GError **error);

/* As above, inside one chat (the shown path and the other branches), messages only, in the order
 * of the chat. */
GPtrArray *atl_store_search_chat (
    AtlStore *self, gint64 chat_id, const char *query, guint limit, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlSearchHit, atl_search_hit_free)

G_END_DECLS
