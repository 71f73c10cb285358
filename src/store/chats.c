/* Chats and folders: rows to structs and back. */
#define G_LOG_DOMAIN "atl-store"

#include "store/chats.h"

#include <glib/gi18n.h>

#include "store/tree.h"

#define MAX_TITLE_CHARS 48
#define CHAT_COLUMNS                                                                               \
  "chats.id, iif (folders.trashed_us IS NULL, chats.folder_id, NULL), chats.title,"                \
  " chats.auto_title, chats.pinned, chats.created_us, chats.updated_us, chats.model_id,"           \
  " ifnull (chats.trashed_us, 0)"

void
atl_folder_free (AtlFolder *folder)
{
  if (folder == NULL)
    return;
  g_free (folder->name);
  g_free (folder);
}

void
atl_chat_free (AtlChat *chat)
{
  if (chat == NULL)
    return;
  g_free (chat->title);
  g_free (chat->model_id);
  g_free (chat->settings_json);
  g_free (chat->draft);
  g_free (chat->system_prompt);
  g_free (chat);
}

static AtlChat *
chat_from_row (AtlStore *self, AtlStmt *stmt)
{
  AtlChat *chat = g_new0 (AtlChat, 1);

  chat->id = sqlite3_column_int64 (stmt, 0);
  chat->folder_id = sqlite3_column_int64 (stmt, 1);
  chat->title = atl_db_text (self, stmt, 2);
  if (chat->title == NULL)
    chat->title = g_strdup ("");
  chat->auto_title = sqlite3_column_int (stmt, 3) != 0;
  chat->pinned = sqlite3_column_int (stmt, 4) != 0;
  chat->created_us = sqlite3_column_int64 (stmt, 5);
  chat->updated_us = sqlite3_column_int64 (stmt, 6);
  chat->model_id = atl_db_text (self, stmt, 7);
  chat->trashed_us = sqlite3_column_int64 (stmt, 8);
  return chat;
}

gint64
atl_store_chat_add (AtlStore *self, gint64 folder_id, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "INSERT INTO chats (folder_id, created_us, updated_us) VALUES (?1, ?2, ?2)", error);

  if (stmt == NULL ||
      !atl_db_run (self, stmt, _ ("starting a chat"), error, "zi", folder_id, g_get_real_time ()))
    return 0;
  return sqlite3_last_insert_rowid (self->db);
}

gboolean
atl_store_chat_is_destroyed (AtlStore *self, gint64 id)
{
  gint64 n = 0;

  return atl_db_int (self, "SELECT count (*) FROM chats WHERE id = ?1", id, 0, &n, NULL) && n == 0;
}

AtlChat *
atl_store_chat_get (AtlStore *self, gint64 id, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self,
      "SELECT " CHAT_COLUMNS ", chats.settings, chats.draft, chats.system_prompt FROM chats"
      " LEFT JOIN folders ON folders.id = chats.folder_id"
      " WHERE chats.id = ?1 AND chats.trashed_us IS NULL",
      error);
  g_autoptr (GError) local = NULL;
  AtlChat *chat;

  if (stmt == NULL)
    return NULL;
  atl_stmt_bind (stmt, "i", id);
  if (!atl_db_next (self, stmt, _ ("reading a chat"), &local))
    {
      if (local != NULL)
        g_propagate_error (error, g_steal_pointer (&local));
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This chat is no longer there"));
      return NULL;
    }
  chat = chat_from_row (self, stmt);
  chat->settings_json = atl_db_text (self, stmt, 9);
  chat->draft = atl_db_text (self, stmt, 10);
  chat->system_prompt = atl_db_text (self, stmt, 11);
  return chat;
}

/* `which` begins with what comes after WHERE. */
static GPtrArray *
list_chats (AtlStore *self, const char *which, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_chat_free);
  g_autofree char *sql = g_strconcat ("SELECT " CHAT_COLUMNS " FROM chats"
                                      " LEFT JOIN folders ON folders.id = chats.folder_id WHERE ",
                                      which, NULL);
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, sql, error);

  if (stmt == NULL)
    return NULL;
  return atl_db_collect (self, stmt, list, (AtlRowFunc) chat_from_row, _ ("listing the chats"),
                         error)
             ? g_steal_pointer (&list)
             : NULL;
}

GPtrArray *
atl_store_chat_list (AtlStore *self, GError **error)
{
  return list_chats (self,
                     "chats.trashed_us IS NULL"
                     " ORDER BY chats.pinned DESC, chats.updated_us DESC, chats.id DESC",
                     error);
}

GPtrArray *
atl_store_chat_list_trashed (AtlStore *self, GError **error)
{
  return list_chats (self,
                     "chats.trashed_us NOTNULL AND (ifnull (chats.draft, '') <> '' OR"
                     " EXISTS (SELECT 1 FROM messages WHERE messages.chat_id = chats.id))"
                     " ORDER BY chats.trashed_us DESC, chats.id DESC",
                     error);
}

static gboolean
update_field (AtlStore *self,
              const char *sql,
              const char *types,
              gint64 id,
              gconstpointer value,
              GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, sql, error);

  if (stmt == NULL)
    return FALSE;
  if (types[1] == 's')
    return atl_db_run (self, stmt, _ ("saving the chat"), error, types, id, (const char *) value);
  return atl_db_run (self, stmt, _ ("saving the chat"), error, types, id, *(const gint64 *) value);
}

