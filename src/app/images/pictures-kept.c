/* The queue over the end of the program: pictures that wait, that failed or that were not finished
 * are in the store, and wait again when it is started. */
#define G_LOG_DOMAIN "atl-app"

#include <glib/gi18n.h>
#include <string.h>

#include "app/images/pictures-session-private.h"
#include "base/json-bounded.h"

#define KEY "images-queue"
#define KEEP_MS 500u
/* Pictures that are kept; no one waits for more. */
#define MAX_KEPT 500u

/* --- Writing: those that differ by their seed only are one entry --- */

static JsonObject *
new_entry (AtlPictureTask *task, const char *settings)
{
  const char *path = atl_picture_task_get_source (task);
  JsonObject *entry;

  if (path == NULL)
    path = atl_picture_task_get_model_path (task);
  /* A name that is no UTF-8 cannot stand in JSON. */
  if (path == NULL || !g_utf8_validate (path, -1, NULL))
    return NULL;
  entry = json_object_new ();
  if (atl_picture_task_get_source (task) != NULL)
    {
      json_object_set_string_member (entry, "source", path);
      json_object_set_int_member (entry, "factor", atl_picture_task_get_settings (task)->enlarge);
      return entry;
    }
  json_object_set_string_member (entry, "model", path);
  json_object_set_string_member (entry, "settings", settings);
  json_object_set_array_member (entry, "seeds", json_array_new ());
  return entry;
}

static gboolean
is_alike (JsonObject *entry, AtlPictureTask *task, const char *settings)
{
  return entry != NULL && atl_picture_task_get_source (task) == NULL &&
         g_strcmp0 (atl_json_string (entry, "model", NULL),
                    atl_picture_task_get_model_path (task)) == 0 &&
         g_strcmp0 (atl_json_string (entry, "settings", NULL), settings) == 0;
}

/* "" when there is nothing to keep; the caller's. */
static char *
describe (GListModel *queue)
{
  g_autoptr (JsonArray) entries = json_array_new ();
  g_autoptr (JsonNode) root = NULL;
  JsonObject *entry = NULL; /* borrowed: the last one */

  for (guint i = 0; i < MIN (g_list_model_get_n_items (queue), MAX_KEPT); i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue, i);
      g_autofree char *settings =
          atl_picture_settings_to_json (atl_picture_task_get_settings (task));

      /* It is not wanted any more, however long stopping takes. */
      if (atl_picture_task_get_is_stopping (task))
        continue;
      if (!is_alike (entry, task, settings))
        {
          entry = new_entry (task, settings);
          if (entry == NULL)
            continue;
          json_array_add_object_element (entries, entry);
        }
      if (json_object_has_member (entry, "seeds"))
        json_array_add_int_element (json_object_get_array_member (entry, "seeds"),
                                    atl_picture_task_get_seed (task));
    }
  if (json_array_get_length (entries) == 0)
    return g_strdup ("");
  root = json_node_init_array (json_node_alloc (), entries);
  return json_to_string (root, FALSE);
}

void
atl_pictures_session_flush_queue (AtlPicturesSession *self)
{
  g_autofree char *json = NULL;
  g_autoptr (GError) error = NULL;

  if (self->keep_source == 0)
    return;
  g_clear_handle_id (&self->keep_source, g_source_remove);
  json = describe (G_LIST_MODEL (self->queue));
  if (!atl_store_setting_set (atl_session_get_store (self->session), KEY, json, &error))
    g_warning ("The pictures that wait could not be kept: %s", error->message);
}

static gboolean
keep_cb (gpointer data)
{
  atl_pictures_session_flush_queue (data);
  return G_SOURCE_REMOVE;
}

void
atl_pictures_session_keep_queue (AtlPicturesSession *self)
{
  if (self->keep_source == 0)
    self->keep_source = g_timeout_add (KEEP_MS, keep_cb, self);
}

/* --- Reading --- */

static void
append (AtlPicturesSession *self, AtlPictureTask *task)
{
  if (g_list_model_get_n_items (G_LIST_MODEL (self->queue)) < MAX_KEPT)
    atl_picture_queue_append (self->queue, task);
  g_object_unref (task);
}

