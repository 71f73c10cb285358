/* Guessing ahead changes nothing but the time: with a draft model that is the model itself, one
 * that knows nothing, one that is always wrong and one that goes away in the middle, by prompt
 * lookup, on every kind of model, greedy and drawn, the text is the one that comes without. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/pipelines/scheduler.h"
#include "draft-variant.h"
#include "model-fixture.h"
#include "opencl-fixture.h"

#define N_CTX 512u
#define N_TOKENS 90

/* Dense, mixtures, windows, latent attention, sinks, states of every kind. */
static const char *const families[] = {
  "llm-llama2", "llm-mixtral", "llm-gemma3n",       "llm-gpt-oss",   "llm-deepseek2-lite",
  "llm-llama4", "llm-qwen35",  "llm-qwen3next",     "llm-falcon-h1", "llm-mamba2",
  "llm-lfm2",   "llm-lfm2moe", "llm-granitehybrid",
};

/* What is said again and again is looked up. */
static const char prompt[] =
    "The cat sat on the mat. The dog sat on the log. The cat sat on the mat. The dog sat on the";

static char *folder;

/* --- Models --- */

static AtlChatModel *
open_files (const char *model, const char *draft, GError **error)
{
  const char *names[] = { "model.gguf", "draft/model.gguf" };
  AtlFileMap *maps[2] = { atl_file_map_new (model, NULL),
                          draft != NULL ? atl_file_map_new (draft, NULL) : NULL };
  AtlChatModel *self = atl_chat_model_open (maps, names, draft != NULL ? 2 : 1, error);

  atl_file_map_unref (maps[0]);
  atl_file_map_unref (maps[1]);
  return self;
}

/* --- Turns --- */

typedef struct
{
  AtlBackend *backends[2];
  guint n_backends;
  AtlTurnstile *turnstile; /* (nullable) */
  gboolean is_paced;       /* guesses only where this machine, now, is quicker for it */
} World;

static AtlChatModel *
load_model (const World *world, const char *family, Draft draft)
{
  g_autofree char *path = model_fixture_path (family, "model.gguf");
  g_autofree char *other =
      draft > DRAFT_SAME ? draft_variant_write (folder, family, &(DraftVariant){ .draft = draft })
                         : g_strdup (draft == DRAFT_SAME ? path : NULL);
  AtlChatModelOptions options = { .n_ctx = N_CTX,
                                  .kv_dtype = ATL_DTYPE_F16,
                                  .n_gpu_layers = G_MAXUINT,
                                  .n_cpu_experts = G_MAXUINT,
                                  .turnstile = world->turnstile };
  g_autoptr (GError) error = NULL;
  AtlChatModel *model = open_files (path, other, &error);

  g_assert_no_error (error);
  g_assert_true ((atl_chat_model_draft_facts (model) != NULL) == (draft != DRAFT_NONE));
  atl_chat_model_load (model, world->backends, world->n_backends, &options, NULL, NULL, NULL,
                       &error);
  g_assert_no_error (error);
  if (!world->is_paced)
    atl_scheduler_guess_always (model->scheduler);
  if (draft > DRAFT_SAME)
    g_unlink (other);
  return model;
}

typedef struct
{
  const char *text;
  float temperature;
  gboolean speculate;
  const char *key;
  const char *grammar;
} Question;

typedef struct
{
  GString *text;
  AtlTurnOptions options;
  AtlTurnStats stats;
  AtlChatTurn *turn;
  gint is_done;  /* (atomic) */
  gint n_pieces; /* (atomic) of text */
  GError *error;
} Answer;

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  Answer *self = user_data;

  g_string_append (self->text, text);
  g_atomic_int_inc (&self->n_pieces);
}

static void
done_cb (AtlChatTurn *turn, gpointer user_data)
{
  g_atomic_int_set (&((Answer *) user_data)->is_done, TRUE);
}

static void
start (Answer *self, AtlChatModel *model, const Question *question)
{
  AtlTurnSink sink = { .text = text_cb, .user_data = self };
  g_autoptr (GError) error = NULL;

  *self = (Answer){ .text = g_string_new (NULL) };
  self->options = (AtlTurnOptions){ .max_tokens = N_TOKENS,
                                    .thinking = -1,
                                    .speculate = question->speculate,
                                    .grammar = question->grammar,
                                    .conversation = question->key };
  atl_sampling_params_init (&self->options.sampling);
  self->options.sampling.temperature = question->temperature;
  self->options.sampling.seed = 11;
  self->turn = atl_chat_turn_new (model, NULL, question->text, &self->options, &sink, NULL, &error);
  g_assert_no_error (error);
  atl_chat_turn_start (self->turn, done_cb, self);
}

