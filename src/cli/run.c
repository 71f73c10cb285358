/* `atelier-cli run`: one prompt in, one answer out, for scripts. */
#define G_LOG_DOMAIN "atl-cli"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/session.h"

#define SUMMARY "Answers one prompt, given as arguments or on standard input, on standard output."
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
  fputs (text, stdout);
  output->ends_line = g_str_has_suffix (text, "\n");
  return fflush (stdout) == 0;
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
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "the input is longer than 64 MiB");
          return NULL;
        }
    }
  /* The line end that the shell's tools add belongs to no prompt. */
  if (text->len > 0 && text->str[text->len - 1] == '\n')
    g_string_truncate (text, text->len - 1);
  return g_utf8_make_valid (text->str, (gssize) text->len);
}

static void
print_json (AtlChatJob *job, const AtlModelInfo *info)
{
  const AtlChatStats *stats = atl_chat_job_get_stats (job);
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = NULL;

  json_object_set_string_member (object, "text", atl_chat_job_get_text (job));
  json_object_set_string_member (object, "thinking", atl_chat_job_get_thinking (job));
  json_object_set_string_member (object, "model", info->name);
  json_object_set_string_member (object, "stop_reason", stats->stop_reason);
  json_object_set_int_member (object, "n_prompt", stats->n_prompt);
  json_object_set_int_member (object, "n_cached", stats->n_cached);
  json_object_set_int_member (object, "n_generated", stats->n_generated);
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
  gboolean is_raw = FALSE;
  const GOptionEntry more[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &output.is_json, "Print one JSON object with statistics",
      NULL },
    { "raw", 0, 0, G_OPTION_ARG_NONE, &is_raw, "Go on with the text, without a chat template",
      NULL },
    { NULL },
  };
  const AtlCliSink sink = { .text = text_cb, .user_data = &output };

  if (!atl_cli_options_parse (&options, &argc, &argv, "[PROMPT…]", SUMMARY, more, &error))
    {
      fail (error);
      return 2;
    }
  output.show_thinking = options.show_thinking;
  if (argc > 1 && strcmp (argv[1], "-") != 0)
    prompt = g_strjoinv (" ", argv + 1);
  else
    prompt = read_input (&error);
  if (prompt == NULL || !atl_cli_session_open (&session, options.model, &options.load, &error))
    return fail (error);

  atl_cli_options_params (&options, atl_model_get_info (session.model), &params);
  chat = atl_conversation_new (options.system);
  atl_conversation_add (chat, "user", prompt);
  messages = is_raw ? NULL : atl_conversation_to_json (chat);
  job = atl_cli_session_answer (&session, messages, prompt, &params, &sink, &error);
  if (job == NULL)
    return fail (error);
  if (output.is_json)
    print_json (job, atl_model_get_info (session.model));
  else if (!output.ends_line)
    putchar ('\n');
  return session.is_interrupted ? 130 : 0;
}
