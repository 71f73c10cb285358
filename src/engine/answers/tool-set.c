/* Reading the list of tools, and typing arguments by their schemas. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/tool-set.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/json-scan.h"

/* References and alternatives that are followed. */
#define MAX_FOLLOWED 16

struct _AtlToolSet
{
  gint ref_count; /* (atomic) */
  AtlTool *tools;
  guint n;
  JsonArray *json;
};

/* --- Reading --- */

static gboolean
is_name (const char *name)
{
  gsize n = strlen (name);

  return n >= 1 && n <= ATL_TOOL_MAX_NAME &&
         strspn (name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-.") == n;
}

static JsonObject *
find_function (JsonNode *node)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonObject *function = object != NULL ? atl_json_object (object, "function") : NULL;

  return function != NULL ? function : object;
}

static gboolean
read_tool (AtlToolSet *self, AtlTool *tool, JsonNode *node, GError **error)
{
  JsonObject *function = find_function (node);
  const char *name = function != NULL ? atl_json_string (function, "name", NULL) : NULL;
  JsonNode *schema = NULL;
  JsonObject *wrapped, *inner;

  if (name == NULL || !is_name (name))
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_INVALID,
          _ ("tools: the name of tool %u is “%.40s”; 1 to %u letters, digits, “_”, “-” and "
             "“.” were expected"),
          self->n + 1, name != NULL ? name : "", ATL_TOOL_MAX_NAME);
      return FALSE;
    }
  if (atl_tool_set_find (self, name, strlen (name)) >= 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("tools: two tools are called “%s”"),
                   name);
      return FALSE;
    }
  schema = json_object_get_member (function, "parameters");
  if (schema == NULL)
    schema = json_object_get_member (function, "input_schema");
  if (schema != NULL && JSON_NODE_HOLDS_NULL (schema))
    schema = NULL;
  if (schema != NULL && !JSON_NODE_HOLDS_OBJECT (schema))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("tools: the parameters of “%s” are no JSON schema"), name);
      return FALSE;
    }
  tool->name = g_strdup (name);
  tool->description = g_strdup (atl_json_string (function, "description", ""));
  tool->schema = schema != NULL ? json_node_copy (schema) : NULL;
  if (schema != NULL)
    tool->members = atl_json_object (json_node_get_object (tool->schema), "properties");

  inner = json_object_new ();
  json_object_set_string_member (inner, "name", name);
  json_object_set_string_member (inner, "description", tool->description);
  if (schema != NULL)
    json_object_set_member (inner, "parameters", json_node_copy (schema));
  else
    {
      JsonObject *none = json_object_new ();

      json_object_set_string_member (none, "type", "object");
      json_object_set_object_member (none, "properties", json_object_new ());
      json_object_set_object_member (inner, "parameters", none);
    }
  wrapped = json_object_new ();
  json_object_set_string_member (wrapped, "type", "function");
  json_object_set_object_member (wrapped, "function", inner);
  json_array_add_object_element (self->json, wrapped);
  return TRUE;
}

AtlToolSet *
atl_tool_set_new (JsonArray *tools, GError **error)
{
  guint n = json_array_get_length (tools);
  g_autoptr (AtlToolSet) self = g_new0 (AtlToolSet, 1);

  self->ref_count = 1;
  self->json = json_array_new ();
  if (n > ATL_TOOL_MAX_TOOLS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("%u tools were given; at most %u are accepted"), n, ATL_TOOL_MAX_TOOLS);
      return NULL;
    }
  self->tools = g_new0 (AtlTool, n + 1);
  for (guint i = 0; i < n; i++)
    {
      if (!read_tool (self, &self->tools[i], json_array_get_element (tools, i), error))
        return NULL;
      self->n++;
    }
  return g_steal_pointer (&self);
}

AtlToolSet *
atl_tool_set_ref (AtlToolSet *self)
{
  g_atomic_int_inc (&self->ref_count);
  return self;
}

