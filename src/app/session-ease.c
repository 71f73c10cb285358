/* What a person chose for a model is no reason to be without it: a load that fails because of such
 * a choice is begun again without. */
#include "app/session-private.h"

#include <glib/gi18n.h>

/* A model that only makes answers faster is no reason to be without the other. */
static void
drop_draft (AtlSession *self, const GError *error)
{
  g_autofree char *sentence =
      g_strdup_printf (_ ("The draft model is not used this time: %s"), error->message);

  self->load_drops_draft = TRUE;
  atl_session_emit_notice (self, sentence);
}

/* Another file may lie where the one lay for which the person chose. */
static void
drop_kv_type (AtlSession *self, const GError *error)
{
  atl_session_set_kv_type (self, self->load_paths[0], NULL);
  atl_session_emit_notice (self, error->message);
}

gboolean
atl_session_ease_choices (AtlSession *self, const GError *error)
{
  if (self->load_has_draft)
    drop_draft (self, error);
  else if (self->load_has_kv_type && g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    drop_kv_type (self, error);
  else
    return FALSE;
  return TRUE;
}

/* The number was asked for with one model and holds for all that are loaded after it. */
gboolean
atl_session_ease_context (AtlSession *self, const GError *error)
{
  if (self->n_ctx == 0 || (!g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY) &&
                           !g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID)))
    return FALSE;
  self->refused_n_ctx = self->n_ctx;
  self->n_ctx = 0;
  return TRUE;
}

void
atl_session_tell_loaded (AtlSession *self, AtlModel *model)
{
  const AtlModelInfo *info = atl_model_get_info (model);

  if (self->refused_n_ctx != 0 && info->n_ctx < self->refused_n_ctx)
    {
      g_autofree char *words =
          g_strdup_printf (_ ("The context is %u instead of %u tokens, so that the model fits "
                              "into memory."),
                           info->n_ctx, self->refused_n_ctx);

      atl_session_emit_notice (self, words);
      /* Where the engine says the same of a length that nobody asked for. */
      if (!self->load_from_disk)
        return;
    }
  if (info->notice[0] != '\0')
    atl_session_emit_notice (self, info->notice);
}
