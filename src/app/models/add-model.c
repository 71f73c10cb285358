/* Bringing a model: looking at what was dropped, asking once, copying with progress, loading. */
#define G_LOG_DOMAIN "atl-app"

#include "app/models/add-model.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/models/open-model.h"
#include "app/words.h"
#include "hub/library.h"

typedef struct
{
  GtkWindow *parent; /* weak */
  AtlSession *session;
  char *path; /* what was dropped */
  AtlModelFile *file;
  GtkWidget *row_group; /* first of the check buttons of a folder */
  GPtrArray *models;    /* (element-type AtlModelFile) of a folder */
  guint chosen;
  GCancellable *cancel;
  GtkWidget *dialog; /* (nullable) of the copy */
  GtkWidget *bar;
} Adding;

static void
free_adding (Adding *adding)
{
  g_clear_weak_pointer (&adding->parent);
  g_clear_weak_pointer (&adding->dialog);
  g_clear_object (&adding->session);
  g_clear_object (&adding->cancel);
  g_clear_pointer (&adding->models, g_ptr_array_unref);
  atl_model_file_free (adding->file);
  g_free (adding->path);
  g_free (adding);
}

gboolean
atl_add_model_is_model_name (const char *name)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);
  return g_str_has_suffix (lower, ".gguf") || g_str_has_suffix (lower, ".safetensors");
}

static void
close_copy_dialog (Adding *adding)
{
  if (adding->dialog == NULL)
    return;
  gtk_window_destroy (GTK_WINDOW (adding->dialog));
}

static void
added_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Adding *adding = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_library_add_finish (result, NULL, &error);

  close_copy_dialog (adding);
  if (path != NULL)
    {
      atl_session_emit_models_changed (adding->session);
      atl_open_model (GTK_WIDGET (adding->parent), adding->session, path);
    }
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    atl_session_emit_notice (adding->session, error->message);
  free_adding (adding);
}

static void
copy_progress_cb (const AtlHubProgress *p, gpointer data)
{
  Adding *adding = data;
  g_autofree char *done = atl_format_bytes (p->done_bytes);
  g_autofree char *total = atl_format_bytes (p->total_bytes);
  g_autofree char *words = NULL;

  if (adding->dialog == NULL || p->total_bytes == 0)
    return;
  words = p->stage == ATL_HUB_CHECKING ? g_strdup (_ ("Checking…"))
                                       : g_strdup_printf (_ ("%s of %s"), done, total);
  adw_message_dialog_set_body (ADW_MESSAGE_DIALOG (adding->dialog), words);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (adding->bar),
                                 (double) p->done_bytes / (double) p->total_bytes);
}

static void
copy_response_cb (AdwMessageDialog *dialog, const char *response, GCancellable *cancel)
{
  g_cancellable_cancel (cancel);
}

static void
show_copy_dialog (Adding *adding)
{
  g_autofree char *heading = g_strdup_printf (_ ("Copying “%s”"), adding->file->name);
  GtkWidget *dialog = adw_message_dialog_new (adding->parent, heading, NULL);

  adding->bar = gtk_progress_bar_new ();
  gtk_accessible_update_property (GTK_ACCESSIBLE (adding->bar), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  heading, -1);
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), adding->bar);
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"));
  g_signal_connect_object (dialog, "response", G_CALLBACK (copy_response_cb), adding->cancel, 0);
  g_set_weak_pointer (&adding->dialog, dialog);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
decided_cb (AdwMessageDialog *dialog, const char *response, Adding *adding)
{
  AtlAddMode mode = g_str_equal (response, "copy") ? ATL_ADD_COPY : ATL_ADD_REFERENCE;

  if (g_str_equal (response, "cancel") || adding->parent == NULL)
    {
      free_adding (adding);
      return;
    }
  if (adding->models != NULL)
    adding->file = atl_model_file_copy (g_ptr_array_index (adding->models, adding->chosen));
  if (mode == ATL_ADD_COPY)
    show_copy_dialog (adding);
  atl_library_add_async (adding->file->path, mode, copy_progress_cb, adding, adding->cancel,
                         added_cb, adding);
}

static void
chosen_cb (GtkCheckButton *button, Adding *adding)
{
  if (gtk_check_button_get_active (button))
    adding->chosen = GPOINTER_TO_UINT (g_object_get_data (G_OBJECT (button), "index"));
}

/* A folder with several models: one is chosen. */
static GtkWidget *
model_choices (Adding *adding)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *list = gtk_list_box_new ();

  for (guint i = 0; i < adding->models->len; i++)
    {
      const AtlModelFile *file = g_ptr_array_index (adding->models, i);
      g_autofree char *size = atl_format_bytes (file->size_bytes);
      GtkWidget *row = adw_action_row_new ();
      GtkWidget *check = gtk_check_button_new ();
      if (adding->row_group != NULL)
        gtk_check_button_set_group (GTK_CHECK_BUTTON (check), GTK_CHECK_BUTTON (adding->row_group));
      else
        adding->row_group = check;
      g_object_set_data (G_OBJECT (check), "index", GUINT_TO_POINTER (i));
      g_signal_connect (check, "toggled", G_CALLBACK (chosen_cb), adding);
      gtk_check_button_set_active (GTK_CHECK_BUTTON (check), i == 0);
      gtk_accessible_update_property (GTK_ACCESSIBLE (check), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      file->name, -1);
      adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
      adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), file->name);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), size);
      adw_action_row_add_prefix (ADW_ACTION_ROW (row), check);
      adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), check);
      gtk_list_box_append (GTK_LIST_BOX (list), row);
    }
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), 260);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), list);
  return scroller;
}

