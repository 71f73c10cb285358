/* A picture that was drawn or enlarged, on its way to a file: its pixels, how it was made, and what
 * the file is to be called.
 *
 *   AtlPictureDrawn *drawn = atl_picture_drawn_new (task, job);
 *   atl_picture_drawn_save_async (drawn, saved_cb, self);  // on a worker; `drawn` must stay alive
 *
 * Threading: the main thread; saving happens on a worker.
 */
#pragma once

#include "app/images/picture-task.h"
#include "app/session/session.h"
#include "client/picture-job.h"
#include "media/picture.h"
#include "store/pictures.h"

G_BEGIN_DECLS

typedef struct
{
  GBytes *pixels; /* [height, width, 3] */
  guint width, height;
  GVariant *recipe; /* (nullable) of a picture that was only enlarged and says nothing */
  char *folder, *stem;
  AtlPictureOrigin origin;
  char *parent; /* (nullable) the file it was made from */
  AtlPictureFormat format;
} AtlPictureDrawn;

/* What the finished `job` has drawn for `task`. The caller's. */
AtlPictureDrawn *
atl_picture_drawn_new (AtlPictureTask *task, AtlPictureJob *job, AtlPictureFormat format);
/* The same for a task that only enlarges: without pixels, which
 * atl_picture_drawn_take_larger() brings. The caller's. */
AtlPictureDrawn *atl_picture_drawn_new_larger (AtlPictureTask *task, AtlPictureFormat format);
void atl_picture_drawn_free (AtlPictureDrawn *self);

/* The finished `job` has enlarged it. */
void atl_picture_drawn_take_larger (AtlPictureDrawn *self, AtlPictureJob *job);

/* Writes the file, never over another. Its path is the caller's; errors: those of encoding and of
 * the disk. */
void atl_picture_drawn_save_async (AtlPictureDrawn *self,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data);
char *atl_picture_drawn_save_finish (GAsyncResult *result, GError **error);

/* Into the gallery, as the file `path`. Its id; 0: it could not be, and is found again when the
 * gallery looks round. */
gint64
atl_picture_drawn_add_row (const AtlPictureDrawn *self, AtlSession *session, const char *path);

G_END_DECLS
