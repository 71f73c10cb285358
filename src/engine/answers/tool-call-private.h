/* The inside of the reader of framed calls: its state, what both halves use. */
#pragma once

#include "engine/answers/json-scan.h"
#include "engine/answers/tool-call-parser.h"

G_BEGIN_DECLS

#define ATL_CALL_MAX_NAME 256u
#define ATL_CALL_BLANKS " \t\r\n\f"
#define ATL_CALL_NAME_LETTERS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-.:"

typedef enum
{
  ATL_CALL_AT_START, /* nothing but blanks so far */
  ATL_CALL_AT_TEXT,
  ATL_CALL_AT_CALL, /* before a call, or the end of the section */
  ATL_CALL_AT_NAME,
  ATL_CALL_AT_ARGS, /* in JSON */
  ATL_CALL_AT_AFTER_ARGS,
  ATL_CALL_AT_KEY,
  ATL_CALL_AT_VALUE,
  ATL_CALL_AT_WHOLE, /* up to the closing mark, read in one piece */
  ATL_CALL_AT_CLOSE,
  ATL_CALL_AT_PLAIN, /* too many failures, or the end */
} AtlCallState;

struct _AtlToolCallParser
{
  const AtlToolFormat *format;
  AtlToolSet *tools; /* (nullable) */
  AtlToolCallSink sink;
  AtlCallState state;
  GString *held;
  gsize at;       /* in held */
  gsize mark_len; /* of what opened the section, at the beginning of held */
  gsize start;    /* of the value that is being read */
  gboolean at_end;
  guint n_in_section, n_calls, n_failures;
  GString *since; /* what followed the section's mark in the push that brought it */
  gboolean has_since;
  AtlJsonScan scan;
  char *id;   /* (nullable) */
  char *name; /* (nullable) */
  char *key;  /* (nullable) */
  gboolean is_json_value;
  GString *arguments;
};

typedef enum
{
  ATL_CALL_NO,
  ATL_CALL_PARTLY, /* the text ends within the mark */
  ATL_CALL_YES,
} AtlCallMatch;

/* --- tool-call-parser.c --- */

/* Whether `mark` stands at `at`, any blanks for its blanks; those at its ends do not count. */
AtlCallMatch atl_call_match (const AtlToolCallParser *self, gsize at, const char *mark, gsize *end);
/* The same for the word before plain text, which has blanks behind it. */
AtlCallMatch atl_call_match_head (const AtlToolCallParser *self, gsize at, gsize *end);
gsize atl_call_skip_blanks (const AtlToolCallParser *self, gsize at);
/* `mark` without the blanks at its ends; the caller's. */
char *atl_call_trimmed (const char *mark);

/* How a section goes on; each returns TRUE. It was no call: what opened it becomes text. */
gboolean atl_call_fail (AtlToolCallParser *self);
gboolean atl_call_end_section (AtlToolCallParser *self);
/* What was read is done with. */
void atl_call_consume (AtlToolCallParser *self);
void atl_call_forget (AtlToolCallParser *self);

/* --- tool-call-frames.c: the steps inside a section, FALSE when more text is needed --- */

/* One step of the state that it is named after. TRUE when it got on, so that the next state's step
 * may be taken; FALSE when it needs more text. */
gboolean atl_call_step_call (AtlToolCallParser *self);
gboolean atl_call_step_name (AtlToolCallParser *self);
gboolean atl_call_step_args (AtlToolCallParser *self);
gboolean atl_call_step_after_args (AtlToolCallParser *self);
gboolean atl_call_step_key (AtlToolCallParser *self);
gboolean atl_call_step_value (AtlToolCallParser *self);
gboolean atl_call_step_whole (AtlToolCallParser *self);
gboolean atl_call_step_close (AtlToolCallParser *self);

G_END_DECLS
