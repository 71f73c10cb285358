/* Parts that are not there, or belong to another model: each part and each vocabulary of each
 * family taken away, and given by every other family. What is told names the part; what draws
 * all the same draws numbers. Without ATELIER_FAULT_ROUNDS only the families that come with the
 * source. */
#include <string.h>

#include "engine/diffusion/arrays.h"
#include "engine/tensor/cpu/cpu.h"
#include "family-models.h"
#include "small-model.h"

#define SIDE 64

static AtlBackend *cpu;
static gboolean is_long;

static void
add_files (const char *folder, const char *name, GPtrArray *maps, GPtrArray *names)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *child;

  if (dir == NULL)
    {
      g_ptr_array_add (maps, atl_file_map_new (path, NULL));
      g_ptr_array_add (names, g_strdup (name));
      return;
    }
  while ((child = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *longer = g_build_filename (name, child, NULL);

      add_files (folder, longer, maps, names);
    }
}

static void
add_inputs (const char *inputs, GPtrArray *arrays)
{
  g_auto (GStrv) roles = g_strsplit (inputs, " ", -1);

  for (char **role = roles; *role != NULL; role++)
    {
      gboolean is_mask = g_str_equal (*role, "mask");
      AtlArray *a = atl_array_new (g_str_equal (*role, "reference") ? "image_1" : *role,
                                   ATL_DTYPE_F32, 4, (gint64[]){ 1, is_mask ? 1 : 3, SIDE, SIDE });

      for (gint64 i = 0; i < atl_array_n_elems (a); i++)
        atl_array_f32 (a)[i] = is_mask ? i % SIDE > SIDE / 2 : (float) (i % 251) / 251;
      g_ptr_array_add (arrays, a);
    }
}

/* Opens it and draws; NULL with an error. */
static AtlArray *
draw (const FamilyModel *family, const char *folder, GError **error)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (AtlDiffusionModel) model = NULL;
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_autoptr (GPtrArray) outputs = NULL;
  AtlDiffusionCost cost;
  const AtlArray *image;

  add_files (folder, "", maps, names);
  model = atl_diffusion_model_open ((AtlFileMap *const *) maps->pdata,
                                    (const char *const *) names->pdata, maps->len, NULL, error);
  if (model == NULL)
    return NULL;
  atl_settings_set_string (settings, "prompt", "a red fox in the snow");
  atl_settings_set_number (settings, "width", SIDE);
  atl_settings_set_number (settings, "height", SIDE);
  atl_settings_set_number (settings, "frames", 1);
  atl_settings_set_number (settings, "steps", 1);
  if (family->settings != NULL)
    {
      g_autoptr (GVariant) own = g_variant_ref_sink (g_variant_new_parsed (family->settings));

      atl_settings_add_dict (settings, own);
    }
  add_inputs (family->inputs, inputs);
  atl_diffusion_model_use (model, &cpu, 1);
  if (!atl_diffusion_model_cost (model, NULL, 0, settings, inputs, &cost, error))
    return NULL;
  outputs = atl_diffusion_model_run (model, settings, inputs, NULL, NULL, error);
  if (outputs == NULL)
    return NULL;
  image = atl_arrays_find (outputs, "image");
  if (image == NULL)
    image = atl_arrays_find (outputs, "video");
  g_assert_true (atl_array_is_finite (image));
  return atl_array_copy (image, "image");
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static GPtrArray *
parts_of (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  GPtrArray *parts = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        g_ptr_array_add (parts, g_strdup (name));
    }
  g_ptr_array_sort (parts, compare);
  return parts;
}

static void
move (const char *from, const char *to)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, (char *[]){ "cp", "-r", (char *) from, (char *) to, NULL }, NULL,
                G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
}

static void
remove_all (const char *path)
{
  g_spawn_sync (NULL, (char *[]){ "rm", "-rf", (char *) path, NULL }, NULL, G_SPAWN_SEARCH_PATH,
                NULL, NULL, NULL, NULL, NULL, NULL);
}

