/* A model's chat template: messages in, the prompt's text out.
 *
 *   g_autoptr (AtlChatTemplate) chat = atl_chat_template_new (source, "<s>", "</s>", error);
 *   g_autofree char *prompt =
 *       atl_chat_template_render (chat, messages, NULL, NULL, TRUE, now, error);
 *
 * Messages are OpenAI's: {"role": "user", "content": "..."} with "tool_calls", "tool_call_id" and
 * "reasoning_content" where they apply; content is a string or a list of {"type": "text", "text":
 * ...}. What the template can do is found out once, at creation, by rendering probes; a
 * conversation is then brought into the form the template wants: a system message it ignores or
 * refuses is put, with a newline, in front of the first user message; content becomes a list of
 * parts, or a string, where only that works; arguments of tool calls become an object, or a string.
 *
 * Threading: immutable once created; any number of threads may render at a time.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlChatTemplate AtlChatTemplate;

typedef struct
{
  gboolean system_role;      /* a system message is printed as one; else it is folded */
  gboolean tools;            /* the tools offered appear in the prompt */
  gboolean tool_calls;       /* an assistant message's tool_calls appear */
  gboolean tool_responses;   /* a message of role "tool" appears */
  gboolean typed_content;    /* content must be a list of parts: a string is not understood */
  gboolean object_arguments; /* arguments of tool calls must be an object, not JSON text */
  gboolean
      thinking_toggle;    /* "enable_thinking" (or the template's word for it) changes the prompt */
  gboolean thinking_open; /* the generation prompt ends inside an opened thinking section */
} AtlChatCaps;

/* `source` is the template's text. NULL, or a known short name ("chatml", "llama2", "llama3",
 * "mistral", "gemma", "phi3", "zephyr", "alpaca", ...) picks a template of our own; NULL judges by
 * the special tokens (`eos_token` "<|im_end|>": chatml, "<|eot_id|>": llama3, ...; else chatml).
 * The tokens may be NULL for "". Errors as atl_jinja_parse(). */
AtlChatTemplate *atl_chat_template_new (const char *source,
                                        const char *bos_token,
                                        const char *eos_token,
                                        GError **error);
void atl_chat_template_free (AtlChatTemplate *self);

/* What it can render; borrowed, valid as long as the template. */
const AtlChatCaps *atl_chat_template_caps (const AtlChatTemplate *self);

/* The prompt for `messages`. `tools` (nullable) is a list of {"type": "function", "function":
 * {...}}; the members of `extra` (nullable) become variables, e.g. {"enable_thinking": false};
 * "bos_token", "eos_token", "messages", "tools" and "add_generation_prompt" are set by this
 * function unless `extra` has them. `now` (nullable) is the clock of templates that print a date;
 * NULL takes the system's.
 *
 * The inputs are not changed. The text is the caller's. The template's own refusal
 * (raise_exception) and its other errors are ATL_ERROR_INVALID with the template's words, limits
 * ATL_ERROR_TOO_COMPLEX. */
char *atl_chat_template_render (const AtlChatTemplate *self,
                                JsonArray *messages,
                                JsonArray *tools,
                                JsonObject *extra,
                                gboolean add_generation_prompt,
                                GDateTime *now,
                                GError **error);

/* The marks around the model's reasoning, e.g. "<think>" and "</think>"; FALSE (and NULLs) where
 * the template shows none. Static strings. With caps.thinking_open the prompt itself ends with
 * `open`, so that the model's text starts inside the section. */
gboolean atl_chat_template_thinking_tags (const AtlChatTemplate *self,
                                          const char **open,
                                          const char **close);

/* The marks that some models put around the answer behind their reasoning, e.g. "<answer>"; FALSE
 * (and NULLs) where the template shows none. Static strings. */
gboolean
atl_chat_template_answer_tags (const AtlChatTemplate *self, const char **open, const char **close);

/* TRUE if `prompt`, rendered by this template, ends inside an opened thinking section. With
 * caps.thinking_open this is so by default; "enable_thinking" may change it for one prompt. */
gboolean atl_chat_template_prompt_is_thinking (const AtlChatTemplate *self, const char *prompt);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatTemplate, atl_chat_template_free)

G_END_DECLS
