/* Settings to and from the draft on disk. */
#include <math.h>
#include <string.h>

#include "app/images/picture-settings.h"
#include "base/json-bounded.h"

#define MAX_FILES 16u
#define MAX_KNOBS 64u

static void
set_path (JsonObject *object, const char *name, const char *path)
{
  /* A name that is no UTF-8 cannot stand in JSON: that picture has to be chosen again. */
  if (path != NULL && g_utf8_validate (path, -1, NULL))
    json_object_set_string_member (object, name, path);
}

static void
set_mask (JsonObject *object, GBytes *mask)
{
  g_autofree char *text = NULL;

  if (mask == NULL)
    return;
  text = g_base64_encode (g_bytes_get_data (mask, NULL), g_bytes_get_size (mask));
  json_object_set_string_member (object, "mask", text);
}

static JsonArray *
loras_to_json (const GPtrArray *loras)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < loras->len; i++)
    {
      const AtlPictureLora *lora = loras->pdata[i];
      JsonObject *object = json_object_new ();

      set_path (object, "path", lora->path);
      json_object_set_double_member (object, "strength", lora->strength);
      json_object_set_boolean_member (object, "off", lora->is_off);
      json_object_set_int_member (object, "steps", lora->steps);
      json_object_set_int_member (object, "steps_before", lora->steps_before);
      json_object_set_double_member (object, "guidance", lora->guidance);
      json_object_set_double_member (object, "guidance_before", lora->guidance_before);
      if (lora->sampler != NULL)
        {
          json_object_set_string_member (object, "sampler", lora->sampler);
          json_object_set_string_member (object, "sampler_before", lora->sampler_before);
        }
      if (lora->schedule != NULL)
        {
          json_object_set_string_member (object, "schedule", lora->schedule);
          json_object_set_string_member (object, "schedule_before", lora->schedule_before);
        }
      json_array_add_object_element (array, object);
    }
  return array;
}

static JsonObject *
knobs_to_json (GHashTable *knobs)
{
  JsonObject *object = json_object_new ();
  GHashTableIter iter;
  gpointer name, value;

  g_hash_table_iter_init (&iter, knobs);
  while (g_hash_table_iter_next (&iter, &name, &value))
    if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
      json_object_set_string_member (object, name, g_variant_get_string (value, NULL));
    else
      json_object_set_double_member (object, name, g_variant_get_double (value));
  return object;
}

char *
atl_picture_settings_to_json (const AtlPictureSettings *self)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  JsonArray *extend = json_array_new (), *references = json_array_new ();

  json_object_set_string_member (object, "prompt", self->prompt);
  json_object_set_string_member (object, "negative", self->negative);
  json_object_set_string_member (object, "shape", self->shape);
  json_object_set_int_member (object, "width", self->width);
  json_object_set_int_member (object, "height", self->height);
  json_object_set_int_member (object, "quality", self->quality);
  json_object_set_int_member (object, "count", self->count);
  json_object_set_int_member (object, "steps", self->steps);
  json_object_set_double_member (object, "guidance", self->guidance);
  json_object_set_string_member (object, "sampler", self->sampler);
  json_object_set_string_member (object, "schedule", self->schedule);
  json_object_set_int_member (object, "seed", self->seed);
  json_object_set_boolean_member (object, "seed_is_locked", self->seed_is_locked);
  json_object_set_int_member (object, "enlarge", self->enlarge);
  json_object_set_double_member (object, "strength", self->strength);
  set_path (object, "start", self->start);
  set_mask (object, self->mask);
  for (guint i = 0; i < G_N_ELEMENTS (self->extend); i++)
    json_array_add_int_element (extend, self->extend[i]);
  json_object_set_array_member (object, "extend", extend);
  for (guint i = 0; i < self->references->len; i++)
    if (g_utf8_validate (self->references->pdata[i], -1, NULL))
      json_array_add_string_element (references, self->references->pdata[i]);
  json_object_set_array_member (object, "references", references);
  json_object_set_array_member (object, "loras", loras_to_json (self->loras));
  json_object_set_object_member (object, "knobs", knobs_to_json (self->knobs));
  return json_to_string (root, FALSE);
}

static guint
read_uint (JsonObject *object, const char *name, guint fallback, guint most)
{
  gint64 value = atl_json_int (object, name, fallback);

  return value >= 0 && value <= most ? (guint) value : fallback;
}

static double
read_double (JsonObject *object, const char *name, double fallback, double least, double most)
{
  double value = atl_json_double (object, name, fallback);

  return value >= least && value <= most ? value : fallback;
}

static void
read_string (JsonObject *object, const char *name, char **field)
{
  const char *text = atl_json_string (object, name, NULL);

  if (text == NULL)
    return;
  g_free (*field);
  *field = g_strdup (text);
}

static void
read_mask (JsonObject *object, AtlPictureSettings *self)
{
  const char *text = atl_json_string (object, "mask", NULL);
  guchar *bytes;
  gsize size;

  if (text == NULL || self->start == NULL)
    return;
  bytes = g_base64_decode (text, &size);
  if (size > 0)
    self->mask = g_bytes_new_take (bytes, size);
  else
    g_free (bytes);
}

