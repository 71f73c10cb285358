/* The model files on this computer: listing, adding, removing.
 *
 *   g_autoptr (GPtrArray) models = atl_library_scan (atl_library_dir (), NULL, &error);
 *   atl_library_add_async (path, ATL_ADD_REFERENCE, NULL, NULL, NULL, done_cb, self);
 *
 * No file is opened for reading here except to copy it: what is in a file is the engine's to say.
 *
 * Threading: synchronous functions look at folders only and belong on a worker thread when the
 * folder may be large or slow; the async ones work on a thread of their own.
 */
#pragma once

#include <glib/gstdio.h>

#include "hub/progress.h"

G_BEGIN_DECLS

typedef struct
{
  char *path;         /* of the file, of a sharded model its first file, or of the model's folder */
  char *name;         /* for people: the file's name without ending and shard number */
  char *origin;       /* (nullable) the app whose file it is: "Ollama"; NULL: ours or any folder */
  guint64 size_bytes; /* of all its files */
  gint64 changed_us;  /* when the newest of them was written */
  guint n_files;      /* 1, the shards that are there, or the files of the folder */
  guint n_expected;   /* files it should have; more than n_files: some are missing */
  gboolean reference; /* used where it is: a link in our folder */
} AtlModelFile;

void atl_model_file_free (AtlModelFile *file);
/* A changed_us of what g_stat() said. */
gint64 atl_model_file_changed (const GStatBuf *st);
AtlModelFile *atl_model_file_copy (const AtlModelFile *file);

/* $XDG_DATA_HOME/atelier/models; static. Made when something is put there. */
const char *atl_library_dir (void);

/* Model files (.gguf, .safetensors, .sft, .pth, pairs of .param and .bin) below `folder`, by name;
 * shards of one model as one, and so is a folder as authors publish it (model-folder.h); of models
 * whose parts are sorted into folders (base/sorted-folder.h) only the denoisers. A path of a file
 * gives that model alone. Looks six folders deep and at 50,000 entries at most; a folder that is
 * not there is an empty list; unfinished downloads and hidden files are passed over, as are links
 * that lead nowhere. (transfer full) (element-type AtlModelFile) */
GPtrArray *atl_library_scan (const char *folder, GCancellable *cancellable, GError **error);
void atl_library_scan_async (const char *folder,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer data);
GPtrArray *atl_library_scan_finish (GAsyncResult *result, GError **error);

/* All files of a model, in order, absolute: the shards of `path`, or `path` alone.
 * ATL_ERROR_NOT_FOUND names the first one that is missing. The caller's (g_strfreev). */
char **atl_library_model_files (const char *path, GError **error);

typedef enum
{
  ATL_ADD_COPY,      /* "Copy it in" */
  ATL_ADD_REFERENCE, /* "Use it where it is" */
} AtlAddMode;

/* Brings the model at `path` (a file, any shard of it, or its folder) into the library. A copy of a
 * denoiser whose parts lie in folders beside its own goes into such a folder of the library, and
 * the parts into others beside that: as links of the file system, hard where it can, each once
 * however many models share it. Never
 * overwrites: a name that is taken gets a number. A copy shares its blocks with the original where
 * the file system can, is hashed (checksums.h), and appears only when complete; cancelled or
 * failed, nothing of it remains. */
void atl_library_add_async (const char *path,
                            AtlAddMode mode,
                            AtlHubProgressFunc progress,
                            gpointer progress_data,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer data);

/* The path in the library, the caller's. */
char *atl_library_add_finish (GAsyncResult *result, GError **error);

/* Removes what copies left that were killed with their process. Blocks shortly. */
void atl_library_sweep (void);

/* The path in the library of the model at `path`, a file or its folder: `path` itself, or that of a
 * link to it; NULL when it is not there. The caller's. Blocks shortly. */
char *atl_library_find (const char *path);

/* Moves a model (all its shards) to the desktop's trash; a reference is only unlinked, its file
 * stays, and so do parts that other models may share. Files outside atl_library_dir() are refused
 * with ATL_ERROR_INVALID: they belong to others.
 */
gboolean atl_library_remove (const char *path, GError **error);

/* After a model was removed: moves to the trash what was there for it alone. That are the parts in
 * the folder `fetched` (nullable; atl_client_parts_dir() of it, asked while it was there) with
 * their copies in the store, unless other models use these; and, when no denoiser is left in the
 * library, the parts that were put beside them. The paths that went, for
 * atl_library_restore_parts(). (transfer full) (element-type filename) */
GPtrArray *atl_library_remove_parts (const char *fetched);
/* Brings them back; what is not in the trash any more is missed when the model is loaded. */
void atl_library_restore_parts (const GPtrArray *gone);

/* Undo of atl_library_remove() with the same path. ATL_ERROR_NOT_FOUND when the trash was emptied.
 */
gboolean atl_library_restore (const char *path, GError **error);

/* --- Models of other apps, used where they are --- */

typedef struct
{
  char *app; /* "Ollama", "LM Studio", "Hugging Face", "Jan", "GPT4All", "ComfyUI" */
  char *folder;
  GPtrArray *models;  /* (element-type AtlModelFile) with origin set */
  guint64 size_bytes; /* of all of them */
} AtlOtherApp;

/* NULL is fine. */
void atl_other_app_free (AtlOtherApp *app);

/* The apps that have models on this computer. Reads folders and Ollama's lists, changes nothing.
 * (transfer full) (element-type AtlOtherApp) */
GPtrArray *atl_other_apps_find (GCancellable *cancellable, GError **error);
void
atl_other_apps_find_async (GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
GPtrArray *atl_other_apps_find_finish (GAsyncResult *result, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlModelFile, atl_model_file_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlOtherApp, atl_other_app_free)

G_END_DECLS
