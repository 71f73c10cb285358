/* Recipes as JSON: the dictionary's members under their names, and back with the types that they
 * have in a dictionary. */
#define G_LOG_DOMAIN "atl-media"

#include <math.h>
#include <string.h>

#include "atelier-config.h"
#include "media/recipe-private.h"

/* Raised when a member changes meaning. */
#define RECIPE_VERSION 1
#define MAX_DEPTH 16u

/* Members that are the engine's, with their types, whatever a hand-written file has. */
static const struct
{
  const char *key, *type;
} members[] = {
  { "prompt", "s" },        { "negative_prompt", "s" }, { "width", "u" },
  { "height", "u" },        { "steps", "u" },           { "seed", "u" },
  { "guidance", "d" },      { "strength", "d" },        { "sampler", "s" },
  { "schedule", "s" },      { "scheduler", "s" },       { "clip_skip", "u" },
  { "model", "s" },         { "model-hash", "s" },      { "source", "s" },
  { "loras", "aa{sv}" },    { "other", "a{ss}" },       { "faster", "u" },
  { "faster_method", "s" },
};

/* Python writes NaN and Infinity, which are no JSON, where a node of a graph is not sure. */
JsonNode *
atl_recipe_parse (const char *text)
{
  static const char *const words[] = { "-Infinity", "Infinity", "NaN" };
  gsize size = strlen (text);
  g_autoptr (GString) plain = NULL;
  gboolean in_text = FALSE;
  JsonNode *node;

  if (size > ATL_PICTURE_MAX_TEXT || *text == '\0')
    return NULL;
  plain = g_string_sized_new (size);
  for (const char *p = text; *p != '\0'; p++)
    {
      gboolean replaced = FALSE;

      for (gsize i = 0; !in_text && !replaced && i < G_N_ELEMENTS (words); i++)
        if (*p == *words[i] && g_str_has_prefix (p, words[i]))
          {
            g_string_append (plain, "null");
            p += strlen (words[i]) - 1;
            replaced = TRUE;
          }
      if (replaced)
        continue;
      if (*p == '"')
        in_text = !in_text;
      g_string_append_c (plain, *p);
      if (in_text && *p == '\\' && p[1] != '\0')
        g_string_append_c (plain, *++p);
    }
  node = atl_json_parse (plain->str, plain->len, "", NULL);
  if (node != NULL && JSON_NODE_HOLDS_OBJECT (node))
    return node;
  g_clear_pointer (&node, json_node_unref);
  return NULL;
}

static JsonNode *to_node (GVariant *value, guint depth);

static gint
by_key (gconstpointer a, gconstpointer b)
{
  g_autoptr (GVariant) x = g_variant_get_child_value (*(GVariant *const *) a, 0);
  g_autoptr (GVariant) y = g_variant_get_child_value (*(GVariant *const *) b, 0);

  return strcmp (g_variant_get_string (x, NULL), g_variant_get_string (y, NULL));
}

/* Sorted: the same recipe gives the same text, whatever the order of the dictionary. */
static JsonNode *
object_node (GVariant *dict, guint depth)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);

  for (gsize i = 0; i < g_variant_n_children (dict); i++)
    g_ptr_array_add (entries, g_variant_get_child_value (dict, i));
  g_ptr_array_sort (entries, by_key);
  for (guint i = 0; i < entries->len; i++)
    {
      g_autoptr (GVariant) key = g_variant_get_child_value (entries->pdata[i], 0);
      g_autoptr (GVariant) value = g_variant_get_child_value (entries->pdata[i], 1);
      JsonNode *node = to_node (value, depth + 1);

      if (node != NULL)
        json_object_set_member (object, g_variant_get_string (key, NULL), node);
    }
  return json_node_init_object (json_node_alloc (), object);
}

static JsonNode *
array_node (GVariant *list, guint depth)
{
  g_autoptr (JsonArray) array = json_array_new ();

  for (gsize i = 0; i < g_variant_n_children (list); i++)
    {
      g_autoptr (GVariant) value = g_variant_get_child_value (list, i);
      JsonNode *node = to_node (value, depth + 1);

      if (node != NULL)
        json_array_add_element (array, node);
    }
  return json_node_init_array (json_node_alloc (), array);
}

/* NULL for what JSON cannot say. */
static JsonNode *
to_node (GVariant *value, guint depth)
{
  JsonNode *node;

  if (depth > MAX_DEPTH)
    return NULL;
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_VARIANT))
    {
      g_autoptr (GVariant) inner = g_variant_get_variant (value);

      return to_node (inner, depth + 1);
    }
  if (g_variant_is_of_type (value, G_VARIANT_TYPE ("a{s*}")))
    return object_node (value, depth);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_ARRAY))
    return array_node (value, depth);
  node = json_node_alloc ();
  switch (g_variant_classify (value))
    {
    case G_VARIANT_CLASS_STRING:
      return json_node_init_string (node, g_variant_get_string (value, NULL));
    case G_VARIANT_CLASS_BOOLEAN:
      return json_node_init_boolean (node, g_variant_get_boolean (value));
    case G_VARIANT_CLASS_UINT32:
      return json_node_init_int (node, g_variant_get_uint32 (value));
    case G_VARIANT_CLASS_INT32:
      return json_node_init_int (node, g_variant_get_int32 (value));
    case G_VARIANT_CLASS_INT64:
      return json_node_init_int (node, g_variant_get_int64 (value));
    case G_VARIANT_CLASS_UINT64:
      if (g_variant_get_uint64 (value) <= G_MAXINT64)
        return json_node_init_int (node, (gint64) g_variant_get_uint64 (value));
      break;
    case G_VARIANT_CLASS_DOUBLE:
      if (isfinite (g_variant_get_double (value)))
        return json_node_init_double (node, g_variant_get_double (value));
      break;
    default:
      break;
    }
  json_node_free (node);
  return NULL;
}

