/* Starts the window, opens files that are handed over, keeps the global keys. */
#define G_LOG_DOMAIN "atl-app"

#include "app/application.h"

#include <glib/gi18n.h>
#include <gtksourceview/gtksource.h>

#include "app/accessible.h"
#include "app/chat/conversation.h"
#include "app/compare/compare-window.h"
#include "app/icon-threads.h"
#include "app/notebook/notebook-window.h"
#include "app/preferences/preferences-window.h"
#include "app/resources.h"
#include "app/style.h"
#include "app/window/shortcuts-window.h"
#include "app/window/window.h"
#include "atelier-config.h"
#include "hub/library.h"
#include "hub/starter.h"
#include "store/library.h"
#include "store/trash.h"

/* After the last window closed the engine has so long to write what it remembers of chats; if it
 * says nothing, a moment more. */
#define KEEP_MS 8000u
#define KEEP_PATIENCE_MS 2000u

struct _AtlApplication
{
  AdwApplication parent_instance;

  AtlSession *session; /* (nullable) until startup, and where no disk has room for it */
  GError *no_session;  /* (nullable) why not */
  char *store_dir;     /* (nullable) */
  guint keep_source;   /* runs while the engine writes, without a window */
};

G_DEFINE_FINAL_TYPE (AtlApplication, atl_application, ADW_TYPE_APPLICATION)

/* --- Actions --- */

static void
preferences_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AtlApplication *self = data;
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (self));
  GtkWindow *preferences = GTK_WINDOW (atl_preferences_window_new (self->session));

  gtk_window_set_transient_for (preferences, window);
  gtk_window_present (preferences);
}

static void
shortcuts_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  GtkWindow *window = GTK_WINDOW (atl_shortcuts_window_new ());

  gtk_window_set_transient_for (window, gtk_application_get_active_window (data));
  gtk_window_present (window);
}

static void
about_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  GtkWindow *window = gtk_application_get_active_window (data);

  adw_show_about_window (window, "application-name", _ ("Atelier"), "application-icon", ATL_APP_ID,
                         "version", ATL_VERSION, "developer-name", _ ("The Atelier developers"),
                         "license-type", GTK_LICENSE_GPL_3_0, "comments",
                         _ ("Chat with language models and make pictures on your own computer."),
                         /* Translators: your names, one a line */
                         "translator-credits", _ ("translator-credits"), NULL);
}

/* The tool's window, if it is open; a second one would write over its text. */
static GtkWindow *
find_window (AtlApplication *self, GType type)
{
  for (GList *l = gtk_application_get_windows (GTK_APPLICATION (self)); l != NULL; l = l->next)
    if (G_TYPE_CHECK_INSTANCE_TYPE (l->data, type))
      return l->data;
  return NULL;
}

static void
compare_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AtlApplication *self = data;
  GtkWindow *window = find_window (self, ATL_TYPE_COMPARE_WINDOW);

  if (window == NULL)
    window = GTK_WINDOW (atl_compare_window_new (GTK_APPLICATION (self), self->session));
  gtk_window_present (window);
}

static void
notebook_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AtlApplication *self = data;
  GtkWindow *window = find_window (self, ATL_TYPE_NOTEBOOK_WINDOW);

  if (window == NULL)
    window = GTK_WINDOW (atl_notebook_window_new (GTK_APPLICATION (self), self->session));
  gtk_window_present (window);
}

static AtlWindow *ensure_window (AtlApplication *self);

/* A notification was clicked. */
static void
open_chat_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  gtk_widget_activate_action_variant (GTK_WIDGET (ensure_window (data)), "win.open-chat",
                                      parameter);
}

static void
quit_cb (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  /* Closing saves what is half written; the application ends with its last window. */
  g_autoptr (GList) windows = g_list_copy (gtk_application_get_windows (data));

  /* A window may take others along. */
  g_list_foreach (windows, (GFunc) (void (*) (void)) g_object_ref, NULL);
  for (GList *l = windows; l != NULL; l = l->next)
    {
      gtk_window_close (l->data);
      g_object_unref (l->data);
    }
}

