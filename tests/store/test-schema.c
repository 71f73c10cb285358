/* Migrations: from every version, interrupted at every statement, by two processes at once, and
 * refusal of what is newer. */
#include <sqlite3.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store-fixture.h"

#include "store/schema.h"
#include "store/search.h"
#include "store/store-private.h"

/* A database of `version` with a conversation in it, as that version would have left it. */
static void
make_version (const char *dir, int version)
{
  static const char rows[] =
      "INSERT INTO folders (name) VALUES ('Work');"
      "INSERT INTO chats (folder_id, title, created_us, updated_us, shown_root_id)"
      "  VALUES (1, 'Old chat', 1, 2, 1);"
      "INSERT INTO messages (chat_id, parent_id, shown_child_id, role, state, content,"
      "  created_us) VALUES (1, NULL, 2, 1, 0, 'ancient question', 1),"
      "  (1, 1, NULL, 2, 1, 'ancient half answer', 2);"
      "INSERT INTO messages (chat_id, parent_id, role, state, content, error, created_us)"
      "  VALUES (1, 1, 2, 3, 'failed', 'full', 3);"
      "INSERT INTO settings VALUES ('key', 'value');";
  g_autofree char *path = g_build_filename (dir, "atelier.db", NULL);
  const AtlMigration *steps;
  g_autoptr (GError) error = NULL;
  sqlite3 *db = NULL;
  guint n;

  steps = atl_schema_migrations (&n);
  g_assert_cmpint (atl_db_open_file (path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db), ==,
                   SQLITE_OK);
  g_assert_true (atl_schema_migrate (db, steps, version, dir, &error));
  g_assert_no_error (error);
  g_assert_cmpint (sqlite3_exec (db, rows, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

static void
check_contents (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlStore) store = atl_store_open (dir, &error);
  g_autoptr (GPtrArray) hits = NULL;
  g_autoptr (AtlMessage) half = NULL, failed = NULL, again = NULL;
  g_autoptr (GError) failure = g_error_new (ATL_ERROR, ATL_ERROR_TOO_LONG, "too long");
  g_autofree char *setting = NULL;

  g_assert_no_error (error);
  assert_path (store, 1, "u:ancient question|a:ancient half answer");
  half = atl_store_message_get (store, 2, &error);
  g_assert_cmpint (half->state, ==, ATL_MESSAGE_INTERRUPTED);
  /* Of what kind an error was, older versions did not write; it can be written now. */
  failed = atl_store_message_get (store, 3, &error);
  g_assert_cmpint (failed->state, ==, ATL_MESSAGE_ERROR);
  g_assert_cmpstr (failed->error_text, ==, "full");
  g_assert_null (failed->error_name);
  g_assert_true (atl_store_answer_resume (store, 3, &error));
  g_assert_true (
      atl_store_answer_finish (store, 3, ATL_MESSAGE_ERROR, "failed", NULL, failure, NULL, &error));
  again = atl_store_message_get (store, 3, &error);
  g_assert_cmpstr (again->error_name, ==, atl_error_dbus_name (ATL_ERROR_TOO_LONG));
  setting = atl_store_setting_get (store, "key", &error);
  g_assert_cmpstr (setting, ==, "value");
  hits = atl_store_search (store, "anci", 10, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (hits->len, ==, 2);
  assert_reports (store, 0);
}

static void
test_from_every_version (void)
{
  guint n;

  atl_schema_migrations (&n);
  for (guint version = 1; version <= n; version++)
    {
      g_autofree char *dir = g_dir_make_tmp ("atelier-schema-XXXXXX", NULL);
      g_autofree char *name = g_strdup_printf ("before-version-%u.db", n);
      g_autofree char *backup = g_build_filename (dir, "backups", name, NULL);

      make_version (dir, version);
      check_contents (dir);
      g_assert_true (g_file_test (backup, G_FILE_TEST_EXISTS) == (version < n));
      remove_tree (dir);
    }
}

/* Counts down with every statement that starts, then ends the process as kill -9 would. */
static int
kill_at_statement_cb (unsigned type, void *data, void *stmt, void *sql)
{
  int *left = data;

  if ((*left)-- == 0)
    _exit (42);
  return 0;
}

/* TRUE when the migration came to its end before statement `at`. */
static gboolean
migrate_and_die (const char *dir, int at)
{
  pid_t child = fork ();
  int status;

  if (child == 0)
    {
      g_autofree char *path = g_build_filename (dir, "atelier.db", NULL);
      const AtlMigration *steps;
      sqlite3 *db = NULL;
      guint n;

      steps = atl_schema_migrations (&n);
      if (atl_db_open_file (path, SQLITE_OPEN_READWRITE, &db) != SQLITE_OK)
        _exit (1);
      sqlite3_trace_v2 (db, SQLITE_TRACE_STMT, kill_at_statement_cb, &at);
      _exit (atl_schema_migrate (db, steps, n, dir, NULL) ? 0 : 1);
    }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  g_assert_true (WEXITSTATUS (status) == 0 || WEXITSTATUS (status) == 42);
  return WEXITSTATUS (status) == 0;
}

static void
test_interrupted (void)
{
  gboolean done = FALSE;
  int at = 0;

  for (; !done && at < 500; at++)
    {
      g_autofree char *dir = g_dir_make_tmp ("atelier-schema-XXXXXX", NULL);

      make_version (dir, 1);
      done = migrate_and_die (dir, at);
      check_contents (dir);
      remove_tree (dir);
    }
  g_test_message ("interrupted at each of %d statements", at - 1);
  g_assert_true (done);
  g_assert_cmpint (at, >, 10);
}

/* `fresh`: two windows make the store at once; else both migrate an old one. */
static void
test_two_at_once (gconstpointer fresh)
{
  for (int round = 0; round < 8; round++)
    {
      g_autofree char *dir = g_dir_make_tmp ("atelier-schema-XXXXXX", NULL);
      pid_t child[2];

      if (fresh == NULL)
        make_version (dir, 1);
      for (int i = 0; i < 2; i++)
        {
          child[i] = fork ();
          if (child[i] == 0)
            {
              g_autoptr (GError) error = NULL;
              AtlStore *store = atl_store_open (dir, &error);

              if (store == NULL)
                fprintf (stderr, "# %s\n", error->message);
              _exit (store != NULL ? 0 : 1);
            }
        }
      for (int i = 0; i < 2; i++)
        {
          int status;

          g_assert_cmpint (waitpid (child[i], &status, 0), ==, child[i]);
          g_assert_cmpint (status, ==, 0);
        }
      if (fresh == NULL)
        check_contents (dir);
      remove_tree (dir);
    }
}

static void
test_newer_is_refused (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-schema-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "atelier.db", NULL);
  g_autofree char *before = NULL, *after = NULL;
  gsize before_size, after_size;
  g_autoptr (GError) error = NULL;
  sqlite3 *db = NULL;

  make_version (dir, 3);
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (
      sqlite3_exec (db, "PRAGMA journal_mode = WAL; PRAGMA user_version = 99", NULL, NULL, NULL),
      ==, SQLITE_OK);
  sqlite3_close (db);
  g_assert_true (g_file_get_contents (path, &before, &before_size, NULL));
  g_assert_null (atl_store_open (dir, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "newer"));
  g_assert_true (g_file_get_contents (path, &after, &after_size, NULL));
  g_assert_cmpmem (before, before_size, after, after_size);
  remove_tree (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/schema/from-every-version", test_from_every_version);
  g_test_add_func ("/store/schema/interrupted", test_interrupted);
  g_test_add_data_func ("/store/schema/two-at-once/migrate", NULL, test_two_at_once);
  g_test_add_data_func ("/store/schema/two-at-once/create", "fresh", test_two_at_once);
  g_test_add_func ("/store/schema/newer-is-refused", test_newer_is_refused);
  return g_test_run ();
}
