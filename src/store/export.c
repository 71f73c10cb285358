/* A chat as text: Markdown to read, JSON to keep. */
#define G_LOG_DOMAIN "atl-store"

#include "store/transfer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "store/chats.h"
#include "store/message-rows.h"
#include "store/tree.h"

static void
append_attachments (GString *out, const char *attachments_json)
{
  g_autoptr (JsonNode) node =
      atl_json_parse (attachments_json, strlen (attachments_json), "Attachments", NULL);
  JsonArray *array;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node))
    return;
  array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *item = json_array_get_element (array, i);

      if (JSON_NODE_HOLDS_OBJECT (item))
        g_string_append_printf (out, "*%s %s*\n\n", _ ("Attached:"),
                                atl_json_string (json_node_get_object (item), "name", "?"));
    }
}

/* How many marks of a code fence LINE begins with, 0 when it is none; REST is what follows them. */
static gsize
fence_length (const char *line, const char **rest)
{
  gsize indent = strspn (line, " "), n;

  line += indent;
  if (indent > 3 || (line[0] != '`' && line[0] != '~'))
    return 0;
  n = strspn (line, line[0] == '`' ? "`" : "~");
  *rest = line + n;
  return n >= 3 && (line[0] == '~' || strchr (line + n, '`') == NULL) ? n : 0;
}

/* A code block that the text leaves open is closed here: it would swallow all messages after it. */
static void
append_text (GString *out, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  gsize open = 0;
  char mark = 0;

  for (guint i = 0; lines[i] != NULL; i++)
    {
      const char *rest = "";
      gsize n = fence_length (lines[i], &rest);

      if (n > 0 && open == 0)
        {
          open = n;
          mark = rest[-1];
        }
      else if (n >= open && n > 0 && rest[-1] == mark && rest[strspn (rest, " \t\r")] == '\0')
        open = 0;
    }
  g_string_append (out, text);
  if (open > 0 && !g_str_has_suffix (text, "\n"))
    g_string_append_c (out, '\n');
  for (gsize i = 0; i < open; i++)
    g_string_append_c (out, mark);
  g_string_append (out, "\n\n");
}

static void
append_message (GString *out, const AtlMessage *message)
{
  static const char *const headings[] = {
    [ATL_ROLE_SYSTEM] = N_ ("System"),
    [ATL_ROLE_USER] = N_ ("You"),
    [ATL_ROLE_ASSISTANT] = N_ ("Assistant"),
    [ATL_ROLE_TOOL] = N_ ("Tool"),
  };

  g_string_append_printf (out, "## %s", _ (headings[message->role]));
  if (message->role == ATL_ROLE_ASSISTANT && message->model_name != NULL)
    g_string_append_printf (out, " (%s)", message->model_name);
  g_string_append (out, "\n\n");
  if (message->attachments_json != NULL)
    append_attachments (out, message->attachments_json);
  if (message->thinking != NULL && message->thinking[0] != '\0')
    {
      g_string_append_printf (out, "<details><summary>%s</summary>\n\n", _ ("Thinking"));
      append_text (out, message->thinking);
      g_string_append (out, "</details>\n\n");
    }
  append_text (out, message->content);
  if (message->state == ATL_MESSAGE_ERROR)
    {
      g_autofree char *words =
          g_strdup_printf (_ ("This answer ended with an error: %s"),
                           message->error_text != NULL ? message->error_text : _ ("unknown"));
      g_string_append_printf (out, "*%s*\n\n", words);
    }
  else if (message->state != ATL_MESSAGE_COMPLETE)
    g_string_append_printf (out, "*%s*\n\n", _ ("This answer was interrupted."));
}

char *
atl_store_export_markdown (AtlStore *self, gint64 chat_id, GError **error)
{
  g_autoptr (AtlChat) chat = atl_store_chat_get (self, chat_id, error);
  g_autoptr (GPtrArray) path = NULL;
  GString *out;

  if (chat == NULL)
    return NULL;
  path = atl_store_message_list (self, chat_id, error);
  if (path == NULL)
    return NULL;
  out = g_string_new (NULL);
  g_string_append_printf (out, "# %s\n\n", chat->title[0] != '\0' ? chat->title : _ ("Chat"));
  if (chat->system_prompt != NULL && chat->system_prompt[0] != '\0')
    {
      g_string_append_printf (out, "## %s\n\n", _ ("System"));
      append_text (out, chat->system_prompt);
    }
  for (guint i = 0; i < path->len; i++)
    append_message (out, path->pdata[i]);
  return g_string_free (out, FALSE);
}

