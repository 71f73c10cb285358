/* Binds the settings to rows and says what cannot be changed: where things lie, what is safe. */
#include "app/preferences/preferences-window.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/combo-row.h"
#include "app/dialogs.h"
#include "app/images/pictures-session.h"
#include "app/wheel.h"
#include "hub/library.h"

struct _AtlPreferencesWindow
{
  AdwPreferencesWindow parent_instance;

  AtlSession *session;

  GtkWidget *scheme_row;
  GtkWidget *zoom_spin;
  GtkWidget *device_row;
  GtkWidget *format_row;
  GtkWidget *threads_spin;
  GtkWidget *idle_spin;
  GtkWidget *keep_switch;
  GtkWidget *keep_row;
  GtkWidget *keep_spin;
  GtkWidget *chats_row;
  GtkWidget *models_row;
  GtkWidget *pictures_row;
  GtkWidget *sandbox_row;
  GtkWidget *backup_row;
};

G_DEFINE_FINAL_TYPE (AtlPreferencesWindow, atl_preferences_window, ADW_TYPE_PREFERENCES_WINDOW)

static GSettings *
get_settings (AtlPreferencesWindow *self)
{
  return atl_session_get_settings (self->session);
}

static void
scheme_cb (AtlPreferencesWindow *self)
{
  if (self->session != NULL)
    g_settings_set_enum (get_settings (self), "color-scheme",
                         (int) adw_combo_row_get_selected (ADW_COMBO_ROW (self->scheme_row)));
}

static void
device_cb (AtlPreferencesWindow *self)
{
  if (self->session != NULL)
    g_settings_set_enum (get_settings (self), "device",
                         (int) adw_combo_row_get_selected (ADW_COMBO_ROW (self->device_row)));
}

static void
format_cb (AtlPreferencesWindow *self)
{
  if (self->session != NULL)
    g_settings_set_enum (get_settings (self), "picture-format",
                         (int) adw_combo_row_get_selected (ADW_COMBO_ROW (self->format_row)));
}

static void
zoom_cb (GtkSpinButton *spin, AtlPreferencesWindow *self)
{
  if (self->session != NULL)
    g_settings_set_double (get_settings (self), "zoom", gtk_spin_button_get_value (spin) / 100);
}

static void
open_folder (AtlPreferencesWindow *self, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autofree char *uri = g_file_get_uri (file);

  g_mkdir_with_parents (path, 0700);
  gtk_show_uri (GTK_WINDOW (self), uri, GDK_CURRENT_TIME);
}

static void
open_chats_cb (AtlPreferencesWindow *self)
{
  open_folder (self, atl_store_dir (atl_session_get_store (self->session)));
}

static void
open_models_cb (AtlPreferencesWindow *self)
{
  open_folder (self, atl_library_dir ());
}

static void
open_pictures_cb (AtlPreferencesWindow *self)
{
  g_autofree char *folder = atl_pictures_dir ();

  open_folder (self, folder);
}

static void
say (AtlPreferencesWindow *self, const char *sentence)
{
  adw_preferences_window_add_toast (ADW_PREFERENCES_WINDOW (self),
                                    atl_toast_new (GTK_WIDGET (self), sentence, NULL));
  atl_accessible_announce (GTK_WIDGET (self), sentence);
}

static void
backed_up_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlPreferencesWindow) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  if (!atl_store_backup_finish (result, &path, &error))
    say (self, error->message);
  else
    say (self, path ? _ ("Your chats were backed up") : _ ("There is a backup of today already"));
}

static void
backup_cb (AtlPreferencesWindow *self)
{
  atl_store_backup_async (atl_store_dir (atl_session_get_store (self->session)), NULL, backed_up_cb,
                          g_object_ref (self));
}

/* How much of the space for chats is used. */
static void
refresh_kept (AtlPreferencesWindow *self)
{
  AtlKeptChats *kept = atl_client_get_kept_chats (atl_session_get_client (self->session));
  g_autofree char *size = g_format_size (kept != NULL ? atl_kept_chats_bytes (kept) : 0);
  g_autofree char *words = g_strdup_printf (_ ("At most so many gigabytes; %s now"), size);

  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->keep_row), words);
}

