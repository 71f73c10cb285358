/* The power fails at any moment while messages, pictures and backups are written: what was said to
 * be saved is there afterwards, and the database is whole. $ATELIER_FAULT_ROUNDS cuts (24) of the
 * store, a fourth of them of the others. See power-cut.h for what a cut is. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "power-cut.h"
#include "rounds.h"
#include "store/store-fixture.h"

#include "base/sync.h"
#include "media/picture.h"
#include "store/store-private.h"

#define N_ROUNDS 24
/* A cut comes this many calls after the start at the latest; a turn takes about twenty. */
#define MOST_CALLS 400

typedef struct
{
  char *dir;
  int say; /* of the child */
} World;

static void
world_set_up (World *w, gconstpointer data)
{
  w->dir = g_dir_make_tmp ("atelier-power-XXXXXX", NULL);
  g_assert_nonnull (w->dir);
}

static void
forget_disk (World *w)
{
  g_autofree char *disk = g_strconcat (w->dir, ".disk", NULL);

  remove_tree (disk);
}

static void
world_tear_down (World *w, gconstpointer data)
{
  forget_disk (w);
  remove_tree (w->dir);
  g_free (w->dir);
}

/* What a child says is certain. */
static void
say (World *w, gint64 number)
{
  if (write (w->say, &number, sizeof number) != sizeof number)
    _exit (9);
}

/* Runs `work` in a process whose power fails; what it said, in order. It may come to an end of its
 * own with status 0. */
static GArray *
run_until_cut (
    World *w, void (*work) (World *w, gint64 data), gint64 data, guint at, PowerCutKind kind)
{
  GArray *said = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 number;
  int ends[2], status;
  pid_t child;

  g_assert_cmpint (pipe (ends), ==, 0);
  child = fork ();
  if (child == 0)
    {
      close (ends[0]);
      w->say = ends[1];
      power_cut_arm (w->dir, at, kind, at);
      work (w, data);
      _exit (0);
    }
  close (ends[1]);
  while (read (ends[0], &number, sizeof number) == sizeof number)
    g_array_append_val (said, number);
  close (ends[0]);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  if (WIFEXITED (status))
    g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  else
    g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
  forget_disk (w);
  return said;
}

static PowerCutKind
kind_of (guint round)
{
  return round % POWER_CUT_N_KINDS;
}

/* --- That a cut is one --- */

static void
write_file (
    const char *dir, const char *name, const char *text, gboolean flush, gboolean flush_name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  int fd = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

  if (fd < 0 || write (fd, text, strlen (text)) != (ssize_t) strlen (text) ||
      (flush && fsync (fd) != 0) || close (fd) != 0 || (flush_name && !atl_sync_path (dir)))
    _exit (1);
}

static void
write_files (World *w, gint64 data)
{
  g_autofree char *old = g_build_filename (w->dir, "old", NULL);
  g_autofree char *new_name = g_build_filename (w->dir, "new", NULL);

  write_file (w->dir, "flushed", "1", TRUE, TRUE);
  write_file (w->dir, "flushed", "2", FALSE, FALSE);
  write_file (w->dir, "only-name", "3", FALSE, TRUE);
  write_file (w->dir, "kept", "5", FALSE, FALSE);
  write_file (w->dir, "only-bytes", "4", TRUE, FALSE);
  if (g_rename (old, new_name) != 0)
    _exit (2);
  power_cut_now ();
}

static void
assert_text (World *w, const char *name, const char *expected)
{
  g_autofree char *path = g_build_filename (w->dir, name, NULL);
  g_autofree char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  g_assert_cmpstr (text, ==, expected);
}

static void
test_nothing_unflushed (World *w, gconstpointer data)
{
  write_file (w->dir, "old", "x", FALSE, FALSE);
  write_file (w->dir, "kept", "there", FALSE, FALSE);
  g_array_unref (run_until_cut (w, write_files, 0, 0, POWER_CUT_NOTHING));
  assert_text (w, "flushed", "1");
  assert_text (w, "only-name", "");
  assert_text (w, "only-bytes", NULL);
  assert_text (w, "kept", "there");
  assert_text (w, "old", "x");
  assert_text (w, "new", NULL);
}

