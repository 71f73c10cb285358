/* `atelier-cli verify`: whether models are still what they were. */
#define G_LOG_DOMAIN "atl-cli"

#include <glib/gi18n.h>
#include <stdio.h>

#include "atelier-config.h"
#include "cli/commands.h"
#include "hub/library.h"
#include "hub/verify.h"

typedef struct
{
  GMainLoop *loop;
  AtlVerified *verified; /* (owned) */
  GError *error;         /* (owned) */
} Check;

static void
verified_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Check *check = data;

  check->verified = atl_library_verify_finish (result, &check->error);
  g_main_loop_quit (check->loop);
}

/* One line; TRUE when nothing is wrong with it. */
static gboolean
verify_one (const char *path)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *name = g_filename_display_name (path);
  g_autofree char *wrong = NULL;
  Check check = { .loop = loop };
  gboolean is_good;

  atl_library_verify_async (path, NULL, NULL, NULL, verified_cb, &check);
  g_main_loop_run (loop);
  if (check.error != NULL)
    {
      fprintf (stderr, "atelier-cli: %s\n", check.error->message);
      g_clear_error (&check.error);
      return FALSE;
    }
  if (check.verified->n_files == 0)
    {
      fprintf (stderr, _ ("atelier-cli: %s: there is no model in this folder\n"), name);
      atl_verified_free (check.verified);
      return FALSE;
    }
  wrong = atl_verified_names (check.verified);
  is_good = check.verified->wrong->len == 0;
  switch (check.verified->verdict)
    {
    case ATL_VERDICT_INTACT:
      printf (_ ("%s: intact\n"), name);
      break;
    case ATL_VERDICT_NOTED:
      printf (_ ("%s: not known until now; its checksum is noted\n"), name);
      break;
    case ATL_VERDICT_CHANGED:
      printf (_ ("%s: CHANGED since its checksum was noted: %s\n"), name, wrong);
      break;
    case ATL_VERDICT_DAMAGED:
      printf (_ ("%s: DAMAGED: %s\n"), name, wrong);
      break;
    }
  fflush (stdout);
  atl_verified_free (check.verified);
  return is_good;
}

static int
verify_all (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) models = atl_library_scan (atl_library_dir (), NULL, &error);
  gboolean is_good = TRUE;

  if (models == NULL)
    {
      fprintf (stderr, "atelier-cli: %s\n", error->message);
      return 1;
    }
  for (guint i = 0; i < models->len; i++)
    is_good &= verify_one (((const AtlModelFile *) models->pdata[i])->path);
  return is_good ? 0 : 1;
}

int
atl_cli_verify (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (_ ("MODEL… | all"));
  g_autoptr (GError) error = NULL;
  gboolean is_good = TRUE;

  g_option_context_set_summary (
      context, _ ("Reads models, files or folders, and compares them with the checksums that were "
                  "noted when they were fetched or copied. “all” are those of the library. Ends "
                  "with 1 when one is damaged or was changed."));
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc < 2)
    {
      fprintf (stderr, "atelier-cli: %s\n",
               error != NULL ? error->message : _ ("which model? (or “all”)"));
      return 2;
    }
  if (argc == 2 && g_str_equal (argv[1], "all"))
    return verify_all ();
  for (int i = 1; i < argc; i++)
    is_good &= verify_one (argv[i]);
  return is_good ? 0 : 1;
}