static void
clear_kept_cb (AtlPreferencesWindow *self)
{
  AtlKeptChats *kept = atl_client_get_kept_chats (atl_session_get_client (self->session));

  if (kept != NULL)
    atl_kept_chats_clear (kept);
  refresh_kept (self);
  say (self, _ ("Your chats are all there; their next answers begin a little later."));
}

static void
status_cb (AtlPreferencesWindow *self)
{
  AtlEngineStatus *status = atl_client_get_status (atl_session_get_client (self->session));
  const char *words = status && status->sandbox[0] != '\0'
                          ? status->sandbox
                          : _ ("Starts with the first model, without access to your files or "
                               "the network.");

  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->sandbox_row), words);
}

static void
atl_preferences_window_dispose (GObject *object)
{
  g_clear_object (&ATL_PREFERENCES_WINDOW (object)->session);
  G_OBJECT_CLASS (atl_preferences_window_parent_class)->dispose (object);
}

static void
atl_preferences_window_class_init (AtlPreferencesWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_preferences_window_dispose;
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/atelier/Atelier/ui/preferences-window.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlPreferencesWindow, name)
  BIND (scheme_row);
  BIND (zoom_spin);
  BIND (device_row);
  BIND (format_row);
  BIND (threads_spin);
  BIND (idle_spin);
  BIND (keep_switch);
  BIND (keep_row);
  BIND (keep_spin);
  BIND (chats_row);
  BIND (models_row);
  BIND (pictures_row);
  BIND (sandbox_row);
  BIND (backup_row);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, scheme_cb);
  gtk_widget_class_bind_template_callback (widget_class, device_cb);
  gtk_widget_class_bind_template_callback (widget_class, format_cb);
  gtk_widget_class_bind_template_callback (widget_class, zoom_cb);
  gtk_widget_class_bind_template_callback (widget_class, open_chats_cb);
  gtk_widget_class_bind_template_callback (widget_class, open_models_cb);
  gtk_widget_class_bind_template_callback (widget_class, open_pictures_cb);
  gtk_widget_class_bind_template_callback (widget_class, backup_cb);
  gtk_widget_class_bind_template_callback (widget_class, clear_kept_cb);
}

static void
atl_preferences_window_init (AtlPreferencesWindow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  atl_wheel_ignore (GTK_WIDGET (self));
}

GtkWidget *
atl_preferences_window_new (AtlSession *session)
{
  AtlPreferencesWindow *self = g_object_new (ATL_TYPE_PREFERENCES_WINDOW, NULL);
  GSettings *settings = atl_session_get_settings (session);
  g_autofree char *pictures = atl_pictures_dir ();

  atl_combo_row_show_whole (ADW_COMBO_ROW (self->scheme_row));
  atl_combo_row_show_whole (ADW_COMBO_ROW (self->device_row));
  atl_combo_row_show_whole (ADW_COMBO_ROW (self->format_row));
  atl_accessible_name_combo_row (self->format_row);
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->format_row),
                              (guint) g_settings_get_enum (settings, "picture-format"));
  atl_accessible_name_combo_row (self->scheme_row);
  atl_accessible_name_combo_row (self->device_row);
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->scheme_row),
                              (guint) g_settings_get_enum (settings, "color-scheme"));
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->device_row),
                              (guint) g_settings_get_enum (settings, "device"));
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->zoom_spin),
                             100 * g_settings_get_double (settings, "zoom"));
  g_settings_bind (settings, "n-threads", self->threads_spin, "value", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "idle-unload-minutes", self->idle_spin, "value",
                   G_SETTINGS_BIND_DEFAULT);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->chats_row),
                               atl_store_dir (atl_session_get_store (session)));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->models_row), atl_library_dir ());
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->pictures_row), pictures);
  self->session = g_object_ref (session);
  g_settings_bind (settings, "keep-chats", self->keep_switch, "active", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "keep-chats", self->keep_row, "sensitive",
                   G_SETTINGS_BIND_GET | G_SETTINGS_BIND_NO_SENSITIVITY);
  g_settings_bind (settings, "keep-chats-gb", self->keep_spin, "value", G_SETTINGS_BIND_DEFAULT);
  g_signal_connect_object (settings, "changed", G_CALLBACK (refresh_kept), self,
                           G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  refresh_kept (self);
  g_signal_connect_object (atl_session_get_client (session), "notify::status",
                           G_CALLBACK (status_cb), self, G_CONNECT_SWAPPED);
  status_cb (self);
  return GTK_WIDGET (self);
}
