/* Recipes as dictionaries and text; and who wrote what is in a file. */
#define G_LOG_DOMAIN "atl-media"

#include "media/recipe.h"

#include <math.h>
#include <string.h>

#include "atelier-config.h"
#include "media/recipe-private.h"
#include "media/sampler-names.h"

/* --- Joining --- */

static void
add_all (GVariantDict *dict, GVariant *more)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  if (more == NULL)
    return;
  g_variant_iter_init (&iter, more);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    g_variant_dict_insert_value (dict, key, value);
}

GVariant *
atl_recipe_join (GVariant *settings, GVariant *facts, guint width, guint height)
{
  GVariantDict dict;
  g_autofree char *name = NULL;
  const char *schedule;

  g_variant_dict_init (&dict, NULL);
  add_all (&dict, settings);
  add_all (&dict, facts);
  /* The engine calls it so, where nothing else has a name. */
  if (g_variant_dict_lookup (&dict, "name", "s", &name))
    g_variant_dict_insert (&dict, ATL_RECIPE_MODEL, "s", name);
  g_variant_dict_remove (&dict, "name");
  if (g_variant_dict_lookup (&dict, "schedule", "&s", &schedule) && *schedule == '\0')
    g_variant_dict_remove (&dict, "schedule");
  /* The same recipe gives the same file. */
  g_variant_dict_remove (&dict, "seconds");
  g_variant_dict_remove (&dict, "runs-on");
  g_variant_dict_remove (&dict, "work");
  g_variant_dict_remove (&dict, "notice");
  g_variant_dict_insert (&dict, "width", "u", width);
  g_variant_dict_insert (&dict, "height", "u", height);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

GVariant *
atl_recipe_enlarged (GVariant *recipe, GVariant *facts, guint width, guint height)
{
  GVariantDict dict;
  double before = 1, factor = 1;
  const char *name;

  g_variant_dict_init (&dict, recipe);
  if (g_variant_lookup (recipe, "upscaler", "&s", &name))
    g_variant_lookup (recipe, "factor", "d", &before);
  g_variant_lookup (facts, "factor", "d", &factor);
  g_variant_dict_insert (&dict, "upscaler", "s",
                         g_variant_lookup (facts, "name", "&s", &name) ? name : "");
  g_variant_dict_insert (&dict, "factor", "d", before * factor);
  g_variant_dict_insert (&dict, "width", "u", width);
  g_variant_dict_insert (&dict, "height", "u", height);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* By how much it was enlarged, and (out) by what; 1 where it was not. */
static double
factor_of (GVariant *recipe, const char **upscaler)
{
  double factor = 1;

  if (!g_variant_lookup (recipe, "upscaler", "&s", upscaler) || **upscaler == '\0' ||
      !g_variant_lookup (recipe, "factor", "d", &factor) || !(factor > 1))
    return 1;
  return factor;
}

static guint
drawn_side (GVariant *recipe, const char *member, double factor)
{
  guint32 side = 0;

  g_variant_lookup (recipe, member, "u", &side);
  return (guint) round (side / factor);
}

void
atl_recipe_drawn_size (GVariant *recipe, guint *width, guint *height)
{
  const char *upscaler;
  double factor = factor_of (recipe, &upscaler);

  *width = drawn_side (recipe, "width", factor);
  *height = drawn_side (recipe, "height", factor);
}

/* --- A1111's text --- */

static void
append_value (GString *text, const char *value)
{
  if (strpbrk (value, ",:\n\"") == NULL)
    g_string_append (text, value);
  else
    {
      g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), value);
      g_autofree char *quoted = atl_json_write (node);

      g_string_append (text, quoted);
    }
}

static void
append_pair (GString *text, const char *key, const char *value)
{
  if (text->len > 0 && text->str[text->len - 1] != '\n')
    g_string_append (text, ", ");
  g_string_append_printf (text, "%s: ", key);
  append_value (text, value);
}

static void
append_number (GString *text, const char *key, GVariant *recipe, const char *member)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];
  double number;
  guint32 whole;

  if (g_variant_lookup (recipe, member, "u", &whole))
    {
      g_snprintf (buffer, sizeof buffer, "%u", whole);
      append_pair (text, key, buffer);
    }
  else if (g_variant_lookup (recipe, member, "d", &number) && isfinite (number))
    append_pair (text, key, g_ascii_formatd (buffer, sizeof buffer, "%.6g", number));
}

/* Its programs name the size that was drawn, and by how much it was enlarged afterwards. */
static void
append_size (GString *text, GVariant *recipe)
{
  guint width, height;
  const char *upscaler;
  char size[32];

  atl_recipe_drawn_size (recipe, &width, &height);
  if (width == 0 || height == 0)
    return;
  g_snprintf (size, sizeof size, "%ux%u", width, height);
  append_pair (text, "Size", size);
  if (factor_of (recipe, &upscaler) == 1)
    return;
  append_number (text, "Hires upscale", recipe, "factor");
  append_pair (text, "Hires upscaler", upscaler);
}

static void
append_loras (GString *text, GVariant *recipe)
{
  g_autoptr (GVariant) loras =
      g_variant_lookup_value (recipe, ATL_RECIPE_LORAS, G_VARIANT_TYPE ("aa{sv}"));

  for (gsize i = 0; loras != NULL && i < g_variant_n_children (loras); i++)
    {
      g_autoptr (GVariant) lora = g_variant_get_child_value (loras, i);
      char number[G_ASCII_DTOSTR_BUF_SIZE];
      const char *name;
      double weight = 1;

      if (!g_variant_lookup (lora, "name", "&s", &name) || strpbrk (name, "<>:") != NULL)
        continue;
      g_variant_lookup (lora, "weight", "d", &weight);
      g_string_append_printf (text, "%s<lora:%s:%s>", text->len > 0 ? " " : "", name,
                              g_ascii_formatd (number, sizeof number, "%.6g", weight));
    }
}

