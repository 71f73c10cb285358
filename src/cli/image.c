/* `atelier-cli image`: a prompt in, picture files out. */
#define G_LOG_DOMAIN "atl-cli"

#include <glib/gi18n.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal-text.h"
#include "cli/commands.h"
#include "cli/image-options.h"
#include "cli/image-preview.h"
#include "cli/session.h"
#include "media/recipe.h"
#include "media/sampler-names.h"

typedef struct
{
  gboolean is_over;
  GError *error;
  guint index, count;
  gboolean shows_preview;
  guint n_lines; /* of the preview above */
} Waiting;

#define PREVIEW_COLUMNS 48

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
preview_cb (AtlPictureJob *job, GBytes *rgb, guint width, guint height, Waiting *waiting)
{
  if (waiting->shows_preview)
    waiting->n_lines = atl_cli_preview_draw (g_bytes_get_data (rgb, NULL), width, height,
                                             PREVIEW_COLUMNS, waiting->n_lines);
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

/* Takes the job, gives it back when it succeeded. */
static AtlPictureJob *
wait_for (AtlCliSession *session, AtlPictureJob *running, Waiting *waiting, GError **error)
{
  g_autoptr (AtlPictureJob) job = running;
  gulong handler;

  waiting->is_over = FALSE;
  g_signal_connect (job, "progress", G_CALLBACK (progress_cb), waiting);
  g_signal_connect (job, "preview", G_CALLBACK (preview_cb), waiting);
  g_signal_connect (job, "finished", G_CALLBACK (finished_cb), waiting);
  g_signal_connect (job, "failed", G_CALLBACK (failed_cb), waiting);
  handler = g_signal_connect (session->cancellable, "cancelled", G_CALLBACK (cancelled_cb), job);
  while (!waiting->is_over)
    g_main_context_iteration (NULL, TRUE);
  g_signal_handler_disconnect (session->cancellable, handler);
  g_signal_handlers_disconnect_by_data (job, waiting);
  if (isatty (STDERR_FILENO))
    fputs ("\r\033[K", stderr);
  if (waiting->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&waiting->error));
      return NULL;
    }
  return g_steal_pointer (&job);
}

static AtlPictureRequest *
make_request (const AtlImageOptions *options, GVariant *settings)
{
  AtlPictureRequest *request = atl_picture_request_new (settings);

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

      atl_picture_request_add_lora (request, path, g_str_equal (path, *text) ? NAN : strength);
    }
  return request;
}

/* --- Recipes --- */

typedef struct
{
  AtlPictureFile *file;
  GError *error;
  gboolean is_over;
} Reading;

static void
read_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reading *reading = user_data;

  reading->file = atl_client_read_picture_finish (ATL_CLIENT (source), result, &reading->error);
  reading->is_over = TRUE;
}

/* A picture of others: read by the engine. Its pixels are not needed. */
static gboolean
read_recipe (AtlCliSession *session, const char *path, GVariant **recipe, GError **error)
{
  g_autoptr (AtlPictureFile) file = NULL;
  Reading reading = { 0 };

  if (path == NULL)
    return TRUE;
  atl_client_read_picture_async (session->client, path, NULL, 1, session->cancellable, read_cb,
                                 &reading);
  while (!reading.is_over)
    g_main_context_iteration (NULL, TRUE);
  file = reading.file;
  if (file == NULL)
    g_propagate_error (error, reading.error);
  else if (file->recipe == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s does not say how it was made"),
                 path);
  else
    *recipe = g_variant_ref (file->recipe);
  return *recipe != NULL;
}

