/* Pictures in and out of files: what goes in comes out, and damage is refused. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/picture.h"

#define MAX_PIXELS (1u << 20)

static const char recipe[] = "a fox, (red:1.2) <b>\nNegative prompt: blurry\nSteps: 20, Seed: 7";
static const char unicode[] = "ein Füchslein “im” Schnee 🦊 & mehr";

static AtlPicture *
sample (guint width, guint height)
{
  AtlPicture *p = atl_picture_new (width, height);

  for (gsize i = 0; i < (gsize) width * height; i++)
    {
      p->rgb[3 * i] = (guint8) (255 * (i % width) / width);
      p->rgb[3 * i + 1] = (guint8) (255 * (i / width) / height);
      p->rgb[3 * i + 2] = 90;
    }
  atl_picture_set_text (p, "parameters", recipe);
  atl_picture_set_text (p, "atelier", unicode);
  return p;
}

static void
test_round_trip (gconstpointer user_data)
{
  AtlPictureFormat format = GPOINTER_TO_INT (user_data);
  static const guint sizes[][2] = { { 1, 1 }, { 7, 5 }, { 64, 48 }, { 129, 33 } };

  for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++)
    {
      g_autoptr (AtlPicture) p = sample (sizes[s][0], sizes[s][1]);
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = atl_picture_encode (p, format, 95, &error);
      g_autoptr (AtlPicture) back = NULL;
      guint64 sum = 0;

      g_assert_no_error (error);
      back = atl_picture_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes),
                                 MAX_PIXELS, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (back->width, ==, p->width);
      g_assert_cmpuint (back->height, ==, p->height);
      g_assert_cmpstr (atl_picture_text (back, "parameters"), ==, recipe);
      g_assert_cmpstr (atl_picture_text (back, "atelier"), ==, unicode);
      for (gsize i = 0; i < (gsize) p->width * p->height * 3; i++)
        sum += (guint64) ABS ((int) p->rgb[i] - (int) back->rgb[i]);
      if (format == ATL_PICTURE_PNG)
        g_assert_cmpuint (sum, ==, 0);
      else
        g_assert_cmpuint (sum, <=, (guint64) p->width * p->height * 3 * 10);
    }
}

/* Cut short, with bytes changed: a picture or an error in words, never more than asked for. */
/* The same picture is the same file in every run: texts do not stand as a table hashes them, which
 * is otherwise in each process. */
static void
test_order (gconstpointer user_data)
{
  static const char letters[] = "hcafbdge";
  AtlPictureFormat format = GPOINTER_TO_INT (user_data);
  g_autoptr (AtlPicture) p = atl_picture_new (8, 8);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL;
  const guint8 *at, *end;
  gsize size;

  for (const char *letter = letters; *letter != '\0'; letter++)
    {
      g_autofree char *key = g_strdup_printf ("name-%c", *letter);
      g_autofree char *text = g_strdup_printf ("text %c", *letter);

      atl_picture_set_text (p, key, text);
    }
  bytes = atl_picture_encode (p, format, 95, &error);
  g_assert_no_error (error);
  at = g_bytes_get_data (bytes, &size);
  end = at + size;
  for (char letter = 'a'; letter <= 'h'; letter++)
    {
      const char text[] = { 't', 'e', 'x', 't', ' ', letter };

      at = memmem (at, (gsize) (end - at), text, sizeof text);
      g_assert_nonnull (at);
    }
}

static void
test_damage (gconstpointer user_data)
{
  AtlPictureFormat format = GPOINTER_TO_INT (user_data);
  g_autoptr (AtlPicture) p = sample (61, 43);
  g_autoptr (GBytes) bytes = atl_picture_encode (p, format, 90, NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  guint n_refused = 0;

  for (guint i = 0; i < 1500; i++)
    {
      g_autofree guint8 *copy = g_memdup2 (data, size);
      gsize n = i % 3 == 0 ? (gsize) g_test_rand_int_range (0, (gint32) size) : size;
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlPicture) got = NULL;

      for (guint k = 0; k < 1 + i % 4 && n == size; k++)
        copy[g_test_rand_int_range (0, (gint32) size)] = (guint8) g_test_rand_int ();
      got = atl_picture_decode (copy, n, MAX_PIXELS, &error);
      g_assert_true ((got == NULL) == (error != NULL));
      if (got == NULL)
        {
          n_refused++;
          g_assert_true (error->domain == ATL_ERROR && g_utf8_validate (error->message, -1, NULL));
        }
      else
        g_assert_cmpuint ((guint64) got->width * got->height, <=, MAX_PIXELS);
    }
  g_assert_cmpuint (n_refused, >, 0);
}

