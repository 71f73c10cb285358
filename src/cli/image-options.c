/* From the words of a command line to what a picture is made of. */
#define G_LOG_DOMAIN "atl-cli"

#include "cli/image-options.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "atelier-config.h"
#include "cli/options.h"
#include "media/recipe.h"
#include "media/sampler-names.h"

#define MIN_SIDE 8u
#define UNSAID G_MININT /* of whole numbers */
#define MAX_COUNT 1000
#define MAX_STEPS 1000
#define MAX_UPSCALE 8.0
#define DEFAULT_FASTER 2

/* "DPM++ 2M Karras" is a sampler and its schedule. */
static gboolean
check_sampler (AtlImageOptions *self, GError **error)
{
  g_autofree char *text = g_steal_pointer (&self->sampler);
  g_autofree char *schedule = NULL;
  g_autofree char *known = NULL;

  if (text != NULL)
    atl_sampler_split (text, &self->sampler, &schedule);
  if (self->schedule == NULL)
    self->schedule = g_steal_pointer (&schedule);
  if (self->schedule != NULL && atl_schedule_find (self->schedule) == NULL)
    {
      guint n;
      const AtlScheduleName *names = atl_schedule_names (&n);
      GString *list = g_string_new (names[0].name);

      for (guint i = 1; i < n; i++)
        g_string_append_printf (list, ", %s", names[i].name);
      known = g_string_free (list, FALSE);
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("--schedule: “%s” is not known. There are: %s"), self->schedule, known);
      return FALSE;
    }
  if (self->sampler == NULL || atl_sampler_class (self->sampler) != NULL ||
      g_str_has_suffix (self->sampler, "Scheduler"))
    return TRUE;
  known = atl_sampler_list ();
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("--sampler: “%s” is not known. There are: %s"), self->sampler, known);
  return FALSE;
}

static gboolean
parse_number (
    const char *text, const char *option, double low, double high, double *value, GError **error)
{
  char *end = NULL;

  *value = NAN;
  if (text == NULL)
    return TRUE;
  *value = g_ascii_strtod (text, &end);
  if (end != text && *end == '\0' && isfinite (*value) && *value >= low && *value <= high)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s: “%s” is no number from %g to %g"),
               option, text, low, high);
  return FALSE;
}

static gboolean
check_whole (int value, const char *option, int low, int high, GError **error)
{
  return value == UNSAID || atl_cli_options_check (option, value, low, high, error);
}

/* What the terminal's encoding cannot say would be drawn as question marks: a picture takes too
 * long for that to be found out from it. */
static gboolean
read_words (const char *option, char **text, GError **error)
{
  char *valid;

  if (*text == NULL || g_utf8_validate (*text, -1, NULL))
    return TRUE;
  valid = g_locale_to_utf8 (*text, -1, NULL, NULL, NULL);
  if (valid == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("%s: these bytes are no text in UTF-8, nor in the terminal’s encoding"),
                   option);
      return FALSE;
    }
  g_free (*text);
  *text = valid;
  return TRUE;
}

/* Chance's where none is said. */
static gboolean
parse_seed (AtlImageOptions *self, GError **error)
{
  guint64 seed = g_random_int ();

  self->has_seed = self->seed != NULL;
  if (self->has_seed && !g_ascii_string_to_unsigned (self->seed, 10, 0, G_MAXUINT32, &seed, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("--seed: “%s” is no whole number from 0 to %u"), self->seed, G_MAXUINT32);
      return FALSE;
    }
  self->first_seed = (guint32) seed;
  return TRUE;
}

/* "768x512", "768×512" or "768". */
static gboolean
parse_size (AtlImageOptions *self, GError **error)
{
  guint64 width, height;
  char *end;

  if (self->size == NULL)
    return TRUE;
  width = height = g_ascii_strtoull (self->size, &end, 10);
  if (end != self->size && (*end == 'x' || g_str_has_prefix (end, "×")))
    {
      const char *second = end + (*end == 'x' ? 1 : strlen ("×"));

      height = g_ascii_isdigit (*second) ? g_ascii_strtoull (second, &end, 10) : 0;
    }
  if (!g_ascii_isdigit (*self->size) || *end != '\0' || MIN (width, height) < MIN_SIDE ||
      MAX (width, height) > ATL_MAX_PICTURE_SIDE)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("--size: “%s” is no size such as 768x512, with %u to %u pixels a side"),
                   self->size, MIN_SIDE, ATL_MAX_PICTURE_SIDE);
      return FALSE;
    }
  self->width = (guint) width;
  self->height = (guint) height;
  return TRUE;
}

