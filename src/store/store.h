/* Everything a person made, on disk: chats, messages, presets, the library of models, pictures.
 *
 * One SQLite file (WAL, synchronous=FULL) in $XDG_DATA_HOME/atelier, shared safely by several
 * processes. A function that reports success has committed: the data survives kill -9 and, on a
 * drive that honours flush, a power cut.
 *
 *   g_autoptr (AtlStore) store = atl_store_open (NULL, &error);
 *   gint64 chat = atl_store_chat_add (store, 0, &error);
 *   gint64 asked, answer;
 *   atl_store_turn_begin (store, chat, 0, "Hello", NULL, "smollm2", &asked, &answer, &error);
 *   ... once a second: atl_store_message_checkpoint (store, answer, text, thinking, &error);
 *   atl_store_answer_finish (store, answer, ATL_MESSAGE_COMPLETE, text, NULL, NULL, stats, &error);
 *
 * The other nouns have their own headers: store/chats.h, messages.h, search.h, transfer.h,
 * presets.h, pictures.h, library.h, trash.h.
 *
 * Threading: a handle belongs to the thread that uses it; open one handle a thread. Calls are
 * synchronous and quick enough for a main loop (a few milliseconds), except where said. Only a
 * writer in another process can make a call wait, three seconds at most (then ATL_ERROR_BUSY).
 *
 * Errors: ATL_ERROR_FULL when the disk has no room (nothing is lost, the same call works again when
 * there is room), ATL_ERROR_BUSY, ATL_ERROR_BAD_FILE when the database is damaged (it is repaired
 * from a backup when it is opened next), ATL_ERROR_NOT_FOUND for an id that is not there,
 * ATL_ERROR_INVALID for a value out of range.
 *
 * Times are microseconds since 1970 (g_get_real_time). Ids are positive; 0 means none.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlStore AtlStore;

/* Opens, and creates or migrates, the store in folder `dir` (NULL: $XDG_DATA_HOME/atelier). Answers
 * that a dead process left streaming become interrupted. A damaged database is moved aside and the
 * newest backup takes its place: that is no error but a report, see atl_store_take_reports().
 * ATL_ERROR_UNSUPPORTED when a newer Atelier wrote the database; it is left untouched. */
AtlStore *atl_store_open (const char *dir, GError **error);

/* Closes the handle; answers it was still streaming become interrupted. NULL is fine. */
void atl_store_free (AtlStore *self);

/* The folder that holds the database; borrowed. */
const char *atl_store_dir (const AtlStore *self);

/* The default folder, $XDG_DATA_HOME/atelier; the caller's. */
char *atl_store_default_dir (void);

/* What the store met and worked round since the last call, each a sentence for a person: a backup
 * that was restored, rows that could not be read. A NULL-terminated list (maybe empty), the
 * caller's (g_strfreev). */
char **atl_store_take_reports (AtlStore *self);

/* TRUE when another handle or process changed something since the last call on this handle. Cheap
 * enough to ask every second, so that two windows show the same. */
gboolean atl_store_changed_elsewhere (AtlStore *self);

/* Marks as interrupted the answers whose process died (another window that crashed). Done by open
 * already. Returns how many, or -1 on error. */
int atl_store_recover (AtlStore *self, GError **error);

/* --- Many changes at once --- */

/* What other functions change between the two is on the disk together, or not at all, and the disk
 * is waited for once. They do not nest, and the main loop does not run in between. FALSE with
 * words: begin: there is nothing to end; end: nothing of it was kept (also when `ok` is FALSE, then
 * without an error). */
gboolean atl_store_begin (AtlStore *self, GError **error);
gboolean atl_store_end (AtlStore *self, gboolean ok, GError **error);

/* --- Small values of the application itself (window size, last model): key -> text --- */

/* The caller's; NULL without an error when the key is not there. */
char *atl_store_setting_get (AtlStore *self, const char *key, GError **error);

/* NULL removes the key. */
gboolean atl_store_setting_set (AtlStore *self, const char *key, const char *value, GError **error);

/* --- Backup --- */

/* Writes backups/atelier-YYYY-MM-DD.db in `dir` (NULL: the default) unless there is one of today,
 * and keeps the newest seven. A damaged database is never backed up over a good one. Slow (reads
 * the whole database): opens a handle of its own, call it from a worker thread or use the async
 * pair. TRUE with *path NULL when nothing was due. `path` (out, nullable) is the caller's. */
gboolean atl_store_backup (const char *dir,
                           gboolean even_if_not_due,
                           char **path,
                           GCancellable *cancellable,
                           GError **error);
/* The same on a thread of its own, when one is due. */
void atl_store_backup_async (const char *dir,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer data);
gboolean atl_store_backup_finish (GAsyncResult *result, char **path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlStore, atl_store_free)

G_END_DECLS
