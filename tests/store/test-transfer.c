/* Export and import: round trips, foreign shapes, hostile shapes. */
#include "store-fixture.h"

#include "store/transfer.h"

static gint64
import_one (AtlStore *store, const char *json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = atl_store_import (store, json, strlen (json), "chats.json", &error);

  g_assert_no_error (error);
  g_assert_cmpuint (ids->len, ==, 1);
  return g_array_index (ids, gint64, 0);
}

static gint64
make_rich_chat (AtlStore *store)
{
  g_autoptr (GError) error = NULL;
  gint64 id = add_chat (store), asked, answer, second;
  g_autoptr (GError) failure = g_error_new (ATL_ERROR, ATL_ERROR_ENGINE_GONE, "The engine ended");
  g_autoptr (AtlChat) chat = atl_store_chat_get (store, id, &error);

  chat->title = (g_free (chat->title), g_strdup ("A \"quoted\" title – ünï"));
  chat->auto_title = FALSE;
  chat->pinned = TRUE;
  chat->model_id = g_strdup ("toy");
  chat->settings_json = g_strdup ("{\"temperature\":0.69999999999999996,\"seed\":42}");
  chat->draft = g_strdup ("next");
  chat->system_prompt = g_strdup ("Be brief.");
  g_assert_true (atl_store_chat_update (store, chat, 0x7f, &error));
  g_assert_true (atl_store_turn_begin (store, id, 0, "q1 \\ \n\t\x01",
                                       "[{\"name\":\"a.txt\",\"text\":\"A\"}]", "toy", &asked,
                                       &answer, &error));
  g_assert_true (atl_store_answer_finish (store, answer, ATL_MESSAGE_COMPLETE, "a1", "thinking",
                                          NULL, "{\"n_tokens\":3}", &error));
  add_message (store, id, answer, ATL_ROLE_USER, "q2");
  second = atl_store_answer_begin (store, id, asked, "toy", &error);
  g_assert_true (atl_store_answer_finish (store, second, ATL_MESSAGE_ERROR, "half", NULL, failure,
                                          NULL, &error));
  g_assert_cmpint (atl_store_branch_step (store, second, -1, &error), ==, answer);
  g_assert_no_error (error);
  return id;
}

static void
test_round_trip (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 id = make_rich_chat (f->store), copy;
  g_autofree char *first = atl_store_export_json (f->store, id, &error);
  g_autofree char *second = NULL;
  g_autofree char *path = NULL;

  g_assert_no_error (error);
  copy = import_one (f->store, first);
  g_assert_cmpint (copy, !=, id);
  g_assert_nonnull (strstr (first, "io.github.atelier.Error.EngineGone"));
  second = atl_store_export_json (f->store, copy, &error);
  g_assert_cmpstr (first, ==, second);
  path = path_text (f->store, copy);
  assert_path (f->store, id, path);
  g_assert_true (g_str_has_suffix (path, "|a:a1|u:q2"));
}

static void
test_markdown (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = atl_store_export_markdown (f->store, make_rich_chat (f->store), &error);

  g_assert_no_error (error);
  g_assert_true (
      g_str_has_prefix (text, "# A \"quoted\" title – ünï\n\n## System\n\nBe brief.\n\n"));
  g_assert_nonnull (strstr (text, "## You\n\n*Attached: a.txt*\n\nq1"));
  g_assert_nonnull (strstr (text, "## Assistant (toy)\n\n<details><summary>Thinking</summary>"));
  g_assert_nonnull (strstr (text, "a1\n\n## You\n\nq2"));
  g_assert_null (strstr (text, "half")); /* the other branch */
}

/* A code block that an answer leaves open does not swallow what follows; a closed one stays as it
 * is. */
