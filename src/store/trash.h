/* Deleting with undo. What is deleted disappears from every list and from search, and can be
 * brought back for ATL_TRASH_DAYS days; then atl_store_trash_purge() destroys it.
 *
 *   atl_store_trash (store, ATL_TRASH_CHAT, chat_id, &error);
 *   ... toast "Chat deleted  [Undo]": atl_store_restore (store, ATL_TRASH_CHAT, chat_id, &error);
 *
 * A message goes with everything below it in the tree. A folder goes alone: its chats stay and are
 * shown in no folder until it is restored. Of a picture only the row is the store's: its file is
 * the caller's to move to the desktop's trash and back.
 *
 * Threading: that of the handle.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

#define ATL_TRASH_DAYS 30

typedef enum
{
  ATL_TRASH_CHAT,
  ATL_TRASH_MESSAGE,
  ATL_TRASH_FOLDER,
  ATL_TRASH_PICTURE,
} AtlTrashKind;

/* ATL_ERROR_NOT_FOUND when it is not there or in the trash already. */
gboolean atl_store_trash (AtlStore *self, AtlTrashKind kind, gint64 id, GError **error);

/* Undo. A restored message is shown again; so are trashed messages above it. */
gboolean atl_store_restore (AtlStore *self, AtlTrashKind kind, gint64 id, GError **error);

/* Destroys what was trashed before `before_us` (0: ATL_TRASH_DAYS days ago). Returns how many
 * items, or -1 on error. The window calls it once after its start. */
int atl_store_trash_purge (AtlStore *self, gint64 before_us, GError **error);

/* Destroys every chat in the trash now. Returns how many, or -1 on error. */
int atl_store_trash_empty_chats (AtlStore *self, GError **error);

G_END_DECLS
