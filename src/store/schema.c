/* Tables, indexes and triggers, and the runner that brings an older database up to date. */
#define G_LOG_DOMAIN "atl-store"

#include "store/schema.h"

#include <glib/gi18n.h>

#include "store/store-private.h"

/* 1: the conversations. A message keeps its parent and which of its children is shown (a hint: a
 * child in the trash is passed over). parent_id has no ON DELETE action: cascades down a chat of
 * thousands of messages would exceed SQLite's trigger depth, so whole chats and subtrees are
 * deleted by one statement and the reference is checked at commit. */
static const char sql_1[] = //
    "CREATE TABLE folders ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL,"
    "  position INTEGER NOT NULL DEFAULT 0,"
    "  trashed_us INTEGER);"
    "CREATE TABLE chats ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  folder_id INTEGER REFERENCES folders (id) ON DELETE SET NULL,"
    "  title TEXT NOT NULL DEFAULT '',"
    "  auto_title INTEGER NOT NULL DEFAULT 1,"
    "  pinned INTEGER NOT NULL DEFAULT 0,"
    "  created_us INTEGER NOT NULL,"
    "  updated_us INTEGER NOT NULL,"
    "  model_id TEXT,"
    "  settings TEXT,"
    "  draft TEXT,"
    "  system_prompt TEXT,"
    "  shown_root_id INTEGER,"
    "  trashed_us INTEGER);"
    "CREATE INDEX chats_by_folder ON chats (folder_id);"
    "CREATE TABLE messages ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,"
    "  parent_id INTEGER REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,"
    "  shown_child_id INTEGER,"
    "  role INTEGER NOT NULL,"  /* AtlRole */
    "  state INTEGER NOT NULL," /* AtlMessageState */
    "  content TEXT NOT NULL,"
    "  thinking TEXT,"
    "  attachments TEXT,"
    "  error TEXT,"
    "  stats TEXT,"
    "  model TEXT,"
    "  created_us INTEGER NOT NULL,"
    "  owner TEXT," /* file in running/ of the process that streams it */
    "  trashed_us INTEGER,"
    "  trash_root INTEGER);" /* the message whose deletion took this one along */
    "CREATE INDEX messages_tree ON messages (chat_id, parent_id, id, shown_child_id, trashed_us);"
    "CREATE INDEX messages_by_parent ON messages (parent_id);"
    "CREATE INDEX messages_streaming ON messages (owner) WHERE state = 1;"
    "CREATE INDEX messages_trash ON messages (trash_root) WHERE trashed_us IS NOT NULL;"
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

/* 2: search. The index holds no copy of the text. A streaming answer is not indexed until it ends:
 * it is rewritten every second. The old text leaves before the row changes, because the index needs
 * exactly what it was given. */
static const char sql_2[] = //
    "CREATE VIRTUAL TABLE message_search USING fts5 (content, content = 'messages',"
    "  content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3');"
    "INSERT INTO message_search (rowid, content)"
    "  SELECT id, content FROM messages WHERE state <> 1;"
    "CREATE TRIGGER message_search_insert AFTER INSERT ON messages WHEN new.state <> 1 BEGIN"
    "  INSERT INTO message_search (rowid, content) VALUES (new.id, new.content); END;"
    "CREATE TRIGGER message_search_delete BEFORE DELETE ON messages WHEN old.state <> 1 BEGIN"
    "  INSERT INTO message_search (message_search, rowid, content)"
    "    VALUES ('delete', old.id, old.content); END;"
    "CREATE TRIGGER message_search_leave BEFORE UPDATE OF content, state ON messages"
    "  WHEN old.state <> 1 BEGIN"
    "  INSERT INTO message_search (message_search, rowid, content)"
    "    VALUES ('delete', old.id, old.content); END;"
    "CREATE TRIGGER message_search_enter AFTER UPDATE OF content, state ON messages"
    "  WHEN new.state <> 1 BEGIN"
    "  INSERT INTO message_search (rowid, content) VALUES (new.id, new.content); END;"
    "CREATE VIRTUAL TABLE chat_search USING fts5 (title, content = 'chats',"
    "  content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3');"
    "INSERT INTO chat_search (rowid, title) SELECT id, title FROM chats;"
    "CREATE TRIGGER chat_search_insert AFTER INSERT ON chats BEGIN"
    "  INSERT INTO chat_search (rowid, title) VALUES (new.id, new.title); END;"
    "CREATE TRIGGER chat_search_delete BEFORE DELETE ON chats BEGIN"
    "  INSERT INTO chat_search (chat_search, rowid, title)"
    "    VALUES ('delete', old.id, old.title); END;"
    "CREATE TRIGGER chat_search_leave BEFORE UPDATE OF title ON chats BEGIN"
    "  INSERT INTO chat_search (chat_search, rowid, title)"
    "    VALUES ('delete', old.id, old.title); END;"
    "CREATE TRIGGER chat_search_enter AFTER UPDATE OF title ON chats BEGIN"
    "  INSERT INTO chat_search (rowid, title) VALUES (new.id, new.title); END;";