static void
read_lists (JsonObject *object, AtlPictureSettings *self)
{
  JsonArray *extend = atl_json_array (object, "extend");
  JsonArray *references = atl_json_array (object, "references");
  JsonArray *loras = atl_json_array (object, "loras");

  for (guint i = 0; extend != NULL && i < MIN (json_array_get_length (extend), 4); i++)
    self->extend[i] = (guint) CLAMP (json_array_get_int_element (extend, i), 0, ATL_MAX_EXTEND);
  for (guint i = 0; references != NULL && i < MIN (json_array_get_length (references), MAX_FILES);
       i++)
    {
      JsonNode *node = json_array_get_element (references, i);

      if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_string (node) != NULL)
        g_ptr_array_add (self->references, json_node_dup_string (node));
    }
  for (guint i = 0; loras != NULL && i < MIN (json_array_get_length (loras), MAX_FILES); i++)
    {
      JsonNode *node = json_array_get_element (loras, i);
      JsonObject *lora = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *path = lora != NULL ? atl_json_string (lora, "path", NULL) : NULL;
      AtlPictureLora *added;

      if (path == NULL)
        continue;
      added = atl_picture_lora_new (path, read_double (lora, "strength", 1, -2, 2));
      added->is_off = atl_json_bool (lora, "off", FALSE);
      added->steps = read_uint (lora, "steps", 0, ATL_MAX_PICTURE_STEPS);
      added->steps_before = read_uint (lora, "steps_before", 0, ATL_MAX_PICTURE_STEPS);
      added->guidance = read_double (lora, "guidance", -1, 0, ATL_MAX_GUIDANCE);
      added->guidance_before = read_double (lora, "guidance_before", -1, 0, ATL_MAX_GUIDANCE);
      added->sampler = g_strdup (atl_json_string (lora, "sampler", NULL));
      if (added->sampler != NULL)
        added->sampler_before = g_strdup (atl_json_string (lora, "sampler_before", ""));
      added->schedule = g_strdup (atl_json_string (lora, "schedule", NULL));
      if (added->schedule != NULL)
        added->schedule_before = g_strdup (atl_json_string (lora, "schedule_before", ""));
      g_ptr_array_add (self->loras, added);
    }
}

static void
read_knobs (JsonObject *object, AtlPictureSettings *self)
{
  JsonObject *knobs = atl_json_object (object, "knobs");
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (knobs == NULL)
    return;
  json_object_iter_init (&iter, knobs);
  while (json_object_iter_next (&iter, &name, &node) && g_hash_table_size (self->knobs) < MAX_KNOBS)
    {
      GVariant *value = NULL;

      if (!JSON_NODE_HOLDS_VALUE (node))
        continue;
      if (json_node_get_value_type (node) == G_TYPE_STRING)
        value = g_variant_new_string (json_node_get_string (node));
      else if (json_node_get_value_type (node) != G_TYPE_BOOLEAN &&
               isfinite (json_node_get_double (node)))
        value = g_variant_new_double (json_node_get_double (node));
      if (value != NULL)
        g_hash_table_insert (self->knobs, g_strdup (name), g_variant_ref_sink (value));
    }
}

AtlPictureSettings *
atl_picture_settings_from_json (const char *json)
{
  AtlPictureSettings *self = atl_picture_settings_new ();
  g_autoptr (JsonNode) node =
      json != NULL ? atl_json_parse (json, strlen (json), "settings", NULL) : NULL;
  JsonObject *object =
      node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

  if (object == NULL)
    return self;
  read_string (object, "prompt", &self->prompt);
  read_string (object, "negative", &self->negative);
  read_string (object, "sampler", &self->sampler);
  read_string (object, "schedule", &self->schedule);
  read_string (object, "start", &self->start);
  read_mask (object, self);
  read_string (object, "shape", &self->shape);
  self->width = read_uint (object, "width", 0, ATL_MAX_PICTURE_SIDE);
  self->height = read_uint (object, "height", 0, ATL_MAX_PICTURE_SIDE);
  self->quality = (AtlQuality) read_uint (object, "quality", ATL_QUALITY_BALANCED, 2);
  self->count = MAX (1, read_uint (object, "count", 1, ATL_MAX_PICTURE_COUNT));
  self->steps = read_uint (object, "steps", 0, ATL_MAX_PICTURE_STEPS);
  self->guidance = read_double (object, "guidance", -1, 0, ATL_MAX_GUIDANCE);
  self->seed = read_uint (object, "seed", 0, G_MAXUINT32);
  self->seed_is_locked = atl_json_bool (object, "seed_is_locked", FALSE);
  self->enlarge = read_uint (object, "enlarge", 0, ATL_MAX_ENLARGE);
  self->strength = read_double (object, "strength", ATL_DEFAULT_STRENGTH, 0, 1);
  read_lists (object, self);
  read_knobs (object, self);
  return self;
}