static void
test_open_fence (Fixture *f, gconstpointer data)
{
  static const struct
  {
    const char *content, *expected;
  } cases[] = {
    { "a\n```c\nx", "a\n```c\nx\n```\n\n## You" },
    { "````\n```\nx\n", "````\n```\nx\n````\n\n## You" },
    { "~~~ a`b\n```", "~~~ a`b\n```\n~~~\n\n## You" },
    { "```\nx\n``` more", "```\nx\n``` more\n```\n\n## You" },
    { "```\nx\n  ```` \ny", "```\nx\n  ```` \ny\n\n## You" },
    { "```a`b\nx", "```a`b\nx\n\n## You" },
    { "    ```\nx", "    ```\nx\n\n## You" },
    { "``\nx", "``\nx\n\n## You" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      gint64 id = add_chat (f->store), last;
      g_autofree char *text = NULL;

      last = add_message (f->store, id, 0, ATL_ROLE_USER, "q");
      last = add_message (f->store, id, last, ATL_ROLE_ASSISTANT, cases[i].content);
      add_message (f->store, id, last, ATL_ROLE_USER, "next");
      text = atl_store_export_markdown (f->store, id, NULL);
      if (strstr (text, cases[i].expected) == NULL)
        g_error ("Case %u: %s", i, text);
    }
}

static void
test_lists (Fixture *f, gconstpointer data)
{
  gint64 id = import_one (
      f->store, "[{\"role\":\"system\",\"content\":\"Sys\"},"
                "{\"role\":\"user\",\"content\":\"Hi\"},"
                "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"A\"},"
                "{\"type\":\"image_url\",\"image_url\":{}},{\"type\":\"text\",\"text\":\"B\"}]}]");
  g_autoptr (AtlChat) chat = atl_store_chat_get (f->store, id, NULL);

  assert_path (f->store, id, "u:Hi|a:A\nB");
  g_assert_cmpstr (chat->title, ==, "Hi");
  g_assert_cmpstr (chat->system_prompt, ==, "Sys");
  id = import_one (f->store,
                   "{\"name\":\"LM\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
  assert_path (f->store, id, "u:x");
  id = import_one (f->store, "{\"conversations\":[{\"from\":\"human\",\"value\":\"x\"},"
                             "{\"from\":\"gpt\",\"value\":\"y\"}]}");
  assert_path (f->store, id, "u:x|a:y");
}

/* Reasoning that others leave in the text goes where ours is; marks elsewhere are text. */
static void
test_thinking (Fixture *f, gconstpointer data)
{
  gint64 id = import_one (
      f->store, "[{\"role\":\"user\",\"content\":\"<think>mine</think>q\"},"
                "{\"role\":\"assistant\",\"content\":\"\\n<think>\\nhm\\n</think>\\n\\nYes.\"},"
                "{\"role\":\"assistant\",\"content\":\"<think>open\"},"
                "{\"role\":\"assistant\",\"content\":\"a <think>b</think>\"}]");
  g_autoptr (GPtrArray) list = atl_store_message_list (f->store, id, NULL);

  assert_path (f->store, id, "u:<think>mine</think>q|a:Yes.|a:<think>open|a:a <think>b</think>");
  g_assert_cmpuint (list->len, ==, 4);
  g_assert_cmpstr (((AtlMessage *) list->pdata[1])->thinking, ==, "hm");
  g_assert_null (((AtlMessage *) list->pdata[2])->thinking);
}

static void
test_mapping (Fixture *f, gconstpointer data)
{
  static const char json[] =
      "[{\"title\":\"One\",\"create_time\":1700000000.5,\"update_time\":1700000100,\"mapping\":{"
      "\"r\":{\"id\":\"r\",\"message\":null,\"parent\":null,\"children\":[\"a\"]},"
      "\"a\":{\"message\":{\"author\":{\"role\":\"user\"},\"create_time\":1700000000.5,"
      "\"content\":{\"content_type\":\"text\",\"parts\":[\"Hi\"]}},\"parent\":\"r\","
      "\"children\":[\"b\",\"c\",\"a\",\"missing\"]},"
      "\"b\":{\"message\":{\"author\":{\"role\":\"assistant\"},"
      "\"metadata\":{\"model_slug\":\"some-model\"},"
      "\"content\":{\"parts\":[\"B\"]}},\"parent\":\"a\",\"children\":[]},"
      "\"c\":{\"message\":{\"author\":{\"role\":\"assistant\"},"
      "\"content\":{\"parts\":[\"C\"]}},\"parent\":\"a\",\"children\":[1,null]}}},"
      "{\"title\":\"Two\",\"mapping\":{}},"
      "{\"title\":null,\"current_node\":\"d\",\"mapping\":{"
      "\"r\":{\"parent\":null,\"children\":[\"a\",\"e\"]},"
      "\"a\":{\"message\":{\"author\":{\"role\":\"user\"},\"content\":{\"parts\":[\"Why\"]}},"
      "\"parent\":\"r\",\"children\":[\"b\",\"c\"]},"
      "\"b\":{\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"parts\":[\"B\"]}},"
      "\"parent\":\"a\",\"children\":[\"d\"]},"
      "\"c\":{\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"parts\":[\"C\"]}},"
      "\"parent\":\"a\",\"children\":[]},"
      "\"d\":{\"message\":null,\"parent\":\"b\",\"children\":[]},"
      "\"e\":{\"message\":{\"author\":{\"role\":\"user\"},\"content\":{\"parts\":[\"E\"]}},"
      "\"parent\":\"r\",\"children\":[]}}}]";
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = atl_store_import (f->store, json, strlen (json), "x.json", &error);
  g_autoptr (AtlChat) chat = NULL;
  g_autoptr (GPtrArray) path = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (ids->len, ==, 3);
  assert_path (f->store, g_array_index (ids, gint64, 0), "u:Hi|a:C");
  /* The branch that was in sight, though others are newer. */
  assert_path (f->store, g_array_index (ids, gint64, 2), "u:Why|a:B");
  path = atl_store_message_list (f->store, g_array_index (ids, gint64, 0), &error);
  g_assert_cmpuint (((AtlMessage *) path->pdata[1])->n_branches, ==, 2);
  g_assert_cmpint (((AtlMessage *) path->pdata[0])->created_us, ==, 1700000000500000);
  chat = atl_store_chat_get (f->store, g_array_index (ids, gint64, 0), &error);
  g_assert_cmpint (chat->created_us, ==, 1700000000500000);
  g_assert_cmpint (chat->updated_us, ==, 1700000100000000);
  atl_chat_free (chat);
  chat = atl_store_chat_get (f->store, g_array_index (ids, gint64, 2), &error);
  g_assert_cmpstr (chat->title, ==, "Why");
}

static void
test_versions (Fixture *f, gconstpointer data)
{
  static const char json[] =
      "{\"name\":\"Studio\",\"systemPrompt\":\"Be "
      "kind.\",\"createdAt\":1700000000000,\"messages\":["
      "{\"versions\":[{\"type\":\"singleStep\",\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]}],\"currentlySelected\":0},"
      "{\"versions\":["
      "{\"type\":\"multiStep\",\"role\":\"assistant\",\"steps\":["
      "{\"type\":\"contentBlock\",\"content\":[{\"type\":\"text\",\"text\":\"A\"}]},"
      "{\"type\":\"debugInfoBlock\",\"debugInfo\":\"x\"},"
      "{\"type\":\"contentBlock\",\"content\":[{\"type\":\"text\",\"text\":\"B\"}]}]},"
      "{\"type\":\"multiStep\",\"role\":\"assistant\",\"steps\":["
      "{\"type\":\"contentBlock\",\"content\":[{\"type\":\"text\",\"text\":\"Other\"}]}]}"
      "],\"currentlySelected\":0},"
      "{\"versions\":[{\"type\":\"singleStep\",\"role\":\"user\",\"content\":\"More\"}],"
      "\"currentlySelected\":7}]}";
  gint64 id = import_one (f->store, json);
  g_autoptr (AtlChat) chat = atl_store_chat_get (f->store, id, NULL);
  g_autoptr (GPtrArray) path = atl_store_message_list (f->store, id, NULL);

  assert_path (f->store, id, "u:Hi|a:A\n\nB|u:More");
  g_assert_cmpstr (chat->title, ==, "Studio");
  g_assert_cmpstr (chat->system_prompt, ==, "Be kind.");
  g_assert_cmpuint (((AtlMessage *) path->pdata[1])->n_branches, ==, 2);
}

/* What newer versions of LM Studio write: thoughts as a block of their own, the model's name, the
 * system prompt among settings; and when it was. */
static void
test_studio (Fixture *f, gconstpointer data)
{
  static const char json[] =
      "{\"name\":\"Studio\",\"systemPrompt\":\"\",\"createdAt\":1700000000000,"
      "\"perChatPredictionConfig\":{\"fields\":[3,{\"key\":\"other\"},"
      "{\"key\":\"llm.prediction.systemPrompt\",\"value\":\"Be kind.\"}]},\"messages\":["
      "{\"versions\":[{\"type\":\"singleStep\",\"role\":\"user\",\"content\":\"Hi\"}]},"
      "{\"versions\":[{\"type\":\"multiStep\",\"role\":\"assistant\","
      "\"senderInfo\":{\"senderName\":\"some/model\"},\"steps\":["
      "{\"type\":\"contentBlock\",\"style\":{\"type\":\"thinking\",\"ended\":true},"
      "\"prefix\":\"<think>\",\"suffix\":\"</think>\","
      "\"content\":[{\"type\":\"text\",\"text\":\"hm\\n\"}]},"
      "{\"type\":\"contentBlock\",\"content\":[{\"type\":\"text\",\"text\":\"A\"}]}]}]}]}";
  gint64 id = import_one (f->store, json);
  g_autoptr (AtlChat) chat = atl_store_chat_get (f->store, id, NULL);
  g_autoptr (GPtrArray) path = atl_store_message_list (f->store, id, NULL);
  const AtlMessage *answer = path->pdata[1];

  assert_path (f->store, id, "u:Hi|a:A");
  g_assert_cmpstr (answer->thinking, ==, "hm");
  g_assert_cmpstr (answer->model_name, ==, "some/model");
  g_assert_cmpstr (chat->system_prompt, ==, "Be kind.");
  g_assert_cmpint (chat->created_us, ==, 1700000000000000);
  g_assert_cmpint (chat->updated_us, ==, 1700000000000000);
}

/* Jan keeps one message a line. */
static void
test_lines (Fixture *f, gconstpointer data)
{
  static const char json[] =
      "{\"id\":\"1\",\"role\":\"user\",\"created_at\":1700000000,\"content\":"
      "[{\"type\":\"text\",\"text\":{\"value\":\"Hi\",\"annotations\":[]}}]}\r\n\n"
      "{\"id\":\"2\",\"role\":\"assistant\",\"created_at\":1700000001000,\"content\":"
      "[{\"type\":\"text\",\"text\":{\"value\":\"Hello\",\"annotations\":[]}}]}\n";
  gint64 id = import_one (f->store, json);
  g_autoptr (GPtrArray) path = atl_store_message_list (f->store, id, NULL);
  g_autoptr (AtlChat) chat = atl_store_chat_get (f->store, id, NULL);

  assert_path (f->store, id, "u:Hi|a:Hello");
  g_assert_cmpstr (chat->title, ==, "Hi");
  g_assert_cmpint (((AtlMessage *) path->pdata[1])->created_us, ==, 1700000001000000);
  g_assert_cmpint (chat->updated_us, ==, 1700000000000000);
}

/* Others write one chat a line: none of them may be left out without a word. */
static void
test_lines_of_chats (Fixture *f, gconstpointer data)
{
  static const char json[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"One\"}]}\n"
                             "{\"messages\":[{\"role\":\"user\",\"content\":\"Two\"}]}\n";
  static const char apart[] = "{\"messages\":\n[{\"role\":\"user\",\"content\":\"One\"}]}\n"
                              "{\"messages\":[{\"role\":\"user\",\"content\":\"Two\"}]}\n";
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = atl_store_import (f->store, json, strlen (json), "chats.jsonl", &error);

  g_assert_no_error (error);
  g_assert_cmpuint (ids->len, ==, 2);
  assert_path (f->store, g_array_index (ids, gint64, 0), "u:One");
  assert_path (f->store, g_array_index (ids, gint64, 1), "u:Two");
  g_assert_null (atl_store_import (f->store, apart, strlen (apart), "apart.json", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (error->message, "line 3"));
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  static const char *const bad[] = {
    "",
    "{",
    "3",
    "\"text\"",
    "[]",
    "{}",
    "[1]",
    "[{\"role\":\"user\"}]",
    "{\"role\":\"user\",\"content\":\"x\"}\n3\n",
    "{\"role\":\"user\",\"content\":\"x\"}\n{",
    "[{\"role\":\"pirate\",\"content\":\"x\"}]",
    "[{\"role\":\"user\",\"content\":\"fine\"},{\"role\":\"user\",\"content\":7}]",
    "[{\"role\":1,\"content\":\"x\"}]",
    "{\"messages\":{}}",
    "{\"format\":\"atelier-chat\",\"version\":99,\"messages\":[]}",
    "{\"format\":\"atelier-chat\",\"version\":1}",
    "{\"format\":\"atelier-chat\",\"version\":1,\"messages\":[{}]}",
    "{\"format\":\"atelier-chat\",\"version\":1,\"messages\":[3]}",
    "{\"format\":\"atelier-chat\",\"version\":1,\"messages\":"
    "[{\"id\":1,\"role\":\"user\",\"content\":\"x\",\"parent\":2},"
    "{\"id\":2,\"role\":\"user\",\"content\":\"x\",\"parent\":1}]}",
    "{\"format\":\"atelier-chat\",\"version\":1,\"messages\":"
    "[{\"id\":1,\"role\":\"user\",\"content\":\"x\"},"
    "{\"id\":1,\"role\":\"user\",\"content\":\"y\"}]}",
    "{\"messages\":[{\"versions\":[]}]}",
    "{\"messages\":[{\"versions\":[3]}]}",
    "{\"messages\":[{\"versions\":[{\"role\":\"user\",\"content\":\"x\"}]},4]}",
    "\xff\xff",
    /* one good chat before a bad one: neither is kept */
    "[{\"title\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]},{\"no\":1}]",
  };
  g_autoptr (GPtrArray) list = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GArray) ids =
          atl_store_import (f->store, bad[i], strlen (bad[i]), "bad.json", &error);

      if (ids != NULL)
        g_test_message ("accepted: %s", bad[i]);
      g_assert_null (ids);
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
      g_assert_true (g_str_has_prefix (error->message, "bad.json"));
    }
  list = atl_store_chat_list (f->store, NULL);
  g_assert_cmpuint (list->len, ==, 0);
}

typedef struct
{
  GBytes *exported;
  GArray *ids;
  GError *error;
  gboolean done;
} Answer;

static void
exported_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Answer *answer = data;

  answer->exported = atl_store_export_finish (result, &answer->error);
  answer->done = TRUE;
}

static void
imported_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Answer *answer = data;

  answer->ids = atl_store_import_finish (result, &answer->error);
  answer->done = TRUE;
}

