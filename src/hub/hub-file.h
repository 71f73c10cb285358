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
  char *sha256; /* (owned) (nullable) of a small file, which has: */
  char *git_id; /* (owned) (nullable) the SHA-1 of a git blob */
  guint64 size_bytes;
} AtlHubFile;

/* A zeroed one is fine. */
void atl_hub_file_clear (AtlHubFile *file);

/* Asks the hub (HF_ENDPOINT, else the public one) about `file` on the main branch of `repo`. What
 * says neither hash is refused: nothing could verify it. */
gboolean atl_hub_file_locate (SoupSession *session,
                              const char *repo,
                              const char *file,
                              AtlHubFile *out,
                              GCancellable *cancellable,
                              GError **error);

#define ATL_HUB_MAX_SMALL (64u << 20)
/* Fetches one with a git_id only (ATL_HUB_MAX_SMALL bytes at most) to `target`, which must not be
 * there; its folder is. */
gboolean atl_hub_file_fetch_small (SoupSession *session,
                                   const AtlHubFile *file,
                                   const char *target,
                                   GCancellable *cancellable,
                                   GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlHubFile, atl_hub_file_clear)

G_END_DECLS
