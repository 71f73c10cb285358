/* Whether installed models are still what they were: a flipped bit is found wherever it is, what is
 * known where is used, and what is damaged is fetched again. Runs with a home folder of its own.
 * $ATELIER_FAULT_ROUNDS flips (100). */
#include "rough-server.h"

#include <fcntl.h>

#include "hub/checksums.h"
#include "hub/library.h"
#include "hub/verify.h"
#include "reliability/rounds.h"

#define SIZE 100000u

static char *home; /* of the whole program: GLib reads the variables once */

typedef struct
{
  GAsyncResult *result;
} Wait;

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  ((Wait *) data)->result = g_object_ref (result);
}

static GAsyncResult *
wait_for (Wait *wait)
{
  while (wait->result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return wait->result;
}

static AtlVerified *
verify (const char *path, GCancellable *cancellable, GError **error)
{
  Wait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  atl_library_verify_async (path, NULL, NULL, cancellable, done_cb, &wait);
  result = wait_for (&wait);
  return atl_library_verify_finish (result, error);
}

static gboolean
fetch_again (const AtlVerified *verified, GError **error)
{
  Wait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  atl_library_fetch_again_async (verified, NULL, NULL, NULL, done_cb, &wait);
  result = wait_for (&wait);
  return atl_library_fetch_again_finish (result, error);
}

static AtlVerdict
verdict_of (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlVerified) verified = verify (path, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpint (verified->verdict >= ATL_VERDICT_CHANGED, ==, verified->wrong->len > 0);
  return verified->verdict;
}

static char *
put (const char *relative, gconstpointer bytes, gsize size)
{
  char *path = g_build_filename (home, relative, NULL);
  g_autofree char *folder = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
  return path;
}

static char *
add_copy (const char *path)
{
  Wait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char *added;

  atl_library_add_async (path, ATL_ADD_COPY, NULL, NULL, NULL, done_cb, &wait);
  result = wait_for (&wait);
  added = atl_library_add_finish (result, &error);
  g_assert_no_error (error);
  return added;
}

static void
set_up (void)
{
  g_assert_true (g_str_has_prefix (atl_library_dir (), home));
  remove_tree (home);
  g_assert_cmpint (g_mkdir_with_parents (home, 0700), ==, 0);
}

/* As a disk does it: nobody has written to the file. */
static void
flip (const char *path, guint64 bit, gboolean is_seen)
{
  int fd = open (path, O_RDWR | O_CLOEXEC);
  struct stat st;
  guint8 byte;

  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_assert_cmpint (pread (fd, &byte, 1, (off_t) (bit / 8)), ==, 1);
  byte ^= (guint8) (1u << bit % 8);
  g_assert_cmpint (pwrite (fd, &byte, 1, (off_t) (bit / 8)), ==, 1);
  if (is_seen)
    st.st_mtim.tv_sec += 10;
  g_assert_cmpint (futimens (fd, (struct timespec[2]){ st.st_atim, st.st_mtim }), ==, 0);
  close (fd);
}

static void
test_flips (void)
{
  g_autofree guint8 *content = make_content (SIZE, 7);
  g_autofree char *source = NULL, *model = NULL;
  guint n = rounds (100);

  set_up ();
  source = put ("some/a.gguf", content, SIZE);
  model = add_copy (source);
  g_assert_cmpint (verdict_of (model), ==, ATL_VERDICT_INTACT);
  for (guint i = 0; i < n; i++)
    {
      guint64 bit = i < 2 ? i * (8 * SIZE - 1) : (guint64) g_test_rand_int_range (0, 8 * SIZE);

      flip (model, bit, FALSE);
      g_assert_cmpint (verdict_of (model), ==, ATL_VERDICT_DAMAGED);
      flip (model, bit, FALSE);
    }
  g_assert_cmpint (verdict_of (model), ==, ATL_VERDICT_INTACT);
  g_test_message ("%u flipped bits found", n);
}

/* Somebody may have wanted it so. */
static void
test_changed (void)
{
  g_autofree guint8 *content = make_content (SIZE, 7);
  g_autofree char *source = NULL, *model = NULL;
  g_autoptr (AtlVerified) verified = NULL;
  g_autofree char *names = NULL;

  set_up ();
  source = put ("some/a.gguf", content, SIZE);
  model = add_copy (source);
  flip (model, 77, TRUE);
  verified = verify (model, NULL, NULL);
  g_assert_cmpint (verified->verdict, ==, ATL_VERDICT_CHANGED);
  g_assert_false (verified->can_fetch);
  g_assert_cmpint (verified->noted_us, >, 0);
  names = atl_verified_names (verified);
  g_assert_cmpstr (names, ==, "a.gguf");
  atl_library_accept (verified);
  g_assert_cmpint (verdict_of (model), ==, ATL_VERDICT_INTACT);
  g_assert_cmpint (truncate (model, SIZE - 1), ==, 0);
  g_assert_cmpint (verdict_of (model), >=, ATL_VERDICT_CHANGED);
}

/* Nobody knew what it should be: the first time notes it. */
static void
test_first_time (void)
{
  g_autofree char *path = NULL, *notes = NULL, *name = NULL, *note = NULL;
  g_autoptr (GDir) dir = NULL;

  set_up ();
  path = put ("elsewhere/b.gguf", "abc", 3);
  g_assert_cmpint (verdict_of (path), ==, ATL_VERDICT_NOTED);
  g_assert_cmpint (verdict_of (path), ==, ATL_VERDICT_INTACT);
  flip (path, 3, FALSE);
  g_assert_cmpint (verdict_of (path), ==, ATL_VERDICT_DAMAGED);
  /* A note that says nothing is as good as none. */
  notes = g_build_filename (home, "data", "atelier", "checksums", NULL);
  dir = g_dir_open (notes, 0, NULL);
  name = g_strdup (g_dir_read_name (dir));
  note = g_build_filename (notes, name, NULL);
  g_assert_null (g_dir_read_name (dir));
  for (guint i = 0; i < 3; i++)
    {
      static const char *const texts[] = { "", "{\"sha256\": 7}", "[[[[" };

      g_assert_true (g_file_set_contents (note, texts[i], -1, NULL));
      g_assert_cmpint (verdict_of (path), ==, ATL_VERDICT_NOTED);
    }
}

/* What nobody will ask a model's questions is not noted, unless it was installed. */
static void
test_no_model (void)
{
  g_autofree char *text = NULL, *blob = NULL, *notes = NULL, *other = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlVerified) verified = NULL;

  set_up ();
  text = put ("elsewhere/letter.txt", "Dear all", 8);
  verified = verify (text, NULL, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_null (verified);
  notes = g_build_filename (home, "data", "atelier", "checksums", NULL);
  g_assert_false (g_file_test (notes, G_FILE_TEST_EXISTS));
  blob = put ("elsewhere/sha256-77", "GGUF and more", 13);
  g_assert_cmpint (verdict_of (blob), ==, ATL_VERDICT_NOTED);
  other = g_strnfill (64, '0');
  atl_checksum_note (text, other, ATL_CHECKSUM_FETCHED, NULL);
  g_assert_cmpint (verdict_of (text), >=, ATL_VERDICT_CHANGED);
}

static void
test_several_files (void)
{
  g_autofree char *one = NULL, *two = NULL, *model = NULL, *config = NULL, *folder = NULL;
  g_autofree char *second = NULL, *names = NULL, *weights = NULL;
  g_autoptr (AtlVerified) verified = NULL;
  g_autoptr (GError) error = NULL;

  set_up ();
  one = put ("some/m-00001-of-00002.gguf", "first", 5);
  two = put ("some/m-00002-of-00002.gguf", "second", 6);
  model = add_copy (one);
  g_assert_cmpint (verdict_of (model), ==, ATL_VERDICT_INTACT);
  second = g_build_filename (atl_library_dir (), "m-00002-of-00002.gguf", NULL);
  flip (second, 9, FALSE);
  verified = verify (model, NULL, &error);
  g_assert_cmpint (verified->verdict, ==, ATL_VERDICT_DAMAGED);
  g_assert_cmpuint (verified->n_files, ==, 2);
  g_assert_cmpuint (verified->wrong->len, ==, 1);
  names = atl_verified_names (verified);
  g_assert_cmpstr (names, ==, "m-00002-of-00002.gguf");
  g_unlink (second);
  g_assert_null (verify (model, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  /* A folder as authors publish it. */
  config = put ("folder/config.json", "{}", 2);
  g_free (put ("folder/tokenizer.json", "{}", 2));
  weights = put ("folder/model.safetensors", "weights", 7);
  folder = g_path_get_dirname (config);
  g_assert_cmpint (verdict_of (folder), ==, ATL_VERDICT_NOTED);
  g_assert_cmpint (verdict_of (folder), ==, ATL_VERDICT_INTACT);
  flip (weights, 0, FALSE);
  g_assert_cmpint (verdict_of (folder), ==, ATL_VERDICT_DAMAGED);
}

/* Other apps name their files by their hash. */
static void
test_names (void)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, "model", -1);
  g_autofree char *ollama = g_strconcat ("ollama/blobs/sha256-", hash, NULL);
  g_autofree char *hub = g_strconcat ("hub/models--a--b/blobs/", hash, NULL);
  const char *files[] = { ollama, hub };

  set_up ();
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *path = put (files[i], "model", 5);
      g_autofree char *link = g_build_filename (home, "hub", "models--a--b", "x.gguf", NULL);

      g_assert_cmpint (verdict_of (path), ==, ATL_VERDICT_INTACT);
      if (i == 1)
        g_assert_cmpint (symlink (path, link), ==, 0);
      flip (path, 3, FALSE);
      g_assert_cmpint (verdict_of (i == 1 ? link : path), ==, ATL_VERDICT_DAMAGED);
    }
}

