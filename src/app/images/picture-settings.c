/* Settings as plain data, to the engine, and from recipes. */
#include "app/images/picture-settings.h"

#include <math.h>

#include "app/images/picture-shapes.h"
#include "app/words.h"
#include "media/recipe.h"

/* Of a model about which nothing is known. */
#define FALLBACK_SIDE 512u
#define FALLBACK_MULTIPLE 8u
#define FALLBACK_STEPS 20u
#define FALLBACK_GUIDANCE 7.0
/* Of models with two networks: the knob for the second. */
#define SECOND_GUIDANCE "guidance_2"

AtlPictureLora *
atl_picture_lora_new (const char *path, double strength)
{
  AtlPictureLora *lora = g_new0 (AtlPictureLora, 1);

  lora->path = g_strdup (path);
  lora->strength = strength;
  lora->guidance = lora->guidance_before = -1;
  return lora;
}

void
atl_picture_lora_free (AtlPictureLora *lora)
{
  if (lora == NULL)
    return;
  g_free (lora->path);
  g_free (lora->sampler);
  g_free (lora->sampler_before);
  g_free (lora->schedule);
  g_free (lora->schedule_before);
  g_free (lora);
}

AtlPictureSettings *
atl_picture_settings_new (void)
{
  AtlPictureSettings *self = g_new0 (AtlPictureSettings, 1);

  self->prompt = g_strdup ("");
  self->negative = g_strdup ("");
  self->sampler = g_strdup ("");
  self->schedule = g_strdup ("");
  self->shape = g_strdup ("1:1");
  self->knobs =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
  self->quality = ATL_QUALITY_BALANCED;
  self->count = 1;
  self->guidance = -1;
  self->strength = ATL_DEFAULT_STRENGTH;
  self->references = g_ptr_array_new_with_free_func (g_free);
  self->loras = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_picture_lora_free);
  return self;
}

static gpointer
copy_string (gconstpointer string, gpointer data)
{
  return g_strdup (string);
}

static gpointer
copy_lora (gconstpointer lora, gpointer data)
{
  const AtlPictureLora *from = lora;
  AtlPictureLora *copy = g_memdup2 (from, sizeof *from);

  copy->path = g_strdup (from->path);
  copy->sampler = g_strdup (from->sampler);
  copy->sampler_before = g_strdup (from->sampler_before);
  copy->schedule = g_strdup (from->schedule);
  copy->schedule_before = g_strdup (from->schedule_before);
  return copy;
}

AtlPictureSettings *
atl_picture_settings_copy (const AtlPictureSettings *self)
{
  AtlPictureSettings *copy = g_memdup2 (self, sizeof *self);
  GHashTableIter iter;
  gpointer name, value;

  copy->prompt = g_strdup (self->prompt);
  copy->negative = g_strdup (self->negative);
  copy->sampler = g_strdup (self->sampler);
  copy->schedule = g_strdup (self->schedule);
  copy->shape = g_strdup (self->shape);
  copy->knobs =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
  g_hash_table_iter_init (&iter, self->knobs);
  while (g_hash_table_iter_next (&iter, &name, &value))
    g_hash_table_insert (copy->knobs, g_strdup (name), g_variant_ref (value));
  copy->start = g_strdup (self->start);
  copy->mask = self->mask != NULL ? g_bytes_ref (self->mask) : NULL;
  copy->references = g_ptr_array_copy (self->references, (GCopyFunc) (void *) copy_string, NULL);
  g_ptr_array_set_free_func (copy->references, g_free);
  copy->loras = g_ptr_array_copy (self->loras, (GCopyFunc) (void *) copy_lora, NULL);
  g_ptr_array_set_free_func (copy->loras, (GDestroyNotify) atl_picture_lora_free);
  return copy;
}

void
atl_picture_settings_free (AtlPictureSettings *self)
{
  if (self == NULL)
    return;
  g_free (self->prompt);
  g_free (self->negative);
  g_free (self->sampler);
  g_free (self->schedule);
  g_free (self->shape);
  g_hash_table_unref (self->knobs);
  g_free (self->start);
  g_clear_pointer (&self->mask, g_bytes_unref);
  g_ptr_array_unref (self->references);
  g_ptr_array_unref (self->loras);
  g_free (self);
}

/* --- LoRAs --- */

