/* What a person chose for a model is no reason to be without it: a load that fails because of such
 * a choice is begun again without. */
#include "app/session/session-private.h"

#include <glib/gi18n.h>

/* Files are asked for only where opening one has failed: they may lie on a slow disk. */
static char **
present_adapters (const char *const *adapters)
{
  g_autoptr (GStrvBuilder) present = g_strv_builder_new ();

  for (; *adapters != NULL; adapters++)
    {
      g_autofree char *path = atl_adapter_parse (*adapters, NULL);

      if (g_file_test (path, G_FILE_TEST_EXISTS))
        g_strv_builder_add (present, *adapters);
    }
  return g_strv_builder_end (present);
}

static void
set_adapters (AtlSessionLoad *load, char **adapters)
{
  g_strfreev (load->adapters);
  load->adapters = adapters;
  load->options.adapters = (const char *const *) adapters;
}

static gboolean
may_blame_adapters (const GError *error)
{
  return g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

gboolean
atl_session_load_drop_adapters (AtlSessionLoad *load, const GError *error)
{
  g_auto (GStrv) rest = NULL;

  if (!may_blame_adapters (error))
    return FALSE;
  rest = g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND)
             ? present_adapters ((const char *const *) load->adapters)
             : g_new0 (char *, 1);
  if (g_strv_length (rest) == g_strv_length (load->adapters))
    return FALSE;
  set_adapters (load, g_steal_pointer (&rest));
  return TRUE;
}

void
atl_session_ease_init (AtlSession *self, AtlSessionLoad *load)
{
  if (self->load_drops_adapters)
    set_adapters (load, g_new0 (char *, 1));
  else if (self->load_drops_missing)
    set_adapters (load, present_adapters ((const char *const *) load->adapters));
  if (self->load_drops_draft)
    load->options.draft = NULL;
  self->load_has_adapters = load->adapters[0] != NULL;
  self->load_has_draft = load->options.draft != NULL;
  self->load_has_kv_type = load->options.kv_type != NULL;
}

/* The model without them is better than none; they stay in the settings, where their rows say that
 * they are not used. What is refused beside a model that works keeps that as it is. */
static gboolean
may_drop_adapters (AtlSession *self, const GError *error)
{
  if (!self->load_has_adapters)
    return FALSE;
  if (self->model != NULL && atl_model_get_is_loaded (self->model) &&
      g_str_equal (atl_model_get_key (self->model), self->load_paths[0]))
    return FALSE;
  return may_blame_adapters (error);
}

static gboolean
is_adapter_missing (AtlSession *self, const GError *error)
{
  g_auto (GStrv) all = NULL, present = NULL;

  if (!self->load_has_adapters || self->load_drops_missing ||
      !g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    return FALSE;
  all = atl_session_dup_adapters (self, self->load_paths[0]);
  present = present_adapters ((const char *const *) all);
  return g_strv_length (present) < g_strv_length (all);
}

static void
drop_adapters (AtlSession *self, gboolean *which, const GError *error)
{
  *which = TRUE;
  if (self->adapter_words == NULL)
    self->adapter_words = g_strdup (error->message);
}

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
  if (is_adapter_missing (self, error))
    drop_adapters (self, &self->load_drops_missing, error);
  else if (self->load_has_draft)
    drop_draft (self, error);
  else if (self->load_has_kv_type && g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    drop_kv_type (self, error);
  else if (may_drop_adapters (self, error))
    drop_adapters (self, &self->load_drops_adapters, error);
  else
    return FALSE;
  return TRUE;
}

gboolean
atl_session_ease_context (AtlSession *self, const GError *error)
{
  if (self->load_n_ctx == 0 ||
      (!g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY) &&
       (self->load_has_adapters || !g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID))))
    return FALSE;
  self->refused_n_ctx = self->load_n_ctx;
  self->load_n_ctx = 0;
  return TRUE;
}

void
atl_session_tell_loaded (AtlSession *self, AtlModel *model)
{
  const AtlModelInfo *info = atl_model_get_info (model);

  if (self->adapter_words != NULL)
    {
      g_autofree char *why = g_steal_pointer (&self->adapter_words);
      g_autofree char *words =
          g_strdup_printf (_ ("The model is used without an adapter: %s"), why);

      atl_session_emit_notice (self, words);
    }
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
