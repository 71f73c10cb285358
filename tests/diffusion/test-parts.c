/* Which file plays which part, where several lie nearby: kinds and broken ones. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/diffusion/missing.h"
#include "engine/diffusion/part-checks.h"
#include "engine/formats/open.h"
#include "part-files.h"
#include "patched-model.h"
#include "small-model.h"

static const char *
player (AtlBundle *bundle, const char *role)
{
  AtlCheckpoint *cp =
      atl_bundle_has (bundle, role) ? atl_bundle_checkpoint (bundle, role, NULL) : NULL;

  return cp != NULL ? atl_checkpoint_name (cp) : "";
}

static void
test_nearby (void)
{
  PartFiles files;
  g_autoptr (AtlBundle) bundle = NULL;

  part_files_init (&files);
  part_files_add_chroma (&files, "chroma.safetensors", 16);
  part_files_add_bytes (&files, "nearby/a-broken.safetensors", "broken", 6);
  part_files_add_t5 (&files, "nearby/b-umt5.safetensors", 16, TRUE);
  part_files_add_t5 (&files, "nearby/c-narrow.safetensors", 8, FALSE);
  part_files_add_t5 (&files, "nearby/d-right.safetensors", 16, FALSE);
  bundle = part_files_assign (&files, &atl_family_chroma);
  g_assert_nonnull (strstr (player (bundle, "transformer"), "chroma"));
  g_assert_nonnull (strstr (player (bundle, "text_encoder"), "d-right"));
  g_assert_false (atl_bundle_has (bundle, "vae"));
  part_files_clear (&files);
}

/* A broken file that was chosen is an error, and what was chosen wins over what lies nearby. */
static void
test_chosen (void)
{
  PartFiles files;
  g_autoptr (AtlBundle) bundle = NULL;
  g_autoptr (AtlBundle) broken = NULL;
  g_autoptr (GError) error = NULL;

  part_files_init (&files);
  part_files_add_chroma (&files, "folder/chroma.safetensors", 16);
  part_files_add_t5 (&files, "nearby/a-t5.safetensors", 16, FALSE);
  part_files_add_t5 (&files, "folder/z-t5.safetensors", 16, FALSE);
  bundle = part_files_assign (&files, &atl_family_chroma);
  g_assert_nonnull (strstr (player (bundle, "text_encoder"), "z-t5"));

  part_files_add_bytes (&files, "folder/broken.safetensors", "broken", 6);
  broken = atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                           (const char *const *) files.names->pdata, files.maps->len, &error);
  g_assert_no_error (error);
  g_assert_false (
      atl_bundle_assign (broken, atl_family_chroma.parts, atl_family_chroma.n_parts, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  part_files_clear (&files);
}

/* SDXL's base model reads both CLIPs, its refiner one. */
static void
test_needed (void)
{
  static const char *const unet[] = {
    "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.label_emb.0.0.weight",
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
  };
  static const guint widths[] = { 2048, 1280 };

  for (gsize i = 0; i < G_N_ELEMENTS (widths); i++)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;
      gboolean is_named = FALSE;

      part_files_init (&files);
      part_files_add (&files, "unet.safetensors", 3, unet, 2, widths[i]);
      bundle = part_files_assign (&files, &atl_family_sdxl);
      missing = atl_missing_parts (bundle, &atl_family_sdxl);
      for (guint k = 0; k < missing->len; k++)
        is_named |= g_str_equal (g_array_index (missing, AtlMissingPart, k).role, "text_encoder");
      g_assert_cmpint (is_named, ==, widths[i] == 2048);
      part_files_clear (&files);
    }
}

/* A file with all of a model, as ComfyUI saves it: the autoencoder below "vae.", whichever names it
 * has there. */