void
atl_tool_set_unref (AtlToolSet *self)
{
  if (self == NULL || !g_atomic_int_dec_and_test (&self->ref_count))
    return;
  for (guint i = 0; i < self->n; i++)
    {
      g_free (self->tools[i].name);
      g_free (self->tools[i].description);
      g_clear_pointer (&self->tools[i].schema, json_node_unref);
    }
  g_free (self->tools);
  json_array_unref (self->json);
  g_free (self);
}

guint
atl_tool_set_n (const AtlToolSet *self)
{
  return self->n;
}

const AtlTool *
atl_tool_set_get (const AtlToolSet *self, guint i)
{
  return &self->tools[i];
}

gint
atl_tool_set_find (const AtlToolSet *self, const char *name, gsize length)
{
  for (guint i = 0; i < self->n; i++)
    if (strlen (self->tools[i].name) == length && memcmp (self->tools[i].name, name, length) == 0)
      return (gint) i;
  return -1;
}

JsonArray *
atl_tool_set_json (const AtlToolSet *self)
{
  return self->json;
}

/* --- Types --- */

static AtlToolType
type_by_name (const char *name)
{
  static const struct
  {
    const char *name;
    AtlToolType type;
  } types[] = {
    { "string", ATL_TOOL_STRING },   { "number", ATL_TOOL_NUMBER | ATL_TOOL_INTEGER },
    { "integer", ATL_TOOL_INTEGER }, { "boolean", ATL_TOOL_BOOLEAN },
    { "null", ATL_TOOL_NULL },       { "array", ATL_TOOL_ARRAY },
    { "object", ATL_TOOL_OBJECT },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_strcmp0 (name, types[i].name) == 0)
      return types[i].type;
  return ATL_TOOL_ANY;
}

static AtlToolType
type_of (JsonNode *value)
{
  if (JSON_NODE_HOLDS_OBJECT (value))
    return ATL_TOOL_OBJECT;
  if (JSON_NODE_HOLDS_ARRAY (value))
    return ATL_TOOL_ARRAY;
  if (JSON_NODE_HOLDS_NULL (value))
    return ATL_TOOL_NULL;
  switch (json_node_get_value_type (value))
    {
    case G_TYPE_STRING:
      return ATL_TOOL_STRING;
    case G_TYPE_BOOLEAN:
      return ATL_TOOL_BOOLEAN;
    case G_TYPE_DOUBLE:
      return ATL_TOOL_NUMBER;
    default:
      return ATL_TOOL_INTEGER;
    }
}

/* The node that "#/a/b" points to. */
static JsonNode *
resolve (JsonNode *root, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", 64);
  JsonNode *node = root;

  if (parts[0] == NULL || !g_str_equal (parts[0], "#"))
    return NULL;
  for (guint i = 1; parts[i] != NULL && node != NULL; i++)
    node = JSON_NODE_HOLDS_OBJECT (node)
               ? json_object_get_member (json_node_get_object (node), parts[i])
               : NULL;
  return node;
}

static AtlToolType types_of (JsonNode *root, JsonNode *schema, guint *budget);

static AtlToolType
types_of_all (JsonNode *root, JsonArray *schemas, guint *budget)
{
  AtlToolType all = 0;

  for (guint i = 0; i < json_array_get_length (schemas); i++)
    all |= types_of (root, json_array_get_element (schemas, i), budget);
  return all != 0 ? all : ATL_TOOL_ANY;
}

static AtlToolType
types_of (JsonNode *root, JsonNode *schema, guint *budget)
{
  JsonObject *object;
  JsonNode *type, *constant;
  JsonArray *list;
  const char *ref;
  AtlToolType all = 0;

  if (schema == NULL || !JSON_NODE_HOLDS_OBJECT (schema) || *budget == 0)
    return ATL_TOOL_ANY;
  --*budget;
  object = json_node_get_object (schema);
  ref = atl_json_string (object, "$ref", NULL);
  if (ref != NULL)
    return types_of (root, resolve (root, ref), budget);
  type = json_object_get_member (object, "type");
  if (type != NULL && JSON_NODE_HOLDS_ARRAY (type))
    {
      list = json_node_get_array (type);
      for (guint i = 0; i < json_array_get_length (list); i++)
        {
          JsonNode *one = json_array_get_element (list, i);

          all |= type_by_name (JSON_NODE_HOLDS_VALUE (one) ? json_node_get_string (one) : NULL);
        }
      return all != 0 ? all : ATL_TOOL_ANY;
    }
  if (type != NULL && JSON_NODE_HOLDS_VALUE (type))
    return type_by_name (json_node_get_string (type));
  list = atl_json_array (object, "anyOf");
  if (list == NULL)
    list = atl_json_array (object, "oneOf");
  if (list != NULL)
    return types_of_all (root, list, budget);
  constant = json_object_get_member (object, "const");
  if (constant != NULL)
    return type_of (constant);
  list = atl_json_array (object, "enum");
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    all |= type_of (json_array_get_element (list, i));
  return all != 0 ? all : ATL_TOOL_ANY;
}