/* Words that a person can act on: of the domain of this program, a sentence, not a name alone. */
static void
check_words (const FamilyModel *family, const char *what, const GError *error)
{
  g_test_message ("%s, %s: %s", family->name, what, error->message);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_cmpuint (strlen (error->message), >, 12);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
test_missing (gconstpointer data)
{
  const FamilyModel *family = data;
  g_autofree char *folder = family_model_folder (family);
  g_autoptr (GPtrArray) parts = NULL;
  g_autoptr (AtlArray) whole = NULL;
  g_autoptr (GError) error = NULL;

  if (folder == NULL)
    {
      g_test_skip ("no golden cases of this family: this case did not run");
      return;
    }
  whole = draw (family, folder, &error);
  g_assert_no_error (error);
  parts = parts_of (folder);
  for (guint i = 0; i < parts->len; i++)
    {
      const char *part = parts->pdata[i];
      g_autofree char *path = g_build_filename (folder, part, NULL);
      g_autofree char *aside = g_strconcat (folder, "-aside", NULL);
      g_autofree char *what = g_strdup_printf ("without %s", part);
      g_autoptr (GError) local = NULL;
      g_autoptr (AtlArray) image = NULL;

      move (path, aside);
      remove_all (path);
      image = draw (family, folder, &local);
      if (local != NULL)
        check_words (family, what, local);
      else
        g_test_message ("%s, %s: draws", family->name, what);
      /* Schedules and processors have fallbacks; a network is only done without where its family
       * says so. */
      if (image != NULL)
        g_assert_true (g_str_equal (part, "scheduler") || strstr (part, "processor") != NULL ||
                       (g_str_equal (family->family, "sd3") && g_str_has_suffix (part, "_3")) ||
                       g_str_equal (part, "refiner") || g_str_equal (part, "transformer_2"));
      move (aside, path);
      remove_all (aside);
    }
  patched_model_remove (folder);
}

/* Of each other family the part of the same role. */
static void
test_swapped (gconstpointer data)
{
  const FamilyModel *family = data;
  g_autofree char *folder = family_model_folder (family);
  g_autoptr (GPtrArray) parts = NULL;

  if (folder == NULL)
    {
      g_test_skip ("no golden cases of this family: this case did not run");
      return;
    }
  parts = parts_of (folder);
  for (guint k = 0; k < family_models_n (); k++)
    {
      const FamilyModel *other = family_model (k);
      g_autofree char *others = NULL;

      if (g_str_equal (other->family, family->family) || (!is_long && !other->is_shipped) ||
          (*other->inputs != '\0' && other->changes == NULL))
        continue;
      others = family_model_folder (other);
      for (guint i = 0; others != NULL && i < parts->len; i++)
        {
          const char *part = parts->pdata[i];
          g_autofree char *path = g_build_filename (folder, part, NULL);
          g_autofree char *given = g_build_filename (others, part, NULL);
          g_autofree char *aside = g_strconcat (folder, "-aside", NULL);
          g_autofree char *what = g_strdup_printf ("%s of %s", part, other->name);
          g_autoptr (GError) local = NULL;
          g_autoptr (AtlArray) image = NULL;

          if (!g_file_test (given, G_FILE_TEST_IS_DIR))
            continue;
          move (path, aside);
          remove_all (path);
          move (given, path);
          image = draw (family, folder, &local);
          if (local != NULL)
            check_words (family, what, local);
          else
            g_test_message ("%s, %s: draws", family->name, what);
          remove_all (path);
          move (aside, path);
          remove_all (aside);
        }
      if (others != NULL)
        patched_model_remove (others);
    }
  patched_model_remove (folder);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  is_long = g_getenv ("ATELIER_FAULT_ROUNDS") != NULL;
  g_test_init (&argc, &argv, NULL);
  cpu = atl_cpu_backend_new (NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < family_models_n (); i++)
    {
      const FamilyModel *model = family_model (i);
      g_autofree char *missing = g_strdup_printf ("/wrong-parts/missing/%s", model->name);
      g_autofree char *swapped = g_strdup_printf ("/wrong-parts/swapped/%s", model->name);

      if (!is_long && !model->is_shipped)
        continue;
      g_test_add_data_func (missing, model, test_missing);
      g_test_add_data_func (swapped, model, test_swapped);
    }
  status = g_test_run ();
  atl_backend_free (cpu);
  return status;
}
