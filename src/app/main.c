/* The program "atelier": the window. */
#include <glib/gi18n.h>
#include <gtk/gtk.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app/application.h"
#include "app/session/short-turns.h"
#include "atelier-config.h"
#include "base/language.h"

/* Whether a graphics driver of this machine can draw. Without one, GL is computed by the processor:
 * three times the memory and four times the time of GTK's own way for windows without GL. */
static gboolean
has_graphics (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/dev/dri", 0, NULL);
  const char *software = g_getenv ("LIBGL_ALWAYS_SOFTWARE");
  const char *name;

  if (software != NULL && (g_str_equal (software, "1") || g_str_equal (software, "true")))
    return FALSE;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/dev/dri", name, NULL);
      if (g_str_has_prefix (name, "renderD") && access (path, R_OK | W_OK) == 0)
        return TRUE;
    }
  return access ("/dev/nvidiactl", R_OK | W_OK) == 0 || access ("/dev/dxg", R_OK | W_OK) == 0;
}

/* For the display that is opened next. What a person chose by these variables stays. */
static gboolean
draw_without_gl (void)
{
  if (g_getenv ("GSK_RENDERER") != NULL || g_getenv ("GDK_DEBUG") != NULL || has_graphics ())
    return FALSE;
  g_setenv ("GSK_RENDERER", "cairo", FALSE);
  /* Later versions of GTK load no driver before a renderer wants it, and warn about this. */
  if (gtk_get_minor_version () < 14)
    g_setenv ("GDK_DEBUG", "gl-disable", FALSE);
  return TRUE;
}

/* The display is open: programs that are started from here choose for themselves. */
static void
started_cb (GApplication *app)
{
  g_unsetenv ("GDK_DEBUG");
}

#define REGISTER_TRIES 40
#define REGISTER_WAIT_US (50 * 1000)

/* A window that was just killed may still have its name on the bus, and does not answer there. */
static void
register_patiently (GApplication *app)
{
  for (guint i = 0; i < REGISTER_TRIES; i++)
    {
      g_autoptr (GError) error = NULL;

      if (g_application_register (app, NULL, &error) ||
          !g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY))
        return;
      g_usleep (REGISTER_WAIT_US);
    }
}

int
main (int argc, char **argv)
{
  g_autoptr (AtlApplication) app = NULL;
  gboolean without_gl = draw_without_gl ();

  /* A file beyond the limit of a login's files is told about, as a full disk is. */
  signal (SIGXFSZ, SIG_IGN);
  atl_short_turns_ask ();
  /* A build that was not installed finds its schema beside itself. */
  if (atl_language_is_built_here ())
    g_setenv ("GSETTINGS_SCHEMA_DIR", ATL_BUILD_DIR G_DIR_SEPARATOR_S "data", FALSE);
  setlocale (LC_ALL, "");
  atl_language_bind ();
  g_set_application_name (_ ("Atelier"));

  app = atl_application_new (NULL, 0);
  if (without_gl)
    g_signal_connect (app, "startup", G_CALLBACK (started_cb), NULL);
  /* What begins with a dash may need no display. */
  if (argc < 2 || argv[1][0] != '-')
    register_patiently (G_APPLICATION (app));
  return g_application_run (G_APPLICATION (app), argc, argv);
}
