/* Which files are the parts of one model, by their names, for the commands that take any of them.
 *
 *   if (atl_tool_same_parts (name, "model-00002-of-00003.gguf"))
 *     open it, too
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether a file called `name` lies beside one called `only` as another part of the same model, or
 * is that file. */
gboolean atl_tool_same_parts (const char *name, const char *only);

G_END_DECLS
