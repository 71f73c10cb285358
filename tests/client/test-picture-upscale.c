/* Enlarging over the client with a real engine, on the small networks of the golden cases: sizes,
 * factors, pixels as they are, cancelling, and what is wrong in words. */
#include <string.h>

#include "picture-fixture.h"

#define SIDE 40

static AtlPictureRequest *
request_for (double factor)
{
  AtlPictureRequest *request =
      atl_picture_request_new (g_variant_new_parsed ("{'factor': <%d>}", factor));
  g_autofree guint8 *rgb = g_malloc (SIDE * SIDE * 3);
  g_autoptr (GBytes) bytes = NULL;

  for (guint i = 0; i < SIDE * SIDE * 3; i++)
    rgb[i] = (guint8) (i * 5 % 251);
  bytes = g_bytes_new (rgb, SIDE * SIDE * 3);
  atl_picture_request_add_pixels (request, ATL_CREATE_IMAGE, bytes, SIDE, SIDE);
  return request;
}

static void
begin (Drawing *self, AtlClient *client, AtlModel *model, AtlPictureRequest *request)
{
  drawing_watch (self, atl_client_upscale (client, model, request));
}

static void
test_sizes (void)
{
  static const struct
  {
    const char *model;
    guint scale;
    double factor; /* 0: its own */
    guint side;
  } cases[] = { { "upscale/model/esrgan-x2.safetensors", 2, 0, 80 },
                { "upscale/model/esrgan-x2.safetensors", 2, 3, 120 },
                { "upscale/model/compact-x4.pth", 4, 0, 160 },
                { "upscale/model/compact-x4.pth", 4, 1.5, 60 } };
  g_autoptr (AtlClient) client = atl_client_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlModel) model = picture_fixture_load (client, cases[i].model);
      const AtlModelInfo *info = atl_model_get_info (model);
      g_autoptr (AtlPictureRequest) request = request_for (cases[i].factor);
      g_auto (Drawing) first = { 0 }, again = { 0 };
      guint width = 0, height = 0;
      GBytes *pixels;

      g_assert_true (info->is_upscaler);
      g_assert_false (info->is_picture);
      g_assert_cmpuint (info->scale, ==, cases[i].scale);
      begin (&first, client, model, request);
      pixels = drawing_finish (&first, &width, &height);
      g_assert_cmpuint (width, ==, cases[i].side);
      g_assert_cmpuint (height, ==, cases[i].side);
      begin (&again, client, model, request);
      g_assert_true (g_bytes_equal (drawing_finish (&again, &width, &height), pixels));
    }
  atl_client_stop (client);
}

static void
refuse (AtlClient *client, AtlModel *model, AtlPictureRequest *request, const char *words)
{
  g_auto (Drawing) drawing = { 0 };

  begin (&drawing, client, model, request);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_error (drawing.error, ATL_ERROR, ATL_ERROR_INVALID);
  g_test_message ("%s", drawing.error->message);
  g_assert_nonnull (strstr (drawing.error->message, words));
}

static void
test_wrong (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, "upscale/model/esrgan-x2.safetensors");
  g_autoptr (AtlModel) draws = picture_fixture_load (client, "sd15/model");
  g_autoptr (AtlPictureRequest) far = request_for (1000);
  g_autoptr (AtlPictureRequest) good = request_for (2);
  g_autoptr (AtlPictureRequest) empty =
      atl_picture_request_new (g_variant_new_parsed ("@a{sv} {}"));
  g_auto (Drawing) drawing = { 0 };

  refuse (client, model, far, "1000");
  refuse (client, model, empty, "no file");
  refuse (client, draws, good, "enlarges no pictures");
  drawing_watch (&drawing, atl_client_create (client, model, empty));
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_error (drawing.error, ATL_ERROR, ATL_ERROR_INVALID);
  atl_client_stop (client);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/upscale/sizes", test_sizes);
  g_test_add_func ("/upscale/wrong", test_wrong);
  return picture_fixture_run ((const char *const[]){ "sd15", "upscale", NULL });
}
