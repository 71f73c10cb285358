/* kill -9 in the middle of writing, two processes writing at once, and a disk that fills up. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "small-disk.h"
#include "store-fixture.h"

#include "store/store-private.h"

/* $ATELIER_FAULT_ROUNDS says otherwise. */
#define N_KILLS 120

/* Says each committed id over the pipe: what was said must be there afterwards. */
static void
write_until_killed (const char *dir, gint64 chat, int fd)
{
  AtlStore *store = atl_store_open (dir, NULL);
  gint64 parent;

  if (store == NULL)
    _exit (1);
  parent = last_shown (store, chat);
  for (;;)
    {
      g_autofree char *text = NULL;
      gint64 said[2];

      if (!atl_store_turn_begin (store, chat, parent, "a question", NULL, "toy", &said[0], &said[1],
                                 NULL))
        _exit (2);
      if (write (fd, said, sizeof said) != sizeof said)
        _exit (3);
      text = g_strdup_printf ("answer to %" G_GINT64_FORMAT, said[0]);
      if (!atl_store_message_checkpoint (store, said[1], text, NULL, NULL))
        _exit (4);
      parent = said[1];
      if (said[0] % 3 != 0 && !atl_store_answer_finish (store, said[1], ATL_MESSAGE_COMPLETE, text,
                                                        NULL, NULL, NULL, NULL))
        _exit (5);
    }
}

static void
test_kill (Fixture *f, gconstpointer data)
{
  gint64 chat = add_chat (f->store), last[2] = { 0, 0 };
  const char *rounds = g_getenv ("ATELIER_FAULT_ROUNDS");
  guint n_kills = rounds != NULL ? (guint) g_ascii_strtoull (rounds, NULL, 10) : N_KILLS;
  guint n_said = 0;

  g_clear_pointer (&f->store, atl_store_free);
  for (guint round = 0; round < n_kills; round++)
    {
      g_autoptr (AtlMessage) asked = NULL, answer = NULL;
      gint64 said[2];
      int pipe_fd[2], status;
      pid_t child;

      g_assert_cmpint (pipe (pipe_fd), ==, 0);
      child = fork ();
      if (child == 0)
        {
          close (pipe_fd[0]);
          write_until_killed (f->dir, chat, pipe_fd[1]);
        }
      close (pipe_fd[1]);
      /* Every other round waits for a first turn, however busy the machine is; the others may die
       * while they open the store. */
      if (round % 2 == 0 && read (pipe_fd[0], said, sizeof said) == sizeof said)
        {
          memcpy (last, said, sizeof last);
          n_said++;
        }
      g_usleep (g_test_rand_int_range (0, 10000));
      kill (child, SIGKILL);
      g_assert_cmpint (waitpid (child, &status, 0), ==, child);
      g_assert_true (WIFSIGNALED (status));
      while (read (pipe_fd[0], said, sizeof said) == sizeof said)
        {
          memcpy (last, said, sizeof last);
          n_said++;
        }
      close (pipe_fd[0]);

      fixture_open (f);
      assert_reports (f->store, 0);
      if (last[0] != 0)
        {
          asked = atl_store_message_get (f->store, last[0], NULL);
          answer = atl_store_message_get (f->store, last[1], NULL);
          g_assert_nonnull (asked);
          g_assert_nonnull (answer);
          g_assert_cmpstr (asked->content, ==, "a question");
          g_assert_cmpint (answer->state, !=, ATL_MESSAGE_STREAMING);
        }
      g_clear_pointer (&f->store, atl_store_free);
    }
  fixture_open (f);
  g_test_message ("%u kills, %u turns acknowledged", n_kills, n_said);
  g_assert_cmpuint (n_said, >=, n_kills / 2);
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) all = atl_store_message_list (f->store, chat, &error);
    guint n_unfinished = 0;

    /* Every acknowledged turn, and at most one more for each kill. */
    g_assert_no_error (error);
    g_assert_cmpuint (all->len, >=, 2 * n_said);
    g_assert_cmpuint (all->len, <=, 2 * (n_said + n_kills));
    for (guint i = 0; i < all->len; i++)
      {
        const AtlMessage *m = all->pdata[i];

        n_unfinished += m->state == ATL_MESSAGE_INTERRUPTED;
        g_assert_cmpint (m->state, !=, ATL_MESSAGE_STREAMING);
      }
    g_assert_cmpuint (n_unfinished, >, 0);
    g_assert_cmpint (atl_db_check (f->store->db, TRUE), ==, SQLITE_OK);
  }
}

enum
{
  N_EACH = 150,
  MAX_TRIES = 1000
};

/* A process of its own that writes; its status. On a machine that stands still the other's turn may
 * last longer than one waits, which is told, and it is tried again. */
