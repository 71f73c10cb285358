/* LoRAs of pictures: files into checkpoints that stay for the next picture, checked for the family.
 */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <math.h>
#include <sys/stat.h>

#include "engine/diffusion/lora-steps.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "media/sampler-names.h"
#include "protocol/protocol.h"

#define MAX_STRENGTH 10.0

typedef struct
{
  char *id;              /* (owned) which file it is, and when it was written */
  char *name;            /* (owned) for the person */
  const char *published; /* (nullable) under which name; static */
  AtlFileMap *map;       /* (owned) */
  AtlCheckpoint *cp;     /* (owned) (nullable) once it is used */
  float strength;
} AtlLora;

static void
lora_free (gpointer data)
{
  AtlLora *lora = data;

  g_free (lora->id);
  g_free (lora->name);
  g_clear_pointer (&lora->map, atl_file_map_unref);
  g_clear_pointer (&lora->cp, atl_checkpoint_unref);
  g_free (lora);
}

gboolean
atl_picture_take_lora (AtlJob *job, int fd, const char *name, GError **error)
{
  const char *slash = strchr (name, '/');
  const char *shown = slash != NULL ? slash + 1 : name;
  AtlFileMap *map;
  struct stat st;
  AtlLora *lora;

  /* PEFT's settings beside it say nothing that is used here. */
  if (g_str_has_suffix (shown, ".json"))
    return TRUE;
  if (job->draw.loras == NULL)
    job->draw.loras = g_ptr_array_new_with_free_func (lora_free);
  if (job->draw.loras->len >= ATL_MAX_LORAS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("At most %u LoRAs at a time"),
                   ATL_MAX_LORAS);
      return FALSE;
    }
  map = atl_file_map_new_from_fd (fd, shown, error);
  if (map == NULL)
    return FALSE;
  lora = g_new0 (AtlLora, 1);
  lora->map = map;
  lora->name = g_strdup (shown);
  if (fstat (fd, &st) == 0)
    lora->id = g_strdup_printf ("%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT
                                "-%" G_GUINT64_FORMAT ".%ld",
                                (guint64) st.st_dev, (guint64) st.st_ino, (guint64) st.st_size,
                                (guint64) st.st_mtim.tv_sec, (long) st.st_mtim.tv_nsec);
  g_ptr_array_add (job->draw.loras, lora);
  return TRUE;
}

/* Of the last picture, the same file. */
static const AtlLora *
find_cached (const AtlSlot *slot, const AtlLora *lora)
{
  for (guint i = 0; slot->loras != NULL && lora->id != NULL && i < slot->loras->len; i++)
    {
      const AtlLora *other = slot->loras->pdata[i];

      if (g_strcmp0 (other->id, lora->id) == 0)
        return other;
    }
  return NULL;
}

static gboolean
open_lora (const AtlSlot *slot, AtlLora *lora, GError **error)
{
  const AtlLora *cached = find_cached (slot, lora);

  lora->cp = cached != NULL ? atl_checkpoint_ref (cached->cp)
                            : atl_lora_open (lora->map, lora->name, error);
  if (lora->cp == NULL)
    return FALSE;
  lora->published = cached != NULL ? cached->published : atl_lora_published_name (lora->map);
  return TRUE;
}

/* As the person says, else as the file is meant. */
static double
strength_of (const AtlJob *job, guint index, const AtlLoraFacts *facts)
{
  g_autoptr (GVariant) list = atl_dict_lookup (job->draw.settings, ATL_MADE_LORAS, "aa{sv}");
  g_autoptr (GVariant) row = list != NULL && index < g_variant_n_children (list)
                                 ? g_variant_get_child_value (list, index)
                                 : NULL;

  return CLAMP (atl_dict_double (row, "weight", facts->strength), -MAX_STRENGTH, MAX_STRENGTH);
}

/* Whether the last picture of the slot had the same ones. */
static gboolean
are_same (const AtlSlot *slot, const AtlLoraFile *files, guint n)
{
  if ((slot->loras != NULL ? slot->loras->len : 0) != n)
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      const AtlLora *lora = slot->loras->pdata[i];

      if (lora->cp != files[i].cp || lora->strength != files[i].scale)
        return FALSE;
    }
  return TRUE;
}

/* The steps' shift, which families set in their own ways: by itself, or as the logarithm that a
 * picture's size does not change then. */