AtlToolType
atl_tool_set_types (const AtlToolSet *self, guint tool, const char *key)
{
  const AtlTool *of = &self->tools[tool];
  JsonNode *schema = of->members != NULL ? json_object_get_member (of->members, key) : NULL;
  guint budget = MAX_FOLLOWED;

  return types_of (of->schema, schema, &budget);
}

/* --- Values --- */

/* `text` when it is one JSON value of an allowed type; Python's words count too. */
static char *
as_json (const char *text, AtlToolType types)
{
  static const char *const words[][2] = { { "True", "true" },
                                          { "False", "false" },
                                          { "None", "null" } };
  g_autofree char *trimmed = g_strstrip (g_strdup (text));
  g_autofree char *ended = NULL;
  g_autoptr (JsonNode) node = NULL;
  AtlJsonScan scan;
  AtlToolType type;
  gsize used;

  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_equal (trimmed, words[i][0]))
      {
        g_free (trimmed);
        trimmed = g_strdup (words[i][1]);
      }
  ended = g_strconcat (trimmed, " ", NULL);
  atl_json_scan_init (&scan);
  if (atl_json_scan_push (&scan, ended, strlen (ended), &used) != ATL_JSON_SCAN_DONE ||
      used < strlen (trimmed))
    return NULL;
  node = atl_json_parse (trimmed, strlen (trimmed), "value", NULL);
  if (node == NULL)
    return NULL;
  type = type_of (node);
  /* 2.0 is an integer to JSON schema. */
  if (type == ATL_TOOL_NUMBER && (types & ATL_TOOL_INTEGER) != 0 &&
      json_node_get_double (node) ==
          (double) (gint64) CLAMP (json_node_get_double (node), -9e15, 9e15))
    type |= ATL_TOOL_INTEGER;
  if ((type & types) == 0)
    return NULL;
  return scan.has_raw ? atl_json_write (node) : g_steal_pointer (&trimmed);
}

char *
atl_tool_set_value (const AtlToolSet *self, guint tool, const char *key, const char *text)
{
  AtlToolType types = atl_tool_set_types (self, tool, key) & ~ATL_TOOL_STRING;
  char *json = types != 0 ? as_json (text, types) : NULL;

  return json != NULL ? json : atl_json_quote (text);
}

char *
atl_tool_set_arguments (const AtlToolSet *self, guint tool, JsonObject *arguments)
{
  g_autoptr (GString) out = g_string_new ("{");
  JsonObjectIter iter;
  const char *key;
  JsonNode *value;
  gboolean changed = FALSE;

  json_object_iter_init_ordered (&iter, arguments);
  while (json_object_iter_next_ordered (&iter, &key, &value))
    {
      g_autofree char *quoted = atl_json_quote (key);
      g_autofree char *text = NULL;
      AtlToolType types = atl_tool_set_types (self, tool, key);

      if (type_of (value) == ATL_TOOL_STRING && (types & ATL_TOOL_STRING) == 0)
        text = as_json (json_node_get_string (value), types);
      changed = changed || text != NULL;
      if (text == NULL && (text = atl_json_write (value)) == NULL)
        return NULL;
      g_string_append_printf (out, "%s%s: %s", out->len > 1 ? ", " : "", quoted, text);
    }
  g_string_append_c (out, '}');
  return changed ? g_string_free (g_steal_pointer (&out), FALSE) : NULL;
}
