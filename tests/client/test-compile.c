/* The whole way to an OpenCL device: the locked engine asks, a process of its own compiles, the
 * engine computes on it. On PoCL, which is chosen by name. */
#include <glib/gstdio.h>
#include <string.h>

#include "opencl-fixture.h"
#include "picture-fixture.h"

#define STORY "Once upon a time"
#define TINY "stories260K.gguf"
#define LIMIT_MS 240000

typedef struct
{
  AtlModel *model;
  GError *error;
  gboolean is_done;
  double fraction;
  guint n_prepared; /* progress of compiling */
  GCancellable *cancel_then;
} Loading;

static char *cache; /* XDG_CACHE_HOME */

/* What was compiled stays with the driver, so that tests are quick; that it was is forgotten. */
static void
forget (void)
{
  g_autofree char *dir = g_build_filename (cache, "atelier", "kernels", NULL);
  g_autoptr (GDir) entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    if (g_str_has_suffix (name, ".clb"))
      {
        g_autofree char *path = g_build_filename (dir, name, NULL);

        g_assert_cmpint (g_remove (path), ==, 0);
      }
}

static void
progress_cb (double fraction, const char *phase, gpointer user_data)
{
  Loading *loading = user_data;

  g_assert_cmpfloat (fraction, >=, loading->fraction);
  loading->fraction = fraction;
  if (strstr (phase, "Preparing the graphics card") == NULL)
    return;
  loading->n_prepared++;
  g_test_message ("%.2f %s", fraction, phase);
  if (loading->cancel_then != NULL)
    g_cancellable_cancel (loading->cancel_then);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Loading *loading = user_data;

  loading->model = atl_client_load_model_finish (ATL_CLIENT (source), result, &loading->error);
  loading->is_done = TRUE;
}

static void
load (Fixture *fixture, const char *device, Loading *loading)
{
  const char *paths[] = { fixture->model_path, NULL };
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;

  options.device = device;
  atl_client_load_model_async (fixture->client, paths, &options, progress_cb, loading,
                               loading->cancel_then, loaded_cb, loading);
  g_assert_true (fixture_wait (&loading->is_done, LIMIT_MS));
}

static void
loading_clear (Loading *self)
{
  g_clear_object (&self->model);
  g_clear_error (&self->error);
  g_clear_object (&self->cancel_then);
}

/* The greedy beginning of the story, owned. */
static char *
tell (Fixture *fixture, AtlModel *model, char **ran_on)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;

  params_greedy (&params, 24);
  answer = answer_new (atl_client_complete (fixture->client, model, STORY, &params));
  g_assert_true (fixture_wait (&answer->is_over, LIMIT_MS));
  g_assert_no_error (answer->error);
  *ran_on = g_strdup (answer->stats->ran_on);
  return g_strdup (answer->text->str);
}

/* FALSE after marking the test as skipped. */
static gboolean
is_ready (Fixture *fixture)
{
  fixture->model_path = fixture_model_path (TINY);
  return fixture->model_path != NULL && opencl_fixture_device () != NULL;
}

static void
test_compile (Fixture *fixture, gconstpointer data)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autofree char *on_device = NULL, *on_cpu = NULL, *ran_on = NULL, *ran_on_cpu = NULL;
  Loading first = { 0 }, again = { 0 }, cpu = { 0 };

  if (!is_ready (fixture))
    return;
  forget ();
  load (fixture, "gpu", &first);
  g_assert_no_error (first.error);
  g_assert_cmpuint (first.n_prepared, >, 5);
  g_test_message ("%s", atl_model_get_info (first.model)->runs_on);
  g_assert_nonnull (strstr (atl_model_get_info (first.model)->runs_on, device->name));
  on_device = tell (fixture, first.model, &ran_on);
  g_assert_nonnull (strstr (ran_on, device->name));

  /* Once is enough. */
  g_assert_true (fixture_unload (fixture->client, first.model, &first.error));
  load (fixture, "gpu", &again);
  g_assert_no_error (again.error);
  g_assert_cmpuint (again.n_prepared, ==, 0);
  atl_client_stop (fixture->client);
  loading_clear (&again);
  again = (Loading){ 0 };
  load (fixture, "auto", &again);
  g_assert_no_error (again.error);
  g_assert_cmpuint (again.n_prepared, ==, 0);
  g_assert_nonnull (strstr (atl_model_get_info (again.model)->runs_on, device->name));

  load (fixture, "cpu", &cpu);
  g_assert_no_error (cpu.error);
  on_cpu = tell (fixture, cpu.model, &ran_on_cpu);
  g_assert_nonnull (strstr (ran_on_cpu, "the settings say so"));
  g_assert_cmpstr (on_device, ==, on_cpu);
  g_test_message ("%s: %s", atl_client_get_status (fixture->client)->sandbox, on_cpu);
  loading_clear (&first);
  loading_clear (&again);
  loading_clear (&cpu);
}

