/* Chats as other programs write them: lists of {"role", "content"}, LM Studio's messages with
 * versions, ChatGPT's tree. */
#define G_LOG_DOMAIN "atl-store"

#include "store/import-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "store/message-rows.h"

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
insert_plain_chat (AtlImport *import, const char *title, const char *system_prompt, GError **error)
{
  g_autofree char *fallback = atl_import_title (import->name);
  gint64 now = g_get_real_time ();
  const AtlChat chat = {
    .title = (char *) (title != NULL ? title : fallback),
    .created_us = now,
    .updated_us = now,
    .system_prompt = (char *) system_prompt,
  };

  return atl_import_chat (import, &chat, error);
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
insert_plain (AtlImport *import,
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

gboolean
atl_import_list (AtlImport *import, JsonArray *list, const char *title, GError **error)
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
        return atl_import_refuse (import, error,
                                  _ ("a message has no known \"role\" (user, assistant, system)"));
      text = content_text (json_object_get_member (
          object, json_object_has_member (object, "content") ? "content" : "value"));
      if (text == NULL)
        return atl_import_refuse (import, error, _ ("a message has no text (\"content\")"));
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
  return chat_id != 0 || atl_import_refuse (import, error, _ ("there is no message in it"));
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
    AtlImport *import, gint64 chat_id, JsonArray *versions, guint i, gint64 *parent, GError **error)
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

gboolean
atl_import_versions (AtlImport *import, JsonObject *object, JsonArray *list, GError **error)
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
        return atl_import_refuse (import, error,
                                  _ ("an entry of its list of messages is no message"));
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
  return chat_id != 0 &&
         (parent != 0 || atl_import_refuse (import, error, _ ("there is no message in it")));
}

typedef struct
{
  const char *key; /* borrowed from the JSON */
  gint64 parent;
} Pending;

/* Walked with a list of our own, each node once, so that neither depth nor a cycle matters. */
gboolean
atl_import_mapping (AtlImport *import, JsonObject *object, JsonObject *mapping, GError **error)
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