static int
write_chat (const char *dir, gint64 chat)
{
  AtlStore *store = NULL;
  gint64 parent = 0;
  int n = 0;

  for (int try = 0; try < MAX_TRIES && n < N_EACH; try++)
    {
      g_autoptr (GError) error = NULL;
      gint64 added = 0;

      if (store == NULL)
        store = atl_store_open (dir, &error);
      if (store != NULL)
        added = atl_store_message_add (store, chat, parent, ATL_ROLE_USER, "from one of two", NULL,
                                       &error);
      if (added != 0)
        {
          parent = added;
          n++;
        }
      else if (!g_error_matches (error, ATL_ERROR, ATL_ERROR_BUSY))
        {
          fprintf (stderr, "# %s\n", error->message);
          return 1;
        }
    }
  return n == N_EACH ? 0 : 2;
}

static void
test_two_writers (Fixture *f, gconstpointer data)
{
  gint64 chat[2] = { add_chat (f->store), add_chat (f->store) };
  pid_t child[2];

  g_clear_pointer (&f->store, atl_store_free);
  for (int i = 0; i < 2; i++)
    {
      child[i] = fork ();
      if (child[i] == 0)
        _exit (write_chat (f->dir, chat[i]));
    }
  for (int i = 0; i < 2; i++)
    {
      int status;

      g_assert_cmpint (waitpid (child[i], &status, 0), ==, child[i]);
      g_assert_cmpint (status, ==, 0);
    }
  fixture_open (f);
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GPtrArray) list = atl_store_message_list (f->store, chat[i], NULL);

      g_assert_cmpuint (list->len, ==, N_EACH);
    }
  g_assert_cmpint (atl_db_check (f->store->db, TRUE), ==, SQLITE_OK);
}

/* In a user and mount namespace of its own with a small tmpfs: fills it, expects words and no loss,
 * makes room, expects the same handle to go on. Exit status: 0 fine, 77 not permitted here, else
 * the number of the step that failed. */
static int
fill_disk (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *ballast = g_build_filename (dir, "ballast", NULL);
  g_autofree char *block = g_strnfill (512 * 1024, 'b');
  g_autofree char *text = g_strnfill (9000, 't');
  g_autoptr (AtlStore) store = NULL;
  g_autoptr (GPtrArray) list = NULL;
  gint64 chat, parent = 0, answer;
  int n = 0;

  if (!mount_small (dir))
    return 77;
  if (!g_file_set_contents (ballast, block, 512 * 1024, NULL))
    return 1;
  store = atl_store_open (dir, &error);
  if (store == NULL || (chat = atl_store_chat_add (store, 0, &error)) == 0)
    return 2;
  answer = atl_store_answer_begin (store, chat, 0, "toy", &error);
  if (answer == 0)
    return 3;
  for (;; n++)
    {
      gint64 id = atl_store_message_add (store, chat, answer, ATL_ROLE_USER, text, NULL, &error);

      if (id == 0)
        break;
      parent = id;
    }
  if (n < 20 || !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL) ||
      strstr (error->message, "disk is full") == NULL)
    return 4;
  g_clear_error (&error);
  /* A checkpoint may still fit or may not, but nothing crashes and nothing else is said. */
  if (!atl_store_message_checkpoint (store, answer, text, NULL, &error) &&
      !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    return 5;
  g_clear_error (&error);
  /* A backup finds no room either. */
  if (atl_store_backup (dir, TRUE, NULL, NULL, &error) ||
      !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    return 6;
  g_clear_error (&error);
  {
    g_autoptr (AtlMessage) last = atl_store_message_get (store, parent, &error);

    if (last == NULL || strlen (last->content) != 9000)
      return 7;
  }
  /* Room again: the same handle works. */
  g_remove (ballast);
  if (!atl_store_message_checkpoint (store, answer, "short", NULL, &error))
    return 8;
  if (atl_store_message_add (store, chat, answer, ATL_ROLE_USER, "small", NULL, &error) == 0)
    return 9;
  if (!atl_store_answer_finish (store, answer, ATL_MESSAGE_COMPLETE, "short", NULL, NULL, NULL,
                                &error))
    return 10;
  g_clear_pointer (&store, atl_store_free);
  store = atl_store_open (dir, &error);
  if (store == NULL || atl_db_check (store->db, TRUE) != SQLITE_OK)
    return 11;
  {
    g_autoptr (AtlMessage) first = atl_store_message_get (store, parent, &error);

    if (first == NULL || first->n_branches != (guint) n + 1)
      return 12;
  }
  return 0;
}

static void
test_disk_full (Fixture *f, gconstpointer data)
{
  small_disk_test (f->dir, fill_disk);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/durability/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("kill", test_kill);
  ADD ("two-writers", test_two_writers);
  ADD ("disk-full", test_disk_full);
  return g_test_run ();
}
