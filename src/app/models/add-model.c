/* The ways to bring a model: a name that looks like one, the file chooser. */
#include "app/models/add-model.h"

#include <glib/gi18n.h>

#include "app/dialogs.h"
#include "app/models/model-adder.h"
#include "hub/model-folder.h"

static gboolean
is_model_name (const char *name)
{
  static const char *const endings[] = { ".gguf", ".safetensors", ".sft", ".pth", ".param" };
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (lower, endings[i]))
      return TRUE;
  return FALSE;
}

gboolean
atl_add_model_is_model (GFile *file)
{
  g_autofree char *name = g_file_get_basename (file);
  const char *path = g_file_peek_path (file);
  g_autofree char *pair = path != NULL ? atl_model_pair_of_weights (path) : NULL;

  return pair != NULL || is_model_name (name);
}

static void
file_chosen_cb (GtkNativeDialog *chooser, int response, AtlSession *session)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GPtrArray) files = atl_chosen_files (GTK_FILE_CHOOSER (chooser));

      atl_model_adder_bring (atl_model_adder_get (session),
                             gtk_native_dialog_get_transient_for (chooser),
                             (GFile *const *) files->pdata, files->len);
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
  gtk_file_filter_add_pattern (models, "*.sft");
  gtk_file_filter_add_pattern (models, "*.pth");
  gtk_file_filter_add_pattern (models, "*.param");
  gtk_file_filter_set_name (all, _ ("All files"));
  gtk_file_filter_add_pattern (all, "*");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), models);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), all);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (chooser), TRUE);
  if (downloads != NULL && g_file_test (downloads, G_FILE_TEST_IS_DIR))
    {
      g_autoptr (GFile) folder = g_file_new_for_path (downloads);
      gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (chooser), folder, NULL);
    }
  /* The chooser lives until its answer: it is unreferenced there. */
  g_signal_connect_object (chooser, "response", G_CALLBACK (file_chosen_cb), session, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}
