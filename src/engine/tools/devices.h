/* `atelier-cli devices`: what this computer can compute on.
 *
 * Threading: call from main.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Prints the processor and every OpenCL device, its memory, and whether it is used or why not;
 * with --json one object on one line. argv[0] is the name of the command. Returns an exit status:
 * 0, or 2 for arguments it does not know. */
int atl_tool_devices (int argc, char **argv);

G_END_DECLS
