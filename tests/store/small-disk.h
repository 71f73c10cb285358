/* A disk that is soon full, for the tests of this folder. Include once per test program. */
#pragma once

#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
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
