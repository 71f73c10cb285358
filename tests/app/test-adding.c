/* Models that are brought to the window: one question however many come, damaged ones told and not
 * added, copies while everything else goes on. */
#include "app-steps.h"

#include <string.h>

#include "app/models/add-question.h"
#include "app/models/model-adder.h"
#include "hub/library.h"

/* Sound as a container, of a kind that nobody knows: enough to be asked about. */
#define EMPTY_GGUF "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define DAMAGED_GGUF "GGUF\3\0\0\0\377\377\377\377\377\377\377\177"

static GFile *
add_file (AppFixture *f, const char *name, const char *bytes, gsize size)
{
  g_autofree char *path = g_build_filename (f->dir, name, NULL);

  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
  return g_file_new_for_path (path);
}

static guint
count_dialogs (void)
{
  GListModel *toplevels = gtk_window_get_toplevels ();
  guint n = 0;

  for (guint i = 0; i < g_list_model_get_n_items (toplevels); i++)
    {
      g_autoptr (GtkWidget) w = g_list_model_get_item (toplevels, i);
      n += ADW_IS_MESSAGE_DIALOG (w) && gtk_widget_get_visible (w);
    }
  return n;
}

static gboolean
has_dialog (gpointer data)
{
  return app_dialog () != NULL;
}

static gboolean
lists_three (gpointer data)
{
  return app_dialog () != NULL && strstr (adw_message_dialog_get_heading (app_dialog ()), "3");
}

static gboolean
is_revealed (gpointer bar)
{
  return gtk_info_bar_get_revealed (GTK_INFO_BAR (bar));
}

