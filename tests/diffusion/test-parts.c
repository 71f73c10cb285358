/* Which file plays which part, where several lie nearby: kinds, widths and broken ones. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/diffusion/family-list.h"
#include "engine/diffusion/missing.h"
#include "engine/diffusion/part-checks.h"
#include "patched-model.h"
#include "small-model.h"

typedef struct
{
  char *folder;            /* (owned) */
  GPtrArray *maps, *names; /* (owned) */
} Files;

static void
files_init (Files *self)
{
  g_autoptr (GError) error = NULL;

  self->folder = g_dir_make_tmp ("atelier-parts-XXXXXX", &error);
  g_assert_no_error (error);
  self->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  self->names = g_ptr_array_new_with_free_func (g_free);
}

static void
files_clear (Files *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->folder, name, NULL);

      g_unlink (path);
    }
  g_rmdir (self->folder);
  g_free (self->folder);
  g_ptr_array_unref (self->maps);
  g_ptr_array_unref (self->names);
}

static void
add_bytes (Files *self, const char *logical, const char *bytes, gsize n)
{
  g_autofree char *base = g_path_get_basename (logical);
  g_autofree char *path = g_build_filename (self->folder, base, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, bytes, (gssize) n, &error);
  g_assert_no_error (error);
  g_ptr_array_add (self->maps, atl_file_map_new (path, &error));
  g_assert_no_error (error);
  g_ptr_array_add (self->names, g_strdup (logical));
}

/* A safetensors file of zeros: names and [rows, columns] of F32; rows 0: a vector. */
static void
add (Files *self,
     const char *logical,
     guint n,
     const char *const *tensors,
     guint rows,
     guint columns)
{
  g_autoptr (GString) header = g_string_new ("{");
  gsize size = (gsize) MAX (rows, 1) * columns * 4;
  g_autofree char *bytes = NULL;
  guint64 length;

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *shape =
          rows > 0 ? g_strdup_printf ("%u,%u", rows, columns) : g_strdup_printf ("%u", columns);

      g_string_append_printf (
          header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%u,%u]}",
          i > 0 ? "," : "", tensors[i], shape, (guint) (i * size), (guint) ((i + 1) * size));
    }
  g_string_append_c (header, '}');
  length = GUINT64_TO_LE (header->len);
  bytes = g_malloc0 (8 + header->len + n * size);
  memcpy (bytes, &length, 8);
  memcpy (bytes + 8, header->str, header->len);
  add_bytes (self, logical, bytes, 8 + header->len + n * size);
}

/* Enough of the names that a T5 is known by. */
static void
add_t5 (Files *self, const char *logical, guint width, gboolean is_umt5)
{
  const char *const tensors[] = {
    "shared.weight",
    "encoder.block.0.layer.0.SelfAttention.q.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
    "encoder.block.1.layer.0.SelfAttention.q.weight",
    "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
  };

  add (self, logical, G_N_ELEMENTS (tensors) - !is_umt5, tensors, 2, width);
}

static void
add_chroma (Files *self, const char *logical, guint width)
{
  static const char *const tensors[] = { "txt_in.weight", "distilled_guidance_layer.in_proj.weight",
                                         "double_blocks.0.img_attn.qkv.weight",
                                         "double_blocks.0.img_attn.norm.query_norm.scale" };

  add (self, logical, G_N_ELEMENTS (tensors), tensors, 4, width);
}

static AtlBundle *
assign (Files *files, const AtlDiffusionFamily *family)
{
  g_autoptr (GError) error = NULL;
  AtlBundle *bundle =
      atl_bundle_new ((AtlFileMap *const *) files->maps->pdata,
                      (const char *const *) files->names->pdata, files->maps->len, &error);

  g_assert_no_error (error);
  g_assert_true (atl_bundle_assign (bundle, family->parts, family->n_parts, &error));
  g_assert_no_error (error);
  return bundle;
}

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
  Files files;
  g_autoptr (AtlBundle) bundle = NULL;

  files_init (&files);
  add_chroma (&files, "chroma.safetensors", 16);
  add_bytes (&files, "nearby/a-broken.safetensors", "broken", 6);
  add_t5 (&files, "nearby/b-umt5.safetensors", 16, TRUE);
  add_t5 (&files, "nearby/c-narrow.safetensors", 8, FALSE);
  add_t5 (&files, "nearby/d-right.safetensors", 16, FALSE);
  bundle = assign (&files, &atl_family_chroma);
  g_assert_nonnull (strstr (player (bundle, "transformer"), "chroma"));
  g_assert_nonnull (strstr (player (bundle, "text_encoder"), "d-right"));
  g_assert_false (atl_bundle_has (bundle, "vae"));
  files_clear (&files);
}

