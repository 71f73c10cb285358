/* Downloading the recommended first model. */
#include "app/models/starter-button.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/fetch-progress.h"
#include "app/words.h"
#include "hub/starter.h"

struct _AtlStarterButton
{
  GtkWidget parent_instance;

  AtlSession *session; /* (nullable) */

  GtkWidget *box;
  GtkWidget *button;
  GtkWidget *button_label;
  GtkWidget *detail;
  GtkWidget *progress;
  GtkWidget *error_label;
};

G_DEFINE_FINAL_TYPE (AtlStarterButton, atl_starter_button, GTK_TYPE_WIDGET)

static void
refresh (AtlStarterButton *self)
{
  const AtlStarter *starter = atl_starter_choose (ATL_STARTER_BEST);
  g_autofree char *size = atl_format_bytes (starter->size_bytes);
  g_autofree char *label = g_strdup_printf (_ ("Get %s (%s)"), starter->title, size);
  g_autofree char *detail = g_strdup_printf (_ ("Licence: %s"), starter->license);
  gboolean fetching = atl_fetch_progress_get_is_running (ATL_FETCH_PROGRESS (self->progress));

  gtk_label_set_text (GTK_LABEL (self->button_label), label);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  label, -1);
  gtk_label_set_text (GTK_LABEL (self->detail), detail);
  gtk_widget_set_visible (self->button, !fetching);
  gtk_widget_set_visible (self->detail, !fetching);
}

static void
progress_cb (const AtlHubProgress *progress, gpointer data)
{
  AtlStarterButton *self = data;

  if (self->session != NULL)
    atl_fetch_progress_show (ATL_FETCH_PROGRESS (self->progress), progress);
}

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlStarterButton) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_starter_fetch_finish (result, &error);

  gboolean had_focus;

  if (self->session == NULL)
    return;
  had_focus = atl_fetch_progress_end (ATL_FETCH_PROGRESS (self->progress));
  refresh (self);
  if (had_focus)
    gtk_widget_grab_focus (self->button);
  if (path != NULL)
    {
      const char *paths[] = { path, NULL };
      atl_session_emit_models_changed (self->session);
      atl_session_load_model (self->session, paths, TRUE);
    }
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      gtk_label_set_text (GTK_LABEL (self->error_label), error->message);
      gtk_widget_set_visible (self->error_label, TRUE);
      atl_accessible_announce (GTK_WIDGET (self), error->message);
    }
}

static void
fetch_cb (AtlStarterButton *self)
{
  GCancellable *cancel = atl_fetch_progress_begin (ATL_FETCH_PROGRESS (self->progress));

  gtk_widget_set_visible (self->error_label, FALSE);
  refresh (self);
  atl_starter_fetch_async (NULL, ATL_STARTER_BEST, progress_cb, self, cancel, done_cb,
                           g_object_ref (self));
}

void
atl_starter_button_set_session (AtlStarterButton *self, AtlSession *session)
{
  g_set_object (&self->session, session);
  refresh (self);
}

static void
atl_starter_button_dispose (GObject *object)
{
  AtlStarterButton *self = ATL_STARTER_BUTTON (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_starter_button_parent_class)->dispose (object);
}

static void
atl_starter_button_class_init (AtlStarterButtonClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_starter_button_dispose;
  g_type_ensure (ATL_TYPE_FETCH_PROGRESS);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/starter-button.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlStarterButton, name)
  BIND (box);
  BIND (button);
  BIND (button_label);
  BIND (detail);
  BIND (progress);
  BIND (error_label);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, fetch_cb);
}

static void
atl_starter_button_init (AtlStarterButton *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
