/* The fields that the files of the gallery share: gallery.c has the list, gallery-delete.c the way
 * to the trash and back, gallery-files.c the files. */
#pragma once

#include "app/gallery/gallery.h"
#include "app/gallery/thumbnails.h"

G_BEGIN_DECLS

struct _AtlGallery
{
  GObject parent_instance;

  AtlSession *session; /* borrowed: while `cancellable` is not cancelled */
  AtlThumbnails *thumbnails;
  GListStore *pictures;
  GHashTable *items; /* gint64 * -> AtlGalleryItem: all that were ever met */
  GCancellable *cancellable;

  GPtrArray *imports; /* of char *: paths to take in, one after the other */
  GPtrArray *read;    /* of what was read and has no row yet: rows come some at a time */
  gint64 noted_us;    /* monotonic: when rows came last */
  gboolean is_importing;
  guint n_imported, n_refused; /* of the import that a person asked for */
  gboolean was_asked;
  gint64 looked_us; /* monotonic */
  gboolean is_looking, has_looked;
};

/* Everything as the store has it. */
void atl_gallery_reload (AtlGallery *self);
void atl_gallery_emit_changed (AtlGallery *self);
/* atl_gallery_add() in two: the row, which may be of a batch, and, once it is on the disk, its
 * place in the list. `rgb` (nullable) is [height, width, 3]. */
gint64 atl_gallery_note (AtlGallery *self, const AtlPictureRow *row, GError **error);
void atl_gallery_show_noted (
    AtlGallery *self, gint64 id, const char *path, GBytes *rgb, guint width, guint height);
/* TRUE when `path` lies in the folder that results go to. */
gboolean atl_gallery_is_ours (const char *path);

G_END_DECLS
