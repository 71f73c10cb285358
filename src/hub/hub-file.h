/* One file of the Hugging Face hub: where it is and what it must be, by the hub's own metadata.
 *
 * Threading: a worker thread; blocks.
 */
#pragma once

#include "hub/http.h"

G_BEGIN_DECLS

typedef struct
{
  char *url;    /* (owned) pinned to a commit */
  char *sha256; /* (owned) */
  guint64 size_bytes;
} AtlHubFile;

void atl_hub_file_clear (AtlHubFile *file);

/* Asks the hub (HF_ENDPOINT, else the public one) about `file` on the main branch of `repo`. Small
 * files that are not stored by content hash are refused: nothing could verify them. */
gboolean atl_hub_file_locate (SoupSession *session,
                              const char *repo,
                              const char *file,
                              AtlHubFile *out,
                              GCancellable *cancellable,
                              GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlHubFile, atl_hub_file_clear)

G_END_DECLS
