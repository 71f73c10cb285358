/* What is saved has its name only when it is whole: not while it is written, not when the program
 * ends meanwhile, not when there is no room, and what had the name before is there until then. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "remove-tree.h"
#include "seen-writes.h"

#include "base/error.h"
#include "base/whole-file.h"

#define OLD "the old text"

typedef struct
{
  char *folder;
  GFile *file;
} World;

static void
set_up (World *w, gconstpointer data)
{
  w->folder = g_dir_make_tmp ("atl-whole-XXXXXX", NULL);
  g_assert_nonnull (w->folder);
  w->file = g_file_new_build_filename (w->folder, "chat.md", NULL);
}

static void
tear_down (World *w, gconstpointer data)
{
  g_object_unref (w->file);
  remove_tree (w->folder);
  g_free (w->folder);
}

static gboolean
save (GFile *file, const char *text, gboolean replaces, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));

  return atl_whole_file_save (file, bytes, replaces, error);
}

static void
write_old (World *w)
{
  g_assert_true (g_file_set_contents (g_file_peek_path (w->file), OLD, -1, NULL));
}

static void
assert_text (World *w, const char *expected)
{
  g_autofree char *text = NULL;

  g_file_get_contents (g_file_peek_path (w->file), &text, NULL, NULL);
  g_assert_cmpstr (text, ==, expected);
}

/* Entries of the folder. */
static guint
count (World *w)
{
  g_autoptr (GDir) dir = g_dir_open (w->folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
test_new (World *w, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (save (w->file, "text", FALSE, &error));
  g_assert_no_error (error);
  assert_text (w, "text");
  g_assert_false (save (w->file, "other", FALSE, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  assert_text (w, "text");
  g_assert_cmpuint (count (w), ==, 1);
}

/* Nobody sees the file change under its name. */
static void
test_unseen (World *w, gconstpointer data)
{
  int watch;

  if (data != NULL)
    write_old (w);
  watch = writes_watch (w->folder);
  g_assert_true (save (w->file, "text", TRUE, NULL));
  g_assert_false (writes_seen (watch, "chat.md"));
  assert_text (w, "text");
  g_assert_cmpuint (count (w), ==, 1);
}

/* The rights stay, and a link goes on leading to it. */
static void
test_replaced (World *w, gconstpointer data)
{
  g_autoptr (GFile) link = g_file_new_build_filename (w->folder, "link", NULL);
  g_autoptr (GError) error = NULL;
  struct stat st;

  write_old (w);
  g_assert_cmpint (chmod (g_file_peek_path (w->file), 0640), ==, 0);
  g_assert_cmpint (symlink ("chat.md", g_file_peek_path (link)), ==, 0);
  g_assert_true (save (link, "text", TRUE, &error));
  g_assert_no_error (error);
  assert_text (w, "text");
  g_assert_cmpint (lstat (g_file_peek_path (link), &st), ==, 0);
  g_assert_true (S_ISLNK (st.st_mode));
  g_assert_cmpint (stat (g_file_peek_path (w->file), &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0640);
  g_assert_cmpuint (count (w), ==, 2);
}

static void
test_not_possible (World *w, gconstpointer data)
{
  g_autoptr (GFile) nowhere = g_file_new_build_filename (w->folder, "none", "chat.md", NULL);
  g_autoptr (GFile) folder = g_file_new_for_path (w->folder);
  g_autoptr (GError) error = NULL;

  g_assert_false (save (nowhere, "text", TRUE, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (save (folder, "text", TRUE, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_cmpuint (count (w), ==, 0);
}

/* The third byte is refused, or ends the program. */
static int
save_two_bytes (World *w, gboolean ends)
{
  const struct rlimit two = { 2, 2 }, none = { 0, 0 };
  g_autoptr (GError) error = NULL;
  int status;
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      setrlimit (RLIMIT_CORE, &none);
      setrlimit (RLIMIT_FSIZE, &two);
      signal (SIGXFSZ, ends ? SIG_DFL : SIG_IGN);
      _exit (save (w->file, "text", TRUE, &error) || error == NULL ? 1 : 0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  return status;
}

static void
test_no_room (World *w, gconstpointer data)
{
  for (guint i = 0; i < 2; i++)
    {
      int status = save_two_bytes (w, FALSE);

      g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
      assert_text (w, i == 0 ? NULL : OLD);
      g_assert_cmpuint (count (w), ==, i);
      write_old (w);
    }
}

static void
test_ended (World *w, gconstpointer data)
{
  int probe = open (w->folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

  if (probe < 0)
    {
      g_test_skip ("this file system has no files without a name");
      return;
    }
  close (probe);
  for (guint i = 0; i < 2; i++)
    {
      int status = save_two_bytes (w, TRUE);

      g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGXFSZ);
      assert_text (w, i == 0 ? NULL : OLD);
      g_assert_cmpuint (count (w), ==, i);
      write_old (w);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, data, func) g_test_add ("/whole-file/" name, World, data, set_up, func, tear_down)
  ADD ("new", NULL, test_new);
  ADD ("unseen/new", NULL, test_unseen);
  ADD ("unseen/replaced", OLD, test_unseen);
  ADD ("replaced", NULL, test_replaced);
  ADD ("not-possible", NULL, test_not_possible);
  ADD ("no-room", NULL, test_no_room);
  ADD ("ended", NULL, test_ended);
  return g_test_run ();
}
