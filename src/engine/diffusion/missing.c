/* Published parts, by family and role. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/missing.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/part-checks.h"

#define CLIP "openai/clip-vit-large-patch14"
#define SDXL "stabilityai/stable-diffusion-xl-base-1.0"
#define FLUX_TEXT "comfyanonymous/flux_text_encoders"
#define HIDREAM "Comfy-Org/HiDream-I1_ComfyUI"
#define QWEN_IMAGE "Comfy-Org/Qwen-Image_ComfyUI"
#define WAN_21 "Comfy-Org/Wan_2.1_ComfyUI_repackaged"
#define ZIMAGE "Comfy-Org/z_image_turbo"
#define FLUX_2 "black-forest-labs/FLUX.2-dev"
#define TAEF1 "madebyollin/taef1"
#define TAEW "lightx2v/Autoencoders"
#define T5 "google/t5-v1_1-xxl"

typedef struct
{
  const char *family, *role;
  const char *repository, *file;
  guint64 size_bytes;
} Published;

/* Sizes as the repositories list them. */
static const Published published[] = {
  { "sd", "tokenizer", CLIP, "vocab.json", 961143 },
  { "sd", "tokenizer", CLIP, "merges.txt", 524619 },
  { "sd", "text_encoder", FLUX_TEXT, "clip_l.safetensors", 246144152 },
  { "sd", "vae", "stabilityai/sd-vae-ft-mse", "diffusion_pytorch_model.safetensors", 334643276 },
  { "sdxl", "tokenizer", CLIP, "vocab.json", 961143 },
  { "sdxl", "tokenizer", CLIP, "merges.txt", 524619 },
  { "sdxl", "tokenizer_2", SDXL, "tokenizer_2/vocab.json", 961143 },
  { "sdxl", "tokenizer_2", SDXL, "tokenizer_2/merges.txt", 524619 },
  { "sdxl", "tokenizer_2", SDXL, "tokenizer_2/tokenizer_config.json", 0 },
  { "sdxl", "text_encoder", FLUX_TEXT, "clip_l.safetensors", 246144152 },
  { "sdxl", "text_encoder_2", SDXL, "text_encoder_2/model.fp16.safetensors", 0 },
  { "sdxl", "vae", "stabilityai/sdxl-vae", "sdxl_vae.safetensors", 334641164 },
  { "sd3", "tokenizer", CLIP, "vocab.json", 961143 },
  { "sd3", "tokenizer", CLIP, "merges.txt", 524619 },
  { "sd3", "tokenizer_2", SDXL, "tokenizer_2/vocab.json", 961143 },
  { "sd3", "tokenizer_2", SDXL, "tokenizer_2/merges.txt", 524619 },
  { "sd3", "tokenizer_2", SDXL, "tokenizer_2/tokenizer_config.json", 0 },
  { "sd3", "tokenizer_3", T5, "spiece.model", 791656 },
  { "sd3", "text_encoder", "Comfy-Org/stable-diffusion-3.5-fp8", "text_encoders/clip_l.safetensors",
    246144152 },
  { "sd3", "text_encoder_2", "Comfy-Org/stable-diffusion-3.5-fp8",
    "text_encoders/clip_g.safetensors", 0 },
  { "sd3", "text_encoder_3", FLUX_TEXT, "t5xxl_fp8_e4m3fn.safetensors", 4893934904 },
  { "sd3", "vae", "stabilityai/stable-diffusion-3.5-medium",
    "vae/diffusion_pytorch_model.safetensors", 0 },
  { "flux", "tokenizer", CLIP, "vocab.json", 961143 },
  { "flux", "tokenizer", CLIP, "merges.txt", 524619 },
  { "flux", "tokenizer_2", T5, "spiece.model", 791656 },
  { "flux", "text_encoder", FLUX_TEXT, "clip_l.safetensors", 246144152 },
  { "flux", "text_encoder_2", FLUX_TEXT, "t5xxl_fp8_e4m3fn.safetensors", 4893934904 },
  { "flux", "vae", ZIMAGE, "split_files/vae/ae.safetensors", 335304388 },
  { "chroma", "tokenizer", T5, "spiece.model", 791656 },
  { "chroma", "text_encoder", FLUX_TEXT, "t5xxl_fp8_e4m3fn.safetensors", 4893934904 },
  { "chroma", "vae", ZIMAGE, "split_files/vae/ae.safetensors", 335304388 },
  { "flux2", "tokenizer", FLUX_2, "tokenizer/tokenizer.json", 0 },
  { "flux2", "text_encoder", "Comfy-Org/flux2-dev",
    "split_files/text_encoders/mistral_3_small_flux2_fp8.safetensors", 0 },
  { "flux2", "vae", "Comfy-Org/flux2-dev", "split_files/vae/flux2-vae.safetensors", 0 },
  { "zimage", "tokenizer", "Qwen/Qwen3-4B", "tokenizer.json", 11422654 },
  { "zimage", "text_encoder", ZIMAGE, "split_files/text_encoders/qwen_3_4b.safetensors", 0 },
  { "zimage", "vae", ZIMAGE, "split_files/vae/ae.safetensors", 335304388 },
  { "qwen-image", "tokenizer", "Qwen/Qwen2.5-VL-7B-Instruct", "tokenizer.json", 0 },
  { "qwen-image", "text_encoder", QWEN_IMAGE,
    "split_files/text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors", 0 },
  { "qwen-image", "vae", QWEN_IMAGE, "split_files/vae/qwen_image_vae.safetensors", 0 },
  { "hidream", "tokenizer", CLIP, "vocab.json", 961143 },
  { "hidream", "tokenizer", CLIP, "merges.txt", 524619 },
  { "hidream", "tokenizer_2", SDXL, "tokenizer_2/vocab.json", 961143 },
  { "hidream", "tokenizer_2", SDXL, "tokenizer_2/merges.txt", 524619 },
  { "hidream", "tokenizer_2", SDXL, "tokenizer_2/tokenizer_config.json", 0 },
  { "hidream", "tokenizer_3", T5, "spiece.model", 791656 },
  { "hidream", "tokenizer_4", "unsloth/Meta-Llama-3.1-8B-Instruct", "tokenizer.json", 0 },
  { "hidream", "text_encoder", HIDREAM, "split_files/text_encoders/clip_l_hidream.safetensors", 0 },
  { "hidream", "text_encoder_2", HIDREAM, "split_files/text_encoders/clip_g_hidream.safetensors",
    0 },
  { "hidream", "text_encoder_3", HIDREAM,
    "split_files/text_encoders/t5xxl_fp8_e4m3fn_scaled.safetensors", 0 },
  { "hidream", "text_encoder_4", HIDREAM,
    "split_files/text_encoders/llama_3.1_8b_instruct_fp8_scaled.safetensors", 0 },
  { "hidream", "vae", HIDREAM, "split_files/vae/ae.safetensors", 335304388 },
  { "wan", "tokenizer", "google/umt5-xxl", "spiece.model", 4548313 },
  { "wan", "text_encoder", WAN_21,
    "split_files/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", 0 },
  { "wan", "vae", WAN_21, "split_files/vae/wan_2.1_vae.safetensors", 0 },
  { "sd", ATL_TINY_ROLE, "madebyollin/taesd", "diffusion_pytorch_model.safetensors", 0 },
  { "sdxl", ATL_TINY_ROLE, "madebyollin/taesdxl", "diffusion_pytorch_model.safetensors", 0 },
  { "sd3", ATL_TINY_ROLE, "madebyollin/taesd3", "diffusion_pytorch_model.safetensors", 0 },
  { "flux", ATL_TINY_ROLE, TAEF1, "diffusion_pytorch_model.safetensors", 0 },
  { "chroma", ATL_TINY_ROLE, TAEF1, "diffusion_pytorch_model.safetensors", 0 },
  { "zimage", ATL_TINY_ROLE, TAEF1, "diffusion_pytorch_model.safetensors", 0 },
  { "hidream", ATL_TINY_ROLE, TAEF1, "diffusion_pytorch_model.safetensors", 0 },
  { "flux2", ATL_TINY_ROLE, "madebyollin/taef2", "taef2.safetensors", 0 },
  { "qwen-image", ATL_TINY_ROLE, TAEW, "taew2_1.safetensors", 0 },
};

