/* Turns of one model beside each other: each has the text it would have alone, finds its own chat
 * again, and ends by itself. ATELIER_TEST_MODEL names another model than the tiny one. */
#include <string.h>

#include "conformance.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/pipelines/scheduler.h"
#include "engine/tensor/cpu/cpu.h"
#include "refuse-threads.h"

#define N_CTX 512u
#define N_TURNS 11u

typedef struct
{
  AtlBackend *cpu;
  AtlChatModel *model; /* (nullable) */
} Fixture;

/* One turn and what came of it. */
typedef struct
{
  char *prompt;
  AtlTurnOptions options;
  GCancellable *cancellable;
  AtlChatTurn *turn;
  GString *text;
  gint n_texts; /* (atomic) of which `text` is made */
  gint is_done; /* (atomic) */
} Run;

static AtlChatModel *
open_model (void)
{
  g_autofree char *path = g_strdup (g_getenv ("ATELIER_TEST_MODEL"));
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (GError) error = NULL;
  const char *names[] = { "model.gguf", NULL };
  AtlChatModel *model;

  if (path == NULL)
    path = atl_test_conformance ("models/stories260K.gguf");
  if (path == NULL)
    return NULL;
  map = atl_file_map_new (path, &error);
  g_assert_no_error (error);
  model = atl_chat_model_open (&map, names, 1, &error);
  g_assert_no_error (error);
  return model;
}

