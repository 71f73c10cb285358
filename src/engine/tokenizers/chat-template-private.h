/* What the files of chat templates share: what is known of one, and the steps of a rendering.
 *
 * Threading: as chat-template.h.
 */
#pragma once

#include "engine/tokenizers/chat-template.h"
#include "engine/tokenizers/jinja.h"

G_BEGIN_DECLS

struct _AtlChatTemplate
{
  AtlJinja *jinja;             /* (owned) */
  char *bos_token, *eos_token; /* (owned) */
  AtlChatCaps caps;
  gboolean accepts_parts;    /* content may be a list of parts */
  gboolean string_arguments; /* arguments of tool calls must be JSON text */
  gboolean null_content;     /* a message with tool calls is known by its content being None */
  gboolean tools_undefined;  /* without tools the variable must be absent, not None */
  int word; /* of switches[], the template's for enable_thinking; -1: it has none */
  /* (nullable) static */
  const char *think_open, *think_close, *answer_open, *answer_close;
};

/* chat-template-adapt.c: the messages as this template wants them, the caller's; those given are
 * not touched. NULL with ATL_ERROR_INVALID where one is no message. */
JsonArray *atl_chat_adapt (const AtlChatTemplate *self, JsonArray *messages, GError **error);
/* A copy whose members are copies too. */
JsonObject *atl_chat_copy_object (JsonObject *object);

/* chat-template.c: adapted messages as text; tools, extra and limits are nullable. */
char *atl_chat_render (const AtlChatTemplate *self,
                       JsonArray *messages,
                       JsonArray *tools,
                       JsonObject *extra,
                       gboolean add_generation_prompt,
                       GDateTime *now,
                       const AtlJinjaLimits *limits,
                       GError **error);

/* chat-template-probe.c: finds out what the template can do by rendering small conversations. */
void atl_chat_probe (AtlChatTemplate *self, const char *source);
/* Puts enable_thinking under the template's own word for it. */
void atl_chat_switch_thinking (const AtlChatTemplate *self, JsonObject *context);

G_END_DECLS