/* A folder that is there, or a file whose ending says its format. */
static gboolean
parse_out (AtlImageOptions *self, GError **error)
{
  static const struct
  {
    const char *ending;
    AtlPictureFormat format;
  } formats[] = { { "png", ATL_PICTURE_PNG },
                  { "jpg", ATL_PICTURE_JPEG },
                  { "jpeg", ATL_PICTURE_JPEG },
                  { "webp", ATL_PICTURE_WEBP } };
  g_autofree char *base = NULL;
  const char *dot;

  if (self->out == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                   _ ("--out is missing: a file such as fox.png, or a folder"));
      return FALSE;
    }
  if (g_file_test (self->out, G_FILE_TEST_IS_DIR))
    {
      self->folder = g_strdup (self->out);
      self->ending = g_strdup ("png");
      return TRUE;
    }
  base = g_path_get_basename (self->out);
  self->folder = g_path_get_dirname (self->out);
  dot = strrchr (base, '.');
  for (gsize i = 0; dot != NULL && dot != base && i < G_N_ELEMENTS (formats); i++)
    if (g_ascii_strcasecmp (dot + 1, formats[i].ending) == 0)
      {
        self->format = formats[i].format;
        self->ending = g_strdup (dot + 1);
        self->stem = g_strndup (base, (gsize) (dot - base));
      }
  if (self->ending == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("--out: “%s” is no folder, and ends in none of .png, .jpg and .webp"),
                 self->out);
  else if (!g_file_test (self->folder, G_FILE_TEST_IS_DIR))
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("--out: the folder “%s” is not there"),
                 self->folder);
  else
    return TRUE;
  return FALSE;
}

/* "MODEL:FACTOR"; without a number behind the last colon all of it is the model. */
static gboolean
parse_upscaler (AtlImageOptions *self, GError **error)
{
  g_autofree char *path = NULL;

  if (self->upscaler == NULL)
    return TRUE;
  path = atl_adapter_parse (self->upscaler, &self->upscale_factor);
  if (g_str_equal (path, self->upscaler))
    self->upscale_factor = 0;
  else if (!(self->upscale_factor >= 1 && self->upscale_factor <= MAX_UPSCALE))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s: “%s” is no number from %g to %g"),
                   "--upscale", self->upscaler, 1.0, MAX_UPSCALE);
      return FALSE;
    }
  g_free (self->upscaler);
  self->upscaler = g_steal_pointer (&path);
  return TRUE;
}

/* "--faster", "--faster=2", "--faster=taylor", "--faster=taylor:3". */
static gboolean
faster_cb (const char *option, const char *text, gpointer data, GError **error)
{
  AtlImageOptions *self = data;
  const char *number = text != NULL ? strrchr (text, ':') : NULL;

  self->faster = DEFAULT_FASTER;
  g_clear_pointer (&self->method, g_free);
  if (text == NULL)
    return TRUE;
  if (number == NULL && g_ascii_isalpha (*text))
    {
      self->method = g_ascii_strdown (text, -1);
      return TRUE;
    }
  if (number != NULL)
    self->method = g_ascii_strdown (text, number - text);
  number = number != NULL ? number + 1 : text;
  self->faster = *number >= '0' && *number <= '3' && number[1] == '\0' ? *number - '0' : -1;
  if (self->faster >= 0)
    return TRUE;
  g_set_error (
      error, ATL_ERROR, ATL_ERROR_INVALID,
      _ ("--faster: “%s” is no number from 0 to 3, and no method such as taylor or taylor:3"),
      text);
  return FALSE;
}

static gboolean
check (AtlImageOptions *self, int argc, char **argv, GError **error)
{
  if (argc > 1)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("“%s” is not expected here; words of a prompt belong into --prompt \"…\""),
                 argv[1]);
  else if (self->model == NULL && (self->upscaler == NULL || self->image == NULL))
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("--model is missing: a folder or file with a model that makes pictures"));
  else if (self->prompt == NULL && self->model != NULL && self->like == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("--prompt is missing: what is to be seen"));
  else if (self->image == NULL && (self->mask != NULL || self->strength != NULL))
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("--mask and --strength need a picture to begin with: --image"));
  else if (self->weighting != NULL && !g_str_equal (self->weighting, "a1111") &&
           !g_str_equal (self->weighting, "comfyui") && !g_str_equal (self->weighting, "plain"))
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("--weighting: “%s” is none of a1111, comfyui and plain"), self->weighting);
  else if (check_whole (self->steps, "--steps", 1, MAX_STEPS, error) &&
           check_whole (self->count, "--count", 1, MAX_COUNT, error) &&
           check_whole (self->threads, "--threads", 0, ATL_CLI_MAX_THREADS, error) &&
           read_words ("--prompt", &self->prompt, error) &&
           read_words ("--negative", &self->negative, error) && parse_size (self, error) &&
           parse_out (self, error) && check_sampler (self, error) &&
           parse_number (self->guidance, "--guidance", 0, 1000, &self->guidance_value, error) &&
           parse_number (self->strength, "--strength", 0, 1, &self->strength_value, error) &&
           parse_seed (self, error) && parse_upscaler (self, error))
    {
      self->count = MAX (self->count, 1);
      return TRUE;
    }
  return FALSE;
}

