/* Real models against what reference engines generated: conformance/models, which are small enough
 * to lie there, and conformance/real, whose weights run if they are found on this computer.
 *
 * Weights are looked for by size and SHA-256 in $ATELIER_SMALL_MODEL (a file),
 * $ATELIER_TEST_MODELS (a folder; ./check fetches SmolLM2 to one) and the models folder of the app.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizers/chat-template.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tools/golden-backends.h"
#include "engine/tools/greedy-run.h"

#include "conformance.h"

typedef struct
{
  char *name;    /* "stories260K" */
  char *weights; /* (nullable) path */
  char *why_not; /* without weights */
  JsonNode *root;
  GPtrArray *runs; /* GreedyRun */
  double gap, delta;
  double exact; /* of log-probabilities in float32 arithmetic */
  double nll;   /* of float32 arithmetic */
} Model;

typedef struct
{
  Model *model;
  const char *backend; /* NULL: the tokenizer's test */
  guint run;
} Test;

/* The model in use: tests of one model and backend follow each other. */
static struct
{
  const Model *model;
  const char *backend;
  GoldenBackends backends;
  AtlCheckpoint *cp;
  AtlLlm *llm;
} loaded;

static void
unload (void)
{
  g_clear_pointer (&loaded.llm, atl_llm_free);
  g_clear_pointer (&loaded.cp, atl_checkpoint_unref);
  golden_backends_clear (&loaded.backends);
  loaded.model = NULL;
}

/* FALSE when the running test was skipped. */
static gboolean
load (const Test *t)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = NULL;

  if (t->model->weights == NULL)
    {
      g_test_skip (t->model->why_not);
      return FALSE;
    }
  if (loaded.model == t->model && g_strcmp0 (loaded.backend, t->backend) == 0)
    return TRUE;
  unload ();
  if (t->backend != NULL && !golden_backends_open (&loaded.backends, t->backend, &error))
    {
      g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
      g_test_skip (error->message);
      return FALSE;
    }
  map = atl_file_map_new (t->model->weights, &error);
  g_assert_no_error (error);
  loaded.cp = atl_gguf_open (&map, 1, &error);
  g_assert_no_error (error);
  if (t->backend != NULL)
    {
      const GoldenBackend *backend = &loaded.backends.list[0];

      loaded.llm =
          atl_llm_new (loaded.cp, backend->list, backend->n, NULL, NULL, NULL, NULL, &error);
      g_assert_no_error (error);
    }
  loaded.model = t->model;
  loaded.backend = t->backend;
  return TRUE;
}

static void
test_run (gconstpointer user_data)
{
  const Test *t = user_data;
  g_autoptr (GError) error = NULL;
  GreedyResult r;
  gboolean exact;

  if (!load (t))
    return;
  exact = loaded.backends.list[0].exact;
  greedy_run_measure (loaded.llm, t->model->runs->pdata[t->run],
                      exact ? ATL_DTYPE_F32 : ATL_DTYPE_F16, &r, &error);
  g_assert_no_error (error);
  g_test_message ("%u steps, %u changed (gap %.3g), at once %u (gap %.3g), top-10 within %.3g, "
                  "likelihoods within %.3g, free-running %u",
                  r.n_steps, r.n_changed, r.gap_changed, r.n_changed_at_once, r.gap_changed_at_once,
                  r.max_delta, r.max_nll_delta, r.n_free);
  g_assert_true (greedy_result_is_good (&r, t->model->gap, t->model->delta));
  /* float32 arithmetic leaves far less than the tolerance, which is float16's. */
  if (exact && !isnan (r.run->logsumexp))
    g_assert_cmpfloat (r.max_delta, <, t->model->exact);
  if (exact)
    g_assert_cmpfloat (r.max_nll_delta, <=, t->model->nll);
}

