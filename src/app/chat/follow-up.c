/* Sums a chat up in pieces that fit, and begins the next one. */
#define G_LOG_DOMAIN "atl-app"

#include "app/chat/follow-up.h"

#include <glib/gi18n.h>

#include "app/chat/conversation-private.h"
#include "client/chat-job.h"

/* Of the context: a piece, the longest summary, and the exchange that comes along with it or alone.
 */
#define PIECE_SHARE 0.5
#define SUMMARY_SHARE 0.15
#define EXCHANGE_SHARE 0.25
#define START_SHARE 0.5
/* Of an exchange that is too long: the question at most. */
#define QUESTION_SHARE 0.25
#define MAX_SUMMARY_TOKENS 700
/* When nothing is known about the chat: fewer characters a token than most languages have. */
#define CHARS_A_TOKEN 2.5
#define MAX_CHARS_A_TOKEN 4.0
#define MIN_PIECE_CHARS 400

typedef struct
{
  AtlConversation *conversation;
  AtlModelWait *wait; /* (nullable) for the model, where it left the memory */
  char **pieces;
  guint next;
  char *summary; /* (nullable) */
  AtlFollowUpProgress progress;
  gpointer progress_data;
} Summing;

static void ask_next (GTask *task);

static void
free_summing (gpointer data)
{
  Summing *summing = data;

  g_strfreev (summing->pieces);
  g_free (summing->summary);
  g_object_unref (summing->conversation);
  g_free (summing);
}

/* --- Pieces --- */

static char *
transcript (AtlConversation *conversation)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < conversation->path->len; i++)
    {
      const AtlMessageItem *item = g_ptr_array_index (conversation->path, i);
      g_autofree char *content = atl_conversation_text_for_model (item);
      if (item->role == ATL_ROLE_SYSTEM || *content == '\0')
        continue;
      g_string_append_printf (text, "%s:\n%s\n\n",
                              item->role == ATL_ROLE_USER ? "User" : "Assistant", content);
    }
  return g_strdup (text->str);
}

char **
atl_follow_up_pieces (AtlConversation *conversation, guint max_chars)
{
  g_autofree char *text = transcript (conversation);
  g_autoptr (GPtrArray) pieces = g_ptr_array_new ();
  const char *p = text;

  while (*p != '\0')
    {
      const char *end = p;
      const char *line = NULL;
      for (guint n = 0; n < max_chars && *end != '\0'; n++, end = g_utf8_next_char (end))
        if (*end == '\n' && n > max_chars / 2)
          line = end + 1;
      if (*end != '\0' && line != NULL)
        end = line;
      g_ptr_array_add (pieces, g_strndup (p, (gsize) (end - p)));
      p = end;
    }
  g_ptr_array_add (pieces, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&pieces), FALSE);
}

/* What the last answer's context held tells how many characters a token has in this chat. */
static double
chars_a_token (AtlConversation *conversation)
{
  g_autofree char *text = transcript (conversation);
  guint n_used, n_total;
  double ratio;

  atl_conversation_get_context (conversation, &n_used, &n_total);
  ratio = n_used > 0 ? 0.9 * (double) g_utf8_strlen (text, -1) / n_used : CHARS_A_TOKEN;
  return CLAMP (ratio, 0.5, MAX_CHARS_A_TOKEN);
}

static guint
context_tokens (AtlConversation *conversation)
{
  guint n_used, n_total;

  atl_conversation_get_context (conversation, &n_used, &n_total);
  return MAX (n_total, 512);
}

static guint
piece_chars (AtlConversation *conversation)
{
  double n_tokens = PIECE_SHARE * context_tokens (conversation);

  return (guint) MAX (n_tokens * chars_a_token (conversation), MIN_PIECE_CHARS);
}

/* --- Asking --- */

static char *
question (const Summing *summing)
{
  const char *piece = summing->pieces[summing->next];
  const char *wish =
      "Write at most 200 words, in the language of the conversation. Keep names, facts, "
      "numbers, decisions and open questions. Answer with the summary only.";

  if (summing->summary == NULL)
    return g_strdup_printf ("Summarise this conversation. %s\n\n%s", wish, piece);
  return g_strdup_printf ("This is a summary of a conversation so far:\n\n%s\n\n"
                          "The conversation went on like this:\n\n%s\n\n"
                          "Summarise the whole conversation. %s",
                          summing->summary, piece, wish);
}

