/* How a command of atelier-cli is called, in words.
 *
 *   if (!parse_options (argc, argv, &options))
 *     return atl_tool_usage (argc, argv, "[--json] FILE…\n\n  --json   one JSON object\n");
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Prints "Usage: atelier-cli NAME" and `words`, which begin with the arguments and end with a line
 * break; NAME is argv[0]. An exit status: 0, on stdout, for a person who asked by --help or -h as
 * the first argument; else 2, on stderr. */
int atl_tool_usage (int argc, char **argv, const char *words);

G_END_DECLS
