/* Members of a recipe while it is read: bounded, of the right type, under our names. */
#define G_LOG_DOMAIN "atl-media"

#include <math.h>
#include <string.h>

#include "base/name-hash.h"
#include "media/recipe-private.h"

/* Of <lora:…>. */
#define MAX_TAG 500

/* How other programs' codes are called by people. A code may carry "_k" (Karras) and "_gpu". */
static const struct
{
  const char *code, *words;
} sampler_codes[] = {
  { "euler", "Euler" },
  { "euler_a", "Euler a" },
  { "euler_ancestral", "Euler a" },
  { "heun", "Heun" },
  { "lms", "LMS" },
  { "dpm_2", "DPM2" },
  { "kdpm_2", "DPM2" },
  { "dpm_2_a", "DPM2 a" },
  { "kdpm_2_a", "DPM2 a" },
  { "dpm_2_ancestral", "DPM2 a" },
  { "dpm_fast", "DPM fast" },
  { "dpm_adaptive", "DPM adaptive" },
  { "dpmpp_2s", "DPM++ 2S" },
  { "dpmpp_2s_ancestral", "DPM++ 2S a" },
  { "dpmpp_sde", "DPM++ SDE" },
  { "dpmpp_2m", "DPM++ 2M" },
  { "dpmpp_2m_sde", "DPM++ 2M SDE" },
  { "dpmpp_3m", "DPM++ 3M" },
  { "dpmpp_3m_sde", "DPM++ 3M SDE" },
  { "ddim", "DDIM" },
  { "ddpm", "DDPM" },
  { "plms", "PLMS" },
  { "pndm", "PNDM" },
  { "deis", "DEIS" },
  { "lcm", "LCM" },
  { "tcd", "TCD" },
  { "uni_pc", "UniPC" },
  { "uni_pc_bh2", "UniPC" },
  { "unipc", "UniPC" },
};

/* NULL words: the program's way of saying "as usual". */
static const struct
{
  const char *code, *words;
} schedule_codes[] = {
  { "automatic", NULL },
  { "normal", NULL },
  { "karras", "Karras" },
  { "exponential", "Exponential" },
  { "polyexponential", "Polyexponential" },
  { "sgm_uniform", "SGM Uniform" },
  { "simple", "Simple" },
  { "ddim_uniform", "DDIM" },
  { "beta", "Beta" },
  { "kl_optimal", "KL Optimal" },
  { "linear_quadratic", "Linear quadratic" },
};

void
atl_recipe_draft_init (AtlRecipeDraft *self)
{
  g_variant_dict_init (&self->dict, NULL);
  self->other = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, g_free);
  self->loras = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
}

void
atl_recipe_draft_clear (AtlRecipeDraft *self)
{
  if (self->other == NULL)
    return;
  g_variant_dict_clear (&self->dict);
  g_clear_pointer (&self->other, g_hash_table_unref);
  g_clear_pointer (&self->loras, g_ptr_array_unref);
}

/* Valid, and cut between two letters: what is no letter becomes a longer sign, so twice. */
static char *
clean (const char *text, gsize max)
{
  g_autofree char *cut = g_strndup (text, max);
  char *valid = g_utf8_make_valid (cut, -1);

  if (strlen (valid) > max)
    *g_utf8_find_prev_char (valid, valid + max + 1) = '\0';
  return valid;
}

void
atl_recipe_draft_text (AtlRecipeDraft *self, const char *key, const char *text)
{
  g_autofree char *valid = NULL;

  if (text == NULL)
    return;
  valid = clean (text, ATL_RECIPE_MAX_TEXT);
  g_variant_dict_insert (&self->dict, key, "s", valid);
}

void
atl_recipe_draft_uint (AtlRecipeDraft *self, const char *key, gint64 value, gint64 max)
{
  if (value >= 0 && value <= max)
    g_variant_dict_insert (&self->dict, key, "u", (guint32) value);
}

void
atl_recipe_draft_double (AtlRecipeDraft *self, const char *key, double value, double max)
{
  if (isfinite (value) && value >= 0 && value <= max)
    g_variant_dict_insert (&self->dict, key, "d", value);
}

void
atl_recipe_draft_seed (AtlRecipeDraft *self, gint64 seed)
{
  if (seed >= 0 && seed <= G_MAXUINT32)
    g_variant_dict_insert (&self->dict, "seed", "u", (guint32) seed);
  else if (seed != -1)
    {
      g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, seed);

      atl_recipe_draft_other (self, "Seed", text);
    }
}