static void
load (Fixture *f, const AtlChatRoom *room)
{
  AtlChatModelOptions options = { .n_ctx = N_CTX,
                                  .kv_dtype = ATL_DTYPE_F16,
                                  .n_gpu_layers = G_MAXUINT };
  g_autoptr (GError) error = NULL;

  if (room != NULL)
    options.room = *room;
  atl_chat_model_load (f->model, &f->cpu, 1, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  AtlCpuOptions options = { .best_level = TRUE, .n_threads = 2 };
  g_autoptr (GError) error = NULL;

  f->cpu = atl_cpu_backend_new (&options, &error);
  g_assert_no_error (error);
  f->model = open_model ();
  if (f->model != NULL)
    load (f, NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  atl_chat_model_free (f->model);
  atl_backend_free (f->cpu);
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  Run *run = user_data;

  g_string_append (run->text, text);
  g_atomic_int_inc (&run->n_texts);
}

static void
done_cb (AtlChatTurn *turn, gpointer user_data)
{
  g_atomic_int_set (&((Run *) user_data)->is_done, TRUE);
}

static Run *
run_new (const char *prompt, gint max_tokens, float temperature)
{
  Run *run = g_new0 (Run, 1);

  run->prompt = g_strdup (prompt);
  run->options.max_tokens = max_tokens;
  run->options.thinking = -1;
  atl_sampling_params_init (&run->options.sampling);
  run->options.sampling.temperature = temperature;
  run->options.sampling.seed = 7;
  run->cancellable = g_cancellable_new ();
  run->text = g_string_new (NULL);
  return run;
}

static void
run_free (Run *run)
{
  atl_chat_turn_free (run->turn);
  g_object_unref (run->cancellable);
  g_string_free (run->text, TRUE);
  g_free (run->prompt);
  g_free (run);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Run, run_free)

static void
run_start (Run *run, AtlChatModel *model)
{
  AtlTurnSink sink = { .text = text_cb, .user_data = run };
  g_autoptr (GError) error = NULL;

  run->turn =
      atl_chat_turn_new (model, NULL, run->prompt, &run->options, &sink, run->cancellable, &error);
  g_assert_no_error (error);
  atl_chat_turn_start (run->turn, done_cb, run);
}

static const AtlTurnStats *
run_wait (Run *run)
{
  while (!g_atomic_int_get (&run->is_done))
    g_usleep (200);
  if (atl_chat_turn_error (run->turn) != NULL)
    g_test_message ("%s", atl_chat_turn_error (run->turn)->message);
  return atl_chat_turn_stats (run->turn);
}

static Run *
run_alone (AtlChatModel *model, const char *key, const char *prompt, gint max_tokens, float t)
{
  Run *run = run_new (prompt, max_tokens, t);

  run->options.conversation = key;
  run_start (run, model);
  run_wait (run);
  g_assert_null (atl_chat_turn_error (run->turn));
  return run;
}

/* Prompts of every length: shorter than a piece of a prompt, and several of them long. */
static char *
make_prompt (guint i)
{
  static const char *const words[] = { "One",  "day",  "a",    "girl", "named", "Lily",
                                       "went", "to",   "the",  "park", "and",   "saw",
                                       "big",  "red",  "ball", "with", "her",   "mother",
                                       "who",  "said", "that", "it",   "was",   "nice" };
  static const guint lengths[N_TURNS] = { 1, 90, 3, 60, 12, 33, 7, 100, 20, 45, 5 };
  GString *s = g_string_new (NULL);

  for (guint k = 0; k < lengths[i]; k++)
    g_string_append_printf (s, "%s%s", k > 0 ? " " : "",
                            words[(i * 5 + k * (i + 3)) % G_N_ELEMENTS (words)]);
  return g_string_free (s, FALSE);
}

static void
test_company (Fixture *f, gconstpointer data)
{
  static const float temperatures[] = { 0.0f, 0.9f };

  if (f->model == NULL)
    return;
  for (gsize t = 0; t < G_N_ELEMENTS (temperatures); t++)
    {
      g_autoptr (GPtrArray) alone = g_ptr_array_new_with_free_func ((GDestroyNotify) run_free);
      g_autoptr (GPtrArray) together = g_ptr_array_new_with_free_func ((GDestroyNotify) run_free);

      for (guint i = 0; i < N_TURNS; i++)
        {
          g_autofree char *prompt = make_prompt (i);
          g_autofree char *key = g_strdup_printf ("alone-%zu-%u", t, i);

          g_ptr_array_add (alone,
                           run_alone (f->model, key, prompt, 30 + (gint) i * 4, temperatures[t]));
        }
      /* Nothing remembered: everything is computed again, in company. */
      while (atl_chat_model_drop_conversation (f->model) > 0)
        ;
      for (guint i = 0; i < N_TURNS; i++)
        {
          g_autofree char *prompt = make_prompt (i);

          g_ptr_array_add (together, run_new (prompt, 30 + (gint) i * 4, temperatures[t]));
        }
      for (guint i = 0; i < N_TURNS; i++)
        run_start (together->pdata[i], f->model);
      for (guint i = 0; i < N_TURNS; i++)
        {
          const Run *a = alone->pdata[i], *b = together->pdata[i];
          const AtlTurnStats *stats = run_wait (together->pdata[i]);

          g_assert_null (atl_chat_turn_error (b->turn));
          g_assert_cmpstr (a->text->str, ==, b->text->str);
          g_assert_cmpuint (stats->n_generated, ==, atl_chat_turn_stats (a->turn)->n_generated);
          g_assert_cmpuint (stats->n_generated, >, 0);
        }
      g_assert_true (atl_chat_model_is_idle (f->model));
      while (atl_chat_model_drop_conversation (f->model) > 0)
        ;
      g_assert_cmpuint (atl_chat_model_conversation_bytes (f->model), ==, 0);
    }
}

/* Switching between chats computes only what is new in each. */
static void
test_switch (Fixture *f, gconstpointer data)
{
  static const char *const keys[] = { "a", "b", "c" };
  char *text[3] = { NULL };

  if (f->model == NULL)
    return;
  for (guint round = 0; round < 3; round++)
    for (guint k = 0; k < G_N_ELEMENTS (keys); k++)
      {
        g_autofree char *prompt =
            round == 0 ? make_prompt (k * 2 + 1) : g_strconcat (text[k], " And then", NULL);
        g_autoptr (Run) run = run_alone (f->model, keys[k], prompt, 12, 0.0f);
        const AtlTurnStats *stats = atl_chat_turn_stats (run->turn);

        /* Where words meet, a token or two may be cut differently. */
        if (round > 0)
          g_assert_cmpuint (stats->n_cached + 8, >=, stats->n_prompt);
        else
          g_assert_cmpuint (stats->n_cached, ==, 0);
        g_free (text[k]);
        text[k] = g_strconcat (prompt, run->text->str, NULL);
      }
  for (guint k = 0; k < G_N_ELEMENTS (text); k++)
    g_free (text[k]);
}

/* A second chat with the same beginning copies it, and says what the first one would. */
static void
test_borrow (Fixture *f, gconstpointer data)
{
  g_autofree char *prompt = NULL, *longer = NULL;
  g_autoptr (Run) first = NULL;
  g_autoptr (Run) same = NULL;
  g_autoptr (Run) other = NULL;

  if (f->model == NULL)
    return;
  prompt = make_prompt (7);
  longer = g_strconcat (prompt, " in the house", NULL);
  first = run_alone (f->model, "first", prompt, 20, 0.0f);
  same = run_alone (f->model, "same", prompt, 20, 0.0f);
  g_assert_cmpuint (atl_chat_turn_stats (same->turn)->n_cached, ==,
                    atl_chat_turn_stats (same->turn)->n_prompt - 1);
  other = run_alone (f->model, "other", longer, 20, 0.0f);
  g_assert_cmpuint (atl_chat_turn_stats (other->turn)->n_cached, >, 32);
}

/* Guessing ahead changes how fast the text comes, not the text: greedy and drawn, alone and beside
 * another. */
static void
test_speculate (Fixture *f, gconstpointer data)
{
  static const float temperatures[] = { 0.0f, 0.8f };
  /* What is said again and again is guessed. */
  const char *prompt = "Lily saw a cat. Lily saw a dog. Lily saw a cat. Lily saw a dog. Lily saw a";
  guint n_accepted = 0;

  if (f->model == NULL)
    return;
  atl_scheduler_guess_always (f->model->scheduler);
  for (gsize t = 0; t < G_N_ELEMENTS (temperatures); t++)
    {
      g_autoptr (Run) plain = run_alone (f->model, "plain", prompt, 150, temperatures[t]);
      g_autoptr (Run) ahead = run_new (prompt, 150, temperatures[t]);
      Run *both[2];

      ahead->options.speculate = TRUE;
      ahead->options.conversation = "ahead";
      while (atl_chat_model_drop_conversation (f->model) > 0)
        ;
      run_start (ahead, f->model);
      run_wait (ahead);
      g_assert_cmpstr (ahead->text->str, ==, plain->text->str);
      g_test_message ("%u of %u guesses were right", atl_chat_turn_stats (ahead->turn)->n_accepted,
                      atl_chat_turn_stats (ahead->turn)->n_drafted);
      n_accepted += atl_chat_turn_stats (ahead->turn)->n_accepted;
      g_assert_cmpuint (atl_chat_turn_stats (plain->turn)->n_drafted, ==, 0);
      g_assert_cmpuint (atl_chat_turn_stats (plain->turn)->n_generated, ==,
                        atl_chat_turn_stats (ahead->turn)->n_generated);

      while (atl_chat_model_drop_conversation (f->model) > 0)
        ;
      for (gsize i = 0; i < G_N_ELEMENTS (both); i++)
        {
          both[i] = run_new (prompt, 150, temperatures[t]);
          both[i]->options.speculate = TRUE;
          run_start (both[i], f->model);
        }
      for (gsize i = 0; i < G_N_ELEMENTS (both); i++)
        {
          run_wait (both[i]);
          g_assert_cmpstr (both[i]->text->str, ==, plain->text->str);
          run_free (both[i]);
        }
    }
  g_assert_cmpuint (n_accepted, >, 0);
}

/* One is cancelled before it begins, one in the middle, one fails: the others go on. */
static void
test_each_its_end (Fixture *f, gconstpointer data)
{
  g_autoptr (Run) long_one = run_new ("Once upon a time", 200, 0.0f);
  g_autoptr (Run) early = run_new ("Once upon a time", 200, 0.0f);
  g_autoptr (Run) endless = run_new ("The dog", -1, 5.0f);
  g_autoptr (Run) impossible = run_new ("The cat", 50, 0.0f);

  if (f->model == NULL)
    return;
  endless->options.shift_context = TRUE;
  endless->options.grammar = "root ::= [a-z ] root";
  /* No token of the vocabulary is this character. */
  impossible->options.grammar = "root ::= [\\U0010FFFF]";
  g_cancellable_cancel (early->cancellable);
  run_start (endless, f->model);
  run_start (early, f->model);
  run_start (impossible, f->model);
  run_start (long_one, f->model);
  g_assert_cmpint (run_wait (early)->stop, ==, ATL_TURN_STOPPED);
  g_assert_cmpuint (early->text->len, ==, 0);
  run_wait (impossible);
  run_wait (long_one);
  g_assert_null (atl_chat_turn_error (long_one->turn));
  g_assert_cmpuint (atl_chat_turn_stats (long_one->turn)->n_generated, >, 20);
  g_assert_false (g_atomic_int_get (&endless->is_done));
  g_cancellable_cancel (endless->cancellable);
  g_assert_cmpint (run_wait (endless)->stop, ==, ATL_TURN_STOPPED);
  g_assert_cmpuint (endless->text->len, >, 0);
}

/* Unloading in the middle ends the turns that are left; none is forgotten. */
static void
test_unload (Fixture *f, gconstpointer data)
{
  Run *runs[24];

  if (f->model == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (runs); i++)
    {
      runs[i] = run_new ("Once", -1, 5.0f);
      runs[i]->options.shift_context = TRUE;
      runs[i]->options.grammar = "root ::= [a-z ] root";
      run_start (runs[i], f->model);
    }
  while (g_atomic_int_get (&runs[0]->n_texts) == 0)
    g_usleep (200);
  atl_chat_model_unload (f->model);
  for (guint i = 0; i < G_N_ELEMENTS (runs); i++)
    {
      g_assert_true (g_atomic_int_get (&runs[i]->is_done));
      g_assert_cmpint (run_wait (runs[i])->stop, ==, ATL_TURN_STOPPED);
      run_free (runs[i]);
    }
  load (f, NULL);
}

static void
add_message (JsonArray *messages, const char *role, const char *text, guint number)
{
  g_autofree char *content = g_strdup_printf ("%s %u", text, number);
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "role", role);
  json_object_set_string_member (message, "content", content);
  json_array_add_object_element (messages, message);
}

/* A system message and the turns from `first` to `end`, the last one without an answer. */
static JsonArray *
long_chat (guint first, guint end)
{
  JsonArray *messages = json_array_new ();

  add_message (messages, "system", "Be brief", 0);
  for (guint i = first; i < end; i++)
    {
      add_message (messages, "user", "Once upon a time", i);
      if (i + 1 < end)
        add_message (messages, "assistant", "there was a dog", i);
    }
  return messages;
}

/* The ids of a prompt that nothing was left out of. */
static guint
count_prompt (AtlChatModel *model, JsonArray *messages)
{
  AtlPromptOptions options = { .messages = messages, .thinking = -1 };
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  gboolean is_thinking;

  g_assert_true (atl_chat_prompt_encode (model, &options, ids, &is_thinking, &error));
  g_assert_no_error (error);
  return ids->len;
}

/* Of a chat that has grown far beyond the context as many of the last turns are kept as leave room
 * for an answer. */
static void
test_forget_oldest (Fixture *f, gconstpointer data)
{
  static const guint n_turns[] = { 1, 2, 30, 31, 1500 };
  const guint limit = N_CTX - N_CTX / 8;

  if (f->model == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (n_turns); i++)
    {
      g_autoptr (JsonArray) messages = long_chat (0, n_turns[i]);
      AtlTurnOptions options = { .shift_context = TRUE, .thinking = -1 };
      AtlTurnSink sink = { 0 };
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlChatTurn) turn = NULL;
      const AtlTurnStats *stats;
      guint first, all = count_prompt (f->model, messages);

      atl_sampling_params_init (&options.sampling);
      turn = atl_chat_turn_new (f->model, messages, NULL, &options, &sink, NULL, &error);
      g_assert_no_error (error);
      stats = atl_chat_turn_stats (turn);
      g_assert_cmpuint (stats->n_prompt, <, limit);
      g_assert_cmpuint (stats->n_prompt + stats->n_shifted, ==, all);
      /* Looked for from the end, where chats are short. */
      for (first = n_turns[i] - 1; first > 0; first--)
        {
          g_autoptr (JsonArray) more = long_chat (first - 1, n_turns[i]);

          if (count_prompt (f->model, more) >= limit)
            break;
        }
      {
        g_autoptr (JsonArray) kept = long_chat (first, n_turns[i]);

        g_assert_cmpuint (stats->n_prompt, ==, count_prompt (f->model, kept));
      }
    }
}

