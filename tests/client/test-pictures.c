/* Pictures over the client with a real engine: pixels, the same seed, cancelling, and what is wrong
 * in words. The model is the tiny one of the golden cases. */
#include <glib/gstdio.h>
#include <string.h>

#include "media/picture.h"
#include "picture-fixture.h"

#define SD15 "sd15/model"

static void
test_same_seed (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  const AtlModelInfo *info = atl_model_get_info (model);
  g_auto (Drawing) first = { 0 }, second = { 0 };
  guint width = 0, height = 0;
  GBytes *one, *two;

  g_assert_true (info->is_picture);
  g_assert_cmpstr (info->family, ==, "Stable Diffusion 1.5");
  g_assert_cmpuint (g_strv_length (info->lora_families), ==, 1);
  g_assert_cmpstr (info->lora_families[0], ==, info->family);
  g_assert_true ((info->abilities & ATL_PICTURE_IMAGE) != 0);
  g_assert_cmpuint (info->side, ==, 512);
  one = drawing_draw (&first, client, model, &width, &height);
  g_assert_cmpuint (width, ==, 72);
  g_assert_cmpuint (height, ==, 64);
  g_assert_cmpuint (g_bytes_get_size (one), ==, 72 * 64 * 3);
  /* Some samplers call the network more often. */
  g_assert_cmpuint (first.n_steps, >=, 3);
  g_assert_cmpuint (atl_dict_uint (atl_picture_job_get_facts (first.job), ATL_MADE_SEED, 0), ==, 7);
  two = drawing_draw (&second, client, model, &width, &height);
  g_assert_true (g_bytes_equal (one, two));
  atl_client_stop (client);
}

