/* Between the files of the bounded JSON parser. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The UTF-16 unit that is escaped at `at`, "\\ud800"; -1 when none is. */
int atl_json_escaped_unit (const char *at, const char *end);
#define ATL_JSON_ESCAPE_BYTES 6

/* Whether more names of one object share a place in GLib's tables of texts than any file's do by
 * chance. The parser's objects are such tables, and take minutes for a megabyte of such names. */
gboolean atl_json_names_collide (const char *data, gsize size);

G_END_DECLS
