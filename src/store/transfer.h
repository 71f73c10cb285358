/* Chats out of the store and into it again, as text.
 *
 *   g_autofree char *md = atl_store_export_markdown (store, chat_id, &error);
 *   g_autofree char *json = atl_store_export_json (store, chat_id, &error);
 *   g_autoptr (GArray) ids = atl_store_import (store, bytes, size, "chat.json", &error);
 *
 * Threading: that of the handle; the async ones belong to any thread with a main context.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

/* The shown path as Markdown: title, then each message under a heading. The caller's. */
char *atl_store_export_markdown (AtlStore *self, gint64 chat_id, GError **error);

/* The whole tree with everything the store knows about the chat. Importing it gives an equal chat
 * (ids and the folder aside). The caller's. */
char *atl_store_export_json (AtlStore *self, gint64 chat_id, GError **error);

/* A longer file is refused. */
#define ATL_IMPORT_MAX_BYTES ((gsize) 256 << 20)

/* Reads `size` untrusted bytes: our own JSON, an array of {"role", "content"}, an object with such
 * an array under "messages" (and maybe "title"), ChatGPT's "mapping" tree, LM Studio's messages
 * with "versions", Jan's messages (one JSON a line), or an array of any of these. All or nothing.
 * `name` begins messages and is the title when there is none. The ids of the new chats
 * (element-type gint64), the caller's; ATL_ERROR_BAD_FILE says what was not understood.
 */
GArray *
atl_store_import (AtlStore *self, const char *data, gsize size, const char *name, GError **error);

/* --- On a thread of their own, with a handle of their own on the folder `dir` (NULL: the default):
 * a long chat takes a while --- */

typedef enum
{
  ATL_EXPORT_MARKDOWN,
  ATL_EXPORT_JSON,
} AtlExportFormat;

void atl_store_export_async (const char *dir,
                             gint64 chat_id,
                             AtlExportFormat format,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer data);
/* The text as UTF-8, not terminated; the caller's. */
GBytes *atl_store_export_finish (GAsyncResult *result, GError **error);

void atl_store_import_async (const char *dir,
                             GBytes *bytes,
                             const char *name,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer data);
/* As atl_store_import(). */
GArray *atl_store_import_finish (GAsyncResult *result, GError **error);

G_END_DECLS
