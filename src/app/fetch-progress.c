/* Bar and words of a download. */
#include "app/fetch-progress.h"

#include <glib/gi18n.h>

#include "app/words.h"

struct _AtlFetchProgress
{
  GtkWidget parent_instance;

  GCancellable *cancel; /* (nullable) while something is fetched */
  GtkWidget *box;
  GtkWidget *label;
  GtkWidget *bar;
};

G_DEFINE_FINAL_TYPE (AtlFetchProgress, atl_fetch_progress, GTK_TYPE_WIDGET)

/* "flux1-schnell: 1.2 GB of 4.0 GB, 2 min left". The caller's. */
static char *
progress_words (const AtlHubProgress *progress)
{
  g_autofree char *done = atl_format_bytes (progress->done_bytes);
  g_autofree char *total = atl_format_bytes (progress->total_bytes);
  g_autofree char *left = NULL;

  if (progress->stage == ATL_HUB_CHECKING)
    return g_strdup (_ ("Checking that every byte is right…"));
  if (progress->total_bytes == 0 || progress->stage == ATL_HUB_CONNECTING)
    return g_strdup (_ ("Looking where it can be had…"));
  if (progress->seconds_left < 1)
    return g_strdup_printf (_ ("%s: %s of %s"), progress->what, done, total);
  left = atl_format_seconds (progress->seconds_left);
  return g_strdup_printf (_ ("%s: %s of %s, %s left"), progress->what, done, total, left);
}

void
atl_fetch_progress_show (AtlFetchProgress *self, const AtlHubProgress *progress)
{
  g_autofree char *words = progress_words (progress);

  gtk_label_set_text (GTK_LABEL (self->label), words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->bar), GTK_ACCESSIBLE_PROPERTY_VALUE_TEXT,
                                  words, -1);
  if (progress->total_bytes > 0)
    gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar),
                                   (double) progress->done_bytes / (double) progress->total_bytes);
}

GCancellable *
atl_fetch_progress_begin (AtlFetchProgress *self)
{
  g_return_val_if_fail (self->cancel == NULL, NULL);

  self->cancel = g_cancellable_new ();
  gtk_label_set_text (GTK_LABEL (self->label), _ ("Looking where it can be had…"));
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar), 0);
  gtk_widget_set_visible (GTK_WIDGET (self), TRUE);
  return self->cancel;
}

void
atl_fetch_progress_end (AtlFetchProgress *self)
{
  g_clear_object (&self->cancel);
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}

gboolean
atl_fetch_progress_get_is_running (AtlFetchProgress *self)
{
  return self->cancel != NULL;
}

static void
cancel_cb (AtlFetchProgress *self)
{
  if (self->cancel != NULL)
    g_cancellable_cancel (self->cancel);
}

static void
atl_fetch_progress_dispose (GObject *object)
{
  AtlFetchProgress *self = ATL_FETCH_PROGRESS (object);

  cancel_cb (self);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_fetch_progress_parent_class)->dispose (object);
}

static void
atl_fetch_progress_finalize (GObject *object)
{
  g_clear_object (&ATL_FETCH_PROGRESS (object)->cancel);
  G_OBJECT_CLASS (atl_fetch_progress_parent_class)->finalize (object);
}

static void
atl_fetch_progress_class_init (AtlFetchProgressClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_fetch_progress_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_fetch_progress_finalize;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/fetch-progress.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlFetchProgress, name)
  BIND (box);
  BIND (label);
  BIND (bar);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, cancel_cb);
}

static void
atl_fetch_progress_init (AtlFetchProgress *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}
