/* Reading dictionaries that the other side of the process boundary wrote: typed, bounded, finite.
 */
#define G_LOG_DOMAIN "atl-protocol"

#include "protocol/protocol.h"

#include <math.h>
#include <string.h>

#define MAX_STRING_BYTES (64u << 10)

GVariant *
atl_dict_lookup (GVariant *dict, const char *key, const char *type)
{
  if (dict == NULL || !g_variant_is_of_type (dict, G_VARIANT_TYPE_VARDICT))
    return NULL;
  return g_variant_lookup_value (dict, key, G_VARIANT_TYPE (type));
}

guint64
atl_dict_uint64 (GVariant *dict, const char *key, guint64 fallback)
{
  g_autoptr (GVariant) value = atl_dict_lookup (dict, key, "t");

  return value != NULL ? g_variant_get_uint64 (value) : fallback;
}

guint
atl_dict_uint (GVariant *dict, const char *key, guint fallback)
{
  g_autoptr (GVariant) value = atl_dict_lookup (dict, key, "u");

  return value != NULL ? g_variant_get_uint32 (value) : fallback;
}

gint
atl_dict_int (GVariant *dict, const char *key, gint fallback)
{
  g_autoptr (GVariant) value = atl_dict_lookup (dict, key, "i");

  return value != NULL ? g_variant_get_int32 (value) : fallback;
}

double
atl_dict_double (GVariant *dict, const char *key, double fallback)
{
  g_autoptr (GVariant) value = atl_dict_lookup (dict, key, "d");

  if (value == NULL || !isfinite (g_variant_get_double (value)))
    return fallback;
  return g_variant_get_double (value);
}

gboolean
atl_dict_bool (GVariant *dict, const char *key, gboolean fallback)
{
  g_autoptr (GVariant) value = atl_dict_lookup (dict, key, "b");

  return value != NULL ? g_variant_get_boolean (value) : fallback;
}

char *
atl_dict_string (GVariant *dict, const char *key, const char *fallback)
{
  g_autoptr (GVariant) value = atl_dict_lookup (dict, key, "s");
  gsize length;
  const char *chars;

  if (value == NULL)
    return g_strdup (fallback);
  /* GVariant guarantees UTF-8: a malformed string reads as empty. */
  chars = g_variant_get_string (value, &length);
  return length <= MAX_STRING_BYTES ? g_strdup (chars) : g_strdup (fallback);
}
