/* Chats from JSON that anybody may have written: every shape is checked, nothing is stored unless
 * all was understood. */
#define G_LOG_DOMAIN "atl-store"

#include "store/transfer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "store/import-private.h"
#include "store/message-rows.h"

#define MAX_LINES_BYTES (64u << 20)
/* Other programs write dozens of values around each message. */
#define MAX_TREE_BYTES ((guint64) 4 << 30)

gboolean
atl_import_refuse (const AtlImport *import, GError **error, const char *words)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: %s", import->name, words);
  return FALSE;
}

char *
atl_import_title (const char *name)
{
  g_autofree char *base = g_path_get_basename (name);
  g_autofree char *title = g_utf8_make_valid (base, -1);
  char *dot = strrchr (title, '.');

  if (dot != NULL && dot != title)
    *dot = '\0';
  return g_steal_pointer (&title);
}

gint64
atl_import_chat (AtlImport *import, const AtlChat *chat, GError **error)
{
  AtlStore *self = import->store;
  g_autoptr (AtlStmt) stmt =
      atl_db_stmt (self,
                   "INSERT INTO chats (title, auto_title, pinned, created_us, updated_us,"
                   "  model_id, settings, draft, system_prompt)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                   error);
  gint64 id;

  if (stmt == NULL || !atl_db_run (self, stmt, _ ("importing the chat"), error, "siiiissss",
                                   chat->title, (gint64) chat->auto_title, (gint64) chat->pinned,
                                   chat->created_us, chat->updated_us, chat->model_id,
                                   chat->settings_json, chat->draft, chat->system_prompt))
    return 0;
  id = sqlite3_last_insert_rowid (self->db);
  g_array_append_val (import->chats, id);
  return id;
}

/* A member that is an object or array, as text again; NULL when it is neither. */
static char *
member_json (JsonObject *object, const char *member, gboolean array)
{
  JsonNode *node = json_object_get_member (object, member);

  if (node == NULL || !(array ? JSON_NODE_HOLDS_ARRAY (node) : JSON_NODE_HOLDS_OBJECT (node)))
    return NULL;
  return json_to_string (node, FALSE);
}

/* --- Our own format --- */

static gboolean
import_own_message (
    AtlImport *import, JsonObject *object, gint64 chat_id, GHashTable *ids, GError **error)
{
  const char *state = atl_json_string (object, "state", "complete");
  gint64 place = atl_json_int (object, "id", 0), parent = atl_json_int (object, "parent", 0);
  g_autofree char *attachments = member_json (object, "attachments", TRUE);
  g_autofree char *stats = member_json (object, "stats", FALSE);
  AtlMessage message = {
    .chat_id = chat_id,
    .content = (char *) atl_json_string (object, "content", NULL),
    .thinking = (char *) atl_json_string (object, "thinking", NULL),
    .error_text = (char *) atl_json_string (object, "error", NULL),
    .error_name = (char *) atl_json_string (object, "error_name", NULL),
    .model_name = (char *) atl_json_string (object, "model", NULL),
    .attachments_json = attachments,
    .stats_json = stats,
    .created_us = atl_json_int (object, "created_us", g_get_real_time ()),
  };
  gint64 *id;

  if (place <= 0 || g_hash_table_contains (ids, &place))
    return atl_import_refuse (import, error, _ ("a message has no number of its own (\"id\")"));
  if (message.content == NULL)
    return atl_import_refuse (import, error, _ ("a message has no text (\"content\")"));
  if (!atl_role_from_name (atl_json_string (object, "role", ""), &message.role))
    return atl_import_refuse (import, error, _ ("a message has an unknown \"role\""));
  message.state = g_str_equal (state, "complete") ? ATL_MESSAGE_COMPLETE
                  : g_str_equal (state, "error")  ? ATL_MESSAGE_ERROR
                                                  : ATL_MESSAGE_INTERRUPTED;
  if (parent != 0)
    {
      const gint64 *known = g_hash_table_lookup (ids, &parent);

      if (known == NULL)
        return atl_import_refuse (import, error,
                                  _ ("a message comes before the one it answers (\"parent\")"));
      message.parent_id = *known;
    }
  id = g_new (gint64, 2);
  id[0] = place;
  id[1] = atl_message_insert (import->store, &message, error);
  g_hash_table_insert (ids, &id[0], &id[1]);
  return id[1] != 0;
}

/* Inserting showed the last child of each; the file says which was shown. */
static gboolean
apply_shown (AtlImport *import,
             gint64 chat_id,
             GHashTable *ids,
             gint64 parent,
             JsonObject *object,
             const char *member,
             GError **error)
{
  gint64 shown = atl_json_int (object, member, 0);
  const gint64 *id = shown != 0 ? g_hash_table_lookup (ids, &shown) : NULL;

  return id == NULL || atl_message_show (import->store, chat_id, parent, *id, error);
}

static gboolean
import_own (AtlImport *import, JsonObject *object, GError **error)
{
  g_autofree char *settings = member_json (object, "settings", FALSE);
  g_autofree char *fallback = atl_import_title (import->name);
  g_autoptr (GHashTable) ids = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  JsonArray *messages = atl_json_array (object, "messages");
  gint64 now = g_get_real_time (), chat_id;
  const AtlChat chat = {
    .title = (char *) atl_json_string (object, "title", fallback),
    .auto_title = atl_json_bool (object, "auto_title", FALSE),
    .pinned = atl_json_bool (object, "pinned", FALSE),
    .created_us = atl_json_int (object, "created_us", now),
    .updated_us = atl_json_int (object, "updated_us", now),
    .model_id = (char *) atl_json_string (object, "model_id", NULL),
    .settings_json = settings,
    .draft = (char *) atl_json_string (object, "draft", NULL),
    .system_prompt = (char *) atl_json_string (object, "system_prompt", NULL),
  };

  if (atl_json_int (object, "version", 0) != 1)
    return atl_import_refuse (import, error,
                              _ ("it was written by a newer Atelier; update to import it"));
  if (messages == NULL)
    return atl_import_refuse (import, error, _ ("it has no list of messages"));
  chat_id = atl_import_chat (import, &chat, error);
  if (chat_id == 0)
    return FALSE;
  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonNode *node = json_array_get_element (messages, i);

      if (!JSON_NODE_HOLDS_OBJECT (node))
        return atl_import_refuse (import, error,
                                  _ ("an entry of its list of messages is no message"));
      if (!import_own_message (import, json_node_get_object (node), chat_id, ids, error))
        return FALSE;
    }
  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonObject *message = json_array_get_object_element (messages, i);
      gint64 place = atl_json_int (message, "id", 0);
      const gint64 *id = g_hash_table_lookup (ids, &place);

      if (!apply_shown (import, chat_id, ids, *id, message, "shown_child", error))
        return FALSE;
    }
  return apply_shown (import, chat_id, ids, 0, object, "shown_root", error);
}