gboolean
atl_image_options_parse (AtlImageOptions *self, int *argc, char ***argv, GError **error)
{
  static const AtlLoadOptions load_defaults = ATL_LOAD_OPTIONS_INIT;
  /* Words are taken as bytes: GLib would refuse what the locale cannot hold. */
  const GOptionEntry entries[] = {
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &self->model,
      N_ ("A folder or file with a model that makes pictures"), "PATH" },
    { "prompt", 'p', 0, G_OPTION_ARG_FILENAME, &self->prompt, N_ ("What is to be seen"), "TEXT" },
    { "negative", 'n', 0, G_OPTION_ARG_FILENAME, &self->negative,
      N_ ("What is not to be seen, where the model can"), "TEXT" },
    { "out", 'o', 0, G_OPTION_ARG_FILENAME, &self->out,
      N_ ("File (.png, .jpg, .webp) or folder; nothing is overwritten"), "PATH" },
    { "size", 's', 0, G_OPTION_ARG_STRING, &self->size, N_ ("Width and height in pixels"), "WxH" },
    { "steps", 0, 0, G_OPTION_ARG_INT, &self->steps, N_ ("Steps of drawing"), "N" },
    { "guidance", 0, 0, G_OPTION_ARG_STRING, &self->guidance,
      N_ ("How closely to follow the prompt"), "G" },
    { "seed", 0, 0, G_OPTION_ARG_STRING, &self->seed,
      N_ ("The same seed makes the same picture; later ones count on from it"), "N" },
    { "count", 0, 0, G_OPTION_ARG_INT, &self->count, N_ ("How many pictures"), "N" },
    { "sampler", 0, 0, G_OPTION_ARG_STRING, &self->sampler,
      N_ ("How noise is taken away, such as \"euler a\" or \"dpm++ 2m\""), "NAME" },
    { "schedule", 0, 0, G_OPTION_ARG_STRING, &self->schedule,
      N_ ("How its steps are spaced, such as \"karras\""), "NAME" },
    { "faster", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, faster_cb,
      N_ ("Leave out steps whose result can be foretold: 0 (none) to 3, or how"), "N|METHOD[:N]" },
    { "weighting", 0, 0, G_OPTION_ARG_STRING, &self->weighting,
      N_ ("How (word:1.3) is read: a1111, comfyui or plain"), "RULE" },
    { "image", 'i', 0, G_OPTION_ARG_FILENAME, &self->image, N_ ("A picture to begin with"),
      "FILE" },
    { "strength", 0, 0, G_OPTION_ARG_STRING, &self->strength,
      N_ ("How much of it may change, 0 to 1"), "X" },
    { "mask", 0, 0, G_OPTION_ARG_FILENAME, &self->mask, N_ ("White where it may change"), "FILE" },
    { "reference", 'r', 0, G_OPTION_ARG_FILENAME_ARRAY, &self->references,
      N_ ("A picture to follow, for models that edit; may be given several times"), "FILE" },
    { "like", 0, 0, G_OPTION_ARG_FILENAME, &self->like,
      N_ ("A picture whose recipe says what is not said here"), "FILE" },
    { "preview", 0, 0, G_OPTION_ARG_NONE, &self->shows_preview,
      N_ ("Draw on the terminal what can be seen so far"), NULL },
    { "upscale", 'u', 0, G_OPTION_ARG_FILENAME, &self->upscaler,
      N_ ("A model that enlarges the result, or without --model the --image, so many times"),
      "MODEL[:FACTOR]" },
    { "lora", 'l', 0, G_OPTION_ARG_FILENAME_ARRAY, &self->loras,
      N_ ("A LoRA to add, with its strength; may be given several times"), "FILE[:STRENGTH]" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &self->device, N_ ("auto, cpu or gpu"), "DEVICE" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &self->threads, N_ ("Threads of the CPU (default: all)"),
      "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  GOptionGroup *group = g_option_group_new ("main", NULL, NULL, self, NULL);

  self->load = load_defaults;
  self->faster = -1;
  self->steps = self->count = self->threads = UNSAID;
  g_option_context_set_translation_domain (context, ATL_GETTEXT_PACKAGE);
  g_option_context_set_summary (
      context, _ ("Makes pictures from a prompt. Prints the path of each on standard output."));
  g_option_group_add_entries (group, entries);
  g_option_group_set_translation_domain (group, ATL_GETTEXT_PACKAGE);
  g_option_context_set_main_group (context, group);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  self->load.n_threads = (guint) MAX (self->threads, 0);
  self->load.device = self->device;
  /* A person who types the command insists. */
  self->load.insist = TRUE;
  return check (self, *argc, *argv, error);
}

void
atl_image_options_clear (AtlImageOptions *self)
{
  char **const strings[] = { &self->model,    &self->prompt,   &self->negative, &self->size,
                             &self->guidance, &self->seed,     &self->sampler,  &self->weighting,
                             &self->image,    &self->mask,     &self->strength, &self->out,
                             &self->folder,   &self->stem,     &self->ending,   &self->device,
                             &self->schedule, &self->upscaler, &self->like,     &self->method };

  for (gsize i = 0; i < G_N_ELEMENTS (strings); i++)
    g_clear_pointer (strings[i], g_free);
  g_clear_pointer (&self->loras, g_strfreev);
  g_clear_pointer (&self->references, g_strfreev);
}

static void
insert_text (GVariantDict *dict, const char *key, const char *text)
{
  if (text != NULL)
    g_variant_dict_insert (dict, key, "s", text);
}

/* Of a recipe what the engine takes; where it came from, and its size on the disk, is no setting.
 */
static void
insert_recipe (GVariantDict *dict, GVariant *recipe)
{
  static const char *const keys[] = { ATL_MADE_PROMPT,
                                      ATL_MADE_NEGATIVE,
                                      ATL_MADE_STEPS,
                                      ATL_MADE_GUIDANCE,
                                      ATL_MADE_SEED,
                                      ATL_MADE_STRENGTH,
                                      ATL_MADE_SAMPLER,
                                      ATL_MADE_CLASS,
                                      ATL_MADE_WEIGHTING,
                                      ATL_MADE_SCHEDULE,
                                      "clip_skip",
                                      "guidance_rescale",
                                      "shift",
                                      "eta",
                                      "guidance_2",
                                      ATL_MADE_FASTER,
                                      ATL_MADE_METHOD };
  guint width, height;

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GVariant) value = g_variant_lookup_value (recipe, keys[i], NULL);

      if (value != NULL)
        g_variant_dict_insert_value (dict, keys[i], value);
    }
  atl_recipe_drawn_size (recipe, &width, &height);
  if (width > 0 && height > 0)
    {
      g_variant_dict_insert (dict, ATL_MADE_WIDTH, "u", width);
      g_variant_dict_insert (dict, ATL_MADE_HEIGHT, "u", height);
    }
}

