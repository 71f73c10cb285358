/* The whole program, killed again and again while an answer streams into its window: what was sent
 * is in the store, and what was shown of the answer gets there by and by and stays; the engine is
 * gone soon after; and no part of it ever asked for the network. How long each took is only told:
 * it is the machine's as much as ours.
 *
 * The program runs as a child of this one ("--child FOLDER"), which says what it shows. Rounds:
 * $ATELIER_FAULT_ROUNDS (6). Needs stories260K.gguf of the conformance data.
 *
 * And killed while a message is being written ("--draft FOLDER"): the next window ("--look FOLDER")
 * shows the text and the files that were attached. */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app-steps.h"
#include "conformance.h"
#include "reliability/rounds.h"

#include "app/chat/composer.h"
#include "store/chats.h"

#define DRAFT "half a sentence"
#define N_ROUNDS 6

/* --- The child --- */

static gboolean
is_settled (gpointer f)
{
  return !atl_session_get_is_loading (((AppFixture *) f)->session);
}

/* Sockets of the internet that this process has open. */
static guint
count_internet_sockets (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  const char *name;
  guint n = 0;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      int domain = 0;
      socklen_t size = sizeof domain;

      if (getsockopt (atoi (name), SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0)
        n += domain == AF_INET || domain == AF_INET6;
    }
  return n;
}

G_GNUC_NORETURN static void
run_child (const char *dir, const char *model)
{
  const char *paths[] = { model, NULL };
  AppFixture f;
  guint n_internet = 0;

  app_fixture_use_store (dir);
  app_fixture_start (&f);
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (is_settled, &f, 60));
  g_assert_true (app_is_loaded (&f));
  /* What is sent is acknowledged by its row. */
  app_ask (&f, 0);
  printf ("engine %d\n", (int) atl_client_get_pid (atl_session_get_client (f.session)));
  for (;;)
    {
      n_internet += count_internet_sockets ();
      printf ("text %" G_GINT64_FORMAT " %" G_GSIZE_FORMAT " %u\n", g_get_monotonic_time (),
              app_message (app_conversation (&f), -1)->content->len, n_internet);
      fflush (stdout);
      app_fixture_run (30);
    }
}

/* A message that is not sent, with two files: one in the new chat, then in one that has a row. */
G_GNUC_NORETURN static void
run_draft (const char *dir, gboolean in_new_chat)
{
  AppFixture f;
  GtkWidget *view;
  GSList *files = NULL;

  app_fixture_use_store (dir);
  app_fixture_start (&f);
  if (in_new_chat)
    atl_window_new_chat (f.window, 0);
  else
    app_exchange (app_conversation (&f), APP_QUESTION, "answer");
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *name = g_strdup_printf ("file-%u.txt", i);
      g_autofree char *path = g_build_filename (g_get_tmp_dir (), name, NULL);

      g_assert_true (g_file_set_contents (path, name, -1, NULL));
      files = g_slist_append (files, g_file_new_for_path (path));
    }
  atl_composer_attach_files (ATL_COMPOSER (app_composer (&f)), files);
  view = app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), DRAFT, -1);
  for (;;)
    app_fixture_spin (30);
}

/* What the window that comes after shows. */
static void
run_look (const char *dir, gboolean in_new_chat)
{
  AppFixture f;
  g_autofree char *text = NULL;
  GPtrArray *files;

  app_fixture_use_store (dir);
  app_fixture_start (&f);
  if (in_new_chat)
    atl_window_new_chat (f.window, 0);
  else
    {
      g_autoptr (GPtrArray) chats = atl_store_chat_list (atl_session_get_store (f.session), NULL);
      g_assert_cmpuint (chats->len, ==, 1);
      atl_window_open_chat (f.window, ((AtlChat *) chats->pdata[0])->id, 0);
    }
  text = atl_composer_get_text (ATL_COMPOSER (app_composer (&f)));
  g_assert_cmpstr (text, ==, DRAFT);
  files = atl_attached_files_get (atl_composer_get_files (ATL_COMPOSER (app_composer (&f))));
  g_assert_cmpuint (files->len, ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      const AtlAttachment *file = files->pdata[i];
      g_autofree char *name = g_strdup_printf ("file-%u.txt", i);

      g_assert_cmpstr (file->name, ==, name);
      g_assert_cmpstr (file->text, ==, name);
      g_assert_cmpstr (file->mime, ==, "text/plain");
    }
  app_fixture_stop (&f);
}

/* --- The parent --- */

/* Nobody may be there to bury it. */
static gboolean
is_gone (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", pid);
  g_autofree char *stat = NULL;
  const char *end;

  if (!g_file_get_contents (path, &stat, NULL, NULL))
    return TRUE;
  end = strrchr (stat, ')');
  return end != NULL && end[1] == ' ' && end[2] == 'Z';
}