static gboolean
has_versions (JsonArray *list)
{
  JsonNode *first = json_array_get_length (list) > 0 ? json_array_get_element (list, 0) : NULL;

  return first != NULL && JSON_NODE_HOLDS_OBJECT (first) &&
         json_object_has_member (json_node_get_object (first), "versions");
}

static gboolean
import_messages (AtlImport *import, JsonNode *node, GError **error)
{
  JsonObject *object;

  if (JSON_NODE_HOLDS_ARRAY (node))
    return atl_import_list (import, json_node_get_array (node), NULL, error);
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return atl_import_refuse (import, error, _ ("expected a chat, found another kind of JSON"));
  object = json_node_get_object (node);
  if (g_str_equal (atl_json_string (object, "format", ""), "atelier-chat"))
    return import_own (import, object, error);
  if (atl_json_object (object, "mapping") != NULL)
    return atl_import_mapping (import, object, atl_json_object (object, "mapping"), error);
  for (guint i = 0; i < 2; i++)
    {
      JsonArray *list = atl_json_array (object, i == 0 ? "messages" : "conversations");

      if (list != NULL && has_versions (list))
        return atl_import_versions (import, object, list, error);
      if (list != NULL)
        return atl_import_list (
            import, list, atl_json_string (object, "title", atl_json_string (object, "name", NULL)),
            error);
    }
  return atl_import_refuse (
      import, error,
      _ ("no chat was found in it: expected one that Atelier, ChatGPT, Jan or LM "
         "Studio exported, or a list of {\"role\", \"content\"}"));
}

