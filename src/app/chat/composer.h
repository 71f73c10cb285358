/* Where a message is written: text that grows to ten lines, attached files, send or stop, and how
 * much of the context is used.
 *
 * Signals: "send" (text, attachments JSON or NULL) returns TRUE when the message was taken, then
 * the composer empties itself; "stop"; "edit-last" (Up in an empty composer); "draft" (text), a
 * moment after typing.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/attached-files.h"

G_BEGIN_DECLS

#define ATL_TYPE_COMPOSER (atl_composer_get_type ())
G_DECLARE_FINAL_TYPE (AtlComposer, atl_composer, ATL, COMPOSER, GtkWidget)

void atl_composer_set_text (AtlComposer *self, const char *text);
char *atl_composer_get_text (AtlComposer *self); /* the caller's */
/* Shows the stop button while an answer is being made. */
void atl_composer_set_running (AtlComposer *self, gboolean running);
/* `n_total` 0: not known, nothing is shown. */
void atl_composer_set_context (AtlComposer *self, guint n_used, guint n_total);
/* The files that go with the message; a list of its own at first. Borrowed. */
AtlAttachedFiles *atl_composer_get_files (AtlComposer *self);
void atl_composer_set_files (AtlComposer *self, AtlAttachedFiles *files);
/* Reads text files and attaches them to the message. (element-type GFile) */
void atl_composer_attach_files (AtlComposer *self, GSList *files);
/* A key that was pressed elsewhere: takes the focus and types it. Returns whether it was taken. */
gboolean atl_composer_take_key (AtlComposer *self, GtkEventControllerKey *keys);
/* As Enter does. */
void atl_composer_send (AtlComposer *self);

G_END_DECLS
