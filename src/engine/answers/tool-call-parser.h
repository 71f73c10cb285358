/* Takes tool calls out of an answer while it streams in.
 *
 *   AtlToolCallParser *parser = atl_tool_call_parser_new (format, tools, &sink);
 *   atl_tool_call_parser_push (parser, piece);        for each piece of valid UTF-8
 *   atl_tool_call_parser_finish (parser);
 *
 * Text outside of calls goes on at once, but for what may be the beginning of a mark and for blanks
 * that a call may follow (those are dropped). A call goes to the sink as soon as it is whole, its
 * arguments a JSON object typed by the tool's schema. What begins like a call and is none, or calls
 * a tool that there is not, or is never finished, comes out as text: nothing is lost.
 *
 * Time is linear in the text but for repeated failures, after ATL_TOOL_CALL_MAX_FAILURES of which
 * everything is text; a call holds at most ATL_TOOL_CALL_MAX_BYTES.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/answers/tool-format.h"
#include "engine/answers/tool-set.h"

G_BEGIN_DECLS

#define ATL_TOOL_CALL_MAX_BYTES (1u << 20)
#define ATL_TOOL_CALL_MAX_FAILURES 64u

typedef struct
{
  const char *id; /* the model's own where the format has one, else made up: 9 letters, digits */
  const char *name;
  const char *arguments; /* a JSON object */
} AtlToolCall;

typedef struct
{
  void (*text) (const char *text, gpointer user_data);
  void (*call) (const AtlToolCall *call, gpointer user_data);
  gpointer user_data;
} AtlToolCallSink;

typedef struct _AtlToolCallParser AtlToolCallParser;

/* `format` of any style but ATL_CALL_HARMONY. `tools` (nullable: any name will do) is referenced,
 * the sink copied. */
AtlToolCallParser *atl_tool_call_parser_new (const AtlToolFormat *format,
                                             AtlToolSet *tools,
                                             const AtlToolCallSink *sink);
void atl_tool_call_parser_free (AtlToolCallParser *self);

void atl_tool_call_parser_push (AtlToolCallParser *self, const char *text);
/* The end: what is held comes out. */
void atl_tool_call_parser_finish (AtlToolCallParser *self);

/* Once a push brought the mark of a section of calls: what followed the mark in it; NULL when asked
 * again. For constraining what comes next. Borrowed until the next push. */
const char *atl_tool_call_parser_take_opened (AtlToolCallParser *self);

/* Tells a call whose parts are known, if it is one: the tool exists and `arguments` (JSON text of
 * `n` bytes) is an object, or a string that holds one. `id` is nullable. Shared with harmony.c. */
gboolean atl_tool_call_tell (AtlToolSet *tools,
                             const AtlToolCallSink *sink,
                             const char *id,
                             const char *name,
                             const char *arguments,
                             gsize n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlToolCallParser, atl_tool_call_parser_free)

G_END_DECLS
