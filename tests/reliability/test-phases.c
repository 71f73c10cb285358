/* The engine is ended in every phase of its work, of every model there is: while it loads, reads a
 * prompt, writes, draws each way there is a word for. Each time that is said, another engine does
 * the same again, and what it gives is what the first one gave. Which phases there are is what the
 * first run tells. Two families that come with the source, or all below $ATELIER_GOLDEN
 * (FAMILY/model.gguf, FAMILY/model/model_index.json); a line a family and phase is told.
 *
 * What has ended before the signal came was not cut off: that is told, and counts for nothing. */
#include <signal.h>
#include <string.h>

#include "client/picture-fixture.h"

/* More than one turn of prompt, where a family's context takes it. */
#define PROMPT                                                                                     \
  "Once upon a time there was a fox who lived in a wood by a lake and every morning it went out "  \
  "to see the sun rise over the water and to count the birds that came down from the hills"

/* SIGKILL is also how the system ends what takes too much memory. */
static const int endings[] = { SIGKILL, SIGSEGV, SIGABRT };

typedef struct
{
  AtlClient *client;
  const char *family;
  char *path;
  guint n_cut, n_late;
} Run;

/* One piece of work, and where it is to be ended. */
typedef struct
{
  AtlClient *client;
  GPtrArray *seen;   /* (element-type utf8) phases in their order */
  const char *until; /* (nullable) */
  int signal;
  gboolean is_cut;
} Phases;

static void
reach (Phases *self, const char *phase)
{
  if (!g_ptr_array_find_with_equal_func (self->seen, phase, g_str_equal, NULL))
    g_ptr_array_add (self->seen, g_strdup (phase));
  if (self->is_cut || g_strcmp0 (self->until, phase) != 0)
    return;
  self->is_cut = TRUE;
  kill (atl_client_get_pid (self->client), self->signal);
}

static void
loading_cb (double fraction, const char *phase, gpointer user_data)
{
  reach (user_data, "load");
}

static void
prompt_cb (AtlChatJob *job, guint n_done, guint n_total, Phases *self)
{
  reach (self, "prompt");
}

static void
text_cb (AtlChatJob *job, const char *delta, gboolean is_thinking, Phases *self)
{
  reach (self, "answer");
}

static void
drawing_cb (
    AtlPictureJob *job, const char *phase, guint step, guint n_steps, double left, Phases *self)
{
  reach (self, phase);
}

static void
assert_gone (const GError *error)
{
  g_assert_error (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_cmpuint (strlen (error->message), >, 20);
}

typedef struct
{
  AtlModel *model;
  GError *error;
  gboolean is_over;
} Loaded;

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Loaded *loaded = user_data;

  loaded->model = atl_client_load_model_finish (ATL_CLIENT (source), result, &loaded->error);
  loaded->is_over = TRUE;
}

/* What it was asked for; NULL when it was cut off, or (with `error`) refused. */
static GBytes *
work (Run *run, Phases *phases, GError **error)
{
  AtlLoadOptions insist = ATL_LOAD_OPTIONS_INIT;
  const char *paths[] = { run->path, NULL };
  Loaded loaded = { NULL, NULL, FALSE };
  g_autoptr (AtlModel) model = NULL;
  GBytes *made = NULL;

  insist.insist = TRUE;
  phases->client = run->client;
  atl_client_load_model_async (run->client, paths, &insist, loading_cb, phases, NULL, loaded_cb,
                               &loaded);
  g_assert_true (fixture_wait (&loaded.is_over, WAIT_MS));
  model = loaded.model;
  if (model == NULL)
    {
      g_propagate_error (error, loaded.error);
      return NULL;
    }
  if (g_str_has_suffix (run->path, ".gguf"))
    {
      g_auto (AtlChatParams) params = { 0 };
      g_autoptr (Answer) answer = NULL;

      params_greedy (&params, 6);
      params.grammar = g_strdup ("root ::= [a-z ]{40}");
      answer = answer_new (atl_client_complete (run->client, model, PROMPT, &params));
      g_signal_connect (answer->job, "progress", G_CALLBACK (prompt_cb), phases);
      g_signal_connect (answer->job, "text", G_CALLBACK (text_cb), phases);
      g_assert_true (answer_wait (answer));
      g_signal_handlers_disconnect_by_data (answer->job, phases);
      if (answer->error != NULL)
        g_propagate_error (error, g_steal_pointer (&answer->error));
      else
        made = g_bytes_new (answer->text->str, answer->text->len);
    }
  else
    {
      g_auto (Drawing) drawing = { 0 };
      guint width, height;

      drawing_start (&drawing, run->client, model, 3, NULL);
      g_signal_connect (drawing.job, "progress", G_CALLBACK (drawing_cb), phases);
      g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
      g_signal_handlers_disconnect_by_data (drawing.job, phases);
      if (drawing.error != NULL)
        g_propagate_error (error, g_steal_pointer (&drawing.error));
      else
        made = g_bytes_ref (atl_picture_job_get_pixels (drawing.job, &width, &height));
    }
  /* The next time it is loaded from its file. */
  fixture_unload (run->client, model, NULL);
  return made;
}