/* A broken file that was chosen is an error, and what was chosen wins over what lies nearby. */
static void
test_chosen (void)
{
  Files files;
  g_autoptr (AtlBundle) bundle = NULL;
  g_autoptr (AtlBundle) broken = NULL;
  g_autoptr (GError) error = NULL;

  files_init (&files);
  add_chroma (&files, "folder/chroma.safetensors", 16);
  add_t5 (&files, "nearby/a-t5.safetensors", 16, FALSE);
  add_t5 (&files, "folder/z-t5.safetensors", 16, FALSE);
  bundle = assign (&files, &atl_family_chroma);
  g_assert_nonnull (strstr (player (bundle, "text_encoder"), "z-t5"));

  add_bytes (&files, "folder/broken.safetensors", "broken", 6);
  broken = atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                           (const char *const *) files.names->pdata, files.maps->len, &error);
  g_assert_no_error (error);
  g_assert_false (
      atl_bundle_assign (broken, atl_family_chroma.parts, atl_family_chroma.n_parts, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  files_clear (&files);
}

/* Encoders of another width than the denoiser reads are no parts of it, which is said. */
static void
test_widths (void)
{
  static const char *const flux[] = { "vector_in.in_layer.weight", "txt_in.weight",
                                      "double_blocks.0.img_mod.lin.weight" };
  static const char *const clip[] = { "text_model.embeddings.position_embedding.weight",
                                      "text_model.embeddings.token_embedding.weight",
                                      "text_model.encoder.layers.0.self_attn.q_proj.weight",
                                      "text_model.final_layer_norm.weight" };

  for (guint width = 32; width <= 128; width += 96)
    {
      Files files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;
      guint n_told = 0;

      files_init (&files);
      add (&files, "flux.safetensors", G_N_ELEMENTS (flux), flux, 4, 32);
      add (&files, "clip.safetensors", G_N_ELEMENTS (clip), clip, 0, width);
      add_t5 (&files, "t5.safetensors", width, FALSE);
      bundle = assign (&files, &atl_family_flux);
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
      files_clear (&files);
    }
}

/* The same network as Qwen-Image but for one tensor; what it is for is not there. */
static void
test_layered (void)
{
  static const char *const tensors[] = { "transformer_blocks.0.txt_mod.1.weight", "txt_norm.weight",
                                         "time_text_embed.addition_t_embedding.weight" };

  for (guint n = 2; n <= G_N_ELEMENTS (tensors); n++)
    {
      Files files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GError) error = NULL;
      const AtlDiffusionFamily *family;

      files_init (&files);
      add (&files, "qwen.safetensors", n, tensors, 2, 16);
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
      files_clear (&files);
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
      Files files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;

      files_init (&files);
      add (&files, "flux.safetensors", G_N_ELEMENTS (tensors), tensors, 2, rows[i].width);
      bundle = assign (&files, &atl_family_flux2);
      missing = atl_missing_parts (bundle, &atl_family_flux2);
      g_assert_true (is_missing (missing, "text_encoder", rows[i].encoder));
      g_assert_cmpuint (missing->len, ==, 3);
      for (guint k = 0; k < missing->len; k++)
        if (g_str_equal (g_array_index (missing, AtlMissingPart, k).role, "tokenizer"))
          g_assert_nonnull (
              strstr (g_array_index (missing, AtlMissingPart, k).repository, rows[i].words));
      files_clear (&files);
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
      Files files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GArray) missing = NULL;

      memcpy (bytes, &length, 8);
      memcpy (bytes + 8, header, strlen (header));
      files_init (&files);
      add_bytes (&files, "wan.safetensors", bytes, size);
      bundle = assign (&files, &atl_family_wan);
      g_assert_true (atl_bundle_has (bundle, "transformer"));
      missing = atl_missing_parts (bundle, &atl_family_wan);
      g_assert_cmpuint (missing->len, ==, 3);
      g_assert_true (is_missing (missing, "vae", rows[i].vae));
      files_clear (&files);
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
  g_test_add_func ("/diffusion/parts/widths", test_widths);
  g_test_add_func ("/diffusion/parts/chosen", test_chosen);
  g_test_add_func ("/diffusion/parts/layered", test_layered);
  g_test_add_func ("/diffusion/parts/published", test_published);
  g_test_add_func ("/diffusion/parts/published-wan", test_published_wan);
  g_test_add_func ("/diffusion/parts/klein", test_klein);
  return g_test_run ();
}
