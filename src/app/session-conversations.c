/* One conversation object a chat, found by its id, kept alive while it answers. */
#include "app/chat/conversation.h"
#include "app/session-private.h"

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
