/* Trash: a time stamp hides a row everywhere; undo removes the stamp; purge removes the row. */
#define G_LOG_DOMAIN "atl-store"

#include "store/trash.h"

#include <glib/gi18n.h>

#include "store/message-rows.h"

/* Runs `sql` on (id, now); FALSE with NOT_FOUND when nothing changed. */
static gboolean
change (AtlStore *self, const char *sql, gint64 id, gint64 now, const char *doing, GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, sql, error);

  if (stmt == NULL || !atl_db_run (self, stmt, doing, error, now != 0 ? "ii" : "i", id, now))
    return FALSE;
  if (sqlite3_changes (self->db) > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("It is no longer there: %s"), doing);
  return FALSE;
}

gboolean
atl_store_trash (AtlStore *self, AtlTrashKind kind, gint64 id, GError **error)
{
  static const char *const sql[] = {
    [ATL_TRASH_CHAT] = "UPDATE chats SET trashed_us = ?2 WHERE id = ?1 AND trashed_us IS NULL",
    /* What lies in the trash below already keeps its own root: it comes back by its own undo. */
    [ATL_TRASH_MESSAGE] = "WITH RECURSIVE below (id) AS ("
                          "  SELECT id FROM messages WHERE id = ?1 AND trashed_us IS NULL"
                          "  UNION SELECT m.id FROM below JOIN messages m"
                          "    ON m.parent_id = below.id AND m.trashed_us IS NULL)"
                          " UPDATE messages SET trashed_us = ?2, trash_root = ?1"
                          " WHERE id IN below",
    [ATL_TRASH_FOLDER] = "UPDATE folders SET trashed_us = ?2 WHERE id = ?1 AND trashed_us IS NULL",
    [ATL_TRASH_PICTURE] =
        "UPDATE pictures SET trashed_us = ?2 WHERE id = ?1 AND trashed_us IS NULL",
  };

  return change (self, sql[kind], id, g_get_real_time (), _ ("moving it to the trash"), error);
}

/* Undo for a message: its own deletion and that of every message above it, and shows the path. */
static gboolean
restore_message (AtlStore *self, gint64 id, GError **error)
{
  gint64 above = id, chat_id;

  /* ids fall on the way up, so this ends. */
  for (gint64 last = G_MAXINT64; above != 0 && above < last;)
    {
      gint64 root;

      if (!atl_db_int (self, "SELECT trash_root FROM messages WHERE id = ?1", above, 0, &root,
                       error))
        return FALSE;
      if (root != 0 && !change (self,
                                "UPDATE messages SET trashed_us = NULL, trash_root = NULL"
                                " WHERE trash_root = ?1",
                                root, 0, _ ("restoring it"), error))
        return FALSE;
      last = above;
      if (!atl_db_int (self, "SELECT parent_id FROM messages WHERE id = ?1", last, 0, &above,
                       error))
        return FALSE;
    }
  if (!atl_message_chat (self, id, &chat_id, error) ||
      !atl_db_int (self, "SELECT parent_id FROM messages WHERE id = ?1", id, 0, &above, error))
    return FALSE;
  return atl_message_show (self, chat_id, above, id, error);
}

gboolean
atl_store_restore (AtlStore *self, AtlTrashKind kind, gint64 id, GError **error)
{
  static const char *const sql[] = {
    [ATL_TRASH_CHAT] = "UPDATE chats SET trashed_us = NULL WHERE id = ?1 AND trashed_us NOTNULL",
    [ATL_TRASH_FOLDER] =
        "UPDATE folders SET trashed_us = NULL WHERE id = ?1 AND trashed_us NOTNULL",
    [ATL_TRASH_PICTURE] =
        "UPDATE pictures SET trashed_us = NULL WHERE id = ?1 AND trashed_us NOTNULL",
  };

  if (kind != ATL_TRASH_MESSAGE)
    return change (self, sql[kind], id, 0, _ ("restoring it"), error);
  if (!atl_db_begin (self, error))
    return FALSE;
  return atl_db_end (self, restore_message (self, id, error), _ ("restoring it"), error);
}

typedef struct
{
  const char *sql; /* of what was trashed before ?1 */
  gboolean counts;
} PurgeStep;

/* The messages of a chat go first, by one statement, so that no cascade has to walk down the tree.
 */
#define PURGE_CHATS                                                                                \
  { "DELETE FROM messages WHERE chat_id IN (SELECT id FROM chats WHERE trashed_us < ?1)", FALSE }, \
  {                                                                                                \
    "DELETE FROM chats WHERE trashed_us < ?1", TRUE                                                \
  }

/* In a transaction; adds to *n_gone. */
static gboolean
run_steps (AtlStore *self,
           const PurgeStep *steps,
           gsize n_steps,
           gint64 before_us,
           int *n_gone,
           GError **error)
{
  for (gsize i = 0; i < n_steps; i++)
    {
      g_autoptr (AtlStmt) stmt = atl_db_stmt (self, steps[i].sql, error);

      if (stmt == NULL || !atl_db_run (self, stmt, _ ("emptying the trash"), error, "i", before_us))
        return FALSE;
      if (steps[i].counts)
        *n_gone += sqlite3_changes (self->db);
    }
  return TRUE;
}

int
atl_store_trash_purge (AtlStore *self, gint64 before_us, GError **error)
{
  /* A message whose parent is purged goes with it, whatever its own stamp says. */
  static const PurgeStep steps[] = {
    PURGE_CHATS,
    { "DELETE FROM folders WHERE trashed_us < ?1", TRUE },
    { "DELETE FROM pictures WHERE trashed_us < ?1", TRUE },
    { "WITH RECURSIVE gone (id) AS ("
      "  SELECT id FROM messages WHERE trashed_us < ?1"
      "  UNION SELECT m.id FROM gone JOIN messages m ON m.parent_id = gone.id)"
      " DELETE FROM messages WHERE id IN gone",
      FALSE },
  };
  gint64 limit = before_us != 0
                     ? before_us
                     : g_get_real_time () - ATL_TRASH_DAYS * 24 * 3600 * (gint64) G_USEC_PER_SEC;
  gint64 roots = 0;
  gboolean ok;
  int n = 0;

  if (!atl_db_begin (self, error))
    return -1;
  ok = atl_db_int (self, "SELECT count (*) FROM messages WHERE trashed_us < ?1 AND trash_root = id",
                   limit, 0, &roots, error) &&
       run_steps (self, steps, G_N_ELEMENTS (steps), limit, &n, error);
  return atl_db_end (self, ok, _ ("emptying the trash"), error) ? n + (int) roots : -1;
}

int
atl_store_trash_empty_chats (AtlStore *self, GError **error)
{
  static const PurgeStep steps[] = { PURGE_CHATS };
  gboolean ok;
  int n = 0;

  if (!atl_db_begin (self, error))
    return -1;
  ok = run_steps (self, steps, G_N_ELEMENTS (steps), G_MAXINT64, &n, error);
  return atl_db_end (self, ok, _ ("emptying the trash"), error) ? n : -1;
}