static void
set_shift (AtlSettings *settings, const AtlLoraFacts *facts)
{
  GVariantDict config;

  if (facts->shift <= 0 || atl_settings_has (settings, ATL_KNOB_SHIFT))
    return;
  if (!facts->family->lora.is_shift_sized)
    {
      atl_settings_set_number (settings, ATL_KNOB_SHIFT, facts->shift);
      return;
    }
  g_variant_dict_init (&config, NULL);
  g_variant_dict_insert (&config, "base_shift", "d", log (facts->shift));
  g_variant_dict_insert (&config, "max_shift", "d", log (facts->shift));
  g_variant_dict_insert (&config, "shift_terminal", "d", 0.0);
  atl_settings_set (settings, "scheduler_config", g_variant_dict_end (&config));
}

/* Whether the sampler that is asked for is the LoRA's, by name or class. */
static gboolean
is_asked (const AtlSettings *settings, const char *sampler)
{
  const char *asked = atl_settings_string (settings, ATL_MADE_SAMPLER,
                                           atl_settings_string (settings, ATL_MADE_CLASS, ""));

  return g_ascii_strcasecmp (asked, sampler) == 0 ||
         g_strcmp0 (asked, atl_sampler_class (sampler)) == 0;
}

/* What only its own sampler takes; a recipe that names that sampler is drawn with it, too. */
static void
set_spacing (AtlSettings *settings, const AtlLoraFacts *facts)
{
  guint n = (guint) CLAMP (atl_settings_number (settings, ATL_MADE_STEPS, 0), 0, 1000);
  g_autofree double *timesteps = atl_lora_timesteps (facts, n);

  if (facts->eta >= 0 && !atl_settings_has (settings, "eta"))
    atl_settings_set_number (settings, "eta", facts->eta);
  if (timesteps != NULL && !atl_settings_has (settings, "timesteps"))
    atl_settings_set (
        settings, "timesteps",
        g_variant_new_fixed_array (G_VARIANT_TYPE_DOUBLE, timesteps, n, sizeof *timesteps));
}

void
atl_picture_set_few_steps (AtlSettings *settings, const AtlLoraFacts *facts)
{
  set_shift (settings, facts);
  if (facts->steps > 0 && !atl_settings_has (settings, ATL_MADE_STEPS))
    atl_settings_set_number (settings, ATL_MADE_STEPS, facts->steps);
  if (facts->guidance >= 0 && !atl_settings_has (settings, ATL_MADE_GUIDANCE))
    atl_settings_set_number (settings, ATL_MADE_GUIDANCE, facts->guidance);
  if (facts->sampler == NULL)
    return;
  if (!atl_settings_has (settings, ATL_MADE_SAMPLER) &&
      !atl_settings_has (settings, ATL_MADE_CLASS))
    {
      atl_settings_set_string (settings, ATL_MADE_SAMPLER, facts->sampler);
      if (facts->schedule != NULL && !atl_settings_has (settings, ATL_MADE_SCHEDULE))
        atl_settings_set_string (settings, ATL_MADE_SCHEDULE, facts->schedule);
    }
  if (is_asked (settings, facts->sampler))
    set_spacing (settings, facts);
}

/* The strengths that were taken are what the picture was made with. */
static void
note_strengths (AtlJob *job, const AtlLoraFile *files, guint n)
{
  GVariantBuilder rows;
  GVariantDict dict;

  if (n == 0)
    return;
  g_variant_builder_init (&rows, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < n; i++)
    {
      const AtlLora *lora = job->draw.loras->pdata[i];

      g_variant_builder_add_parsed (&rows, "{'name': <%s>, 'weight': <%d>}", lora->name,
                                    (double) files[i].scale);
    }
  g_variant_dict_init (&dict, job->draw.settings);
  g_variant_unref (job->draw.settings);
  g_variant_dict_insert_value (&dict, ATL_MADE_LORAS, g_variant_builder_end (&rows));
  job->draw.settings = g_variant_ref_sink (g_variant_dict_end (&dict));
}

