/* Writing all of something, or saying why not. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/write-all.h"

#define SIZE 100000u
#define LIMIT 70000u

static void
fill (guint8 *bytes)
{
  for (guint i = 0; i < SIZE; i++)
    bytes[i] = (guint8) (i * 7 + i / 251);
}

static void
test_whole (void)
{
  int fd = memfd_create ("whole", MFD_CLOEXEC);
  g_autofree guint8 *bytes = g_malloc (SIZE), *back = g_malloc (SIZE);

  fill (bytes);
  g_assert_cmpint (fd, >=, 0);
  g_assert_true (atl_write_all (fd, bytes, 0));
  g_assert_true (atl_write_all (fd, bytes, 10));
  g_assert_true (atl_write_all (fd, bytes + 10, SIZE - 10));
  g_assert_cmpint (pread (fd, back, SIZE, 0), ==, SIZE);
  g_assert_cmpmem (back, SIZE, bytes, SIZE);
  /* In the middle, and the descriptor stays at the end. */
  g_assert_true (atl_write_all_at (fd, bytes, 1000, 5000));
  g_assert_cmpint (lseek (fd, 0, SEEK_CUR), ==, SIZE);
  g_assert_cmpint (pread (fd, back, 1000, 5000), ==, 1000);
  g_assert_cmpmem (back, 1000, bytes, 1000);
  close (fd);
}

/* The limit of a file's size lets the kernel take a part first and then nothing. */
static void
test_part (void)
{
  g_autofree char *path = NULL;
  g_autofree guint8 *bytes = g_malloc (SIZE);
  int fd = g_file_open_tmp ("atelier-write-XXXXXX", &path, NULL);
  struct rlimit before, small;

  fill (bytes);
  g_assert_cmpint (fd, >=, 0);
  signal (SIGXFSZ, SIG_IGN);
  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &before), ==, 0);
  small = before;
  small.rlim_cur = LIMIT;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &small), ==, 0);
  errno = 0;
  g_assert_false (atl_write_all (fd, bytes, SIZE));
  g_assert_cmpint (errno, ==, EFBIG);
  g_assert_cmpint (lseek (fd, 0, SEEK_END), ==, LIMIT);
  errno = 0;
  g_assert_false (atl_write_all_at (fd, bytes, SIZE, 1));
  g_assert_cmpint (errno, ==, EFBIG);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &before), ==, 0);
  close (fd);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/write-all/whole", test_whole);
  g_test_add_func ("/base/write-all/part", test_part);
  return g_test_run ();
}
