/* Writing a message: keys, drafts, files that are dropped. */
#include "app-steps.h"

#include <string.h>

#include "app/chat/composer.h"
#include "store/chats.h"

/* --- Composer --- */

static gboolean
take_cb (AtlComposer *composer, const char *text, const char *attachments, gpointer data)
{
  g_string_append_printf (data, "[%s|%s]", text, attachments ? "files" : "");
  g_signal_stop_emission_by_name (composer, "send");
  return TRUE;
}

static void
test_composer_keys (void)
{
  AppFixture f;
  GtkWidget *composer, *view;
  g_autoptr (GString) taken = g_string_new (NULL);
  g_autofree char *text = NULL;

  app_fixture_start (&f);
  composer = app_composer (&f);
  view = app_fixture_find (composer, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_signal_connect (composer, "send", G_CALLBACK (take_cb), taken);
  g_signal_handlers_block_matched (composer, G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL,
                                   f.window->chat_page);
  atl_composer_set_text (ATL_COMPOSER (composer), "  hello  ");
  g_assert_false (app_press (view, GDK_KEY_Return, GDK_SHIFT_MASK));
  g_assert_true (app_press (view, GDK_KEY_Return, 0));
  g_assert_cmpstr (taken->str, ==, "[hello|]");
  text = atl_composer_get_text (ATL_COMPOSER (composer));
  g_assert_cmpstr (text, ==, "");
  g_assert_true (app_press (view, GDK_KEY_Return, 0));
  g_assert_cmpstr (taken->str, ==, "[hello|]");
  app_fixture_stop (&f);
}

static void
test_composer_without_model (void)
{
  AppFixture f;
  GtkWidget *composer;
  g_autofree char *text = NULL;

  app_fixture_start (&f);
  composer = app_composer (&f);
  atl_composer_set_text (ATL_COMPOSER (composer), "do not lose me");
  atl_composer_send (ATL_COMPOSER (composer));
  app_fixture_spin (100);
  text = atl_composer_get_text (ATL_COMPOSER (composer));
  g_assert_cmpstr (text, ==, "do not lose me");
  app_fixture_stop (&f);
}

static void
test_escape_stops (void)
{
  AppFixture f;
  GtkWidget *view;

  app_fixture_start (&f);
  app_begin_turn (app_conversation (&f), "Tell me");
  app_fixture_spin (50);
  view = app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  g_assert_true (app_press (view, GDK_KEY_Escape, 0));
  g_assert_false (atl_conversation_get_is_running (app_conversation (&f)));
  app_fixture_stop (&f);
}

static void
test_up_edits_last (void)
{
  AppFixture f;
  GtkWidget *row;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "typo", "answer");
  app_fixture_spin (200);
  g_assert_true (app_press (app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL),
                            GDK_KEY_Up, 0));
  app_fixture_spin (100);
  row = app_message_row (&f, app_message (app_conversation (&f), 0));
  g_assert_nonnull (app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL));
  app_fixture_stop (&f);
}

static gboolean
has_draft (AppFixture *f, gint64 id, const char *draft)
{
  g_autoptr (AtlChat) chat = atl_store_chat_get (atl_session_get_store (f->session), id, NULL);

  return g_strcmp0 (chat->draft, draft) == 0;
}

static void
test_draft (void)
{
  AppFixture f;
  gint64 id;
  GtkWidget *view;
  g_autofree char *text = NULL;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "one", "answer");
  id = atl_conversation_get_chat_id (app_conversation (&f));
  view = app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "half", -1);
  /* On disk without anything having been closed: a crash keeps it. */
  app_assert_soon (has_draft (&f, id, "half"));
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "half a word", -1);
  atl_window_new_chat (f.window, 0);
  text = atl_composer_get_text (ATL_COMPOSER (app_composer (&f)));
  g_assert_cmpstr (text, ==, "");
  g_clear_pointer (&text, g_free);
  atl_window_open_chat (f.window, id, 0);
  text = atl_composer_get_text (ATL_COMPOSER (app_composer (&f)));
  g_assert_cmpstr (text, ==, "half a word");
  app_fixture_stop (&f);
}

