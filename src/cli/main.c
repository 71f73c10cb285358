/* `atelier-cli`: Atelier's abilities from a terminal, for scripts, servers and benchmarks.
 *
 * chat, run and image use the engine process as the window does. Tools that look inside model files
 * or measure run the engine's program itself with this terminal's input and output.
 */
#define G_LOG_DOMAIN "atl-cli"

#include <glib/gi18n.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atelier-config.h"
#include "base/language.h"
#include "cli/commands.h"
#include "client/client.h"
#include "hub/fetch-cli.h"

static const struct
{
  const char *name;
  int (*run) (int argc, char **argv); /* NULL: a tool of the engine's program */
  const char *help;
} commands[] = {
  { "chat", atl_cli_chat, N_ ("talk with a model") },
  { "run", atl_cli_run, N_ ("answer one prompt (arguments or standard input)") },
  { "image", atl_cli_image, N_ ("make pictures from a prompt") },
  { "fetch-starter", atl_hub_cli_fetch, N_ ("fetch a small model to begin with") },
  { "verify", atl_cli_verify, N_ ("whether models are still what they were") },
  { "devices", NULL, N_ ("what this computer can compute on") },
  { "inspect", NULL, N_ ("what is in a model file") },
  { "convert", NULL, N_ ("write a Hugging Face folder as one GGUF file") },
  { "quantize", NULL, N_ ("make a model file smaller") },
  { "tokenize", NULL, N_ ("text to tokens and back") },
  { "bench", NULL, N_ ("measure tokens per second") },
  { "golden", NULL, N_ ("run golden cases") },
  { "greedy", NULL, N_ ("compare a model with recorded greedy runs") },
};

static void
print_help (FILE *out)
{
  fprintf (out, "atelier-cli %s\n\n%s\n\n", ATL_VERSION,
           _ ("Usage: atelier-cli COMMAND [ARGUMENTS…]"));
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (out, "  %-14s %s\n", commands[i].name, _ (commands[i].help));
  fprintf (out, "\n%s\n", _ ("atelier-cli COMMAND --help says more."));
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
  fprintf (stderr, _ ("atelier-cli: %s cannot be started: %s\n"), program, g_strerror (errno));
  return EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  /* A file beyond the limit of a login's files is told about, as a full disk is. */
  signal (SIGXFSZ, SIG_IGN);
  atl_language_open ();
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
      {
        g_autofree char *called = g_strdup_printf ("atelier-cli %s", argv[1]);

        if (commands[i].run == NULL)
          return run_tool (argc - 1, argv + 1);
        /* For the help of its options. */
        g_set_prgname (called);
        return commands[i].run (argc - 1, argv + 1);
      }
  fprintf (stderr, _ ("atelier-cli: there is no command “%s”.\n\n"), argv[1]);
  print_help (stderr);
  return 2;
}
