/* Writing messages: a person's, and an answer while it streams. */
#define G_LOG_DOMAIN "atl-store"

#include <glib/gi18n.h>
#include <string.h>

#include "store/message-rows.h"

/* A parent must be there, in the same chat and not in the trash. */
static gboolean
check_place (AtlStore *self, gint64 chat_id, gint64 parent_id, GError **error)
{
  gint64 found;

  if (!atl_db_int (self, "SELECT count (*) FROM chats WHERE id = ?1 AND trashed_us IS NULL",
                   chat_id, 0, &found, error))
    return FALSE;
  if (found == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This chat is no longer there"));
      return FALSE;
    }
  if (parent_id == 0)
    return TRUE;
  if (!atl_message_chat (self, parent_id, &found, error))
    return FALSE;
  if (found == chat_id)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The message before this one belongs to another chat"));
  return FALSE;
}

static gint64
insert_new (AtlStore *self,
            gint64 chat_id,
            gint64 parent_id,
            AtlRole role,
            AtlMessageState state,
            const char *content,
            const char *attachments_json,
            const char *model_name,
            GError **error)
{
  AtlMessage message = {
    .chat_id = chat_id,
    .parent_id = parent_id,
    .role = role,
    .state = state,
    .content = (char *) content,
    .attachments_json = (char *) attachments_json,
    .model_name = (char *) model_name,
    .created_us = g_get_real_time (),
  };

  return atl_message_insert (self, &message, error);
}

gint64
atl_store_message_add (AtlStore *self,
                       gint64 chat_id,
                       gint64 parent_id,
                       AtlRole role,
                       const char *content,
                       const char *attachments_json,
                       GError **error)
{
  gint64 id = 0;

  g_return_val_if_fail (content != NULL, 0);
  if (!atl_store_check_json (attachments_json, TRUE, "Attachments", error) ||
      !atl_db_begin (self, error))
    return 0;
  if (check_place (self, chat_id, parent_id, error))
    id = insert_new (self, chat_id, parent_id, role, ATL_MESSAGE_COMPLETE, content,
                     attachments_json, NULL, error);
  return atl_db_end (self, id != 0 && atl_chat_touch (self, chat_id, error),
                     _ ("saving the message"), error)
             ? id
             : 0;
}

gint64
atl_store_answer_begin (
    AtlStore *self, gint64 chat_id, gint64 parent_id, const char *model_name, GError **error)
{
  gint64 id = 0;

  if (!atl_store_ensure_owner (self, error) || !atl_db_begin (self, error))
    return 0;
  if (check_place (self, chat_id, parent_id, error))
    id = insert_new (self, chat_id, parent_id, ATL_ROLE_ASSISTANT, ATL_MESSAGE_STREAMING, "", NULL,
                     model_name, error);
  return atl_db_end (self, id != 0 && atl_chat_touch (self, chat_id, error),
                     _ ("starting the answer"), error)
             ? id
             : 0;
}

gboolean
atl_store_turn_begin (AtlStore *self,
                      gint64 chat_id,
                      gint64 parent_id,
                      const char *content,
                      const char *attachments_json,
                      const char *model_name,
                      gint64 *user_id,
                      gint64 *answer_id,
                      GError **error)
{
  gint64 asked = 0, answer = 0;

  g_return_val_if_fail (content != NULL, FALSE);
  if (!atl_store_check_json (attachments_json, TRUE, "Attachments", error) ||
      !atl_store_ensure_owner (self, error) || !atl_db_begin (self, error))
    return FALSE;
  if (check_place (self, chat_id, parent_id, error))
    asked = insert_new (self, chat_id, parent_id, ATL_ROLE_USER, ATL_MESSAGE_COMPLETE, content,
                        attachments_json, NULL, error);
  if (asked != 0)
    answer = insert_new (self, chat_id, asked, ATL_ROLE_ASSISTANT, ATL_MESSAGE_STREAMING, "", NULL,
                         model_name, error);
  if (!atl_db_end (self, answer != 0 && atl_chat_touch (self, chat_id, error),
                   _ ("saving the message"), error))
    return FALSE;
  if (user_id != NULL)
    *user_id = asked;
  if (answer_id != NULL)
    *answer_id = answer;
  return TRUE;
}

/* A statement that should have changed one row. */
static gboolean
require_change (AtlStore *self, const char *words, GError **error)
{
  if (sqlite3_changes (self->db) == 1)
    return TRUE;
  g_set_error_literal (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, words);
  return FALSE;
}

gboolean
atl_store_answer_resume (AtlStore *self, gint64 id, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self,
                                          "UPDATE messages SET state = 1, owner = ?2, error = NULL"
                                          " WHERE id = ?1 AND state <> 1 AND trashed_us IS NULL",
                                          error);

  return stmt != NULL && atl_store_ensure_owner (self, error) &&
         atl_db_run (self, stmt, _ ("continuing the answer"), error, "is", id, self->owner) &&
         require_change (self, _ ("This answer is not there, or is being written already"), error);
}

gboolean
atl_store_message_checkpoint (
    AtlStore *self, gint64 id, const char *content, const char *thinking, GError **error)
{
  /* Also while in the trash: an undo brings the whole text back. */
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "UPDATE messages SET content = ?2, thinking = ?3 WHERE id = ?1 AND state = 1", error);

  g_return_val_if_fail (content != NULL, FALSE);
  return stmt != NULL &&
         atl_db_run (self, stmt, _ ("saving the answer"), error, "iss", id, content, thinking) &&
         require_change (self, _ ("This answer is not being written any more"), error);
}

gboolean
atl_store_answer_finish (AtlStore *self,
                         gint64 id,
                         AtlMessageState state,
                         const char *content,
                         const char *thinking,
                         const GError *failure,
                         const char *stats_json,
                         GError **error)
{
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "UPDATE messages SET state = ?2, content = ?3, thinking = ?4, error = ?5,"
                   "  stats = ?6, error_name = ?7, owner = NULL WHERE id = ?1 AND state = 1",
                   error);
  const char *name = failure != NULL && failure->domain == ATL_ERROR
                         ? atl_error_dbus_name ((AtlError) failure->code)
                         : NULL;

  g_return_val_if_fail (content != NULL && state != ATL_MESSAGE_STREAMING, FALSE);
  return stmt != NULL && atl_store_check_json (stats_json, FALSE, "Statistics", error) &&
         atl_db_run (self, stmt, _ ("saving the answer"), error, "iisssss", id, (gint64) state,
                     content, thinking, failure != NULL ? failure->message : NULL, stats_json,
                     name) &&
         require_change (self, _ ("This answer is not being written any more"), error);
}

gboolean
atl_store_message_set_content (AtlStore *self, gint64 id, const char *content, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "UPDATE messages SET content = ?2 WHERE id = ?1 AND trashed_us IS NULL", error);

  g_return_val_if_fail (content != NULL, FALSE);
  return stmt != NULL &&
         atl_db_run (self, stmt, _ ("saving the message"), error, "is", id, content) &&
         require_change (self, _ ("This message is no longer there"), error);
}