static gboolean
is_at_top (gpointer adjustment)
{
  return gtk_adjustment_get_value (adjustment) == 0 &&
         gtk_adjustment_get_page_size (adjustment) == gtk_adjustment_get_upper (adjustment);
}

/* An animated scroll that hides from the text view that it has grown: what fits is in sight all the
 * same. */
static void
test_grows (void)
{
  AppFixture f;
  GtkWidget *view, *scroller;
  GtkAdjustment *adjustment;

  app_fixture_start (&f);
  view = app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL);
  scroller = gtk_widget_get_ancestor (view, GTK_TYPE_SCROLLED_WINDOW);
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller));
  g_signal_emit_by_name (view, "insert-at-cursor", "one\ntwo");
  g_assert_true (app_fixture_wait (is_at_top, adjustment, 5));
  gtk_adjustment_configure (adjustment, 12, 0, gtk_adjustment_get_upper (adjustment), 1, 1,
                            gtk_adjustment_get_upper (adjustment) - 12);
  g_assert_true (app_fixture_wait (is_at_top, adjustment, 5));
  app_fixture_stop (&f);
}

static guint
count_files (gpointer composer)
{
  return atl_attached_files_get (atl_composer_get_files (composer))->len;
}

static gboolean
has_attachment (gpointer composer)
{
  return count_files (composer) == 1;
}

static gboolean
has_two_files (gpointer composer)
{
  return count_files (composer) == 2;
}

static const char *
file_name (gpointer composer, guint index)
{
  GPtrArray *files = atl_attached_files_get (atl_composer_get_files (composer));

  g_assert_cmpuint (files->len, >, index);
  return ((AtlAttachment *) files->pdata[index])->name;
}

static gboolean
is_tooltip (GtkWidget *widget, gconstpointer words)
{
  return g_strcmp0 (gtk_widget_get_tooltip_text (widget), words) == 0;
}

static void
attach_texts (AppFixture *f, const char *first, const char *second)
{
  const char *names[] = { first, second };
  GSList *files = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (f->dir, names[i], NULL);

      g_assert_true (g_file_set_contents (path, names[i], -1, NULL));
      files = g_slist_append (files, g_file_new_for_path (path));
    }
  atl_composer_attach_files (ATL_COMPOSER (app_composer (f)), files);
  g_slist_free_full (files, g_object_unref);
}

static void
drop (AppFixture *f, const char *path)
{
  g_assert_true (app_drop (GTK_WIDGET (f->window), 5, 5, &path, 1));
}

static void
notice_cb (AtlSession *session, const char *sentence, char **last)
{
  g_free (*last);
  *last = g_strdup (sentence);
}

static gboolean
has_notice (gpointer data)
{
  return *(char **) data != NULL;
}

/* Until what was pasted has become this many characters; `n_files` attached files. */
static void
paste (AppFixture *f, gsize n_chars, guint n_files)
{
  GtkWidget *composer = app_composer (f);
  GtkWidget *view = app_fixture_find (composer, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (view));

  g_signal_emit_by_name (view, "paste-clipboard");
  app_assert_soon ((gsize) gtk_text_buffer_get_char_count (buffer) == n_chars &&
                   count_files (composer) == n_files);
}

/* A text takes the place of what is selected, one of the length of a book is attached, and a
 * picture is neither. */
