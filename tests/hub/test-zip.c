/* The zip reader: the right bytes from good archives, a clean error from every broken one. */
#include "rough-server.h"
#include "zip-writer.h"

#include "base/error.h"
#include "hub/zip-member.h"

#define SIZE 5000

typedef struct
{
  char *dir, *path;
  guint8 content[SIZE];
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree guint8 *random = make_content (SIZE, 5);

  f->dir = g_dir_make_tmp ("atelier-zip-XXXXXX", NULL);
  f->path = g_build_filename (f->dir, "a.whl", NULL);
  /* Half of it packs well. */
  memset (f->content, 'x', SIZE);
  memcpy (f->content, random, SIZE / 2);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  remove_tree (f->dir);
  g_free (f->dir);
  g_free (f->path);
}

static gboolean
collect_cb (gconstpointer bytes, gsize size, gpointer data, GError **error)
{
  g_byte_array_append (data, bytes, (guint) size);
  return TRUE;
}

static gboolean
extract (Fixture *f, const char *member, guint64 size, GByteArray *out, GError **error)
{
  g_byte_array_set_size (out, 0);
  return atl_zip_extract (f->path, member, size, collect_cb, out, NULL, error);
}

static GByteArray *
make_archive (Fixture *f, gboolean deflate, const char *comment)
{
  ZipWriter zip;

  zip_begin (&zip);
  zip_add (&zip, "pkg/__init__.py", "pass\n", 5, FALSE);
  zip_add (&zip, "pkg/data/part01.bin", f->content, SIZE, deflate);
  zip_add (&zip, "../../escape", "evil", 4, FALSE);
  return zip_end (&zip, comment);
}

static void
save (Fixture *f, const GByteArray *bytes)
{
  g_assert_true (g_file_set_contents (f->path, (const char *) bytes->data, bytes->len, NULL));
}

static void
test_good (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < 4; i++)
    {
      g_autoptr (GByteArray) archive = make_archive (f, i & 1, i & 2 ? "PK\005\006 a comment" : "");
      g_autoptr (GByteArray) out = g_byte_array_new ();
      g_autoptr (GError) error = NULL;

      save (f, archive);
      g_assert_true (extract (f, "pkg/data/part01.bin", SIZE, out, &error));
      g_assert_no_error (error);
      g_assert_cmpmem (out->data, out->len, f->content, SIZE);
    }
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  g_autoptr (GByteArray) archive = make_archive (f, TRUE, "");
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *names = NULL;

  save (f, archive);
  g_assert_false (extract (f, "pkg/data/part02.bin", SIZE, out, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_false (extract (f, "pkg/data/part01.bin", SIZE - 1, out, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_false (extract (f, "pkg/data/part01.bin", SIZE + 1, out, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  /* A hostile name is only a name to compare with. */
  g_assert_true (extract (f, "../../escape", 4, out, &error));
  names = list_folder (f->dir);
  g_assert_cmpstr (names, ==, "a.whl");
  g_assert_true (g_file_set_contents (f->path, "", 0, NULL));
  g_assert_false (extract (f, "a", 1, out, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

/* Every header byte replaced by several others, and every truncation: an error, or the same size.
 */
static void
test_mutants (Fixture *f, gconstpointer data)
{
  static const guint8 values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
  g_autoptr (GByteArray) archive = make_archive (f, TRUE, "");
  g_autoptr (GByteArray) out = g_byte_array_new ();
  guint n_errors = 0, n_fine = 0;

  for (guint at = 0; at < archive->len; at++)
    {
      guint8 before = archive->data[at];

      /* Inside the packed bytes a sample is enough. */
      if (at > 200 && at < archive->len - 300 && at % 16 != 0)
        continue;
      for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
        {
          g_autoptr (GError) error = NULL;

          archive->data[at] = values[i];
          save (f, archive);
          if (extract (f, "pkg/data/part01.bin", SIZE, out, &error))
            {
              g_assert_cmpuint (out->len, ==, SIZE);
              n_fine++;
            }
          else
            {
              g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
              g_assert_cmpuint (out->len, <=, SIZE);
              n_errors++;
            }
        }
      archive->data[at] = before;
    }
  for (guint length = 0; length < archive->len; length += 7)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (g_file_set_contents (f->path, (const char *) archive->data, length, NULL));
      g_assert_false (extract (f, "pkg/data/part01.bin", SIZE, out, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
    }
  g_test_message ("%u mutants refused, %u harmless", n_errors, n_fine);
  g_assert_cmpuint (n_errors, >, 100);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/hub/zip/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("good", test_good);
  ADD ("refused", test_refused);
  ADD ("mutants", test_mutants);
  return g_test_run ();
}
