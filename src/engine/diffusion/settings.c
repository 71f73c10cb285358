/* Values by name. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/settings.h"

#include <math.h>

struct _AtlSettings
{
  GHashTable *values; /* (owned) char* -> GVariant* */
};

AtlSettings *
atl_settings_new (void)
{
  AtlSettings *self = g_new0 (AtlSettings, 1);

  self->values =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
  return self;
}

AtlSettings *
atl_settings_copy (const AtlSettings *self)
{
  AtlSettings *copy = atl_settings_new ();
  GHashTableIter iter;
  gpointer name, value;

  g_hash_table_iter_init (&iter, self->values);
  while (g_hash_table_iter_next (&iter, &name, &value))
    atl_settings_set (copy, name, value);
  return copy;
}

void
atl_settings_free (AtlSettings *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->values);
  g_free (self);
}

void
atl_settings_set (AtlSettings *self, const char *name, GVariant *value)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (value);

  while (g_variant_is_of_type (owned, G_VARIANT_TYPE_VARIANT) ||
         g_variant_is_of_type (owned, G_VARIANT_TYPE_MAYBE))
    {
      GVariant *inner = g_variant_is_of_type (owned, G_VARIANT_TYPE_MAYBE)
                            ? g_variant_get_maybe (owned)
                            : g_variant_get_variant (owned);

      if (inner == NULL)
        {
          g_hash_table_remove (self->values, name);
          return;
        }
      g_variant_unref (owned);
      owned = inner;
    }
  g_hash_table_replace (self->values, g_strdup (name), g_steal_pointer (&owned));
}

void
atl_settings_set_string (AtlSettings *self, const char *name, const char *value)
{
  atl_settings_set (self, name, g_variant_new_string (value));
}

void
atl_settings_set_number (AtlSettings *self, const char *name, double value)
{
  atl_settings_set (self, name, g_variant_new_double (value));
}

void
atl_settings_add_dict (AtlSettings *self, GVariant *dict)
{
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, dict);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value))
    {
      atl_settings_set (self, name, value);
      g_variant_unref (value);
    }
}

void
atl_settings_add_json (AtlSettings *self, JsonObject *object)
{
  g_autoptr (GList) members = object != NULL ? json_object_get_members (object) : NULL;

  for (GList *l = members; l != NULL; l = l->next)
    {
      GVariant *value =
          json_gvariant_deserialize (json_object_get_member (object, l->data), NULL, NULL);

      if (value != NULL)
        atl_settings_set (self, l->data, value);
    }
}

static GVariant *
find (const AtlSettings *self, const char *name)
{
  return g_hash_table_lookup (self->values, name);
}

gboolean
atl_settings_has (const AtlSettings *self, const char *name)
{
  return find (self, name) != NULL;
}

const char *
atl_settings_string (const AtlSettings *self, const char *name, const char *fallback)
{
  GVariant *value = find (self, name);

  return value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)
             ? g_variant_get_string (value, NULL)
             : fallback;
}

/* NAN when it is no number. */
static double
to_number (GVariant *value)
{
  switch (g_variant_classify (value))
    {
    case G_VARIANT_CLASS_BOOLEAN:
      return g_variant_get_boolean (value);
    case G_VARIANT_CLASS_BYTE:
      return g_variant_get_byte (value);
    case G_VARIANT_CLASS_INT16:
      return g_variant_get_int16 (value);
    case G_VARIANT_CLASS_UINT16:
      return g_variant_get_uint16 (value);
    case G_VARIANT_CLASS_INT32:
      return g_variant_get_int32 (value);
    case G_VARIANT_CLASS_UINT32:
      return g_variant_get_uint32 (value);
    case G_VARIANT_CLASS_INT64:
      return (double) g_variant_get_int64 (value);
    case G_VARIANT_CLASS_UINT64:
      return (double) g_variant_get_uint64 (value);
    case G_VARIANT_CLASS_DOUBLE:
      return g_variant_get_double (value);
    case G_VARIANT_CLASS_VARIANT:
      {
        g_autoptr (GVariant) inner = g_variant_get_variant (value);
        return g_variant_is_of_type (inner, G_VARIANT_TYPE_VARIANT) ? NAN : to_number (inner);
      }
    default:
      return NAN;
    }
}

double
atl_settings_number (const AtlSettings *self, const char *name, double fallback)
{
  GVariant *value = find (self, name);
  double number = value != NULL ? to_number (value) : NAN;

  return isfinite (number) ? number : fallback;
}

double *
atl_settings_numbers (const AtlSettings *self, const char *name, guint *n)
{
  GVariant *value = find (self, name);
  g_autofree double *list = NULL;
  gsize count;

  *n = 0;
  if (value == NULL || !g_variant_is_of_type (value, G_VARIANT_TYPE_ARRAY))
    return NULL;
  count = g_variant_n_children (value);
  if (count == 0 || count > G_MAXUINT16)
    return NULL;
  list = g_new (double, count);
  for (gsize i = 0; i < count; i++)
    {
      g_autoptr (GVariant) child = g_variant_get_child_value (value, i);

      list[i] = to_number (child);
      if (!isfinite (list[i]))
        return NULL;
    }
  *n = (guint) count;
  return g_steal_pointer (&list);
}

JsonObject *
atl_settings_object (const AtlSettings *self, const char *name)
{
  GVariant *value = find (self, name);
  g_autoptr (JsonNode) node = NULL;

  if (value == NULL || !g_variant_is_of_type (value, G_VARIANT_TYPE_VARDICT))
    return NULL;
  node = json_gvariant_serialize (value);
  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_dup_object (node) : NULL;
}

char *
atl_settings_to_key (const AtlSettings *self)
{
  g_autoptr (GList) names = g_hash_table_get_keys (self->values);
  GString *key = g_string_new (NULL);

  names = g_list_sort (names, (GCompareFunc) g_strcmp0);
  for (GList *l = names; l != NULL; l = l->next)
    {
      g_autofree char *value = g_variant_print (g_hash_table_lookup (self->values, l->data), FALSE);

      g_string_append_printf (key, "%s=%s\n", (const char *) l->data, value);
    }
  return g_string_free (key, FALSE);
}
