/* Models for pictures: what is told about them, whether they fit, and into a slot. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/missing.h"
#include "engine/service/picture-judge.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

/* Abilities are told as the pipelines count them. */
G_STATIC_ASSERT (ATL_PICTURE_NEGATIVE == (guint) ATL_CAN_NEGATIVE);
G_STATIC_ASSERT (ATL_PICTURE_IMAGE == (guint) ATL_CAN_IMAGE);
G_STATIC_ASSERT (ATL_PICTURE_MASK == (guint) ATL_CAN_MASK);
G_STATIC_ASSERT (ATL_PICTURE_REFERENCE == (guint) ATL_CAN_REFERENCE);
G_STATIC_ASSERT (ATL_PICTURE_WEIGHTS == (guint) ATL_CAN_WEIGHTS);
G_STATIC_ASSERT (ATL_PICTURE_CLIP == (guint) ATL_CAN_CLIP);
G_STATIC_ASSERT (ATL_PICTURE_STILL == (guint) ATL_CAN_PICTURE);
G_STATIC_ASSERT (ATL_PICTURE_GUIDANCE == (guint) ATL_CAN_GUIDANCE);
G_STATIC_ASSERT (ATL_PICTURE_LORA == (guint) ATL_CAN_LORA);

/* --- Opening --- */

gboolean
atl_picture_is_folder (const AtlJob *job)
{
  for (guint i = 0; i < job->n_own; i++)
    {
      const char *name = job->names->pdata[i];

      /* One that has lost its index has a folder of its denoiser. */
      if (g_str_equal (name, "model_index.json") || g_str_has_prefix (name, "transformer/") ||
          g_str_has_prefix (name, "unet/"))
        return TRUE;
    }
  return FALSE;
}

gboolean
atl_picture_is_meant (const AtlJob *job)
{
  for (guint i = 0; i < job->n_own; i++)
    if (atl_diffusion_is_denoiser (job->maps->pdata[i], job->names->pdata[i]))
      return TRUE;
  return FALSE;
}

gboolean
atl_picture_open (AtlJob *job, GError **error)
{
  job->load.pictures = atl_diffusion_model_open ((AtlFileMap *const *) job->maps->pdata,
                                                 (const char *const *) job->names->pdata,
                                                 job->maps->len, NULL, error);
  if (job->load.pictures == NULL)
    return FALSE;
  if (job->load.strengths != NULL && job->load.strengths->len > 0)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
          _ ("A LoRA for pictures is given with the picture, not when the model is loaded"));
      return FALSE;
    }
  return TRUE;
}

/* --- What is told --- */

/* A file's without its ending, as it is called before it is loaded. */
static char *
name_of (const AtlJob *job)
{
  static const char *const endings[] = { ".safetensors", ".gguf" };

  for (gsize i = 0; job->load.name != NULL && i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (job->load.name, endings[i]) && job->load.name[0] != '.')
      return g_strndup (job->load.name, strlen (job->load.name) - strlen (endings[i]));
  if (job->load.name != NULL && *job->load.name != '\0')
    return g_strdup (job->load.name);
  return g_strdup (job->load.pictures != NULL
                       ? atl_diffusion_model_family (job->load.pictures)->words
                       : (char *) job->names->pdata[0]);
}

/* What is missing, for a program that can fetch it. */
static GVariant *
make_missing (const AtlJob *job)
{
  g_autoptr (GArray) missing =
      atl_missing_for ((AtlFileMap *const *) job->maps->pdata,
                       (const char *const *) job->names->pdata, job->maps->len, NULL);
  GVariantBuilder rows;

  g_variant_builder_init (&rows, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; missing != NULL && i < missing->len; i++)
    {
      const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, i);
      const char *repository = part->repository != NULL ? part->repository : "";
      GVariantDict row;

      g_variant_dict_init (&row, NULL);
      g_variant_dict_insert (&row, ATL_MISSING_WORDS, "s", part->words);
      g_variant_dict_insert (&row, ATL_MISSING_REPOSITORY, "s", repository);
      g_variant_dict_insert (&row, ATL_MISSING_FILE, "s", part->file != NULL ? part->file : "");
      g_variant_dict_insert (&row, ATL_MISSING_NAME, "s", part->name != NULL ? part->name : "");
      g_variant_dict_insert (&row, ATL_MISSING_BYTES, "t", part->size_bytes);
      g_variant_dict_insert (&row, ATL_MISSING_OPTIONAL, "b", part->is_optional);
      if (part->misfit != NULL)
        g_variant_dict_insert (&row, ATL_MISSING_MISFIT, "s", part->misfit);
      g_variant_builder_add_value (&rows, g_variant_dict_end (&row));
    }
  return g_variant_builder_end (&rows);
}

/* Whether it may draw without a text encoder that it has a use for. */
static gboolean
takes_more (AtlDiffusionModel *pictures)
{
  const AtlDiffusionFamily *family =
      pictures != NULL ? atl_diffusion_model_family (pictures) : NULL;

  for (guint i = 0; family != NULL && i < family->n_parts; i++)
    if (family->parts[i].is_optional && g_str_has_prefix (family->parts[i].role, "text_encoder"))
      return TRUE;
  return FALSE;
}

