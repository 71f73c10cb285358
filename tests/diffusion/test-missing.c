/* What is missing is named, with published files that would do; what is put beside it under the
 * name that is told is then found. */
#include <string.h>

#include "engine/diffusion/missing.h"
#include "part-files.h"
#include "small-model.h"

typedef struct
{
  GPtrArray *maps, *names; /* (owned) */
} Files;

static void
take (Files *self, const char *folder, const char *file, const char *name)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (self->maps, atl_file_map_new (path, &error));
  g_assert_no_error (error);
  g_ptr_array_add (self->names, (gpointer) name);
}

static GArray *
missing_of (Files *files, const AtlDiffusionFamily **family)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlBundle) bundle =
      atl_bundle_new ((AtlFileMap *const *) files->maps->pdata,
                      (const char *const *) files->names->pdata, files->maps->len, &error);

  g_assert_no_error (error);
  *family = atl_diffusion_family_for (bundle, NULL, &error);
  g_assert_no_error (error);
  return atl_missing_parts (bundle, *family);
}

static gboolean
names (const GArray *missing, const char *role)
{
  for (guint i = 0; i < missing->len; i++)
    if (g_str_equal (g_array_index (missing, AtlMissingPart, i).role, role))
      return TRUE;
  return FALSE;
}

static gboolean
has_file (const GArray *missing, const char *name)
{
  for (guint i = 0; i < missing->len; i++)
    if (g_strcmp0 (g_array_index (missing, AtlMissingPart, i).name, name) == 0)
      return TRUE;
  return FALSE;
}

static void
test_loose (void)
{
  g_autofree char *folder = small_model_folder ("sd15");
  Files files = { g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref),
                  g_ptr_array_new () };
  g_autoptr (GArray) all = NULL;
  g_autoptr (GArray) rest = NULL;
  g_autoptr (GArray) half = NULL;
  g_autoptr (GArray) none = NULL;
  g_autoptr (AtlDiffusionModel) model = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *words = NULL;
  const AtlDiffusionFamily *family;

  take (&files, folder, "unet/diffusion_pytorch_model.safetensors", "unet.safetensors");
  all = missing_of (&files, &family);
  g_assert_cmpstr (family->name, ==, "sd");
  g_assert_true (names (all, "text_encoder"));
  g_assert_true (names (all, "tokenizer"));
  g_assert_true (names (all, "vae"));
  g_assert_false (names (all, "unet"));
  for (guint i = 0; i < all->len; i++)
    {
      const AtlMissingPart *part = &g_array_index (all, AtlMissingPart, i);

      g_assert_nonnull (strchr (part->repository, '/'));
      g_assert_true (g_str_has_prefix (part->name, part->role));
      g_assert_cmpuint (strlen (part->words), >, 3);
    }
  words = atl_missing_to_words (all);
  g_assert_nonnull (strstr (words, "vocab.json + merges.txt)"));
  model = atl_diffusion_model_open ((AtlFileMap *const *) files.maps->pdata,
                                    (const char *const *) files.names->pdata, files.maps->len, NULL,
                                    &error);
  g_assert_null (model);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);

  /* As people have them: from several places. */
  take (&files, folder, "text_encoder/model.safetensors", "clip_l.safetensors");
  take (&files, folder, "vae/diffusion_pytorch_model.safetensors", "my vae.safetensors");
  rest = missing_of (&files, &family);
  g_assert_true (names (rest, "tokenizer"));
  g_assert_false (names (rest, "text_encoder"));
  g_assert_false (names (rest, "vae"));
  take (&files, folder, "tokenizer/vocab.json", "tokenizer/vocab.json");
  half = missing_of (&files, &family);
  g_assert_cmpuint (half->len, ==, 1);
  g_assert_cmpstr (g_array_index (half, AtlMissingPart, 0).name, ==, "tokenizer/merges.txt");
  take (&files, folder, "tokenizer/merges.txt", "tokenizer/merges.txt");
  none = missing_of (&files, &family);
  g_assert_cmpuint (none->len, ==, 0);
  g_assert_null (atl_missing_to_words (none));
  g_ptr_array_unref (files.maps);
  g_ptr_array_unref (files.names);
}

/* A UNet alone under its authors' names, without the prefix that it has in a whole model. */
static void
test_bare (void)
{
  static const char *const prefixes[] = { "model.diffusion_model.", "" };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      g_autofree char *first = g_strconcat (prefixes[i], "input_blocks.0.0.weight", NULL);
      g_autofree char *label = g_strconcat (prefixes[i], "label_emb.0.0.weight", NULL);
      const char *const tensors[] = { first, label };
      PartFiles files;
      g_autoptr (AtlBundle) bundle = NULL;
      g_autoptr (GError) error = NULL;
      const AtlDiffusionFamily *family;

      part_files_init (&files);
      part_files_add (&files, "unet.safetensors", G_N_ELEMENTS (tensors), tensors, 4, 4);
      g_assert_true (atl_diffusion_is_denoiser (files.maps->pdata[0], "unet.safetensors"));
      bundle = atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                               (const char *const *) files.names->pdata, files.maps->len, &error);
      family = atl_diffusion_family_for (bundle, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (family->name, ==, "sdxl");
      part_files_clear (&files);
    }
}

/* Every family's parts and vocabularies can be had, the denoiser apart. */
static void
test_families (void)
{
  const AtlDiffusionFamily *const *families = atl_diffusion_families ();
  g_autofree char *folder = small_model_folder ("sd15");
  Files files = { g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref),
                  g_ptr_array_new () };
  g_autoptr (AtlBundle) bundle = NULL;

  take (&files, folder, "model_index.json", "nothing.json");
  bundle = atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                           (const char *const *) files.names->pdata, 1, NULL);
  for (guint i = 0; families[i] != NULL; i++)
    {
      g_autoptr (GArray) missing = atl_missing_parts (bundle, families[i]);

      for (guint k = 0; k < missing->len; k++)
        {
          const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, k);

          if (k > 0 && part->repository == NULL)
            g_error ("%s: nothing is known for %s", families[i]->name, part->role);
        }
      g_assert_cmpuint (missing->len, >, 2);
      /* OpenCLIP's pads with "!", which only its configuration says. */
      g_assert_true (has_file (missing, "tokenizer_2/vocab.json") ==
                     has_file (missing, "tokenizer_2/tokenizer_config.json"));
    }
  g_ptr_array_unref (files.maps);
  g_ptr_array_unref (files.names);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/missing/loose", test_loose);
  g_test_add_func ("/missing/families", test_families);
  g_test_add_func ("/missing/bare", test_bare);
  return g_test_run ();
}
