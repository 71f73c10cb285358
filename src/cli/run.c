/* `atelier-cli run`: one prompt in, one answer out, for scripts. */
#define G_LOG_DOMAIN "atl-cli"

#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal-text.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/session.h"

#define SUMMARY                                                                                    \
  N_ ("Answers one prompt, given as arguments or on standard input, on standard output.")
/* More than the longest context anyone has. */
#define MAX_INPUT_BYTES (64u << 20)

typedef struct
{
  gboolean is_json;
  gboolean show_thinking;
  gboolean ends_line;
} Output;

static gboolean
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  Output *output = user_data;

  if (output->is_json || (is_thinking && !output->show_thinking))
    return TRUE;
  atl_terminal_text_put (stdout, text);
  output->ends_line = g_str_has_suffix (text, "\n");
  return fflush (stdout) == 0;
}

/* Owned. A text of many pages is not refused for a byte of it. */
static char *
valid_text (const char *text, gsize size)
{
  if (!g_utf8_validate (text, (gssize) size, NULL))
    fprintf (stderr, "atelier-cli run: %s\n",
             _ ("some bytes of the prompt are no text in UTF-8 and are read as “�”"));
  return g_utf8_make_valid (text, (gssize) size);
}

static char *
read_input (GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char buffer[65536];
  gsize n;

  while ((n = fread (buffer, 1, sizeof buffer, stdin)) > 0)
    {
      g_string_append_len (text, buffer, (gssize) n);
      if (text->len > MAX_INPUT_BYTES)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the input is longer than 64 MiB"));
          return NULL;
        }
    }
  /* The line end that the shell's tools add belongs to no prompt. */
  if (text->len > 0 && text->str[text->len - 1] == '\n')
    g_string_truncate (text, text->len - 1);
  return valid_text (text->str, text->len);
}

static JsonObject *
choice_json (const AtlTokenChoice *choice)
{
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "id", choice->id);
  json_object_set_string_member (object, "token", choice->text);
  json_object_set_double_member (object, "logprob", choice->logprob);
  return object;
}

/* Each token with the likeliest at its place. */
static JsonArray *
tokens_json (GPtrArray *tokens)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < tokens->len; i++)
    {
      const AtlChatToken *token = tokens->pdata[i];
      JsonObject *object = choice_json (&token->chosen);
      JsonArray *top = json_array_new ();

      for (guint k = 0; k < token->n_top; k++)
        json_array_add_object_element (top, choice_json (&token->top[k]));
      json_object_set_array_member (object, "top_logprobs", top);
      json_array_add_object_element (array, object);
    }
  return array;
}

/* Calls on lines of their own, for people: get_weather {"city": "Bern"} */
static void
print_calls (AtlChatJob *job, Output *output)
{
  GPtrArray *calls = atl_chat_job_get_tool_calls (job);

  for (guint i = 0; i < calls->len; i++)
    {
      const AtlToolCall *call = calls->pdata[i];

      if (!output->ends_line && (i > 0 || *atl_chat_job_get_text (job) != '\0'))
        putchar ('\n');
      atl_terminal_text_put (stdout, call->name);
      putchar (' ');
      atl_terminal_text_put (stdout, call->arguments);
      output->ends_line = FALSE;
    }
}