static void
part_clear (gpointer data)
{
  g_free (((AtlMissingPart *) data)->name);
}

/* A row for each published file of the role that is not there, or one without. */
static void
add (GArray *missing,
     const AtlBundle *bundle,
     const AtlDiffusionFamily *family,
     const char *role,
     const char *words)
{
  gboolean is_known = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (published); i++)
    {
      const Published *p = &published[i];
      AtlMissingPart part = { .words = words,
                              .role = p->role,
                              .repository = p->repository,
                              .file = p->file,
                              .size_bytes = p->size_bytes };
      const char *slash = strrchr (p->file, '/');

      if (!g_str_equal (p->family, family->name) || !g_str_equal (p->role, role))
        continue;
      is_known = TRUE;
      if (atl_bundle_has_file (bundle, role, slash != NULL ? slash + 1 : p->file))
        continue;
      part.name = g_strconcat (role, "/", slash != NULL ? slash + 1 : p->file, NULL);
      g_array_append_val (missing, part);
    }
  if (!is_known)
    {
      AtlMissingPart part = { .words = words, .role = g_intern_string (role) };

      g_array_append_val (missing, part);
    }
}

/* One that is of two files, of which one is not there. */
static gboolean
is_half (const AtlBundle *bundle, const char *role)
{
  return atl_bundle_has_file (bundle, role, "vocab.json") !=
             atl_bundle_has_file (bundle, role, "merges.txt") &&
         !atl_bundle_has_file (bundle, role, "tokenizer.json") &&
         !atl_bundle_has_file (bundle, role, "spiece.model") &&
         !atl_bundle_has_file (bundle, role, "tokenizer.model");
}

