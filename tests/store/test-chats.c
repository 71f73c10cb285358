/* Chats, folders, messages, branches, streaming, trash. */
#include "store-fixture.h"

static void
test_chat_fields (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 id = add_chat (f->store);
  g_autoptr (AtlChat) chat = atl_store_chat_get (f->store, id, &error);
  g_autoptr (AtlChat) again = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (chat->title, ==, "");
  g_assert_true (chat->auto_title);
  g_assert_null (chat->draft);

  g_assert_true (atl_store_chat_suggest_title (f->store, id, "Suggested", &error));
  chat->title = (g_free (chat->title), g_strdup ("Mine"));
  chat->auto_title = FALSE;
  chat->pinned = TRUE;
  chat->model_id = g_strdup ("/models/a.gguf");
  chat->settings_json = g_strdup ("{\"temperature\": 0.5}");
  chat->draft = g_strdup ("half a sen");
  chat->system_prompt = g_strdup ("Be brief");
  g_assert_true (atl_store_chat_update (f->store, chat,
                                        ATL_CHAT_TITLE | ATL_CHAT_PINNED | ATL_CHAT_MODEL |
                                            ATL_CHAT_SETTINGS | ATL_CHAT_DRAFT |
                                            ATL_CHAT_SYSTEM_PROMPT,
                                        &error));
  g_assert_no_error (error);
  /* A person's title is not replaced. */
  g_assert_true (atl_store_chat_suggest_title (f->store, id, "Late suggestion", &error));

  fixture_reopen (f);
  again = atl_store_chat_get (f->store, id, &error);
  g_assert_cmpstr (again->title, ==, "Mine");
  g_assert_false (again->auto_title);
  g_assert_true (again->pinned);
  g_assert_cmpstr (again->model_id, ==, "/models/a.gguf");
  g_assert_cmpstr (again->settings_json, ==, "{\"temperature\": 0.5}");
  g_assert_cmpstr (again->draft, ==, "half a sen");
  g_assert_cmpstr (again->system_prompt, ==, "Be brief");

  again->settings_json = (g_free (again->settings_json), g_strdup ("not json"));
  g_assert_false (atl_store_chat_update (f->store, again, ATL_CHAT_SETTINGS, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  g_clear_error (&error);
  again->id = 999;
  g_assert_false (atl_store_chat_update (f->store, again, ATL_CHAT_DRAFT, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

static void
test_chat_order (Fixture *f, gconstpointer data)
{
  gint64 a = add_chat (f->store), b = add_chat (f->store), c = add_chat (f->store);
  g_autoptr (AtlChat) pinned = atl_store_chat_get (f->store, b, NULL);
  g_autoptr (GPtrArray) list = NULL;

  add_message (f->store, c, 0, ATL_ROLE_USER, "x");
  g_usleep (2);
  add_message (f->store, a, 0, ATL_ROLE_USER, "x");
  pinned->pinned = TRUE;
  g_assert_true (atl_store_chat_update (f->store, pinned, ATL_CHAT_PINNED, NULL));
  list = atl_store_chat_list (f->store, NULL);
  g_assert_cmpuint (list->len, ==, 3);
  g_assert_cmpint (((AtlChat *) list->pdata[0])->id, ==, b);
  g_assert_cmpint (((AtlChat *) list->pdata[1])->id, ==, a);
  g_assert_cmpint (((AtlChat *) list->pdata[2])->id, ==, c);
}

static void
test_folders (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 work = atl_store_folder_add (f->store, "Work", &error);
  gint64 home = atl_store_folder_add (f->store, "Home", &error);
  gint64 chat = atl_store_chat_add (f->store, work, &error);
  g_autoptr (GPtrArray) list = NULL;
  g_autoptr (AtlChat) read = NULL, orphan = NULL, back = NULL;

  g_assert_no_error (error);
  g_assert_true (atl_store_folder_rename (f->store, work, "Office", &error));
  list = atl_store_folder_list (f->store, &error);
  g_assert_cmpuint (list->len, ==, 2);
  g_assert_cmpstr (((AtlFolder *) list->pdata[0])->name, ==, "Office");
  g_assert_cmpstr (((AtlFolder *) list->pdata[1])->name, ==, "Home");
  g_assert_cmpint (((AtlFolder *) list->pdata[1])->id, ==, home);
  read = atl_store_chat_get (f->store, chat, &error);
  g_assert_cmpint (read->folder_id, ==, work);

  /* The folder goes, its chat stays; undo puts the chat back in. */
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_FOLDER, work, &error));
  orphan = atl_store_chat_get (f->store, chat, &error);
  g_assert_cmpint (orphan->folder_id, ==, 0);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_FOLDER, work, &error));
  back = atl_store_chat_get (f->store, chat, &error);
  g_assert_cmpint (back->folder_id, ==, work);
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_FOLDER, work, &error));
  g_assert_cmpint (atl_store_trash_purge (f->store, G_MAXINT64, &error), ==, 1);
  g_assert_no_error (error);
}

