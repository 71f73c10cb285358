/* How one model makes room for another. */
#include "app/chat/conversation.h"
#include "app/session/session-private.h"

#include "app/models/model-list.h"

gboolean
atl_session_room_would_do (AtlSession *self, const char *path)
{
  AtlEngineStatus *status = atl_client_get_status (self->client);
  AtlModelEntry *entry = atl_model_list_find (self->models, path);
  guint64 room;

  if (status == NULL || entry == NULL || self->model == NULL)
    return TRUE;
  /* Weights take about what their files have; nobody knows better before they are read. */
  room = status->ram_free + (status->vram_is_shared ? 0 : status->vram_total) +
         atl_model_get_info (self->model)->needed_bytes;
  return entry->size_bytes <= room;
}

gboolean
atl_session_is_busy (AtlSession *self, AtlModel *model)
{
  for (guint i = 0; i < self->running->len; i++)
    if (atl_conversation_get_model (g_ptr_array_index (self->running, i)) == model)
      return TRUE;
  return FALSE;
}

void
atl_session_unload_retired (AtlSession *self)
{
  for (guint i = self->retired->len; i-- > 0;)
    {
      AtlModel *model = g_ptr_array_index (self->retired, i);

      if (atl_session_is_busy (self, model))
        continue;
      atl_client_unload_async (self->client, model, NULL, NULL, NULL);
      g_ptr_array_remove_index (self->retired, i);
    }
}

void
atl_session_retire (AtlSession *self, AtlModel *model)
{
  g_ptr_array_add (self->retired, g_object_ref (model));
  atl_session_unload_retired (self);
}