/* `*field` becomes `value`; what it was is kept. Empty: nothing is said. */
static void
set_words (char **field, const char *value, char **set, char **before)
{
  if (*value == '\0')
    return;
  *set = g_strdup (value);
  *before = *field;
  *field = g_strdup (value);
}

void
atl_picture_settings_add_lora (AtlPictureSettings *self,
                               const char *path,
                               const AtlModelInfo *info,
                               const AtlModelInfo *model)
{
  /* With this model, where the file itself does not say for which it is. */
  g_autoptr (GVariant) own = info->few_steps != NULL && model != NULL
                                 ? atl_dict_lookup (info->few_steps, model->family, "a{sv}")
                                 : NULL;
  AtlPictureLora *lora =
      atl_picture_lora_new (path, atl_dict_double (own, ATL_INFO_STRENGTH, info->strength));
  g_autofree char *sampler = atl_dict_string (own, ATL_INFO_SAMPLER, info->sampler);
  g_autofree char *schedule = atl_dict_string (own, ATL_INFO_SCHEDULE, info->schedule);
  double guidance = atl_dict_double (own, ATL_INFO_GUIDANCE, info->guidance);

  if (info->steps > 0)
    {
      lora->steps = MIN (info->steps, ATL_MAX_PICTURE_STEPS);
      lora->steps_before = self->steps;
      self->steps = lora->steps;
    }
  if (info->steps > 0 && model != NULL &&
      g_strv_contains ((const char *const *) model->samplers, sampler))
    {
      set_words (&self->sampler, sampler, &lora->sampler, &lora->sampler_before);
      set_words (&self->schedule, schedule, &lora->schedule, &lora->schedule_before);
    }
  if (info->steps > 0 && guidance >= 0)
    {
      lora->guidance = MIN (guidance, ATL_MAX_GUIDANCE);
      lora->guidance_before = self->guidance;
      self->guidance = lora->guidance;
    }
  g_ptr_array_add (self->loras, lora);
}

/* Whether a word ends or begins between the letters before and after. */
static gboolean
is_edge (const char *text, const char *at)
{
  return at == text || *at == '\0' || !g_unichar_isalnum (g_utf8_get_char (at)) ||
         !g_unichar_isalnum (g_utf8_get_char (g_utf8_prev_char (at)));
}

static gboolean
says (const char *prompt, const char *words)
{
  g_autofree char *text = g_utf8_casefold (prompt, -1);
  g_autofree char *sought = g_utf8_casefold (words, -1);

  for (const char *at = strstr (text, sought); at != NULL;
       at = strstr (g_utf8_next_char (at), sought))
    if (is_edge (text, at) && is_edge (text, at + strlen (sought)))
      return TRUE;
  return FALSE;
}

char *
atl_picture_prompt_with (const char *prompt, const char *words)
{
  g_autofree char *text = g_strchomp (g_strdup (prompt));
  gsize n = strlen (prompt);

  if (*words == '\0' || says (prompt, words))
    return NULL;
  if (*text == '\0')
    return g_strdup (words);
  if (g_str_has_suffix (text, ","))
    return g_strconcat (g_ascii_isspace (prompt[n - 1]) ? "" : " ", words, NULL);
  return g_strconcat (", ", words, NULL);
}

/* Where a later one found what `lora` had set, that one now found what was there before. */
static void
give_back_steps (AtlPictureSettings *self, const AtlPictureLora *lora, guint at)
{
  guint *found = &self->steps;

  for (guint i = self->loras->len - 1; i > at; i--)
    {
      AtlPictureLora *later = self->loras->pdata[i];

      if (later->steps > 0)
        found = &later->steps_before;
    }
  if (lora->steps > 0 && *found == lora->steps)
    *found = lora->steps_before;
}

static void
give_back_guidance (AtlPictureSettings *self, const AtlPictureLora *lora, guint at)
{
  double *found = &self->guidance;

  for (guint i = self->loras->len - 1; i > at; i--)
    {
      AtlPictureLora *later = self->loras->pdata[i];

      if (later->guidance >= 0)
        found = &later->guidance_before;
    }
  if (lora->guidance >= 0 && fabs (*found - lora->guidance) < 1e-6)
    *found = lora->guidance_before;
}