static void
leave_out (GVariant **recipe, const char *key)
{
  g_autoptr (GVariant) before = *recipe;
  GVariantDict dict;

  g_variant_dict_init (&dict, before);
  g_variant_dict_remove (&dict, key);
  *recipe = g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* Other programs have samplers and schedules of their own; what else they say is followed. */
static void
leave_out_unknown (const AtlImageOptions *options, const AtlModelInfo *info, GVariant **recipe)
{
  g_autofree char *sampler = atl_dict_string (*recipe, ATL_MADE_SAMPLER, "");
  g_autofree char *schedule = atl_dict_string (*recipe, ATL_MADE_SCHEDULE, "");

  if (options->sampler == NULL && !atl_model_info_has_sampler (info, sampler))
    {
      g_autofree char *shown = atl_terminal_text (sampler);

      leave_out (recipe, ATL_MADE_SAMPLER);
      /* Translators: the name of a sampler. */
      fprintf (stderr,
               _ ("The sampler “%s” of that picture is not known for this model, whose own "
                  "is taken"),
               shown);
      fputc ('\n', stderr);
    }
  if (*schedule != '\0' && atl_schedule_find (schedule) == NULL && options->sampler == NULL &&
      options->schedule == NULL)
    {
      g_autofree char *shown = atl_terminal_text (schedule);

      leave_out (recipe, ATL_MADE_SCHEDULE);
      /* Translators: the name of a schedule. */
      fprintf (stderr,
               _ ("The schedule “%s” of that picture is not known here: the model's own is taken"),
               shown);
      fputc ('\n', stderr);
    }
}

/* --- Saving --- */

/* What it was made with, and what enlarged it (nullable). */
static void
add_recipe (AtlPicture *picture, AtlPictureJob *drawn, AtlPictureJob *larger)
{
  GVariant *settings = atl_picture_request_get_settings (atl_picture_job_get_request (drawn));
  g_autoptr (GVariant) recipe = NULL;
  guint width = 0, height = 0;

  atl_picture_job_get_pixels (drawn, &width, &height);
  recipe = atl_recipe_join (settings, atl_picture_job_get_facts (drawn), width, height);
  if (larger != NULL)
    {
      g_autoptr (GVariant) before = g_steal_pointer (&recipe);

      atl_picture_job_get_pixels (larger, &width, &height);
      recipe = atl_recipe_enlarged (before, atl_picture_job_get_facts (larger), width, height);
    }
  atl_recipe_write (picture, recipe);
}

/* One of the two may be NULL: what was only enlarged has no recipe of ours. */
static gboolean
save (AtlPictureJob *drawn, AtlPictureJob *larger, const AtlImageOptions *options, GError **error)
{
  guint width = 0, height = 0;
  GBytes *pixels = atl_picture_job_get_pixels (larger != NULL ? larger : drawn, &width, &height);
  g_autoptr (AtlPicture) picture = atl_picture_new (width, height);
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *path = NULL;
  g_autofree char *stem = NULL;

  memcpy (picture->rgb, g_bytes_get_data (pixels, NULL), g_bytes_get_size (pixels));
  if (drawn != NULL)
    add_recipe (picture, drawn, larger);
  if (options->stem != NULL)
    stem = g_strdup (options->stem);
  else if (drawn != NULL)
    stem = g_strdup_printf ("atelier-%u",
                            atl_dict_uint (atl_picture_job_get_facts (drawn), ATL_MADE_SEED, 0));
  else
    stem = g_strdup ("atelier-larger");
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

/* What is to be known of a picture besides. */
static void
tell_notice (AtlPictureJob *job)
{
  g_autofree char *notice = atl_dict_string (atl_picture_job_get_facts (job), ATL_INFO_NOTICE, "");

  if (*notice != '\0')
    fprintf (stderr, "%s\n", notice);
}

/* --- The stages --- */

/* Loads the model at `path`. Owned; NULL with an error. */
static AtlModel *
open_model (AtlCliSession *session,
            const AtlImageOptions *options,
            const char *path,
            GError **error)
{
  return atl_cli_session_open (session, path, &options->load, error) ? g_object_ref (session->model)
                                                                     : NULL;
}

/* Of a finished picture (nullable: of the options' image). */
static AtlPictureJob *
enlarge (AtlCliSession *session,
         AtlModel *upscaler,
         const AtlImageOptions *options,
         AtlPictureJob *drawn,
         Waiting *waiting,
         GError **error)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (
      g_variant_new_parsed ("{%s: <%d>}", ATL_MADE_FACTOR, options->upscale_factor));
  guint width = 0, height = 0;
  GBytes *pixels = drawn != NULL ? atl_picture_job_get_pixels (drawn, &width, &height) : NULL;

  if (pixels != NULL)
    atl_picture_request_add_pixels (request, ATL_CREATE_IMAGE, pixels, width, height);
  else
    atl_picture_request_add_file (request, ATL_CREATE_IMAGE, options->image);
  return wait_for (session, atl_client_upscale (session->client, upscaler, request), waiting,
                   error);
}

static gboolean
make_pictures (AtlCliSession *session,
               AtlModel *model,
               AtlModel *upscaler,
               const AtlImageOptions *options,
               GVariant *recipe,
               GError **error)
{
  for (guint i = 0; i < (guint) options->count; i++)
    {
      Waiting waiting = { .index = i,
                          .count = (guint) options->count,
                          .shows_preview = options->shows_preview };
      g_autoptr (GVariant) settings =
          g_variant_ref_sink (atl_image_options_settings (options, recipe, i));
      g_autoptr (AtlPictureRequest) request = make_request (options, settings);
      g_autoptr (AtlPictureJob) job =
          wait_for (session, atl_client_create (session->client, model, request), &waiting, error);
      g_autoptr (AtlPictureJob) larger = NULL;

      if (job != NULL)
        tell_notice (job);
      if (job != NULL && upscaler != NULL)
        larger = enlarge (session, upscaler, options, job, &waiting, error);
      if (job == NULL || (upscaler != NULL && larger == NULL) ||
          !save (job, larger, options, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
run (AtlCliSession *session, const AtlImageOptions *options, GError **error)
{
  g_autoptr (AtlModel) upscaler = NULL;
  g_autoptr (AtlModel) model = NULL;
  g_autoptr (GVariant) recipe = NULL;
  g_autoptr (AtlPictureJob) larger = NULL;
  Waiting waiting = { .count = 1 };

  if (options->upscaler != NULL)
    {
      upscaler = open_model (session, options, options->upscaler, error);
      if (upscaler == NULL)
        return FALSE;
      if (!atl_model_get_info (upscaler)->is_upscaler)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s enlarges no pictures"),
                       atl_model_get_info (upscaler)->name);
          return FALSE;
        }
    }
  if (options->model == NULL)
    {
      larger = enlarge (session, upscaler, options, NULL, &waiting, error);
      return larger != NULL && save (NULL, larger, options, error);
    }
  model = open_model (session, options, options->model, error);
  if (model == NULL)
    return FALSE;
  if (!atl_model_get_info (model)->is_picture)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   atl_model_get_info (model)->is_upscaler
                       ? _ ("%s enlarges pictures and makes none")
                       : _ ("%s chats and makes no pictures"),
                   atl_model_get_info (model)->name);
      return FALSE;
    }
  if (!read_recipe (session, options->like, &recipe, error))
    return FALSE;
  if (recipe != NULL)
    leave_out_unknown (options, atl_model_get_info (model), &recipe);
  return make_pictures (session, model, upscaler, options, recipe, error);
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
  return run (&session, &options, &error) ? 0 : fail (error);
}
