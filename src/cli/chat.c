/* `atelier-cli chat`: a conversation in the terminal. */
#define G_LOG_DOMAIN "atl-cli"

#include <glib/gi18n.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/language.h"
#include "base/terminal-text.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/session.h"
#include "hub/starter.h"

#define SUMMARY                                                                                    \
  N_ ("Talks with a model in the terminal. Ctrl-C stops an answer; /help lists the commands.")

typedef struct
{
  AtlCliOptions options;
  AtlCliSession session;
  AtlConversation *talk;
  gboolean is_terminal; /* of the output */
  gboolean is_thinking; /* the text printed last was */
  GString *typed;       /* read from standard input, not yet a line */
  gboolean is_ended;    /* end of the input */
} Chat;

/* --- Reading lines while the main context runs --- */

static gboolean
input_cb (int fd, GIOCondition condition, gpointer user_data)
{
  Chat *self = user_data;
  char buffer[4096];
  gssize n = read (fd, buffer, sizeof buffer);

  if (n > 0)
    g_string_append_len (self->typed, buffer, n);
  else if (n == 0 || (errno != EINTR && errno != EAGAIN))
    self->is_ended = TRUE;
  return !self->is_ended;
}

/* The next line without its end, owned; NULL at the end of the input or after Ctrl-C on an empty
 * line. */
static char *
read_line (Chat *self)
{
  guint source = 0;

  if (!self->is_ended)
    source = g_unix_fd_add (STDIN_FILENO, G_IO_IN | G_IO_HUP, input_cb, self);
  for (;;)
    {
      char *end = memchr (self->typed->str, '\n', self->typed->len);
      char *line = NULL;

      if (end != NULL)
        {
          line = g_strndup (self->typed->str, end - self->typed->str);
          g_string_erase (self->typed, 0, end - self->typed->str + 1);
        }
      else if (self->is_ended && self->typed->len > 0)
        {
          line = g_strdup (self->typed->str);
          g_string_truncate (self->typed, 0);
        }
      if (line != NULL || self->is_ended || self->session.is_interrupted)
        {
          if (source != 0 && !self->is_ended)
            g_source_remove (source);
          return line;
        }
      g_main_context_iteration (NULL, TRUE);
    }
}

/* --- Answers --- */

static void
set_dim (Chat *self, gboolean is_dim)
{
  if (self->is_terminal)
    fputs (is_dim ? "\033[2m" : "\033[0m", stdout);
}

static gboolean
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  Chat *self = user_data;

  if (is_thinking && !self->options.show_thinking && !self->is_terminal)
    return TRUE;
  if (is_thinking != self->is_thinking)
    {
      if (self->is_thinking)
        fputs ("\n\n", stdout);
      set_dim (self, is_thinking);
      self->is_thinking = is_thinking;
    }
  atl_terminal_text_put (stdout, text);
  return fflush (stdout) == 0;
}

static void
print_stats (Chat *self, const AtlChatStats *stats)
{
  g_autofree char *words = NULL;

  if (!self->is_terminal)
    return;
  set_dim (self, TRUE);
  words = atl_language_printf (_ ("%.1f tokens/s, first word after %.1f s, context %u of %u, %s"),
                               stats->tokens_per_s, stats->first_token_ms / 1000, stats->n_ctx_used,
                               stats->n_ctx, stats->ran_on);
  if (stats->n_drafted > 0)
    printf (_ ("[%u of %u guessed tokens were right]\n"), stats->n_accepted, stats->n_drafted);
  if (g_str_equal (stats->stop_reason, ATL_STOP_CONTEXT_FULL))
    printf ("[%s; %s]\n", words, _ ("the context is full: /new starts again"));
  else if (g_str_equal (stats->stop_reason, ATL_STOP_STOPPED))
    printf ("[%s; %s]\n", words, _ ("stopped"));
  else
    printf ("[%s]\n", words);
  set_dim (self, FALSE);
}

