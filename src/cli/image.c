/* `atelier-cli image`: a prompt in, picture files out. */
#define G_LOG_DOMAIN "atl-cli"

#include <glib/gi18n.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/image-options.h"
#include "cli/session.h"
#include "media/recipe.h"

typedef struct
{
  gboolean is_over;
  GError *error;
  guint index, count;
} Waiting;

static void
progress_cb (
    AtlPictureJob *job, const char *phase, guint step, guint n_steps, double left, Waiting *waiting)
{
  if (!isatty (STDERR_FILENO))
    return;
  fputs ("\r\033[K", stderr);
  if (waiting->count > 1)
    fprintf (stderr, "%u/%u  ", waiting->index + 1, waiting->count);
  fputs (phase, stderr);
  if (n_steps > 0)
    fprintf (stderr, "  %u/%u", step, n_steps);
  if (left >= 0)
    /* Translators: %.0f are seconds. */
    fprintf (stderr, _ ("  about %.0f s left"), left);
}

static void
finished_cb (AtlPictureJob *job, Waiting *waiting)
{
  waiting->is_over = TRUE;
}

static void
failed_cb (AtlPictureJob *job, GError *error, Waiting *waiting)
{
  waiting->error = g_error_copy (error);
  waiting->is_over = TRUE;
}

static void
cancelled_cb (GCancellable *cancellable, AtlPictureJob *job)
{
  atl_picture_job_stop (job);
}

static AtlPictureJob *
wait_for_picture (AtlCliSession *session,
                  const AtlImageOptions *options,
                  GVariant *settings,
                  guint index,
                  GError **error)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (settings);
  g_autoptr (AtlPictureJob) job = NULL;
  Waiting waiting = { .index = index, .count = (guint) options->count };
  gulong handler;

  if (options->image != NULL)
    atl_picture_request_add_file (request, ATL_CREATE_IMAGE, options->image);
  if (options->mask != NULL)
    atl_picture_request_add_file (request, ATL_CREATE_MASK, options->mask);
  for (char **path = options->references; path != NULL && *path != NULL; path++)
    atl_picture_request_add_file (request, ATL_CREATE_REFERENCE, *path);
  for (char **text = options->loras; text != NULL && *text != NULL; text++)
    {
      double strength;
      g_autofree char *path = atl_adapter_parse (*text, &strength);

      atl_picture_request_add_lora (request, path, strength);
    }
  job = atl_client_create (session->client, session->model, request);
  g_signal_connect (job, "progress", G_CALLBACK (progress_cb), &waiting);
  g_signal_connect (job, "finished", G_CALLBACK (finished_cb), &waiting);
  g_signal_connect (job, "failed", G_CALLBACK (failed_cb), &waiting);
  handler = g_signal_connect (session->cancellable, "cancelled", G_CALLBACK (cancelled_cb), job);
  while (!waiting.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_signal_handler_disconnect (session->cancellable, handler);
  g_signal_handlers_disconnect_by_data (job, &waiting);
  if (isatty (STDERR_FILENO))
    fputs ("\r\033[K", stderr);
  if (waiting.error != NULL)
    {
      g_propagate_error (error, waiting.error);
      return NULL;
    }
  return g_steal_pointer (&job);
}

static gboolean
save (AtlPictureJob *job, const AtlImageOptions *options, GVariant *settings, GError **error)
{
  GVariant *facts = atl_picture_job_get_facts (job);
  guint width = 0, height = 0;
  GBytes *pixels = atl_picture_job_get_pixels (job, &width, &height);
  g_autoptr (AtlPicture) picture = atl_picture_new (width, height);
  g_autoptr (GVariant) recipe = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *path = NULL;
  g_autofree char *stem = NULL;

  memcpy (picture->rgb, g_bytes_get_data (pixels, NULL), g_bytes_get_size (pixels));
  recipe = atl_recipe_join (settings, facts, width, height);
  atl_recipe_write (picture, recipe);
  stem = options->stem != NULL
             ? g_strdup (options->stem)
             : g_strdup_printf ("atelier-%u", atl_dict_uint (facts, ATL_MADE_SEED, 0));
  bytes = atl_picture_encode (picture, options->format, 0, error);
  if (bytes == NULL)
    return FALSE;
  path = atl_picture_save (bytes, options->folder, stem, options->ending, error);
  if (path == NULL)
    return FALSE;
  printf ("%s\n", path);
  return fflush (stdout) == 0;
}

static int
fail (const GError *error)
{
  fprintf (stderr, "atelier-cli image: %s\n", error->message);
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? 130 : 1;
}

int
atl_cli_image (int argc, char **argv)
{
  g_auto (AtlImageOptions) options = { 0 };
  g_auto (AtlCliSession) session = { 0 };
  g_autoptr (GError) error = NULL;

  if (!atl_image_options_parse (&options, &argc, &argv, &error))
    {
      fail (error);
      return 2;
    }
  if (!atl_cli_session_open (&session, options.model, &options.load, &error))
    return fail (error);
  if (!atl_model_get_info (session.model)->is_picture)
    {
      fprintf (stderr, _ ("atelier-cli image: %s chats and makes no pictures\n"),
               atl_model_get_info (session.model)->name);
      return 1;
    }
  for (guint i = 0; i < (guint) options.count; i++)
    {
      g_autoptr (GVariant) settings = g_variant_ref_sink (atl_image_options_settings (&options, i));
      g_autoptr (AtlPictureJob) job = wait_for_picture (&session, &options, settings, i, &error);

      if (job == NULL || !save (job, &options, settings, &error))
        return fail (error);
    }
  return 0;
}
