/* Nothing of the conformance data lies in this tree: it is read where it is. */
#include "source-files.h"

#include <gio/gio.h>

/* Smaller files can be equal by chance. */
#define MIN_BYTES 64

static guint64
size_of (const char *path)
{
  GStatBuf st;

  return g_stat (path, &st) == 0 ? (guint64) st.st_size : 0;
}

static char *
hash_of (const char *path)
{
  g_autofree char *bytes = NULL;
  gsize size;

  if (!g_file_get_contents (path, &bytes, &size, NULL))
    return NULL;
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) bytes, size);
}

/* Files of `theirs` that have the content of one of `ours`; `report` prints each. */
static guint
count_copies (const char *ours, const char *theirs)
{
  g_autoptr (GHashTable) by_size = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
                                                          (GDestroyNotify) g_ptr_array_unref);
  g_autoptr (GPtrArray) mine = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) others = g_ptr_array_new_with_free_func (g_free);
  guint n = 0;

  collect_files (mine, ours, "", NULL);
  collect_files (others, theirs, "", NULL);
  for (guint i = 0; i < mine->len; i++)
    {
      g_autofree char *path = g_build_filename (ours, mine->pdata[i], NULL);
      guint64 *key = g_new (guint64, 1);
      GPtrArray *list;

      *key = size_of (path);
      list = g_hash_table_lookup (by_size, key);
      if (list == NULL)
        {
          list = g_ptr_array_new_with_free_func (g_free);
          g_hash_table_insert (by_size, key, list);
        }
      else
        g_free (key);
      g_ptr_array_add (list, g_steal_pointer (&path));
    }
  for (guint i = 0; i < others->len; i++)
    {
      g_autofree char *path = g_build_filename (theirs, others->pdata[i], NULL);
      g_autofree char *hash = NULL;
      guint64 size = size_of (path);
      GPtrArray *list = size >= MIN_BYTES ? g_hash_table_lookup (by_size, &size) : NULL;

      if (list == NULL)
        continue;
      hash = hash_of (path);
      for (guint j = 0; j < list->len; j++)
        {
          g_autofree char *own = hash_of (list->pdata[j]);

          if (g_strcmp0 (own, hash) != 0)
            continue;
          g_test_message ("%s is a copy of %s", (char *) list->pdata[j], path);
          n++;
        }
    }
  return n;
}

static void
test_no_copies (void)
{
  const char *named = g_getenv ("ATELIER_CONFORMANCE");
  g_autofree char *theirs =
      named != NULL ? g_strdup (named)
                    : g_build_filename (source_dir (), "..", "shared", "conformance", NULL);

  if (!g_file_test (theirs, G_FILE_TEST_IS_DIR))
    {
      g_test_skip ("the conformance folder was not found: copies of its files were not looked for");
      return;
    }
  g_assert_cmpuint (count_copies (source_dir (), theirs), ==, 0);
}

static void
test_finds_a_copy (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-copies-XXXXXX", NULL);
  g_autofree char *ours = g_build_filename (dir, "ours", NULL);
  g_autofree char *theirs = g_build_filename (dir, "theirs", NULL);
  g_autofree char *text = g_strnfill (100, 'x');
  g_autofree char *a = g_build_filename (ours, "a", NULL),
                  *b = g_build_filename (theirs, "b", NULL);

  g_assert_cmpint (g_mkdir (ours, 0700), ==, 0);
  g_assert_cmpint (g_mkdir (theirs, 0700), ==, 0);
  g_assert_true (g_file_set_contents (a, text, 100, NULL));
  g_assert_true (g_file_set_contents (b, text, 100, NULL));
  g_assert_cmpuint (count_copies (ours, theirs), ==, 1);
  text[3] = 'y';
  g_assert_true (g_file_set_contents (b, text, 100, NULL));
  g_assert_cmpuint (count_copies (ours, theirs), ==, 0);
  g_remove (a);
  g_remove (b);
  g_rmdir (ours);
  g_rmdir (theirs);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rules/copies/finds-a-copy", test_finds_a_copy);
  g_test_add_func ("/rules/copies/none", test_no_copies);
  return g_test_run ();
}