static void
test_paste (void)
{
  AppFixture f;
  GdkClipboard *clipboard;
  GtkTextBuffer *buffer;
  GtkTextIter start, end;
  g_autofree char *book = g_strnfill (60000, 'a');
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 2, 2);
  g_autoptr (GdkTexture) picture = gdk_texture_new_for_pixbuf (pixbuf);
  g_autofree char *notice = NULL;

  app_fixture_start (&f);
  clipboard = gtk_widget_get_clipboard (GTK_WIDGET (f.window));
  buffer = gtk_text_view_get_buffer (
      GTK_TEXT_VIEW (app_fixture_find (app_composer (&f), GTK_TYPE_TEXT_VIEW, NULL, NULL)));
  gdk_clipboard_set_text (clipboard, "four");
  paste (&f, 4, 0);
  paste (&f, 8, 0);
  gtk_text_buffer_get_bounds (buffer, &start, &end);
  gtk_text_buffer_select_range (buffer, &start, &end);
  paste (&f, 4, 0);
  gdk_clipboard_set_text (clipboard, book);
  paste (&f, 4, 1);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  gdk_clipboard_set_texture (clipboard, picture);
  paste (&f, 4, 1);
  g_assert_cmpstr (notice, ==,
                   "A picture cannot be attached. On the Images page a picture can be what the "
                   "next one begins with.");
  app_fixture_stop (&f);
}

/* A file that went between being chosen and being read: neither its path nor the system's words. */
static void
test_vanished (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autofree char *notice = NULL;
  GSList *files;

  app_fixture_start (&f);
  path = g_build_filename (f.dir, "gone.txt", NULL);
  files = g_slist_append (NULL, g_file_new_for_path (path));
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  atl_composer_attach_files (ATL_COMPOSER (app_composer (&f)), files);
  g_assert_true (app_fixture_wait (has_notice, &notice, 5));
  g_assert_cmpstr (notice, ==, "“gone.txt” is not there any more.");
  g_slist_free_full (files, g_object_unref);
  app_fixture_stop (&f);
}

static void
test_drop_text (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autofree char *binary = NULL;
  g_autofree char *notice = NULL;
  g_autofree char *composer_notice = NULL;

  app_fixture_start (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  path = g_build_filename (f.dir, "notes.md", NULL);
  binary = g_build_filename (f.dir, "image.dat", NULL);
  g_file_set_contents (path, "# Notes", -1, NULL);
  g_file_set_contents (binary, "a\0b\1", 4, NULL);
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_attachment, app_composer (&f), 5));
  drop (&f, binary);
  g_assert_true (app_fixture_wait (has_notice, &notice, 5));
  g_assert_nonnull (strstr (notice, "image.dat"));
  g_assert_cmpuint (count_files (app_composer (&f)), ==, 1);
  /* The same again; but not what stands in it now. */
  g_clear_pointer (&notice, g_free);
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_notice, &notice, 5));
  g_assert_cmpstr (notice, ==, "“notes.md” is attached already.");
  g_assert_cmpuint (count_files (app_composer (&f)), ==, 1);
  g_file_set_contents (path, "# Other notes", -1, NULL);
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_two_files, app_composer (&f), 5));
  app_fixture_stop (&f);
}

static void
count_cb (AtlSession *session, const char *sentence, guint *n)
{
  (*n)++;
}

static gboolean
has_notice_and_file (gpointer data)
{
  gpointer *both = data;

  return has_notice (both[0]) && has_attachment (both[1]);
}

/* What is of no use here is told at once, by what it is and not by its name, all in one sentence;
 * what can be attached among it is. */
static void
test_drop_many (void)
{
  static const struct
  {
    const char *name, *words, *bytes;
    gsize n_bytes;
  } files[] = {
    { "paper.txt", "a PDF document", "%PDF-1.7 \n", 10 },
    { "photo", "a picture", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16 },
    { "notes.md", NULL, "# Notes", 7 },
    { "song.mp3", "a sound recording", "ID3\3\0\0\0\0\0\0", 10 },
    { "blob", NULL, "GGUF\3\0\0\0\0\0\0\0", 12 },
  };
  AppFixture f;
  char *paths[G_N_ELEMENTS (files)];
  g_autofree char *notice = NULL;
  gpointer both[2] = { &notice, NULL };
  guint n_notices = 0;

  app_fixture_start (&f);
  both[1] = app_composer (&f);
  atl_window_show_page (f.window, "models");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  g_signal_connect (f.session, "notice", G_CALLBACK (count_cb), &n_notices);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      paths[i] = g_build_filename (f.dir, files[i].name, NULL);
      g_assert_true (
          g_file_set_contents (paths[i], files[i].bytes, (gssize) files[i].n_bytes, NULL));
    }
  g_assert_true (
      app_drop (GTK_WIDGET (f.window), 5, 5, (const char *const *) paths, G_N_ELEMENTS (files)));
  g_assert_true (app_fixture_wait (has_notice_and_file, both, 20));
  g_test_message ("%s", notice);
  g_assert_cmpuint (n_notices, ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      if (files[i].words != NULL)
        g_assert_nonnull (strstr (notice, files[i].words));
      g_free (paths[i]);
    }
  g_assert_nonnull (strstr (notice, "1 other"));
  g_assert_nonnull (strstr (notice, ".gguf"));
  g_assert_nonnull (strstr (notice, "Images"));
  g_assert_cmpstr (file_name (both[1], 0), ==, "notes.md");
  g_assert_true (atl_window_shows_page (f.window, "chats"));
  app_fixture_stop (&f);
}