static void
finished_cb (AtlChatJob *job, AtlChatStats *stats, GTask *task)
{
  Summing *summing = g_task_get_task_data (task);
  g_autofree char *text = g_strstrip (g_strdup (atl_chat_job_get_text (job)));

  if (g_task_return_error_if_cancelled (task))
    return;
  if (*text == '\0')
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
                               _ ("The model gave no summary."));
      return;
    }
  g_free (summing->summary);
  summing->summary = g_steal_pointer (&text);
  summing->next++;
  ask_next (task);
}

static void
failed_cb (AtlChatJob *job, GError *error, GTask *task)
{
  g_task_return_error (task, g_error_copy (error));
}

static void
cancelled_cb (GCancellable *cancellable, AtlChatJob *job)
{
  atl_chat_job_stop (job);
}

static void
unref_closure (gpointer data, GClosure *closure)
{
  g_object_unref (data);
}

static void
ask_next (GTask *task)
{
  Summing *summing = g_task_get_task_data (task);
  AtlSession *session = summing->conversation->session;
  AtlModel *model = atl_session_get_model (session);
  GCancellable *cancellable = g_task_get_cancellable (task);
  g_autofree char *asked = NULL;
  g_autofree char *messages = NULL;
  g_autoptr (AtlChatJob) job = NULL;
  g_auto (AtlChatParams) params = { 0 };

  if (summing->pieces[summing->next] == NULL)
    {
      g_task_return_pointer (task, g_steal_pointer (&summing->summary), g_free);
      return;
    }
  if (model == NULL)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
                               _ ("Choose a model first: nobody is there to answer."));
      return;
    }
  if (summing->progress != NULL)
    summing->progress (summing->next + 1, g_strv_length (summing->pieces), summing->progress_data);
  asked = question (summing);
  messages = atl_conversation_one_message (asked);
  atl_chat_params_init (&params);
  params.temperature = 0;
  params.thinking = 0;
  params.max_tokens = (gint) MIN (SUMMARY_SHARE * context_tokens (summing->conversation),
                                  (double) MAX_SUMMARY_TOKENS);
  job = atl_client_chat (atl_session_get_client (session), model, messages, &params);
  g_signal_connect_data (job, "finished", G_CALLBACK (finished_cb), g_object_ref (task),
                         unref_closure, 0);
  g_signal_connect_data (job, "failed", G_CALLBACK (failed_cb), g_object_ref (task), unref_closure,
                         0);
  if (cancellable != NULL)
    g_signal_connect_object (cancellable, "cancelled", G_CALLBACK (cancelled_cb), job, 0);
}

/* --- A model that left the memory --- */

static void gave_up_cb (GCancellable *cancellable, GTask *waiting);

static void
wait_end (GTask *task)
{
  Summing *summing = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);

  g_clear_pointer (&summing->wait, atl_model_wait_free);
  if (cancellable != NULL)
    g_signal_handlers_disconnect_by_func (cancellable, gave_up_cb, task);
}

static void
gave_up_cb (GCancellable *cancellable, GTask *waiting)
{
  g_autoptr (GTask) task = waiting;

  wait_end (task);
  g_task_return_error_if_cancelled (task);
}

static void
ready_cb (AtlModel *model, const GError *error, gpointer waiting)
{
  g_autoptr (GTask) task = waiting;

  wait_end (task);
  if (error != NULL)
    g_task_return_error (task, g_error_copy (error));
  else
    ask_next (task);
}

static void
ask_when_ready (GTask *task)
{
  Summing *summing = g_task_get_task_data (task);
  AtlSession *session = summing->conversation->session;
  GCancellable *cancellable = g_task_get_cancellable (task);

  atl_session_prepare (session, atl_conversation_get_n_ctx (summing->conversation));
  if (!atl_session_get_is_loading (session))
    {
      ask_next (task);
      return;
    }
  summing->wait = atl_model_wait_new (session, ready_cb, g_object_ref (task));
  if (cancellable != NULL)
    g_signal_connect (cancellable, "cancelled", G_CALLBACK (gave_up_cb), task);
}

