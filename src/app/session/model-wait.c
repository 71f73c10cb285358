/* The end of loading, told to somebody who waits for it. */
#include "app/session/model-wait.h"

struct _AtlModelWait
{
  AtlSession *session; /* borrowed */
  AtlModelReady ready;
  gpointer data;
  guint source; /* loading ended: what came of it is looked at in a moment */
};

static gboolean
ended_cb (gpointer data)
{
  AtlModelWait *self = data;

  self->source = 0;
  /* Otherwise another model took the place of the one that was waited for. */
  if (!atl_session_get_is_loading (self->session))
    self->ready (atl_session_get_model (self->session), NULL, self->data);
  return G_SOURCE_REMOVE;
}

/* The session says so before it says what came of it. */
static void
loading_cb (AtlModelWait *self)
{
  if (!atl_session_get_is_loading (self->session) && self->source == 0)
    self->source = g_idle_add (ended_cb, self);
}

static void
failed_cb (AtlSession *session, const GError *error, const char *name, AtlModelWait *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  self->ready (NULL, error, self->data);
}

AtlModelWait *
atl_model_wait_new (AtlSession *session, AtlModelReady ready, gpointer data)
{
  AtlModelWait *self = g_new0 (AtlModelWait, 1);

  self->session = session;
  self->ready = ready;
  self->data = data;
  g_signal_connect_swapped (session, "notify::is-loading", G_CALLBACK (loading_cb), self);
  g_signal_connect (session, "load-failed", G_CALLBACK (failed_cb), self);
  return self;
}

void
atl_model_wait_free (AtlModelWait *self)
{
  if (self == NULL)
    return;
  g_clear_handle_id (&self->source, g_source_remove);
  g_signal_handlers_disconnect_by_data (self->session, self);
  g_free (self);
}
