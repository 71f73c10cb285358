/* Chats that go on after a restart, over the service in its sandbox: only the new message is
 * computed. And the folder where they lie: names, limits, leftovers. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client-fixture.h"

#define TINY "stories260K.gguf"
#define LIMIT ((guint64) 1 << 30)
#define KEEP_MS WAIT_MS

/* --- The folder --- */

static char *
new_folder (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *parent = g_dir_make_tmp ("kept-XXXXXX", &error);

  g_assert_no_error (error);
  return g_build_filename (parent, "deep", "chats", NULL);
}

static void
remove_folder (char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);

      g_assert_cmpint (g_unlink (file), ==, 0);
    }
  for (guint i = 0; i < 3; i++)
    {
      char *slash;

      g_rmdir (path);
      slash = strrchr (path, '/');
      *slash = '\0';
    }
  g_free (path);
}

static guint
count_files (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Writes a file of `n` bytes for the chat, used `age_s` ago. */
static void
put (AtlKeptChats *kept, const char *dir, const char *key, gsize n, gint64 age_s)
{
  g_autofree char *name = g_strconcat (key, ".chat", NULL);
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *bytes = g_malloc0 (n);
  struct timespec times[2] = { 0 };
  guint64 number, max_bytes;
  int fd = atl_kept_chats_add_room (kept, key, &number, &max_bytes);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, bytes, n), ==, (gssize) n);
  times[0].tv_sec = times[1].tv_sec = g_get_real_time () / G_USEC_PER_SEC - age_s;
  g_assert_cmpint (futimens (fd, times), ==, 0);
  atl_kept_chats_end_room (kept, number, TRUE);
}

static gboolean
has (AtlKeptChats *kept, const char *key)
{
  g_autoptr (GPtrArray) list = atl_kept_chats_list (kept);

  return g_ptr_array_find_with_equal_func (list, key, g_str_equal, NULL);
}

static void
test_folder (void)
{
  static const char *const bad_keys[] = { "",
                                          ".",
                                          "..",
                                          "../x",
                                          "a/b",
                                          "a b",
                                          "chat.1",
                                          "ä",
                                          "0123456789012345678901234567890123456789"
                                          "01234567890123456789012345" };
  char *dir = new_folder ();
  AtlKeptChats *kept = atl_kept_chats_new (dir, 1000);
  guint64 number, max_bytes;
  struct stat st;
  int fd;

  g_assert_cmpint (atl_kept_chats_open (kept, "chat-1"), ==, -1);
  g_assert_cmpuint (atl_kept_chats_bytes (kept), ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (bad_keys); i++)
    {
      g_assert_cmpint (atl_kept_chats_open (kept, bad_keys[i]), ==, -1);
      g_assert_cmpint (atl_kept_chats_add_room (kept, bad_keys[i], &number, &max_bytes), ==, -1);
      atl_kept_chats_remove (kept, bad_keys[i]);
    }
  g_assert_cmpuint (count_files (dir), ==, 0);

  /* Whole, not whole, and empty. */
  put (kept, dir, "chat-1", 10, 0);
  g_assert_cmpuint (atl_kept_chats_bytes (kept), ==, 10);
  fd = atl_kept_chats_open (kept, "chat-1");
  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0600);
  g_assert_cmpint (write (fd, "x", 1), ==, -1);
  close (fd);
  g_assert_cmpint (stat (dir, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0700);
  for (guint i = 0; i < 2; i++)
    {
      fd = atl_kept_chats_add_room (kept, "chat-1", &number, &max_bytes);
      g_assert_cmpuint (max_bytes, ==, 1000);
      if (i == 0)
        g_assert_cmpint (write (fd, "half", 4), ==, 4);
      atl_kept_chats_end_room (kept, number, i == 1);
      g_assert_cmpuint (atl_kept_chats_bytes (kept), ==, 10);
    }
  /* An engine that writes more than it may. */
  fd = atl_kept_chats_add_room (kept, "chat-1", &number, &max_bytes);
  g_assert_cmpint (ftruncate (fd, 1001), ==, 0);
  atl_kept_chats_end_room (kept, number, TRUE);
  g_assert_cmpuint (atl_kept_chats_bytes (kept), ==, 10);
  atl_kept_chats_end_room (kept, 12345, TRUE);
  g_assert_cmpuint (count_files (dir), ==, 1);

  /* The one used longest ago goes. */
  put (kept, dir, "chat-1", 300, 30);
  put (kept, dir, "chat-2", 300, 20);
  put (kept, dir, "chat-3", 300, 10);
  close (atl_kept_chats_open (kept, "chat-1"));
  put (kept, dir, "chat-4", 300, 0);
  g_assert_true (has (kept, "chat-1"));
  g_assert_false (has (kept, "chat-2"));
  g_assert_true (has (kept, "chat-3"));
  g_assert_cmpuint (atl_kept_chats_bytes (kept), ==, 900);
  atl_kept_chats_set_limit (kept, 700);
  g_assert_false (has (kept, "chat-3"));
  atl_kept_chats_remove (kept, "chat-4");
  g_assert_false (has (kept, "chat-4"));
  put (kept, dir, "chat-5", 10, (ATL_KEPT_DAYS + 1) * 24 * 3600);
  g_assert_false (has (kept, "chat-5"));
  atl_kept_chats_clear (kept);
  g_assert_cmpuint (count_files (dir), ==, 0);

  /* Rooms go with their owner, and those of one that was killed with the next. */
  fd = atl_kept_chats_add_room (kept, "chat-1", &number, &max_bytes);
  {
    g_autofree char *orphan = g_build_filename (dir, "chat-9.77-1.room", NULL);
    g_autofree char *foreign = g_build_filename (dir, "notes.txt", NULL);
    g_autoptr (AtlKeptChats) other = NULL;

    g_assert_true (g_file_set_contents (orphan, "half", 4, NULL));
    g_assert_true (g_file_set_contents (foreign, "mine", 4, NULL));
    other = atl_kept_chats_new (dir, 1000);
    g_assert_false (g_file_test (orphan, G_FILE_TEST_EXISTS));
    g_assert_true (g_file_test (foreign, G_FILE_TEST_EXISTS));
    g_assert_cmpuint (count_files (dir), ==, 2);
    atl_kept_chats_clear (other);
    g_assert_true (g_file_test (foreign, G_FILE_TEST_EXISTS));
  }
  atl_kept_chats_free (kept);
  g_assert_cmpuint (count_files (dir), ==, 1);
  remove_folder (dir);
}

