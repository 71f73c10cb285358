/* The chain: channels or thinking marks, then calls, then stop strings. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/answer-reader.h"

#include "engine/answers/harmony.h"
#include "engine/answers/text-splitter.h"

struct _AtlAnswerReader
{
  AtlAnswerSink sink;
  AtlHarmony *harmony;       /* (nullable) instead of: */
  AtlTextSplitter *splitter; /* (nullable) thinking marks */
  AtlToolCallParser *calls;  /* (nullable) */
  AtlTextSplitter *stops;    /* (nullable) where the splitter does not know the stop strings */
  gboolean is_stopped;
  guint n_calls;
};

static void
emit_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  AtlAnswerReader *self = user_data;

  self->sink.text (text, is_thinking, self->sink.user_data);
}

static void
answer_text (AtlAnswerReader *self, const char *text)
{
  if (self->stops != NULL)
    self->is_stopped = atl_text_splitter_push (self->stops, text) || self->is_stopped;
  else
    emit_cb (text, FALSE, self);
}

static void
calls_text_cb (const char *text, gpointer user_data)
{
  answer_text (user_data, text);
}

static void
call_cb (const AtlToolCall *call, gpointer user_data)
{
  AtlAnswerReader *self = user_data;

  if (self->is_stopped)
    return;
  self->n_calls++;
  self->sink.call (call, self->sink.user_data);
}

static void
split_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  AtlAnswerReader *self = user_data;

  if (is_thinking)
    emit_cb (text, TRUE, self);
  else if (self->calls != NULL)
    atl_tool_call_parser_push (self->calls, text);
  else
    answer_text (self, text);
}

AtlAnswerReader *
atl_answer_reader_new (const AtlAnswerReaderOptions *options, const AtlAnswerSink *sink)
{
  AtlAnswerReader *self = g_new0 (AtlAnswerReader, 1);
  const AtlToolFormat *format = options->format;
  AtlToolCallSink calls = { calls_text_cb, call_cb, self };
  gboolean has_stop = options->stop != NULL && options->stop[0] != NULL;

  self->sink = *sink;
  if (format != NULL && format->style == ATL_CALL_HARMONY)
    self->harmony = atl_harmony_new (options->tools, options->continues, options->is_thinking,
                                     split_cb, &calls);
  else
    {
      if (format != NULL && (options->tools != NULL || format->text_head != NULL))
        self->calls = atl_tool_call_parser_new (format, options->tools, &calls);
      self->splitter =
          atl_text_splitter_new (options->think_open, options->think_close, options->is_thinking,
                                 self->calls == NULL ? options->stop : NULL, split_cb, self);
      atl_text_splitter_set_wrapper (self->splitter, options->answer_open, options->answer_close);
    }
  if (has_stop && (self->harmony != NULL || self->calls != NULL))
    self->stops = atl_text_splitter_new (NULL, NULL, FALSE, options->stop, emit_cb, self);
  return self;
}

void
atl_answer_reader_free (AtlAnswerReader *self)
{
  if (self == NULL)
    return;
  atl_harmony_free (self->harmony);
  atl_text_splitter_free (self->splitter);
  atl_tool_call_parser_free (self->calls);
  atl_text_splitter_free (self->stops);
  g_free (self);
}

gboolean
atl_answer_reader_push (AtlAnswerReader *self, const char *text)
{
  if (self->is_stopped)
    return TRUE;
  if (self->harmony != NULL)
    atl_harmony_push (self->harmony, text);
  else if (atl_text_splitter_push (self->splitter, text))
    self->is_stopped = TRUE;
  return self->is_stopped;
}

void
atl_answer_reader_finish (AtlAnswerReader *self)
{
  if (self->harmony != NULL)
    atl_harmony_finish (self->harmony);
  else
    atl_text_splitter_finish (self->splitter);
  if (self->calls != NULL)
    atl_tool_call_parser_finish (self->calls);
  if (self->stops != NULL)
    atl_text_splitter_finish (self->stops);
}

gboolean
atl_answer_reader_is_thinking (const AtlAnswerReader *self)
{
  return self->harmony != NULL ? atl_harmony_is_thinking (self->harmony)
                               : atl_text_splitter_is_thinking (self->splitter);
}

const char *
atl_answer_reader_take_opened (AtlAnswerReader *self)
{
  return self->harmony != NULL ? atl_harmony_take_opened (self->harmony)
         : self->calls != NULL ? atl_tool_call_parser_take_opened (self->calls)
                               : NULL;
}

guint
atl_answer_reader_n_calls (const AtlAnswerReader *self)
{
  return self->n_calls;
}
