/* `atelier-cli inspect`: what is in a model's files, without loading it.
 *
 * Threading: call from main.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* inspect [--json] [--tensors | --metadata] FILE…
 *
 * FILE… are the parts of one model, or one folder that holds them. Prints the metadata (long lists
 * and texts cut short), each tensor's name, dtype, shape and bytes, and the totals of each dtype;
 * --tensors or --metadata prints that part alone. With --json one object on one line, nothing cut:
 * { name, weight_bytes, metadata: {}, tensors: [{ name, dtype, shape, bytes }],
 *   totals: [{ dtype, tensors, elements, bytes }] }.
 *
 * argv[0] is the command's name. Returns 0, 1 when the files cannot be opened (one sentence on
 * standard error says why), 2 for arguments it does not know. */
int atl_tool_inspect (int argc, char **argv);

G_END_DECLS
