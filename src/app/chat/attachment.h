/* Text files that go to the model with a message.
 *
 * Threading: the main thread; reading is asynchronous.
 */
#pragma once

#include <gio/gio.h>

#include "app/content-kind.h"
#include "store/attachments.h"

G_BEGIN_DECLS

/* Larger files are refused: no model here could read them. */
#define ATL_ATTACHMENT_MAX_BYTES (1024 * 1024)

/* Reads `file` as text (UTF-8, UTF-16 with a mark, or Windows-1252). */
void atl_attachment_read_async (GFile *file,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer data);
/* ATL_ERROR_UNSUPPORTED for what is no text, in a sentence that says what it is, with its `kind`
 * (out); ATL_ERROR_FULL for what is too long. (transfer full) */
AtlAttachment *
atl_attachment_read_finish (GAsyncResult *result, AtlContentKind *kind, GError **error);

/* The tokens that a text of so many bytes roughly takes. */
guint atl_attachment_estimate_tokens (gsize n_bytes);

G_END_DECLS
