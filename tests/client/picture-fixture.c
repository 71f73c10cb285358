/* Waiting for pictures, with the tiny models of the golden cases. */
#include "picture-fixture.h"

static char *folder;

char *
picture_fixture_path (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

AtlModel *
picture_fixture_load (AtlClient *client, const char *name)
{
  g_autofree char *path = picture_fixture_path (name);
  g_autoptr (GError) error = NULL;
  AtlModel *model = fixture_load (client, path, NULL, NULL, &error);

  g_assert_no_error (error);
  return model;
}

static void
unpack (const char *const *families)
{
  g_autofree char *script =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", "unpack", NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  int status;

  g_ptr_array_add (argv, script);
  g_ptr_array_add (argv, folder);
  for (; *families != NULL; families++)
    g_ptr_array_add (argv, (gpointer) *families);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

int
picture_fixture_run (const char *const *families)
{
  g_autofree char *remove = NULL;
  int status;

  folder = g_dir_make_tmp ("atelier-pictures-XXXXXX", NULL);
  g_assert_nonnull (folder);
  unpack (families);
  status = g_test_run ();
  remove = g_strdup_printf ("rm -r '%s'", folder);
  g_spawn_command_line_sync (remove, NULL, NULL, NULL, NULL);
  g_clear_pointer (&folder, g_free);
  return status;
}

/* --- One picture --- */

static void
progress_cb (
    AtlPictureJob *job, const char *phase, guint step, guint n_steps, double left, Drawing *self)
{
  g_assert_cmpuint (step, <=, n_steps);
  if (n_steps > 0 && step > 0)
    self->n_steps++;
  if (self->stops_early && step > 0)
    atl_picture_job_stop (job);
  if (self->pauses_at > 0 && step == self->pauses_at)
    atl_picture_job_set_paused (job, TRUE);
  if (self->finishes_at > 0 && step == self->finishes_at)
    atl_picture_job_finish_early (job);
  self->is_resting = g_str_equal (phase, "Paused");
}

static void
preview_cb (AtlPictureJob *job, GBytes *rgb, guint width, guint height, Drawing *self)
{
  g_assert_cmpuint (width, >, 0);
  g_assert_cmpuint (g_bytes_get_size (rgb), ==, (gsize) width * height * 3);
  self->n_previews++;
}

static void
finished_cb (AtlPictureJob *job, Drawing *self)
{
  self->is_over = TRUE;
}

static void
failed_cb (AtlPictureJob *job, GError *error, Drawing *self)
{
  self->error = g_error_copy (error);
  self->is_over = TRUE;
}

void
drawing_clear (Drawing *self)
{
  g_clear_object (&self->job);
  g_clear_error (&self->error);
}
void
drawing_watch (Drawing *self, AtlPictureJob *job)
{
  self->job = job;
  g_signal_connect (job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (job, "preview", G_CALLBACK (preview_cb), self);
  g_signal_connect (job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (job, "failed", G_CALLBACK (failed_cb), self);
}

void
drawing_begin (Drawing *self, AtlClient *client, AtlModel *model, AtlPictureRequest *request)
{
  drawing_watch (self, atl_client_create (client, model, request));
}

void
drawing_start (Drawing *self, AtlClient *client, AtlModel *model, guint steps, const char *image)
{
  g_autoptr (AtlPictureRequest) request = NULL;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_MADE_PROMPT, "s", "a (red:1.3) fox");
  g_variant_dict_insert (&dict, ATL_MADE_SEED, "u", 7);
  g_variant_dict_insert (&dict, ATL_MADE_STEPS, "u", steps);
  if (image == NULL)
    {
      g_variant_dict_insert (&dict, ATL_MADE_WIDTH, "u", 72);
      g_variant_dict_insert (&dict, ATL_MADE_HEIGHT, "u", 64);
    }
  request = atl_picture_request_new (g_variant_dict_end (&dict));
  if (image != NULL)
    atl_picture_request_add_file (request, ATL_CREATE_IMAGE, image);
  drawing_begin (self, client, model, request);
}

void
drawing_rest (Drawing *self, AtlClient *client, AtlModel *model, guint pauses_at, guint steps)
{
  for (guint i = 0; i < 100; i++)
    {
      drawing_clear (self);
      *self = (Drawing){ .pauses_at = pauses_at };
      drawing_start (self, client, model, steps, NULL);
      assert_soon (self->is_resting || self->is_over);
      if (self->is_resting)
        return;
    }
  g_assert_not_reached ();
}

GBytes *
drawing_finish (Drawing *self, guint *width, guint *height)
{
  g_assert_true (fixture_wait (&self->is_over, WAIT_MS));
  g_assert_no_error (self->error);
  return atl_picture_job_get_pixels (self->job, width, height);
}

GBytes *
drawing_draw (Drawing *self, AtlClient *client, AtlModel *model, guint *width, guint *height)
{
  drawing_start (self, client, model, 3, NULL);
  return drawing_finish (self, width, height);
}