/* Leaves absent values out. */
static void
set_text (JsonObject *object, const char *member, const char *text)
{
  if (text != NULL)
    json_object_set_string_member (object, member, text);
}

/* JSON text as a value inside ours; text that is no JSON is kept as a string. */
static void
set_json (JsonObject *object, const char *member, const char *json)
{
  g_autoptr (JsonNode) node =
      json != NULL ? atl_json_parse (json, strlen (json), member, NULL) : NULL;

  if (node != NULL)
    json_object_set_member (object, member, g_steal_pointer (&node));
  else
    set_text (object, member, json);
}

/* Places in the exported list, from 1, stand for ids: the same chat always exports the same. */
static JsonObject *
message_object (const AtlMessage *message, const AtlTree *tree, int index)
{
  static const char *const states[] = { "complete", "interrupted", "interrupted", "error" };
  JsonObject *object = json_object_new ();
  int shown = atl_tree_shown (tree, index);

  json_object_set_int_member (object, "id", index + 1);
  if (tree->node[index].parent >= 0)
    json_object_set_int_member (object, "parent", tree->node[index].parent + 1);
  if (shown >= 0)
    json_object_set_int_member (object, "shown_child", shown + 1);
  set_text (object, "role", atl_role_name (message->role));
  set_text (object, "state", states[message->state]);
  set_text (object, "content", message->content);
  set_text (object, "thinking", message->thinking);
  set_json (object, "attachments", message->attachments_json);
  set_text (object, "error", message->error_text);
  set_text (object, "error_name", message->error_name);
  set_json (object, "stats", message->stats_json);
  set_text (object, "model", message->model_name);
  json_object_set_int_member (object, "created_us", message->created_us);
  return object;
}

static JsonObject *
chat_object (const AtlChat *chat)
{
  JsonObject *object = json_object_new ();

  set_text (object, "format", "atelier-chat");
  json_object_set_int_member (object, "version", 1);
  set_text (object, "title", chat->title);
  json_object_set_boolean_member (object, "auto_title", chat->auto_title);
  json_object_set_boolean_member (object, "pinned", chat->pinned);
  json_object_set_int_member (object, "created_us", chat->created_us);
  json_object_set_int_member (object, "updated_us", chat->updated_us);
  set_text (object, "model_id", chat->model_id);
  set_json (object, "settings", chat->settings_json);
  set_text (object, "draft", chat->draft);
  set_text (object, "system_prompt", chat->system_prompt);
  return object;
}

char *
atl_store_export_json (AtlStore *self, gint64 chat_id, GError **error)
{
  g_autoptr (AtlChat) chat = atl_store_chat_get (self, chat_id, error);
  g_autoptr (AtlTree) tree = NULL;
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object;
  JsonArray *messages;

  if (chat == NULL)
    return NULL;
  tree = atl_tree_load (self, chat_id, error);
  if (tree == NULL)
    return NULL;
  object = chat_object (chat);
  json_node_take_object (root, object);
  if (atl_tree_shown (tree, -1) >= 0)
    json_object_set_int_member (object, "shown_root", atl_tree_shown (tree, -1) + 1);
  messages = json_array_new ();
  json_object_set_array_member (object, "messages", messages);
  for (int i = 0; i < tree->n; i++)
    {
      g_autoptr (GError) local = NULL;
      g_autoptr (AtlMessage) message = atl_message_read (self, tree->node[i].id, &local);

      if (message != NULL)
        json_array_add_object_element (messages, message_object (message, tree, i));
      else if (local != NULL && g_error_matches (local, ATL_ERROR, ATL_ERROR_BAD_FILE))
        atl_store_report (self, "%s", local->message);
      else if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
    }
  return json_to_string (root, TRUE);
}
