/* For tests of answers: whether a value is what its schema says, by rules of its own. */
#pragma once

#include <math.h>

#include "base/json-bounded.h"

static inline gboolean conforms (JsonNode *value, JsonObject *schema);

static inline gboolean
conforms_node (JsonNode *value, JsonNode *schema)
{
  return JSON_NODE_HOLDS_OBJECT (schema) ? conforms (value, json_node_get_object (schema))
                                         : json_node_get_boolean (schema);
}

static inline gboolean
matches (const char *pattern, const char *text)
{
  return g_regex_match_simple (pattern, text, G_REGEX_DOLLAR_ENDONLY, 0);
}

/* A member by its name, by a pattern, or as what else there may be. */
static inline gboolean
conforms_member (const char *key, JsonNode *member, JsonObject *schema)
{
  JsonObject *properties = atl_json_object (schema, "properties");
  JsonObject *patterns = atl_json_object (schema, "patternProperties");
  JsonNode *others = json_object_get_member (schema, "additionalProperties");
  JsonObject *names = atl_json_object (schema, "propertyNames");
  g_autoptr (JsonNode) name = json_node_init_string (json_node_alloc (), key);
  gboolean is_known = FALSE;
  JsonObjectIter iter;
  const char *pattern;
  JsonNode *wanted;

  if (names != NULL && !conforms (name, names))
    return FALSE;
  if (properties != NULL && json_object_has_member (properties, key))
    {
      if (!conforms_node (member, json_object_get_member (properties, key)))
        return FALSE;
      is_known = TRUE;
    }
  if (patterns != NULL)
    {
      json_object_iter_init (&iter, patterns);
      while (json_object_iter_next (&iter, &pattern, &wanted))
        if (matches (pattern, key))
          {
            if (!conforms_node (member, wanted))
              return FALSE;
            is_known = TRUE;
          }
    }
  /* Properties that nobody spoke of come only where the schema speaks of others. */
  return is_known || (others != NULL ? conforms_node (member, others) : properties == NULL);
}

static inline gboolean
conforms_object (JsonObject *object, JsonObject *schema)
{
  JsonArray *required = atl_json_array (schema, "required");
  gint64 n = json_object_get_size (object);
  JsonObjectIter iter;
  const char *key;
  JsonNode *member;

  for (guint i = 0; required != NULL && i < json_array_get_length (required); i++)
    if (!json_object_has_member (object, json_array_get_string_element (required, i)))
      return FALSE;
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &key, &member))
    if (!conforms_member (key, member, schema))
      return FALSE;
  return n >= atl_json_int (schema, "minProperties", 0) &&
         n <= atl_json_int (schema, "maxProperties", G_MAXINT);
}

static inline gboolean
is_listed (JsonNode *value, JsonArray *values)
{
  for (guint i = 0; i < json_array_get_length (values); i++)
    if (json_node_equal (value, json_array_get_element (values, i)))
      return TRUE;
  return FALSE;
}

static inline gboolean
conforms_array (JsonArray *array, JsonObject *schema)
{
  JsonArray *first = atl_json_array (schema, "prefixItems");
  JsonNode *items = json_object_get_member (schema, "items");
  gint64 n = json_array_get_length (array);

  for (guint i = 0; i < n; i++)
    {
      JsonNode *item = json_array_get_element (array, i);
      JsonNode *wanted = first != NULL && i < json_array_get_length (first)
                             ? json_array_get_element (first, i)
                             : items;

      if (wanted != NULL && !conforms_node (item, wanted))
        return FALSE;
      for (guint k = 0; k < i && atl_json_bool (schema, "uniqueItems", FALSE); k++)
        if (json_node_equal (item, json_array_get_element (array, k)))
          return FALSE;
    }
  return n >= atl_json_int (schema, "minItems", 0) &&
         n <= atl_json_int (schema, "maxItems", G_MAXINT);
}