static void
wait_for (Answer *answer)
{
  while (!answer->done)
    g_main_context_iteration (NULL, TRUE);
  answer->done = FALSE;
}

static void
test_async (Fixture *f, gconstpointer data)
{
  gint64 id = make_rich_chat (f->store);
  g_autofree char *json = atl_store_export_json (f->store, id, NULL);
  g_autofree char *again = NULL;
  Answer answer = { 0 };

  atl_store_export_async (f->dir, id, ATL_EXPORT_JSON, NULL, exported_cb, &answer);
  wait_for (&answer);
  g_assert_no_error (answer.error);
  g_assert_cmpmem (g_bytes_get_data (answer.exported, NULL), g_bytes_get_size (answer.exported),
                   json, strlen (json));
  atl_store_import_async (f->dir, answer.exported, "chat.json", NULL, imported_cb, &answer);
  wait_for (&answer);
  g_assert_no_error (answer.error);
  g_assert_cmpuint (answer.ids->len, ==, 1);
  again = atl_store_export_markdown (f->store, g_array_index (answer.ids, gint64, 0), NULL);
  g_assert_nonnull (again);
  g_clear_pointer (&answer.exported, g_bytes_unref);
  g_clear_pointer (&answer.ids, g_array_unref);
  atl_store_export_async (f->dir, 4711, ATL_EXPORT_MARKDOWN, NULL, exported_cb, &answer);
  wait_for (&answer);
  g_assert_null (answer.exported);
  g_assert_error (answer.error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&answer.error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/transfer/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("round-trip", test_round_trip);
  ADD ("markdown", test_markdown);
  ADD ("open-fence", test_open_fence);
  ADD ("lists", test_lists);
  ADD ("thinking", test_thinking);
  ADD ("mapping", test_mapping);
  ADD ("studio", test_studio);
  ADD ("lines", test_lines);
  ADD ("lines-of-chats", test_lines_of_chats);
  ADD ("versions", test_versions);
  ADD ("refused", test_refused);
  ADD ("async", test_async);
  return g_test_run ();
}
