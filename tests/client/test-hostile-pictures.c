/* Pictures that are made to do harm, wherever the window hands one to the engine: as a picture that
 * is looked at (dropped for its recipe, shown in the gallery), as the beginning of another, and as
 * its mask. Each is a picture or words, and the engine goes on. */
#include <glib/gstdio.h>

#include "hostile-pictures.h"
#include "picture-fixture.h"

typedef struct
{
  AtlPictureFile *file;
  GError *error;
  gboolean is_over;
} Read;

static void
read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Read *read = data;

  read->file = atl_client_read_picture_finish (ATL_CLIENT (source), result, &read->error);
  read->is_over = TRUE;
}

static void
assert_words (const GError *error, const char *name)
{
  if (error == NULL)
    return;
  if (error->domain != ATL_ERROR || error->code == ATL_ERROR_ENGINE_GONE)
    g_error ("%s: %s", name, error->message);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

/* Bytes as they are dropped, and a file as in the gallery's folder. */
static void
look_at (AtlClient *client, const HostilePicture *hostile)
{
  g_autofree char *path = picture_fixture_path ("hostile");

  g_assert_true (g_file_set_contents (path, g_bytes_get_data (hostile->bytes, NULL),
                                      (gssize) g_bytes_get_size (hostile->bytes), NULL));
  for (guint is_file = 0; is_file < 2; is_file++)
    {
      Read read = { 0 };

      atl_client_read_picture_async (client, is_file ? path : NULL, is_file ? NULL : hostile->bytes,
                                     256, NULL, read_cb, &read);
      g_assert_true (fixture_wait (&read.is_over, WAIT_MS));
      assert_words (read.error, hostile->name);
      if (hostile->end != HOSTILE_EITHER)
        g_assert_cmpint (read.error == NULL, ==, hostile->end == HOSTILE_OPENS);
      g_clear_pointer (&read.file, atl_picture_file_unref);
      g_clear_error (&read.error);
    }
  g_unlink (path);
}

static void
begin_with (AtlClient *client, AtlModel *model, const HostilePicture *hostile, gboolean is_mask)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (
      g_variant_new_parsed ("{'prompt': <'a fox'>, 'seed': <uint32 3>, 'steps': <uint32 1>, "
                            "'strength': <0.5>, 'width': <uint32 64>, 'height': <uint32 64>}"));
  g_autofree guint8 *gray = g_malloc0 (64 * 64 * 3);
  g_autoptr (GBytes) rgb = g_bytes_new (gray, 64 * 64 * 3);
  g_auto (Drawing) drawing = { 0 };

  if (is_mask)
    atl_picture_request_add_pixels (request, ATL_CREATE_IMAGE, rgb, 64, 64);
  atl_picture_request_add_bytes (request, is_mask ? ATL_CREATE_MASK : ATL_CREATE_IMAGE,
                                 hostile->bytes);
  drawing_begin (&drawing, client, model, request);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  assert_words (drawing.error, hostile->name);
  if (hostile->end == HOSTILE_REFUSED)
    g_assert_nonnull (drawing.error);
}

static void
test_hostile (void)
{
  g_autoptr (GPtrArray) all = hostile_pictures ();
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, "sd15/model");
  GPid pid = atl_client_get_pid (client);
  g_auto (Drawing) after = { 0 };
  guint width = 0, height = 0;

  for (guint i = 0; i < all->len; i++)
    {
      look_at (client, all->pdata[i]);
      begin_with (client, model, all->pdata[i], FALSE);
      begin_with (client, model, all->pdata[i], TRUE);
    }
  g_assert_nonnull (drawing_draw (&after, client, model, &width, &height));
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  atl_client_stop (client);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hostile-pictures/everywhere", test_hostile);
  return picture_fixture_run ((const char *const[]){ "sd15", NULL });
}