static void
append_others (GString *text, GVariant *recipe)
{
  g_autoptr (GVariant) other =
      g_variant_lookup_value (recipe, ATL_RECIPE_OTHER, G_VARIANT_TYPE ("a{ss}"));
  GVariantIter iter;
  const char *key, *value;

  if (other == NULL)
    return;
  g_variant_iter_init (&iter, other);
  while (g_variant_iter_loop (&iter, "{&s&s}", &key, &value))
    if (strpbrk (key, ":,\n\"") == NULL && !g_str_equal (key, "Version"))
      append_pair (text, key, value);
}

char *
atl_recipe_to_text (GVariant *recipe)
{
  GString *text = g_string_new (NULL);
  const char *words;

  g_return_val_if_fail (g_variant_is_of_type (recipe, G_VARIANT_TYPE_VARDICT), NULL);
  if (g_variant_lookup (recipe, "prompt", "&s", &words))
    g_string_append (text, words);
  append_loras (text, recipe);
  if (g_variant_lookup (recipe, "negative_prompt", "&s", &words) && *words != '\0')
    g_string_append_printf (text, "\nNegative prompt: %s", words);
  g_string_append_c (text, '\n');
  append_number (text, "Steps", recipe, "steps");
  if (g_variant_lookup (recipe, "sampler", "&s", &words) && *words != '\0')
    append_pair (text, "Sampler", words);
  else if (g_variant_lookup (recipe, "scheduler", "&s", &words) && *words != '\0')
    append_pair (text, "Sampler", atl_sampler_words (words));
  if (g_variant_lookup (recipe, "schedule", "&s", &words) && *words != '\0')
    append_pair (text, "Schedule type", words);
  append_number (text, "CFG scale", recipe, "guidance");
  append_number (text, "Seed", recipe, "seed");
  append_size (text, recipe);
  if (g_variant_lookup (recipe, ATL_RECIPE_MODEL_HASH, "&s", &words))
    append_pair (text, "Model hash", words);
  if (g_variant_lookup (recipe, ATL_RECIPE_MODEL, "&s", &words))
    append_pair (text, "Model", words);
  append_number (text, "Denoising strength", recipe, "strength");
  append_number (text, "Clip skip", recipe, ATL_RECIPE_CLIP_SKIP);
  append_others (text, recipe);
  append_pair (text, "Version", "Atelier " ATL_VERSION);
  return g_string_free (text, FALSE);
}

/* --- Files --- */

GVariant *
atl_recipe_from_text (const char *text)
{
  typedef GVariant *(*Reader) (JsonObject * root);
  static const Reader readers[] = { atl_recipe_swarm,       atl_recipe_fooocus,
                                    atl_recipe_invoke,      atl_recipe_draw_things,
                                    atl_recipe_comfy_graph, atl_recipe_comfy_drawing };
  g_autoptr (JsonNode) node = NULL;
  GVariant *recipe = NULL;
  JsonObject *root;

  if (strlen (text) > ATL_PICTURE_MAX_TEXT)
    return NULL;
  while (g_ascii_isspace (*text))
    text++;
  node = *text == '{' ? atl_recipe_parse (text) : NULL;
  if (node == NULL)
    return atl_recipe_a1111 (text);
  root = json_node_get_object (node);
  if (json_object_has_member (root, ATL_RECIPE_MARK))
    return atl_recipe_from_json (text);
  for (gsize i = 0; recipe == NULL && i < G_N_ELEMENTS (readers); i++)
    recipe = readers[i](root);
  return recipe;
}

void
atl_recipe_write (AtlPicture *picture, GVariant *recipe)
{
  g_autofree char *text = atl_recipe_to_text (recipe);
  g_autofree char *json = atl_recipe_to_json (recipe);

  atl_picture_set_text (picture, "parameters", text);
  atl_picture_set_text (picture, "atelier", json);
}

/* NovelAI's, whose prompt may stand beside it. */
static GVariant *
read_novelai (const AtlPicture *picture)
{
  const char *text = atl_picture_text (picture, "Comment");
  g_autoptr (JsonNode) node = text != NULL && *text == '{' && strlen (text) <= ATL_PICTURE_MAX_TEXT
                                  ? atl_recipe_parse (text)
                                  : NULL;

  return node != NULL ? atl_recipe_novelai (json_node_get_object (node),
                                            atl_picture_text (picture, "Description"))
                      : NULL;
}

GVariant *
atl_recipe_read (const AtlPicture *picture)
{
  /* The best first: ours, then what is meant for reading, then graphs, then what other formats
   * call a comment. ComfyUI puts its graphs into EXIF fields that are for something else. */
  static const char *const keys[] = { "atelier",     "parameters", "invokeai_metadata",
                                      "sd-metadata", "prompt",     "workflow",
                                      "UserComment", "Make",       "ImageDescription",
                                      "Model",       "comment",    "Comment" };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const char *text = atl_picture_text (picture, keys[i]);
      GVariant *recipe;

      if (text == NULL)
        continue;
      /* "prompt:{…}", "Workflow:{…}" */
      if (i >= 6 && g_ascii_strncasecmp (text, "prompt:", 7) == 0)
        text += 7;
      else if (i >= 6 && g_ascii_strncasecmp (text, "workflow:", 9) == 0)
        text += 9;
      recipe = atl_recipe_from_text (text);
      if (recipe != NULL)
        return recipe;
    }
  return read_novelai (picture);
}