static void
test_whole_file (void)
{
  static const struct
  {
    const AtlDiffusionFamily *family;
    const char *names[4];
  } rows[] = {
    { &atl_family_flux,
      { "model.diffusion_model.vector_in.in_layer.weight",
        "model.diffusion_model.double_blocks.0.img_mod.lin.weight", "vae.decoder.conv_in.weight",
        "vae.decoder.mid.block_1.conv1.weight" } },
    { &atl_family_wan,
      { "model.diffusion_model.patch_embedding.weight",
        "model.diffusion_model.blocks.0.self_attn.norm_q.weight",
        "vae.decoder.upsamples.0.residual.0.gamma", "vae.decoder.conv1.weight" } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GString) header = g_string_new ("{");
      g_autofree char *bytes = NULL;
      guint64 length;
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;

      for (guint k = 0; k < G_N_ELEMENTS (rows[i].names); k++)
        g_string_append_printf (header,
                                "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[1,16,1,1],"
                                "\"data_offsets\":[%u,%u]}",
                                k > 0 ? "," : "", rows[i].names[k], 64 * k, 64 * (k + 1));
      g_string_append_c (header, '}');
      length = GUINT64_TO_LE (header->len);
      bytes = g_malloc0 (8 + header->len + 256);
      memcpy (bytes, &length, 8);
      memcpy (bytes + 8, header->str, header->len);
      part_files_init (&files);
      part_files_add_bytes (&files, "whole.safetensors", bytes, 8 + header->len + 256);
      bundle = part_files_assign (&files, rows[i].family);
      g_assert_true (atl_bundle_has (bundle, "transformer"));
      g_assert_true (atl_bundle_has (bundle, "vae"));
      part_files_clear (&files);
    }
}

/* Adds "NAME":{…} of zeros to a safetensors header; `at` counts the bytes. */
static void
add_zeros (GString *header, guint *at, const char *name, guint rows, guint columns)
{
  guint size = 4 * MAX (rows, 1) * columns;
  g_autofree char *shape =
      rows > 0 ? g_strdup_printf ("%u,%u", rows, columns) : g_strdup_printf ("%u", columns);

  g_string_append_printf (header,
                          "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%u,%u]}",
                          header->len > 1 ? "," : "", name, shape, *at, *at + size);
  *at += size;
}

/* The same of families that read texts with a language model: it is found below "text_encoders.",
 * told by what is there, and gets GGUF's names. */
