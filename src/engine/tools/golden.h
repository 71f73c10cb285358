/* `atelier-cli golden`: runs golden cases on every backend and compares.
 *
 * A line per case, backend and output: "name backend output rel_l2 tolerance ok|FAIL"; a case whose
 * architecture is not there yet is MISSING. Threading: call from main.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* golden [--backend NAME] [--only GLOB] [--json] DIR…
 * Backends: "cpu" (float32 throughout), "cpu-fast" (what people run; reduced precision has its own
 * tolerance), "cpu-LEVEL" on request, and "opencl:N". argv[0] is the command's name. Returns 0 only
 * when every case passed, 1 otherwise, 2 for arguments it does not know. */
int atl_tool_golden (int argc, char **argv);

G_END_DECLS
