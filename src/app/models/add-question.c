/* One dialog, with a list where there is something to choose. */
#include "app/models/add-question.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/words.h"
#include "hub/library.h"

#define LIST_HEIGHT 260

typedef struct
{
  AtlAddAnswerFunc answered;
  GObject *data;     /* (owned) */
  GPtrArray *checks; /* (element-type GtkCheckButton) borrowed; empty for a single model */
} Question;

static void
free_question (gpointer data)
{
  Question *question = data;

  g_object_unref (question->data);
  g_ptr_array_unref (question->checks);
  g_free (question);
}

static Question *
get_question (GtkWidget *dialog)
{
  return g_object_get_data (G_OBJECT (dialog), "question");
}

gboolean
atl_add_question_is_chosen (GtkWidget *dialog, guint index)
{
  Question *question = get_question (dialog);

  return question->checks->len == 0 ||
         gtk_check_button_get_active (g_ptr_array_index (question->checks, index));
}

static void
response_cb (GtkWidget *dialog, const char *response, Question *question)
{
  question->answered (dialog,
                      g_str_equal (response, "copy")        ? ATL_ADD_ANSWER_COPY
                      : g_str_equal (response, "reference") ? ATL_ADD_ANSWER_REFERENCE
                                                            : ATL_ADD_ANSWER_CANCEL,
                      question->data);
}

void
atl_add_question_withdraw (GtkWidget *dialog)
{
  g_signal_handlers_disconnect_by_func (dialog, response_cb, get_question (dialog));
  gtk_window_destroy (GTK_WINDOW (dialog));
}

static void
toggled_cb (AdwMessageDialog *dialog)
{
  Question *question = get_question (GTK_WIDGET (dialog));
  gboolean any = question->checks->len == 0;

  for (guint i = 0; i < question->checks->len; i++)
    any |= gtk_check_button_get_active (g_ptr_array_index (question->checks, i));
  adw_message_dialog_set_response_enabled (dialog, "copy", any);
  adw_message_dialog_set_response_enabled (dialog, "reference", any);
}

/* The folder that tells it from others of the same name; NULL where its name does. The caller's. */
static char *
folder_of (const AtlModelFile *file, GPtrArray *models)
{
  g_autofree char *folder = g_path_get_dirname (file->path);

  for (guint i = 0; i < models->len; i++)
    {
      const AtlModelFile *other = g_ptr_array_index (models, i);

      if (other != file && g_strcmp0 (other->name, file->name) == 0)
        return g_filename_display_basename (folder);
    }
  return NULL;
}

static GtkWidget *
new_row (const AtlModelFile *file,
         GPtrArray *models,
         const char *reason,
         gboolean chosen,
         GtkWidget *check)
{
  g_autofree char *size = atl_format_bytes (file->size_bytes);
  g_autofree char *folder = folder_of (file, models);
  g_autofree char *where =
      folder != NULL ? g_strdup_printf ("%s · %s", folder, size) : g_strdup (size);
  g_autofree char *subtitle =
      reason != NULL ? g_strdup_printf ("%s · %s", where, reason) : g_strdup (where);
  g_autofree char *label =
      folder != NULL ? g_strdup_printf ("%s, %s", file->name, folder) : g_strdup (file->name);
  GtkWidget *row = adw_action_row_new ();

  gtk_check_button_set_active (GTK_CHECK_BUTTON (check), chosen);
  gtk_accessible_update_property (GTK_ACCESSIBLE (check), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), file->name);
  adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 1);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), check);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), check);
  return row;
}

static GtkWidget *
new_list (GtkWidget *dialog, GPtrArray *models, GHashTable *reasons, GPtrArray *checks)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *list = gtk_list_box_new ();
  gboolean none_can_run = g_hash_table_size (reasons) == models->len;

  for (guint i = 0; i < models->len; i++)
    {
      GtkWidget *check = gtk_check_button_new ();

      const AtlModelFile *file = g_ptr_array_index (models, i);
      const char *reason = g_hash_table_lookup (reasons, file->path);

      gtk_list_box_append (GTK_LIST_BOX (list),
                           new_row (file, models, reason, reason == NULL || none_can_run, check));
      g_ptr_array_add (checks, check);
      g_signal_connect_swapped (check, "toggled", G_CALLBACK (toggled_cb), dialog);
    }
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  gtk_accessible_update_property (GTK_ACCESSIBLE (list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Models that were found"), -1);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), LIST_HEIGHT);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), list);
  return scroller;
}

static char *
heading_for (GPtrArray *models)
{
  const AtlModelFile *first = g_ptr_array_index (models, 0);

  if (models->len == 1)
    return g_strdup_printf (_ ("Add “%s”?"), first->name);
  return g_strdup_printf (ngettext ("%u model was found", "%u models were found", models->len),
                          models->len);
}

static char *
body_for (GPtrArray *models, GHashTable *reasons)
{
  const AtlModelFile *first = g_ptr_array_index (models, 0);
  const char *reason = g_hash_table_lookup (reasons, first->path);
  guint64 bytes = 0;
  g_autofree char *size = NULL;

  for (guint i = 0; i < models->len; i++)
    bytes += ((AtlModelFile *) g_ptr_array_index (models, i))->size_bytes;
  size = atl_format_bytes (bytes);
  if (models->len == 1 && reason != NULL)
    return g_strdup_printf (
        _ ("It cannot be used by itself: %s\nYou can add its %s all the same, as "
           "a part of another model."),
        reason, size);
  if (models->len == 1)
    return g_strdup_printf (
        _ ("Use it where it is, or copy its %s into your models folder, so that "
           "it stays when the original goes."),
        size);
  return g_strdup_printf (_ ("Choose which to add; the first is opened. Use them where they are, "
                             "or copy them (all: %s) into your models folder, so that they stay "
                             "when the originals go."),
                          size);
}

GtkWidget *
atl_add_question_new (GtkWindow *parent,
                      GPtrArray *models,
                      GHashTable *reasons,
                      AtlAddAnswerFunc answered,
                      gpointer data)
{
  g_autofree char *heading = heading_for (models);
  g_autofree char *body = body_for (models, reasons);
  GtkWidget *dialog = adw_message_dialog_new (parent, heading, body);
  AdwMessageDialog *message = ADW_MESSAGE_DIALOG (dialog);
  Question *question = g_new0 (Question, 1);

  question->answered = answered;
  question->data = g_object_ref (data);
  question->checks = g_ptr_array_new ();
  g_object_set_data_full (G_OBJECT (dialog), "question", question, free_question);
  if (models->len > 1)
    adw_message_dialog_set_extra_child (message,
                                        new_list (dialog, models, reasons, question->checks));
  adw_message_dialog_add_responses (message, "cancel", _ ("_Cancel"), "copy", _ ("C_opy it in"),
                                    "reference", _ ("_Use it where it is"), NULL);
  if (models->len > 1)
    {
      adw_message_dialog_set_response_label (message, "copy", _ ("C_opy them in"));
      adw_message_dialog_set_response_label (message, "reference", _ ("_Use them where they are"));
    }
  adw_message_dialog_set_response_appearance (message, "reference", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (
      message, g_hash_table_size (reasons) < models->len ? "reference" : "cancel");
  adw_message_dialog_set_close_response (message, "cancel");
  toggled_cb (message);
  g_signal_connect (dialog, "response", G_CALLBACK (response_cb), question);
  return dialog;
}
