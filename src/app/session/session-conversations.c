/* One conversation object a chat, found by its id, kept alive while it answers; one list of
 * attached files a chat, kept on disk. */
#include "app/chat/conversation.h"
#include "app/session/session-private.h"
#include "store/chats.h"

AtlConversation *
atl_session_open_conversation (AtlSession *self, gint64 chat_id)
{
  GWeakRef *weak = g_hash_table_lookup (self->conversations, &chat_id);
  AtlConversation *conversation = weak ? g_weak_ref_get (weak) : NULL;

  if (conversation == NULL)
    {
      conversation = atl_conversation_new (self, chat_id);
      atl_session_conversation_changed (self, conversation);
    }
  return conversation;
}

void
atl_session_free_weak (gpointer data)
{
  g_weak_ref_clear (data);
  g_free (data);
}

void
atl_session_conversation_changed (AtlSession *self, AtlConversation *conversation)
{
  gint64 id = atl_conversation_get_chat_id (conversation);
  gboolean running = atl_conversation_get_is_running (conversation);
  guint index;

  if (id != 0)
    {
      GWeakRef *weak = g_new0 (GWeakRef, 1);
      g_weak_ref_init (weak, conversation);
      g_hash_table_replace (self->conversations, g_memdup2 (&id, sizeof id), weak);
    }
  if (running && !g_ptr_array_find (self->running, conversation, NULL))
    g_ptr_array_add (self->running, g_object_ref (conversation));
  else if (!running && g_ptr_array_find (self->running, conversation, &index))
    {
      g_ptr_array_remove_index (self->running, index);
      atl_session_unload_retired (self);
      atl_session_restart_idle_timer (self);
    }
}

AtlConversation *
atl_session_get_running (AtlSession *self)
{
  return self->running->len > 0 ? g_ptr_array_index (self->running, 0) : NULL;
}

gboolean
atl_session_is_answering (AtlSession *self, gint64 chat_id)
{
  for (guint i = 0; i < self->running->len; i++)
    if (atl_conversation_get_chat_id (self->running->pdata[i]) == chat_id)
      return TRUE;
  return FALSE;
}

/* --- Attached files --- */

static void
files_changed_cb (AtlAttachedFiles *files, AtlSession *self)
{
  GHashTableIter iter;
  gpointer id, value;

  g_hash_table_iter_init (&iter, self->files);
  while (g_hash_table_iter_next (&iter, &id, &value))
    if (value == files)
      atl_saver_put_draft_files (self->saver, *(gint64 *) id, atl_attached_files_get (files));
}

static void
files_notice_cb (AtlAttachedFiles *files, const char *sentence, AtlSession *self)
{
  atl_session_emit_notice (self, sentence);
}

static AtlAttachedFiles *
add_files (AtlSession *self, gint64 chat_id, GPtrArray *list)
{
  AtlAttachedFiles *files = atl_attached_files_new (list);

  g_signal_connect_object (files, "changed", G_CALLBACK (files_changed_cb), self, 0);
  g_signal_connect_object (files, "notice", G_CALLBACK (files_notice_cb), self, 0);
  g_hash_table_replace (self->files, g_memdup2 (&chat_id, sizeof chat_id), files);
  return files;
}

AtlAttachedFiles *
atl_session_get_attached_files (AtlSession *self, gint64 chat_id)
{
  AtlAttachedFiles *files = g_hash_table_lookup (self->files, &chat_id);
  g_autoptr (GPtrArray) list = NULL;
  g_autoptr (GError) error = NULL;

  if (files != NULL)
    return files;
  list = atl_store_draft_files (self->store, chat_id, &error);
  if (list == NULL)
    atl_session_emit_notice (self, error->message);
  return add_files (self, chat_id, list);
}

/* The next new chat begins without files even while these are still on their way to the disk. */
void
atl_session_hand_over_files (AtlSession *self, gint64 chat_id)
{
  const gint64 none = 0;
  AtlAttachedFiles *files = g_hash_table_lookup (self->files, &none);

  if (files == NULL)
    return;
  g_hash_table_replace (self->files, g_memdup2 (&chat_id, sizeof chat_id), g_object_ref (files));
  add_files (self, 0, NULL);
  if (atl_attached_files_get (files)->len > 0)
    atl_saver_put_draft_files (self->saver, chat_id, atl_attached_files_get (files));
}

void
atl_session_forget_files (AtlSession *self)
{
  GHashTableIter iter;
  gpointer id;

  g_hash_table_iter_init (&iter, self->files);
  while (g_hash_table_iter_next (&iter, &id, NULL))
    if (*(gint64 *) id != 0 && atl_store_chat_is_destroyed (self->store, *(gint64 *) id))
      g_hash_table_iter_remove (&iter);
}
