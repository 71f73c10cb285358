/* A download under way: a bar, words, and a button that ends it.
 *
 *   AtlFetchProgress *progress: a child of a template, where it is named
 *   cancellable = atl_fetch_progress_begin (ATL_FETCH_PROGRESS (progress));
 *   atl_starter_upscaler_fetch_async (NULL, 0, progress_cb, self, cancellable, …);
 *   ... in progress_cb, while the widget lives:
 *   atl_fetch_progress_show (ATL_FETCH_PROGRESS (progress), how_far);
 *   ... when it is over:
 *   atl_fetch_progress_end (ATL_FETCH_PROGRESS (progress));
 *
 * Shown only while something is fetched, with the focus on the button that ends it. When it is
 * taken out of its window the download is cancelled; what has arrived is kept, and the next one
 * goes on from there. (A window that is closed is not taken apart while somebody holds it: one that
 * waits for its download calls atl_fetch_progress_cancel() when it is unmapped.)
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "hub/progress.h"

G_BEGIN_DECLS

#define ATL_TYPE_FETCH_PROGRESS (atl_fetch_progress_get_type ())
G_DECLARE_FINAL_TYPE (AtlFetchProgress, atl_fetch_progress, ATL, FETCH_PROGRESS, GtkWidget)

/* Shows it at its beginning. What its button cancels: borrowed. */
GCancellable *atl_fetch_progress_begin (AtlFetchProgress *self);
/* Hides it. Whether its button had the focus, which is to be put elsewhere. */
gboolean atl_fetch_progress_end (AtlFetchProgress *self);
/* As its button does; nothing while nothing is fetched. */
void atl_fetch_progress_cancel (AtlFetchProgress *self);
gboolean atl_fetch_progress_get_is_running (AtlFetchProgress *self);
void atl_fetch_progress_show (AtlFetchProgress *self, const AtlHubProgress *progress);

G_END_DECLS
