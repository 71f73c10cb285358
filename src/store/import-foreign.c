/* Chats as other programs write them: lists of {"role", "content"} (Jan's too), LM Studio's
 * messages with versions, ChatGPT's tree. */
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
        {
          JsonObject *object = json_node_get_object (part);
          JsonObject *inner = atl_json_object (object, "text");

          piece = inner != NULL ? atl_json_string (inner, "value", NULL)
                                : atl_json_string (object, "text", NULL);
        }
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

/* Seconds since 1970 as others write them, some in thousandths; nonsense becomes now. */
static gint64
time_us (double time_s)
{
  if (time_s >= 1e11)
    time_s /= 1000;
  return time_s > 0 && time_s < 1e11 ? (gint64) (time_s * G_USEC_PER_SEC) : g_get_real_time ();
}

/* `updated_s` 0: when it was begun. */
static gint64
insert_plain_chat (AtlImport *import,
                   const char *title,
                   const char *system_prompt,
                   double created_s,
                   double updated_s,
                   GError **error)
{
  g_autofree char *fallback = atl_import_title (import->name);
  const gboolean is_untitled = title == NULL || *title == '\0';
  const AtlChat chat = {
    .title = (char *) (is_untitled ? fallback : title),
    .created_us = time_us (created_s),
    .updated_us = time_us (updated_s > 0 ? updated_s : created_s),
    .system_prompt = (char *) system_prompt,
  };

  import->is_untitled = is_untitled;
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

typedef struct
{
  AtlRole role;
  const char *text;
  const char *thinking; /* (nullable) NULL: maybe in the text */
  const char *model;    /* (nullable) */
  double created_s;     /* 0: not known */
} Plain;

static gint64
insert_plain (AtlImport *import, gint64 chat_id, gint64 parent, const Plain *plain, GError **error)
{
  gboolean is_answer = plain->role == ATL_ROLE_ASSISTANT;
  const char *text = plain->text;
  g_autofree char *thinking = is_answer && plain->thinking == NULL ? split_thinking (text, &text)
                                                                   : g_strdup (plain->thinking);
  const AtlMessage message = {
    .chat_id = chat_id,
    .parent_id = parent,
    .role = plain->role,
    .state = ATL_MESSAGE_COMPLETE,
    .content = (char *) text,
    .thinking = thinking,
    .model_name = (char *) (is_answer ? plain->model : NULL),
    .created_us = time_us (plain->created_s),
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
          chat_id = insert_plain_chat (import, title, role == ATL_ROLE_SYSTEM ? text : NULL,
                                       atl_json_double (object, "created_at", 0), 0, error);
          if (chat_id == 0)
            return FALSE;
          if (role == ATL_ROLE_SYSTEM)
            continue;
        }
      parent = insert_plain (import, chat_id, parent,
                             &(const Plain){
                                 .role = role,
                                 .text = text,
                                 .created_s = atl_json_double (object, "created_at", 0),
                             },
                             error);
      if (parent == 0)
        return FALSE;
    }
  return chat_id != 0 || atl_import_refuse (import, error, _ ("there is no message in it"));
}

static gboolean
is_thought (JsonObject *step)
{
  JsonObject *style = atl_json_object (step, "style");

  return style != NULL && g_str_equal (atl_json_string (style, "type", ""), "thinking");
}

/* One version of a message of LM Studio: its own content, or that of its steps; other steps are
 * tool calls and the like. The caller's, "" when there is no text. `thinking`: NULL when none. */
