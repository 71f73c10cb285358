/* Schemas put together: an alternative of anyOf or oneOf with what stands beside the list, the
 * parts of allOf. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/samplers/grammar-schema-private.h"

#define MAX_ALL_OF 1000 /* parts of one allOf, those of parts counted */
#define MAX_ALL_OF_DEPTH 50

gboolean
atl_schema_has_any (JsonObject *schema, const char *const *names)
{
  for (; *names != NULL; names++)
    if (json_object_has_member (schema, *names))
      return TRUE;
  return FALSE;
}

JsonObject *
atl_schema_copy (JsonObject *object)
{
  JsonObject *copy = json_object_new ();
  JsonObjectIter iter;
  const char *key;
  JsonNode *value;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &key, &value))
    json_object_set_member (copy, key, json_node_copy (value));
  return copy;
}

void
atl_schema_merge (JsonObject *schema, JsonObject *more)
{
  JsonObjectIter iter;
  const char *key;
  JsonNode *value;

  json_object_iter_init_ordered (&iter, more);
  while (json_object_iter_next_ordered (&iter, &key, &value))
    {
      JsonObject *members = atl_json_object (schema, key);
      JsonArray *names = atl_json_array (schema, key);

      if (strcmp (key, "properties") == 0 && members != NULL && JSON_NODE_HOLDS_OBJECT (value))
        {
          JsonObject *both = atl_schema_copy (members);

          atl_schema_merge (both, json_node_get_object (value));
          json_object_set_object_member (schema, key, both);
        }
      else if (strcmp (key, "required") == 0 && names != NULL && JSON_NODE_HOLDS_ARRAY (value))
        {
          JsonArray *list = json_array_new ();

          for (guint i = 0; i < json_array_get_length (names); i++)
            json_array_add_element (list, json_node_copy (json_array_get_element (names, i)));
          names = json_node_get_array (value);
          for (guint i = 0; i < json_array_get_length (names); i++)
            json_array_add_element (list, json_node_copy (json_array_get_element (names, i)));
          json_object_set_array_member (schema, key, list);
        }
      else
        json_object_set_member (schema, key, json_node_copy (value));
    }
}

JsonNode *
atl_schema_with_siblings (AtlSchemaConverter *c, JsonObject *schema, JsonNode *alternative)
{
  static const char *const words[] = { "properties",
                                       "required",
                                       "additionalProperties",
                                       "items",
                                       "prefixItems",
                                       "minItems",
                                       "maxItems",
                                       "minLength",
                                       "maxLength",
                                       "pattern",
                                       "format",
                                       "minimum",
                                       "maximum",
                                       "exclusiveMinimum",
                                       "exclusiveMaximum",
                                       "multipleOf",
                                       "uniqueItems",
                                       "minProperties",
                                       "maxProperties",
                                       "patternProperties",
                                       "propertyNames",
                                       "allOf",
                                       NULL };
  gboolean is_true = JSON_NODE_HOLDS_VALUE (alternative) && json_node_get_boolean (alternative);
  JsonObject *own =
      JSON_NODE_HOLDS_OBJECT (alternative) ? json_node_get_object (alternative) : NULL;
  const char *ref = own != NULL ? atl_json_string (own, "$ref", NULL) : NULL;
  gboolean typed = json_object_has_member (schema, "type") && ref == NULL && own != NULL &&
                   !json_object_has_member (own, "type");
  JsonObject *merged;
  JsonNode *node;

  if ((own == NULL && !is_true) || (!atl_schema_has_any (schema, words) && !typed))
    return NULL;
  if (ref != NULL)
    {
      node = ref[0] == '#' ? atl_schema_resolve (c, ref) : NULL;
      own = node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      if (own == NULL)
        return NULL;
    }
  merged = atl_schema_copy (schema);
  json_object_remove_member (merged, "anyOf");
  json_object_remove_member (merged, "oneOf");
  if (own != NULL)
    atl_schema_merge (merged, own);
  node = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (node, merged);
  return node;
}

/* --- allOf --- */

JsonObject *
atl_schema_part (AtlSchemaConverter *c, JsonNode *node)
{
  for (guint i = 0; i < 10 && node != NULL && JSON_NODE_HOLDS_OBJECT (node); i++)
    {
      JsonObject *object = json_node_get_object (node);
      const char *ref = atl_json_string (object, "$ref", NULL);

      if (ref == NULL)
        return object;
      node = ref[0] == '#' ? atl_schema_resolve (c, ref) : NULL;
    }
  atl_schema_fail (c, ATL_ERROR_INVALID, _ ("a part of allOf is no schema"));
  return NULL;
}

void
atl_schema_flatten (AtlSchemaConverter *c, JsonNode *node, guint depth, GPtrArray *parts)
{
  JsonObject *part = atl_schema_part (c, node);
  JsonArray *inner = part != NULL ? atl_json_array (part, "allOf") : NULL;

  if (part == NULL || c->error != NULL)
    return;
  if (depth > MAX_ALL_OF_DEPTH || parts->len >= MAX_ALL_OF)
    {
      atl_schema_fail (c, ATL_ERROR_TOO_COMPLEX, _ ("it is nested too deeply"));
      return;
    }
  g_ptr_array_add (parts, part);
  for (guint i = 0; inner != NULL && i < json_array_get_length (inner); i++)
    atl_schema_flatten (c, json_array_get_element (inner, i), depth + 1, parts);
}
