/* The folder where what the engine remembers of chats lies while it is not in memory.
 *
 *   AtlKeptChats *kept = atl_kept_chats_new (dir, 4 * GIGABYTE);
 *   fd = atl_kept_chats_open (kept, "chat-7");                  what there is of it, or -1
 *   fd = atl_kept_chats_add_room (kept, "chat-7", &number, &max_bytes);
 *   ... somebody writes to it ...
 *   atl_kept_chats_end_room (kept, number, TRUE);               takes the place of what there was
 *
 * It is a cache: whatever is missing is computed again. A file, "KEY.chat", holds the text of a
 * chat in the form of tokens, so only its owner may read it. It is written under another name
 * ("KEY.NUMBER.room", locked as long as somebody uses it) and takes the old one's place when it is
 * whole. Those used longest ago go when all together become larger than the limit, or after
 * ATL_KEPT_DAYS. The last gigabyte of a disk is left alone.
 *
 * Threading: one thread. Several processes may use one folder.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A chat that was deleted is destroyed after as many days; so is what a message that was deleted
 * left behind in here. */
#define ATL_KEPT_DAYS 30

typedef struct _AtlKeptChats AtlKeptChats;

/* `dir` (nullable: the default, in the cache folder) is made when it is needed. */
AtlKeptChats *atl_kept_chats_new (const char *dir, guint64 limit_bytes);
/* Rooms in use are given up. Accepts NULL. */
void atl_kept_chats_free (AtlKeptChats *self);
/* Removes what is too much then. */
void atl_kept_chats_set_limit (AtlKeptChats *self, guint64 limit_bytes);

/* The file of the chat, for reading; -1: there is none, or `key` is no name that can be kept (1 to
 * 64 letters, digits and hyphens). The caller closes it. */
int atl_kept_chats_open (AtlKeptChats *self, const char *key);
/* An empty file to write to, at most `*max_bytes`; -1 when there is no place. Borrowed until
 * atl_kept_chats_end_room(). */
int
atl_kept_chats_add_room (AtlKeptChats *self, const char *key, guint64 *number, guint64 *max_bytes);
/* `is_whole`: it was written; otherwise it is removed. Unknown numbers are ignored. */
void atl_kept_chats_end_room (AtlKeptChats *self, guint64 number, gboolean is_whole);

/* Of all files. */
guint64 atl_kept_chats_bytes (AtlKeptChats *self);
/* The keys of all files. (transfer full) (element-type utf8) */
GPtrArray *atl_kept_chats_list (AtlKeptChats *self);
/* Accepts a key that is not there. */
void atl_kept_chats_remove (AtlKeptChats *self, const char *key);
/* Removes all files; rooms stay. */
void atl_kept_chats_clear (AtlKeptChats *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlKeptChats, atl_kept_chats_free)

G_END_DECLS