char *
atl_recipe_to_json (GVariant *recipe)
{
  g_autoptr (JsonNode) node = NULL;
  JsonObject *object;
  char *json;

  g_return_val_if_fail (g_variant_is_of_type (recipe, G_VARIANT_TYPE_VARDICT), NULL);
  node = to_node (recipe, 0);
  object = json_node_get_object (node);
  json_object_set_int_member (object, ATL_RECIPE_MARK, RECIPE_VERSION);
  json_object_set_string_member (object, "version", ATL_VERSION);
  json = atl_json_write (node);
  return json != NULL ? json : g_strdup ("{}");
}

static GVariant *from_node (JsonNode *node, const char *type, guint depth);

static GVariant *
from_object (JsonObject *object, gboolean is_top, guint depth)
{
  GVariantDict dict;
  JsonObjectIter iter;
  const char *key;
  JsonNode *node;

  g_variant_dict_init (&dict, NULL);
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &key, &node))
    {
      const char *type = NULL;
      GVariant *value;

      if (is_top && (g_str_equal (key, ATL_RECIPE_MARK) || g_str_equal (key, "version")))
        continue;
      for (gsize i = 0; is_top && type == NULL && i < G_N_ELEMENTS (members); i++)
        if (g_str_equal (key, members[i].key))
          type = members[i].type;
      /* Of a LoRA. */
      if (!is_top && g_str_equal (key, "weight"))
        type = "d";
      value = from_node (node, type, depth + 1);
      if (value != NULL)
        g_variant_dict_insert_value (&dict, key, value);
    }
  return g_variant_dict_end (&dict);
}

static GVariant *
from_texts (JsonObject *object)
{
  GVariantBuilder builder;
  JsonObjectIter iter;
  const char *key;
  JsonNode *node;
  guint n = 0;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &key, &node) && n < ATL_RECIPE_MAX_OTHER)
    if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
      {
        g_variant_builder_add (&builder, "{ss}", key, json_node_get_string (node));
        n++;
      }
  return g_variant_builder_end (&builder);
}

static GVariant *
from_array (JsonArray *array, guint depth)
{
  guint n = json_array_get_length (array);
  gboolean all_objects = n > 0, all_texts = n > 0;
  GVariantBuilder builder;

  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = json_array_get_element (array, i);

      all_objects = all_objects && JSON_NODE_HOLDS_OBJECT (node);
      all_texts = all_texts && JSON_NODE_HOLDS_VALUE (node) &&
                  json_node_get_value_type (node) == G_TYPE_STRING;
    }
  g_variant_builder_init (&builder, all_objects ? G_VARIANT_TYPE ("aa{sv}")
                                    : all_texts ? G_VARIANT_TYPE_STRING_ARRAY
                                                : G_VARIANT_TYPE ("av"));
  for (guint i = 0; i < n; i++)
    {
      GVariant *value = from_node (json_array_get_element (array, i), NULL, depth + 1);

      if (value == NULL)
        continue;
      if (all_objects || all_texts)
        g_variant_builder_add_value (&builder, value);
      else
        g_variant_builder_add (&builder, "v", value);
    }
  return g_variant_builder_end (&builder);
}

/* A number as `type` wants it ("u", "d"), else as JSON has it. */
static GVariant *
from_number (double number, gint64 whole, gboolean is_whole, const char *type)
{
  if (g_strcmp0 (type, "d") == 0)
    return g_variant_new_double (number);
  if (type != NULL && !is_whole && number >= 0 && number <= G_MAXUINT32)
    return g_variant_new_uint32 ((guint32) number);
  if (!is_whole)
    return type == NULL ? g_variant_new_double (number) : NULL;
  if (whole >= 0 && whole <= G_MAXUINT32)
    return g_variant_new_uint32 ((guint32) whole);
  return type == NULL ? g_variant_new_int64 (whole) : NULL;
}

/* NULL for what a dictionary cannot hold, or is not of `type` (nullable: any). Floating. */
static GVariant *
from_node (JsonNode *node, const char *type, guint depth)
{
  GVariant *value = NULL;
  GType kind;

  if (depth > MAX_DEPTH)
    return NULL;
  if (JSON_NODE_HOLDS_OBJECT (node))
    value = g_strcmp0 (type, "a{ss}") == 0
                ? from_texts (json_node_get_object (node))
                : from_object (json_node_get_object (node), FALSE, depth);
  else if (JSON_NODE_HOLDS_ARRAY (node))
    value = from_array (json_node_get_array (node), depth);
  else if (JSON_NODE_HOLDS_VALUE (node))
    {
      kind = json_node_get_value_type (node);
      if (kind == G_TYPE_STRING)
        value = g_variant_new_string (json_node_get_string (node));
      else if (kind == G_TYPE_BOOLEAN)
        value = g_variant_new_boolean (json_node_get_boolean (node));
      else if (kind == G_TYPE_INT64)
        value =
            from_number ((double) json_node_get_int (node), json_node_get_int (node), TRUE, type);
      else if (isfinite (json_node_get_double (node)))
        value = from_number (json_node_get_double (node), 0, FALSE, type);
    }
  if (value != NULL && type != NULL && !g_variant_is_of_type (value, G_VARIANT_TYPE (type)))
    {
      g_variant_unref (g_variant_ref_sink (value));
      return NULL;
    }
  return value;
}

GVariant *
atl_recipe_from_json (const char *json)
{
  g_autoptr (JsonNode) node = atl_recipe_parse (json);

  return node != NULL ? g_variant_ref_sink (from_object (json_node_get_object (node), TRUE, 0))
                      : NULL;
}
