/* `atelier-cli tokenize`: what a model reads when it is given a text.
 *
 * Threading: call from main.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* tokenize [--ids | --json] [--no-special] [--parse-special] MODEL [TEXT|-]
 *
 * MODEL is a GGUF file, a folder with tokenizer files, a tokenizer.json or a SentencePiece model.
 * Without TEXT, or with “-”, standard input is read. Prints a line with id and piece for each
 * token; with --ids the ids alone, in one line; with --json one object on one line:
 * { kind, n_vocab, warning, ids: [], pieces: [] }, pieces as text with U+FFFD for a part of a
 * character.
 *
 * --no-special leaves out the begin and end tokens that the model's file asks for; --parse-special
 * reads control tokens written in the text as such.
 *
 * argv[0] is the command's name. Returns 0, 1 when MODEL or the text cannot be read (one sentence
 * on standard error says why), 2 for arguments it does not know. */
int atl_tool_tokenize (int argc, char **argv);

G_END_DECLS
