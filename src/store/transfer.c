/* Export and import on worker threads. */
#include "store/transfer.h"

#include <string.h>

typedef struct
{
  char *dir; /* (nullable) */
  gint64 chat_id;
  AtlExportFormat format;
  GBytes *bytes; /* (nullable) */
  char *name;    /* (nullable) */
} Transfer;

static void
free_transfer (gpointer data)
{
  Transfer *transfer = data;

  g_free (transfer->dir);
  g_clear_pointer (&transfer->bytes, g_bytes_unref);
  g_free (transfer->name);
  g_free (transfer);
}

static void
start (Transfer *transfer,
       gpointer tag,
       GTaskThreadFunc func,
       GCancellable *cancellable,
       GAsyncReadyCallback callback,
       gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);

  g_task_set_source_tag (task, tag);
  g_task_set_task_data (task, transfer, free_transfer);
  g_task_run_in_thread (task, func);
}

static void
export_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  const Transfer *transfer = data;
  GError *error = NULL;
  g_autoptr (AtlStore) store = atl_store_open (transfer->dir, &error);
  char *text = NULL;

  if (store != NULL)
    text = transfer->format == ATL_EXPORT_JSON
               ? atl_store_export_json (store, transfer->chat_id, &error)
               : atl_store_export_markdown (store, transfer->chat_id, &error);
  if (text != NULL)
    g_task_return_pointer (task, g_bytes_new_take (text, strlen (text)),
                           (GDestroyNotify) g_bytes_unref);
  else
    g_task_return_error (task, error);
}

void
atl_store_export_async (const char *dir,
                        gint64 chat_id,
                        AtlExportFormat format,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer data)
{
  Transfer *transfer = g_new0 (Transfer, 1);

  transfer->dir = g_strdup (dir);
  transfer->chat_id = chat_id;
  transfer->format = format;
  start (transfer, atl_store_export_async, export_thread, cancellable, callback, data);
}

GBytes *
atl_store_export_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
import_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  const Transfer *transfer = data;
  GError *error = NULL;
  g_autoptr (AtlStore) store = atl_store_open (transfer->dir, &error);
  GArray *ids = NULL;
  gsize size;
  const char *bytes = g_bytes_get_data (transfer->bytes, &size);

  if (store != NULL)
    ids = atl_store_import (store, bytes != NULL ? bytes : "", size, transfer->name, &error);
  if (ids != NULL)
    g_task_return_pointer (task, ids, (GDestroyNotify) g_array_unref);
  else
    g_task_return_error (task, error);
}

void
atl_store_import_async (const char *dir,
                        GBytes *bytes,
                        const char *name,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer data)
{
  Transfer *transfer = g_new0 (Transfer, 1);

  transfer->dir = g_strdup (dir);
  transfer->bytes = g_bytes_ref (bytes);
  transfer->name = g_strdup (name);
  start (transfer, atl_store_import_async, import_thread, cancellable, callback, data);
}

GArray *
atl_store_import_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