/* The text is the caller's. */
static char *
finish (Answer *self)
{
  while (!g_atomic_int_get (&self->is_done))
    g_usleep (200);
  g_assert_no_error (atl_chat_turn_error (self->turn));
  self->stats = *atl_chat_turn_stats (self->turn);
  atl_chat_turn_free (self->turn);
  return g_string_free (self->text, FALSE);
}

static char *
ask (AtlChatModel *model, const Question *question, AtlTurnStats *stats)
{
  Answer answer;
  char *text;

  start (&answer, model, question);
  text = finish (&answer);
  if (stats != NULL)
    *stats = answer.stats;
  return text;
}

static void
forget (AtlChatModel *model)
{
  while (atl_chat_model_drop_conversation (model) > 0)
    ;
}

static const Question questions[] = {
  { prompt, 0.0f, FALSE, "a", NULL },
  { prompt, 0.8f, FALSE, "a", NULL },
  { "Words about other things", 1.0f, FALSE, "b", NULL },
  { prompt, 0.7f, FALSE, "c", "root ::= ([a-z]+ \" \")+" },
};

/* The same questions to a model that guesses: one after another, then again where the last answer
 * has left its conversation, and two at a time. */
static void
compare (AtlChatModel *model, char *const *plain, AtlTurnStats *sum)
{
  for (gsize i = 0; i < G_N_ELEMENTS (questions); i++)
    {
      Question question = questions[i];
      Question other = { questions[i].text, questions[i].temperature, TRUE, "other",
                         questions[i].grammar };
      Answer both[2];

      question.speculate = TRUE;
      for (guint round = 0; round < 2; round++)
        {
          AtlTurnStats stats;
          g_autofree char *text = ask (model, &question, &stats);

          g_assert_cmpstr (text, ==, plain[i]);
          sum->n_drafted += stats.n_drafted;
          sum->n_accepted += stats.n_accepted;
          sum->n_model_drafted += stats.n_model_drafted;
          sum->n_model_accepted += stats.n_model_accepted;
        }
      start (&both[0], model, &question);
      start (&both[1], model, &other);
      for (gsize k = 0; k < G_N_ELEMENTS (both); k++)
        {
          g_autofree char *text = finish (&both[k]);

          g_assert_cmpstr (text, ==, plain[i]);
        }
      forget (model);
    }
}

static void
test_family (const World *world, const char *family, guint n_drafts)
{
  char *plain[G_N_ELEMENTS (questions)];

  for (Draft draft = DRAFT_NONE; draft < (Draft) n_drafts; draft++)
    {
      AtlChatModel *model = load_model (world, family, draft);
      AtlTurnStats sum = { 0 };

      if (draft == DRAFT_NONE)
        for (gsize i = 0; i < G_N_ELEMENTS (questions); i++)
          {
            AtlTurnStats stats;

            plain[i] = ask (model, &questions[i], &stats);
            g_assert_cmpuint (stats.n_drafted, ==, 0);
            forget (model);
          }
      compare (model, plain, &sum);
      g_test_message ("draft %d: %u of %u guesses were right; the draft model's %u of %u", draft,
                      sum.n_accepted, sum.n_drafted, sum.n_model_accepted, sum.n_model_drafted);
      if (draft == DRAFT_NONE || draft == DRAFT_BROKEN)
        g_assert_cmpuint (sum.n_model_drafted, ==, 0);
      if (world->is_paced)
        {
          atl_chat_model_free (model);
          continue;
        }
      g_assert_true ((sum.n_model_drafted > 0) == (draft != DRAFT_NONE && draft != DRAFT_BROKEN));
      /* Where a temperature draws, the likeliest token is not always the one. */
      if (draft == DRAFT_SAME)
        g_assert_cmpuint (sum.n_model_accepted, >, 0);
      if (draft == DRAFT_HOSTILE)
        g_assert_cmpuint (sum.n_model_accepted, <=, sum.n_model_drafted / 4);
      atl_chat_model_free (model);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (questions); i++)
    g_free (plain[i]);
}

/* What all of this rests on: a token's numbers are the same to the last bit, however many are
 * computed beside it, and after a wrong guess was taken back. */
