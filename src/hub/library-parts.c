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

static gboolean
is_same (const char *path, const char *other)
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

/* "ae.safetensors", "ae (2).safetensors" */
static char *
numbered (const char *folder, const char *base, guint number)
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
        g_autofree char *path = numbered (folder, base, i);
        GStatBuf st;

        if (g_lstat (path, &st) == 0)
          {
            if (is_same (target, path))
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
