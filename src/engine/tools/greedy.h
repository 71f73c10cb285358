/* `atelier-cli greedy`: how far a backend is from recorded greedy runs of a real model.
 *
 * Threading: call from main.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* greedy [--backend NAME] [--kv-type f32|f16|q8_0|q4_0] [--tolerance X] MODEL.gguf RUNS.json
 *
 * RUNS.json has prompt ids, the ids that follow in float32 arithmetic and the gaps between the two
 * best logits. Prints a line a run: teacher-forced steps whose arg-max changed, with the largest
 * gap, token by token and at once; the largest change among the ten best log-probabilities; and
 * how many ids free-running has in common; then whether that is within the tolerance (0.05).
 * Backends are named as in golden; default cpu-fast, context kept as f16.
 *
 * argv[0] is the command's name. Returns 0 when every run is good, 1 otherwise, 2 for arguments it
 * does not know. */
int atl_tool_greedy (int argc, char **argv);

G_END_DECLS
