/* Where a fuzz target begins: its own seeds, and the files of its conformance folder. */
#include "seeds.h"

#include <string.h>

#include "conformance.h"

#define MAX_SEED_BYTES (64 * 1024)

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

GPtrArray *
atl_fuzz_seeds (const AtlFuzzTarget *target)
{
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autofree char *folder =
      target->folder != NULL ? atl_test_conformance_find (target->folder) : NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; target->seeds[i].bytes != NULL; i++)
    g_ptr_array_add (seeds, g_bytes_new_static (target->seeds[i].bytes, target->seeds[i].size));
  if (target->add_seeds != NULL)
    target->add_seeds (seeds);
  if (folder != NULL)
    {
      g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        if (g_str_has_suffix (name, target->suffix))
          g_ptr_array_add (names, g_strdup (name));
    }
  else if (target->folder != NULL)
    g_test_message ("%s: no conformance folder, so only the target's own seeds", target->name);

  /* The order of a folder differs from machine to machine. */
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (folder, names->pdata[i], NULL);
      char *bytes;
      gsize size;

      if (!g_file_get_contents (path, &bytes, &size, NULL))
        continue;
      if (size <= MAX_SEED_BYTES)
        g_ptr_array_add (seeds, g_bytes_new_take (bytes, size));
      else
        g_free (bytes);
    }
  return seeds;
}
