/* Asks the bus whether somebody shows notifications before one is sent. */
#include "app/notify.h"

typedef struct
{
  GApplication *app;
  char *id;
  GNotification *notification;
} Pending;

static void
pending_free (Pending *pending)
{
  g_object_unref (pending->app);
  g_object_unref (pending->notification);
  g_free (pending->id);
  g_free (pending);
}

static void
started_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Pending *pending = data;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);

  if (reply != NULL)
    g_application_send_notification (pending->app, pending->id, pending->notification);
  pending_free (pending);
}

/* There GLib asks the portal, and the names of the session are hidden. */
static gboolean
is_packaged (void)
{
  return g_file_test ("/.flatpak-info", G_FILE_TEST_EXISTS) || g_getenv ("SNAP_NAME") != NULL;
}

void
atl_notify (GApplication *app, const char *id, GNotification *notification)
{
  GDBusConnection *bus = g_application_get_dbus_connection (app);
  Pending *pending;

  if (is_packaged ())
    g_application_send_notification (app, id, notification);
  if (bus == NULL || is_packaged ())
    return;
  pending = g_new0 (Pending, 1);
  pending->app = g_object_ref (app);
  pending->id = g_strdup (id);
  pending->notification = g_object_ref (notification);
  /* It succeeds when it runs already as well. */
  g_dbus_connection_call (
      bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
      "StartServiceByName", g_variant_new ("(su)", "org.freedesktop.Notifications", 0),
      G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, started_cb, pending);
}
