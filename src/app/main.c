/* The program "atelier": the window. */
#include <glib/gi18n.h>
#include <locale.h>
#include <string.h>

#include "app/application.h"
#include "atelier-config.h"
#include "base/language.h"

int
main (int argc, char **argv)
{
  g_autoptr (AtlApplication) app = NULL;

  /* A build that was not installed finds its schema beside itself. */
  if (atl_language_is_built_here ())
    g_setenv ("GSETTINGS_SCHEMA_DIR", ATL_BUILD_DIR G_DIR_SEPARATOR_S "data", FALSE);
  setlocale (LC_ALL, "");
  atl_language_bind ();
  g_set_application_name (_ ("Atelier"));

  app = atl_application_new (NULL, 0);
  return g_application_run (G_APPLICATION (app), argc, argv);
}
