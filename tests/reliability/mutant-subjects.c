/* Files of small models, copied to be changed. */
#include "mutant-subjects.h"

#include <glib/gstdio.h>
#include <string.h>

#include "client/picture-fixture.h"
#include "engine/formats/open.h"

/* A model is its files, of which one is changed; the folder "" holds the conformance model. */
static const struct
{
  const char *folder, *file;
} shipped[] = {
  { "", "stories260K.gguf" },
  { "llm-llama2", "model.gguf" },
  { "llm-qwen3next", "model.gguf" },
  { "llm-gpt-oss", "model.gguf" },
  { "llm-falcon-h1", "model.gguf" },
  { "llm-hf-folder/model", "model-00001-of-00002.safetensors" },
  { "llm-hf-folder/model", "model.safetensors.index.json" },
  { "llm-hf-folder/model", "config.json" },
  { "llm-hf-folder/model", "tokenizer.json" },
  { "sd15/model", "model_index.json" },
  { "sd15/model", "unet/config.json" },
  { "sd15/model", "unet/diffusion_pytorch_model.safetensors" },
  { "sd15/model", "vae/config.json" },
  { "sd15/model", "text_encoder/model.safetensors" },
  { "sd15/model", "tokenizer/vocab.json" },
  { "sd15/model", "scheduler/scheduler_config.json" },
  { "sd15/loras", "kohya.safetensors" },
  { "sd15/loras", "peft.safetensors" },
  { "wan21/model", "transformer/config.json" },
  { "wan21/model", "vae/diffusion_pytorch_model.safetensors" },
  { "wan21/model", "text_encoder/config.json" },
};

static void
copy_tree (const char *from, const char *to)
{
  g_autoptr (GDir) dir = g_dir_open (from, 0, NULL);
  const char *name;

  g_assert_nonnull (dir);
  g_assert_cmpint (g_mkdir_with_parents (to, 0700), ==, 0);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *source = g_build_filename (from, name, NULL);
      g_autofree char *target = g_build_filename (to, name, NULL);
      g_autofree char *bytes = NULL;
      gsize size;

      if (g_file_test (source, G_FILE_TEST_IS_DIR))
        copy_tree (source, target);
      else
        {
          g_assert_true (g_file_get_contents (source, &bytes, &size, NULL));
          g_assert_true (g_file_set_contents (target, bytes, (gssize) size, NULL));
        }
    }
}

static gsize
head_size (const char *path, const char *bytes, gsize size)
{
  guint64 header;
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) checkpoint = NULL;

  if (g_str_has_suffix (path, ".json"))
    return size;
  if (g_str_has_suffix (path, ".safetensors"))
    {
      memcpy (&header, bytes, sizeof header);
      return sizeof header + GUINT64_FROM_LE (header);
    }
  map = atl_file_map_new (path, NULL);
  checkpoint = atl_checkpoint_open (&map, NULL, 1, NULL);
  g_assert_nonnull (checkpoint);
  return size - MIN (atl_checkpoint_weight_bytes (checkpoint), (guint64) size - 1);
}

static void
subject_free (gpointer data)
{
  MutantSubject *self = data;

  g_free (self->original);
  g_free (self->path);
  g_free (self->load);
  g_free (self);
}

/* The file of the model in the folder `copy`, or of a LoRA for it. */
static void
add_subject (GPtrArray *subjects, const char *copy, const char *path, gboolean is_lora)
{
  MutantSubject *self = g_new0 (MutantSubject, 1);
  g_autofree char *index = g_build_filename (copy, "model_index.json", NULL);

  self->path = g_strdup (path);
  self->load = g_strdup (g_str_has_suffix (path, ".gguf") ? path : copy);
  self->draws = g_file_test (index, G_FILE_TEST_EXISTS);
  self->is_lora = is_lora;
  g_assert_true (g_file_get_contents (path, &self->original, &self->size, NULL));
  self->head = head_size (self->path, self->original, self->size);
  g_ptr_array_add (subjects, self);
}

/* --- Those that come with the source --- */

