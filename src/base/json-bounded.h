/* JSON from untrusted bytes: depth and size are checked before json-glib, which recurses, sees it.
 *
 * Threading: any thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

#define ATL_JSON_MAX_DEPTH 64
/* Of what a text becomes, without its strings: a hundred times its bytes at worst. */
#define ATL_JSON_MAX_TREE_BYTES (256u << 20)

/* Parses `size` bytes (need not be terminated). Nesting deeper than ATL_JSON_MAX_DEPTH, a tree
 * larger than ATL_JSON_MAX_TREE_BYTES, invalid UTF-8, syntax errors and a second value after the
 * first are ATL_ERROR_BAD_FILE; `name` begins the message. Object keys keep their order; 1.0 stays
 * a double and 1 an integer; all strings are valid UTF-8. “Infinity”, which Python writes, is a
 * double. The node is the caller's.
 */
JsonNode *atl_json_parse (const char *data, gsize size, const char *name, GError **error);
/* The same with a limit of one's own, for what is large by right. */
JsonNode *atl_json_parse_large (
    const char *data, gsize size, guint64 max_tree_bytes, const char *name, GError **error);

/* The value as JSON text on one line, ", " and ": " between its parts. Unlike json-glib's, numbers
 * such as 1e60 come out as what they were. NULL when a number is not finite. The caller's. */
char *atl_json_write (JsonNode *node);
/* The text as a string of JSON, with its quotes and the escapes that models write, too: json-glib
 * leaves one of the control characters as it is. The caller's. */
char *atl_json_quote (const char *text);

/* Members by name with a default; a member of another type counts as absent. */
const char *atl_json_string (JsonObject *object, const char *member, const char *fallback);
gint64 atl_json_int (JsonObject *object, const char *member, gint64 fallback);
double atl_json_double (JsonObject *object, const char *member, double fallback);
gboolean atl_json_bool (JsonObject *object, const char *member, gboolean fallback);
JsonObject *atl_json_object (JsonObject *object, const char *member); /* (nullable) borrowed */
JsonArray *atl_json_array (JsonObject *object, const char *member);   /* (nullable) borrowed */

G_END_DECLS