void
atl_follow_up_summarize_async (AtlConversation *conversation,
                               AtlFollowUpProgress progress,
                               gpointer progress_data,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Summing *summing = g_new0 (Summing, 1);

  summing->conversation = g_object_ref (conversation);
  summing->pieces = atl_follow_up_pieces (conversation, piece_chars (conversation));
  summing->progress = progress;
  summing->progress_data = progress_data;
  g_task_set_task_data (task, summing, free_summing);
  if (summing->pieces[0] == NULL)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
                               _ ("There is nothing to summarise yet."));
      return;
    }
  ask_when_ready (task);
}

char *
atl_follow_up_summarize_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- The new chat --- */

/* The place of the last question that has an answer, or -1. */
static int
last_exchange (AtlConversation *conversation)
{
  for (guint i = conversation->path->len; i-- > 1;)
    {
      const AtlMessageItem *question = g_ptr_array_index (conversation->path, i - 1);
      const AtlMessageItem *answer = g_ptr_array_index (conversation->path, i);

      if (question->role == ATL_ROLE_USER && answer->role == ATL_ROLE_ASSISTANT &&
          answer->content->len > 0)
        return (int) i - 1;
    }
  return -1;
}

/* What was asked after that and found no room, or NULL; borrowed. */
static const AtlMessageItem *
unanswered (AtlConversation *conversation, int exchange)
{
  guint first = exchange >= 0 ? (guint) exchange + 2 : 0;

  for (guint i = conversation->path->len; i-- > first;)
    {
      const AtlMessageItem *item = g_ptr_array_index (conversation->path, i);
      if (item->role == ATL_ROLE_USER)
        return item;
    }
  return NULL;
}

static double
n_chars_for_model (const AtlMessageItem *item)
{
  g_autofree char *text = atl_conversation_text_for_model (item);

  return (double) g_utf8_strlen (text, -1);
}

/* The beginning of a text that is longer than so many characters, whole words. The caller's. */
static char *
beginning_of (const char *text, double max_chars)
{
  char *end, *space;
  g_autofree char *cut = NULL;

  if ((double) g_utf8_strlen (text, -1) <= max_chars)
    return g_strdup (text);
  end = g_utf8_offset_to_pointer (text, (glong) max_chars);
  cut = g_strndup (text, (gsize) (end - text));
  space = strrchr (cut, ' ');
  if (space != NULL && space > cut)
    *space = '\0';
  return g_strconcat (cut, " …", NULL);
}

/* Its end, from the first line that begins there, or else word. The caller's. */
static char *
end_of (const char *text, double max_chars)
{
  glong n = g_utf8_strlen (text, -1);
  const char *start, *line, *space;

  if ((double) n <= max_chars)
    return g_strdup (text);
  start = g_utf8_offset_to_pointer (text, n - (glong) max_chars);
  line = strchr (start, '\n');
  space = strchr (start, ' ');
  if (line != NULL && line[1] != '\0' && line - start < (text + strlen (text) - start) / 2)
    start = line + 1;
  else if (space != NULL && space[1] != '\0')
    start = space + 1;
  return g_strconcat ("… ", start, NULL);
}

static gint64
add_answer (AtlStore *store,
            gint64 chat,
            gint64 parent,
            const AtlMessageItem *item,
            const char *text,
            GError **error)
{
  gint64 id = atl_store_answer_begin (store, chat, parent, item->model_name, error);

  if (id == 0 ||
      !atl_store_answer_finish (store, id, ATL_MESSAGE_COMPLETE, text, NULL, NULL, NULL, error))
    return 0;
  return id;
}

/* Question and answer below `parent`, cut to `room` characters: of the answer its end, where the
 * chat goes on, of a long question its beginning, without its files. The id of the answer or 0. */
