/* Members of a ZIP archive that lie in it as they are (not compressed), found in a mapped file.
 *
 *   g_autoptr (AtlZipIndex) zip = atl_zip_index_new (data, size, name, error);
 *   const AtlZipMember *m = atl_zip_index_find (zip, "data.pkl");
 *
 * For checkpoints of PyTorch, whose archives hold their members uncompressed so that they can be
 * mapped. Members' names lose their first folder, which is the archive's own name.
 *
 * Threading: immutable once made.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlZipIndex AtlZipIndex;

typedef struct
{
  const guint8 *data; /* inside the file */
  gsize size;
} AtlZipMember;

/* Reads the directory of the archive (APPNOTE 6.3.3, with ZIP64). `data` is borrowed. Members that
 * reach out of the file, overlap the directory, are compressed or encrypted, names that are there
 * twice, and more than 65536 members are ATL_ERROR_BAD_FILE or ATL_ERROR_UNSUPPORTED. */
AtlZipIndex *atl_zip_index_new (const guint8 *data, gsize size, const char *name, GError **error);
void atl_zip_index_free (AtlZipIndex *self);

/* The member "ANYTHING/path"; NULL when there is none. Borrowed. */
const AtlZipMember *atl_zip_index_find (const AtlZipIndex *self, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlZipIndex, atl_zip_index_free)

G_END_DECLS