/* Whether its files are here. */
static gboolean
copy_shipped (const char *folder, const char *file, const char *copy)
{
  g_autofree char *source = *folder != '\0' ? picture_fixture_path (folder) : NULL;
  g_autofree char *path = NULL, *target = NULL, *bytes = NULL;
  gsize size;

  if (g_file_test (copy, G_FILE_TEST_EXISTS))
    return TRUE;
  if (source != NULL)
    {
      copy_tree (source, copy);
      return TRUE;
    }
  path = fixture_model_path (file);
  if (path == NULL)
    return FALSE;
  target = g_build_filename (copy, file, NULL);
  g_assert_cmpint (g_mkdir_with_parents (copy, 0700), ==, 0);
  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  g_assert_true (g_file_set_contents (target, bytes, (gssize) size, NULL));
  return TRUE;
}

static void
add_shipped (GPtrArray *subjects, const char *scratch)
{
  for (gsize i = 0; i < G_N_ELEMENTS (shipped); i++)
    {
      const char *folder = shipped[i].folder;
      g_autofree char *copy = g_build_filename (scratch, "copy", folder, NULL);
      g_autofree char *path = g_build_filename (copy, shipped[i].file, NULL);
      g_autofree char *model = g_build_filename (scratch, "copy", "sd15", "model", NULL);
      gboolean is_lora = g_str_has_suffix (folder, "/loras");

      if (copy_shipped (folder, shipped[i].file, copy))
        add_subject (subjects, is_lora ? model : copy, path, is_lora);
    }
}

/* --- Those that lie elsewhere --- */

static gint
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* What a folder holds, in an order. */
static GPtrArray *
children (const char *folder)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (names, compare);
  return names;
}

static void
add_files (GPtrArray *subjects, const char *copy, const char *folder, gboolean is_lora)
{
  g_autoptr (GPtrArray) files = children (folder);

  for (guint i = 0; i < files->len; i++)
    if (g_file_test (files->pdata[i], G_FILE_TEST_IS_DIR))
      add_files (subjects, copy, files->pdata[i], is_lora);
    else if (g_str_has_suffix (files->pdata[i], ".json") ||
             g_str_has_suffix (files->pdata[i], ".gguf") ||
             g_str_has_suffix (files->pdata[i], ".safetensors"))
      add_subject (subjects, copy, files->pdata[i], is_lora);
}

/* A family's model, a file or a folder, and its LoRAs. */
static void
add_family (GPtrArray *subjects, const char *scratch, const char *family)
{
  static const char *const loras[] = { "loras", "variants/lora" };
  g_autofree char *name = g_path_get_basename (family);
  g_autofree char *copy = g_build_filename (scratch, name, NULL);
  g_autofree char *folder = g_build_filename (family, "model", NULL);
  g_autofree char *file = g_build_filename (family, "model.gguf", NULL);
  g_autofree char *bytes = NULL;
  gsize size;

  if (g_file_get_contents (file, &bytes, &size, NULL))
    {
      g_autofree char *target = g_strconcat (copy, ".gguf", NULL);

      g_assert_true (g_file_set_contents (target, bytes, (gssize) size, NULL));
      add_subject (subjects, scratch, target, FALSE);
    }
  if (!g_file_test (folder, G_FILE_TEST_IS_DIR))
    return;
  copy_tree (folder, copy);
  add_files (subjects, copy, copy, FALSE);
  for (gsize i = 0; i < G_N_ELEMENTS (loras); i++)
    {
      g_autofree char *from = g_build_filename (family, loras[i], NULL);
      g_autofree char *to = g_strconcat (copy, "-loras", NULL);

      if (!g_file_test (from, G_FILE_TEST_IS_DIR))
        continue;
      copy_tree (from, to);
      add_files (subjects, copy, to, TRUE);
    }
}

GPtrArray *
mutant_subjects_find (const char *scratch)
{
  GPtrArray *subjects = g_ptr_array_new_with_free_func (subject_free);
  const char *elsewhere = g_getenv ("ATELIER_GOLDEN");
  g_autoptr (GPtrArray) families = children (elsewhere != NULL ? elsewhere : "");

  if (elsewhere == NULL)
    add_shipped (subjects, scratch);
  for (guint i = 0; i < families->len; i++)
    add_family (subjects, scratch, families->pdata[i]);
  g_assert_cmpuint (subjects->len, >, 0);
  g_test_message ("%u files", subjects->len);
  return subjects;
}

int
mutant_subjects_run (void)
{
  static const char *const families[] = { "llm-llama2",    "llm-qwen3next",
                                          "llm-gpt-oss",   "llm-falcon-h1",
                                          "llm-hf-folder", "sd15",
                                          "wan21",         NULL };

  return picture_fixture_run (families);
}