static inline gboolean
conforms_string (const char *text, JsonObject *schema)
{
  const char *pattern = atl_json_string (schema, "pattern", NULL);
  glong n = g_utf8_strlen (text, -1);

  if (json_object_has_member (schema, "format"))
    pattern = "^[0-9]{4}-[01][0-9]-[0-3][0-9]$";
  /* What no grammar expresses, here anchors inside and a value with the first character of a
   * closing mark, is not kept to. */
  if (pattern != NULL && strstr (pattern, "|^") == NULL && strstr (pattern, "<b>") == NULL &&
      !matches (pattern, text))
    return FALSE;
  return n >= atl_json_int (schema, "minLength", 0) &&
         n <= atl_json_int (schema, "maxLength", G_MAXINT);
}

static inline gboolean
conforms_number (double value, JsonObject *schema)
{
  double step = atl_json_double (schema, "multipleOf", 0);

  return value >= atl_json_double (schema, "minimum", -INFINITY) &&
         value <= atl_json_double (schema, "maximum", INFINITY) &&
         value > atl_json_double (schema, "exclusiveMinimum", -INFINITY) &&
         value < atl_json_double (schema, "exclusiveMaximum", INFINITY) &&
         (step == 0 || fabs (value / step - round (value / step)) < 1e-6 * MAX (1, fabs (value)));
}

static inline gboolean
is_of_type (JsonNode *value, const char *type)
{
  GType of = JSON_NODE_HOLDS_VALUE (value) ? json_node_get_value_type (value) : G_TYPE_INVALID;

  return g_str_equal (type, "object")    ? JSON_NODE_HOLDS_OBJECT (value)
         : g_str_equal (type, "array")   ? JSON_NODE_HOLDS_ARRAY (value)
         : g_str_equal (type, "null")    ? JSON_NODE_HOLDS_NULL (value)
         : g_str_equal (type, "string")  ? of == G_TYPE_STRING
         : g_str_equal (type, "boolean") ? of == G_TYPE_BOOLEAN
         : g_str_equal (type, "integer") ? of == G_TYPE_INT64
                                         : of == G_TYPE_INT64 || of == G_TYPE_DOUBLE;
}

static inline gboolean
conforms_type (JsonNode *value, JsonObject *schema)
{
  JsonNode *type = json_object_get_member (schema, "type");
  JsonArray *types =
      type != NULL && JSON_NODE_HOLDS_ARRAY (type) ? json_node_get_array (type) : NULL;

  for (guint i = 0; types != NULL && i < json_array_get_length (types); i++)
    if (is_of_type (value, json_array_get_string_element (types, i)))
      return TRUE;
  return type == NULL || (types == NULL && is_of_type (value, json_node_get_string (type)));
}

static inline gboolean
conforms (JsonNode *value, JsonObject *schema)
{
  JsonArray *either = atl_json_array (schema, "anyOf"), *all = atl_json_array (schema, "allOf");
  gboolean is_any = either == NULL;

  for (guint i = 0; either != NULL && i < json_array_get_length (either); i++)
    is_any |= conforms (value, json_array_get_object_element (either, i));
  if (!is_any || !conforms_type (value, schema))
    return FALSE;
  /* Each is about some of the properties. */
  if (all != NULL)
    {
      for (guint i = 0; i < json_array_get_length (all); i++)
        {
          g_autoptr (JsonNode) node = json_node_copy (json_array_get_element (all, i));

          json_object_set_boolean_member (json_node_get_object (node), "additionalProperties",
                                          TRUE);
          if (!conforms_node (value, node))
            return FALSE;
        }
      return TRUE;
    }
  if (json_object_has_member (schema, "const"))
    return json_node_equal (value, json_object_get_member (schema, "const"));
  if (json_object_has_member (schema, "enum"))
    return is_listed (value, json_object_get_array_member (schema, "enum"));
  if (JSON_NODE_HOLDS_OBJECT (value))
    return conforms_object (json_node_get_object (value), schema);
  if (JSON_NODE_HOLDS_ARRAY (value))
    return conforms_array (json_node_get_array (value), schema);
  if (is_of_type (value, "string"))
    return conforms_string (json_node_get_string (value), schema);
  return !is_of_type (value, "number") || conforms_number (json_node_get_double (value), schema);
}
