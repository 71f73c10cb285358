/* For tests of answers: random schemas and tools. */
#pragma once

#include "engine/answers/tool-set.h"

static inline JsonObject *random_schema (GRand *rand, guint depth);

static inline JsonObject *
parsed_schema (const char *text)
{
  g_autoptr (JsonNode) node = json_from_string (text, NULL);

  return json_node_dup_object (node);
}

/* Words that grammars keep to, each by itself and some together. */
static inline JsonObject *
random_worded_schema (GRand *rand, guint depth)
{
  static const char *const schemas[] = {
    "{\"type\": \"integer\", \"multipleOf\": 7}",
    "{\"type\": \"integer\", \"multipleOf\": 60, \"minimum\": -100}",
    "{\"type\": \"integer\", \"multipleOf\": 12, \"exclusiveMinimum\": 0, \"maximum\": 500}",
    "{\"type\": \"number\", \"multipleOf\": 0.25, \"maximum\": 9}",
    "{\"type\": \"number\", \"multipleOf\": 0.01, \"minimum\": 0.5, \"exclusiveMaximum\": 120}",
    "{\"type\": \"number\", \"exclusiveMinimum\": -1.5, \"maximum\": 2.25}",
    "{\"type\": \"number\", \"minimum\": 100}",
    "{\"const\": {\"a\": [1, \"b\", null]}}",
    "{\"type\": [\"string\", \"null\"], \"maxLength\": 3}",
    "{\"type\": [\"integer\", \"boolean\"]}",
    "{\"type\": \"array\", \"uniqueItems\": true, \"minItems\": 2, \"items\": {\"enum\": [1, "
    "\"x\", "
    "null, true]}}",
    "{\"type\": \"array\", \"prefixItems\": [{\"type\": \"integer\"}, {\"type\": \"string\"}], "
    "\"items\": {\"type\": \"null\"}, \"minItems\": 3}",
    "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 2}",
    "{\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 3, \"additionalProperties\": "
    "{\"type\": \"boolean\"}}",
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}, \"ab\": {\"type\": "
    "\"null\"}, \"é/\": {\"type\": \"null\"}}, \"additionalProperties\": {\"type\": \"integer\"}}",
    "{\"type\": \"object\", \"patternProperties\": {\"^n_[0-9]$\": {\"type\": \"integer\"}}, "
    "\"additionalProperties\": false}",
    "{\"type\": \"object\", \"propertyNames\": {\"enum\": [\"x\", \"y z\"]}, "
    "\"additionalProperties\": {\"type\": \"string\", \"maxLength\": 4}}",
    "{\"type\": \"object\", \"allOf\": [{\"required\": [\"p\"], \"properties\": {\"p\": {\"type\": "
    "\"null\"}}}, {\"properties\": {\"q\": {\"type\": \"boolean\"}}}]}",
  };
  guint which = (guint) g_rand_int_range (rand, 0, G_N_ELEMENTS (schemas) + 1);
  JsonArray *either;
  JsonObject *schema;

  if (which < G_N_ELEMENTS (schemas))
    return parsed_schema (schemas[which]);
  either = json_array_new ();
  json_array_add_object_element (either, random_schema (rand, depth > 0 ? depth - 1 : 0));
  json_array_add_object_element (
      either,
      parsed_schema (g_rand_boolean (rand) ? "{\"type\": \"null\"}" : "{\"type\": \"boolean\"}"));
  schema = json_object_new ();
  json_object_set_array_member (schema, "anyOf", either);
  return schema;
}

static inline JsonObject *
random_schema (GRand *rand, guint depth)
{
  static const char *const types[] = { "string", "integer", "number", "boolean", "null" };
  JsonObject *schema;
  guint kind = (guint) g_rand_int_range (rand, 0, depth > 0 ? 11 : 8);

  if (g_rand_int_range (rand, 0, 3) == 0)
    return random_worded_schema (rand, depth);
  schema = json_object_new ();
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

/* Whether the schema has words that only JSON is kept to. */
static inline gboolean
has_words_of_json (JsonNode *schema)
{
  static const char *const words[] = { "uniqueItems", "prefixItems", "patternProperties",
                                       "propertyNames", "allOf" };
  g_autofree char *text = json_to_string (schema, FALSE);

  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (strstr (text, words[i]) != NULL)
      return TRUE;
  return FALSE;
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