void
atl_recipe_draft_size (AtlRecipeDraft *self, gint64 width, gint64 height)
{
  if (width < 1 || height < 1 || width > ATL_RECIPE_MAX_SIDE || height > ATL_RECIPE_MAX_SIDE)
    return;
  g_variant_dict_insert (&self->dict, "width", "u", (guint32) width);
  g_variant_dict_insert (&self->dict, "height", "u", (guint32) height);
}

/* The name of a file without its folders (of either kind of computer) and its ending. */
static char *
bare_name (const char *file)
{
  static const char *const endings[] = { ".safetensors", ".ckpt", ".gguf", ".sft", ".pth", ".pt" };
  const char *slash = strrchr (file, '/');
  char *name;

  file = slash != NULL ? slash + 1 : file;
  slash = strrchr (file, '\\');
  name = clean (slash != NULL ? slash + 1 : file, 500);
  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (name, endings[i]))
      {
        name[strlen (name) - strlen (endings[i])] = '\0';
        break;
      }
  return name;
}

void
atl_recipe_draft_lora (AtlRecipeDraft *self, const char *name, double weight, const char *hash)
{
  g_autofree char *bare = NULL;
  GVariantDict lora;

  if (name == NULL || *name == '\0' || !isfinite (weight) || fabs (weight) > 100 ||
      self->loras->len >= ATL_RECIPE_MAX_LORAS)
    return;
  bare = bare_name (name);
  g_variant_dict_init (&lora, NULL);
  g_variant_dict_insert (&lora, "name", "s", bare);
  g_variant_dict_insert (&lora, "weight", "d", weight);
  if (hash != NULL)
    {
      g_autofree char *valid = clean (hash, 100);

      g_variant_dict_insert (&lora, "hash", "s", valid);
    }
  g_ptr_array_add (self->loras, g_variant_ref_sink (g_variant_dict_end (&lora)));
}

void
atl_recipe_draft_other (AtlRecipeDraft *self, const char *key, const char *value)
{
  if (*key == '\0' || value == NULL || g_hash_table_size (self->other) >= ATL_RECIPE_MAX_OTHER)
    return;
  g_hash_table_replace (self->other, clean (key, 200), clean (value, ATL_RECIPE_MAX_TEXT));
}

void
atl_recipe_draft_model (AtlRecipeDraft *self, const char *file)
{
  g_autofree char *name = file != NULL ? bare_name (file) : NULL;

  if (name != NULL && *name != '\0')
    g_variant_dict_insert (&self->dict, ATL_RECIPE_MODEL, "s", name);
}

static void
set_schedule (AtlRecipeDraft *self, const char *schedule)
{
  g_autofree char *code = g_ascii_strdown (schedule, -1);

  g_strdelimit (code, " ", '_');
  for (gsize i = 0; i < G_N_ELEMENTS (schedule_codes); i++)
    if (g_str_equal (code, schedule_codes[i].code))
      {
        atl_recipe_draft_text (self, "schedule", schedule_codes[i].words);
        return;
      }
  atl_recipe_draft_text (self, "schedule", schedule);
}

/* Takes `suffix` off the end of `text`, whatever its case. */
static gboolean
take_suffix (char *text, const char *suffix)
{
  gsize n = strlen (text), n_suffix = strlen (suffix);

  if (n <= n_suffix || g_ascii_strcasecmp (text + n - n_suffix, suffix) != 0)
    return FALSE;
  text[n - n_suffix] = '\0';
  return TRUE;
}

void
atl_recipe_draft_sampler (AtlRecipeDraft *self, const char *sampler, const char *schedule)
{
  if (sampler != NULL && *sampler != '\0')
    {
      g_autofree char *said = clean (sampler, 200);
      g_autofree char *code = NULL;
      const char *words = NULL;

      /* A1111 until 1.8 and Fooocus name both at once. */
      if (take_suffix (said, " karras"))
        set_schedule (self, "karras");
      else if (take_suffix (said, " exponential"))
        set_schedule (self, "exponential");
      code = g_ascii_strdown (said, -1);
      take_suffix (code, "_gpu");
      if (take_suffix (code, "_k"))
        set_schedule (self, "karras");
      for (gsize i = 0; i < G_N_ELEMENTS (sampler_codes) && words == NULL; i++)
        if (g_str_equal (code, sampler_codes[i].code) ||
            (g_str_has_prefix (code, "k_") && g_str_equal (code + 2, sampler_codes[i].code)))
          words = sampler_codes[i].words;
      atl_recipe_draft_text (self, "sampler", words != NULL ? words : said);
    }
  if (schedule != NULL && *schedule != '\0')
    set_schedule (self, schedule);
}

