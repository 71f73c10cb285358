/* The table of formats, and finding the row that a template shows.
 *
 * Sources: the templates that the models' authors publish; tests/answers renders calls with them
 * and reads them back. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/tool-format.h"

#include <string.h>

#define DS_CALLS_OPEN "<｜tool▁calls▁begin｜>"
#define DS_CALLS_CLOSE "<｜tool▁calls▁end｜>"
#define DS_CALL_OPEN "<｜tool▁call▁begin｜>"
#define DS_CALL_CLOSE "<｜tool▁call▁end｜>"
#define DS_SEP "<｜tool▁sep｜>"
#define DSML "｜DSML｜"
#define DSML_ROW(row, word)                                                                        \
  {                                                                                                \
    .name = row, .detect = { DSML, word }, .style = ATL_CALL_TAGGED, .open = "<" DSML word ">\n",  \
    .close = "</" DSML word ">", .call_open = "<" DSML "invoke name=\"", .name_end = "\">\n",      \
    .key_open = "<" DSML "parameter name=\"", .key_end = "\" string=\"true\">",                    \
    .key_end_json = "\" string=\"false\">", .value_close = "</" DSML "parameter>\n",               \
    .call_close = "</" DSML "invoke>\n"                                                            \
  }

/* The first row whose marks a template shows is taken: narrower ones stand first. */
static const AtlToolFormat formats[] = {
  { .name = "harmony",
    .detect = { "<|channel|>commentary", "<|start|>" },
    .style = ATL_CALL_HARMONY,
    .open = "<|start|>" },
  { .name = "gemma-4",
    .detect = { "<|tool_call>call:" },
    .style = ATL_CALL_GEMMA,
    .single = TRUE,
    .open = "<|tool_call>",
    .close = "<tool_call|>" },
  { .name = "kimi-k2",
    .detect = { "<|tool_calls_section_begin|>" },
    .style = ATL_CALL_NAMED,
    .open = "<|tool_calls_section_begin|>",
    .close = "<|tool_calls_section_end|>",
    .call_open = "<|tool_call_begin|>",
    .name_prefix = "functions.",
    .name_tail = "\":\" [0-9]",
    .name_end = "<|tool_call_argument_begin|>",
    .call_close = "<|tool_call_end|>" },
  DSML_ROW ("deepseek-v3.2", "function_calls"),
  DSML_ROW ("deepseek-v4", "tool_calls"),
  { .name = "deepseek-r1",
    .detect = { DS_CALLS_OPEN, "```json" },
    .style = ATL_CALL_NAMED,
    .open = DS_CALLS_OPEN,
    .close = DS_CALLS_CLOSE,
    .call_open = DS_CALL_OPEN "function" DS_SEP,
    .name_end = "\n```json\n",
    .call_close = "\n```" DS_CALL_CLOSE,
    .between = "\n" },
  { .name = "deepseek-v3.1",
    .detect = { DS_CALLS_OPEN },
    .style = ATL_CALL_NAMED,
    .open = DS_CALLS_OPEN,
    .close = DS_CALLS_CLOSE,
    .call_open = DS_CALL_OPEN,
    .name_end = DS_SEP,
    .call_close = DS_CALL_CLOSE },
  { .name = "solar",
    .detect = { "<|tool_call:begin|>" },
    .style = ATL_CALL_NAMED,
    .open = "<|tool_calls|>",
    .call_open = "<|tool_call:begin|>",
    .id_end = "<|tool_call:name|>",
    .name_end = "<|tool_call:args|>",
    .call_close = "<|tool_call:end|>" },
  { .name = "minimax-m2",
    .detect = { "<minimax:tool_call>" },
    .style = ATL_CALL_TAGGED,
    .open = "<minimax:tool_call>\n",
    .close = "</minimax:tool_call>",
    .call_open = "<invoke name=\"",
    .name_end = "\">\n",
    .key_open = "<parameter name=\"",
    .key_end = "\">",
    .value_close = "</parameter>\n",
    .call_close = "</invoke>\n" },
  { .name = "seed",
    .detect = { "<seed:tool_call>" },
    .style = ATL_CALL_TAGGED,
    .single = TRUE,
    .open = "<seed:tool_call>\n",
    .close = "</seed:tool_call>",
    .call_open = "<function=",
    .name_end = ">\n",
    .key_open = "<parameter=",
    .key_end = ">",
    .value_close = "</parameter>\n",
    .call_close = "</function>\n" },
  { .name = "hunyuan-3",
    .detect = { "<tool_sep", "<arg_key" },
    .style = ATL_CALL_TAGGED,
    .open = "<tool_calls:opensource>\n",
    .close = "</tool_calls:opensource>",
    .call_open = "<tool_call:opensource>",
    .name_end = "<tool_sep:opensource>\n",
    .key_open = "<arg_key:opensource>",
    .key_end = "</arg_key:opensource>\n<arg_value:opensource>",
    .value_close = "</arg_value:opensource>\n",
    .call_close = "</tool_call:opensource>\n" },
  { .name = "minicpm-5",
    .detect = { "<function name=", "<param name=" },
    .style = ATL_CALL_TAGGED,
    .single = TRUE,
    .open = "<function name=\"",
    .name_end = "\">",
    .key_open = "<param name=\"",
    .key_end = "\">",
    .value_close = "</param>",
    .call_close = "</function>" },
  { .name = "glm-4",
    .detect = { "<arg_key>", "<tool_call>" },
    .style = ATL_CALL_TAGGED,
    .single = TRUE,
    .open = "<tool_call>",
    .name_end = "\f",
    .key_open = "<arg_key>",
    .key_end = "</arg_key>\f<arg_value>",
    .value_close = "</arg_value>\f",
    .call_close = "</tool_call>" },
  { .name = "qwen3-coder",
    .detect = { "<function=", "<parameter=", "<tool_call>" },
    .style = ATL_CALL_TAGGED,
    .single = TRUE,
    .open = "<tool_call>\n",
    .alt_open = "<function=",
    .close = "</tool_call>",
    .call_open = "<function=",
    .name_end = ">\n",
    .key_open = "<parameter=",
    .key_end = ">\n",
    .value_close = "\n</parameter>\n",
    .call_close = "</function>\n" },
  { .name = "functionary-3.2",
    .detect = { ">>>", "recipient" },
    .style = ATL_CALL_NAMED,
    .single = TRUE,
    .is_bare = TRUE,
    .open = ">>>",
    .text_head = "all\n",
    .name_end = "\n" },
  { .name = "functionary-3.1",
    .detect = { "<function=", "</function>" },
    .style = ATL_CALL_NAMED,
    .single = TRUE,
    .open = "<function=",
    .name_end = ">",
    .call_close = "</function>" },
  { .name = "command-r7b",
    .detect = { "<|START_ACTION|>" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "<|START_ACTION|>",
    .close = "<|END_ACTION|>",
    .name_key = "tool_name",
    .args_key = "parameters",
    .id_key = "tool_call_id" },
  { .name = "command-r",
    .detect = { "Action:", "tool_name" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "Action: ```json\n",
    .alt_open = NULL,
    .close = "\n```",
    .name_key = "tool_name",
    .args_key = "parameters" },
  { .name = "apertus",
    .detect = { "<|tools_prefix|>" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "<|tools_prefix|>",
    .close = "<|tools_suffix|>" },
  { .name = "lfm2",
    .detect = { "List of tools: " },
    .style = ATL_CALL_PYTHON,
    .open = "<|tool_call_start|>",
    .close = "<|tool_call_end|>" },
  { .name = "lfm2.5",
    .detect = { "<|tool_call_start|>" },
    .style = ATL_CALL_PYTHON,
    .open = "<|tool_call_start|>",
    .close = "<|tool_call_end|>" },
  { .name = "nemotron",
    .detect = { "<TOOLCALL>" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "<TOOLCALL>",
    .close = "</TOOLCALL>",
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "minimax-m1",
    .detect = { "<tool_calls>\\n" },
    .style = ATL_CALL_JSON,
    .open = "<tool_calls>\n",
    .close = "\n</tool_calls>",
    .between = "\n",
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "apriel",
    .detect = { "<tool_calls>" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "<tool_calls>",
    .close = "</tool_calls>",
    .name_key = "name",
    .args_key = "arguments",
    .id_key = "id" },
  { .name = "mistral",
    .detect = { "[TOOL_CALLS]", "[ARGS]" },
    .style = ATL_CALL_NAMED,
    .single = TRUE,
    .open = "[TOOL_CALLS]",
    .name_end = "[ARGS]" },
  { .name = "mistral-list",
    .detect = { "[TOOL_CALLS]" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "[TOOL_CALLS]",
    .name_key = "name",
    .args_key = "arguments",
    .id_key = "id" },
  { .name = "firefunction",
    .detect = { "functools[" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "functools",
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "granite-3",
    .detect = { "<|tool_call|>", "<|start_of_role|>" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "<|tool_call|>",
    .alt_open = NULL,
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "phi-4-mini",
    .detect = { "<|tool|>", "<|/tool|>" },
    .style = ATL_CALL_JSON,
    .is_list = TRUE,
    .open = "<|tool_call|>",
    .close = "<|/tool_call|>",
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "gigachat-3.1",
    .detect = { "<|function_call|>" },
    .style = ATL_CALL_JSON,
    .single = TRUE,
    .open = "<|function_call|>",
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "hermes",
    .detect = { "<tool_call>" },
    .style = ATL_CALL_JSON,
    .single = TRUE,
    .reads_bare = TRUE,
    .open = "<tool_call>\n",
    .alt_open = "```json",
    .close = "\n</tool_call>",
    .name_key = "name",
    .args_key = "arguments" },
  { .name = "llama-3",
    .detect = { "\"parameters\":", "ipython" },
    .style = ATL_CALL_JSON,
    .single = TRUE,
    .is_bare = TRUE,
    .open = "<|python_tag|>",
    .between = "; ",
    .name_key = "name",
    .args_key = "parameters" },
  { .name = NULL },
};

const AtlToolFormat *
atl_tool_formats (void)
{
  return formats;
}

const AtlToolFormat *
atl_tool_format_by_name (const char *name)
{
  for (const AtlToolFormat *row = formats; row->name != NULL; row++)
    if (g_str_equal (row->name, name))
      return row;
  return NULL;
}

const AtlToolFormat *
atl_tool_format_detect (const char *source)
{
  for (const AtlToolFormat *row = formats; row->name != NULL; row++)
    {
      gboolean shows = TRUE;

      for (gsize i = 0; i < G_N_ELEMENTS (row->detect) && row->detect[i] != NULL && shows; i++)
        shows = strstr (source, row->detect[i]) != NULL;
      if (shows)
        return row;
    }
  return NULL;
}

const AtlToolFormat *
atl_tool_format_generic (void)
{
  return atl_tool_format_by_name ("hermes");
}

const char *
atl_tool_format_generic_request (void)
{
  return "You can call tools. To call one, write exactly this and nothing else on these lines:\n"
         "<tool_call>\n"
         "{\"name\": \"the tool's name\", \"arguments\": {\"an argument's name\": its value}}\n"
         "</tool_call>\n"
         "You will then be told the tool's result. Call a tool only when it is needed; answer in "
         "plain text otherwise. These are the tools and what their arguments must be:\n";
}

void
atl_tool_format_visit_marks (const AtlToolFormat *self,
                             void (*visit) (const char *mark, gpointer data),
                             gpointer data)
{
  const char *const marks[] = {
    self->open,
    self->alt_open,
    self->close,
    self->call_open,
    self->call_close,
    self->between,
    self->id_end,
    self->name_end,
    self->key_open,
    self->key_end,
    self->value_close,
    self->key_end_json,
    self->text_head,
    /* Written by some models of the format, read but never asked for. */
    self->style == ATL_CALL_NAMED ? "[CALL_ID]" : NULL,
    self->style == ATL_CALL_GEMMA ? "<|\"|>" : NULL,
  };

  for (gsize i = 0; i < G_N_ELEMENTS (marks); i++)
    if (marks[i] != NULL)
      visit (marks[i], data);
}