/* --- Chats --- */

static const char first_question[] = "Once upon a time there was a little girl named Lily, who "
                                     "loved to play outside with her big red ball. One day";

typedef struct
{
  AtlClient *client;
  AtlModel *model;
} Program;

static gboolean
program_start (Program *self, const char *dir)
{
  g_autofree char *path = fixture_model_path (TINY);
  g_autoptr (GError) error = NULL;

  if (path == NULL)
    return FALSE;
  self->client = atl_client_new ();
  if (dir != NULL)
    atl_client_set_kept_chats (self->client, atl_kept_chats_new (dir, LIMIT));
  self->model = fixture_load (self->client, path, NULL, NULL, &error);
  g_assert_no_error (error);
  return TRUE;
}

static void
kept_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  atl_client_keep_all_finish (ATL_CLIENT (source), result, &error);
  g_assert_no_error (error);
  *(gboolean *) user_data = TRUE;
}

static void
keep_all (Program *self, guint timeout_ms)
{
  gboolean is_done = FALSE;

  atl_client_keep_all_async (self->client, timeout_ms, kept_cb, &is_done);
  g_assert_true (fixture_wait (&is_done, WAIT_MS));
}

static void
program_end (Program *self)
{
  Fixture fixture = { self->client, self->model, NULL };

  fixture_tear_down (&fixture, NULL);
}

static char *
ask (Program *self, const char *key, const char *text, AtlChatStats **stats)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;

  params_greedy (&params, 24);
  params.conversation = g_strdup (key);
  answer = answer_new (atl_client_complete (self->client, self->model, text, &params));
  g_assert_true (answer_wait (answer));
  g_assert_no_error (answer->error);
  *stats = atl_chat_stats_ref (answer->stats);
  return g_strdup (answer->text->str);
}

/* What goes on: what was said so far and a new message. */
static char *
go_on (const char *answer)
{
  return g_strconcat (first_question, answer, " Then a dog came.", NULL);
}

