/* A model's parts put into a folder one after the other, as a person has them: until the last is
 * there, what is missing is said; then it draws. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "picture-fixture.h"
#include "remove-tree.h"

#define MAX_FILES 6

typedef struct
{
  /* Below the golden families, and in the person's folder; and a word of what is missing with it;
   * NULL: nothing. */
  const char *source, *name, *missing;
} Step;

typedef struct
{
  const char *name;
  Step steps[MAX_FILES];
} Form;

#define UMT5                                                                                       \
  {                                                                                                \
    "wan21/variants/comfyui/umt5_xxl_fp8_e4m3fn_scaled.safetensors",                               \
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "autoencoder"                                    \
  }
#define WAN_VAE                                                                                    \
  {                                                                                                \
    "wan21/variants/comfyui/wan_2.1_vae.safetensors", "wan_2.1_vae.safetensors", NULL              \
  }

static const Form forms[] = {
  { "comfyui",
    { { "wan21/variants/comfyui/wan2.1_t2v_tiny_fp16.safetensors", "wan2.1_t2v_fp16.safetensors",
        "UMT5" },
      UMT5,
      WAN_VAE } },
  /* Beside a GGUF file, and the decoder before the encoder. */
  { "gguf",
    { { "wan21/variants/gguf/wan2.1-t2v-tiny-Q4_K_M.gguf", "wan2.1-t2v-Q4_K_M.gguf", "UMT5" },
      { "wan21/variants/comfyui/wan_2.1_vae.safetensors", "wan_2.1_vae.safetensors", "UMT5" },
      { "wan21/variants/comfyui/umt5_xxl_fp8_e4m3fn_scaled.safetensors", "umt5_xxl.safetensors",
        NULL } } },
  /* Networks without vocabularies, which have folders beside them. */
  { "vocabulary",
    { { "sd15/model/unet/diffusion_pytorch_model.safetensors", "unet.safetensors", "CLIP-L" },
      { "sd15/model/vae/diffusion_pytorch_model.safetensors", "vae.safetensors", "CLIP-L" },
      { "sd15/model/text_encoder/model.safetensors", "clip_l.safetensors", "vocabulary" },
      { "sd15/model/tokenizer/vocab.json", "tokenizer/vocab.json", "merges.txt" },
      { "sd15/model/tokenizer/merges.txt", "tokenizer/merges.txt", NULL } } },
  /* Folders of parts, and no index. */
  { "no-index",
    { { "sd15/model/unet", "unet", "CLIP-L" },
      { "sd15/model/text_encoder", "text_encoder", "autoencoder" },
      { "sd15/model/vae", "vae", "vocabulary" },
      { "sd15/model/tokenizer", "tokenizer", NULL } } },
};

static void
put (const char *folder, const Step *step)
{
  g_autofree char *from = picture_fixture_path (step->source);
  g_autofree char *to = g_build_filename (folder, step->name, NULL);
  g_autofree char *above = g_path_get_dirname (to);

  g_assert_cmpint (g_mkdir_with_parents (above, 0700), ==, 0);
  g_assert_cmpint (symlink (from, to), ==, 0);
}

static void
test_form (gconstpointer data)
{
  const Form *form = data;
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autofree char *folder = g_dir_make_tmp ("atelier-loose-XXXXXX", NULL);
  g_autoptr (AtlModel) model = NULL;
  g_auto (Drawing) drawing = { 0 };
  guint width, height;

  for (guint i = 0; i < MAX_FILES && form->steps[i].source != NULL; i++)
    {
      g_autoptr (GError) error = NULL;

      put (folder, &form->steps[i]);
      g_assert_null (model);
      model = fixture_load (client, folder, NULL, NULL, &error);
      if (form->steps[i].missing == NULL)
        {
          g_assert_no_error (error);
          continue;
        }
      g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
      g_test_message ("%s: %s", form->steps[i].name, error->message);
      g_assert_nonnull (strstr (error->message, form->steps[i].missing));
      g_assert_nonnull (strstr (error->message, "huggingface.co/"));
    }
  g_assert_nonnull (model);
  g_assert_nonnull (drawing_draw (&drawing, client, model, &width, &height));
  atl_client_stop (client);
  remove_tree (folder);
}

int
main (int argc, char **argv)
{
  static const char *const families[] = { "sd15", "wan21", NULL };

  g_test_init (&argc, &argv, G_TEST_OPTION_ISOLATE_DIRS, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++)
    {
      g_autofree char *path = g_strconcat ("/loose-parts/", forms[i].name, NULL);

      g_test_add_data_func (path, &forms[i], test_form);
    }
  return picture_fixture_run (families);
}
