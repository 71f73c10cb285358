/* ComfyUI's graph as it was run ("prompt": nodes by their id, with named inputs). From what saves
 * the picture the links are followed back to the first sampler; its inputs lead to the prompts, the
 * model and the size.
 *
 * A graph may have cycles: every walk has a budget of steps, shared by the whole reading. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/recipe-private.h"

#define MAX_STEPS 20000u
#define MAX_DEPTH 64u

typedef struct
{
  JsonObject *nodes;
  guint n_steps; /* taken */
  AtlRecipeDraft draft;
  double guidance; /* of a node on the way to the prompt; negative: none */
  gboolean has_image;
} Graph;

static void
graph_clear (Graph *self)
{
  atl_recipe_draft_clear (&self->draft);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Graph, graph_clear)

/* --- Nodes and links --- */

static const char *
node_class (JsonObject *node)
{
  return atl_json_string (node, "class_type", "");
}

/* The node that a value [id, slot] refers to; NULL when it is none. */
static JsonObject *
follow_value (Graph *self, JsonNode *value, gint64 *slot)
{
  JsonArray *link =
      value != NULL && JSON_NODE_HOLDS_ARRAY (value) ? json_node_get_array (value) : NULL;
  JsonNode *id, *number;
  g_autofree char *text = NULL;

  if (link == NULL || json_array_get_length (link) != 2 || self->n_steps++ >= MAX_STEPS)
    return NULL;
  id = json_array_get_element (link, 0);
  number = json_array_get_element (link, 1);
  if (!JSON_NODE_HOLDS_VALUE (id))
    return NULL;
  if (json_node_get_value_type (id) == G_TYPE_STRING)
    text = g_strdup (json_node_get_string (id));
  else if (json_node_get_value_type (id) == G_TYPE_INT64)
    text = g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (id));
  else
    return NULL;
  if (slot != NULL)
    *slot = JSON_NODE_HOLDS_VALUE (number) && json_node_get_value_type (number) == G_TYPE_INT64
                ? json_node_get_int (number)
                : 0;
  return atl_json_object (self->nodes, text);
}

static JsonObject *
follow (Graph *self, JsonObject *node, const char *input, gint64 *slot)
{
  JsonObject *inputs = atl_json_object (node, "inputs");

  return inputs != NULL && json_object_has_member (inputs, input)
             ? follow_value (self, json_object_get_member (inputs, input), slot)
             : NULL;
}

/* The value of `input`, its own or that of the node it is linked to, which then has one of its own
 * under a usual name. */
static JsonNode *
value_of (Graph *self, JsonObject *node, const char *input, guint depth)
{
  static const char *const names[] = { "value",  "text",  "string",  "number", "int",
                                       "float",  "seed",  "Text",    "prompt", "noise_seed",
                                       "Number", "input", "string_a" };
  JsonObject *inputs = atl_json_object (node, "inputs");
  JsonNode *value = inputs != NULL ? json_object_get_member (inputs, input) : NULL;
  JsonObject *source;

  if (value == NULL || JSON_NODE_HOLDS_VALUE (value) || depth > MAX_DEPTH)
    return value != NULL && JSON_NODE_HOLDS_VALUE (value) ? value : NULL;
  source = follow_value (self, value, NULL);
  for (gsize i = 0; source != NULL && i < G_N_ELEMENTS (names); i++)
    {
      JsonNode *found = value_of (self, source, names[i], depth + 1);

      if (found != NULL)
        return found;
    }
  return NULL;
}

static const char *
text_of (Graph *self, JsonObject *node, const char *input)
{
  JsonNode *value = value_of (self, node, input, 0);

  return value != NULL && json_node_get_value_type (value) == G_TYPE_STRING
             ? json_node_get_string (value)
             : NULL;
}

static gboolean
number_of (Graph *self, JsonObject *node, const char *input, double *number)
{
  JsonNode *value = value_of (self, node, input, 0);
  g_autoptr (JsonObject) holder = NULL;

  if (value == NULL)
    return FALSE;
  holder = json_object_new ();
  json_object_set_member (holder, "n", json_node_copy (value));
  return atl_recipe_number (holder, "n", number);
}

static gboolean
is_sampler (JsonObject *node)
{
  JsonObject *inputs = atl_json_object (node, "inputs");

  return inputs != NULL && (json_object_has_member (inputs, "guider") ||
                            (json_object_has_member (inputs, "positive") &&
                             (json_object_has_member (inputs, "seed") ||
                              json_object_has_member (inputs, "noise_seed")) &&
                             (json_object_has_member (inputs, "steps") ||
                              json_object_has_member (inputs, "sigmas"))));
}