static void
ask (Adding *adding)
{
  const AtlModelFile *first = g_ptr_array_index (adding->models, 0);
  gboolean one = adding->models->len == 1;
  g_autofree char *size = atl_format_bytes (first->size_bytes);
  g_autofree char *heading =
      one ? g_strdup_printf (_ ("Add “%s”?"), first->name)
          : g_strdup_printf (
                ngettext ("%u model was found", "%u models were found", adding->models->len),
                adding->models->len);
  g_autofree char *body =
      one ? g_strdup_printf (_ ("Use the file where it is, or copy its %s into your models folder, "
                                "so that it stays when the original goes."),
                             size)
          : g_strdup (_ ("Choose one. It can be used where it is, or copied into your models "
                         "folder, so that it stays when the original goes."));
  AdwMessageDialog *dialog =
      ADW_MESSAGE_DIALOG (adw_message_dialog_new (adding->parent, heading, body));

  if (!one)
    adw_message_dialog_set_extra_child (dialog, model_choices (adding));
  adw_message_dialog_add_responses (dialog, "cancel", _ ("_Cancel"), "copy", _ ("_Copy it in"),
                                    "reference", _ ("_Use it where it is"), NULL);
  adw_message_dialog_set_response_appearance (dialog, "reference", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (dialog, "reference");
  adw_message_dialog_set_close_response (dialog, "cancel");
  g_signal_connect (dialog, "response", G_CALLBACK (decided_cb), adding);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
scanned_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Adding *adding = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_path_get_basename (adding->path);

  adding->models = atl_library_scan_finish (result, &error);
  if (adding->models == NULL)
    atl_session_emit_notice (adding->session, error->message);
  else if (adding->models->len == 0)
    {
      g_autofree char *words =
          g_strdup_printf (_ ("There is no model in “%s”. Models that Atelier can use are .gguf "
                              "files."),
                           name);
      atl_session_emit_notice (adding->session, words);
    }
  else if (adding->parent != NULL)
    {
      ask (adding);
      return;
    }
  free_adding (adding);
}

void
atl_add_model (GtkWindow *parent, AtlSession *session, GFile *file)
{
  g_autofree char *path = g_file_get_path (file);
  g_autofree char *name = g_file_get_basename (file);
  g_autofree char *inside = NULL;
  Adding *adding;

  if (path == NULL)
    {
      atl_session_emit_notice (
          session, _ ("Only files on this computer can be used. Download the file first."));
      return;
    }
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_autofree char *words = g_strdup_printf (_ ("“%s” is not there any more."), name);
      atl_session_emit_notice (session, words);
      return;
    }
  if (!g_file_test (path, G_FILE_TEST_IS_DIR) && !atl_add_model_is_model_name (name))
    {
      g_autofree char *words = g_strdup_printf (
          _ ("“%s” is no model file. Models that Atelier can use end in .gguf."), name);
      atl_session_emit_notice (session, words);
      return;
    }
  inside = atl_library_find (path);
  if (inside != NULL)
    {
      atl_open_model (GTK_WIDGET (parent), session, inside);
      return;
    }
  adding = g_new0 (Adding, 1);
  g_set_weak_pointer (&adding->parent, parent);
  adding->session = g_object_ref (session);
  adding->path = g_steal_pointer (&path);
  adding->cancel = g_cancellable_new ();
  atl_library_scan_async (adding->path, adding->cancel, scanned_cb, adding);
}

static void
file_chosen_cb (GtkNativeDialog *chooser, int response, AtlSession *session)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      if (file != NULL)
        atl_add_model (gtk_native_dialog_get_transient_for (chooser), session, file);
    }
  g_object_unref (chooser);
}

void
atl_add_model_choose (GtkWindow *parent, AtlSession *session)
{
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      _ ("Open a model"), parent, GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Open"), NULL);
  const char *downloads = g_get_user_special_dir (G_USER_DIRECTORY_DOWNLOAD);
  g_autoptr (GtkFileFilter) models = gtk_file_filter_new ();
  g_autoptr (GtkFileFilter) all = gtk_file_filter_new ();

  gtk_file_filter_set_name (models, _ ("Models"));
  gtk_file_filter_add_pattern (models, "*.gguf");
  gtk_file_filter_add_pattern (models, "*.GGUF");
  gtk_file_filter_add_pattern (models, "*.safetensors");
  gtk_file_filter_set_name (all, _ ("All files"));
  gtk_file_filter_add_pattern (all, "*");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), models);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), all);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  if (downloads != NULL && g_file_test (downloads, G_FILE_TEST_IS_DIR))
    {
      g_autoptr (GFile) folder = g_file_new_for_path (downloads);
      gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (chooser), folder, NULL);
    }
  /* The chooser lives until its answer: it is unreferenced there. */
  g_signal_connect_object (chooser, "response", G_CALLBACK (file_chosen_cb), session, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}