GVariant *
atl_image_options_settings (const AtlImageOptions *self, GVariant *recipe, guint index)
{
  guint32 first = self->first_seed;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  if (recipe != NULL)
    {
      insert_recipe (&dict, recipe);
      if (!self->has_seed)
        first = atl_dict_uint (recipe, ATL_MADE_SEED, first);
      if (self->sampler != NULL)
        {
          g_variant_dict_remove (&dict, ATL_MADE_CLASS);
          g_variant_dict_remove (&dict, ATL_MADE_SCHEDULE);
        }
    }
  insert_text (&dict, ATL_MADE_PROMPT, self->prompt);
  insert_text (&dict, ATL_MADE_NEGATIVE, self->negative);
  g_variant_dict_insert (&dict, ATL_MADE_SEED, "u", first + index);
  if (self->width > 0)
    {
      g_variant_dict_insert (&dict, ATL_MADE_WIDTH, "u", self->width);
      g_variant_dict_insert (&dict, ATL_MADE_HEIGHT, "u", self->height);
    }
  if (self->steps > 0)
    g_variant_dict_insert (&dict, ATL_MADE_STEPS, "u", (guint) self->steps);
  if (!isnan (self->guidance_value))
    g_variant_dict_insert (&dict, ATL_MADE_GUIDANCE, "d", self->guidance_value);
  if (!isnan (self->strength_value))
    g_variant_dict_insert (&dict, ATL_MADE_STRENGTH, "d", self->strength_value);
  if (self->faster >= 0)
    {
      g_variant_dict_insert (&dict, ATL_MADE_FASTER, "u", (guint) self->faster);
      g_variant_dict_remove (&dict, ATL_MADE_METHOD);
      insert_text (&dict, ATL_MADE_METHOD, self->method);
    }
  insert_text (&dict, ATL_MADE_SAMPLER, self->sampler);
  insert_text (&dict, ATL_MADE_SCHEDULE, self->schedule);
  insert_text (&dict, ATL_MADE_WEIGHTING, self->weighting);
  return g_variant_dict_end (&dict);
}
