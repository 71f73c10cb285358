/* One message between its row and its struct. */
#define G_LOG_DOMAIN "atl-store"

#include "store/message-rows.h"

#include <glib/gi18n.h>

static const char *const role_names[] = { "system", "user", "assistant", "tool" };

const char *
atl_role_name (AtlRole role)
{
  g_return_val_if_fail ((guint) role < G_N_ELEMENTS (role_names), "user");
  return role_names[role];
}

gboolean
atl_role_from_name (const char *name, AtlRole *out)
{
  for (guint i = 0; i < G_N_ELEMENTS (role_names); i++)
    if (g_strcmp0 (name, role_names[i]) == 0)
      {
        *out = i;
        return TRUE;
      }
  return FALSE;
}

void
atl_message_free (AtlMessage *message)
{
  if (message == NULL)
    return;
  g_free (message->content);
  g_free (message->thinking);
  g_free (message->attachments_json);
  g_free (message->error_text);
  g_free (message->error_name);
  g_free (message->stats_json);
  g_free (message->model_name);
  g_free (message);
}

/* What message_from_row() reads, in its order. */
#define COLUMNS                                                                                    \
  "id, chat_id, parent_id, role, state, content, thinking, attachments, error, stats, model,"      \
  " created_us, error_name"

/* NULL, with a report, when the row makes no sense. branch and n_branches are 0 and 1. */
static AtlMessage *
message_from_row (AtlStore *self, AtlStmt *stmt)
{
  gint64 id = sqlite3_column_int64 (stmt, 0);
  gint64 role = sqlite3_column_int64 (stmt, 3), state = sqlite3_column_int64 (stmt, 4);
  AtlMessage *message;

  if (role < 0 || role > ATL_ROLE_TOOL || state < 0 || state > ATL_MESSAGE_ERROR ||
      sqlite3_column_type (stmt, 5) == SQLITE_NULL)
    {
      g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, id);
      atl_store_report (self, _ ("Message %s in the chat database cannot be read and is left out"),
                        number);
      return NULL;
    }
  message = g_new0 (AtlMessage, 1);
  message->id = id;
  message->chat_id = sqlite3_column_int64 (stmt, 1);
  message->parent_id = sqlite3_column_int64 (stmt, 2);
  message->role = role;
  message->state = state;
  message->content = atl_db_text (self, stmt, 5);
  message->thinking = atl_db_text (self, stmt, 6);
  message->attachments_json = atl_db_text (self, stmt, 7);
  message->error_text = atl_db_text (self, stmt, 8);
  message->stats_json = atl_db_text (self, stmt, 9);
  message->model_name = atl_db_text (self, stmt, 10);
  message->created_us = sqlite3_column_int64 (stmt, 11);
  message->error_name = atl_db_text (self, stmt, 12);
  message->n_branches = 1;
  return message;
}

AtlMessage *
atl_message_read (AtlStore *self, gint64 id, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "SELECT " COLUMNS " FROM messages WHERE id = ?1 AND trashed_us IS NULL", error);

  if (stmt == NULL)
    return NULL;
  atl_stmt_bind (stmt, "i", id);
  return atl_db_next (self, stmt, _ ("reading a message"), error) ? message_from_row (self, stmt)
                                                                  : NULL;
}

gint64
atl_message_insert (AtlStore *self, const AtlMessage *m, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "INSERT INTO messages (chat_id, parent_id, role, state, content, thinking,"
                   "  attachments, error, stats, model, created_us, owner, error_name)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                   error);
  gint64 id;

  if (stmt == NULL ||
      !atl_db_run (self, stmt, _ ("saving the message"), error,
                   "iziisssss"
                   "siss",
                   m->chat_id, m->parent_id, (gint64) m->role, (gint64) m->state, m->content,
                   m->thinking, m->attachments_json, m->error_text, m->stats_json, m->model_name,
                   m->created_us, m->state == ATL_MESSAGE_STREAMING ? self->owner : NULL,
                   m->error_name))
    return 0;
  id = sqlite3_last_insert_rowid (self->db);
  return atl_message_show (self, m->chat_id, m->parent_id, id, error) ? id : 0;
}

gboolean
atl_message_show (AtlStore *self, gint64 chat_id, gint64 parent_id, gint64 id, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   parent_id != 0 ? "UPDATE messages SET shown_child_id = ?2 WHERE id = ?1"
                                  : "UPDATE chats SET shown_root_id = ?2 WHERE id = ?1",
                   error);

  return stmt != NULL && atl_db_run (self, stmt, _ ("showing the message"), error, "ii",
                                     parent_id != 0 ? parent_id : chat_id, id);
}

gboolean
atl_message_chat (AtlStore *self, gint64 id, gint64 *chat_id, GError **error)
{
  if (!atl_db_int (self, "SELECT chat_id FROM messages WHERE id = ?1 AND trashed_us IS NULL", id, 0,
                   chat_id, error))
    return FALSE;
  if (*chat_id != 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This message is no longer there"));
  return FALSE;
}

gboolean
atl_chat_touch (AtlStore *self, gint64 chat_id, GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self, "UPDATE chats SET updated_us = ?2 WHERE id = ?1", error);

  return stmt != NULL &&
         atl_db_run (self, stmt, _ ("saving the chat"), error, "ii", chat_id, g_get_real_time ());
}