gboolean
atl_store_chat_update (AtlStore *self, const AtlChat *chat, AtlChatFields fields, GError **error)
{
  const gint64 auto_title = chat->auto_title, pinned = chat->pinned;
  const struct
  {
    AtlChatFields field;
    const char *sql, *types;
    gconstpointer value;
  } parts[] = {
    { ATL_CHAT_TITLE, "UPDATE chats SET title = ?2 WHERE id = ?1", "is", chat->title },
    { ATL_CHAT_TITLE, "UPDATE chats SET auto_title = ?2 WHERE id = ?1", "ii", &auto_title },
    { ATL_CHAT_FOLDER, "UPDATE chats SET folder_id = ?2 WHERE id = ?1", "iz", &chat->folder_id },
    { ATL_CHAT_PINNED, "UPDATE chats SET pinned = ?2 WHERE id = ?1", "ii", &pinned },
    { ATL_CHAT_MODEL, "UPDATE chats SET model_id = ?2 WHERE id = ?1", "is", chat->model_id },
    { ATL_CHAT_SETTINGS, "UPDATE chats SET settings = ?2 WHERE id = ?1", "is",
      chat->settings_json },
    { ATL_CHAT_DRAFT, "UPDATE chats SET draft = ?2 WHERE id = ?1", "is", chat->draft },
    { ATL_CHAT_SYSTEM_PROMPT, "UPDATE chats SET system_prompt = ?2 WHERE id = ?1", "is",
      chat->system_prompt },
  };
  gint64 there;
  gboolean ok = TRUE;

  g_return_val_if_fail (!(fields & ATL_CHAT_TITLE) || chat->title != NULL, FALSE);
  if ((fields & ATL_CHAT_SETTINGS) &&
      !atl_store_check_json (chat->settings_json, FALSE, "Chat settings", error))
    return FALSE;
  if (!atl_db_begin (self, error))
    return FALSE;
  ok = atl_db_int (self, "SELECT count (*) FROM chats WHERE id = ?1", chat->id, 0, &there, error);
  if (ok && there == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This chat is no longer there"));
      ok = FALSE;
    }
  for (gsize i = 0; ok && i < G_N_ELEMENTS (parts); i++)
    if (fields & parts[i].field)
      ok = update_field (self, parts[i].sql, parts[i].types, chat->id, parts[i].value, error);
  return atl_db_end (self, ok, _ ("saving the chat"), error);
}

char *
atl_chat_title_from_text (const char *text)
{
  g_autofree char *line = g_strstrip (g_strdelimit (g_strdup (text), "\n\r\t", ' '));
  g_autofree char *cut = NULL;
  char *end, *space;

  if (g_utf8_strlen (line, -1) <= MAX_TITLE_CHARS)
    return g_steal_pointer (&line);
  end = g_utf8_offset_to_pointer (line, MAX_TITLE_CHARS);
  space = g_utf8_strrchr (line, end - line, ' ');
  cut = g_strndup (line, (gsize) ((space != NULL ? space : end) - line));
  return g_strconcat (cut, "…", NULL);
}

gboolean
atl_store_chat_suggest_title (AtlStore *self, gint64 id, const char *title, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "UPDATE chats SET title = ?2 WHERE id = ?1 AND auto_title <> 0", error);

  g_return_val_if_fail (title != NULL, FALSE);
  return stmt != NULL && atl_db_run (self, stmt, _ ("naming the chat"), error, "is", id, title);
}

gint64
atl_store_folder_add (AtlStore *self, const char *name, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "INSERT INTO folders (name, position)"
                   " VALUES (?1, (SELECT ifnull (max (position), 0) + 1 FROM folders))",
                   error);

  g_return_val_if_fail (name != NULL, 0);
  if (stmt == NULL || !atl_db_run (self, stmt, _ ("making a folder"), error, "s", name))
    return 0;
  return sqlite3_last_insert_rowid (self->db);
}

gboolean
atl_store_folder_rename (AtlStore *self, gint64 id, const char *name, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "UPDATE folders SET name = ?2 WHERE id = ?1", error);

  g_return_val_if_fail (name != NULL, FALSE);
  return stmt != NULL && atl_db_run (self, stmt, _ ("renaming the folder"), error, "is", id, name);
}

static AtlFolder *
folder_from_row (AtlStore *self, AtlStmt *stmt)
{
  AtlFolder *folder = g_new0 (AtlFolder, 1);

  folder->id = sqlite3_column_int64 (stmt, 0);
  folder->name = atl_db_text (self, stmt, 1);
  if (folder->name == NULL)
    folder->name = g_strdup ("");
  folder->position = sqlite3_column_int64 (stmt, 2);
  return folder;
}

GPtrArray *
atl_store_folder_list (AtlStore *self, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_folder_free);
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "SELECT id, name, position FROM folders WHERE trashed_us IS NULL"
                   " ORDER BY position, name, id",
                   error);

  if (stmt == NULL)
    return NULL;
  return atl_db_collect (self, stmt, list, (AtlRowFunc) folder_from_row, _ ("listing folders"),
                         error)
             ? g_steal_pointer (&list)
             : NULL;
}