static void
test_cancel (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_auto (Drawing) stopped = { .stops_early = TRUE }, after = { 0 };
  GPid pid = atl_client_get_pid (client);
  guint width, height;

  drawing_start (&stopped, client, model, 900, NULL);
  g_assert_true (fixture_wait (&stopped.is_over, WAIT_MS));
  g_assert_error (stopped.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (stopped.n_steps, <, 900);
  g_assert_nonnull (drawing_draw (&after, client, model, &width, &height));
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  atl_client_stop (client);
}

/* The same picture as without a rest. */
static void
test_pause (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_auto (Drawing) rested = { 0 }, straight = { 0 }, stopped = { 0 };
  guint width, height;
  GBytes *pixels;

  drawing_rest (&rested, client, model, 2, 3);
  fixture_sleep (300);
  g_assert_false (rested.is_over);
  g_assert_true (rested.is_resting);
  rested.pauses_at = 0;
  atl_picture_job_set_paused (rested.job, FALSE);
  g_assert_true (fixture_wait (&rested.is_over, WAIT_MS));
  g_assert_no_error (rested.error);
  g_assert_cmpuint (rested.n_previews, >=, 1);
  pixels = atl_picture_job_get_pixels (rested.job, &width, &height);
  g_assert_true (g_bytes_equal (drawing_draw (&straight, client, model, &width, &height), pixels));
  /* One that rests can be stopped. */
  drawing_rest (&stopped, client, model, 1, 3);
  atl_picture_job_stop (stopped.job);
  g_assert_true (fixture_wait (&stopped.is_over, WAIT_MS));
  g_assert_error (stopped.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  atl_client_stop (client);
}

/* A file's bytes and pixels as they are begin the same picture as the file. */
static void
test_inputs (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_autofree guint8 *gray = g_malloc (64 * 64 * 3);
  g_autoptr (GBytes) rgb = NULL;
  g_autoptr (AtlPicture) picture = atl_picture_new (64, 64);
  g_autoptr (GBytes) png = NULL;
  g_autofree char *path = picture_fixture_path ("grey.png");
  Drawing drawings[3] = { 0 };
  GBytes *pixels[3];
  guint width = 0, height = 0;

  for (guint i = 0; i < 64 * 64 * 3; i++)
    picture->rgb[i] = gray[i] = (guint8) (i * 7);
  rgb = g_bytes_new (gray, 64 * 64 * 3);
  png = atl_picture_encode (picture, ATL_PICTURE_PNG, 0, NULL);
  g_file_set_contents (path, g_bytes_get_data (png, NULL), (gssize) g_bytes_get_size (png), NULL);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (AtlPictureRequest) request = atl_picture_request_new (
          g_variant_new_parsed ("{'prompt': <'a fox'>, 'seed': <uint32 3>, 'steps': <uint32 4>, "
                                "'strength': <0.5>}"));

      if (i == 0)
        atl_picture_request_add_file (request, ATL_CREATE_IMAGE, path);
      else if (i == 1)
        atl_picture_request_add_bytes (request, ATL_CREATE_IMAGE, png);
      else
        atl_picture_request_add_pixels (request, ATL_CREATE_IMAGE, rgb, 64, 64);
      drawing_begin (&drawings[i], client, model, request);
      g_assert_true (fixture_wait (&drawings[i].is_over, WAIT_MS));
      g_assert_no_error (drawings[i].error);
      pixels[i] = atl_picture_job_get_pixels (drawings[i].job, &width, &height);
      g_assert_cmpuint (width, ==, 64);
    }
  g_assert_true (g_bytes_equal (pixels[0], pixels[1]));
  g_assert_true (g_bytes_equal (pixels[0], pixels[2]));
  for (guint i = 0; i < 3; i++)
    drawing_clear (&drawings[i]);
  g_unlink (path);
  atl_client_stop (client);
}

/* What was not painted is what it was, and not what the autoencoder makes of it. */
static void
test_mask (void)
{
  enum
  {
    SIDE = 64,
    PAINTED = 24,
    EDGE = 4
  };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_autofree guint8 *before = g_malloc (SIDE * SIDE * 3);
  g_autofree guint8 *mask = g_malloc0 (SIDE * SIDE * 3);
  g_autoptr (GBytes) before_bytes = NULL, mask_bytes = NULL;
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
      "{'prompt': <'a fox'>, 'seed': <uint32 3>, 'steps': <uint32 3>, 'strength': <1.0>}"));
  g_auto (Drawing) drawing = { 0 };
  const guint8 *after;
  guint width = 0, height = 0, changed = 0;

  for (guint i = 0; i < SIDE * SIDE; i++)
    {
      memset (before + 3 * i, (int) (i * 7 % 251), 3);
      memset (mask + 3 * i, i % SIDE < PAINTED ? 255 : 0, 3);
    }
  before_bytes = g_bytes_new (before, SIDE * SIDE * 3);
  mask_bytes = g_bytes_new (mask, SIDE * SIDE * 3);
  atl_picture_request_add_pixels (request, ATL_CREATE_IMAGE, before_bytes, SIDE, SIDE);
  atl_picture_request_add_pixels (request, ATL_CREATE_MASK, mask_bytes, SIDE, SIDE);
  drawing_begin (&drawing, client, model, request);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_no_error (drawing.error);
  after = g_bytes_get_data (atl_picture_job_get_pixels (drawing.job, &width, &height), NULL);
  g_assert_cmpuint (width, ==, SIDE);
  g_assert_cmpuint (height, ==, SIDE);
  for (guint i = 0; i < SIDE * SIDE * 3; i++)
    if (i / 3 % SIDE >= PAINTED + EDGE)
      g_assert_cmpint (ABS (after[i] - before[i]), <=, 1);
    else if (i / 3 % SIDE < PAINTED)
      changed += ABS (after[i] - before[i]) > 20;
  g_assert_cmpuint (changed, >, SIDE * PAINTED * 3 / 4);
  atl_client_stop (client);
}

typedef struct
{
  AtlPictureFile *file;
  GError *error;
  gboolean is_over;
} Reading;

static void
read_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reading *self = user_data;

  self->file = atl_client_read_picture_finish (ATL_CLIENT (source), result, &self->error);
  self->is_over = TRUE;
}

