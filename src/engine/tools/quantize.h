/* `atelier-cli quantize IN OUT TYPE` and `atelier-cli convert FOLDER OUT [TYPE]`: a language model
 * (GGUF, single or in shards, or a folder as its authors publish it) written as one GGUF file.
 *
 * Threading: the main thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Exit statuses: 0, 1 when it failed or was stopped (nothing is left then), 2 for a wrong call.
 * argv[0] is the name of the command. */
int atl_tool_quantize (int argc, char **argv);
int atl_tool_convert (int argc, char **argv);

G_END_DECLS
