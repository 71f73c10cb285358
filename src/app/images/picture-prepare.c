/* Only what is extended has to be read here: everything else the engine opens itself. */
#include "app/images/picture-prepare.h"

#include "app/images/picture-extend.h"
#include "base/thread-task.h"

/* Of a picture that is extended, px. */
#define MAX_SIDE 4096u

AtlPictureRequest *
atl_picture_prepare_request (const AtlPictureSettings *settings,
                             const AtlModelInfo *info,
                             guint32 seed)
{
  AtlPictureRequest *request =
      atl_picture_request_new (atl_picture_settings_to_variant (settings, info, seed));

  for (guint i = 0; i < settings->loras->len; i++)
    {
      const AtlPictureLora *lora = settings->loras->pdata[i];

      if (!lora->is_off && (info->abilities & ATL_PICTURE_LORA) != 0)
        atl_picture_request_add_lora (request, lora->path, lora->strength);
    }
  /* Those of a model before this one stay in the draft. */
  for (guint i = 0; (info->abilities & ATL_PICTURE_REFERENCE) != 0 &&
                    i < MIN (settings->references->len, info->max_references);
       i++)
    atl_picture_request_add_file (request, ATL_CREATE_REFERENCE, settings->references->pdata[i]);
  return request;
}

/* How the draft's picture is begun with: what the model cannot stays in the draft, for another. */
typedef enum
{
  BEGINS_WITH_NOTHING,
  BEGINS_WITH_IT,
  BEGINS_WITH_MASK,
  BEGINS_EXTENDED, /* which has a mask too */
} Beginning;

static Beginning
beginning_of (const AtlPictureSettings *settings, guint abilities)
{
  gboolean masks = (abilities & ATL_PICTURE_MASK) != 0;

  if (settings->start == NULL || (abilities & ATL_PICTURE_BEGINS) == 0)
    return BEGINS_WITH_NOTHING;
  if (masks && atl_picture_settings_is_extended (settings))
    return BEGINS_EXTENDED;
  return masks && settings->mask != NULL ? BEGINS_WITH_MASK : BEGINS_WITH_IT;
}

AtlPictureRequest *
atl_picture_prepare_price (const AtlPictureSettings *settings, const AtlModelInfo *info)
{
  AtlPictureRequest *request = atl_picture_prepare_request (settings, info, 0);
  Beginning beginning = beginning_of (settings, info->abilities);

  if (beginning != BEGINS_WITH_NOTHING)
    atl_picture_request_add_file (request, ATL_CREATE_IMAGE, settings->start);
  if (beginning >= BEGINS_WITH_MASK)
    atl_picture_request_add_file (request, ATL_CREATE_MASK, settings->start);
  return request;
}

typedef struct
{
  AtlPictureRequest *request;
  AtlPictureSettings *settings;
  AtlPictureFile *picture, *mask; /* (nullable) */
} Preparing;

static void
preparing_free (gpointer data)
{
  Preparing *self = data;

  atl_picture_request_unref (self->request);
  atl_picture_settings_free (self->settings);
  g_clear_pointer (&self->picture, atl_picture_file_unref);
  g_clear_pointer (&self->mask, atl_picture_file_unref);
  g_free (self);
}

static void
done (GTask *task)
{
  Preparing *self = g_task_get_task_data (task);

  g_task_return_pointer (task, atl_picture_request_ref (self->request),
                         (GDestroyNotify) atl_picture_request_unref);
}

/* The painted part as one byte a pixel. */
static guint8 *
gray (const AtlPictureFile *mask)
{
  gsize n = (gsize) mask->width * mask->height;
  const guint8 *rgb = g_bytes_get_data (mask->rgb, NULL);
  guint8 *bytes = g_malloc (n);

  for (gsize i = 0; i < n; i++)
    bytes[i] = rgb[3 * i];
  return bytes;
}

static void
extend_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Preparing *self = data;
  g_autofree guint8 *painted = self->mask != NULL ? gray (self->mask) : NULL;
  g_auto (AtlExtended) extended = { 0 };
  GError *error = NULL;

  if (!atl_picture_extend (self->picture->rgb, self->picture->width, self->picture->height,
                           self->settings->extend, painted,
                           self->mask != NULL ? self->mask->width : 0,
                           self->mask != NULL ? self->mask->height : 0, &extended, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  atl_picture_request_add_pixels (self->request, ATL_CREATE_IMAGE, extended.rgb, extended.width,
                                  extended.height);
  atl_picture_request_add_pixels (self->request, ATL_CREATE_MASK, extended.mask, extended.width,
                                  extended.height);
  done (task);
}

static void
mask_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Preparing *self = g_task_get_task_data (task);
  GError *error = NULL;

  self->mask = atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  if (self->mask == NULL)
    g_task_return_error (task, error);
  else
    atl_thread_task_run (task, extend_thread);
}

static void
picture_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Preparing *self = g_task_get_task_data (task);
  GError *error = NULL;

  self->picture = atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  if (self->picture == NULL)
    g_task_return_error (task, error);
  else if (self->settings->mask != NULL)
    atl_client_read_picture_async (ATL_CLIENT (source), NULL, self->settings->mask, MAX_SIDE,
                                   g_task_get_cancellable (task), mask_read_cb,
                                   g_object_ref (task));
  else
    atl_thread_task_run (task, extend_thread);
}

void
atl_picture_prepare_async (AtlClient *client,
                           AtlPictureRequest *request,
                           const AtlPictureSettings *settings,
                           guint abilities,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer data)
{
  g_autoptr (GTask) task = g_task_new (client, cancellable, callback, data);
  Preparing *self = g_new0 (Preparing, 1);
  Beginning beginning = beginning_of (settings, abilities);

  self->request = atl_picture_request_ref (request);
  self->settings = atl_picture_settings_copy (settings);
  g_task_set_source_tag (task, atl_picture_prepare_async);
  g_task_set_task_data (task, self, preparing_free);
  if (beginning == BEGINS_EXTENDED)
    {
      atl_client_read_picture_async (client, settings->start, NULL, MAX_SIDE, cancellable,
                                     picture_read_cb, g_object_ref (task));
      return;
    }
  if (beginning != BEGINS_WITH_NOTHING)
    atl_picture_request_add_file (request, ATL_CREATE_IMAGE, settings->start);
  if (beginning == BEGINS_WITH_MASK)
    atl_picture_request_add_bytes (request, ATL_CREATE_MASK, settings->mask);
  done (task);
}

AtlPictureRequest *
atl_picture_prepare_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_async_result_is_tagged (result, atl_picture_prepare_async), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}