/* A model's name over something else: the engine says what it is, before anything is asked. */
static void
failed_cb (AtlSession *session, const GError *error, const char *name, char **words)
{
  *words = g_strdup_printf ("%s: %s", name, error->message);
}

static void
test_drop_no_model (void)
{
  AppFixture f;
  g_autofree char *words = NULL;
  g_autofree char *path = NULL;

  app_fixture_start (&f);
  g_signal_connect (f.session, "load-failed", G_CALLBACK (failed_cb), &words);
  path = g_build_filename (f.dir, "paper.gguf", NULL);
  g_assert_true (g_file_set_contents (path, "%PDF-1.7 and so on and so on", -1, NULL));
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_notice, &words, 60));
  g_assert_nonnull (strstr (words, "PDF document"));
  g_assert_null (app_dialog ());
  app_fixture_stop (&f);
}

static gboolean
is_empty (gpointer composer)
{
  return count_files (composer) == 0;
}

static guint
count_stored (AppFixture *f, gint64 chat)
{
  g_autoptr (GPtrArray) files = NULL;

  atl_saver_flush (atl_session_get_saver (f->session));
  files = atl_store_draft_files (atl_session_get_store (f->session), chat, NULL);
  g_assert_nonnull (files);
  return files->len;
}

/* Each chat keeps what was attached in it, on disk, until it is sent or removed; several files that
 * cannot be attached are told about at once. */
