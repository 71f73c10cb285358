/* The program ends, or the power fails, while models are copied in, fetched, thrown away and
 * brought back, chats imported and files saved. Each is whole afterwards or not there, what was
 * said to be done is, nothing else is touched, the next start tidies up. $ATELIER_FAULT_ROUNDS
 * points (8) of each, three kinds of end at each; see power-cut.h for what they are.
 *
 * One folder is the home of all the children, because GLib asks for it once. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "hub/rough-server.h"
#include "power-cut.h"
#include "rounds.h"

#include "base/whole-file.h"
#include "hub/desktop-trash.h"
#include "hub/download.h"
#include "hub/library.h"
#include "store/chats.h"
#include "store/store-private.h"
#include "store/transfer.h"

#define N_POINTS 8
#define N_LAST 6 /* of them at the last calls, which give names; then some of the others */
#define FILE_BYTES 300000
/* More than what is flushed at a time. */
#define DOWNLOAD_BYTES (9u << 20)

static char *base, *home, *source;
static char *other_disk; /* (nullable) a folder on one */
static int pipe_fd;

/* In a child: a step that is done. */
static void
say_done (void)
{
  if (write (pipe_fd, "x", 1) != 1)
    _exit (9);
}

static void
require (gboolean condition, const char *what, const GError *error)
{
  if (condition)
    return;
  fprintf (stderr, "# %s: %s\n", what, error != NULL ? error->message : "");
  _exit (1);
}

static char *
in_home (const char *relative)
{
  return g_build_filename (home, "data", relative, NULL);
}

static void
put (const char *folder, const char *name, guint seed)
{
  g_autofree guint8 *bytes = make_content (FILE_BYTES, seed);
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *parent = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (parent, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, (const char *) bytes, FILE_BYTES, NULL));
}

/* TRUE when the file is there, which is then as put() made it. */
static gboolean
is_whole (const char *folder, const char *name, guint seed)
{
  g_autofree guint8 *expected = make_content (FILE_BYTES, seed);
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *bytes = NULL;
  gsize size;

  if (!g_file_get_contents (path, &bytes, &size, NULL))
    return FALSE;
  g_assert_cmpmem (bytes, size, expected, FILE_BYTES);
  return TRUE;
}

/* Entries of a folder whose names end so, hidden ones too. */
static guint
count_names (const char *folder, const char *ending)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint n = 0;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    n += g_str_has_suffix (name, ending);
  return n;
}

/* --- Copying in --- */

static void
keep_result_cb (GObject *object, GAsyncResult *result, gpointer data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

static GAsyncResult *
wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *result;
}

static void
add (const char *name)
{
  g_autofree char *path = g_build_filename (source, name, NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  atl_library_add_async (path, ATL_ADD_COPY, NULL, NULL, NULL, keep_result_cb, &result);
  require (atl_library_add_finish (wait_for (&result), &error) != NULL, "add", error);
  say_done ();
}

static void
add_file (void)
{
  add ("fox.gguf");
}

static void
check_file (guint n_said, PowerCutKind kind)
{
  gboolean is_there = is_whole (atl_library_dir (), "fox.gguf", 1);

  g_assert_true (is_there || n_said == 0);
  atl_library_sweep ();
  g_assert_cmpuint (count_names (atl_library_dir (), ""), ==, is_there);
}

static void
add_shards (void)
{
  add ("owl-00002-of-00003.gguf");
}

/* The first name is given when all of them are complete. */
static void
check_shards (guint n_said, PowerCutKind kind)
{
  guint n_there = 0, n_hidden = count_names (atl_library_dir (), ".copying");

  for (guint i = 1; i <= 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("owl-%05u-of-00003.gguf", i);

      n_there += is_whole (atl_library_dir (), name, 10 + i);
    }
  if (n_said > 0)
    g_assert_cmpuint (n_there, ==, 3);
  if (kind == POWER_CUT_ALL && n_there > 0)
    g_assert_cmpuint (n_there + n_hidden, ==, 3);
  atl_library_sweep ();
  g_assert_cmpuint (count_names (atl_library_dir (), ""), ==, n_there);
}

static void
add_folder (void)
{
  add ("hare");
}

static void
check_folder (guint n_said, PowerCutKind kind)
{
  g_autofree char *folder = g_build_filename (atl_library_dir (), "hare", NULL);
  gboolean is_there = g_file_test (folder, G_FILE_TEST_IS_DIR);

  g_assert_true (is_there || n_said == 0);
  /* Before it was said that it is there, the folder may have its name and nothing in it. */
  if (is_there && (n_said > 0 || kind == POWER_CUT_ALL))
    {
      g_assert_true (is_whole (folder, "model_index.json", 21));
      g_assert_true (is_whole (folder, "vae/config.json", 22));
      g_assert_true (is_whole (folder, "vae/model.safetensors", 23));
    }
  atl_library_sweep ();
  g_assert_cmpuint (count_names (atl_library_dir (), ""), ==, is_there);
}

/* --- Throwing away and bringing back --- */

static void
prepare_model (void)
{
  put (atl_library_dir (), "fox.gguf", 1);
}

static void
trash_and_back (void)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), "fox.gguf", NULL);
  g_autoptr (GError) error = NULL;

  require (atl_library_remove (path, &error), "remove", error);
  say_done ();
  require (atl_library_restore (path, &error), "restore", error);
  say_done ();
}

