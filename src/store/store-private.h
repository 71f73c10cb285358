/* What the files of src/store share: the handle, cached statements, transactions, errors.
 *
 *   static const char sql[] = "UPDATE chats SET pinned = ?1 WHERE id = ?2";
 *   g_autoptr (AtlStmt) stmt = atl_db_stmt (self, sql, error);
 *
 *   return stmt != NULL && atl_db_run (self, stmt, "pinning the chat", error, "ii", pinned, id);
 *
 * Threading: that of the handle.
 */
#pragma once

#include <sqlite3.h>

#include "store/store.h"

G_BEGIN_DECLS

struct _AtlStore
{
  char *dir;           /* (owned) */
  char *path;          /* (owned) the database */
  sqlite3 *db;         /* (owned) */
  GHashTable *stmts;   /* (owned) SQL text -> sqlite3_stmt (owned) */
  GPtrArray *reports;  /* (owned) sentences not yet taken */
  int lock_fd;         /* shared lock on store.lock while open: nobody replaces the file below us */
  char *owner;         /* (owned) (nullable) name of our file in running/, once we streamed */
  int owner_fd;        /* its lock, released by the kernel however we die */
  gint64 data_version; /* of the last atl_store_changed_elsewhere() */
  gboolean is_batch;   /* between atl_store_begin() and atl_store_end() */
};

/* A statement of the cache, reset when it goes out of scope. Never finalised by its user. */
typedef sqlite3_stmt AtlStmt;
void atl_stmt_release (AtlStmt *stmt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlStmt, atl_stmt_release)

/* `sql` is one of few texts: each stays prepared until the store is closed. */
AtlStmt *atl_db_stmt (AtlStore *self, const char *sql, GError **error);

/* Binds ?1, ?2... by `types`: i gint64, z gint64 with 0 stored as NULL, d double, s text (NULL is
 * NULL). */
void atl_stmt_bind (AtlStmt *stmt, const char *types, ...);

/* Binds and runs a statement that returns no rows. `doing` completes "... was not possible". */
gboolean atl_db_run (
    AtlStore *self, AtlStmt *stmt, const char *doing, GError **error, const char *types, ...);

/* Steps to the next row: TRUE with a row. FALSE at the end, or with `error` set. */
gboolean atl_db_next (AtlStore *self, AtlStmt *stmt, const char *doing, GError **error);

/* Steps to the end and adds what `func` makes of each row (NULL: the row is skipped) to `list`.
 * Damage in the middle ends the list with a report; other failures are errors. */
typedef gpointer (*AtlRowFunc) (AtlStore *self, AtlStmt *stmt);
gboolean atl_db_collect (AtlStore *self,
                         AtlStmt *stmt,
                         GPtrArray *list,
                         AtlRowFunc func,
                         const char *doing,
                         GError **error);

/* The first column of the first row as an integer; `fallback` without a row. FALSE on error. */
gboolean atl_db_int (
    AtlStore *self, const char *sql, gint64 arg, gint64 fallback, gint64 *out, GError **error);

/* A column as text that is valid UTF-8 for certain; broken bytes are replaced and reported. */
char *atl_db_text (AtlStore *self, AtlStmt *stmt, int column);

/* Transactions; they do not nest, except that in a batch of atl_store_begin() each is a part of it,
 * and can fail for itself. atl_db_end commits, or rolls back when `ok` is FALSE, and returns
 * whether all is on disk, or will be at the end of the batch. */
gboolean atl_db_begin (AtlStore *self, GError **error);
gboolean atl_db_end (AtlStore *self, gboolean ok, const char *doing, GError **error);

/* Turns the result code of the last call on `db` into words. `dir` is named for a full disk. */
void atl_db_set_error (sqlite3 *db, int rc, const char *dir, const char *doing, GError **error);
/* TRUE when `rc` says that the file itself is damaged. */
gboolean atl_db_is_damage (int rc);

/* For atl_store_take_reports(): a sentence, kept once however often it is said. */
G_GNUC_PRINTF (2, 3)
void atl_store_report (AtlStore *self, const char *format, ...);

/* TRUE when `json` is NULL or an object (array if `array`) of bounded depth. */
gboolean atl_store_check_json (const char *json, gboolean array, const char *what, GError **error);

/* Opens a database file with the settings every connection of ours has. */
int atl_db_open_file (const char *path, int flags, sqlite3 **out);

/* Reads every page: SQLITE_OK when the file is sound, SQLITE_CORRUPT when not. `indexes_too` also
 * compares the indexes with their tables, which takes several times as long. */
int atl_db_check (sqlite3 *db, gboolean indexes_too);

/* Owner of streaming answers: a locked file in running/, see owner.c. */
gboolean atl_store_ensure_owner (AtlStore *self, GError **error);
void atl_store_drop_owner (AtlStore *self);

/* Repair (repair.c): moves the damaged database aside and puts the newest good backup in its place.
 * The caller holds the exclusive lock and has closed the database. `report` (out) is a sentence,
 * the caller's. Touches nothing when there is no room for the copy (ATL_ERROR_FULL). */
gboolean atl_store_repair (const char *dir, const char *path, char **report, GError **error);

/* Backup (backup.c). */
#define ATL_BACKUPS_KEPT 7
/* Writes a consistent copy of `db` to `path` through a temporary file, flushed to disk. */
gboolean atl_db_copy_to (sqlite3 *db, const char *dir, const char *path, GError **error);
/* Full paths of the daily backups, newest first. */
GPtrArray *atl_backup_list (const char *dir);

G_END_DECLS
