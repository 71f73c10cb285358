/* Free memory as the kernel's files tell it, for machines and control groups of both versions. */
#include <glib/gstdio.h>

#include "engine/service/memory.h"

#define MIB (1024ull * 1024)

static char *root;

static void
put (const char *path, const char *text)
{
  g_autofree char *full = g_strconcat (root, path, NULL);
  g_autofree char *folder = g_path_get_dirname (full);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (full, text, -1, NULL));
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *full = g_build_filename (path, name, NULL);

      if (g_file_test (full, G_FILE_TEST_IS_DIR))
        remove_tree (full);
      else
        g_unlink (full);
    }
  g_rmdir (path);
}

static void
begin (const char *cgroups)
{
  root = g_dir_make_tmp ("atelier-memory-XXXXXX", NULL);
  put ("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:  1000 kB\n"
                        "MemAvailable:    8388608 kB\n");
  if (cgroups != NULL)
    put ("/proc/self/cgroup", cgroups);
}

static AtlMemory
finish (void)
{
  AtlMemory memory;

  atl_memory_read (root, &memory);
  remove_tree (root);
  g_clear_pointer (&root, g_free);
  return memory;
}

static void
test_machine (void)
{
  AtlMemory memory;

  begin (NULL);
  memory = finish ();
  g_assert_cmpuint (memory.total_bytes, ==, 16384 * MIB);
  g_assert_cmpuint (memory.free_bytes, ==, 8192 * MIB);
}

static void
test_version_2 (void)
{
  AtlMemory memory;

  begin ("0::/user.slice/app.scope\n");
  put ("/sys/fs/cgroup/user.slice/app.scope/memory.max", "max\n");
  put ("/sys/fs/cgroup/user.slice/memory.max", "4294967296\n");
  put ("/sys/fs/cgroup/user.slice/memory.current", "3221225472\n");
  put ("/sys/fs/cgroup/user.slice/memory.stat", "anon 5\ninactive_file 1073741824\n");
  memory = finish ();
  g_assert_cmpuint (memory.total_bytes, ==, 4096 * MIB);
  g_assert_cmpuint (memory.free_bytes, ==, 2048 * MIB);
}

static void
test_version_1 (void)
{
  AtlMemory memory;

  begin ("9:name=systemd:/\n4:cpu,memory:/box/inner\n0::/\n");
  put ("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
  put ("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1073741824\n");
  put ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  memory = finish ();
  g_assert_cmpuint (memory.total_bytes, ==, 2048 * MIB);
  g_assert_cmpuint (memory.free_bytes, ==, 1024 * MIB);
}

/* A container shows only its own part of the tree: the group's path leads nowhere. */
static void
test_hidden_path (void)
{
  AtlMemory memory;

  begin ("0::/docker/abc\n");
  put ("/sys/fs/cgroup/memory.max", "1073741824\n");
  put ("/sys/fs/cgroup/memory.current", "2147483648\n");
  memory = finish ();
  g_assert_cmpuint (memory.total_bytes, ==, 1024 * MIB);
  g_assert_cmpuint (memory.free_bytes, ==, 0);
}

static void
test_nothing (void)
{
  AtlMemory memory;

  atl_memory_read ("/nonexistent", &memory);
  g_assert_cmpuint (memory.total_bytes, ==, 0);
  atl_memory_read ("", &memory);
  g_assert_cmpuint (memory.total_bytes, >, 0);
  g_assert_cmpuint (memory.free_bytes, <=, memory.total_bytes);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/memory/machine", test_machine);
  g_test_add_func ("/memory/cgroup-2", test_version_2);
  g_test_add_func ("/memory/cgroup-1", test_version_1);
  g_test_add_func ("/memory/hidden-path", test_hidden_path);
  g_test_add_func ("/memory/nothing", test_nothing);
  return g_test_run ();
}