static void
answer (Chat *self)
{
  g_autofree char *messages = atl_conversation_to_json (self->talk);
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (AtlChatJob) job = NULL;
  g_autoptr (GError) error = NULL;
  const AtlCliSink sink = { .text = text_cb, .user_data = self };

  atl_cli_options_params (&self->options, self->session.model, &params);
  params.conversation = g_strdup ("terminal");
  self->is_thinking = FALSE;
  job = atl_cli_session_answer (&self->session, messages, NULL, &params, &sink, &error);
  self->session.is_interrupted = FALSE;
  set_dim (self, FALSE);
  putchar ('\n');
  if (job == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      atl_conversation_drop_last (self->talk, "user");
      return;
    }
  atl_conversation_add (self->talk, "assistant", atl_chat_job_get_text (job));
  print_stats (self, atl_chat_job_get_stats (job));
}

/* --- Commands --- */

/* Each gets what follows its name, stripped; returns FALSE to leave. */
typedef struct
{
  const char *name;
  const char *help;
  gboolean (*run) (Chat *self, const char *rest);
} Command;

static gboolean
cmd_new (Chat *self, const char *rest)
{
  atl_conversation_clear (self->talk);
  puts (_ ("A new conversation."));
  return TRUE;
}

static gboolean
cmd_system (Chat *self, const char *rest)
{
  atl_conversation_set_system (self->talk, rest);
  puts (*rest != '\0' ? _ ("The system prompt is set.") : _ ("There is no system prompt now."));
  return TRUE;
}

static gboolean
cmd_again (Chat *self, const char *rest)
{
  atl_conversation_drop_last (self->talk, "assistant");
  if (atl_conversation_n (self->talk) == 0)
    puts (_ ("There is nothing to answer yet."));
  else
    answer (self);
  return TRUE;
}

static gboolean
cmd_undo (Chat *self, const char *rest)
{
  atl_conversation_drop_last (self->talk, "assistant");
  puts (atl_conversation_drop_last (self->talk, "user") ? _ ("The last question is gone.")
                                                        : _ ("There is nothing to undo."));
  return TRUE;
}

static gboolean
cmd_history (Chat *self, const char *rest)
{
  for (guint i = 0; i < atl_conversation_n (self->talk); i++)
    {
      printf ("%s: ", atl_conversation_role (self->talk, i));
      atl_terminal_text_put (stdout, atl_conversation_content (self->talk, i));
      putchar ('\n');
    }
  return TRUE;
}

static gboolean
cmd_save (Chat *self, const char *rest)
{
  g_autofree char *json = atl_conversation_to_json (self->talk);
  g_autoptr (GError) error = NULL;

  if (*rest == '\0')
    puts (_ ("/save needs a file name."));
  else if (g_file_test (rest, G_FILE_TEST_EXISTS))
    printf (_ ("%s is there already; another name keeps it.\n"), rest);
  else if (!g_file_set_contents (rest, json, -1, &error))
    puts (error->message);
  else
    printf (_ ("Saved as %s.\n"), rest);
  return TRUE;
}

static gboolean
cmd_set (Chat *self, const char *rest)
{
  g_auto (GStrv) words = g_strsplit (rest, " ", 2);
  g_autoptr (GError) error = NULL;
  g_auto (AtlChatParams) params = { 0 };
  const AtlChatParamSpec *specs;
  guint n_specs;

  if (words[0] != NULL && words[1] != NULL)
    {
      if (!atl_cli_options_set (&self->options, words[0], g_strstrip (words[1]), &error))
        puts (error->message);
      return TRUE;
    }
  atl_cli_options_params (&self->options, self->session.model, &params);
  specs = atl_chat_param_specs (&n_specs);
  for (guint i = 0; i < n_specs; i++)
    printf ("%-20s %g\n", specs[i].key, atl_chat_param_get (&params, &specs[i]));
  return TRUE;
}

static void
print_model (Chat *self)
{
  const AtlModelInfo *info = atl_model_get_info (self->session.model);
  g_autofree char *size = atl_language_size (info->size_bytes);
  gboolean from_catalog;
  g_autofree char *values = atl_chat_params_to_words (
      atl_starter_recommended (atl_model_get_key (self->session.model), info->name, info->inside,
                               info->recommended, &from_catalog));

  fprintf (stderr,
           info->is_toy ? _ ("%s (%s, %s), a toy: good for trying out only. %s. Context %u tokens.")
                        : _ ("%s (%s, %s). %s. Context %u tokens."),
           info->name, info->quant, size, info->runs_on, info->n_ctx);
  fprintf (stderr, *info->notice != '\0' ? " %s\n" : "%s\n", info->notice);
  if (*info->draft != '\0')
    fprintf (stderr, _ ("%s guesses ahead.\n"), info->draft);
  if (*values != '\0')
    {
      /* Translators: followed by names and numbers, as in "temperature 0.2, top-p 0.9" */
      fprintf (stderr,
               from_catalog ? _ ("Recommended for this model: %s")
                            : _ ("The model's file recommends: %s"),
               values);
      fputs (".\n", stderr);
    }
}