static gboolean
has_vocabulary (AtlBundle *bundle, const char *role)
{
  if (atl_bundle_has_folder (bundle, role))
    return !is_half (bundle, role);
  return atl_bundle_tokenizer (bundle, role, NULL) != NULL;
}

GArray *
atl_missing_parts (AtlBundle *bundle, const AtlDiffusionFamily *family)
{
  GArray *missing = g_array_new (FALSE, FALSE, sizeof (AtlMissingPart));

  g_array_set_clear_func (missing, part_clear);
  for (guint i = 0; i < family->n_parts; i++)
    {
      const AtlPart *part = &family->parts[i];
      gboolean is_there = atl_bundle_has (bundle, part->role);
      g_autofree char *vocabulary = NULL;

      if (!is_there && !part->is_optional)
        add (missing, bundle, family, part->role, _ (part->words));
      if (!g_str_has_prefix (part->role, "text_encoder") || (!is_there && part->is_optional))
        continue;
      vocabulary = g_strconcat ("tokenizer", part->role + strlen ("text_encoder"), NULL);
      if (!has_vocabulary (bundle, vocabulary))
        add (missing, bundle, family, vocabulary, _ ("a vocabulary"));
    }
  return missing;
}

/* Adds the published parts that make a model better and are not there: a tiny decoder for previews.
 */
static void
add_optional (GArray *missing, AtlBundle *bundle, const AtlDiffusionFamily *family)
{
  for (guint i = 0; i < family->n_parts; i++)
    {
      const AtlPart *part = &family->parts[i];
      guint first = missing->len;

      if (g_str_equal (part->role, ATL_TINY_ROLE) && !atl_bundle_has (bundle, part->role))
        add (missing, bundle, family, part->role, _ (part->words));
      /* Nobody needs to hear of what cannot be had. */
      if (missing->len > first && g_array_index (missing, AtlMissingPart, first).repository == NULL)
        g_array_set_size (missing, first);
      for (guint k = first; k < missing->len; k++)
        g_array_index (missing, AtlMissingPart, k).is_optional = TRUE;
    }
}

GArray *
atl_missing_for (AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  g_autoptr (AtlBundle) bundle = atl_bundle_new (maps, names, n, error);
  const AtlDiffusionFamily *family =
      bundle != NULL ? atl_diffusion_family_for (bundle, NULL, error) : NULL;
  GArray *missing = family != NULL ? atl_missing_parts (bundle, family) : NULL;

  if (missing != NULL && missing->len > 0)
    add_optional (missing, bundle, family);
  return missing;
}

char *
atl_missing_to_words (const GArray *missing)
{
  GString *words = NULL;

  for (guint i = 0; i < missing->len; i++)
    {
      const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, i);
      const AtlMissingPart *before = i > 0 ? &g_array_index (missing, AtlMissingPart, i - 1) : NULL;

      if (words == NULL)
        words = g_string_new (NULL);
      if (before != NULL && g_str_equal (before->role, part->role))
        g_string_append_printf (words, " + %s", part->file);
      else
        g_string_append_printf (words, "%s%s", before != NULL ? "; " : "", part->words);
      if (part->repository != NULL && (before == NULL || !g_str_equal (before->role, part->role)))
        g_string_append_printf (words, " (huggingface.co/%s: %s", part->repository, part->file);
      if (part->repository != NULL &&
          (i + 1 == missing->len ||
           !g_str_equal (g_array_index (missing, AtlMissingPart, i + 1).role, part->role)))
        g_string_append_c (words, ')');
    }
  return words != NULL ? g_string_free (words, FALSE) : NULL;
}
