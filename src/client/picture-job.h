/* One picture on its way: a prompt and numbers in, pixels out.
 *
 *   job = atl_client_create (client, model, request);
 *   g_signal_connect (job, "finished", G_CALLBACK (finished_cb), self);
 *
 * Signals, all on the client's main context; exactly one of the last two ends the job:
 *   "progress" (const char *phase, guint step, guint n_steps, double seconds_left)
 *                        n_steps is 0 where nothing is counted, seconds_left negative where it is
 *                        not known
 *   "preview"  (GBytes *rgb, guint width, guint height)
 *                        what can be seen so far, [height, width, 3], at most ATL_MAX_PREVIEW_SIDE
 *                        a side and four times a second
 *   "finished" ()        the pixels are there
 *   "failed"   (GError)  G_IO_ERROR_CANCELLED after atl_picture_job_stop()
 *
 * Threading: the client's thread.
 */
#pragma once

#include "client/model.h"
#include "client/picture-request.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_JOB (atl_picture_job_get_type ())
G_DECLARE_FINAL_TYPE (AtlPictureJob, atl_picture_job, ATL, PICTURE_JOB, GObject)

/* Asks it to end; "failed" follows. */
void atl_picture_job_stop (AtlPictureJob *self);
/* It rests before its next step, or goes on; it keeps its memory. "progress" says when it rests. */
void atl_picture_job_set_paused (AtlPictureJob *self, gboolean is_paused);
/* No further step is taken: what can be seen then becomes the picture, and "finished" follows (or
 * "failed"). The facts have ATL_MADE_STEPS_DONE. Nothing happens while the model is loaded. */
void atl_picture_job_finish_early (AtlPictureJob *self);
AtlPictureRequest *atl_picture_job_get_request (AtlPictureJob *self); /* borrowed */
/* After "finished", else NULL: [height, width, 3], 8 bits a colour; borrowed. */
GBytes *atl_picture_job_get_pixels (AtlPictureJob *self, guint *width, guint *height);
/* After "finished", else NULL: a{sv} with ATL_MADE_*, what it was made with; borrowed. */
GVariant *atl_picture_job_get_facts (AtlPictureJob *self);

G_END_DECLS
