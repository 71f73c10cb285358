/* The JSON of NovelAI and Draw Things. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/recipe-private.h"

static void
take (AtlRecipeDraft *draft, JsonObject *root, const char *member, const char *key, double max)
{
  double value;

  if (atl_recipe_number (root, member, &value) && value >= 0 && value <= max)
    atl_recipe_draft_double (draft, key, value, max);
}

static void
take_steps (AtlRecipeDraft *draft, JsonObject *root)
{
  double value;

  if (atl_recipe_number (root, "steps", &value) && value >= 1 && value <= 100000)
    atl_recipe_draft_uint (draft, "steps", (gint64) value, 100000);
}

static void
take_size (AtlRecipeDraft *draft, double width, double height)
{
  if (width >= 1 && height >= 1 && width <= ATL_RECIPE_MAX_SIDE && height <= ATL_RECIPE_MAX_SIDE)
    atl_recipe_draft_size (draft, (gint64) width, (gint64) height);
}

static void
take_negative (AtlRecipeDraft *draft, const char *text)
{
  if (text != NULL && *text != '\0')
    atl_recipe_draft_text (draft, "negative_prompt", text);
}

/* The words of the fourth version stand in {"caption": {"base_caption": …}}. */
static const char *
caption (JsonObject *root, const char *member)
{
  JsonObject *words = atl_json_object (root, member);
  JsonObject *said = words != NULL ? atl_json_object (words, "caption") : NULL;

  return said != NULL ? atl_json_string (said, "base_caption", NULL) : NULL;
}

GVariant *
atl_recipe_novelai (JsonObject *root, const char *description)
{
  static const char *const known[] = { "prompt",         "uc",       "steps", "scale",
                                       "seed",           "sampler",  "width", "height",
                                       "noise_schedule", "strength", NULL };
  const char *prompt = atl_json_string (root, "prompt", NULL);
  const char *negative = atl_json_string (root, "uc", NULL);
  g_auto (AtlRecipeDraft) draft = { 0 };
  double width = 0, height = 0;

  if (prompt == NULL || *prompt == '\0')
    prompt = caption (root, "v4_prompt");
  if (prompt == NULL)
    prompt = description;
  if (prompt == NULL || !json_object_has_member (root, "scale") ||
      !json_object_has_member (root, "sampler"))
    return NULL;
  if (negative == NULL || *negative == '\0')
    negative = caption (root, "v4_negative_prompt");
  atl_recipe_draft_init (&draft);
  atl_recipe_draft_prompt (&draft, prompt);
  take_negative (&draft, negative);
  take_steps (&draft, root);
  take (&draft, root, "scale", "guidance", 1000);
  take (&draft, root, "strength", "strength", 1);
  atl_recipe_draft_seed (&draft, atl_json_int (root, "seed", -1));
  if (atl_recipe_number (root, "width", &width) && atl_recipe_number (root, "height", &height))
    take_size (&draft, width, height);
  atl_recipe_draft_sampler (&draft, atl_json_string (root, "sampler", NULL),
                            atl_json_string (root, "noise_schedule", NULL));
  atl_recipe_draft_rest (&draft, root, known);
  return atl_recipe_draft_end (&draft, "NovelAI");
}

GVariant *
atl_recipe_draw_things (JsonObject *root)
{
  static const char *const known[] = { "c",    "uc",    "steps",    "scale", "seed", "sampler",
                                       "size", "model", "strength", "lora",  NULL };
  const char *size = atl_json_string (root, "size", "");
  JsonArray *loras = atl_json_array (root, "lora");
  g_auto (AtlRecipeDraft) draft = { 0 };
  char *cross = strchr (size, 'x');

  if (atl_json_string (root, "c", NULL) == NULL || !json_object_has_member (root, "scale"))
    return NULL;
  atl_recipe_draft_init (&draft);
  atl_recipe_draft_prompt (&draft, atl_json_string (root, "c", NULL));
  take_negative (&draft, atl_json_string (root, "uc", NULL));
  atl_recipe_draft_model (&draft, atl_json_string (root, "model", NULL));
  take_steps (&draft, root);
  take (&draft, root, "scale", "guidance", 1000);
  take (&draft, root, "strength", "strength", 1);
  atl_recipe_draft_seed (&draft, atl_json_int (root, "seed", -1));
  if (cross != NULL)
    take_size (&draft, g_ascii_strtod (size, NULL), g_ascii_strtod (cross + 1, NULL));
  atl_recipe_draft_sampler (&draft, atl_json_string (root, "sampler", NULL), NULL);
  for (guint i = 0; loras != NULL && i < MIN (json_array_get_length (loras), ATL_RECIPE_MAX_LORAS);
       i++)
    {
      JsonNode *node = json_array_get_element (loras, i);
      JsonObject *row = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      double weight = 1;

      if (row == NULL)
        continue;
      if (!atl_recipe_number (row, "weight", &weight))
        weight = 1;
      atl_recipe_draft_lora (&draft, atl_json_string (row, "model", NULL), weight, NULL);
    }
  atl_recipe_draft_rest (&draft, root, known);
  return atl_recipe_draft_end (&draft, "Draw Things");
}