static void
test_files_stay (void)
{
  AppFixture f;
  GtkWidget *composer, *button;
  g_autofree char *notice = NULL;
  gint64 id;

  app_fixture_start (&f);
  composer = app_composer (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  app_exchange (app_conversation (&f), "one", "answer");
  id = atl_conversation_get_chat_id (app_conversation (&f));
  attach_texts (&f, "a.txt", "b.txt");
  g_assert_true (app_fixture_wait (has_two_files, composer, 20));
  g_assert_cmpuint (count_stored (&f, id), ==, 2);
  atl_window_new_chat (f.window, 0);
  g_assert_true (is_empty (composer));
  attach_texts (&f, "c.txt", "d.txt");
  g_assert_true (app_fixture_wait (has_two_files, composer, 20));
  g_assert_cmpuint (count_stored (&f, 0), ==, 2);
  atl_window_open_chat (f.window, id, 0);
  g_assert_cmpstr (file_name (composer, 0), ==, "a.txt");
  g_assert_cmpstr (file_name (composer, 1), ==, "b.txt");
  button = app_fixture_find (composer, GTK_TYPE_BUTTON, is_tooltip, "Remove “a.txt”");
  g_assert_nonnull (button);
  g_signal_emit_by_name (button, "clicked");
  g_assert_cmpuint (count_files (composer), ==, 1);
  g_assert_cmpuint (count_stored (&f, id), ==, 1);
  atl_window_new_chat (f.window, 0);
  g_assert_cmpstr (file_name (composer, 0), ==, "c.txt");
  /* The new chat gets a row: its files are that chat's, and the next one has none. */
  g_assert_true (atl_conversation_rename (app_conversation (&f), "Named", NULL));
  g_assert_cmpuint (count_stored (&f, 0), ==, 0);
  g_assert_cmpuint (count_stored (&f, atl_conversation_get_chat_id (app_conversation (&f))), ==, 2);
  atl_window_new_chat (f.window, 0);
  g_assert_true (is_empty (composer));
  g_assert_null (notice);
  app_fixture_stop (&f);
}

static gboolean
take_all_cb (AtlComposer *composer, const char *text, const char *attachments, gpointer data)
{
  g_signal_stop_emission_by_name (composer, "send");
  return TRUE;
}

static void
test_files_are_sent (void)
{
  AppFixture f;

  app_fixture_start (&f);
  g_signal_connect (app_composer (&f), "send", G_CALLBACK (take_all_cb), NULL);
  g_signal_handlers_block_matched (app_composer (&f), G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL,
                                   f.window->chat_page);
  attach_texts (&f, "a.txt", "b.txt");
  g_assert_true (app_fixture_wait (has_two_files, app_composer (&f), 20));
  g_assert_cmpuint (count_stored (&f, 0), ==, 2);
  atl_composer_send (ATL_COMPOSER (app_composer (&f)));
  g_assert_true (is_empty (app_composer (&f)));
  g_assert_cmpuint (count_stored (&f, 0), ==, 0);
  app_fixture_stop (&f);
}

static gboolean
has_dialog (gpointer app)
{
  for (GList *l = gtk_application_get_windows (app); l != NULL; l = l->next)
    if (ADW_IS_MESSAGE_DIALOG (l->data))
      return TRUE;
  for (GListModel *m = gtk_window_get_toplevels (); m != NULL; m = NULL)
    for (guint i = 0; i < g_list_model_get_n_items (m); i++)
      {
        g_autoptr (GtkWidget) w = g_list_model_get_item (m, i);
        if (ADW_IS_MESSAGE_DIALOG (w) && gtk_widget_get_visible (w))
          return TRUE;
      }
  return FALSE;
}

static void
test_drop_model (void)
{
  AppFixture f;
  g_autofree char *path = NULL;
  g_autofree char *empty = NULL;
  g_autofree char *notice = NULL;

  app_fixture_start (&f);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &notice);
  path = g_build_filename (f.dir, "model.gguf", NULL);
  g_file_set_contents (path, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, NULL);
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_dialog, f.app, 20));
  app_fixture_shot (GTK_WIDGET (app_dialog ()), "dialog-add-model");
  adw_message_dialog_response (app_dialog (), "cancel");
  gtk_window_destroy (GTK_WINDOW (app_dialog ()));
  app_fixture_spin (100);
  g_assert_false (atl_session_get_is_loading (f.session));
  /* A folder without models is answered in words. */
  empty = g_build_filename (f.dir, "empty", NULL);
  g_mkdir_with_parents (empty, 0700);
  drop (&f, empty);
  g_assert_true (app_fixture_wait (has_notice, &notice, 5));
  g_assert_nonnull (strstr (notice, "empty"));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/composer/keys", test_composer_keys);
  g_test_add_func ("/app/composer/without-model", test_composer_without_model);
  g_test_add_func ("/app/composer/escape-stops", test_escape_stops);
  g_test_add_func ("/app/composer/up-edits-last", test_up_edits_last);
  g_test_add_func ("/app/composer/draft", test_draft);
  g_test_add_func ("/app/composer/grows", test_grows);
  g_test_add_func ("/app/composer/files-stay", test_files_stay);
  g_test_add_func ("/app/composer/files-are-sent", test_files_are_sent);
  g_test_add_func ("/app/composer/paste", test_paste);
  g_test_add_func ("/app/composer/vanished", test_vanished);
  g_test_add_func ("/app/composer/drop-text", test_drop_text);
  g_test_add_func ("/app/composer/drop-many", test_drop_many);
  g_test_add_func ("/app/composer/drop-no-model", test_drop_no_model);
  g_test_add_func ("/app/composer/drop-model", test_drop_model);
  return g_test_run ();
}
