/* Markdown from a model, as a flat list of blocks that a view can show and compare.
 *
 *   g_autoptr (GPtrArray) blocks = atl_markdown_parse (text, -1);
 *   const AtlMdBlock *first = g_ptr_array_index (blocks, 0);
 *
 * Nesting (lists, quotes) is depth in each block instead of a tree, so that a streamed answer can
 * be compared block by block with what is on the screen. Text of the model never becomes markup:
 * what `markup` holds was written here, around escaped text. HTML is shown as text; only http,
 * https and mailto addresses become links. Time and memory are bounded by the length of the text:
 * long paragraphs are split, texts beyond ATL_MD_MAX_BYTES are shown without Markdown.
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define ATL_MD_MAX_BYTES (256 * 1024)
/* Characters after which a paragraph is split, because laying out one label is quadratic; so many
 * more until it is split behind a word as well as a line, and again until it is split anywhere. */
#define ATL_MD_SPLIT_CHARS 3000
#define ATL_MD_SPLIT_SLACK 300
/* Deeper quotes and lists are shown at this depth. */
#define ATL_MD_MAX_DEPTH 6

typedef enum
{
  ATL_MD_PARAGRAPH,
  ATL_MD_HEADING,
  ATL_MD_CODE,
  ATL_MD_MATH, /* a formula of its own */
  ATL_MD_TABLE,
  ATL_MD_RULE,
} AtlMdKind;

typedef enum
{
  ATL_MD_TASK_NONE,
  ATL_MD_TASK_OPEN,
  ATL_MD_TASK_DONE,
} AtlMdTask;

typedef struct
{
  AtlMdKind kind;
  guint level;        /* of a heading, 1 to 6 */
  guint quote;        /* depth of quotes around it */
  guint indent;       /* depth of lists around it */
  char *marker;       /* (nullable) "•" or "3." before the first block of a list item */
  AtlMdTask task;     /* of a task list item, on its first block */
  gboolean continued; /* second part of a paragraph that was split */
  char *markup;       /* (nullable) of a paragraph, heading or formula: valid Pango markup */
  char *text;         /* (nullable) code, or the source of a formula: plain */
  char *language;     /* (nullable) as written after the fence */
  guint n_columns;    /* of a table */
  GPtrArray *cells;   /* (nullable) (element-type utf8) markup, row by row, heads first */
  guint8 *align;      /* (nullable) [n_columns] 0 start, 1 centre, 2 end */
} AtlMdBlock;

/* `length` in bytes, or -1. Invalid UTF-8 is replaced. (transfer full) (element-type AtlMdBlock) */
GPtrArray *atl_markdown_parse (const char *text, gssize length);

/* TRUE when both would look the same; so a view keeps what it built. */
gboolean atl_md_block_equal (const AtlMdBlock *a, const AtlMdBlock *b);

/* NULL is fine. */
void atl_md_block_free (AtlMdBlock *block);

/* What a screen reader says for `blocks`: no signs and no tags, a line a block, a table row by row.
 * More than `max_bytes` end in "…". The caller's. */
char *atl_markdown_to_words (GPtrArray *blocks, gsize max_bytes);

/* Opens a piece of code among words, which "</span>" closes; it holds no further spans. Half
 * transparent grey, so that it suits light and dark. */
#define ATL_MD_CODE_OPEN                                                                           \
  "<span font_family=\"monospace\" background=\"#808080\" background_alpha=\"16%\" size=\"95%\">"

/* Markup of words that run from the right, with each piece of code set apart, so that the signs at
 * its ends stay there: "--help" must not become "help--". The caller's. */
char *atl_markdown_isolate_code (const char *markup);
/* What a person marked, without the marks of that. The caller's. */
char *atl_markdown_without_isolates (const char *text);

/* `text` with its formulas put where md4c does not touch them: "$x$" and "\(x\)" become code spans
 * that begin with ATL_MD_MATH_MARK, "$$" and "\[" paragraphs become fences of language "math".
 * Dollars that are money stay. The caller's. */
char *atl_markdown_protect_math (const char *text);
#define ATL_MD_MATH_MARK "\xEE\x80\x80" /* U+E000, a private character */

G_END_DECLS
