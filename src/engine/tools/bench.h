/* `atelier-cli bench`: how fast models run on this computer, and what bounds them.
 *
 * Threading: call from main.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* bench [MODEL.gguf…] [--synthetic SHAPE:TYPE] [--threads N] [--prompt N] [--generate N]
 * [--depth N,…] [--repeat N] [--rows N,…] [--parallel N,…] [--backend cpu|opencl:N]
 * [--kv-type TYPE] [--json] [--image SHAPE[:TYPE]|FILE] [--size WxH[xFRAMES]]
 * Decoding starts at --depth tokens of context (0), as llama-bench's does. Prints prefill and
 * decode tokens per second (medians of the repeats), the read bandwidth (the median of readings
 * right before and after decoding; with --json also the best) and the share of it that decoding
 * uses, the time to load; with several depths decoding at each, with --rows the
 * tokens per second of passes of N tokens of one chat, as checking drafts needs them, with
 * --parallel those of N chats that are decoded together, sampling included, beside those of one.
 * SHAPE: qwen2.5-0.5b, llama-3.2-1b, smollm2-135m, llama-3-8b, qwen3-30b-a3b (random weights of
 * the real sizes; the last takes 17 GB in q4_0);
 * TYPE: f16, q8_0, q4_0, q4_k_m. With --save OUT.gguf they are only written, as a file without a
 * vocabulary (“no_vocab”), which llama.cpp's benchmark runs, too. --image measures a pass of a
 * network of pictures or clips instead (bench-image.h). Returns 0, 1 when a model failed, 2 for
 * arguments it does not know. */
int atl_tool_bench (int argc, char **argv);

G_END_DECLS
