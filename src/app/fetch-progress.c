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
  GtkWidget *cancel_button;
  char *so_far; /* (nullable) of a file: what and how much has come */
  guint quiet;  /* source: nothing came for a while */
};

/* Longer than a line that works lets one wait. */
#define QUIET_S 5

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

static void
say (AtlFetchProgress *self, const char *words)
{
  gtk_label_set_text (GTK_LABEL (self->label), words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->bar), GTK_ACCESSIBLE_PROPERTY_VALUE_TEXT,
                                  words, -1);
}

/* The time that was left is no longer true. */
static gboolean
quiet_cb (gpointer data)
{
  AtlFetchProgress *self = data;
  /* Translators: before it stands "flux1-schnell: 1.2 GB of 4.0 GB". */
  g_autofree char *words = g_strdup_printf (_ ("%s, waiting for the line"), self->so_far);

  self->quiet = 0;
  say (self, words);
  return G_SOURCE_REMOVE;
}

static void
expect_more (AtlFetchProgress *self, const AtlHubProgress *progress)
{
  g_autofree char *done = atl_format_bytes (progress->done_bytes);
  g_autofree char *total = atl_format_bytes (progress->total_bytes);

  g_clear_handle_id (&self->quiet, g_source_remove);
  g_clear_pointer (&self->so_far, g_free);
  if (progress->stage != ATL_HUB_DOWNLOADING || progress->total_bytes == 0)
    return;
  self->so_far = g_strdup_printf (_ ("%s: %s of %s"), progress->what, done, total);
  self->quiet = g_timeout_add_seconds (QUIET_S, quiet_cb, self);
}

void
atl_fetch_progress_show (AtlFetchProgress *self, const AtlHubProgress *progress)
{
  g_autofree char *words = progress_words (progress);

  say (self, words);
  expect_more (self, progress);
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
  /* The button that began it goes away or does nothing now. */
  gtk_widget_grab_focus (self->cancel_button);
  return self->cancel;
}

gboolean
atl_fetch_progress_end (AtlFetchProgress *self)
{
  gboolean had_focus = gtk_widget_is_focus (self->cancel_button);

  g_clear_object (&self->cancel);
  g_clear_handle_id (&self->quiet, g_source_remove);
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
  return had_focus;
}

gboolean
atl_fetch_progress_get_is_running (AtlFetchProgress *self)
{
  return self->cancel != NULL;
}

void
atl_fetch_progress_cancel (AtlFetchProgress *self)
{
  if (self->cancel != NULL)
    g_cancellable_cancel (self->cancel);
}

/* What this was a part of is gone from its window, but lives until the download is over that it
 * waits for. */
static void
atl_fetch_progress_unroot (GtkWidget *widget)
{
  atl_fetch_progress_cancel (ATL_FETCH_PROGRESS (widget));
  GTK_WIDGET_CLASS (atl_fetch_progress_parent_class)->unroot (widget);
}

static void
atl_fetch_progress_dispose (GObject *object)
{
  AtlFetchProgress *self = ATL_FETCH_PROGRESS (object);

  atl_fetch_progress_cancel (self);
  g_clear_handle_id (&self->quiet, g_source_remove);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_fetch_progress_parent_class)->dispose (object);
}

static void
atl_fetch_progress_finalize (GObject *object)
{
  g_clear_object (&ATL_FETCH_PROGRESS (object)->cancel);
  g_free (ATL_FETCH_PROGRESS (object)->so_far);
  G_OBJECT_CLASS (atl_fetch_progress_parent_class)->finalize (object);
}

static void
atl_fetch_progress_class_init (AtlFetchProgressClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_fetch_progress_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_fetch_progress_finalize;
  widget_class->unroot = atl_fetch_progress_unroot;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/fetch-progress.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlFetchProgress, name)
  BIND (box);
  BIND (label);
  BIND (bar);
  BIND (cancel_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, atl_fetch_progress_cancel);
}

static void
atl_fetch_progress_init (AtlFetchProgress *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}