/* Messages to text to ids, and the generated ids back to text. */
static void
test_text (gconstpointer user_data)
{
  const Test *t = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer = NULL;
  JsonArray *runs = atl_json_array (json_node_get_object (t->model->root), "runs");

  if (!load (t))
    return;
  tokenizer = atl_tokenizer_new_from_checkpoint (loaded.cp, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < t->model->runs->len; i++)
    {
      const GreedyRun *run = t->model->runs->pdata[i];
      JsonObject *object = json_array_get_object_element (runs, i);
      JsonArray *messages = atl_json_array (object, "messages");
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autoptr (GString) text = g_string_new (NULL);

      if (messages != NULL)
        {
          gint32 bos = atl_tokenizer_special (tokenizer, ATL_SPECIAL_BOS);
          gint32 eos = atl_tokenizer_special (tokenizer, ATL_SPECIAL_EOS);
          g_autoptr (AtlChatTemplate) template = atl_chat_template_new (
              atl_tokenizer_chat_template (tokenizer, NULL),
              bos >= 0 ? atl_tokenizer_token_text (tokenizer, bos) : NULL,
              eos >= 0 ? atl_tokenizer_token_text (tokenizer, eos) : NULL, &error);
          g_autofree char *prompt = NULL;

          g_assert_no_error (error);
          prompt = atl_chat_template_render (template, messages, NULL, NULL, TRUE, NULL, &error);
          g_assert_no_error (error);
          g_assert_cmpstr (prompt, ==, run->prompt);
        }
      atl_tokenizer_encode (tokenizer, run->prompt, -1,
                            ATL_TOKENIZE_ADD_SPECIAL | ATL_TOKENIZE_PARSE_SPECIAL, ids, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (ids->data, ids->len * sizeof (gint32), run->prompt_ids,
                       run->n_prompt * sizeof (gint32));

      if (messages == NULL)
        continue; /* text of the small files holds the prompt as well, in several ways */
      for (guint k = 0; k < run->n_generated; k++)
        {
          gsize length;
          const char *bytes =
              atl_tokenizer_token_bytes (tokenizer, run->generated[k], FALSE, &length);
          g_string_append_len (text, bytes, (gssize) length);
        }
      g_assert_cmpstr (text->str, ==, atl_json_string (object, "text", ""));
      if (atl_json_bool (object, "ended", FALSE))
        g_assert_true (atl_tokenizer_is_eog (tokenizer, run->generated[run->n_generated - 1]));
    }
}

/* --- Finding weights --- */

static gboolean
is_the_file (const char *path, gint64 size, const char *sha256)
{
  g_autoptr (GMappedFile) map = NULL;
  g_autofree char *sum = NULL;
  GStatBuf st;

  if (g_stat (path, &st) != 0 || st.st_size != size)
    return FALSE;
  map = g_mapped_file_new (path, FALSE, NULL);
  if (map == NULL)
    return FALSE;
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256,
                                     (const guchar *) g_mapped_file_get_contents (map),
                                     g_mapped_file_get_length (map));
  return g_strcmp0 (sum, sha256) == 0;
}

static char *
find_below (const char *folder, gint64 size, const char *sha256, guint depth)
{
  g_autoptr (GDir) dir = folder != NULL ? g_dir_open (folder, 0, NULL) : NULL;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        {
          char *found = depth > 0 ? find_below (path, size, sha256, depth - 1) : NULL;
          if (found != NULL)
            return found;
        }
      else if (is_the_file (path, size, sha256))
        return g_steal_pointer (&path);
    }
  return NULL;
}

static char *
find_weights (gint64 size, const char *sha256)
{
  g_autofree char *library = g_build_filename (g_get_user_data_dir (), "atelier", "models", NULL);
  const char *file = g_getenv ("ATELIER_SMALL_MODEL");
  char *found;

  if (file != NULL && is_the_file (file, size, sha256))
    return g_strdup (file);
  found = find_below (g_getenv ("ATELIER_TEST_MODELS"), size, sha256, 2);
  return found != NULL ? found : find_below (library, size, sha256, 2);
}

/* --- The list --- */