/* A chat without a title is called by its first question: the name of the file is that of each of
 * its program ("messages"), or of all the chats in it. */
static gboolean
call_by_question (AtlImport *import, GError **error)
{
  const gint64 chat_id = g_array_index (import->chats, gint64, import->chats->len - 1);
  g_autoptr (AtlStmt) find =
      atl_db_stmt (import->store,
                   "SELECT content FROM messages WHERE chat_id = ?1 AND role = ?2"
                   " ORDER BY id LIMIT 1",
                   error);
  g_autoptr (AtlStmt) call =
      atl_db_stmt (import->store, "UPDATE chats SET title = ?2 WHERE id = ?1", error);
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  g_autofree char *title = NULL;

  if (find == NULL || call == NULL)
    return FALSE;
  atl_stmt_bind (find, "ii", chat_id, (gint64) ATL_ROLE_USER);
  if (!atl_db_next (import->store, find, _ ("importing the chat"), &local))
    {
      if (local == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  text = atl_db_text (import->store, find, 0);
  title = atl_chat_title_from_text (text);
  return *title == '\0' ||
         atl_db_run (import->store, call, _ ("importing the chat"), error, "is", chat_id, title);
}

static gboolean
import_chat (AtlImport *import, JsonNode *node, GError **error)
{
  import->is_untitled = FALSE;
  return import_messages (import, node, error) &&
         (!import->is_untitled || call_by_question (import, error));
}

/* An array is one chat when its entries are messages, several when they are chats. */
static gboolean
holds_chats (JsonNode *root)
{
  JsonArray *array;
  JsonNode *first;

  if (!JSON_NODE_HOLDS_ARRAY (root))
    return FALSE;
  array = json_node_get_array (root);
  first = json_array_get_length (array) > 0 ? json_array_get_element (array, 0) : NULL;
  if (first == NULL)
    return FALSE;
  if (JSON_NODE_HOLDS_ARRAY (first))
    return TRUE;
  return JSON_NODE_HOLDS_OBJECT (first) &&
         !json_object_has_member (json_node_get_object (first), "role") &&
         !json_object_has_member (json_node_get_object (first), "from");
}

/* One JSON a line, as Jan keeps the messages of a chat and others several chats: an array of them.
 * NULL where a line is none. */
static JsonNode *
parse_lines (const char *data, gsize size, const char *name)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_ARRAY);
  JsonArray *array = json_array_new ();
  const char *end = data + size;

  json_node_take_array (root, array);
  if (size > MAX_LINES_BYTES)
    return NULL;
  for (const char *line = data, *next; line < end; line = next)
    {
      const char *stop = memchr (line, '\n', (gsize) (end - line));
      gsize length = (gsize) ((stop != NULL ? stop : end) - line);
      JsonNode *node;

      next = line + length + (stop != NULL);
      if (length == 0 || (length == 1 && *line == '\r'))
        continue;
      node = atl_json_parse (line, length, name, NULL);
      if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
        {
          g_clear_pointer (&node, json_node_unref);
          return NULL;
        }
      json_array_add_element (array, node);
    }
  return json_array_get_length (array) > 1 ? g_steal_pointer (&root) : NULL;
}

GArray *
atl_store_import (AtlStore *self, const char *data, gsize size, const char *name, GError **error)
{
  g_autoptr (GArray) chats = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) local = NULL;
  AtlImport import = { self, name, chats, FALSE };
  gboolean ok = TRUE;

  if (size > ATL_IMPORT_MAX_BYTES)
    {
      atl_import_refuse (&import, error, _ ("it is larger than 256 MB"));
      return NULL;
    }
  root = atl_json_parse_large (data, size, MAX_TREE_BYTES, name, &local);
  if (root == NULL && (root = parse_lines (data, size, name)) == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  if (!atl_db_begin (self, error))
    return NULL;
  if (holds_chats (root))
    {
      JsonArray *array = json_node_get_array (root);

      for (guint i = 0; ok && i < json_array_get_length (array); i++)
        ok = import_chat (&import, json_array_get_element (array, i), error);
    }
  else
    ok = import_chat (&import, root, error);
  return atl_db_end (self, ok, _ ("importing the chat"), error) ? g_steal_pointer (&chats) : NULL;
}
