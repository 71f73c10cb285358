/* `atelier-cli`: Atelier's abilities from a terminal, for scripts, servers and benchmarks.
 *
 * chat and run use the engine process as the window does. Tools that look inside model files or
 * measure run the engine's program itself with this terminal's input and output.
 */
#define G_LOG_DOMAIN "atl-cli"

#include <gio/gio.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atelier-config.h"
#include "cli/commands.h"
#include "client/client.h"
#include "hub/fetch-cli.h"

static const struct
{
  const char *name;
  int (*run) (int argc, char **argv); /* NULL: a tool of the engine's program */
  const char *help;
} commands[] = {
  { "chat", atl_cli_chat, "talk with a model" },
  { "run", atl_cli_run, "answer one prompt (arguments or standard input)" },
  { "fetch-starter", atl_hub_cli_fetch, "fetch a small model to begin with" },
  { "devices", NULL, "what this computer can compute on" },
  { "inspect", NULL, "what is in a model file" },
  { "convert", NULL, "write a Hugging Face folder as one GGUF file" },
  { "quantize", NULL, "make a model file smaller" },
  { "tokenize", NULL, "text to tokens and back" },
  { "bench", NULL, "measure tokens per second" },
  { "golden", NULL, "run golden cases" },
  { "greedy", NULL, "compare a model with recorded greedy runs" },
};

static void
print_help (FILE *out)
{
  fprintf (out, "atelier-cli %s\n\nUsage: atelier-cli COMMAND [ARGUMENTS…]\n\n", ATL_VERSION);
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (out, "  %-14s %s\n", commands[i].name, commands[i].help);
  fputs ("\natelier-cli COMMAND --help says more.\n", out);
}

/* Becomes the engine's program; returns only when that fails. */
static int
run_tool (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *program = atl_client_find_engine (&error);
  g_autofree char **args = g_new0 (char *, (gsize) argc + 2);

  if (program == NULL)
    {
      fprintf (stderr, "atelier-cli: %s\n", error->message);
      return EXIT_FAILURE;
    }
  args[0] = program;
  for (int i = 0; i < argc; i++)
    args[i + 1] = argv[i];
  execv (program, args);
  fprintf (stderr, "atelier-cli: %s cannot be started: %s\n", program, g_strerror (errno));
  return EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  if (argc < 2)
    {
      print_help (stderr);
      return 2;
    }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "help") == 0)
    {
      print_help (stdout);
      return EXIT_SUCCESS;
    }
  if (strcmp (argv[1], "--version") == 0)
    {
      printf ("atelier-cli %s\n", ATL_VERSION);
      return EXIT_SUCCESS;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (argv[1], commands[i].name) == 0)
      return commands[i].run != NULL ? commands[i].run (argc - 1, argv + 1)
                                     : run_tool (argc - 1, argv + 1);
  fprintf (stderr, "atelier-cli: there is no command “%s”.\n\n", argv[1]);
  print_help (stderr);
  return 2;
}
