/* What all backends have in common: a slot number and a name. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/backend.h"

#include <glib/gi18n.h>

static GMutex slots_mutex;
static AtlBackend *slots[ATL_MAX_BACKENDS]; /* (mutex slots_mutex) */

gboolean
atl_backend_init (AtlBackend *self,
                  const AtlBackendClass *klass,
                  const char *name,
                  const char *description,
                  GError **error)
{
  gboolean found = FALSE;

  g_mutex_lock (&slots_mutex);
  for (guint i = 0; i < ATL_MAX_BACKENDS && !found; i++)
    if (slots[i] == NULL)
      {
        slots[i] = self;
        self->index = i;
        found = TRUE;
      }
  g_mutex_unlock (&slots_mutex);

  if (!found)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                   _ ("Only %d devices can be used at the same time"), ATL_MAX_BACKENDS);
      return FALSE;
    }
  self->klass = klass;
  self->name = g_strdup (name);
  self->description = g_strdup (description);
  if (self->alignment < 64)
    self->alignment = 64;
  if (self->max_alloc == 0)
    self->max_alloc = G_MAXSIZE / 2;
  return TRUE;
}

void
atl_backend_clear (AtlBackend *self)
{
  if (self->name == NULL)
    return;
  g_mutex_lock (&slots_mutex);
  slots[self->index] = NULL;
  g_mutex_unlock (&slots_mutex);
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->description, g_free);
}

void
atl_backend_free (AtlBackend *self)
{
  if (self != NULL)
    self->klass->free (self);
}

AtlBackend *
atl_backend_get (guint index)
{
  AtlBackend *backend;

  g_return_val_if_fail (index < ATL_MAX_BACKENDS, NULL);
  g_mutex_lock (&slots_mutex);
  backend = slots[index];
  g_mutex_unlock (&slots_mutex);
  return backend;
}
