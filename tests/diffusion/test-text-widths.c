/* Whether a text encoder gives what the denoiser reads, and what is said where it does not. */
#include <string.h>

#include "engine/diffusion/missing.h"
#include "part-files.h"

static const char *const flux[] = { "vector_in.in_layer.weight", "txt_in.weight",
                                    "double_blocks.0.img_mod.lin.weight" };

/* Encoders of another width than the denoiser reads are no parts of it, which is said. */
static void
test_widths (void)
{
  for (guint width = 32; width <= 128; width += 96)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;
      guint n_told = 0;

      part_files_init (&files);
      part_files_add (&files, "flux.safetensors", G_N_ELEMENTS (flux), flux, 4, 32);
      part_files_add_clip (&files, "clip.safetensors", width);
      part_files_add_t5 (&files, "t5.safetensors", width, FALSE);
      bundle = part_files_assign (&files, &atl_family_flux);
      g_assert_true (atl_bundle_has (bundle, "transformer"));
      g_assert_cmpint (atl_bundle_has (bundle, "text_encoder"), ==, width == 32);
      g_assert_cmpint (atl_bundle_has (bundle, "text_encoder_2"), ==, width == 32);
      missing = atl_missing_parts (bundle, &atl_family_flux);
      for (guint i = 0; i < missing->len; i++)
        {
          const char *misfit = g_array_index (missing, AtlMissingPart, i).misfit;

          if (misfit == NULL)
            continue;
          g_assert_nonnull (strstr (misfit, "32"));
          g_assert_nonnull (strstr (misfit, "128"));
          n_told++;
        }
      g_assert_cmpuint (n_told, ==, width == 32 ? 0 : 2);
      part_files_clear (&files);
    }
}

/* The parts of a whole folder are taken as they are; what is wrong with them is told all the same.
 */
static void
test_folder (void)
{
  for (guint width = 32; width <= 128; width += 96)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      guint n_told = 0;

      part_files_init (&files);
      part_files_add (&files, "transformer/model.safetensors", G_N_ELEMENTS (flux), flux, 4, 32);
      part_files_add_clip (&files, "text_encoder/model.safetensors", width);
      part_files_add_t5 (&files, "text_encoder_2/model.safetensors", 32, FALSE);
      bundle = part_files_assign (&files, &atl_family_flux);
      for (guint i = 0; i < atl_family_flux.n_parts; i++)
        {
          const AtlPart *part = &atl_family_flux.parts[i];
          const AtlMisfit *misfit = atl_bundle_text_misfit (bundle, part);

          if (misfit == NULL)
            continue;
          g_assert_cmpstr (part->role, ==, "text_encoder");
          g_assert_cmpint (misfit->takes, ==, 32);
          g_assert_cmpint (misfit->gives, ==, 128);
          n_told++;
        }
      g_assert_cmpuint (n_told, ==, width == 32 ? 0 : 1);
      part_files_clear (&files);
    }
}

/* Families that read the vectors of two CLIPs: each has to be as wide as what the other leaves, or,
 * where the other is not there, as those of published models do. */
static void
test_pooled (void)
{
  static const char *const sd3[] = { "joint_blocks.0.x_block.attn.qkv.weight",
                                     "y_embedder.mlp.0.weight", "context_embedder.weight" };
  static const char *const hidream[] = { "double_stream_blocks.0.block.attn1.to_q_t.weight",
                                         "p_embedder.pooled_embedder.linear_1.weight",
                                         "caption_projection.0.linear.weight" };
  static const char *const xl[] = { "model.diffusion_model.input_blocks.0.0.weight",
                                    "model.diffusion_model.label_emb.0.0.weight",
                                    "model.diffusion_model.time_embed.0.weight" };
  static const struct
  {
    const AtlDiffusionFamily *family;
    const char *const *tensors;
    guint reads;         /* numbers in all */
    guint first, second; /* widths of CLIP-L and CLIP-G; 0: not there */
    gboolean takes_first, takes_second;
  } rows[] = {
    { &atl_family_sd3, sd3, 2048, 768, 1280, TRUE, TRUE },
    { &atl_family_sd3, sd3, 2048, 512, 1280, FALSE, TRUE },
    { &atl_family_sd3, sd3, 2048, 768, 1408, TRUE, FALSE },
    { &atl_family_sd3, sd3, 2048, 768, 0, TRUE, FALSE },
    { &atl_family_sd3, sd3, 2048, 640, 0, FALSE, FALSE },
    { &atl_family_sd3, sd3, 2048, 0, 1408, FALSE, FALSE },
    { &atl_family_hidream, hidream, 2048, 768, 1280, TRUE, TRUE },
    { &atl_family_hidream, hidream, 2048, 512, 0, FALSE, FALSE },
    { &atl_family_hidream, hidream, 2048, 0, 1536, FALSE, FALSE },
    { &atl_family_sdxl, xl, 1280 + 6 * 256, 768, 1280, TRUE, TRUE },
    { &atl_family_sdxl, xl, 1280 + 5 * 256, 0, 1280, FALSE, TRUE },
    { &atl_family_sdxl, xl, 1280 + 6 * 256, 0, 1408, FALSE, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;

      part_files_init (&files);
      part_files_add (&files, "denoiser.safetensors", 3, rows[i].tensors, 2, rows[i].reads);
      if (rows[i].first > 0)
        part_files_add_clip (&files, "clip_l.safetensors", rows[i].first);
      if (rows[i].second > 0)
        part_files_add_clip (&files, "clip_g.safetensors", rows[i].second);
      bundle = part_files_assign (&files, rows[i].family);
      g_test_message ("%s with %u and %u", rows[i].family->name, rows[i].first, rows[i].second);
      g_assert_true (
          atl_bundle_has (bundle, rows[i].family == &atl_family_sdxl ? "unet" : "transformer"));
      g_assert_cmpint (atl_bundle_has (bundle, "text_encoder"), ==, rows[i].takes_first);
      g_assert_cmpint (atl_bundle_has (bundle, "text_encoder_2"), ==, rows[i].takes_second);
      g_assert_cmpint (atl_bundle_misfit (bundle, "text_encoder_2") != NULL, ==,
                       rows[i].second > 0 && !rows[i].takes_second);
      part_files_clear (&files);
    }
}

/* HiDream reads T5 behind Llama, each through projections of its own. */
static void
test_last_projection (void)
{
  static const char *const blocks[] = { "double_stream_blocks.0.block.attn1.to_q_t.weight",
                                        "caption_projection.0.linear.weight",
                                        "caption_projection.1.linear.weight" };

  for (guint width = 32; width <= 64; width += 32)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;

      part_files_init (&files);
      part_files_add (&files, "hidream.safetensors", 3, blocks, 2, 32);
      part_files_add_t5 (&files, "t5.safetensors", width, FALSE);
      bundle = part_files_assign (&files, &atl_family_hidream);
      g_assert_cmpint (atl_bundle_has (bundle, "text_encoder_3"), ==, width == 32);
      g_assert_cmpint (atl_bundle_misfit (bundle, "text_encoder_3") != NULL, ==, width != 32);
      part_files_clear (&files);
    }
}

