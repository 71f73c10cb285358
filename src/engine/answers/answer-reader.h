/* What a model writes, taken apart while it streams in: reasoning, answer, tool calls; ended at a
 * stop string of the answer.
 *
 *   AtlAnswerReaderOptions options = { .think_open = "<think>", .think_close = "</think>",
 *                                      .format = format, .tools = tools };
 *   AtlAnswerReader *reader = atl_answer_reader_new (&options, &sink);
 *   stopped = atl_answer_reader_push (reader, piece);
 *   atl_answer_reader_finish (reader);
 *
 * Stop strings do not count in thinking nor in calls.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/answers/tool-call-parser.h"

G_BEGIN_DECLS

typedef struct
{
  const char *think_open, *think_close;   /* (nullable) marks of the thinking section */
  const char *answer_open, *answer_close; /* (nullable) marks around the answer behind it */
  gboolean is_thinking;                   /* the prompt ended inside the section */
  gboolean continues;                     /* the prompt ended inside the answer */
  const char *const *stop;                /* (nullable) */
  const AtlToolFormat *format;            /* (nullable) of calls; harmony also without tools */
  AtlToolSet *tools;                      /* (nullable) none: no calls are looked for */
} AtlAnswerReaderOptions;

typedef struct
{
  void (*text) (const char *text, gboolean is_thinking, gpointer user_data);
  void (*call) (const AtlToolCall *call, gpointer user_data);
  gpointer user_data;
} AtlAnswerSink;

typedef struct _AtlAnswerReader AtlAnswerReader;

/* Everything is copied or referenced. */
AtlAnswerReader *atl_answer_reader_new (const AtlAnswerReaderOptions *options,
                                        const AtlAnswerSink *sink);
void atl_answer_reader_free (AtlAnswerReader *self);

/* TRUE when a stop string came: it and what follows are dropped, further pushes do nothing. */
gboolean atl_answer_reader_push (AtlAnswerReader *self, const char *text);
void atl_answer_reader_finish (AtlAnswerReader *self);

gboolean atl_answer_reader_is_thinking (const AtlAnswerReader *self);
/* Once a push brought the beginning of calls: what followed its mark in it; NULL when asked again.
 * Borrowed until the next push. */
const char *atl_answer_reader_take_opened (AtlAnswerReader *self);
guint atl_answer_reader_n_calls (const AtlAnswerReader *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlAnswerReader, atl_answer_reader_free)

G_END_DECLS