static void
test_turn (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store), asked, answer;
  g_autoptr (AtlMessage) question = NULL, done = NULL;
  g_autoptr (GError) failure =
      g_error_new (ATL_ERROR, ATL_ERROR_TOO_LONG, "This takes 9 tokens; the context holds 8.");

  g_assert_true (atl_store_turn_begin (
      f->store, chat, 0, "Hello", "[{\"name\":\"a.txt\",\"mime\":\"text/plain\",\"text\":\"A\"}]",
      "toy", &asked, &answer, &error));
  g_assert_no_error (error);
  question = atl_store_message_get (f->store, asked, &error);
  g_assert_cmpstr (question->content, ==, "Hello");
  g_assert_nonnull (strstr (question->attachments_json, "a.txt"));
  g_assert_cmpint (question->state, ==, ATL_MESSAGE_COMPLETE);

  g_assert_true (atl_store_message_checkpoint (f->store, answer, "Hi th", "hm", &error));
  g_assert_true (atl_store_answer_finish (f->store, answer, ATL_MESSAGE_ERROR, "Hi there", "hmm",
                                          failure, "{\"tokens_per_s\": 12.5}", &error));
  g_assert_no_error (error);
  done = atl_store_message_get (f->store, answer, &error);
  g_assert_cmpint (done->state, ==, ATL_MESSAGE_ERROR);
  g_assert_cmpstr (done->content, ==, "Hi there");
  g_assert_cmpstr (done->thinking, ==, "hmm");
  g_assert_cmpstr (done->error_text, ==, failure->message);
  g_assert_cmpstr (done->error_name, ==, "io.github.atelier.Error.TooLong");
  g_assert_cmpstr (done->stats_json, ==, "{\"tokens_per_s\": 12.5}");
  g_assert_cmpstr (done->model_name, ==, "toy");
  g_assert_cmpint (done->parent_id, ==, asked);

  /* It is over: nothing may write to it any more, until it is resumed. */
  g_assert_false (atl_store_message_checkpoint (f->store, answer, "x", NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (atl_store_answer_resume (f->store, answer, &error));
  g_assert_true (atl_store_message_checkpoint (f->store, answer, "Hi there, you", NULL, &error));
  g_assert_true (atl_store_answer_finish (f->store, answer, ATL_MESSAGE_COMPLETE, "Hi there, you.",
                                          NULL, NULL, NULL, &error));
  assert_path (f->store, chat, "u:Hello|a:Hi there, you.");

  g_assert_false (atl_store_turn_begin (f->store, 77, 0, "x", NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_cmpint (atl_store_message_add (f->store, add_chat (f->store), asked, ATL_ROLE_USER, "x",
                                          NULL, &error),
                   ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

static void
test_branches (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store);
  gint64 q1 = add_message (f->store, chat, 0, ATL_ROLE_USER, "q1");
  gint64 a1 = add_message (f->store, chat, q1, ATL_ROLE_ASSISTANT, "a1");
  gint64 q2 = add_message (f->store, chat, a1, ATL_ROLE_USER, "q2");
  gint64 a2 = add_message (f->store, chat, q1, ATL_ROLE_ASSISTANT, "a2"); /* regenerated */
  gint64 q1b = 0;
  g_autoptr (AtlMessage) m = NULL;

  assert_path (f->store, chat, "u:q1|a:a2");
  m = atl_store_message_get (f->store, a2, &error);
  g_assert_cmpuint (m->branch, ==, 1);
  g_assert_cmpuint (m->n_branches, ==, 2);

  /* Back to the first answer: what followed it is there again. */
  g_assert_cmpint (atl_store_branch_step (f->store, a2, -1, &error), ==, a1);
  assert_path (f->store, chat, "u:q1|a:a1|u:q2");
  g_assert_cmpint (atl_store_branch_step (f->store, a1, -1, &error), ==, a1);

  /* Editing the first question makes a second root. */
  q1b = add_message (f->store, chat, 0, ATL_ROLE_USER, "q1b");
  assert_path (f->store, chat, "u:q1b");
  g_assert_cmpint (last_shown (f->store, chat), ==, q1b);
  g_assert_cmpint (atl_store_branch_step (f->store, q1b, -1, &error), ==, q1);
  assert_path (f->store, chat, "u:q1|a:a1|u:q2");

  g_assert_true (atl_store_branch_show (f->store, a2, &error));
  assert_path (f->store, chat, "u:q1|a:a2");
  g_assert_true (atl_store_branch_show (f->store, q2, &error));
  assert_path (f->store, chat, "u:q1|a:a1|u:q2");
  g_assert_cmpint (last_shown (f->store, chat), ==, q2);
  g_assert_no_error (error);

  g_assert_cmpint (last_shown (f->store, add_chat (f->store)), ==, 0);
  g_assert_cmpint (atl_store_branch_step (f->store, 4711, 1, &error), ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

static void
test_trash_message (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store);
  gint64 q1 = add_message (f->store, chat, 0, ATL_ROLE_USER, "q1");
  gint64 a1 = add_message (f->store, chat, q1, ATL_ROLE_ASSISTANT, "a1");
  gint64 q2 = add_message (f->store, chat, a1, ATL_ROLE_USER, "q2");
  gint64 a2 = add_message (f->store, chat, q2, ATL_ROLE_ASSISTANT, "a2");
  gint64 b1 = add_message (f->store, chat, q1, ATL_ROLE_ASSISTANT, "b1");

  /* The other branch shows in place of the deleted one, and undo shows it again. */
  assert_path (f->store, chat, "u:q1|a:b1");
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, b1, &error));
  assert_path (f->store, chat, "u:q1|a:a1|u:q2|a:a2");
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_MESSAGE, b1, &error));
  assert_path (f->store, chat, "u:q1|a:b1");
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, b1, &error));

  /* First the leaf, then what is above it: each comes back by its own undo. */
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, a2, &error));
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, a1, &error));
  assert_path (f->store, chat, "u:q1");
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_MESSAGE, a1, &error));
  assert_path (f->store, chat, "u:q1|a:a1|u:q2");
  /* Restoring the lower one alone brings what is above it along. */
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, a1, &error));
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_MESSAGE, a2, &error));
  assert_path (f->store, chat, "u:q1|a:a1|u:q2|a:a2");
  g_assert_no_error (error);

  g_assert_false (atl_store_trash (f->store, ATL_TRASH_MESSAGE, b1, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_cmpint (atl_store_trash_purge (f->store, 1, &error), ==, 0);
  g_assert_cmpint (atl_store_trash_purge (f->store, G_MAXINT64, &error), ==, 1);
  g_assert_no_error (error);
  assert_path (f->store, chat, "u:q1|a:a1|u:q2|a:a2");
}

static void
test_trash_chat (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store), parent = 0;
  g_autoptr (GPtrArray) list = NULL, empty = NULL;

  /* Deeper than any cascade could go. */
  for (int i = 0; i < 2500; i++)
    {
      parent = i == 0 ? add_message (f->store, chat, 0, ATL_ROLE_USER, "deep")
                      : atl_store_message_add (f->store, chat, parent, i % 2, "deep", NULL, &error);
      g_assert_cmpint (parent, >, 0);
    }
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_CHAT, chat, &error));
  empty = atl_store_chat_list (f->store, &error);
  g_assert_cmpuint (empty->len, ==, 0);
  g_assert_null (atl_store_chat_get (f->store, chat, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_CHAT, chat, &error));
  list = atl_store_message_list (f->store, chat, &error);
  g_assert_cmpuint (list->len, ==, 2500);
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_CHAT, chat, &error));
  g_assert_cmpint (atl_store_trash_purge (f->store, G_MAXINT64, &error), ==, 1);
  g_assert_no_error (error);
  g_assert_false (atl_store_restore (f->store, ATL_TRASH_CHAT, chat, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

static guint
count_trashed (Fixture *f, gint64 *newest)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = atl_store_chat_list_trashed (f->store, &error);

  g_assert_no_error (error);
  *newest = list->len > 0 ? ((AtlChat *) list->pdata[0])->id : 0;
  return list->len;
}

static void
test_deleted_chats (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) left = NULL;
  gint64 kept = add_chat (f->store), chats[3], newest, message;

  for (guint i = 0; i < G_N_ELEMENTS (chats); i++)
    {
      chats[i] = add_chat (f->store);
      /* Nothing was written in the last one. */
      if (i < 2)
        add_message (f->store, chats[i], 0, ATL_ROLE_USER, "words");
    }
  message = add_message (f->store, kept, 0, ATL_ROLE_USER, "words");
  g_assert_cmpuint (count_trashed (f, &newest), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (chats); i++)
    {
      g_assert_true (atl_store_trash (f->store, ATL_TRASH_CHAT, chats[i], &error));
      g_usleep (2);
    }
  g_assert_cmpuint (count_trashed (f, &newest), ==, 2);
  g_assert_cmpint (newest, ==, chats[1]);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_CHAT, chats[1], &error));
  g_assert_cmpuint (count_trashed (f, &newest), ==, 1);
  /* Messages in the trash stay: their chat is there. */
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, message, &error));
  g_assert_cmpint (atl_store_trash_empty_chats (f->store, &error), ==, 2);
  g_assert_cmpuint (count_trashed (f, &newest), ==, 0);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_MESSAGE, message, &error));
  left = atl_store_chat_list (f->store, &error);
  g_assert_cmpuint (left->len, ==, 2);
  g_assert_true (atl_store_chat_is_destroyed (f->store, chats[0]));
  g_assert_no_error (error);
}

