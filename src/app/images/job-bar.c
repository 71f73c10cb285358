/* Follows the task that is being drawn. */
#include "app/images/job-bar.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "app/accessible.h"
#include "app/images/queue-view.h"
#include "app/words.h"

struct _AtlJobBar
{
  GtkWidget parent_instance;

  AtlPicturesSession *pictures; /* (nullable) borrowed */
  GSignalGroup *task;
  guint second_source; /* while something is drawn */

  GtkWidget *revealer;
  GtkWidget *label;
  GtkWidget *bar;
  GtkWidget *pause_button;
  GtkWidget *stop_button;
  GtkWidget *queue_button;
  GtkWidget *queue_label;
  GtkWidget *queue_view;
};

G_DEFINE_FINAL_TYPE (AtlJobBar, atl_job_bar, GTK_TYPE_WIDGET)

/* "Drawing · step 7 of 20 · about 12 s left" */
static char *
describe (AtlPictureTask *task, gboolean is_paused)
{
  guint n_steps, step = atl_picture_task_get_step (task, &n_steps);
  double left = atl_picture_task_get_seconds_left (task);
  gboolean rests = is_paused && !atl_picture_task_pauses_after (task);
  GString *words = g_string_new (rests ? _ ("Paused") : atl_picture_task_get_phase (task));

  if (is_paused && !rests)
    {
      g_string_append (words, " · ");
      /* Translators: after "Finishing": the picture is finished first. */
      g_string_append (words, _ ("paused after that"));
    }
  if (n_steps > 0)
    {
      g_string_append (words, " · ");
      g_string_append_printf (words, _ ("step %u of %u"), step, n_steps);
    }
  if (left >= 1 && !is_paused)
    {
      /* No tenths: it is a guess. */
      g_autofree char *time = left < 10 ? g_strdup_printf (_ ("%.0f s"), ceil (left))
                                        : atl_format_seconds (ceil (left));

      g_string_append (words, " · ");
      /* Translators: a time such as "12 s". */
      g_string_append_printf (words, _ ("about %s left"), time);
    }
  return g_string_free (words, FALSE);
}

/* "2 wait · 1 failed" */
static char *
describe_queue (guint n_waiting, guint n_failed, guint n_saving)
{
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  g_auto (GStrv) parts = NULL;
  g_autofree char *waiting =
      g_strdup_printf (ngettext ("%u waits", "%u wait", n_waiting), n_waiting);
  g_autofree char *failed =
      g_strdup_printf (ngettext ("%u failed", "%u failed", n_failed), n_failed);
  g_autofree char *saving =
      g_strdup_printf (ngettext ("%u being saved", "%u being saved", n_saving), n_saving);

  if (n_waiting > 0)
    g_strv_builder_add (words, waiting);
  if (n_failed > 0)
    g_strv_builder_add (words, failed);
  if (n_waiting + n_failed == 0)
    g_strv_builder_add (words, saving);
  parts = g_strv_builder_end (words);
  return g_strjoinv (" · ", parts);
}

static void
refresh_queue (AtlJobBar *self)
{
  AtlPictureQueue *queue = atl_pictures_session_get_queue (self->pictures);
  guint n = atl_picture_queue_n_waiting (queue);
  guint n_all = g_list_model_get_n_items (G_LIST_MODEL (queue));
  AtlPictureTask *task = atl_pictures_session_get_current (self->pictures);
  guint n_failed = atl_picture_queue_n_failed (queue);
  guint n_saving = n_all - MIN (n_all, n + n_failed);
  g_autofree char *label = describe_queue (n, n_failed, n_saving);

  /* The label gives way in a narrow window; said again only when it says something else. */
  if (strcmp (gtk_label_get_text (GTK_LABEL (self->queue_label)), label) != 0)
    {
      g_autofree char *words = g_strdup_printf ("%s: %s", _ ("What comes next"), label);

      gtk_label_set_text (GTK_LABEL (self->queue_label), label);
      atl_accessible_set_menu_button (GTK_MENU_BUTTON (self->queue_button), words);
    }
  gtk_widget_set_visible (self->queue_button, n_all > (task != NULL));
  gtk_revealer_set_reveal_child (GTK_REVEALER (self->revealer), n_all > 0);
}

/* Only what is another: a screen reader says each time what this button is called, and it is the
 * one that has the focus while a person waits. */