/* An engine that is itself, but whose compiler does `what`. */
static char *
make_engine (const char *what)
{
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\nif [ \"$1\" = --compile ]; then\n%s\nfi\n"
                                           "exec '%s' \"$@\"\n",
                                           what, g_getenv ("ATELIER_ENGINE"));
  char *path = g_build_filename (g_get_tmp_dir (), "atelier-test-engine-XXXXXX", NULL);
  int fd = g_mkstemp (path);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, 0700), ==, 0);
  return path;
}

static void
test_failure (Fixture *fixture, gconstpointer what)
{
  g_autofree char *engine = g_strdup (g_getenv ("ATELIER_ENGINE"));
  g_autofree char *broken = NULL, *text = NULL, *ran_on = NULL;
  Loading loading = { 0 }, insisting = { 0 };
  const char *expected = strstr (what, "failed") != NULL ? "the compiler is out of order"
                                                         : "its driver's compiler ended";

  if (!is_ready (fixture))
    return;
  forget ();
  broken = make_engine (what);
  g_setenv ("ATELIER_ENGINE", broken, TRUE);
  load (fixture, "auto", &loading);
  g_assert_no_error (loading.error);
  text = tell (fixture, loading.model, &ran_on);
  g_test_message ("%s", ran_on);
  g_assert_nonnull (strstr (ran_on, "CPU"));
  g_assert_nonnull (strstr (ran_on, "the graphics card could not be prepared"));
  g_assert_nonnull (strstr (ran_on, expected));

  load (fixture, "gpu", &insisting);
  g_assert_error (insisting.error, ATL_ERROR, ATL_ERROR_DEVICE);
  g_test_message ("%s", insisting.error->message);
  g_assert_nonnull (strstr (insisting.error->message, expected));
  g_setenv ("ATELIER_ENGINE", engine, TRUE);
  g_remove (broken);
  loading_clear (&loading);
  loading_clear (&insisting);
}

/* It says that it compiled, but what it made is not there. */
static void
test_lie (Fixture *fixture, gconstpointer data)
{
  g_autofree char *engine = g_strdup (g_getenv ("ATELIER_ENGINE"));
  g_autofree char *liar = NULL;
  Loading loading = { 0 };

  if (!is_ready (fixture))
    return;
  forget ();
  liar = make_engine ("echo compiled 1 of 1; exit 0");
  g_setenv ("ATELIER_ENGINE", liar, TRUE);
  load (fixture, "auto", &loading);
  g_assert_no_error (loading.error);
  g_assert_cmpuint (loading.n_prepared, ==, 1);
  g_assert_nonnull (strstr (atl_model_get_info (loading.model)->runs_on, "is not found again"));
  g_setenv ("ATELIER_ENGINE", engine, TRUE);
  g_remove (liar);
  loading_clear (&loading);
}

