/* Tables: the formats that models without a template were trained on, and the marks that models put
 * around their reasoning. */
#define G_LOG_DOMAIN "atl-chat"

#include "engine/tokenizers/chat-template-known.h"

#include <string.h>

/* In each: one pass over the messages, then the opening of the answer. Written for trim_blocks. */
#define FOR "{% for message in messages %}"
#define ENDFOR "{% endfor %}"
#define PROMPT(text) "{% if add_generation_prompt %}{{ '" text "' }}{% endif %}"
#define IF(role) "{% if message.role == '" role "' %}"
#define ELIF(role) "{% elif message.role == '" role "' %}"
#define ENDIF "{% endif %}"
#define ELSE "{% else %}"

static const struct
{
  const char *name;
  const char *source;
} formats[] = {
  { "chatml",
    FOR "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}" ENDFOR
        PROMPT ("<|im_start|>assistant\\n") },
  { "llama2",
    "{% set ns = namespace(system='') %}" FOR IF (
        "system") "{% set ns.system = '<<SYS>>\\n' + message.content + '\\n<</SYS>>\\n\\n' "
                  "%}" ELIF ("user") "{{ bos_token + '[INST] ' + ns.system + message.content + ' "
                                     "[/INST]' }}"
                                     "{% set ns.system = '' %}" ELSE
                                     "{{ ' ' + message.content + ' ' + eos_token }}" ENDIF ENDFOR },
  { "llama3",
    "{{ bos_token }}" FOR "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + "
    "message.content + '<|eot_id|>' }}" ENDFOR PROMPT (
        "<|start_header_id|>assistant<|end_header_id|>\\n\\n") },
  { "llama4",
    "{{ bos_token }}" FOR "{{ '<|header_start|>' + message.role + '<|header_end|>\\n\\n' + "
    "message.content + '<|eot|>' }}" ENDFOR PROMPT (
        "<|header_start|>assistant<|header_end|>\\n\\n") },
  { "mistral", "{{ bos_token }}{% set ns = namespace(system='') %}" FOR
                   IF ("system") "{% set ns.system = message.content + '\\n\\n' %}" ELIF (
                       "user") "{{ '[INST] ' + ns.system + message.content + '[/INST]' }}"
                               "{% set ns.system = '' %}" ELSE
                               "{{ ' ' + message.content + eos_token }}" ENDIF ENDFOR },
  { "mistral-v7",
    "{{ bos_token }}" FOR
        IF ("system") "{{ '[SYSTEM_PROMPT]' + message.content + '[/SYSTEM_PROMPT]' }}" ELIF (
            "user") "{{ '[INST]' + message.content + '[/INST]' }}" ELSE
                    "{{ message.content + eos_token }}" ENDIF ENDFOR },
  { "gemma", "{{ bos_token }}{% set ns = namespace(system='') %}" FOR IF (
                 "system") "{% set ns.system = message.content + '\\n\\n' %}" ELSE
                           "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else "
                           "message.role) + '\\n' + "
                           "ns.system + message.content | trim + '<end_of_turn>\\n' }}{% set "
                           "ns.system = '' %}" ENDIF ENDFOR PROMPT ("<start_of_turn>model\\n") },
  { "phi3",
    FOR "{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}" ENDFOR PROMPT (
        "<|assistant|>\\n") },
  { "phi4",
    FOR "{{ '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' }}" ENDFOR
        PROMPT ("<|im_start|>assistant<|im_sep|>") },
  { "zephyr",
    FOR "{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}" ENDFOR PROMPT (
        "<|assistant|>\\n") },
  { "command-r",
    "{{ bos_token }}" FOR
    "{{ '<|START_OF_TURN_TOKEN|>' + ('<|CHATBOT_TOKEN|>' if message.role == 'assistant' else "
    "'<|SYSTEM_TOKEN|>' if message.role == 'system' else '<|USER_TOKEN|>') + message.content + "
    "'<|END_OF_TURN_TOKEN|>' }}" ENDFOR PROMPT ("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>") },
  { "deepseek", "{{ bos_token }}" FOR IF ("system") "{{ message.content }}" ELIF (
                    "user") "{{ '<｜User｜>' + message.content }}" ELSE
                            "{{ '<｜Assistant｜>' + message.content + eos_token }}" ENDIF ENDFOR
                                PROMPT ("<｜Assistant｜>") },
  { "granite",
    FOR "{{ '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + "
        "'<|end_of_text|>\\n' }}" ENDFOR PROMPT ("<|start_of_role|>assistant<|end_of_role|>") },
  { "vicuna", "{{ bos_token }}" FOR IF ("system") "{{ message.content + '\\n\\n' }}" ELIF (
                  "user") "{{ 'USER: ' + message.content + '\\n' }}" ELSE
                          "{{ 'ASSISTANT: ' + message.content + eos_token + '\\n' }}" ENDIF ENDFOR
                              PROMPT ("ASSISTANT:") },
  { "alpaca",
    FOR IF ("system") "{{ message.content + '\\n\\n' }}" ELIF (
        "user") "{{ '### Instruction:\\n' + message.content + '\\n\\n' }}" ELSE
                "{{ '### Response:\\n' + message.content + eos_token + '\\n\\n' }}" ENDIF ENDFOR
                    PROMPT ("### Response:\\n") },
};