/* The first sampler up from `node` (itself excluded), depth first. */
static JsonObject *
sampler_above (Graph *self, JsonObject *node, GHashTable *seen, guint depth)
{
  JsonObject *inputs = atl_json_object (node, "inputs");
  JsonObjectIter iter;
  const char *key;
  JsonNode *value;

  if (inputs == NULL || depth > MAX_DEPTH)
    return NULL;
  json_object_iter_init (&iter, inputs);
  while (json_object_iter_next (&iter, &key, &value))
    {
      JsonObject *source = follow_value (self, value, NULL);

      if (source == NULL || !g_hash_table_add (seen, source))
        continue;
      if (is_sampler (source))
        return source;
      source = sampler_above (self, source, seen, depth + 1);
      if (source != NULL)
        return source;
    }
  return NULL;
}

/* The sampler that began the picture that is saved: of several one after the other the first. */
static JsonObject *
find_sampler (Graph *self)
{
  static const char *const savers[] = { "save", "preview", "output" };
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  JsonObject *sampler = NULL, *any = NULL;
  JsonObjectIter iter;
  const char *id;
  JsonNode *value;

  json_object_iter_init (&iter, self->nodes);
  while (sampler == NULL && json_object_iter_next (&iter, &id, &value))
    {
      JsonObject *node = JSON_NODE_HOLDS_OBJECT (value) ? json_node_get_object (value) : NULL;
      g_autofree char *class_name = node != NULL ? g_ascii_strdown (node_class (node), -1) : NULL;

      if (node == NULL)
        continue;
      if (any == NULL && is_sampler (node))
        any = node;
      for (gsize i = 0; sampler == NULL && i < G_N_ELEMENTS (savers); i++)
        if (strstr (class_name, savers[i]) != NULL)
          sampler = sampler_above (self, node, seen, 0);
    }
  if (sampler == NULL)
    sampler = any;
  for (guint i = 0; sampler != NULL && i < MAX_DEPTH; i++)
    {
      static const char *const latents[] = { "latent_image", "latent", "samples" };
      JsonObject *before = NULL;

      g_hash_table_remove_all (seen);
      g_hash_table_add (seen, sampler);
      for (gsize j = 0; before == NULL && j < G_N_ELEMENTS (latents); j++)
        {
          JsonObject *source = follow (self, sampler, latents[j], NULL);

          if (source != NULL)
            before = is_sampler (source) ? source : sampler_above (self, source, seen, 0);
        }
      if (before == NULL || before == sampler)
        break;
      sampler = before;
    }
  return sampler;
}

/* --- What leads to a sampler --- */

/* The words of a conditioning, added to `words`. `slot` is the output of `node` that was followed:
 * what changes both prompts at once has the positive one first. */
static void
collect_words (Graph *self, JsonObject *node, gint64 slot, GString *words, guint depth)
{
  static const char *const texts[] = { "text", "t5xxl", "text_g", "clip_l", "text_l", "prompt" };
  static const char *const ways[] = {
    "conditioning",      "conditioning_1", "conditioning_2", "conditioning_to",
    "conditioning_from", "cond1",          "cond2"
  };
  JsonObject *inputs = atl_json_object (node, "inputs");
  double guidance;

  if (inputs == NULL || depth > MAX_DEPTH || g_str_equal (node_class (node), "ConditioningZeroOut"))
    return;
  if (number_of (self, node, "guidance", &guidance) && guidance >= 0)
    self->guidance = guidance;
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      const char *text = text_of (self, node, texts[i]);

      if (text == NULL || *text == '\0')
        continue;
      if (words->len > 0)
        g_string_append (words, ", ");
      if (words->len + strlen (text) <= ATL_RECIPE_MAX_TEXT)
        g_string_append (words, text);
      return;
    }
  if (json_object_has_member (inputs, "positive") && json_object_has_member (inputs, "negative"))
    {
      gint64 next_slot = 0;
      JsonObject *next = follow (self, node, slot == 1 ? "negative" : "positive", &next_slot);

      if (next != NULL)
        collect_words (self, next, next_slot, words, depth + 1);
      return;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      gint64 next_slot = 0;
      JsonObject *next = follow (self, node, ways[i], &next_slot);

      if (next != NULL)
        collect_words (self, next, next_slot, words, depth + 1);
    }
}

static void
take_words (Graph *self, JsonObject *node, const char *input, const char *key)
{
  g_autoptr (GString) words = g_string_new (NULL);
  gint64 slot = 0;
  JsonObject *source = follow (self, node, input, &slot);

  if (source == NULL)
    return;
  collect_words (self, source, slot, words, 0);
  if (g_str_equal (key, "prompt"))
    atl_recipe_draft_prompt (&self->draft, words->str);
  else if (words->len > 0)
    atl_recipe_draft_text (&self->draft, key, words->str);
}

static void
take_lora (Graph *self, JsonObject *holder, const char *name, const char *weight)
{
  double value = 1;

  if (!atl_recipe_number (holder, weight, &value))
    value = 1;
  atl_recipe_draft_lora (&self->draft, atl_json_string (holder, name, NULL), value, NULL);
}