static void
insert_without_flushing (World *w, gint64 data)
{
  g_autofree char *path = g_build_filename (w->dir, "careless.db", NULL);
  sqlite3 *db = NULL;

  if (sqlite3_open (path, &db) != SQLITE_OK ||
      sqlite3_exec (db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; CREATE TABLE t (n);",
                    NULL, NULL, NULL) != SQLITE_OK)
    _exit (1);
  for (gint64 i = 1; i <= 20; i++)
    {
      if (sqlite3_exec (db, "INSERT INTO t VALUES (1);", NULL, NULL, NULL) != SQLITE_OK)
        _exit (2);
      say (w, i);
    }
  power_cut_now ();
}

/* A database that does not flush loses what it acknowledged: else the other cases prove nothing. */
static void
test_careless (World *w, gconstpointer data)
{
  g_autoptr (GArray) said = run_until_cut (w, insert_without_flushing, 0, 0, POWER_CUT_NOTHING);
  g_autofree char *path = g_build_filename (w->dir, "careless.db", NULL);

  g_assert_cmpuint (said->len, ==, 20);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

/* --- The store --- */

static void
take_turns (World *w, gint64 chat)
{
  AtlStore *store = atl_store_open (w->dir, NULL);
  gint64 parent;

  if (store == NULL)
    _exit (1);
  parent = last_shown (store, chat);
  for (;;)
    {
      g_autofree char *text = NULL;
      gint64 asked, answer;

      if (!atl_store_turn_begin (store, chat, parent, "a question", NULL, "toy", &asked, &answer,
                                 NULL))
        _exit (2);
      say (w, asked);
      text = g_strdup_printf ("answer to %" G_GINT64_FORMAT, asked);
      if (!atl_store_message_checkpoint (store, answer, text, NULL, NULL))
        _exit (3);
      say (w, answer);
      parent = answer;
      if (asked % 3 != 0 && !atl_store_answer_finish (store, answer, ATL_MESSAGE_COMPLETE, text,
                                                      NULL, NULL, NULL, NULL))
        _exit (4);
    }
}

static void
check_message (AtlStore *store, gint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlMessage) message = atl_store_message_get (store, id, &error);

  g_assert_no_error (error);
  g_assert_nonnull (message);
  if (message->role == ATL_ROLE_USER)
    g_assert_cmpstr (message->content, ==, "a question");
  else
    {
      g_autofree char *text = g_strdup_printf ("answer to %" G_GINT64_FORMAT, message->parent_id);

      g_assert_cmpstr (message->content, ==, text);
      g_assert_cmpint (message->state, !=, ATL_MESSAGE_STREAMING);
    }
}

static void
test_store (World *w, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (gint64));
  AtlStore *store = atl_store_open (w->dir, &error);
  gint64 chat;

  g_assert_no_error (error);
  chat = add_chat (store);
  for (guint round = 0; round < rounds (N_ROUNDS); round++)
    {
      guint at = (guint) g_test_rand_int_range (1, MOST_CALLS);
      g_autoptr (GArray) said = NULL;

      g_clear_pointer (&store, atl_store_free);
      said = run_until_cut (w, take_turns, chat, at, kind_of (round));
      g_array_append_vals (all, said->data, said->len);
      store = atl_store_open (w->dir, &error);
      g_assert_no_error (error);
      assert_reports (store, 0);
      g_assert_cmpint (atl_db_check (store->db, TRUE), ==, SQLITE_OK);
      for (guint i = 0; i < all->len; i++)
        check_message (store, g_array_index (all, gint64, i));
    }
  g_test_message ("%u cuts, %u messages acknowledged, none lost", rounds (N_ROUNDS), all->len);
  g_assert_cmpuint (all->len, >, rounds (N_ROUNDS));
  atl_store_free (store);
}

/* --- A new store, and its backup --- */