static gboolean
is_in_library (gpointer name)
{
  g_autofree char *path = g_build_filename (atl_library_dir (), name, NULL);
  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static void
answer (const char *response)
{
  AdwMessageDialog *dialog = app_dialog ();

  adw_message_dialog_response (dialog, response);
  gtk_window_destroy (GTK_WINDOW (dialog));
}

/* Several files, and more while the question is open: still one question, about all of them. */
static void
test_one_question (void)
{
  AppFixture f;
  g_autoptr (GFile) a = NULL, b = NULL, c = NULL;

  app_fixture_start (&f);
  a = add_file (&f, "first.gguf", EMPTY_GGUF, 24);
  b = add_file (&f, "second.gguf", EMPTY_GGUF, 24);
  c = add_file (&f, "third.gguf", EMPTY_GGUF, 24);
  atl_window_open_files (f.window, NULL, (GFile *[]){ a, b }, 2);
  g_assert_true (app_fixture_wait (has_dialog, NULL, 20));
  g_assert_cmpuint (count_dialogs (), ==, 1);
  atl_window_open_files (f.window, NULL, (GFile *[]){ c, a }, 2);
  g_assert_true (app_fixture_wait (lists_three, NULL, 20));
  g_assert_cmpuint (count_dialogs (), ==, 1);
  app_fixture_shot (GTK_WIDGET (app_dialog ()), "dialog-add-models");
  /* One is left out. */
  gtk_check_button_set_active (GTK_CHECK_BUTTON (app_fixture_find (
                                   GTK_WIDGET (app_dialog ()), GTK_TYPE_CHECK_BUTTON, NULL, NULL)),
                               FALSE);
  answer ("copy");
  g_assert_true (app_fixture_wait (is_in_library, (gpointer) "third.gguf", 20));
  g_assert_true (is_in_library ((gpointer) "second.gguf"));
  g_assert_false (is_in_library ((gpointer) "first.gguf"));
  app_fixture_stop (&f);
}

static void
answered_cb (GtkWidget *question, AtlAddAnswer answer, gpointer data)
{
}

static gboolean
says_below (GtkWidget *row, gconstpointer words)
{
  const char *subtitle = adw_action_row_get_subtitle (ADW_ACTION_ROW (row));

  return subtitle != NULL && g_str_has_prefix (subtitle, words);
}

/* Files of one name are told apart by their folders. */
static void
test_same_names (void)
{
  AtlModelFile one = { .path = (char *) "/a/unet/model.safetensors", .name = (char *) "model" };
  AtlModelFile two = { .path = (char *) "/a/vae/model.safetensors", .name = (char *) "model" };
  AtlModelFile other = { .path = (char *) "/a/other/ink.safetensors", .name = (char *) "ink" };
  g_autoptr (GPtrArray) models = g_ptr_array_new ();
  g_autoptr (GHashTable) reasons = g_hash_table_new (g_str_hash, g_str_equal);
  GtkWidget *question;
  AppFixture f;

  app_fixture_start (&f);
  g_ptr_array_add (models, &one);
  g_ptr_array_add (models, &two);
  g_ptr_array_add (models, &other);
  question = atl_add_question_new (GTK_WINDOW (f.window), models, reasons, answered_cb, f.session);
  g_assert_nonnull (app_fixture_find (question, ADW_TYPE_ACTION_ROW, says_below, "unet · "));
  g_assert_nonnull (app_fixture_find (question, ADW_TYPE_ACTION_ROW, says_below, "vae · "));
  g_assert_null (app_fixture_find (question, ADW_TYPE_ACTION_ROW, says_below, "other · "));
  gtk_window_destroy (GTK_WINDOW (question));
  app_fixture_stop (&f);
}

/* What cannot be read is told at once, and only the rest is asked about. */
static void
test_damaged (void)
{
  AppFixture f;
  g_autoptr (GFile) sound = NULL, damaged = NULL, other = NULL;
  const char *words;

  app_fixture_start (&f);
  damaged = add_file (&f, "damaged.gguf", DAMAGED_GGUF, 16);
  other = add_file (&f, "other.gguf", DAMAGED_GGUF, 16);
  sound = add_file (&f, "sound.gguf", EMPTY_GGUF, 24);
  atl_window_open_files (f.window, NULL, (GFile *[]){ damaged, other }, 2);
  g_assert_true (app_fixture_wait (is_revealed, f.window->notice_bar, 20));
  words = gtk_label_get_text (GTK_LABEL (f.window->notice_label));
  g_assert_nonnull (strstr (words, "damaged.gguf"));
  g_assert_nonnull (strstr (words, "1 other file"));
  g_assert_cmpuint (count_dialogs (), ==, 0);
  atl_window_open_files (f.window, NULL, (GFile *[]){ damaged, sound }, 2);
  g_assert_true (app_fixture_wait (has_dialog, NULL, 20));
  g_assert_cmpstr (adw_message_dialog_get_heading (app_dialog ()), ==, "Add “sound”?");
  g_assert_nonnull (strstr (adw_message_dialog_get_body (app_dialog ()), "24 bytes"));
  answer ("cancel");
  app_fixture_spin (100);
  g_assert_false (is_in_library ((gpointer) "sound.gguf"));
  g_assert_false (is_in_library ((gpointer) "damaged.gguf"));
  app_fixture_stop (&f);
}

static gboolean
is_done (gpointer adder)
{
  return atl_model_adder_get_name (adder) == NULL;
}

static gboolean
is_copying_or_done (gpointer adder)
{
  return atl_model_adder_get_fraction (adder) > 0 || is_done (adder);
}

/* The bar of a copy: no dialog stands in the way, and cancelling leaves nothing behind. */
static void
test_copy_bar (void)
{
  AppFixture f;
  g_autoptr (GFile) large = NULL;
  g_autofree char *path = NULL;
  AtlModelAdder *adder;

  app_fixture_start (&f);
  adder = atl_model_adder_get (f.session);
  large = add_file (&f, "large.gguf", EMPTY_GGUF, 24);
  path = g_file_get_path (large);
  g_assert_cmpint (truncate (path, 512 << 20), ==, 0);
  atl_window_open_files (f.window, NULL, &large, 1);
  g_assert_true (app_fixture_wait (has_dialog, NULL, 20));
  answer ("copy");
  if (!app_fixture_wait (is_copying_or_done, adder, 20) || is_done (adder))
    {
      g_test_skip ("512 MB were copied before the window was drawn: nothing was left to cancel");
      app_fixture_stop (&f);
      return;
    }
  g_assert_cmpuint (count_dialogs (), ==, 0);
  g_assert_true (gtk_revealer_get_reveal_child (GTK_REVEALER (f.window->copy_revealer)));
  g_assert_nonnull (strstr (gtk_label_get_text (GTK_LABEL (f.window->copy_label)), "large.gguf"));
  atl_model_adder_cancel (adder);
  g_assert_true (app_fixture_wait (is_done, adder, 20));
  g_assert_false (gtk_revealer_get_reveal_child (GTK_REVEALER (f.window->copy_revealer)));
  if (is_in_library ((gpointer) "large.gguf"))
    g_test_skip ("512 MB were copied before the cancelling came: it was not seen");
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/adding/one-question", test_one_question);
  g_test_add_func ("/app/adding/same-names", test_same_names);
  g_test_add_func ("/app/adding/damaged", test_damaged);
  g_test_add_func ("/app/adding/copy-bar", test_copy_bar);
  return g_test_run ();
}