static void
reading_clear (Reading *self)
{
  g_clear_pointer (&self->file, atl_picture_file_unref);
  g_clear_error (&self->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reading, reading_clear)

static void
read_file (Reading *self, AtlClient *client, const char *path, GBytes *bytes, guint max_side)
{
  atl_client_read_picture_async (client, path, bytes, max_side, NULL, read_cb, self);
  g_assert_true (fixture_wait (&self->is_over, WAIT_MS));
}

static void
test_read (void)
{
  static const AtlPictureFormat formats[] = { ATL_PICTURE_PNG, ATL_PICTURE_JPEG, ATL_PICTURE_WEBP };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlPicture) picture = atl_picture_new (60, 40);
  g_autoptr (GBytes) nonsense = g_bytes_new_static ("nonsense", 8);
  g_auto (Reading) none = { 0 }, hostile = { 0 };

  atl_picture_set_text (picture, "parameters", "a fox \xe2\x9c\x93\nSteps: 3");
  for (guint i = 0; i < 60 * 40; i++)
    picture->rgb[i * 3] = 200;
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_autoptr (GBytes) bytes = atl_picture_encode (picture, formats[i], 0, NULL);
      g_auto (Reading) whole = { 0 }, small = { 0 };
      const guint8 *rgb;
      const char *text = NULL;

      read_file (&whole, client, NULL, bytes, 0);
      g_assert_no_error (whole.error);
      g_assert_cmpuint (whole.file->width, ==, 60);
      g_assert_cmpuint (whole.file->height, ==, 40);
      g_assert_true (g_variant_lookup (whole.file->texts, "parameters", "&s", &text));
      g_assert_cmpstr (text, ==, "a fox \xe2\x9c\x93\nSteps: 3");
      g_assert_nonnull (whole.file->recipe);
      g_assert_cmpuint (atl_dict_uint (whole.file->recipe, ATL_MADE_STEPS, 0), ==, 3);
      read_file (&small, client, NULL, bytes, 30);
      g_assert_no_error (small.error);
      g_assert_cmpuint (small.file->width, ==, 30);
      g_assert_cmpuint (small.file->height, ==, 20);
      g_assert_cmpuint (small.file->full_width, ==, 60);
      g_assert_cmpuint (g_bytes_get_size (small.file->rgb), ==, 30 * 20 * 3);
      rgb = g_bytes_get_data (small.file->rgb, NULL);
      g_assert_cmpint (ABS (rgb[0] - 200), <=, 3);
      g_assert_cmpint (rgb[1], <=, 3);
    }
  read_file (&none, client, "/nonexistent/a.png", NULL, 0);
  g_assert_error (none.error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  read_file (&hostile, client, NULL, nonsense, 0);
  g_assert_error (hostile.error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  atl_client_stop (client);
}

/* Every sampler and schedule that is offered makes a picture, and the facts name it. */
static void
test_samplers (void)
{
  static const char *const folders[] = { "sd15/model", "wan21/model" };
  g_autoptr (AtlClient) client = atl_client_new ();

  for (gsize f = 0; f < G_N_ELEMENTS (folders); f++)
    {
      g_autofree char *path = picture_fixture_path (folders[f]);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlModel) model = fixture_load (client, path, NULL, NULL, &error);
      const AtlModelInfo *info;

      g_assert_no_error (error);
      info = atl_model_get_info (model);
      g_assert_cmpuint (g_strv_length (info->samplers), >=, 5);
      for (guint i = 0; info->samplers[i] != NULL; i++)
        for (guint k = 0; k == 0 || (i == 1 && info->schedules[k - 1] != NULL); k++)
          {
            const char *schedule = k > 0 ? info->schedules[k - 1] : NULL;
            g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
                "{'prompt': <'a fox'>, 'seed': <uint32 3>, 'steps': <uint32 3>, 'sampler': <%s>, "
                "'schedule': <%s>, 'width': <uint32 64>, 'height': <uint32 64>}",
                info->samplers[i], schedule != NULL ? schedule : ""));
            g_auto (Drawing) drawing = { 0 };
            g_autofree char *said = NULL;
            g_autofree char *spaced = NULL;

            drawing_begin (&drawing, client, model, request);
            g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
            g_test_message ("%s %s", info->samplers[i], schedule);
            g_assert_no_error (drawing.error);
            said = atl_dict_string (atl_picture_job_get_facts (drawing.job), ATL_MADE_SAMPLER, "");
            g_assert_cmpstr (said, ==, info->samplers[i]);
            spaced =
                atl_dict_string (atl_picture_job_get_facts (drawing.job), ATL_MADE_SCHEDULE, NULL);
            g_assert_cmpstr (spaced, ==, schedule);
          }
      {
        g_autoptr (AtlPictureRequest) request = atl_picture_request_new (
            g_variant_new_parsed ("{'prompt': <'a fox'>, 'sampler': <'magic'>}"));
        g_auto (Drawing) drawing = { 0 };

        drawing_begin (&drawing, client, model, request);
        g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
        g_assert_error (drawing.error, ATL_ERROR, ATL_ERROR_INVALID);
        g_assert_nonnull (strstr (drawing.error->message, info->samplers[1]));
      }
    }
  atl_client_stop (client);
}

