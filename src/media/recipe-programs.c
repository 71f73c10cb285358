/* The JSON of SwarmUI, Fooocus and InvokeAI. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/recipe-private.h"

/* --- Shared --- */

static void
take_uint (
    AtlRecipeDraft *draft, JsonObject *object, const char *member, const char *key, gint64 max)
{
  double value;

  if (atl_recipe_number (object, member, &value) && value >= 0 && value <= (double) max)
    atl_recipe_draft_uint (draft, key, (gint64) value, max);
}

static void
take_double (
    AtlRecipeDraft *draft, JsonObject *object, const char *member, const char *key, double max)
{
  double value;

  if (atl_recipe_number (object, member, &value))
    atl_recipe_draft_double (draft, key, value, max);
}

/* As a number or as its digits. */
static void
take_seed (AtlRecipeDraft *draft, JsonObject *object, const char *member)
{
  const char *text = atl_json_string (object, member, NULL);

  atl_recipe_draft_seed (draft, text != NULL ? g_ascii_strtoll (text, NULL, 10)
                                             : atl_json_int (object, member, -1));
}

static void
take_size (AtlRecipeDraft *draft, JsonObject *object)
{
  double width, height;

  if (atl_recipe_number (object, "width", &width) &&
      atl_recipe_number (object, "height", &height) && width >= 1 && height >= 1 &&
      width <= ATL_RECIPE_MAX_SIDE && height <= ATL_RECIPE_MAX_SIDE)
    atl_recipe_draft_size (draft, (gint64) width, (gint64) height);
}

static void
take_negative (AtlRecipeDraft *draft, JsonObject *object, const char *member)
{
  const char *text = atl_json_string (object, member, "");

  if (*text != '\0')
    atl_recipe_draft_text (draft, "negative_prompt", text);
}

/* A list of texts, or one text with commas between. (nullable), the caller's. */
static char **
take_strings (JsonObject *object, const char *member)
{
  JsonArray *array = atl_json_array (object, member);
  const char *text = atl_json_string (object, member, NULL);
  g_autoptr (GStrvBuilder) list = NULL;

  if (text != NULL)
    return g_strsplit (text, ",", ATL_RECIPE_MAX_LORAS);
  if (array == NULL)
    return NULL;
  list = g_strv_builder_new ();
  for (guint i = 0; i < MIN (json_array_get_length (array), ATL_RECIPE_MAX_LORAS); i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      g_autofree char *number = NULL;

      if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
        g_strv_builder_add (list, json_node_get_string (node));
      else
        {
          number = atl_json_write (node);
          g_strv_builder_add (list, number != NULL ? number : "");
        }
    }
  return g_strv_builder_end (list);
}

/* --- SwarmUI --- */

GVariant *
atl_recipe_swarm (JsonObject *root)
{
  static const char *const known[] = { "prompt",
                                       "negativeprompt",
                                       "model",
                                       "seed",
                                       "steps",
                                       "cfgscale",
                                       "width",
                                       "height",
                                       "sampler",
                                       "scheduler",
                                       "loras",
                                       "loraweights",
                                       "initimagecreativity",
                                       "fluxguidancescale",
                                       NULL };
  JsonObject *said = atl_json_object (root, "sui_image_params");
  g_auto (AtlRecipeDraft) draft = { 0 };
  g_auto (GStrv) loras = NULL, weights = NULL;
  double flux;

  if (said == NULL)
    return NULL;
  atl_recipe_draft_init (&draft);
  atl_recipe_draft_prompt (&draft, atl_json_string (said, "prompt", NULL));
  take_negative (&draft, said, "negativeprompt");
  atl_recipe_draft_model (&draft, atl_json_string (said, "model", NULL));
  take_seed (&draft, said, "seed");
  take_uint (&draft, said, "steps", "steps", 100000);
  take_double (&draft, said, "cfgscale", "guidance", 1000);
  if (atl_recipe_number (said, "fluxguidancescale", &flux))
    atl_recipe_draft_double (&draft, "guidance", flux, 1000);
  take_double (&draft, said, "initimagecreativity", "strength", 1);
  take_size (&draft, said);
  atl_recipe_draft_sampler (&draft, atl_json_string (said, "sampler", NULL),
                            atl_json_string (said, "scheduler", NULL));
  loras = take_strings (said, "loras");
  weights = take_strings (said, "loraweights");
  for (guint i = 0; loras != NULL && loras[i] != NULL; i++)
    atl_recipe_draft_lora (
        &draft, g_strstrip (loras[i]),
        weights != NULL && i < g_strv_length (weights) ? g_ascii_strtod (weights[i], NULL) : 1,
        NULL);
  atl_recipe_draft_rest (&draft, said, known);
  return atl_recipe_draft_end (&draft, "SwarmUI");
}

