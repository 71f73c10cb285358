/* A disk that is soon full, for the tests of this folder. Include once per test program. */
#pragma once

#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <glib/gstdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static inline gboolean
write_text (const char *path, const char *text)
{
  FILE *file = fopen (path, "w");

  return file != NULL && fputs (text, file) >= 0 && fclose (file) == 0;
}

/* A small tmpfs over `dir`, seen by this process only. */
static inline gboolean
mount_small (const char *dir)
{
  g_autofree char *uid_map = g_strdup_printf ("0 %d 1", (int) getuid ());
  g_autofree char *gid_map = g_strdup_printf ("0 %d 1", (int) getgid ());

  return unshare (CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         write_text ("/proc/self/setgroups", "deny") &&
         write_text ("/proc/self/uid_map", uid_map) && write_text ("/proc/self/gid_map", gid_map) &&
         mount ("tmpfs", dir, "tmpfs", 0, "size=3m") == 0;
}

/* `fill` in a process of its own, with a folder of `dir` to mount a disk on: gives 0 when all was
 * well, 77 where nothing may be mounted. */
static inline void
small_disk_test (const char *dir, int (*fill) (const char *mount_point))
{
  g_autofree char *mount_point = g_build_filename (dir, "small", NULL);
  int status;
  pid_t child;

  g_assert_cmpint (g_mkdir (mount_point, 0700), ==, 0);
  child = fork ();
  if (child == 0)
    _exit (fill (mount_point));
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  if (WEXITSTATUS (status) == 77)
    g_test_skip ("a user namespace with a tmpfs is not permitted here: a full disk was not tried");
  else
    g_assert_cmpint (WEXITSTATUS (status), ==, 0);
}