static const AtlChat *
newest_of (GPtrArray *chats)
{
  const AtlChat *newest = NULL;

  for (guint i = 0; i < chats->len; i++)
    {
      const AtlChat *chat = chats->pdata[i];

      if (newest == NULL || chat->id > newest->id)
        newest = chat;
    }
  return newest;
}

/* Bytes of the newest chat's answer, as the store has it now. */
static gsize
saved_bytes (AtlStore *store)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) chats = atl_store_chat_list (store, &error);
  g_autoptr (GPtrArray) messages = NULL;

  g_assert_no_error (error);
  messages = atl_store_message_list (store, newest_of (chats)->id, &error);
  g_assert_no_error (error);
  return messages->len == 2 ? strlen (((AtlMessage *) messages->pdata[1])->content) : 0;
}

/* What is there when it is opened again. */
static void
check_store (const char *dir, guint n_chats, gsize least)
{
  g_autoptr (GError) error = NULL;
  AtlStore *store = atl_store_open (dir, &error);
  g_autoptr (GPtrArray) chats = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (saved_bytes (store), >=, least);
  chats = atl_store_chat_list (store, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (chats->len, ==, n_chats);
  for (guint i = 0; i < chats->len; i++)
    {
      const AtlChat *chat = chats->pdata[i];
      g_autoptr (GPtrArray) messages = atl_store_message_list (store, chat->id, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (messages->len, ==, 2);
      g_assert_cmpstr (((AtlMessage *) messages->pdata[0])->content, ==, APP_QUESTION);
      g_assert_cmpint (((AtlMessage *) messages->pdata[1])->state, ==, ATL_MESSAGE_INTERRUPTED);
    }
  atl_store_free (store);
}

typedef struct
{
  GDataInputStream *lines;
  int engine;    /* 0: not said yet */
  guint n_texts; /* times that the child told its answer */
  gsize shown;   /* bytes of it */
} Watch;

/* The next line of the child; FALSE at their end. */
static gboolean
watch_line (Watch *self)
{
  g_autofree char *line = g_data_input_stream_read_line (self->lines, NULL, NULL, NULL);
  guint n_internet;
  gint64 time;

  if (line == NULL)
    return FALSE;
  if (sscanf (line, "engine %d", &self->engine) == 1)
    g_assert_cmpint (self->engine, >, 0);
  else if (sscanf (line, "text %" G_GINT64_FORMAT " %" G_GSIZE_FORMAT " %u", &time, &self->shown,
                   &n_internet) == 3)
    {
      g_assert_cmpuint (n_internet, ==, 0);
      self->n_texts++;
    }
  return TRUE;
}

/* One life and death; the bytes of the answer that must be there afterwards. */
static gsize
live_and_die (const char *self, const char *dir, const char *model)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) child =
      g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, self, "--child", dir, model, NULL);
  Watch watch = { 0 };
  AtlStore *store;
  gint64 start, kill_at;
  gsize least;

  g_assert_no_error (error);
  watch.lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (child));
  while (watch.n_texts < 2)
    g_assert_true (watch_line (&watch));
  g_assert_cmpint (watch.engine, >, 0);

  /* All that is shown now is on the disk in a while. */
  store = atl_store_open (dir, &error);
  g_assert_no_error (error);
  start = g_get_monotonic_time ();
  for (gsize shown = watch.shown; saved_bytes (store) < shown;)
    {
      g_assert_true (watch_line (&watch));
      g_assert_cmpint (g_get_monotonic_time () - start, <, APP_PATIENCE_S * G_USEC_PER_SEC);
    }
  g_test_message ("saved after %.2f s", (g_get_monotonic_time () - start) / 1e6);
  kill_at = g_get_monotonic_time () + g_test_rand_int_range (0, 2000) * 1000;
  while (g_get_monotonic_time () < kill_at)
    g_assert_true (watch_line (&watch));
  least = saved_bytes (store);
  g_subprocess_send_signal (child, SIGKILL);
  atl_store_free (store);

  start = g_get_monotonic_time ();
  while (watch_line (&watch))
    ;
  g_subprocess_wait (child, NULL, NULL);
  while (!is_gone (watch.engine))
    {
      g_assert_cmpint (g_get_monotonic_time () - start, <, APP_PATIENCE_S * G_USEC_PER_SEC);
      g_usleep (20000);
    }
  g_test_message ("the engine was gone after %.2f s", (g_get_monotonic_time () - start) / 1e6);
  g_object_unref (watch.lines);
  return least;
}

