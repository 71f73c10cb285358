/* Whether the files of an installed model are still what they should be; and those that are not,
 * fetched again.
 *
 *   atl_library_verify_async (path, progress_cb, self, cancellable, done_cb, self);
 *   ... in done_cb:
 *   g_autoptr (AtlVerified) verified = atl_library_verify_finish (result, &error);
 *   if (verified->verdict == ATL_VERDICT_DAMAGED && verified->can_fetch)
 *     atl_library_fetch_again_async (verified, …);
 *
 * Reads every byte: of the shards of a model, of the files of its folder, of the parts in the
 * folders beside it. What a file should be is in hub/checksums.h.
 *
 * Errors: ATL_ERROR_NOT_FOUND, ATL_ERROR_BAD_FILE (it cannot be read), those of hub/download.h,
 * G_IO_ERROR_CANCELLED.
 *
 * Threading: as hub/download.h.
 */
#pragma once

#include "hub/progress.h"

G_BEGIN_DECLS

/* The worst of a model's files says it. */
typedef enum
{
  ATL_VERDICT_INTACT,
  ATL_VERDICT_NOTED,   /* nothing was known: what it contains now is noted for the next time */
  ATL_VERDICT_CHANGED, /* not what was noted; somebody has written to it since */
  ATL_VERDICT_DAMAGED, /* not what was noted, and nobody has written to it */
} AtlVerdict;

typedef struct
{
  AtlVerdict verdict;
  guint n_files;
  GPtrArray *wrong;    /* (element-type filename) changed or damaged ones; empty: none */
  GPtrArray *contents; /* (element-type utf8) their SHA-256 as they are */
  gint64 noted_us;     /* when that of the first of them was noted; 0: its name says it */
  gint64 changed_us;   /* when the first of them was written to */
  gboolean can_fetch;  /* where all of them come from is known */
} AtlVerified;

/* NULL is fine. */
void atl_verified_free (AtlVerified *self);

/* `path`: a model file, the first of several, or a folder with a model; ATL_ERROR_INVALID for a
 * file that neither its name nor its beginning calls one. The result is the caller's. */
void atl_library_verify_async (const char *path,
                               AtlHubProgressFunc progress,
                               gpointer progress_data,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer data);
AtlVerified *atl_library_verify_finish (GAsyncResult *result, GError **error);

/* What the wrong ones contain now is what they should be from here on. Blocks shortly. */
void atl_library_accept (const AtlVerified *verified);

/* Fetches the wrong ones again, each beside the old one, which it replaces when it is complete and
 * right. What breaks off goes on with the next call. Copies `verified`. */
void atl_library_fetch_again_async (const AtlVerified *verified,
                                    AtlHubProgressFunc progress,
                                    gpointer progress_data,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer data);
gboolean atl_library_fetch_again_finish (GAsyncResult *result, GError **error);

/* "wan_vae.safetensors", or of several "wan_vae.safetensors and 2 more"; the caller's. */
char *atl_verified_names (const AtlVerified *verified);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlVerified, atl_verified_free)

G_END_DECLS
