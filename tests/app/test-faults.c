/* What goes wrong around a window that answers: hostile files, a model that is deleted or cut while
 * it is in use, an engine that is stopped, ends while it loads, or ends three times, a full disk.
 * Each time there is a sentence, nothing that was written is lost, and the window goes on. Needs
 * stories260K.gguf of the conformance data, and its gguf-bad for hostile files. */
#include <glib/gstdio.h>
#include <signal.h>

#include "app-steps.h"
#include "conformance.h"
#include "store/small-disk.h"

#include "app/chat/composer.h"
#include "app/chat/conversation.h"
#include "client/client.h"
#include "store/chats.h"

static char *small_disk; /* NULL: none could be mounted */

/* --- Steps --- */

static AtlClient *
client_of (AppFixture *f)
{
  return atl_session_get_client (f->session);
}

static gboolean
is_settled (gpointer f)
{
  return !atl_session_get_is_loading (((AppFixture *) f)->session);
}

static gboolean
is_noticed (gpointer f)
{
  return gtk_info_bar_get_revealed (GTK_INFO_BAR (((AppFixture *) f)->window->notice_bar));
}

/* What the bar above the page says; a sentence in any case. */
static const char *
notice (AppFixture *f)
{
  const char *words = gtk_label_get_text (GTK_LABEL (f->window->notice_label));

  g_assert_true (is_noticed (f));
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (f->window->notice_title)), !=, "");
  g_assert_cmpuint (strlen (words), >, 10);
  g_assert_null (strstr (words, "(null)"));
  g_assert_true (g_utf8_validate (words, -1, NULL));
  return words;
}

static void
load_path (AppFixture *f, const char *path, gboolean insist)
{
  const char *paths[] = { path, NULL };

  atl_session_load_model (f->session, paths, insist);
  g_assert_true (app_fixture_wait (is_settled, f, 60));
}

/* A copy of the tiny model that may be harmed, loaded; NULL when there is none. */
static char *
start (AppFixture *f)
{
  g_autofree char *path = atl_test_conformance_find ("models/stories260K.gguf");
  g_autofree char *bytes = NULL;
  char *copy;
  gsize size;

  if (path == NULL)
    {
      g_test_skip ("models/stories260K.gguf not found: this case did not run");
      return NULL;
    }
  app_fixture_start (f);
  copy = g_build_filename (f->dir, "tiny.gguf", NULL);
  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  g_assert_true (g_file_set_contents (copy, bytes, (gssize) size, NULL));
  load_path (f, copy, TRUE);
  g_assert_true (app_is_loaded (f));
  return copy;
}

/* The answer that was cut short: its text is there, with a reason. */
static void
assert_cut_short (AppFixture *f, gsize length)
{
  AtlMessageItem *answer = app_last_message (f);

  g_assert_true (app_is_idle (f));
  g_assert_cmpint (answer->state, ==, ATL_MESSAGE_ERROR);
  g_assert_cmpuint (answer->content->len, >=, length);
  g_assert_nonnull (answer->error_text);
  g_test_message ("%s", answer->error_text);
  g_assert_true (g_utf8_validate (answer->error_text, -1, NULL));
}

static void
assert_answers (AppFixture *f)
{
  app_ask (f, 12);
  g_assert_true (app_fixture_wait (app_is_idle, f, 60));
  g_assert_cmpstr (app_last_message (f)->error_text, ==, NULL);
  g_assert_cmpint (app_last_message (f)->state, ==, ATL_MESSAGE_COMPLETE);
  g_assert_cmpuint (app_last_message (f)->content->len, >, 0);
}

/* --- Cases --- */

