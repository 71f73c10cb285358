/* The commands of atelier-cli. argv[0] is the command's name; each returns an exit status: 0, 1 for
 * a failure told on standard error, 2 for wrong arguments, 130 when interrupted.
 *
 * Threading: the main thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A conversation in the terminal; pictures into a folder; one answer to one prompt; whether a
 * model's files are what they should be. */
int atl_cli_chat (int argc, char **argv);
int atl_cli_image (int argc, char **argv);
int atl_cli_run (int argc, char **argv);
int atl_cli_verify (int argc, char **argv);

G_END_DECLS
