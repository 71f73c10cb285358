/* A chat's title, asked from the model after the conversation so that its cached prefix survives.
 */
#define G_LOG_DOMAIN "atl-client"

#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "base/json-bounded.h"
#include "client/client-private.h"

#define MAX_TITLE_CHARS 60
#define MAX_TITLE_TOKENS 24

/* The conversation with the question for a title at its end; NULL when it is no conversation. */
static char *
add_question (const char *messages, GError **error)
{
  g_autoptr (JsonNode) root = atl_json_parse (messages, strlen (messages), "messages", error);
  g_autoptr (JsonBuilder) builder = NULL;
  g_autoptr (JsonNode) result = NULL;
  JsonArray *array;

  if (root == NULL)
    return NULL;
  if (!JSON_NODE_HOLDS_ARRAY (root))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("messages: a JSON array was expected"));
      return NULL;
    }
  builder = json_builder_new ();
  array = json_node_get_array (root);
  json_builder_begin_array (builder);
  for (guint i = 0; i < json_array_get_length (array); i++)
    json_builder_add_value (builder, json_array_dup_element (array, i));
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "role");
  json_builder_add_string_value (builder, "user");
  json_builder_set_member_name (builder, "content");
  json_builder_add_string_value (
      builder, "Write a title of three to six words for this conversation, in its language. "
               "Answer with the title only.");
  json_builder_end_object (builder);
  json_builder_end_array (builder);
  result = json_builder_get_root (builder);
  return json_to_string (result, FALSE);
}

/* The first line without quotes, Markdown and full stop, at most MAX_TITLE_CHARS long. */
static char *
clean_title (const char *text)
{
  g_autofree char *line = g_strstrip (g_strdup (text));
  char *start = line, *end;

  start[strcspn (start, "\r\n")] = '\0';
  if (g_ascii_strncasecmp (start, "title:", 6) == 0)
    start += 6;
  start += strspn (start, " \t\"'*#_`");
  end = start + strlen (start);
  while (end > start && strchr (" \t\"'*#_`.", end[-1]) != NULL)
    *--end = '\0';
  if (g_utf8_strlen (start, -1) > MAX_TITLE_CHARS)
    {
      g_autofree char *head = g_utf8_substring (start, 0, MAX_TITLE_CHARS - 1);

      return g_strconcat (g_strchomp (head), "…", NULL);
    }
  return g_strdup (start);
}

static void
title_finished_cb (AtlChatJob *job, AtlChatStats *stats, GTask *task)
{
  g_autofree char *title = clean_title (atl_chat_job_get_text (job));

  if (g_task_return_error_if_cancelled (task))
    return;
  if (*title == '\0')
    g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("The model gave no title"));
  else
    g_task_return_pointer (task, g_steal_pointer (&title), g_free);
}

static void
title_failed_cb (AtlChatJob *job, GError *error, GTask *task)
{
  g_task_return_error (task, g_error_copy (error));
}

static void
title_cancelled_cb (GCancellable *cancellable, AtlChatJob *job)
{
  atl_chat_job_stop (job);
}

void
atl_client_title_async (AtlClient *self,
                        AtlModel *model,
                        const char *messages,
                        const char *conversation,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  g_autoptr (AtlChatJob) job = NULL;
  g_autofree char *asked = NULL;
  g_auto (AtlChatParams) params = { 0 };
  GError *error = NULL;

  g_return_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model) && messages != NULL);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_title_async);
  asked = add_question (messages, &error);
  if (asked == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  atl_chat_params_init (&params);
  params.temperature = 0;
  params.max_tokens = MAX_TITLE_TOKENS;
  params.thinking = 0;
  params.conversation = g_strdup (conversation);
  job = atl_client_chat (self, model, asked, &params);
  g_signal_connect_data (job, "finished", G_CALLBACK (title_finished_cb), g_object_ref (task),
                         (GClosureNotify) (void (*) (void)) g_object_unref, 0);
  g_signal_connect_data (job, "failed", G_CALLBACK (title_failed_cb), g_object_ref (task),
                         (GClosureNotify) (void (*) (void)) g_object_unref, 0);
  if (cancellable != NULL)
    g_signal_connect_object (cancellable, "cancelled", G_CALLBACK (title_cancelled_cb), job, 0);
}

char *
atl_client_title_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