/* --- Fooocus --- */

/* "(1152, 896)" or "1152x896". */
static void
take_resolution (AtlRecipeDraft *draft, const char *text)
{
  gint64 sides[2] = { 0, 0 };
  char *end = (char *) text;

  for (guint i = 0; i < 2; i++)
    {
      while (*end != '\0' && !g_ascii_isdigit (*end))
        end++;
      sides[i] = g_ascii_strtoll (end, &end, 10);
    }
  atl_recipe_draft_size (draft, sides[0], sides[1]);
}

GVariant *
atl_recipe_fooocus (JsonObject *root)
{
  static const char *const known[] = {
    "prompt",     "negative_prompt", "steps",           "resolution", "guidance_scale",
    "base_model", "base_model_hash", "sampler",         "scheduler",  "seed",
    "loras",      "clip_skip",       "metadata_scheme", NULL
  };
  JsonArray *loras = atl_json_array (root, "loras");
  g_auto (AtlRecipeDraft) draft = { 0 };
  const char *resolution = atl_json_string (root, "resolution", NULL);

  if (atl_json_string (root, "prompt", NULL) == NULL ||
      atl_json_string (root, "base_model", NULL) == NULL)
    return NULL;
  atl_recipe_draft_init (&draft);
  atl_recipe_draft_prompt (&draft, atl_json_string (root, "prompt", NULL));
  take_negative (&draft, root, "negative_prompt");
  atl_recipe_draft_model (&draft, atl_json_string (root, "base_model", NULL));
  atl_recipe_draft_text (&draft, ATL_RECIPE_MODEL_HASH,
                         atl_json_string (root, "base_model_hash", NULL));
  take_uint (&draft, root, "steps", "steps", 100000);
  take_double (&draft, root, "guidance_scale", "guidance", 1000);
  take_uint (&draft, root, "clip_skip", ATL_RECIPE_CLIP_SKIP, 100);
  take_seed (&draft, root, "seed");
  if (resolution != NULL)
    take_resolution (&draft, resolution);
  atl_recipe_draft_sampler (&draft, atl_json_string (root, "sampler", NULL),
                            atl_json_string (root, "scheduler", NULL));
  /* [[name, weight, hash], …] */
  for (guint i = 0; loras != NULL && i < MIN (json_array_get_length (loras), ATL_RECIPE_MAX_LORAS);
       i++)
    {
      JsonNode *node = json_array_get_element (loras, i);
      JsonArray *row = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
      g_autoptr (JsonObject) named = json_object_new ();
      double weight = 1;

      for (guint j = 0; row != NULL && j < MIN (json_array_get_length (row), 3); j++)
        json_object_set_member (named, (const char *[]){ "name", "weight", "hash" }[j],
                                json_array_dup_element (row, j));
      if (!atl_recipe_number (named, "weight", &weight))
        weight = 1;
      atl_recipe_draft_lora (&draft, atl_json_string (named, "name", NULL), weight,
                             atl_json_string (named, "hash", NULL));
    }
  atl_recipe_draft_rest (&draft, root, known);
  return atl_recipe_draft_end (&draft, "Fooocus");
}

/* --- InvokeAI --- */