static void
print_json (AtlChatJob *job, const AtlModelInfo *info)
{
  const AtlChatStats *stats = atl_chat_job_get_stats (job);
  JsonArray *calls = atl_chat_job_dup_tool_calls_json (job);
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = NULL;

  json_object_set_string_member (object, "text", atl_chat_job_get_text (job));
  json_object_set_string_member (object, "thinking", atl_chat_job_get_thinking (job));
  if (calls != NULL)
    json_object_set_array_member (object, "tool_calls", calls);
  if (atl_chat_job_get_tokens (job)->len > 0)
    json_object_set_array_member (object, "logprobs", tokens_json (atl_chat_job_get_tokens (job)));
  json_object_set_string_member (object, "model", info->name);
  json_object_set_string_member (object, "stop_reason", stats->stop_reason);
  json_object_set_int_member (object, "n_prompt", stats->n_prompt);
  json_object_set_int_member (object, "n_cached", stats->n_cached);
  json_object_set_int_member (object, "n_generated", stats->n_generated);
  json_object_set_int_member (object, "n_drafted", stats->n_drafted);
  json_object_set_int_member (object, "n_accepted", stats->n_accepted);
  json_object_set_double_member (object, "tokens_per_s", stats->tokens_per_s);
  json_object_set_double_member (object, "prefill_per_s", stats->prefill_per_s);
  json_object_set_double_member (object, "first_token_ms", stats->first_token_ms);
  json_object_set_int_member (object, "n_ctx", stats->n_ctx);
  json_object_set_int_member (object, "n_ctx_used", stats->n_ctx_used);
  json_object_set_int_member (object, "seed", (gint64) stats->seed);
  json_object_set_string_member (object, "ran_on", stats->ran_on);
  text = json_to_string (root, FALSE);
  printf ("%s\n", text);
}

static int
fail (const GError *error)
{
  fprintf (stderr, "atelier-cli run: %s\n", error->message);
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? 130 : 1;
}

int
atl_cli_run (int argc, char **argv)
{
  g_auto (AtlCliOptions) options = { 0 };
  g_auto (AtlCliSession) session = { 0 };
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (AtlConversation) chat = NULL;
  g_autoptr (AtlChatJob) job = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *prompt = NULL;
  g_autofree char *messages = NULL;
  Output output = { 0 };
  g_autofree char *messages_path = NULL;
  gboolean is_raw = FALSE;
  gint n_probs = 0;
  const GOptionEntry more[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &output.is_json,
      N_ ("Print one JSON object with statistics"), NULL },
    { "messages", 0, 0, G_OPTION_ARG_FILENAME, &messages_path,
      N_ ("Answer this conversation, a JSON array of messages with roles and contents"), "FILE" },
    { "top-logprobs", 0, 0, G_OPTION_ARG_INT, &n_probs,
      N_ ("With --json: each token's probability and so many of the likeliest"), "N" },
    { "raw", 0, 0, G_OPTION_ARG_NONE, &is_raw, N_ ("Go on with the text, without a chat template"),
      NULL },
    { NULL },
  };
  const AtlCliSink sink = { .text = text_cb, .user_data = &output };

  if (!atl_cli_options_parse (&options, &argc, &argv, "[PROMPT…]", SUMMARY, more, &error) ||
      !atl_cli_options_check ("--top-logprobs", n_probs, 0, ATL_MAX_PROBS, &error))
    {
      fail (error);
      return 2;
    }
  output.show_thinking = options.show_thinking;
  options.given.n_probs = (guint) n_probs;
  if (messages_path != NULL)
    {
      if (!g_file_get_contents (messages_path, &messages, NULL, &error))
        return fail (error);
    }
  else if (argc > 1 && strcmp (argv[1], "-") != 0)
    {
      g_autofree char *words = g_strjoinv (" ", argv + 1);

      prompt = valid_text (words, strlen (words));
    }
  else
    prompt = read_input (&error);
  if ((prompt == NULL && messages == NULL) ||
      !atl_cli_session_open (&session, options.model, &options.load, &error))
    return fail (error);

  atl_cli_options_params (&options, session.model, &params);
  if (messages == NULL && !is_raw)
    {
      chat = atl_conversation_new (options.system);
      atl_conversation_add (chat, "user", prompt);
      messages = atl_conversation_to_json (chat);
    }
  job = atl_cli_session_answer (&session, messages, prompt, &params, &sink, &error);
  if (job == NULL)
    return fail (error);
  if (output.is_json)
    print_json (job, atl_model_get_info (session.model));
  else
    {
      print_calls (job, &output);
      if (!output.ends_line)
        putchar ('\n');
    }
  return session.is_interrupted ? 130 : 0;
}
