/* A picture that was asked for, to be drawn or to be made from one that is there by enlarging it:
 * waiting in the queue, at work, or failed.
 *
 * Properties (all notify): "state" AtlPictureTaskState, "progress" (phase, step, seconds left
 * changed together), "preview" GdkTexture (nullable).
 *
 * Threading: the main thread.
 */
#pragma once

#include <gdk/gdk.h>

#include "app/images/picture-settings.h"
#include "client/client.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_TASK_WAITING,
  ATL_TASK_RUNNING,
  ATL_TASK_SAVING,
  ATL_TASK_FAILED,
} AtlPictureTaskState;

#define ATL_TYPE_PICTURE_TASK (atl_picture_task_get_type ())
G_DECLARE_FINAL_TYPE (AtlPictureTask, atl_picture_task, ATL, PICTURE_TASK, GObject)

/* A copy of `settings` for `model`, with the seed that this picture gets. */
AtlPictureTask *
atl_picture_task_new (AtlModel *model, const AtlPictureSettings *settings, guint32 seed);

/* One that was kept over the program's end: its model, known by its file, is loaded when its turn
 * comes. */
AtlPictureTask *atl_picture_task_new_kept (const char *model_path,
                                           const AtlPictureSettings *settings,
                                           guint32 seed);

/* The picture in the file `source`, enlarged `factor` times; `recipe` (nullable) is how it was
 * made. Its model is not known before it is at work. */
AtlPictureTask *atl_picture_task_new_enlarging (const char *source, guint factor, GVariant *recipe);

/* Of a picture that is only enlarged, else NULL: its file; how it was made (nullable). Borrowed. */
const char *atl_picture_task_get_source (AtlPictureTask *self);
GVariant *atl_picture_task_get_recipe (AtlPictureTask *self);

/* NULL: it is only enlarged, or its model is not loaded yet; borrowed. */
AtlModel *atl_picture_task_get_model (AtlPictureTask *self);
void atl_picture_task_set_model (AtlPictureTask *self, AtlModel *model);
/* The file of its model; NULL of one that is only enlarged; borrowed. */
const char *atl_picture_task_get_model_path (AtlPictureTask *self);
const AtlPictureSettings *atl_picture_task_get_settings (AtlPictureTask *self); /* borrowed */
guint32 atl_picture_task_get_seed (AtlPictureTask *self);

/* Notifies "state". Waiting once more forgets the error and how far it was. */
AtlPictureTaskState atl_picture_task_get_state (AtlPictureTask *self);
void atl_picture_task_set_state (AtlPictureTask *self, AtlPictureTaskState state);

/* The progress that is told from now on is the part between `from` and `to` (0 to 1) of all. */
void atl_picture_task_begin_stage (AtlPictureTask *self, double from, double to);
/* The part of the work that is done, 0 to 1, which never falls; the words for it ("Step 7 of 20");
 * seconds left, negative while they are not known. */
double atl_picture_task_get_fraction (AtlPictureTask *self);
const char *atl_picture_task_get_phase (AtlPictureTask *self); /* borrowed */
/* No step follows before which the engine could rest: a pause holds what comes after it. */
gboolean atl_picture_task_pauses_after (AtlPictureTask *self);
double atl_picture_task_get_seconds_left (AtlPictureTask *self);
/* Between two steps: one second less is left, as far as some were. */
void atl_picture_task_pass_second (AtlPictureTask *self);
guint atl_picture_task_get_step (AtlPictureTask *self, guint *n_steps);
void atl_picture_task_set_progress (
    AtlPictureTask *self, const char *phase, guint step, guint n_steps, double seconds_left);

/* No more steps are wanted; from now on the phase says that it is being finished. */
void atl_picture_task_end_early (AtlPictureTask *self);

/* It is not wanted any more: from now on the phase says that it is being stopped, which takes as
 * long as the operation that was begun. */
void atl_picture_task_stop (AtlPictureTask *self);
gboolean atl_picture_task_get_is_stopping (AtlPictureTask *self);

GdkTexture *atl_picture_task_get_preview (AtlPictureTask *self); /* (nullable) borrowed */
void atl_picture_task_set_preview (AtlPictureTask *self, GdkTexture *preview);

/* Why it failed; NULL unless it did. */
const GError *atl_picture_task_get_error (AtlPictureTask *self);
/* Also sets the state. */
void atl_picture_task_fail (AtlPictureTask *self, const GError *error);

G_END_DECLS
