/* Pictures that are made to do harm: whole, and cut off at many places, each is a picture or an
 * error in words; and what four inks become. */
#include <string.h>

#include "hostile-pictures.h"
#include "media/picture.h"

#define MAX_PIXELS (1u << 20)
#define N_CUTS 24u

static AtlPicture *
decode (const HostilePicture *hostile, gsize size)
{
  g_autoptr (GError) error = NULL;
  AtlPicture *picture =
      atl_picture_decode (g_bytes_get_data (hostile->bytes, NULL), size, MAX_PIXELS, &error);

  g_assert_true ((picture == NULL) == (error != NULL));
  if (picture == NULL)
    {
      g_assert_true (error->domain == ATL_ERROR);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      if (size == g_bytes_get_size (hostile->bytes))
        g_test_message ("%s: %s", hostile->name, error->message);
      return NULL;
    }
  g_assert_cmpuint ((guint64) picture->width * picture->height, <=, MAX_PIXELS);
  g_assert_cmpuint (g_hash_table_size (picture->texts), <=, 64);
  return picture;
}

static void
test_all (void)
{
  g_autoptr (GPtrArray) all = hostile_pictures ();

  for (guint i = 0; i < all->len; i++)
    {
      const HostilePicture *hostile = all->pdata[i];
      gsize size = g_bytes_get_size (hostile->bytes);
      g_autoptr (AtlPicture) whole = decode (hostile, size);

      if (hostile->end != HOSTILE_EITHER && (whole != NULL) != (hostile->end == HOSTILE_OPENS))
        g_error ("%s was %s", hostile->name, whole != NULL ? "opened" : "refused");
      for (guint k = 0; k < N_CUTS; k++)
        atl_picture_free (decode (hostile, size * k / N_CUTS));
    }
  g_assert_cmpuint (all->len, >=, 50);
}

/* Both ways to store four inks give the colours that were put in. */
static void
test_inks (void)
{
  static const char *const names[] = { "jpeg-cmyk", "jpeg-ycck" };
  g_autoptr (GPtrArray) all = hostile_pictures ();

  for (guint i = 0; i < all->len; i++)
    {
      const HostilePicture *hostile = all->pdata[i];
      g_autoptr (AtlPicture) picture = NULL;
      gint64 off = 0;

      if (!g_str_equal (hostile->name, names[0]) && !g_str_equal (hostile->name, names[1]))
        continue;
      picture = decode (hostile, g_bytes_get_size (hostile->bytes));
      for (guint y = 0; y < 40; y++)
        for (guint x = 0; x < 64; x++)
          for (guint c = 0; c < 3; c++)
            {
              guint light = (guint8) ((4 * x + c) * 3 + y * 5);
              guint black = (guint8) ((4 * x + 3) * 3 + y * 5);

              off += ABS ((gint64) picture->rgb[(y * 64 + x) * 3 + c] -
                          (gint64) (light * black / 255));
            }
      g_test_message ("%s: %.1f off", hostile->name, (double) off / (64 * 40 * 3));
      g_assert_cmpint (off, <, 12 * 64 * 40 * 3);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/hostile/all", test_all);
  g_test_add_func ("/media/hostile/inks", test_inks);
  return g_test_run ();
}
