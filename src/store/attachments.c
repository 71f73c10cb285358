/* Attached files: as JSON for messages, as rows for drafts. */
#define G_LOG_DOMAIN "atl-store"

#include "store/attachments.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "store/store-private.h"

static AtlAttachment *
new_attachment (char *key, const char *name, const char *mime, char *text)
{
  AtlAttachment *self = g_atomic_rc_box_new0 (AtlAttachment);

  self->key = key;
  self->name = g_strdup (name);
  self->mime = g_strdup (mime);
  self->text = text;
  return self;
}

AtlAttachment *
atl_attachment_new (const char *name, const char *mime, char *text)
{
  g_return_val_if_fail (name != NULL && mime != NULL && text != NULL, NULL);
  return new_attachment (g_uuid_string_random (), name, mime, text);
}

AtlAttachment *
atl_attachment_ref (AtlAttachment *attachment)
{
  return g_atomic_rc_box_acquire (attachment);
}

static void
clear (gpointer data)
{
  AtlAttachment *self = data;

  g_free (self->key);
  g_free (self->name);
  g_free (self->mime);
  g_free (self->text);
}

void
atl_attachment_unref (AtlAttachment *attachment)
{
  if (attachment != NULL)
    g_atomic_rc_box_release_full (attachment, clear);
}

GPtrArray *
atl_attachments_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) atl_attachment_unref);
}

GPtrArray *
atl_attachments_from_json (const char *json)
{
  GPtrArray *list = atl_attachments_new ();
  g_autoptr (JsonNode) node =
      json ? atl_json_parse (json, strlen (json), "attachments", NULL) : NULL;
  JsonArray *array;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node))
    return list;
  array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      JsonObject *object;

      if (!JSON_NODE_HOLDS_OBJECT (element))
        continue;
      object = json_node_get_object (element);
      g_ptr_array_add (list, new_attachment (NULL, atl_json_string (object, "name", "?"),
                                             atl_json_string (object, "mime", "text/plain"),
                                             g_strdup (atl_json_string (object, "text", ""))));
    }
  return list;
}

static void
add_member (JsonBuilder *builder, const char *name, const char *value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, value);
}

char *
atl_attachments_to_json (GPtrArray *attachments)
{
  g_autoptr (JsonBuilder) builder = NULL;
  g_autoptr (JsonNode) root = NULL;

  if (attachments == NULL || attachments->len == 0)
    return NULL;
  builder = json_builder_new ();
  json_builder_begin_array (builder);
  for (guint i = 0; i < attachments->len; i++)
    {
      const AtlAttachment *attachment = g_ptr_array_index (attachments, i);

      json_builder_begin_object (builder);
      add_member (builder, "name", attachment->name);
      add_member (builder, "mime", attachment->mime);
      add_member (builder, "text", attachment->text);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

/* --- Of drafts --- */

static gpointer
from_row (AtlStore *self, AtlStmt *stmt)
{
  char *text = atl_db_text (self, stmt, 3);
  g_autofree char *name = atl_db_text (self, stmt, 1);
  g_autofree char *mime = atl_db_text (self, stmt, 2);

  return new_attachment (atl_db_text (self, stmt, 0), name != NULL ? name : "?",
                         mime != NULL ? mime : "text/plain", text != NULL ? text : g_strdup (""));
}

GPtrArray *
atl_store_draft_files (AtlStore *self, gint64 chat_id, GError **error)
{
  g_autoptr (GPtrArray) list = atl_attachments_new ();
  g_autoptr (AtlStmt) stmt = atl_db_stmt (
      self, "SELECT key, name, mime, text FROM draft_files WHERE chat_id IS ?1 ORDER BY id", error);

  if (stmt == NULL)
    return NULL;
  atl_stmt_bind (stmt, "z", chat_id);
  return atl_db_collect (self, stmt, list, from_row, _ ("reading the attached files"), error)
             ? g_steal_pointer (&list)
             : NULL;
}

static gpointer
key_from_row (AtlStore *self, AtlStmt *stmt)
{
  return atl_db_text (self, stmt, 0);
}

static gboolean
has_key (GPtrArray *files, const char *key)
{
  for (guint i = 0; i < files->len; i++)
    if (g_str_equal (((const AtlAttachment *) files->pdata[i])->key, key))
      return TRUE;
  return FALSE;
}

static gboolean
remove_others (AtlStore *self, gint64 chat_id, GPtrArray *files, GError **error)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (AtlStmt) list =
      atl_db_stmt (self, "SELECT key FROM draft_files WHERE chat_id IS ?1", error);
  g_autoptr (AtlStmt) remove = atl_db_stmt (self, "DELETE FROM draft_files WHERE key = ?1", error);

  if (list == NULL || remove == NULL)
    return FALSE;
  atl_stmt_bind (list, "z", chat_id);
  if (!atl_db_collect (self, list, keys, key_from_row, _ ("saving the attached files"), error))
    return FALSE;
  for (guint i = 0; i < keys->len; i++)
    if (!has_key (files, keys->pdata[i]) &&
        !atl_db_run (self, remove, _ ("saving the attached files"), error, "s", keys->pdata[i]))
      return FALSE;
  return TRUE;
}

/* A file that was attached in the new chat goes along when that gets its row. */
static gboolean
add_missing (AtlStore *self, gint64 chat_id, GPtrArray *files, GError **error)
{
  g_autoptr (AtlStmt) add =
      atl_db_stmt (self,
                   "INSERT INTO draft_files (chat_id, key, name, mime, text)"
                   " VALUES (?1, ?2, ?3, ?4, ?5)"
                   " ON CONFLICT (key) DO UPDATE SET chat_id = excluded.chat_id"
                   "  WHERE chat_id IS NOT excluded.chat_id",
                   error);

  for (guint i = 0; add != NULL && i < files->len; i++)
    {
      const AtlAttachment *file = files->pdata[i];

      if (!atl_db_run (self, add, _ ("saving the attached files"), error, "zssss", chat_id,
                       file->key, file->name, file->mime, file->text))
        return FALSE;
    }
  return add != NULL;
}

gboolean
atl_store_draft_files_set (AtlStore *self, gint64 chat_id, GPtrArray *files, GError **error)
{
  gint64 there = 1;
  gboolean ok;

  if (!atl_db_begin (self, error))
    return FALSE;
  ok = chat_id == 0 ||
       atl_db_int (self, "SELECT count (*) FROM chats WHERE id = ?1", chat_id, 0, &there, error);
  if (ok && there == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This chat is no longer there"));
      ok = FALSE;
    }
  ok = ok && remove_others (self, chat_id, files, error) &&
       add_missing (self, chat_id, files, error);
  return atl_db_end (self, ok, _ ("saving the attached files"), error);
}