static void
test_kills (gconstpointer self)
{
  g_autofree char *model = atl_test_conformance_find ("models/stories260K.gguf");
  g_autofree char *root = g_dir_make_tmp ("atelier-kills-XXXXXX", NULL);
  g_autofree char *dir = g_build_filename (root, "store", NULL);
  guint n = rounds (N_ROUNDS);

  if (model == NULL)
    {
      g_rmdir (root);
      g_test_skip ("models/stories260K.gguf not found: this case did not run");
      return;
    }
  /* What a killed child leaves behind lies there. */
  g_setenv ("TMPDIR", root, TRUE);
  for (guint i = 0; i < n; i++)
    {
      gsize least = live_and_die (self, dir, model);

      check_store (dir, i + 1, least);
      g_test_message ("round %u: %" G_GSIZE_FORMAT " bytes were due", i, least);
    }
  remove_tree (root);
}

/* Whether text and files are on the disk; then the window may be killed. */
static gboolean
is_draft_saved (AtlStore *store, gboolean in_new_chat)
{
  g_autoptr (GPtrArray) chats = atl_store_chat_list (store, NULL);
  gint64 id = 0;
  g_autoptr (GPtrArray) files = NULL;
  g_autofree char *text = NULL;

  if (!in_new_chat && (chats == NULL || chats->len == 0))
    return FALSE;
  if (in_new_chat)
    text = atl_store_setting_get (store, "draft-of-a-new-chat", NULL);
  else
    {
      g_autoptr (AtlChat) chat = NULL;

      id = ((AtlChat *) chats->pdata[0])->id;
      chat = atl_store_chat_get (store, id, NULL);
      text = chat != NULL ? g_strdup (chat->draft) : NULL;
    }
  files = atl_store_draft_files (store, id, NULL);
  return files != NULL && files->len == 2 && g_strcmp0 (text, DRAFT) == 0;
}

typedef struct
{
  const char *self;  /* this program */
  const char *where; /* "new" or "old": the chat */
} DraftCase;

static void
lose_draft (const DraftCase *c)
{
  gboolean in_new_chat = g_str_equal (c->where, "new");
  g_autofree char *root = g_dir_make_tmp ("atelier-kills-XXXXXX", NULL);
  g_autofree char *dir = g_build_filename (root, "store", NULL);
  gint64 end_us = g_get_monotonic_time () + APP_PATIENCE_S * G_USEC_PER_SEC;
  g_autoptr (GSubprocess) child = NULL, next = NULL;
  g_autoptr (GError) error = NULL;
  AtlStore *store;

  g_setenv ("TMPDIR", root, TRUE);
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  store = atl_store_open (dir, &error);
  g_assert_no_error (error);
  child =
      g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error, c->self, "--draft", dir, c->where, NULL);
  g_assert_no_error (error);
  while (!is_draft_saved (store, in_new_chat) && g_get_monotonic_time () < end_us)
    g_usleep (20000);
  g_assert_true (is_draft_saved (store, in_new_chat));
  atl_store_free (store);
  g_subprocess_send_signal (child, SIGKILL);
  g_subprocess_wait (child, NULL, NULL);
  next = g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error, c->self, "--look", dir, c->where, NULL);
  g_assert_no_error (error);
  g_subprocess_wait (next, NULL, NULL);
  g_assert_true (g_subprocess_get_if_exited (next));
  g_assert_cmpint (g_subprocess_get_exit_status (next), ==, 0);
  remove_tree (root);
}

/* A quarter of the rounds for each of the chats: two windows a round. */
static void
test_draft (gconstpointer data)
{
  guint n = MAX (rounds (N_ROUNDS) / 4, 1);

  for (guint i = 0; i < n; i++)
    lose_draft (data);
  g_test_message ("%u drafts came back", n);
}

int
main (int argc, char **argv)
{
  const DraftCase cases[] = { { argv[0], "new" }, { argv[0], "old" } };

  if (argc == 4 && (g_str_equal (argv[1], "--draft") || g_str_equal (argv[1], "--look")))
    {
      gboolean looks = g_str_equal (argv[1], "--look"), is_new = g_str_equal (argv[3], "new");
      g_autofree char *dir = g_strdup (argv[2]);

      argc = 1;
      app_fixture_init (&argc, &argv);
      if (!looks)
        run_draft (dir, is_new);
      run_look (dir, is_new);
      return 0;
    }
  if (argc == 4 && g_str_equal (argv[1], "--child"))
    {
      g_autofree char *dir = g_strdup (argv[2]), *model = g_strdup (argv[3]);

      argc = 1;
      app_fixture_init (&argc, &argv);
      run_child (dir, model);
    }
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/kills/while-answering", argv[0], test_kills);
  g_test_add_data_func ("/kills/while-writing/new-chat", &cases[0], test_draft);
  g_test_add_data_func ("/kills/while-writing/old-chat", &cases[1], test_draft);
  return g_test_run ();
}
