/* Messages as rows, for the files of src/store: reading one, writing one as it is.
 *
 * Threading: that of the handle. Nothing here opens a transaction.
 */
#pragma once

#include "store/messages.h"
#include "store/store-private.h"

G_BEGIN_DECLS

/* One message outside the trash, branches not filled in; the caller's. NULL without an error when
 * it is not there or makes no sense. */
AtlMessage *atl_message_read (AtlStore *self, gint64 id, GError **error);

/* Inserts a message with all its fields but id and branches, and makes it the shown child of its
 * parent (the shown root of its chat). Its id, or 0 on error. */
gint64 atl_message_insert (AtlStore *self, const AtlMessage *message, GError **error);

/* Makes `id` the shown child of `parent_id`, or the shown root of `chat_id`. */
gboolean
atl_message_show (AtlStore *self, gint64 chat_id, gint64 parent_id, gint64 id, GError **error);

/* Makes the branch that `id` is in the shown one; in a transaction of the caller's. */
gboolean atl_message_show_path (AtlStore *self, gint64 id, GError **error);

/* The chat of a message outside the trash; ATL_ERROR_NOT_FOUND. */
gboolean atl_message_chat (AtlStore *self, gint64 id, gint64 *chat_id, GError **error);

/* Sets updated_us of a chat to now. */
gboolean atl_chat_touch (AtlStore *self, gint64 chat_id, GError **error);

G_END_DECLS