/* 3: presets, the library of models. (Measurements were never written: what a picture takes is kept
 * by client/picture-rates.h.) */
static const char sql_3[] = //
    "CREATE TABLE presets ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL COLLATE NOCASE UNIQUE,"
    "  settings TEXT NOT NULL,"
    "  updated_us INTEGER NOT NULL);"
    "CREATE TABLE models ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  path TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  kind TEXT,"
    "  architecture TEXT,"
    "  sha256 TEXT,"
    "  meta TEXT,"
    "  size_bytes INTEGER NOT NULL DEFAULT 0,"
    "  added_us INTEGER NOT NULL,"
    "  last_used_us INTEGER NOT NULL DEFAULT 0,"
    "  n_crashes INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE measurements ("
    "  model TEXT NOT NULL,"
    "  device TEXT NOT NULL,"
    "  what TEXT NOT NULL,"
    "  value REAL NOT NULL,"
    "  measured_us INTEGER NOT NULL,"
    "  PRIMARY KEY (model, device, what)) WITHOUT ROWID;";

/* 4: pictures. What they were made from may be gone, so parent_id refers to nothing. */
static const char sql_4[] = //
    "CREATE TABLE pictures ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  path TEXT NOT NULL UNIQUE,"
    "  origin INTEGER NOT NULL," /* AtlPictureOrigin */
    "  created_us INTEGER NOT NULL,"
    "  width INTEGER NOT NULL,"
    "  height INTEGER NOT NULL,"
    "  prompt TEXT,"
    "  negative TEXT,"
    "  model TEXT,"
    "  recipe TEXT,"
    "  seed INTEGER NOT NULL DEFAULT -1,"
    "  parent_id INTEGER,"
    "  starred INTEGER NOT NULL DEFAULT 0,"
    "  size_bytes INTEGER NOT NULL DEFAULT 0,"
    "  changed_us INTEGER NOT NULL DEFAULT 0,"
    "  trashed_us INTEGER);"
    /* A grid of all of them is read from this alone. */
    "CREATE INDEX pictures_by_time ON pictures (created_us DESC, id DESC, width, height, starred)"
    "  WHERE trashed_us IS NULL;"
    "CREATE VIRTUAL TABLE picture_search USING fts5 (prompt, negative, model,"
    "  content = 'pictures', content_rowid = 'id',"
    "  tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3');"
    "CREATE TRIGGER picture_search_insert AFTER INSERT ON pictures BEGIN"
    "  INSERT INTO picture_search (rowid, prompt, negative, model)"
    "    VALUES (new.id, new.prompt, new.negative, new.model); END;"
    "CREATE TRIGGER picture_search_delete BEFORE DELETE ON pictures BEGIN"
    "  INSERT INTO picture_search (picture_search, rowid, prompt, negative, model)"
    "    VALUES ('delete', old.id, old.prompt, old.negative, old.model); END;"
    "CREATE TRIGGER picture_search_leave BEFORE UPDATE OF prompt, negative, model ON pictures BEGIN"
    "  INSERT INTO picture_search (picture_search, rowid, prompt, negative, model)"
    "    VALUES ('delete', old.id, old.prompt, old.negative, old.model); END;"
    "CREATE TRIGGER picture_search_enter AFTER UPDATE OF prompt, negative, model ON pictures BEGIN"
    "  INSERT INTO picture_search (rowid, prompt, negative, model)"
    "    VALUES (new.id, new.prompt, new.negative, new.model); END;";