/* What the model says about itself, before it is loaded. */
static void
test_info (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autofree char *path = picture_fixture_path (SD15);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = fixture_inspect (client, path, NULL, &error);
  gboolean has_choice = FALSE;

  g_assert_no_error (error);
  g_assert_true (info->is_picture);
  g_assert_cmpuint (info->abilities & (ATL_PICTURE_STILL | ATL_PICTURE_GUIDANCE), ==,
                    ATL_PICTURE_STILL | ATL_PICTURE_GUIDANCE);
  g_assert_cmpuint (info->n_sizes, >=, 11);
  g_assert_cmpuint (info->sizes[0].width, ==, info->side);
  g_assert_cmpuint (info->sizes[0].height, ==, info->side);
  g_assert_cmpstr (info->sizes[0].shape, ==, "1:1");
  for (guint i = 0; i < info->n_sizes; i++)
    {
      double area = (double) info->sizes[i].width * info->sizes[i].height;

      g_assert_cmpuint (info->sizes[i].width % info->multiple, ==, 0);
      g_assert_cmpuint (info->sizes[i].height % info->multiple, ==, 0);
      g_assert_cmpfloat (area / info->side / info->side, >, 0.9);
      g_assert_cmpfloat (area / info->side / info->side, <, 1.1);
    }
  g_assert_cmpuint (info->n_knobs, >=, 2);
  for (guint i = 0; i < info->n_knobs; i++)
    {
      g_assert_cmpstr (info->knobs[i].label, !=, "");
      has_choice = has_choice || (info->knobs[i].kind == ATL_KNOB_CHOICE &&
                                  g_strv_length (info->knobs[i].choices) == 3);
    }
  g_assert_true (has_choice);
  atl_client_stop (client);
}

static void
test_references (void)
{
  static const char *const roles[] = { ATL_CREATE_REFERENCE, ATL_CREATE_MASK };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_autofree guint8 *gray = g_malloc0 (64 * 64 * 3);
  g_autoptr (GBytes) rgb = g_bytes_new (gray, 64 * 64 * 3);

  for (gsize i = 0; i < G_N_ELEMENTS (roles); i++)
    {
      g_autoptr (AtlPictureRequest) request =
          atl_picture_request_new (g_variant_new_parsed ("{'prompt': <'a fox'>}"));
      g_auto (Drawing) drawing = { 0 };

      atl_picture_request_add_pixels (request, roles[i], rgb, 64, 64);
      drawing_begin (&drawing, client, model, request);
      g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
      g_assert_error (drawing.error, ATL_ERROR, ATL_ERROR_INVALID);
      g_test_message ("%s", drawing.error->message);
    }
  atl_client_stop (client);
}

/* What can be seen after some steps becomes the picture. */
static void
test_finish_early (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_auto (Drawing) drawing = { .finishes_at = 2 };
  guint width = 0, height = 0;

  drawing_start (&drawing, client, model, 900, NULL);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_no_error (drawing.error);
  g_assert_nonnull (atl_picture_job_get_pixels (drawing.job, &width, &height));
  g_assert_cmpuint (width, ==, 72);
  g_assert_cmpuint (
      atl_dict_uint (atl_picture_job_get_facts (drawing.job), ATL_MADE_STEPS_DONE, 900), <, 900);
  atl_client_stop (client);
}

typedef struct
{
  AtlPicturePrice *price;
  GError *error;
  gboolean is_over;
} Pricing;

static void
priced_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Pricing *self = user_data;

  self->price = atl_client_price_picture_finish (ATL_CLIENT (source), result, &self->error);
  self->is_over = TRUE;
}

static AtlPicturePrice *
ask_price (AtlClient *client, AtlModel *model, guint side, guint steps)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
      "{'prompt': <'a fox'>, 'width': <%u>, 'height': <%u>, 'steps': <%u>}", side, side, steps));
  Pricing pricing = { 0 };

  atl_client_price_picture_async (client, model, request, NULL, priced_cb, &pricing);
  g_assert_true (fixture_wait (&pricing.is_over, WAIT_MS));
  g_assert_no_error (pricing.error);
  return pricing.price;
}