/* In one of both places; thrown away once more, it comes back. */
static void
check_trash (guint n_said, PowerCutKind kind)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), "fox.gguf", NULL);
  g_autofree char *trash = in_home ("Trash/files");
  gboolean is_there = is_whole (atl_library_dir (), "fox.gguf", 1);
  g_autoptr (GError) error = NULL;

  g_assert_true (is_there != is_whole (trash, "fox.gguf", 1));
  if (kind == POWER_CUT_ALL && n_said == 2)
    g_assert_true (is_there);
  if (is_there)
    atl_library_remove (path, &error);
  g_assert_no_error (error);
  atl_library_restore (path, &error);
  g_assert_no_error (error);
  g_assert_true (is_whole (atl_library_dir (), "fox.gguf", 1));
  g_assert_cmpuint (count_names (trash, "fox.gguf"), ==, 0);
}

/* The library on another disk than the trash. */
static void
prepare_other_disk (void)
{
  g_assert_cmpint (g_rmdir (atl_library_dir ()), ==, 0);
  remove_tree (other_disk);
  g_assert_cmpint (g_mkdir (other_disk, 0700), ==, 0);
  g_assert_cmpint (symlink (other_disk, atl_library_dir ()), ==, 0);
  prepare_model ();
}

/* A copy is in both places until one goes. */
static void
check_other_disk (guint n_said, PowerCutKind kind)
{
  g_autofree char *trash = in_home ("Trash/files");
  g_autofree char *copy = g_build_filename (trash, "fox.gguf", NULL);

  if (is_whole (atl_library_dir (), "fox.gguf", 1) && is_whole (trash, "fox.gguf", 1))
    g_assert_cmpint (g_unlink (copy), ==, 0);
  check_trash (n_said, kind);
}

/* --- A download --- */

static guint8 *content;

static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  send_file (request, out, "\"a\"", content, DOWNLOAD_BYTES);
}

static void
fetch (void)
{
  g_autofree char *target = in_home ("file.gguf");
  g_autofree char *sha256 =
      g_compute_checksum_for_data (G_CHECKSUM_SHA256, content, DOWNLOAD_BYTES);
  Server *server = server_start (handle, NULL);
  g_autofree char *url = server_url (server, "/file");
  AtlDownload request = { .url = url, .target = target, .sha256 = sha256 };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  atl_download_async (&request, NULL, NULL, NULL, keep_result_cb, &result);
  require (atl_download_finish (wait_for (&result), &error) != NULL, "fetch", error);
  say_done ();
}

/* A power cut starts the machine anew, of which the part's notes speak. */
static void
start_anew (void)
{
  g_autofree char *path = in_home ("file.gguf.part.state");
  g_autofree char *text = NULL, *boot = NULL;
  g_autoptr (GString) other = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL) ||
      !g_file_get_contents ("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
    return;
  other = g_string_new (text);
  g_string_replace (other, g_strstrip (boot), "another", 0);
  g_assert_true (g_file_set_contents (path, other->str, -1, NULL));
}

static guint run_until (void (*act) (void), guint at, PowerCutKind kind, guint *n_calls);

/* What is kept of it fits: the next try goes on from there and ends well. */
static void
check_download (guint n_said, PowerCutKind kind)
{
  g_autofree char *folder = in_home ("");
  g_autofree char *path = in_home ("file.gguf");
  g_autofree char *bytes = NULL;
  gsize size;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_assert_cmpuint (n_said, ==, 0);
      if (kind != POWER_CUT_ALL)
        start_anew ();
      g_assert_cmpuint (run_until (fetch, 0, POWER_CUT_ALL, NULL), ==, 1);
    }
  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  g_assert_cmpmem (bytes, size, content, DOWNLOAD_BYTES);
  /* Its notes may be there still; they are those of the next download of this name. */
  g_assert_cmpuint (count_names (folder, ".part"), ==, 0);
}