/* The same of words; `set` and `before` are where a LoRA keeps them. */
static void
give_back_words (AtlPictureSettings *self, guint at, char **field, gsize set, gsize before)
{
  char **found = field;
  const char *was_set = G_STRUCT_MEMBER (char *, self->loras->pdata[at], set);

  for (guint i = self->loras->len - 1; i > at; i--)
    if (G_STRUCT_MEMBER (char *, self->loras->pdata[i], set) != NULL)
      found = &G_STRUCT_MEMBER (char *, self->loras->pdata[i], before);
  if (was_set != NULL && g_strcmp0 (*found, was_set) == 0)
    {
      g_free (*found);
      *found = g_strdup (G_STRUCT_MEMBER (char *, self->loras->pdata[at], before));
    }
}

void
atl_picture_settings_remove_lora (AtlPictureSettings *self, AtlPictureLora *lora)
{
  guint at;

  if (!g_ptr_array_find (self->loras, lora, &at))
    return;
  give_back_steps (self, lora, at);
  give_back_guidance (self, lora, at);
  give_back_words (self, at, &self->sampler, G_STRUCT_OFFSET (AtlPictureLora, sampler),
                   G_STRUCT_OFFSET (AtlPictureLora, sampler_before));
  give_back_words (self, at, &self->schedule, G_STRUCT_OFFSET (AtlPictureLora, schedule),
                   G_STRUCT_OFFSET (AtlPictureLora, schedule_before));
  g_ptr_array_remove_index (self->loras, at);
}

/* --- For a model --- */

guint
atl_quality_steps (AtlQuality quality, guint recommended)
{
  static const double factors[] = { 0.6, 1, 1.75 };
  double steps = recommended * factors[CLAMP (quality, ATL_QUALITY_FAST, ATL_QUALITY_BEST)];

  return CLAMP ((guint) floor (steps + 0.5), 1, ATL_MAX_PICTURE_STEPS);
}

guint
atl_picture_settings_steps (const AtlPictureSettings *self, const AtlModelInfo *info)
{
  guint recommended = info != NULL && info->steps > 0 ? info->steps : FALLBACK_STEPS;

  return self->steps > 0 ? self->steps : atl_quality_steps (self->quality, recommended);
}

double
atl_picture_settings_guidance (const AtlPictureSettings *self, const AtlModelInfo *info)
{
  if (self->guidance >= 0)
    return self->guidance;
  return info != NULL ? info->guidance : FALLBACK_GUIDANCE;
}

gboolean
atl_picture_settings_uses_negative (const AtlPictureSettings *self, const AtlModelInfo *info)
{
  GVariant *second = NULL; /* borrowed */
  double guidance;

  if (info == NULL)
    return TRUE;
  if ((info->abilities & ATL_PICTURE_NEGATIVE) == 0)
    return FALSE;
  guidance = (info->abilities & ATL_PICTURE_GUIDANCE) != 0
                 ? atl_picture_settings_guidance (self, info)
                 : info->guidance;
  for (guint i = 0; i < info->n_knobs; i++)
    if (g_str_equal (info->knobs[i].name, SECOND_GUIDANCE))
      second = g_hash_table_lookup (self->knobs, SECOND_GUIDANCE);
  if (second != NULL && g_variant_is_of_type (second, G_VARIANT_TYPE_DOUBLE))
    guidance = MAX (guidance, g_variant_get_double (second));
  return guidance > info->no_guidance;
}

void
atl_picture_settings_size (const AtlPictureSettings *self,
                           const AtlModelInfo *info,
                           guint *width,
                           guint *height)
{
  guint side = info != NULL && info->side > 0 ? info->side : FALLBACK_SIDE;
  guint multiple = info != NULL && info->multiple > 0 ? info->multiple : FALLBACK_MULTIPLE;

  *width = *height = atl_picture_round_side (side, multiple);
  for (guint i = 0; info != NULL && i < info->n_sizes; i++)
    if (g_str_equal (info->sizes[i].shape, self->shape))
      {
        *width = info->sizes[i].width;
        *height = info->sizes[i].height;
      }
  if (*self->shape != '\0')
    return;
  *width = atl_picture_round_side (self->width > 0 ? self->width : side, multiple);
  *height = atl_picture_round_side (self->height > 0 ? self->height : side, multiple);
}

void
atl_picture_settings_fit (
    const AtlModelInfo *info, guint given_width, guint given_height, guint *width, guint *height)
{
  guint side = info != NULL && info->side > 0 ? info->side : FALLBACK_SIDE;
  guint multiple = info != NULL && info->multiple > 0 ? info->multiple : FALLBACK_MULTIPLE;
  double w = MAX (given_width, 1), h = MAX (given_height, 1);
  double scale = side / sqrt (w * h);

  *width = atl_picture_round_side (w * scale, multiple);
  *height = atl_picture_round_side (h * scale, multiple);
}

