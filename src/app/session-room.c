/* Whether one model should make room for another. */
#include "app/session-private.h"

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
  room = status->ram_free + status->vram_total + atl_model_get_info (self->model)->needed_bytes;
  return entry->size_bytes <= room;
}
