/* A model whose numbers overflow, at each stage of a picture, in the window: told in words, nothing
 * saved, and the next picture of a sound copy is fine. */
#include "images-steps.h"

#include <stdio.h>
#include <string.h>

#include "app/words.h"

#define WAIT_S 60

typedef struct
{
  const char *file, *tensor;
  const char *words; /* that name the stage */
} Case;

static const Case cases[] = {
  { "text_encoder/model.safetensors", "text_model.final_layer_norm.weight", "text encoder" },
  { "unet/diffusion_pytorch_model.safetensors", "conv_out.weight", "step 1" },
  { "vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.weight", "VAE" },
};

/* All bits of a tensor: in every float type no number. */
static void
spoil (char *bytes, const char *tensor)
{
  g_autofree char *key = g_strdup_printf ("\"%s\":", tensor);
  guint64 length, begin, end;
  const char *at;

  memcpy (&length, bytes, sizeof length);
  length = GUINT64_FROM_LE (length);
  at = g_strstr_len (bytes + 8, (gssize) length, key);
  g_assert_nonnull (at);
  at = strstr (at, "\"data_offsets\":[");
  g_assert_cmpint (
      sscanf (at, "\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT, &begin, &end), ==,
      2);
  memset (bytes + 8 + length + begin, 0xff, end - begin);
}

static gboolean
says (GtkWidget *widget, gconstpointer words)
{
  return gtk_widget_get_mapped (widget) &&
         strstr (gtk_label_get_text (GTK_LABEL (widget)), words) != NULL;
}

static void
failed_cb (AtlPicturesSession *pictures, AtlPictureTask *task, char **words)
{
  g_assert_error (atl_picture_task_get_error (task), ATL_ERROR, ATL_ERROR_INVALID);
  *words = g_strdup (atl_picture_task_get_error (task)->message);
}

static gboolean
is_set (gpointer words)
{
  return *(char **) words != NULL;
}

static void
test_overflow (gconstpointer data)
{
  const Case *c = data;
  g_autofree char *model = app_draw_model ();
  g_autofree char *path = g_build_filename (model, c->file, NULL);
  g_autofree char *sound = NULL;
  g_autofree char *spoilt = NULL;
  g_autofree char *words = NULL;
  g_autoptr (AtlPictureTask) task = NULL;
  AtlPictureQueue *queue;
  guint n = app_n_picture_files ();
  AppFixture f;
  gsize size;

  g_assert_true (g_file_get_contents (path, &sound, &size, NULL));
  spoilt = g_memdup2 (sound, size);
  spoil (spoilt, c->tensor);
  g_assert_true (g_file_set_contents (path, spoilt, (gssize) size, NULL));
  app_start_drawing (&f);
  queue = atl_pictures_session_get_queue (app_pictures (&f));
  g_signal_connect (app_pictures (&f), "failed", G_CALLBACK (failed_cb), &words);
  app_set_up_picture (&f, "one that overflows", 2, 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (is_set, &words, WAIT_S));
  g_test_message ("%s", words);
  g_assert_nonnull (strstr (words, c->words));
  app_assert_soon (app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_LABEL, says, c->words) !=
                   NULL);
  g_assert_cmpuint (app_n_picture_files (), ==, n);
  task = g_list_model_get_item (G_LIST_MODEL (queue), 0);
  g_assert_cmpint (atl_picture_task_get_state (task), ==, ATL_TASK_FAILED);
  atl_picture_queue_remove (queue, task);

  g_assert_true (g_file_set_contents (path, sound, (gssize) size, NULL));
  atl_pictures_session_unload_model (app_pictures (&f));
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ model, NULL }, TRUE);
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_assert_soon (app_n_picture_files () == n + 1);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name = g_strdup_printf ("/app/overflow/%s", cases[i].tensor);

      g_test_add_data_func (name, &cases[i], test_overflow);
    }
  return app_run_pictures ();
}