static void
test_whole_language (void)
{
  static const struct
  {
    const AtlDiffusionFamily *family;
    const char *role, *name, *architecture;
    const char *denoiser[2]; /* (nullable) what tells it */
    const char *own;         /* (nullable) a vector that only this kind of language model has */
    guint q_rows;
  } rows[] = {
    { &atl_family_zimage,
      "text_encoder",
      "qwen3_4b",
      "qwen3",
      { "layers.0.adaLN_modulation.0.weight", "x_pad_token" },
      "layers.0.self_attn.q_norm.weight",
      128 },
    { &atl_family_flux2,
      "text_encoder",
      "mistral3_24b",
      "llama",
      { "single_stream_modulation.lin.weight" },
      NULL,
      256 },
    { &atl_family_qwen_image,
      "text_encoder",
      "qwen25_7b",
      "qwen2vl",
      { "transformer_blocks.0.txt_mod.1.weight", "txt_norm.weight" },
      "layers.0.self_attn.q_proj.bias",
      128 },
    { &atl_family_hidream,
      "text_encoder_4",
      "llama",
      "llama",
      { "double_stream_blocks.0.block.attn1.to_q_t.weight" },
      NULL,
      128 },
  };
  static const char *const inside[] = { "embed_tokens.weight", "layers.0.self_attn.k_proj.weight",
                                        "layers.0.mlp.gate_proj.weight" };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *prefix =
          g_strdup_printf ("text_encoders.%s.transformer.model.", rows[i].name);
      g_autofree char *q = g_strconcat (prefix, "layers.0.self_attn.q_proj.weight", NULL);
      g_autoptr (GString) header = g_string_new ("{");
      g_autofree char *bytes = NULL;
      guint at = 0;
      guint64 length;
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      AtlCheckpoint *cp;

      for (guint k = 0; k < 2 && rows[i].denoiser[k] != NULL; k++)
        {
          g_autofree char *name = g_strconcat ("model.diffusion_model.", rows[i].denoiser[k], NULL);
          add_zeros (header, &at, name, 1, 128);
        }
      for (gsize k = 0; k < G_N_ELEMENTS (inside); k++)
        {
          g_autofree char *name = g_strconcat (prefix, inside[k], NULL);
          add_zeros (header, &at, name, 128, 128);
        }
      add_zeros (header, &at, q, rows[i].q_rows, 128);
      if (rows[i].own != NULL)
        {
          g_autofree char *name = g_strconcat (prefix, rows[i].own, NULL);
          add_zeros (header, &at, name, 0, 128);
        }
      g_string_append_c (header, '}');
      length = GUINT64_TO_LE (header->len);
      bytes = g_malloc0 (8 + header->len + at);
      memcpy (bytes, &length, 8);
      memcpy (bytes + 8, header->str, header->len);
      part_files_init (&files);
      part_files_add_bytes (&files, "whole.safetensors", bytes, 8 + header->len + at);
      bundle = part_files_assign (&files, rows[i].family);
      g_assert_true (atl_bundle_has (bundle, "transformer"));
      g_assert_true (atl_bundle_has (bundle, rows[i].role));
      cp = atl_bundle_checkpoint (bundle, rows[i].role, NULL);
      g_assert_cmpstr (atl_checkpoint_get_string (cp, "general.architecture"), ==,
                       rows[i].architecture);
      g_assert_nonnull (atl_checkpoint_find (cp, "token_embd.weight"));
      part_files_clear (&files);
    }
}

/* What pipelines read of an autoencoder beside its network is found in such a file, too. */
static void
test_whole_vae (void)
{
  static const char *const names[] = { "vae.bn.running_mean", "vae.conv2.bias" };
  PartFiles files;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;

  part_files_init (&files);
  part_files_add (&files, "whole.safetensors", G_N_ELEMENTS (names), names, 0, 48);
  cp = atl_checkpoint_open ((AtlFileMap *const *) files.maps->pdata,
                            (const char *const *) files.names->pdata, 1, &error);
  g_assert_no_error (error);
  g_assert_nonnull (atl_vae_find (cp, "bn.running_mean"));
  g_assert_cmpint (atl_vae_find (cp, "conv2.bias")->dim[0], ==, 48);
  g_assert_null (atl_vae_find (cp, "bn.running_var"));
  part_files_clear (&files);
}

