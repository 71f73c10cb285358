/* What cannot be brought, of many files that come together: told once for all.
 *
 *   atl_add_refusals_add (refusals, words);
 *   atl_add_refusals_add_damage (refusals, error, name);
 *   atl_add_refusals_tell (refusals, session);
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/session/session.h"

G_BEGIN_DECLS

typedef struct _AtlAddRefusals AtlAddRefusals;

/* Empty. */
AtlAddRefusals *atl_add_refusals_new (void);
/* NULL is fine. */
void atl_add_refusals_free (AtlAddRefusals *self);

/* A sentence; takes it. */
void atl_add_refusals_add (AtlAddRefusals *self, char *words);
/* A file that is no model, or a damaged one. */
void atl_add_refusals_add_damage (AtlAddRefusals *self, const GError *error, const char *name);
/* The session's "notice" for the former, its "load-failed" for the latter; then they are forgotten.
 */
void atl_add_refusals_tell (AtlAddRefusals *self, AtlSession *session);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlAddRefusals, atl_add_refusals_free)

G_END_DECLS
