/* The files attached to a message that is not sent yet: one list a chat, whichever chat is shown.
 *
 *   AtlAttachedFiles *files = atl_session_get_attached_files (session, chat_id);
 *   g_signal_connect (files, "changed", G_CALLBACK (changed_cb), self);
 *   atl_attached_files_attach (files, dropped, n_context);
 *
 * Signals: "changed"; "attached", after it, when files were read and added; "notice" (sentence),
 * once for all files of a call that cannot be attached.
 *
 * Threading: the main thread; files are read on others.
 */
#pragma once

#include "store/attachments.h"

G_BEGIN_DECLS

/* Of one message, so that it can be kept and sent. */
#define ATL_ATTACHED_FILES_MAX 32
#define ATL_ATTACHED_FILES_MAX_BYTES (8 * 1024 * 1024)

#define ATL_TYPE_ATTACHED_FILES (atl_attached_files_get_type ())
G_DECLARE_FINAL_TYPE (AtlAttachedFiles, atl_attached_files, ATL, ATTACHED_FILES, GObject)

/* With the files in `list` (nullable). (element-type AtlAttachment) */
AtlAttachedFiles *atl_attached_files_new (GPtrArray *list);
/* In the order in which they were attached; borrowed, until the next change. */
GPtrArray *atl_attached_files_get (AtlAttachedFiles *self);

/* Reads text files (element-type GFile) and adds them in their order. A text longer than
 * `n_context` tokens is refused; 0: no limit is known. */
void atl_attached_files_attach (AtlAttachedFiles *self, GSList *files, guint n_context);
/* A long text that was pasted becomes a file, where there is room. */
void atl_attached_files_attach_text (AtlAttachedFiles *self, const char *text, guint n_context);
/* Tells that a picture which was pasted cannot be one, and where it can be used. */
void atl_attached_files_refuse_picture (AtlAttachedFiles *self);
void atl_attached_files_remove (AtlAttachedFiles *self, AtlAttachment *file);
void atl_attached_files_clear (AtlAttachedFiles *self);

G_END_DECLS