static void
check_rows (AtlBackend *const *backends, guint n_backends, const char *family)
{
  static const guint cuts[] = { 2, 3, 1, 8, 5, 4, 7, 6, 2 };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (family, "model.gguf");
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlm) llm = atl_llm_new (cp, backends, n_backends, NULL, NULL, NULL, NULL, &error);
  g_autoptr (AtlLlmCache) one = NULL, many = NULL;
  gint32 ids[48];
  guint n_vocab, at = 0;

  g_assert_no_error (error);
  n_vocab = atl_llm_info (llm)->n_vocab;
  one = atl_llm_cache_new (llm, N_CTX, ATL_DTYPE_F16, &error);
  many = atl_llm_cache_new (llm, N_CTX, ATL_DTYPE_F16, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    ids[i] = (gint32) ((i * 37 + 11) % 300);
  for (guint c = 0; c < G_N_ELEMENTS (cuts); at += cuts[c++])
    {
      AtlLlmBatch batch = { many, ids + at, cuts[c], TRUE };
      g_autofree float *rows = NULL;

      g_assert_cmpuint (cuts[c], <=, atl_llm_few_rows (llm));
      for (guint round = 0; round < 2; round++)
        {
          atl_llm_decode (llm, &batch, 1, NULL, &error);
          g_assert_no_error (error);
          if (round == 0)
            g_assert_cmpuint (atl_llm_cache_truncate (many, at), ==, at);
        }
      rows = g_memdup2 (atl_llm_logits (llm, 0), (gsize) cuts[c] * n_vocab * sizeof *rows);
      for (guint i = 0; i < cuts[c]; i++)
        {
          const float *want = model_fixture_feed (llm, one, ids + at + i, 1);

          if (memcmp (want, rows + (gsize) i * n_vocab, n_vocab * sizeof *want) != 0)
            g_test_message ("%s: row %u of %u is another one by %g", family, i, cuts[c],
                            model_fixture_distance (rows + (gsize) i * n_vocab, want, n_vocab));
          g_assert_cmpmem (rows + (gsize) i * n_vocab, n_vocab * sizeof *want, want,
                           n_vocab * sizeof *want);
        }
    }
}

static void
test_rows (gconstpointer family)
{
  AtlBackend *cpu = model_fixture_cpu (FALSE);

  check_rows (&cpu, 1, family);
}

static void
test_rows_opencl (gconstpointer family)
{
  AtlBackend *backends[2] = { opencl_fixture_open (opencl_fixture_cache_dir ()),
                              model_fixture_cpu (FALSE) };

  if (backends[0] == NULL)
    return;
  check_rows (backends, 2, family);
  atl_backend_free (backends[0]);
}

static void
test_cpu (gconstpointer family)
{
  World world = { .backends = { model_fixture_cpu (FALSE) }, .n_backends = 1 };

  test_family (&world, family, N_DRAFTS);
}

/* As it is used: what is guessed depends on what steps take, the text does not. */
static void
test_paced (gconstpointer family)
{
  World world = { .backends = { model_fixture_cpu (FALSE) }, .n_backends = 1, .is_paced = TRUE };

  test_family (&world, family, N_DRAFTS);
}

static void
test_opencl (gconstpointer family)
{
  World world = { .backends = { opencl_fixture_open (opencl_fixture_cache_dir ()),
                                model_fixture_cpu (FALSE) },
                  .n_backends = 2 };

  if (world.backends[0] == NULL)
    return;
  test_family (&world, family, DRAFT_HOSTILE);
  atl_backend_free (world.backends[0]);
}

/* The model itself guesses right when it is asked for the likeliest. What it missed while it was
 * not asked it reads many tokens at once, which rounds otherwise than one after the other: where
 * two tokens are as likely as each other it may then name the other one, and what follows is
 * wasted. */
static void
test_same (void)
{
  World world = { .backends = { model_fixture_cpu (FALSE) }, .n_backends = 1 };
  AtlChatModel *model = load_model (&world, "llm-llama2", DRAFT_SAME);
  Question question = { "Words about other things", 0, TRUE, NULL, NULL };
  AtlTurnStats stats;
  g_autofree char *text = ask (model, &question, &stats);

  g_assert_cmpuint (stats.n_model_drafted, >, 0);
  g_test_message ("%u of %u", stats.n_model_accepted, stats.n_model_drafted);
  g_assert_cmpuint (stats.n_model_accepted * 4, >=, stats.n_model_drafted * 3);
  atl_chat_model_free (model);
}

/* Others need the memory: the draft model goes while it guesses, and the answer goes on. */
static void
test_dropped (void)
{
  g_autoptr (AtlTurnstile) turnstile = atl_turnstile_new ();
  World world = { .backends = { model_fixture_cpu (FALSE) },
                  .n_backends = 1,
                  .turnstile = turnstile };
  AtlChatModel *model = load_model (&world, "llm-llama2", DRAFT_SAME);
  guint64 host_bytes = atl_chat_model_host_bytes (model);
  Question question = { prompt, 0.8f, FALSE, NULL, NULL };
  g_autofree char *plain = ask (model, &question, NULL);
  g_autofree char *text = NULL;
  Answer answer;

  question.speculate = TRUE;
  forget (model);
  start (&answer, model, &question);
  while (g_atomic_int_get (&answer.n_pieces) < 5)
    g_usleep (100);
  atl_turnstile_enter (turnstile);
  g_assert_cmpuint (atl_chat_model_drop_draft (model), >, 0);
  g_assert_cmpuint (atl_chat_model_drop_draft (model), ==, 0);
  atl_turnstile_leave (turnstile);
  text = finish (&answer);
  g_assert_cmpstr (text, ==, plain);
  g_assert_cmpuint (atl_chat_model_host_bytes (model), <, host_bytes);
  /* The next ones, too, and what was loaded again guesses again. */
  {
    g_autofree char *again = ask (model, &question, NULL);

    g_assert_cmpstr (again, ==, plain);
  }
  atl_chat_model_free (model);
}