/* TRUE: something of it waits again, or will in a moment. */
static gboolean
restore_entry (AtlPicturesSession *self, JsonObject *entry)
{
  const char *source = atl_json_string (entry, "source", NULL);
  const char *model = atl_json_string (entry, "model", NULL);
  const char *json = atl_json_string (entry, "settings", NULL);
  JsonArray *seeds = atl_json_array (entry, "seeds");
  gint64 factor = atl_json_int (entry, "factor", 0);
  g_autoptr (AtlPictureSettings) settings = NULL;

  if (source != NULL && factor > 1 && factor <= ATL_MAX_ENLARGE)
    {
      /* Asked for anew: its recipe is read again. */
      atl_pictures_session_enlarge (self, source, (guint) factor);
      return TRUE;
    }
  if (model == NULL || json == NULL || seeds == NULL)
    return FALSE;
  settings = atl_picture_settings_from_json (json);
  for (guint i = 0; i < MIN (json_array_get_length (seeds), MAX_KEPT); i++)
    {
      JsonNode *node = json_array_get_element (seeds, i);

      if (JSON_NODE_HOLDS_VALUE (node))
        append (self, atl_picture_task_new_kept (
                          model, settings,
                          (guint32) CLAMP (json_node_get_int (node), 0, (gint64) G_MAXUINT32)));
    }
  return json_array_get_length (seeds) > 0;
}

void
atl_pictures_session_restore_queue (AtlPicturesSession *self)
{
  g_autofree char *json = atl_store_setting_get (atl_session_get_store (self->session), KEY, NULL);
  g_autoptr (JsonNode) root =
      json != NULL && *json != '\0' ? atl_json_parse (json, strlen (json), "queue", NULL) : NULL;
  JsonArray *entries =
      root != NULL && JSON_NODE_HOLDS_ARRAY (root) ? json_node_get_array (root) : NULL;

  for (guint i = 0; entries != NULL && i < MIN (json_array_get_length (entries), MAX_KEPT); i++)
    {
      JsonNode *node = json_array_get_element (entries, i);

      if (JSON_NODE_HOLDS_OBJECT (node) && restore_entry (self, json_node_get_object (node)))
        self->is_paused = self->has_kept = TRUE;
    }
  g_signal_connect_object (self->queue, "items-changed",
                           G_CALLBACK (atl_pictures_session_keep_queue), self, G_CONNECT_SWAPPED);
}

/* --- Drawing what was kept --- */

static void
use (AtlPicturesSession *self, AtlModel *model)
{
  atl_picture_task_set_model (self->current, model);
  atl_pictures_session_draw (self);
}

static void
loading_cb (double fraction, const char *phase, gpointer data)
{
  AtlPicturesSession *self = data;

  if (self->current != NULL)
    atl_picture_task_set_progress (self->current, phase, 0, 0, -1);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPicturesSession) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = atl_client_load_model_finish (ATL_CLIENT (source), result, &error);

  if (self->is_gone)
    return;
  g_clear_object (&self->preparing);
  if (model != NULL && !atl_model_get_info (model)->is_picture)
    {
      error = g_error_new (ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("%s makes no pictures"),
                           atl_model_get_info (model)->name);
      g_clear_object (&model);
    }
  if (model != NULL)
    use (self, model);
  else
    atl_pictures_session_over (self, error);
}

void
atl_pictures_session_load_kept (AtlPicturesSession *self)
{
  const char *path = atl_picture_task_get_model_path (self->current);
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;

  if (self->model != NULL && g_str_equal (atl_model_get_key (self->model), path))
    {
      use (self, self->model);
      return;
    }
  self->preparing = g_cancellable_new ();
  atl_pictures_session_load_options (self, &options);
  atl_client_load_model_async (atl_session_get_client (self->session),
                               (const char *[]){ path, NULL }, &options, loading_cb, self,
                               self->preparing, loaded_cb, g_object_ref (self));
}
