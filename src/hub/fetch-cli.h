/* `atelier-cli fetch-starter [--small]`: the starter model from a terminal.
 *
 * Names the model and its size, shows one line of progress, and prints the path on standard output
 * (everything else goes to standard error). Ctrl-C ends it; the next call goes on where it stopped.
 *
 * Threading: the main thread; runs a main loop of its own.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* argv[0] is the name of the command. Returns the exit status: 0, 1 with words on standard error,
 * 130 when interrupted. */
int atl_hub_cli_fetch (int argc, char **argv);

G_END_DECLS