void
atl_picture_settings_extended (
    const AtlPictureSettings *self, guint given_width, guint given_height, guint *w, guint *h)
{
  *w = given_width + given_width * self->extend[0] / 100 + given_width * self->extend[2] / 100;
  *h = given_height + given_height * self->extend[1] / 100 + given_height * self->extend[3] / 100;
}

gboolean
atl_picture_settings_is_extended (const AtlPictureSettings *self)
{
  return self->start != NULL &&
         (self->extend[0] | self->extend[1] | self->extend[2] | self->extend[3]) != 0;
}

void
atl_picture_settings_clear_start (AtlPictureSettings *self)
{
  g_clear_pointer (&self->start, g_free);
  g_clear_pointer (&self->mask, g_bytes_unref);
  memset (self->extend, 0, sizeof self->extend);
}

/* Another model may not have what was chosen for the last one. */
static gboolean
offers (char **names, const char *name)
{
  return *name != '\0' && names != NULL && g_strv_contains ((const char *const *) names, name);
}

GVariant *
atl_picture_settings_to_variant (const AtlPictureSettings *self,
                                 const AtlModelInfo *info,
                                 guint32 seed)
{
  guint abilities = info != NULL ? info->abilities : ~0u;
  guint width, height;
  GVariantDict dict;

  atl_picture_settings_size (self, info, &width, &height);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_MADE_PROMPT, "s", self->prompt);
  if (atl_picture_settings_uses_negative (self, info) && *self->negative != '\0')
    g_variant_dict_insert (&dict, ATL_MADE_NEGATIVE, "s", self->negative);
  g_variant_dict_insert (&dict, ATL_MADE_WIDTH, "u", width);
  g_variant_dict_insert (&dict, ATL_MADE_HEIGHT, "u", height);
  g_variant_dict_insert (&dict, ATL_MADE_STEPS, "u", atl_picture_settings_steps (self, info));
  if ((abilities & ATL_PICTURE_GUIDANCE) != 0)
    g_variant_dict_insert (&dict, ATL_MADE_GUIDANCE, "d",
                           atl_picture_settings_guidance (self, info));
  g_variant_dict_insert (&dict, ATL_MADE_SEED, "u", seed);
  if (offers (info != NULL ? info->samplers : NULL, self->sampler))
    g_variant_dict_insert (&dict, ATL_MADE_SAMPLER, "s", self->sampler);
  if (offers (info != NULL ? info->schedules : NULL, self->schedule))
    g_variant_dict_insert (&dict, ATL_MADE_SCHEDULE, "s", self->schedule);
  for (guint i = 0; info != NULL && i < info->n_knobs; i++)
    {
      GVariant *value = g_hash_table_lookup (self->knobs, info->knobs[i].name);

      if (value != NULL)
        g_variant_dict_insert_value (&dict, info->knobs[i].name, value);
    }
  if (self->start != NULL && (abilities & ATL_PICTURE_IMAGE) != 0)
    g_variant_dict_insert (&dict, ATL_MADE_STRENGTH, "d", self->strength);
  return g_variant_dict_end (&dict);
}

void
atl_picture_settings_set_size (AtlPictureSettings *self,
                               const AtlModelInfo *info,
                               guint width,
                               guint height)
{
  const char *shape = "";

  for (guint i = 0; *shape == '\0' && info != NULL && i < info->n_sizes; i++)
    if (info->sizes[i].width == width && info->sizes[i].height == height)
      shape = info->sizes[i].shape;
  g_free (self->shape);
  self->shape = g_strdup (shape);
  self->width = width;
  self->height = height;
}

gboolean
atl_picture_size_within (const AtlModelInfo *info, guint *width, guint *height)
{
  guint longer = MAX (*width, *height);
  guint multiple = info != NULL && info->multiple > 0 ? info->multiple : FALLBACK_MULTIPLE;

  if (info == NULL || info->max_side == 0 || longer <= info->max_side)
    return FALSE;
  *width = atl_picture_round_side ((double) *width * info->max_side / longer, multiple);
  *height = atl_picture_round_side ((double) *height * info->max_side / longer, multiple);
  return TRUE;
}

