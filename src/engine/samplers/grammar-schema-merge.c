/* Schemas put together: an alternative of anyOf or oneOf with what stands beside the list. */
#define G_LOG_DOMAIN "atl-grammar"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/samplers/grammar-schema-private.h"

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

/* Adds what `more` says to `schema`: both lists of required names, all properties, else the last
 * word is `more`'s. */
static void
object_merge (JsonObject *schema, JsonObject *more)
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

          object_merge (both, json_node_get_object (value));
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
    object_merge (merged, own);
  node = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (node, merged);
  return node;
}
