/* The recipe of a picture as texts. */
#define G_LOG_DOMAIN "atl-cli"

#include "cli/image-recipe.h"

#include <json-glib/json-glib.h>
#include <math.h>

#include "atelier-config.h"
#include "media/sampler-names.h"
#include "protocol/protocol.h"

/* Raised when a member changes meaning. */
#define RECIPE_VERSION 1

static char *
a1111_text (const AtlPicture *picture, GVariant *settings, GVariant *facts)
{
  g_autofree char *prompt = atl_dict_string (settings, ATL_MADE_PROMPT, "");
  g_autofree char *negative = atl_dict_string (settings, ATL_MADE_NEGATIVE, NULL);
  g_autofree char *sampler = atl_dict_string (facts, ATL_MADE_SAMPLER, "");
  g_autofree char *model = atl_dict_string (facts, ATL_INFO_NAME, "");
  double strength = atl_dict_double (settings, ATL_MADE_STRENGTH, -1);
  GString *text = g_string_new (prompt);
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  if (negative != NULL)
    g_string_append_printf (text, "\nNegative prompt: %s", negative);
  g_string_append_printf (text, "\nSteps: %u", atl_dict_uint (facts, ATL_MADE_STEPS, 0));
  if (*sampler != '\0')
    g_string_append_printf (text, ", Sampler: %s", atl_sampler_words (sampler));
  g_string_append_printf (
      text, ", CFG scale: %s, Seed: %u, Size: %ux%u",
      g_ascii_formatd (number, sizeof number, "%g", atl_dict_double (facts, ATL_MADE_GUIDANCE, 0)),
      atl_dict_uint (facts, ATL_MADE_SEED, 0), picture->width, picture->height);
  if (strength >= 0)
    g_string_append_printf (text, ", Denoising strength: %s",
                            g_ascii_formatd (number, sizeof number, "%g", strength));
  g_string_append_printf (text, ", Model: %s, Version: Atelier %s", model, ATL_VERSION);
  return g_string_free (text, FALSE);
}

static void
add_members (JsonObject *object, GVariant *dict)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, dict);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
        json_object_set_string_member (object, key, g_variant_get_string (value, NULL));
      else if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
        json_object_set_int_member (object, key, g_variant_get_uint32 (value));
      else if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE) &&
               isfinite (g_variant_get_double (value)))
        json_object_set_double_member (object, key, g_variant_get_double (value));
    }
}

void
atl_image_recipe_add (AtlPicture *picture, GVariant *settings, GVariant *facts)
{
  g_autofree char *parameters = a1111_text (picture, settings, facts);
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *model = atl_dict_string (facts, ATL_INFO_NAME, "");
  g_autofree char *json = NULL;

  json_object_set_int_member (object, "recipe", RECIPE_VERSION);
  json_object_set_string_member (object, "version", ATL_VERSION);
  add_members (object, settings);
  add_members (object, facts);
  json_object_set_string_member (object, "model", model);
  json_object_remove_member (object, ATL_INFO_NAME);
  /* The same recipe gives the same file. */
  json_object_remove_member (object, ATL_MADE_SECONDS);
  json_object_remove_member (object, ATL_INFO_RUNS_ON);
  json_object_set_int_member (object, ATL_MADE_WIDTH, picture->width);
  json_object_set_int_member (object, ATL_MADE_HEIGHT, picture->height);
  json = json_to_string (root, FALSE);
  atl_picture_set_text (picture, "parameters", parameters);
  atl_picture_set_text (picture, "atelier", json);
}
