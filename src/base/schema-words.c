/* Words of JSON schemas that no grammar keeps. */
#include "base/schema-words.h"

#include <string.h>

#include "base/json-bounded.h"

#define MAX_DEPTH 60

typedef struct
{
  JsonObject *root;
  GPtrArray *words; /* (element-type utf8) static */
  guint depth;
} Search;

static void look_at (Search *search, JsonNode *node);

static void
add (Search *search, const char *word)
{
  if (!g_ptr_array_find (search->words, word, NULL))
    g_ptr_array_add (search->words, (gpointer) word);
}

/* The schema that a reference of the usual form ("#/$defs/name") means, else the node itself. */
static JsonNode *
follow (const Search *search, JsonNode *node)
{
  static const char *const places[] = { "$defs", "definitions" };
  const char *ref = node != NULL && JSON_NODE_HOLDS_OBJECT (node)
                        ? atl_json_string (json_node_get_object (node), "$ref", NULL)
                        : NULL;

  for (guint i = 0; ref != NULL && i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *prefix = g_strdup_printf ("#/%s/", places[i]);
      JsonObject *place = atl_json_object (search->root, places[i]);

      if (place != NULL && g_str_has_prefix (ref, prefix) &&
          json_object_has_member (place, ref + strlen (prefix)))
        return json_object_get_member (place, ref + strlen (prefix));
    }
  return node;
}

/* That items differ is kept where they are listed, or where there is one at most. */
static gboolean
keeps_unique (const Search *search, JsonObject *schema)
{
  JsonNode *unique = json_object_get_member (schema, "uniqueItems");
  JsonNode *most = json_object_get_member (schema, "maxItems");
  JsonNode *items = follow (search, json_object_get_member (schema, "items"));

  if (unique == NULL || !JSON_NODE_HOLDS_VALUE (unique) || !json_node_get_boolean (unique))
    return TRUE;
  if (most != NULL && JSON_NODE_HOLDS_VALUE (most) && json_node_get_double (most) <= 1)
    return TRUE;
  return !json_object_has_member (schema, "prefixItems") && items != NULL &&
         JSON_NODE_HOLDS_OBJECT (items) &&
         atl_json_array (json_node_get_object (items), "enum") != NULL;
}

static void
look_at_object (Search *search, JsonObject *schema)
{
  static const char *const unkept[] = { "not",
                                        "if",
                                        "contains",
                                        "dependentRequired",
                                        "dependentSchemas",
                                        "dependencies",
                                        "unevaluatedItems" };
  static const char *const lengths[] = { "minLength", "maxLength" };

  for (guint i = 0; i < G_N_ELEMENTS (unkept); i++)
    if (json_object_has_member (schema, unkept[i]))
      add (search, unkept[i]);
  if (!keeps_unique (search, schema))
    add (search, "uniqueItems");
  /* Where both are said, a pattern goes before a length. */
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    if (json_object_has_member (schema, "pattern") && json_object_has_member (schema, lengths[i]))
      add (search, lengths[i]);
}

/* All members of an object or items of an array, each a schema. */
static void
look_at_all (Search *search, JsonNode *node)
{
  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObjectIter iter;
      JsonNode *value;

      json_object_iter_init (&iter, json_node_get_object (node));
      while (json_object_iter_next (&iter, NULL, &value))
        look_at (search, value);
    }
  else if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      for (guint i = 0; i < json_array_get_length (array); i++)
        look_at (search, json_array_get_element (array, i));
    }
}

/* Only places that hold schemas: a property may be named "not", and a value may have that key. */
static void
look_at (Search *search, JsonNode *node)
{
  static const char *const schemas[] = { "items", "additionalItems", "additionalProperties",
                                         "propertyNames" };
  static const char *const lists[] = {
    "properties", "patternProperties", "$defs", "definitions", "anyOf", "oneOf",
    "allOf",      "prefixItems",       "items"
  };
  JsonObject *schema;

  if (!JSON_NODE_HOLDS_OBJECT (node) || search->depth >= MAX_DEPTH)
    return;
  search->depth++;
  schema = json_node_get_object (node);
  look_at_object (search, schema);
  for (guint i = 0; i < G_N_ELEMENTS (schemas); i++)
    if (json_object_has_member (schema, schemas[i]))
      look_at (search, json_object_get_member (schema, schemas[i]));
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      JsonNode *list = json_object_get_member (schema, lists[i]);

      /* "items" is one schema, or in older drafts a list of them. */
      if (list != NULL && (strcmp (lists[i], "items") != 0 || JSON_NODE_HOLDS_ARRAY (list)))
        look_at_all (search, list);
    }
  search->depth--;
}

static int
compare_words (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char *
atl_schema_words_unkept (JsonNode *schema)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  Search search = { .words = words };

  g_return_val_if_fail (schema != NULL, NULL);
  if (!JSON_NODE_HOLDS_OBJECT (schema))
    return NULL;
  search.root = json_node_get_object (schema);
  look_at (&search, schema);
  if (words->len == 0)
    return NULL;
  g_ptr_array_sort (words, compare_words);
  g_ptr_array_add (words, NULL);
  return g_strjoinv (", ", (char **) words->pdata);
}