static Model *
model_new (const char *name, const char *json)
{
  Model *self = g_new0 (Model, 1);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  JsonObject *object, *tolerance;
  gsize size;

  self->name = g_strdup (name);
  self->runs = greedy_runs_read (json, NULL, &error);
  g_assert_no_error (error);
  g_file_get_contents (json, &text, &size, &error);
  g_assert_no_error (error);
  self->root = atl_json_parse (text, size, json, &error);
  g_assert_no_error (error);
  object = json_node_get_object (self->root);
  tolerance = atl_json_object (object, "tolerance");
  /* README of conformance/real: float16 activations */
  self->gap = self->delta = atl_json_double (tolerance, "logit_abs", 0.05);
  /* Gemma's record took GELU from a table in float16; that table in our reference brings it from
   * 0.0021 to 0.0017, the rest was not traced (all our float32 orders of summation agree within
   * 2e-5). */
  self->exact = g_str_has_prefix (name, "gemma") ? 3e-3 : 1e-3;
  self->nll = atl_json_double (tolerance, "nll_abs", self->delta);
  return self;
}

static void
add_tests (const char *group, Model *model, const char *const *backends)
{
  g_autofree char *text_path = g_strdup_printf ("/models/%s/%s/text", group, model->name);
  Test *text = g_new0 (Test, 1);

  text->model = model;
  g_test_add_data_func (text_path, text, test_text);
  /* Without weights one skip says it all. */
  for (; model->weights != NULL && *backends != NULL; backends++)
    for (guint i = 0; i < model->runs->len; i++)
      {
        Test *t = g_new0 (Test, 1);
        g_autofree char *path =
            g_strdup_printf ("/models/%s/%s/%s/%u", group, model->name, *backends, i);

        *t = (Test){ model, *backends, i };
        g_test_add_data_func (path, t, test_run);
      }
}

static void
test_absent (gconstpointer file)
{
  g_autofree char *path = atl_test_conformance (file);
  g_assert_null (path);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(char *const *) a, *(char *const *) b);
}

/* Every recorded model. The larger ones leave OpenCL to the smallest: it runs on a processor here.
 */
static void
add_real_models (void)
{
  static const char *const most[] = { "cpu-fast", "cpu", "opencl", NULL };
  static const char *const native[] = { "cpu-fast", "cpu", NULL };
  static const char ending[] = ".greedy.json";
  g_autofree char *folder = atl_test_conformance_find ("real");
  g_autoptr (GDir) dir = folder != NULL ? g_dir_open (folder, 0, NULL) : NULL;
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);
  const char *entry;

  if (dir == NULL)
    g_test_add_data_func ("/models/real", "real", test_absent);
  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (entry, ending))
      g_ptr_array_add (files, g_build_filename (folder, entry, NULL));
  g_ptr_array_sort (files, compare_names);
  for (guint i = 0; i < files->len; i++)
    {
      g_autofree char *base = g_path_get_basename (files->pdata[i]);
      g_autofree char *name = g_strndup (base, strlen (base) - strlen (ending));
      Model *model = model_new (name, files->pdata[i]);
      JsonObject *object = json_node_get_object (model->root);
      const char *sha256 = atl_json_string (object, "sha256", "");
      gint64 size = atl_json_int (object, "bytes", 0);

      model->weights = find_weights (size, sha256);
      model->why_not = g_strdup_printf (
          "the weights of %s were not found: set ATELIER_TEST_MODELS to a folder with a .gguf "
          "file of the SHA-256 %s",
          name, sha256);
      add_tests ("real", model, size < 200 * 1000 * 1000 ? most : native);
    }
}

int
main (int argc, char **argv)
{
  static const char *const all[] = { "cpu", "cpu-fast", "cpu-reference", "opencl", NULL };
  static const char *const small[] = { "stories260K", "llama-2-tiny-random" };
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (small); i++)
    {
      g_autofree char *file = g_strdup_printf ("models/%s.golden.json", small[i]);
      g_autofree char *weights = g_strdup_printf ("models/%s.gguf", small[i]);
      g_autofree char *json = atl_test_conformance_find (file);
      g_autofree char *absent = g_strconcat ("/models/", file, NULL);

      if (json != NULL)
        {
          Model *model = model_new (small[i], json);

          model->weights = atl_test_conformance_find (weights);
          model->why_not = g_strdup_printf ("%s not found", weights);
          add_tests ("small", model, all);
        }
      else
        g_test_add_data_func_full (absent, g_strdup (file), test_absent, g_free);
    }
  add_real_models ();
  status = g_test_run ();
  unload ();
  return status;
}