static gboolean
no_room_cb (guint64 bytes, gpointer user_data, GError **error)
{
  guint64 *left = user_data;

  if (bytes > *left)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "no room");
      return FALSE;
    }
  *left -= bytes;
  return TRUE;
}

/* Memory ends while one chat grows: that one ends in words, the other does not. */
static void
test_no_room (Fixture *f, gconstpointer data)
{
  guint64 left = 0;
  AtlChatRoom room = { no_room_cb, &left };
  g_autofree char *prompt = NULL;
  g_autoptr (Run) grows = NULL;
  g_autoptr (Run) stays = NULL;

  if (f->model == NULL)
    return;
  prompt = make_prompt (0);
  atl_chat_model_unload (f->model);
  load (f, &room);
  grows = run_new (prompt, 400, 0.9f);
  stays = run_new ("Once", 100, 0.9f);
  run_start (grows, f->model);
  run_start (stays, f->model);
  run_wait (grows);
  run_wait (stays);
  g_assert_null (atl_chat_turn_error (stays->turn));
  if (atl_chat_turn_error (grows->turn) != NULL)
    g_assert_error (atl_chat_turn_error (grows->turn), ATL_ERROR, ATL_ERROR_NO_MEMORY);
  else
    g_assert_cmpuint (atl_chat_turn_stats (grows->turn)->n_ctx_used, <=, 256);
}

