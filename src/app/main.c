/* The program "atelier": the window. */
#include <glib/gi18n.h>
#include <locale.h>
#include <string.h>

#include "app/application.h"
#include "atelier-config.h"

/* A build that was not installed finds its schema and translations beside itself. */
static gboolean
runs_from_build_tree (void)
{
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);
  return exe != NULL && g_str_has_prefix (exe, ATL_BUILD_DIR G_DIR_SEPARATOR_S);
}

int
main (int argc, char **argv)
{
  gboolean built_here = runs_from_build_tree ();
  g_autoptr (AtlApplication) app = NULL;

  if (built_here)
    g_setenv ("GSETTINGS_SCHEMA_DIR", ATL_BUILD_DIR G_DIR_SEPARATOR_S "data", FALSE);
  setlocale (LC_ALL, "");
  bindtextdomain (ATL_GETTEXT_PACKAGE,
                  built_here ? ATL_BUILD_DIR G_DIR_SEPARATOR_S "po" : ATL_LOCALEDIR);
  bind_textdomain_codeset (ATL_GETTEXT_PACKAGE, "UTF-8");
  textdomain (ATL_GETTEXT_PACKAGE);
  g_set_application_name (_ ("Atelier"));

  app = atl_application_new (NULL, 0);
  return g_application_run (G_APPLICATION (app), argc, argv);
}