/* Networks of one shape: the file's name tells them, or the title in it. */
static void
test_called (void)
{
  static const char *const words[] = { "edit", "kontext", NULL };
  static const struct
  {
    const char *name, *key, *title;
    gboolean is_called;
  } rows[] = {
    { "all.safetensors", NULL, NULL, FALSE },
    { "Qwen-Image-Edit.safetensors", NULL, NULL, TRUE },
    { "all.safetensors", "__metadata__.modelspec.title", "FLUX.1 Kontext dev", TRUE },
    { "all.safetensors", "__metadata__.modelspec.title", "FLUX.1 dev", FALSE },
    { "all.gguf", "general.name", "Qwen Image Edit", TRUE },
    { "all.gguf", "general.description", "not for editing", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new (rows[i].name);
      AtlMetaValue value = { .type = ATL_META_STRING };

      if (rows[i].key != NULL)
        {
          value.v_string.chars = rows[i].title;
          value.v_string.length = strlen (rows[i].title);
          g_assert_true (atl_checkpoint_add_meta (cp, rows[i].key, &value, NULL));
        }
      g_assert_true (atl_denoiser_is_called (cp, words) == rows[i].is_called);
    }
  g_assert_false (atl_denoiser_is_called (NULL, words));
}

/* A denoiser in a folder that other programs have for all of them. */
static void
test_misplaced (void)
{
  PartFiles files;
  g_autoptr (AtlBundle) bundle = NULL;
  g_autoptr (GError) error = NULL;
  const AtlDiffusionFamily *family;

  part_files_init (&files);
  part_files_add_chroma (&files, "unet/chroma.safetensors", 16);
  part_files_add_t5 (&files, "text_encoder/t5.safetensors", 16, FALSE);
  bundle = atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                           (const char *const *) files.names->pdata, files.maps->len, &error);
  g_assert_no_error (error);
  family = atl_diffusion_family_for (bundle, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (family == &atl_family_chroma);
  g_assert_nonnull (strstr (player (bundle, "transformer"), "chroma"));
  part_files_clear (&files);
}

/* A folder of diffusers without its index is still a model. */
static void
test_no_index (void)
{
  g_autofree char *source = small_model_folder ("sd15");
  g_autofree char *folder = patched_model_copy (source);
  g_autofree char *index = g_build_filename (folder, "model_index.json", NULL);
  g_autoptr (AtlDiffusionModel) model = NULL;

  g_assert_cmpint (g_unlink (index), ==, 0);
  model = small_model_open_folder (folder, NULL, NULL);
  g_assert_cmpstr (atl_diffusion_model_family (model)->name, ==, "sd");
  patched_model_remove (folder);
}

/* The same network as Qwen-Image but for one tensor; what it is for is not there. */
static void
test_layered (void)
{
  static const char *const tensors[] = { "transformer_blocks.0.txt_mod.1.weight", "txt_norm.weight",
                                         "time_text_embed.addition_t_embedding.weight" };

  for (guint n = 2; n <= G_N_ELEMENTS (tensors); n++)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GError) error = NULL;
      const AtlDiffusionFamily *family;

      part_files_init (&files);
      part_files_add (&files, "qwen.safetensors", n, tensors, 2, 16);
      bundle = atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                               (const char *const *) files.names->pdata, files.maps->len, &error);
      g_assert_no_error (error);
      family = atl_diffusion_family_for (bundle, NULL, &error);
      if (n == 2)
        {
          g_assert_no_error (error);
          g_assert_true (family == &atl_family_qwen_image);
        }
      else
        {
          g_assert_null (family);
          g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
          g_assert_nonnull (strstr (error->message, "Layered"));
        }
      part_files_clear (&files);
    }
}

static gboolean
is_missing (const GArray *missing, const char *role, const char *file)
{
  for (guint i = 0; i < missing->len; i++)
    {
      const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, i);

      if (g_str_equal (part->role, role) && part->file != NULL && strstr (part->file, file) != NULL)
        return TRUE;
    }
  return FALSE;
}

