/* Putting whole models together. */
#include "family-models.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "small-model.h"

#define PAIRS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Of four layers. */
#define FLUX2_LAYERS "{'text_encoder_out_layers': <[1, 2, 3]>}"

static const FamilyModel models[] = {
  { "sd15", "sd15", "model", NULL, NULL, "", NULL, TRUE },
  { "wan21", "wan21", "model", NULL, NULL, "", NULL, TRUE },
  { "wan21-image", "wan21", "model", NULL, NULL, "image mask", NULL, TRUE },
  { "sd15-image", "sd15", "model", NULL, NULL, "image", NULL, TRUE },
  { "sd15-inpaint", "sd15", "model_inpaint", NULL, NULL, "image mask", NULL, FALSE },
  { "sdxl", "sdxl", "model", NULL, NULL, "", NULL, FALSE },
  { "sdxl-inpaint", "sdxl", "model", NULL, NULL, "image mask", NULL, FALSE },
  { "sdxl-refiner", "sdxl", "model",
    PAIRS ("model_refiner/unet", "unet", "", "text_encoder", "", "tokenizer"),
    "StableDiffusionXLImg2ImgPipeline", "image", NULL, FALSE },
  { "sd3", "sd3", "model", NULL, NULL, "", NULL, FALSE },
  { "flux1", "flux1", "model", NULL, NULL, "", NULL, FALSE },
  { "flux1-schnell", "flux1", "schnell", NULL, NULL, "", NULL, FALSE },
  { "flux1-fill", "flux1", "fill", NULL, NULL, "image mask", NULL, FALSE },
  { "flux1-kontext", "flux1", "model", NULL, "FluxKontextPipeline", "reference", NULL, FALSE },
  { "flux2", "flux2", "model", NULL, NULL, "", FLUX2_LAYERS, FALSE },
  { "flux2-reference", "flux2", "model", NULL, NULL, "reference", FLUX2_LAYERS, FALSE },
  { "flux2-klein", "flux2", "klein", NULL, NULL, "", FLUX2_LAYERS, FALSE },
  { "chroma", "chroma", "model", NULL, NULL, "", NULL, FALSE },
  { "zimage", "zimage", "model", NULL, NULL, "", NULL, FALSE },
  { "qwen-image", "qwen-image", "model", NULL, NULL, "", NULL, FALSE },
  { "qwen-image-edit", "qwen-image-edit", "model", NULL, NULL, "reference", NULL, FALSE },
  { "qwen-image-edit-plus", "qwen-image-edit", "model",
    PAIRS ("variants/edit-2509/transformer", "transformer"), "QwenImageEditPlusPipeline",
    "reference", NULL, FALSE },
  { "hidream", "hidream", "model", NULL, NULL, "", NULL, FALSE },
  { "hidream-edit", "hidream", "model", PAIRS ("variants/refine/transformer", "refiner"),
    "HiDreamImageEditingPipeline", "reference", NULL, FALSE },
  { "wan22-ti2v-5b", "wan22", "model-ti2v-5b", NULL, NULL, "", NULL, FALSE },
  { "wan22-t2v-a14b", "wan22", "model-t2v-a14b", NULL, NULL, "", NULL, FALSE },
};

guint
family_models_n (void)
{
  return G_N_ELEMENTS (models);
}

const FamilyModel *
family_model (guint i)
{
  return &models[i];
}

static void
spawn (char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

static void
change (const char *family, const char *folder, const char *from, const char *to)
{
  g_autofree char *source = g_build_filename (family, from, NULL);
  g_autofree char *target = g_build_filename (folder, to, NULL);

  spawn ((char *[]){ "rm", "-rf", target, NULL });
  if (*from == '\0')
    return;
  spawn ((char *[]){ "cp", "-rL", source, target, NULL });
  spawn ((char *[]){ "chmod", "-R", "u+w", target, NULL });
}

static void
set_pipeline (const char *folder, const char *pipeline)
{
  g_autofree char *path = g_build_filename (folder, "model_index.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  json_object_set_string_member (json_node_get_object (json_parser_get_root (parser)),
                                 "_class_name", pipeline);
  text = json_to_string (json_parser_get_root (parser), TRUE);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

char *
family_model_folder (const FamilyModel *self)
{
  g_autofree char *family =
      self->is_shipped ? small_model_shipped (self->family) : small_model_family (self->family);
  g_autofree char *source = family != NULL ? g_build_filename (family, self->folder, NULL) : NULL;
  char *folder;

  if (family == NULL)
    {
      g_test_message ("%s: no golden cases here (ATELIER_GOLDEN_PATH)", self->name);
      return NULL;
    }
  folder = patched_model_copy (source);
  for (guint i = 0; self->changes != NULL && self->changes[i] != NULL; i += 2)
    change (family, folder, self->changes[i], self->changes[i + 1]);
  if (self->pipeline != NULL)
    set_pipeline (folder, self->pipeline);
  return folder;
}
