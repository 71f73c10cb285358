/* ComfyUI's graph as it was drawn ("workflow": nodes with lists of widgets' values and numbered
 * links), turned into the form that is run. */
#define G_LOG_DOMAIN "atl-media"

#include "media/recipe-private.h"

/* The widgets of the nodes that matter, in their order; "" is passed over. */
static const struct
{
  const char *type;
  const char *widgets[10];
} widget_table[] = {
  { "KSampler", { "seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise" } },
  { "KSamplerAdvanced",
    { "", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler", "start_at_step" } },
  { "SamplerCustom", { "", "noise_seed", "", "cfg" } },
  { "KSamplerSelect", { "sampler_name" } },
  { "BasicScheduler", { "scheduler", "steps", "denoise" } },
  { "RandomNoise", { "noise_seed" } },
  { "CFGGuider", { "cfg" } },
  { "FluxGuidance", { "guidance" } },
  { "CLIPTextEncode", { "text" } },
  { "CLIPTextEncodeFlux", { "clip_l", "t5xxl", "guidance" } },
  { "CLIPTextEncodeSDXL", { "", "", "", "", "", "", "text_g", "text_l" } },
  { "CheckpointLoaderSimple", { "ckpt_name" } },
  { "UNETLoader", { "unet_name" } },
  { "UnetLoaderGGUF", { "unet_name" } },
  { "LoraLoader", { "lora_name", "strength_model" } },
  { "LoraLoaderModelOnly", { "lora_name", "strength_model" } },
  { "EmptyLatentImage", { "width", "height" } },
  { "EmptySD3LatentImage", { "width", "height" } },
  { "PrimitiveNode", { "value" } },
  { "PrimitiveString", { "value" } },
  { "PrimitiveStringMultiline", { "value" } },
};

/* Beyond what anybody draws. */
#define MAX_NODES 5000u
#define MAX_LINKS 20000u

/* Link's number -> [id of its node, slot] as the run graph has it (owned). */
static GHashTable *
collect_links (JsonArray *links)
{
  GHashTable *table =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) json_node_unref);

  for (guint i = 0; links != NULL && i < MIN (json_array_get_length (links), MAX_LINKS); i++)
    {
      JsonNode *row = json_array_get_element (links, i);
      JsonArray *link = JSON_NODE_HOLDS_ARRAY (row) ? json_node_get_array (row) : NULL;
      JsonArray *value;
      gint64 *key;

      if (link == NULL || json_array_get_length (link) < 3)
        continue;
      for (guint j = 0; link != NULL && j < 3; j++)
        {
          JsonNode *number = json_array_get_element (link, j);

          if (!JSON_NODE_HOLDS_VALUE (number) || json_node_get_value_type (number) != G_TYPE_INT64)
            link = NULL;
        }
      if (link == NULL)
        continue;
      key = g_new (gint64, 1);
      *key = json_array_get_int_element (link, 0);
      value = json_array_new ();
      json_array_add_int_element (value, json_array_get_int_element (link, 1));
      json_array_add_int_element (value, json_array_get_int_element (link, 2));
      g_hash_table_replace (table, key, json_node_init_array (json_node_alloc (), value));
      json_array_unref (value);
    }
  return table;
}

/* One node in the other form; NULL when it is switched off. The caller's. */
static JsonObject *
convert_node (JsonObject *drawn, GHashTable *links)
{
  const char *type = atl_json_string (drawn, "type", "");
  JsonArray *slots = atl_json_array (drawn, "inputs");
  JsonArray *widgets = atl_json_array (drawn, "widgets_values");
  gint64 mode = atl_json_int (drawn, "mode", 0);
  JsonObject *node, *inputs;

  /* Never, and passed by. */
  if (mode == 2 || mode == 4)
    return NULL;
  inputs = json_object_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (widget_table); i++)
    for (guint j = 0;
         widgets != NULL && g_str_equal (type, widget_table[i].type) &&
         j < MIN (json_array_get_length (widgets), 10) && widget_table[i].widgets[j] != NULL;
         j++)
      if (*widget_table[i].widgets[j] != '\0')
        json_object_set_member (inputs, widget_table[i].widgets[j],
                                json_array_dup_element (widgets, j));
  for (guint i = 0; slots != NULL && i < MIN (json_array_get_length (slots), 100); i++)
    {
      JsonNode *slot = json_array_get_element (slots, i);
      JsonObject *input = JSON_NODE_HOLDS_OBJECT (slot) ? json_node_get_object (slot) : NULL;
      gint64 link = atl_json_int (input, "link", -1);
      JsonNode *source = g_hash_table_lookup (links, &link);

      if (source != NULL)
        json_object_set_member (inputs, atl_json_string (input, "name", ""),
                                json_node_copy (source));
    }
  node = json_object_new ();
  json_object_set_string_member (node, "class_type", type);
  json_object_set_object_member (node, "inputs", inputs);
  return node;
}

GVariant *
atl_recipe_comfy_drawing (JsonObject *workflow)
{
  JsonArray *drawn = atl_json_array (workflow, "nodes");
  g_autoptr (GHashTable) links = NULL;
  g_autoptr (JsonObject) nodes = NULL;

  if (drawn == NULL)
    return NULL;
  links = collect_links (atl_json_array (workflow, "links"));
  nodes = json_object_new ();
  for (guint i = 0; i < MIN (json_array_get_length (drawn), MAX_NODES); i++)
    {
      JsonNode *value = json_array_get_element (drawn, i);
      JsonObject *object = JSON_NODE_HOLDS_OBJECT (value) ? json_node_get_object (value) : NULL;
      g_autofree char *id = NULL;
      JsonObject *node = object != NULL ? convert_node (object, links) : NULL;

      if (node == NULL)
        continue;
      id = g_strdup_printf ("%" G_GINT64_FORMAT, atl_json_int (object, "id", -1));
      json_object_set_object_member (nodes, id, node);
    }
  return atl_recipe_comfy_graph (nodes);
}