/* The follow-up in a program that never ended. */
static char *
ask_without_restart (guint *n_computed)
{
  g_autoptr (AtlChatStats) stats = NULL;
  g_autoptr (AtlChatStats) more_stats = NULL;
  g_autofree char *first = NULL, *more = NULL;
  Program program;
  char *text;

  if (!program_start (&program, NULL))
    return NULL;
  first = ask (&program, "chat-1", first_question, &stats);
  more = go_on (first);
  text = ask (&program, "chat-1", more, &more_stats);
  *n_computed = more_stats->n_prompt - more_stats->n_cached;
  g_assert_cmpuint (*n_computed, <, 20);
  g_assert_cmpuint (more_stats->n_prompt, >, 60);
  program_end (&program);
  return text;
}

static void
check_follow_up (
    Program *program, const char *first, const char *want, guint n_computed, gboolean is_kept)
{
  g_autofree char *more = go_on (first);
  g_autoptr (AtlChatStats) stats = NULL;
  g_autofree char *got = ask (program, "chat-1", more, &stats);

  g_assert_cmpstr (got, ==, want);
  if (is_kept)
    g_assert_cmpuint (stats->n_prompt - stats->n_cached, ==, n_computed);
  else
    g_assert_cmpuint (stats->n_cached, ==, 0);
}