static void
test_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  set_up ();
  path = put ("some/a.gguf", "abc", 3);
  g_cancellable_cancel (cancellable);
  g_assert_null (verify (path, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  /* It noted nothing. */
  g_assert_cmpint (verdict_of (path), ==, ATL_VERDICT_NOTED);
}

/* --- Fetching again --- */

typedef struct
{
  guint8 *content;
  gint is_wrong; /* (atomic) it serves another file */
} Source;

static void
serve (const Request *request, GOutputStream *out, gpointer data)
{
  Source *source = data;
  g_autofree char *head = g_strdup_printf ("HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE);
  g_autofree guint8 *other = g_malloc0 (SIZE);

  say (out, head);
  send_bytes (out, g_atomic_int_get (&source->is_wrong) ? other : source->content, SIZE);
}

static void
test_fetch_again (void)
{
  g_autofree guint8 *content = make_content (SIZE, 7);
  g_autofree char *hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, content, SIZE);
  Source source = { .content = content, .is_wrong = TRUE };
  Server *server = server_start (serve, &source);
  g_autofree char *url = server_url (server, "/a.gguf");
  g_autofree char *text = NULL, *model = NULL, *beside = NULL;
  g_autoptr (AtlVerified) verified = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  set_up ();
  model = put ("data/atelier/models/a.gguf", content, SIZE);
  atl_checksum_note (model, hash, ATL_CHECKSUM_FETCHED, url);
  flip (model, 8 * 4321, FALSE);
  verified = verify (model, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (verified->verdict, ==, ATL_VERDICT_DAMAGED);
  g_assert_true (verified->can_fetch);
  /* A wrong one takes no one's place. */
  g_assert_false (fetch_again (verified, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_true (g_file_get_contents (model, &text, &size, NULL));
  g_assert_cmpuint (size, ==, SIZE);
  g_atomic_int_set (&source.is_wrong, FALSE);
  g_assert_true (fetch_again (verified, &error));
  g_assert_no_error (error);
  g_assert_cmpint (verdict_of (model), ==, ATL_VERDICT_INTACT);
  beside = g_build_filename (atl_library_dir (), ".again", NULL);
  g_assert_false (g_file_test (beside, G_FILE_TEST_EXISTS));
  server_stop (server);
}

int
main (int argc, char **argv)
{
  g_autofree char *data = NULL;
  int status;

  home = g_dir_make_tmp ("atelier-verify-XXXXXX", NULL);
  data = g_build_filename (home, "data", NULL);
  g_setenv ("HOME", home, TRUE);
  g_setenv ("XDG_DATA_HOME", data, TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hub/verify/flips", test_flips);
  g_test_add_func ("/hub/verify/changed", test_changed);
  g_test_add_func ("/hub/verify/first-time", test_first_time);
  g_test_add_func ("/hub/verify/no-model", test_no_model);
  g_test_add_func ("/hub/verify/several-files", test_several_files);
  g_test_add_func ("/hub/verify/names", test_names);
  g_test_add_func ("/hub/verify/cancelled", test_cancelled);
  g_test_add_func ("/hub/verify/fetch-again", test_fetch_again);
  status = g_test_run ();
  remove_tree (home);
  g_free (home);
  return status;
}