/* Models of one family that read different text encoders are told of their own. */
static void
test_published (void)
{
  static const char *const tensors[] = { "txt_in.weight", "single_stream_modulation.lin.weight" };
  static const struct
  {
    guint width;
    const char *words, *encoder;
  } rows[] = {
    { 15360, "FLUX.2-dev", "mistral" },
    { 7680, "Qwen3-4B", "qwen_3_4b" },
    { 12288, "Qwen3-4B", "qwen_3_8b" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;

      part_files_init (&files);
      part_files_add (&files, "flux.safetensors", G_N_ELEMENTS (tensors), tensors, 2,
                      rows[i].width);
      bundle = part_files_assign (&files, &atl_family_flux2);
      missing = atl_missing_parts (bundle, &atl_family_flux2);
      g_assert_true (is_missing (missing, "text_encoder", rows[i].encoder));
      g_assert_cmpuint (missing->len, ==, 3);
      for (guint k = 0; k < missing->len; k++)
        if (g_str_equal (g_array_index (missing, AtlMissingPart, k).role, "tokenizer"))
          g_assert_nonnull (
              strstr (g_array_index (missing, AtlMissingPart, k).repository, rows[i].words));
      part_files_clear (&files);
    }
}

/* The two Wans with their autoencoders. */
static void
test_published_wan (void)
{
  static const struct
  {
    guint channels;
    const char *vae;
  } rows[] = { { 16, "wan_2.1_vae" }, { 48, "wan2.2_vae" } };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      guint n = 2 * rows[i].channels * 4;
      g_autofree char *header = g_strdup_printf (
          "{\"patch_embedding.weight\":{\"dtype\":\"F32\",\"shape\":[2,%u,1,2,2],"
          "\"data_offsets\":[0,%u]},\"blocks.0.self_attn.norm_q.weight\":{\"dtype\":"
          "\"F32\",\"shape\":[2,2],\"data_offsets\":[%u,%u]}}",
          rows[i].channels, 4 * n, 4 * n, 4 * n + 16);
      gsize size = 8 + strlen (header) + 4 * n + 16;
      g_autofree char *bytes = g_malloc0 (size);
      guint64 length = GUINT64_TO_LE (strlen (header));
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;

      memcpy (bytes, &length, 8);
      memcpy (bytes + 8, header, strlen (header));
      part_files_init (&files);
      part_files_add_bytes (&files, "wan.safetensors", bytes, size);
      bundle = part_files_assign (&files, &atl_family_wan);
      g_assert_true (atl_bundle_has (bundle, "transformer"));
      missing = atl_missing_parts (bundle, &atl_family_wan);
      g_assert_cmpuint (missing->len, ==, 3);
      g_assert_true (is_missing (missing, "vae", rows[i].vae));
      part_files_clear (&files);
    }
}

/* Klein's denoiser as a lone file: few steps unless its name says that it is the base model. */
static void
test_klein (void)
{
  static const struct
  {
    const char *name;
    guint steps;
  } rows[] = { { "flux-2-klein-4b-fp8.safetensors", 4 },
               { "flux-2-klein-base-4b-fp8.safetensors", 50 } };
  g_autofree char *family = small_model_family ("flux2");
  g_autofree char *klein = family != NULL ? g_build_filename (family, "klein", NULL) : NULL;

  if (klein == NULL)
    {
      g_test_skip ("no golden cases of flux2: this case did not run");
      return;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *folder = patched_model_copy (klein);
      g_autofree char *index = g_build_filename (folder, "model_index.json", NULL);
      g_autofree char *own =
          g_build_filename (folder, "transformer", "diffusion_pytorch_model.safetensors", NULL);
      g_autofree char *lone = g_build_filename (folder, rows[i].name, NULL);
      g_autoptr (AtlDiffusionModel) model = NULL;

      g_assert_cmpint (g_unlink (index), ==, 0);
      g_assert_cmpint (g_rename (own, lone), ==, 0);
      model = small_model_open_folder (folder, NULL, NULL);
      g_assert_cmpuint (atl_diffusion_model_traits (model)->steps, ==, rows[i].steps);
      patched_model_remove (folder);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/diffusion/parts/nearby", test_nearby);
  g_test_add_func ("/diffusion/parts/needed", test_needed);
  g_test_add_func ("/diffusion/parts/whole-file", test_whole_file);
  g_test_add_func ("/diffusion/parts/whole-language", test_whole_language);
  g_test_add_func ("/diffusion/parts/whole-vae", test_whole_vae);
  g_test_add_func ("/diffusion/parts/called", test_called);
  g_test_add_func ("/diffusion/parts/misplaced", test_misplaced);
  g_test_add_func ("/diffusion/parts/no-index", test_no_index);
  g_test_add_func ("/diffusion/parts/chosen", test_chosen);
  g_test_add_func ("/diffusion/parts/layered", test_layered);
  g_test_add_func ("/diffusion/parts/published", test_published);
  g_test_add_func ("/diffusion/parts/published-wan", test_published_wan);
  g_test_add_func ("/diffusion/parts/klein", test_klein);
  return g_test_run ();
}
