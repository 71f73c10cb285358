/* Damage of the file and of rows: repaired from a backup or worked round, and always said. Backups
 * themselves. */
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "store-fixture.h"

#include "store/store-private.h"

static char *
db_path (Fixture *f)
{
  return g_build_filename (f->dir, "atelier.db", NULL);
}

static void
overwrite (const char *path, gsize offset, gsize size, int byte)
{
  FILE *file = fopen (path, "r+");

  g_assert_nonnull (file);
  g_assert_cmpint (fseek (file, (long) offset, SEEK_SET), ==, 0);
  while (size-- > 0)
    fputc (byte, file);
  fclose (file);
}

static void
run_sql (Fixture *f, const char *sql)
{
  g_autofree char *path = db_path (f);
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

static guint
count_entries (const char *dir, const char *folder, const char *prefix)
{
  g_autofree char *path = g_build_filename (dir, folder, NULL);
  g_autoptr (GDir) entries = g_dir_open (path, 0, NULL);
  const char *name;
  guint n = 0;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    n += g_str_has_prefix (name, prefix);
  return n;
}

/* A chat that is in the backup and one that is not. */
static gint64
fill (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store);

  for (int i = 0; i < 200; i++)
    add_message (f->store, chat, 0, ATL_ROLE_USER, "something that fills a page of the database");
  g_assert_true (atl_store_backup (f->dir, TRUE, NULL, NULL, &error));
  g_assert_no_error (error);
  add_message (f->store, add_chat (f->store), 0, ATL_ROLE_USER, "too late for the backup");
  g_clear_pointer (&f->store, atl_store_free);
  return chat;
}

static void
assert_restored (Fixture *f, gint64 chat)
{
  g_autoptr (GPtrArray) chats = NULL;
  g_auto (GStrv) reports = NULL;

  fixture_open (f);
  reports = atl_store_take_reports (f->store);
  g_assert_cmpuint (g_strv_length (reports), ==, 1);
  g_assert_nonnull (strstr (reports[0], "restored from the backup of 20"));
  chats = atl_store_chat_list (f->store, NULL);
  g_assert_cmpuint (chats->len, ==, 1);
  g_assert_cmpint (((AtlChat *) chats->pdata[0])->id, ==, chat);
  g_assert_cmpuint (count_entries (f->dir, "damaged", "atelier-"), >=, 1);
  add_message (f->store, chat, 0, ATL_ROLE_USER, "and on it goes");
}

static void
test_header_overwritten (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  gint64 chat = fill (f);

  overwrite (path, 0, 100, 'x');
  assert_restored (f, chat);
}

static void
test_emptied (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  gint64 chat = fill (f);

  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  assert_restored (f, chat);
}

static void
test_truncated (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  gint64 chat = fill (f);
  FILE *file = fopen (path, "r+");

  g_assert_cmpint (ftruncate (fileno (file), 6000), ==, 0);
  fclose (file);
  assert_restored (f, chat);
}

/* Damage of what is read only later is met while working: said in words then, repaired at the next
 * start. */