static void
set_accels (AtlApplication *self)
{
  static const struct
  {
    const char *action, *accels[4];
  } keys[] = {
    { "win.new", { "<Control>n" } },
    { "win.new-folder", { "<Control><Shift>n" } },
    { "win.open-model", { "<Control>o" } },
    { "win.choose-model", { "<Control>l" } },
    { "win.show-page::chats", { "<Control>1" } },
    { "win.show-page::images", { "<Control>2" } },
    { "win.show-page::models", { "<Control>4" } },
    { "win.find", { "<Control>f" } },
    { "win.search", { "<Control>k" } },
    { "win.rename-chat(int64 0)", { "F2" } },
    { "win.toggle-sidebar", { "F9" } },
    { "win.main-menu", { "F10" } },
    { "win.toggle-settings", { "<Control><Alt>p" } },
    { "win.zoom-in", { "<Control>plus", "<Control>equal", "<Control>KP_Add" } },
    { "win.zoom-out", { "<Control>minus", "<Control>KP_Subtract" } },
    { "win.zoom-reset", { "<Control>0", "<Control>KP_0" } },
    { "app.compare", { "<Control><Shift>c" } },
    { "app.notebook", { "<Control><Shift>t" } },
    { "app.preferences", { "<Control>comma" } },
    { "app.shortcuts", { "<Control>question" } },
    { "app.quit", { "<Control>q" } },
    { "window.close", { "<Control>w" } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    gtk_application_set_accels_for_action (GTK_APPLICATION (self), keys[i].action,
                                           (const char *const *) keys[i].accels);
}

/* --- Starting --- */

/* The model used last, else a starter that is there; none that ended the engine again and again. */
static char *
first_model (AtlApplication *self)
{
  AtlStore *store = atl_session_get_store (self->session);
  GSettings *settings = atl_session_get_settings (self->session);
  g_autofree char *path = g_settings_get_string (settings, "last-model");
  g_autoptr (AtlModelRow) row = NULL;

  if (*path == '\0' || !g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_free (path);
      path = atl_starter_find (NULL, ATL_STARTER_BEST);
    }
  if (path == NULL)
    return NULL;
  row = atl_store_model_get (store, path, NULL);
  if (row != NULL && row->n_crashes >= ATL_MODEL_MAX_CRASHES)
    return NULL;
  return g_steal_pointer (&path);
}

/* After the first frame: nothing that may take long stands between a person and the window. */
static gboolean
started_cb (gpointer data)
{
  AtlApplication *self = data;
  g_autofree char *path = NULL;

  if (self->session == NULL)
    return G_SOURCE_REMOVE;
  atl_library_sweep ();
  atl_session_emit_models_changed (self->session);
  path = first_model (self);
  if (path != NULL && !atl_session_get_is_loading (self->session) &&
      atl_session_get_model (self->session) == NULL)
    {
      const char *paths[] = { path, NULL };
      atl_session_load_model (self->session, paths, FALSE);
    }
  atl_store_trash_purge (atl_session_get_store (self->session), 0, NULL);
  atl_session_forget_destroyed_chats (self->session);
  atl_store_backup_async (self->store_dir, NULL, NULL, NULL);
  return G_SOURCE_REMOVE;
}

static AtlWindow *
ensure_window (AtlApplication *self)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (self));

  for (GList *l = gtk_application_get_windows (GTK_APPLICATION (self)); l != NULL; l = l->next)
    if (ATL_IS_WINDOW (l->data))
      window = l->data;
  if (window == NULL || !ATL_IS_WINDOW (window))
    {
      AtlWindow *created = atl_window_new (GTK_APPLICATION (self), self->session);
      atl_window_open_last (created);
      g_timeout_add_full (G_PRIORITY_DEFAULT, 50, started_cb, g_object_ref (self), g_object_unref);
      window = GTK_WINDOW (created);
    }
  gtk_window_present (window);
  return ATL_WINDOW (window);
}

static gboolean begin (AtlApplication *self);

static gboolean
again_cb (gpointer app)
{
  g_application_activate (app);
  g_application_release (app);
  return G_SOURCE_REMOVE;
}

/* The program stays until the dialog is gone and the next window there. */
static void
no_session_cb (GtkWidget *dialog, const char *response, AtlApplication *self)
{
  if (!g_str_equal (response, "again"))
    return;
  g_application_hold (G_APPLICATION (self));
  g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, again_cb, g_object_ref (self), g_object_unref);
}

/* Not one folder could be written: there is nothing to chat in, and only a person can change that.
 */
static void
tell_no_session (AtlApplication *self)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (self));

  if (window == NULL)
    {
      AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (
          adw_message_dialog_new (NULL, _ ("Atelier cannot start"), self->no_session->message));

      adw_message_dialog_add_responses (dialog, "quit", _ ("_Quit"), "again", _ ("_Try again"),
                                        NULL);
      adw_message_dialog_set_default_response (dialog, "again");
      adw_message_dialog_set_close_response (dialog, "quit");
      g_signal_connect_object (dialog, "response", G_CALLBACK (no_session_cb), self, 0);
      window = GTK_WINDOW (dialog);
      gtk_window_set_application (window, GTK_APPLICATION (self));
    }
  gtk_window_present (window);
}

static void
activate (GApplication *app)
{
  AtlApplication *self = ATL_APPLICATION (app);

  if (begin (self))
    ensure_window (self);
  else
    tell_no_session (self);
}

static void
open_files (GApplication *app, GFile **files, int n_files, const char *hint)
{
  AtlApplication *self = ATL_APPLICATION (app);

  if (begin (self))
    atl_window_open_files (ensure_window (self), NULL, files, (guint) n_files);
  else
    tell_no_session (self);
}