/* All of them one after the other while an answer streams. */
static void
test_hostile (void)
{
  g_autofree char *manifest = atl_test_conformance_find ("gguf-bad/manifest.json");
  g_autofree char *folder = manifest != NULL ? g_path_get_dirname (manifest) : NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *model = NULL;
  AppFixture f;
  JsonArray *files;
  guint n_refused = 0;
  GPid pid;

  if (manifest == NULL)
    {
      g_test_skip ("gguf-bad/manifest.json not found: the hostile files did not run");
      return;
    }
  model = start (&f);
  if (model == NULL)
    return;
  g_assert_true (json_parser_load_from_file (parser, manifest, NULL));
  files =
      json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)), "files");
  pid = atl_client_get_pid (client_of (&f));
  app_ask_endlessly (&f);
  for (guint i = 0; i < json_array_get_length (files); i++)
    {
      JsonObject *file = json_array_get_object_element (files, i);
      const char *name = json_object_get_string_member (file, "file");
      g_autofree char *path = g_build_filename (folder, name, NULL);
      AtlModel *before = atl_session_get_model (f.session);

      atl_window_hide_notice (f.window);
      load_path (&f, path, FALSE);
      if (atl_session_get_model (f.session) == before)
        {
          notice (&f);
          n_refused++;
        }
      else
        g_assert_cmpstr (json_object_get_string_member (file, "expect"), !=, "error");
      if (atl_client_get_pid (client_of (&f)) != pid)
        g_error ("%s ended the engine", name);
      if (app_is_idle (&f))
        g_error ("%s ended the answer", name);
    }
  g_test_message ("%u files, %u refused in words", json_array_get_length (files), n_refused);
  g_assert_cmpuint (n_refused, >, 300);
  app_fixture_shot (GTK_WIDGET (f.window), "hostile");
  g_assert_false (app_is_idle (&f));
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 30));
  g_assert_cmpint (app_last_message (&f)->state, !=, ATL_MESSAGE_ERROR);
  load_path (&f, model, FALSE);
  /* This chat is longer than the tiny model's context. */
  atl_window_new_chat (f.window, 0);
  assert_answers (&f);
  app_fixture_stop (&f);
}

/* What is loaded stays; after the engine was lost it cannot come back, until the file does. */
static void
test_deleted (void)
{
  AppFixture f;
  g_autofree char *model = start (&f), *aside = NULL;
  GPid pid;

  if (model == NULL)
    return;
  aside = g_strconcat (model, ".aside", NULL);
  app_ask_endlessly (&f);
  g_assert_cmpint (g_rename (model, aside), ==, 0);
  atl_conversation_stop (app_conversation (&f));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 30));
  assert_answers (&f);
  pid = app_kill_engine (&f, SIGKILL);
  app_wait_for_other_engine (&f, pid);
  app_ask (&f, 12);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  assert_cut_short (&f, 0);
  g_assert_nonnull (strstr (app_last_message (&f)->error_text, "tiny.gguf"));
  g_assert_cmpint (g_rename (aside, model), ==, 0);
  g_assert_true (atl_conversation_regenerate (app_conversation (&f), app_last_message (&f), NULL));
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  g_assert_cmpint (app_last_message (&f)->state, ==, ATL_MESSAGE_COMPLETE);
  app_fixture_stop (&f);
}

/* Bytes that are read in the file are no longer there: the engine ends, and says next that the file
 * is damaged. */
static void
test_cut (void)
{
  AppFixture f;
  g_autofree char *model = start (&f);
  gsize length;
  GPid pid;

  if (model == NULL)
    return;
  pid = atl_client_get_pid (client_of (&f));
  app_ask_endlessly (&f);
  length = app_last_message (&f)->content->len;
  g_assert_cmpint (truncate (model, 5000), ==, 0);
  app_fixture_spin (300);
  if (!app_is_idle (&f))
    {
      /* It had copied its weights. */
      app_kill_engine (&f, SIGKILL);
      g_assert_true (app_fixture_wait (app_is_idle, &f, 20));
    }
  assert_cut_short (&f, length);
  app_wait_for_other_engine (&f, pid);
  load_path (&f, model, TRUE);
  g_test_message ("%s", notice (&f));
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (f.window->notice_title)), ==,
                   "This model file is damaged");
  app_fixture_stop (&f);
}

/* However late the window is, it is told one thing after the other. */
static void
titled_cb (GtkLabel *title, GParamSpec *pspec, gboolean *is_told)
{
  if (g_str_equal (gtk_label_get_text (title), "The engine does not respond"))
    *is_told = TRUE;
}

static void
test_stopped (void)
{
  AppFixture f;
  gboolean is_told = FALSE;
  g_autofree char *model = start (&f);
  gint64 stopped_at;
  gsize length;
  GPid pid;

  if (model == NULL)
    return;
  app_ask_endlessly (&f);
  length = app_last_message (&f)->content->len;
  pid = atl_client_get_pid (client_of (&f));
  atl_window_hide_notice (f.window);
  g_signal_connect (f.window->notice_title, "notify::label", G_CALLBACK (titled_cb), &is_told);
  app_kill_engine (&f, SIGSTOP);
  stopped_at = g_get_monotonic_time ();
  app_assert_soon (is_told);
  g_test_message ("shown after %.1f s", (g_get_monotonic_time () - stopped_at) / 1e6);
  notice (&f);
  app_fixture_shot (GTK_WIDGET (f.window), "engine-stopped");
  g_assert_true (app_fixture_wait (app_is_idle, &f, 20));
  app_wait_for_other_engine (&f, pid);
  g_test_message ("recovered after %.1f s", (g_get_monotonic_time () - stopped_at) / 1e6);
  g_signal_handlers_disconnect_by_data (f.window->notice_title, &is_told);
  assert_cut_short (&f, length);
  assert_answers (&f);
  app_fixture_stop (&f);
}

