/* What a model or a file says, on a terminal: that obeys control characters, which may move the
 * cursor, change what is typed next or write to the clipboard.
 *
 *   atl_terminal_text_put (stdout, answer);
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

G_BEGIN_DECLS

/* `text` (UTF-8) with “�” for each control character but line ends and tabs, and without the
 * carriage returns before line ends. The caller's. */
char *atl_terminal_text (const char *text);

/* Writes it so where `out` is a terminal, else as it is, for programs. */
void atl_terminal_text_put (FILE *out, const char *text);

G_END_DECLS