/* What needs the session; FALSE where there cannot be one. */
static gboolean
begin (AtlApplication *self)
{
  static const GActionEntry entries[] = {
    { "preferences", preferences_cb, NULL, NULL, NULL, { 0 } },
    { "shortcuts", shortcuts_cb, NULL, NULL, NULL, { 0 } },
    { "open-chat", open_chat_cb, "x", NULL, NULL, { 0 } },
    { "compare", compare_cb, NULL, NULL, NULL, { 0 } },
    { "notebook", notebook_cb, NULL, NULL, NULL, { 0 } },
    { "about", about_cb, NULL, NULL, NULL, { 0 } },
    { "quit", quit_cb, NULL, NULL, NULL, { 0 } },
  };

  if (self->session != NULL)
    return TRUE;
  g_clear_error (&self->no_session);
  self->session = atl_session_new (self->store_dir, &self->no_session);
  if (self->session == NULL)
    return FALSE;
  atl_style_follow (atl_session_get_settings (self->session));
  g_action_map_add_action_entries (G_ACTION_MAP (self), entries, G_N_ELEMENTS (entries), self);
  set_accels (self);
  return TRUE;
}

static void
startup (GApplication *app)
{
  G_APPLICATION_CLASS (atl_application_parent_class)->startup (app);
  gtk_source_init ();
  atl_icon_threads_init ();
  atl_accessible_watch ();
  begin (ATL_APPLICATION (app));
}

/* --- Ending --- */

/* Unless a window was opened again, this was all that kept the program. */
static void
end_keeping (AtlApplication *self)
{
  if (self->keep_source == 0)
    return;
  g_clear_handle_id (&self->keep_source, g_source_remove);
  g_application_release (G_APPLICATION (self));
}

static void
kept_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlApplication) self = data;
  g_autoptr (GError) error = NULL;

  if (!atl_client_keep_all_finish (ATL_CLIENT (source), result, &error))
    g_debug ("chats were not kept: %s", error->message);
  end_keeping (self);
}

static gboolean
keep_late_cb (gpointer data)
{
  AtlApplication *self = data;

  self->keep_source = 0;
  g_application_release (G_APPLICATION (self));
  return G_SOURCE_REMOVE;
}

/* The last window is gone from the screen at once; the program stays for a moment. */
static void
window_removed (GtkApplication *app, GtkWindow *window)
{
  AtlApplication *self = ATL_APPLICATION (app);
  AtlConversation *running;

  g_application_hold (G_APPLICATION (app));
  GTK_APPLICATION_CLASS (atl_application_parent_class)->window_removed (app, window);
  if (gtk_application_get_windows (app) == NULL && self->session != NULL && self->keep_source == 0)
    {
      running = atl_session_get_running (self->session);
      if (running != NULL)
        atl_conversation_stop (running);
      self->keep_source = g_timeout_add (KEEP_MS + KEEP_PATIENCE_MS, keep_late_cb, self);
      g_application_hold (G_APPLICATION (app));
      atl_client_keep_all_async (atl_session_get_client (self->session), KEEP_MS, kept_cb,
                                 g_object_ref (self));
    }
  g_application_release (G_APPLICATION (app));
}

static void
shutdown (GApplication *app)
{
  AtlApplication *self = ATL_APPLICATION (app);

  g_clear_handle_id (&self->keep_source, g_source_remove);
  if (self->session != NULL)
    g_object_run_dispose (G_OBJECT (self->session));
  g_clear_object (&self->session);
  G_APPLICATION_CLASS (atl_application_parent_class)->shutdown (app);
}

static void
atl_application_finalize (GObject *object)
{
  AtlApplication *self = ATL_APPLICATION (object);

  g_free (self->store_dir);
  g_clear_error (&self->no_session);
  G_OBJECT_CLASS (atl_application_parent_class)->finalize (object);
}

static void
atl_application_class_init (AtlApplicationClass *klass)
{
  GApplicationClass *app_class = G_APPLICATION_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = atl_application_finalize;
  app_class->startup = startup;
  app_class->shutdown = shutdown;
  app_class->activate = activate;
  app_class->open = open_files;
  GTK_APPLICATION_CLASS (klass)->window_removed = window_removed;
}

static void
atl_application_init (AtlApplication *self)
{
  static gsize registered;

  if (g_once_init_enter (&registered))
    {
      atl_app_register_resource ();
      g_once_init_leave (&registered, 1);
    }
  gtk_window_set_default_icon_name (ATL_APP_ID);
}

AtlApplication *
atl_application_new (const char *store_dir, GApplicationFlags flags)
{
  AtlApplication *self = g_object_new (ATL_TYPE_APPLICATION, "application-id", ATL_APP_ID, "flags",
                                       flags | G_APPLICATION_HANDLES_OPEN, "resource-base-path",
                                       "/io/github/atelier/Atelier", NULL);
  self->store_dir = g_strdup (store_dir);
  return self;
}