static GVariant *
make_info (const AtlJob *job, const AtlPictureFit *fit, const char *missing, const char *runs_on)
{
  g_autofree char *name = name_of (job);
  guint64 size = 0;
  GVariantDict dict;

  for (guint i = 0; i < job->n_own; i++)
    size += atl_file_map_size (job->maps->pdata[i]);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_KIND, "s", ATL_KIND_PICTURE);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", name);
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t", size);
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", missing == NULL);
  g_variant_dict_insert (&dict, ATL_INFO_FITS, "b", fit->fits);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s",
                         missing != NULL      ? missing
                         : fit->words != NULL ? fit->words
                                              : "");
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", runs_on);
  if (missing != NULL || takes_more (job->load.pictures))
    g_variant_dict_insert_value (&dict, ATL_INFO_MISSING, make_missing (job));
  if (job->load.pictures != NULL)
    {
      const AtlDiffusionFamily *family = atl_diffusion_model_family (job->load.pictures);
      const AtlTraits *traits = atl_diffusion_model_traits (job->load.pictures);

      g_variant_dict_insert (&dict, ATL_INFO_ARCHITECTURE, "s", family->name);
      g_variant_dict_insert (&dict, ATL_INFO_FAMILY, "s", family->words);
      g_variant_dict_insert_value (
          &dict, ATL_INFO_LORA_FAMILIES,
          g_variant_new_strv ((const char *const[]){ family->words, family->lora.shared != NULL
                                                                        ? family->lora.shared->words
                                                                        : NULL },
                              family->lora.shared != NULL ? 2 : 1));
      g_variant_dict_insert (&dict, ATL_INFO_WEIGHT_BYTES, "t", fit->cost.weights);
      g_variant_dict_insert (&dict, ATL_INFO_SCRATCH_BYTES, "t",
                             fit->cost.peak - MIN (fit->cost.weights, fit->cost.peak));
      g_variant_dict_insert (&dict, ATL_INFO_NEEDED_BYTES, "t", fit->needed_bytes);
      g_variant_dict_insert (&dict, ATL_INFO_FREE_BYTES, "t", fit->free_bytes);
      g_variant_dict_insert (&dict, ATL_INFO_ABILITIES, "u", traits->abilities);
      g_variant_dict_insert (&dict, ATL_INFO_STEPS, "u", traits->steps);
      g_variant_dict_insert (&dict, ATL_INFO_IS_TOY, "b", traits->is_toy);
      g_variant_dict_insert (&dict, ATL_INFO_GUIDANCE, "d", traits->guidance);
      g_variant_dict_insert (&dict, ATL_INFO_NO_GUIDANCE, "d", traits->adds_guidance ? 0.0 : 1.0);
      g_variant_dict_insert (&dict, ATL_INFO_SIDE, "u", traits->side);
      g_variant_dict_insert (&dict, ATL_INFO_MAX_SIDE, "u", traits->max_side);
      g_variant_dict_insert (&dict, ATL_INFO_MULTIPLE, "u", traits->multiple);
      g_variant_dict_insert (&dict, ATL_INFO_MAX_REFERENCES, "u",
                             MIN (traits->max_references, ATL_MAX_REFERENCES));
      g_variant_dict_insert_value (&dict, ATL_INFO_SAMPLERS, atl_picture_samplers (traits));
      g_variant_dict_insert_value (&dict, ATL_INFO_SCHEDULES, atl_picture_schedules (traits));
      g_variant_dict_insert_value (&dict, ATL_INFO_SIZES, atl_picture_sizes (traits));
      g_variant_dict_insert_value (&dict, ATL_INFO_KNOBS, atl_picture_knobs (traits));
    }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* A picture of the native size. What cannot be told is told in words: a smaller picture may fit
 * where one of the native size does not, which is judged then. */
static void
judge_native (AtlJob *job, const AtlPicturePlace *place, AtlPictureFit *fit)
{
  const AtlTraits *traits = atl_diffusion_model_traits (job->load.pictures);
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  gint64 width, height;

  atl_picture_set_defaults (settings, traits);
  atl_picture_choose_size (settings, traits, 0, 0, &width, &height);
  if (!atl_picture_judge (job->service, place, settings, NULL, fit, &error))
    fit->words = g_strdup (error->message);
}

gboolean
atl_picture_inspect (AtlJob *job, const char *missing, GError **error)
{
  g_auto (AtlPictureFit) fit = { 0 };

  if (job->load.pictures != NULL)
    {
      AtlBackend *backends[2] = { NULL };
      guint n = atl_devices_choose (job->service->devices, job->load.device, backends, NULL);
      const AtlPicturePlace place = { .model = job->load.pictures,
                                      .devices = job->service->devices,
                                      .gpu = n == 2 ? backends[0] : NULL,
                                      .cpu = job->service->devices->cpu,
                                      .device = job->load.device,
                                      .cpu_words = "" };

      judge_native (job, &place, &fit);
    }
  job->info = make_info (job, &fit, missing, "");
  return TRUE;
}

void
atl_picture_load (AtlJob *job, AtlSlot *slot)
{
  g_auto (AtlPictureFit) fit = { 0 };
  AtlPicturePlace place;

  slot->name = name_of (job);
  slot->pictures = job->load.pictures;
  place = atl_picture_place (slot);
  judge_native (job, &place, &fit);
  if (fit.runs_on != NULL)
    {
      g_free (slot->runs_on);
      slot->runs_on = g_strdup (fit.runs_on);
    }
  job->info = make_info (job, &fit, NULL, slot->runs_on);
  job->load.pictures = NULL;
  atl_diffusion_model_use (slot->pictures, &slot->cpu, 1);
}