/* Nothing is known before the first picture; then every size has a price, here and in the next
 * life of the client. */
static void
test_price (void)
{
  g_autofree char *file = picture_fixture_path ("rates/picture-rates");

  for (guint life = 0; life < 2; life++)
    {
      g_autoptr (AtlClient) client = atl_client_new ();
      g_autoptr (AtlModel) model = NULL;
      g_autoptr (AtlPicturePrice) before = NULL;
      g_autoptr (AtlPicturePrice) small = NULL;
      g_autoptr (AtlPicturePrice) large = NULL;
      g_autoptr (AtlPicturePrice) huge = NULL;
      g_auto (Drawing) drawing = { 0 };
      guint width, height;

      atl_client_set_rates_file (client, file);
      model = picture_fixture_load (client, SD15);
      before = ask_price (client, model, 64, 5);
      g_assert_cmpint (before->seconds < 0, ==, life == 0);
      g_assert_true (before->fits);
      g_assert_cmpuint (before->bytes, >, 0);
      g_assert_cmpuint (before->steps, >=, 5);
      drawing_draw (&drawing, client, model, &width, &height);
      small = ask_price (client, model, 64, 5);
      large = ask_price (client, model, 256, 50);
      g_assert_cmpfloat (small->seconds, >, 0);
      g_assert_true (small->is_own);
      g_assert_cmpfloat (large->seconds, >, small->seconds);
      g_assert_cmpuint (large->bytes, >, small->bytes);
      huge = ask_price (client, model, 4096, 5);
      g_test_message ("%s", huge->words);
      if (!huge->fits)
        {
          g_assert_cmpuint (huge->fit_width, >=, 64);
          g_assert_cmpuint (huge->fit_width, <, 4096);
        }
      atl_client_stop (client);
      fixture_sleep (200);
    }
}

/* Unloading ends what is drawn, and the handle can be asked again. */
static void
test_unload (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_auto (Drawing) drawing = { 0 }, after = { 0 };
  g_autoptr (GError) error = NULL;
  guint width, height;

  drawing_start (&drawing, client, model, 900, NULL);
  while (drawing.n_steps == 0 && !drawing.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (fixture_unload (client, model, &error));
  g_assert_no_error (error);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_nonnull (drawing.error);
  g_assert_nonnull (drawing_draw (&after, client, model, &width, &height));
  atl_client_stop (client);
}

static void
test_chat_is_refused (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
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
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_autofree char *path = picture_fixture_path ("hostile.png");
  g_autofree char *none = picture_fixture_path ("none.png");
  g_auto (Drawing) hostile = { 0 }, missing = { 0 };
  GPid pid = atl_client_get_pid (client);

  g_file_set_contents (path, (const char *) png, sizeof png, NULL);
  drawing_start (&hostile, client, model, 3, path);
  g_assert_true (fixture_wait (&hostile.is_over, WAIT_MS));
  g_assert_nonnull (hostile.error);
  g_assert_true (hostile.error->domain == ATL_ERROR);
  drawing_start (&missing, client, model, 3, none);
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
  g_autofree char *path = picture_fixture_path (SD15);
  g_autofree char *vae = g_build_filename (path, "vae", NULL);
  g_autofree char *hidden = picture_fixture_path ("vae-hidden");
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
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pictures/same-seed", test_same_seed);
  g_test_add_func ("/pictures/cancel", test_cancel);
  g_test_add_func ("/pictures/pause", test_pause);
  g_test_add_func ("/pictures/inputs", test_inputs);
  g_test_add_func ("/pictures/mask", test_mask);
  g_test_add_func ("/pictures/read", test_read);
  g_test_add_func ("/pictures/finish-early", test_finish_early);
  g_test_add_func ("/pictures/samplers", test_samplers);
  g_test_add_func ("/pictures/references", test_references);
  g_test_add_func ("/pictures/price", test_price);
  g_test_add_func ("/pictures/info", test_info);
  g_test_add_func ("/pictures/unload", test_unload);
  g_test_add_func ("/pictures/chat-is-refused", test_chat_is_refused);
  g_test_add_func ("/pictures/hostile-picture", test_hostile_picture);
  g_test_add_func ("/pictures/missing-part", test_missing_part);
  return picture_fixture_run ((const char *const[]){ "sd15", "wan21", NULL });
}
