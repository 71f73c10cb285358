/* What could not be saved is told once, and taken back when it can be again. */
#define G_LOG_DOMAIN "atl-app"

#include "app/session/session-private.h"

static void
emit (AtlSession *self, const char *sentence)
{
  self->in_trouble = sentence != NULL;
  g_signal_emit_by_name (self, "trouble", sentence);
}

void
atl_session_emit_trouble (AtlSession *self, const char *sentence)
{
  g_return_if_fail (sentence != NULL);
  emit (self, sentence);
}

void
atl_session_emit_error (AtlSession *self, const GError *error)
{
  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL))
    emit (self, error->message);
  else
    atl_session_emit_notice (self, error->message);
}

void
atl_session_saved (AtlSession *self)
{
  if (self->in_trouble && !atl_saver_get_is_failing (self->saver))
    emit (self, NULL);
}

void
atl_session_watch_saver (AtlSession *self)
{
  gboolean failing = atl_saver_get_is_failing (self->saver);
  g_autofree char *sentence = atl_saver_take_trouble (self->saver);

  if (sentence != NULL)
    emit (self, sentence);
  if (self->saver_in_trouble && !failing)
    atl_session_saved (self);
  self->saver_in_trouble = failing;
}
