/* Files attached to messages that are not sent: kept, shared out, freed; and on a full disk. */
#include <sqlite3.h>
#include <stdio.h>
#include <sys/wait.h>

#include "small-disk.h"
#include "store-fixture.h"

#include "store/attachments.h"
#include "store/saver.h"
#include "store/store-private.h"

static AtlAttachment *
new_file (const char *name, const char *text)
{
  return atl_attachment_new (name, "text/plain", g_strdup (text));
}

static void
set (AtlStore *store, gint64 chat, GPtrArray *files)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_store_draft_files_set (store, chat, files, &error));
  g_assert_no_error (error);
}

/* The files as "name=text|...", for comparing at a glance. */
static char *
files_text (AtlStore *store, gint64 chat)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) files = atl_store_draft_files (store, chat, &error);
  GString *out = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < files->len; i++)
    {
      const AtlAttachment *file = files->pdata[i];

      g_assert_cmpstr (file->mime, ==, "text/plain");
      g_string_append_printf (out, "%s%s=%s", i > 0 ? "|" : "", file->name, file->text);
    }
  return g_string_free (out, FALSE);
}

#define assert_files(store, chat, expected)                                                        \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *files_ = files_text (store, chat);                                            \
    g_assert_cmpstr (files_, ==, expected);                                                        \
  }                                                                                                \
  G_STMT_END

static gint64
count_rows (Fixture *f)
{
  gint64 n = -1;

  g_assert_true (atl_db_int (f->store, "SELECT count (*) FROM draft_files", 0, 0, &n, NULL));
  return n;
}

static void
test_set (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  gint64 chat = add_chat (f->store), other = add_chat (f->store);
  g_autoptr (GError) error = NULL;

  assert_files (f->store, chat, "");
  g_ptr_array_add (files, new_file ("b.md", "# \303\244"));
  set (f->store, chat, files);
  g_ptr_array_add (files, new_file ("a.txt", ""));
  g_ptr_array_add (files, new_file ("b.md", "twice"));
  set (f->store, chat, files);
  fixture_reopen (f);
  assert_files (f->store, chat, "b.md=# \303\244|a.txt=|b.md=twice");
  assert_files (f->store, other, "");
  assert_files (f->store, 0, "");
  g_ptr_array_remove_index (files, 0);
  set (f->store, chat, files);
  assert_files (f->store, chat, "a.txt=|b.md=twice");
  g_ptr_array_set_size (files, 0);
  set (f->store, chat, files);
  g_assert_cmpint (count_rows (f), ==, 0);
  g_assert_false (atl_store_draft_files_set (f->store, other + 7, files, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

/* What was attached before the chat had a row. */
static void
test_new_chat (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  g_autoptr (GPtrArray) none = atl_attachments_new ();
  gint64 chat;

  g_ptr_array_add (files, new_file ("a", "1"));
  g_ptr_array_add (files, new_file ("b", "2"));
  set (f->store, 0, files);
  assert_files (f->store, 0, "a=1|b=2");
  chat = add_chat (f->store);
  assert_files (f->store, chat, "");
  set (f->store, chat, files);
  set (f->store, 0, none);
  assert_files (f->store, 0, "");
  assert_files (f->store, chat, "a=1|b=2");
}

static void
test_purged (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  gint64 chat = add_chat (f->store);

  g_ptr_array_add (files, new_file ("a", "1"));
  set (f->store, chat, files);
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_CHAT, chat, NULL));
  g_assert_cmpint (count_rows (f), ==, 1);
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_CHAT, chat, NULL));
  assert_files (f->store, chat, "a=1");
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_CHAT, chat, NULL));
  g_assert_cmpint (atl_store_trash_purge (f->store, G_MAXINT64, NULL), ==, 1);
  g_assert_cmpint (count_rows (f), ==, 0);
}

static void
test_json (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  g_autoptr (GPtrArray) back = NULL;
  g_autoptr (GPtrArray) damaged = atl_attachments_from_json ("[{\"name\": 3}, 4, {\"text\": ");
  g_autofree char *empty = atl_attachments_to_json (files);
  g_autofree char *json = NULL;

  g_assert_null (empty);
  g_assert_cmpuint (damaged->len, ==, 0);
  g_ptr_array_add (files, new_file ("\"a\"", "1\n2"));
  json = atl_attachments_to_json (files);
  back = atl_attachments_from_json (json);
  g_assert_cmpuint (back->len, ==, 1);
  g_assert_cmpstr (((AtlAttachment *) back->pdata[0])->name, ==, "\"a\"");
  g_assert_cmpstr (((AtlAttachment *) back->pdata[0])->text, ==, "1\n2");
}

/* --- Through the saver --- */