static void
test_pages_overwritten (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  g_autoptr (GError) error = NULL;
  gint64 chat = fill (f);
  gint64 page = 0;
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db,
                                       "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'",
                                       -1, &stmt, NULL),
                   ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (stmt), ==, SQLITE_ROW);
  page = sqlite3_column_int64 (stmt, 0);
  sqlite3_finalize (stmt);
  sqlite3_close (db);

  overwrite (path, (page - 1) * 4096, 4096, 0xa5);
  fixture_open (f);
  assert_reports (f->store, 0);
  {
    g_autoptr (GPtrArray) list = atl_store_message_list (f->store, chat, &error);
    g_auto (GStrv) reports = atl_store_take_reports (f->store);

    g_assert_true (list == NULL || reports[0] != NULL);
    g_assert_nonnull (strstr (list == NULL ? error->message : reports[0], "damaged"));
  }
  g_clear_error (&error);
  g_assert_cmpint (atl_store_message_add (f->store, chat, 0, ATL_ROLE_USER, "x", NULL, &error), ==,
                   0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  /* What is damaged does not become a backup. */
  g_clear_error (&error);
  g_assert_false (atl_store_backup (f->dir, TRUE, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_pointer (&f->store, atl_store_free);
  assert_restored (f, chat);
}

static void
test_no_backup (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  g_auto (GStrv) reports = NULL;

  add_chat (f->store);
  g_clear_pointer (&f->store, atl_store_free);
  overwrite (path, 0, 100, 'x');
  fixture_open (f);
  reports = atl_store_take_reports (f->store);
  g_assert_cmpuint (g_strv_length (reports), ==, 1);
  g_assert_nonnull (strstr (reports[0], "no backup"));
  g_assert_cmpuint (count_entries (f->dir, "damaged", "atelier-"), ==, 1);
  add_chat (f->store);
}

/* A damaged backup is passed over for an older, sound one. */
static void
test_damaged_backup (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  g_autofree char *newest = g_build_filename (f->dir, "backups", "atelier-2999-01-01.db", NULL);
  gint64 chat = fill (f);

  g_assert_true (g_file_set_contents (newest, "not a database at all", -1, NULL));
  overwrite (path, 0, 100, 'x');
  assert_restored (f, chat);
}

static void
test_other_window_open (Fixture *f, gconstpointer data)
{
  g_autofree char *path = db_path (f);
  g_autoptr (GError) error = NULL;
  AtlStore *other;

  fill (f);
  other = atl_store_open (f->dir, &error);
  g_assert_no_error (error);
  overwrite (path, 0, 100, 'x');
  g_assert_null (atl_store_open (f->dir, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
  g_assert_cmpuint (count_entries (f->dir, "damaged", "atelier-"), ==, 0);
  atl_store_free (other);
}

static void
test_unreadable_rows (Fixture *f, gconstpointer data)
{
  gint64 chat = add_chat (f->store);
  gint64 a = add_message (f->store, chat, 0, ATL_ROLE_USER, "first");
  gint64 b = add_message (f->store, chat, a, ATL_ROLE_ASSISTANT, "second");
  gint64 c = add_message (f->store, chat, b, ATL_ROLE_USER, "third");

  (void) c;
  run_sql (f, "UPDATE messages SET role = 77 WHERE id = 2");
  assert_path (f->store, chat, "u:first|u:third");
  assert_reports (f->store, 1);
  run_sql (f, "UPDATE messages SET content = CAST (x'41ff42' AS TEXT) WHERE id = 3");
  assert_path (f->store, chat,
               "u:first|u:A\xef\xbf\xbd"
               "B");
  assert_reports (f->store, 2);
  /* Parents in a circle, and a parent that is not there. */
  run_sql (f, "PRAGMA foreign_keys = OFF; UPDATE messages SET parent_id = 3, role = 1 WHERE id = 2;"
              "UPDATE messages SET parent_id = 2 WHERE id = 3;"
              "UPDATE messages SET parent_id = 999 WHERE id = 1;");
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) list = atl_store_message_list (f->store, chat, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (list->len, >=, 1);
  }
}

static void
test_daily_backup (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *first = NULL, *second = NULL, *third = NULL;

  add_chat (f->store);
  for (int day = 1; day <= 12; day++)
    {
      g_autofree char *name = g_strdup_printf ("atelier-2001-01-%02d.db", day);
      g_autofree char *path = g_build_filename (f->dir, "backups", name, NULL);

      g_assert_true (g_file_set_contents (path, "x", 1, NULL));
    }
  g_assert_true (atl_store_backup (f->dir, FALSE, &first, NULL, &error));
  g_assert_no_error (error);
  g_assert_nonnull (first);
  g_assert_cmpuint (count_entries (f->dir, "backups", "atelier-"), ==, ATL_BACKUPS_KEPT);
  /* Once a day is enough. */
  g_assert_true (atl_store_backup (f->dir, FALSE, &second, NULL, &error));
  g_assert_null (second);
  g_assert_true (atl_store_backup (f->dir, TRUE, &third, NULL, &error));
  g_assert_cmpstr (third, ==, first);
  {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    g_cancellable_cancel (cancellable);
    g_assert_false (atl_store_backup (f->dir, TRUE, NULL, cancellable, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
}

static void
backup_done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  char **path = data;
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_store_backup_finish (result, path, &error));
  g_assert_no_error (error);
}

static void
test_backup_async (Fixture *f, gconstpointer data)
{
  char *path = NULL;

  add_chat (f->store);
  atl_store_backup_async (f->dir, NULL, backup_done_cb, &path);
  while (path == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  g_free (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/damage/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("header-overwritten", test_header_overwritten);
  ADD ("emptied", test_emptied);
  ADD ("truncated", test_truncated);
  ADD ("pages-overwritten", test_pages_overwritten);
  ADD ("no-backup", test_no_backup);
  ADD ("damaged-backup", test_damaged_backup);
  ADD ("other-window-open", test_other_window_open);
  ADD ("unreadable-rows", test_unreadable_rows);
  ADD ("daily-backup", test_daily_backup);
  ADD ("backup-async", test_backup_async);
  return g_test_run ();
}
