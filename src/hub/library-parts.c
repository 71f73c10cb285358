/* Each part of pictures' models once. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/library-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sorted-folder.h"
#include "hub/desktop-trash.h"
#include "hub/library.h"

/* Two files of one name and size are compared in as many places. */
#define N_SAMPLES 64
#define SAMPLE_BYTES 65536
/* Files of one name that are not the same. */
#define MAX_NUMBER 100

gboolean
atl_library_is_place (const char *folder)
{
  g_autofree char *above = g_path_get_dirname (folder);
  g_autofree char *name = g_path_get_basename (folder);

  return g_str_equal (folder, atl_library_dir ()) ||
         (g_str_equal (above, atl_library_dir ()) &&
          g_strv_contains (atl_sorted_denoiser_folders (), name));
}

static gboolean
samples_match (int a, int b, gint64 size)
{
  g_autofree char *of_a = g_malloc (SAMPLE_BYTES), *of_b = g_malloc (SAMPLE_BYTES);

  for (gint64 i = 0; i < N_SAMPLES; i++)
    {
      gint64 at = MAX (size - SAMPLE_BYTES, 0) / (N_SAMPLES - 1) * i;
      gssize n = pread (a, of_a, SAMPLE_BYTES, at);

      if (n < 0 || pread (b, of_b, SAMPLE_BYTES, at) != n || memcmp (of_a, of_b, (gsize) n) != 0)
        return FALSE;
    }
  return TRUE;
}

gboolean
atl_library_is_same (const char *path, const char *other)
{
  GStatBuf st, st_other;
  gboolean same;
  int a, b;

  if (g_stat (path, &st) != 0 || g_stat (other, &st_other) != 0 || st.st_size != st_other.st_size)
    return FALSE;
  if (st.st_dev == st_other.st_dev && st.st_ino == st_other.st_ino)
    return TRUE;
  a = open (path, O_RDONLY | O_CLOEXEC);
  b = open (other, O_RDONLY | O_CLOEXEC);
  same = a >= 0 && b >= 0 && samples_match (a, b, st.st_size);
  if (a >= 0)
    close (a);
  if (b >= 0)
    close (b);
  return same;
}

char *
atl_library_numbered (const char *folder, const char *base, guint number)
{
  const char *dot = strrchr (base, '.');
  g_autofree char *name =
      number == 1 || dot == NULL
          ? g_strdup (base)
          : g_strdup_printf ("%.*s (%u)%s", (int) (dot - base), base, number, dot);

  return g_build_filename (folder, name, NULL);
}

static void
share (const char *part)
{
  g_autofree char *from = g_path_get_dirname (part);
  g_autofree char *kind = g_path_get_basename (from);
  g_autofree char *base = g_path_get_basename (part);
  g_autofree char *folder = g_build_filename (atl_library_dir (), kind, NULL);
  char *target = realpath (part, NULL);

  if (target != NULL && g_mkdir_with_parents (folder, 0755) == 0)
    for (guint i = 1; i <= MAX_NUMBER; i++)
      {
        g_autofree char *path = atl_library_numbered (folder, base, i);
        GStatBuf st;

        if (g_lstat (path, &st) == 0)
          {
            if (atl_library_is_same (target, path))
              break;
            continue;
          }
        if (link (target, path) == 0 || symlink (target, path) == 0)
          break;
        g_info ("%s cannot be put into the library: %s", part, g_strerror (errno));
        break;
      }
  free (target);
}

void
atl_library_share_parts (const char *path)
{
  g_autoptr (GPtrArray) parts = atl_sorted_parts (path);

  for (guint i = 0; i < parts->len; i++)
    share (parts->pdata[i]);
}

/* --- Parts that nobody needs any more --- */

static void
trash (const char *path, GPtrArray *gone)
{
  g_autoptr (GError) error = NULL;

  if (atl_desktop_trash (path, NULL, &error))
    g_ptr_array_add (gone, g_strdup (path));
  else
    g_info ("%s", error->message);
}

/* A file that the folders of parts know by number: st_dev and st_ino. */
static char *
number_of (const GStatBuf *st)
{
  return g_strdup_printf ("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, (guint64) st->st_dev,
                          (guint64) st->st_ino);
}

/* Calls for each file in the folders in `folder`. */
static void
for_each_part (const char *folder,
               void (*visit) (const char *, const GStatBuf *, gpointer),
               gpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *kind, *name;

  while (dir != NULL && (kind = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *below = g_build_filename (folder, kind, NULL);
      g_autoptr (GDir) files = g_dir_open (below, 0, NULL);

      while (files != NULL && (name = g_dir_read_name (files)) != NULL)
        {
          g_autofree char *path = g_build_filename (below, name, NULL);
          GStatBuf st;

          if (g_lstat (path, &st) == 0 && S_ISREG (st.st_mode))
            visit (path, &st, data);
        }
    }
}

/* The store of parts has one name of each, every model that uses it another. */
static void
note_last_user (const char *path, const GStatBuf *st, gpointer data)
{
  if (st->st_nlink == 2)
    g_hash_table_add (data, number_of (st));
}

typedef struct
{
  GHashTable *wanted; /* of numbers */
  GPtrArray *found;   /* of char * */
} Search;

static void
note_wanted (const char *path, const GStatBuf *st, gpointer data)
{
  Search *search = data;
  g_autofree char *number = number_of (st);

  if (g_hash_table_contains (search->wanted, number))
    g_ptr_array_add (search->found, g_strdup (path));
}

static void
trash_fetched (const char *folder, GPtrArray *gone)
{
  g_autofree char *store =
      g_build_filename (g_get_user_data_dir (), "atelier", "parts", "files", NULL);
  g_autoptr (GHashTable) numbers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) stored = g_ptr_array_new_with_free_func (g_free);
  Search search = { numbers, stored };

  if (!g_file_test (folder, G_FILE_TEST_IS_DIR))
    return;
  for_each_part (folder, note_last_user, numbers);
  for_each_part (store, note_wanted, &search);
  for (guint i = 0; i < stored->len; i++)
    trash (stored->pdata[i], gone);
  trash (folder, gone);
}

static gboolean
has_denoisers (void)
{
  const char *const *folders = atl_sorted_denoiser_folders ();

  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autofree char *folder = g_build_filename (atl_library_dir (), folders[i], NULL);
      g_autoptr (GPtrArray) models = atl_library_scan (folder, NULL, NULL);

      if (models == NULL || models->len > 0)
        return TRUE;
    }
  return FALSE;
}

GPtrArray *
atl_library_remove_parts (const char *fetched)
{
  GPtrArray *gone = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *denoiser =
      g_build_filename (atl_library_dir (), atl_sorted_denoiser_folders ()[0], "any", NULL);
  g_autoptr (GPtrArray) parts = NULL;

  if (fetched != NULL)
    trash_fetched (fetched, gone);
  if (has_denoisers ())
    return gone;
  parts = atl_sorted_parts (denoiser);
  for (guint i = 0; i < parts->len; i++)
    trash (parts->pdata[i], gone);
  return gone;
}

void
atl_library_restore_parts (const GPtrArray *gone)
{
  for (guint i = 0; i < gone->len; i++)
    {
      g_autoptr (GError) error = NULL;

      if (!atl_desktop_untrash (gone->pdata[i], NULL, &error))
        g_info ("%s", error->message);
    }
}
