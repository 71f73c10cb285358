/* A picture of others, read by the engine: pixels and what the file says about itself.
 *
 * Threading: immutable; reference counting is atomic.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ATL_TYPE_PICTURE_FILE (atl_picture_file_get_type ())

typedef struct
{
  GBytes *rgb;                   /* [height, width, 3], 8 bits a colour */
  guint width, height;           /* px, of rgb */
  guint full_width, full_height; /* of the file */
  GVariant *texts;               /* a{ss}: by keyword ("parameters") */
  GVariant *recipe;              /* a{sv} with ATL_MADE_* of protocol.h; NULL: it says nothing */
} AtlPictureFile;

/* References are counted atomically; NULL is fine for unref. */
GType atl_picture_file_get_type (void);
AtlPictureFile *atl_picture_file_ref (AtlPictureFile *self);
void atl_picture_file_unref (AtlPictureFile *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPictureFile, atl_picture_file_unref)

G_END_DECLS
