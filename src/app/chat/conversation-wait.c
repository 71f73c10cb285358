/* An answer whose model is still being loaded: asked for as soon as it is there. */
#include "app/chat/conversation-private.h"

#include <glib/gi18n.h>

static void loading_cb (AtlConversation *self);
static void progress_cb (AtlConversation *self);
static void failed_cb (AtlSession *session, const GError *error, const char *name, gpointer data);

void
atl_conversation_wait_end (AtlConversation *self)
{
  g_clear_object (&self->asking);
  g_clear_handle_id (&self->asking_source, g_source_remove);
  g_signal_handlers_disconnect_by_func (self->session, loading_cb, self);
  g_signal_handlers_disconnect_by_func (self->session, progress_cb, self);
  g_signal_handlers_disconnect_by_func (self->session, failed_cb, self);
}

static gboolean
loaded_cb (gpointer data)
{
  AtlConversation *self = data;
  g_autoptr (AtlMessageItem) last = NULL;

  self->asking_source = 0;
  /* Another model took the place of the one that was waited for. */
  if (atl_session_get_is_loading (self->session))
    return G_SOURCE_REMOVE;
  last = g_steal_pointer (&self->asking);
  atl_conversation_wait_end (self);
  if (atl_session_get_model (self->session) != NULL)
    atl_conversation_ask_now (self, last, self->continues);
  else
    atl_conversation_answer_finish (self, NULL);
  return G_SOURCE_REMOVE;
}

/* The session says so before it says what came of it. */
static void
loading_cb (AtlConversation *self)
{
  if (!atl_session_get_is_loading (self->session) && self->asking_source == 0)
    self->asking_source = g_idle_add (loaded_cb, self);
}

static void
progress_cb (AtlConversation *self)
{
  g_autofree char *phase = g_strdup (atl_session_get_load_phase (self->session));

  atl_conversation_answer_phase (self, phase, atl_session_get_load_fraction (self->session));
}

static void
failed_cb (AtlSession *session, const GError *error, const char *name, gpointer data)
{
  g_autoptr (AtlConversation) self = g_object_ref (data);

  atl_conversation_answer_fail (self, error);
}

void
atl_conversation_wait (AtlConversation *self, AtlMessageItem *last, gboolean continues)
{
  g_set_object (&self->asking, last);
  self->continues = continues;
  atl_conversation_answer_phase (self, _ ("Waiting for the model…"), -1);
  g_signal_connect_swapped (self->session, "notify::is-loading", G_CALLBACK (loading_cb), self);
  g_signal_connect_swapped (self->session, "notify::load-fraction", G_CALLBACK (progress_cb), self);
  g_signal_connect (self->session, "load-failed", G_CALLBACK (failed_cb), self);
}
