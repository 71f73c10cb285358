/* Pictures: adding, finding, stars, trash, files that move, kill -9 while one is added, a full
 * disk, and many of them. */
#include <signal.h>
#include <sys/wait.h>

#include "small-disk.h"
#include "store-fixture.h"

#include "store/pictures.h"
#include "store/store-private.h"

static gint64
add (AtlStore *store, const char *path, const char *prompt, gint64 created_us)
{
  AtlPictureRow row = { .path = (char *) path,
                        .width = 640,
                        .height = 480,
                        .prompt = (char *) prompt,
                        .model = (char *) "Doodle",
                        .recipe = (char *) "{\"steps\":20,\"unknown\":[1,{\"a\":null}]}",
                        .seed = 42,
                        .created_us = created_us };
  g_autoptr (GError) error = NULL;
  gint64 id = atl_store_picture_add (store, &row, &error);

  g_assert_no_error (error);
  g_assert_cmpint (id, >, 0);
  return id;
}

/* "3 1": the ids that `words` find, in their order. */
static void
assert_list (AtlStore *store, const char *words, gboolean starred, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) list = atl_store_picture_list (store, words, starred, &error);
  g_autoptr (GString) ids = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < list->len; i++)
    g_string_append_printf (ids, "%s%" G_GINT64_FORMAT, i > 0 ? " " : "",
                            g_array_index (list, AtlPictureBrief, i).id);
  g_assert_cmpstr (ids->str, ==, expected);
}

static void
test_rows (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureRow) row = NULL, again = NULL, none = NULL;
  g_autoptr (GHashTable) paths = NULL;
  AtlPictureRow odd = { .path = (char *) "/p/odd.png", .seed = -1 };
  gint64 a = add (f->store, "/p/a.png", "a fox in the snow", 100), b, c;

  b = add (f->store, "/p/b.png", NULL, 300);
  odd.parent_id = a;
  odd.origin = ATL_ORIGIN_UPSCALED;
  odd.created_us = 200;
  c = atl_store_picture_add (f->store, &odd, &error);
  g_assert_no_error (error);
  assert_list (f->store, NULL, FALSE, "2 3 1");
  fixture_reopen (f);

  row = atl_store_picture_get (f->store, a, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (row->path, ==, "/p/a.png");
  g_assert_cmpuint (row->width, ==, 640);
  g_assert_cmpuint (row->height, ==, 480);
  g_assert_cmpstr (row->prompt, ==, "a fox in the snow");
  g_assert_null (row->negative);
  g_assert_cmpstr (row->model, ==, "Doodle");
  g_assert_cmpstr (row->recipe, ==, "{\"steps\":20,\"unknown\":[1,{\"a\":null}]}");
  g_assert_cmpint (row->seed, ==, 42);
  g_assert_cmpint (row->created_us, ==, 100);
  again = atl_store_picture_find (f->store, "/p/odd.png", &error);
  g_assert_no_error (error);
  g_assert_cmpint (again->id, ==, c);
  g_assert_cmpint (again->seed, ==, -1);
  g_assert_cmpint (again->parent_id, ==, a);
  g_assert_cmpint (again->origin, ==, ATL_ORIGIN_UPSCALED);

  none = atl_store_picture_get (f->store, 99, &error);
  g_assert_null (none);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  odd.recipe = (char *) "no object";
  g_assert_cmpint (atl_store_picture_add (f->store, &odd, &error), ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);

  paths = atl_store_picture_paths (f->store, &error);
  g_assert_cmpuint (g_hash_table_size (paths), ==, 3);
  g_assert_true (g_hash_table_contains (paths, "/p/b.png"));
  g_assert_cmpint (b, ==, 2);
}

