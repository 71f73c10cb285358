/* Sends an answer's text to the client as few messages: at most 30 a second, none later than that.
 *
 * The first piece goes at once; what follows within ATL_TEXT_INTERVAL_MS is joined to the next
 * message, which a timer sends when no further piece comes.
 *
 * Threading: push and flush from any thread; the timer runs on `context`.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ATL_TEXT_INTERVAL_MS 34u

typedef struct _AtlTextSender AtlTextSender;

/* For the signals of `request`, one reference. */
AtlTextSender *
atl_text_sender_new (GDBusConnection *connection, GMainContext *context, guint request);
AtlTextSender *atl_text_sender_ref (AtlTextSender *self);
void atl_text_sender_unref (AtlTextSender *self);

/* More of the answer, or of the reasoning; copied. */
void atl_text_sender_push (AtlTextSender *self, const char *text, gboolean is_thinking);
/* A token of the signal Tokens, (isdba(isd)), floating; sent with the text that follows it. */
void atl_text_sender_push_token (AtlTextSender *self, GVariant *token);
/* Sends what waits: before the request's last signal. */
void atl_text_sender_flush (AtlTextSender *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTextSender, atl_text_sender_unref)

G_END_DECLS
