/* The pictures that are still to be drawn, in order: a GListModel of AtlPictureTask.
 *
 *   atl_picture_queue_append (queue, task);
 *   atl_picture_queue_move (queue, task, -1);               one earlier
 *   next = atl_picture_queue_next (queue);                  the first that waits
 *
 * What is being drawn stays in front; those that failed stay where they are until they are removed
 * or tried again.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/picture-task.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_QUEUE (atl_picture_queue_get_type ())
G_DECLARE_FINAL_TYPE (AtlPictureQueue, atl_picture_queue, ATL, PICTURE_QUEUE, GObject)

/* Empty. */
AtlPictureQueue *atl_picture_queue_new (void);

/* Holds a reference. */
void atl_picture_queue_append (AtlPictureQueue *self, AtlPictureTask *task);
/* As near to `at` as it goes, never before what is being drawn. Holds a reference. */
void atl_picture_queue_insert (AtlPictureQueue *self, AtlPictureTask *task, guint at);
/* Nothing happens when it is not there. */
void atl_picture_queue_remove (AtlPictureQueue *self, AtlPictureTask *task);
/* By `by` places, later ones are positive; as far as it goes, never before what is being drawn.
 * Whether it moved. */
gboolean atl_picture_queue_move (AtlPictureQueue *self, AtlPictureTask *task, gint by);
gboolean atl_picture_queue_can_move (AtlPictureQueue *self, AtlPictureTask *task, gint by);

/* (nullable) borrowed */
AtlPictureTask *atl_picture_queue_next (AtlPictureQueue *self);
gboolean atl_picture_queue_contains (AtlPictureQueue *self, AtlPictureTask *task);
guint atl_picture_queue_n_waiting (AtlPictureQueue *self);
guint atl_picture_queue_n_failed (AtlPictureQueue *self);

G_END_DECLS
