/* Pictures over the client with a real engine: pixels, the same seed, cancelling, and what is wrong
 * in words. The model is the tiny one of the golden cases. */
#include <glib/gstdio.h>
#include <string.h>

#include "client-fixture.h"

typedef struct
{
  AtlPictureJob *job;
  guint n_steps; /* told */
  gboolean is_over;
  GError *error;
  gboolean stops_early;
} Drawing;

static char *models; /* a folder */

static char *
model_path (void)
{
  return g_build_filename (models, "sd15", "model", NULL);
}

static void
unpack (void)
{
  g_autofree char *script =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", "unpack", NULL);
  const char *argv[] = { script, models, "sd15", NULL };
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

static void
progress_cb (
    AtlPictureJob *job, const char *phase, guint step, guint n_steps, double left, Drawing *self)
{
  g_assert_cmpuint (step, <=, n_steps);
  if (n_steps > 0 && step > 0)
    self->n_steps++;
  if (self->stops_early && step > 0)
    atl_picture_job_stop (job);
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

static void
drawing_clear (Drawing *self)
{
  g_clear_object (&self->job);
  g_clear_error (&self->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Drawing, drawing_clear)

static void
start (Drawing *self, AtlClient *client, AtlModel *model, guint steps, const char *image)
{
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
  self->job = atl_client_create (client, model, g_variant_dict_end (&dict), image, NULL);
  g_signal_connect (self->job, "progress", G_CALLBACK (progress_cb), self);
  g_signal_connect (self->job, "finished", G_CALLBACK (finished_cb), self);
  g_signal_connect (self->job, "failed", G_CALLBACK (failed_cb), self);
}

static GBytes *
draw (Drawing *self, AtlClient *client, AtlModel *model, guint *width, guint *height)
{
  start (self, client, model, 3, NULL);
  g_assert_true (fixture_wait (&self->is_over, WAIT_MS));
  g_assert_no_error (self->error);
  return atl_picture_job_get_pixels (self->job, width, height);
}

static AtlModel *
load (AtlClient *client)
{
  g_autofree char *path = model_path ();
  g_autoptr (GError) error = NULL;
  AtlModel *model = fixture_load (client, path, NULL, NULL, &error);

  g_assert_no_error (error);
  return model;
}

static void
test_same_seed (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = load (client);
  const AtlModelInfo *info = atl_model_get_info (model);
  g_auto (Drawing) first = { 0 }, second = { 0 };
  guint width = 0, height = 0;
  GBytes *one, *two;

  g_assert_true (info->is_picture);
  g_assert_cmpstr (info->family, ==, "Stable Diffusion 1.5");
  g_assert_true ((info->abilities & ATL_PICTURE_IMAGE) != 0);
  g_assert_cmpuint (info->side, ==, 512);
  one = draw (&first, client, model, &width, &height);
  g_assert_cmpuint (width, ==, 72);
  g_assert_cmpuint (height, ==, 64);
  g_assert_cmpuint (g_bytes_get_size (one), ==, 72 * 64 * 3);
  /* Some samplers call the network more often. */
  g_assert_cmpuint (first.n_steps, >=, 3);
  g_assert_cmpuint (atl_dict_uint (atl_picture_job_get_facts (first.job), ATL_MADE_SEED, 0), ==, 7);
  two = draw (&second, client, model, &width, &height);
  g_assert_true (g_bytes_equal (one, two));
  atl_client_stop (client);
}

static void
test_cancel (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = load (client);
  g_auto (Drawing) stopped = { .stops_early = TRUE }, after = { 0 };
  GPid pid = atl_client_get_pid (client);
  guint width, height;

  start (&stopped, client, model, 900, NULL);
  g_assert_true (fixture_wait (&stopped.is_over, WAIT_MS));
  g_assert_error (stopped.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (stopped.n_steps, <, 900);
  g_assert_nonnull (draw (&after, client, model, &width, &height));
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  atl_client_stop (client);
}

/* Unloading ends what is drawn, and the handle can be asked again. */
static void
test_unload (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = load (client);
  g_auto (Drawing) drawing = { 0 }, after = { 0 };
  g_autoptr (GError) error = NULL;
  guint width, height;

  start (&drawing, client, model, 900, NULL);
  while (drawing.n_steps == 0 && !drawing.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (fixture_unload (client, model, &error));
  g_assert_no_error (error);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_nonnull (drawing.error);
  g_assert_nonnull (draw (&after, client, model, &width, &height));
  atl_client_stop (client);
}

static void
test_chat_is_refused (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = load (client);
  g_autoptr (Answer) answer = answer_new (
      atl_client_chat (client, model, "[{\"role\":\"user\",\"content\":\"Hi\"}]", NULL));

  answer_wait (answer);
  g_assert_error (answer->error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_nonnull (strstr (answer->error->message, "makes pictures"));
  atl_client_stop (client);
}

static void
test_hostile_picture (void)
{
  static const guint8 png[] =
      "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x02";
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = load (client);
  g_autofree char *path = g_build_filename (models, "hostile.png", NULL);
  g_autofree char *none = g_build_filename (models, "none.png", NULL);
  g_auto (Drawing) hostile = { 0 }, missing = { 0 };
  GPid pid = atl_client_get_pid (client);

  g_file_set_contents (path, (const char *) png, sizeof png, NULL);
  start (&hostile, client, model, 3, path);
  g_assert_true (fixture_wait (&hostile.is_over, WAIT_MS));
  g_assert_nonnull (hostile.error);
  g_assert_true (hostile.error->domain == ATL_ERROR);
  start (&missing, client, model, 3, none);
  g_assert_true (fixture_wait (&missing.is_over, WAIT_MS));
  g_assert_error (missing.error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  g_unlink (path);
  atl_client_stop (client);
}

/* The folder without its autoencoder: told when it is inspected, refused when it is loaded. */
static void
test_missing_part (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autofree char *path = model_path ();
  g_autofree char *vae = g_build_filename (path, "vae", NULL);
  g_autofree char *hidden = g_build_filename (models, "vae-hidden", NULL);
  g_autoptr (AtlModelInfo) info = NULL;
  g_autoptr (AtlModel) model = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_rename (vae, hidden), ==, 0);
  info = fixture_inspect (client, path, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (info->is_picture);
  g_assert_false (info->can_run);
  g_assert_nonnull (strstr (info->fit_words, "VAE"));
  model = fixture_load (client, path, NULL, NULL, &error);
  g_assert_null (model);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "VAE"));
  g_assert_cmpint (g_rename (hidden, vae), ==, 0);
  atl_client_stop (client);
}

int
main (int argc, char **argv)
{
  g_autofree char *remove = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  models = g_dir_make_tmp ("atelier-pictures-XXXXXX", NULL);
  g_assert_nonnull (models);
  unpack ();
  g_test_add_func ("/pictures/same-seed", test_same_seed);
  g_test_add_func ("/pictures/cancel", test_cancel);
  g_test_add_func ("/pictures/unload", test_unload);
  g_test_add_func ("/pictures/chat-is-refused", test_chat_is_refused);
  g_test_add_func ("/pictures/hostile-picture", test_hostile_picture);
  g_test_add_func ("/pictures/missing-part", test_missing_part);
  status = g_test_run ();
  remove = g_strdup_printf ("rm -r '%s'", models);
  g_spawn_command_line_sync (remove, NULL, NULL, NULL, NULL);
  g_free (models);
  return status;
}
