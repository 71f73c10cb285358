/* The blocks that md4c's events (markdown.c) are turned into.
 *
 * Threading: any thread, one at a time.
 */
#pragma once

#include <md4c.h>

#include "app/chat/markdown.h"

G_BEGIN_DECLS

/* Spans nested deeper are read as plain text. */
#define ATL_MD_MAX_SPANS 16
typedef struct
{
  gboolean ordered;
  guint number;
} AtlMdList;

typedef struct
{
  GPtrArray *blocks; /* (element-type AtlMdBlock) */
  AtlMdBlock *block; /* (nullable) the one being written */
  GString *markup;
  gsize n_chars; /* of the text in `markup`, without tags */
  char last;     /* the last byte of that text */
  GArray *lists; /* (element-type AtlMdList) */
  guint quote;
  char *marker; /* (nullable) of the list item that has no block yet */
  AtlMdTask task;
  const char *open[ATL_MD_MAX_SPANS];  /* opening tags, static or owned by `links` */
  const char *close[ATL_MD_MAX_SPANS]; /* closing tags, static */
  MD_SPANTYPE kind[ATL_MD_MAX_SPANS];
  guint n_spans;
  guint n_ignored_spans;
  guint n_code_spans; /* open code spans, at most 1 */
  gboolean is_math;
  GPtrArray *links; /* opening tags of links */
  GPtrArray *cells; /* (nullable) of the table being read */
  guint8 *align;
  guint n_columns;
} AtlMdBuilder;

/* A new block, to which what follows belongs. It has the open item's marker, depth and quote.
 * Borrowed. */
AtlMdBlock *atl_md_begin_block (AtlMdBuilder *b, AtlMdKind kind);
/* Adds it to the blocks, unless it is empty; no block: nothing. */
void atl_md_end_block (AtlMdBuilder *b);
/* Ends the block, which got long, and begins one that continues it, with the same spans. */
void atl_md_split_block (AtlMdBuilder *b);
/* Ends spans that md4c left open. */
void atl_md_close_spans (AtlMdBuilder *b);
/* Adds plain text, escaped, in a paragraph where there is no block yet. */
void atl_md_append_text (AtlMdBuilder *b, const char *text, gsize length);

G_END_DECLS