/* --- Importing chats --- */

static void
prepare_store (void)
{
  g_autofree char *dir = in_home ("atelier");
  AtlStore *store = atl_store_open (dir, NULL);

  g_assert_cmpint (atl_store_chat_add (store, 0, NULL), !=, 0);
  atl_store_free (store);
}

static void
import (void)
{
  g_autofree char *dir = in_home ("atelier");
  g_autofree char *long_text = g_strnfill (3000, 't');
  g_autoptr (GString) text = g_string_new ("[");
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = NULL;
  AtlStore *store = atl_store_open (dir, &error);

  require (store != NULL, "open", error);
  for (guint i = 0; i < 3; i++)
    {
      g_string_append (text, i > 0 ? ",{\"messages\":[" : "{\"messages\":[");
      for (guint k = 0; k < 20; k++)
        g_string_append_printf (text, "%s{\"role\":\"%s\",\"content\":\"%u %s\"}", k > 0 ? "," : "",
                                k % 2 == 0 ? "user" : "assistant", k, long_text);
      g_string_append (text, "]}");
    }
  g_string_append (text, "]");
  ids = atl_store_import (store, text->str, text->len, "chats.json", &error);
  require (ids != NULL, "import", error);
  say_done ();
  atl_store_free (store);
}

static void
check_import (guint n_said, PowerCutKind kind)
{
  g_autofree char *dir = in_home ("atelier");
  g_autoptr (GError) error = NULL;
  AtlStore *store = atl_store_open (dir, &error);
  g_autoptr (GPtrArray) chats = NULL;

  g_assert_no_error (error);
  g_assert_cmpint (atl_db_check (store->db, TRUE), ==, SQLITE_OK);
  chats = atl_store_chat_list (store, &error);
  g_assert_no_error (error);
  if (n_said > 0 || chats->len != 1)
    g_assert_cmpuint (chats->len, ==, 4);
  atl_store_free (store);
}

/* --- Saving for people --- */

static void
prepare_saved (void)
{
  g_autofree char *folder = in_home ("");

  put (folder, "chat.md", 1);
}

static void
save (void)
{
  g_autofree char *path = in_home ("chat.md");
  g_autofree char *other = in_home ("other.md");
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFile) new_file = g_file_new_for_path (other);
  g_autoptr (GBytes) bytes = g_bytes_new_take (make_content (FILE_BYTES, 2), FILE_BYTES);
  g_autoptr (GError) error = NULL;

  require (atl_whole_file_save (new_file, bytes, FALSE, &error), "save", error);
  say_done ();
  require (atl_whole_file_save (file, bytes, TRUE, &error), "replace", error);
  say_done ();
}

static void
check_saved (guint n_said, PowerCutKind kind)
{
  g_autofree char *folder = in_home ("");
  g_autofree char *path = in_home ("chat.md");
  g_autofree guint8 *old = make_content (FILE_BYTES, 1);
  g_autofree char *bytes = NULL;
  gsize size;
  gboolean is_new = is_whole (folder, "other.md", 2);

  g_assert_true (is_new || n_said == 0);
  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  if (n_said == 2 || memcmp (bytes, old, MIN (size, FILE_BYTES)) != 0)
    g_assert_true (is_whole (folder, "chat.md", 2));
  else
    g_assert_cmpuint (size, ==, FILE_BYTES);
  g_assert_cmpuint (count_names (folder, ".md"), ==, 1 + is_new);
}

/* --- The points --- */

typedef struct
{
  const char *name;
  void (*prepare) (void); /* (nullable) */
  void (*act) (void);
  void (*check) (guint n_said, PowerCutKind kind);
} Subject;

static const Subject subjects[] = {
  { "copy/file", NULL, add_file, check_file },
  { "copy/shards", NULL, add_shards, check_shards },
  { "copy/folder", NULL, add_folder, check_folder },
  { "trash/same-disk", prepare_model, trash_and_back, check_trash },
  { "trash/other-disk", prepare_other_disk, trash_and_back, check_other_disk },
  { "download", NULL, fetch, check_download },
  { "import", prepare_store, import, check_import },
  { "save", prepare_saved, save, check_saved },
};

/* Runs `act` in a process that ends at its `at`th call, or when it is done, where there are fewer;
 * with 0 by itself. How often it said that something is done. */
