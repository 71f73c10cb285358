/* A folded card for a call of a tool: which tool, and with what. In an answer's text a call is a
 * listing of the language ATL_TOOL_CARD_LANGUAGE: a line with the tool's name, then the arguments.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TOOL_CARD_LANGUAGE "tool-call"

/* The listing's text between its fences. */
GtkWidget *atl_tool_card_new (const char *text);
/* The whole listing for a call, fences included; the caller's. */
char *atl_tool_card_to_text (const char *name, const char *arguments);

G_END_DECLS
