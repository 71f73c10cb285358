/* The fields that the files of the gallery share: gallery.c has the list, gallery-files.c the
 * files. */
#pragma once

#include "app/images/gallery.h"
#include "app/images/thumbnails.h"

G_BEGIN_DECLS

struct _AtlGallery
{
  GObject parent_instance;

  AtlSession *session; /* borrowed: it outlives this */
  AtlThumbnails *thumbnails;
  GListStore *pictures;
  GHashTable *items; /* gint64 * -> AtlGalleryItem: all that were ever met */
  GCancellable *cancellable;

  GPtrArray *imports; /* of char *: paths to take in, one after the other */
  gboolean is_importing;
  guint n_imported, n_refused; /* of the import that a person asked for */
  gboolean was_asked;
  gint64 looked_us; /* monotonic */
  gboolean is_looking;
};

/* Everything as the store has it. */
void atl_gallery_reload (AtlGallery *self);
/* TRUE when `path` lies in the folder that results go to. */
gboolean atl_gallery_is_ours (const char *path);

G_END_DECLS