static guint
run_until (void (*act) (void), guint at, PowerCutKind kind, guint *n_calls)
{
  g_autofree char *disk = g_strconcat (home, ".disk", NULL);
  int ends[2], status;
  guint n_said = 0, n_calls_said = 0;
  char said;
  pid_t child;

  g_assert_cmpint (pipe (ends), ==, 0);
  child = fork ();
  if (child == 0)
    {
      guint n;

      close (ends[0]);
      pipe_fd = ends[1];
      power_cut_arm (home, at, kind, at);
      act ();
      if (at > 0)
        power_cut_now ();
      n = power_cut_n_calls ();
      if (write (ends[1], "n", 1) != 1 || write (ends[1], &n, sizeof n) != sizeof n)
        _exit (9);
      _exit (0);
    }
  close (ends[1]);
  while (read (ends[0], &said, 1) == 1 && said == 'x')
    n_said++;
  if (at == 0)
    g_assert_cmpint (read (ends[0], &n_calls_said, sizeof n_calls_said), ==, sizeof n_calls_said);
  if (n_calls != NULL)
    *n_calls = n_calls_said;
  close (ends[0]);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  if (WIFEXITED (status))
    g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  else
    g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
  remove_tree (disk);
  return n_said;
}

static void
prepare (const Subject *subject)
{
  static const char *const folders[] = { "Trash/files", "Trash/info", "atelier/models",
                                         "atelier/checksums" };

  remove_tree (home);
  for (gsize i = 0; i < G_N_ELEMENTS (folders); i++)
    {
      g_autofree char *folder = in_home (folders[i]);

      g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
    }
  if (subject->prepare != NULL)
    subject->prepare ();
}

static void
test_subject (gconstpointer data)
{
  const Subject *subject = data;
  guint n_calls = 0, n_points, n_done = 0;

  if (subject->prepare == prepare_other_disk && other_disk == NULL)
    {
      g_test_skip ("there is no second disk here: that was not tried");
      return;
    }
  prepare (subject);
  g_assert_cmpuint (run_until (subject->act, 0, POWER_CUT_ALL, &n_calls), >, 0);
  subject->check (2, POWER_CUT_ALL);
  g_assert_cmpuint (n_calls, >=, 4);
  n_points = MIN (rounds (N_POINTS), n_calls + 1);
  for (guint i = 0; i < n_points; i++)
    for (PowerCutKind kind = 0; kind < POWER_CUT_N_KINDS; kind++)
      {
        guint before =
            i < N_LAST
                ? i
                : N_LAST - 1 + (n_calls - N_LAST + 1) * (i - N_LAST + 1) / (n_points - N_LAST);
        guint at = n_calls + 1 - before;
        guint n_said;

        g_test_message ("call %u of %u, end %u", at, n_calls, kind);
        prepare (subject);
        n_said = run_until (subject->act, at, kind, NULL);
        subject->check (n_said, kind);
        n_done += n_said > 0;
      }
  g_test_message ("%u ends, %u after something was done", n_points * POWER_CUT_N_KINDS, n_done);
}

/* In memory, where flushing is quick: a disk is only played here. The other one is a real one. */
static void
make_folders (void)
{
  g_autofree char *fast = g_strdup ("/dev/shm/atelier-cut-XXXXXX");
  g_autofree char *usual = g_dir_make_tmp ("atelier-cut-XXXXXX", NULL);
  struct stat here, there;

  g_assert_nonnull (usual);
  if (g_mkdtemp (fast) == NULL)
    {
      base = g_steal_pointer (&usual);
      return;
    }
  base = g_steal_pointer (&fast);
  if (stat (base, &here) == 0 && stat (usual, &there) == 0 && here.st_dev != there.st_dev)
    other_disk = g_steal_pointer (&usual);
  else
    g_rmdir (usual);
}

int
main (int argc, char **argv)
{
  g_autofree char *data = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  make_folders ();
  home = g_build_filename (base, "home", NULL);
  source = g_build_filename (base, "source", NULL);
  data = in_home ("");
  g_setenv ("XDG_DATA_HOME", data, TRUE);
  content = make_content (DOWNLOAD_BYTES, 3);
  put (source, "fox.gguf", 1);
  for (guint i = 1; i <= 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("owl-%05u-of-00003.gguf", i);

      put (source, name, 10 + i);
    }
  put (source, "hare/model_index.json", 21);
  put (source, "hare/vae/config.json", 22);
  put (source, "hare/vae/model.safetensors", 23);
  for (gsize i = 0; i < G_N_ELEMENTS (subjects); i++)
    {
      g_autofree char *path = g_strconcat ("/cut-files/", subjects[i].name, NULL);

      g_test_add_data_func (path, &subjects[i], test_subject);
    }
  status = g_test_run ();
  remove_tree (base);
  if (other_disk != NULL)
    remove_tree (other_disk);
  g_free (other_disk);
  g_free (content);
  g_free (source);
  g_free (home);
  g_free (base);
  return status;
}
