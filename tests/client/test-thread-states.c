/* Telling a process that hangs from one that is not let, on folders as /proc has them. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "client/thread-states.h"
#include "remove-tree.h"

static void
add_thread (const char *folder, const char *id, const char *name, char state, guint ticks)
{
  g_autofree char *thread = g_build_filename (folder, id, NULL);
  g_autofree char *path = g_build_filename (thread, "stat", NULL);
  g_autofree char *stat =
      g_strdup_printf ("%s (%s) %c 1 1 1 0 -1 4194304 7 8 9 10 %u %u 0 0 20 0 9 0 99\n", id, name,
                       state, ticks / 2, ticks - ticks / 2);

  g_assert_cmpint (g_mkdir_with_parents (thread, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, stat, -1, NULL));
}

static void
test_read (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atelier-threads-XXXXXX", NULL);
  g_autofree char *odd = g_build_filename (folder, "17", NULL);
  guint64 tick_ms = 1000 / (guint64) sysconf (_SC_CLK_TCK);
  AtlThreadStates all, some, none;

  add_thread (folder, "11", "engine", 'R', 100);
  add_thread (folder, "12", "gdbus", 'S', 10);
  add_thread (folder, "13", "gdbus", 'D', 1);
  add_thread (folder, "14", "gd", 'R', 1000);
  add_thread (folder, "15", "a) T (b", 'R', 3);
  add_thread (folder, "16", "pool", 'T', 0);
  g_assert_cmpint (g_mkdir_with_parents (odd, 0700), ==, 0);
  atl_thread_states_read (&all, folder, NULL);
  g_assert_cmpuint (all.n_ready, ==, 3);
  g_assert_cmpuint (all.n_waiting_for_disk, ==, 1);
  g_assert_cmpuint (all.cpu_ms / tick_ms, ==, 1114);
  atl_thread_states_read (&some, folder, "gdbus");
  g_assert_cmpuint (some.n_ready, ==, 0);
  g_assert_cmpuint (some.n_waiting_for_disk, ==, 1);
  g_assert_cmpuint (some.cpu_ms / tick_ms, ==, 11);
  atl_thread_states_read (&none, "/nonexistent", NULL);
  g_assert_cmpuint (none.n_ready + none.n_waiting_for_disk + none.cpu_ms, ==, 0);
  remove_tree (folder);
}

static void
test_starved (void)
{
  const AtlThreadStates before = { 2, 0, 5000 };

  /* Ready, and got next to nothing. */
  g_assert_true (atl_thread_states_are_starved (&before, &(AtlThreadStates){ 1, 0, 5010 }, 1000));
  /* One that goes round in circles got what it could. */
  g_assert_false (atl_thread_states_are_starved (&before, &(AtlThreadStates){ 1, 0, 5900 }, 1000));
  /* Stopped, or waiting for a driver that hangs. */
  g_assert_false (atl_thread_states_are_starved (&before, &(AtlThreadStates){ 0, 0, 5000 }, 1000));
  g_assert_false (atl_thread_states_are_starved (&before, &(AtlThreadStates){ 0, 3, 5000 }, 1000));
  /* No time passed; threads that ended took theirs with them. */
  g_assert_false (atl_thread_states_are_starved (&before, &(AtlThreadStates){ 1, 0, 5000 }, 0));
  g_assert_true (atl_thread_states_are_starved (&before, &(AtlThreadStates){ 1, 0, 400 }, 1000));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/thread-states/read", test_read);
  g_test_add_func ("/thread-states/starved", test_starved);
  return g_test_run ();
}
