/* The golden runner itself: a wrong number must come out as FAIL, what cannot run as MISSING. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "engine/tools/golden-backends.h"

#define FAMILY "llm-llama2"

typedef struct
{
  char *family; /* a copy of one family that the test may change */
  char *folder; /* of its case */
  GoldenBackends backends;
  GoldenReport report;
  char *words; /* of the last error */
} Fixture;

static void
row_cb (const GoldenRow *row, gpointer user_data)
{
  Fixture *f = user_data;

  g_test_message ("%s %s %.3g %s", row->name, row->output, row->rel_l2, row->verdict);
  g_free (f->words);
  f->words = g_strdup (row->why);
}

static void
spawn (const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  int status = -1;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_spawn_check_wait_status (status, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *script =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", "unpack", NULL);
  g_autofree char *dir = g_dir_make_tmp ("atelier-golden-XXXXXX", NULL);
  g_autoptr (GPtrArray) cases = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (dir);
  spawn ((const char *const[]){ script, dir, FAMILY, NULL });
  f->family = g_steal_pointer (&dir);
  cases = golden_find_cases (f->family, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cases->len, ==, 1);
  f->folder = g_strdup (cases->pdata[0]);
  f->report = (GoldenReport){ .row = row_cb, .user_data = f };
  golden_backends_open (&f->backends, "cpu", &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  golden_backends_clear (&f->backends);
  spawn ((const char *const[]){ "rm", "-rf", f->family, NULL });
  g_free (f->family);
  g_free (f->folder);
  g_free (f->words);
}

static void
run (Fixture *f, const char *only)
{
  golden_run_case (&f->report, f->folder, only, f->backends.list, f->backends.n);
}

/* Replaces the first `from` in case.json. */
static void
edit_case (Fixture *f, const char *from, const char *to)
{
  g_autofree char *path = g_build_filename (f->folder, "case.json", NULL);
  g_autofree char *text = NULL;
  g_autofree char *edited = NULL;
  g_autoptr (GError) error = NULL;
  char *at;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  at = strstr (text, from);
  g_assert_nonnull (at);
  edited = g_strdup_printf ("%.*s%s%s", (int) (at - text), text, to, at + strlen (from));
  g_file_set_contents (path, edited, -1, &error);
  g_assert_no_error (error);
}

static void
test_passes (Fixture *f, gconstpointer data)
{
  run (f, NULL);
  g_assert_cmpuint (f->report.n_ok, ==, 5);
  g_assert_cmpuint (f->report.n_failed + f->report.n_missing, ==, 0);
}

static void
test_only (Fixture *f, gconstpointer data)
{
  run (f, "other/*");
  g_assert_cmpuint (f->report.n_cases, ==, 0);
  run (f, FAMILY "/*");
  g_assert_cmpuint (f->report.n_cases, ==, 1);
}

/* One logit, off by a few parts in a hundred, must show. */
static void
test_wrong_number_fails (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "expected.safetensors", NULL);
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GoldenCase) c = golden_case_read (f->folder, &error);
  gsize size;
  float last;

  g_assert_no_error (error);
  g_assert_true (golden_case_load (c, &error));
  g_file_get_contents (path, &bytes, &size, &error);
  g_assert_no_error (error);
  memcpy (&last, bytes + size - 4, 4);
  last += 0.05f * (float) sqrt ((double) (size / 4));
  memcpy (bytes + size - 4, &last, 4);
  g_file_set_contents (path, bytes, size, &error);
  g_assert_no_error (error);

  run (f, NULL);
  g_assert_cmpuint (f->report.n_failed, ==, 4); /* every way of feeding; the greedy path is right */
  g_assert_cmpuint (f->report.n_ok, ==, 1);
}

static void
test_wrong_greedy_fails (Fixture *f, gconstpointer data)
{
  edit_case (f, "\"greedy\": [", "\"greedy\": [1, ");
  run (f, NULL);
  g_assert_cmpuint (f->report.n_failed, ==, 1);
}