/* libjpeg would go on with grey, and the other two do not. */
static void
test_cut_off (void)
{
  g_autoptr (AtlPicture) p = sample (61, 43);
  g_autoptr (GBytes) bytes = atl_picture_encode (p, ATL_PICTURE_JPEG, 90, NULL);
  g_autoptr (AtlPicture) got = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  got = atl_picture_decode (data, size - size / 4, MAX_PIXELS, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_null (got);
  g_clear_error (&error);
  /* All of the picture is there without the mark of its end. */
  got = atl_picture_decode (data, size - 2, MAX_PIXELS, &error);
  g_assert_no_error (error);
}

static void
test_limits (void)
{
  g_autoptr (AtlPicture) p = sample (200, 100);
  g_autoptr (GBytes) bytes = atl_picture_encode (p, ATL_PICTURE_PNG, 0, NULL);
  g_autoptr (GError) error = NULL;
  static const guint8 gif[] = "GIF89a............";

  g_assert_null (
      atl_picture_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), 19999, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_FULL);
  g_clear_error (&error);
  g_assert_null (atl_picture_decode (gif, sizeof gif, MAX_PIXELS, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  g_assert_null (atl_picture_decode (gif, 0, MAX_PIXELS, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
}

/* A name that is taken is never written over. */
static void
test_save (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atl-picture-XXXXXX", NULL);
  g_autoptr (GBytes) first = g_bytes_new_static ("one", 3);
  g_autoptr (GBytes) second = g_bytes_new_static ("two", 3);
  g_autoptr (GError) error = NULL;
  g_autofree char *a = atl_picture_save (first, folder, "fox", "png", &error);
  g_autofree char *b = atl_picture_save (second, folder, "fox", "png", &error);
  g_autofree char *text = NULL;
  g_autoptr (GDir) dir = NULL;
  guint n = 0;

  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (a, "/fox.png") && g_str_has_suffix (b, "/fox-2.png"));
  g_assert_true (g_file_get_contents (a, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "one");
  dir = g_dir_open (folder, 0, NULL);
  while (g_dir_read_name (dir) != NULL)
    n++;
  g_assert_cmpuint (n, ==, 2);
  g_assert_null (atl_picture_save (first, "/proc/none", "fox", "png", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_unlink (a);
  g_unlink (b);
  g_rmdir (folder);
}

/* A program that is ended while it writes leaves nothing, not even a hidden file. */
static void
test_ended (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atl-picture-XXXXXX", NULL);
  g_autoptr (GDir) dir = NULL;
  int status, probe = open (folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  pid_t pid;

  if (probe < 0)
    {
      g_test_skip ("this file system has no files without a name");
      g_rmdir (folder);
      return;
    }
  close (probe);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      const struct rlimit two = { 2, 2 }, none = { 0, 0 };
      g_autoptr (GBytes) bytes = g_bytes_new_static ("one", 3);

      /* The third byte ends it. */
      setrlimit (RLIMIT_CORE, &none);
      setrlimit (RLIMIT_FSIZE, &two);
      signal (SIGXFSZ, SIG_DFL);
      atl_picture_save (bytes, folder, "fox", "png", NULL);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGXFSZ);
  dir = g_dir_open (folder, 0, NULL);
  g_assert_cmpstr (g_dir_read_name (dir), ==, NULL);
  g_rmdir (folder);
}

/* Four processes that save under one name at a time: each keeps what it saved.
 * $ATELIER_FAULT_ROUNDS files each (100). */
static void
test_many_savers (void)
{
  enum
  {
    N_SAVERS = 4
  };
  g_autofree char *folder = g_dir_make_tmp ("atl-savers-XXXXXX", NULL);
  const char *said = g_getenv ("ATELIER_FAULT_ROUNDS");
  guint n_each = said != NULL ? (guint) g_ascii_strtoull (said, NULL, 10) : 100, n = 0;
  g_autoptr (GHashTable) texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GDir) dir = NULL;
  const char *name;
  pid_t savers[N_SAVERS];

  for (guint i = 0; i < N_SAVERS; i++)
    {
      savers[i] = fork ();
      if (savers[i] != 0)
        continue;
      for (guint k = 0; k < n_each; k++)
        {
          g_autofree char *text = g_strdup_printf ("%u of %u", k, i);
          g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));
          g_autofree char *path = atl_picture_save (bytes, folder, "fox", "png", NULL);

          if (path == NULL)
            _exit (1);
        }
      _exit (0);
    }
  for (guint i = 0; i < N_SAVERS; i++)
    {
      int status;

      g_assert_cmpint (waitpid (savers[i], &status, 0), ==, savers[i]);
      g_assert_cmpint (status, ==, 0);
    }
  dir = g_dir_open (folder, 0, NULL);
  for (; (name = g_dir_read_name (dir)) != NULL; n++)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      char *text = NULL;

      g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
      g_assert_true (g_hash_table_add (texts, text));
      g_unlink (path);
    }
  g_assert_cmpuint (n, ==, N_SAVERS * n_each);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "png", "jpeg", "webp" };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *trip = g_strconcat ("/media/round-trip/", names[i], NULL);
      g_autofree char *damage = g_strconcat ("/media/damage/", names[i], NULL);
      g_autofree char *order = g_strconcat ("/media/order/", names[i], NULL);

      g_test_add_data_func (trip, GINT_TO_POINTER (i), test_round_trip);
      g_test_add_data_func (damage, GINT_TO_POINTER (i), test_damage);
      g_test_add_data_func (order, GINT_TO_POINTER (i), test_order);
    }
  g_test_add_func ("/media/picture/cut-off", test_cut_off);
  g_test_add_func ("/media/limits", test_limits);
  g_test_add_func ("/media/save", test_save);
  g_test_add_func ("/media/picture/ended", test_ended);
  g_test_add_func ("/media/many-savers", test_many_savers);
  return g_test_run ();
}
