/* Calls in notations other than JSON, turned into JSON: Python's (LFM2) and Gemma's.
 *
 *   [get_weather(city='Bern', days=2), now()]
 *   call:get_weather{city:<|"|>Bern<|"|>,days:2}
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* `arguments` is a JSON object. */
typedef void (*AtlCallFunc) (const char *name, const char *arguments, gpointer data);

/* All calls of a list of them (brackets may be left out). FALSE when the text is none; some calls
 * may have been told by then. */
gboolean atl_calls_from_python (const char *text, gsize n, AtlCallFunc func, gpointer data);
/* One call. */
gboolean atl_call_from_gemma (const char *text, gsize n, AtlCallFunc func, gpointer data);

G_END_DECLS
