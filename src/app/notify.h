/* Notifications of the desktop, where there is one that shows them.
 *
 *   atl_notify (app, "answer", notification);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* g_application_send_notification(), but quiet where nobody shows notifications: GLib would warn
 * each time. Takes references of its own. */
void atl_notify (GApplication *app, const char *id, GNotification *notification);

G_END_DECLS