void
atl_recipe_draft_prompt (AtlRecipeDraft *self, const char *prompt)
{
  g_autoptr (GString) rest = g_string_new (NULL);
  g_autofree char *valid = NULL;

  if (prompt == NULL)
    return;
  valid = clean (prompt, ATL_RECIPE_MAX_TEXT);
  for (const char *p = valid; *p != '\0';)
    {
      gsize skip = g_ascii_strncasecmp (p, "<lora:", 6) == 0 ? 6 : 0;
      const char *end = skip > 0 ? g_strstr_len (p, MAX_TAG, ">") : NULL;

      if (end != NULL)
        {
          g_autofree char *inside = g_strndup (p + skip, (gsize) (end - p) - skip);
          g_auto (GStrv) parts = g_strsplit (inside, ":", 3);

          atl_recipe_draft_lora (
              self, parts[0],
              parts[0] != NULL && parts[1] != NULL ? g_ascii_strtod (parts[1], NULL) : 1.0, NULL);
          p = end + 1;
          /* One of the gaps on both sides goes with it. */
          while (rest->len > 0 && rest->str[rest->len - 1] == ' ' && (*p == ' ' || *p == '\0'))
            g_string_truncate (rest, rest->len - 1);
        }
      else
        g_string_append_c (rest, *p++);
    }
  g_strstrip (rest->str);
  atl_recipe_draft_text (self, "prompt", rest->str);
}

gboolean
atl_recipe_number (JsonObject *object, const char *member, double *value)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;
  GType type;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return FALSE;
  type = json_node_get_value_type (node);
  if (type == G_TYPE_INT64)
    *value = (double) json_node_get_int (node);
  else if (type == G_TYPE_DOUBLE)
    *value = json_node_get_double (node);
  else if (type == G_TYPE_STRING)
    {
      char *end;

      *value = g_ascii_strtod (json_node_get_string (node), &end);
      if (end == json_node_get_string (node))
        return FALSE;
    }
  else
    return FALSE;
  return isfinite (*value);
}

void
atl_recipe_draft_rest (AtlRecipeDraft *self, JsonObject *object, const char *const *known)
{
  JsonObjectIter iter;
  const char *key;
  JsonNode *node;

  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &key, &node))
    {
      g_autofree char *text = NULL;

      if (g_strv_contains (known, key) || JSON_NODE_HOLDS_NULL (node))
        continue;
      if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
        text = g_strdup (json_node_get_string (node));
      else
        text = atl_json_write (node);
      atl_recipe_draft_other (self, key, text);
    }
}

GVariant *
atl_recipe_draft_end (AtlRecipeDraft *self, const char *source)
{
  if (!g_variant_dict_contains (&self->dict, "prompt") &&
      !g_variant_dict_contains (&self->dict, "steps") &&
      !g_variant_dict_contains (&self->dict, "seed"))
    return NULL;
  if (source != NULL)
    g_variant_dict_insert (&self->dict, ATL_RECIPE_SOURCE, "s", source);
  if (self->loras->len > 0)
    g_variant_dict_insert_value (&self->dict, ATL_RECIPE_LORAS,
                                 g_variant_new_array (G_VARIANT_TYPE_VARDICT,
                                                      (GVariant *const *) self->loras->pdata,
                                                      self->loras->len));
  if (g_hash_table_size (self->other) > 0)
    {
      GVariantBuilder builder;
      GHashTableIter iter;
      gpointer key, value;

      g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
      g_hash_table_iter_init (&iter, self->other);
      while (g_hash_table_iter_next (&iter, &key, &value))
        g_variant_builder_add (&builder, "{ss}", key, value);
      g_variant_dict_insert_value (&self->dict, ATL_RECIPE_OTHER, g_variant_builder_end (&builder));
    }
  return g_variant_ref_sink (g_variant_dict_end (&self->dict));
}
