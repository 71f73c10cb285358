/* An answer whose model is still being loaded: asked for as soon as it is there. */
#include "app/chat/conversation-private.h"

#include <glib/gi18n.h>

static void progress_cb (AtlConversation *self);

void
atl_conversation_wait_end (AtlConversation *self)
{
  g_clear_object (&self->asking);
  g_clear_pointer (&self->wait, atl_model_wait_free);
  g_signal_handlers_disconnect_by_func (self->session, progress_cb, self);
}

static void
ready_cb (AtlModel *model, const GError *error, gpointer data)
{
  g_autoptr (AtlConversation) self = g_object_ref (data);
  g_autoptr (AtlMessageItem) last = g_steal_pointer (&self->asking);

  atl_conversation_wait_end (self);
  if (error != NULL)
    atl_conversation_answer_fail (self, error);
  else if (model != NULL)
    atl_conversation_ask_now (self, last, self->continues);
  else
    atl_conversation_answer_finish (self, NULL);
}

static void
progress_cb (AtlConversation *self)
{
  g_autofree char *phase = g_strdup (atl_session_get_load_phase (self->session));

  atl_conversation_answer_phase (self, phase, atl_session_get_load_fraction (self->session));
}

void
atl_conversation_wait (AtlConversation *self, AtlMessageItem *last, gboolean continues)
{
  g_set_object (&self->asking, last);
  self->continues = continues;
  atl_conversation_answer_phase (self, _ ("Waiting for the model…"), -1);
  self->wait = atl_model_wait_new (self->session, ready_cb, self);
  g_signal_connect_swapped (self->session, "notify::load-fraction", G_CALLBACK (progress_cb), self);
}
