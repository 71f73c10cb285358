/* Whether what is drawn is to be stopped, and what of it is kept. */
#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/images/images-page-private.h"

/* What there is to lose or to keep, as far as it is now. */
static const char *
question_words (AtlPictureTask *task)
{
  guint n_steps;

  if (atl_picture_task_get_source (task) != NULL)
    return _ ("The picture that is enlarged stays as it is. Pictures that wait come afterwards.");
  if (atl_picture_task_get_step (task, &n_steps) > 0)
    return _ ("What can be seen of it can be kept. Pictures that wait are drawn afterwards.");
  if (atl_picture_task_get_fraction (task) > 0)
    return _ ("It is being finished: go on, and it is kept. Pictures that wait are drawn "
              "afterwards.");
  return _ ("Nothing of it can be seen yet. Pictures that wait are drawn afterwards.");
}

static void
refresh_question (AdwMessageDialog *dialog, GParamSpec *pspec, AtlPictureTask *task)
{
  guint n_steps;

  adw_message_dialog_set_body (dialog, question_words (task));
  if (atl_picture_task_get_source (task) == NULL)
    adw_message_dialog_set_response_enabled (dialog, "keep",
                                             atl_picture_task_get_step (task, &n_steps) > 0);
}

static void
stop_response_cb (AdwMessageDialog *dialog, const char *response, AtlImagesPage *self)
{
  if (!g_str_equal (response, "cancel"))
    atl_pictures_session_stop (self->pictures, g_str_equal (response, "keep"));
}

void
atl_images_page_ask_to_stop (AtlImagesPage *self)
{
  AtlPictureTask *task = atl_pictures_session_get_current (self->pictures);
  AdwMessageDialog *dialog;
  gboolean enlarges;

  if (task == NULL || atl_picture_task_get_is_stopping (task))
    return;
  enlarges = atl_picture_task_get_source (task) != NULL;
  dialog = ADW_MESSAGE_DIALOG (
      adw_message_dialog_new (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                              _ ("Stop this picture?"), question_words (task)));
  adw_message_dialog_add_responses (dialog, "cancel",
                                    enlarges ? _ ("_Go on") : _ ("_Go on drawing"), "stop",
                                    enlarges ? _ ("_Stop") : _ ("_Discard"), NULL);
  adw_message_dialog_set_response_appearance (dialog, "stop", ADW_RESPONSE_DESTRUCTIVE);
  if (!enlarges)
    {
      adw_message_dialog_add_response (dialog, "keep", _ ("_Keep"));
      adw_message_dialog_set_response_appearance (dialog, "keep", ADW_RESPONSE_SUGGESTED);
    }
  adw_message_dialog_set_default_response (dialog, "cancel");
  adw_message_dialog_set_close_response (dialog, "cancel");
  refresh_question (dialog, NULL, task);
  g_signal_connect_object (dialog, "response", G_CALLBACK (stop_response_cb), self, 0);
  /* The picture goes on meanwhile. */
  g_signal_connect_object (task, "notify::progress", G_CALLBACK (refresh_question), dialog,
                           G_CONNECT_SWAPPED);
  /* The question is about this picture, never about the next one. */
  g_signal_connect_object (self->pictures, "notify::current", G_CALLBACK (gtk_window_destroy),
                           dialog, G_CONNECT_SWAPPED);
  gtk_window_present (GTK_WINDOW (dialog));
}
