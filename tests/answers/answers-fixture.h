/* For tests of answers: an answer read in pieces, and what came of it as one line of text.
 *
 *   thinking{…} text and call[name {"arguments": 1}] in the order they came
 */
#pragma once

#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/answer-reader.h"

#define TOOLS_JSON                                                                                 \
  "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": "          \
  "\"Weather "                                                                                     \
  "of a city\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": "     \
  "\"string\"}, \"days\": {\"type\": \"integer\"}, \"units\": {\"enum\": [\"C\", \"F\"]}, "        \
  "\"hourly\": {\"type\": \"boolean\"}, \"more\": {\"type\": \"array\", \"items\": {\"type\": "    \
  "\"string\"}}}, \"required\": [\"city\"]}}}, {\"name\": \"now\", \"parameters\": {\"type\": "    \
  "\"object\", \"properties\": {}}}, {\"name\": \"run.it-2\"}]"

typedef struct
{
  GString *line;
  gboolean in_thinking;
  guint n_calls;
} Events;

static inline void
events_close (Events *events)
{
  if (events->in_thinking)
    g_string_append_c (events->line, '}');
  events->in_thinking = FALSE;
}

static inline void
events_text_cb (const char *text, gboolean is_thinking, gpointer data)
{
  Events *events = data;

  g_assert_cmpstr (text, !=, "");
  g_assert_true (g_utf8_validate (text, -1, NULL));
  if (is_thinking != events->in_thinking)
    g_string_append (events->line, is_thinking ? "thinking{" : "}");
  events->in_thinking = is_thinking;
  g_string_append (events->line, text);
}

static inline void
events_call_cb (const AtlToolCall *call, gpointer data)
{
  Events *events = data;
  g_autoptr (JsonNode) node = json_from_string (call->arguments, NULL);
  g_autofree char *arguments = NULL;

  g_assert_cmpstr (call->id, !=, "");
  g_assert_nonnull (node);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (node));
  arguments = json_to_string (node, FALSE);
  events_close (events);
  events->n_calls++;
  g_string_append_printf (events->line, "call[%s %s]", call->name, arguments);
}

static inline AtlToolSet *
tools_new (const char *json)
{
  g_autoptr (JsonNode) node = json_from_string (json, NULL);
  g_autoptr (GError) error = NULL;
  AtlToolSet *tools = atl_tool_set_new (json_node_get_array (node), &error);

  g_assert_no_error (error);
  return tools;
}

/* The events of `input` in pieces of `step` bytes, the first of `first`; a character is not cut. */
static inline char *
read_answer (const AtlAnswerReaderOptions *options, const char *input, gsize first, gsize step)
{
  Events events = { .line = g_string_new (NULL) };
  const AtlAnswerSink sink = { events_text_cb, events_call_cb, &events };
  g_autoptr (AtlAnswerReader) reader = atl_answer_reader_new (options, &sink);
  gsize length = strlen (input);

  for (gsize at = 0, n = first; at < length; n = step)
    {
      gsize end = MIN (at + n, length);
      g_autofree char *piece = NULL;

      while ((input[end] & 0xc0) == 0x80)
        end++;
      piece = g_strndup (input + at, end - at);
      atl_answer_reader_push (reader, piece);
      at = end;
    }
  atl_answer_reader_finish (reader);
  events_close (&events);
  return g_string_free (events.line, FALSE);
}