static gboolean
cmd_model (Chat *self, const char *rest)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) before = NULL;

  if (*rest != '\0')
    {
      before = g_object_ref (self->session.model);
      atl_client_unload_async (self->session.client, before, NULL, NULL, NULL);
      if (!atl_cli_session_open (&self->session, rest, &self->options.load, &error))
        {
          puts (error->message);
          /* The next answer loads the one before again. */
          self->session.model = g_steal_pointer (&before);
          return TRUE;
        }
    }
  print_model (self);
  return TRUE;
}

static gboolean
cmd_quit (Chat *self, const char *rest)
{
  return FALSE;
}

static gboolean cmd_help (Chat *self, const char *rest);

static const Command commands[] = {
  { "help", N_ ("this list"), cmd_help },
  { "new", N_ ("a new conversation"), cmd_new },
  { "system", N_ ("TEXT: set the system prompt (empty: none)"), cmd_system },
  { "again", N_ ("another answer to the last question"), cmd_again },
  { "undo", N_ ("take the last question back"), cmd_undo },
  { "history", N_ ("print the conversation"), cmd_history },
  { "save", N_ ("FILE: save the conversation as JSON"), cmd_save },
  { "set", N_ ("[NAME VALUE]: show or change parameters"), cmd_set },
  { "model", N_ ("[NAME]: show or switch the model"), cmd_model },
  { "quit", N_ ("leave (Ctrl-D does too)"), cmd_quit },
};

static gboolean
cmd_help (Chat *self, const char *rest)
{
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    printf ("/%-8s %s\n", commands[i].name, _ (commands[i].help));
  return TRUE;
}

static gboolean
run_command (Chat *self, const char *line)
{
  gsize length = strcspn (line, " \t");

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strlen (commands[i].name) == length && strncmp (commands[i].name, line, length) == 0)
      {
        g_autofree char *rest = g_strstrip (g_strdup (line + length));

        return commands[i].run (self, rest);
      }
  printf (_ ("There is no command /%.*s; /help lists them.\n"), (int) length, line);
  return TRUE;
}

static void
talk (Chat *self)
{
  gboolean go_on = TRUE;

  while (go_on)
    {
      g_autofree char *line = NULL;

      if (self->is_terminal)
        {
          fputs ("\033[1m> \033[0m", stdout);
          fflush (stdout);
        }
      line = read_line (self);
      if (line == NULL)
        break;
      g_strstrip (line);
      if (*line == '/')
        go_on = run_command (self, line + 1);
      else if (*line != '\0')
        {
          atl_conversation_add (self->talk, "user", line);
          answer (self);
        }
    }
  if (self->is_terminal)
    putchar ('\n');
}

int
atl_cli_chat (int argc, char **argv)
{
  Chat chat = { 0 };
  g_autoptr (GError) error = NULL;
  int status = 0;

  chat.is_terminal = isatty (STDOUT_FILENO);
  chat.typed = g_string_new (NULL);
  if (!atl_cli_options_parse (&chat.options, &argc, &argv, NULL, SUMMARY, NULL, &error))
    status = 2;
  else if (argc > 1)
    {
      g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("chat takes no arguments; “run” answers a prompt"));
      status = 2;
    }
  else if (!atl_cli_session_open (&chat.session, chat.options.model, &chat.options.load, &error))
    status = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? 130 : 1;
  if (status != 0)
    fprintf (stderr, "atelier-cli chat: %s\n", error->message);
  else
    {
      chat.talk = atl_conversation_new (chat.options.system);
      print_model (&chat);
      talk (&chat);
    }
  atl_cli_session_close (&chat.session);
  atl_cli_options_clear (&chat.options);
  atl_conversation_free (chat.talk);
  g_string_free (chat.typed, TRUE);
  return status;
}