/* Memory is counted and taken away: what only makes answers faster goes first. */
static void
test_memory (void)
{
  World world = { .backends = { model_fixture_cpu (FALSE) }, .n_backends = 1 };
  AtlChatModel *alone = load_model (&world, "llm-llama2", DRAFT_NONE);
  AtlChatModel *both = load_model (&world, "llm-llama2", DRAFT_SAME);
  Question question = { prompt, 0, TRUE, NULL, NULL };
  AtlChatMemory one, two;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = ask (both, &question, NULL);
  guint64 bytes = atl_chat_model_conversation_bytes (both);

  atl_chat_model_estimate (alone, N_CTX, ATL_DTYPE_F16, &one, &error);
  atl_chat_model_estimate (both, N_CTX, ATL_DTYPE_F16, &two, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (two.weight_bytes, ==, 2 * one.weight_bytes);
  g_assert_cmpuint (two.kv_bytes, ==, 2 * one.kv_bytes);
  g_assert_cmpuint (atl_chat_model_host_bytes (both), ==, 2 * atl_chat_model_host_bytes (alone));
  g_assert_cmpuint (atl_chat_model_drop_conversation (both), >, 0);
  g_assert_cmpuint (atl_chat_model_conversation_bytes (both), <, bytes);
  g_assert_cmpuint (atl_chat_model_conversation_bytes (both), >, 0);
  atl_chat_model_free (alone);
  atl_chat_model_free (both);
}

/* --- Vocabularies --- */

static void
check_pair (const char *model, const char *draft, const char *word)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlChatModel) self = open_files (model, draft, &error);

  if (word == NULL)
    {
      g_assert_no_error (error);
      return;
    }
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, word));
}

static void
test_vocabulary (void)
{
  g_autofree char *qwen = model_fixture_path ("llm-qwen2", "model.gguf");
  g_autofree char *llama = model_fixture_path ("llm-llama2", "model.gguf");
  g_autofree char *mixtral = model_fixture_path ("llm-mixtral", "model.gguf");
  g_autofree char *padded =
      draft_variant_write (folder, "llm-qwen2", &(DraftVariant){ .n_more = 7, .more = "[PAD" });
  g_autofree char *longer =
      draft_variant_write (folder, "llm-qwen2", &(DraftVariant){ .n_more = 3, .more = "[new" });
  g_autofree char *renamed =
      draft_variant_write (folder, "llm-qwen2", &(DraftVariant){ .renamed = TRUE });

  check_pair (mixtral, llama, NULL);
  check_pair (qwen, padded, NULL);
  check_pair (padded, qwen, NULL);
  check_pair (qwen, llama, "token ");
  check_pair (qwen, renamed, "otherwise");
  check_pair (qwen, longer, "[new");
  check_pair (longer, qwen, "[new");
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("atelier-draft-XXXXXX", &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_autofree char *path = g_strdup_printf ("/pipelines/draft/cpu/%s", families[i]);

      g_autofree char *rows = g_strdup_printf ("/pipelines/draft/rows/%s", families[i]);
      g_autofree char *opencl = g_strdup_printf ("/pipelines/draft/rows-opencl/%s", families[i]);

      g_test_add_data_func (rows, families[i], test_rows);
      g_test_add_data_func (opencl, families[i], test_rows_opencl);
      g_test_add_data_func (path, families[i], test_cpu);
    }
  g_test_add_data_func ("/pipelines/draft/paced/llm-llama2", "llm-llama2", test_paced);
  g_test_add_data_func ("/pipelines/draft/paced/llm-qwen35", "llm-qwen35", test_paced);
  g_test_add_data_func ("/pipelines/draft/opencl/llm-llama2", "llm-llama2", test_opencl);
  g_test_add_data_func ("/pipelines/draft/opencl/llm-qwen35", "llm-qwen35", test_opencl);
  g_test_add_func ("/pipelines/draft/same", test_same);
  g_test_add_func ("/pipelines/draft/dropped", test_dropped);
  g_test_add_func ("/pipelines/draft/memory", test_memory);
  g_test_add_func ("/pipelines/draft/vocabulary", test_vocabulary);
  status = g_test_run ();
  model_fixture_end ();
  opencl_fixture_remove_dir (folder);
  return status;
}