/* Closed, and opened another day; unloaded, and asked again; stopped while it answers. */
static void
test_restart (void)
{
  char *dir = new_folder ();
  g_autofree char *file = g_build_filename (dir, "chat-1.chat", NULL);
  g_autofree char *want = NULL, *first = NULL;
  g_autoptr (AtlChatStats) stats = NULL;
  g_autoptr (GError) error = NULL;
  guint n_computed = 0;
  Program program;
  struct stat st;

  want = ask_without_restart (&n_computed);
  if (want == NULL)
    {
      g_free (dir);
      return;
    }
  g_assert_true (program_start (&program, dir));
  first = ask (&program, "chat-1", first_question, &stats);
  g_assert_false (g_file_test (file, G_FILE_TEST_EXISTS));
  keep_all (&program, KEEP_MS);
  g_assert_cmpint (stat (file, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0600);
  program_end (&program);
  g_assert_cmpuint (count_files (dir), ==, 1);

  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (program_start (&program, dir));
      check_follow_up (&program, first, want, n_computed, TRUE);
      /* Ended without a word: what was kept before is there. */
      program_end (&program);
      g_assert_cmpuint (count_files (dir), ==, 1);
    }

  g_assert_true (program_start (&program, dir));
  atl_kept_chats_clear (atl_client_get_kept_chats (program.client));
  g_free (first);
  g_clear_pointer (&stats, atl_chat_stats_unref);
  first = ask (&program, "chat-1", first_question, &stats);
  g_assert_true (fixture_unload (program.client, program.model, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_test (file, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (count_files (dir), ==, 1);
  check_follow_up (&program, first, want, n_computed, TRUE);
  program_end (&program);
  remove_folder (dir);
}

/* Nothing is written that nobody wants: without a folder, after it was taken away, in no time. */
static void
test_off (void)
{
  char *dir = new_folder ();
  g_autofree char *first = NULL, *want = NULL, *other = NULL;
  g_autoptr (AtlChatStats) stats = NULL;
  g_autoptr (AtlChatStats) other_stats = NULL;
  guint n_computed = 0;
  Program program;

  want = ask_without_restart (&n_computed);
  if (want == NULL || !program_start (&program, dir))
    {
      g_free (dir);
      return;
    }
  first = ask (&program, "chat-1", first_question, &stats);
  g_assert_cmpuint (count_files (dir), ==, 1);
  atl_client_set_kept_chats (program.client, NULL);
  g_assert_cmpuint (count_files (dir), ==, 0);
  keep_all (&program, KEEP_MS);
  g_assert_cmpuint (count_files (dir), ==, 0);
  /* And on again. */
  atl_client_set_kept_chats (program.client, atl_kept_chats_new (dir, LIMIT));
  other = ask (&program, "chat-2", first_question, &other_stats);
  keep_all (&program, 0);
  g_assert_cmpuint (count_files (dir), ==, 1);
  keep_all (&program, KEEP_MS);
  g_assert_cmpuint (count_files (dir), ==, 1);
  /* Not large enough for a chat. */
  atl_client_set_kept_chats (program.client, atl_kept_chats_new (dir, 1000));
  g_assert_cmpuint (count_files (dir), ==, 0);
  g_free (other);
  g_clear_pointer (&other_stats, atl_chat_stats_unref);
  other = ask (&program, "chat-2", first_question, &other_stats);
  keep_all (&program, KEEP_MS);
  g_assert_cmpuint (count_files (dir), ==, 0);
  program_end (&program);
  remove_folder (dir);
}

/* An answer under way is stopped first. */
static void
test_while_answering (void)
{
  char *dir = new_folder ();
  g_autofree char *file = g_build_filename (dir, "chat-1.chat", NULL);
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;
  Program program;

  if (!program_start (&program, dir))
    {
      g_free (dir);
      return;
    }
  params_greedy (&params, 4000);
  params.conversation = g_strdup ("chat-1");
  params.shift_context = TRUE;
  answer =
      answer_new (atl_client_complete (program.client, program.model, first_question, &params));
  while (answer->n_text == 0 && !answer->is_over)
    g_main_context_iteration (NULL, TRUE);
  atl_chat_job_stop (answer->job);
  keep_all (&program, KEEP_MS);
  g_assert_true (g_file_test (file, G_FILE_TEST_EXISTS));
  g_assert_true (answer_wait (answer));
  g_clear_pointer (&answer, answer_free);
  program_end (&program);
  remove_folder (dir);
}

/* A file that was damaged, cut off or is another's; an engine that was killed. */
static void
test_damage (void)
{
  char *dir = new_folder ();
  g_autofree char *file = g_build_filename (dir, "chat-1.chat", NULL);
  g_autofree char *want = NULL, *first = NULL, *bytes = NULL;
  g_autoptr (AtlChatStats) stats = NULL;
  guint n_computed = 0;
  gsize size;
  Program program;

  want = ask_without_restart (&n_computed);
  if (want == NULL || !program_start (&program, dir))
    {
      g_free (dir);
      return;
    }
  first = ask (&program, "chat-1", first_question, &stats);
  keep_all (&program, KEEP_MS);
  program_end (&program);
  g_assert_true (g_file_get_contents (file, &bytes, &size, NULL));
  for (guint i = 0; i < 5; i++)
    {
      g_autofree char *bad = g_memdup2 (bytes, size);
      gsize n = size;

      if (i == 0)
        bad[20] ^= 1;
      else if (i == 1)
        bad[size - 1] ^= 1;
      else if (i == 2)
        n = size / 2;
      else if (i == 3)
        n = 3;
      else
        memset (bad, 0, size);
      g_assert_true (g_file_set_contents (file, bad, (gssize) n, NULL));
      g_assert_true (program_start (&program, dir));
      check_follow_up (&program, first, want, n_computed, FALSE);
      program_end (&program);
    }

  /* A folder or a pipe of that name. */
  g_assert_cmpint (g_unlink (file), ==, 0);
  g_assert_cmpint (mkfifo (file, 0600), ==, 0);
  g_assert_true (program_start (&program, dir));
  check_follow_up (&program, first, want, n_computed, FALSE);
  program_end (&program);
  g_assert_cmpint (g_unlink (file), ==, 0);

  g_assert_true (g_file_set_contents (file, bytes, (gssize) size, NULL));
  g_assert_true (program_start (&program, dir));
  check_follow_up (&program, first, want, n_computed, TRUE);
  g_assert_cmpuint (count_files (dir), ==, 2);
  kill (atl_client_get_pid (program.client), SIGKILL);
  while (atl_client_get_state (program.client) != ATL_ENGINE_LOST)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (count_files (dir), ==, 1);
  check_follow_up (&program, first, want, n_computed, TRUE);
  program_end (&program);
  remove_folder (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/client/kept/folder", test_folder);
  g_test_add_func ("/client/kept/restart", test_restart);
  g_test_add_func ("/client/kept/off", test_off);
  g_test_add_func ("/client/kept/while-answering", test_while_answering);
  g_test_add_func ("/client/kept/damage", test_damage);
  return g_test_run ();
}