static void
test_interrupted (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store), answer;
  AtlStore *other;

  g_assert_true (atl_store_turn_begin (f->store, chat, 0, "q", NULL, NULL, NULL, &answer, &error));
  g_assert_true (atl_store_message_checkpoint (f->store, answer, "so far", NULL, &error));

  /* A second window opens: the answer still has its writer. */
  other = atl_store_open (f->dir, &error);
  g_assert_no_error (error);
  {
    g_autoptr (AtlMessage) m = atl_store_message_get (other, answer, &error);
    g_assert_cmpint (m->state, ==, ATL_MESSAGE_STREAMING);
  }
  g_assert_false (atl_store_changed_elsewhere (other));
  g_assert_true (atl_store_message_checkpoint (f->store, answer, "so far so", NULL, &error));
  g_assert_true (atl_store_changed_elsewhere (other));
  atl_store_free (other);

  fixture_reopen (f);
  {
    g_autoptr (AtlMessage) m = atl_store_message_get (f->store, answer, &error);
    g_assert_cmpint (m->state, ==, ATL_MESSAGE_INTERRUPTED);
    g_assert_cmpstr (m->content, ==, "so far so");
  }
}

static void
test_settings (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *none = atl_store_setting_get (f->store, "window", &error);
  g_autofree char *value = NULL, *gone = NULL;

  g_assert_null (none);
  g_assert_no_error (error);
  g_assert_true (atl_store_setting_set (f->store, "window", "800x600", &error));
  g_assert_true (atl_store_setting_set (f->store, "window", "801x600", &error));
  value = atl_store_setting_get (f->store, "window", &error);
  g_assert_cmpstr (value, ==, "801x600");
  g_assert_true (atl_store_setting_set (f->store, "window", NULL, &error));
  gone = atl_store_setting_get (f->store, "window", &error);
  g_assert_null (gone);
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("chat-fields", test_chat_fields);
  ADD ("chat-order", test_chat_order);
  ADD ("folders", test_folders);
  ADD ("turn", test_turn);
  ADD ("branches", test_branches);
  ADD ("trash-message", test_trash_message);
  ADD ("trash-chat", test_trash_chat);
  ADD ("deleted-chats", test_deleted_chats);
  ADD ("interrupted", test_interrupted);
  ADD ("settings", test_settings);
  return g_test_run ();
}