/* 5: files that are attached to a message which is not sent yet. Rows of their own, because the
 * text beside them is saved again and again while it is typed. chat_id is NULL for the new chat. */
static const char sql_5[] = //
    "CREATE TABLE draft_files ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  chat_id INTEGER REFERENCES chats (id) ON DELETE CASCADE,"
    "  key TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  mime TEXT NOT NULL,"
    "  text TEXT NOT NULL);"
    "CREATE INDEX draft_files_by_chat ON draft_files (chat_id);";

/* 6: what kind of error ended an answer, by its name on the bus. */
static const char sql_6[] = "ALTER TABLE messages ADD COLUMN error_name TEXT;";

static const AtlMigration migrations[] = {
  { 1, sql_1 }, { 2, sql_2 }, { 3, sql_3 }, { 4, sql_4 }, { 5, sql_5 }, { 6, sql_6 },
};

const AtlMigration *
atl_schema_migrations (guint *n)
{
  *n = G_N_ELEMENTS (migrations);
  return migrations;
}

int
atl_schema_version (sqlite3 *db, int *rc)
{
  sqlite3_stmt *stmt = NULL;
  int version = -1;

  *rc = sqlite3_prepare_v2 (db, "PRAGMA user_version", -1, &stmt, NULL);
  if (*rc == SQLITE_OK)
    {
      *rc = sqlite3_step (stmt);
      if (*rc == SQLITE_ROW)
        {
          version = sqlite3_column_int (stmt, 0);
          *rc = SQLITE_OK;
        }
    }
  sqlite3_finalize (stmt);
  return version;
}

/* Runs one step unless somebody else did meanwhile. */
static int
run_step (sqlite3 *db, const AtlMigration *step)
{
  g_autofree char *set_version = g_strdup_printf ("PRAGMA user_version = %d", step->version);
  int rc = sqlite3_exec (db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  int version;

  if (rc != SQLITE_OK)
    return rc;
  version = atl_schema_version (db, &rc);
  if (rc == SQLITE_OK && version < step->version)
    {
      rc = sqlite3_exec (db, step->sql, NULL, NULL, NULL);
      if (rc == SQLITE_OK)
        rc = sqlite3_exec (db, set_version, NULL, NULL, NULL);
    }
  if (rc == SQLITE_OK)
    rc = sqlite3_exec (db, "COMMIT", NULL, NULL, NULL);
  if (rc != SQLITE_OK && !sqlite3_get_autocommit (db))
    {
      /* Keep the code: a rollback that works would hide why it was needed. */
      sqlite3_exec (db, "ROLLBACK", NULL, NULL, NULL);
    }
  return rc;
}

gboolean
atl_schema_migrate (
    sqlite3 *db, const AtlMigration *steps, guint n_steps, const char *dir, GError **error)
{
  int rc;
  int version = atl_schema_version (db, &rc);
  int newest = steps[n_steps - 1].version;

  if (rc != SQLITE_OK)
    {
      atl_db_set_error (db, rc, dir, _ ("reading its version"), error);
      return FALSE;
    }
  if (version > newest)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("The chats in %s were written by a newer Atelier (their format is %d, this one "
             "knows up to %d). Nothing was changed: update Atelier to open them"),
          dir, version, newest);
      return FALSE;
    }
  if (version > 0 && version < newest)
    {
      g_autofree char *name = g_strdup_printf ("before-version-%d.db", newest);
      g_autofree char *path = g_build_filename (dir, "backups", name, NULL);

      if (!g_file_test (path, G_FILE_TEST_EXISTS) && !atl_db_copy_to (db, dir, path, error))
        return FALSE;
    }
  for (guint i = 0; i < n_steps; i++)
    if (steps[i].version > version)
      {
        rc = run_step (db, &steps[i]);
        if (rc != SQLITE_OK)
          {
            atl_db_set_error (db, rc, dir, _ ("bringing it up to date"), error);
            return FALSE;
          }
      }
  return TRUE;
}