gboolean
atl_picture_settings_suit_size (AtlPictureSettings *self, const AtlModelInfo *info)
{
  double ratio, least = G_MAXDOUBLE;
  guint width, height;

  if (*self->shape != '\0' || info == NULL || info->n_sizes == 0)
    return FALSE;
  atl_picture_settings_size (self, info, &width, &height);
  ratio = (double) width / height;
  if (!atl_picture_size_within (info, &width, &height))
    return FALSE;
  for (guint i = 0; i < info->n_sizes; i++)
    {
      double off = fabs (log (atl_picture_shape_ratio (info->sizes[i].shape) / ratio));

      if (off < least)
        atl_set_string (&self->shape, info->sizes[i].shape);
      least = MIN (least, off);
    }
  return TRUE;
}

/* --- Recipes --- */

static void
take_string (char **field, GVariant *recipe, const char *key)
{
  g_autofree char *text = atl_dict_string (recipe, key, "");

  g_free (*field);
  *field = g_steal_pointer (&text);
}

static void
take_knobs (AtlPictureSettings *self, GVariant *recipe, const AtlModelInfo *info)
{
  g_hash_table_remove_all (self->knobs);
  for (guint i = 0; info != NULL && i < info->n_knobs; i++)
    {
      const AtlPictureKnob *knob = &info->knobs[i];
      g_autoptr (GVariant) value = g_variant_lookup_value (recipe, knob->name, NULL);

      if (value == NULL)
        continue;
      if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
        {
          double number = g_variant_get_uint32 (value);

          g_variant_unref (value);
          value = g_variant_ref_sink (g_variant_new_double (number));
        }
      if (g_variant_is_of_type (value, knob->kind == ATL_KNOB_CHOICE ? G_VARIANT_TYPE_STRING
                                                                     : G_VARIANT_TYPE_DOUBLE))
        g_hash_table_insert (self->knobs, g_strdup (knob->name), g_variant_ref (value));
    }
}

/* 1 where it was not enlarged. */
static double
enlarged (GVariant *recipe)
{
  g_autofree char *by = atl_dict_string (recipe, ATL_MADE_UPSCALER, "");

  return *by != '\0' ? MAX (atl_dict_double (recipe, ATL_MADE_FACTOR, 1), 1) : 1;
}

void
atl_picture_settings_apply_recipe (AtlPictureSettings *self,
                                   GVariant *recipe,
                                   const AtlModelInfo *info)
{
  g_autoptr (GVariant) seed = atl_dict_lookup (recipe, ATL_MADE_SEED, "u");
  guint width, height;

  atl_recipe_drawn_size (recipe, &width, &height);
  width = MIN (width, ATL_MAX_PICTURE_SIDE);
  height = MIN (height, ATL_MAX_PICTURE_SIDE);
  take_string (&self->prompt, recipe, ATL_MADE_PROMPT);
  take_string (&self->negative, recipe, ATL_MADE_NEGATIVE);
  take_string (&self->sampler, recipe, ATL_MADE_SAMPLER);
  take_string (&self->schedule, recipe, ATL_MADE_SCHEDULE);
  take_knobs (self, recipe, info);
  if (width > 0 && height > 0)
    atl_picture_settings_set_size (self, info, width, height);
  self->steps = MIN (atl_dict_uint (recipe, ATL_MADE_STEPS, 0), ATL_MAX_PICTURE_STEPS);
  /* The authors' number of steps is what a quality means. */
  for (gint q = ATL_QUALITY_FAST; info != NULL && q <= ATL_QUALITY_BEST; q++)
    if (self->steps == atl_quality_steps ((AtlQuality) q, info->steps))
      {
        self->quality = (AtlQuality) q;
        self->steps = 0;
      }
  self->guidance = MIN (atl_dict_double (recipe, ATL_MADE_GUIDANCE, -1), ATL_MAX_GUIDANCE);
  if (info != NULL && fabs (self->guidance - info->guidance) < 1e-6)
    self->guidance = -1;
  self->strength = CLAMP (atl_dict_double (recipe, ATL_MADE_STRENGTH, ATL_DEFAULT_STRENGTH), 0, 1);
  self->seed_is_locked = seed != NULL;
  if (seed != NULL)
    self->seed = g_variant_get_uint32 (seed);
  self->enlarge = (guint) MIN (round (enlarged (recipe)), ATL_MAX_ENLARGE);
  if (self->enlarge < 2)
    self->enlarge = 0;
  atl_picture_settings_clear_start (self);
  g_ptr_array_set_size (self->references, 0);
}