/* Stopped first, so that it is surely ended in the middle. */
static void
test_ended_loading (void)
{
  AppFixture f;
  g_autofree char *model = start (&f);
  const char *paths[] = { model, NULL };
  GPid pid;

  if (model == NULL)
    return;
  atl_session_unload_model (f.session);
  app_fixture_spin (200);
  pid = app_kill_engine (&f, SIGSTOP);
  atl_session_load_model (f.session, paths, FALSE);
  app_fixture_run (200);
  g_assert_true (atl_session_get_is_loading (f.session));
  app_kill_engine (&f, SIGKILL);
  g_assert_true (app_fixture_wait (is_settled, &f, 20));
  g_assert_null (atl_session_get_model (f.session));
  g_test_message ("%s: %s", gtk_label_get_text (GTK_LABEL (f.window->notice_title)), notice (&f));
  app_wait_for_other_engine (&f, pid);
  load_path (&f, model, FALSE);
  g_assert_true (app_is_loaded (&f));
  assert_answers (&f);
  app_fixture_stop (&f);
}

/* A model that ends the engine again and again is not loaded by itself any more, not even by the
 * next start of the program; whoever insists may. */
static void
test_three_times (void)
{
  AppFixture f;
  g_autofree char *model = start (&f);
  AtlSession *again;

  if (model == NULL)
    return;
  for (guint i = 0; i < ATL_MODEL_MAX_CRASHES; i++)
    {
      gsize length;
      GPid pid;

      app_ask_endlessly (&f);
      length = app_last_message (&f)->content->len;
      pid = app_kill_engine (&f, SIGSEGV);
      g_assert_true (app_fixture_wait (app_is_idle, &f, 20));
      assert_cut_short (&f, length);
      app_wait_for_other_engine (&f, pid);
    }
  app_ask (&f, 12);
  g_assert_true (app_fixture_wait (app_is_idle, &f, 60));
  assert_cut_short (&f, 0);
  g_assert_nonnull (strstr (app_last_message (&f)->error_text, "3 times"));
  load_path (&f, model, FALSE);
  g_test_message ("%s", notice (&f));
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (f.window->notice_title)), ==,
                   "This model ended the engine several times");

  again = atl_session_new (f.dir, NULL);
  g_assert_cmpuint (atl_client_get_crash_count (atl_session_get_client (again), model), ==,
                    ATL_MODEL_MAX_CRASHES);
  g_object_run_dispose (G_OBJECT (again));
  g_object_unref (again);

  load_path (&f, model, TRUE);
  assert_answers (&f);
  app_fixture_stop (&f);
}

/* --- Full disk --- */

/* Takes all but `left` bytes of the small disk. */
static void
fill (const char *path, gsize left)
{
  g_autofree char *block = g_strnfill (4096, 'x');
  FILE *file = fopen (path, "w");

  g_assert_nonnull (file);
  setbuf (file, NULL);
  while (fwrite (block, 1, 4096, file) == 4096)
    ;
  fclose (file);
  if (left > 0)
    {
      GStatBuf st;

      g_assert_cmpint (g_stat (path, &st), ==, 0);
      g_assert_cmpint (truncate (path, st.st_size - (off_t) MIN (left, (gsize) st.st_size)), ==, 0);
    }
}

static guint
count_chats (const char *dir)
{
  g_autoptr (GError) error = NULL;
  AtlStore *store = atl_store_open (dir, &error);
  g_autoptr (GPtrArray) chats = NULL;
  guint n;

  g_assert_no_error (error);
  chats = atl_store_chat_list (store, NULL);
  n = chats->len;
  atl_store_free (store);
  return n;
}

/* With room for a few pages less each time, so that it fills up in the middle of a turn as well as
 * before one. */
