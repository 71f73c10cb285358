/* Chats from JSON that anybody may have written: every shape is checked, nothing is stored unless
 * all was understood. */
#define G_LOG_DOMAIN "atl-store"

#include "store/transfer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "store/chats.h"
#include "store/message-rows.h"

#define MAX_IMPORT_BYTES (512u << 20)

typedef struct
{
  AtlStore *store;
  const char *name; /* of the file, for messages */
  GArray *chats;    /* ids */
} Import;

static gboolean
refuse (const Import *import, GError **error, const char *words)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: %s", import->name, words);
  return FALSE;
}

/* "chat.json" -> "chat" */
static char *
title_from_name (const char *name)
{
  g_autofree char *base = g_path_get_basename (name);
  g_autofree char *title = g_utf8_make_valid (base, -1);
  char *dot = strrchr (title, '.');

  if (dot != NULL && dot != title)
    *dot = '\0';
  return g_steal_pointer (&title);
}

static gint64
insert_chat (Import *import, const AtlChat *chat, GError **error)
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
    Import *import, JsonObject *object, gint64 chat_id, GHashTable *ids, GError **error)
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
    .model_name = (char *) atl_json_string (object, "model", NULL),
    .attachments_json = attachments,
    .stats_json = stats,
    .created_us = atl_json_int (object, "created_us", g_get_real_time ()),
  };
  gint64 *id;

  if (place <= 0 || g_hash_table_contains (ids, &place))
    return refuse (import, error, _ ("a message has no number of its own (\"id\")"));
  if (message.content == NULL)
    return refuse (import, error, _ ("a message has no text (\"content\")"));
  if (!atl_role_from_name (atl_json_string (object, "role", ""), &message.role))
    return refuse (import, error, _ ("a message has an unknown \"role\""));
  message.state = g_str_equal (state, "complete") ? ATL_MESSAGE_COMPLETE
                  : g_str_equal (state, "error")  ? ATL_MESSAGE_ERROR
                                                  : ATL_MESSAGE_INTERRUPTED;
  if (parent != 0)
    {
      const gint64 *known = g_hash_table_lookup (ids, &parent);

      if (known == NULL)
        return refuse (import, error, _ ("a message comes before the one it answers (\"parent\")"));
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
apply_shown (Import *import,
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
import_own (Import *import, JsonObject *object, GError **error)
{
  g_autofree char *settings = member_json (object, "settings", FALSE);
  g_autofree char *fallback = title_from_name (import->name);
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
    return refuse (import, error, _ ("it was written by a newer Atelier; update to import it"));
  if (messages == NULL)
    return refuse (import, error, _ ("it has no list of messages"));
  chat_id = insert_chat (import, &chat, error);
  if (chat_id == 0)
    return FALSE;
  for (guint i = 0; i < json_array_get_length (messages); i++)
    {
      JsonNode *node = json_array_get_element (messages, i);

      if (!JSON_NODE_HOLDS_OBJECT (node))
        return refuse (import, error, _ ("an entry of its list of messages is no message"));
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

/* --- Lists of {"role", "content"} and ChatGPT's tree --- */

/* Text that is a string, a list of strings, or a list of {"text"} parts; pictures and the like are
 * left out. NULL when there is none. */
static char *
content_text (JsonNode *node)
{
  g_autoptr (GString) text = NULL;
  JsonArray *parts;

  if (node == NULL)
    return NULL;
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (node));
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return NULL;
  text = g_string_new (NULL);
  parts = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (parts); i++)
    {
      JsonNode *part = json_array_get_element (parts, i);
      const char *piece = NULL;

      if (JSON_NODE_HOLDS_OBJECT (part))
        piece = atl_json_string (json_node_get_object (part), "text", NULL);
      else if (JSON_NODE_HOLDS_VALUE (part) && json_node_get_value_type (part) == G_TYPE_STRING)
        piece = json_node_get_string (part);
      if (piece != NULL)
        g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", piece);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static gboolean
role_of (const char *name, AtlRole *role)
{
  static const struct
  {
    const char *name;
    AtlRole role;
  } others[] = {
    { "human", ATL_ROLE_USER },    { "bot", ATL_ROLE_ASSISTANT },
    { "ai", ATL_ROLE_ASSISTANT },  { "model", ATL_ROLE_ASSISTANT },
    { "gpt", ATL_ROLE_ASSISTANT }, { "developer", ATL_ROLE_SYSTEM },
    { "function", ATL_ROLE_TOOL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    if (g_str_equal (name, others[i].name))
      {
        *role = others[i].role;
        return TRUE;
      }
  return atl_role_from_name (name, role);
}

static gint64
insert_plain_chat (Import *import, const char *title, const char *system_prompt, GError **error)
{
  g_autofree char *fallback = title_from_name (import->name);
  gint64 now = g_get_real_time ();
  const AtlChat chat = {
    .title = (char *) (title != NULL ? title : fallback),
    .created_us = now,
    .updated_us = now,
    .system_prompt = (char *) system_prompt,
  };

  return insert_chat (import, &chat, error);
}

/* Where others keep reasoning inside the text: what stands between the marks, and (out) what comes
 * after them. The caller's; NULL when the text does not begin with it. */
static char *
split_thinking (const char *text, const char **rest)
{
  const char *begin = text + strspn (text, " \t\r\n"), *end;
  char *thinking;

  if (!g_str_has_prefix (begin, "<think>") || (end = strstr (begin, "</think>")) == NULL)
    return NULL;
  begin += strlen ("<think>");
  thinking = g_strstrip (g_strndup (begin, end - begin));
  end += strlen ("</think>");
  *rest = end + strspn (end, " \t\r\n");
  return thinking;
}

static gint64
insert_plain (Import *import,
              gint64 chat_id,
              gint64 parent,
              AtlRole role,
              const char *text,
              double created_s,
              GError **error)
{
  g_autofree char *thinking = role == ATL_ROLE_ASSISTANT ? split_thinking (text, &text) : NULL;
  const AtlMessage message = {
    .chat_id = chat_id,
    .parent_id = parent,
    .role = role,
    .state = ATL_MESSAGE_COMPLETE,
    .content = (char *) text,
    .thinking = thinking,
    /* Seconds since 1970 as others write them; nonsense becomes now. */
    .created_us = created_s > 0 && created_s < 1e11 ? (gint64) (created_s * G_USEC_PER_SEC)
                                                    : g_get_real_time (),
  };

  return atl_message_insert (import->store, &message, error);
}

static gboolean
import_list (Import *import, JsonArray *list, const char *title, GError **error)
{
  gint64 chat_id = 0, parent = 0;

  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonNode *node = json_array_get_element (list, i);
      JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      g_autofree char *text = NULL;
      AtlRole role;

      if (object == NULL ||
          !role_of (atl_json_string (object, "role", atl_json_string (object, "from", "")), &role))
        return refuse (import, error,
                       _ ("a message has no known \"role\" (user, assistant, system)"));
      text = content_text (json_object_get_member (
          object, json_object_has_member (object, "content") ? "content" : "value"));
      if (text == NULL)
        return refuse (import, error, _ ("a message has no text (\"content\")"));
      if (chat_id == 0)
        {
          /* A system message that opens the list is the chat's system prompt. */
          chat_id = insert_plain_chat (import, title, role == ATL_ROLE_SYSTEM ? text : NULL, error);
          if (chat_id == 0)
            return FALSE;
          if (role == ATL_ROLE_SYSTEM)
            continue;
        }
      parent = insert_plain (import, chat_id, parent, role, text, 0, error);
      if (parent == 0)
        return FALSE;
    }
  return chat_id != 0 || refuse (import, error, _ ("there is no message in it"));
}

/* One version of a message of LM Studio: its own content, or that of its steps; other steps are
 * tool calls and the like. The caller's, "" when there is no text. */
static char *
version_text (JsonObject *version)
{
  JsonArray *steps = atl_json_array (version, "steps");
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *own = content_text (json_object_get_member (version, "content"));

  if (own != NULL)
    g_string_append (text, own);
  for (guint i = 0; steps != NULL && i < json_array_get_length (steps); i++)
    {
      JsonNode *node = json_array_get_element (steps, i);
      JsonObject *step = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      g_autofree char *piece = NULL;

      if (step == NULL || !g_str_equal (atl_json_string (step, "type", ""), "contentBlock"))
        continue;
      piece = content_text (json_object_get_member (step, "content"));
      if (piece != NULL && *piece != '\0')
        g_string_append_printf (text, "%s%s", text->len > 0 ? "\n\n" : "", piece);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static gboolean
insert_version (
    Import *import, gint64 chat_id, JsonArray *versions, guint i, gint64 *parent, GError **error)
{
  JsonNode *node = json_array_get_element (versions, i);
  JsonObject *version = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  g_autofree char *text = version != NULL ? version_text (version) : NULL;
  gint64 id;
  AtlRole role;

  if (text == NULL || *text == '\0' || !role_of (atl_json_string (version, "role", ""), &role))
    return TRUE;
  id = insert_plain (import, chat_id, *parent, role, text, 0, error);
  if (id == 0)
    return FALSE;
  *parent = id;
  return TRUE;
}

/* LM Studio: each message has versions, of which one is selected and carries what follows. */
static gboolean
import_versions (Import *import, JsonObject *object, JsonArray *list, GError **error)
{
  const char *prompt = atl_json_string (object, "systemPrompt", "");
  gint64 parent = 0;
  gint64 chat_id = insert_plain_chat (
      import, atl_json_string (object, "name", atl_json_string (object, "title", NULL)),
      *prompt != '\0' ? prompt : NULL, error);

  for (guint i = 0; chat_id != 0 && i < json_array_get_length (list); i++)
    {
      JsonNode *node = json_array_get_element (list, i);
      JsonObject *message = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      JsonArray *versions = message != NULL ? atl_json_array (message, "versions") : NULL;
      guint n = versions != NULL ? json_array_get_length (versions) : 0;
      gint64 selected = message != NULL ? atl_json_int (message, "currentlySelected", 0) : 0;

      if (n == 0)
        return refuse (import, error, _ ("an entry of its list of messages is no message"));
      selected = CLAMP (selected, 0, (gint64) n - 1);
      /* The selected one last: what was added last is shown. */
      for (guint j = 0; j < n; j++)
        {
          gint64 beside = parent;
          if (j != selected && !insert_version (import, chat_id, versions, j, &beside, error))
            return FALSE;
        }
      if (!insert_version (import, chat_id, versions, (guint) selected, &parent, error))
        return FALSE;
    }
  return chat_id != 0 && (parent != 0 || refuse (import, error, _ ("there is no message in it")));
}

static gboolean
has_versions (JsonArray *list)
{
  JsonNode *first = json_array_get_length (list) > 0 ? json_array_get_element (list, 0) : NULL;

  return first != NULL && JSON_NODE_HOLDS_OBJECT (first) &&
         json_object_has_member (json_node_get_object (first), "versions");
}

typedef struct
{
  const char *key; /* borrowed from the JSON */
  gint64 parent;
} Pending;

/* ChatGPT's "mapping": node id -> {message, children}. Walked with a list of our own, each node
 * once, so that neither depth nor a cycle matters. */
static gboolean
import_mapping (Import *import, JsonObject *object, JsonObject *mapping, GError **error)
{
  g_autoptr (GArray) pending = g_array_new (FALSE, FALSE, sizeof (Pending));
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GList) keys = json_object_get_members (mapping);
  gint64 chat_id = insert_plain_chat (import, atl_json_string (object, "title", NULL), NULL, error);
  guint n = 0;

  if (chat_id == 0)
    return FALSE;
  for (GList *l = keys; l != NULL; l = l->next)
    {
      JsonObject *node = atl_json_object (mapping, l->data);
      const Pending root = { l->data, 0 };

      if (node != NULL && atl_json_string (node, "parent", NULL) == NULL)
        g_array_append_val (pending, root);
    }
  while (n < pending->len)
    {
      const Pending now = g_array_index (pending, Pending, n++);
      JsonObject *node = atl_json_object (mapping, now.key);
      JsonObject *message = node != NULL ? atl_json_object (node, "message") : NULL;
      JsonObject *author = atl_json_object (message, "author");
      JsonObject *content = atl_json_object (message, "content");
      JsonArray *children = node != NULL ? atl_json_array (node, "children") : NULL;
      g_autofree char *text = NULL;
      gint64 parent = now.parent;
      AtlRole role;

      if (node == NULL || !g_hash_table_add (seen, (gpointer) now.key))
        continue;
      if (content != NULL)
        text = content_text (json_object_get_member (content, "parts"));
      /* Nodes without text (the root, tool calls) hand their children to their own parent. */
      if (text != NULL && text[0] != '\0' && role_of (atl_json_string (author, "role", ""), &role))
        {
          parent = insert_plain (import, chat_id, now.parent, role, text,
                                 atl_json_double (message, "create_time", 0), error);
          if (parent == 0)
            return FALSE;
        }
      for (guint i = 0; children != NULL && i < json_array_get_length (children); i++)
        {
          JsonNode *child = json_array_get_element (children, i);
          Pending next = { NULL, parent };

          if (!JSON_NODE_HOLDS_VALUE (child) || json_node_get_value_type (child) != G_TYPE_STRING)
            continue;
          next.key = json_node_get_string (child);
          g_array_append_val (pending, next);
        }
    }
  return TRUE;
}

static gboolean
import_chat (Import *import, JsonNode *node, GError **error)
{
  JsonObject *object;

  if (JSON_NODE_HOLDS_ARRAY (node))
    return import_list (import, json_node_get_array (node), NULL, error);
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return refuse (import, error, _ ("expected a chat, found another kind of JSON"));
  object = json_node_get_object (node);
  if (g_str_equal (atl_json_string (object, "format", ""), "atelier-chat"))
    return import_own (import, object, error);
  if (atl_json_object (object, "mapping") != NULL)
    return import_mapping (import, object, atl_json_object (object, "mapping"), error);
  for (guint i = 0; i < 2; i++)
    {
      JsonArray *list = atl_json_array (object, i == 0 ? "messages" : "conversations");

      if (list != NULL && has_versions (list))
        return import_versions (import, object, list, error);
      if (list != NULL)
        return import_list (
            import, list, atl_json_string (object, "title", atl_json_string (object, "name", NULL)),
            error);
    }
  return refuse (import, error,
                 _ ("no chat was found in it: expected one that Atelier, ChatGPT or LM Studio "
                    "exported, or a list of {\"role\", \"content\"}"));
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

GArray *
atl_store_import (AtlStore *self, const char *data, gsize size, const char *name, GError **error)
{
  g_autoptr (GArray) chats = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (JsonNode) root = NULL;
  Import import = { self, name, chats };
  gboolean ok = TRUE;

  if (size > MAX_IMPORT_BYTES)
    {
      refuse (&import, error, _ ("it is larger than 512 MB"));
      return NULL;
    }
  root = atl_json_parse (data, size, name, error);
  if (root == NULL || !atl_db_begin (self, error))
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