/* Up the chain of models: LoRAs on the way, the file at its end. */
static void
take_model (Graph *self, JsonObject *node)
{
  static const char *const files[] = { "ckpt_name", "unet_name", "model_name", "gguf_name",
                                       "base_ckpt_name" };

  for (guint i = 0; node != NULL && i < MAX_DEPTH; i++)
    {
      JsonObject *inputs = atl_json_object (node, "inputs");
      JsonObject *next;
      JsonObjectIter iter;
      const char *key;
      JsonNode *value;

      if (inputs == NULL)
        return;
      if (atl_json_string (inputs, "lora_name", NULL) != NULL)
        take_lora (self, inputs, "lora_name", "strength_model");
      /* A stack of them: members that are objects with "lora", "strength" and "on". */
      json_object_iter_init (&iter, inputs);
      while (json_object_iter_next (&iter, &key, &value))
        if (JSON_NODE_HOLDS_OBJECT (value) &&
            atl_json_bool (json_node_get_object (value), "on", FALSE))
          take_lora (self, json_node_get_object (value), "lora", "strength");
      for (gsize j = 0; j < G_N_ELEMENTS (files); j++)
        if (text_of (self, node, files[j]) != NULL)
          {
            atl_recipe_draft_model (&self->draft, text_of (self, node, files[j]));
            return;
          }
      next = follow (self, node, "model", NULL);
      node = next != NULL ? next : follow (self, node, "unet", NULL);
    }
}

static void
take_start (Graph *self, JsonObject *node)
{
  for (guint i = 0; node != NULL && i < MAX_DEPTH; i++)
    {
      static const char *const ways[] = { "latent_image", "latent", "samples", "pixels" };
      JsonObject *inputs = atl_json_object (node, "inputs"), *next = NULL;
      double width, height;

      if (inputs == NULL)
        return;
      if (json_object_has_member (inputs, "pixels"))
        self->has_image = TRUE;
      else if (number_of (self, node, "width", &width) &&
               number_of (self, node, "height", &height) && width >= 1 && height >= 1 &&
               width <= ATL_RECIPE_MAX_SIDE && height <= ATL_RECIPE_MAX_SIDE)
        {
          atl_recipe_draft_size (&self->draft, (gint64) width, (gint64) height);
          return;
        }
      for (gsize j = 0; next == NULL && j < G_N_ELEMENTS (ways); j++)
        next = follow (self, node, ways[j], NULL);
      node = next;
    }
}

static void
take_seed (Graph *self, JsonObject *node, const char *input)
{
  JsonNode *value = value_of (self, node, input, 0);

  if (value != NULL && json_node_get_value_type (value) == G_TYPE_INT64)
    atl_recipe_draft_seed (&self->draft, json_node_get_int (value));
}

static void
take_steps (Graph *self, JsonObject *node)
{
  double steps, denoise;
  const char *schedule = text_of (self, node, "scheduler");

  if (number_of (self, node, "steps", &steps) && steps >= 0 && steps <= 100000)
    atl_recipe_draft_uint (&self->draft, "steps", (gint64) steps, 100000);
  if (self->has_image && number_of (self, node, "denoise", &denoise))
    atl_recipe_draft_double (&self->draft, "strength", denoise, 1);
  atl_recipe_draft_sampler (&self->draft, NULL, schedule);
}

GVariant *
atl_recipe_comfy_graph (JsonObject *nodes)
{
  g_auto (Graph) graph = { .nodes = nodes, .guidance = -1 };
  JsonObject *sampler = find_sampler (&graph), *guider, *part;
  double cfg = -1;

  if (sampler == NULL)
    return NULL;
  atl_recipe_draft_init (&graph.draft);
  guider = follow (&graph, sampler, "guider", NULL);
  if (guider == NULL)
    guider = sampler;
  for (guint i = 0; i < 2; i++)
    {
      part = follow (&graph, sampler, i == 0 ? "latent_image" : "latent", NULL);
      if (part != NULL)
        take_start (&graph, part);
    }

  take_words (&graph, guider, "negative", "negative_prompt");
  /* That of the positive prompt counts. */
  graph.guidance = -1;
  take_words (&graph, guider, "positive", "prompt");
  /* Of a guider with one prompt only. */
  take_words (&graph, guider, "conditioning", "prompt");
  part = follow (&graph, guider, "model", NULL);
  take_model (&graph, part != NULL ? part : follow (&graph, sampler, "model", NULL));

  take_steps (&graph, sampler);
  part = follow (&graph, sampler, "sigmas", NULL);
  if (part != NULL)
    take_steps (&graph, part);
  take_seed (&graph, sampler, "seed");
  take_seed (&graph, sampler, "noise_seed");
  part = follow (&graph, sampler, "noise", NULL);
  if (part != NULL)
    take_seed (&graph, part, "noise_seed");
  part = follow (&graph, sampler, "sampler", NULL);
  atl_recipe_draft_sampler (&graph.draft,
                            text_of (&graph, part != NULL ? part : sampler, "sampler_name"), NULL);
  if (graph.guidance >= 0)
    cfg = graph.guidance;
  else if (!number_of (&graph, guider, "cfg", &cfg))
    cfg = -1;
  atl_recipe_draft_double (&graph.draft, "guidance", cfg, 1000);
  return atl_recipe_draft_end (&graph.draft, "ComfyUI");
}