/* SD 3 draws without T5: one that does not fit is no reason to refuse, but is said, where the rest
 * is missing and where it is not. */
static void
test_extra (void)
{
  static const char *const sd3[] = { "joint_blocks.0.x_block.attn.qkv.weight",
                                     "context_embedder.weight" };

  for (guint width = 32; width <= 64; width += 32)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *unused = NULL;
      guint n_extra = 0, n_words = 0;

      part_files_init (&files);
      part_files_add (&files, "sd3.safetensors", 2, sd3, 2, 32);
      part_files_add_t5 (&files, "t5xxl.safetensors", width, FALSE);
      bundle = part_files_assign (&files, &atl_family_sd3);
      unused = atl_missing_unused (bundle, &atl_family_sd3);
      missing = atl_missing_for ((AtlFileMap *const *) files.maps->pdata,
                                 (const char *const *) files.names->pdata, files.maps->len, &error);
      g_assert_no_error (error);
      for (guint i = 0; i < missing->len; i++)
        {
          const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, i);

          if (g_str_equal (part->role, "tokenizer_3"))
            {
              g_assert_true (part->is_optional);
              g_assert_cmpstr (part->file, ==, "spiece.model");
              n_words++;
            }
          if (!g_str_equal (part->role, "text_encoder_3"))
            continue;
          g_assert_true (part->is_optional);
          g_assert_null (part->repository);
          g_assert_cmpstr (part->misfit_file, ==, "t5xxl.safetensors");
          n_extra++;
        }
      g_assert_cmpuint (n_extra, ==, width == 32 ? 0 : 1);
      /* One that fits has no vocabulary here, which is no reason to refuse either. */
      g_assert_cmpuint (n_words, ==, width == 32 ? 1 : 0);
      g_assert_nonnull (unused);
      g_assert_nonnull (strstr (unused, width == 32 ? "spiece.model" : "t5xxl.safetensors"));
      g_assert_cmpint (strstr (unused, "64") != NULL, ==, width != 32);
      part_files_clear (&files);
    }
}

/* A refusal says why a file that was given is none of what is missing. */
static void
test_refusal (void)
{
  PartFiles files;
  g_autoptr (AtlBundle) bundle = NULL;
  g_autoptr (GArray) missing = NULL;
  g_autofree char *words = NULL;

  part_files_init (&files);
  part_files_add_chroma (&files, "chroma.safetensors", 16);
  part_files_add_t5 (&files, "small t5.safetensors", 8, FALSE);
  bundle = part_files_assign (&files, &atl_family_chroma);
  missing = atl_missing_parts (bundle, &atl_family_chroma);
  words = atl_missing_to_words (missing);
  g_assert_nonnull (strstr (words, "small t5.safetensors does not fit"));
  g_assert_nonnull (strstr (words, "16 numbers"));
  part_files_clear (&files);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/diffusion/text-widths/widths", test_widths);
  g_test_add_func ("/diffusion/text-widths/folder", test_folder);
  g_test_add_func ("/diffusion/text-widths/pooled", test_pooled);
  g_test_add_func ("/diffusion/text-widths/last-projection", test_last_projection);
  g_test_add_func ("/diffusion/text-widths/extra", test_extra);
  g_test_add_func ("/diffusion/text-widths/refusal", test_refusal);
  return g_test_run ();
}
