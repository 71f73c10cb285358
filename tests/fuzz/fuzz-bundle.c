/* Folders of picture and clip models with one odd JSON file or vocabulary: refused in words, or a
 * model that says what it can and what its pictures would take. Nothing is computed.
 *
 * The first byte is the number of a text file of one of the folders, the rest what is in it. */
#include <string.h>

#include "engine/diffusion/model.h"
#include "engine/tensor/cpu/cpu.h"
#include "formats/build.h"
#include "fuzz.h"
#include "small-model.h"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("\0{}"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\"_class_name\": \"FluxPipeline\","),
  ATL_FUZZ_BYTES ("\"_class_name\": \"StableDiffusionXLPipeline\","),
  ATL_FUZZ_BYTES ("\"_class_name\": \"QwenImageEditPipeline\","),
  ATL_FUZZ_BYTES ("\"_class_name\": 7,"),
  ATL_FUZZ_BYTES ("\"_class_name\": \"EulerAncestralDiscreteScheduler\","),
  ATL_FUZZ_BYTES ("\"_class_name\": \"UniPCMultistepScheduler\","),
  ATL_FUZZ_BYTES ("\"atelier\": {\"side\": 0, \"steps\": -1, \"frames\": 1e9, \"fps\": 0},"),
  ATL_FUZZ_BYTES ("\"sample_size\": 0,"),
  ATL_FUZZ_BYTES ("\"sample_size\": 1e18,"),
  ATL_FUZZ_BYTES ("\"block_out_channels\": [],"),
  ATL_FUZZ_BYTES ("\"block_out_channels\": [0, 64],"),
  ATL_FUZZ_BYTES ("\"layers_per_block\": 2147483647,"),
  ATL_FUZZ_BYTES ("\"num_train_timesteps\": 0,"),
  ATL_FUZZ_BYTES ("\"num_train_timesteps\": 1e12,"),
  ATL_FUZZ_BYTES ("\"beta_start\": -1,"),
  ATL_FUZZ_BYTES ("\"patch_size\": [0, 0, 0],"),
  ATL_FUZZ_BYTES ("\"scaling_factor\": 0,"),
  ATL_FUZZ_BYTES ("null"),
  ATL_FUZZ_BYTES ("[]"),
  ATL_FUZZ_BYTES ("{}"),
  ATL_FUZZ_BYTES ("-1"),
  ATL_FUZZ_BYTES ("0"),
  ATL_FUZZ_BYTES ("1e999"),
  ATL_FUZZ_BYTES ("9223372036854775807"),
  { NULL, 0 },
};

typedef struct
{
  GPtrArray *maps, *names;
} Folder;

typedef struct
{
  guint folder, file;
} Text;

static Folder folders[2];
static GArray *texts; /* of Text */
static AtlBackend *backend;

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static void
add_files (Folder *folder, const char *root, const char *name)
{
  g_autofree char *path = g_build_filename (root, name, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GPtrArray) children = g_ptr_array_new_with_free_func (g_free);
  const char *child;

  if (dir == NULL)
    {
      g_autoptr (GError) error = NULL;

      g_ptr_array_add (folder->maps, atl_file_map_new (path, &error));
      g_assert_no_error (error);
      g_ptr_array_add (folder->names, g_strdup (name));
      return;
    }
  while ((child = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (children, g_build_filename (name, child, NULL));
  /* The order of a folder differs from machine to machine. */
  g_ptr_array_sort (children, compare_names);
  for (guint i = 0; i < children->len; i++)
    add_files (folder, root, children->pdata[i]);
}

static void
open_folders (void)
{
  static const char *const families[] = { "sd15", "wan21" };

  texts = g_array_new (FALSE, FALSE, sizeof (Text));
  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_autofree char *root = small_model_folder (families[i]);

      folders[i].maps = g_ptr_array_new ();
      folders[i].names = g_ptr_array_new ();
      add_files (&folders[i], root, "");
      for (guint k = 0; k < folders[i].names->len; k++)
        if (!g_str_has_suffix (folders[i].names->pdata[k], ".safetensors"))
          {
            const Text text = { i, k };

            g_array_append_val (texts, text);
          }
    }
}

static void
add_seeds (GPtrArray *list)
{
  open_folders ();
  for (guint8 i = 0; i < texts->len; i++)
    {
      const Text *text = &g_array_index (texts, Text, i);
      const AtlFileMap *map = folders[text->folder].maps->pdata[text->file];
      GByteArray *bytes = g_byte_array_new ();

      g_byte_array_append (bytes, &i, 1);
      g_byte_array_append (bytes, atl_file_map_data (map),
                           (guint) MIN (atl_file_map_size (map), 32 * 1024));
      g_ptr_array_add (list, g_byte_array_free_to_bytes (bytes));
    }
}

const AtlFuzzTarget atl_fuzz_target = { "bundle", NULL, NULL, seeds, words, add_seeds, 10 };

static void
check_words (gboolean ok, const GError *error)
{
  g_assert_true (ok == (error == NULL));
  g_assert_true (ok || (error->domain == ATL_ERROR && g_utf8_validate (error->message, -1, NULL)));
}

static void
ask (AtlDiffusionModel *model)
{
  const AtlTraits *traits = atl_diffusion_model_traits (model);
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GError) error = NULL;
  AtlDiffusionCost cost;
  gboolean ok;

  g_assert_cmpuint (traits->multiple, >, 0);
  g_assert_cmpuint (traits->side, >, 0);
  g_assert_cmpuint (traits->steps, >, 0);
  g_assert_cmpuint (traits->frames, >, 0);
  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", 64);
  atl_settings_set_number (settings, "height", 64);
  atl_settings_set_number (settings, "steps", 1);
  ok = atl_diffusion_model_cost (model, &backend, 1, settings, NULL, &cost, &error);
  check_words (ok, error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (AtlDiffusionModel) model = NULL;
  g_autoptr (AtlFileMap) odd = NULL;
  g_autoptr (GError) error = NULL;
  AtlFileMap *map;
  const Text *text;
  Folder *folder;

  if (size < 2)
    return 0;
  if (backend == NULL)
    {
      const AtlCpuOptions options = { .n_threads = 1 };

      backend = atl_cpu_backend_new (&options, &error);
      g_assert_no_error (error);
    }
  text = &g_array_index (texts, Text, data[0] % texts->len);
  folder = &folders[text->folder];
  odd = build_map (folder->names->pdata[text->file], data + 1, size - 1);
  map = folder->maps->pdata[text->file];
  folder->maps->pdata[text->file] = odd;
  model = atl_diffusion_model_open ((AtlFileMap *const *) folder->maps->pdata,
                                    (const char *const *) folder->names->pdata, folder->maps->len,
                                    NULL, &error);
  check_words (model != NULL, error);
  if (model != NULL)
    ask (model);
  folder->maps->pdata[text->file] = map;
  return 0;
}
