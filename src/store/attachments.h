/* Files that a person attaches to a message: with a message that was sent as JSON in its row, with
 * one that is still being written in rows of their own.
 *
 *   g_autoptr (GPtrArray) files = atl_store_draft_files (store, chat_id, &error);
 *   g_ptr_array_add (files, atl_attachment_new ("notes.md", "text/markdown", text));
 *   atl_store_draft_files_set (store, chat_id, files, &error);
 *
 * Threading: that of the handle. An attachment never changes, and is shared between threads by
 * reference.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef struct
{
  char *key; /* (nullable) by which the store knows it again; NULL: of a message that was sent */
  char *name;
  char *mime;
  char *text;
} AtlAttachment;

/* With a key of its own. Takes `text`; one reference, the caller's. */
AtlAttachment *atl_attachment_new (const char *name, const char *mime, char *text);
AtlAttachment *atl_attachment_ref (AtlAttachment *attachment);
void atl_attachment_unref (AtlAttachment *attachment); /* NULL is fine */

/* An empty list that owns a reference to each. (element-type AtlAttachment) */
GPtrArray *atl_attachments_new (void);
/* NULL or damaged JSON gives an empty list. (transfer full) (element-type AtlAttachment) */
GPtrArray *atl_attachments_from_json (const char *json);
/* NULL when empty; the caller's. */
char *atl_attachments_to_json (GPtrArray *attachments);

/* The files of the message that is being written in the chat, in the order in which they were
 * attached. Chat 0 is the new chat that has no row yet. NULL on error. (transfer full)
 * (element-type AtlAttachment) */
GPtrArray *atl_store_draft_files (AtlStore *self, gint64 chat_id, GError **error);

/* Makes them the files of that message: what is there already is not written again, what is not
 * among them goes. All have keys. They go as well when the chat is purged from the trash.
 * ATL_ERROR_NOT_FOUND for a chat that is gone. */
gboolean
atl_store_draft_files_set (AtlStore *self, gint64 chat_id, GPtrArray *files, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlAttachment, atl_attachment_unref)

G_END_DECLS
