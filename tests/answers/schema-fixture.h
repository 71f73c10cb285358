/* For tests of answers: random schemas and tools, and whether a value is what its schema says. */
#pragma once

#include "base/json-bounded.h"
#include "engine/answers/tool-set.h"

/* --- Random schemas --- */

static inline JsonObject *
random_schema (GRand *rand, guint depth)
{
  static const char *const types[] = { "string", "integer", "number", "boolean", "null" };
  JsonObject *schema = json_object_new ();
  guint kind = (guint) g_rand_int_range (rand, 0, depth > 0 ? 11 : 8);

  if (kind < 5)
    json_object_set_string_member (schema, "type", types[kind]);
  if (kind == 1 && g_rand_boolean (rand))
    {
      json_object_set_int_member (schema, "minimum", g_rand_int_range (rand, -50, 0));
      json_object_set_int_member (schema, "maximum", g_rand_int_range (rand, 0, 5000));
    }
  if (kind == 0 && g_rand_boolean (rand))
    {
      static const char *const patterns[] = { "^[A-Z]{2}-\\d{3}$", "b.*[^a-z<]{2}",
                                              "^(a|bc)+\\.\"?$",   "^[^\"\\n]{1,4} \\\\x?$",
                                              "\\w\\S?$",          "^(?:<b>|é[ä-ü]*)z{0,2}$",
                                              "^$|^no \\W{2}" };
      guint which = (guint) g_rand_int_range (rand, 0, G_N_ELEMENTS (patterns) + 1);

      if (which < G_N_ELEMENTS (patterns))
        json_object_set_string_member (schema, "pattern", patterns[which]);
      else
        json_object_set_string_member (schema, "format", "date");
    }
  else if (kind == 0 && g_rand_boolean (rand))
    {
      json_object_set_int_member (schema, "minLength", 2);
      json_object_set_int_member (schema, "maxLength", g_rand_int_range (rand, 2, 9));
    }
  if (kind == 5 || kind == 6)
    {
      JsonArray *values = json_array_new ();

      json_array_add_string_element (values, "red \"one\"");
      json_array_add_string_element (values, "grün");
      if (kind == 6)
        json_array_add_int_element (values, 7);
      json_object_set_array_member (schema, "enum", values);
    }
  if (kind == 8)
    {
      json_object_set_string_member (schema, "type", "array");
      json_object_set_object_member (schema, "items", random_schema (rand, depth - 1));
      json_object_set_int_member (schema, "minItems", g_rand_int_range (rand, 0, 3));
    }
  if (kind >= 9)
    {
      JsonObject *properties = json_object_new ();
      JsonArray *required = json_array_new ();
      guint n = (guint) g_rand_int_range (rand, 0, 5);

      for (guint i = 0; i < n; i++)
        {
          /* Names that are no words, too. */
          static const char *const odd[] = { "größe", "a b", "-x.y", "7" };
          g_autofree char *key = g_rand_int_range (rand, 0, 5) == 0
                                     ? g_strdup (odd[i % G_N_ELEMENTS (odd)])
                                     : g_strdup_printf ("key_%u", i);

          json_object_set_object_member (properties, key, random_schema (rand, depth - 1));
          if (g_rand_boolean (rand))
            json_array_add_string_element (required, key);
        }
      json_object_set_string_member (schema, "type", "object");
      json_object_set_object_member (schema, "properties", properties);
      json_object_set_array_member (schema, "required", required);
    }
  return schema;
}

static inline JsonObject *
random_object_schema (GRand *rand)
{
  for (;;)
    {
      JsonObject *schema = random_schema (rand, 3);

      if (json_object_has_member (schema, "properties"))
        return schema;
      json_object_unref (schema);
    }
}

/* --- Whether a value is what its schema says --- */

static inline gboolean conforms (JsonNode *value, JsonObject *schema);

static inline gboolean
conforms_object (JsonObject *object, JsonObject *schema)
{
  JsonArray *required = atl_json_array (schema, "required");
  JsonObject *properties = atl_json_object (schema, "properties");
  JsonObjectIter iter;
  const char *key;
  JsonNode *member;

  for (guint i = 0; required != NULL && i < json_array_get_length (required); i++)
    if (!json_object_has_member (object, json_array_get_string_element (required, i)))
      return FALSE;
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &key, &member))
    if (properties != NULL && (!json_object_has_member (properties, key) ||
                               !conforms (member, json_object_get_object_member (properties, key))))
      return FALSE;
  return TRUE;
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
conforms (JsonNode *value, JsonObject *schema)
{
  const char *type = atl_json_string (schema, "type", "");
  GType of = JSON_NODE_HOLDS_VALUE (value) ? json_node_get_value_type (value) : G_TYPE_INVALID;

  if (json_object_has_member (schema, "enum"))
    return is_listed (value, json_object_get_array_member (schema, "enum"));
  if (g_str_equal (type, "object"))
    return JSON_NODE_HOLDS_OBJECT (value) && conforms_object (json_node_get_object (value), schema);
  if (g_str_equal (type, "array"))
    {
      JsonArray *array = JSON_NODE_HOLDS_ARRAY (value) ? json_node_get_array (value) : NULL;

      if (array == NULL ||
          (gint64) json_array_get_length (array) < atl_json_int (schema, "minItems", 0))
        return FALSE;
      for (guint i = 0; i < json_array_get_length (array); i++)
        if (!conforms (json_array_get_element (array, i),
                       json_object_get_object_member (schema, "items")))
          return FALSE;
      return TRUE;
    }
  if (g_str_equal (type, "string"))
    {
      glong n = of == G_TYPE_STRING ? g_utf8_strlen (json_node_get_string (value), -1) : -1;
      const char *pattern = atl_json_string (schema, "pattern", NULL);

      if (json_object_has_member (schema, "format"))
        pattern = "^[0-9]{4}-[01][0-9]-[0-3][0-9]$";
      /* What no grammar expresses, here anchors inside and a value with the first character of a
       * closing mark, is not kept to. */
      if (pattern != NULL && n >= 0 && strstr (pattern, "|^") == NULL &&
          strstr (pattern, "<b>") == NULL &&
          !g_regex_match_simple (pattern, json_node_get_string (value), G_REGEX_DOLLAR_ENDONLY, 0))
        return FALSE;
      return n >= atl_json_int (schema, "minLength", 0) &&
             n <= atl_json_int (schema, "maxLength", G_MAXINT);
    }
  if (g_str_equal (type, "integer"))
    return of == G_TYPE_INT64 &&
           json_node_get_int (value) >= atl_json_int (schema, "minimum", G_MININT64) &&
           json_node_get_int (value) <= atl_json_int (schema, "maximum", G_MAXINT64);
  if (g_str_equal (type, "number"))
    return of == G_TYPE_INT64 || of == G_TYPE_DOUBLE;
  if (g_str_equal (type, "boolean"))
    return of == G_TYPE_BOOLEAN;
  if (g_str_equal (type, "null"))
    return JSON_NODE_HOLDS_NULL (value);
  return TRUE;
}

/* One to three tools, tool_0 and so on. */
static inline JsonArray *
random_tools (GRand *rand)
{
  JsonArray *array = json_array_new ();
  guint n = (guint) g_rand_int_range (rand, 1, 4);

  for (guint i = 0; i < n; i++)
    {
      JsonObject *tool = json_object_new ();
      g_autofree char *name = g_strdup_printf ("tool_%u", i);

      json_object_set_string_member (tool, "name", name);
      json_object_set_object_member (tool, "parameters", random_object_schema (rand));
      json_array_add_object_element (array, tool);
    }
  return array;
}
