/* What the window tells by itself: the notice bar above its pages, and the bar of a model that is
 * being loaded. */
#include "app/window/window-private.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/dialogs.h"
#include "app/models/model-adder.h"

void
atl_window_show_notice (AtlWindow *self,
                        GtkMessageType type,
                        const char *title,
                        const char *words,
                        const char *button,
                        const char *action)
{
  g_autofree char *told = NULL;

  gtk_info_bar_set_message_type (GTK_INFO_BAR (self->notice_bar), type);
  gtk_label_set_text (GTK_LABEL (self->notice_title), title);
  gtk_label_set_text (GTK_LABEL (self->notice_label), words);
  gtk_widget_set_visible (self->notice_button, button != NULL);
  if (button != NULL)
    {
      gtk_button_set_label (GTK_BUTTON (self->notice_button), button);
      gtk_actionable_set_action_name (GTK_ACTIONABLE (self->notice_button), action);
    }
  gtk_info_bar_set_revealed (GTK_INFO_BAR (self->notice_bar), TRUE);
  told = g_strdup_printf ("%s. %s", title, words);
  atl_accessible_announce (GTK_WIDGET (self), told);
}

void
atl_window_hide_notice (AtlWindow *self)
{
  gtk_info_bar_set_revealed (GTK_INFO_BAR (self->notice_bar), FALSE);
}

static void
notice_response_cb (AtlWindow *self)
{
  atl_window_hide_notice (self);
  /* The button that was pressed is gone. */
  if (gtk_widget_get_mapped (self->chat_page))
    atl_chat_page_focus (ATL_CHAT_PAGE (self->chat_page));
}

static void
engine_lost_cb (AtlClient *client, const char *sentence, AtlWindow *self)
{
  self->engine_was_lost = TRUE;
  atl_window_show_notice (self, GTK_MESSAGE_WARNING, _ ("The engine stopped"), sentence, NULL,
                          NULL);
}

static void
engine_state_cb (AtlWindow *self)
{
  AtlClient *client = atl_session_get_client (self->session);
  AtlEngineState state = atl_client_get_state (client);

  self->engine_was_lost |= state == ATL_ENGINE_NOT_RESPONDING;
  if (state == ATL_ENGINE_NOT_RESPONDING)
    atl_window_show_notice (
        self, GTK_MESSAGE_WARNING, _ ("The engine does not respond"),
        _ ("If it stays silent it is ended and started again in a few seconds. Finished "
           "pictures and what was written so far are kept."),
        NULL, NULL);
  else if (state == ATL_ENGINE_READY && self->engine_was_lost)
    {
      self->engine_was_lost = FALSE;
      atl_window_hide_notice (self);
      /* Where an answer broke off, it says so itself and offers to try again. */
      if (!atl_chat_page_shows_lost_answer (ATL_CHAT_PAGE (self->chat_page)))
        atl_window_toast (
            self, _ ("The engine stopped and runs again. Finished pictures and what was written so "
                     "far are kept."));
    }
}

static const char *
load_error_title (const GError *error)
{
  if (error->domain != ATL_ERROR)
    return _ ("The model could not be loaded");
  switch ((AtlError) error->code)
    {
    case ATL_ERROR_BAD_FILE:
      return _ ("This model file is damaged");
    case ATL_ERROR_UNSUPPORTED:
      return _ ("This kind of model is not supported");
    case ATL_ERROR_NOT_FOUND:
      return _ ("The model file is not there any more");
    case ATL_ERROR_BUSY:
      return _ ("This model ended the engine several times");
    case ATL_ERROR_ENGINE_GONE:
      return _ ("The engine stopped while loading");
    case ATL_ERROR_DEVICE:
    case ATL_ERROR_FULL:
    case ATL_ERROR_INVALID:
    case ATL_ERROR_NO_MEMORY: /* the words say so */
    case ATL_ERROR_NETWORK:
    case ATL_ERROR_TOO_COMPLEX:
    case ATL_ERROR_TOO_LONG:
    default:
      return _ ("The model could not be loaded");
    }
}

static void
load_failed_cb (AtlSession *session, const GError *error, const char *name, AtlWindow *self)
{
  AtlModel *model = atl_session_get_model (session);
  gboolean damaged = g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_autofree char *words =
      damaged ? g_strdup_printf ("%s\n%s", error->message,
                                 _ ("Download it again, or get it from somewhere else."))
              : g_strdup (error->message);

  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY) &&
      atl_session_get_can_load_from_disk (session))
    atl_window_show_notice (self, GTK_MESSAGE_ERROR, load_error_title (error), words,
                            _ ("Read it from the disk (slow)"), "win.load-from-disk");
  else if (model != NULL && atl_model_get_is_loaded (model) &&
           g_strcmp0 (name, atl_session_get_model_name (session)) == 0)
    /* An adapter or a setting that does not suit it: the words say which. */
    atl_window_show_notice (self, GTK_MESSAGE_ERROR, _ ("The model stays as it was"),
                            error->message, NULL, NULL);
  else
    atl_window_show_notice (self, GTK_MESSAGE_ERROR, load_error_title (error), words,
                            _ ("Choose another"), "win.choose-model");
}