static void
test_search (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureRow) row = NULL;

  add (f->store, "/p/a.png", "Füchse im Schnee, Öl auf Leinwand", 100);
  add (f->store, "/p/b.png", "a fox (cinematic:1.3) \"NEAR\" the river", 200);
  add (f->store, "/p/c.png", "雪の中の狐", 300);
  add (f->store, "/p/d.png", "", 400);
  assert_list (f->store, "", FALSE, "4 3 2 1");
  assert_list (f->store, "fuchs", FALSE, "1");
  assert_list (f->store, "ol sch", FALSE, "1");
  assert_list (f->store, "fox cin", FALSE, "2");
  assert_list (f->store, "fox snow", FALSE, "");
  assert_list (f->store, "の中", FALSE, "3");
  assert_list (f->store, "doodle", FALSE, "4 3 2 1");
  assert_list (f->store, "near( \"OR", FALSE, "");
  assert_list (f->store, "\"", FALSE, "2");
  assert_list (f->store, "*", FALSE, "");

  /* The same file again: what it says is replaced in the index as well. */
  add (f->store, "/p/b.png", "a heron", 900);
  assert_list (f->store, "fox", FALSE, "");
  assert_list (f->store, "heron", FALSE, "2");
  row = atl_store_picture_find (f->store, "/p/b.png", &error);
  g_assert_cmpint (row->created_us, ==, 200);

  /* Stars. */
  g_assert_true (atl_store_picture_star (f->store, 1, TRUE, &error));
  g_assert_true (atl_store_picture_star (f->store, 3, TRUE, &error));
  assert_list (f->store, NULL, TRUE, "3 1");
  assert_list (f->store, "leinwand", TRUE, "1");
  assert_list (f->store, "heron", TRUE, "");
  add (f->store, "/p/a.png", "something else", 100);
  assert_list (f->store, NULL, TRUE, "3 1");
  g_assert_true (atl_store_picture_star (f->store, 1, FALSE, &error));
  assert_list (f->store, NULL, TRUE, "3");
  g_assert_false (atl_store_picture_star (f->store, 77, TRUE, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_assert_cmpint (atl_db_check (f->store->db, TRUE), ==, SQLITE_OK);
}

static void
test_trash (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureRow) row = NULL;
  gint64 a = add (f->store, "/p/a.png", "a fox", 100), b = add (f->store, "/p/b.png", "a fox", 200);

  g_assert_true (atl_store_trash (f->store, ATL_TRASH_PICTURE, a, &error));
  assert_list (f->store, NULL, FALSE, "2");
  assert_list (f->store, "fox", FALSE, "2");
  g_assert_false (atl_store_trash (f->store, ATL_TRASH_PICTURE, a, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  row = atl_store_picture_get (f->store, a, &error);
  g_assert_cmpint (row->trashed_us, >, 0);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_PICTURE, a, &error));
  assert_list (f->store, "fox", FALSE, "2 1");

  /* A trashed file that is there again (brought back by the file manager) comes back with it. */
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_PICTURE, b, &error));
  g_assert_cmpint (add (f->store, "/p/b.png", "a fox", 200), ==, b);
  assert_list (f->store, NULL, FALSE, "2 1");

  g_assert_true (atl_store_trash (f->store, ATL_TRASH_PICTURE, a, &error));
  g_assert_cmpint (atl_store_trash_purge (f->store, 0, &error), ==, 0);
  g_assert_cmpint (atl_store_trash_purge (f->store, G_MAXINT64, &error), ==, 1);
  assert_list (f->store, NULL, FALSE, "2");
  g_assert_false (atl_store_restore (f->store, ATL_TRASH_PICTURE, a, &error));
  g_assert_cmpint (atl_db_check (f->store->db, TRUE), ==, SQLITE_OK);
}

/* As a picture is noted that was just made: its file's size and time tell it from another. */
static gint64
note (AtlStore *store, AtlPictureOrigin origin, gint64 when, gboolean starred)
{
  AtlPictureRow row = { .path = (char *) "/p/same.png",
                        .origin = origin,
                        .width = 64,
                        .height = 64,
                        .seed = -1,
                        .created_us = when,
                        .starred = starred,
                        .size_bytes = 10,
                        .changed_us = when };
  g_autoptr (GError) error = NULL;
  gint64 id = atl_store_picture_add (store, &row, &error);

  g_assert_no_error (error);
  return id;
}

/* A picture that gets the name of one whose file is gone is a picture of its own; one in the trash
 * can still come back. */