static void
begin_store (World *w, gint64 data)
{
  AtlStore *store = atl_store_open (w->dir, NULL);
  gint64 chat;

  if (store == NULL)
    _exit (1);
  say (w, 0);
  chat = atl_store_chat_add (store, 0, NULL);
  if (chat == 0)
    _exit (2);
  say (w, chat);
  if (!atl_store_backup (w->dir, TRUE, NULL, NULL, NULL))
    _exit (3);
  say (w, 1);
  atl_store_free (store);
}

static void
test_begin (World *w, gconstpointer data)
{
  guint n_backups = 0;

  for (guint round = 0; round < rounds (N_ROUNDS); round++)
    {
      guint at = (guint) g_test_rand_int_range (1, 300);
      g_autoptr (GArray) said = run_until_cut (w, begin_store, 0, at, kind_of (round));
      g_autoptr (GError) error = NULL;
      AtlStore *store = atl_store_open (w->dir, &error);
      g_autoptr (GPtrArray) chats = NULL;

      g_assert_no_error (error);
      assert_reports (store, 0);
      g_assert_cmpint (atl_db_check (store->db, TRUE), ==, SQLITE_OK);
      chats = atl_store_chat_list (store, &error);
      g_assert_no_error (error);
      if (said->len >= 2)
        g_assert_cmpuint (chats->len, ==, 1);
      if (said->len >= 3)
        {
          g_autoptr (GPtrArray) backups = atl_backup_list (w->dir);
          sqlite3 *db = NULL;

          g_assert_cmpuint (backups->len, ==, 1);
          g_assert_cmpint (atl_db_open_file (backups->pdata[0], SQLITE_OPEN_READONLY, &db), ==,
                           SQLITE_OK);
          g_assert_cmpint (atl_db_check (db, TRUE), ==, SQLITE_OK);
          sqlite3_close (db);
          n_backups++;
        }
      atl_store_free (store);
      remove_tree (w->dir);
      g_assert_cmpint (g_mkdir (w->dir, 0700), ==, 0);
    }
  g_test_message ("%u cuts of a new store, %u with a backup", rounds (N_ROUNDS), n_backups);
}

/* --- Pictures --- */

static char *
picture_text (gint64 number)
{
  g_autofree char *filling = g_strnfill (3000, 'p');

  return g_strdup_printf ("%" G_GINT64_FORMAT " %s", number, filling);
}

/* The number of each is in its name. */
static void
save_pictures (World *w, gint64 first)
{
  for (gint64 i = first;; i++)
    {
      g_autofree char *text = picture_text (i);
      g_autofree char *stem = g_strdup_printf ("fox %" G_GINT64_FORMAT, i);
      g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));
      g_autofree char *path = atl_picture_save (bytes, w->dir, stem, "png", NULL);

      if (path == NULL)
        _exit (1);
      say (w, i);
    }
}

static void
test_pictures (World *w, gconstpointer data)
{
  guint n_cuts = MAX (rounds (N_ROUNDS) / 4, POWER_CUT_N_KINDS), n_saved = 0;

  for (guint round = 0; round < n_cuts; round++)
    {
      guint at = (guint) g_test_rand_int_range (1, 60);
      g_autoptr (GArray) said = run_until_cut (w, save_pictures, 1000 * round, at, kind_of (round));

      for (guint i = 0; i < said->len; i++)
        {
          gint64 number = g_array_index (said, gint64, i);
          g_autofree char *name = g_strdup_printf ("fox %" G_GINT64_FORMAT ".png", number);
          g_autofree char *text = picture_text (number);

          assert_text (w, name, text);
          n_saved++;
        }
    }
  g_test_message ("%u cuts, %u pictures saved, none lost", n_cuts, n_saved);
  g_assert_cmpuint (n_saved, >, n_cuts);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/power-cut/" name, World, NULL, world_set_up, func, world_tear_down)
  ADD ("nothing-unflushed", test_nothing_unflushed);
  ADD ("careless", test_careless);
  ADD ("store", test_store);
  ADD ("begin", test_begin);
  ADD ("pictures", test_pictures);
  return g_test_run ();
}