static const struct
{
  const char *token;
  const char *name;
} by_end[] = {
  { "<|im_end|>", "chatml" },
  { "<|eot_id|>", "llama3" },
  { "<|eot|>", "llama4" },
  { "<end_of_turn>", "gemma" },
  { "<|end|>", "phi3" },
  { "<|END_OF_TURN_TOKEN|>", "command-r" },
  { "<｜end▁of▁sentence｜>", "deepseek" },
  { "<|end_of_text|>", "granite" },
};

static const struct
{
  const char *open;
  const char *close;
} thinking[] = {
  { "<|channel|>analysis<|message|>", "<|end|>" },
  { "<|channel>thought\n", "<channel|>" },
  { "<|START_THINKING|>", "<|END_THINKING|>" },
  { "<|inner_prefix|>", "<|inner_suffix|>" },
  { "<|open|>think<|sep|>", "<|close|>think<|sep|>" },
  { "<|think|>", "<|end|>" },
  { "[THINK]", "[/THINK]" },
  { "<seed:think>", "</seed:think>" },
  { "<mm:think>", "</mm:think>" },
  { "<think:opensource>", "</think:opensource>" },
  { "◁think▷", "◁/think▷" },
  { "<think>", "</think>" },
  { "<thinking>", "</thinking>" },
  { "<reasoning>", "</reasoning>" },
  { "<thought>", "</thought>" },
  { "Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]" },
  { "Here is my thought process:", "Here is my response:" },
};

/* What some models put around the answer behind their reasoning. */
static const struct
{
  const char *open;
  const char *close;
} answers[] = {
  { "<answer>", "</answer>" },
  { "<response>", "</response>" },
  { "[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]" },
};

const char *
atl_chat_known_by_name (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    if (strcmp (formats[i].name, name) == 0)
      return formats[i].source;
  return NULL;
}

const char *
atl_chat_known_by_end (const char *token)
{
  for (gsize i = 0; token != NULL && i < G_N_ELEMENTS (by_end); i++)
    if (strcmp (by_end[i].token, token) == 0)
      return atl_chat_known_by_name (by_end[i].name);
  return NULL;
}

const char *
atl_chat_known_by_tokens (const char *bos_token, const char *eos_token)
{
  const char *known = atl_chat_known_by_end (eos_token);

  if (known != NULL)
    return known;
  /* The plain sentence marks of the first Llama and Mistral models. */
  if (g_strcmp0 (bos_token, "<s>") == 0 && g_strcmp0 (eos_token, "</s>") == 0)
    return atl_chat_known_by_name ("llama2");
  return atl_chat_known_by_name ("chatml");
}

/* TRUE if `source` has `mark`, in a template's string literal or as it is. What tells one mark from
 * the others is its beginning up to the first bracket that closes or the line's end. */
static gboolean
shows (const char *source, const char *mark)
{
  const char *end = strpbrk (mark + 1, "\n");
  g_autofree char *start = g_strndup (mark, end != NULL ? (gsize) (end - mark) : strlen (mark));

  if (strstr (source, start) != NULL)
    return TRUE;
  /* gpt-oss writes the channel's name and the message mark as two literals in places. */
  return g_str_has_prefix (mark, "<|channel|>") && strstr (source, "<|channel|>analysis") != NULL;
}

gboolean
atl_chat_known_thinking (const char *source, const char **open, const char **close)
{
  for (gsize i = 0; i < G_N_ELEMENTS (thinking); i++)
    if (shows (source, thinking[i].open))
      {
        /* In Gemma's templates <|think|> is a switch, not a mark; their mark comes first above. */
        *open = thinking[i].open;
        *close = thinking[i].close;
        return TRUE;
      }
  return FALSE;
}

gboolean
atl_chat_known_answer (const char *source, const char **open, const char **close)
{
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    if (strstr (source, answers[i].open) != NULL)
      {
        *open = answers[i].open;
        *close = answers[i].close;
        return TRUE;
      }
  return FALSE;
}