static void
end_in (Run *run, const char *phase, guint number, GBytes *expected)
{
  g_autoptr (GPtrArray) seen = g_ptr_array_new_with_free_func (g_free);
  Phases phases = { .seen = seen, .until = phase, .signal = endings[number % 3] };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) cut = work (run, &phases, &error);
  g_autoptr (GBytes) again = NULL;
  gboolean is_late = cut != NULL;

  g_assert_true (phases.is_cut);
  if (is_late)
    g_assert_true (g_bytes_equal (cut, expected));
  else
    assert_gone (error);
  g_clear_error (&error);
  phases.until = NULL;
  again = work (run, &phases, &error);
  /* What came too late may end this one instead. */
  if (is_late && again == NULL)
    {
      assert_gone (error);
      g_clear_error (&error);
      again = work (run, &phases, &error);
    }
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (again, expected));
  run->n_cut += !is_late;
  run->n_late += is_late;
  g_test_message ("%-22s %-28s %-8s %s", run->family, phase, g_strsignal (phases.signal),
                  is_late ? "was done before" : "said, back, and the same");
}

/* FALSE when this one is not for the engine at all. */
static gboolean
end_everywhere (Run *run)
{
  g_autoptr (GPtrArray) seen = g_ptr_array_new_with_free_func (g_free);
  Phases phases = { .seen = seen };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) expected = work (run, &phases, &error);

  if (expected == NULL)
    {
      g_assert_cmpuint (strlen (error->message), >, 10);
      g_test_message ("%-22s was not tried: %s", run->family, error->message);
      return FALSE;
    }
  g_assert_cmpuint (seen->len, >=, 2);
  for (guint i = 0; i < seen->len; i++)
    end_in (run, seen->pdata[i], i, expected);
  return TRUE;
}

static char *
find_model (const char *folder, const char *family)
{
  g_autofree char *gguf = g_build_filename (folder, family, "model.gguf", NULL);
  g_autofree char *pictures = g_build_filename (folder, family, "model", NULL);
  g_autofree char *index = g_build_filename (pictures, "model_index.json", NULL);

  return g_file_test (gguf, G_FILE_TEST_EXISTS)    ? g_steal_pointer (&gguf)
         : g_file_test (index, G_FILE_TEST_EXISTS) ? g_steal_pointer (&pictures)
                                                   : NULL;
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Shipped ones, or those of a folder. */
static GPtrArray *
list_families (const char *golden)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = golden != NULL ? g_dir_open (golden, 0, NULL) : NULL;
  const char *name;

  if (golden == NULL)
    {
      g_ptr_array_add (list, g_strdup ("llm-llama2"));
      g_ptr_array_add (list, g_strdup ("sd15"));
      return list;
    }
  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (list, g_strdup (name));
  g_ptr_array_sort (list, compare);
  return list;
}

static void
test_phases (Fixture *fixture, gconstpointer data)
{
  const char *golden = g_getenv ("ATELIER_GOLDEN");
  g_autoptr (GPtrArray) families = list_families (golden);
  g_autofree char *folder = golden != NULL ? g_strdup (golden) : picture_fixture_path ("");
  Run run = { .client = fixture->client };
  guint n = 0;

  for (guint i = 0; i < families->len; i++)
    {
      run.family = families->pdata[i];
      run.path = find_model (folder, run.family);
      n += run.path != NULL && end_everywhere (&run);
      g_free (run.path);
    }
  g_test_message ("%u families: ended in %u phases, %u more were done before", n, run.n_cut,
                  run.n_late);
  g_assert_cmpuint (n, >, 0);
}

int
main (int argc, char **argv)
{
  static const char *const families[] = { "llm-llama2", "sd15", NULL };

  g_test_init (&argc, &argv, NULL);
  g_test_add ("/phases/ended", Fixture, NULL, fixture_set_up, test_phases, fixture_tear_down);
  return picture_fixture_run (families);
}