static void
test_unknown_architecture_is_missing (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->family, FAMILY, "model.gguf", NULL);
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  char *at;

  g_file_get_contents (path, &bytes, &size, &error);
  g_assert_no_error (error);
  at = memmem (bytes, size, "general.architecture", strlen ("general.architecture"));
  g_assert_nonnull (at);
  at = memmem (at, 64, "llama", 5);
  g_assert_nonnull (at);
  memcpy (at, "lhama", 5);
  g_file_set_contents (path, bytes, size, &error);
  g_assert_no_error (error);

  run (f, NULL);
  g_assert_cmpuint (f->report.n_missing, ==, 1);
  g_assert_cmpuint (f->report.n_ok + f->report.n_failed, ==, 0);
  g_assert_nonnull (strstr (f->words, "lhama"));
}

/* The inputs of such a case may be of shapes that nothing here reads: they are not opened. */
static void
test_unknown_kind_is_missing (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "expected.safetensors", NULL);

  g_assert_cmpint (g_unlink (path), ==, 0);
  edit_case (f, "\"llm\"", "\"crystal_ball\"");
  run (f, NULL);
  g_assert_cmpuint (f->report.n_missing, ==, 1);
  g_assert_cmpuint (f->report.n_failed, ==, 0);
  g_assert_nonnull (strstr (f->words, "crystal_ball"));
}

static void
test_python_numbers (Fixture *f, gconstpointer data)
{
  edit_case (f, "{", "{\"a\": NaN, \"b\": [-Infinity, Infinity], \"c \\\" NaN\": \"NaN\", ");
  run (f, NULL);
  g_assert_cmpuint (f->report.n_ok, ==, 5);
}

static void
test_broken_case_fails (Fixture *f, gconstpointer data)
{
  edit_case (f, "{", "[[");
  run (f, NULL);
  g_assert_cmpuint (f->report.n_failed, ==, 1);
  g_assert_nonnull (f->words);
}

static void
test_lost_model_fails (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->family, FAMILY, "model.gguf", NULL);

  g_assert_cmpint (g_unlink (path), ==, 0);
  run (f, NULL);
  g_assert_cmpuint (f->report.n_failed, ==, 1);
}

static void
test_backend_names (void)
{
  static const char *const wrong[] = {
    "", "gpu", "cpu-", "cpu-mmx", "opencl-fast", "cpu-fast-fast"
  };

  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_auto (GoldenBackends) backends = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (golden_backends_open (&backends, wrong[i], &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
    }
}

/* Links that lead back make a small folder as endless as a whole disk. */
static void
test_too_many_names (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-golden-XXXXXX", NULL);
  g_autoptr (GPtrArray) none = NULL, cases = NULL;
  g_autoptr (GError) error = NULL;

  none = golden_find_cases (dir, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (none->len, ==, 0);
  for (char name = 'a'; name < 'e'; name++)
    {
      g_autofree char *link = g_build_filename (dir, (char[]){ name, '\0' }, NULL);

      g_assert_cmpint (symlink (".", link), ==, 0);
    }
  cases = golden_find_cases (dir, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_assert_null (cases);
  spawn ((const char *const[]){ "rm", "-rf", dir, NULL });
}

#define ADD(path, func) g_test_add ("/golden/runner/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("passes", test_passes);
  ADD ("only", test_only);
  ADD ("wrong-number-fails", test_wrong_number_fails);
  ADD ("wrong-greedy-fails", test_wrong_greedy_fails);
  ADD ("unknown-architecture-is-missing", test_unknown_architecture_is_missing);
  ADD ("unknown-kind-is-missing", test_unknown_kind_is_missing);
  ADD ("python-numbers", test_python_numbers);
  ADD ("broken-case-fails", test_broken_case_fails);
  ADD ("lost-model-fails", test_lost_model_fails);
  g_test_add_func ("/golden/runner/backend-names", test_backend_names);
  g_test_add_func ("/golden/runner/too-many-names", test_too_many_names);
  return g_test_run ();
}
