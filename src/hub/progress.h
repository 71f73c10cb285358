/* How far a long job of the hub has come, told to the thread that started it.
 *
 *   static void
 *   progress_cb (const AtlHubProgress *p, gpointer data)
 *   {
 *     if (p->total_bytes > 0)
 *       gtk_progress_bar_set_fraction (bar, (double) p->done_bytes / p->total_bytes);
 *   }
 *
 * Threading: the callback runs in the main context that was the thread's default when the job was
 * started, at most ten times a second, and never after the job's own callback. `done_bytes` never
 * falls while `stage` and `what` stay the same.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_HUB_CONNECTING, /* asking servers; no numbers yet */
  ATL_HUB_DOWNLOADING,
  ATL_HUB_COPYING,
  ATL_HUB_CHECKING, /* reading what is there already, or the finished file */
} AtlHubStage;

typedef struct
{
  AtlHubStage stage;
  const char *what;    /* name for people of what is fetched or copied; borrowed */
  guint64 done_bytes;  /* of total_bytes, including what was there before */
  guint64 total_bytes; /* 0: not known yet */
  double bytes_per_s;  /* over the last seconds; 0: not known yet */
  int seconds_left;    /* -1: not known yet */
} AtlHubProgress;

typedef void (*AtlHubProgressFunc) (const AtlHubProgress *progress, gpointer data);

G_END_DECLS