static void
test_cancel (Fixture *fixture, gconstpointer data)
{
  g_autofree char *engine = g_strdup (g_getenv ("ATELIER_ENGINE"));
  g_autofree char *slow = NULL;
  Loading loading = { .cancel_then = g_cancellable_new () };

  if (!is_ready (fixture))
    return;
  forget ();
  slow = make_engine ("echo compiled 0 of 9; exec sleep 1000");
  g_setenv ("ATELIER_ENGINE", slow, TRUE);
  load (fixture, "gpu", &loading);
  g_assert_error (loading.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (loading.n_prepared, ==, 1);
  g_setenv ("ATELIER_ENGINE", engine, TRUE);
  g_remove (slow);
  loading_clear (&loading);
}

/* Pictures need programs of their own: for convolutions. */
static void
test_picture (Fixture *fixture, gconstpointer data)
{
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autofree char *path = picture_fixture_path ("sd15/model");
  g_autofree char *ran_on = NULL;
  g_auto (Drawing) drawn = { 0 }, stopped = { .stops_early = TRUE }, rested = { 0 };
  g_auto (Drawing) on_cpu = { 0 };
  Loading loading = { 0 }, cpu = { 0 };
  const guint8 *a, *b;
  guint width, height;
  GBytes *pixels;

  if (device == NULL)
    return;
  forget ();
  fixture->model_path = g_steal_pointer (&path);
  load (fixture, "gpu", &loading);
  g_assert_no_error (loading.error);
  g_assert_cmpuint (loading.n_prepared, >, 5);
  g_assert_nonnull (strstr (atl_model_get_info (loading.model)->runs_on, device->name));
  pixels = drawing_draw (&drawn, fixture->client, loading.model, &width, &height);
  g_assert_cmpuint (drawn.n_previews, >=, 1);
  ran_on = atl_dict_string (atl_picture_job_get_facts (drawn.job), ATL_INFO_RUNS_ON, "");
  g_assert_nonnull (strstr (ran_on, device->name));

  drawing_start (&stopped, fixture->client, loading.model, 900, NULL);
  g_assert_true (fixture_wait (&stopped.is_over, WAIT_MS));
  g_assert_error (stopped.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  drawing_rest (&rested, fixture->client, loading.model, 1, 3);
  rested.pauses_at = 0;
  atl_picture_job_set_paused (rested.job, FALSE);
  g_assert_true (g_bytes_equal (drawing_finish (&rested, &width, &height), pixels));

  load (fixture, "cpu", &cpu);
  g_assert_no_error (cpu.error);
  a = g_bytes_get_data (pixels, NULL);
  b = g_bytes_get_data (drawing_draw (&on_cpu, fixture->client, cpu.model, &width, &height), NULL);
  for (gsize i = 0; i < g_bytes_get_size (pixels); i++)
    g_assert_cmpint (ABS (a[i] - b[i]), <=, 3);
  loading_clear (&loading);
  loading_clear (&cpu);
}

/* The data is the test's, no model's name. */
static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture_set_up (fixture, NULL);
}

int
main (int argc, char **argv)
{
  AtlOpenclDevice *device;

  g_test_init (&argc, &argv, NULL);
  cache = g_test_build_filename (G_TEST_BUILT, "compile-cache", NULL);
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  device = opencl_fixture_device ();
  if (device != NULL)
    g_setenv ("ATELIER_OPENCL_DEVICE", device->name, TRUE);
  g_test_add ("/compile/sandboxed", Fixture, NULL, set_up, test_compile, fixture_tear_down);
  g_test_add ("/compile/fails", Fixture, "echo failed the compiler is out of order; exit 1", set_up,
              test_failure, fixture_tear_down);
  g_test_add ("/compile/crashes", Fixture, "kill -SEGV $$", set_up, test_failure,
              fixture_tear_down);
  g_test_add ("/compile/lies", Fixture, NULL, set_up, test_lie, fixture_tear_down);
  g_test_add ("/compile/cancel", Fixture, NULL, set_up, test_cancel, fixture_tear_down);
  g_test_add ("/compile/picture", Fixture, NULL, set_up, test_picture, fixture_tear_down);
  return picture_fixture_run ((const char *const[]){ "sd15", NULL });
}
