/* Files that people keep: each appears under its name only when all of it is on the disk, and takes
 * the place of another only then. However the program ends meanwhile, or where the disk is full,
 * what had the name before is untouched, and nothing half written stays.
 *
 *   atl_whole_file_save (to, bytes, TRUE, &error);
 *
 * or, where the name is searched for:
 *
 *   g_auto (AtlWholeFile) file = ATL_WHOLE_FILE_INIT;
 *   if (atl_whole_file_write (&file, folder, bytes, &error))
 *     number = atl_whole_file_take_name (&file, path);
 *
 * (g_file_replace_contents() writes a new file under its name from the first byte on, and of an old
 * one GLib 2.74 leaves what there was room for.)
 *
 * Threading: from any thread; a file belongs to one.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  int fd;
  char *hidden; /* (owned) (nullable) its name until it has its own; NULL: it has none */
} AtlWholeFile;

#define ATL_WHOLE_FILE_INIT                                                                        \
  {                                                                                                \
    -1, NULL                                                                                       \
  }

/* What is written and has no name yet goes. */
void atl_whole_file_clear (AtlWholeFile *self);

/* Writes and flushes `bytes` to a file in `folder`, which must be there. */
gboolean
atl_whole_file_write (AtlWholeFile *self, const char *folder, GBytes *bytes, GError **error);

/* Gives it the name, in the same folder; a number of errno, or 0. EEXIST where it is taken: another
 * may be tried. The folder is flushed, too. */
int atl_whole_file_take_name (AtlWholeFile *self, const char *path);

/* In words: `number` of errno, that something in `folder` met. */
void atl_whole_file_set_error (GError **error, int number, const char *folder);

/* Writes `bytes` as `to`; what has the name is replaced, or left alone with an error. A link is
 * followed, and the rights of what is replaced are kept. Where `to` is not on this computer's disks
 * (GVfs), what happens half way is that file system's to say. */
gboolean atl_whole_file_save (GFile *to, GBytes *bytes, gboolean replaces, GError **error);

/* On a thread of its own; replaces. */
void
atl_whole_file_save_async (GFile *to, GBytes *bytes, GAsyncReadyCallback callback, gpointer data);
gboolean atl_whole_file_save_finish (GAsyncResult *result, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlWholeFile, atl_whole_file_clear)

G_END_DECLS
