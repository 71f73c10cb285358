/* The starter model from a terminal. The one file of the hub that prints: it is a program's main.
 */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/fetch-cli.h"

#include <glib/gi18n.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "atelier-config.h"
#include "base/language.h"
#include "hub/starter.h"

typedef struct
{
  GMainLoop *loop;
  GCancellable *cancellable;
  gboolean terminal; /* a line that is rewritten; else one line every ten seconds */
  char *named;       /* (owned) the model that was named last */
  gint64 printed_us;
  gboolean line_open;
  gboolean looking; /* said already that servers are asked */
  char *path;       /* (owned) */
  GError *error;    /* (owned) */
} Fetch;

static void
end_line (Fetch *fetch)
{
  if (fetch->line_open)
    fputc ('\n', stderr);
  fetch->line_open = FALSE;
}

/* A person must know what comes before it comes. */
static void
name_model (Fetch *fetch, const char *title, guint64 size_bytes)
{
  const AtlStarter *list;
  guint n;

  if (g_strcmp0 (title, fetch->named) == 0)
    return;
  end_line (fetch);
  g_free (fetch->named);
  fetch->named = g_strdup (title);
  list = atl_starter_list (&n);
  for (guint i = 0; i < n; i++)
    if (g_strcmp0 (list[i].title, title) == 0)
      {
        g_autofree char *size =
            atl_language_size (size_bytes != 0 ? size_bytes : list[i].size_bytes);

        fprintf (stderr,
                 list[i].toy ? _ ("Starter model: %s (a toy), %s, %s\n  %s\n")
                             : _ ("Starter model: %s, %s, %s\n  %s\n"),
                 title, size, list[i].license, _ (list[i].about));
      }
}

static void
progress_cb (const AtlHubProgress *progress, gpointer data)
{
  Fetch *fetch = data;
  gint64 now_us = g_get_monotonic_time ();
  g_autofree char *done = atl_language_size (progress->done_bytes);
  g_autofree char *total = atl_language_size (progress->total_bytes);
  g_autofree char *rate = atl_language_size ((guint64) progress->bytes_per_s);

  if (progress->stage == ATL_HUB_CONNECTING)
    {
      if (!fetch->looking)
        fprintf (stderr, "%s\n", _ ("Looking for a starter model within reach"));
      fetch->looking = TRUE;
      return;
    }
  name_model (fetch, progress->what, progress->total_bytes);
  if (!fetch->terminal && now_us - fetch->printed_us < 10 * G_USEC_PER_SEC)
    return;
  fetch->printed_us = now_us;
  if (fetch->terminal)
    fputs ("\r\033[K", stderr);
  fprintf (stderr,
           progress->stage == ATL_HUB_CHECKING ? _ ("  checking %s of %s")
                                               : _ ("  fetching %s of %s"),
           done, total);
  if (progress->bytes_per_s > 0)
    fprintf (stderr, ", %s/s", rate);
  if (progress->seconds_left >= 0)
    fprintf (stderr, _ (", %d:%02d left"), progress->seconds_left / 60,
             progress->seconds_left % 60);
  if (!fetch->terminal)
    fputc ('\n', stderr);
  fflush (stderr);
  fetch->line_open = fetch->terminal;
}

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Fetch *fetch = data;

  fetch->path = atl_starter_fetch_finish (result, &fetch->error);
  g_main_loop_quit (fetch->loop);
}

static gboolean
interrupt_cb (gpointer data)
{
  g_cancellable_cancel (((Fetch *) data)->cancellable);
  return G_SOURCE_CONTINUE;
}

static int
run (const char *dir, AtlStarterKind kind)
{
  Fetch fetch = { .loop = g_main_loop_new (NULL, FALSE),
                  .cancellable = g_cancellable_new (),
                  .terminal = isatty (STDERR_FILENO) };
  guint on_int = g_unix_signal_add (SIGINT, interrupt_cb, &fetch);
  guint on_term = g_unix_signal_add (SIGTERM, interrupt_cb, &fetch);
  int status = 0;

  atl_starter_fetch_async (dir, kind, progress_cb, &fetch, fetch.cancellable, done_cb, &fetch);
  g_main_loop_run (fetch.loop);
  end_line (&fetch);
  if (fetch.path != NULL)
    printf ("%s\n", fetch.path);
  else if (g_error_matches (fetch.error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      fprintf (stderr, "%s\n",
               _ ("Stopped. What was fetched is kept: the same command goes on from there."));
      status = 130;
    }
  else
    {
      fprintf (stderr, "%s.\n", fetch.error->message);
      status = 1;
    }
  g_source_remove (on_int);
  g_source_remove (on_term);
  g_clear_error (&fetch.error);
  g_free (fetch.path);
  g_free (fetch.named);
  g_object_unref (fetch.cancellable);
  g_main_loop_unref (fetch.loop);
  return status;
}

int
atl_hub_cli_fetch (int argc, char **argv)
{
  gboolean small = FALSE;
  g_autofree char *dir = NULL;
  const GOptionEntry entries[] = {
    { "small", 0, 0, G_OPTION_ARG_NONE, &small, N_ ("Fetch the smallest model, a toy"), NULL },
    { "dir", 0, 0, G_OPTION_ARG_FILENAME, &dir, N_ ("Put it into FOLDER"), "FOLDER" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, ATL_GETTEXT_PACKAGE);
  g_option_context_set_summary (context, _ ("Fetches a starter model and prints its path."));
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc > 1)
    {
      fprintf (stderr, "%s\n", error != NULL ? error->message : _ ("too many arguments"));
      return 1;
    }
  return run (dir, small ? ATL_STARTER_SMALL : ATL_STARTER_BEST);
}
