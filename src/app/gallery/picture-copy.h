/* A copy of a picture of the gallery where the person wants one, under a name of theirs.
 *
 *   atl_picture_copy_ask (widget, gallery, item);          asks where to, copies, tells
 *
 * The ending of the name decides: one of another format (.png, .jpg, .jpeg, .webp) makes a picture
 * of that format, with its recipe; any other copies the bytes as they are.
 *
 * Threading: the main thread; files are read and written by workers.
 */
#pragma once

#include "app/gallery/gallery.h"

G_BEGIN_DECLS

/* Over the window of `widget`; what came of it is said in a notice
 * of the session. */
void atl_picture_copy_ask (GtkWidget *widget, AtlGallery *gallery, AtlGalleryItem *item);

/* Replaces `to`, which the person was asked about; the picture itself is left as it is when it is
 * that. A name without an ending gets the picture's; that one replaces nothing. */
void atl_picture_copy_async (AtlGallery *gallery,
                             AtlGalleryItem *item,
                             GFile *to,
                             GAsyncReadyCallback callback,
                             gpointer data);
/* The file that was written; owned. NULL with words. */
GFile *atl_picture_copy_finish (GAsyncResult *result, GError **error);

G_END_DECLS
