/* Saves answers that are being written and the files of drafts, on a thread of its own, so that no
 * frame of the window waits for the disk.
 *
 *   AtlSaver *saver = atl_saver_new (store);
 *   atl_saver_put (saver, answer, text, thinking);    // once a second
 *   ...
 *   if (!atl_store_answer_finish (store, answer, ...)) // the last word
 *     atl_saver_finish (saver, answer, ...);           // as soon as the disk takes it
 *   atl_saver_free (saver);                           // before the store is closed
 *
 * A text that was not yet written when a newer one of the same answer comes is never written.
 *
 * Threading: any; the functions never wait for the disk, except atl_saver_flush() and _free().
 */
#pragma once

#include "store/attachments.h"
#include "store/messages.h"

G_BEGIN_DECLS

typedef struct _AtlSaver AtlSaver;

/* Works on the folder of `store` through a handle of its own, which also moves what was written
 * from the log into the database file, so that `store` need not. */
AtlSaver *atl_saver_new (AtlStore *store);
/* Writes what is left, then ends the thread. NULL is fine. */
void atl_saver_free (AtlSaver *self);

/* Takes copies; `thinking` is nullable. An answer that is not streaming any more is left alone. */
void atl_saver_put (AtlSaver *self, gint64 answer_id, const char *text, const char *thinking);
/* The files of the message that is being written in the chat, see atl_store_draft_files_set().
 * Tried again like a last word. Shares the files. (element-type AtlAttachment) */
void atl_saver_put_draft_files (AtlSaver *self, gint64 chat_id, GPtrArray *files);
/* The last word of an answer that could not be written where it ended: tried again every two
 * seconds until it is on the disk, and once more when the saver goes. Takes copies; all but
 * `text` is nullable. */
void atl_saver_finish (AtlSaver *self,
                       gint64 answer_id,
                       AtlMessageState state,
                       const char *text,
                       const char *thinking,
                       const GError *failure,
                       const char *stats_json);
/* Why nothing can be written, once for each time that it begins; NULL when there is nothing new to
 * tell. The caller's. */
char *atl_saver_take_trouble (AtlSaver *self);
/* Whether the last try of all failed. */
gboolean atl_saver_get_is_failing (AtlSaver *self);
/* Returns when everything that was put was tried. */
void atl_saver_flush (AtlSaver *self);
/* TRUE when something was written since the last call: then atl_store_changed_elsewhere() means us.
 */
gboolean atl_saver_take_activity (AtlSaver *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlSaver, atl_saver_free)

G_END_DECLS