static gint64
add_exchange (AtlConversation *conversation,
              int exchange,
              double room,
              gint64 chat,
              gint64 parent,
              GError **error)
{
  AtlStore *store = atl_session_get_store (conversation->session);
  const AtlMessageItem *question = g_ptr_array_index (conversation->path, exchange);
  const AtlMessageItem *answer = g_ptr_array_index (conversation->path, exchange + 1);
  double n_asked = n_chars_for_model (question), n_answered = n_chars_for_model (answer);
  g_autofree char *asked = NULL;
  g_autofree char *answered = NULL;
  g_autofree char *files = NULL;

  if (n_asked + n_answered <= room || n_asked <= QUESTION_SHARE * room)
    {
      asked = g_strdup (question->content->str);
      files = atl_attachments_to_json (question->attachments);
    }
  else
    asked = beginning_of (question->content->str, QUESTION_SHARE * room);
  n_asked = files != NULL ? n_asked : (double) g_utf8_strlen (asked, -1);
  answered = end_of (answer->content->str, MAX (room - n_asked, 1));
  parent = atl_store_message_add (store, chat, parent, ATL_ROLE_USER, asked, files, error);
  return parent != 0 ? add_answer (store, chat, parent, answer, answered, error) : 0;
}

/* What was attached to a question that found no room waits with it. It may be what was too long: a
 * person can take it off again. */
static gboolean
keep_files (AtlStore *store, gint64 chat, GPtrArray *files, GError **error)
{
  g_autoptr (GPtrArray) own = atl_attachments_new ();

  for (guint i = 0; i < files->len; i++)
    {
      const AtlAttachment *file = files->pdata[i];

      g_ptr_array_add (own, atl_attachment_new (file->name, file->mime, g_strdup (file->text)));
    }
  return own->len == 0 || atl_store_draft_files_set (store, chat, own, error);
}

/* Lists show the beginning of a title: what tells two chats apart comes first, and once. */
static char *
follow_up_title (AtlConversation *conversation)
{
  const char *title = atl_conversation_get_title (conversation);
  /* TRANSLATORS: the title of a chat that goes on where a full one ended */
  g_autofree char *prefix = g_strdup_printf (_ ("Continued: %s"), "");

  return *title == '\0' || g_str_has_prefix (title, prefix)
             ? g_strdup (title)
             : g_strdup_printf (_ ("Continued: %s"), title);
}

gint64
atl_follow_up_start (AtlConversation *conversation, const char *summary, GError **error)
{
  AtlStore *store = atl_session_get_store (conversation->session);
  int exchange = last_exchange (conversation);
  const AtlMessageItem *waiting = unanswered (conversation, exchange);
  double n_chars = context_tokens (conversation) * chars_a_token (conversation);
  g_autoptr (AtlChat) chat = NULL;
  g_autofree char *title = NULL;
  gint64 id, parent = 0;

  id = atl_store_chat_add (store, conversation->folder_id, error);
  chat = id != 0 ? atl_store_chat_get (store, id, error) : NULL;
  if (chat == NULL)
    return 0;
  g_clear_pointer (&chat->system_prompt, g_free);
  g_clear_pointer (&chat->settings_json, g_free);
  g_clear_pointer (&chat->draft, g_free);
  chat->system_prompt = g_strdup (conversation->system_prompt);
  chat->settings_json = atl_conversation_settings_to_json (conversation);
  chat->draft = waiting != NULL ? g_strdup (waiting->content->str) : NULL;
  if (!atl_store_chat_update (store, chat,
                              ATL_CHAT_SYSTEM_PROMPT | ATL_CHAT_SETTINGS | ATL_CHAT_DRAFT, error))
    return 0;
  if (waiting != NULL && !keep_files (store, id, waiting->attachments, error))
    return 0;
  if (summary != NULL)
    {
      parent = atl_store_message_add (
          store, id, 0, ATL_ROLE_USER,
          _ ("Summarise our conversation so far, so that we can go on from here."), NULL, error);
      parent = parent != 0 ? atl_store_message_add (store, id, parent, ATL_ROLE_ASSISTANT, summary,
                                                    NULL, error)
                           : 0;
      if (parent == 0)
        return 0;
    }
  if (exchange >= 0)
    {
      parent = add_exchange (conversation, exchange,
                             n_chars * (summary != NULL ? EXCHANGE_SHARE : START_SHARE), id, parent,
                             error);
      if (parent == 0)
        return 0;
    }
  title = follow_up_title (conversation);
  atl_store_chat_suggest_title (store, id, title, NULL);
  atl_session_emit_chats_changed (conversation->session);
  return id;
}