static void
test_same_name (Fixture *f, gconstpointer data)
{
  gint64 first = note (f->store, ATL_ORIGIN_MADE, 100, TRUE), second;
  g_autoptr (AtlPictureRow) row = NULL, old = NULL, found = NULL;

  /* Its file was looked at again, and is the same or was changed by another program. */
  g_assert_cmpint (note (f->store, ATL_ORIGIN_MADE, 100, FALSE), ==, first);
  g_assert_cmpint (note (f->store, ATL_ORIGIN_IMPORTED, 150, FALSE), ==, first);
  row = atl_store_picture_get (f->store, first, NULL);
  g_assert_cmpint (row->created_us, ==, 100);
  g_assert_true (row->starred);
  g_clear_pointer (&row, atl_picture_row_free);
  g_assert_cmpint (note (f->store, ATL_ORIGIN_MADE, 200, FALSE), ==, first);
  row = atl_store_picture_get (f->store, first, NULL);
  g_assert_cmpint (row->created_us, ==, 200);
  g_assert_false (row->starred);

  g_assert_true (atl_store_trash (f->store, ATL_TRASH_PICTURE, first, NULL));
  second = note (f->store, ATL_ORIGIN_MADE, 300, FALSE);
  g_assert_cmpint (second, !=, first);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_PICTURE, first, NULL));
  old = atl_store_picture_get (f->store, first, NULL);
  g_assert_cmpstr (old->path, !=, "/p/same.png");
  g_assert_cmpint (old->created_us, ==, 200);
  found = atl_store_picture_find (f->store, "/p/same.png", NULL);
  g_assert_cmpint (found->id, ==, second);
}