static char *
version_text (JsonObject *version, char **thinking)
{
  JsonArray *steps = atl_json_array (version, "steps");
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) thoughts = g_string_new (NULL);
  g_autofree char *own = content_text (json_object_get_member (version, "content"));

  if (own != NULL)
    g_string_append (text, own);
  for (guint i = 0; steps != NULL && i < json_array_get_length (steps); i++)
    {
      JsonNode *node = json_array_get_element (steps, i);
      JsonObject *step = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      g_autofree char *piece = NULL;
      GString *to;

      if (step == NULL || !g_str_equal (atl_json_string (step, "type", ""), "contentBlock"))
        continue;
      to = is_thought (step) ? thoughts : text;
      piece = content_text (json_object_get_member (step, "content"));
      if (piece != NULL && *g_strstrip (piece) != '\0')
        g_string_append_printf (to, "%s%s", to->len > 0 ? "\n\n" : "", piece);
    }
  *thinking = thoughts->len > 0 ? g_strdup (thoughts->str) : NULL;
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static gboolean
insert_version (
    AtlImport *import, gint64 chat_id, JsonArray *versions, guint i, gint64 *parent, GError **error)
{
  JsonNode *node = json_array_get_element (versions, i);
  JsonObject *version = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonObject *sender = version != NULL ? atl_json_object (version, "senderInfo") : NULL;
  g_autofree char *thinking = NULL;
  g_autofree char *text = version != NULL ? version_text (version, &thinking) : NULL;
  Plain plain = { .text = text, .thinking = thinking };
  gint64 id;

  if (text == NULL || (*text == '\0' && thinking == NULL) ||
      !role_of (atl_json_string (version, "role", ""), &plain.role))
    return TRUE;
  plain.model = sender != NULL ? atl_json_string (sender, "senderName", NULL) : NULL;
  id = insert_plain (import, chat_id, *parent, &plain, error);
  if (id == 0)
    return FALSE;
  *parent = id;
  return TRUE;
}

/* Newer versions of LM Studio keep it among settings; borrowed, (nullable). */
static const char *
system_prompt_of (JsonObject *object)
{
  JsonObject *config = atl_json_object (object, "perChatPredictionConfig");
  JsonArray *fields = config != NULL ? atl_json_array (config, "fields") : NULL;
  const char *prompt = atl_json_string (object, "systemPrompt", "");

  for (guint i = 0; *prompt == '\0' && fields != NULL && i < json_array_get_length (fields); i++)
    {
      JsonNode *node = json_array_get_element (fields, i);
      JsonObject *field = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

      if (field != NULL &&
          g_str_equal (atl_json_string (field, "key", ""), "llm.prediction.systemPrompt"))
        prompt = atl_json_string (field, "value", "");
    }
  return *prompt != '\0' ? prompt : NULL;
}

gboolean
atl_import_versions (AtlImport *import, JsonObject *object, JsonArray *list, GError **error)
{
  gint64 parent = 0;
  gint64 chat_id = insert_plain_chat (
      import, atl_json_string (object, "name", atl_json_string (object, "title", NULL)),
      system_prompt_of (object), atl_json_double (object, "createdAt", 0),
      atl_json_double (object, "assistantLastMessagedAt", 0), error);

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
  gint64 chat_id = insert_plain_chat (import, atl_json_string (object, "title", NULL), NULL,
                                      atl_json_double (object, "create_time", 0),
                                      atl_json_double (object, "update_time", 0), error);
  const char *shown = atl_json_string (object, "current_node", "");
  gint64 shown_id = 0;
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
      JsonObject *metadata = message != NULL ? atl_json_object (message, "metadata") : NULL;
      g_autofree char *text = NULL;
      gint64 parent = now.parent;
      Plain plain = { 0 };

      if (node == NULL || !g_hash_table_add (seen, (gpointer) now.key))
        continue;
      if (content != NULL)
        text = content_text (json_object_get_member (content, "parts"));
      /* Nodes without text (the root, tool calls) hand their children to their own parent. */
      if (text != NULL && text[0] != '\0' &&
          role_of (atl_json_string (author, "role", ""), &plain.role))
        {
          plain.text = text;
          plain.created_s = atl_json_double (message, "create_time", 0);
          plain.model = metadata != NULL ? atl_json_string (metadata, "model_slug", NULL) : NULL;
          parent = insert_plain (import, chat_id, now.parent, &plain, error);
          if (parent == 0)
            return FALSE;
        }
      if (g_str_equal (now.key, shown))
        shown_id = parent;
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
  /* Else the newest of each. */
  return shown_id == 0 || atl_message_show_path (import->store, shown_id, error);
}