static void
refresh_pause (AtlJobBar *self, gboolean is_paused)
{
  const char *words = is_paused ? _ ("Go on") : _ ("Pause");

  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->pause_button), is_paused);
  if (g_strcmp0 (gtk_widget_get_tooltip_text (self->pause_button), words) == 0)
    return;
  gtk_button_set_icon_name (GTK_BUTTON (self->pause_button), is_paused
                                                                 ? "media-playback-start-symbolic"
                                                                 : "media-playback-pause-symbolic");
  gtk_widget_set_tooltip_text (self->pause_button, words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->pause_button),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, words, -1);
}

static void
refresh (AtlJobBar *self)
{
  AtlPictureTask *task = atl_pictures_session_get_current (self->pictures);
  gboolean is_paused = atl_pictures_session_get_is_paused (self->pictures);
  gboolean has_work =
      task != NULL || is_paused ||
      atl_picture_queue_n_waiting (atl_pictures_session_get_queue (self->pictures)) > 0;
  g_autofree char *words = NULL;

  refresh_pause (self, is_paused);
  gtk_widget_set_visible (self->bar, task != NULL);
  /* Both or none, so that neither is ever where the other was. */
  gtk_widget_set_visible (self->pause_button, has_work);
  gtk_widget_set_visible (self->stop_button, has_work);
  if (task == NULL)
    {
      gtk_label_set_text (GTK_LABEL (self->label),
                          !is_paused ? ""
                          : atl_pictures_session_get_has_kept (self->pictures)
                              ? _ ("Waiting since last time")
                              : _ ("Paused"));
      gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar), 0);
      refresh_queue (self);
      return;
    }
  words = describe (task, is_paused);
  gtk_label_set_text (GTK_LABEL (self->label), words);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar),
                                 atl_picture_task_get_fraction (task));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->bar), GTK_ACCESSIBLE_PROPERTY_VALUE_TEXT,
                                  words, -1);
  refresh_queue (self);
}

static gboolean
second_cb (gpointer data)
{
  AtlJobBar *self = data;

  if (!atl_pictures_session_get_is_paused (self->pictures))
    atl_picture_task_pass_second (atl_pictures_session_get_current (self->pictures));
  return G_SOURCE_CONTINUE;
}

static void
current_cb (AtlJobBar *self)
{
  g_clear_handle_id (&self->second_source, g_source_remove);
  if (atl_pictures_session_get_current (self->pictures) != NULL)
    self->second_source = g_timeout_add_seconds (1, second_cb, self);
  g_signal_group_set_target (self->task, atl_pictures_session_get_current (self->pictures));
  refresh (self);
}

static void
pause_cb (AtlJobBar *self)
{
  if (self->pictures != NULL)
    atl_pictures_session_set_is_paused (
        self->pictures, gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->pause_button)));
}

void
atl_job_bar_set_session (AtlJobBar *self, AtlPicturesSession *pictures)
{
  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  atl_queue_view_set_session (ATL_QUEUE_VIEW (self->queue_view), pictures);
  g_signal_connect_object (pictures, "notify::current", G_CALLBACK (current_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "notify::is-paused", G_CALLBACK (refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_pictures_session_get_queue (pictures), "items-changed",
                           G_CALLBACK (refresh_queue), self, G_CONNECT_SWAPPED);
  /* What was being saved has not left the list. */
  g_signal_connect_object (pictures, "failed", G_CALLBACK (refresh_queue), self, G_CONNECT_SWAPPED);
  current_cb (self);
}

static void
atl_job_bar_dispose (GObject *object)
{
  AtlJobBar *self = ATL_JOB_BAR (object);

  g_clear_handle_id (&self->second_source, g_source_remove);
  g_clear_object (&self->task);
  g_clear_pointer (&self->revealer, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_job_bar_parent_class)->dispose (object);
}

static void
atl_job_bar_class_init (AtlJobBarClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_job_bar_dispose;
  g_type_ensure (ATL_TYPE_QUEUE_VIEW);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/job-bar.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlJobBar, name)
  BIND (revealer);
  BIND (label);
  BIND (bar);
  BIND (pause_button);
  BIND (stop_button);
  BIND (queue_button);
  BIND (queue_label);
  BIND (queue_view);
#undef BIND
}

static void
atl_job_bar_init (AtlJobBar *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->task = g_signal_group_new (ATL_TYPE_PICTURE_TASK);
  g_signal_group_connect_swapped (self->task, "notify::progress", G_CALLBACK (refresh), self);
  g_signal_connect_swapped (self->pause_button, "toggled", G_CALLBACK (pause_cb), self);
}
