/* Turns what a person chose into the descriptors the engine gets. Private to client/.
 *
 * Threading: opens files and may wait for a slow disk: call it on a worker thread.
 */
#pragma once

#include <gio/gunixfdlist.h>

#include "protocol/protocol.h"

G_BEGIN_DECLS

/* Opens the files behind `paths`: a file, the other shards beside a first "-00001-of-00003.gguf",
 * or the model files of one folder. `*names` (owned strings) runs parallel to the descriptors.
 * ATL_ERROR_NOT_FOUND when something is missing, ATL_ERROR_BAD_FILE when it is no regular file,
 * ATL_ERROR_UNSUPPORTED when a folder holds no model or several. */
GUnixFDList *atl_open_model_files (const char *const *paths, GPtrArray **names, GError **error);

/* Adds the files of an adapter (LoRA), a file or PEFT's folder, under logical names "adapter-N/…".
 */
gboolean atl_open_adapter_files (
    const char *path, guint number, GUnixFDList *fds, GPtrArray *names, GError **error);

/* Adds the files of a draft model under logical names "draft/…". */
gboolean
atl_open_draft_files (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error);

/* Appends the picture to `fds`. Errors: ATL_ERROR_NOT_FOUND, ATL_ERROR_BAD_FILE in words. */
gboolean atl_open_picture_file (const char *path, GUnixFDList *fds, GError **error);

G_END_DECLS
