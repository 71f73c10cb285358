/* JSON in lines, for reading.
 *
 *   g_autofree char *lines = atl_json_lines ("{\"a\": [1");     "{\n  \"a\": [\n    1"
 *
 * Threading: pure; any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The text with each member and item on a line of its own, indented by two spaces a level; numbers
 * and texts stay as they were written. It may be cut off anywhere: lines that are there do not
 * change when more comes. The caller's. */
char *atl_json_lines (const char *json);

G_END_DECLS