static void
test_moved (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureRow) row = NULL;
  gint64 a = add (f->store, "/p/a.png", "a fox", 100);

  add (f->store, "/p/b.png", "a fox", 200);
  g_assert_true (atl_store_picture_move (f->store, a, "/q/a.png", &error));
  g_assert_true (atl_store_picture_move (f->store, a, "/q/a.png", &error));
  row = atl_store_picture_get (f->store, a, &error);
  g_assert_cmpstr (row->path, ==, "/q/a.png");
  g_assert_false (atl_store_picture_move (f->store, a, "/p/b.png", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
}

static void
test_kill (Fixture *f, gconstpointer data)
{
  enum
  {
    N_KILLS = 40
  };
  gint64 n_said = 0;

  g_clear_pointer (&f->store, atl_store_free);
  for (int round = 0; round < N_KILLS; round++)
    {
      int pipe_fd[2], status;
      gint64 id;
      pid_t child;

      g_assert_cmpint (pipe (pipe_fd), ==, 0);
      child = fork ();
      if (child == 0)
        {
          AtlStore *store = atl_store_open (f->dir, NULL);

          for (int i = 0; store != NULL; i++)
            {
              g_autofree char *path = g_strdup_printf ("/p/%d-%d.png", round, i);

              id = add (store, path, "a picture of a fox", 0);
              if (write (pipe_fd[1], &id, sizeof id) != sizeof id)
                _exit (1);
            }
          _exit (2);
        }
      close (pipe_fd[1]);
      if (read (pipe_fd[0], &id, sizeof id) == sizeof id)
        n_said++;
      g_usleep (g_test_rand_int_range (0, 5000));
      kill (child, SIGKILL);
      g_assert_cmpint (waitpid (child, &status, 0), ==, child);
      while (read (pipe_fd[0], &id, sizeof id) == sizeof id)
        n_said++;
      close (pipe_fd[0]);
    }
  fixture_open (f);
  assert_reports (f->store, 0);
  {
    g_autoptr (GArray) all = atl_store_picture_list (f->store, NULL, FALSE, NULL);
    g_autoptr (GArray) found = atl_store_picture_list (f->store, "picture fox", FALSE, NULL);

    /* Every acknowledged one, and at most one more for each kill; the index knows the same. */
    g_assert_cmpuint (n_said, >=, N_KILLS);
    g_assert_cmpuint (all->len, >=, n_said);
    g_assert_cmpuint (all->len, <=, n_said + N_KILLS);
    g_assert_cmpuint (found->len, ==, all->len);
  }
  g_assert_cmpint (atl_db_check (f->store->db, TRUE), ==, SQLITE_OK);
}

/* As in test-durability.c: 0 fine, 77 not permitted here, else the step that failed. */
static int
fill_disk (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *ballast = g_build_filename (dir, "ballast", NULL);
  g_autofree char *block = g_strnfill (512 * 1024, 'b');
  g_autofree char *prompt = g_strnfill (9000, 'p');
  g_autoptr (AtlStore) store = NULL;
  g_autoptr (GArray) list = NULL;
  AtlPictureRow row = { .prompt = prompt, .seed = -1 };
  guint n = 0;

  if (!mount_small (dir))
    return 77;
  if (!g_file_set_contents (ballast, block, 512 * 1024, NULL))
    return 1;
  store = atl_store_open (dir, &error);
  if (store == NULL)
    return 2;
  for (;; n++)
    {
      g_autofree char *path = g_strdup_printf ("/p/%u.png", n);

      row.path = path;
      if (atl_store_picture_add (store, &row, &error) == 0)
        break;
    }
  row.path = NULL;
  if (n < 20 || !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    return 3;
  g_clear_error (&error);
  list = atl_store_picture_list (store, NULL, FALSE, &error);
  if (list == NULL || list->len != n)
    return 4;
  /* Many at once: nothing of them stays. */
  if (!atl_store_begin (store, NULL))
    return 7;
  for (guint i = 0; i < 40; i++)
    {
      g_autofree char *path = g_strdup_printf ("/p/many %u.png", i);

      row.path = path;
      atl_store_picture_add (store, &row, NULL);
    }
  if (atl_store_end (store, TRUE, &error) || !g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    return 8;
  g_clear_error (&error);
  g_array_unref (list);
  list = atl_store_picture_list (store, NULL, FALSE, &error);
  if (list == NULL || list->len != n)
    return 9;
  /* Room again: the same handle works. */
  g_remove (ballast);
  row.path = (char *) "/p/last.png";
  if (atl_store_picture_add (store, &row, &error) == 0)
    return 5;
  return atl_db_check (store->db, TRUE) == SQLITE_OK ? 0 : 6;
}

static void
test_disk_full (Fixture *f, gconstpointer data)
{
  small_disk_test (f->dir, fill_disk);
}

/* Changes of many are one change; a part that fails is no harm to the others. */
static void
test_batch (Fixture *f, gconstpointer data)
{
  AtlPictureRow bad = { .path = (char *) "/p/bad.png", .recipe = (char *) "no JSON", .seed = -1 };
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_store_begin (f->store, &error));
  add (f->store, "/p/a.png", "a fox", 1);
  g_assert_cmpint (atl_store_picture_add (f->store, &bad, &error), ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  add (f->store, "/p/b.png", "a fox", 2);
  g_assert_true (atl_store_picture_star (f->store, 1, TRUE, &error));
  g_assert_true (atl_store_end (f->store, TRUE, &error));
  assert_list (f->store, "fox", FALSE, "2 1");
  assert_list (f->store, NULL, TRUE, "1");

  g_assert_true (atl_store_begin (f->store, &error));
  add (f->store, "/p/c.png", "a fox", 3);
  g_assert_true (atl_store_picture_star (f->store, 2, TRUE, &error));
  g_assert_false (atl_store_end (f->store, FALSE, &error));
  g_assert_no_error (error);
  assert_list (f->store, "fox", FALSE, "2 1");
  assert_list (f->store, NULL, TRUE, "1");
}

static void
test_many (Fixture *f, gconstpointer data)
{
  enum
  {
    N = 10000
  };
  g_autoptr (GArray) all = NULL, found = NULL;
  gint64 start;

  g_assert_cmpint (
      sqlite3_exec (f->store->db,
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                    " WHERE i < 10000) INSERT INTO pictures (path, origin, created_us,"
                    " width, height, prompt) SELECT '/p/' || i || '.png', 0, i, 64, 64,"
                    " 'picture ' || i || ' of a fox' FROM n",
                    NULL, NULL, NULL),
      ==, SQLITE_OK);
  start = g_get_monotonic_time ();
  all = atl_store_picture_list (f->store, NULL, FALSE, NULL);
  g_test_message ("%u listed in %.1f ms", all->len, (g_get_monotonic_time () - start) / 1000.0);
  g_assert_cmpuint (all->len, ==, N);
  g_assert_cmpint (g_array_index (all, AtlPictureBrief, 0).id, ==, N);
  start = g_get_monotonic_time ();
  found = atl_store_picture_list (f->store, "fox pict", FALSE, NULL);
  g_test_message ("%u found in %.1f ms", found->len, (g_get_monotonic_time () - start) / 1000.0);
  g_assert_cmpuint (found->len, ==, N);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/pictures/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("rows", test_rows);
  ADD ("search", test_search);
  ADD ("trash", test_trash);
  ADD ("same-name", test_same_name);
  ADD ("moved", test_moved);
  ADD ("kill", test_kill);
  ADD ("disk-full", test_disk_full);
  ADD ("batch", test_batch);
  ADD ("many", test_many);
  return g_test_run ();
}