/* What a model is called: text, or an object with one of several names. */
static const char *
model_name (JsonObject *object, const char *member)
{
  JsonObject *model = atl_json_object (object, member);
  const char *name;

  if (model == NULL)
    return atl_json_string (object, member, NULL);
  name = atl_json_string (model, "name", NULL);
  return name != NULL ? name : atl_json_string (model, "model_name", NULL);
}

/* The form before version 3: {"image": {"prompt": [{"prompt", "weight"}], …}}. */
static GVariant *
invoke_old (JsonObject *root, JsonObject *image)
{
  static const char *const known[] = { "prompt", "steps",   "cfg_scale", "seed", "width",
                                       "height", "sampler", "strength",  NULL };
  JsonArray *prompts = atl_json_array (image, "prompt");
  const char *prompt = atl_json_string (image, "prompt", NULL);
  g_auto (AtlRecipeDraft) draft = { 0 };

  if (prompt == NULL && prompts != NULL && json_array_get_length (prompts) > 0 &&
      JSON_NODE_HOLDS_OBJECT (json_array_get_element (prompts, 0)))
    prompt = atl_json_string (json_array_get_object_element (prompts, 0), "prompt", NULL);
  if (prompt == NULL)
    return NULL;
  atl_recipe_draft_init (&draft);
  atl_recipe_draft_prompt (&draft, prompt);
  atl_recipe_draft_model (&draft, atl_json_string (root, "model_weights", NULL));
  take_uint (&draft, image, "steps", "steps", 100000);
  take_double (&draft, image, "cfg_scale", "guidance", 1000);
  take_seed (&draft, image, "seed");
  take_size (&draft, image);
  take_double (&draft, image, "strength", "strength", 1);
  atl_recipe_draft_sampler (&draft, atl_json_string (image, "sampler", NULL), NULL);
  atl_recipe_draft_rest (&draft, image, known);
  return atl_recipe_draft_end (&draft, "InvokeAI");
}

GVariant *
atl_recipe_invoke (JsonObject *root)
{
  static const char *const known[] = {
    "positive_prompt", "negative_prompt", "model",  "seed",     "steps", "cfg_scale", "guidance",
    "scheduler",       "width",           "height", "strength", "loras", "clip_skip", NULL
  };
  JsonObject *image = atl_json_object (root, "image");
  JsonArray *loras = atl_json_array (root, "loras");
  g_auto (AtlRecipeDraft) draft = { 0 };

  if (image != NULL)
    return invoke_old (root, image);
  if (atl_json_string (root, "positive_prompt", NULL) == NULL)
    return NULL;
  atl_recipe_draft_init (&draft);
  atl_recipe_draft_prompt (&draft, atl_json_string (root, "positive_prompt", NULL));
  take_negative (&draft, root, "negative_prompt");
  atl_recipe_draft_model (&draft, model_name (root, "model"));
  take_uint (&draft, root, "steps", "steps", 100000);
  take_double (&draft, root, "cfg_scale", "guidance", 1000);
  take_double (&draft, root, "guidance", "guidance", 1000);
  take_double (&draft, root, "strength", "strength", 1);
  take_uint (&draft, root, "clip_skip", ATL_RECIPE_CLIP_SKIP, 100);
  take_seed (&draft, root, "seed");
  take_size (&draft, root);
  atl_recipe_draft_sampler (&draft, atl_json_string (root, "scheduler", NULL), NULL);
  for (guint i = 0; loras != NULL && i < MIN (json_array_get_length (loras), ATL_RECIPE_MAX_LORAS);
       i++)
    {
      JsonNode *node = json_array_get_element (loras, i);
      JsonObject *row = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *name = row != NULL ? model_name (row, "model") : NULL;
      double weight;

      if (name == NULL && row != NULL)
        name = model_name (row, "lora");
      if (row == NULL || !atl_recipe_number (row, "weight", &weight))
        weight = 1;
      atl_recipe_draft_lora (&draft, name, weight, NULL);
    }
  atl_recipe_draft_rest (&draft, root, known);
  return atl_recipe_draft_end (&draft, "InvokeAI");
}