/* --- No thread --- */

/* As many threads as the computer allows are there already: said, and later it can be loaded. */
static void
test_no_thread (Fixture *f, gconstpointer data)
{
  AtlChatModelOptions options = { .n_ctx = N_CTX,
                                  .kv_dtype = ATL_DTYPE_F16,
                                  .n_gpu_layers = G_MAXUINT };
  g_autoptr (Run) run = run_new ("Once upon a time", 5, 0.0f);
  g_autoptr (GError) error = NULL;

  if (f->model == NULL)
    return;
  atl_chat_model_unload (f->model);
  refuses_threads = TRUE;
  g_assert_false (atl_chat_model_load (f->model, &f->cpu, 1, &options, NULL, NULL, NULL, &error));
  refuses_threads = FALSE;
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
  g_assert_nonnull (strstr (error->message, "thread"));
  g_assert_false (atl_chat_model_is_loaded (f->model));
  load (f, NULL);
  run_start (run, f->model);
  g_assert_cmpuint (run_wait (run)->n_generated, ==, 5);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void (*func) (Fixture *f, gconstpointer data);
  } tests[] = {
    { "/pipelines/turns/company", test_company },
    { "/pipelines/turns/switch", test_switch },
    { "/pipelines/turns/borrow", test_borrow },
    { "/pipelines/turns/ends", test_each_its_end },
    { "/pipelines/turns/speculate", test_speculate },
    { "/pipelines/turns/forget-oldest", test_forget_oldest },
    { "/pipelines/turns/unload", test_unload },
    { "/pipelines/turns/no-room", test_no_room },
    { "/pipelines/turns/no-thread", test_no_thread },
  };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
  return g_test_run ();
}
