/* Carries progress from a worker thread to the caller's main context, thinned out and made
 * monotone.
 *
 *   AtlReporter *r = atl_reporter_new (task, progress, data);   in the caller's thread
 *   atl_reporter_stage (r, ATL_HUB_DOWNLOADING, "SmolLM2", 0, total);   in the worker
 *   atl_reporter_done (r, bytes);
 *
 * Threading: any; reference counted.
 */
#pragma once

#include "hub/progress.h"

G_BEGIN_DECLS

typedef struct _AtlReporter AtlReporter;

/* `progress` may be NULL. Reports stop when `task` has called its callback. */
AtlReporter *atl_reporter_new (GTask *task, AtlHubProgressFunc progress, gpointer data);
AtlReporter *atl_reporter_ref (AtlReporter *self);
void atl_reporter_unref (AtlReporter *self);

/* Enters a stage. `base_bytes` are counted as done already and added to what follows. NULL `self`
 * is fine here and below. */
void atl_reporter_stage (AtlReporter *self,
                         AtlHubStage stage,
                         const char *what,
                         guint64 base_bytes,
                         guint64 total_bytes);

/* `bytes` of the stage beyond its base are done. */
void atl_reporter_done (AtlReporter *self, guint64 bytes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlReporter, atl_reporter_unref)

G_END_DECLS
