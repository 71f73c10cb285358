/* Progress across threads: the worker overwrites one record, the main context reads it at leisure.
 */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/reporter.h"

#define INTERVAL_US (100 * 1000)
#define RATE_WINDOW_US (4 * G_USEC_PER_SEC)

struct _AtlReporter
{
  gatomicrefcount refs;
  GWeakRef task;         /* weak: the task owns what owns us */
  GMainContext *context; /* (owned) of the task */
  AtlHubProgressFunc progress;
  gpointer data;

  GMutex mutex;
  AtlHubProgress now;  /* (mutex mutex) */
  char *what;          /* (mutex mutex) (owned) */
  guint64 base_bytes;  /* (mutex mutex) */
  gboolean scheduled;  /* (mutex mutex) a report is on its way */
  gint64 last_us;      /* (mutex mutex) when one was scheduled last */
  gint64 window_us;    /* (mutex mutex) beginning of the time the rate is taken over */
  guint64 window_done; /* (mutex mutex) */
};

AtlReporter *
atl_reporter_new (GTask *task, AtlHubProgressFunc progress, gpointer data)
{
  AtlReporter *self = g_new0 (AtlReporter, 1);

  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->mutex);
  g_weak_ref_init (&self->task, task);
  self->context = g_main_context_ref (g_task_get_context (task));
  self->progress = progress;
  self->data = data;
  self->now.seconds_left = -1;
  return self;
}

AtlReporter *
atl_reporter_ref (AtlReporter *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
atl_reporter_unref (AtlReporter *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->refs))
    return;
  g_weak_ref_clear (&self->task);
  g_main_context_unref (self->context);
  g_mutex_clear (&self->mutex);
  g_free (self->what);
  g_free (self);
}

static gboolean
report_cb (gpointer data)
{
  AtlReporter *self = data;
  g_autoptr (GTask) task = g_weak_ref_get (&self->task);
  AtlHubProgress copy;
  g_autofree char *what = NULL;

  g_mutex_lock (&self->mutex);
  self->scheduled = FALSE;
  copy = self->now;
  copy.what = what = g_strdup (self->what);
  g_mutex_unlock (&self->mutex);
  if (task != NULL && !g_task_get_completed (task))
    self->progress (&copy, self->data);
  return G_SOURCE_REMOVE;
}

/* Called with the mutex held. */
static void
schedule (AtlReporter *self, gboolean at_once)
{
  gint64 now_us = g_get_monotonic_time ();
  g_autoptr (GSource) source = NULL;

  if (self->progress == NULL || self->scheduled ||
      (!at_once && now_us - self->last_us < INTERVAL_US))
    return;
  self->scheduled = TRUE;
  self->last_us = now_us;
  /* Not g_main_context_invoke(): between two iterations nobody owns the context, and it would call
   * back on this thread, with the mutex held. */
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, report_cb, atl_reporter_ref (self),
                         (GDestroyNotify) atl_reporter_unref);
  g_source_attach (source, self->context);
}

void
atl_reporter_stage (
    AtlReporter *self, AtlHubStage stage, const char *what, guint64 base_bytes, guint64 total_bytes)
{
  gboolean same;

  if (self == NULL)
    return;
  g_mutex_lock (&self->mutex);
  same = stage == self->now.stage && g_strcmp0 (what, self->what) == 0;
  if (!same)
    {
      self->now.bytes_per_s = 0;
      self->now.seconds_left = -1;
      self->now.done_bytes = 0;
      self->window_us = 0;
    }
  self->now.stage = stage;
  if (g_strcmp0 (what, self->what) != 0)
    {
      g_free (self->what);
      self->what = g_strdup (what);
    }
  self->base_bytes = base_bytes;
  self->now.done_bytes = MAX (self->now.done_bytes, base_bytes);
  self->now.total_bytes = total_bytes;
  schedule (self, !same);
  g_mutex_unlock (&self->mutex);
}

/* Called with the mutex held: the rate since the window began, which moves on in half-steps. */
static void
measure_rate (AtlReporter *self)
{
  gint64 now_us = g_get_monotonic_time ();
  AtlHubProgress *now = &self->now;

  if (self->window_us == 0 || now->done_bytes < self->window_done)
    {
      self->window_us = now_us;
      self->window_done = now->done_bytes;
      return;
    }
  if (now_us - self->window_us < G_USEC_PER_SEC / 2)
    return;
  now->bytes_per_s = (double) (now->done_bytes - self->window_done) * G_USEC_PER_SEC /
                     (double) (now_us - self->window_us);
  if (now->bytes_per_s > 0 && now->total_bytes >= now->done_bytes)
    now->seconds_left =
        (int) MIN ((double) (now->total_bytes - now->done_bytes) / now->bytes_per_s, 1e8);
  if (now_us - self->window_us > RATE_WINDOW_US)
    {
      guint64 moved = (now->done_bytes - self->window_done) / 2;

      self->window_us += (now_us - self->window_us) / 2;
      self->window_done += moved;
    }
}

void
atl_reporter_done (AtlReporter *self, guint64 bytes)
{
  if (self == NULL)
    return;
  g_mutex_lock (&self->mutex);
  self->now.done_bytes = MAX (self->now.done_bytes, self->base_bytes + bytes);
  measure_rate (self);
  schedule (self, FALSE);
  g_mutex_unlock (&self->mutex);
}