static void
test_saver (Fixture *f, gconstpointer data)
{
  AtlSaver *saver = atl_saver_new (f->store);
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  gint64 chat = add_chat (f->store);

  for (guint i = 0; i < 50; i++)
    {
      g_ptr_array_add (files, new_file ("n", "text"));
      atl_saver_put_draft_files (saver, chat, files);
    }
  atl_saver_flush (saver);
  g_assert_cmpint (count_rows (f), ==, 50);
  g_ptr_array_remove_range (files, 1, 49);
  atl_saver_put_draft_files (saver, chat, files);
  /* The last of all is written before the saver goes. */
  atl_saver_free (saver);
  assert_files (f->store, chat, "n=text");
}

/* The chat went while its files were on their way: no trouble, and nothing is tried for ever. */
static void
test_saver_chat_gone (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlSaver) saver = atl_saver_new (f->store);
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  g_autofree char *trouble = NULL;

  g_ptr_array_add (files, new_file ("a", "1"));
  atl_saver_put_draft_files (saver, 77, files);
  atl_saver_flush (saver);
  trouble = atl_saver_take_trouble (saver);
  g_assert_null (trouble);
  g_assert_false (atl_saver_get_is_failing (saver));
  g_assert_cmpint (count_rows (f), ==, 0);
}

static gboolean
fill (const char *path)
{
  g_autofree char *zeros = g_malloc0 (4096);
  FILE *file = fopen (path, "w");
  gboolean full = FALSE;

  if (file == NULL)
    return FALSE;
  setvbuf (file, NULL, _IONBF, 0);
  for (guint i = 0; i < 4096 && !full; i++)
    full = fwrite (zeros, 1, 4096, file) != 4096;
  fclose (file);
  return full;
}

/* In a process of its own, whose temporary folder is a disk of three megabytes: told once, in
 * words, and on the disk as soon as there is room. 0: as it should be, 77: no such disk here. */
static int
run_on_small_disk (const char *dir)
{
  g_autofree char *path = g_build_filename (dir, "fill", NULL);
  g_autofree char *long_text = g_strnfill (400000, 'x');
  g_autofree char *trouble = NULL, *again = NULL;
  g_autoptr (GPtrArray) files = atl_attachments_new ();
  g_autoptr (GPtrArray) back = NULL;
  AtlSaver *saver;
  AtlStore *store;

  if (!mount_small (dir))
    return 77;
  store = atl_store_open (dir, NULL);
  if (store == NULL)
    return 1;
  saver = atl_saver_new (store);
  if (!fill (path))
    return 2;
  g_ptr_array_add (files, new_file ("long.txt", long_text));
  atl_saver_put_draft_files (saver, 0, files);
  atl_saver_flush (saver);
  trouble = atl_saver_take_trouble (saver);
  if (trouble == NULL || strstr (trouble, "full") == NULL || !atl_saver_get_is_failing (saver))
    return 3;
  g_ptr_array_add (files, new_file ("short.txt", "s"));
  atl_saver_put_draft_files (saver, 0, files);
  atl_saver_flush (saver);
  again = atl_saver_take_trouble (saver);
  if (again != NULL)
    return 4;
  g_remove (path);
  for (guint i = 0; i < 8000 && atl_saver_get_is_failing (saver); i++)
    g_usleep (10000);
  back = atl_store_draft_files (store, 0, NULL);
  if (back == NULL || back->len != 2 ||
      g_strcmp0 (((AtlAttachment *) back->pdata[0])->text, long_text) != 0)
    return 5;
  atl_saver_free (saver);
  atl_store_free (store);
  return 0;
}

static void
test_full_disk (gconstpointer self)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-full-XXXXXX", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) child =
      g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error, self, "--small-disk", dir, NULL);

  g_assert_no_error (error);
  g_assert_true (g_subprocess_wait (child, NULL, NULL));
  g_assert_true (g_subprocess_get_if_exited (child));
  g_rmdir (dir);
  if (g_subprocess_get_exit_status (child) == 77)
    g_test_skip ("no small disk could be mounted: the full disk did not run");
  else
    g_assert_cmpint (g_subprocess_get_exit_status (child), ==, 0);
}

int
main (int argc, char **argv)
{
  if (argc == 3 && g_str_equal (argv[1], "--small-disk"))
    return run_on_small_disk (argv[2]);
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/attachments/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("set", test_set);
  ADD ("new-chat", test_new_chat);
  ADD ("purged", test_purged);
  ADD ("json", test_json);
  ADD ("saver", test_saver);
  ADD ("saver-chat-gone", test_saver_chat_gone);
  g_test_add_data_func ("/store/attachments/full-disk", argv[0], test_full_disk);
  return g_test_run ();
}
