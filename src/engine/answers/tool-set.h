/* The tools that a model may call: names, and what their arguments must look like.
 *
 *   g_autoptr (AtlToolSet) tools = atl_tool_set_new (array, error);
 *   gint i = atl_tool_set_find (tools, "get_weather", 11);
 *   g_autofree char *json = atl_tool_set_value (tools, i, "days", "2");       "2", not "\"2\""
 *
 * Tools are OpenAI's {"type": "function", "function": {"name", "description", "parameters"}} or the
 * inner object alone ("input_schema" is another word for "parameters").
 *
 * Threading: immutable; reference counting is atomic.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

#define ATL_TOOL_MAX_TOOLS 256u
#define ATL_TOOL_MAX_NAME 128u

typedef struct
{
  char *name;
  char *description;   /* may be empty */
  JsonNode *schema;    /* of the arguments: an object, or any (NULL) */
  JsonObject *members; /* (nullable) borrowed: the schema's properties */
} AtlTool;

typedef struct _AtlToolSet AtlToolSet;

/* ATL_ERROR_INVALID names the tool and what is wrong with it: names are 1 to ATL_TOOL_MAX_NAME
 * letters, digits, "_", "-", "." and differ. */
AtlToolSet *atl_tool_set_new (JsonArray *tools, GError **error);
AtlToolSet *atl_tool_set_ref (AtlToolSet *self);
void atl_tool_set_unref (AtlToolSet *self);

guint atl_tool_set_n (const AtlToolSet *self);
const AtlTool *atl_tool_set_get (const AtlToolSet *self, guint i);
/* The number of the tool with this name, −1 if there is none. */
gint atl_tool_set_find (const AtlToolSet *self, const char *name, gsize length);
/* All of them in OpenAI's form, as templates want them; borrowed. */
JsonArray *atl_tool_set_json (const AtlToolSet *self);

/* What a value may be. */
typedef enum
{
  ATL_TOOL_STRING = 1 << 0,
  ATL_TOOL_NUMBER = 1 << 1,
  ATL_TOOL_INTEGER = 1 << 2,
  ATL_TOOL_BOOLEAN = 1 << 3,
  ATL_TOOL_NULL = 1 << 4,
  ATL_TOOL_ARRAY = 1 << 5,
  ATL_TOOL_OBJECT = 1 << 6,
  ATL_TOOL_ANY = (1 << 7) - 1,
} AtlToolType;

/* What the schema of one argument allows; its references are followed. */
AtlToolType atl_tool_set_types (const AtlToolSet *self, guint tool, const char *key);

/* A value that was written as bare text, as JSON: what its schema says it is, else what it looks
 * like. The caller's. */
char *atl_tool_set_value (const AtlToolSet *self, guint tool, const char *key, const char *text);
/* Arguments that are a JSON object already, with values that were quoted although their schema
 * wants them bare ("5" for a number) put right; NULL if there is nothing to do. The caller's. */
char *atl_tool_set_arguments (const AtlToolSet *self, guint tool, JsonObject *arguments);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlToolSet, atl_tool_set_unref)

G_END_DECLS
