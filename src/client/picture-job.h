/* One picture on its way: a prompt and numbers in, pixels out.
 *
 *   job = atl_client_create (client, model, settings, NULL, NULL);
 *   g_signal_connect (job, "finished", G_CALLBACK (finished_cb), self);
 *
 * Signals, all on the client's main context; exactly one of the last two ends the job:
 *   "progress" (const char *phase, guint step, guint n_steps, double seconds_left)
 *                        n_steps is 0 where nothing is counted, seconds_left negative where it is
 *                        not known
 *   "finished" ()        the pixels are there
 *   "failed"   (GError)  G_IO_ERROR_CANCELLED after atl_picture_job_stop()
 *
 * Threading: the client's thread.
 */
#pragma once

#include "client/model.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_JOB (atl_picture_job_get_type ())
G_DECLARE_FINAL_TYPE (AtlPictureJob, atl_picture_job, ATL, PICTURE_JOB, GObject)

/* Asks it to end; "failed" follows. */
void atl_picture_job_stop (AtlPictureJob *self);
gboolean atl_picture_job_is_running (AtlPictureJob *self);
AtlModel *atl_picture_job_get_model (AtlPictureJob *self); /* borrowed */
/* After "finished", else NULL: [height, width, 3], 8 bits a colour; borrowed. */
GBytes *atl_picture_job_get_pixels (AtlPictureJob *self, guint *width, guint *height);
/* After "finished", else NULL: a{sv} with ATL_MADE_*, what it was made with; borrowed. */
GVariant *atl_picture_job_get_facts (AtlPictureJob *self);

G_END_DECLS
