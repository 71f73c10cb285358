/* The channels of gpt-oss: reasoning, answer and tool calls out of one stream of messages.
 *
 *   <|channel|>analysis<|message|>thoughts<|end|><|start|>assistant
 *   <|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{...}<|call|>
 *   <|channel|>final<|message|>answer<|return|>
 *
 * "analysis" is thinking; a message to a known tool is a call; everything else is answer. A call
 * whose arguments are no JSON object, or to a tool that there is not, comes out as text.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/answers/tool-call-parser.h"

G_BEGIN_DECLS

typedef struct _AtlHarmony AtlHarmony;

typedef void (*AtlHarmonyTextFunc) (const char *text, gboolean is_thinking, gpointer user_data);

/* `is_body`: the prompt ends inside a message (of the answer, or of thinking), else before a
 * header. `tools` (nullable) is referenced, `calls` copied; its `text` is not used. */
AtlHarmony *atl_harmony_new (AtlToolSet *tools,
                             gboolean is_body,
                             gboolean is_thinking,
                             AtlHarmonyTextFunc text,
                             const AtlToolCallSink *calls);
void atl_harmony_free (AtlHarmony *self);

/* `text` (UTF-8) goes on where the last one ended; calls back with all that is certain by now. */
void atl_harmony_push (AtlHarmony *self, const char *text);
/* The model has ended: what was held back is told, a call that is cut short too. */
void atl_harmony_finish (AtlHarmony *self);

gboolean atl_harmony_is_thinking (const AtlHarmony *self);
/* Once a push brought the beginning of a call: what followed "to=functions." in it; NULL when asked
 * again. Borrowed until the next push. */
const char *atl_harmony_take_opened (AtlHarmony *self);
/* Calls `visit` for every mark that the model writes. */
void atl_harmony_visit_marks (void (*visit) (const char *mark, gpointer data), gpointer data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlHarmony, atl_harmony_free)

G_END_DECLS
