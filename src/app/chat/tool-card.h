/* A folded card for a call of a tool: which tool, and with what. In an answer's text a call is a
 * listing of the language ATL_TOOL_CARD_LANGUAGE: a line with the tool's name, then the arguments.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define ATL_TOOL_CARD_LANGUAGE "tool-call"

/* The listing's text between its fences. */
GtkWidget *atl_tool_card_new (const char *text);
/* The whole listing for a call, fences included; the caller's. */
char *atl_tool_card_to_text (const char *name, const char *arguments);
/* The calls listed in an answer's text, in OpenAI's form with ids, and in `rest` the text without
 * them, both the caller's. NULL if there is none, or one is no call (any more): a person may have
 * corrected the answer. */
JsonArray *atl_tool_card_calls (const char *text, char **rest);

G_END_DECLS