gboolean
atl_picture_use_loras (AtlJob *job, AtlSettings *settings, GError **error)
{
  const AtlDiffusionFamily *family = atl_diffusion_model_family (job->slot->pictures);
  AtlLoraFile files[ATL_MAX_LORAS];
  guint n = job->draw.loras != NULL ? job->draw.loras->len : 0;

  for (guint i = 0; i < n; i++)
    {
      AtlLora *lora = job->draw.loras->pdata[i];
      g_auto (AtlLoraFacts) facts = { 0 };

      if (!open_lora (job->slot, lora, error))
        {
          atl_error_blame_lora (*error, i);
          return FALSE;
        }
      atl_lora_read_facts (lora->cp, lora->name, lora->published, family, &facts);
      if (!atl_lora_facts_suit (&facts, family))
        {
          /* Translators: %s is the name of a LoRA file, then two families of models. */
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("%s was made for %s, and does not fit %s"), lora->name,
                       facts.family->words, family->words);
          atl_error_blame_lora (*error, i);
          return FALSE;
        }
      atl_picture_set_few_steps (settings, &facts);
      files[i].cp = lora->cp;
      files[i].scale = lora->strength = (float) strength_of (job, i, &facts);
    }
  note_strengths (job, files, n);
  if (are_same (job->slot, files, n))
    return TRUE;
  /* What holds others is freed: nobody computes meanwhile. */
  atl_turnstile_enter (job->service->turnstile);
  if (atl_diffusion_model_set_loras (job->slot->pictures, files, n))
    {
      __atomic_store_n (&job->slot->ram_bytes, 0, __ATOMIC_RELAXED);
      __atomic_store_n (&job->slot->vram_bytes, 0, __ATOMIC_RELAXED);
    }
  atl_turnstile_leave (job->service->turnstile);
  g_clear_pointer (&job->slot->loras, g_ptr_array_unref);
  job->slot->loras = g_steal_pointer (&job->draw.loras);
  return TRUE;
}

static void
put_few_steps (GVariantDict *dict, const AtlLoraFacts *facts)
{
  g_variant_dict_insert (dict, ATL_INFO_STEPS, "u", facts->steps);
  g_variant_dict_insert (dict, ATL_INFO_GUIDANCE, "d", facts->guidance);
  g_variant_dict_insert (dict, ATL_INFO_STRENGTH, "d", facts->strength);
  g_variant_dict_insert (dict, ATL_INFO_SAMPLER, "s", facts->sampler != NULL ? facts->sampler : "");
  g_variant_dict_insert (dict, ATL_INFO_SCHEDULE, "s",
                         facts->schedule != NULL ? facts->schedule : "");
}

/* Layers of several families have the same names, and their files seldom say more: what few steps
 * need is told for each. Floating. */
static GVariant *
make_few_steps (const AtlCheckpoint *cp, const char *name, const char *published)
{
  const AtlDiffusionFamily *const *families = atl_diffusion_families ();
  GVariantBuilder all;

  g_variant_builder_init (&all, G_VARIANT_TYPE_VARDICT);
  for (guint i = 0; families[i] != NULL; i++)
    {
      g_auto (AtlLoraFacts) facts = { 0 };
      GVariantDict dict;

      atl_lora_read_facts (cp, name, published, families[i], &facts);
      g_variant_dict_init (&dict, NULL);
      put_few_steps (&dict, &facts);
      g_variant_builder_add (&all, "{sv}", families[i]->words, g_variant_dict_end (&dict));
    }
  return g_variant_builder_end (&all);
}

GVariant *
atl_picture_inspect_lora (AtlJob *job)
{
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_auto (AtlLoraFacts) facts = { 0 };
  const char *published;
  GVariantDict dict;

  if (job->n_own != 1)
    return NULL;
  cp = atl_lora_open (job->maps->pdata[0], job->names->pdata[0], NULL);
  if (cp == NULL)
    return NULL;
  published = atl_lora_published_name (job->maps->pdata[0]);
  atl_lora_read_facts (cp, job->names->pdata[0], published, NULL, &facts);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_KIND, "s", ATL_KIND_LORA);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", facts.title);
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t",
                         (guint64) atl_file_map_size (job->maps->pdata[0]));
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", FALSE);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s",
                         _ ("This is a LoRA: it changes a model, and is none itself"));
  g_variant_dict_insert (&dict, ATL_INFO_FAMILY, "s",
                         facts.family != NULL ? facts.family->words : "");
  g_variant_dict_insert (&dict, ATL_INFO_ARCHITECTURE, "s",
                         facts.family != NULL ? facts.family->name : "");
  g_variant_dict_insert_value (
      &dict, ATL_INFO_TRIGGERS,
      g_variant_new_strv ((const char *const *) facts.triggers->pdata, facts.triggers->len));
  put_few_steps (&dict, &facts);
  if (facts.family == NULL && facts.steps > 0)
    g_variant_dict_insert_value (&dict, ATL_INFO_FEW_STEPS,
                                 make_few_steps (cp, job->names->pdata[0], published));
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