static void
test_full_disk (void)
{
  if (small_disk == NULL)
    {
      g_test_skip ("no small disk could be mounted here: this case did not run");
      return;
    }
  for (guint i = 0; i < 6; i++)
    {
      AppFixture f;
      g_autofree char *model = NULL, *filler = g_build_filename (small_disk, "filler", NULL);
      g_autofree char *store = g_build_filename (small_disk, "store", NULL);

      f.dir = NULL;
      app_fixture_use_store (store);
      model = start (&f);
      app_fixture_use_store (NULL);
      if (model == NULL)
        return;
      assert_answers (&f);
      fill (filler, i * 12 * 1024);
      atl_window_hide_notice (f.window);
      {
        GtkWidget *composer = app_composer (&f);

        atl_composer_set_text (ATL_COMPOSER (composer), "a question that must not be lost");
        atl_composer_send (ATL_COMPOSER (composer));
        app_fixture_wait (app_is_idle, &f, 30);
        app_fixture_spin (300);
        if (i == 0)
          app_fixture_shot (GTK_WIDGET (f.window), "full-disk");
        /* It was sent and is in the chat, or it is still where it was written. */
        if (atl_conversation_get_n_messages (app_conversation (&f)) < 4)
          {
            g_autofree char *text = atl_composer_get_text (ATL_COMPOSER (composer));

            g_assert_cmpstr (text, ==, "a question that must not be lost");
          }
      }
      g_assert_cmpint (g_unlink (filler), ==, 0);
      app_fixture_wait (app_is_idle, &f, 30);
      assert_answers (&f);
      g_assert_cmpuint (count_chats (f.dir), ==, 1);
      app_fixture_stop (&f);
    }
}

/* --- No room from the start --- */

/* In a process of its own: its store is on a full disk, and so are its temporary files; memory too
 * when `memory_too`. 0: as it should be, 77: no such disk here. */
static int
run_without_room (const char *dir, gboolean memory_too)
{
  g_autofree char *store_dir = g_build_filename (dir, "store", NULL);
  g_autofree char *filler = g_build_filename (dir, "filler", NULL);
  g_autofree char *temporary = NULL;
  g_autoptr (GError) error = NULL;
  AtlSession *session;

  g_setenv ("TMPDIR", dir, TRUE);
  g_setenv ("XDG_RUNTIME_DIR", dir, TRUE);
  g_setenv ("GSETTINGS_BACKEND", "memory", TRUE);
  if (!mount_small (dir) ||
      mount ("tmpfs", "/dev/shm", "tmpfs", 0, memory_too ? "size=4k" : "size=16m") != 0)
    return 77;
  fill (filler, 0);
  session = atl_session_new (store_dir, &error);
  if (memory_too)
    return session == NULL && g_error_matches (error, ATL_ERROR, ATL_ERROR_FULL) ? 0 : 1;
  if (session == NULL || atl_session_get_store_error (session) == NULL)
    return 2;
  temporary = g_strdup (atl_store_dir (atl_session_get_store (session)));
  if (!g_str_has_prefix (temporary, "/dev/shm/") ||
      atl_store_chat_add (atl_session_get_store (session), 0, NULL) == 0)
    return 3;
  g_object_run_dispose (G_OBJECT (session));
  g_object_unref (session);
  return g_file_test (temporary, G_FILE_TEST_EXISTS) ? 4 : 0;
}

static void
test_without_room (gconstpointer self)
{
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *dir = g_dir_make_tmp ("atelier-small-XXXXXX", NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (GSubprocess) child =
          g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error, self,
                            i == 0 ? "--full-disk" : "--full-everywhere", dir, NULL);

      g_assert_no_error (error);
      g_assert_true (g_subprocess_wait (child, NULL, NULL));
      g_assert_true (g_subprocess_get_if_exited (child));
      g_rmdir (dir);
      if (g_subprocess_get_exit_status (child) == 77)
        {
          g_test_skip ("no small disk could be mounted: the full disk did not run");
          return;
        }
      g_assert_cmpint (g_subprocess_get_exit_status (child), ==, 0);
    }
}

int
main (int argc, char **argv)
{
  int status;

  if (argc == 3 && g_str_has_prefix (argv[1], "--full-"))
    return run_without_room (argv[2], g_str_equal (argv[1], "--full-everywhere"));
  /* Before there are other threads. */
  small_disk = g_dir_make_tmp ("atelier-small-XXXXXX", NULL);
  if (!mount_small (small_disk))
    {
      g_rmdir (small_disk);
      g_clear_pointer (&small_disk, g_free);
    }
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/faults/hostile", test_hostile);
  g_test_add_func ("/faults/deleted", test_deleted);
  g_test_add_func ("/faults/cut", test_cut);
  g_test_add_func ("/faults/stopped", test_stopped);
  g_test_add_func ("/faults/ended-loading", test_ended_loading);
  g_test_add_func ("/faults/three-times", test_three_times);
  g_test_add_func ("/faults/full-disk", test_full_disk);
  g_test_add_data_func ("/faults/without-room", argv[0], test_without_room);
  status = g_test_run ();
  if (small_disk != NULL)
    {
      umount (small_disk);
      g_rmdir (small_disk);
    }
  return status;
}
