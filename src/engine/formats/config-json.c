/* config.json and its like, flattened into metadata. */
#define G_LOG_DOMAIN "atl-formats"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/formats/format-error.h"
#include "engine/formats/safetensors.h"

/* A parsed number takes some forty times the bytes of its text. */
#define MAX_CONFIG_BYTES (2u << 20)
#define MAX_KEY_BYTES 512

/* The kind of a list's or member's scalar; ATL_META_ARRAY for what is none. JSON has these four. */
static AtlMetaType
scalar_type (JsonNode *node)
{
  if (!JSON_NODE_HOLDS_VALUE (node))
    return ATL_META_ARRAY;
  switch (json_node_get_value_type (node))
    {
    case G_TYPE_BOOLEAN:
      return ATL_META_BOOL;
    case G_TYPE_INT64:
      return ATL_META_INT;
    case G_TYPE_DOUBLE:
      return ATL_META_FLOAT;
    default:
      return ATL_META_STRING;
    }
}

/* The kind that all elements share; whole numbers among others become floats. ATL_META_ARRAY when
 * they share none. */
static AtlMetaType
common_type (JsonArray *array)
{
  AtlMetaType type = ATL_META_STRING;

  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      AtlMetaType next = scalar_type (json_array_get_element (array, i));
      gboolean numbers = (type == ATL_META_INT || type == ATL_META_FLOAT) &&
                         (next == ATL_META_INT || next == ATL_META_FLOAT);

      if (i == 0 || next == type)
        type = next;
      else if (numbers)
        type = ATL_META_FLOAT;
      else
        return ATL_META_ARRAY;
    }
  return type;
}

static gboolean
add_array (AtlCheckpoint *cp, const char *key, JsonArray *array, GError **error)
{
  guint n = json_array_get_length (array);
  AtlMetaValue value = { .type = ATL_META_ARRAY };
  AtlMetaType type = common_type (array);
  g_autofree guint64 *elems = NULL;

  if (type == ATL_META_ARRAY)
    return TRUE;
  /* All kinds of elements fit into eight bytes. */
  elems = g_new0 (guint64, n);
  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = json_array_get_element (array, i);

      switch (type)
        {
        case ATL_META_BOOL:
          ((gboolean *) elems)[i] = json_node_get_boolean (node);
          break;
        case ATL_META_INT:
          ((gint64 *) elems)[i] = json_node_get_int (node);
          break;
        case ATL_META_FLOAT:
          ((double *) elems)[i] = scalar_type (node) == ATL_META_INT
                                      ? (double) json_node_get_int (node)
                                      : json_node_get_double (node);
          break;
        default:
          ((const char **) elems)[i] = json_node_get_string (node);
          break;
        }
    }
  value.v_array.elem_type = type;
  value.v_array.n = n;
  value.v_array.elems = elems;
  return atl_checkpoint_add_meta (cp, key, &value, error);
}

/* Null, or an object of nothing, says “none”, also where leaving the setting out says something
 * else. */
static gboolean
add_null (AtlCheckpoint *cp, const char *key, GError **error)
{
  AtlMetaValue value = { .type = ATL_META_BOOL, .v_bool = TRUE };
  g_autofree char *name = g_strconcat (ATL_CONFIG_NULL, key, NULL);

  return atl_checkpoint_meta (cp, name) != NULL ||
         atl_checkpoint_add_meta (cp, name, &value, error);
}

static gboolean
add_scalar (AtlCheckpoint *cp, const char *key, JsonNode *node, GError **error)
{
  AtlMetaValue value = { .type = scalar_type (node) };

  switch (value.type)
    {
    case ATL_META_BOOL:
      value.v_bool = json_node_get_boolean (node);
      break;
    case ATL_META_INT:
      value.v_int = json_node_get_int (node);
      break;
    case ATL_META_FLOAT:
      value.v_float = json_node_get_double (node);
      break;
    case ATL_META_STRING:
      value.v_string.chars = json_node_get_string (node);
      value.v_string.length = strlen (value.v_string.chars);
      break;
    default:
      return JSON_NODE_HOLDS_NULL (node) ? add_null (cp, key, error) : TRUE;
    }
  return atl_checkpoint_add_meta (cp, key, &value, error);
}

static gboolean add_object (
    AtlCheckpoint *cp, const char *prefix, JsonObject *object, const char *name, GError **error);

/* What is there already, from another file or a member of the same name, stays. */
static gboolean
add_member (AtlCheckpoint *cp, const char *key, JsonNode *node, const char *name, GError **error)
{
  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      g_autofree char *inner = g_strconcat (key, ".", NULL);

      if (json_object_get_size (json_node_get_object (node)) == 0)
        return add_null (cp, key, error);
      return add_object (cp, inner, json_node_get_object (node), name, error);
    }
  if (atl_checkpoint_meta (cp, key) != NULL)
    return TRUE;
  return JSON_NODE_HOLDS_ARRAY (node) ? add_array (cp, key, json_node_get_array (node), error)
                                      : add_scalar (cp, key, node, error);
}

/* Recursion is bounded by the depth that the parser allows. */
static gboolean
add_object (
    AtlCheckpoint *cp, const char *prefix, JsonObject *object, const char *name, GError **error)
{
  JsonObjectIter iter;
  const char *member;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &member, &node))
    {
      g_autofree char *key = g_strconcat (prefix, member, NULL);

      if (member[0] == '\0' || strlen (key) > MAX_KEY_BYTES)
        {
          g_autofree char *shown = atl_format_excerpt (member, strlen (member));
          return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                  _ ("%s: the name of the setting “%s” should have 1 to %d bytes"),
                                  name, shown, MAX_KEY_BYTES);
        }
      if (!add_member (cp, key, node, name, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
atl_config_add_json_under (AtlCheckpoint *cp,
                           const char *prefix,
                           const char *json,
                           gsize size,
                           const char *name,
                           GError **error)
{
  g_autoptr (JsonNode) root = NULL;

  if (size > MAX_CONFIG_BYTES)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s is larger than %u MiB"), name,
                            MAX_CONFIG_BYTES >> 20);
  root = atl_json_parse (json, size, name, error);
  if (root == NULL)
    return FALSE;
  if (!JSON_NODE_HOLDS_OBJECT (root))
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s holds no JSON object"), name);
  return add_object (cp, prefix, json_node_get_object (root), name, error);
}

gboolean
atl_config_add_json (
    AtlCheckpoint *cp, const char *json, gsize size, const char *name, GError **error)
{
  return atl_config_add_json_under (cp, "", json, size, name, error);
}
