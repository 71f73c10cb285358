/* Chats with models that carry a state: an answer that is asked for again, a question that is put
 * differently, and a chat that begins as another one did are not computed from the start. */
#include <string.h>

#include "engine/pipelines/chat-turn.h"
#include "model-fixture.h"

static const char *const families[] = { "llm-qwen35", "llm-lfm2", "llm-mamba2", "llm-falcon-h1" };

static const char question[] =
    "The quick brown fox jumps over the lazy dog while seventeen grey geese look on and wonder "
    "what all of this is about; in the end nobody can tell them why";

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  g_string_append (user_data, text);
}

static AtlChatModel *
open_model (const char *family)
{
  g_autofree char *path = model_fixture_path (family, "model.gguf");
  AtlChatModelOptions options = { .n_ctx = 8192, .kv_dtype = ATL_DTYPE_F32 };
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  const char *names[] = { "model.gguf", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlChatModel *model;

  g_assert_no_error (error);
  model = atl_chat_model_open (&map, names, 1, &error);
  g_assert_no_error (error);
  atl_chat_model_load (model, &cpu, 1, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  return model;
}

/* One greedy answer of a few tokens; the caller frees. */
static char *
ask (AtlChatModel *model, const char *key, const char *prompt, AtlTurnStats *stats)
{
  GString *text = g_string_new (NULL);
  AtlTurnOptions options = { .max_tokens = 9, .thinking = -1, .conversation = key };
  AtlTurnSink sink = { .text = text_cb, .user_data = text };
  g_autoptr (GError) error = NULL;

  atl_sampling_params_init (&options.sampling);
  options.sampling.temperature = 0.0f;
  atl_chat_turn_run (model, NULL, prompt, &options, &sink, NULL, stats, &error);
  g_assert_no_error (error);
  return g_string_free (text, FALSE);
}

static void
add_message (JsonArray *messages, const char *role, const char *content)
{
  JsonObject *message = json_object_new ();
  g_autofree char *valid = g_utf8_make_valid (content, -1);

  json_object_set_string_member (message, "role", role);
  json_object_set_string_member (message, "content", valid);
  json_array_add_object_element (messages, message);
}

static char *
ask_messages (AtlChatModel *model, JsonArray *messages, AtlTurnStats *stats)
{
  GString *text = g_string_new (NULL);
  AtlTurnOptions options = {
    .max_tokens = 2000, .grammar = "root ::= [qz]{800}", .thinking = -1, .conversation = "chat"
  };
  AtlTurnSink sink = { .text = text_cb, .user_data = text };
  g_autoptr (GError) error = NULL;

  atl_sampling_params_init (&options.sampling);
  options.sampling.temperature = 0.0f;
  atl_chat_turn_run (model, messages, NULL, &options, &sink, NULL, stats, &error);
  g_assert_no_error (error);
  return g_string_free (text, FALSE);
}

static void
test_turns (gconstpointer data)
{
  AtlChatModel *model = open_model (data);
  g_autofree char *longer = g_strconcat (question, " or who could", NULL);
  g_autofree char *first = NULL;
  AtlTurnStats stats;
  guint n;

  first = ask (model, "a", question, &stats);
  n = stats.n_prompt;
  g_assert_cmpuint (stats.n_cached, ==, 0);
  g_assert_cmpuint (n, >, 60);

  /* The same again, and again. */
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *again = ask (model, "a", question, &stats);

      g_assert_cmpuint (stats.n_cached, ==, n - 1);
      g_assert_cmpstr (again, ==, first);
    }
  /* In another chat: copied from this one. */
  {
    g_autofree char *again = ask (model, "b", question, &stats);

    g_assert_cmpuint (stats.n_cached, ==, n - 1);
    g_assert_cmpstr (again, ==, first);
  }
  /* Put differently. */
  {
    g_autofree char *other = ask (model, "a", longer, &stats);
    g_autofree char *fresh = NULL;

    g_assert_cmpuint (stats.n_cached, >=, n - 2);
    while (atl_chat_model_drop_conversation (model) > 0)
      ;
    fresh = ask (model, "a", longer, &stats);
    g_assert_cmpuint (stats.n_cached, ==, 0);
    g_assert_cmpstr (other, ==, fresh);
  }
  atl_chat_model_free (model);
}

/* A chat goes on after a long answer, whose end is read as other tokens than were written: of what
 * came before, only a part of the answer is read again, and none of it when it is answered anew. */
static void
test_next_question (gconstpointer data)
{
  AtlChatModel *model = open_model (data);
  g_autoptr (GString) long_text = g_string_new (NULL);
  g_autoptr (JsonArray) messages = json_array_new ();
  g_autofree char *answer = NULL, *again = NULL, *next = NULL;
  AtlTurnStats stats;
  guint n, n_answer;

  for (guint i = 0; i < 30; i++)
    g_string_append_printf (long_text, "%s %u. ", question, i);
  add_message (messages, "user", long_text->str);
  answer = ask_messages (model, messages, &stats);
  n = stats.n_prompt;
  g_assert_cmpuint (n, >, 2000);
  n_answer = stats.n_generated;
  g_assert_cmpuint (n_answer, >, 300);

  again = ask_messages (model, messages, &stats);
  g_assert_cmpuint (stats.n_cached, ==, n - 1);
  g_assert_cmpstr (again, ==, answer);

  again[strlen (again) - 3] = '\0';
  add_message (messages, "assistant", again);
  add_message (messages, "user", "And then?");
  next = ask_messages (model, messages, &stats);
  g_assert_cmpuint (stats.n_cached, >, n + n_answer - 300);
  atl_chat_model_free (model);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_autofree char *path = g_strdup_printf ("/pipelines/recurrent/%s", families[i]);
      g_autofree char *next = g_strdup_printf ("/pipelines/recurrent/%s/next", families[i]);

      g_test_add_data_func (path, families[i], test_turns);
      g_test_add_data_func (next, families[i], test_next_question);
    }
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
