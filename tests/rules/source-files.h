/* The project's own source files, for the tests of this folder. Include once per test program. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static inline const char *
source_dir (void)
{
  const char *dir = g_getenv ("ATELIER_SOURCE");

  g_assert_nonnull (dir);
  return dir;
}

/* Whatever it is called. */
static inline gboolean
is_build_folder (const char *path)
{
  g_autofree char *mark = g_build_filename (path, "meson-private", NULL);

  return g_file_test (mark, G_FILE_TEST_IS_DIR);
}

static inline void
collect_files (GPtrArray *list, const char *root, const char *relative, const char *const *endings)
{
  g_autofree char *folder = g_build_filename (root, relative, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (relative, name, NULL);
      g_autofree char *path = g_build_filename (root, child, NULL);
      GStatBuf st;

      /* Hidden folders are git's and tools'; build folders hold what the compiler made. */
      if (g_lstat (path, &st) != 0 || S_ISLNK (st.st_mode) ||
          (S_ISDIR (st.st_mode) && (name[0] == '.' || is_build_folder (path))))
        continue;
      if (S_ISDIR (st.st_mode))
        collect_files (list, root, child, endings);
      for (guint i = 0; S_ISREG (st.st_mode) && (endings == NULL || endings[i] != NULL); i++)
        if (endings == NULL || g_str_has_suffix (name, endings[i]))
          {
            g_ptr_array_add (list, g_strdup (child));
            break;
          }
    }
}

static inline gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Paths relative to the top of the tree, sorted; of files below `folder` with one of `endings`
 * (NULL: all). Generated code is not in the tree. */
static inline GPtrArray *
source_files (const char *folder, const char *const *endings)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);

  collect_files (list, source_dir (), folder, endings);
  g_ptr_array_sort (list, by_text);
  return list;
}

/* The folders right below `parent`, with it before their names ("src/base"), sorted. */
static inline GPtrArray *
source_folders (const char *parent)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *top = g_build_filename (source_dir (), parent, NULL);
  g_autoptr (GDir) dir = g_dir_open (top, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (top, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        g_ptr_array_add (list, g_build_filename (parent, name, NULL));
    }
  g_assert_cmpuint (list->len, >, 0);
  g_ptr_array_sort (list, by_text);
  return list;
}

static inline char *
read_source (const char *relative, gsize *size)
{
  g_autofree char *path = g_build_filename (source_dir (), relative, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, size, &error);
  g_assert_no_error (error);
  return text;
}