static void
refresh_load (AtlWindow *self)
{
  gboolean loading = atl_session_get_is_loading (self->session);
  gboolean was_loading = gtk_revealer_get_reveal_child (GTK_REVEALER (self->load_revealer));
  g_autofree char *words = NULL;

  gtk_revealer_set_reveal_child (GTK_REVEALER (self->load_revealer), loading);
  if (!loading)
    return;
  atl_window_hide_notice (self);
  words = g_strdup_printf ("%s · %s", atl_session_get_load_name (self->session),
                           atl_session_get_load_phase (self->session));
  if (!was_loading)
    atl_accessible_announce (GTK_WIDGET (self), words);
  gtk_label_set_text (GTK_LABEL (self->load_label), words);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->load_bar),
                                 atl_session_get_load_fraction (self->session));
}

static void
model_cb (AtlWindow *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  g_autofree char *words = NULL;

  if (model == NULL || !atl_model_get_is_loaded (model))
    return;
  /* Translators: the name of a model that was loaded, said by a screen reader */
  words = g_strdup_printf (_ ("Ready: %s"), atl_session_get_model_name (self->session));
  atl_accessible_announce (GTK_WIDGET (self), words);
}

static void
notice_cb (AtlSession *session, const char *sentence, AtlWindow *self)
{
  atl_window_toast (self, sentence);
}

/* The newest sentence is enough for all that a full disk stops; when it is over, so is the
 * sentence. */
static void
trouble_cb (AtlSession *session, const char *sentence, AtlWindow *self)
{
  AdwToast *before = self->trouble, *now = NULL;

  if (sentence != NULL)
    now = atl_toast_show (atl_window_get_toasts (self), sentence);
  if (before != NULL && before != now)
    adw_toast_dismiss (before);
  g_set_weak_pointer (&self->trouble, now);
}

static void
cancel_load_cb (AtlWindow *self)
{
  atl_session_cancel_load (self->session);
}

static void
refresh_copy (AtlWindow *self)
{
  AtlModelAdder *adder = atl_model_adder_get (self->session);
  const char *name = atl_model_adder_get_name (adder);
  g_autofree char *words = NULL;

  gtk_revealer_set_reveal_child (GTK_REVEALER (self->copy_revealer), name != NULL);
  if (name == NULL)
    return;
  /* Translators: the name of a file, and "390 MB of 1.1 GB" */
  words = g_strdup_printf (_ ("Copying %s · %s"), name, atl_model_adder_get_words (adder));
  gtk_label_set_text (GTK_LABEL (self->copy_label), words);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->copy_bar),
                                 atl_model_adder_get_fraction (adder));
}

static void
cancel_copy_cb (AtlWindow *self)
{
  atl_model_adder_cancel (atl_model_adder_get (self->session));
}

void
atl_window_bind_notice_callbacks (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_callback (widget_class, notice_response_cb);
  gtk_widget_class_bind_template_callback (widget_class, cancel_load_cb);
  gtk_widget_class_bind_template_callback (widget_class, cancel_copy_cb);
}

void
atl_window_connect_notices (AtlWindow *self)
{
  AtlSession *session = self->session;
  AtlClient *client = atl_session_get_client (session);

  g_signal_connect_object (session, "notice", G_CALLBACK (notice_cb), self, 0);
  g_signal_connect_object (session, "trouble", G_CALLBACK (trouble_cb), self, 0);
  g_signal_connect_object (session, "load-failed", G_CALLBACK (load_failed_cb), self, 0);
  g_signal_connect_object (session, "notify::model", G_CALLBACK (model_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::is-loading", G_CALLBACK (refresh_load), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::load-fraction", G_CALLBACK (refresh_load), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::load-phase", G_CALLBACK (refresh_load), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_model_adder_get (session), "changed", G_CALLBACK (refresh_copy),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (client, "engine-lost", G_CALLBACK (engine_lost_cb), self, 0);
  g_signal_connect_object (client, "notify::state", G_CALLBACK (engine_state_cb), self,
                           G_CONNECT_SWAPPED);
  refresh_load (self);
}
